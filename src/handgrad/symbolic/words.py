"""The words of torch for symbolic arrays: `softmax(Q @ K.mT, dim=-1)`, as in torch, and without it."""

import operator
from collections.abc import Callable
from typing import Any

import sympy
from sympy import Dummy, Expr, Idx, Piecewise

from handgrad.symbolic.arrays import WORDS, SymbolicArray, aligned, broadcast, elementwise, looked_up, matmul
from handgrad.symbolic.formulas import Iverson, Sum
from handgrad.symbolic.letters import rename, size


def _word(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a function of entries as one of arrays, and of numbers."""

    def word(value: Any) -> Any:
        if not isinstance(value, SymbolicArray):
            return function(sympy.sympify(value))
        # A function of a sum of products is a step of its own.
        return elementwise(function, value.named("Z" if value.value.has(Sum) else None))

    return word


# Each of torch's functions of one variable, as a formula.
ENTRYWISE: dict[str, Callable[[Any], Any]] = {
    "exp": sympy.exp,
    "log": sympy.log,
    "sqrt": sympy.sqrt,
    "rsqrt": lambda x: 1 / sympy.sqrt(x),
    "sin": sympy.sin,
    "cos": sympy.cos,
    "tanh": sympy.tanh,
    "erf": sympy.erf,
    "sign": sympy.sign,
    "square": lambda x: x**2,
    "sigmoid": lambda x: 1 / (1 + sympy.exp(-x)),
    "relu": lambda x: Piecewise((x, x > 0), (0, True)),
    "softplus": lambda x: sympy.log(1 + sympy.exp(x)),
    "silu": lambda x: x / (1 + sympy.exp(-x)),
    "gelu": lambda x: x * (1 + sympy.erf(x / sympy.sqrt(2))) / 2,
}
exp, log, sqrt, rsqrt, sin, cos, tanh, erf, sign, square, sigmoid, relu, softplus, silu, gelu = map(
    _word, ENTRYWISE.values()
)


def softmax(input: SymbolicArray, dim: int) -> SymbolicArray:
    """Return exp(x) divided by its sum along an axis."""
    powers = elementwise(sympy.exp, input.named("Z"))
    return powers / powers.sum(dim, keepdim=True)


def logsumexp(input: SymbolicArray, dim: int, keepdim: bool = False) -> SymbolicArray:
    """Return the logarithm of the sum of exp(x) along an axis."""
    return elementwise(sympy.log, elementwise(sympy.exp, input.named("Z")).sum(dim, keepdim))


def log_softmax(input: SymbolicArray, dim: int) -> SymbolicArray:
    """Return the logarithm of softmax."""
    return input.named("Z") - logsumexp(input, dim, keepdim=True)


def where(condition: SymbolicArray, input: Any, other: Any) -> SymbolicArray:
    """Return entries of the one array where the condition holds, and of the other elsewhere."""
    return elementwise(lambda holds, one, two: Piecewise((one, holds), (two, True)), condition, input, other)


def maximum(input: Any, other: Any) -> SymbolicArray:
    """Return the larger of two, entry by entry; where they are equal, its derivative is that of the second."""
    return _chosen(operator.gt, input, other)


def minimum(input: Any, other: Any) -> SymbolicArray:
    """Return the smaller of two, entry by entry; where they are equal, its derivative is that of the second."""
    return _chosen(operator.lt, input, other)


def _chosen(compare: Callable[[Any, Any], Any], *operands: Any) -> SymbolicArray:
    # A condition is not made of cases: what has some is a step of its own.
    steps = [value.named("Z") if isinstance(value, SymbolicArray) else value for value in operands]
    return elementwise(lambda one, two: Piecewise((one, compare(one, two)), (two, True)), *steps)


def clamp(input: SymbolicArray, min: Any = None, max: Any = None) -> SymbolicArray:
    """Return what lies between two bounds, and the bound where it does not; at a bound, the derivative is 1."""
    above = input if min is None else _chosen(operator.ge, input, min)
    return above if max is None else _chosen(operator.le, above, max)


def norm(input: SymbolicArray, dim: Any = None, keepdim: bool = False) -> SymbolicArray:
    """Return the root of the sum of squares."""
    return elementwise(sympy.sqrt, (input * input).sum(dim, keepdim))


def tril(input: SymbolicArray) -> SymbolicArray:
    """Return a matrix with 0 above its diagonal."""
    own = input.named().fresh()
    row, column = own.axes[-2:]
    if row is None or column is None:
        raise ValueError(f"tril of shape {own.shape}: no axis may have the size 1")
    own.value = own.value * Iverson(column <= row)
    return own


def cross_entropy(input: SymbolicArray, target: SymbolicArray) -> SymbolicArray:
    """Return the mean of −log softmax(x) at the targets: scores of shape (n, d), and n whole numbers below d."""
    input = input.named("Z")
    return (logsumexp(input, -1) - gather(input, -1, target)).mean()


def gather(input: SymbolicArray, dim: int, index: SymbolicArray) -> SymbolicArray:
    """Return, from each row along an axis, the entry that an array of whole numbers names; torch keeps the axis."""
    own = input.named("X").fresh()
    place = own.place(dim)
    axes = own.axes[:place] + own.axes[place + 1 :]
    names = {looked_up(index, own.axes[place]): aligned(index.named(), axes)}
    return SymbolicArray(own.run, axes, rename(own.value, names))


def mse_loss(input: SymbolicArray, target: SymbolicArray) -> SymbolicArray:
    """Return the mean square difference."""
    return ((input - target) ** 2).mean()


def einsum(equation: str, *operands: SymbolicArray) -> SymbolicArray:
    """Return the sum of products that the letters say, `"ij,jk->ik"`."""
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    if not arrow or "." in equation:
        raise ValueError(f"einsum({equation!r}): write all letters, and the arrow")
    letters: dict[str, Any] = {}
    factors = []
    for names, operand in zip(inputs.split(","), operands, strict=True):
        own = operand.named().fresh()
        for name, index in zip(names, own.axes, strict=True):
            (common,) = broadcast([(letters.setdefault(name, index),), (index,)])
            letters[name] = common
        factors.append(aligned(own, tuple(letters[name] for name in names)))
    summed = [index for name, index in letters.items() if name not in output and index is not None]
    return SymbolicArray(operands[0].run, tuple(letters[name] for name in output), Sum(sympy.Mul(*factors), *summed))


def cumsum(input: SymbolicArray, dim: int) -> SymbolicArray:
    """Return the sums up to each place along an axis."""
    own = input.named("X").fresh()
    if (index := own.axes[own.place(dim)]) is None:
        return own
    last = own.run.index(size(index))
    axes = tuple(last if other is index else other for other in own.axes)
    return SymbolicArray(own.run, axes, Sum(own.value * Iverson(index <= last), index))


def conv1d(input: SymbolicArray, weight: SymbolicArray, bias: Any = None, **options: int) -> SymbolicArray:
    """Return the cross-correlation of (n, c, l) with (o, c, k): see `_convolved`."""
    return _convolved(1, input, weight, bias, **options)


def conv2d(input: SymbolicArray, weight: SymbolicArray, bias: Any = None, **options: int) -> SymbolicArray:
    """Return the cross-correlation of (n, c, h, w) with (o, c, k, l): see `_convolved`."""
    return _convolved(2, input, weight, bias, **options)


def _convolved(
    dims: int, input: SymbolicArray, weight: SymbolicArray, bias: Any, padding: int = 0, dilation: int = 1
) -> SymbolicArray:
    """Return the sum of products of a weight with what stands under it, at each place; outside of the input is 0.

    The stride is 1: the number of places that another leaves is no polynomial in the sizes.
    """
    own, kernel = input.named("X").fresh(), weight.named("W").fresh()
    batch, channels, *within = (index for index in own.axes if index is not None)
    out, summed, *offsets = (index for index in kernel.axes if index is not None)
    if len(within) != dims or len(offsets) != dims:
        raise ValueError(f"conv{dims}d of shapes {own.shape} and {kernel.shape}: {dims + 2} axes each, none of size 1")
    broadcast([(channels,), (summed,)])
    names: dict[Idx, Expr] = {channels: summed}
    places = []
    for index, offset in zip(within, offsets, strict=True):
        place = Idx(Dummy(index.label.name, integer=True), size(index) + 2 * padding - dilation * (size(offset) - 1))
        names[index] = place + dilation * offset - padding
        places.append(place)
    value = Sum(rename(own.value, names) * kernel.value, summed, *offsets)
    result = SymbolicArray(own.run, (batch, out, *places), value)
    return result if bias is None else result + bias[(slice(None), *[None] * dims)]


def _method(name: str) -> Callable[..., Any]:
    return lambda input, *arguments, **options: getattr(input, name)(*arguments, **options)


WORDS.update((name, _word(function)) for name, function in ENTRYWISE.items())
WORDS.update((name, _method(name)) for name in ("sum", "mean", "var", "transpose", "unsqueeze"))
WORDS.update(abs=abs, matmul=matmul, mul=operator.mul, add=operator.add, sub=operator.sub, div=operator.truediv)
WORDS.update(
    (word.__name__, word)
    for word in (
        softmax,
        logsumexp,
        log_softmax,
        where,
        maximum,
        minimum,
        clamp,
        norm,
        tril,
        cross_entropy,
        mse_loss,
        einsum,
        cumsum,
        conv1d,
        conv2d,
    )
)
