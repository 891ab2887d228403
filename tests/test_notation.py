"""How formulas are written: signs in front, scalars first, words upright, powers as products and roots."""

import pytest
from sympy import Expr, Rational, exp, sqrt, tanh

from handgrad.symbolic import Idx, Iverson, Sum, array, define, indices, sizes, vjp
from handgrad.symbolic.matrix import matrix_form
from handgrad.symbolic.notation import broken, latex

n, q, rows = sizes("n q rows")
i, j, k, other, out, i1 = indices("i:n j:p k:q l:n out:q i1:n")
x, y, X, T, W = array("x", i), array("y", i), array("X", i, j), array("T", i, j), array("W", j, k)
eps, bias, weight, w_in, xhat, beta1 = (
    array("eps"),
    array("bias", k),
    array("weight", j, out),
    array("w_in", i),
    array("xhat", i),
    array("beta1"),
)
r = define("r", Sum((x[i] - y[i]) ** 2, i))
loss = define("loss", Sum(x[i], i)).base
a, b = x[i], y[i]

FORMULAS: list[tuple[Expr, str]] = [
    # Signs
    (-2 * a, "- 2 x_{i}"),
    (-a / 2, r"- \frac{1}{2} x_{i}"),
    (Sum(-a, i), r"\sum_{i} \left(- x_{i}\right)"),
    (Sum(Sum(-X[i, j], j), i), r"\sum_{i} \sum_{j} \left(- X_{ij}\right)"),
    (a * Sum(-2 * y[other], other), r"x_{i} \sum_{l} \left(- 2 y_{l}\right)"),
    (-Sum(a, i), r"- \sum_{i} x_{i}"),
    (Sum(a - b, i), r"\sum_{i} \left(x_{i} - y_{i}\right)"),
    (exp(-(a**2) / 2), r"e^{- \frac{1}{2} x_{i}^{2}}"),
    (2 * Iverson(-a > 0), "2 [- x_{i} > 0]"),
    # Words
    (eps * a, r"\mathrm{eps} \, x_{i}"),
    (2 * eps * bias[k], r"2 \, \mathrm{eps} \, \mathrm{bias}_{k}"),
    (X[i, j] * weight[j, out], r"X_{ij} \, \mathrm{weight}_{j, \mathrm{out}}"),
    (rows * a, r"\mathrm{rows} \, x_{i}"),
    (eps + a, r"\mathrm{eps} + x_{i}"),
    (loss**2, r"\mathrm{loss}^{2}"),
    (loss**2 * a, r"\mathrm{loss}^{2} \, x_{i}"),
    (a * Iverson(eps > bias[k]), r"x_{i} [\mathrm{eps} > \mathrm{bias}_{k}]"),
    # Letters
    (w_in[i], r"w_{\mathrm{in}, i}"),
    (xhat[i] ** 2, r"\hat{x}_{i}^{2}"),
    (array("x_hat", i)[i] ** 2, r"\hat{x}_{i}^{2}"),
    (array("W1_dot", i, j)[i, j] * x[i], r"x_{i} \dot{W}_{1, ij}"),
    (array("xhat_dot", i)[i], r"\dot{\hat{x}}_{i}"),
    (array("bias_dot", i)[i] * array("dX_dot", i)[i], r"\dot{\mathrm{bias}}_{i} \, \dot{\mathrm{dX}}_{i}"),
    (beta1 * a, r"\beta_{1} x_{i}"),
    (array("theta", i)[i], r"\theta_{i}"),
    (array("W1", i, j)[i, j], "W_{1, ij}"),
    (x[i1], "x_{i_{1}}"),
    (x[Idx("i'", n)], "x_{i'}"),
    # Powers
    (r.base ** Rational(5, 2), r"r^{2} \sqrt{r}"),
    (r.base ** Rational(-3, 2), r"\frac{1}{r \sqrt{r}}"),
    (a ** Rational(3, 2) / b, r"\frac{x_{i} \sqrt{x_{i}}}{y_{i}}"),
    (a ** Rational(1, 3), r"\sqrt[3]{x_{i}}"),
    (sqrt(Sum(a**2, i)), r"\sqrt{\sum_{i} x_{i}^{2}}"),
    # Scalars
    (a * n / q, r"\frac{n}{q} x_{i}"),
    (a * (n + 1), r"\left(n + 1\right) x_{i}"),
    (a * (1 - tanh(b) ** 2), r"x_{i} \left(1 - \tanh^{2}{\left(y_{i} \right)}\right)"),
]


@pytest.mark.parametrize(("value", "written"), FORMULAS, ids=[written for _, written in FORMULAS])
def test_formulas_are_written_as_one_writes_them(value: Expr, written: str) -> None:
    assert latex(value) == written


@pytest.mark.parametrize(
    ("value", "places", "form"),
    [
        (Sum(-2 * X[i, j] * W[j, k], j), (i, k), "- 2 X W"),
        (Sum(-2 * X[i, j] * W[j, k], j) / n, (i, k), r"- \frac{2}{n} X W"),
        (Sum((1 - eps) * X[i, j] * W[j, k], j), (i, k), r"\left(1 - \mathrm{eps}\right) X W"),
        (Sum(-eps * X[i, j] * weight[j, out], j), (i, out), r"- \mathrm{eps} \, X \, \mathrm{weight}"),
        (-2 * X[i, j] * T[i, j], (i, j), r"- 2 T \odot X"),
        (eps * X[i, j] * T[i, j], (i, j), r"\mathrm{eps} \, T \odot X"),
        (X[i, j] * r.base ** Rational(3, 2), (i, j), r"r \sqrt{r} X"),
    ],
)
def test_matrix_forms_are_too(value: Expr, places: tuple[Idx, ...], form: str) -> None:
    assert matrix_form(define("Y", value, *places)) == form


def test_a_derivation_writes_words_upright_in_all_its_steps() -> None:
    steps = vjp(define("Y", Sum(X[i, j] * weight[j, out], j), i, out), weight).steps
    assert steps[1].latex.partition(" = ")[2].startswith(r"\sum_{i, \mathrm{out}} G_{i, \mathrm{out}}")
    assert steps[-1].latex == r"\frac{\partial L}{\partial \mathrm{weight}} = X^{\mathsf{T}} G"


LONG = r"W_{ij} X_{jk} T_{kl} \left(a + \sum_{i} b\right)"
BROKEN = {
    # Terms, then the sums of one that is too wide; what stands in brackets stays whole.
    f"y = {LONG} - {LONG}": [f"y & = {LONG}", f"- {LONG}"],
    rf"y = \sum_{{i}} {LONG} \sum_{{j}} {LONG}": [rf"y & = \sum_{{i}} {LONG}", rf"\cdot \sum_{{j}} {LONG}"],
    rf"y = a - \sum_{{i}} {LONG} \sum_{{j}} b + {LONG}": [rf"y & = a - \sum_{{i}} {LONG} \sum_{{j}} b", f"+ {LONG}"],
}


@pytest.mark.parametrize(("equation", "lines"), BROKEN.items())
def test_a_long_equation_goes_on_in_further_lines(equation: str, lines: list[str]) -> None:
    found = broken(equation).removeprefix(r"\begin{aligned} ").removesuffix(r" \end{aligned}")
    assert found.split(r" \\ & \quad ") == lines


def test_a_short_equation_and_one_by_cases_stay_whole() -> None:
    for equation in (f"y = {LONG}", rf"y = \begin{{cases}} {LONG} & {LONG} \end{{cases}}", f"y = ({LONG} + {LONG})"):
        assert broken(equation) == equation


def test_a_derivation_is_shown_with_its_long_steps_broken() -> None:
    V, U = array("V", k, out), array("U", i, out)
    A = define("A", Sum(X[i, j] * W[j, k], j), i, k)
    B = define("B", Sum(A[i, k] * Iverson(A[i, k] > 0) * V[k, out], k), i, out)
    C = define("C", Sum((B[i, out] - U[i, out]) ** 2, i, out))
    assert vjp(C, W).show().text.count(r"\begin{aligned} \frac{\partial C}{\partial W_{rs}} &") == 2
