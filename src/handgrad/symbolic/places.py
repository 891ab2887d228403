"""Words that choose among the entries of symbolic arrays, by places, slices and look-ups, or put arrays together."""

from collections.abc import Sequence
from typing import Any

import sympy
from sympy import Expr, Idx, Integer, KroneckerDelta

from handgrad.symbolic.arrays import WORDS, Axis, SymbolicArray, aligned, broadcast, fresh_axes
from handgrad.symbolic.axes import flatten, taken_from
from handgrad.symbolic.formulas import Iverson, Sum
from handgrad.symbolic.letters import rename, size
from handgrad.symbolic.masks import with_infinite


def taken(input: SymbolicArray, where: tuple[Any, ...]) -> SymbolicArray:
    """Return entries: `:` and `...` keep axes, `None` inserts one, numbers and slices take places of theirs.

    Arrays of whole numbers choose from the axis that their numbers count.
    """
    own = input.named("X").fresh()
    items = _in_full(where, own.ndim)
    chosen = [item.named() for item in items if isinstance(item, SymbolicArray)]
    common = broadcast([item.axes for item in chosen]) if chosen else ()
    old, axes, found = iter(own.axes), list[Axis](), _Places(own)
    for item in items:
        axis = () if item is None else next(old)
        if isinstance(item, SymbolicArray):
            axes += common if item is chosen[0] else ()
            found.names[looked_up(item, axis)] = aligned(item, common)
        elif item is None or item == slice(None):
            axes.append(axis)
        elif isinstance(item, slice):
            axes.append(found.sliced(axis, item))
        elif isinstance(item, (int, Expr)) and not isinstance(item, bool):
            found.number(axis, sympy.sympify(item))
        else:
            raise ValueError(
                f"[{item!r}] cannot be traced: take places by numbers, slices, and arrays of whole numbers"
            )
    return SymbolicArray(own.run, tuple(axes), found.value(), own.below)


class _Places:
    """The places that are taken on the axes of an array."""

    def __init__(self, own: SymbolicArray) -> None:
        self.own, self.names, self.selected = own, dict[Idx, Expr](), dict[Idx, Expr]()

    def value(self) -> Expr:
        """Return the entry there."""
        value = rename(self.own.value, self.names)
        return Sum(value * sympy.Mul(*(KroneckerDelta(*pair) for pair in self.selected.items())), *self.selected)

    def number(self, axis: Axis, place: Expr) -> None:
        """Take one place, counted from the end if it is negative."""
        if len(axis) > 1:
            raise ValueError(f"[{place}] of an axis that is joined cannot be traced: unflatten it first")
        extent = size(axis[0]) if axis else sympy.S.One
        place = extent + place if place.is_negative else place
        if place.is_negative or (extent - place).is_nonpositive:
            raise ValueError(f"place {place} is none of an axis of size {extent}")
        self.own.run.require(extent - place - 1, f"place {place} is none of an axis of {extent}")
        self.own.run.require(place, f"place {place} is none of an axis of {extent}")
        if axis:
            self.names[axis[0]] = place

    def sliced(self, axis: Axis, where: slice) -> Axis:
        """Take places from one on, to another, with steps between them; return the axis of these."""
        if len(axis) != 1:
            raise ValueError("a slice of an axis that is joined, or of size 1, cannot be traced: unflatten it first")
        (index,), step = axis, sympy.sympify(1 if where.step is None else where.step)
        extent = size(index)
        start, stop = (_bound(at, extent, or_else) for at, or_else in ((where.start, 0), (where.stop, extent)))
        if not step.is_positive:
            raise ValueError(f"a slice in steps of {step} is none of torch's: they are positive")
        words = f"a slice from {start} to {stop} is longer than an axis of {extent}"
        for difference in (start, extent - stop, stop - start):
            self.own.run.require(difference, words)
        count = stop - start if step == 1 else sympy.floor((stop - start - 1) / step) + 1
        new = self.own.run.axis(count)
        place = step * new[0] + start if new else start
        if place.is_Symbol or isinstance(place, Idx):
            # A plain index runs over the whole axis.
            self.selected[index] = place
        else:
            self.names[index] = place
        return new


def _bound(at: Any, extent: Expr, or_else: Any) -> Expr:
    """Return where a slice begins or ends; as torch does, beyond a size that is a number, at the end."""
    if at is None:
        return sympy.sympify(or_else)
    at = sympy.sympify(at)
    at = extent + at if at.is_negative else at
    if at.is_number and extent.is_number:
        return Integer(min(max(at, 0), extent))
    return at


def _in_full(where: tuple[Any, ...], count: int) -> list[Any]:
    """Return what is said about each axis: the dots, or what is left out at the end, stand for whole ones."""
    dots = next((place for place, item in enumerate(where) if item is Ellipsis), len(where))
    before, after = where[:dots], where[dots + 1 :]
    missing = count - sum(item is not None for item in (*before, *after))
    if missing < 0:
        raise ValueError(f"{count - missing} places in an array of {count} axes")
    return [*before, *[slice(None)] * missing, *after]


def looked_up(places: SymbolicArray, axis: Axis) -> Idx:
    """Return the index that an array of whole numbers stands for; ValueError if it is none for this axis."""
    if len(axis) != 1 or places.below != size(axis[0]):
        what = "real numbers" if places.below is None else f"numbers below {places.below}"
        extent = "*".join(str(size(index)) for index in axis) or "1"
        raise ValueError(f"an array of {what} looks nothing up on an axis of {extent}")
    return axis[0]


def gather(input: SymbolicArray, dim: int, index: SymbolicArray) -> SymbolicArray:
    """Return, from each row along an axis, the entry that an array of whole numbers names; torch keeps the axis."""
    own = input.named("X").fresh()
    place = own.place(dim)
    axes = own.axes[:place] + own.axes[place + 1 :]
    names = {looked_up(index, own.axes[place]): aligned(index.named(), axes)}
    return SymbolicArray(own.run, axes, rename(own.value, names))


def select(input: SymbolicArray, dim: int, index: Any) -> SymbolicArray:
    """Return what stands at one place of an axis."""
    return taken(input, (slice(None),) * input.place(dim) + (index,))


def narrow(input: SymbolicArray, dim: int, start: Any, length: Any) -> SymbolicArray:
    """Return what stands at some places of an axis that follow each other."""
    return taken(input, (slice(None),) * input.place(dim) + (slice(start, start + length),))


def unbind(input: SymbolicArray, dim: int = 0) -> tuple[SymbolicArray, ...]:
    """Return what stands at each place of an axis whose size is a number."""
    extent = input.shape[input.place(dim)]
    if not extent.is_number:
        raise ValueError(f"the places of an axis of size {extent} are not counted: declare it with a number")
    return tuple(select(input, dim, place) for place in range(int(extent)))


def chunk(input: SymbolicArray, chunks: int, dim: int = 0) -> tuple[SymbolicArray, ...]:
    """Return an axis' parts, of equal sizes: it is declared as a product, such as 2*d for two."""
    input.named()
    place = input.place(dim)
    rest, (parts,) = taken_from(input.axes[place], [Integer(chunks)])
    if len(parts) != 1:
        raise ValueError(f"chunk into {chunks}: declare the axis as {chunks}*d")
    return unbind(input.with_axes((*input.axes[:place], parts, rest, *input.axes[place + 1 :])), place)


def stack(tensors: Sequence[SymbolicArray], dim: int = 0) -> SymbolicArray:
    """Put arrays of one shape together along a new axis."""
    axes, values, run = _together(tensors)
    at = dim if dim >= 0 else len(axes) + 1 + dim
    new = run.axis(Integer(len(values)))
    terms = (KroneckerDelta(*new, place) * value for place, value in enumerate(values)) if new else values
    return SymbolicArray(run, (*axes[:at], new, *axes[at:]), sympy.Add(*terms))


def _together(tensors: Sequence[SymbolicArray]) -> tuple[tuple[Axis, ...], list[Expr], Any]:
    """Return the common axes of arrays, and the entries there."""
    run = tensors[0].run
    axes = fresh_axes(run, broadcast([own.named("X").axes for own in tensors]))
    if any(own.shape != tensors[0].shape for own in tensors):
        raise ValueError(f"arrays of shapes {', '.join(str(own.shape) for own in tensors)} are not put together")
    return axes, [aligned(own, axes) for own in tensors], run


def cat(tensors: Sequence[SymbolicArray], dim: int = 0) -> SymbolicArray:
    """Put arrays together along an axis; of equal ones that becomes a joined axis, as of heads."""
    place = tensors[0].place(dim)
    if len({own.shape for own in tensors}) == 1:
        return flatten(stack(tensors, place), place, place + 1)
    return _one_after_the_other(tensors, place)


def _one_after_the_other(tensors: Sequence[SymbolicArray], place: int) -> SymbolicArray:
    own = [tensor.named("X").fresh() for tensor in tensors]
    rest = [array.axes[:place] + array.axes[place + 1 :] for array in own]
    if any(len(array.axes[place]) > 1 for array in own):
        raise ValueError("axes that are joined, and of different sizes, are not put together")
    common = broadcast(rest)
    total = sympy.Add(*(array.shape[place] for array in own))
    (index,), start, terms = own[0].run.axis(total), sympy.S.Zero, []
    for array, others in zip(own, rest, strict=True):
        if list(map(len, others)) != list(map(len, common)):
            raise ValueError(f"arrays of shapes {', '.join(str(a.shape) for a in own)} are not put together")
        flat = [i for axis in others for i in axis]
        value = rename(array.value, dict(zip(flat, (i for axis in common for i in axis), strict=True)))
        within = array.axes[place]
        terms.append(Sum(value * KroneckerDelta(sympy.Add(start, *within), index), *within))
        start += array.shape[place]
    return SymbolicArray(own[0].run, (*common[:place], (index,), *common[place:]), sympy.Add(*terms))


# Matrices


def tril(input: SymbolicArray, diagonal: Any = 0) -> SymbolicArray:
    """Return a matrix with 0 above a diagonal, the main one, or one so many places above it."""
    own, row, column = _matrix(input, "tril")
    return _where_else_0(own, column <= row + diagonal)


def triu(input: SymbolicArray, diagonal: Any = 0) -> SymbolicArray:
    """Return a matrix with 0 below a diagonal, the main one, or one so many places above it."""
    own, row, column = _matrix(input, "triu")
    return _where_else_0(own, column >= row + diagonal)


def _matrix(input: SymbolicArray, word: str) -> tuple[SymbolicArray, Idx, Idx]:
    """Return an array with the indices of its last two axes; ValueError if these are not plain."""
    own = input.named().fresh()
    if own.ndim < 2 or any(len(axis) != 1 for axis in own.axes[-2:]):
        raise ValueError(f"{word} of shape {own.shape}: the last two axes are to be plain, and none of size 1")
    return own, own.axes[-2][0], own.axes[-1][0]


def _where_else_0(own: SymbolicArray, holds: Any) -> SymbolicArray:
    infinite = own.value == -sympy.oo
    own.value = with_infinite(sympy.S.Zero, sympy.Not(holds)) if infinite else own.value * Iverson(holds)
    return own


def diagonal(input: SymbolicArray, offset: int = 0, dim1: int = 0, dim2: int = 1) -> SymbolicArray:
    """Return the diagonal of a square as the last axis."""
    input.named()
    one, other = input.place(dim1), input.place(dim2)
    if offset or input.axes[one] == () or len(input.axes[one]) > 1:
        raise ValueError("diagonal is of the main one, of plain axes")
    own = input.fresh()
    broadcast([(own.axes[one],), (own.axes[other],)])
    if own.shape[one] != own.shape[other]:
        raise ValueError(f"diagonal of shape {own.shape}: the matrix is to be square")
    kept = [axis for place, axis in enumerate(own.axes) if place not in (one, other)]
    value = rename(own.value, {own.axes[other][0]: own.axes[one][0]})
    return SymbolicArray(own.run, (*kept, own.axes[one]), value)


def diag(input: SymbolicArray) -> SymbolicArray:
    """Return the diagonal of a matrix, or a matrix with a vector as its diagonal."""
    return diag_embed(input) if input.ndim == 1 else diagonal(input)


def diag_embed(input: SymbolicArray) -> SymbolicArray:
    """Return matrices with the last axis as their diagonal."""
    own = input.named("X").fresh()
    (index,) = own.axes[-1]
    (other,) = own.run.axis(size(index))
    return SymbolicArray(own.run, (*own.axes, (other,)), own.value * KroneckerDelta(index, other))


def trace(input: SymbolicArray) -> SymbolicArray:
    """Return the sum of the diagonal of a matrix."""
    if input.ndim != 2:
        raise ValueError(f"trace is of a matrix, and this has {input.ndim} axes")
    return diagonal(input).sum()


_WORDS = (select, narrow, unbind, chunk, stack, cat, tril, triu, diagonal, diag, diag_embed, trace)
WORDS.update((word.__name__, word) for word in _WORDS)
WORDS.update(__getitem__=taken, concat=cat)
