"""What must be the same on a page of Quarto's and on ours, whatever elements the two are made of."""

import difflib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lxml import html
from oracle.digest import text

Outline = dict[str, list[str]]


def of_class(*names: str) -> str:
    return "[" + " or ".join(f"contains(concat(' ', @class, ' '), ' {name} ')" for name in names) + "]"


# Marks of annotations, signs of anchors, what each run measures anew, and the window in which Quarto shows the source.
DROPPED = ("code-annotation", "code-annotation-anchor", "anchor", "anchorjs-link", "timing", "address", "modal")
TITLES = f"[not(ancestor::figcaption or ancestor::*{of_class('theorem-title')})]"
LISTING = f"*{of_class('quarto-listing')}"

# What stands in the words of a page only where a reference, an attribute or a fence was not understood.
MARKUP = re.compile(r"\?@[\w-]+|@(?:fig|tbl|eq|sec|thm)-[\w-]+|\{[#.][\w-]+|\bfig-(?:alt|cap)\b|:::|\{\{<|!\[")
NUMBER = {"fig-": re.compile(r"Figure \d"), "tbl-": re.compile(r"Table \d")}


def main_of(path: Path) -> Any:
    """Return a page's text as a tree."""
    (main,) = html.parse(str(path)).getroot().xpath("//main")
    for dropped in main.xpath(f".//*{of_class(*DROPPED)}"):
        dropped.drop_tree()
    return main


def outline(path: Path) -> Outline:
    """Return a page's headings, equations, figures, tables, code, listed pages and references, each kind in order."""
    main = main_of(path)

    def found(*paths: str) -> Any:
        return main.xpath(" | ".join(f".//{path}" for path in paths))

    numbered = "span[starts-with(@id, 'eq-')]"
    references = found(f"a{of_class('quarto-xref')}{TITLES}")
    return {
        "heading": [f"{each.tag} {text(each)}" for each in found("h1", "h2", "h3", "h4", "h5", "h6")],
        "equation": [
            f"{each.get('id', '')} {re.sub(' ', '', text(each))}".strip()
            for each in found(numbered, f"math[@display='block'][not(ancestor::{numbered})]")
        ],
        "figure": [_figure(each) for each in found("figure", "img[not(ancestor::figure)]")],
        "table": [_table(each) for each in found("table")],
        "code": [text(each) for each in found(f"pre{of_class('sourceCode')}")],
        "listing": [f"{text(each)} → {os.path.normpath(each.get('href'))}" for each in found(f"{LISTING}//h3//a")],
        "reference": [f"{text(each)} → {each.get('href')}" for each in references]
        + [text(each) for each in found(f"*{of_class('citation', 'csl-entry')}")],
    }


def _figure(figure: Any) -> str:
    name = figure.xpath("ancestor::*[starts-with(@id, 'fig-') or starts-with(@id, 'tbl-')]/@id")[-1:]
    pictures = [f"[{each.get('alt', '')}]" for each in figure.xpath("descendant-or-self::img")]
    return " ".join([*name, *pictures, *map(text, figure.xpath("./figcaption"))])


def _table(table: Any) -> str:
    rows = [" ; ".join(text(cell) for cell in row.xpath("./th | ./td")) for row in table.xpath(".//tr")]
    return " / ".join([*map(text, table.xpath("./caption")), *rows])


def differences(quarto: Outline, ours: Outline) -> list[str]:
    """Say of two outlines what only one of them has."""
    return [
        f"only {'Quarto' if line[0] == '-' else 'qmdsite'} has the {kind}: {line[2:]}"
        for kind, texts in quarto.items()
        for line in difflib.ndiff(texts, ours[kind])
        if line[0] in "-+"
    ]


def alternatives(path: Path) -> list[str]:
    """Return the texts that stand for a page's pictures."""
    return [alt for alt in main_of(path).xpath(".//img/@alt") if alt]


def flaws(path: Path, alts: Iterable[str]) -> list[str]:
    """Say what of a page's source its renderer did not understand, given the texts that stand for its pictures."""
    main = main_of(path)
    unresolved = main.xpath(f".//*{of_class('quarto-unresolved-ref')} | .//span{of_class('citation')}//strong")
    floats = main.xpath(".//*[starts-with(@id, 'fig-') or starts-with(@id, 'tbl-')][not(self::figcaption)]")
    bare = [each for each in floats if not any(map(NUMBER[each.get("id")[:4]].match, _captions(each)))]
    for code in main.xpath(".//pre | .//code | .//math | .//script | .//style"):
        code.drop_tree()
    words = text(main)
    return [
        *(f"unresolved reference: {text(each)}" for each in unresolved),
        *(f"without a number: {each.get('id')}" for each in bare),
        *(f"shown as text: {found[0]}" for found in MARKUP.finditer(words)),
        *(f"shown as text: {alt}" for alt in alts if alt[-40:] in words),
    ]


def _captions(element: Any) -> list[str]:
    return [text(each) for each in element.xpath(".//figcaption | .//caption")]


def complaints(log: str) -> list[str]:
    """Return the warnings and errors among the lines that Quarto printed."""
    return [line for line in log.splitlines() if "WARN" in line or "ERROR" in line]


def unexpected(found: list[str], listed: list[str]) -> list[str]:
    """Say what was found and is not listed, and what is listed and was not found."""
    return [
        *(each for each in found if each not in listed),
        *(f"listed, and not there: {each}" for each in listed if each not in found),
    ]
