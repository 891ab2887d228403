"""What index notation is made of: sizes, indices and arrays.

An index carries its range, `Idx("i", n)`: a sum needs no limits, and contracting a Kronecker delta over the whole range
of an index needs no case for a value out of range.
"""

from typing import Any

import sympy
from sympy import Expr, Idx, Indexed, Mul, Symbol

from handgrad.symbolic.formulas import Array, Sum, require_name
from handgrad.symbolic.letters import size


def sizes(names: str) -> tuple[Symbol, ...]:
    """Return symbolic sizes, positive whole numbers, one for each of the space-separated `names`."""
    return tuple(Symbol(name, integer=True, positive=True) for name in _names(names, "a size"))


def integers(names: str) -> tuple[Symbol, ...]:
    """Return symbolic whole numbers that are no sizes, such as strides and paddings, one for each of `names`."""
    return tuple(Symbol(name, integer=True) for name in _names(names, "a whole number"))


def indices(names: str) -> tuple[Idx, ...]:
    """Return indices with their ranges: `i, k = indices("i:n k:3")` run from 0 to n - 1 and from 0 to 2."""
    if not isinstance(names, str):
        raise TypeError(f"indices are given as a string, 'i:n j:p', not as {names!r}")
    pairs = [name.partition(":") for name in names.split()]
    if lacking := [index for index, _, extent in pairs if not extent]:
        raise ValueError(f"index {lacking[0]} has no range; write for example {lacking[0]}:n")
    for index, *_ in pairs:
        require_name(index, "an index")
    return tuple(Idx(index, _extent(extent)) for index, _, extent in pairs)


def _names(names: Any, what: str) -> list[str]:
    if not isinstance(names, str):
        raise TypeError(f"names are given as a string, 'n p', not as {names!r}")
    for name in names.split():
        require_name(name, what, number=True)
    return names.split()


def _extent(text: str) -> Expr:
    if not text.isdecimal():
        return sizes(text)[0]
    if int(text) == 0:
        raise ValueError("an index that runs over 0 values has none")
    return sympy.Integer(text)


def array(name: str, *shape: Any, integer: bool = False) -> Any:
    """Return a real array, to be indexed as `X[i, j]`; without a shape, a real number.

    An axis is given by its size, or by an index that runs over it. An entry's index may also be a sum of indices and
    whole numbers, `X[stride * i + a]`, outside the axis the entry is 0; or an entry of an array of whole numbers that
    stay inside, `X[i, t[i]]`. ValueError if the name is none in Python, or printed as a number's; TypeError if an axis
    is neither an index nor a whole number.
    """
    require_name(name, "an array" if shape else "a number", number=not shape)
    kind = {"integer": True} if integer else {"real": True}
    return Array(name, shape=tuple(map(_axis, shape)), **kind) if shape else Symbol(name, **kind)


def _axis(axis: Any) -> Expr:
    if isinstance(axis, Idx):
        if axis.upper is None:
            raise ValueError(f"index {axis} has no range; make it with indices('{axis}:n')")
        return size(axis)
    extent = axis if isinstance(axis, Expr) else sympy.Integer(axis) if type(axis) is int else None
    if extent is None or not extent.is_integer or extent.is_positive is False or extent.has(Idx, Array):
        raise TypeError(f"{axis!r} is no size; an axis is an index, or a positive whole number, made with sizes('n')")
    return extent


def mean(value: Expr, *over: Idx) -> Expr:
    """Return the mean of `value` over the ranges of some indices."""
    if strange := [index for index in over if not isinstance(index, Idx)]:
        raise TypeError(f"a mean runs over indices, and {strange[0]!r} is none")
    return Sum(value, *over) / Mul(*map(size, over))


def require_fitting(entry: Indexed) -> None:
    """Raise ValueError unless each index of an entry is a whole number that depends on an index or array.

    A plain index must run over the whole axis.
    """
    if len(entry.indices) != len(entry.shape):
        raise ValueError(f"{entry}: the array has {len(entry.shape)} axes, and is given {len(entry.indices)} indices")
    for index, axis in zip(entry.indices, entry.shape, strict=True):
        if isinstance(index, Idx) and index.upper is None:
            raise ValueError(f"{entry}: index {index} has no range; make it with Idx({str(index)!r}, {axis})")
        is_place = index.is_integer and not index.is_negative and not index.has(Indexed)
        if not index.is_integer or not (index.atoms(Idx) or is_place):
            raise ValueError(f"{entry}: {index} is no index; make one with Idx(name, {axis})")
        if isinstance(index, Idx) and size(index) != axis:
            raise ValueError(f"{entry}: index {index} runs over {size(index)} values, the axis has {axis}")
