"""What a compiled formula returns: a tensor of its shape, of the dtype and on the device of the arrays."""

from typing import Any

import pytest
import torch
from sympy import Abs, And, Eq, KroneckerDelta, Ne, Not, Or, Piecewise, Rational, exp, log, pi, sign, sin, sqrt

from handgrad.symbolic import Definition, Iverson, Sum, array, define, indices, integers, jacobian, sizes, vjp
from handgrad.symbolic.torch_code import compile_torch

n, q = sizes("n q")
(stride,) = integers("stride")
i, k, other, last, o = indices("i:n k:q l:n m:n o:q")
x, X, w = array("x", i), array("X", i, k), array("w")
t, c = array("t", i, integer=True), array("c", integer=True)
row, same_row = Sum(X[i, k], k), Sum(X[i, o], o)
zero = define("z", Sum(x[other], other) - Sum(x[other], other) + 0 * x[i], i)
inner = define("u", Iverson(x[i] > 0), i)
sized = define("s", Sum(Sum(q, k), last), i, other)

DEFINITIONS: dict[str, Definition] = {
    "a number": define("y", 2),
    "a number, for each index": define("y", 2, i, k),
    "a fraction of sizes": define("y", sqrt(n) / (q + 1) + log(n) * pi, i),
    "a bracket of sizes": define("y", Iverson(n > 2) * 3 + Iverson(Not(And(n > 2, q > 2)))),
    "cases of sizes": define("y", Piecewise((1, n > 5), (Rational(1, 2), Or(n > 1, q > 1)), (x[i], True)), i),
    "a bracket of sizes before an array": define("y", Iverson(n > 2) * exp(x[i]), i),
    "a bracket that never holds": define("y", Iverson(And(x[i] > 0, x[i] < 0)) * x[i] ** -1, i),
    "a squared bracket beside what is infinite": define("y", Iverson(x[i] > 0) ** 2 / x[i], i),
    "an index": define("y", i, i),
    "an index and a half": define("y", i / 2, i),
    "an index, squared, and a number": define("y", i**2 + 1, i),
    "an index times an array": define("y", x[i] * (i + 1), i),
    "indices alone": define("y", i * k + i, i, k),
    "a sum of indices": define("y", Sum(i, i)),
    "whole numbers": define("y", t[i], i),
    "whole numbers, halved": define("y", t[i] / 2, i),
    "whole numbers and a number": define("y", t[i] + w, i),
    "whole numbers and an array": define("y", t[i] * x[i] + t[i] ** 2, i),
    "a sum of whole numbers": define("y", Sum(t[i], i)),
    "a product of sums of whole numbers": define("y", Sum(t[i] * t[other], i, other)),
    "whole numbers in functions": define("y", exp(-t[i]) + sqrt(t[i] + 4), i),
    "whole numbers in cases": define("y", Piecewise((t[i], t[i] > 1), (0, True)), i),
    "one whole number": define("y", c * x[i] + c, i),
    "one whole number alone": define("y", c),
    "a stride": define("y", stride * i, i),
    "what vanishes": zero,
    "sums of sizes": define("y", exp(-Sum(q, other)) + 1 / (Sum(1, other, k) + 1) + sin(Sum(n, k) * x[i]), i),
    "the gradient of a bracket": vjp(define("y", Sum(Iverson(x[i] > 0), i)), x).result,
    "the gradient of a bracket, each": vjp(inner, x).result,
    "the gradient of a sum": vjp(define("y", Sum(X[i, k], i, k)), X).result,
    "the gradient by a number": vjp(define("y", w * Sum(i, i)), w).result,
    "the gradient of a number": vjp(define("y", 3 * w), w).result,
    "a Jacobian": jacobian(define("y", x[i], i), x).result,
    "a diagonal": define("y", Iverson(Eq(i, other)), i, other),
    "all but a diagonal": define("y", Iverson(Ne(i, other)) * x[i], i, other),
    "where whole numbers are equal": define("y", Iverson(Eq(t[i], k)) * w, i, k),
    "what is defined": define("y", inner[i] * inner[other], i, other),
    "what is looked up at a computed place": define("y", x[t[2 * i]], i),
    "a place looked up there, compared": define("y", KroneckerDelta(t[i + 1], k) * w, i, k),
    "a comparison beside a sum and in it": define(
        "y", Iverson(i < other) * x[last] * sin(Sum(Piecewise((x[i], i < other), (0, True)), k)), i, other, last
    ),
    "a sum of a sum of sizes": define("y", w + sin(Sum(Sum(1, i), k))),
    "a defined number of sizes": define("y", x[i] + sized[i, i], i),
    "equal sums in different letters, divided": define("y", row / same_row, i),
    "equal sums in different letters, subtracted": define("y", row - same_row, i),
    "equal sums in different letters, compared": define("y", Iverson(row > same_row) + Iverson(row >= same_row), i),
    "equal sums in different letters, in a sum": define("y", Sum(x[i] * exp(row - same_row), i)),
    "equal sums in different letters, alone in a sum": define("y", Sum(exp(row - same_row), i)),
    "the gradient of equal sums": vjp(define("y", row / same_row, i), X).result,
    "a sum that is subtracted again": define("y", Sum(x[i] - X[other, k], k) + Sum(X[other, o], o), i, other),
    "a sign": define("y", sign(x[i]) + Abs(t[i]) + Abs(stride), i),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", DEFINITIONS)
def test_the_result_is_a_tensor_of_the_formulas_shape_and_the_arrays_dtype(name: str, dtype: torch.dtype) -> None:
    compiled = compile_torch(DEFINITIONS[name])
    numbers = {"n": 3, "q": 2, "stride": -2, "c": 5}
    available: dict[str, Any] = {
        "x": torch.tensor([-1.0, 0.0, 2.0]).to(dtype),
        "X": torch.ones(3, 2, dtype=dtype),
        "w": torch.tensor(0.5, dtype=dtype),
        "t": torch.tensor([0, 1, 2]),
        "G": torch.ones(3, dtype=dtype),
    } | numbers
    given = {key: available[key] for key in [*compiled.arrays, *compiled.sizes]}
    value = compiled(**given)
    assert isinstance(value, torch.Tensor)
    assert value.shape == tuple(int(extent.subs({n: 3, q: 2})) for extent in compiled.shape)
    assert value.dtype == (dtype if compiled.arrays.keys() - {"t"} else torch.float64)
    assert value.isfinite().all()
    on_meta = {key: v.to("meta") if isinstance(v, torch.Tensor) else v for key, v in given.items()}
    if not {"t"} & given.keys() and compiled.arrays:
        assert compiled(**on_meta).device.type == "meta"


VALUES: dict[str, Any] = {
    "a bracket of sizes": 4,
    "cases of sizes": [0.5, 0.5, 0.5],
    "a bracket that never holds": [0, 0, 0],
    "a squared bracket beside what is infinite": [0, 0, 0.5],
    "an index and a half": [0, 0.5, 1],
    "an index times an array": [-1, 0, 6],
    "indices alone": [[0, 0], [1, 2], [2, 4]],
    "a sum of indices": 3,
    "whole numbers, halved": [0, 0.5, 1],
    "whole numbers and a number": [0.5, 1.5, 2.5],
    "whole numbers and an array": [0, 1, 8],
    "a product of sums of whole numbers": 9,
    "whole numbers in cases": [0, 0, 2],
    "one whole number": [0, 5, 15],
    "a stride": [0, -2, -4],
    "the gradient of a bracket": [0, 0, 0],
    "the gradient by a number": 3,
    "a diagonal": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "all but a diagonal": [[0, -1, -1], [0, 0, 0], [2, 2, 0]],
    "where whole numbers are equal": [[0.5, 0], [0, 0.5], [0, 0]],
    "what is looked up at a computed place": [-1, 2, -1],
    "a place looked up there, compared": [[0, 0.5], [0, 0], [0.5, 0]],
    "a defined number of sizes": [11, 12, 14],
    "equal sums in different letters, divided": [1, 1, 1],
    "equal sums in different letters, subtracted": [0, 0, 0],
    "equal sums in different letters, compared": [1, 1, 1],
    "equal sums in different letters, in a sum": 1,
    "equal sums in different letters, alone in a sum": 3,
    "the gradient of equal sums": [[0, 0], [0, 0], [0, 0]],
    "a sum that is subtracted again": [[-2, -2, -2], [0, 0, 0], [4, 4, 4]],
    "a sign": [1, 3, 5],
}


@pytest.mark.parametrize("name", VALUES)
def test_the_values_are_those_of_the_formula(name: str) -> None:
    compiled = compile_torch(DEFINITIONS[name])
    available: dict[str, Any] = {
        "x": torch.tensor([-1.0, 0.0, 2.0]),
        "X": torch.ones(3, 2),
        "w": torch.tensor(0.5),
        "t": torch.tensor([0, 1, 2], dtype=torch.int32),
        "G": torch.ones(3),
    } | {"n": 3, "q": 2, "stride": -2, "c": 5}
    assert compiled(**{key: available[key] for key in [*compiled.arrays, *compiled.sizes]}).tolist() == VALUES[name]


def test_whole_numbers_stay_exact_where_they_are_compared() -> None:
    compiled = compile_torch(define("y", Sum(Iverson(i + 1 > other) * x[other], other), i))
    assert compiled(x=torch.ones(2100, dtype=torch.float16))[2060] == 2061 - 1
    chosen = compile_torch(define("y", Sum(X[i, k] * Iverson(Eq(k, t[i])), k), i))
    values = torch.arange(4100).half().expand(1, 4100)
    assert chosen(X=values, t=torch.tensor([4098])) == 4098


def test_numbers_keep_all_their_digits() -> None:
    third = compile_torch(define("y", (1 / 3) * x[i], i))
    assert third(x=torch.ones(1, dtype=torch.float64)).item() == 1 / 3
