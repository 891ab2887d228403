"""Forward mode and second derivatives: tangents of named steps, Hessians times a vector, Hessians; and torch's."""

import re
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from random import Random
from typing import Any

import pytest
import torch
from functions import FUNCTIONS
from sympy import Abs, Piecewise, preorder_traversal, tanh
from test_trace import arguments, given
from torch import Tensor

from handgrad.symbolic import (
    Definition,
    Sum,
    TangentProgram,
    array,
    backward,
    define,
    derive,
    forward,
    hessian,
    hvp,
    indices,
    jvp,
)
from handgrad.symbolic.compiled import TorchGradients
from handgrad.symbolic.derivation import whole_numbers_of
from handgrad.symbolic.trace import trace

pytestmark = pytest.mark.slow  # seldom breaks: not while one works

i, j, k, a = indices("i:n j:p k:q a:p")
X, W, x = array("X", i, j), array("W", j, k), array("x", i)

AUTOGRAD: Any = torch.autograd.functional  # whose functions have no types

# The others take long together.
OFTEN = {"attention", "softmax_cross_entropy", "embedding", "clamped", "convolution", "one_output", "scaled"}


def product() -> Definition:
    return define("Y", Sum(X[i, j] * W[j, k], j), i, k)


def network(depth: int) -> Definition:
    state: Any = X
    for layer in range(depth):
        state = define(f"H{layer}", tanh(Sum(state[i, a] * array("U", a, j)[a, j], a)), i, j)
    return define("L", Sum(state[i, j] ** 2, i, j))


def traced(name: str) -> Definition:
    return trace(FUNCTIONS[name][0], **arguments(*FUNCTIONS[name]))


def values_at(name: str, seed: int) -> tuple[dict[str, Tensor], dict[str, int]]:
    """Return what a function is given at a shape, and its sizes."""
    axes = arguments(*FUNCTIONS[name])
    letters = sorted({letter for text in axes.values() for letter in text.replace("->", " ").split()})
    random = Random(seed)
    sizes = {letter: 1 if letter == "1" else random.randint(2, 5) for letter in letters}
    return {called: tensor.detach() for called, tensor in given(axes, sizes, seed).items()}, sizes


def results(compiled: Any, known: dict[str, Any]) -> Any:
    return compiled(**{name: known[name] for name in [*compiled.arrays, *compiled.sizes]})


@cache
def compiled(name: str) -> tuple[TorchGradients, TorchGradients, TorchGradients]:
    """Return the tangents of a function, its gradients, and how those move."""
    output = traced(name)
    program = backward(output)
    return jvp(output).compile(), program.compile(), hvp(program).compile()


def dot(one: dict[str, Tensor], other: dict[str, Tensor]) -> Tensor:
    return sum((one[name] * other[name]).sum() for name in one)  # type: ignore[return-value]


@pytest.mark.parametrize("name", [name if name in OFTEN else pytest.param(name, marks=pytest.mark.deep)
                                  for name in FUNCTIONS])  # fmt: skip
def test_tangents_and_hessians_times_a_vector_are_torchs_and_those_of_the_backward_pass(name: str) -> None:
    function = FUNCTIONS[name][0]
    for seed in range(2):
        tensors, sizes = values_at(name, seed)
        real = {called: tensor for called, tensor in tensors.items() if tensor.is_floating_point()}
        moves = {called: torch.randn_like(tensor) for called, tensor in real.items()}

        def by_torch(*values: Tensor, tensors: Any = tensors, real: Any = real) -> Any:
            return function(**{**tensors, **dict(zip(real, values, strict=True))})

        value, expected = AUTOGRAD.jvp(by_torch, (*real.values(),), (*moves.values(),))
        G = torch.randn_like(value) if value.dim() else torch.ones_like(value)
        known = {**tensors, **sizes, "G": G} | {f"{called}_dot": move for called, move in moves.items()}
        tangents, gradients, second = (results(each, known) for each in compiled(name))
        (tangent,) = tangents.values()
        torch.testing.assert_close(tangent, expected, rtol=1e-9, atol=1e-11)
        torch.testing.assert_close((G * tangent).sum(), dot(gradients, moves), rtol=1e-9, atol=1e-11)
        loss = lambda *values: (G * by_torch(*values)).sum()  # noqa: B023, E731
        _, products = AUTOGRAD.hvp(loss, (*real.values(),), (*moves.values(),))
        for called, product in zip(real, products, strict=True):
            torch.testing.assert_close(second[f"d{called}"], product, rtol=1e-9, atol=1e-11)


def without_a_term(value: Any) -> Any:
    return Sum(value.function.args[0], *(index for index, *_ in value.limits))


def test_a_wrong_rule_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "_split", without_a_term)
    with pytest.raises(AssertionError, match="not close"):
        test_tangents_and_hessians_times_a_vector_are_torchs_and_those_of_the_backward_pass("linear")


FORMULAS = {
    ("attention", "Z"): "\\frac{1}{\\sqrt{d}} Q \\dot{K}^{\\mathsf{T}} + \\frac{1}{\\sqrt{d}} \\dot{Q} K^{\\mathsf{T}}",
    ("attention", "A"): "A_{ik} \\left(\\dot{Z}_{ik} - \\sum_{k'} A_{ik'} \\dot{Z}_{ik'}\\right)",
    ("attention", "Y"): "A \\dot{V} + \\dot{A} V",
    ("mlp", "H"): "\\dot{Z} \\odot [Z > 0]",
    ("layer_norm", "r"): "- \\frac{1}{2} \\dot{Z} \\odot r^{\\odot 3}",
    ("gru_cell", "z"): "\\dot{Z}_{ij} z_{ij} \\left(1 - z_{ij}\\right)",
}


@pytest.mark.parametrize(("name", "step"), FORMULAS)
def test_tangents_are_short_and_in_names_of_what_exists(name: str, step: str) -> None:
    assert jvp(traced(name))[step].formula.text == f"${FORMULAS[name, step]}$"


def test_tangents_are_code_as_one_writes_it() -> None:
    lines = jvp(traced("attention")).compile().source.splitlines()[-3:]
    assert lines == [
        "    A_dot = A * (Z_dot - (A * Z_dot).sum(-1, keepdim=True))",
        "    Y_dot = A @ V_dot + A_dot @ V",
        '    return {"Y": Y_dot}',
    ]


@pytest.mark.parametrize("derived", [jvp, hvp])
def test_a_layer_more_adds_as_much_as_the_one_before(derived: Callable[..., TangentProgram]) -> None:
    programs = [derived(network(depth), X) for depth in range(2, 5)]
    lengths = [
        sum(len([*preorder_traversal(tangent.result.value)]) for tangent in program.tangents.values())
        for program in programs
    ]
    assert len({after - before for before, after in pairwise(lengths)}) == 1


def test_steps_tell_the_rules_and_the_program_shows_steps_and_tangents() -> None:
    program = hvp(traced("attention"), "Q")
    assert [*program.tangents] == ["Z", "A", "dZ", "dQ"]
    assert [step.rule for step in program["A"].steps] == [
        "definition", "chain rule", "differentiate", "name what is known",
    ]  # fmt: skip
    assert program["Z"].steps[1].latex == (
        "\\dot{Z}_{ik} = \\sum_{r, s} \\frac{\\partial Z_{ik}}{\\partial Q_{rs}} \\dot{Q}_{rs}"
    )
    text = program._repr_markdown_()
    places = [text.index(f"**{title}**") for title in ("forward", "backward", "tangents")]
    assert places == sorted(places)
    line = "$\\dot{\\mathrm{dQ}}$ $= \\frac{1}{\\sqrt{d}} \\, \\dot{\\mathrm{dZ}} \\, K$"
    assert f'<details>\n<summary title="dQ_dot">{line}</summary>\n\n<div class="step">' in text
    assert "differentiate" in program["A"]._repr_markdown_()


def test_a_gradient_that_does_not_move_has_tangent_zero() -> None:
    loss = define("L", Sum(X[i, j] * array("C", i, j)[i, j], i, j))
    assert (hvp(loss, X).compile()(n=2, p=3)["dX"] == torch.zeros(2, 3)).all()


# Second derivatives


def logistic(X, w, t):  # type: ignore[no-untyped-def]
    p = torch.sigmoid(X @ w)
    return -(t * torch.log(p) + (1 - t) * torch.log(1 - p)).mean()


def squares(X, w, t):  # type: ignore[no-untyped-def]
    r = X @ w - t
    return (r**2).mean()


def shifted(X, w, t):  # type: ignore[no-untyped-def]
    c = torch.relu(torch.cumsum(X @ w, 0) - t)
    return (c**2).sum() * w.sum()


@pytest.mark.parametrize(
    ("function", "a", "b"), [(logistic, "w", "w"), (squares, "X", "w"), (shifted, "w", "w"), (shifted, "t", "X")]
)
def test_second_derivatives_are_torchs(function: Any, a: str, b: str) -> None:
    derivation = hessian(derive(function, X="n m", w="m", t="n"), a, b)
    torch.manual_seed(0)
    known = {"X": torch.randn(3, 2), "w": torch.randn(2), "t": torch.rand(3)}
    known = {name: tensor.double() for name, tensor in known.items()}

    def loss(*values: Tensor) -> Any:
        return function(**{**known, **dict(zip(("X", "w", "t"), values, strict=True))})

    blocks = AUTOGRAD.hessian(loss, (*known.values(),))
    expected = blocks[[*known].index(a)][[*known].index(b)]
    torch.testing.assert_close(results(derivation.compile(), known | {"n": 3, "m": 2}), expected)


def test_each_entry_of_a_second_derivative_is_what_scalar_calculus_finds() -> None:
    derivation = hessian(derive(squares, X="n m", w="m", t="n"), "w", "X")
    sizes = {symbol.name for symbol in whole_numbers_of(derivation.result)}
    assert "\\frac{\\partial^{2} L}" in derivation.entries(**dict.fromkeys(sizes, 2)).text


def test_a_hessian_is_derived_step_by_step_and_has_its_matrix_form() -> None:
    derivation = hessian(derive(squares, X="n m", w="m", t="n"), "w", "w")
    assert derivation.matrix.text == "$\\frac{2}{n} X^{\\mathsf{T}} X$"
    assert derivation.steps[-1].latex.startswith("\\frac{\\partial^{2} L}{\\partial w \\, \\partial w} = ")
    assert derivation.plain_name == "∂²L/∂w∂w"
    assert hessian(define("L", Sum(x[i], i)), x, x).result.value == 0
    assert hessian(define("L", array("a") ** 3), "a", "a").formula.text == "$6 a$"


@pytest.mark.parametrize("name", ["attention", "softmax_cross_entropy"])
def test_tangents_are_finite_at_1000_in_float32(name: str) -> None:
    tensors, sizes = values_at(name, 0)
    large = {called: 1000 * t.float() if t.is_floating_point() else t for called, t in tensors.items()}
    known = {**large, **sizes} | {f"{called}_dot": t / 1000 for called, t in large.items()}
    known["G"] = torch.ones([sizes[str(index.upper + 1)] for index in traced(name).indices])
    for program in compiled(name):
        assert all(result.isfinite().all() for result in results(program, known).values())


# Kinks


def test_a_tangent_says_where_it_holds_and_a_second_derivative_where_the_first_jumps() -> None:
    relu = define("Y", Piecewise((x[i], x[i] > 0), (0, True)), i)
    assert jvp(relu)["Y"].where == "where all $x_{i} \\neq 0$"
    where = "where all $x_{r} \\neq 0$; where $x_{r} = 0$, $\\mathrm{dx}$ jumps, and has no derivative"
    program = hvp(relu)
    assert program["dx"].result.value == 0
    assert program["dx"].where == hessian(relu, x, x).where == where
    assert jvp(define("Y", Abs(x[i]) * W[j, k], i, j, k), W)["Y"].where == ""


# Names, and what is refused


def test_tangents_have_the_names_they_are_given_or_ones_that_are_free() -> None:
    product = define("Y", X[i, j] * array("X_dot", i, j)[i, j], i, j)
    assert jvp(product, X)["Y"].formula.text == "$\\dot{X} \\odot \\dot{X}_{2}$"
    assert jvp(product, "X", tangents=[array("V", i, j)])["Y"].formula.text == "$V \\odot \\dot{X}$"


def test_a_step_may_move_instead_of_what_it_is_made_of() -> None:
    scores = define("S", Sum(X[i, j] * W[j, k], j), i, k)
    output = define("Y", tanh(scores[i, k]), i, k)
    assert [*jvp(output, scores).tangents] == ["Y"]
    assert jvp(output, "S").compile().source.startswith("def tangents(S_dot, W, X):")


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        (lambda: jvp(traced("mlp"), "Q"), ValueError, "Q does not occur in Y"),
        (lambda: jvp(traced("embedding"), "t"), ValueError, "t holds whole numbers"),
        (lambda: jvp(traced("mlp"), "X", "H"), ValueError, "H is made of Z: only one of them can be given a tangent"),
        (lambda: jvp(traced("lower"), "X", tangents=[x]), TypeError, "the tangent of X is an array of its shape"),
        (lambda: jvp(traced("lower"), "X", tangents=[x, x]), ValueError, "there are 2 tangents, and"),
        (lambda: jvp(traced("lower"), "X", tangents=[array("Y", i, j)]), TypeError, "the tangent of X is an array"),
        (lambda: jvp(product(), X, tangents=[array("W", i, j)]), ValueError, "Y is made of a W already"),
        (lambda: jvp(traced("mlp"), "W2")["H"], KeyError, "no tangent of H is derived: there are those of Y"),
        (lambda: hvp(traced("mlp"), "t"), ValueError, "t does not occur in Y"),
        (lambda: hessian(traced("mse"), "Y", "Q"), ValueError, "Q does not occur in L"),
    ],
)
def test_what_has_no_tangent_is_refused(wrong: Callable[[], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=re.escape(words)):
        wrong()
