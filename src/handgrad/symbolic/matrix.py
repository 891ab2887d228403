"""Reading a matrix expression off an index expression, with the proof that both are the same."""

from dataclasses import dataclass
from typing import Any

from sympy import Add, Expr, Idx, Indexed, KroneckerDelta, Mul, Pow, S, Sum
from sympy.logic.boolalg import Boolean

from handgrad.symbolic.calculus import Definition, Iverson, canonical, free_indices, size, terms
from handgrad.symbolic.notation import entrywise, joined, latex, scaled


def matrix_form(definition: Definition) -> str | None:
    """Return LaTeX of a matrix expression equal to a defined vector or matrix, or None where there is none.

    A sum of products is read as matrix products, transposes and products with ones; the entries of what was read are
    expanded to index notation again and compared, so a wrong reading is refused. A vector counts as a row. A sum of
    products of entries that all stand at the defined place is written without indices, ⊙ being the entrywise product.
    """
    if not 1 <= len(definition.indices) <= 2:
        return None
    if _is_entrywise(definition):
        return entrywise(definition.value, definition.indices)
    if any(len(entry.indices) > 2 for entry in definition.value.atoms(Indexed)):
        return None
    row, column = (None, *definition.indices) if len(definition.indices) == 1 else definition.indices
    readings = [_read(factors, row, column) for factors, _ in terms(definition.value)]
    if not all(chain and not free_indices(scalar) for scalar, chain in readings):
        return None
    readings.sort(key=lambda reading: any(factor.base is None for factor in reading[1]))
    entries = Add(*(scalar * _entry(chain, row, column) for scalar, chain in readings))
    if canonical(entries) != canonical(definition.value):
        return None
    return joined([scaled(scalar, " ".join(factor.latex for factor in chain)) for scalar, chain in readings])


def _is_entrywise(definition: Definition) -> bool:
    """Say whether the value is made of entries at the defined place by sums, products, powers, numbers and brackets."""

    def fits(value: Expr) -> bool:
        if not value.has(Indexed):
            return not free_indices(value)
        if isinstance(value, Indexed):
            return len(value.indices) == len(definition.indices) and {*value.indices} == {*definition.indices}
        if isinstance(value, Add):
            return all(fits(term) and term.has(Indexed) for term in value.args)
        if isinstance(value, Pow):
            return fits(value.base) and value.exp.is_number
        return isinstance(value, (Mul, Iverson, Boolean)) and all(map(fits, value.args))

    value = definition.value
    return bool(value.has(Indexed)) and not value.has(KroneckerDelta, Sum) and fits(value)


@dataclass(frozen=True)
class _Factor:
    """A factor of a matrix product: an array (a vector is a row), or ones where `base` is None; maybe transposed."""

    base: Any
    transposed: bool
    inner: Idx | None  # the index that the next factor starts with; None is the only index of an axis of size 1

    @property
    def latex(self) -> str:
        return ("\\mathbf{1}" if self.base is None else latex(self.base.label)) + "^{\\mathsf{T}}" * self.transposed

    def entry(self, row: Idx | None, column: Idx | None) -> Expr:
        if self.base is None:
            return S.One
        indices = (column, row) if self.transposed else (row, column)
        return self.base[tuple(index for index in indices if index is not None)]


def _read(factors: tuple[Expr, ...], row: Idx | None, column: Idx | None) -> tuple[Expr, list[_Factor]]:
    """Follow the indices from row to column through the factors; an empty chain if that does not use each once."""
    scalar = Mul(*(factor for factor in factors if not factor.has(Indexed)))
    rest = [factor for factor in factors if factor.has(Indexed)]
    chain: list[_Factor] = []
    at = row
    while rest:
        following = next((f for f in rest if isinstance(f, Indexed) and at in _ends(f)), None)
        if following is None:
            # No factor starts here: a sum over this axis, or a repetition along it, is a product with ones.
            start = None if at is not None else next((f.indices[0] for f in rest if isinstance(f, Indexed)), None)
            if chain and chain[-1].base is None:
                return scalar, []
            chain.append(_Factor(None, transposed=at is None, inner=start))
            at = start
            continue
        rest.remove(following)
        left, right = _ends(following)
        transposed = left != at
        at = left if transposed else right
        chain.append(_Factor(following.base, transposed, at))
    if at != column:
        chain.append(_Factor(None, transposed=at is None, inner=column))
    return scalar, chain


def _ends(value: Indexed) -> tuple[Idx | None, ...]:
    return (None, *value.indices) if len(value.indices) == 1 else tuple(value.indices)


def _entry(chain: list[_Factor], row: Idx | None, column: Idx | None) -> Expr:
    """Expand the (row, column) entry of the product, by the definition of the matrix product."""
    dummies = [factor.inner and Idx(f"_m{place}", size(factor.inner)) for place, factor in enumerate(chain[:-1])]
    stops = [row, *dummies, column]
    product = Mul(*(factor.entry(a, b) for factor, a, b in zip(chain, stops[:-1], stops[1:], strict=True)))
    summed = [dummy for dummy in dummies if dummy is not None]
    return Sum(product, *summed) if summed else product
