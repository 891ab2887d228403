"""Arrays in index notation with symbolic sizes: defined entry by entry, differentiated, contracted, compared.

An index carries its range, `Idx("i", n)`: a sum needs no limits, and contracting a Kronecker delta over the whole range
of an index needs no case for a value out of range.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, reduce
from itertools import permutations, product
from typing import Any, NamedTuple

import sympy
from sympy import Add, Dummy, Expr, Idx, Indexed, IndexedBase, KroneckerDelta, Mul, Piecewise, Sum, Symbol


def sizes(names: str) -> tuple[Symbol, ...]:
    """Return symbolic sizes, one for each of the space-separated `names`."""
    return tuple(Symbol(name, integer=True, positive=True) for name in names.split())


def array(name: str, *shape: Symbol) -> Any:
    """Return a real array, to be indexed as `X[i, j]`; without a shape, a real number."""
    return IndexedBase(name, shape=shape, real=True) if shape else Symbol(name, real=True)


class Iverson(sympy.Function):  # type: ignore[misc]
    """[condition]: 1 where it holds, else 0. Its derivative is 0, at the jump by convention."""

    is_real = True

    @classmethod
    def eval(cls, condition: Any) -> Expr | None:
        """Return the number where the condition is decided."""
        return {sympy.true: sympy.S.One, sympy.false: sympy.S.Zero}.get(condition)

    def _eval_derivative(self, _: Any) -> Expr:
        return sympy.S.Zero

    def _eval_rewrite_as_Piecewise(self, condition: Any, **_: Any) -> Expr:
        return Piecewise((1, condition), (0, True))


@dataclass(frozen=True)
class Definition:
    """An array given entry by entry: name[indices] = value for all indices in their ranges."""

    name: str
    indices: tuple[Idx, ...]
    value: Expr

    @property
    def entry(self) -> Expr:
        """The left-hand side, name[indices]."""
        base = array(self.name, *map(size, self.indices))
        return base[self.indices] if self.indices else base


def define(name: str, value: Expr, *indices: Idx) -> Definition:
    """Define name[indices] = value.

    ValueError if an index is free, is used on an axis of another size, or means two things: an index of `name`, or of a
    sum, cannot be summed over again inside.
    """
    value = sympy.sympify(value)
    for entry in value.atoms(Indexed):
        require_fitting(entry)
    _require_distinct(value, {*indices})
    if free := free_indices(value) - {*indices}:
        raise ValueError(f"{value}: index {min(map(str, free))} is neither summed over nor an index of {name}")
    return Definition(name, indices, value)


def require_fitting(entry: Indexed) -> None:
    """Raise ValueError unless each index of an entry runs over its axis."""
    for index, axis in zip(entry.indices, entry.shape, strict=True):
        if not isinstance(index, Idx):
            raise ValueError(f"{entry}: {index} is no index; make one with Idx(name, {axis})")
        if size(index) != axis:
            raise ValueError(f"{entry}: index {index} runs over {size(index)} values, the axis has {axis}")


def _require_distinct(value: Expr, bound: set[Idx]) -> None:
    if isinstance(value, Sum):
        summed = [index for index, *_ in value.limits]
        if twice := [index for index in summed if index in bound or summed.count(index) > 1]:
            raise ValueError(f"{value}: index {twice[0]} already has a meaning here; sum over another letter")
        bound = bound | {*summed}
        value = value.function
    for part in value.args:
        _require_distinct(part, bound)


# Differentiation and contraction


def differentiate(value: Expr, entry: Indexed) -> Expr:
    """Return d(value)/d(entry), by the chain rule over the entries and sums that `value` is a function of."""
    if isinstance(value, Sum):
        if clash := {index for index, *_ in value.limits} & {*entry.indices}:
            raise ValueError(f"{entry}: index {min(map(str, clash))} is summed over in {value}; choose another letter")
        inner = differentiate(value.function, entry)
        return Sum(inner, *value.limits) if inner != 0 else inner
    if isinstance(value, Indexed):
        if value.base != entry.base:
            return sympy.S.Zero
        return Mul(*(KroneckerDelta(a, b) for a, b in zip(value.indices, entry.indices, strict=True)))
    parts = outermost(value, (Indexed, Sum))
    scalars = {part: Dummy(real=True) for part in parts}
    back = {scalar: part for part, scalar in scalars.items()}
    scalar_value = value.xreplace(scalars)
    derivatives = []
    for part in parts:
        slope = Mul.make_args(_as_product(scalar_value.diff(scalars[part])))
        # One product of all factors: sympy multiplies a lone number into a sum.
        derivatives.append(Mul(*(f.xreplace(back) for f in slope), *Mul.make_args(differentiate(part, entry))))
    return Add(*derivatives)


def contract(value: Expr) -> Expr:
    """Return `value` as a sum of products, with each delta over a summed index replaced by what it selects."""
    return Add(*(_rebuild(_select(term)) for term in terms(value)))


def canonical(value: Expr) -> Expr:
    """Return `contract(value)` with the summed indices renamed so that equal sums of products are equal objects."""
    renamed = []
    for factors, dummies in terms(contract(value)):
        by_size = sorted(dummies, key=lambda dummy: sympy.default_sort_key(size(dummy)))
        names = [_canonical(place, size(dummy)) for place, dummy in enumerate(by_size)]
        renamings = (dict(zip(order, names, strict=True)) for order in permutations(dummies))
        fitting = (renaming for renaming in renamings if all(size(old) == size(new) for old, new in renaming.items()))
        products = [rename(Mul(*factors), renaming) for renaming in fitting]
        renamed.append(_sum(min(products, key=sympy.default_sort_key), names))
    return sympy.expand(Add(*renamed))


def terms(value: Expr) -> list["Term"]:
    """Write `value` as a sum of terms: products and sums are expanded as far as sums and deltas stand in them."""
    if isinstance(value, Sum):
        summed = tuple(index for index, *_ in value.limits)
        return [Term(factors, dummies + summed) for factors, dummies in terms(value.function)]
    if isinstance(value, Add) and value.has(Sum, KroneckerDelta):
        return [term for part in value.args for term in terms(part)]
    if isinstance(value, Mul):
        return [reduce(_times, combination) for combination in product(*map(terms, value.args))]
    return [Term((value,), ())]


class Term(NamedTuple):
    """A product of factors, summed over the range of each index in `dummies`."""

    factors: tuple[Expr, ...]
    dummies: tuple[Idx, ...]


def size(index: Idx) -> Expr:
    """Return the number of values that `index` takes."""
    return index.upper - index.lower + 1


def free_indices(value: Expr) -> set[Idx]:
    """Return the indices in `value` that no sum binds."""
    if isinstance(value, Sum):
        return free_indices(value.function) - {index for index, *_ in value.limits}
    if isinstance(value, Idx):
        return {value}
    return set().union(*map(free_indices, value.args))


@cache
def _canonical(place: int, extent: Expr) -> Idx:
    return Idx(Dummy(f"_{place}", integer=True), extent)


def _fresh(index: Idx) -> Idx:
    return Idx(Dummy(str(index.label), integer=True), size(index))


def _as_product(value: Expr) -> Expr:
    """Factor out what a sum's terms share, and write cases as a sum of products with brackets."""
    if isinstance(value, Piecewise):
        cases, others = [], sympy.true
        for branch, condition in value.args:
            cases.append(branch * Iverson(sympy.And(others, condition)))
            others = sympy.And(others, sympy.Not(condition))
        return Add(*cases)
    return sympy.factor_terms(value)


def rename(value: Expr, names: Mapping[Idx, Any]) -> Expr:
    """Put other indices, or numbers, for free indices of `value`; a sum that would catch one is renamed."""
    if isinstance(value, Sum):
        summed = [index for index, *_ in value.limits]
        fresh = {index: _fresh(index) for index in summed if index in names.values()}
        function = rename(value.function, fresh) if fresh else value.function
        free = {old: new for old, new in names.items() if old not in summed}
        return Sum(rename(function, free), *(fresh.get(index, index) for index in summed))
    if value.has(Sum):
        return value.func(*(rename(part, names) for part in value.args))
    return value.xreplace(dict(names))


def outermost(value: Expr, kinds: tuple[type, ...]) -> list[Expr]:
    """Return the parts of `value` of the given kinds that stand in no other such part."""
    if isinstance(value, kinds):
        return [value]
    return list(dict.fromkeys(part for argument in value.args for part in outermost(argument, kinds)))


def _times(left: Term, right: Term) -> Term:
    right = _renamed(right, left)
    left = _renamed(left, right)
    return Term(left.factors + right.factors, left.dummies + right.dummies)


def _renamed(term: Term, other: Term) -> Term:
    """Rename the dummies of `term` that mean something else in `other`."""
    taken = {*other.dummies}.union(*map(free_indices, other.factors)) & {*term.dummies}
    renaming = {index: _fresh(index) for index in taken}
    return Term(
        tuple(rename(factor, renaming) for factor in term.factors),
        tuple(renaming.get(index, index) for index in term.dummies),
    )


def _select(term: Term) -> Term:
    for delta in term.factors:
        if isinstance(delta, KroneckerDelta):
            for old, new in (delta.args, delta.args[::-1]):
                if old in term.dummies and size(old) == size(new):
                    rest = (factor for factor in term.factors if factor is not delta)
                    return _select(
                        Term(
                            tuple(rename(factor, {old: new}) for factor in rest),
                            tuple(index for index in term.dummies if index != old),
                        )
                    )
    return term


def _rebuild(term: Term) -> Expr:
    bound = {*term.dummies}
    outer = Mul(*(factor for factor in term.factors if not free_indices(factor) & bound))
    inner = Mul(*(factor for factor in term.factors if free_indices(factor) & bound))
    kept = [index for index in term.dummies if index in free_indices(inner)]
    repeats = Mul(*(size(index) for index in term.dummies if index not in kept))
    return outer * repeats * _sum(inner, kept)


def _sum(value: Expr, indices: list[Idx]) -> Expr:
    return Sum(value, *indices) if indices else value
