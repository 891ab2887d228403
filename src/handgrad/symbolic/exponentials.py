"""Which formulas are sums, products and powers of exponentials."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import sympy
from sympy import Add, Expr, Idx, Indexed, Mul, Pow, exp

from handgrad.symbolic.definitions import unfolded
from handgrad.symbolic.formulas import Iverson, Name, Sum
from handgrad.symbolic.letters import free_indices, size
from handgrad.symbolic.terms import canonical, contract


class Exponential(NamedTuple):
    """A positive number, or a bracket, times exp(exponent), summed over some indices."""

    coefficient: Expr
    exponent: Expr
    dummies: tuple[Idx, ...]


def exponentials(value: Expr) -> list[Exponential] | None:
    """Write a value as a sum of exponentials with coefficients that are not negative; None if it is none."""
    # A sum of what does not depend on its index is a number too.
    is_python_number = (
        not free_indices(value)
        and not any(free_indices(part.function) for part in value.atoms(Sum))
        and all(symbol.is_integer for symbol in value.free_symbols)
    )
    terms = None if is_python_number else _terms(value)
    return terms if terms and any(term.exponent != 0 for term in terms) else None


def _terms(value: Expr) -> list[Exponential] | None:
    if isinstance(value, exp):
        return [Exponential(sympy.S.One, value.args[0], ())]
    if isinstance(value, Iverson) or is_positive(value):
        return [Exponential(value, sympy.S.Zero, ())]
    if isinstance(value, Sum):
        inner, summed = _terms(value.function), tuple(index for index, *_ in value.limits)
        return None if inner is None else [term._replace(dummies=term.dummies + summed) for term in inner]
    if isinstance(value, (Add, Mul)):
        parts = []
        for part in value.args:
            if (terms := _terms(part)) is None:
                return None
            parts.append(terms)
        return [term for terms in parts for term in terms] if isinstance(value, Add) else _product(parts)
    inner = unfolded(value) if isinstance(value, (Indexed, Name)) else None
    return None if inner is None else _terms(inner)


def is_positive(value: Expr) -> bool:
    """Say whether a value is made of positive numbers and sizes."""
    return bool(value.is_positive and not value.has(Indexed, Name, exp))


def _product(parts: list[list[Exponential]]) -> list[Exponential] | None:
    spread = [terms for terms in parts if len(terms) > 1 or terms[0].dummies]
    if len(spread) > 1:
        return None
    single = [terms[0] for terms in parts if terms not in spread]
    by, exponent = Mul(*(term.coefficient for term in single)), Add(*(term.exponent for term in single))
    wide = spread[0] if spread else [Exponential(sympy.S.One, sympy.S.Zero, ())]
    return [Exponential(by * term.coefficient, exponent + term.exponent, term.dummies) for term in wide]


@dataclass
class Factors:
    """Factors, exponents by the indices in them, and powers of sums of exponentials, by a canonical form."""

    factors: list[Expr] = field(default_factory=list)
    exponents: dict[frozenset[Idx], Expr] = field(default_factory=dict)
    sums: dict[Expr, tuple[Expr, Expr]] = field(default_factory=dict)

    def add(self, base: Expr, power: Expr, unfold: bool) -> None:
        """Multiply by a power; defined values that are products of exponentials and such sums are taken apart."""
        if isinstance(base, exp):
            self._add_exponent(power * base.args[0])
        elif terms := exponentials(base):
            self._add_sum(base, power, terms)
        elif (other := complement_of(base)) is not None:
            self.add(other, power, unfold)
        elif isinstance(base, (Mul, Pow)) and has_logarithm(base):
            for part in Mul.make_args(base):
                inner, own = as_power(part)
                self.add(inner, own * power, unfold)
        elif unfold and isinstance(base, (Indexed, Name)) and has_logarithm(base):
            self.add(unfolded(base), power, unfold)
        else:
            self.factors.append(base**power)

    def _add_exponent(self, exponent: Expr) -> None:
        key = frozenset(free_indices(exponent))
        total = self.exponents.get(key, sympy.S.Zero) + exponent
        # Equal sums cancel whatever the letters are that they are written with.
        self.exponents[key] = contract(total) if total.has(Sum) else total

    def _add_sum(self, base: Expr, power: Expr, terms: list[Exponential]) -> None:
        if len(terms) == 1 and not terms[0].dummies:
            self.factors.append(terms[0].coefficient ** power)
            self._add_exponent(power * terms[0].exponent)
        else:
            key = canonical(sum_of(terms, sympy.S.Zero))
            kept, before = self.sums.get(key, (base, sympy.S.Zero))
            self.sums[key] = (kept, before + power)


def sum_of(terms: list[Exponential], less: Expr) -> Expr:
    """Return their sum, from each exponent being taken what it is `less`."""
    return Add(*(Sum(term.coefficient * exp(term.exponent - less), *term.dummies) for term in terms))


def exponents_of(terms: list[Exponential]) -> list[Expr]:
    """Return the exponents that are not 0."""
    return [term.exponent for term in terms if term.exponent != 0]


def brackets_of(term: Exponential) -> list[Expr]:
    """Return the brackets in a coefficient."""
    return [factor for factor in Mul.make_args(term.coefficient) if isinstance(factor, Iverson)]


def has_logarithm(value: Expr) -> bool:
    """Say whether a value is a product of exponentials, positive numbers, and powers of sums of exponentials."""
    if isinstance(value, Mul):
        return all(map(has_logarithm, value.args))
    if isinstance(value, Pow):
        return bool(value.exp.is_number) and has_logarithm(value.base)
    if is_positive(value):
        return True
    if exponentials(value) is not None:
        return True
    inner = unfolded(value) if isinstance(value, (Indexed, Name)) else complement_of(value)
    return inner is not None and has_logarithm(inner)


def complement_of(value: Expr) -> Expr | None:
    """Return 1 − σ(z) as σ(−z), for what is a product of exponentials: exp(z) / (1 + exp(z)) is no difference."""
    if not isinstance(value, Add) or len(value.args) != 2 or value.args[0] != 1 or not has_logarithm(-value.args[1]):
        return None
    product = Factors()
    product.add(-value.args[1], sympy.S.One, unfold=True)
    ((base, power),) = [*product.sums.values()] if len(product.sums) == 1 else [(sympy.S.One, sympy.S.Zero)]
    argument = of_sigmoid(exponentials(base) or [])
    if power != -1 or Mul(*product.factors) != 1 or argument is None:
        return None
    return {sympy.S.Zero: exp(argument) / base, argument: 1 / base}.get(Add(*product.exponents.values()))


def _alike(value: Expr) -> Expr:
    """Return a value with the same letter for all indices of one range: entries of an array that look alike then."""
    letters = {index: Idx("_", size(index)) for index in value.atoms(Idx)}
    entries = {
        entry: entry.base[tuple(Idx("_", axis) for axis in entry.shape)]
        for entry in value.atoms(Indexed)
        if not entry.is_integer
    }
    return value.xreplace(entries).xreplace(letters)


def _times(exponent: Expr, like: Sequence[Expr] | None) -> Expr:
    """Return how many times an exponent is the largest of others `like` it, if none are given 1; 0 if it is unlike."""
    if like is None:
        return sympy.S.One
    terms, times = sympy.expand(_alike(exponent)).as_coefficients_dict(), [sympy.S.Zero]
    for other in like:
        # Of x[i] - x[j] nothing is left in letters that look alike.
        others = sympy.expand(_alike(other)).as_coefficients_dict().items()
        ratios = {terms[term] / number for term, number in others if number != 0}
        times += ratios if len(ratios) == 1 else []
    return max(times)


def degree_of(value: Expr, like: Sequence[Expr] | None = None) -> Expr:
    """Return how often exp(m), m the largest of exponents `like` some, is to be taken out of a factor.

    What is left then stays finite.
    """
    if isinstance(value, exp):
        return _times(value.args[0], like)
    if isinstance(value, Pow) and value.exp.is_number:
        return value.exp * degree_of(value.base, like)
    if isinstance(value, Mul):
        return Add(*(degree_of(part, like) for part in value.args))
    if isinstance(value, Add):
        return max(degree_of(part, like) for part in value.args)
    if isinstance(value, Sum):
        return degree_of(value.function, like)
    terms = exponentials(value) if isinstance(value, (Indexed, Name)) else None
    return max(_times(term.exponent, like) for term in terms) if terms else sympy.S.Zero


def as_power(factor: Expr) -> tuple[Expr, Expr]:
    """Return a base, and a number that is its exponent."""
    base, power = (factor, sympy.S.One) if isinstance(factor, exp) else factor.as_base_exp()
    return (base, power) if power.is_number else (factor, sympy.S.One)


def divisors_of(factors: Sequence[Expr]) -> list[Expr]:
    """Return the products of exponentials and of their sums that others are divided by."""
    return [base for base, power in map(as_power, factors) if power.is_negative and has_logarithm(base)]


def is_divided(product: Expr) -> bool:
    """Say whether a product is divided by exponentials, or by sums of them, and not by numbers alone."""
    return not all(map(is_positive, divisors_of(Mul.make_args(product))))


def is_to_be_multiplied_in(bracket: Expr) -> bool:
    """Say whether what terms are divided by may cancel with factors before the bracket, or some overflow alone.

    These are y / σ before dσ/dz, and the terms of 2 exp(2z) / (1 + exp(z)) − exp(z), a second derivative of σ(z).
    """
    divisors = [divisors_of(Mul.make_args(term)) for term in bracket.args]
    is_defined = any(exponentials(base) is None for bases in divisors for base in bases)
    may_overflow = [degree_of(term) > 0 for term, bases in zip(bracket.args, divisors, strict=True) if not bases]
    return is_defined or (len(may_overflow) < len(divisors) and any(may_overflow))


def of_sigmoid(terms: list[Exponential]) -> Expr | None:
    """Return z of 1 + exp(z)."""
    if len(terms) != 2 or any(term.coefficient != 1 or term.dummies for term in terms):
        return None
    exponents = {term.exponent for term in terms} - {sympy.S.Zero}
    return exponents.pop() if len(exponents) == 1 else None
