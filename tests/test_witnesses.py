"""What derivations are checked against is right itself: the loops, the dual numbers and the reader of matrix forms."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from evaluator import Dual, Evaluator, Values, applied, moved, number, part, power, with_variables
from matrices import UnknownError, matrix_value
from sympy import KroneckerDelta, Piecewise, exp, log

from handgrad.symbolic import Iverson, Sum, array, define, indices, integers

i, j, k = indices("i:n j:p k:q")
X, W, x = array("X", i, j), array("W", j, k), array("x", i)
half = Fraction(1, 2)


def entries(rows: Any) -> Values:
    """Return a nested list as an array of fractions."""
    numbers = np.array(rows, dtype=object)
    return {place: Fraction(value) for place, value in np.ndenumerate(numbers)}


GIVEN = {"X": entries([[1, half], [3, 4]]), "W": entries([[1, 2, 0], [0, 1, -1]]), "x": entries([2, 0])}
SIZES = {"n": 2, "p": 2, "q": 3}
(t,), (shift,) = [array("t", i, integer=True)], integers("shift")


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        (define("Y", Sum(X[i, j] * W[j, k], j), i, k), [[1, half * 5, -half], [3, 10, -4]]),
        (define("y", x[i - 1], i), [0, 2]),
        (define("y", x[2 * i + shift], i), [0, 0]),
        (define("y", x[t[i]] * t[i], i), [0, 0]),
        (define("y", Sum(KroneckerDelta(i, j) * X[i, j], i, j)), 5),
        (define("y", Iverson(x[i] > 0) * log(x[i]), i), [math.log(2), 0]),
        (define("y", Piecewise((x[i], x[i] > 1), (7, True)), i), [2, 7]),
        (define("y", define("E", x[i] ** 2 + i, i)[i + 1] / 3, i), [Fraction(1, 3), 0]),
    ],
    ids=str,
)
def test_definitions_are_evaluated_entry_by_entry_and_fractions_stay_fractions(definition: Any, expected: Any) -> None:
    evaluator = Evaluator({**SIZES, "shift": 1}, {**GIVEN, "t": entries([1, 0])})
    values = evaluator.values(definition)
    flat = [value for _, value in np.ndenumerate(np.array(expected, dtype=object))]
    assert [*values.values()] == flat
    assert all(isinstance(value, Fraction) for value in values.values()) or definition.value.has(log)


def test_a_gradient_is_read_off_one_pass_over_dual_numbers() -> None:
    variables = {name: with_variables(name, values) for name, values in GIVEN.items()}
    total = Evaluator(SIZES, variables).values(define("L", Sum(X[i, j] * W[j, k] * x[i], i, j, k)))[()]
    assert part(total, ("X", (0, 1))) == 2 * (0 + 1 - 1)
    assert part(total, ("W", (1, 2))) == 2 * half
    assert part(total, ("x", (1,))) == 3 * 3
    assert part(total, ("x", (5,))) == 0


def test_what_moves_and_varies_has_second_derivatives() -> None:
    at = with_variables("x", moved(GIVEN["x"], {(0,): Fraction(3), (1,): Fraction(5)}))
    total = Evaluator(SIZES, {"x": at}).values(define("L", Sum(x[i], i) ** 3))[()]
    assert number(total) == 8
    assert part(part(total, ("x", (1,))), "moved") == 6 * 2 * (3 + 5)


@pytest.mark.parametrize("name", ["exp", "log", "sin", "cos", "tanh", "Abs"])
def test_slopes_are_limits_of_differences(name: str) -> None:
    at, step = 0.7, 1e-5
    inner = Dual(Dual(at, {"b": 1.0}), {"a": 1.0})
    value = applied(name, inner)
    difference = (applied(name, at + step) - applied(name, at - step)) / (2 * step)
    assert number(part(value, "a")) == pytest.approx(difference, rel=1e-8)
    slope, other = (number(part(applied(name, Dual(at + move, {"a": 1.0})), "a")) for move in (step, -step))
    assert part(part(value, "a"), "b") == pytest.approx((slope - other) / (2 * step), rel=1e-8)


def test_powers_are_of_numbers_and_of_what_varies() -> None:
    base, exponent = Dual(3.0, {"a": 1.0}), Dual(2.0, {"b": 1.0})
    assert power(base, -2).parts == {"a": pytest.approx(-2 / 27)}
    assert power(base, exponent).parts == {"a": pytest.approx(6), "b": pytest.approx(9 * math.log(3))}
    assert Evaluator(SIZES, GIVEN).values(define("y", exp(x[i]), i))[0,] == math.exp(2)


random = np.random.default_rng(0)
A, B, C, v = (random.normal(size=shape) for shape in ((3, 3), (3, 2), (2, 4), (4,)))
ARRAYS = {"A": A, "B": B, "C": C, "v": v, "n": 3, "q": 2, r"\alpha": 1.5}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"B C + \mathbf{1} v^{\mathsf{T}}", B @ C + v),
        (r"- B C - 2 \mathbf{1} v^{\mathsf{T}}", -B @ C - 2 * v),
        (r"C^{\mathsf{T}} B^{\mathsf{T}} \mathbf{1}", (B @ C).sum(0)),
        (r"\mathbf{1}^{\mathsf{T}} B \mathbf{1}", B.sum()),
        (r"A \mathbf{1} \mathbf{1}^{\mathsf{T}}", A.sum(1)[:, None] * np.ones(5)),
        (r"2 \operatorname{tr}\left(B B^{\mathsf{T}}\right)", 2 * (B * B).sum()),
        (r"{A^{\mathsf{T}}}^{\odot 2}", A.T**2),
        (r"\frac{2}{n q} \left(B - B^{\odot 3}\right)", (B - B**3) / 3),
        (r"\left(n + q\right) B \odot B^{\odot -1} \odot [B > 0]", 5.0 * (B > 0)),
        (r"\left(B \odot [B > 0 \wedge B < 1]\right) C", (B * (B > 0) * (B < 1)) @ C),
        (
            r"\frac{\tanh^{2}{\left(\alpha \right)}}{\sqrt{n}} e^{- \alpha} B",
            math.tanh(1.5) ** 2 / 3**0.5 * math.exp(-1.5) * B,
        ),
        (r"\operatorname{tr}\left(A\right) - \mathbf{1}^{\mathsf{T}} B \mathbf{1}", np.trace(A) - B.sum()),
        (r"\operatorname{sign}{\left(\alpha \right)} \left|{\alpha}\right| v", 1.5 * v),
    ],
)
def test_matrix_forms_are_computed_as_they_read(text: str, expected: Any) -> None:
    np.testing.assert_allclose(matrix_value(text, ARRAYS, np.shape(expected)), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (r"A \odot B C", "without brackets"),
        (r"A B C^{2}", "not entry by entry"),
        (r"B C + A", "a sum of shapes"),
        (r"\alpha + A", "a sum of shapes"),
        (r"B \odot A", "⊙ of arrays"),
        (r"\mathbf{1}^{\mathsf{T}} \mathbf{1} A", "how long"),
        (r"A \mathbf{1}", "has shape"),
        (r"\left(A", "the end"),
        (r"A ) B", "after a whole formula"),
    ],
)
def test_what_has_no_one_meaning_is_not_computed(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        matrix_value(text, ARRAYS, (3, 4))
    with pytest.raises(UnknownError):
        matrix_value(r"\sum_{k} A", ARRAYS, (3, 3))
