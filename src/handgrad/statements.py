r"""Sentences that cannot be wrong: what a page types is computed again from the objects of its run, or stops the build.

A post writes, as inline code, `says(r"X^\mathsf{T} G", dW)`. The reader sees the formula; the run puts numbers for its
letters and compares. Where they differ the page cannot be rendered, under Quarto or without it.
"""

import re
import sys
from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import sympy
import torch
from sympy import Idx, IndexedBase, Symbol
from torch import Tensor

from handgrad.formula import Formula, FormulaError, Names, parse
from handgrad.symbolic.definitions import Definition, in_order, made_of
from handgrad.symbolic.derivation import Derivation, whole_numbers_of
from handgrad.symbolic.letters import size
from handgrad.symbolic.notation import Markdown
from handgrad.symbolic.torch_code import compile_torch

_DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
NUMBERS: dict[str, float] = {word: number for number, word in enumerate(_DIGITS)}
NUMBERS |= {"once": 1, "twice": 2, "half": 0.5, "fifty": 50, "a hundred": 100, "a thousand": 1000, "a million": 10**6}

BOUNDS: dict[str, Callable[[float, float], bool]] = {
    "more than": lambda value, bound: value > bound,
    "less than": lambda value, bound: value < bound,
    "at least": lambda value, bound: value >= bound,
    "at most": lambda value, bound: value <= bound,
    "about": lambda value, bound: abs(value - bound) <= abs(bound) / 20,
}
UNITS = {"kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "megabytes": 1e6, "gigabytes": 1e9, "terabytes": 1e12}
UNITS |= {"terabyte": 1e12, "µs": 1e-6, "ms": 1e-3, "million": 1e6, "billion": 1e9}
PLAIN = re.compile(
    rf"(?:({'|'.join(BOUNDS)}) )?([-−]?\d[\d  ,]*(?:\.\d+)?|{'|'.join(NUMBERS)})(?:[  ]({'|'.join(UNITS)}))?", re.I
)


class StatementError(AssertionError):
    """A page says what its own run does not find. The message has both."""


def says(text: str, value: Any = None, /, **names: Any) -> Markdown:
    r"""Return `text` for the page, once it has been found to be true.

    `text` is one of

    - a number, in figures or in words: `says("157", rate)`. It must be `value`, rounded to the digits that are typed,
      and to a whole number by no more than 1 %; not rounded if `value` is a whole number or a fraction of sympy's. It
      may have a unit, of bytes, seconds or ones, `says("157 MB", bytes)`, `says("100 µs", seconds)`; and keep within a
      bound: `says("more than five", slow / fast)`, also less than, at least, at most, and about (within 5 %);
    - a shape, `says(r"n \times q", X)` or `says("(n, 1)", column.shape)`;
    - a formula in LaTeX that equals `value`: a number, a tensor, a definition or a derivation, `says("2(X - T)", dX)`;
    - a formula with relations that hold, `says(r"X + X = 2X")`.

    Letters are the names of objects: those that `value` is made of, those of the page (the caller's global variables),
    and `names`, each before the one named before it. Symbols and symbolic arrays get random numbers, twice. A vector is
    a column, products of matrices are matrix products; see `handgrad.formula` for what can be read. StatementError if
    it is not true, FormulaError if it cannot be read.
    """
    if plain := PLAIN.fullmatch(text):
        _require_number(text, plain[1], plain[2], UNITS.get(plain[3], 1), value)
        return Markdown(text)
    known = {**sys._getframe(1).f_globals, **_parts(value), **names}
    for seed in (0, 1):
        _require_true(text, value, known, seed)
    return Markdown(f"${text}$")


def _require_number(text: str, bound: str | None, typed: str, unit: float, value: Any) -> None:
    if value is None:
        raise TypeError(f"says({text!r}) needs the value that it tells: says({text!r}, value)")
    if isinstance(value, Tensor) and value.numel() != 1:
        raise StatementError(f"the page says {text}; what is computed is an array of shape {tuple(value.shape)}")
    actual = value.item() if isinstance(value, Tensor) else value
    actual = actual if isinstance(actual, (int, sympy.Rational)) else float(actual)
    actual = actual if unit == 1 else actual / unit
    figures = re.sub(r"[ ,  ]", "", typed).replace("−", "-")
    number = float(NUMBERS.get(typed.lower(), figures))
    if bound:
        holds = BOUNDS[bound.lower()](actual, number)
    else:
        is_rounded = isinstance(actual, float) and typed.lower() not in NUMBERS
        last_digit = 10.0 ** -len(figures.partition(".")[2]) / 2
        # A whole number stands for what is within 1 % of it too: 157 for 156.8, and not 0 for 0.3.
        rounding = min(last_digit, abs(number) / 100) if "." not in figures else last_digit
        holds = abs(actual - number) <= (rounding if is_rounded else 0) * (1 + 1e-9) + 1e-12 * abs(number)
    if not holds:
        raise StatementError(f"the page says {text}; what is computed is {actual}")


def _parts(value: Any) -> dict[str, Any]:
    """Return the definitions, arrays and numbers that a definition is made of, by name."""
    if isinstance(value, Derivation):
        return _parts(value.output) | _parts(value.result)
    if not isinstance(value, Definition):
        return {}
    whole = {number.name: number for number in whole_numbers_of(value)}
    return whole | made_of(value) | {step.name: step for step in in_order(value)}


def _require_true(text: str, value: Any, known: Mapping[str, Any], seed: int) -> None:
    values = _Values(known, value, seed)
    is_shape = (hasattr(value, "shape") or isinstance(value, tuple)) and "\\times" in text
    formula = parse("(" + text.replace("\\times", ",") + ")" if is_shape else text, values)
    ranges = values.ranges(formula)
    for place in product(*map(range, ranges.values())):
        values.letters = dict(zip(ranges, place, strict=True))
        if not formula.relations and value is None:
            raise TypeError(f"says({text!r}) needs the value that it tells: says(formula, value)")
        if (false := formula.false_part(values)) or (value is not None and (false := values.differs(formula, value))):
            where = ", ".join(f"{letter} = {at}" for letter, at in values.letters.items())
            raise StatementError(f"the page says {text}, but {false}" + (f" at {where}" if where else ""))


class _Values(Names):
    """What the letters of a statement stand for: objects of the page, with random numbers for their symbols."""

    def __init__(self, known: Mapping[str, Any], value: Any, seed: int) -> None:
        self.known, self.value = known, value
        own = value.result if isinstance(value, Derivation) else value
        self.indices = own.indices if isinstance(own, Definition) else ()
        self.generator = torch.Generator().manual_seed(seed)
        self.extents = iter(range(2 + seed, 50))
        self.drawn: dict[Any, Any] = {}
        self.letters: dict[str, int] = {}

    def __contains__(self, name: object) -> bool:
        return name in self.known

    def is_function(self, name: str) -> bool:
        thing = self.known.get(name)
        return callable(thing) and not isinstance(thing, sympy.Basic)

    def named(self, name: str) -> Any:
        if name in self.letters:
            return self.letters[name]
        if name not in self.known:
            raise FormulaError(f"{name} is the name of nothing on this page: define it, or give it, {name}=…")
        return self.of(self.known[name])

    def derivative(self, of: str, wrt: str) -> Any:
        candidates = [self.value, *self.known.values()]
        found = [one for one in candidates if isinstance(one, Derivation) and (one.of, one.wrt) == (of, wrt)]
        if not found:
            raise FormulaError(f"there is no derivation of ∂{of}/∂{wrt} on this page")
        return self.of(found[0])

    def of(self, thing: Any) -> Any:
        """Return the number, tensor or function that an object of the page stands for."""
        if isinstance(thing, Derivation):
            return self.of(thing.result)
        if isinstance(thing, Definition):
            return self.defined(thing)
        if isinstance(thing, (IndexedBase, Symbol)):
            if thing not in self.drawn:
                self.drawn[thing] = self.draw(thing)
            return self.drawn[thing]
        if isinstance(thing, Idx):
            raise FormulaError(f"{thing} is an index: it stands at an entry, or gets a number, {thing}=…")
        if isinstance(thing, sympy.Expr):
            number = thing.xreplace({symbol: sympy.sympify(self.of(symbol)) for symbol in thing.free_symbols})
            return int(number) if number.is_Integer else float(number)
        if isinstance(thing, Tensor):
            return thing.detach().to(torch.float64)
        if isinstance(thing, (tuple, list)):
            return tuple(map(self.of, thing))
        return thing if isinstance(thing, (int, float)) or callable(thing) else torch.as_tensor(thing)

    def draw(self, symbol: Any) -> Any:
        if isinstance(symbol, Symbol):
            if symbol.is_integer:
                return next(self.extents)
            return 0.5 + torch.rand((), generator=self.generator, dtype=torch.float64).item()
        shape = [self.of(extent) for extent in symbol.shape]
        if symbol.label.is_integer:
            return torch.randint(0, 2, shape, generator=self.generator)
        return torch.randn(shape, generator=self.generator, dtype=torch.float64)

    def defined(self, definition: Definition) -> Any:
        compiled, parts = compile_torch(definition), _parts(definition)
        arrays = {name: _as_tensor(self.of(parts[name])) for name in compiled.arrays}
        return compiled(**arrays, **{name: self.of(parts[name]) for name in compiled.sizes})

    def ranges(self, formula: Formula) -> dict[str, int]:
        """Return how far each free index of a formula runs: over the axis at which it stands."""
        ranges = {index.label.name: self.of(size(index)) for index in self.indices}
        if not any(letter in ranges for letter, *_ in formula.places):
            ranges = {}
        for letter, name, axis in formula.places:
            given = self.known.get(letter)
            if letter not in ranges and not isinstance(given, int):
                ranges[letter] = self.of(size(given)) if isinstance(given, Idx) else self.named(name).shape[axis]
        return ranges

    def differs(self, formula: Formula, value: Any) -> str:
        """Say how the last part of a formula differs from the value; nothing if it does not."""
        result = self.of(value)
        if self.letters and self.indices:
            result = result[tuple(self.letters[index.label.name] for index in self.indices)]
        return formula.differs(self, result)


def _as_tensor(value: Any) -> Tensor:
    # Python's numbers have the precision of float64, of which torch would keep half.
    return torch.as_tensor(value, dtype=torch.float64 if isinstance(value, float) else None)
