"""The classes and attributes that mean something to Quarto: which of them are supported; all others are refused.

What means nothing to Quarto either stands in the page as it is written, for style sheets and scripts.
"""

import re
from collections.abc import Iterable

from qmdsite.pandoc import Use
from qmdsite.paths import files_of
from qmdsite.project import Project

SUPPORTED = {
    "div": {
        "callout-note callout-tip callout-warning callout-important callout-caution": "a box, with a title",
        "title collapse appearance icon": "attributes of a callout",
        "panel-tabset": "headings and what stands below them as tabs",
        "proof remark solution": "a proof and the like, with its name before it",
        "name": "the name of a theorem",
        "column-margin aside": "a note in the margin",
        "columns column width": "columns side by side, as wide as they say",
        "content-visible content-hidden when-format unless-format": "for one format only: html or ipynb",
        "cell cell-float cell-caption cell-output": "what this renderer writes around cells",
    },
    "span": {"aside": "a note in the margin"},
    "heading": {"unnumbered unlisted": "no number; not in the table of contents"},
    "link": {"target rel": "as in HTML"},
    "image": {"fig-alt": "what is to be seen in it", "width height": "its size"},
    "block": {"filename": "shown above the code", "startFrom numberLines number-lines": "the numbers of its lines"},
}
CELLS = re.compile(r"cell-(code|output(-\w+)+)")  # what this renderer writes around cells too
# What Quarto gives a meaning, on any element, and what its style sheets do, which are Bootstrap's.
QUARTO_CLASSES = re.compile(
    r"(callout|panel|column|content|layout|quarto|cell|g-col|g-start)(-.*)?|columns|grid|list-table|aside|hidden|appendix"
    r"|lightbox|margin-(caption|ref)|cap-(top|bottom|margin)|code-overflow-(wrap|scroll)|proof|remark|solution|theorem|embed|active|unnumbered|unlisted|code-fold|numberLines|number-lines"
)
BOOTSTRAP = re.compile(
    r"(text|bg|btn|badge|alert|card|container|row|col|border|rounded|shadow|float|table|fs|fw|img|list|nav|figure|d|flex"
    r"|justify|align|[mp][tbsexy]?|w|h|position|display|opacity|overflow)-[\w-]+"
    r"|btn|badge|alert|card|container|row|col|border|rounded|shadow|lead|small|table|primary|secondary|success|danger"
    r"|striped|hover|bordered|borderless|responsive"
)
QUARTO_ATTRIBUTES = re.compile(
    r"(layout|fig|tbl|lst|code|when|unless|cap|ref)(-.*)?|group|lightbox|description|desc-position|filename|startFrom|name"
    r"|collapse|appearance|icon|width|height|target|rel|shortcodes"
)
LANGUAGES = ("block", "code")  # the classes of these are languages


def names(element: str) -> set[str]:
    """Return the classes and attributes that are supported on an element."""
    return {name for key in SUPPORTED.get(element, {}) for name in key.split()}


def own_classes(project: Project) -> set[str]:
    """Return the classes that the project's own style sheets name."""
    found = set[str]()
    for file in files_of(project.root):
        if file.suffix in (".css", ".scss") and not file.is_relative_to(project.output):
            found.update(re.findall(r"\.(-?[A-Za-z_][\w-]*)", file.read_text("utf-8", errors="replace")))
    return found


def unsupported(uses: Iterable[Use], own: set[str]) -> Iterable[tuple[int, str]]:
    """Return what Quarto would make something of, and this renderer would not, by lines of the composed text."""
    for line, element, what, name in uses:
        known = names(element)
        if name in known or CELLS.fullmatch(name):
            continue
        if what == "attribute":
            meant = QUARTO_ATTRIBUTES.fullmatch(name)
        else:
            free = name in own or element in LANGUAGES
            meant = QUARTO_CLASSES.fullmatch(name) or (None if free else BOOTSTRAP.fullmatch(name))
        if meant:
            yield line, f"the {what} '{name}' of this {element} is not supported"


def table() -> str:
    """Return the classes and attributes that are supported as a table in Markdown."""
    rows = [
        f"| {element} | {', '.join(f'`{name}`' for name in key.split())} | {about} |"
        for element, supported in SUPPORTED.items()
        for key, about in supported.items()
    ]
    return "\n".join(["| Of a | Classes and attributes | What they do |", "|---|---|---|", *rows])
