"""A definition is compared with torch's function before what follows from it is shown."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from sympy import exp, log, sqrt
from torch import Tensor
from torch.nn import functional as F

from handgrad import CheckError, Receipt, check_definition
from handgrad.symbolic import Definition, Sum, array, backward, define, indices, mean, sizes, vjp

i, j, k = indices("i:n j:p k:q")
X, W, b, T = array("X", i, j), array("W", j, k), array("b", k), array("T", i, j)
s, t, r, e, v = indices("s:n t:m r:m e:d v:q")
Q, K, V = array("Q", s, e), array("K", t, e), array("V", t, v)
(width,) = sizes("d")
m, c, o, y, a = indices("m:n c:d o:q y:u a:h")
x, w = array("x", m, c, *sizes("p")), array("w", o, c, a)
labels = array("t", i, integer=True)


def affine(X: Tensor, W: Tensor, b: Tensor) -> Tensor:
    return X @ W + b


def look_up(W: Tensor, t: Tensor) -> Tensor:
    return W[t]


def attention(factor: int = 1) -> Definition:
    scores = define("E", exp(Sum(Q[s, e] * K[t, e], e) / sqrt(width)), s, t)
    shares = define("P", factor * scores[s, t] / Sum(scores[s, r], r), s, t)
    return define("Y", Sum(shares[s, t] * V[t, v], t), s, v)


def linear(value: Any) -> Definition:
    return define("Y", value, i, k)


product = Sum(X[i, j] * W[j, k], j)
conv = Sum(w[o, c, a] * x[m, c, y + a], c, a)
Case = tuple[Definition, Callable[..., Tensor], str, dict[str, Any]]
RIGHT: dict[str, Case] = {
    "linear": (linear(product + b[k]), affine, "X W b", {}),
    "mse": (define("L", mean((X[i, j] - T[i, j]) ** 2, i, j)), F.mse_loss, "X T", {}),
    "attention": (attention(), F.scaled_dot_product_attention, "Q K V", {}),
    "conv": (define("Y", conv, m, o, y), F.conv1d, "x w", {"p": 9, "h": 3, "u": 7}),
    "log": (define("Y", log(X[i, j]), i, j), torch.log, "X", {"positive": True}),
    "look-up": (define("Y", W[labels[i], k], i, k), look_up, "W t", {}),
    "a number": (define("y", array("x") ** 2), torch.square, "x", {}),
}
WRONG: dict[str, Case] = {
    "a factor": (linear(3 * product + 3 * b[k]), affine, "X W b", {}),
    "a term that is halved": (linear(product + b[k] / 2), affine, "X W b", {}),
    "a transposed operand": (
        define("Y", Sum(X[i, j] * array("W", k, j)[k, j], j) + b[k], i, k),
        affine,
        "X W b",
        {"p": 3, "q": 3},
    ),
    "a sum for a mean": (define("L", Sum((X[i, j] - T[i, j]) ** 2, i, j)), F.mse_loss, "X T", {}),
    "a mean over rows alone": (define("L", Sum(mean((X[i, j] - T[i, j]) ** 2, i), j)), F.mse_loss, "X T", {}),
    "half": (define("L", mean((X[i, j] - T[i, j]) ** 2, i, j) / 2), F.mse_loss, "X T", {}),
    "a factor inside": (attention(2), F.scaled_dot_product_attention, "Q K V", {}),
    "an index off by one": (define("Y", W[labels[i] + 1, k], i, k), look_up, "W t", {}),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_definition_gets_a_receipt(name: str) -> None:
    definition, reference, arrays, given = RIGHT[name]
    receipt = check_definition(definition, reference, arrays, **given)
    compared = [line.compared for line in receipt.lines]
    assert compared == ["values", "derivatives = autograd", "Jacobians = autograd"]
    assert receipt.reference == reference.__name__
    assert receipt.cases >= 6


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_definition_is_told_from_the_reference(name: str) -> None:
    definition, reference, arrays, given = WRONG[name]
    with pytest.raises(CheckError, match="as it is defined, is not"):
        check_definition(definition, reference, arrays, **given)


def test_a_derivation_tells_what_its_definition_was_compared_with() -> None:
    output = linear(product + b[k])
    assert 'data-compared=""' in vjp(output, X).show().text
    check_definition(output, affine, "X W b")
    assert 'data-name="∂L/∂X" data-compared="affine"' in vjp(output, X).show().text


def test_the_gradients_of_a_program_are_compared_and_it_is_marked_with_its_steps() -> None:
    program = backward(linear(product + b[k]))
    shown = (program._repr_markdown_, lambda: program["X"].show().text)
    assert all('data-compared=""' in show() for show in shown)
    wrong = replace(program, gradients=program.gradients | {"X": backward(linear(2 * product + b[k]))["X"]})
    with pytest.raises(CheckError, match="∂L/∂X differs"):
        check_definition(wrong, affine, "X W b")
    assert check_definition(program, affine, "X W b").cases >= 6
    assert all('data-compared="affine"' in show() for show in shown)


def test_a_definition_that_was_found_wrong_counts_as_not_compared() -> None:
    output = linear(2 * product + b[k])
    with pytest.raises(CheckError, match=r"Y, as it is defined, is not affine: Y differs"):
        check_definition(output, affine, "X W b")
    assert 'data-compared=""' in vjp(output, X).show().text


def test_all_arrays_are_named() -> None:
    with pytest.raises(ValueError, match=r"Y is made of W, X, b: name these, in the order of the arguments of affine"):
        check_definition(linear(product + b[k]), affine, "X W")


def test_a_function_whose_derivatives_alone_differ_is_told() -> None:
    def detached(X: Tensor, T: Tensor) -> Tensor:
        return ((X - T) ** 2).mean() + (X - X.detach()).sum()

    loss = define("L", mean((X[i, j] - T[i, j]) ** 2, i, j))
    with pytest.raises(CheckError, match="∂L/∂X differs"):
        check_definition(loss, detached, "X T")


def test_receipts_of_definitions_add_up_with_others() -> None:
    one = check_definition(define("y", array("x") ** 2), torch.square, "x")
    assert isinstance(one + one, Receipt)
    assert (one + one).cases == 2 * one.cases
