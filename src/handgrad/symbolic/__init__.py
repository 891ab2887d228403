"""Derivations in index notation, for every size at once: define, differentiate, contract, read off, compile.

    i, j, k = indices("i:n j:p k:q")
    X, W = array("X", i, j), array("W", j, k)
    Y = define("Y", Sum(X[i, j] * W[j, k], j), i, k)
    vjp(Y, W)            # the steps, as a post shows them; the last is  dL/dW = Xᵀ G
    vjp(Y, W).compile()  # torch.einsum("is,ir->rs", G, X)

Indices count from 0, as torch's do. Nothing here imports torch until a formula is compiled.
"""

from sympy import Idx

from handgrad.symbolic.creation import arange, eye, full, ones, zeros
from handgrad.symbolic.definitions import Definition, define, expand
from handgrad.symbolic.derivation import Derivation, jacobian, vjp
from handgrad.symbolic.formulas import Iverson, Sum
from handgrad.symbolic.forward import Tangent, TangentProgram, hvp, jvp
from handgrad.symbolic.functional import (
    batch_norm,
    cosine_similarity,
    embedding,
    group_norm,
    layer_norm,
    linear,
    normalize,
    rms_norm,
    scaled_dot_product_attention,
)
from handgrad.symbolic.indexed import array, indices, integers, mean, sizes
from handgrad.symbolic.losses import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
)
from handgrad.symbolic.matrices import amax, amin, det, inv, logdet
from handgrad.symbolic.notation import Markdown
from handgrad.symbolic.places import cat, chunk, gather, stack, tril, triu
from handgrad.symbolic.products import bmm, dot, einsum, outer
from handgrad.symbolic.reverse import Gradient, Program, backward
from handgrad.symbolic.second import SecondDerivative, hessian
from handgrad.symbolic.trace import derive
from handgrad.symbolic.windows import avg_pool1d, avg_pool2d, conv1d, conv2d
from handgrad.symbolic.words import (
    clamp,
    cos,
    cumsum,
    elu,
    erf,
    exp,
    gelu,
    glu,
    hardtanh,
    leaky_relu,
    log,
    log_softmax,
    logsigmoid,
    logsumexp,
    maximum,
    minimum,
    mish,
    norm,
    relu,
    rsqrt,
    sigmoid,
    sign,
    silu,
    sin,
    softmax,
    softmin,
    softplus,
    sqrt,
    square,
    tanh,
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
    "amax",
    "amin",
    "arange",
    "array",
    "avg_pool1d",
    "avg_pool2d",
    "backward",
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "bmm",
    "cat",
    "chunk",
    "clamp",
    "conv1d",
    "conv2d",
    "cos",
    "cosine_similarity",
    "cross_entropy",
    "cumsum",
    "define",
    "derive",
    "det",
    "dot",
    "einsum",
    "elu",
    "embedding",
    "erf",
    "exp",
    "expand",
    "eye",
    "full",
    "gather",
    "gelu",
    "glu",
    "group_norm",
    "hardtanh",
    "hessian",
    "huber_loss",
    "hvp",
    "indices",
    "integers",
    "inv",
    "jacobian",
    "jvp",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log",
    "log_softmax",
    "logdet",
    "logsigmoid",
    "logsumexp",
    "maximum",
    "mean",
    "minimum",
    "mish",
    "mse_loss",
    "nll_loss",
    "norm",
    "normalize",
    "ones",
    "outer",
    "relu",
    "rms_norm",
    "rsqrt",
    "scaled_dot_product_attention",
    "sigmoid",
    "sign",
    "silu",
    "sin",
    "sizes",
    "smooth_l1_loss",
    "softmax",
    "softmin",
    "softplus",
    "sqrt",
    "square",
    "stack",
    "tanh",
    "tril",
    "triu",
    "vjp",
    "where",
    "zeros",
]
