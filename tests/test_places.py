"""What stands at computed places is found there, and not in products with deltas."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import sympy
import torch
from functions import FUNCTIONS
from test_trace import arguments
from torch import Tensor
from torch.nn import functional as F

import handgrad.symbolic
from handgrad.symbolic import Program, Sum, array, backward, cumsum, define, derive, gather, indices, maximum, minimum
from handgrad.symbolic.code_text import without_repetition
from handgrad.symbolic.indexed import sizes
from handgrad.symbolic.places_code import window

pytestmark = pytest.mark.slow  # seldom breaks: not while one works

N = torch.arange(24.0, dtype=torch.float64)


def program(name: str) -> Program:
    return derive(FUNCTIONS[name][0], **arguments(*FUNCTIONS[name]))


def sources(name: str) -> list[str]:
    found = program(name)
    return [found.compile().source, found.layer("Named")]


def same_as_autograd(found: Program, function: Callable[..., Any], **given: Any) -> str:
    """Compare all gradients with autograd's, for a random gradient that comes in; return the code."""
    compiled = found.compile()
    real = {name: value for name, value in given.items() if value.is_floating_point()}
    leaves = given | {name: value.clone().requires_grad_() for name, value in real.items()}
    output = function(**leaves)
    G = torch.randn(output.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values = given | {"G": G}
    extents = {name: size for name, size in {"v": 5, "d": 4}.items() if name in compiled.sizes}
    gradients = compiled(**{name: values[name] for name in compiled.arrays}, **extents)
    wanted = torch.autograd.grad(output, [leaves[name] for name in real], G)
    for name, gradient in zip(real, wanted, strict=True):
        torch.testing.assert_close(gradients[name], gradient)
    return compiled.source


@pytest.mark.parametrize("name", ["embedding", "bag_of_words"])
def test_the_gradient_of_what_is_looked_up_is_added_to_its_place(name: str) -> None:
    compiled, layer = sources(name)
    assert "arange" not in compiled + layer
    assert "index_add_" in compiled
    assert "take_along_dim" in layer
    assert "scatter_add_" in layer


def test_two_tables_of_one_shape_are_two() -> None:
    def both(W: Any, V: Any, t: Any, s: Any) -> Any:
        return W[t] * V[s]

    found = derive(both, W="v d", V="v d", t="n -> v", s="n -> v")
    tables = {"W": N[:20].view(5, 4), "V": N[4:].view(5, 4).cos()}
    places = {"t": torch.tensor([0, 4, 4]), "s": torch.tensor([2, 2, 4])}
    code = same_as_autograd(found, both, **tables, **places)
    assert len(re.findall(r"\w+\.new_zeros\([^)]*\)\.index_add_\(", code)) == code.count("zeros(") == 2


def test_what_is_filled_is_never_named_before_in_lines_that_are_too_long() -> None:
    term = "given.new_zeros(v, d).index_add_(-2, {}, {} * torch.exp({}))"
    code = " + ".join(term.format(name, name, name * 9) for name in "abc")
    for name, value in without_repetition([("total", code)], []):
        assert "zeros" not in value or "index_add_" in value, name


def test_places_may_have_any_axes_and_stand_on_any() -> None:
    v, d = sizes("v d")
    i, j, k = indices("i:n j:m k:d")
    t, W, V = array("t", i, j, integer=True), array("W", v, d), array("V", d, v)
    given = {"t": torch.tensor([[0, 4, 4], [1, 0, 2]]), "V": N[:20].view(4, 5)}
    code = same_as_autograd(
        backward(define("Y", V[k, t[i, j]], i, j, k)), lambda V, t: V.T[t], V=given["V"], t=given["t"]
    )
    assert "index_add_" not in code  # two axes go where another stands first
    flat = backward(define("Y", W[t[i, j], k], i, j, k))
    assert ".flatten()" in same_as_autograd(flat, lambda W, t: W[t], W=N[:20].view(5, 4), t=given["t"])
    s = array("s", i, integer=True)
    second = backward(define("Y", V[k, s[i]], i, k))
    assert "index_add_(-1" in same_as_autograd(second, lambda V, s: V.T[s], V=given["V"], s=torch.tensor([3, 3, 0]))


@pytest.mark.parametrize("name", ["convolution", "dilated_convolution"])
def test_a_convolution_and_its_gradients_are_products_with_what_stands_under_windows(name: str) -> None:
    for code in sources(name):
        assert "arange" not in code
        # The kernel is turned around, not all that stands under it.
        assert not re.search(r"unfold\([^)]*\)(\[.*?\])?\.flip", code)
        assert re.search(r"\bW\.flip\(", code)
        # What an einsum copies is fast to copy: windows come last, and what they leave is moved to its place.
        assert "movedim(-1" in code
        assert not re.search(r"einsum\([^,]*,[^,]*\", [^W]*, W", code)


@pytest.mark.parametrize(("stride", "dilation", "pad"), [(1, 1, 0), (1, 3, 2), (2, 1, 1), (3, 2, 4), (1, 1, -2)])
def test_windows_may_be_apart_and_wide_and_reach_beyond(stride: int, dilation: int, pad: int) -> None:
    within = 4
    places = (24 + 2 * pad - dilation * (within - 1) - 1) // stride + 1
    i, a = indices(f"i:{places} a:{within}")
    X, W = array("X", sympy.Integer(24)), array("W", a)
    Y = define("Y", Sum(X[stride * i + dilation * a - pad] * W[a], a), i)

    def reference(X: Tensor, W: Tensor) -> Tensor:
        padded = F.pad(X, (pad, pad))[None, None]
        return F.conv1d(padded, W[None, None], stride=stride, dilation=dilation)[0, 0]

    code = same_as_autograd(backward(Y), reference, X=N.sin(), W=N[:4] + 1)
    assert ".unfold(" in code


def test_which_letter_is_the_windows_is_told_by_the_sizes() -> None:
    n, k = sizes("n k")
    i, a = indices("i:n a:k")
    assert window(i + a, n) is None  # neither need be the shorter
    step = sympy.Idx("i", n - k + 1)
    found = window(step + 2 * a - 3, n)
    assert found is not None
    assert (found.stride, found.step, found.dilation, found.within, found.start) == (1, step, 2, a, -3)


def test_sums_up_to_a_place_are_running_sums() -> None:
    for code in sources("running_totals"):
        assert "arange" not in code
        assert "cumsum" in code

    def twice(X: Any) -> Any:
        return X.cumsum(0) * X.cumsum(1) if isinstance(X, Tensor) else cumsum(X, 0) * cumsum(X, 1)

    same_as_autograd(derive(twice, X="n d"), twice, X=N.view(6, 4).sin())


def test_what_is_looked_up_by_row_stays_right() -> None:
    def chosen(X: Any, t: Any) -> Any:
        return X.gather(-1, t[:, None])[:, 0] ** 2 if isinstance(X, Tensor) else gather(X, -1, t) ** 2

    same_as_autograd(derive(chosen, X="n d", t="n -> d"), chosen, X=N.view(6, 4), t=torch.tensor([0, 3, 3, 1, 2, 0]))


def test_the_larger_and_the_smaller_of_two_are_no_choices() -> None:
    assert "H = Z.clamp(min=0)" in program("mlp").compile().source
    assert "torch.maximum(x, y)" in program("larger").layer("Larger")
    below = derive(lambda x: handgrad.symbolic.clamp(x, -1, 2), x="n").layer("Clamped")
    assert "clamp(min=-1)" in below
    assert "clamp(max=2)" in below

    def both(x: Any, y: Any) -> Any:
        larger: Any = torch.maximum if isinstance(x, Tensor) else maximum
        smaller: Any = torch.minimum if isinstance(x, Tensor) else minimum
        return larger(x, 3 * y) * smaller(larger(x, y), 2 * y)

    same_as_autograd(derive(both, x="n", y="n"), both, x=N.sin(), y=N.cos())


def test_shapes_are_compared_without_sympy(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = program("softmax_cross_entropy").compile()
    monkeypatch.setattr(sympy.Basic, "subs", None)
    assert compiled(Z=N.view(6, 4), t=torch.zeros(6).long())["Z"].shape == (6, 4)
