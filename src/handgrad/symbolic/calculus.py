"""Differentiation in index notation, by the chain rule over entries and sums."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import sympy
from sympy import Abs, Add, Dummy, Expr, Idx, Indexed, KroneckerDelta, Mul, Piecewise, Symbol, sign

from handgrad.symbolic.definitions import indices_of, label_of, unfolded
from handgrad.symbolic.formulas import Iverson, Name, Sum
from handgrad.symbolic.letters import fresh_copy, outermost, rename, symbols_beside_entries
from handgrad.symbolic.whole import OfArray


def differentiate(value: Expr, entry: Expr) -> Expr:
    """Return d(value)/d(entry), by the chain rule over the entries and sums that `value` is a function of.

    `entry` is an entry of an array, or a number: a symbol.
    """
    if entry.is_integer:
        kind = "an array of whole numbers" if indices_of(entry) else "whole"
        raise ValueError(f"{label_of(entry)} is {kind}: there is no derivative with respect to it")

    def derivative_of(part: Expr) -> Expr:
        if part == entry and isinstance(part, Symbol):
            return sympy.S.One
        if isinstance(part, Indexed) and isinstance(entry, Indexed) and part.base == entry.base:
            return Mul(*(KroneckerDelta(a, b) for a, b in zip(part.indices, entry.indices, strict=True)))
        inner = unfolded(part)
        return sympy.S.Zero if inner is None else differentiate(inner, entry)

    return _differentiated(value, derivative_of, [entry] if isinstance(entry, Symbol) else [], indices_of(entry))


def along(value: Expr, derivatives: Mapping[Any, Callable[[Expr], Expr]], taken: tuple[Idx, ...] = ()) -> Expr:
    """Return the derivative of a value, given those of the entries or numbers that are of the arrays or numbers named.

    All others are constant; no definition is put in another's place. `taken` are the indices that the derivatives have
    besides those of what they are of.
    """

    def derivative_of(part: Expr) -> Expr:
        base = part.base if isinstance(part, Indexed) else part
        return derivatives[base](part) if base in derivatives else sympy.S.Zero

    numbers = [number for number in symbols_beside_entries(value) if number in derivatives]
    return _differentiated(value, derivative_of, sorted(numbers, key=str), taken)


def _differentiated(
    value: Expr, derivative_of: Callable[[Expr], Expr], numbers: Sequence[Symbol], taken: tuple[Idx, ...]
) -> Expr:
    """Differentiate a value, given the derivative of each entry and number in it; those have the indices `taken`."""
    if isinstance(value, Sum):
        clash = {index: fresh_copy(index) for index, *_ in value.limits if index in taken}
        function = rename(value.function, clash) if clash else value.function
        inner = _differentiated(function, derivative_of, numbers, taken)
        return Sum(inner, *(clash.get(index, index) for index, *_ in value.limits))
    if isinstance(value, OfArray):
        return value.differentiated(derivative_of)
    parts = list(dict.fromkeys([*outermost(value, (Indexed, Sum, Name, OfArray)), *numbers]))
    if value in parts:
        return derivative_of(value)
    scalars = {part: Dummy(real=True) for part in parts}
    back = {scalar: part for part, scalar in scalars.items()}
    terms = _terms_with(back, value.xreplace(scalars))
    derivatives = []
    for part, scalar in scalars.items():
        inner = _differentiated(part, derivative_of, numbers, taken)
        slope = _as_product(scalar_derivative(Add(*terms[scalar]), scalar)) if inner != 0 else sympy.S.Zero
        if slope.has(sympy.Derivative, sympy.Subs):
            raise ValueError(f"{value}: sympy cannot differentiate this with respect to {part}")
        # One product of all factors: sympy multiplies a lone number into a sum.
        derivatives.append(Mul(*(f.xreplace(back) for f in Mul.make_args(slope)), *Mul.make_args(inner)))
    return Add(*derivatives)


def _terms_with(scalars: Iterable[Symbol], value: Expr) -> dict[Symbol, list[Expr]]:
    """Return for each scalar the terms of a sum that it is in: the slopes of the others by it are 0."""
    terms: dict[Symbol, list[Expr]] = {scalar: [] for scalar in scalars}
    for term in Add.make_args(value):
        for scalar in term.free_symbols & terms.keys():
            terms[scalar].append(term)
    return terms


def _as_product(value: Expr) -> Expr:
    """Write cases as sums of products with brackets, and factor out what a sum's terms share."""
    cases = value.replace(lambda part: isinstance(part, Piecewise), with_brackets)
    return sympy.factor_terms(cases).replace(lambda part: isinstance(part, Mul), _with_joined_powers)


def _with_joined_powers(product: Expr) -> Expr:
    """Write x^t / x, as sympy differentiates, as x^(t − 1): it is defined where x is 0."""
    powers = [factor.as_base_exp() for factor in product.args if not isinstance(factor, sympy.exp)]
    bases = {base for base, power in powers if not power.is_number}
    whole = {base: Add(*(power for other, power in powers if other == base)) for base in bases}
    rest = (factor for factor in product.args if isinstance(factor, sympy.exp) or factor.as_base_exp()[0] not in bases)
    return Mul(*rest, *(base**power for base, power in whole.items())) if bases else product


class _RealAbs(sympy.Function):  # type: ignore[misc]
    """An absolute value of what is real where it has a value: of Abs(sqrt(x)), sympy's derivative has complex parts."""

    is_real = True

    def fdiff(self, _: int = 1) -> Expr:
        return sign(self.args[0])


class _RealSign(sympy.Function):  # type: ignore[misc]
    """A sign whose derivative is 0, as that of a bracket is: what it has at a jump alone is left out."""

    is_real = True

    def fdiff(self, _: int = 1) -> Expr:
        return sympy.S.Zero


def scalar_derivative(value: Expr, scalar: Symbol) -> Expr:
    """Return sympy's derivative of a real function of real numbers, as it is almost everywhere."""
    derivative = value.replace(Abs, _RealAbs).replace(sign, _RealSign).diff(scalar)
    return derivative.replace(_RealAbs, Abs).replace(_RealSign, sign)


def with_brackets(cases: Piecewise) -> Expr:
    """Write cases as a sum of products with brackets."""
    terms, others = [], sympy.true
    for branch, condition in cases.args:
        terms.append(branch * Iverson(sympy.And(others, condition)))
        others = sympy.And(others, sympy.Not(condition))
    return Add(*terms)
