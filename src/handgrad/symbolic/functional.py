"""Words for layers that are functions in torch.nn.functional: norms, look-ups, attention."""

from collections.abc import Sequence
from typing import Any

import sympy
from sympy import KroneckerDelta

from handgrad.symbolic.arrays import WORDS, SymbolicArray, elementwise
from handgrad.symbolic.axes import flatten, taken_from
from handgrad.symbolic.creation import ones
from handgrad.symbolic.masks import is_condition
from handgrad.symbolic.words import maximum, norm, softmax, where


def linear(input: SymbolicArray, weight: SymbolicArray, bias: Any = None) -> SymbolicArray:
    """Return X Wᵀ + b: the weight has the shape (out, in)."""
    result = input @ weight.mT
    return result if bias is None else result + bias


def bilinear(input1: SymbolicArray, input2: SymbolicArray, weight: SymbolicArray, bias: Any = None) -> SymbolicArray:
    """Return x Wₖ y for each k: the weight has the shape (out, in1, in2)."""
    result = ((input1[..., None, None, :] @ weight)[..., 0, :] * input2[..., None, :]).sum(-1)
    return result if bias is None else result + bias


def embedding(input: SymbolicArray, weight: SymbolicArray) -> SymbolicArray:
    """Return the rows that whole numbers name."""
    return weight[input]


def one_hot(tensor: SymbolicArray, num_classes: Any) -> SymbolicArray:
    """Return 1 at the place that a whole number names, and 0 elsewhere."""
    if tensor.below is None or tensor.below != num_classes:
        raise ValueError(f"one_hot with {num_classes} classes is of whole numbers below that")
    own = tensor.named().fresh()
    axis = own.run.axis(tensor.below)
    return SymbolicArray(own.run, (*own.axes, axis), KroneckerDelta(own.value, *axis))


def layer_norm(
    input: SymbolicArray, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> SymbolicArray:
    """Return what stands on the last axes without its mean, and divided by its deviation."""
    _require_last(input, normalized_shape, "layer_norm")
    return _scaled(_standardized(input, [*range(-len(normalized_shape), 0)], eps), weight, bias)


def rms_norm(
    input: SymbolicArray, normalized_shape: Any, weight: Any = None, eps: float | None = None
) -> SymbolicArray:
    """Return what stands on the last axes divided by the root of its mean square."""
    _require_last(input, normalized_shape, "rms_norm")
    if eps is None:
        raise ValueError("rms_norm without eps uses that of the dtype: give eps")
    square = (input**2).mean(tuple(range(-len(normalized_shape), 0)), keepdim=True)
    return _scaled(input * _root(square, eps), weight, None)


def group_norm(
    input: SymbolicArray, num_groups: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> SymbolicArray:
    """Return each group of channels of (n, g*c, …) standardized; the axis of channels is declared as a product."""
    input = input.named("X")
    rest, (groups,) = taken_from(input.axes[1], [sympy.sympify(num_groups)])
    apart = input.with_axes((input.axes[0], groups, rest, *input.axes[2:]))
    result = flatten(_standardized(apart, [*range(2, apart.ndim)], eps), 1, 2)
    return _scaled(result, *(_on_channels(given, input.ndim) for given in (weight, bias)))


def batch_norm(
    input: SymbolicArray,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    eps: float = 1e-5,
) -> SymbolicArray:
    """Return each channel of (n, c, …) standardized: over the batch in training, else by the mean and variance."""
    input = input.named("X")
    if training and (running_mean is not None or running_var is not None):
        raise ValueError("batch_norm in training updates what it is given as running: give None")
    if training:
        result = _standardized(input, [place for place in range(input.ndim) if place != 1], eps)
    else:
        mean, variance = (_on_channels(given, input.ndim) for given in (running_mean, running_var))
        result = (input - mean) * _root(variance, eps)
    return _scaled(result, *(_on_channels(given, input.ndim) for given in (weight, bias)))


def _on_channels(given: Any, axes: int) -> Any:
    return given if given is None or axes == 2 else given[(slice(None), *[None] * (axes - 2))]


def _require_last(input: SymbolicArray, shape: Sequence[Any], word: str) -> None:
    if tuple(shape) != input.shape[input.ndim - len(shape) :]:
        raise ValueError(f"{word} over {tuple(shape)} of an array of shape {input.shape}: these are not its last sizes")


def _root(square: SymbolicArray, eps: float) -> SymbolicArray:
    return elementwise(lambda x: 1 / sympy.sqrt(x), (square + eps).named("v")).named("r")


def _standardized(input: SymbolicArray, dims: Sequence[int], eps: float) -> SymbolicArray:
    centred = (input - input.mean(tuple(dims), keepdim=True)).named("C")
    return centred * _root((centred**2).mean(tuple(dims), keepdim=True), eps)


def _scaled(result: SymbolicArray, weight: Any, bias: Any) -> SymbolicArray:
    result = result if weight is None else result * weight
    return result if bias is None else result + bias


def normalize(input: SymbolicArray, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> SymbolicArray:
    """Return x divided by its norm along an axis, or by eps where that is larger."""
    return input / maximum(norm(input, p, dim, keepdim=True), eps)


def cosine_similarity(x1: SymbolicArray, x2: SymbolicArray, dim: int = 1, eps: float = 1e-8) -> SymbolicArray:
    """Return x·y divided by both norms, or by eps where one is smaller."""
    one, other = (maximum(norm(x, 2, dim), eps) for x in (x1, x2))
    return (x1 * x2).sum(dim) / (one * other)


def scaled_dot_product_attention(
    query: SymbolicArray,
    key: SymbolicArray,
    value: SymbolicArray,
    attn_mask: SymbolicArray | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: Any = None,
) -> SymbolicArray:
    """Return softmax(Q Kᵀ / √d) V; a mask is of conditions, where attention is paid, or is added to the scores."""
    if dropout_p:
        raise ValueError("dropout is random, and cannot be traced: give dropout_p=0")
    factor = 1 / sympy.sqrt(query.shape[-1]) if scale is None else scale
    scores = (query @ key.mT * factor).named("S")
    if is_causal:
        mask = ones(query.shape[-2], key.shape[-2]).tril()
        scores = where(mask, scores, -sympy.oo)
    elif attn_mask is not None and is_condition(attn_mask.value):
        scores = where(attn_mask, scores, -sympy.oo)
    elif attn_mask is not None:
        scores = scores + attn_mask
    return softmax(scores, dim=-1).named("A") @ value


_WORDS = (linear, bilinear, embedding, one_hot, layer_norm, rms_norm, group_norm, batch_norm, normalize)
WORDS.update((word.__name__, word) for word in (*_WORDS, cosine_similarity, scaled_dot_product_attention))
