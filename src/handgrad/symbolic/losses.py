"""Words for losses, as torch.nn.functional has them."""

from typing import Any

import sympy
from sympy import Abs, Expr, Piecewise

from handgrad.symbolic.arrays import WORDS, SymbolicArray, elementwise
from handgrad.symbolic.places import gather
from handgrad.symbolic.words import log_softmax, logsumexp


def _of_all(loss: SymbolicArray, reduction: str) -> SymbolicArray:
    """Return the mean of a loss, its sum, or itself; ValueError on other words."""
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction={reduction!r} cannot be traced; there are 'mean', 'sum' and 'none'")
    return loss if reduction == "none" else loss.mean() if reduction == "mean" else loss.sum()


def mse_loss(input: SymbolicArray, target: SymbolicArray, reduction: str = "mean") -> SymbolicArray:
    """Return the square difference, by default its mean."""
    return _of_all((input - target) ** 2, reduction)


def l1_loss(input: SymbolicArray, target: SymbolicArray, reduction: str = "mean") -> SymbolicArray:
    """Return the absolute difference."""
    return _of_all(abs(input - target), reduction)


def huber_loss(
    input: SymbolicArray, target: SymbolicArray, reduction: str = "mean", delta: float = 1.0
) -> SymbolicArray:
    """Return half the square of a difference below delta, and beyond it the tangent."""
    limit = sympy.Rational(str(delta))
    return _of_all(_huber(input - target, limit, sympy.S.One), reduction)


def smooth_l1_loss(
    input: SymbolicArray, target: SymbolicArray, reduction: str = "mean", beta: float = 1.0
) -> SymbolicArray:
    """Return Huber's loss divided by its bound."""
    limit = sympy.Rational(str(beta))
    return _of_all(_huber(input - target, limit, 1 / limit), reduction)


def _huber(difference: SymbolicArray, limit: Expr, scale: Expr) -> SymbolicArray:
    return elementwise(
        lambda r: Piecewise((scale * r**2 / 2, Abs(r) < limit), (scale * limit * (Abs(r) - limit / 2), True)),
        difference.named("R"),
    )


def kl_div(
    input: SymbolicArray, target: SymbolicArray, reduction: str = "mean", log_target: bool = False
) -> SymbolicArray:
    """Return q (log q − log p) of log p and q, or of log p and log q; `batchmean` is the sum over the first size."""
    if log_target:
        loss = elementwise(lambda p, q: sympy.exp(q) * (q - p), input, target)
    else:
        loss = elementwise(lambda p, q: q * sympy.log(q) - q * p, input, target)
    return loss.sum() / input.shape[0] if reduction == "batchmean" else _of_all(loss, reduction)


def binary_cross_entropy_with_logits(
    input: SymbolicArray, target: SymbolicArray, reduction: str = "mean"
) -> SymbolicArray:
    """Return −t log σ(z) − (1 − t) log(1 − σ(z))."""
    return _of_all(elementwise(lambda z, t: sympy.log(1 + sympy.exp(z)) - t * z, input, target), reduction)


def nll_loss(input: SymbolicArray, target: SymbolicArray, reduction: str = "mean") -> SymbolicArray:
    """Return −x at the targets: log-probabilities of shape (n, d), and n whole numbers below d."""
    if input.ndim != 2:
        raise ValueError(f"nll_loss of shape {input.shape}: join what is before the classes")
    return _of_all(-gather(input, -1, target), reduction)


def cross_entropy(
    input: SymbolicArray, target: SymbolicArray, reduction: str = "mean", label_smoothing: float = 0.0
) -> SymbolicArray:
    """Return −log softmax(x) at the targets, or its mean with probabilities as weights: scores of shape (n, d).

    The targets are n whole numbers below d, or probabilities of shape (n, d).
    """
    if input.ndim != 2:
        raise ValueError(f"cross_entropy of shape {input.shape}: join what is before the classes")
    input = input.named("Z")
    smooth = sympy.Rational(str(label_smoothing))
    if target.below is None:
        weights = target if smooth == 0 else (1 - smooth) * target + smooth / input.shape[-1]
        loss = -(weights * log_softmax(input, -1)).sum(-1)
    elif smooth == 0:
        loss = logsumexp(input, -1) - gather(input, -1, target)
    else:
        scores = log_softmax(input, -1).named("P")
        loss = -(1 - smooth) * gather(scores, -1, target) - smooth * scores.mean(-1)
    if target.below is None and reduction == "mean":
        loss, reduction = loss / input.shape[0], "sum"
    return _of_all(loss, reduction)


_WORDS: tuple[Any, ...] = (mse_loss, l1_loss, huber_loss, smooth_l1_loss, kl_div, nll_loss, cross_entropy)
WORDS.update((word.__name__, word) for word in (*_WORDS, binary_cross_entropy_with_logits))
