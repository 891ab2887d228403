"""Words for what is computed from a whole array: inverses, determinants, the largest of a row."""

from typing import NamedTuple

from sympy import Idx, Indexed

from handgrad.symbolic.arrays import WORDS, SymbolicArray, broadcast
from handgrad.symbolic.whole import DeterminantOf, InverseOf, LogDeterminantOf, MaximumOf, OfArray


def inv(A: SymbolicArray) -> SymbolicArray:
    """Return the inverse of each square matrix."""
    own = _square(A, "inv")
    return SymbolicArray(own.run, own.axes, InverseOf.of(own.value))


def det(A: SymbolicArray) -> SymbolicArray:
    """Return the determinant of each square matrix; its derivative is derived where the matrix has an inverse."""
    return _reduced(_square(A, "det"), DeterminantOf)


def logdet(input: SymbolicArray) -> SymbolicArray:
    """Return the logarithm of the determinant of each square matrix; NaN where that is negative, as torch's."""
    return _reduced(_square(input, "logdet"), LogDeterminantOf)


def solve(A: SymbolicArray, B: SymbolicArray) -> SymbolicArray:
    """Return A⁻¹ B, of matrices."""
    if A.ndim != B.ndim:
        raise ValueError(f"solve of arrays with {A.ndim} and {B.ndim} axes: write inv(A) @ b of a vector")
    return inv(A).named("B") @ B


def amax(input: SymbolicArray, dim: int, keepdim: bool = False) -> SymbolicArray:
    """Return the largest entries along an axis; where several are, the gradient is spread evenly over these."""
    if not isinstance(dim, int):
        raise ValueError(f"amax over dim={dim!r} cannot be traced: take one axis after the other")
    place = input.named("X").place(dim)
    last = input.with_axes((*input.axes[:place], *input.axes[place + 1 :], input.axes[place]))
    if len(last.axes[-1]) != 1:
        raise ValueError("amax of an axis that is joined, or of size 1, cannot be traced")
    found = _reduced(_defined(last), MaximumOf)
    return found.unsqueeze(place) if keepdim else found


def amin(input: SymbolicArray, dim: int, keepdim: bool = False) -> SymbolicArray:
    """Return the smallest entries along an axis, with gradients as `amax` has."""
    return -amax(-input, dim, keepdim)


class Extremes(NamedTuple):
    """What torch's max and min along an axis return; the places cannot be traced."""

    values: SymbolicArray
    indices: None = None


def max(input: SymbolicArray, dim: int | SymbolicArray, keepdim: bool = False) -> SymbolicArray | Extremes:
    """Return the largest along an axis as `values`; where several are, the gradient is spread, as `amax` does.

    Torch gives it to one of these. Of two arrays it is their `maximum`.
    """
    if isinstance(dim, SymbolicArray):
        return WORDS["maximum"](input, dim)  # type: ignore[no-any-return]
    return Extremes(amax(input, dim, keepdim))


def min(input: SymbolicArray, dim: int | SymbolicArray, keepdim: bool = False) -> SymbolicArray | Extremes:
    """Return the smallest along an axis as `values`, or of two arrays their `minimum`: see `max`."""
    if isinstance(dim, SymbolicArray):
        return WORDS["minimum"](input, dim)  # type: ignore[no-any-return]
    return Extremes(amin(input, dim, keepdim))


def _square(given: SymbolicArray, word: str) -> SymbolicArray:
    """Return an array whose value is a plain entry; ValueError if its last two axes are not those of a square."""
    if given.ndim < 2 or any(len(axis) != 1 for axis in given.axes[-2:]) or given.shape[-1] != given.shape[-2]:
        raise ValueError(f"{word} of shape {given.shape}: the last two axes are to be equal, plain, and not of size 1")
    broadcast([given.axes[-1:], given.named("A").axes[-2:-1]])
    return _defined(given)


def _defined(given: SymbolicArray) -> SymbolicArray:
    """Return an array whose value is an entry at its own indices, in their order."""
    own = given.fresh()
    if not isinstance(own.value, Indexed) or own.value.indices != own.indices:
        own.define("A")
    assert all(isinstance(index, Idx) for index in own.value.indices)
    return own


def _reduced(own: SymbolicArray, kind: type[OfArray]) -> SymbolicArray:
    return SymbolicArray(own.run, own.axes[: -kind.without], kind.of(own.value))


_WORDS = (inv, det, logdet, solve, amax, amin, max, min)
WORDS.update((word.__name__, word) for word in _WORDS)
WORDS.update(inverse=inv)
