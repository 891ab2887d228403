"""Where a value has a kink or a jump the formula of its derivative is none, and the derivation says so."""

from typing import Any

import pytest
import sympy
import torch
from sympy import Abs, And, Eq, Expr, KroneckerDelta, Piecewise, Rational, exp, log, sign, sin, sqrt, tanh

from handgrad.symbolic import Iverson, Sum, array, define, indices, sizes, vjp
from handgrad.symbolic.torch_code import compile_torch

(n,) = sizes("n")
i, other, j = indices("i:n l:n j:p")
x, y, v, X = array("x", i), array("y", i), array("v", i), array("X", i, j)
w, delta = array("w"), array("delta")
t = array("t", i, integer=True)
a = x[i]
half = Rational(1, 2)
beside = a * KroneckerDelta(i + 1, other)
relu = Piecewise((a, a > 0), (0, True))
huber = Piecewise((a**2 / 2, Abs(a) <= delta), (delta * (Abs(a) - delta / 2), True))

CONTINUOUS: dict[str, tuple[Expr, str]] = {
    "ReLU": (relu, r"where all $x_{r} \neq 0$"),
    "ReLU with a bracket": (a * Iverson(a >= 0), r"where all $x_{r} \neq 0$"),
    "leaky ReLU": (Piecewise((a, a > 0), (a / 100, True)), r"where all $x_{r} \neq 0$"),
    "ELU": (Piecewise((a, a > 0), (exp(a) - 1, True)), r"where all $x_{r} \neq 0$"),
    "leaky ReLU of a function": (
        Piecewise((tanh(a), tanh(a) > 0), (tanh(a) / 100, True)),
        r"where all $\tanh{\left(x_{r} \right)} \neq 0$",
    ),
    "Huber of a function": (
        Piecewise((tanh(a) ** 2, tanh(a) < half), (tanh(a) - half / 2, True)),
        r"where all $\tanh{\left(x_{r} \right)} \neq \frac{1}{2}$",
    ),
    "ReLU within a function": (exp(relu), r"where all $x_{r} \neq 0$"),
    "Huber": (huber.subs(delta, 1), r"where all $\left|{x_{r}}\right| \neq 1$ and $x_{r} \neq 0$"),
    "Huber with a symbol": (huber, r"where all $\delta \neq \left|{x_{r}}\right|$ and $x_{r} \neq 0$"),
    "clipped": (Piecewise((-1, a < -1), (1, a > 1), (a, True)), r"where all $x_{r} \neq -1$ and $x_{r} \neq 1$"),
    "the larger of two": (Piecewise((a, a > y[i]), (y[i], True)), r"where all $x_{r} \neq y_{r}$"),
    "hinge": (Piecewise((1 - y[i] * a, y[i] * a < 1), (0, True)), r"where all $x_{r} y_{r} \neq 1$"),
    "outside a circle": (Piecewise((a**2 - 1, a**2 > 1), (0, True)), r"where all $x_{r}^{2} \neq 1$"),
    "a distance": (Abs(a - y[i]), r"where all $y_{r} \neq x_{r}$"),
    "the root of a square": (sqrt(a**2), r"where all $x_{r} \neq 0$"),
    "a number times its sign": (a * sign(a), r"where all $x_{r} \neq 0$"),
    "a mask of another array": (a * Iverson(y[i] > w), ""),
    "a mask of indices": (Sum(x[other] * Iverson(other <= i), other), ""),
    "a mask of whole numbers": (a * Iverson(t[i] > 0), ""),
    "a neighbour's delta beside": (
        Sum(Piecewise((beside - 1, beside > 1), (0, True)), other),
        r"where all $x_{r} \delta_{r + 1, l} \neq 1$",
    ),
    "an index beside": (Piecewise((i * a, i * a > 0), (0, True)), r"where all $r x_{r} \neq 0$"),
    "no condition": (exp(a), ""),
}


@pytest.mark.parametrize("name", CONTINUOUS)
def test_a_derivation_says_where_it_holds(name: str) -> None:
    value, where = CONTINUOUS[name]
    derivation = vjp(define("Y", value, i), x)
    assert derivation.where == where
    assert derivation.show().text.count(where) >= 1


JUMPS: dict[str, tuple[Expr, str]] = {
    "a step": (Iverson(a > 0), r"where $x_{i} = 0$, $Y$ jumps, and has no derivative"),
    "a step beside": (a + 5 * Iverson(a > 0), r"where $x_{i} = 0$, $Y$ jumps, and has no derivative"),
    "a sign": (sign(a), r"where $x_{i} = 0$, $Y$ jumps, and has no derivative"),
    "cases that do not meet": (
        Piecewise((a, a > 0), (a / 4, a > -1), (0, True)),
        r"where all $x_{r} \neq 0$ and $x_{r} \neq -1$; where $x_{r} = -1$, $Y$ jumps, and has no derivative",
    ),
    "both": (Piecewise((a, And(a > 0, a < 2)), (3 * a, True)), r"where $x_{r} = 2$, $Y$ jumps, and has no derivative"),
    "a point": (Piecewise((5, Eq(a, 0)), (a, True)), r"where $x_{r} = 0$, $Y$ jumps"),
    "outside a circle": (Piecewise((a**2, a**2 > 1), (0, True)), r"where $x_{r}^{2} = 1$, $Y$ jumps"),
    "cases of a function that do not meet": (
        Piecewise((a, exp(a) > 2), (0, True)),
        r"where $e^{x_{r}} = 2$, $Y$ is not known to be continuous",
    ),
    "a hole": (Piecewise((1, Eq(a, 0)), (sin(a) / a, True)), r"$Y$ is not known to be continuous"),
}


@pytest.mark.parametrize("name", JUMPS)
def test_a_jump_is_not_differentiated_in_silence(name: str) -> None:
    value, words = JUMPS[name]
    derivation = vjp(define("Y", value, i), x)
    assert words in derivation.where
    assert derivation.where in derivation.show().text


def test_what_sympy_cannot_simplify_is_not_known_to_be_continuous(monkeypatch: pytest.MonkeyPatch) -> None:
    def simplify(_: Expr) -> Expr:
        raise TypeError("Invalid NaN comparison")  # as sympy says of a few conditions

    monkeypatch.setattr(sympy, "simplify", simplify)
    assert "where $x_{r} = 0$, $Y$ is not known to be continuous" in vjp(define("Y", relu, i), x).where


def test_a_mask_has_a_jump_by_what_it_compares() -> None:
    masked = define("Y", a * Iverson(y[i] > w), i)
    for wrt, letter in ((y, "y_{i}"), (w, "y_{i}")):
        assert f"where ${letter} = w$, $Y$ jumps" in vjp(masked, wrt).where


def test_what_is_defined_is_looked_into() -> None:
    scores = define("H", Sum(X[i, j] * y[i], i), j)
    units = define("R", Piecewise((scores[j], scores[j] > 0), (0, True)), j)
    loss = define("L", Sum(units[j] ** 2, j))
    assert vjp(loss, X).where == r"where all $H_{s} \neq 0$"
    assert vjp(loss, y).where == r"where all $H_{j} \neq 0$"
    assert vjp(loss, units).where == ""


def second(value: Expr, at: list[float]) -> torch.Tensor:
    """Return the second derivative of a function of one number, as a gradient of a derived gradient."""
    gradient = vjp(define("L", Sum(value, i)), x).result
    (place,) = gradient.indices
    product = vjp(define("h", Sum(gradient[place] * v[place], place)), x)
    product.entries(n=2)
    compiled = product.compile()
    given: dict[str, Any] = {
        "x": torch.tensor(at, dtype=torch.float64),
        "v": torch.ones(len(at)).double(),
        "n": len(at),
    }
    return compiled(**{name: given[name] for name in [*compiled.arrays, *compiled.sizes]})


ROOTS = [Abs(sqrt(a + 4)) * a, Abs(log(a + 4)), Abs(sqrt(a + 4) - 2), sign(sqrt(a + 4)) * a**2]


@pytest.mark.parametrize(
    "value", [Abs(a) * a**2, Abs(a) ** 3, exp(Abs(a)), huber.subs(delta, 1), relu**2, relu, *ROOTS]
)
def test_second_derivatives_through_kinks_are_autograds(value: Expr) -> None:
    at = [-2.0, -0.5, 0.25, 3.0]
    inputs = torch.tensor(at, dtype=torch.float64, requires_grad=True)
    total = compile_torch(define("Y", value, i))(x=inputs).sum()
    (first,) = torch.autograd.grad(total, inputs, create_graph=True)
    expected = torch.autograd.grad(first.sum(), inputs)[0] if first.requires_grad else torch.zeros_like(inputs)
    torch.testing.assert_close(second(value, at), expected)
