"""Derivations in index notation: right for every size, shown in steps, read off as matrices, compiled to torch."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from cases import CASES, G, T, W, X, Z, b, i, j, k, m, n, p, q, r, s
from sympy import Abs, And, Expr, Function, KroneckerDelta, Piecewise, Rational, exp, log, sqrt
from torch.nn import functional as F

from handgrad.symbolic import Definition, Idx, Iverson, Sum, array, define, expand, jacobian, matrix, vjp
from handgrad.symbolic.calculus import differentiate
from handgrad.symbolic.letters import rename
from handgrad.symbolic.matrix import matrix_form
from handgrad.symbolic.terms import canonical, contract
from handgrad.symbolic.torch_code import compile_torch

A, x = array("A", n, n), array("x", n)
i_of_q = Idx("i", q)
other, t, u = Idx("l", n), array("t", n, integer=True), array("u", n, integer=True)
linear, relu = CASES["linear"].definition, CASES["relu"].definition
DERIVATIONS = {f"{name} {wrt}": d for name, case in CASES.items() for wrt, d in case.derivations.items()}
FORMULAS = {
    "linear X": (r"\frac{\partial L}{\partial X} = G W^{\mathsf{T}}", 'torch.einsum("rk,sk->rs", G, W)'),
    "linear W": (r"\frac{\partial L}{\partial W} = X^{\mathsf{T}} G", 'torch.einsum("is,ir->rs", G, X)'),
    "linear b": (r"\frac{\partial L}{\partial b} = G^{\mathsf{T}} \mathbf{1}", "G.sum(0)"),
    "relu X": (r"\frac{\partial L}{\partial X} = G \odot [X > 0]", "torch.where(X > 0, G, 0)"),
    "exp X": (r"\frac{\partial L}{\partial X_{rs}} = G_{rs} e^{X_{rs}}", "G*torch.exp(X)"),
    "mse Y": (r"\frac{\partial L}{\partial Y} = \frac{2}{n q} \left(Y - T\right)", "2*(Y - T)/(n*q)"),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_derivation_ends_in_the_matrix_form_and_compiles_to_one_line(name: str) -> None:
    last, code = FORMULAS[name]
    assert DERIVATIONS[name].steps[-1].latex == last
    assert DERIVATIONS[name].compile().source.endswith(f"    return {code}")


def small(definition: Definition) -> dict[str, int]:
    """Return a small number for each size."""
    function = compile_torch(definition)
    symbols = {symbol for shape in function.arrays.values() for extent in shape for symbol in extent.free_symbols}
    return {name: 2 + place % 2 for place, name in enumerate(sorted({*map(str, symbols), *function.sizes}))}


@pytest.mark.parametrize("name", DERIVATIONS)
def test_every_entry_at_a_small_shape_is_what_scalar_calculus_gives(name: str) -> None:
    case = CASES[name.split()[0]]
    assert "bmatrix" in DERIVATIONS[name].entries(**small(case.definition)).text


@pytest.mark.parametrize("name", DERIVATIONS)
def test_a_wrong_entry_is_found(name: str) -> None:
    derivation = DERIVATIONS[name]
    wrong = replace(derivation.result, value=2 * derivation.result.value)
    with pytest.raises(AssertionError, match=r"derivative with respect to \w\[0"):
        replace(derivation, result=wrong).entries(**small(CASES[name.split()[0]].definition))


def test_the_steps_name_their_rules() -> None:
    rules = [step.rule for step in DERIVATIONS["linear W"].steps]
    assert rules == ["definition", "chain rule", "differentiate", "contract the deltas", "matrix form"]


def test_the_jacobian_of_a_linear_layer_is_an_array_with_four_indices() -> None:
    compiled = jacobian(linear, W[r, s]).compile()
    x, w, bias = torch.randn(5, 3), torch.randn(3, 2), torch.randn(2)
    expected = torch.autograd.functional.jacobian(lambda w: x @ w + bias, w)  # type: ignore[no-untyped-call]
    torch.testing.assert_close(compiled(X=x, q=2), expected)
    assert compiled(X=x, q=2).shape == (5, 2, 3, 2)
    assert "torch.einsum" in compiled.source


@pytest.mark.parametrize("name", CASES)
def test_a_definition_compiles_to_the_layer_itself(name: str) -> None:
    case = CASES[name]
    for example in case.examples:
        layer = case.layer(*example.arguments)
        inputs = [torch.randn(shape) for shape in example.shapes]
        values = zip(case.arrays.split(), [*inputs, *layer.parameters()], strict=True)
        torch.testing.assert_close(case.function(**dict(values)), layer(*inputs))


def test_an_index_twice_on_one_array_is_a_diagonal() -> None:
    a = torch.arange(9.0).reshape(3, 3)
    assert compile_torch(define("t", Sum(A[i, i], i)))(A=a) == a.trace()
    assert torch.equal(compile_torch(define("d", A[i, i], i))(A=a), a.diagonal())


def test_a_gradient_that_is_the_same_everywhere_has_the_shape_of_its_array() -> None:
    total = define("S", 3 * Sum(Z[i, k], i, k))
    assert torch.equal(vjp(total, Z[m, s]).compile()(n=2, q=3), torch.full((2, 3), 3.0, dtype=torch.float64))


def test_the_chain_rule_goes_through_functions_of_sums() -> None:
    softmax = define("S", exp(Z[i, k]) / Sum(exp(Z[i, s]), s), i, k)
    derivation = vjp(softmax, Z[m, Idx("t", q)], G)
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    grad_output = torch.randn(4, 3, dtype=torch.float64)
    expected = torch.autograd.grad(x.softmax(1), x, grad_output)[0]
    torch.testing.assert_close(derivation.compile()(G=grad_output, X=x.detach()), expected)
    derivation.entries(n=1, q=2)


@pytest.mark.parametrize(
    ("latex", "definition"),
    [
        (r"X W + \mathbf{1} b^{\mathsf{T}}", linear),
        (r"X W - \mathbf{1} b^{\mathsf{T}}", define("Y", Sum(X[i, j] * W[j, k], j) - b[k], i, k)),
        (r"G W^{\mathsf{T}} X^{\mathsf{T}}", define("Y", Sum(G[i, k] * W[j, k] * X[m, j], j, k), i, m)),
        (r"3 X W", define("Y", 3 * Sum(X[i, j] * W[j, k], j), i, k)),
        (r"\left(n + q\right) X W", define("Y", (n + q) * Sum(X[i, j] * W[j, k], j), i, k)),
        (r"\left(n + q\right) T \odot X", define("Y", (n + q) * Z[i, k] * T[i, k], i, k)),
        (r"X^{\mathsf{T}} \mathbf{1}", define("y", Sum(X[i, j], i), j)),
        (r"X \mathbf{1}", define("y", Sum(X[i, j], j), i)),
        (r"\mathbf{1}^{\mathsf{T}} X \mathbf{1}", define("y", Sum(X[i, j], i, j))),
        (r"A \mathbf{1} \mathbf{1}^{\mathsf{T}}", define("Y", Sum(A[i, m], m), i, k)),
        (r"x b^{\mathsf{T}}", define("Y", x[i] * b[k], i, k)),
        (r"x^{\mathsf{T}} A x", define("y", Sum(x[i] * A[i, m] * x[m], i, m))),
        (r"2 \operatorname{tr}\left(A\right)", define("y", 2 * Sum(A[i, i], i))),
        (r"\operatorname{tr}\left(T X^{\mathsf{T}}\right)", define("y", Sum(Z[i, k] * T[i, k], i, k))),
        (r"\left(G \odot X\right) W^{\mathsf{T}}", define("Y", Sum(Z[i, k] * G[i, k] * W[j, k], k), i, j)),
        (r"{A^{\mathsf{T}}}", define("Y", A[m, i], i, m)),
        (r"{A^{\mathsf{T}}}^{\odot 2}", define("Y", A[m, i] ** 2, i, m)),
        (r"2 T \odot X^{\odot 2}", define("Y", 2 * Z[i, k] ** 2 * T[i, k], i, k)),
        (None, define("Y", Sum(X[i, j] * W[j, k] * b[k], j), i, k)),
        (r"\left(X^{\odot 2}\right) W", define("Y", Sum(X[i, j] ** 2 * W[j, k], j), i, k)),
        (None, define("Y", Sum(exp(X[i, j]) * W[j, k], j), i, k)),
        (None, define("Y", Z[i, k] + 1, i, k)),
        (None, define("Y", exp(Z[i, k]), i, k)),
        (None, define("Y", A[i, m] * KroneckerDelta(i, m), i, m)),
        (None, define("y", Sum(A[i, i] * X[i, j], i), j)),
    ],
)
def test_matrix_forms_are_read_off_and_what_has_none_is_not_guessed(latex: str | None, definition: Definition) -> None:
    assert matrix_form(definition) == latex


def test_a_wrong_reading_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = Idx("l", n)
    product = define("Y", Sum(A[i, inner] * A[inner, m], inner), i, m)
    assert matrix_form(product) == "A A"
    right = matrix._read

    def wrong(*arguments: Any) -> Any:
        reading = right(*arguments)
        assert reading is not None
        return replace(reading, chain=(reading.chain[0], reading.chain[1].transposed()))

    monkeypatch.setattr(matrix, "_read", wrong)
    assert matrix_form(product) is None


def test_the_letters_of_the_entry_may_be_summed_over_in_the_definition() -> None:
    derivation = vjp(linear, W[j, s], G)
    assert rename(derivation.result.value, {j: r}) == DERIVATIONS["linear W"].result.value
    assert r"\sum_{j'} X_{ij'} \delta_{jj'}" in derivation.steps[2].latex


@pytest.mark.parametrize("name", ["w", "b"])
def test_numbers_are_differentiated_like_arrays_without_axes(name: str) -> None:
    scores = define("Y", exp(array("w") * Z[i, k] + array("b")), i, k)
    numbers = {"X": torch.randn(3, 2), "w": torch.tensor(0.5), "b": torch.tensor(-1.0)}
    given = torch.randn(3, 2)

    def by_torch(number: torch.Tensor) -> torch.Tensor:
        given = numbers | {name: number}
        return torch.exp(given["w"] * given["X"] + given["b"])

    built = jacobian(scores, array(name)).compile()(**numbers)
    expected = torch.autograd.functional.jacobian(by_torch, numbers[name])  # type: ignore[no-untyped-call]
    torch.testing.assert_close(built, expected)
    derivation = vjp(scores, array(name))
    torch.testing.assert_close(derivation.compile()(G=given, **numbers), (given * built).sum())
    assert derivation.entries(n=2, q=1).text.startswith(f"$$\n\\frac{{\\partial L}}{{\\partial {name}}} = ")


def test_entries_are_checked_with_respect_to_what_is_defined_and_where_brackets_stand() -> None:
    total = define("S", Sum(Z[i, k], k), i)
    squares = define("L", Sum(total[i] ** 2, i))
    assert "2 S_{0}" in vjp(squares, total.base).entries(n=2, q=2).text
    gate = define("Y", Iverson(Z[i, k] > 0) * Z[i, k], i, k)
    assert "G_{11} [X_{11} > 0]" in vjp(gate, Z).entries(n=2, q=2).text


def test_a_defined_number_is_differentiated_through_and_with_respect_to() -> None:
    w, y = array("w"), array("y")
    a = define("a", w * y)
    b = define("b", exp(a[()]) + w)
    loss = define("L", a[()] * b[()])
    assert define("L", exp(a)).value == exp(a.base)
    assert vjp(loss, b.base).result.value == a.base
    by_calculus = (w * y * (exp(w * y) + w)).diff(w)
    assert (expand(vjp(loss, w).result.value) - by_calculus).simplify() == 0


def test_a_defined_number_is_calculated_with_as_its_entry_is() -> None:
    a = define("a", array("w") ** 2)
    x = a.base
    assert (2 * a - 1, 1 - a / 2, a + a, 1 + a, 1 / a) == (2 * x - 1, 1 - x / 2, 2 * x, 1 + x, 1 / x)
    assert (a**2, 2**a, -a, abs(a), a * x) == (x**2, 2**x, -x, abs(x), x**2)
    assert (a < 1, a <= 1, a > 1, a >= 1) == (x < 1, x <= 1, x > 1, x >= 1)


def test_an_array_is_differentiated_by_an_entry_with_letters_of_its_own() -> None:
    assert vjp(linear, W).result.value == vjp(linear, W[r, s], G).result.value
    assert vjp(linear, b, G).steps[-1].latex == vjp(linear, b[s]).steps[-1].latex
    assert jacobian(relu, Z).result.indices[2:] == (Idx("r", n), Idx("s", q))


def test_a_delta_selects_only_over_the_range_it_was_summed_over() -> None:
    other = Idx("o", q)
    assert contract(Sum(Z[i, k] * KroneckerDelta(k, s), k)) == Z[i, s]
    assert contract(Sum(X[i, j] * KroneckerDelta(j, other), j)).has(Sum)


def test_renaming_an_index_catches_no_other() -> None:
    o = Idx("o", n)
    rows = Sum(A[m, i] * A[o, i], i)
    assert canonical(rename(rows, {o: i})) == canonical(Sum(A[m, o] * A[i, o], o))
    assert canonical(rename(rows, {i: o})) == canonical(rows)


def test_a_product_with_a_sum_keeps_apart_what_the_letters_mix_up() -> None:
    for other in (Sum(Z[m, k], k), Z[m, k], b[k]):
        assert canonical(Sum(Z[i, k], k) * other) == canonical(Sum(Z[i, s], s) * other)
        assert canonical(Sum(X[i, j] * W[j, k], j) * other) == canonical(Sum(X[i, r] * W[r, k], r) * other)


def test_cases_are_differentiated_each_where_it_holds() -> None:
    x = Z[i, k]
    leaky = define("Y", Piecewise((x, x > 0), (x / 4, x > -1), (0, True)), i, k)
    derivation = vjp(leaky, Z[m, s], G)
    derivation.entries(n=1, q=2)
    at = torch.tensor([[2.0, -0.5, -3.0]])
    assert torch.equal(derivation.compile()(G=torch.ones(1, 3), X=at), torch.tensor([[1.0, 0.25, 0.0]]))


def test_equal_sums_compare_equal_whatever_their_letters() -> None:
    assert canonical(Sum(X[i, j] * W[j, k], j)) == canonical(Sum(X[i, r] * W[r, k], r))
    assert canonical(Sum(X[i, j] * W[j, k], j)) != canonical(Sum(X[i, r] * W[r, s], r))
    assert canonical(Sum(i * k**2, i, k)) != canonical(Sum(k * i**2, i, k))
    first = Idx("_0", n)
    assert canonical(X[first, j] * Sum(Z[i, k], i)) != canonical(Sum(X[i, j] * Z[i, k], i))


def test_sums_are_split_and_products_expanded_to_compare() -> None:
    assert canonical(Sum((Z[i, k] - T[i, k]) ** 2, k)) == canonical(
        Sum(Z[i, k] ** 2, k) - 2 * Sum(Z[i, s] * T[i, s], s) + Sum(T[i, k] ** 2, k)
    )
    assert canonical(exp(Z[i, k]) / Sum(exp(Z[i, s]), s)) == canonical(
        exp(Z[i, k]) / Sum(exp(Z[i, Idx("t", q)]), Idx("t", q))
    )
    assert canonical(Sum(x[i], i) ** 2) == canonical(Sum(x[i], i) * Sum(x[m], m))
    assert canonical(Sum(b[k] + 1, k)) == canonical(Sum(b[s], s) + q)


def test_a_sum_over_an_index_that_does_not_occur_multiplies() -> None:
    assert contract(Sum(b[k], i)) == n * b[k]


@pytest.mark.parametrize(
    ("words", "mistake"),
    [
        (
            r"W\[k, j\]: index k runs over q values, the axis has p",
            lambda: define("Y", Sum(X[i, j] * W[k, j], j), i, k),
        ),
        ("index j is neither summed over nor an index of Y", lambda: define("Y", X[i, j] * W[j, k], i, k)),
        ("index k already has a meaning", lambda: define("Y", Z[i, k] / Sum(Z[i, k], k), i, k)),
        ("index k already has a meaning", lambda: define("L", Sum((Z[i, k] - Sum(Z[i, k], k)) ** 2, i, k))),
        ("index k already has a meaning", lambda: define("L", Sum(Sum(b[k], k), k))),
        ("index i has a meaning already", lambda: jacobian(linear, X[i, r])),
        ("index m has a meaning already", lambda: vjp(define("L", Sum(A[i, Idx("o", n)], i, Idx("o", n))), A[m, m])),
        ("index m runs over n values, the axis has q", lambda: vjp(linear, b[m], G)),
        ("held fixed, so it cannot be made of X too", lambda: vjp(relu, Z[m, s], Z)),
        ("held fixed, so it cannot be made of X too", lambda: vjp(relu, Z[m, s], relu.base)),
        (
            "a is whole: there is no derivative",
            lambda: vjp(define("y", array("a", integer=True) * b[k], k), array("a", integer=True)),
        ),
        ("numbers, sizes or indices are called n", lambda: define("L", Sum(array("n") * Z[i, k], i, k))),
        ("numbers, sizes or indices are called b", lambda: define("y", array("b") * b[k], k)),
        ("numbers, sizes or indices are called k", lambda: define("y", array("k") * b[k], k)),
        ("Y is made of a G already", lambda: vjp(define("Y", G[i, k] * Z[i, k], i, k), Z)),
        ("array of whole numbers: there is no derivative", lambda: vjp(define("y", b[t[i]] * t[i], i), t)),
        ("a sum over j runs from 0 to p - 1", lambda: define("c", Sum(X[i, j], (j, 0, i)), i)),
        ("o is no index that starts at 0", lambda: define("y", b[Idx("o", (1, q))], Idx("o", (1, q)))),
        (
            "i runs over n values in one place, q in another",
            lambda: define("y", Sum(Z[i, Idx("i", q)], Idx("i", q)), i),
        ),
        ("its indices i, i must differ", lambda: define("Y", x[i], i, i)),
        ("are called X: rename one", lambda: compile_torch(define("L", Sum(X[i, j] * Z[i, k], i, j, k)))),
        ("are called x: rename one", lambda: compile_torch(define("y", array("x") * x[i], i))),
        ("are called n: rename one", lambda: compile_torch(define("y", Sum(array("n", n)[i], i)))),
        ("give every size a number; there is none for p, q", lambda: DERIVATIONS["linear W"].entries(n=2)),
    ],
)
def test_mistakes_are_named(words: str, mistake: Callable[[], object]) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        mistake()


half = Rational(1, 2)
VALUES: dict[str, tuple[Definition, dict[str, Any], Any]] = {
    "cases stay inside their sum": (
        vjp(define("Y", Sum(Piecewise((x[other], A[i, i] > 0), (0, True)), i), other), x).result,
        {"G": [1, 1], "A": [[1, 0], [0, -1]]},
        [1, 1],
    ),
    "an entry outside its range has no gradient": (
        vjp(define("Y", define("D", Sum(b[k], k), i)[other - 1], other), b).result,
        {"G": [1, 1, 1], "q": 2},
        [2, 2],
    ),
    "axes without arrays": (jacobian(define("Y", x[other], other, i), x).result, {"n": 1}, [[[1]]]),
    "numbers beside whole numbers": (define("y", Piecewise((half, t[i] > 0), (1, True)), i), {"t": [0, 1]}, [1, half]),
    "the sign of a difference": (
        vjp(define("L", Sum(Abs(x[i] - A[i, i]), i)), x).result,
        {"x": [3, 1, -2], "A": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]},
        [1, 0, -1],
    ),
    "a triangle of ones": (
        vjp(define("L", Sum(A[i, other] * Iverson(other <= i), i, other)), A).result,
        {"n": 2},
        [[1, 0], [1, 1]],
    ),
    "whole numbers as factors": (define("y", Sum(x[i] * i * t[i], i)), {"x": [1, 2], "t": [5, 7]}, 14),
    "a bracket before an infinite factor": (
        define("y", Sum(Iverson(x[i] > 0) * x[i] * log(x[i]), i)),
        {"x": [0, 1]},
        0,
    ),
    "sums inside sums": (define("y", Sum(x[i] * Sum(b[k], k), i)), {"x": [1, 2], "b": [3, 4]}, 21),
    "functions of numbers": (define("y", x[i] * log(exp(1)) * sqrt(4 * n), i), {"x": [1]}, [2]),
    "cases with two conditions": (
        vjp(define("Y", Piecewise((x[i], And(x[i] > 0, x[i] < 2)), (3 * x[i], True)), i), x).result,
        {"G": [1, 1, 1], "x": [1, 3, -1]},
        [1, 3, 3],
    ),
    "brackets that exclude each other": (
        define("y", Iverson(i <= other) * Iverson(other < i) * x[i], i, other),
        {"x": [5]},
        [[0]],
    ),
    "rows looked up": (
        define("y", W[u[i], k], i, k),
        {"W": [[1, 2], [3, 4]], "u": [1, 0, 1]},
        [[3, 4], [1, 2], [3, 4]],
    ),
    "columns looked up": (
        define("y", X[i, u[other]], i, other),
        {"X": [[1, 2], [3, 4]], "u": [1, 0]},
        [[2, 1], [4, 3]],
    ),
}


@pytest.mark.parametrize("name", VALUES)
def test_compiled_values(name: str) -> None:
    definition, given, expected = VALUES[name]
    compiled = compile_torch(definition)
    whole = {key: torch.tensor(given[key]) for key in compiled.arrays if key in ("t", "u")}
    real = {key: torch.tensor(given[key]).double() for key in compiled.arrays if key not in whole}
    value = compiled(**whole, **real, **{key: given[key] for key in compiled.sizes})
    torch.testing.assert_close(value.double(), torch.tensor(expected, dtype=torch.float64))


def test_a_sum_over_an_index_that_does_not_occur_multiplies_in_code_too() -> None:
    compiled = compile_torch(define("y", Sum(b[k] / q, i) ** 2, k))
    assert torch.equal(compiled(b=torch.tensor([2.0, 4.0]), n=3), torch.tensor([9.0, 36.0]))


def test_the_gradient_of_a_mean_has_no_arrays_and_compiles() -> None:
    mean = vjp(define("L", -Sum(Z[i, k], i, k) / (n * q)), Z[m, s])
    mean.entries(n=2, q=2)
    assert torch.equal(mean.compile()(n=2, q=4), torch.full((2, 4), -0.125, dtype=torch.float64))


def test_numbers_in_cases_have_the_dtype_of_the_arrays() -> None:
    third = vjp(define("L", Sum(Piecewise((Z[i, k], Z[i, k] > 0), (Z[i, k] / 3, True)), i, k)), Z[m, s]).compile()
    at = torch.tensor([[-1.0, 1.0]], dtype=torch.float64)
    assert torch.equal(third(X=at), torch.tensor([[1 / 3, 1.0]], dtype=torch.float64))


def test_the_jacobian_keeps_all_indices_of_the_output_and_claims_no_loss() -> None:
    v = array("v", p)
    derivation = jacobian(define("y", Sum(X[i, j] * v[j], j), i), v[r])
    assert derivation.steps[-1].latex == r"\frac{\partial y_{i}}{\partial v_{r}} = X_{ir}"
    assert jacobian(define("y", Sum(v[j], j), i), v[r]).compile()(n=2, p=3).shape == (2, 3)


def test_an_index_may_be_used_as_a_number() -> None:
    compiled = compile_torch(define("y", b[k] * k, k))
    assert torch.equal(compiled(b=torch.ones(3)), torch.tensor([0.0, 1.0, 2.0]))


def test_a_compiled_formula_refuses_what_does_not_fit() -> None:
    compiled = DERIVATIONS["linear X"].compile()
    with pytest.raises(ValueError, match=r"q is 3 in G, but 2 in W of shape \(4, 2\)"):
        compiled(G=torch.zeros(5, 3), W=torch.zeros(4, 2))
    with pytest.raises(ValueError, match=r"G has shape \(5,\)"):
        compiled(G=torch.zeros(5), W=torch.zeros(4, 2))
    with pytest.raises(TypeError, match="the formula is in G, W; it was given G"):
        compiled(G=torch.zeros(5, 3))


def test_the_derivative_of_a_product_has_both_terms() -> None:
    other = array("U", n, q)
    derivative = differentiate(Z[i, k] * other[i, k] * Z[m, k], Z[m, s])
    assert contract(Sum(derivative, k)) == Z[m, s] * other[i, s] * KroneckerDelta(i, m) + Z[i, s] * other[i, s]


def test_functions_of_the_users_own_are_differentiated_and_compiled() -> None:
    class softplus(Function):  # type: ignore[misc]
        def fdiff(self, argindex: int = 1) -> Expr:
            return 1 / (1 + exp(-self.args[0]))

    output = define("Y", softplus(Z[i, k]) ** 2, i, k)
    value, grad_output = torch.randn(2, 4, 3, dtype=torch.float64)
    value.requires_grad_()
    expected = torch.autograd.grad(F.softplus(value) ** 2, value, grad_output)[0]
    actual = vjp(output, Z).compile(softplus=F.softplus)(G=grad_output, X=value.detach())
    torch.testing.assert_close(actual, expected)
    with pytest.raises(ValueError, match="there is no torch code for softplus; give compile"):
        compile_torch(output)


def test_what_sympy_cannot_differentiate_is_named() -> None:
    class unknown(Function):  # type: ignore[misc]
        pass

    with pytest.raises(ValueError, match=r"sympy cannot differentiate this with respect to X\[i, k\]"):
        vjp(define("Y", unknown(Z[i, k]), i, k), Z)


def test_deriving_needs_no_torch() -> None:
    code = "import sys, handgrad.symbolic; assert 'torch' not in sys.modules, 'torch was imported'"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_names_with_numbers_have_one_subscript() -> None:
    first = array("W1", n, p)
    steps = vjp(define("L", Sum(first[i, j] ** 2, i, j)), first).steps
    assert steps[-2].latex == r"\frac{\partial L}{\partial W_{1, rs}} = 2 W_{1, rs}"
    assert steps[-1].latex == r"\frac{\partial L}{\partial W_{1}} = 2 W_{1}"


def test_steps_are_shown_as_equations_and_the_last_may_be_numbered() -> None:
    derivation = DERIVATIONS["linear W"]
    assert derivation._repr_markdown_().count("$$") == 2 * len(derivation.steps)
    shown = derivation.show("eq-weight", skip=2).text
    assert shown.count("$$") == 2 * (len(derivation.steps) - 2)
    assert shown.index("matrix form") < shown.index("{#eq-weight}")
