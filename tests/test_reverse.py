"""Programs: backpropagation through named steps, each gradient short, in names of what exists, and autograd's."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pypandoc
import pytest
import torch
from functions import FUNCTIONS
from sympy import And, Expr, Piecewise, Rational, exp, log, preorder_traversal, sqrt, tanh
from test_trace import arguments
from torch import Tensor
from torch.nn import functional

from handgrad.symbolic import (
    Definition,
    Iverson,
    Program,
    Sum,
    array,
    backward,
    define,
    derive,
    indices,
    mean,
    reuse,
    reverse,
)
from handgrad.symbolic.definitions import in_order
from handgrad.symbolic.derivation import whole_numbers, whole_numbers_of
from handgrad.symbolic.notation import broken
from handgrad.symbolic.reuse import Known, in_names

pytestmark = pytest.mark.slow  # seldom breaks: not while one works

i, j, k, e, a, c = indices("i:n j:m k:d l:q a:d c:m")
X, W, Z = array("X", i, k), array("W", k, e), array("Z", i, k)
t = array("t", i, integer=True)
epsilon = array("epsilon")


@dataclass(frozen=True)
class Case:
    """An output, the same by torch, and the shapes of its arrays."""

    output: Definition
    reference: Callable[..., Tensor]
    shapes: dict[str, tuple[int, ...]]

    def given(self) -> dict[str, Tensor]:
        torch.manual_seed(0)
        values = {name: torch.randn(shape, dtype=torch.float64) for name, shape in self.shapes.items() if name != "t"}
        if "t" in self.shapes:
            values["t"] = torch.randint(0, 3, self.shapes["t"])
        return values | ({"epsilon": torch.tensor(0.1, dtype=torch.float64)} if "epsilon" in self.shapes else {})


def softmax(name: str, scores: Any) -> Definition:
    return define(name, exp(scores[i, j]) / Sum(exp(scores[i, c]), c), i, j)


def attention() -> Definition:
    Q, K, V = array("Q", i, k), array("K", j, k), array("V", j, e)
    scores = define("S", Sum(Q[i, k] * K[j, k], k) / sqrt(k.upper + 1), i, j)
    return define("Y", Sum(softmax("A", scores)[i, j] * V[j, e], j), i, e)


def layer_norm() -> Definition:
    centred = define("C", X[i, k] - define("mu", mean(X[i, k], k), i)[i], i, k)
    scale = define("r", 1 / sqrt(mean(centred[i, k] ** 2, k) + epsilon), i)
    return define("Y", centred[i, k] * scale[i] * array("w", k)[k] + array("b", k)[k], i, k)


def cross_entropy() -> Definition:
    total = define("m", log(Sum(exp(Z[i, a]), a)), i)
    return define("L", mean(total[i] - Z[i, t[i]], i))


def through_probabilities() -> Definition:
    return define("L", -mean(log(define("P", exp(Z[i, k]) / Sum(exp(Z[i, a]), a), i, k)[i, t[i]]), i))


def network(depth: int) -> Definition:
    """A residual network with one weight in all layers, that the loss has a penalty for and uses itself."""
    state: Any = X
    weight = array("W", k, a)
    for layer in range(depth):
        mixed = define(f"S{layer}", Sum(state[i, a] * weight[a, k], a), i, k)
        state = define(f"H{layer}", state[i, k] + tanh(mixed[i, k]), i, k)
    penalty = define("R", Sum(weight[k, a] ** 2, k, a))
    return define("L", mean(state[i, k] ** 2, i, k) + penalty**2 / 10 + Sum(weight[k, a], k, a))


def network_by_torch(X: Tensor, W: Tensor) -> Tensor:
    H = X
    for _ in range(3):
        H = H + torch.tanh(H @ W)
    return H.square().mean() + W.square().sum() ** 2 / 10 + W.sum()


CASES = {
    "attention": Case(
        attention(),
        lambda Q, K, V: functional.scaled_dot_product_attention(Q[None], K[None], V[None])[0],
        {"Q": (4, 3), "K": (5, 3), "V": (5, 2)},
    ),
    "layer norm": Case(
        layer_norm(),
        lambda X, w, b, epsilon: functional.layer_norm(X, w.shape, w, b, 0.1),
        {"X": (4, 3), "w": (3,), "b": (3,), "epsilon": ()},
    ),
    "cross entropy": Case(cross_entropy(), lambda Z, t: functional.cross_entropy(Z, t), {"Z": (4, 3), "t": (4,)}),
    "through probabilities": Case(
        through_probabilities(), lambda Z, t: functional.cross_entropy(Z, t), {"Z": (4, 3), "t": (4,)}
    ),
    "network": Case(network(3), network_by_torch, {"X": (4, 3), "W": (3, 3)}),
}
CASES |= {
    name: Case(define("Y", value, i, k), reference, {"Z": (4, 3)})
    for name, value, reference in [
        ("tanh", tanh(Z[i, k]), torch.tanh),
        ("sigmoid", 1 / (1 + exp(-Z[i, k])), torch.sigmoid),
        ("relu", Piecewise((Z[i, k], Z[i, k] > 0), (0, True)), torch.relu),
        ("normalize", Z[i, k] / sqrt(Sum(Z[i, a] ** 2, a)), lambda Z: functional.normalize(Z, dim=1)),
    ]
}


@pytest.mark.parametrize("name", CASES)
def test_gradients_of_a_program_are_autograds(name: str) -> None:
    case = CASES[name]
    given, program = case.given(), backward(case.output)
    real = {name: tensor.requires_grad_() for name, tensor in given.items() if name not in ("t", "epsilon")}
    output = case.reference(*given.values())
    G = torch.randn(output.shape, dtype=torch.float64)
    torch.autograd.backward(output, G if case.output.indices else None)
    for wrt, tensor in real.items():
        compiled = program[wrt].compile()
        result = compiled(**{called: {**given, "G": G}[called].detach() for called in compiled.arrays})
        torch.testing.assert_close(result, tensor.grad, rtol=1e-10, atol=1e-12)


def with_a_name_for_twice_as_much(value: Expr, known: Known) -> Expr:
    named = in_names(value, known)
    return named if named == value else 2 * named


@pytest.mark.parametrize(
    ("rule", "wrong", "name"),
    [("_total", lambda uses: uses[0].term, "network"), ("in_names", with_a_name_for_twice_as_much, "tanh")],
    ids=["a use of a step is lost", "a name stands for twice as much"],
)
def test_a_wrong_rule_is_noticed(rule: str, wrong: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reverse, rule, wrong)
    with pytest.raises(AssertionError, match="Tensor-likes are not close"):
        test_gradients_of_a_program_are_autograds(name)


@pytest.mark.parametrize("name", ["attention", "layer norm", "network", "sigmoid"])
def test_each_step_is_what_scalar_calculus_finds_at_a_small_shape(name: str) -> None:
    program = backward(CASES[name].output)
    for gradient in program.gradients.values():
        derivation = gradient.derivation
        sizes = {symbol.name for symbol in whole_numbers(derivation.total) | whole_numbers_of(derivation.result)}
        derivation.entries(**dict.fromkeys(sizes, 2))


FORMULAS = {
    ("tanh", "Z"): "G_{rs} \\left(1 - Y_{rs}^{2}\\right)",
    ("sigmoid", "Z"): "G_{rs} Y_{rs} \\left(1 - Y_{rs}\\right)",
    ("attention", "A"): "G V^{\\mathsf{T}}",
    ("attention", "V"): "A^{\\mathsf{T}} G",
    ("attention", "S"): "A_{rs} \\left(\\mathrm{dA}_{rs} - \\sum_{j} A_{rj} \\, \\mathrm{dA}_{rj}\\right)",
    ("attention", "Q"): "\\frac{1}{\\sqrt{d}} \\, \\mathrm{dS} \\, K",
    ("attention", "K"): "\\frac{1}{\\sqrt{d}} \\, \\mathrm{dS}^{\\mathsf{T}} \\, Q",
    ("layer norm", "mu"): "- \\mathrm{dC} \\, \\mathbf{1}",
}


@pytest.mark.parametrize(("name", "wrt"), FORMULAS)
def test_gradients_are_short_and_in_names_of_what_exists(name: str, wrt: str) -> None:
    assert backward(CASES[name].output)[wrt].formula.text == f"${FORMULAS[name, wrt]}$"


def length(program: Program) -> int:
    return sum(len([*preorder_traversal(gradient.result.value)]) for gradient in program.gradients.values())


def test_a_layer_more_adds_as_much_as_the_one_before() -> None:
    lengths = [length(backward(network(depth))) for depth in range(2, 6)]
    assert len({after - before for before, after in pairwise(lengths)}) == 1


def test_steps_tell_the_rules_and_the_program_shows_both_directions_each_gradient_with_its_derivation() -> None:
    program = backward(CASES["attention"].output)
    rules = [step.rule for step in program["S"].derivation.steps]
    assert rules == ["definition", "chain rule", "differentiate", "contract the deltas", "name what is known"]
    assert [*program.gradients] == ["A", "S", "V", "Q", "K"]
    text = program._repr_markdown_()
    assert '<div class="line">\n\n$A_{ij}$ $= \\frac{e^{S_{ij}}}{\\sum_{c} e^{S_{ic}}}$\n\n</div>' in text
    gradient = f'<summary title="dS">$\\mathrm{{dS}}_{{rs}}$ $= {FORMULAS["attention", "S"]}$</summary>'
    derivation = "".join(
        f'\n\n<div class="step">\n\n{step.rule}\n\n$$\n{broken(step.latex, width)}\n$$\n\n</div>'
        for step, width in zip(program["S"].derivation.steps, [25, 25, 25, 25, 29], strict=True)
    )
    assert f"<details>\n{gradient}{derivation}\n\n</details>" in text


def test_of_several_uses_each_is_a_term_of_the_chain_rule() -> None:
    (rule,) = [step.latex for step in backward(network(1))["W"].derivation.steps if step.rule == "chain rule"]
    assert rule.count("\\frac{\\partial S_{0, ik}}") == 1, rule
    assert rule.count("\\mathrm{dR} \\frac{\\partial R}") == 1, rule
    assert rule.count("\\frac{\\partial}{\\partial W_{rs}}") == 1, rule


def test_only_what_is_asked_for_and_lies_between_is_derived() -> None:
    output = attention()
    assert [*backward(output, array("Q", i, k)).gradients] == ["A", "S", "Q"]
    assert [*backward(output, array("V", j, e)).gradients] == ["V"]
    scores = next(step for step in in_order(output) if step.name == "S")
    assert [*backward(output, scores).gradients] == ["A", "S"]


def test_names_that_are_taken_are_not_given_to_gradients_and_another_upstream_has_its_own() -> None:
    product = define("P", Z[i, k] * array("dZ", i, k)[i, k], i, k)
    program = backward(define("Y", tanh(product[i, k]), i, k), Z, grad_output=array("U", i, k))
    assert program["Z"].result.name == "dZ_"
    assert "U_{rs}" in program["P"].formula.text


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: backward(attention(), X), "X does not occur in Y, which is made of A, K, Q, S, V"),
        (lambda: backward(cross_entropy(), t), "t holds whole numbers"),
        (lambda: backward(define("Y", array("G", i)[i] ** 2, i)), "made of a G already"),
        (lambda: backward(define("Y", array("L", i)[i] ** 2, i)), "made of an L"),
        (lambda: backward(define("Y", X[i, k] ** 2, i, k), grad_output=array("U", k, i)), "is an array of its shape"),
        (lambda: backward(define("Y", X[i, k] ** 2, i, k), grad_output=1.0), "is an array of its shape"),
        (lambda: backward(attention())["L"], "no gradient with respect to L: there are those of A, S, V, Q, K"),
    ],
)
def test_what_has_no_gradient_is_refused(wrong: Callable[[], Any], words: str) -> None:
    with pytest.raises((ValueError, TypeError, KeyError), match=re.escape(words)):
        wrong()


@pytest.mark.parametrize(
    ("value", "known", "named"),
    [
        (exp(Z[i, k]) * X[i, k], exp(Z[i, k]), "X[i, k]*Y[i, k]"),
        (1 / (2 * sqrt(Z[i, k])), sqrt(Z[i, k]), "1/(2*Y[i, k])"),
        (-1 / Z[i, k] ** 2, 1 / Z[i, k], "-Y[i, k]**2"),
        (X[i, k] / (1 + Z[i, k] ** 2) ** Rational(3, 2), 1 / sqrt(1 + Z[i, k] ** 2), "X[i, k]*Y[i, k]**3"),
        (
            4 * exp(2 * Z[i, k]) / (1 + exp(2 * Z[i, k])) ** 2,
            (exp(2 * Z[i, k]) - 1) / (exp(2 * Z[i, k]) + 1),
            "1 - Y[i, k]**2",
        ),
        (Sum(X[i, a] * exp(Z[i, a]), a), exp(Z[i, k]), "Sum(X[i, a]*Y[i, a], (a, 0, d - 1))"),
    ],
)
def test_what_is_known_is_named(value: Expr, known: Expr, named: str) -> None:
    assert str(in_names(value, Known(array("Y", i, k)[i, k], known))) == named


@pytest.mark.parametrize(
    ("value", "known"),
    [
        # Z [0 < Z < 6] divided by Z is shorter than the bracket, and has no value at 0.
        (Iverson(And(Z[i, k] > 0, Z[i, k] < 6)), Z[i, k] * Iverson(And(Z[i, k] > 0, Z[i, k] < 6))),
        # What is known is the same for all k: none of them is the one to name.
        (X[i, k] * tanh(W[i, i]), tanh(W[i, i])),
        (2 * Z[i, k], Z[i, k] ** 2),
        (Z[i, k], Z[i, k]),
    ],
)
def test_nothing_is_named_where_that_would_divide_by_zero_or_be_no_shorter(value: Expr, known: Expr) -> None:
    assert in_names(value, Known(array("Y", i, k)[i, k], known)) == value


def test_a_name_that_is_not_proved_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reuse, "_by_parts", lambda value, known: known.entry)
    assert in_names(1 - tanh(Z[i, k]) ** 2, Known(array("Y", i, k)[i, k], tanh(Z[i, k]))) == 1 - tanh(Z[i, k]) ** 2


def test_a_program_is_one_formula_in_latex_that_pandoc_makes_mathml_of() -> None:
    names = ("attention", "huber", "layer_norm", "softmax_cross_entropy", "lower", "scaled")
    formulas = [derive(FUNCTIONS[name][0], **arguments(*FUNCTIONS[name])).latex() for name in names]
    for line in [
        r"\begin{aligned}",
        r"Z &= \frac{1}{\sqrt{d}} Q K^{\mathsf{T}} \\",
        r"Y &= A V \\[1ex]",
        r"\mathrm{dZ}_{rs} &= A_{rs} \left(\mathrm{dA}_{rs} - \sum_{k} A_{rk} \, \mathrm{dA}_{rk}\right) \\",
        r"\mathrm{dK} &= \frac{1}{\sqrt{d}} \, \mathrm{dZ}^{\mathsf{T}} \, Q",
        r"\end{aligned}",
    ]:
        assert line in formulas[0].splitlines(), formulas[0]
    text = "\n\n".join(f"$$\n{formula}\n$$" for formula in formulas)
    html = pypandoc.convert_text(text, "html", format="markdown", extra_args=["--mathml"])
    shown = re.sub("<annotation.*?</annotation>", "", html, flags=re.DOTALL)
    assert shown.count("<mtable>") >= shown.count("<math ") == len(names)
    assert "\\" not in shown


def test_a_program_is_printed_as_text() -> None:
    program = derive(lambda X, w: X @ w, X="n p", w="p")
    assert str(program).splitlines() == [
        "Y[i] = sum(X[i, j]*w[j], j)",
        "dw[r] = sum(G[i]*X[i, r], i)",
        "dX[r, s] = G[r]*w[s]",
    ]
