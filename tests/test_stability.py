"""A compiled formula is finite where the function is: numbers like torch's where exponentials alone would overflow."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from sympy import Expr, Piecewise, exp, log, tanh
from torch import Tensor
from torch.nn import functional as F

from handgrad.symbolic import Definition, Iverson, Sum, array, define, expand, indices, jacobian, mean, sizes, vjp
from handgrad.symbolic.torch_code import compile_torch

pytestmark = pytest.mark.slow  # seldom breaks: not while one works

n, q = sizes("n q")
i, k, other, third, s, other_s, other_k = indices("i:n k:q l:n o:n s:q r:q c:q")
x, y, Z, T, tau = array("x", i), array("y", i), array("Z", i, k), array("T", i, k), array("tau")
t, V = array("t", i, integer=True), array("V", q, q)
a = x[i]
E = define("E", exp(Z[i, k]), i, k)
D = define("D", Sum(E[i, k], k), i)
softmax_in_steps = define("P", E[i, k] / D[i], i, k)
softmax = define("P", exp(Z[i, k]) / Sum(exp(Z[i, s]), s), i, k)
heated = define("P", exp(Z[i, k] / tau) / Sum(exp(Z[i, s] / tau), s), i, k)
inner = define("P", exp(x[i]) / Sum(exp(x[other]), other), i)
sigmoid = define("S", 1 / (1 + exp(-a)), i)
kept, kept_other = exp(x[i] * x[other]) * Iverson(other <= i), exp(x[i] * x[third]) * Iverson(third <= i)


@dataclass(frozen=True)
class Function:
    """A definition that overflows as it is written, what it is differentiated by, and the same in torch."""

    definition: Definition
    wrt: Any
    torch: Callable[..., Tensor]


def entrywise(value: Expr, by_torch: Callable[[Tensor], Tensor]) -> Function:
    return Function(define("Y", value, i), x, lambda x: by_torch(x))


def number(value: Expr, wrt: Any, by_torch: Callable[..., Tensor]) -> Function:
    return Function(define("L", value), wrt, by_torch)


def causal(x: Tensor, y: Tensor) -> Tensor:
    query, value = x[:, None], y[:, None]
    return F.scaled_dot_product_attention(query, query, value, is_causal=True, scale=1.0)[:, 0]


def softplus(x: Tensor) -> Tensor:
    return torch.logaddexp(x, torch.zeros_like(x))


def cross_entropy(Z: Tensor, t: Tensor) -> Tensor:
    return F.cross_entropy(Z, t)


def binary(x: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(x, y)


FUNCTIONS = {
    "sigmoid": Function(sigmoid, x, lambda x: x.sigmoid()),
    "sigmoid, expanded": entrywise(exp(a) / (1 + exp(a)), torch.sigmoid),
    "one minus sigmoid": entrywise(1 - 1 / (1 + exp(-a)), lambda x: torch.sigmoid(-x)),
    "sigmoid of a sigmoid": entrywise(1 / (1 + exp(-1 / (1 + exp(-a)))), lambda x: x.sigmoid().sigmoid()),
    "product of sigmoids": Function(
        define("Y", 1 / ((1 + exp(-a)) * (1 + exp(-y[i]))), i), y, lambda x, y: x.sigmoid() * y.sigmoid()
    ),
    "SiLU": entrywise(a / (1 + exp(-a)), F.silu),
    "softplus": entrywise(log(1 + exp(a)), softplus),
    "log sigmoid": entrywise(log(1 / (1 + exp(-a))), F.logsigmoid),
    "tanh": entrywise(tanh(a), torch.tanh),
    "tanh by exponentials": entrywise((exp(a) - exp(-a)) / (exp(a) + exp(-a)), torch.tanh),
    "tanh by one exponential": entrywise(1 - 2 / (1 + exp(2 * a)), torch.tanh),
    "tanh by a difference": entrywise((exp(2 * a) - 1) / (exp(2 * a) + 1), torch.tanh),
    "tanh of a half": entrywise((1 - exp(-a)) / (1 + exp(-a)), lambda x: torch.tanh(x / 2)),
    "Mish": entrywise(a * tanh(log(1 + exp(a))), F.mish),
    "ELU": entrywise(Piecewise((a, a > 0), (exp(a) - 1, True)), F.elu),
    "log cosh": entrywise(log(exp(a) + exp(-a)), lambda x: torch.logaddexp(x, -x)),
    "softmax": Function(softmax, Z, lambda Z: Z.softmax(1)),
    "softmax in steps": Function(softmax_in_steps, Z, lambda Z: Z.softmax(1)),
    "softmax with a temperature": Function(heated, Z, lambda Z, tau: (Z / tau).softmax(1)),
    "softmax of a softmax": entrywise(exp(inner[i]) / Sum(exp(inner[other]), other), lambda x: x.softmax(0).softmax(0)),
    "weights by place": entrywise(
        a * exp(800 * i) / Sum(exp(800 * other), other),
        lambda x: x * (800 * torch.arange(len(x)).double()).softmax(0),
    ),
    "softmax of differences": Function(
        define("Y", Sum(exp(a - x[other]) * y[other], other) / Sum(exp(a - x[third]), third), i),
        x,
        lambda x, y: (x[:, None] - x).softmax(1) @ y,
    ),
    "squared softmax by two": Function(
        define("Y", exp(2 * a) * exp(x[other]) / Sum(exp(x[third]), third) ** 3, i, other),
        x,
        lambda x: x.softmax(0)[:, None] ** 2 * x.softmax(0),
    ),
    "log-softmax": Function(define("R", Z[i, k] - log(Sum(exp(Z[i, s]), s)), i, k), Z, lambda Z: Z.log_softmax(1)),
    "logarithm of a softmax": Function(define("R", log(softmax[i, k]), i, k), Z, lambda Z: Z.log_softmax(1)),
    "logarithm of a product": number(
        Sum(log(tau * softmax[i, k]), i, k), Z, lambda Z, tau: (Z.log_softmax(1) + tau.log()).sum()
    ),
    "logarithm of a sum": Function(define("y", log(Sum(exp(Z[i, k]), k)), i), Z, lambda Z: Z.logsumexp(1)),
    "logarithm of all": number(log(Sum(exp(Z[i, k]), i, k)), Z, lambda Z: Z.logsumexp((0, 1))),
    "logarithm of a mean": number(log(mean(exp(x[i]), i)), x, lambda x: x.logsumexp(0) - math.log(len(x))),
    "cross-entropy": number(-Sum(log(softmax[i, t[i]]), i) / n, Z, cross_entropy),
    "cross-entropy in steps": number(-Sum(log(softmax_in_steps[i, t[i]]), i) / n, Z, cross_entropy),
    "cross-entropy of targets": number(
        -Sum(T[i, k] * log(softmax_in_steps[i, k]), i, k) / n, Z, lambda Z, T: F.cross_entropy(Z, T)
    ),
    "binary cross-entropy": number(-Sum(y[i] * log(sigmoid[i]) + (1 - y[i]) * log(1 - sigmoid[i]), i) / n, x, binary),
    "entropy": number(
        -Sum(softmax[i, k] * log(softmax[i, k]), i, k), Z, lambda Z: -(Z.softmax(1) * Z.log_softmax(1)).sum()
    ),
    "difference times its logarithm": number(
        Sum((softmax[i, k] - T[i, k]) * log(softmax[i, k]), i, k),
        Z,
        lambda Z, T: ((Z.softmax(1) - T) * Z.log_softmax(1)).sum(),
    ),
    "orders": number(
        Sum(log(Sum(exp(x[other]) * Iverson(other >= i), other)) - a, i),
        x,
        lambda x: (x.flip(0).logcumsumexp(0).flip(0) - x).sum(),
    ),
    "causal attention": Function(define("Y", Sum(kept * y[other], other) / Sum(kept_other, third), i), y, causal),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_gradients_are_torchs_where_exponentials_overflow(name: str, dtype: torch.dtype) -> None:
    function = FUNCTIONS[name]
    numbers = {
        "x": torch.tensor([-800.0, -90.0, -1.0, 0.0, 0.5, 90.0, 800.0, -30.0, 30.0]),
        "y": torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0]),
        "Z": torch.tensor([[1000.0, 1001, -1000], [0, 1, 2], [-1000, -1001, -999], [3, 900, -900]]),
        "T": torch.tensor([[0.5, 0.25, 0.25], [1, 0, 0], [0, 1, 0], [0, 0.5, 0.5]]),
        "tau": torch.tensor(0.5),
        "t": torch.tensor([0, 1, 2, 0]),
    }
    forward, gradient = compile_torch(function.definition), vjp(function.definition, function.wrt).compile()
    name = function.wrt.name
    inputs = {key: numbers[key].double().requires_grad_() if key != "t" else numbers[key] for key in forward.arrays}
    expected = function.torch(**inputs)
    assert expected.isfinite().all()
    numbers["G"] = torch.arange(1.0, expected.numel() + 1).reshape(expected.shape)
    if not function.definition.indices:
        numbers["G"] = torch.tensor(1.0)
    (reference,) = torch.autograd.grad(expected, inputs[name], numbers["G"].double())
    extents = {"n": len(numbers[name]), "q": 3}
    for compiled, value in ((forward, expected), (gradient, reference)):
        given: dict[str, Any] = {key: numbers[key].to(dtype) if key != "t" else numbers[key] for key in compiled.arrays}
        actual = compiled(**given, **{key: extents[key] for key in compiled.sizes})
        torch.testing.assert_close(actual, value.to(dtype))


SECOND: dict[str, tuple[Definition, Callable[[Tensor], Tensor]]] = {
    "tanh by exponentials": (FUNCTIONS["tanh by exponentials"].definition, torch.tanh),
    "tanh by a difference": (FUNCTIONS["tanh by a difference"].definition, torch.tanh),
    "sigmoid of a half": (define("Y", 1 / (1 + exp(-0.5 * a)), i), lambda x: torch.sigmoid(x / 2)),
    "sigmoid of a line": (define("Y", 1 / (1 + exp(-(tau * a + 1))), i), lambda x: torch.sigmoid(x / 2 + 1)),
    "softmax, squared": (define("Y", inner[i] ** 2, i), lambda x: x.softmax(0) ** 2),
    "softmax of a softmax": (FUNCTIONS["softmax of a softmax"].definition, lambda x: x.softmax(0).softmax(0)),
}


@pytest.mark.parametrize("name", SECOND)
def test_jacobians_and_second_derivatives_are_finite_where_exponentials_overflow(name: str) -> None:
    definition, by_torch = SECOND[name]
    at = torch.tensor([-1800.0, -800.0, 0.5, 800.0, 1800.0, 1800.5]).double().requires_grad_()
    numbers = {"x": at.detach(), "G": torch.arange(1.0, 7).double(), "H": torch.ones(6).double()}
    numbers["tau"] = torch.tensor(0.5).double()
    (once,) = torch.autograd.grad(by_torch(at), at, numbers["G"], create_graph=True)
    (twice,) = torch.autograd.grad(once, at, numbers["H"])
    second = vjp(vjp(definition, x).result, x, array("H", i)).compile()
    torch.testing.assert_close(second(**{key: numbers[key] for key in second.arrays}), twice)
    first = jacobian(definition, x).compile()
    rows = [torch.autograd.grad(entry, at, retain_graph=True)[0] for entry in by_torch(at)]
    torch.testing.assert_close(first(**{key: numbers[key] for key in first.arrays}), torch.stack(rows))


product, again = Sum(Z[i, k] * V[k, s], k), Sum(Z[i, other_k] * V[other_k, other_s], other_k)
scores = define("H", product, i, s)
OF_PRODUCTS = {
    "written out": define("P", exp(product) / Sum(exp(again), other_s), i, s),
    "named": define("P", exp(scores[i, s]) / Sum(exp(scores[i, other_s]), other_s), i, s),
}


@pytest.mark.parametrize("wrt", [Z, V])
@pytest.mark.parametrize("name", OF_PRODUCTS)
def test_what_a_named_softmax_is_taken_of_cancels_with_what_it_is_divided_by(name: str, wrt: Any) -> None:
    P = OF_PRODUCTS[name]
    at = {"Z": torch.full((4, 3), 1000.0).double().requires_grad_(), "V": torch.eye(3).double().requires_grad_()}
    targets = torch.tensor([0, 1, 2, 0])
    losses = {
        "of one": (-mean(log(P[i, t[i]]), i), F.cross_entropy(at["Z"] @ at["V"], targets)),
        "of all": (-mean(y[i] * log(P[i, s]), i, s), -((at["Z"] @ at["V"]).log_softmax(1) * targets[:, None]).mean()),
    }
    for value, loss in losses.values():
        (expected,) = torch.autograd.grad(loss, at[wrt.name], retain_graph=True)
        gradient = vjp(define("L", value), wrt).compile()
        available = {key: value.detach() for key, value in at.items()} | {"t": targets, "y": targets.double()}
        torch.testing.assert_close(gradient(**{key: available[key] for key in gradient.arrays}), expected)


def test_patterns_become_torchs_functions() -> None:
    assert compile_torch(sigmoid).source.endswith("return torch.sigmoid(x)")
    assert vjp(sigmoid, x).compile().source.endswith("return G*torch.sigmoid(-x)*torch.sigmoid(x)")
    assert "D = " not in compile_torch(softmax_in_steps).source
    assert compile_torch(define("y", exp(a) * Sum(exp(x[other]), other), i)).source.count("amax") == 0


def test_a_largest_that_is_the_same_is_computed_once() -> None:
    value = expand(softmax[i, k]) + log(Sum(exp(Z[i, s]), s)) - log(2 * Sum(exp(Z[i, other_s]), other_s))
    compiled = compile_torch(define("Y", value, i, k))
    assert compiled.source.count("amax") == 1
    given = torch.tensor([[1000.0, 1000.0]])
    torch.testing.assert_close(compiled(Z=given), torch.full((1, 2), 0.5 - math.log(2)))


u = array("u")
POWERS: dict[str, tuple[Definition, Any, Callable[..., Tensor], list[float]]] = {
    "a power by its base": (define("Y", a**u, i), x, lambda x, u: x**u, [0, 1, 2, 3, 0.5]),
    "a power by its exponent": (define("Y", a**u, i), u, lambda x, u: x**u, [1, 2, 3, 0.5]),
    "entries as exponents": (define("Y", a ** y[i], i), x, lambda x, y: x**y, [1]),
    "a polynomial": (define("L", Sum(a * u**i, i)), u, lambda x, u: (x * u ** torch.arange(len(x))).sum(), [0, 1, -2]),
    "a polynomial by its coefficients": (
        define("L", Sum(a * u**i, i)),
        x,
        lambda x, u: (x * u ** torch.arange(len(x))).sum(),
        [0, 1, -2],
    ),
    "a number to a power": (define("Y", 2**a, i), x, lambda x: 2**x, [1]),
    "even powers": (define("Y", a ** (2 * t[i]), i), x, lambda x, t: x ** (2 * t), [1]),
    "powers of a product": (
        define("L", Sum((a * y[i]) ** k, i, k)),
        x,
        lambda x, y: ((x * y)[:, None] ** torch.arange(3)).sum(),
        [1],
    ),
    "discounting": (define("Y", (1 - u) * u**i, i), u, lambda u: (1 - u) * u ** torch.arange(3), [0, 0.5, 1]),
}


@pytest.mark.parametrize("name", POWERS)
def test_powers_are_right_at_0(name: str) -> None:
    definition, wrt, by_torch, exponents = POWERS[name]
    forward, gradient = compile_torch(definition), vjp(definition, wrt).compile()
    for exponent in exponents:
        numbers = {
            "x": torch.tensor([0.0, 0.5, 2.0]).double(),
            "y": torch.tensor([1.0, 2.0, 0.0]).double(),
            "u": torch.tensor(exponent).double(),
            "t": torch.tensor([0, 1, 2]),
        }
        inputs = {key: numbers[key].clone() for key in forward.arrays}
        inputs[wrt.name].requires_grad_()
        expected = by_torch(**inputs)
        grad_output = torch.ones_like(expected)
        (reference,) = torch.autograd.grad(expected, inputs[wrt.name], grad_output)
        available: dict[str, Any] = numbers | {"G": grad_output, "n": 3, "q": 3}
        for compiled, value in ((forward, expected), (gradient, reference)):
            given = {key: available[key] for key in [*compiled.arrays, *compiled.sizes]}
            torch.testing.assert_close(compiled(**given), value)


def test_second_derivatives_of_powers_are_right_at_0() -> None:
    b, at = array("b", k), torch.tensor([0.0, 0.5, 2.0]).double()
    polynomial = vjp(define("Y", Sum(b[k] * a**k, k), i), x).result
    by_coefficients = vjp(polynomial, b, array("H", i)).compile()(x=at, G=torch.ones_like(at), H=at + 1, q=3)
    torch.testing.assert_close(by_coefficients, torch.stack([0 * at, at + 1, 2 * at * (at + 1)], 1).sum(0))
    differences = vjp(define("L", Sum((a - y[i]) ** k, i, k)), x).result
    of_difference = vjp(differences, y, array("H", i)).compile()(x=at, y=at, H=at + 1, q=4)
    torch.testing.assert_close(of_difference, -2 * (at + 1))
    u_in_powers = define("Y", (1 - u) * u**i, i)
    twice = jacobian(jacobian(u_in_powers, u).result, u).compile()(u=torch.tensor(0.0).double(), n=4)
    torch.testing.assert_close(twice, torch.tensor([0.0, -2.0, 2.0, 0.0]).double())


def test_0_times_its_logarithm_is_0() -> None:
    entropy = define("Y", a * log(a), i)
    at = torch.tensor([0.0, 1.0])
    assert compile_torch(entropy)(x=at).tolist() == [0, 0]
    assert vjp(entropy, x).compile()(x=at, G=torch.ones(2)).tolist() == [-math.inf, 1]


def test_numbers_of_sizes_alone_are_computed_in_python() -> None:
    value = a / (1 + exp(-n)) + log(1 + exp(n)) + exp(a) / (exp(a) + exp(n)) + 1 / (1 + exp(-Sum(3, other)))
    three, at = torch.tensor(3.0).double(), torch.tensor([0.0, 1.0, -2.0]).double()
    expected = at * three.sigmoid() + softplus(three) + torch.sigmoid(at - 3) + torch.sigmoid(3 * three)
    torch.testing.assert_close(compile_torch(define("Y", value, i))(x=at), expected)


(j,) = indices("j:q")
v, X, Y = array("v", j), array("X", i, j), array("Y", other, j)
difference = a - v[j]
DIFFERENCES: dict[str, Function] = {
    "squared distances": Function(
        define("D", Sum((X[i, j] - Y[other, j]) ** 2, j), i, other), X, lambda X, Y: ((X[:, None] - Y) ** 2).sum(2)
    ),
    "fourth powers": number(Sum(difference**4, i, j), x, lambda x, v: ((x[:, None] - v) ** 4).sum()),
    "Gaussians": Function(
        define("K", exp(-(difference**2)), i, j), x, lambda x, v: torch.exp(-((x[:, None] - v) ** 2))
    ),
    "a mixture of Gaussians": number(
        -Sum(log(Sum(exp(-(difference**2) / 2), j)), i),
        x,
        lambda x, v: -(-((x[:, None] - v) ** 2) / 2).logsumexp(1).sum(),
    ),
    "differences times their exponentials": number(
        Sum(difference * exp(difference), i, j), x, lambda x, v: ((x[:, None] - v) * (x[:, None] - v).exp()).sum()
    ),
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_differences_of_large_numbers_do_not_cancel(name: str) -> None:
    function = DIFFERENCES[name]
    near = {"x": [0.0, 0.5, 1.25], "v": [-0.5, 0.25], "X": [[0.0, 1.0], [2.5, 0.5]], "Y": [[1.0, 3.0], [0.5, -1.0]]}
    forward, gradient = compile_torch(function.definition), vjp(function.definition, function.wrt).compile()
    inputs = {key: (8192 + torch.tensor(near[key])).requires_grad_() for key in forward.arrays}
    expected = function.torch(**inputs)
    grad_output = torch.ones_like(expected)
    (reference,) = torch.autograd.grad(expected, inputs[function.wrt.name], grad_output)
    available = {key: value.detach() for key, value in inputs.items()} | {"G": grad_output}
    torch.testing.assert_close(forward(**{key: available[key] for key in forward.arrays}), expected.detach())
    torch.testing.assert_close(gradient(**{key: available[key] for key in gradient.arrays}), reference)
