"""Words for what is computed in windows: convolutions and average pooling."""

from typing import Any

import sympy
from sympy import Expr

from handgrad.symbolic.arrays import WORDS, Axis, SymbolicArray, broadcast
from handgrad.symbolic.axes import taken_from
from handgrad.symbolic.formulas import Sum
from handgrad.symbolic.letters import rename, size


def conv1d(input: SymbolicArray, weight: SymbolicArray, bias: Any = None, **options: Any) -> SymbolicArray:
    """Return the cross-correlation of (n, c, l) with (o, c, k): see `_convolved`."""
    return _convolved(1, input, weight, bias, **options)


def conv2d(input: SymbolicArray, weight: SymbolicArray, bias: Any = None, **options: Any) -> SymbolicArray:
    """Return the cross-correlation of (n, c, h, w) with (o, c, k, l): see `_convolved`."""
    return _convolved(2, input, weight, bias, **options)


def _convolved(
    dims: int,
    input: SymbolicArray,
    weight: SymbolicArray,
    bias: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: Any = 1,
) -> SymbolicArray:
    """Return the sum of products of a weight with what stands under it, at each place; outside of the input is 0.

    With groups g, the channels are declared as g*c, and the weight's first axis as g*o.
    """
    own, kernel = input.named("X").fresh(), weight.named("W").fresh()
    if own.ndim != dims + 2 or kernel.ndim != dims + 2:
        raise ValueError(f"conv{dims}d of shapes {own.shape} and {kernel.shape}: they are to have {dims + 2} axes")
    rest, (apart,) = taken_from(own.axes[1], [sympy.sympify(groups)])
    _, (same,) = taken_from(kernel.axes[0], [sympy.sympify(groups)])
    broadcast([(apart,), (same,)])
    broadcast([(rest,), (kernel.axes[1],)])
    if bool(rest) != bool(kernel.axes[1]):
        raise ValueError(f"conv{dims}d of shapes {own.shape} and {kernel.shape}: the channels differ")
    names: dict[Any, Expr] = dict(zip((*apart, *rest), (*same, *kernel.axes[1]), strict=True))
    places, options = list[Axis](), zip(*(_each(option, dims) for option in (stride, padding, dilation)), strict=True)
    for within, offset, (step, around, apart_by) in zip(own.axes[2:], kernel.axes[2:], options, strict=True):
        if len(within) != 1 or len(offset) > 1:
            raise ValueError(f"conv{dims}d of shapes {own.shape} and {kernel.shape}: write plain axes")
        place, places_at = _window(own, within[0], kernel.shape[2 + len(places)], step, around, apart_by)
        names[within[0]] = places_at + apart_by * sympy.Add(*offset)
        places.append(place)
    offsets = [index for axis in kernel.axes[1:] for index in axis]
    value = Sum(rename(own.value, names) * kernel.value, *offsets)
    result = SymbolicArray(own.run, (own.axes[0], kernel.axes[0], *places), value)
    return result if bias is None else result + bias[(slice(None), *[None] * dims)]


def _window(own: SymbolicArray, within: Any, length: Expr, stride: Any, padding: Any, dilation: Any) -> tuple[Any, Any]:
    """Return the axis of the places of a window, and where it begins at each."""
    room = size(within) + 2 * padding - dilation * (length - 1) - 1
    own.run.require(room, f"a window of {length} is larger than what it slides over")
    place = own.run.axis(sympy.floor(room / sympy.sympify(stride)) + 1)
    begin = stride * sympy.Add(*place) - padding
    if begin == 0 and length != size(within):
        raise ValueError(f"a window of {length} has one place on an axis of {size(within)}: take a slice, and einsum")
    return place, begin


def _each(option: Any, dims: int) -> tuple[Any, ...]:
    """Return an option for each axis; ValueError on words."""
    if isinstance(option, str):
        raise ValueError(f"{option!r} cannot be traced: write it in numbers")
    return tuple(option) if isinstance(option, (tuple, list)) else (option,) * dims


def avg_pool1d(input: SymbolicArray, kernel_size: Any, stride: Any = None, padding: Any = 0) -> SymbolicArray:
    """Return the mean of each window of (n, c, l), of zeros too around it."""
    return _averaged(1, input, kernel_size, stride, padding)


def avg_pool2d(input: SymbolicArray, kernel_size: Any, stride: Any = None, padding: Any = 0) -> SymbolicArray:
    """Return the mean of each window of (n, c, h, w), of zeros too around it."""
    return _averaged(2, input, kernel_size, stride, padding)


def _averaged(dims: int, input: SymbolicArray, kernel_size: Any, stride: Any, padding: Any) -> SymbolicArray:
    own = input.named("X").fresh()
    kernels = _each(kernel_size, dims)
    strides = kernels if stride is None else _each(stride, dims)
    names, offsets, places = dict[Any, Expr](), list[Any](), list[Any]()
    for within, kernel, stride, around in zip(own.axes[-dims:], kernels, strides, _each(padding, dims), strict=True):
        if len(within) != 1:
            raise ValueError(f"avg_pool{dims}d of shape {own.shape}: write plain axes")
        length = sympy.sympify(kernel)
        place, begin = _window(own, within[0], length, stride, around, 1)
        offset = own.run.axis(length)
        names[within[0]] = begin + sympy.Add(*offset)
        offsets += offset
        places.append(place)
    value = Sum(rename(own.value, names), *offsets) / sympy.Mul(*map(sympy.sympify, kernels))
    return SymbolicArray(own.run, (*own.axes[:-dims], *places), value)


WORDS.update((word.__name__, word) for word in (conv1d, conv2d, avg_pool1d, avg_pool2d))
