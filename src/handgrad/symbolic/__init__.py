"""Derivations in index notation, for every size at once: define, differentiate, contract, read off, compile.

    i, j, k = indices("i:n j:p k:q")
    X, W = array("X", i, j), array("W", j, k)
    Y = define("Y", Sum(X[i, j] * W[j, k], j), i, k)
    vjp(Y, W)            # the steps, as a post shows them; the last is  dL/dW = Xᵀ G
    vjp(Y, W).compile()  # torch.einsum("is,ir->rs", G, X)

Indices count from 0, as torch's do. Nothing here imports torch until a formula is compiled.
"""

from sympy import Idx

from handgrad.symbolic.definitions import Definition, define, expand
from handgrad.symbolic.derivation import Derivation, jacobian, vjp
from handgrad.symbolic.formulas import Iverson, Sum
from handgrad.symbolic.forward import Tangent, TangentProgram, hvp, jvp
from handgrad.symbolic.indexed import array, indices, integers, mean, sizes
from handgrad.symbolic.notation import Markdown
from handgrad.symbolic.reverse import Gradient, Program, backward
from handgrad.symbolic.second import SecondDerivative, hessian
from handgrad.symbolic.trace import derive
from handgrad.symbolic.words import (
    clamp,
    conv1d,
    conv2d,
    cos,
    cross_entropy,
    cumsum,
    einsum,
    erf,
    exp,
    gather,
    gelu,
    log,
    log_softmax,
    logsumexp,
    maximum,
    minimum,
    mse_loss,
    norm,
    relu,
    rsqrt,
    sigmoid,
    sign,
    silu,
    sin,
    softmax,
    softplus,
    sqrt,
    square,
    tanh,
    tril,
    where,
)

__all__ = [
    "Definition",
    "Derivation",
    "Gradient",
    "Idx",
    "Iverson",
    "Markdown",
    "Program",
    "SecondDerivative",
    "Sum",
    "Tangent",
    "TangentProgram",
    "array",
    "backward",
    "clamp",
    "conv1d",
    "conv2d",
    "cos",
    "cross_entropy",
    "cumsum",
    "define",
    "derive",
    "einsum",
    "erf",
    "exp",
    "expand",
    "gather",
    "gelu",
    "hessian",
    "hvp",
    "indices",
    "integers",
    "jacobian",
    "jvp",
    "log",
    "log_softmax",
    "logsumexp",
    "maximum",
    "mean",
    "minimum",
    "mse_loss",
    "norm",
    "relu",
    "rsqrt",
    "sigmoid",
    "sign",
    "silu",
    "sin",
    "sizes",
    "softmax",
    "softplus",
    "sqrt",
    "square",
    "tanh",
    "tril",
    "vjp",
    "where",
]
