"""Words for the axes of symbolic arrays: exchanged, inserted, repeated, joined and split, as torch's do."""

from collections.abc import Iterable, Sequence
from typing import Any

import sympy
from sympy import Expr, Idx

from handgrad.symbolic.arrays import WORDS, Axis, SymbolicArray
from handgrad.symbolic.letters import size


def transpose(input: SymbolicArray, dim0: int, dim1: int) -> SymbolicArray:
    """Exchange two axes."""
    places = [*range(input.ndim)]
    one, other = input.place(dim0), input.place(dim1)
    places[one], places[other] = places[other], places[one]
    return permute(input, places)


def permute(input: SymbolicArray, *dims: Any) -> SymbolicArray:
    """Put the axes in another order."""
    input.named()
    places = [input.place(dim) for dim in spread(dims)]
    if sorted(places) != [*range(input.ndim)]:
        raise ValueError(f"permute{tuple(spread(dims))} names not each of {input.ndim} axes once")
    return input.with_axes(input.axes[place] for place in places)


def movedim(input: SymbolicArray, source: int, destination: int) -> SymbolicArray:
    """Put an axis in another place, the others keeping their order."""
    places = [place for place in range(input.ndim) if place != input.place(source)]
    places.insert(input.place(destination), input.place(source))
    return permute(input, places)


def t(input: SymbolicArray) -> SymbolicArray:
    """Return the matrix transposed."""
    return input.T


def unsqueeze(input: SymbolicArray, dim: int) -> SymbolicArray:
    """Insert an axis of size 1."""
    input.named()
    at = dim if dim >= 0 else input.ndim + 1 + dim
    return input.with_axes((*input.axes[:at], (), *input.axes[at:]))


def squeeze(input: SymbolicArray, dim: int) -> SymbolicArray:
    """Leave out an axis of size 1; ValueError on another, which torch would keep only where its size is not 1."""
    input.named()
    place = input.place(dim)
    if input.axes[place]:
        raise ValueError(f"squeeze({dim}): the axis has the size {input.shape[place]}, not 1")
    return input.with_axes((*input.axes[:place], *input.axes[place + 1 :]))


def expand(input: SymbolicArray, *sizes: Any) -> SymbolicArray:
    """Repeat what has size 1; -1 keeps an axis."""
    input.named()
    wanted = spread(sizes)
    old = ((),) * (len(wanted) - input.ndim) + input.axes
    axes = []
    for axis, extent in zip(old, wanted, strict=True):
        if not axis and extent not in (1, -1):
            axis = input.run.axis(sympy.sympify(extent))
        elif extent not in (-1, sympy.Mul(*map(size, axis))):
            raise ValueError(f"expand: an axis of {sympy.Mul(*map(size, axis))} is not repeated to {extent}")
        axes.append(axis)
    return input.with_axes(axes)


def reshape(input: SymbolicArray, *shape: Any) -> SymbolicArray:
    """Join axes and split such as are joined; ValueError on an axis that is not a product of the sizes wanted."""
    input.named()
    return input.with_axes(_partitioned(input.indices, [sympy.sympify(extent) for extent in spread(shape)]))


def flatten(input: SymbolicArray, start_dim: int = 0, end_dim: int = -1) -> SymbolicArray:
    """Join neighbouring axes."""
    input.named()
    start, end = input.place(start_dim), input.place(end_dim)
    joined = tuple(index for axis in input.axes[start : end + 1] for index in axis)
    return input.with_axes((*input.axes[:start], joined, *input.axes[end + 1 :]))


def unflatten(input: SymbolicArray, dim: int, sizes: Any) -> SymbolicArray:
    """Split a joined axis."""
    input.named()
    place = input.place(dim)
    split = _partitioned(input.axes[place], [sympy.sympify(extent) for extent in sizes])
    return input.with_axes((*input.axes[:place], *split, *input.axes[place + 1 :]))


def spread(given: Sequence[Any]) -> list[Any]:
    """Return sizes or places that are given one by one, or as one tuple."""
    return [*given[0]] if len(given) == 1 and isinstance(given[0], (tuple, list)) else [*given]


def _partitioned(indices: Sequence[Idx], sizes: Sequence[Expr]) -> list[Axis]:
    """Return the indices, in their order, on axes of the given sizes, one of which may be -1."""
    if -1 not in sizes:
        rest, axes = taken_from(indices, sizes)
    else:
        open_ = [*sizes].index(-1)
        rest, before = taken_from(indices, sizes[:open_])
        # The same from the right.
        left, after = taken_from(rest[::-1], sizes[:open_:-1])
        rest, axes = (), [*before, left[::-1], *(axis[::-1] for axis in after[::-1])]
    if rest:
        raise ValueError(f"axes of sizes {_written(indices)} have more entries than {_written_sizes(sizes)}")
    return axes


def taken_from(indices: Sequence[Idx], sizes: Iterable[Expr]) -> tuple[Axis, list[Axis]]:
    """Return the indices that are left, and those that make up each size; ValueError if none do."""
    rest, axes = tuple(indices), list[Axis]()
    for extent in sizes:
        count, product = 0, sympy.S.One
        while sympy.expand(product - extent) != 0:
            if count == len(rest):
                raise ValueError(
                    f"axes of sizes {_written(indices)} are not known to make one of {extent}: "
                    f"declare an axis that is split as the product that it is, {extent}*m"
                )
            product *= size(rest[count])
            count += 1
        axes.append(rest[:count])
        rest = rest[count:]
    return rest, axes


def _written(indices: Sequence[Idx]) -> str:
    return _written_sizes([size(index) for index in indices])


def _written_sizes(sizes: Iterable[Expr]) -> str:
    return ", ".join(map(str, sizes)) or "1"


_WORDS = (transpose, permute, movedim, t, unsqueeze, squeeze, expand, reshape, flatten, unflatten)
WORDS.update((word.__name__, word) for word in _WORDS)
WORDS.update(view=reshape, swapaxes=transpose, contiguous=lambda input: input)
