"""Pages and formulas as trees, for what pandoc leaves to be done and for what is made from finished pages."""

import re

import lxml.html
from lxml.html import HtmlElement

# What works only on the page itself, or is there for finding one's way on it.
ASIDE = (
    *("script", "style", "nav", "button", "input", "template", "*[contains(@class, 'quarto-listing')]"),
    *("a[@class='anchor']", "a[@aria-hidden='true']"),
)

# The name of a function: pandoc puts the sign of its application behind it, or limits below or above it.
NAMES = ".//mo[.='\u2061']/.. | .//*[self::munder or self::mover or self::munderover]/mi[1][string-length() > 1]"
SCRIPTS = ("msub", "msup", "msubsup", "munder", "mover", "munderover")
PRIMES = ".//msup[*[1][self::mi or self::mo]][*[2][.='′' or .='″' or .='‴']]"


def typeset(formula: str) -> str:
    """Return a formula of pandoc's with TeX's space beside the names of functions, and primes that are raised once."""
    math = lxml.html.fragment_fromstring(formula)
    for name in math.xpath(NAMES):
        while name.getparent().tag in SCRIPTS and name.getprevious() is None:
            name = name.getparent()
        if name.getparent().tag in ("mrow", "mtd"):
            if _operand(name.getprevious(), -1):
                name.addprevious(_thin())
            if _operand(name.getnext(), 0):
                name.addnext(_thin())
    for power in math.xpath(PRIMES):
        # The font's primes are raised themselves.
        power.tag = "mrow"
        power[1].tag = "mo"
        power[1].attrib.update({"lspace": "0", "rspace": "0"})
    return written(math)


def _thin() -> HtmlElement:
    return lxml.html.Element("mspace", width="0.167em")


def _operand(element: HtmlElement | None, side: int) -> bool:
    """Return whether an element is one at this end: no space, and no operator or bracket, which bring their own."""
    while element is not None and len(element) and element.tag in ("mrow", *SCRIPTS):
        element = element[side if element.tag == "mrow" else 0]
    if element is None or element.tag == "mspace":
        return False
    return element.tag != "mo" or (side == -1 and element.get("form") == "postfix")


def main(page: bytes) -> tuple[HtmlElement, HtmlElement]:
    """Return the tree of a page, and in it the page's text, without what works only on the page."""
    root = lxml.html.document_fromstring(page.decode())
    content = root.xpath("//main")[0]
    for element in content.xpath(" | ".join(f".//{each}" for each in ASIDE)):
        element.drop_tree()
    return root, content


def tex(formula: HtmlElement) -> str:
    """Return what a formula was written as."""
    return "".join(formula.xpath(".//annotation/text()"))


def plain_code(content: HtmlElement) -> None:
    """Leave of blocks of code the text and the language: colours and marks are for pages with our style sheet."""
    for mark in content.xpath(".//a[@class='code-annotation']"):
        lxml.html.etree.SubElement(mark.getparent(), "span").text = f"  # <{mark.text}>"
        mark.drop_tree()
    for code in content.xpath(".//pre"):
        lines, names = code.text_content(), code.get("class", "").replace("sourceCode", "").split()
        code.clear(keep_tail=True)
        code.set("class", " ".join(names[:1]))
        lxml.html.etree.SubElement(code, "code").text = lines


def words(element: HtmlElement) -> str:
    """Return the text of an element on one line, formulas as TeX."""
    for formula in element.xpath(".//math"):
        source = tex(formula)
        formula.clear(keep_tail=True)
        formula.text = source
    return re.sub(r"\s+", " ", element.text_content()).strip()


def written(element: HtmlElement) -> str:
    """Return a tree as HTML, the same as a page if it is a whole one."""
    whole = element.tag == "html"
    html: str = lxml.html.tostring(element, encoding="unicode", doctype="<!DOCTYPE html>" if whole else None)
    return html


def blocked(tree: HtmlElement) -> list[tuple[str, HtmlElement | str]]:
    """Say of each thing that a page's policy lets do nothing that it is no file, and return what holds it."""
    script = r"[\w.+-]+/(?!(x-)?(java|ecma)script)"  # a block of data has a type with a slash
    inline = tree.xpath("//style | //script[not(@src)]")
    found = [
        *((f"<{each.tag}", each) for each in inline if not re.match(script, each.get("type", ""))),
        *((f"{each.attrname}=", each) for each in tree.xpath("//@*[starts-with(name(), 'on')]")),
        *(("javascript:", each) for each in tree.xpath("//@href[starts-with(., 'javascript:')]")),
    ]
    words = "a page's policy (Content-Security-Policy) lets no '{}…' in it work; put it in a file"
    return [(words.format(opening), holder) for opening, holder in found]


def links(tree: HtmlElement) -> list[tuple[str, str]]:
    """Return what a page links to and shows, each with its element's name."""
    found = [(each.getparent().tag, str(each)) for each in tree.xpath("//@href | //@src | //@poster")]
    several = [
        each for value in tree.xpath("//@srcset") for each in re.findall(r"(\S*[^\s,])(?:\s[^,]*)?(?:,|$)", value)
    ]
    return [*found, *(("img", link) for link in several)]
