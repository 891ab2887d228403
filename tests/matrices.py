"""Reads the LaTeX of matrix forms as a reader does, and computes what it says; knows nothing of what printed it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Length = int | None

TOKEN = re.compile(r"\\left|\\right|\\[a-zA-Z]+|\d+(?:\.\d+)?|[a-zA-Z]|[-+^{}()\[\]<>=|,']")
RELATIONS = {">": np.greater, "<": np.less, "=": np.equal, r"\geq": np.greater_equal, r"\leq": np.less_equal}
RELATIONS |= {r"\neq": np.not_equal}
FUNCTIONS = {rf"\{name}": getattr(np, name) for name in ("exp", "log", "sin", "cos", "tanh")}
JOINS = {"+": np.add, "-": np.subtract, r"\wedge": np.logical_and, r"\vee": np.logical_or} | RELATIONS


class UnknownError(Exception):
    """The formula has a sum, a delta or cases in it: index notation within a number, which this reader cannot read."""


@dataclass(frozen=True)
class Node:
    """A part of a formula: a number, an array, ones, or what is made of parts."""

    kind: str
    parts: tuple["Node", ...] = ()
    value: Any = None

    @property
    def is_number(self) -> bool:
        if self.kind in ("ones", "array"):
            return False
        return self.kind == "trace" or all(part.is_number for part in self.parts)

    def lengths(self) -> tuple[Length, Length]:
        """Return how many rows and columns there are, as far as the part itself tells."""
        if self.kind == "array":
            return self.value.shape[0], self.value.shape[1]
        if self.kind == "ones":
            return None, 1
        if self.kind == "transposed":
            return self.parts[0].lengths()[::-1]
        of_parts = [part.lengths() for part in self.parts if not part.is_number]
        if self.kind == "product":
            return of_parts[0][0], of_parts[-1][1]
        rows, columns = ([length for length in axis if length is not None] for axis in zip(*of_parts, strict=True))
        return next(iter(rows), None), next(iter(columns), None)


class Reader:
    """Reads a formula, given arrays and numbers by their LaTeX names."""

    def __init__(self, text: str, given: Mapping[str, Any]) -> None:
        self.tokens: list[str] = TOKEN.findall(text)
        if "".join(self.tokens) != re.sub(r"\s", "", text):
            raise UnknownError(text)
        self.given = given

    def formula(self) -> Node:
        found = self.sum()
        if self.tokens:
            raise ValueError(f"after a whole formula there is {' '.join(self.tokens)}")
        return found

    def next(self) -> str:
        return self.tokens[0] if self.tokens else ""

    def take(self, *expected: str) -> str:
        if not self.tokens or (expected and self.tokens[0] not in expected):
            raise ValueError(f"{' '.join(self.tokens) or 'the end'}: expected {' or '.join(expected) or 'more'}")
        return self.tokens.pop(0)

    def braced(self) -> Node:
        self.take("{")
        found = self.sum()
        self.take("}")
        return found

    def bracketed(self, opening: str = "(", closing: str = ")") -> Node:
        self.take(r"\left")
        self.take(opening)
        found = self.condition()
        self.take(r"\right")
        self.take(closing)
        return found

    def condition(self) -> Node:
        """Read what may be compared, and comparisons joined by 'and' and 'or'."""
        found = self.comparison()
        while self.next() in (r"\wedge", r"\vee"):
            found = Node(self.take(), (found, self.comparison()))
        return found

    def comparison(self) -> Node:
        found = self.sum()
        return Node(self.take(), (found, self.sum())) if self.next() in RELATIONS else found

    def sum(self) -> Node:
        if self.next() == "-":
            self.take()
            found = Node("-", (Node("number", value=0.0), self.term()))
        else:
            found = self.term()
        while self.next() in ("+", "-"):
            found = Node(self.take(), (found, self.term()))
        return found

    def term(self) -> Node:
        """Read a product: numbers, then either matrices side by side or arrays with ⊙ between them, not both."""
        groups: list[list[Node]] = [[self.factor()]]
        while self.next() and self.next() not in (
            "}",
            ")",
            "]",
            "|",
            r"\right",
            r"\wedge",
            r"\vee",
            "+",
            "-",
            *RELATIONS,
        ):
            if self.next() == r"\odot":
                self.take()
                groups.append([])
            elif self.next() == r"\cdot":
                self.take()
            groups[-1].append(self.factor())
        if len(groups) > 1 and any(sum(not part.is_number for part in group) != 1 for group in groups):
            raise ValueError("⊙ stands beside a matrix product without brackets")
        numbers = tuple(part for group in groups for part in group if part.is_number)
        arrays = tuple(part for group in groups for part in group if not part.is_number)
        product = Node("entrywise" if len(groups) > 1 else "product", arrays) if len(arrays) > 1 else arrays[:1]
        return Node("scaled", numbers + (product if isinstance(product, tuple) else (product,)))

    def factor(self) -> Node:
        found = self.primary()
        while self.next() == "^":
            self.take()
            self.take("{")
            if self.next() == r"\mathsf":
                for token in (r"\mathsf", "{", "T", "}"):
                    self.take(token)
                found = Node("transposed", (found,))
            elif self.next() == r"\odot":
                self.take()
                found = Node("power", (found, self.sum()))
            else:
                if not found.is_number:
                    raise ValueError("a power of a matrix that is not entry by entry")
                found = Node("power", (found, self.sum()))
            self.take("}")
        return found

    def primary(self) -> Node:
        token = self.next()
        if token == r"\left":
            return self.absolute() if self.tokens[1] == "|" else self.bracketed()
        if token == "{":
            return self.braced()
        self.take()
        if token == "[":
            found = Node("bracket", (self.condition(),))
            self.take("]")
            return found
        if token in FUNCTIONS:
            return self.function(FUNCTIONS[token])
        return self.named(token)

    def named(self, token: str) -> Node:
        if token == r"\mathbf":
            for part in ("{", "1", "}"):
                self.take(part)
            return Node("ones")
        if token == r"\operatorname":
            name = self.word()
            return Node("trace", (self.bracketed(),)) if name == "tr" else self.function(np.sign)
        if token == r"\frac":
            return Node("quotient", (self.braced(), self.braced()))
        if token == r"\sqrt":
            return Node("power", (self.braced(), Node("number", value=0.5)))
        if token in self.given:
            value = np.asarray(self.given[token], dtype=float)
            column = value.reshape(-1, 1) if value.ndim == 1 else value
            return Node("array", value=column) if value.ndim else Node("number", value=float(value))
        known = {"e": np.e, r"\pi": np.pi}
        return Node("number", value=known[token] if token in known else float(token))

    def word(self) -> str:
        """Read the name of an operator."""
        self.take("{")
        letters = iter(self.take, "}")
        return "".join(letters)

    def absolute(self) -> Node:
        return Node("absolute", (self.bracketed("|", "|"),))

    def function(self, function: Any) -> Node:
        """Read a function of a number, with its power before the argument: sin²(x)."""
        exponent = Node("number", value=1.0)
        if self.next() == "^":
            self.take()
            exponent = self.braced()
        self.take("{")
        applied = Node("function", (self.bracketed(),), function)
        self.take("}")
        return Node("power", (applied, exponent))


def computed(node: Node, rows: Length = None, columns: Length = None) -> Any:
    """Return what a formula says: a number, or an array of so many rows and columns, which tell how long ones are."""
    if node.kind in ("number", "array"):
        return node.value
    if node.kind == "ones":
        if rows is None or columns != 1:
            raise ValueError("nothing tells how long the ones are")
        return np.ones((rows, 1))
    if node.kind == "product":
        return chained(node.parts, rows, columns)
    if node.kind == "transposed":
        return computed(node.parts[0], columns, rows).T
    if node.kind == "trace":
        side = next((length for length in node.parts[0].lengths() if length is not None), None)
        return np.trace(computed(node.parts[0], side, side))
    own = (None, None) if node.is_number else node.lengths()
    rows, columns = (given if length is None else length for given, length in zip((rows, columns), own, strict=True))
    return combined(node, [computed(part, rows, columns) for part in node.parts])


def chained(parts: tuple[Node, ...], rows: Length, columns: Length) -> Any:
    """Multiply matrices; a factor between two others is as long as its neighbours are."""
    lengths = [part.lengths() for part in parts]
    before = [rows, *(right for _, right in lengths[:-1])]
    after = [*(left for left, _ in lengths[1:]), columns]
    product: Any = None
    for part, (left, right), first, last in zip(parts, lengths, before, after, strict=True):
        value = computed(part, first if left is None else left, last if right is None else right)
        product = value if product is None else product @ value
    return product


def combined(node: Node, values: list[Any]) -> Any:
    first, second = values[0], values[-1]
    if node.kind in ("scaled", "entrywise"):
        arrays = {np.shape(value) for value in values if np.ndim(value)}
        if len(arrays) > 1:
            raise ValueError(f"⊙ of arrays of shapes {arrays}")
        result: Any = 1.0
        for value in values:
            result = result * value
        return result
    # A matrix with one row and one column, 1ᵀ G 1, is a number.
    fit = np.shape(first) == np.shape(second) or np.size(first) == np.size(second) == 1
    if node.kind in ("+", "-") and node.parts[0] != Node("number", value=0.0) and not fit:
        raise ValueError(f"a sum of shapes {np.shape(first)} and {np.shape(second)}")
    if node.kind in JOINS:
        return JOINS[node.kind](first, second)
    operations: dict[str, Callable[[], Any]] = {
        "power": lambda: first**second,
        "quotient": lambda: first / second,
        "bracket": lambda: np.asarray(first, dtype=float) if np.ndim(first) else float(first),
        "absolute": lambda: np.abs(first),
        "function": lambda: node.value(first),
    }
    return operations[node.kind]()


def matrix_value(text: str, given: Mapping[str, Any], shape: tuple[int, ...]) -> Array:
    """Compute the LaTeX of a number, a vector (a column) or a matrix, of a known shape."""
    rows, columns = (*shape, 1, 1)[:2]
    value = np.asarray(computed(Reader(text, given).formula(), rows, columns), dtype=float)
    if value.shape not in ((rows, columns), () if rows == columns == 1 else None):
        raise ValueError(f"{text} has shape {value.shape}, not {(rows, columns)}")
    return value.reshape(shape)
