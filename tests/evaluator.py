"""Index notation evaluated by plain loops over entries and sums, and differentiated forward, by dual numbers.

It reads sympy's trees and shares no rule with `handgrad.symbolic`: no index is renamed, no delta contracted, no formula
differentiated. Fractions stay fractions as long as no function makes floating-point numbers of them.
"""

import math
import operator
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import reduce
from itertools import product
from typing import Any

import sympy

Place = tuple[int, ...]
Values = dict[Place, Any]
Scope = dict[Any, int]


class Dual:
    """A number and its derivatives by any number of variables; the numbers may themselves be dual."""

    def __init__(self, real: Any, parts: Mapping[Any, Any]) -> None:
        self.real, self.parts = real, parts

    def __add__(self, other: Any) -> "Dual":
        if not isinstance(other, Dual):
            return Dual(self.real + other, self.parts)
        parts = {**self.parts}
        for name, part in other.parts.items():
            parts[name] = parts[name] + part if name in parts else part
        return Dual(self.real + other.real, parts)

    def __mul__(self, other: Any) -> "Dual":
        if not isinstance(other, Dual):
            return Dual(self.real * other, {name: part * other for name, part in self.parts.items()})
        parts = {name: part * other.real for name, part in self.parts.items()}
        for name, part in other.parts.items():
            parts[name] = parts[name] + self.real * part if name in parts else self.real * part
        return Dual(self.real * other.real, parts)

    __radd__, __rmul__ = __add__, __mul__


def number(value: Any) -> Any:
    """Return a dual number without its derivatives."""
    return number(value.real) if isinstance(value, Dual) else value


def power(base: Any, exponent: Any) -> Any:
    if isinstance(exponent, Dual):
        return applied("exp", exponent * applied("log", base))
    if isinstance(base, Dual):
        slope = exponent * power(base.real, exponent - 1) if exponent != 0 else 0
        return Dual(power(base.real, exponent), {name: slope * part for name, part in base.parts.items()})
    return base**exponent


def sign(value: Any) -> int:
    return int(value > 0) - int(value < 0)


# Each with its slope, a function of what may again be a dual number.
FUNCTIONS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "exp": (math.exp, lambda x: applied("exp", x)),
    "log": (math.log, lambda x: power(x, -1)),
    "sin": (math.sin, lambda x: applied("cos", x)),
    "cos": (math.cos, lambda x: -1 * applied("sin", x)),
    "tanh": (math.tanh, lambda x: 1 + -1 * power(applied("tanh", x), 2)),
    "Abs": (abs, lambda x: sign(number(x))),
    "sign": (sign, lambda x: 0),
}


def applied(name: str, value: Any) -> Any:
    function, slope = FUNCTIONS[name]
    if not isinstance(value, Dual):
        return function(value)
    by = slope(value.real)
    return Dual(applied(name, value.real), {name: by * part for name, part in value.parts.items()})


def eliminated(matrix: Values) -> tuple[Values, Any]:
    """Return the inverse of a matrix, and its determinant, by Gauss's elimination."""
    count = max(row for row, _ in matrix) + 1
    rows = [[matrix[i, j] for j in range(count)] + [Fraction(int(i == j)) for j in range(count)] for i in range(count)]
    determinant: Any = Fraction(1)
    for step in range(count):
        best = max(range(step, count), key=lambda row: abs(number(rows[row][step])))
        if best != step:
            rows[step], rows[best], determinant = rows[best], rows[step], determinant * -1
        determinant = determinant * rows[step][step]
        rows[step] = [entry * power(rows[step][step], -1) for entry in rows[step]]
        for row in {*range(count)} - {step}:
            rows[row] = [one + other * rows[row][step] * -1 for one, other in zip(rows[row], rows[step], strict=True)]
    return {(i, j): rows[i][count + j] for i in range(count) for j in range(count)}, determinant


# Functions of the entries on the last axes: how many axes, and the value at a place on these.
WHOLE: dict[str, tuple[int, Callable[[Values, Place], Any]]] = {
    "InverseOf": (2, lambda matrix, place: eliminated(matrix)[0][place]),
    "DeterminantOf": (2, lambda matrix, place: eliminated(matrix)[1]),
    "LogDeterminantOf": (2, lambda matrix, place: applied("log", eliminated(matrix)[1])),
    "MaximumOf": (1, lambda row, place: max(row.values(), key=number)),
}


class Evaluator:
    """Evaluates definitions for given numbers: of sizes by name, of arrays by name and place."""

    def __init__(self, sizes: Mapping[str, int], arrays: Mapping[str, Mapping[Place, Any]]) -> None:
        self.sizes, self.arrays = sizes, arrays
        self.readings: dict[Any, Callable[[Scope], Any]] = {}
        self.entries: dict[tuple[Any, Place], Any] = {}

    def values(self, definition: Any) -> Values:
        """Return every entry of a definition."""
        return {place: self.entry(definition, place) for place in self.places(definition.indices)}

    def places(self, indices: Any) -> list[Place]:
        return list(product(*(range(self.extent(index.upper)) for index in indices)))

    def extent(self, upper: Any) -> int:
        return int(self.read(upper)({})) + 1

    def entry(self, definition: Any, place: Place) -> Any:
        if (definition.base, place) not in self.entries:
            scope = dict(zip(definition.indices, place, strict=True))
            self.entries[definition.base, place] = self.read(definition.value)(scope)
        return self.entries[definition.base, place]

    def read(self, value: Any) -> Callable[[Scope], Any]:
        """Return what computes an expression, given a number for each index; each is read once."""
        if value not in self.readings:
            self.readings[value] = self.reader(value)
        return self.readings[value]

    def reader(self, value: Any) -> Callable[[Scope], Any]:
        if isinstance(value, sympy.Idx):
            return lambda scope: scope[value]
        if isinstance(value, (sympy.Indexed, sympy.Symbol)):
            return self.entry_reader(value)
        if isinstance(value, sympy.Sum):
            return self.sum_reader(value)
        if isinstance(value, sympy.Piecewise):
            return self.case_reader(value)
        if isinstance(value, sympy.Mul):
            return self.product_reader(value)
        if value.is_Rational or value.is_NumberSymbol:
            constant = Fraction(value.p, value.q) if value.is_Rational else float(value)
            return lambda scope: constant
        if value in (sympy.true, sympy.false):
            return lambda scope: bool(value)
        return self.operation(value, [self.read(part) for part in value.args])

    def entry_reader(self, value: Any) -> Callable[[Scope], Any]:
        """Read an entry, outside of whose array is 0, or a number, which is an entry without indices."""
        label = value.base.label if isinstance(value, sympy.Indexed) else value
        if label.name in self.sizes:
            return lambda scope: self.sizes[label.name]
        indices = [self.read(index) for index in getattr(value, "indices", ())]
        extents = [self.extent(axis - 1) for axis in getattr(value, "shape", ())]
        definition = getattr(label, "definition", None)

        def read(scope: Scope) -> Any:
            place = tuple(int(index(scope)) for index in indices)
            if not all(0 <= where < extent for where, extent in zip(place, extents, strict=True)):
                return Fraction(0)
            return self.entry(definition, place) if definition else self.arrays[label.name][place]

        return read

    def sum_reader(self, value: Any) -> Callable[[Scope], Any]:
        function, indices = self.read(value.function), [index for index, *_ in value.limits]
        ranges = [range(int(self.read(low)({})), self.extent(high)) for _, low, high in value.limits]

        def read(scope: Scope) -> Any:
            total: Any = Fraction(0)
            for place in product(*ranges):
                total = total + function({**scope, **dict(zip(indices, place, strict=True))})
            return total

        return read

    def case_reader(self, value: Any) -> Callable[[Scope], Any]:
        cases = [(self.read(branch), self.read(condition)) for branch, condition in value.args]
        return lambda scope: next(branch(scope) for branch, condition in cases if condition(scope))

    def product_reader(self, value: Any) -> Callable[[Scope], Any]:
        """Read a product: 0 where a bracket is, even if another factor is infinite there."""
        brackets = [self.read(factor) for factor in value.args if type(factor).__name__ == "Iverson"]
        others = [self.read(factor) for factor in value.args if type(factor).__name__ != "Iverson"]

        def read(scope: Scope) -> Any:
            if not all(bracket(scope) for bracket in brackets):
                return Fraction(0)
            return reduce(operator.mul, (factor(scope) for factor in others), Fraction(1))

        return read

    def whole_reader(self, value: Any) -> Callable[[Scope], Any]:
        """Read a function of all entries on the last axes, the places on those before being given."""
        entry, (axes, function) = value.args[0], WHOLE[type(value).__name__]
        indices = [self.read(index) for index in entry.indices]
        extents = [self.extent(axis - 1) for axis in entry.shape[-axes:]]

        def read(scope: Scope) -> Any:
            place = tuple(int(index(scope)) for index in indices)
            last = product(*map(range, extents))
            return function({at: self.read(entry.base[(*place[:-axes], *at)])({}) for at in last}, place[-axes:])

        return read

    def operation(self, value: Any, parts: list[Callable[[Scope], Any]]) -> Callable[[Scope], Any]:
        kind = type(value).__name__
        if kind in WHOLE:
            return self.whole_reader(value)
        if kind in FUNCTIONS:
            return lambda scope: applied(kind, parts[0](scope))
        first, second = parts[0], parts[-1]
        operations: dict[str, Callable[[Scope], Any]] = {
            "Add": lambda scope: reduce(operator.add, (part(scope) for part in parts)),
            "floor": lambda scope: math.floor(first(scope)),
            "Pow": lambda scope: power(first(scope), second(scope)),
            "KroneckerDelta": lambda scope: Fraction(first(scope) == second(scope)),
            "Iverson": lambda scope: Fraction(first(scope)),
            "And": lambda scope: all(part(scope) for part in parts),
            "Or": lambda scope: any(part(scope) for part in parts),
            "Not": lambda scope: not first(scope),
            "ITE": lambda scope: parts[1](scope) if first(scope) else second(scope),
        }
        if kind in operations:
            return operations[kind]
        compare = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne"}[value.rel_op]
        holds = getattr(operator, compare)
        return lambda scope: holds(number(first(scope)), number(second(scope)))


def with_variables(name: str, values: Mapping[Place, Any]) -> Values:
    """Return an array whose entries are variables: each is differentiated by under its name and place."""
    return {place: Dual(value, {(name, place): Fraction(1)}) for place, value in values.items()}


def moved(values: Mapping[Place, Any], direction: Mapping[Place, Any]) -> Values:
    """Return an array that moves: its entries have a derivative, `moved`, by one more variable."""
    return {place: Dual(value, {"moved": direction[place]}) for place, value in values.items()}


def part(value: Any, name: Any) -> Any:
    """Return a derivative of what may be a number that depends on nothing."""
    return value.parts.get(name, Fraction(0)) if isinstance(value, Dual) else Fraction(0)
