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
