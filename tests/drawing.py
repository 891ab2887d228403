"""What the renderer's README shows of its sources: its modules by floors.

usage: drawing.py prints the modules; drawing.py --write puts them into the README
"""

import ast
import sys
import textwrap
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "src" / "qmdsite"
README = PACKAGE / "README.md"
LAST = "what they hand on and use"
# The phases in the order in which `site` calls them; on the last floor is every other module.
FLOORS = {
    "the command": "__main__ preview",
    "the order of the phases": "site",
    "the phases": "read check hooks run convert notebook wrap link publish feed search write",
}

Imports = dict[str, set[str]]


def imported(tree: ast.AST, package: str) -> Iterator[str]:
    """Yield what code imports, wherever it does: `a.b` for each name b that may be a module of a package a."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = ".".join(filter(None, [package if node.level else "", node.module]))
            yield from (f"{module}.{name.name}" for name in node.names)


def imports(package: Path) -> Imports:
    """Return for each module of a package which others of it are imported there."""
    found: Imports = {path.stem: set() for path in package.glob("*.py") if path.stem != "__init__"}
    for name in found:
        parts = [each.split(".") for each in imported(ast.parse((package / f"{name}.py").read_text()), package.name)]
        found[name] = {part[1] for part in parts if part[0] == package.name and len(part) > 1 and part[1] in found}
    return found


def floors(found: Imports) -> dict[str, list[str]]:
    """Return the modules of each floor; on the last each stands above those that it imports, or they form no order."""
    upper = {name: modules.split() for name, modules in FLOORS.items()}
    placed = {module for modules in upper.values() for module in modules}
    lower = {module: sorted(found[module] - placed) for module in sorted(found.keys() - placed)}
    return {**upper, LAST: [*TopologicalSorter(lower).static_order()][::-1]}


def drawing(found: Imports) -> str:
    """Return the floors as text: a line for each module, with those that it imports, and all arrows go down."""
    order = [module for modules in floors(found).values() for module in modules]
    lines = list[str]()
    for name, modules in floors(found).items():
        lines += ["", f"── {name} ".ljust(96, "─")]
        for module in modules:
            targets = ", ".join(sorted(found[module], key=order.index))
            line = f"{module:<10}→ {targets}" if targets else module
            lines += textwrap.wrap(line, 96, subsequent_indent=" " * 12)
    return "\n".join(["```text", *lines[1:], "```"])


def filled(readme: str) -> str:
    """Return the README with the drawing of the sources as they are now, between its two comments."""
    before, opening, rest = readme.partition("<!-- drawing -->\n")
    _, closing, after = rest.partition("<!-- end -->")
    assert closing, "the README needs the comments '<!-- drawing -->' and '<!-- end -->'"
    return f"{before}{opening}\n{drawing(imports(PACKAGE))}\n\n{closing}{after}"


if __name__ == "__main__":
    if "--write" in sys.argv:
        README.write_text(filled(README.read_text("utf-8")), "utf-8")
    else:
        print(drawing(imports(PACKAGE)))
