"""Random definitions from a seed, with small sizes and numbers for their arrays.

Only public names of `handgrad.symbolic` are used. Each formula carries a bound of its absolute value: what is divided
by, or goes into a logarithm or a root, is kept away from 0, and what goes into exp stays small.
"""

from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from random import Random
from typing import Any

from sympy import Abs, Expr, KroneckerDelta, Or, Piecewise, Rational, Symbol, cos, exp, log, sin, sqrt, tanh

from handgrad.symbolic import Definition, Idx, Iverson, Sum, array, define, integers, mean, sizes

SIZES = sizes("n p q")
STRIDE, PAD = integers("stride pad")
# An index may have the letter of its range, and letters that derivations like to choose occur as well.
LETTERS = "ijklmrsn"
_STABLE = ("sigmoid", "sigmoid", "softmax", "softmax", "softmax")  # what is computed otherwise than it is written
LARGEST = 100
DEEPEST = 3


@dataclass(frozen=True)
class Bounded:
    """A formula, and a number that its absolute value does not exceed."""

    value: Expr
    bound: float = 2


@dataclass(frozen=True)
class Variable:
    """An array that definitions are made of, or a number if it has no axes."""

    base: Any
    shape: tuple[Expr, ...]
    positive: bool = False
    whole: Expr | None = None
    """The size that its entries are places of, if it is a look-up."""


@dataclass
class Example:
    """A definition, and numbers for all that it is made of, by name."""

    seed: int
    definition: Definition
    sizes: dict[str, int]
    variables: dict[str, Variable]
    arrays: dict[str, dict[tuple[int, ...], Fraction]]

    @property
    def real(self) -> dict[str, Variable]:
        """The arrays and numbers in the definition that it may be differentiated by, by name."""
        used = names_in(self.definition.value)
        return {name: variable for name, variable in self.variables.items() if variable.whole is None and name in used}

    @property
    def intermediate(self) -> list[Definition]:
        """The definitions that the definition uses."""
        return sorted(defined_in(self.definition.value).values(), key=lambda inner: inner.name)

    def __str__(self) -> str:
        steps = [*self.intermediate, self.definition]
        written = "\n".join(f"  {step.entry} = {step.value}" for step in steps)
        given = "\n".join(f"  {name} = {[*map(str, values.values())]}" for name, values in self.arrays.items())
        return f"random_definition({self.seed}):\n{written}\n  {self.sizes}\n{given}"


class Generator:
    """Makes formulas of the indices in scope; arrays are made as they are needed, and used again where they fit."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.extents = random.choice([SIZES[:1], SIZES[:2], SIZES])
        self.names = iter(["X", "W", "B", "A"])
        self.numbers = iter(["alpha", "beta"])
        self.lookups = iter(["t", "u"])
        self.inner = iter(["E", "F"])
        self.variables: dict[str, Variable] = {}
        self.defined: list[tuple[Definition, float]] = []
        self.ranges: dict[str, Expr] = {"n": SIZES[0]}

    def example(self, seed: int) -> Example:
        as_matrices = self.random.random() < 0.4
        indices = self.fresh((), self.random.choice([0, 1, 2, 2] if as_matrices else [0, 1, 1, 2, 2, 2, 3]))
        value = (self.products(indices) if as_matrices else self.any(indices)).value
        while not any(name.isupper() or name in ("alpha", "beta") for name in names_in(value) - {"E", "F"}):
            value += self.entry(indices).value
        numbers = {str(extent): self.random.randint(1, 3) for extent in SIZES}
        numbers |= {"stride": self.random.randint(1, 2), "pad": self.random.randint(0, 1)}
        arrays = {name: self.filled(variable, numbers) for name, variable in self.variables.items()}
        definition = define("Y", value, *indices)
        return Example(seed, definition, numbers, self.variables, arrays)

    def filled(self, variable: Variable, numbers: dict[str, int]) -> dict[tuple[int, ...], Fraction]:
        return filled(self.random, variable, numbers)

    # Indices

    def fresh(self, scope: tuple[Idx, ...], count: int) -> tuple[Idx, ...]:
        """Return indices with letters that are not in scope; other sums may have the same."""
        taken = {index.label.name for index in scope}
        letters = [letter for letter in LETTERS if letter not in taken]
        if self.random.random() < 0.9:
            letters = letters[: count + 1]
        chosen = self.random.sample(letters, count)
        return tuple(Idx(letter, self.range(letter)) for letter in chosen)

    def range(self, letter: str) -> Expr:
        """Return the size for an index; two of one letter in one definition are seldom of two sizes, and refused."""
        size = self.random.choice(self.extents)
        return size if self.random.random() < 0.002 else self.ranges.setdefault(letter, size)

    def place(self, scope: tuple[Idx, ...], axis: Expr, inside: bool = False) -> Expr | None:
        """Return an index for an axis: plain where one fits, else looked up, or computed if it may lie outside."""
        plain = [index for index in scope if extent(index) == axis]
        if plain and self.random.random() < 0.8:
            return self.random.choice(plain)
        if not scope:
            return None
        index, other = self.random.choice(scope), self.random.choice(scope)
        if self.random.random() < 0.5 and (looked_up := self.lookup(index, axis)) is not None:
            return looked_up
        if inside:
            return None
        computed = [index + 1, index - 1, 2 * index, STRIDE * index + other - PAD, index + other]
        return self.random.choice(computed)

    def lookup(self, index: Idx, axis: Expr) -> Expr | None:
        fitting = [v for v in self.variables.values() if v.whole == axis and v.shape == (extent(index),)]
        if fitting:
            return fitting[0].base[index]
        if (name := next(self.lookups, None)) is None:
            return None
        base = array(name, extent(index), integer=True)
        self.variables[name] = Variable(base, (extent(index),), whole=axis)
        return base[index]

    # Formulas

    def entry(self, scope: tuple[Idx, ...], positive: bool = False) -> Bounded:
        """Return an entry of an array or of what is defined, or a number."""
        if self.defined and not positive and self.random.random() < 0.3:
            definition, bound = self.random.choice(self.defined)
            places = [self.place(scope, extent(index)) for index in definition.indices]
            if None not in places:
                return Bounded(definition[tuple(places)], bound)
        reals = [v for v in self.variables.values() if v.whole is None and v.positive == positive]
        self.random.shuffle(reals)
        if self.random.random() < 0.5:
            for variable in reals:
                places = [self.place(scope, axis, inside=positive) for axis in variable.shape]
                if None not in places and (places or self.random.random() < 0.5):
                    return Bounded(variable.base[tuple(places)] if places else variable.base)
        return self.new_entry(scope, positive, reals)

    def new_entry(self, scope: tuple[Idx, ...], positive: bool, reals: list[Variable]) -> Bounded:
        indices = [self.random.choice(scope) for _ in range(self.random.choice([0, 1, 1, 2, 2, 2, 3]))] if scope else []
        if self.random.random() < 0.9:
            indices = [*dict.fromkeys(indices)]
        if (name := next(self.names if indices else self.numbers, None)) is None:
            bare = [v.base for v in reals if not v.shape]
            return Bounded(self.random.choice(bare)) if bare else Bounded(Rational(3, 2))
        shape = tuple(map(extent, indices))
        base = array(name, *shape)
        self.variables[name] = Variable(base, shape, positive)
        return Bounded(base[tuple(indices)] if indices else base)

    def plain_entry(self, scope: tuple[Idx, ...]) -> Bounded:
        """Return an entry of a vector or matrix, at indices as they are."""
        indices = self.random.sample(scope, min(len(scope), self.random.choice([1, 2, 2, 2])))
        shape = tuple(map(extent, indices))
        fitting = [v for v in self.variables.values() if v.shape == shape and v.whole is None and not v.positive]
        if not indices or self.random.random() < 0.1:
            return self.entry(scope)
        if fitting and self.random.random() < 0.4:
            return Bounded(self.random.choice(fitting).base[tuple(indices)])
        if (name := next(self.names, None)) is None:
            return Bounded(self.random.choice(fitting).base[tuple(indices)]) if fitting else self.entry(scope)
        self.variables[name] = Variable(array(name, *shape), shape)
        return Bounded(self.variables[name].base[tuple(indices)])

    def products(self, scope: tuple[Idx, ...]) -> Bounded:
        """Return a sum of products of entries with plain indices, as matrix products are made of."""
        terms, bound = [], 0.0
        for _ in range(self.random.choice([1, 1, 2, 3])):
            summed = self.fresh(scope, self.random.randint(0, 2))
            factors = [self.plain_entry(scope + summed) for _ in range(self.random.randint(1, 3))]
            if self.random.random() < 0.3:
                factors[0] = Bounded(factors[0].value ** 2, factors[0].bound ** 2)
            if self.random.random() < 0.2:
                factors.append(Bounded(Iverson(self.plain_entry(scope + summed).value > 0), 1))
            coefficient = self.random.choice([1, 1, -1, 2, Rational(1, 2), self.random.choice(self.extents)])
            term = coefficient * Sum(times(*(factor.value for factor in factors)), *summed)
            bound += 3 ** (len(summed) + 1) * times(*(factor.bound for factor in factors))
            terms.append(term)
        return Bounded(sum(terms), bound)

    def any(self, scope: tuple[Idx, ...], depth: int = DEEPEST) -> Bounded:
        if depth <= 0 or (depth < DEEPEST and self.random.random() < 0.15):
            return self.leaf(scope)
        makers = [self.sum, self.product, self.product, self.total, self.total, self.quotient, self.function]
        makers += [self.function, self.function, self.power, self.cases, self.named, self.named, self.mean]
        return self.random.choice(makers)(scope, depth - 1)

    def leaf(self, scope: tuple[Idx, ...]) -> Bounded:
        """Return an entry, at times with a number, a size, a bracket or a delta beside it."""
        entry = self.entry(scope)
        if self.random.random() < 0.7 or not scope:
            return entry
        if self.random.random() < 0.5:
            return self.without_arrays(scope)
        x, index, other = entry.value, self.random.choice(scope), self.random.choice(scope)
        same = [each for each in scope if extent(each) == extent(index)]
        kinds = [
            x + Rational(self.random.choice([-2, -1, 1, 3]), self.random.choice([1, 2])),
            x * self.random.choice(self.extents),
            x * Iverson(index <= other + self.random.randint(-1, 1)),
            x * KroneckerDelta(index, self.random.choice(same)),
            x + KroneckerDelta(index, other + self.random.randint(-1, 1)),
        ]
        return Bounded(self.random.choice(kinds), 3 * entry.bound + 3)

    def without_arrays(self, scope: tuple[Idx, ...]) -> Bounded:
        """Return a number, an index or an entry of whole numbers, a size, a bracket or a delta."""
        index, other = self.random.choice(scope), self.random.choice(scope)
        kinds = [
            Bounded(Rational(self.random.choice([-2, -1, 1, 3]), self.random.choice([1, 2]))),
            Bounded(1 * index),
            Bounded(self.random.choice(self.extents), 3),
            Bounded(Iverson(index <= other + self.random.randint(-1, 1)), 1),
            Bounded(KroneckerDelta(index, other + self.random.randint(-1, 1)), 1),
        ]
        if (looked_up := self.lookup(index, self.random.choice(self.extents))) is not None:
            kinds.append(Bounded(looked_up, 3))
        return self.random.choice(kinds)

    def small(self, inner: Bounded, limit: float = LARGEST) -> Bounded:
        """Return a formula that stays within a limit: the given one, or its hyperbolic tangent."""
        return inner if inner.bound <= limit else Bounded(tanh(inner.value / round(inner.bound)), 1)

    def sum(self, scope: tuple[Idx, ...], depth: int) -> Bounded:
        parts = [self.any(scope, depth), self.any(scope, self.random.randint(0, depth))]
        sign = self.random.choice([1, -1])
        return Bounded(parts[0].value + sign * parts[1].value, parts[0].bound + parts[1].bound)

    def product(self, scope: tuple[Idx, ...], depth: int) -> Bounded:
        left, right = (self.small(part) for part in (self.any(scope, depth), self.any(scope, depth - 1)))
        return Bounded(left.value * right.value, left.bound * right.bound)

    def total(self, scope: tuple[Idx, ...], depth: int) -> Bounded:
        summed = self.fresh(scope, self.random.choice([1, 1, 2]))
        inner = self.any(scope + summed, depth)
        return Bounded(Sum(inner.value, *summed), inner.bound * 3 ** len(summed))

    def mean(self, scope: tuple[Idx, ...], depth: int) -> Bounded:
        (over,) = self.fresh(scope, 1)
        inner = self.any((*scope, over), depth)
        return Bounded(mean(inner.value, over), inner.bound)

    def power(self, scope: tuple[Idx, ...], depth: int) -> Bounded:
        inner, exponent = self.small(self.any(scope, depth), 10), self.random.choice([2, 2, 3])
        return Bounded(inner.value**exponent, inner.bound**exponent)

    def positive(self, scope: tuple[Idx, ...], depth: int) -> Bounded:
        """Return a formula of at least one half."""
        kind = self.random.randint(0, 4)
        if kind == 0:
            found = self.entry(scope, positive=True)
            return found if found.value.is_number is not True else Bounded(found.value + 1, 3)
        inner = self.small(self.any(scope, depth), 10)
        if kind == 1:
            return Bounded(inner.value**2 + 1, inner.bound**2 + 1)
        if kind == 2:
            summed = self.fresh(scope, 1)
            inner = self.positive(scope + summed, depth - 1) if depth > 0 else self.entry(scope + summed, positive=True)
            return Bounded(Sum(inner.value, *summed), 3 * inner.bound)
        if kind == 3:
            inner = self.small(inner, 1)
            return Bounded(exp(inner.value / 2), 2)
        least = int(inner.bound) + 1
        return Bounded(inner.value + least, inner.bound + least)

    def quotient(self, scope: tuple[Idx, ...], depth: int) -> Bounded:
        above, below = self.any(scope, depth), self.positive(scope, depth - 1)
        exponent = self.random.choice([1, 1, 1, 2, Rational(1, 2)])
        return Bounded(above.value / below.value**exponent, above.bound * 4)

    def function(self, scope: tuple[Idx, ...], depth: int) -> Bounded:
        kind = self.random.choice([exp, exp, log, log, sqrt, sin, cos, tanh, Abs, "power", *_STABLE])
        if kind == "softmax":
            return self.softmax(scope)
        if kind in (log, sqrt):
            inner = self.positive(scope, depth)
            return Bounded(kind(inner.value), inner.bound)
        if kind == "power":
            base, exponent = self.small(self.positive(scope, depth - 1), 3), self.entry(scope)
            safe = base.value if base.bound > 1 else base.value + 2
            return Bounded(safe**exponent.value, 9) if exponent.bound <= 2 else Bounded(safe ** Rational(3, 2), 9)
        inner = self.any(scope, depth)
        if kind is exp:
            inner = self.small(inner, 2)
            return Bounded(exp(inner.value), 8)
        if kind == "sigmoid":
            x = self.small(inner, 2).value
            sigmoid = 1 / (1 + exp(-x))
            return Bounded(self.random.choice([sigmoid, sigmoid, x * sigmoid, log(sigmoid), 1 - sigmoid]), 3)
        return Bounded(kind(inner.value), inner.bound if kind is Abs else 1)

    def softmax(self, scope: tuple[Idx, ...]) -> Bounded:
        """Return exp(x) divided by its sum over an index of x, where another letter is to be had, or its logarithm."""
        x, index = self.small(self.entry(scope), 2).value, self.random.choice(scope or (None,))
        taken = {each.label.name for each in scope}
        spare = [letter for letter in LETTERS if index and self.ranges.get(letter) == extent(index)]
        letter = next((letter for letter in spare if letter not in taken), None)
        if letter is None:
            return Bounded(exp(x), 8)
        other = Idx(letter, extent(index))
        softmax = exp(x) / Sum(exp(x.xreplace({index: other})), other)
        return Bounded(self.random.choice([softmax, softmax, log(softmax)]), 8)

    def cases(self, scope: tuple[Idx, ...], depth: int) -> Bounded:
        inner = self.small(self.any(scope, depth), 10)
        x, bound = inner.value, inner.bound**2 + 2 * inner.bound + 1
        kinds = [
            Piecewise((x, x > 0), (0, True)),
            Piecewise((x, x > 0), (x / 4, True)),
            Piecewise((x**2, x < 1), (2 * x - 1, True)),
            Piecewise((1, x > 1), (x, x > -1), (-1, True)),
            Piecewise((x**2 / 2, Abs(x) < 1), (Abs(x) - Rational(1, 2), True)),
            x * Iverson(x > 0),
            x * Iverson(Or(x > 1, x < 0)),
        ]
        if scope:
            index, other = self.random.choice(scope), self.random.choice(scope)
            kinds += [x * Iverson(index <= other), Piecewise((x, index < other), (self.entry(scope).value, True))]
        return Bounded(self.random.choice(kinds), max(bound, 2))

    def named(self, scope: tuple[Idx, ...], depth: int) -> Bounded:
        """Define something and return an entry of it, with letters that need not be those of its definition."""
        name = next(self.inner, None)
        if name is None or (not scope and self.random.random() < 0.7):
            return self.any(scope, depth)
        outside, self.ranges = self.ranges, {"n": SIZES[0]}
        indices = self.fresh((), self.random.randint(0, min(2, len(scope) + 1)))
        inner = self.small(self.any(indices, depth))
        definition = define(name, inner.value, *indices)
        self.ranges = outside
        self.defined.append((definition, inner.bound))
        places = [self.place(scope, extent(index)) for index in indices]
        return Bounded(definition[tuple(places)] if None not in places else inner_total(definition), 9 * inner.bound)


def defined_in(value: Expr) -> dict[str, Definition]:
    """Return what is defined and used in a formula, by name."""
    direct = [label.definition for label in value.atoms(Symbol) if hasattr(label, "definition")]
    return {name: each for inner in direct for name, each in {**defined_in(inner.value), inner.name: inner}.items()}


def names_in(value: Expr) -> set[str]:
    """Return the names of all symbols in a formula and in what is defined in it."""
    values = [value, *(inner.value for inner in defined_in(value).values())]
    return {symbol.name for each in values for symbol in each.atoms(Symbol)}


def inner_total(definition: Definition) -> Expr:
    return Sum(definition.entry, *definition.indices)


def times(*factors: Any) -> Any:
    result: Any = 1
    for factor in factors:
        result = result * factor
    return result


def extent(index: Idx) -> Expr:
    """Return the size that an index runs over."""
    return index.upper + 1


def filled(random: Random, variable: Variable, numbers: dict[str, int]) -> dict[tuple[int, ...], Fraction]:
    """Return random numbers for an array: quarters, so that floating-point numbers hold them exactly."""
    places = product(*(range(numbers[str(axis)]) for axis in variable.shape))
    if variable.whole is not None:
        return {place: Fraction(random.randrange(numbers[str(variable.whole)])) for place in places}
    least, most = (2, 8) if variable.positive else (-8, 8)
    return {place: Fraction(random.randint(least, most), 4) for place in places}


def random_definition(seed: int) -> Example:
    """Return the definition of a seed; ValueError if the engine refuses it."""
    return Generator(Random(seed)).example(seed)
