"""Functions fit a screen and branch little; files of tests are short."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LINES, BRANCHES, FILE = 45, 15, 500

# What is still too long, or branches too much. One that has become short must be taken out here.
LONG_FUNCTIONS = {
    "config.py: _check",
    "context.py: context",
    "convert.py: cell",
    "execute.py: _run",
    "execute.py: _tidy",
    "links.py: check_links",
    "project.py: __init__",
    "project.py: listing",
    "source.py: scan",
}
LONG_FILES = {"test_publish.py", "test_site.py"}

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
    too_long = {name: size for name, size in found.items() if name not in LONG_FUNCTIONS}
    assert too_long == {}, f"cut these in src: {too_long}"
    assert LONG_FUNCTIONS - {*found} == set(), "these have become short: take them out of LONG_FUNCTIONS"


def test_files_of_tests_have_at_most_500_lines() -> None:
    long = {path.name for path in ROOT.glob("tests/**/*.py") if len(path.read_text().splitlines()) > FILE}
    assert long == LONG_FILES


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
