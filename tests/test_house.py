"""The house: functions fit a screen, modules know those below their own floor, and a README shows what is so."""

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from drawing import LAST, README, Imports, filled, floors, imported, imports

from qmdsite.dialect import SUPPORTED
from qmdsite.options import OPTIONS

ROOT = Path(__file__).parent.parent
SYMBOLIC = ROOT / "src" / "handgrad" / "symbolic"
LINES, BRANCHES, FILE, MODULE = 45, 15, 500, 350

# What still branches too much. One that does no more must be taken out here.
EXCEPTIONS: set[str] = set()

Function = ast.FunctionDef | ast.AsyncFunctionDef


def branches(function: ast.AST) -> int:
    """Count ifs, loops, excepts and cases, further operands of `and` and `or`, and a comprehension's loops and ifs.

    A function within another counts for both.
    """
    single = (ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.match_case)
    count = 0
    for node in ast.walk(function):
        if isinstance(node, single):
            count += 1
        elif isinstance(node, ast.BoolOp):
            count += len(node.values) - 1
        elif isinstance(node, ast.comprehension):
            count += 1 + len(node.ifs)
    return count


def functions(path: Path) -> Iterator[Function]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, Function):
            yield node


def lines(function: Function) -> int:
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1


def test_functions_have_at_most_45_lines_and_15_branches() -> None:
    found = {
        f"{path.name}: {function.name}": f"{lines(function)} lines, {branches(function)} branches"
        for path in ROOT.glob("src/**/*.py")
        for function in functions(path)
        if lines(function) > LINES or branches(function) > BRANCHES
    }
    assert {name: size for name, size in found.items() if name not in EXCEPTIONS} == {}, "cut these in src"
    assert EXCEPTIONS - {*found} == set(), "these fit: take them out of EXCEPTIONS"


def test_files_of_tests_have_at_most_500_lines() -> None:
    long = {path.name for path in ROOT.glob("tests/**/*.py") if len(path.read_text().splitlines()) > FILE}
    assert long == set(), "cut these along what they promise"


def test_modules_of_the_derivations_have_at_most_350_lines() -> None:
    long = {path.name for path in SYMBOLIC.glob("*.py") if len(path.read_text().splitlines()) > MODULE}
    assert long == set(), "cut these along what they do"


def test_the_readme_names_each_module_of_the_mathematics_in_its_folder() -> None:
    tree = (ROOT / "README.md").read_text("utf-8").partition("\nsrc/handgrad/")[2].partition("\nsrc/qmdsite/")[0]
    outer, inner = (re.findall(r"(\w+)\.py", part) for part in tree.split("  symbolic/ "))
    for names, folder in ((outer, SYMBOLIC.parent), (inner, SYMBOLIC)):
        assert sorted(names) == sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")


def test_modules_of_the_derivations_form_an_order() -> None:
    found = {path.stem: ast.parse(path.read_text()) for path in SYMBOLIC.glob("*.py") if path.stem != "__init__"}
    # What is imported for its type alone stands in an `if`.
    uses = {
        name: {node.module for node in tree.body if isinstance(node, ast.ImportFrom)} for name, tree in found.items()
    }
    order = TopologicalSorter({name: {m.split(".")[-1] for m in uses[name] if m} & found.keys() for name in found})
    assert {*order.static_order()} == found.keys()


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("def f(): return 1", 0),
        ("def f():\n if a: b\n elif c: d\n else: e", 2),
        ("def f():\n for a in b:\n  while c: d", 2),
        ("def f(): return a and b and c or d", 3),
        ("def f(): return [a if b else c for a in d if e if f for g in h]", 5),
        ("def f():\n try: a\n except b: c\n except d: e", 2),
        ("def f():\n match a:\n  case 1: b\n  case _: c", 2),
        ("def f():\n def g():\n  if a: b\n  if c: d", 2),
        ("def f(): return lambda a: b if a else c", 1),
    ],
)
def test_branches_are_counted(code: str, count: int) -> None:
    (function,) = ast.parse(code).body
    assert branches(function) == count


def wrong(found: Imports) -> list[str]:
    """Return which imports lead up or aside; on the first floor and on the last, modules may use each other."""
    by_floor = list(floors(found).values())
    floor = {module: count for count, modules in enumerate(by_floor) for module in modules}
    phases = by_floor[2]
    return [
        f"{module} imports {target}"
        for module, targets in sorted(found.items())
        for target in sorted(targets)
        if floor[target] < floor[module]
        or (floor[target] == floor[module] == 2)
        or (target in phases and module != "site")
    ]


def test_modules_of_the_renderer_import_those_of_the_floors_below() -> None:
    found = imports(ROOT / "src" / "qmdsite")
    assert {module for modules in floors(found).values() for module in modules} == found.keys()
    assert wrong(found) == []


@pytest.mark.parametrize(
    ("module", "target"),
    [
        ("read", "check"),
        ("page", "read"),
        ("cache", "site"),
        ("wrap", "site"),
        ("preview", "write"),
        ("page", "preview"),
    ],
)
def test_an_import_that_leads_up_or_aside_is_named(module: str, target: str) -> None:
    found = imports(ROOT / "src" / "qmdsite")
    before = {*wrong(found)}
    found[module].add(target)
    assert {*wrong(found)} - before == {f"{module} imports {target}"}


def test_modules_of_the_last_floor_do_not_import_each_other_in_a_circle() -> None:
    found = imports(ROOT / "src" / "qmdsite")
    above, below = floors(found)[LAST][0], floors(found)[LAST][-1]
    found[above].add(below)
    found[below].add(above)
    with pytest.raises(CycleError):
        floors(found)


def test_imports_are_found_wherever_they_stand() -> None:
    code = "import a.b\nfrom a import c as d\ndef f():\n from . import e\n from .g import h\n import i, j"
    assert {*imported(ast.parse(code), "a")} == {"a.b", "a.c", "a.e", "a.g.h", "i", "j"}


@pytest.mark.parametrize(("package", "other"), [("handgrad", "qmdsite"), ("qmdsite", "handgrad")])
def test_the_mathematics_and_the_renderer_do_not_know_each_other(package: str, other: str) -> None:
    files = list((ROOT / "src" / package).rglob("*.py"))
    found = {(file.name, name) for file in files for name in imported(ast.parse(file.read_text()), package)}
    assert len(files) > 5
    assert {(file, name) for file, name in found if name.split(".")[0] == other} == set()


def test_the_readme_of_the_renderer_shows_its_modules_as_they_are() -> None:
    assert README.is_file(), "src/qmdsite/README.md is missing; write it, then 'python tests/drawing.py --write'"
    assert README.read_text("utf-8") == filled(README.read_text("utf-8")), "run 'python tests/drawing.py --write'"


# By what name the code holds the options of a group or of a place, of which some have names that others have too.
HELD = {"website": "website", "navbar": "navbar", "page-footer": "footer", "item": "item", "author": "(value|name)",
        "listing": r"(wanted|listing['\"]\))", "feed": r"(wanted|feed['\"]\])"}  # fmt: skip


def is_read(name: str, code: str, place: str = "page") -> bool:
    """Return whether code reads an option, by its last name: from what it is held in, where that is known."""
    *above, last = name.split(".")
    quoted, held = f"[\"']{re.escape(last)}[\"']", HELD.get((above or [place])[-1])
    taken = rf"{held}(\.get\(|\[)" if held else r"(\bget\(|\.pop\(|\w\[|\.get, \([^)]*| in \([^)]*)"
    looped = rf"|for \w+ in \([^)]*{quoted}" if above else ""
    return bool(re.search(rf"{taken}{quoted}|{quoted} (not )?in \S*{held or ''}(?!\w){looped}", code))


def test_each_option_of_the_table_is_read_somewhere_unless_it_can_only_be_one_thing() -> None:
    code = "".join(path.read_text("utf-8") for path in (ROOT / "src" / "qmdsite").glob("*.py"))
    unread = [
        f"{place}: {option.name}"
        for option in OPTIONS
        for place in option.places
        if not is_read(option.name, code, place)
        and not re.match("changes nothing", option.about)
        and not re.fullmatch("`[^`]*`", option.value)
    ]
    words = (
        "these options of src/qmdsite/README.md are accepted, and no code reads them: read them, or strike their rows"
    )
    assert not unread, f"{words}: {', '.join(unread)}"
    # Read elsewhere under the same name, or nowhere; none is an option of Quarto's there, which might be added.
    for place, name in [("project", "website.ipynb"), ("project", "website.navbar.ipynb"), ("project", "website.junk"),
                        ("item", "ipynb"), ("author", "ipynb"), ("listing", "ipynb"), ("page", "rel")]:  # fmt: skip
        assert not is_read(name, code, place), f"{place}: {name}"


# What pandoc itself makes something of, or any class of callouts.
PANDOCS_OWN = {"callout-note", "column", "width", "height", "rel", "numberLines", "number-lines"}


def test_each_class_of_the_table_is_treated_by_a_filter_or_a_style_sheet() -> None:
    treated = "".join(path.read_text("utf-8") for kind in ("*.lua", "site.css") for path in README.parent.glob(kind))
    unread = {name for _, name in SUPPORTED if not re.search(rf'[."]{name}(?![\w-])|\b{name} = "', treated)}
    assert unread == PANDOCS_OWN, "src/qmdsite/README.md has classes that neither a filter nor site.css knows"
