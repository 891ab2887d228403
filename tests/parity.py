"""What must be the same on a page of Quarto's and on ours, whatever elements the two are made of."""

import difflib
import re

from lxml import html
from oracle.digest import text


def of_class(*names):
    return "[" + " or ".join(f"contains(concat(' ', @class, ' '), ' {name} ')" for name in names) + "]"


# Marks of annotations, signs of anchors, what each run measures anew, and the window in which Quarto shows the source.
DROPPED = ("code-annotation", "code-annotation-anchor", "anchor", "anchorjs-link", "timing", "address", "modal")
TITLES = f"[not(ancestor::figcaption or ancestor::*{of_class('theorem-title')})]"


def outline(path):
    """Return a page's headings, equations, figures, tables, code and references, each kind in order, as texts."""
    (main,) = html.parse(str(path)).getroot().xpath("//main")
    for dropped in main.xpath(f".//*{of_class(*DROPPED)}"):
        dropped.drop_tree()

    def found(*paths):
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
        "reference": [f"{text(each)} → {each.get('href')}" for each in references]
        + [text(each) for each in found(f"*{of_class('citation', 'csl-entry')}")],
    }


def _figure(figure):
    name = figure.xpath("ancestor::*[starts-with(@id, 'fig-') or starts-with(@id, 'tbl-')]/@id")[-1:]
    pictures = [f"[{each.get('alt', '')}]" for each in figure.xpath("descendant-or-self::img")]
    return " ".join([*name, *pictures, *map(text, figure.xpath("./figcaption"))])


def _table(table):
    rows = [" ; ".join(text(cell) for cell in row.xpath("./th | ./td")) for row in table.xpath(".//tr")]
    return " / ".join([*map(text, table.xpath("./caption")), *rows])


def differences(quarto, ours):
    """Say of two outlines what only one of them has."""
    said = []
    for kind, texts in quarto.items():
        for line in difflib.ndiff(texts, ours[kind]):
            if line[0] in "-+":
                said.append(f"only {'Quarto' if line[0] == '-' else 'qmdsite'} has the {kind}: {line[2:]}")
    return said
