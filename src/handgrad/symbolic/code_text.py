"""Lines of code as a formatter leaves them, in which nothing is computed twice."""

import ast
import re
from collections.abc import Iterable, Sequence
from typing import Any

from handgrad.symbolic.formulas import free_name

# The longest line, and how long the name and the value may be in the body of a method, after eight columns, and ` = `.
WIDTH = 120
ROOM = WIDTH - 11
# What a call or a product that is computed twice is called.
_NAMES = {"exp": "powers", "sum": "total", "einsum": "product", "@": "product", "unflatten": "split"}
# Calls that compute nothing, or are no longer than a name.
_CHEAP = {"to", "tensor", "zeros_like", "expand"}
# Calls whose results are changed where they stand: two that look the same are two.
_FILLED = {"zeros", "new_zeros"}

Line = tuple[str, str]
"""A name, and the code of its value."""


def without_repetition(lines: Sequence[Line], taken: Iterable[str], room: int = ROOM) -> list[Line]:
    """Give calls and matrix products that stand in the lines more than once a line of their own, the longest first.

    So do parts of lines whose name and value are longer than there is room for.
    """
    trees = [(name, _Roots().visit(ast.parse(code, mode="eval").body)) for name, code in lines]
    used = {*taken, *(name for name, _ in lines)}
    while found := _repeated(trees) or _too_long(trees, room):
        sharing = _Sharing(ast.dump(found))
        place = next(place for place, (_, tree) in enumerate(trees) if sharing.is_in(tree))
        sharing.name = free_name(_NAMES.get(_kind(found), "part"), used)
        trees = [(name, sharing.visit(tree)) for name, tree in trees]
        trees.insert(place, (sharing.name, found))
    return [(name, spaced(tree)) for name, tree in trees]


def _repeated(trees: Iterable[tuple[str, ast.expr]]) -> ast.expr | None:
    """Return the longest call or matrix product that stands there twice."""
    found: dict[str, list[ast.expr]] = {}
    for _, tree in trees:
        for node in _parts(tree):
            if _kind(node) not in {"", *_CHEAP, *_FILLED}:
                found.setdefault(ast.dump(node), []).append(node)
    return max((nodes[0] for nodes in found.values() if len(nodes) > 1), key=_length, default=None)


def _too_long(trees: Iterable[tuple[str, ast.expr]], room: int) -> ast.expr | None:
    """Return a part of the first line that is too long, about half of it."""
    for name, tree in trees:
        if len(name) + _length(tree) > room:
            half = _length(tree) // 2
            nodes = [node for node in _parts(tree) if isinstance(node, (ast.BinOp, ast.Call)) and node is not tree]
            nodes = [node for node in nodes if _kind(node) not in _FILLED]
            return min(nodes, key=lambda node: abs(_length(node) - half), default=None)
    return None


def _parts(tree: ast.expr) -> list[ast.expr]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.expr)]


def _length(node: ast.expr) -> int:
    return len(spaced(node))


def _kind(node: ast.AST) -> str:
    """Return the name of what a node calls, `@` for a matrix product, nothing for all else."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
        return "@"
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return ""
    return "" if ast.unparse(node.func.value) == "math" else node.func.attr


def names_in(code: str) -> set[str]:
    """Return the names in the code of a value."""
    return {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}


class _Sharing(ast.NodeTransformer):
    """Puts a name in a node's place."""

    def __init__(self, dump: str) -> None:
        self.dump, self.name = dump, ""

    def is_in(self, tree: ast.expr) -> bool:
        """Say whether the node is in a tree."""
        return any(ast.dump(node) == self.dump for node in _parts(tree))

    def visit(self, node: ast.AST) -> Any:
        """Return the name in the place of the node."""
        return ast.Name(self.name, ast.Load()) if ast.dump(node) == self.dump else super().generic_visit(node)


class _Roots(ast.NodeTransformer):
    """Writes a number to the power 1/2 as a root; of tensors that is one already."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        """Return the root."""
        self.generic_visit(node)
        if isinstance(node.op, ast.Pow) and ast.unparse(node.right) == "1 / 2":
            return ast.Call(ast.Attribute(ast.Name("math", ast.Load()), "sqrt", ast.Load()), [node.left], [])
        return node


def spaced(tree: ast.AST) -> str:
    """Return code with the spaces and quotes of the formatter."""
    code = ast.unparse(tree).replace("'", '"')
    simple = r"(?<![\w.\])])(-?[A-Za-z_][\w.]*|\d+(?:\.\d+)?) \*\* (-?[A-Za-z_][\w.]*|\d+(?:\.\d+)?)(?![\w.(\[])"
    return re.sub(simple, r"\1**\2", code)


def enclosed(before: str, parts: Sequence[str], after: str, indent: int = 8, is_call: bool = True) -> list[str]:
    """Return what stands in brackets on one line, on a line of its own, or on one for each part."""
    space = " " * indent
    if len(line := f"{space}{before}{', '.join(parts)}{after}") <= WIDTH:
        return [line]
    if is_call and len(inner := f"{space}    {', '.join(parts)}") <= WIDTH:
        return [f"{space}{before}", inner, f"{space}{after}"]
    return [f"{space}{before}", *(f"{space}    {part}," for part in parts), f"{space}{after}"]


def tuple_lines(before: str, parts: Sequence[str], after: str = "", indent: int = 8) -> list[str]:
    """Return a tuple, in brackets only where it needs them."""
    space = " " * indent
    if len(parts) == 1 and after:
        return [f"{space}{before}({parts[0]},){after}"]
    line = f"{space}{before}{', '.join(parts)}{after}"
    return [line] if len(line) <= WIDTH else enclosed(f"{before}(", parts, f"){after}", indent, is_call=False)
