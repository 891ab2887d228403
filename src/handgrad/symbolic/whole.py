"""Functions of whole arrays, with a rule for each: the inverse of a matrix, its determinant, the largest of a row.

`InverseOf(A[b, i, j])` is the entry at i, j of the inverse of A[b]. A function that leaves no index of its last axes
has 0 there: `DeterminantOf(A[b, 0, 0])`. Each is of an array that is given or defined, with plain indices before.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import sympy
from sympy import Expr, Indexed, Integer

from handgrad.symbolic.formulas import Iverson, Sum
from handgrad.symbolic.letters import fresh_copy

Derivative = Callable[[Expr], Expr]
"""The derivative of an entry."""


class OfArray(sympy.Function):  # type: ignore[misc]
    """A function of a whole array, or of each of a stack."""

    is_real = True
    code: ClassVar[str]
    """Its code, of the array's."""
    without: ClassVar[int] = 0
    """On how many of the last axes it has no index."""

    @classmethod
    def of(cls, entry: Indexed) -> Expr:
        """Return the function of an array, given one of its entries with an index for each axis."""
        kept = len(entry.indices) - cls.without
        return cls(entry.base[(*entry.indices[:kept], *[Integer(0)] * cls.without)])

    @property
    def indices(self) -> tuple[Expr, ...]:
        """The indices that it has."""
        indices = tuple(self.args[0].indices)
        return indices[: len(indices) - self.without]

    def differentiated(self, derivative_of: Derivative) -> Expr:
        """Return its derivative, given those of the array's entries."""
        raise NotImplementedError


class InverseOf(OfArray):
    """The inverse of a matrix: its rule follows from the product rule, as the matrix times it is constant."""

    code = "torch.inverse({})"

    def differentiated(self, derivative_of: Derivative) -> Expr:
        """Return −A⁻¹ dA A⁻¹."""
        base, (*stack, i, j) = self.args[0].base, self.indices
        k, m = _letters(base)
        inner = derivative_of(base[(*stack, k, m)])
        return Sum(-InverseOf(base[(*stack, i, k)]) * InverseOf(base[(*stack, m, j)]) * inner, k, m)


class LogDeterminantOf(OfArray):
    """The logarithm of a determinant, derived by Jacobi's formula."""

    code, without = "torch.logdet({})", 2

    def differentiated(self, derivative_of: Derivative) -> Expr:
        """Return tr(A⁻¹ dA)."""
        base, stack = self.args[0].base, self.indices
        k, m = _letters(base)
        return Sum(InverseOf(base[(*stack, m, k)]) * derivative_of(base[(*stack, k, m)]), k, m)


class DeterminantOf(OfArray):
    """A determinant, derived by Jacobi's formula where the matrix has an inverse."""

    code, without = "torch.det({})", 2

    def differentiated(self, derivative_of: Derivative) -> Expr:
        """Return det A tr(A⁻¹ dA)."""
        return sympy.Mul(self, LogDeterminantOf(self.args[0]).differentiated(derivative_of))


class MaximumOf(OfArray):
    """The largest entry along the last axis; its derivative, where several are, is spread evenly over these."""

    code, without = "{}.amax(-1)", 1

    def differentiated(self, derivative_of: Derivative) -> Expr:
        """Return the mean over those that are largest."""
        base, stack = self.args[0].base, self.indices
        (k,), (m,) = _letters(base, 1), _letters(base, 1)
        is_largest, others = (Iverson(sympy.Eq(base[(*stack, index)], self)) for index in (k, m))
        return Sum(is_largest * derivative_of(base[(*stack, k)]), k) / Sum(others, m)


def _letters(base: Any, count: int = 2) -> list[sympy.Idx]:
    """Return new indices over the last axes of an array."""
    return [fresh_copy(sympy.Idx(letter, extent)) for letter, extent in zip("kl", base.shape[-count:], strict=False)]
