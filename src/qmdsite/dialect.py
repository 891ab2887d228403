"""The classes and attributes that mean something to Quarto: those in the README's table are supported, others refused.

What means nothing to Quarto either stands in the page as it is written, for style sheets and scripts.
"""

import re
from collections.abc import Iterable

from qmdsite.pandoc import Use
from qmdsite.paths import documented, files_of
from qmdsite.project import Project

ROW = re.compile(r"^\| (\w+) \| (.*?) \| ", re.M)
SUPPORTED = {
    (element, name) for element, names in ROW.findall(documented("dialect")) for name in re.findall("`(.*?)`", names)
}
CELLS = re.compile(r"cell-(code|output(-\w+)+)")  # what this renderer writes around cells too
# What Quarto gives a meaning, on any element, and what its style sheets do, which are Bootstrap's.
QUARTO_CLASSES = re.compile(
    r"(callout|panel|column|content|layout|quarto|cell|g-col|g-start)(-.*)?|columns|grid|list-table|aside|hidden|appendix"
    r"|lightbox|margin-(caption|ref)|cap-(top|bottom|margin)|code-overflow-(wrap|scroll)|code-fold|numberLines|number-lines"
    r"|proof|remark|solution|theorem|embed|active|unnumbered|unlisted"
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
        if (element, name) in SUPPORTED or CELLS.fullmatch(name):
            continue
        if what == "attribute":
            meant = QUARTO_ATTRIBUTES.fullmatch(name)
        else:
            free = name in own or element in LANGUAGES
            meant = QUARTO_CLASSES.fullmatch(name) or (None if free else BOOTSTRAP.fullmatch(name))
        if meant:
            yield line, f"the {what} '{name}' of this {element} is not supported"
