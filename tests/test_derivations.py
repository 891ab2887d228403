"""Layers are derived for all sizes at once, and the compiled gradients are autograd's at random shapes."""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from operator import mul
from random import Random
from typing import Any, cast

import pytest
import sympy
import torch
from sympy import Expr, Piecewise, Rational, exp, log, pi, sqrt, tanh
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from handgrad.symbolic import Definition, Idx, Iverson, Sum, array, define, integers, mean, sizes, vjp
from handgrad.symbolic.compiled import TorchFunction
from handgrad.symbolic.definitions import in_order
from handgrad.symbolic.formulas import FUNCTIONS as KNOWN
from handgrad.symbolic.torch_code import compile_torch

n, c, d, h, o, p, q, u, v = sizes("n c d h o p q u v")
lookup = array("u", n, integer=True)
stride, pad = integers("stride pad")
eps = array("eps")
i, j, k, other = Idx("i", n), Idx("j", p), Idx("k", q), Idx("l", n)
m, r, s = Idx("m", n), Idx("r", p), Idx("s", q)
X, W, b, Z, T, t = (
    array("X", n, p),
    array("W", p, q),
    array("b", q),
    array("Z", n, q),
    array("T", n, q),
    array("t", n, integer=True),
)


@dataclass(frozen=True)
class Function:
    """A function to be derived: its definition, the arrays to differentiate, and the same in torch."""

    output: Definition
    wrt: tuple[Any, ...]
    torch: Callable[..., Tensor]
    numbers: Callable[[Random], dict[str, int]] = lambda random: {}


def entrywise(function: Callable[[Any], Any], by_torch: Callable[[Tensor], Tensor]) -> Function:
    return Function(define("Y", function(Z[i, k]), i, k), (Z[m, s],), lambda Z: by_torch(Z))


def softmax() -> Definition:
    total = define("D", Sum(exp(Z[i, k]), k), i)
    return define("S", exp(Z[i, k]) / total[i], i, k)


def cross_entropy_of_linear() -> Definition:
    scores, others = Sum(X[i, j] * W[j, k], j), Sum(X[i, r] * W[r, s], r)
    probability = define("P", exp(scores) / Sum(exp(others), s), i, k)
    return define("L", -mean(log(probability[i, t[i]]), i))


def log_softmax() -> Definition:
    return define("R", Z[i, k] - log(Sum(exp(Z[i, s]), s)), i, k)


def normalization(over: Idx, along: Idx, by_torch: Callable[..., Tensor]) -> Function:
    """Zero mean and unit variance over one index, for each value of the other."""
    gamma, beta = array("gamma", q), array("beta", q)
    average = define("mu", mean(Z[i, k], over), along)
    variance = define("var", mean((Z[i, k] - average[along]) ** 2, over), along)
    output = define("Y", (Z[i, k] - average[along]) / sqrt(variance[along] + eps) * gamma[k] + beta[k], i, k)
    return Function(output, (Z[m, s], gamma[s], beta[s]), by_torch)


def layer_norm() -> Function:
    return normalization(k, i, lambda Z, gamma, beta, eps: F.layer_norm(Z, Z.shape[1:], gamma, beta, eps.item()))


def batch_norm() -> Function:
    return normalization(
        i, k, lambda Z, gamma, beta, eps: F.batch_norm(Z, None, None, gamma, beta, training=True, eps=eps.item())
    )


def conv1d() -> Function:
    x, w, bias = array("x", n, c, p), array("w", o, c, q), array("bias", o)
    channel, out, place, a = Idx("c", c), Idx("o", o), Idx("y", u), Idx("a", q)
    window = x[i, channel, stride * place + a - pad]
    output = define("Y", Sum(w[out, channel, a] * window, channel, a) + bias[out], i, out, place)
    wrt = (x[m, Idx("e", c), r], w[Idx("f", o), Idx("e", c), s], bias[Idx("f", o)])
    return Function(
        output,
        wrt,
        lambda x, w, bias, stride, pad, u: F.conv1d(x, w, bias, stride=stride, padding=pad),
        convolution_numbers,
    )


def conv2d() -> Function:
    x, w, bias = array("x", n, c, p, h), array("w", o, c, q, d), array("bias", o)
    channel, out, row, column = Idx("c", c), Idx("o", o), Idx("y", u), Idx("z", v)
    a, e = Idx("a", q), Idx("b", d)
    window = x[i, channel, stride * row + a - pad, stride * column + e - pad]
    output = define("Y", Sum(w[out, channel, a, e] * window, channel, a, e) + bias[out], i, out, row, column)
    wrt = (
        x[m, Idx("f", c), r, Idx("g", h)],
        w[Idx("x", o), Idx("f", c), s, Idx("w", d)],
        bias[Idx("x", o)],
    )
    return Function(
        output,
        wrt,
        lambda x, w, bias, stride, pad, u, v: F.conv2d(x, w, bias, stride=stride, padding=pad),
        convolution_numbers,
    )


def convolution_numbers(random: Random) -> dict[str, int]:
    numbers = {
        "stride": random.randint(1, 3),
        "pad": random.randint(0, 2),
        "p": random.randint(5, 9),
        "q": random.randint(1, 4),
    }
    numbers |= {"h": random.randint(5, 9), "d": random.randint(1, 4)}
    for size, length, kernel in (("u", "p", "q"), ("v", "h", "d")):
        numbers[size] = (numbers[length] + 2 * numbers["pad"] - numbers[kernel]) // numbers["stride"] + 1
    return numbers


def pool_numbers(random: Random) -> dict[str, int]:
    numbers = convolution_numbers(random) | {"pad": 0}
    return numbers | {"u": (numbers["p"] - numbers["q"]) // numbers["stride"] + 1}


def average_pool() -> Function:
    x, place, a = array("x", n, p), Idx("y", u), Idx("a", q)
    output = define("Y", Sum(x[i, stride * place + a], a) / q, i, place)
    return Function(output, (x[m, r],), lambda x, stride, q, u: F.avg_pool1d(x, q, stride), pool_numbers)


def attention(causal: bool) -> Function:
    Q, K, V = array("Q", n, d), array("K", n, d), array("V", n, q)
    a, j = Idx("a", d), Idx("j", n)
    weight = define("A", Sum(Q[i, a] * K[j, a], a) / sqrt(d), i, j)
    kept = exp(weight[i, j]) * (Iverson(j <= i) if causal else 1)
    kept_other = exp(weight[i, other]) * (Iverson(other <= i) if causal else 1)
    probability = define("P", kept / Sum(kept_other, other), i, j)
    output = define("Y", Sum(probability[i, j] * V[j, k], j), i, k)
    wrt = (Q[m, Idx("e", d)], K[m, Idx("e", d)], V[m, s])
    return Function(output, wrt, lambda Q, K, V: F.scaled_dot_product_attention(Q, K, V, is_causal=causal))


def linear(*batch: Idx) -> Function:
    x, indices = array("x", *map(size_of, batch), p), batch
    output = define("Y", Sum(x[(*indices, j)] * W[j, k], j) + b[k], *indices, k)
    others = tuple(Idx(f"{index.label}_", size_of(index)) for index in batch)
    return Function(output, (x[(*others, r)], W[r, s], b[s]), lambda x, W, b: x @ W + b)


def size_of(index: Idx) -> Expr:
    return index.upper + 1


FUNCTIONS = {
    "linear": linear(i),
    "linear, no batch": linear(),
    "linear, three batch dimensions": linear(Idx("f", u), Idx("g", v), i),
    "mse": Function(
        define("L", Sum((Z[i, k] - T[i, k]) ** 2, i, k) / (n * q)), (Z[m, s], T[m, s]), lambda Z, T: F.mse_loss(Z, T)
    ),
    "relu": entrywise(lambda z: Piecewise((z, z > 0), (0, True)), torch.relu),
    "exp": entrywise(exp, torch.exp),
    "tanh": entrywise(tanh, torch.tanh),
    "sigmoid": entrywise(lambda z: 1 / (1 + exp(-z)), torch.sigmoid),
    "gelu": entrywise(
        lambda z: z / 2 * (1 + tanh(sqrt(2 / pi) * (z + Rational(44715, 1000000) * z**3))),
        lambda z: F.gelu(z, approximate="tanh"),
    ),
    "softmax": Function(softmax(), (Z[m, s],), lambda Z: Z.softmax(1)),
    "log-softmax": Function(log_softmax(), (Z[m, Idx("x", q)],), lambda Z: Z.log_softmax(1)),
    "cross-entropy": Function(
        define("L", -Sum(log_softmax()[i, t[i]], i) / n), (Z[m, s],), lambda Z, t: F.cross_entropy(Z, t)
    ),
    "layer norm": layer_norm(),
    "batch norm": batch_norm(),
    "convolution": conv1d(),
    "convolution in two dimensions": conv2d(),
    "average pooling": average_pool(),
    "embedding": Function(define("Y", W[lookup[i], k], i, k), (W[r, s],), lambda W, u: F.embedding(u, W)),
    "cross-entropy of linear": Function(
        cross_entropy_of_linear(), (X[m, r], W[r, s]), lambda X, W, t: F.cross_entropy(X @ W, t)
    ),
    "distances": Function(
        define("D", Sum((X[i, j] - W[j, k]) ** 2, j), i, k),
        (X[m, r], W[r, s]),
        lambda X, W: ((X[:, :, None] - W) ** 2).sum(1),
    ),
    "attention": attention(causal=False),
    "causal attention": attention(causal=True),
}


def arrays_of(function: Function, numbers: dict[str, int], random: Random) -> dict[str, Tensor]:
    """Return random arguments for the function's arrays, keyed by name."""
    arrays = compile_torch(function.output).arrays
    values: dict[str, Tensor] = {}
    for name, shape in arrays.items():
        extents = [numbers.setdefault(str(extent), random.randint(1, 5)) for extent in shape]
        values[name] = torch.randn(extents, dtype=torch.float64) if extents else torch.tensor(1e-3, dtype=torch.float64)
    for name, extent in (("t", "q"), ("u", "p")):
        if name in values:
            values[name] = torch.randint(0, numbers.setdefault(extent, random.randint(1, 5)), values[name].shape)
    return values


def test_the_steps_begin_with_every_definition_each_after_those_it_uses() -> None:
    steps = vjp(FUNCTIONS["attention"].output, FUNCTIONS["attention"].wrt[0]).steps
    assert [step.latex[:2] for step in steps if step.rule == "definition"] == ["A_", "P_", "Y_"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_compiled_gradients_are_autograds_at_five_random_shapes(name: str) -> None:
    function, random = FUNCTIONS[name], Random(name)
    torch.manual_seed(0)
    G = array("G", *map(size_of, function.output.indices))
    gradients = [vjp(function.output, entry, G).compile() for entry in function.wrt]
    forward = compile_torch(function.output)
    for _ in range(5):
        numbers = function.numbers(random)
        values = arrays_of(function, numbers, random)
        options = {name: numbers[name] for name in forward.sizes}
        inputs = {name: value.requires_grad_(value.is_floating_point()) for name, value in values.items()}
        expected = function.torch(**inputs, **options)
        output = forward(**values, **options)
        torch.testing.assert_close(output, expected)
        grad_output = torch.randn_like(expected)
        wanted = [inputs[entry.base.label.name] for entry in function.wrt]
        by_autograd = torch.autograd.grad(expected, wanted, grad_output)
        available = {name: value.detach() for name, value in values.items()} | {"G": grad_output}
        for gradient, reference in zip(gradients, by_autograd, strict=True):
            tensors = {name: available[name] for name in gradient.arrays}
            extents = {name: numbers[name] for name in gradient.sizes}
            torch.testing.assert_close(gradient(**tensors, **extents), reference)


class Largest(TorchDispatchMode):
    """Notes the size of the largest tensor that is made."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.numbers = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.numbers = max(self.numbers, result.numel())
        return result


@pytest.mark.parametrize("name", ["linear", "softmax", "layer norm", "attention", "convolution", "distances"])
def test_memory_stays_within_a_small_multiple_of_the_largest_array(name: str) -> None:
    function = FUNCTIONS[name]
    numbers = {"n": 60, "c": 8, "d": 16, "o": 8, "p": 40, "q": 20, "u": 40, "stride": 1, "pad": 1}
    numbers |= {"q": 3, "u": 40} if name == "convolution" else {}
    for entry in function.wrt:
        gradient = vjp(function.output, entry.base).compile()
        shapes = {name: [numbers[str(extent)] for extent in shape] for name, shape in gradient.arrays.items()}
        values = {name: torch.rand(shape, dtype=torch.float64) for name, shape in shapes.items()}
        with Largest() as largest:
            gradient(**values, **{name: numbers[name] for name in gradient.sizes})
        operands = [math.prod(shape) for shape in shapes.values()]
        scores = numbers["n"] ** 2 if name == "attention" else 0
        assert largest.numbers <= 4 * max([*operands, scores])


def hvp(function: Callable[[Tensor], Tensor], at: Tensor, direction: Tensor) -> Tensor:
    _, product = torch.autograd.functional.hvp(function, at, direction)  # type: ignore[no-untyped-call]
    return cast(Tensor, product)


def hessian_vector_product(loss: Definition, wrt: Any) -> TorchFunction:
    """Return the derivative of the gradient's product with V, where the gradient is itself a derived definition."""
    gradient = vjp(loss, wrt).result
    V, places = array("V", *wrt.shape), gradient.indices
    return vjp(define("h", Sum(gradient[places] * V[places], *places)), wrt).compile()


# For what has no value around 0, where its numbers begin, and a number that is made of a size.
ELSEWHERE = {"acosh": (1.1, n + 1), "log": (0.1, 1 / (n + 1))}


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_a_function_of_the_table_is_sympys_in_torch_and_on_sizes_and_its_derivative_is_autograds(name: str) -> None:
    function, code, row = getattr(sympy, name), KNOWN[name], f"src/handgrad/symbolic/formulas.py, FUNCTIONS: {name}: "
    for each in code:
        module, _, attribute = each.partition(".")
        assert not attribute or hasattr(sys.modules[module], attribute), f"{row}there is no {each}"
    low, number = ELSEWHERE.get(name, (-0.4, 2 / (n + 1) - 1))
    numbers = torch.linspace(low, low + 0.8, 6, dtype=torch.float64).reshape(3, 2).requires_grad_()
    by_sympy = torch.tensor([[float(function(x)) for x in line] for line in numbers.tolist()], dtype=torch.float64)
    scale = torch.tensor(float(function(number.subs(n, 3))), dtype=torch.float64)
    torch.testing.assert_close(
        compile_torch(define("y", function(number)))(n=3), scale, msg=f"{row}{code.python} is not sympy's function"
    )
    output = define("Y", function(Z[i, k]) * function(number), i, k)
    values = compile_torch(output)(Z=numbers)
    torch.testing.assert_close(values, by_sympy * scale, msg=f"{row}{code.torch} is not sympy's function")
    (gradient,) = torch.autograd.grad(values.sum(), numbers)
    derived = vjp(output, Z).compile()
    given = {"G": torch.ones_like(gradient), "Z": numbers.detach(), "n": 3, "q": 2}
    torch.testing.assert_close(
        derived(**{key: given[key] for key in [*derived.arrays, *derived.sizes]}),
        gradient,
        msg=f"{row}what is derived is not what autograd makes of {code.torch}",
    )


def test_hessian_vector_products_of_mse_of_linear_are_autograds() -> None:
    output = define("Y", Sum(X[i, j] * W[j, k], j) + b[k], i, k)
    loss = define("L", mean((output[i, k] - T[i, k]) ** 2, i, k))
    x, weight, bias = (torch.randn(shape, dtype=torch.float64) for shape in ([5, 3], [3, 2], [2]))
    target, direction = torch.randn(5, 2, dtype=torch.float64), torch.randn(3, 2, dtype=torch.float64)
    expected = hvp(lambda w: F.mse_loss(x @ w + bias, target), weight, direction)
    product = hessian_vector_product(loss, W)
    available = {"X": x, "W": weight, "b": bias, "T": target, "V": direction, "n": 5, "q": 2, "p": 3}
    torch.testing.assert_close(
        product(**{name: available[name] for name in [*product.arrays, *product.sizes]}), expected
    )


def test_hessian_vector_products_of_softmax_cross_entropy_are_autograds() -> None:
    loss = FUNCTIONS["cross-entropy"].output
    z, direction = torch.randn(2, 4, 3, dtype=torch.float64)
    labels = torch.tensor([0, 2, 1, 1])
    expected = hvp(lambda z: F.cross_entropy(z, labels), z, direction)
    product = hessian_vector_product(loss, Z)
    available = {"Z": z, "t": labels, "V": direction, "n": 4, "q": 3}
    torch.testing.assert_close(
        product(**{name: available[name] for name in [*product.arrays, *product.sizes]}), expected
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["softmax", "layer norm", "attention", "convolution", "cross-entropy"])
def test_every_entry_at_a_small_shape_is_what_scalar_calculus_gives(name: str) -> None:
    function = FUNCTIONS[name]
    numbers = {"n": 1, "c": 1, "d": 1, "o": 1, "p": 3, "q": 2, "u": 2, "stride": 1, "pad": 1}
    parts = [part for step in in_order(function.output) for part in (step.entry, step.value)]
    own = {symbol.name for part in parts for symbol in part.atoms(sympy.Symbol)} & {*numbers}
    derivation = vjp(function.output, function.wrt[0])
    assert "bmatrix" in derivation.entries(**{name: numbers[name] for name in own}).text


x, w = array("x", n), array("w")
MANY = {
    "orders of letters": Sum(x[i] ** 2, i) ** 10 + Sum(x[i], i),
    "terms": Sum((x[i] ** 2 + x[i] + i + n + w) ** 20, i),
    "terms of a root": Sum((x[i] ** 2 + i + n + w + 1) ** Rational(41, 2), i),
    "products of sums": reduce(mul, (Sum(x[i], i) + w + place for place in range(14))),
    "functions in functions": Sum(reduce(lambda value, _: tanh(value + x[i]), range(12), x[i]), i),
}


@pytest.mark.parametrize("name", MANY)
def test_what_has_too_many_terms_to_compare_is_derived_all_the_same(name: str) -> None:
    output = define("L", MANY[name])
    forward, backward = compile_torch(output), vjp(output, x).compile()
    at = {"x": torch.tensor([0.3, -0.2], dtype=torch.float64), "w": torch.tensor(0.1, dtype=torch.float64)}
    given, here = ({key: at[key] for key in f.arrays} | dict.fromkeys(f.sizes, 2) for f in (forward, backward))
    at["x"].requires_grad_()
    (by_torch,) = torch.autograd.grad(forward(**given), at["x"])
    torch.testing.assert_close(backward(**here).detach(), by_torch)


def relu6(value: Expr) -> Expr:
    return Piecewise((0, value <= 0), (6, value >= 6), (value, True))


NOT_SIMPLIFIED = {
    "relu6": (relu6(x[i]), x),
    "hard swish": (x[i] * relu6(x[i] + 3) / 6, x),
    "the norm by its entries": (Sum(abs(x[other]) ** w, other) ** (1 / w) * x[i], x),
    "the norm by its power": (Sum(abs(x[other]) ** w, other) ** (1 / w) * x[i], w),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NOT_SIMPLIFIED)
def test_entries_that_sympy_does_not_simplify_are_compared_at_points(name: str) -> None:
    value, wrt = NOT_SIMPLIFIED[name]
    derivation = vjp(define("Y", value, i), wrt)
    assert derivation.entries(n=2).text
    wrong = replace(derivation.result, value=derivation.result.value + Iverson(derivation.entry > 1) / 1000)
    with pytest.raises(AssertionError, match="derivative with respect to"):
        replace(derivation, result=wrong).entries(n=2)
