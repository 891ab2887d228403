"""Formulas as sums of products: Kronecker deltas contracted, and equal ones found equal."""

from functools import cache, reduce
from itertools import chain, groupby, permutations, product
from math import comb, factorial, prod
from typing import Any, NamedTuple

import sympy
from sympy import Add, Dummy, Expr, Idx, Indexed, KroneckerDelta, Mul

from handgrad.symbolic.formulas import Sum
from handgrad.symbolic.letters import free_indices, fresh_copy, freshened, letters_in, rename, size


class Term(NamedTuple):
    """A product of factors, summed over the range of each index in `dummies`."""

    factors: tuple[Expr, ...]
    dummies: tuple[Idx, ...]


# More terms, or orders of letters, than these are not compared: it would take long, and the formula is right without.
_MANY = 500


def terms(value: Expr) -> list["Term"]:
    """Write `value` as a sum of terms: products and sums are expanded as far as sums and deltas stand in them."""
    if isinstance(value, Sum):
        summed = tuple(index for index, *_ in value.limits)
        return [Term(factors, dummies + summed) for factors, dummies in terms(value.function)]
    if isinstance(value, Add) and _is_to_be_expanded(value):
        return [term for part in value.args for term in terms(part)]
    if isinstance(value, Mul):
        factors = [terms(factor) for factor in value.args]
        if prod(map(len, factors)) > _MANY:
            pairs = zip(value.args, factors, strict=True)
            factors = [parts if factor.has(KroneckerDelta) else [Term((factor,), ())] for factor, parts in pairs]
        return [reduce(_times, combination) for combination in product(*factors)]
    return [Term((value,), ())]


def _is_to_be_expanded(value: Expr) -> bool:
    """Say whether a sum or a delta is a term, or a factor of one; inside of functions they stay where they are."""
    return isinstance(value, (Sum, KroneckerDelta)) or (
        isinstance(value, (Add, Mul)) and any(map(_is_to_be_expanded, value.args))
    )


def _times(left: Term, right: Term) -> Term:
    right = _renamed(right, left)
    left = _renamed(left, right)
    return Term(left.factors + right.factors, left.dummies + right.dummies)


def _renamed(term: Term, other: Term) -> Term:
    """Rename the dummies of `term` that mean something else in `other`."""
    taken = {*other.dummies}.union(*map(letters_in, other.factors)) & {*term.dummies}
    renaming = {index: fresh_copy(index) for index in taken}
    return Term(
        tuple(rename(factor, renaming) for factor in term.factors),
        tuple(renaming.get(index, index) for index in term.dummies),
    )


def _select(term: Term) -> Term:
    for delta in term.factors:
        if isinstance(delta, KroneckerDelta):
            for old, new in (delta.args, delta.args[::-1]):
                if old in term.dummies and _is_among(new, old):
                    rest = (factor for factor in term.factors if factor is not delta)
                    return _select(
                        Term(
                            tuple(rename(factor, {old: new}) for factor in rest),
                            tuple(index for index in term.dummies if index != old),
                        )
                    )
    return term


def _is_among(place: Expr, index: Idx) -> bool:
    """Say whether an index, or a number, is one of those that an index runs over, whatever the sizes are."""
    if isinstance(place, Idx):
        return bool(size(place) == size(index))
    return bool(place.is_Integer and size(index).is_Integer and 0 <= place < size(index))


def _selected(value: Expr) -> list["Term"]:
    return [_select(term) for term in terms(value)]


def rebuilt(term: Term) -> Expr:
    """Return a term as an expression: what is not summed over stands before the sum."""
    bound = {*term.dummies}
    outer = Mul(*(factor for factor in term.factors if not free_indices(factor) & bound))
    inner = Mul(*(factor for factor in term.factors if free_indices(factor) & bound))
    summed = [index for index in term.dummies if index in free_indices(inner)]
    repeats = Mul(*(size(index) for index in term.dummies if index not in summed))
    return outer * repeats * Sum(inner, *summed)


def contract(value: Expr) -> Expr:
    """Return `value` as a sum of products, with each delta over a summed index replaced by what it selects."""
    merged: dict[Expr, list[Expr]] = {}
    parts = [*map(rebuilt, _selected(value))]
    if len(parts) == 1:
        return parts[0]
    for part in parts:
        coefficient, rest = part.as_coeff_Mul()
        merged.setdefault(canonical(rest), [rest]).append(coefficient)
    return Add(*(Mul(Add(*coefficients), rest) for rest, *coefficients in merged.values()))


def canonical(value: Expr, depth: int = 0) -> Expr:
    """Return `value` with products expanded, sums split and letters renamed.

    Equal objects are equal values. Values that differ by these rules alone are equal objects, but for some in which a
    sum stands inside of a function in another sum, and some of very many terms or orders of letters.
    """
    parts = []
    value = value.replace(_is_power_of_sum, lambda power: Mul(*(freshened(power.base) for _ in range(power.exp))))
    for factors, dummies in _selected(value):
        for summand in Add.make_args(_expanded(Mul(*(_canonical_inside(factor, depth) for factor in factors)))):
            alike = _alike(summand, [dummy for dummy in dummies if dummy in free_indices(summand)])
            used = [*chain.from_iterable(alike)]
            names = [_canonical_index(depth, place, size(dummy)) for place, dummy in enumerate(used)]
            many = prod(factorial(len(group)) for group in alike) > _MANY
            orders = [alike] if many else product(*map(permutations, alike))
            renamed = (rename(summand, dict(zip(chain(*order), names, strict=True))) for order in orders)
            first = min(renamed, key=sympy.default_sort_key)
            parts.append(Sum(first, *names) * Mul(*(size(dummy) for dummy in dummies if dummy not in used)))
    return _expanded(Add(*parts))


@cache
def _canonical_index(depth: int, place: int, extent: Expr) -> Idx:
    return Idx(Dummy(f"_{depth}{place}", integer=True), extent)


def _expanded(value: Expr) -> Expr:
    return sympy.expand(value) if _count_terms(value) <= _MANY else value


def _count_terms(value: Expr) -> int:
    """Return how many terms an expression has at most, or one inside of it, when products are expanded, if not many."""
    if isinstance(value, Indexed) or not value.args:
        return 1
    counts = [_count_terms(part) for part in value.args]
    if isinstance(value, sympy.Pow):
        power = abs(int(value.exp.as_coeff_Add()[0]))
        counts.append(comb(counts[0] + power - 1, power))
    kind = sum if isinstance(value, Add) else prod if isinstance(value, Mul) else max
    return min(kind(counts), _MANY + 1)


def _alike(summand: Expr, dummies: list[Idx]) -> list[list[Idx]]:
    """Return groups of dummies of one size that stand in the same places of a summand, in an order of their own."""

    def places(dummy: Idx) -> Any:
        others = {other: _canonical_index(-1, 0, size(other)) for other in dummies}
        marked = rename(summand, others | {dummy: _canonical_index(-1, 1, size(dummy))})
        return sympy.default_sort_key(size(dummy)), sympy.default_sort_key(marked)

    if len(dummies) < 2:
        return [dummies]
    keys = {dummy: places(dummy) for dummy in dummies}
    return [[*group] for _, group in groupby(sorted(dummies, key=keys.__getitem__), key=keys.__getitem__)]


def _is_power_of_sum(value: Expr) -> bool:
    return isinstance(value, sympy.Pow) and isinstance(value.base, Sum) and value.exp.is_Integer and 1 < value.exp < 8


def _canonical_inside(value: Expr, depth: int) -> Expr:
    if isinstance(value, Sum):
        return canonical(value, depth + 1)
    return value.func(*(_canonical_inside(part, depth) for part in value.args)) if value.has(Sum) else value
