"""Functions written in torch's words are traced, and their derived gradients are autograd's, at several shapes."""

import inspect
import re
from collections.abc import Callable
from math import prod
from typing import Any

import pytest
import sympy
import torch
from functions import FUNCTIONS
from torch import Tensor
from torch.nn import functional as F

from handgrad import symbolic
from handgrad.symbolic import derive
from handgrad.symbolic.definitions import in_order
from handgrad.symbolic.trace import trace
from handgrad.symbolic.words import ENTRYWISE

Axes = tuple[str, ...]


def arguments(function: Callable[..., Any], axes: Axes) -> dict[str, str]:
    return dict(zip(inspect.signature(function).parameters, axes, strict=True))


def letters(axes: Axes) -> list[str]:
    """Return the sizes that axes are made of, numbers too."""
    return sorted({letter for text in axes for letter in text.replace("->", " ").replace("*", " ").split()})


def extent(text: str, sizes: dict[str, int]) -> int:
    """Return the size of an axis, which may be a product."""
    return prod(int(factor) if factor.isdecimal() else sizes[factor] for factor in text.split("*"))


def given(axes: dict[str, str], sizes: dict[str, int], seed: int) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    tensors = {}
    for name, text in axes.items():
        shape, _, below = text.partition("->")
        extents = [extent(axis, sizes) for axis in shape.split()]
        random = torch.randn(extents, dtype=torch.float64, requires_grad=True)
        tensors[name] = torch.randint(0, sizes[below.strip()], extents) if below else random
    return tensors


def test_what_is_computed_is_defined_under_the_names_of_variables() -> None:
    function, axes = FUNCTIONS["rnn"][0], arguments(*FUNCTIONS["rnn"])
    names = [step.name for step in in_order(trace(function, **axes))]
    assert names == ["Z", "H_2", "Z_2", "H_3", "Z_3", "H_4"]


def test_attention_is_derived_as_it_is_written_by_hand() -> None:
    text = derive(FUNCTIONS["attention"][0], Q="n d", K="m d", V="m e")._repr_markdown_()
    for line in [
        r"$Z$ $= \frac{1}{\sqrt{d}} Q K^{\mathsf{T}}$",
        r"$Y$ $= A V$",
        r">$\mathrm{dA}$ $= G V^{\mathsf{T}}$</summary>",
        r"$\mathrm{dZ}_{rs}$ $= A_{rs} \left(\mathrm{dA}_{rs} - \sum_{k} A_{rk} \, \mathrm{dA}_{rk}\right)$<",
        r">$\mathrm{dV}$ $= A^{\mathsf{T}} G$</summary>",
        r">$\mathrm{dQ}$ $= \frac{1}{\sqrt{d}} \, \mathrm{dZ} \, K$</summary>",
        r">$\mathrm{dK}$ $= \frac{1}{\sqrt{d}} \, \mathrm{dZ}^{\mathsf{T}} \, Q$</summary>",
    ]:
        assert line in text, f"{line}\nis not in\n{text}"


def test_the_words_are_there_without_torch_too() -> None:
    def with_torch(X: Any, W: Any) -> Any:
        return torch.logsumexp(torch.tanh(X @ W), -1)

    def without(X: Any, W: Any) -> Any:
        return symbolic.logsumexp(symbolic.tanh(X @ W), dim=-1)

    one, other = (derive(function, X="n p", W="p q")._repr_markdown_() for function in (with_torch, without))
    assert one == other


@pytest.mark.parametrize("name", ENTRYWISE)
def test_a_word_for_one_number_and_its_derivative_are_torchs(name: str) -> None:
    function, formula = getattr(torch, name, None) or getattr(F, name), ENTRYWISE[name]
    X = torch.tensor([-1.7, -0.6, 0.3, 0.8, 2.5], dtype=torch.float64)
    X = X[~function(X).isnan()].requires_grad_()
    values = torch.tensor([float(formula(sympy.Float(each))) for each in X.tolist()], dtype=torch.float64)
    torch.testing.assert_close(values, function(X), msg=lambda words: f"torch.{name} is another function\n{words}")
    gradients = derive(lambda X: function(X), X="n").compile()
    given = {"X": X.detach(), "G": torch.ones_like(X), "n": len(X)}
    found = gradients(**{called: given[called] for called in [*gradients.arrays, *gradients.sizes]})["X"]
    (gradient,) = torch.autograd.grad(function(X).sum(), X)
    torch.testing.assert_close(found, gradient, msg=lambda words: f"the derivative of {name} is wrong\n{words}")
    x = sympy.Symbol("x")
    assert getattr(symbolic, name, formula)(x) == formula(x), f"handgrad.symbolic.{name} is another function"


def test_a_size_may_be_called_e_and_the_exponential_is_then_no_power_of_it() -> None:
    program = derive(lambda X, W: symbolic.exp(X @ W) / X.shape[-1], X="n e", W="e q")
    assert r"\exp\left(" in program._repr_markdown_()


@pytest.mark.parametrize(
    ("function", "axes", "words"),
    [
        (lambda X, Y: X + Y, {"X": "n d", "Y": "n m"}, "axes of sizes d and m do not fit: they may differ"),
        (lambda X, Y: X @ Y, {"X": "n d", "Y": "m d"}, "axes of sizes d and m do not fit"),
        (lambda X, Y: X @ Y, {"X": "n 1", "Y": "m d"}, "the inner sizes differ"),
        (lambda X: X @ X.sum(), {"X": "n n"}, "a number has no matrix product"),
        (lambda X: X.T, {"X": "b n d"}, "T is of a matrix, and this has 3 axes"),
        (lambda X: X.sum(2), {"X": "n d"}, "dim=2 is no axis of an array of 2 axes"),
        (lambda X: X[True], {"X": "n d"}, "[True] cannot be traced"),
        (lambda X: X[3], {"X": "3 d"}, "place 3 is none of an axis of size 3"),
        (lambda X: X[:, ::-1], {"X": "n d"}, "in steps of -1"),
        (lambda X: X[:, :, :], {"X": "n d"}, "3 places in an array of 2 axes"),
        (lambda W, t: W[t], {"W": "v d", "t": "n -> d"}, "looks nothing up on an axis of v"),
        (lambda W, t: W[t], {"W": "v d", "t": "n"}, "an array of real numbers looks nothing up"),
        (lambda X: X if X.sum() > 0 else -X, {"X": "n"}, "neither true nor false"),
        (lambda X: torch.sort(X), {"X": "n"}, "sort of torch's cannot be traced"),
        (lambda X, W: symbolic.conv1d(X, W), {"X": "n c l", "W": "o d k"}, "axes of sizes c and d do not fit"),
        (lambda X, W: symbolic.conv1d(X, W), {"X": "n 1 l", "W": "o c k"}, "the channels differ"),
        (lambda X: 3, {"X": "n"}, "returns 3"),
        (lambda X: X + "one", {"X": "n"}, "is no number and no symbolic array"),
        (lambda X: symbolic.einsum("ij", X), {"X": "n n"}, "write all letters, and the arrow"),
    ],
)
def test_what_cannot_be_traced_is_refused_by_name(function: Any, axes: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        derive(function, **axes)


def test_an_unknown_method_is_named_with_those_there_are() -> None:
    with pytest.raises(AttributeError, match=r"a symbolic array has no median; it has abs, .*tanh"):
        derive(lambda X: X.median(), X="n")
