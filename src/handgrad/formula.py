r"""Formulas in LaTeX, as they stand in a sentence, read and evaluated on numbers.

What can be read: numbers, letters with subscripts, `+ - / \cdot \times \odot`, products without a sign, powers,
`\frac`, `\sqrt`, parentheses, `|x|`, brackets `[x > 0]`, `\langle A, B \rangle`, `^\mathsf{T}`, `\mathbf{1}` (ones,
as many as fit), `\sum_i`, functions of the page `f(x)` and their derivatives `f'(x)`, `\exp \log \sin \cos \tanh
\max \min`, `e^x`, `\pi`, `\delta_{ij}`, `\partial L/\partial X`, `\mathrm{name}`, tuples, and chains of
`= \ne < > \le \ge \approx`. A line may break at `$ $`. Entries are counted from 0 and are 0 outside of their array. A
typed number with decimals or a power of ten stands for what rounds to it. Two matrices without a sign between them are
multiplied as matrices, all else entry by entry.
"""

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Protocol

import torch
from torch import Tensor

Evaluate = Callable[["Names"], Any]

TOLERANCE = 1e-9
SYNONYMS = {
    "$ $": "", "\\,": "", "\\;": "", "\\ ": " ", "\\left": "", "\\right": "",
    "\\mathsf{T}": "ᵀ", "^ᵀ": "ᵀ", "^{ᵀ}": "ᵀ",
    "\\mathbf{1}": "\\ones ", "\\operatorname{tr}": "\\tr", "\\leq": "\\le", "\\geq": "\\ge", "\\neq": "\\ne",
    "−": "-", "²": "^2", "³": "^3", "⊙": "\\odot ", "·": "\\cdot ", "≤": "\\le ", "≥": "\\ge ", "≠": "\\ne ",
    "∂": "\\partial ", "δ": "\\delta ", "\\dots": "…", "\\mid": ",",
}  # fmt: skip
TOKEN = re.compile(r"\\mathrm\{\w+\}|\\[a-zA-Z]+|\d+(?:\.\d+)?|\S")
# A number in figures: its decimals, and its power of ten.
LITERAL = re.compile(r"-?\d+(?:\.(\d+))?(?:\\cdot10\^\{?(-?\d+)\}?)?")
FUNCTIONS = {f"\\{name}": getattr(torch, name) for name in ("exp", "log", "sin", "cos", "tanh")}


class FormulaError(ValueError):
    """A formula cannot be read, or has a letter that stands for nothing."""


class Names(Protocol):
    """What letters stand for."""

    letters: dict[str, int]

    def __contains__(self, name: object) -> bool: ...

    def is_function(self, name: str) -> bool:
        """Return whether a name is that of a function, to be followed by arguments."""

    def named(self, name: str) -> Any:
        """Return the number, tensor or function of a name, or raise FormulaError."""

    def derivative(self, of: str, wrt: str) -> Any:
        """Return the values of a derivative, or raise FormulaError."""


def _close(left: Tensor, right: Tensor) -> bool:
    """Return whether two are equal up to rounding: of their largest number, or, where one is 0, of 1."""
    largest = [side.abs().max().item() if side.numel() else 0.0 for side in (left, right)]
    allowed = TOLERANCE * (min(largest) or 1.0)
    return bool(torch.isclose(left, right, rtol=TOLERANCE, atol=allowed, equal_nan=True).all())


def _less(left: Tensor, right: Tensor) -> bool:
    """Return whether one is less than the other by more than what rounding does to equal numbers."""
    return bool((left < right).all()) and not bool(torch.isclose(left, right, rtol=TOLERANCE, atol=0).any())


RELATIONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": _close,
    "\\ne": lambda left, right: not _close(left, right),
    "<": _less,
    ">": lambda left, right: _less(right, left),
    "\\le": lambda left, right: bool((left <= right + TOLERANCE).all()),
    "\\ge": lambda left, right: bool((left >= right - TOLERANCE).all()),
    "\\approx": lambda left, right: bool(torch.isclose(left, right, rtol=0.05, atol=0).all()),
}


@dataclass
class Formula:
    """A chain of formulas with relations between them, and the places at which it uses letters as indices."""

    texts: list[str]
    parts: list[Evaluate]
    relations: list[str]
    places: list[tuple[str, str, int]] = field(default_factory=list)

    def false_part(self, names: Names) -> str:
        """Return the values on both sides of the first relation that does not hold; nothing if all do."""
        values = [part(names) for part in self.parts]
        self.require_telling(values)
        if "0" in self.texts:  # Beside a 0 that is typed, what rounding leaves of one is 0.
            values = [torch.where(_tensor(v).abs() < TOLERANCE, 0.0, _tensor(v)) for v in values]
        for place, relation in enumerate(self.relations):
            left, right = values[place], values[place + 1]
            if not _holds(relation, left, right, self.texts[place], self.texts[place + 1]):
                texts = self.texts[place : place + 2]
                return " and ".join(f"{text} is {_show(v)}" for text, v in zip(texts, (left, right), strict=True))
        return ""

    def require_telling(self, values: list[Any]) -> None:
        """Raise FormulaError where the numbers of a page make anything true, or nothing."""
        numbers = [_tensor(value) for value in values if not isinstance(value, tuple)]
        if any(not number.numel() for number in numbers):
            raise FormulaError(f"{' '.join(self.texts)}: there is not one number to compare")
        if any(number.isnan().any() for number in numbers):
            raise FormulaError(f"{' '.join(self.texts)}: a number is nan")
        if len(numbers) > 1 and "0" not in self.texts and not any(number.any() for number in numbers):
            raise FormulaError(f"{' '.join(self.texts)}: all numbers are 0, which makes many formulas true")

    def differs(self, names: Names, value: Any) -> str:
        """Return the value of the last part and another, unless they are equal."""
        actual = self.parts[-1](names)
        if isinstance(actual, tuple) and not isinstance(value, tuple):
            value = tuple(value.shape)
        if _holds("=", actual, value, self.texts[-1], ""):
            return ""
        return f"it is {_show(actual)}, and what is computed is {_show(value)}"


def _holds(relation: str, left: Any, right: Any, *texts: str) -> bool:
    if isinstance(left, tuple) or isinstance(right, tuple):
        return bool(RELATIONS[relation](*map(_shape, (left, right)))) if _same_length(left, right) else False
    left, right = _tensor(left), _tensor(right)
    if left.ndim and right.ndim and left.shape != right.shape:
        return relation == "\\ne"
    typed = [match for match in map(LITERAL.fullmatch, texts) if match and (match[1] or match[2])]
    if typed and relation in ("=", "\\approx"):
        last_digit = min(10.0 ** (int(match[2] or 0) - len(match[1] or "")) for match in typed)
        return bool(((left - right).abs() <= 0.5 * last_digit * (1 + TOLERANCE)).all())
    return RELATIONS[relation](left, right)


def _same_length(left: Any, right: Any) -> bool:
    return isinstance(left, tuple) and isinstance(right, tuple) and len(left) == len(right)


def _shape(values: tuple[Any, ...]) -> Tensor:
    return torch.tensor([float(value) for value in values], dtype=torch.float64)


def _show(value: Any) -> str:
    if isinstance(value, Tensor) and value.numel() > 1:
        return f"an array of shape {tuple(value.shape)} that begins with {value.flatten()[0].item():g}"
    return f"{value.item():g}" if isinstance(value, Tensor) and value.numel() else str(value)


def parse(text: str, names: Names) -> Formula:
    """Read a formula; which letters are functions, and have arguments, is known from their names."""
    return _Parser(text, names).formula()


def _tensor(value: Any) -> Tensor:
    tensor = value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
    tensor = tensor.to(torch.float64)
    return tensor[:, None] if tensor.ndim == 1 else tensor


def _times(left: Any, right: Any) -> Any:
    if isinstance(left, _Ones) or isinstance(right, _Ones):
        return _with_ones(left, right)
    if isinstance(left, Tensor) and isinstance(right, Tensor) and left.ndim and right.ndim:
        if left.shape[-1] == 1 and left.shape == right.shape:
            return left * right
        if left.shape[-1] != right.shape[0]:
            raise FormulaError(f"an array of shape {tuple(left.shape)} times one of {tuple(right.shape)}")
        return left @ right
    return left * right


def _entrywise(left: Any, right: Any) -> Any:
    left, right = _tensor(left), _tensor(right)
    if left.ndim and right.ndim and left.shape != right.shape:
        raise FormulaError(f"an array of shape {tuple(left.shape)} times one of {tuple(right.shape)}, entry by entry")
    return left * right


def _plus(left: Any, right: Any) -> Any:
    """Add; a vector is added to each row of a matrix, as torch does."""
    if isinstance(left, Tensor) and isinstance(right, Tensor) and left.ndim == right.ndim == 2:
        if right.shape[1] == 1 and left.shape[1] == len(right):
            right = right.mT
        elif left.shape != right.shape:
            raise FormulaError(f"an array of shape {tuple(left.shape)} plus one of {tuple(right.shape)}")
    return left + right


def _minus(left: Any, right: Any) -> Any:
    return _plus(left, -right)


@dataclass
class _Ones:
    """A column of ones, as many as fit; or a row of them."""

    is_row: bool = False


def _with_ones(left: Any, right: Any) -> Any:
    if isinstance(right, _Ones) and isinstance(left, Tensor) and not right.is_row:
        return left.sum(-1, keepdim=True)
    if isinstance(left, _Ones) and isinstance(right, Tensor) and left.is_row:
        return right.sum(0, keepdim=True)
    raise FormulaError("ones stand to the right of a matrix, or transposed to the left of one")


def _transposed(value: Any) -> Any:
    return _Ones(not value.is_row) if isinstance(value, _Ones) else _tensor(value).mT


def _slope(function: Callable[[Tensor], Any]) -> Callable[[Tensor], Any]:
    """Return the derivative of a function of one number, entry by entry, by autograd."""

    def derivative(at: Tensor) -> Tensor:
        at = at if at.requires_grad else at.detach().requires_grad_()
        return torch.autograd.grad(function(at).sum(), at, create_graph=True)[0]

    return derivative


class _Parser:
    def __init__(self, text: str, names: Names) -> None:
        self.names, self.bars = names, 0
        self.places: list[tuple[str, str, int]] = []
        for written, plain in SYNONYMS.items():
            text = text.replace(written, plain)
        self.text, self.at = text, 0
        self.tokens: list[str] = TOKEN.findall(text)

    def error(self, words: str) -> FormulaError:
        rest = "".join(self.tokens[self.at :]) or "the end"
        return FormulaError(f"{self.text}: {words} at {rest!r}")

    @property
    def next(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, expected: str = "") -> str:
        if not self.next or (expected and self.next != expected):
            raise self.error(f"{expected or 'something'} is missing")
        self.at += 1
        return self.tokens[self.at - 1]

    def formula(self) -> Formula:
        texts, parts, relations = list[str](), list[Evaluate](), list[str]()
        while True:
            start = self.at
            parts.append(self.sum())
            texts.append("".join(self.tokens[start : self.at]))
            if not self.next:
                return Formula(texts, parts, relations, self.places)
            if self.next not in RELATIONS:
                raise self.error("this cannot be read")
            relations.append(self.take())

    def sum(self) -> Evaluate:
        value = self.signed()
        while self.next in ("+", "-"):
            sign = self.take()
            value = _combined(_plus if sign == "+" else _minus, value, self.product())
        return value

    def signed(self) -> Evaluate:
        if self.next in ("+", "-") and self.take() == "-":
            value = self.product()
            return lambda names: -value(names)
        return self.product()

    def product(self) -> Evaluate:
        value = self.power()
        while not self.is_end():
            sign = self.take() if self.next in ("\\cdot", "\\times", "\\odot", "*", "/") else ""
            factor = self.power()
            if sign == "/":
                if not self.is_end():
                    raise self.error("put what is divided by in parentheses")
                value = _combined(operator.truediv, value, factor)
            else:
                value = _combined(_entrywise if sign == "\\odot" else _times, value, factor)
        return value

    def is_end(self) -> bool:
        """Return whether a product ends here."""
        return self.next in ("", "+", "-", ")", "]", "}", ",", "\\rangle", "|"[: self.bars], *RELATIONS)

    def power(self) -> Evaluate:
        base = self.atom()
        while self.next in ("^", "ᵀ"):
            is_transpose = self.take() == "ᵀ"
            base = _applied(_transposed, base) if is_transpose else _combined(operator.pow, base, self.group())
        return base

    def group(self) -> Evaluate:
        """Read an argument: one token, or all within braces."""
        if self.next != "{":
            return self.atom()
        self.take("{")
        if self.next == "\\odot":
            self.take()
        value = self.sum()
        self.take("}")
        return value

    def atom(self) -> Evaluate:
        token = self.take()
        if token[0].isdigit():
            number = float(token) if "." in token else int(token)
            return lambda _: number
        if token in _READERS:
            return _READERS[token](self)
        if token in FUNCTIONS:
            function, argument = FUNCTIONS[token], self.argument()
            return lambda names: function(_tensor(argument(names)))
        name = token[8:-1] if token.startswith("\\mathrm{") else token.lstrip("\\")
        if not name.isalpha():
            self.at -= 1
            raise self.error("this cannot be read")
        return self.name(name)

    def name(self, name: str) -> Evaluate:
        subscript = self.subscript() if self.next == "_" else []
        whole = next((n for n in (name + "".join(subscript), f"{name}_{''.join(subscript)}") if n in self.names), None)
        order = 0
        while self.next == "'":
            self.take()
            order += 1
        if subscript and not whole:
            return self.entry(name, subscript)
        whole = whole or name
        if self.names.is_function(whole):
            function = self.names.named(whole)
            for _ in range(order):
                function = _slope(function)
            return self.call(function)
        if order:
            raise self.error(f"{whole} is no function, it has no derivative,")
        if name == "e" and whole not in self.names:
            return lambda _: math.e
        return lambda names: _matrix(names.named(whole))

    def argument(self) -> Evaluate:
        """Read what follows the name of a function: something in parentheses, or numbers and letters, sin 3x."""
        if self.next == "(":
            (value,) = self.parenthesized()
            return value
        value = self.power()
        while self.next and (self.next.isalnum() or self.next == "\\pi"):
            value = _combined(_times, value, self.power())
        return value

    def call(self, function: Callable[..., Any]) -> Evaluate:
        if self.next != "(":
            return lambda _: function
        arguments = self.parenthesized()
        return lambda names: function(*(_scalar(argument(names)) for argument in arguments))

    def parenthesized(self, opening: str = "(", closing: str = ")") -> list[Evaluate]:
        self.take(opening)
        bars, self.bars = self.bars, 0
        values = [self.sum()]
        while self.next == ",":
            self.take()
            values.append(self.sum())
        self.take(closing)
        self.bars = bars
        return values

    def subscript(self) -> list[str]:
        """Return the indices of an entry, each as text."""
        self.take("_")
        if self.next != "{":
            return [self.take()]
        self.take("{")
        tokens: list[str] = []
        while self.next != "}":
            tokens.append(self.take())
        self.take("}")
        return "".join(tokens).split(",") if "," in tokens else list("".join(tokens))

    def entry(self, name: str, indices: list[str]) -> Evaluate:
        parsers = [_Parser(index, self.names) for index in indices]
        places = [parser.sum() for parser in parsers]
        self.places += [(index, name, axis) for axis, index in enumerate(indices) if index.isalpha()]

        def evaluate(names: Names) -> Any:
            at = tuple(int(place(names)) for place in places)
            if name == "delta":
                return int(at[0] == at[1])
            array = names.named(name)
            return array[at] if all(0 <= i < extent for i, extent in zip(at, array.shape, strict=True)) else 0

        return evaluate

    # What begins with a sign of its own

    def brackets(self) -> Evaluate:
        self.at -= 1
        values = self.parenthesized()
        if len(values) == 1:
            return values[0]
        return lambda names: tuple(value(names) for value in values)

    def inner(self) -> Evaluate:
        """Read the sum of the products of the entries of two arrays."""
        self.at -= 1
        left, right = self.parenthesized("\\langle", "\\rangle")
        return lambda names: _entrywise(left(names), right(names)).sum()

    def braces(self) -> Evaluate:
        value = self.sum()
        self.take("}")
        return value

    def absolute(self) -> Evaluate:
        bars, self.bars = self.bars, 1
        value = self.sum()
        self.take("|")
        self.bars = bars
        return lambda names: abs(value(names))

    def condition(self) -> Evaluate:
        left = self.sum()
        relation = {"<": operator.lt, ">": operator.gt, "=": operator.eq, "\\ne": operator.ne, "\\le": operator.le,
                    "\\ge": operator.ge}[self.take()]  # fmt: skip
        right = self.sum()
        self.take("]")
        return lambda names: relation(_tensor(left(names)), _tensor(right(names))).to(torch.float64)

    def fraction(self) -> Evaluate:
        if self.tokens[self.at : self.at + 2] == ["{", "\\partial"]:
            self.at += 2
            of = self.letter()
            self.take("}")
            self.take("{")
            return self.derivative(of, "}")
        above = self.group()
        return _combined(operator.truediv, above, self.group())

    def partial(self) -> Evaluate:
        of = self.letter()
        self.take("/")
        return self.derivative(of)

    def derivative(self, of: str, closing: str = "") -> Evaluate:
        self.take("\\partial")
        wrt = self.letter()
        if closing:
            self.take(closing)
        return lambda names: _matrix(names.derivative(of, wrt))

    def letter(self) -> str:
        name = self.take().lstrip("\\")
        return name + "".join(self.subscript()) if self.next == "_" else name

    def root(self) -> Evaluate:
        value = self.group()
        return lambda names: _tensor(value(names)).sqrt()

    def extreme(self) -> Evaluate:
        """Read the largest (or smallest) of several arguments, entry by entry, or of all entries of one."""
        largest = self.tokens[self.at - 1] == "\\max"
        values = self.parenthesized() if self.next == "(" else [self.power()]
        if len(values) == 1:
            return lambda names: _tensor(values[0](names)).max() if largest else _tensor(values[0](names)).min()
        combine = torch.maximum if largest else torch.minimum
        first, second = values
        return lambda names: combine(_tensor(first(names)), _tensor(second(names)))

    def trace(self) -> Evaluate:
        (value,) = self.parenthesized()
        return lambda names: value(names).trace()

    def total(self) -> Evaluate:
        """Read a sum over one index or several, each over the axis at which it stands in what is summed."""
        letters = [letter.strip() for letter in self.subscript()]
        known = len(self.places)
        body = self.product()
        own, self.places[known:] = self.places[known:], []
        self.places += [place for place in own if place[0] not in letters]
        stands = {letter: (name, axis) for letter, name, axis in own}
        if missing := [letter for letter in letters if letter not in stands]:
            raise self.error(f"nothing that is summed has the index {missing[0]}")

        def evaluate(names: Names) -> Any:
            outer, terms = names.letters, []
            extents = [names.named(name).shape[axis] for name, axis in map(stands.__getitem__, letters)]
            for place in product(*map(range, extents)):
                names.letters = outer | dict(zip(letters, place, strict=True))
                terms.append(body(names))
            names.letters = outer
            return sum(terms)

        return evaluate


_READERS: dict[str, Callable[[_Parser], Evaluate]] = {
    "(": _Parser.brackets,
    "\\langle": _Parser.inner,
    "{": _Parser.braces,
    "|": _Parser.absolute,
    "[": _Parser.condition,
    "\\frac": _Parser.fraction,
    "\\partial": _Parser.partial,
    "\\sqrt": _Parser.root,
    "\\max": _Parser.extreme,
    "\\min": _Parser.extreme,
    "\\tr": _Parser.trace,
    "\\sum": _Parser.total,
    "\\pi": lambda _: lambda _: math.pi,
    "\\ones": lambda _: lambda _: _Ones(),
}


def _combined(function: Callable[[Any, Any], Any], left: Evaluate, right: Evaluate) -> Evaluate:
    return lambda names: function(left(names), right(names))


def _applied(function: Callable[[Any], Any], value: Evaluate) -> Evaluate:
    return lambda names: function(value(names))


def _matrix(value: Any) -> Any:
    """Return a tensor, a vector as a column; a lone number as it is."""
    return _tensor(value) if isinstance(value, Tensor) else value


def _scalar(value: Any) -> Any:
    return value if isinstance(value, Tensor) else torch.tensor(float(value), dtype=torch.float64)
