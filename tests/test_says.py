"""What `says` lets through is true, and what is false it stops: formulas, numbers, shapes."""

from typing import Any

import pytest
import torch
from sympy import Rational, exp

from handgrad import StatementError, says
from handgrad.formula import FormulaError
from handgrad.symbolic import Sum, array, define, indices, jacobian, mean, sizes, vjp
from handgrad.symbolic.matrix import matrix_form
from handgrad.symbolic.notation import latex

i, j, k = indices("i:n j:p k:q")
n, p, q = sizes("n p q")
X, W, b, T = array("X", i, j), array("W", j, k), array("b", k), array("T", i, j)
Y = define("Y", Sum(X[i, j] * W[j, k], j) + b[k], i, k)
L = define("L", mean((X[i, j] - T[i, j]) ** 2, i, j))
E = define("E", exp(X[i, j]), i, j)
dX, dW, db, dloss = vjp(Y, X), vjp(Y, W), vjp(Y, b), vjp(L, X)
a, x, h, y = 1.5, 2.0, 0.25, 3
z = torch.linspace(-1, 1, 7, dtype=torch.float64)
A = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
batch, features = A.shape


def f(at: Any) -> Any:
    return at**3


TRUE: list[tuple[Any, ...]] = [
    (r"X^\mathsf{T} G", dW),
    ("XᵀG", dW),
    (r"G W^\mathsf{T}", dX),
    (r"G^\mathsf{T} \mathbf{1}", db),
    (r"\partial L/\partial W = X^\mathsf{T} G", dW),
    (r"\frac{\partial L}{\partial W} = X^{\mathsf{T}} G", dW),
    (r"\sum_i X_{ir} G_{is}", dW),
    (r"\sum_{i} G_{ir}", db),
    (r"Y = X W + b",),
    (r"Y_{ik} = \sum_j X_{ij} W_{jk} + b_k",),
    (r"\frac{2}{n p} (X - T)", dloss),
    (r"2 (X_{rs} - T_{rs}) / (n p)", dloss),
    (r"L = \frac{1}{n p} \sum_{i, j} (X_{ij} - T_{ij})^2",),
    (r"E_{ij} = e^{X_{ij}}",),
    (r"\delta_{ir} W_{sk}", jacobian(Y, X)),
    (r"n \times p", X),
    ("(n, p)", X),
    (r"2 \times 3", A),
    (r"f(x) - f(a) = (x - a)(x^2 + a x + a^2)",),
    ("f'(x) = 3x^2",),
    ("f''(x) = 6x",),
    ("f'(a) < f'(x)",),
    (r"\max |z| = 1",),
    (r"-1 \le z \le 1",),
    (r"|z|^2 = z \odot z",),
    (r"\max(z, 0) = z [z > 0]",),
    (r"\min(z, 0) - z = -\max(z, 0)",),
    (r"e^x = \exp(x)",),
    (r"\sin(x)^2 + \cos(x)^2 = 1",),
    (r"\sin 2x = 2 \sin x \cos x",),
    (r"\sqrt{\pi} = 1.77",),
    (r"50\,000 \cdot 784 = 39\,200\,000",),
    (r"2^{10} = 1024",),
    (r"\varepsilon = 2^{-52} \approx 2.2 \cdot 10^{-16}", {"varepsilon": 2.0**-52}),
    ("h^2 / 8", 0.0078125),
    ("h²/8", 0.0078125),
    (r"\frac{h^2}{8} |f''(a)|", 0.0078125 * 9),
    (r"\operatorname{tr}(A A^\mathsf{T}) = 91",),
    (r"\langle A, A + A \rangle = 2 \operatorname{tr}(A A^\mathsf{T})",),
    (r"A_{01} = 2",),
    (r"y \ne x",),
    (r"h = x = 0", {"h": 1e-15, "x": -2e-15}),
    (r"\mathrm{batch} = 2",),
    ("157", 156.8),
    ("Three", 3),
    ("157 MB", 156.8e6),
    ("100 µs", 1e-4),
    ("more than one terabyte", 1.5e12),
    ("More than five", 5.1),
    ("1.5", 1.46),
    ("50 000", 50_000),
    ("50,000", 50_000),
    ("-2", -2),
    ("eight", 8),
    ("half", 0.5),
    ("more than five", 5.1),
    ("less than 3", 2.9),
    ("at least two", 2),
    ("at most 2.5", 2.5),
    ("about 100", 97.0),
]
FALSE: list[tuple[Any, ...]] = [
    (r"G^\mathsf{T} X", dW),
    (r"2 X^\mathsf{T} G", dW),
    (r"-X^\mathsf{T} G", dW),
    (r"X^\mathsf{T} G / n", dW),
    (r"\partial L/\partial X = X^\mathsf{T} G", dW),
    (r"\sum_i X_{is} G_{ir}", dW),
    (r"Y = X W",),
    (r"Y = X W - b",),
    (r"Y_{ik} = \sum_j X_{ij} W_{jk}",),
    (r"\frac{2}{n} (X - T)", dloss),
    (r"\frac{2}{n q} (X - T)", dloss, {"q": 7}),
    (r"\frac{1}{n p} (X - T)", dloss),
    (r"\frac{2}{n p} (T - X)", dloss),
    (r"\delta_{ik} W_{sk}", jacobian(Y, W), {"s": 0}),
    (r"p \times n", X),
    ("(p, n)", X),
    (r"3 \times 2", A),
    ("(2, 3, 1)", A),
    (r"f(x) - f(a) = (x - a)(x^2 - a x + a^2)",),
    ("f'(x) = 2x^2",),
    ("f'(x) < f'(a)",),
    (r"|z| < 1",),
    (r"\max(z, 0) = z [z < 0]",),
    (r"\sqrt{\pi} = 1.78",),
    (r"50\,000 \cdot 784 = 3\,920\,000",),
    (r"\varepsilon \approx 2.3 \cdot 10^{-16}", {"varepsilon": 2.0**-52}),
    (r"\varepsilon = 2^{-53}", {"varepsilon": 2.0**-52}),
    ("h^2 / 4", 0.0078125),
    ("h^3 / 8", 0.0078125),
    (r"\langle A, A + A \rangle = \operatorname{tr}(A A^\mathsf{T})",),
    (r"x \ne 2",),
    (r"h = x = 0", {"h": 1e-15, "x": -2e-5}),
    ("156", 156.8),
    ("0", 0.3),
    ("16", 15.6),
    ("Three", 4),
    ("157 GB", 156.8e6),
    ("100 ms", 1e-4),
    ("more than one terabyte", 1.5e9),
    ("3", torch.tensor([3, 3])),
    ("1.5", 1.44),
    ("5 000", 50_000),
    ("49 999", 50_000),
    ("seven", 8),
    ("more than five", 5),
    ("less than 3", 3),
    ("at least two", 1.9),
    ("at most 2.5", 2.6),
    ("about 100", 94.0),
]


def said(case: tuple[Any, ...]) -> str:
    *arguments, last = case
    names = last if isinstance(last, dict) else {}
    return says(*(arguments if names else case), **names).text


@pytest.mark.parametrize("case", TRUE, ids=lambda case: str(case[0]))
def test_what_is_true_is_shown_as_it_was_typed(case: tuple[Any, ...]) -> None:
    assert said(case).strip("$") == case[0]


@pytest.mark.parametrize("case", FALSE, ids=lambda case: str(case[0]))
def test_what_is_false_is_stopped(case: tuple[Any, ...]) -> None:
    with pytest.raises(StatementError, match="the page says"):
        said(case)


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ((r"X G^\mathsf{T}", dW), "an array of shape .* times one of"),
        (("X + W", dW), "an array of shape .* plus one of"),
        (("foo + 1", 2), "f is|o is the name of nothing on this page"),
        (("x +", 2), "something is missing at 'the end'"),
        (("(x + 1", 2), r"\) is missing at 'the end'"),
        (("x ? 1", 2), r"this cannot be read at '\?1'"),
        (("1 / 2 x", 2), "put what is divided by in parentheses"),
        ((r"\sum_r x", 2), "nothing that is summed has the index r"),
        ((r"i + 1", 2), "i is an index: it stands at an entry, or gets a number, i=…"),
        ((r"\partial L/\partial q = b", dW), "there is no derivation of ∂L/∂q"),
        (("x' + 1", 2), "x is no function"),
        (("z + z = 3z", {"z": torch.zeros(3)}), "all numbers are 0"),
        (("z + z = 3z", {"z": torch.zeros(0)}), "not one number to compare"),
        (("z + z = 3z", {"z": torch.full((2,), torch.nan)}), "a number is nan"),
        ((r"\mathbf{1} X", dX), "ones stand to the right of a matrix"),
    ],
    ids=lambda case: str(case[0]) if isinstance(case, tuple) else "",
)
def test_what_cannot_be_read_is_told(case: tuple[Any, ...], words: str) -> None:
    with pytest.raises(FormulaError, match=words):
        said(case)


@pytest.mark.parametrize("text", ["157", r"X^\mathsf{T} G"])
def test_a_text_without_a_value_states_nothing(text: str) -> None:
    with pytest.raises(TypeError, match="needs the value that it tells"):
        says(text)


def test_numbers_stand_as_text_and_formulas_as_mathematics() -> None:
    assert says("157", 156.8).text == "157"
    assert says("Y = X W + b").text == "$Y = X W + b$"


def test_names_given_with_the_statement_come_before_those_of_the_page() -> None:
    assert says("x = 5", x=5).text
    with pytest.raises(StatementError):
        says("x = 5")


def test_the_parts_of_a_derivation_come_before_what_the_page_has_by_their_names() -> None:
    assert says(r"X^\mathsf{T} G", dW, b=3).text
    page = {"says": says, "dW": dW, "X": 7.0}
    assert eval(r'says(r"X^\mathsf{T} G", dW).text', page)


def test_numbers_for_symbols_are_drawn_twice() -> None:
    # Right for the sizes of the first draw alone.
    sizes_drawn = define("N", n * p * X[i, j], i, j)
    with pytest.raises(StatementError):
        says("6 X", sizes_drawn)


DERIVED = [dX, dW, db, dloss, vjp(E, X), vjp(define("Z", Sum(Y[i, k] ** 2, k), i), W), jacobian(Y, W), jacobian(E, X)]


@pytest.mark.parametrize("derivation", DERIVED, ids=lambda derivation: derivation.plain_name)
def test_what_the_engine_prints_is_read_as_what_it_computes(derivation: Any) -> None:
    formula, matrix = latex(derivation.result.value), matrix_form(derivation.result)
    for printed in filter(None, (formula, matrix)):
        assert says(printed, derivation).text
        with pytest.raises((StatementError, FormulaError)):
            says(f"{printed} + 1", derivation)
        with pytest.raises((StatementError, FormulaError)):
            says(f"2 ({printed})", derivation)


def test_a_line_may_break_where_two_dollars_stand() -> None:
    assert says("x =$ $x").text == "$x =$ $x$"


def test_less_is_less_by_more_than_rounding() -> None:
    with pytest.raises(StatementError):
        says("a > b", a=0.1 + 0.2, b=0.3)


def test_a_definition_of_numbers_alone_is_computed_in_double_precision() -> None:
    assert says("e^v", define("y", exp(array("v")))).text


def test_a_fraction_is_not_rounded_to_a_whole_number() -> None:
    with pytest.raises(StatementError):
        says("1", Rational(1, 2))


def test_a_bar_between_arguments_is_a_comma() -> None:
    def power(base: torch.Tensor, exponent: torch.Tensor) -> torch.Tensor:
        return base**exponent

    assert says(r"p(T \mid Z) = 9", p=power, T=3.0, Z=2.0).text
    with pytest.raises(StatementError):
        says(r"p(Z \mid T) = 9", p=power, T=3.0, Z=2.0)
