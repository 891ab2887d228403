"""Pages as trees, for what is made from finished pages."""

import re

import lxml.html
from lxml.html import HtmlElement

# What works only on the page itself, or is there for finding one's way on it.
ASIDE = (
    *("script", "style", "nav", "button", "input", "template", "*[contains(@class, 'quarto-listing')]"),
    *("a[@class='anchor']", "a[@aria-hidden='true']"),
)


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
