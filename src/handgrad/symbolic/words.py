"""The words of torch for symbolic arrays: `softmax(Q @ K.mT, dim=-1)`, as in torch, and without it."""

import operator
from collections.abc import Callable
from typing import Any

import sympy
from sympy import Expr, Piecewise

from handgrad.symbolic.arrays import (
    WORDS,
    SymbolicArray,
    aligned,
    as_array,
    broadcast,
    elementwise,
    fresh_axes,
)
from handgrad.symbolic.formulas import Iverson, Sum
from handgrad.symbolic.letters import size
from handgrad.symbolic.masks import as_condition, chosen, finite_part, is_condition
from handgrad.symbolic.places import chunk


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
    "neg": lambda x: -x,
    "reciprocal": lambda x: 1 / x,
    "log1p": lambda x: sympy.log(1 + x),
    "expm1": lambda x: sympy.exp(x) - 1,
    "logsigmoid": lambda x: -sympy.log(1 + sympy.exp(-x)),
    "softsign": lambda x: x / (1 + sympy.Abs(x)),
    "tan": sympy.tan,
    "sinh": sympy.sinh,
    "cosh": sympy.cosh,
    "atan": sympy.atan,
    "asinh": sympy.asinh,
}
_OF_ONE_NUMBER = {name: _word(function) for name, function in ENTRYWISE.items()}
exp, log, sqrt, rsqrt = (_OF_ONE_NUMBER[name] for name in ("exp", "log", "sqrt", "rsqrt"))
sin, cos, tanh, erf = (_OF_ONE_NUMBER[name] for name in ("sin", "cos", "tanh", "erf"))
sign, square, sigmoid, relu = (_OF_ONE_NUMBER[name] for name in ("sign", "square", "sigmoid", "relu"))
softplus, silu, logsigmoid = (_OF_ONE_NUMBER[name] for name in ("softplus", "silu", "logsigmoid"))


def gelu(input: Any, approximate: str = "none") -> Any:
    """Return x times the normal distribution's share below x, or torch's approximation of it by a tanh."""
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu has no approximation {approximate!r}")
    inner = sympy.sqrt(2 / sympy.pi)
    exact = approximate == "none"
    return _word(
        (lambda x: x * (1 + sympy.erf(x / sympy.sqrt(2))) / 2)
        if exact
        else lambda x: x * (1 + sympy.tanh(inner * (x + sympy.Rational("0.044715") * x**3))) / 2
    )(input)


def mish(input: SymbolicArray) -> SymbolicArray:
    """Return x tanh(log(1 + exp(x)))."""
    result: SymbolicArray = input.named("Z") * tanh(softplus(input).named("S"))
    return result


def leaky_relu(input: SymbolicArray, negative_slope: float = 0.01) -> SymbolicArray:
    """Return x where it is positive, and a slope times x elsewhere."""
    return _by_sign(input, lambda x: sympy.Rational(str(negative_slope)) * x)


def elu(input: SymbolicArray, alpha: float = 1.0) -> SymbolicArray:
    """Return x where it is positive, and α (exp(x) − 1) elsewhere."""
    return _by_sign(input, lambda x: sympy.Rational(str(alpha)) * (sympy.exp(x) - 1))


def prelu(input: SymbolicArray, weight: SymbolicArray) -> SymbolicArray:
    """Return x where it is positive, and a number times x elsewhere."""
    if weight.shape not in ((), (1,)):
        raise ValueError(f"prelu with a weight of shape {weight.shape} cannot be traced: there is to be one")
    return elementwise(lambda x, a: Piecewise((x, x > 0), (a * x, True)), input.named("Z"), weight)


def _by_sign(input: SymbolicArray, below: Callable[[Expr], Expr]) -> SymbolicArray:
    return elementwise(lambda x: Piecewise((x, x > 0), (below(x), True)), input.named("Z"))


def hardtanh(input: SymbolicArray, min_val: float = -1.0, max_val: float = 1.0) -> SymbolicArray:
    """Return x between two bounds, and the bound outside; at a bound, the derivative is 0."""
    low, high = (sympy.Rational(str(bound)) for bound in (min_val, max_val))
    return elementwise(lambda x: Piecewise((low, x <= low), (high, x >= high), (x, True)), input.named("Z"))


def glu(input: SymbolicArray, dim: int = -1) -> SymbolicArray:
    """Return the first half of an axis, which is declared as 2*d, times the sigmoid of the second."""
    one, other = chunk(input, 2, dim)
    result: SymbolicArray = one * sigmoid(other)
    return result


def softmax(input: SymbolicArray, dim: int) -> SymbolicArray:
    """Return exp(x) divided by its sum along an axis."""
    powers = _powers(input)
    return powers / powers.sum(dim, keepdim=True)


def _powers(input: SymbolicArray) -> SymbolicArray:
    """Return exp(x), which is 0 where x is -inf."""
    own = input.named("Z")
    value, holds = finite_part(own.value)
    return SymbolicArray(own.run, own.axes, sympy.exp(value) * (1 if holds == sympy.true else Iverson(holds)))


def softmin(input: SymbolicArray, dim: int) -> SymbolicArray:
    """Return the softmax of −x."""
    return softmax(-input, dim)


def logsumexp(input: SymbolicArray, dim: int, keepdim: bool = False) -> SymbolicArray:
    """Return the logarithm of the sum of exp(x) along an axis."""
    return elementwise(sympy.log, _powers(input).sum(dim, keepdim))


def log_softmax(input: SymbolicArray, dim: int) -> SymbolicArray:
    """Return the logarithm of softmax."""
    return input.named("Z") - logsumexp(input, dim, keepdim=True)


def where(condition: SymbolicArray, input: Any, other: Any) -> SymbolicArray:
    """Return entries of the one array where the condition holds, and of the other elsewhere."""
    operands = [as_array(condition.run, value) for value in (condition, input, other)]
    axes = fresh_axes(condition.run, broadcast([own.axes for own in operands]))
    holds, one, two = (aligned(own, axes) for own in operands)
    return SymbolicArray(condition.run, axes, chosen(as_condition(holds), one, two))


def masked_fill(input: SymbolicArray, mask: SymbolicArray, value: Any) -> SymbolicArray:
    """Return a number where the mask holds, -inf for a softmax, and the entries of the array elsewhere."""
    return where(mask, value, input.named("S"))


def to_condition(input: SymbolicArray) -> SymbolicArray:
    """Return an array of zeros and ones as conditions, as `bool` does."""
    own = input.named()
    holds = own.value if is_condition(own.value) else sympy.Ne(own.value, 0)
    return SymbolicArray(own.run, own.axes, holds)


def to_numbers(input: SymbolicArray) -> SymbolicArray:
    """Return conditions as zeros and ones, as `float` and `double` do; ValueError on numbers, which these round."""
    return SymbolicArray(input.run, input.axes, Iverson(as_condition(input.value)))


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


def norm(input: SymbolicArray, p: Any = 2, dim: Any = None, keepdim: bool = False) -> SymbolicArray:
    """Return the root of the sum of squares; for p=1 the sum of absolute values."""
    if p == 1:
        return abs(input).sum(dim, keepdim)
    if p not in (2, "fro", None):
        raise ValueError(f"norm with p={p!r} cannot be traced; there are p=2 and p=1")
    return elementwise(sympy.sqrt, (input * input).sum(dim, keepdim))


def cumsum(input: SymbolicArray, dim: int) -> SymbolicArray:
    """Return the sums up to each place along an axis."""
    own = input.named("X").fresh()
    axis = own.axes[own.place(dim)]
    if len(axis) > 1:
        raise ValueError("cumsum along an axis that is joined cannot be traced: unflatten it first")
    if not axis:
        return own
    (last,) = own.run.axis(size(axis[0]))
    axes = tuple((last,) if other == axis else other for other in own.axes)
    return SymbolicArray(own.run, axes, Sum(own.value * Iverson(axis[0] <= last), axis[0]))


def _method(name: str) -> Callable[..., Any]:
    return lambda input, *arguments, **options: getattr(input, name)(*arguments, **options)


WORDS.update(_OF_ONE_NUMBER)
WORDS.update((name, _method(name)) for name in ("sum", "mean", "var", "size"))
WORDS.update(abs=abs, mul=operator.mul, add=operator.add, sub=operator.sub, div=operator.truediv, pow=operator.pow)
WORDS.update(
    vector_norm=norm,
    log_sigmoid=logsigmoid,
    clip=clamp,
    bool=to_condition,
    float=to_numbers,
    double=to_numbers,
    eq=operator.eq,
    ne=operator.ne,
)
_WORDS = (softmax, softmin, logsumexp, log_softmax, where, masked_fill, maximum, minimum, clamp, norm, cumsum)
WORDS.update((word.__name__, word) for word in (*_WORDS, gelu, mish, leaky_relu, elu, prelu, hardtanh, glu))
