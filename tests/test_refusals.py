"""What cannot be derived, printed and computed right is refused where it is said, with what to write instead."""

from collections.abc import Callable
from typing import Any

import numpy
import pytest
import sympy
import torch
from sympy import (
    Determinant,
    Dummy,
    Eq,
    Function,
    GoldenRatio,
    I,
    Indexed,
    IndexedBase,
    Inverse,
    KroneckerDelta,
    MatrixSymbol,
    Max,
    Min,
    Mod,
    Piecewise,
    Product,
    Rational,
    Symbol,
    Trace,
    Xor,
    asin,
    exp,
    floor,
    gamma,
    log,
    nan,
    oo,
    sqrt,
)

from handgrad.symbolic import Idx, Iverson, Sum, array, define, expand, indices, integers, jacobian, mean, sizes, vjp
from handgrad.symbolic.torch_code import compile_torch

n, p, q = sizes("n p q")
i, j, k, other = indices("i:n j:p k:q l:n")
x, y, X, w = array("x", i), array("y", i), array("X", i, j), array("w")
t = array("t", i, integer=True)
M = MatrixSymbol("M", n, n)
Y = define("Y", x[i] ** 2, i)
L = define("L", Sum(Y[i], i))
z: Any = IndexedBase("z", shape=(n,))


def named(value: Any) -> Callable[[], Any]:
    return lambda: define("Z", value, i)


FORMULAS: dict[str, tuple[str, Callable[[], Any]]] = {
    "an array in a function": (r"x is an array; a formula is made of its entries, x\[i\]", named(exp(x))),
    "an array in a power": (r"x is an array; a formula is made of its entries, x\[i\]", named(x**2)),
    "an array in a sum": (r"X is an array; a formula is made of its entries, X\[i, j\]", named(Sum(X * y[i], i))),
    "an array": ("x is an array; a formula is made of its entries", named(x)),
    "a defined array": (r"Y is an array: use an entry of it, Y\[i\]", lambda: exp(Y)),
    "a defined array's base": (r"Y is an array; a formula is made of its entries, Y\[i\]", named(Y.base * w)),
    "an entry of a symbol of matrices": (r"MatrixElement cannot stand .* make it with array", named(M[i, i])),
    "a symbol of matrices": ("MatrixSymbol cannot stand in a formula: make it with array", named(M)),
    "a matrix": ("is no formula|cannot stand in a formula", named(sympy.Matrix([x[i]]))),
    "a trace": (r"Trace cannot stand in a formula: write Sum\(X\[i, i\], i\)", named(Trace(M) * x[i])),
    "a determinant": ("Determinant cannot stand in a formula", named(Determinant(M))),
    "an inverse": ("Inverse cannot stand in a formula: give the inverse as an array", named(Inverse(M))),
    "a division by 0": ("is something divided by 0", named(x[i] / 0)),
    "no number": ("nan is no finite number", named(x[i] * nan)),
    "infinity": ("oo is no finite number", named(x[i] * oo)),
    "Python's infinity": ("oo is no finite number", named(float("inf"))),
    "a number too large": (r"Z: 1\.00E\+400 is larger than any number of a computer", named(10**400 * x[i])),
    "a decimal too large": (r"Z: 1\.00E\+400 is larger than", named(sympy.Float("1e400") * x[i])),
    "a function as such": ("IdentityFunction cannot stand in a formula", named(sympy.Lambda(w, w))),
    "a multiple of a defined array": (r"Y is an array: use an entry of it, Y\[i\]", lambda: 2 * Y),
    "the imaginary unit": ("I is not a real number", named(I * x[i])),
    "a complex root": (r"\(-1\)\*\*\(1/3\) is not a real number", named(Rational(-8) ** Rational(1, 3) * x[i])),
    "a power of -1": (r"\(-1\)\*\*x\[i\] is not a real number", named((-1) ** x[i])),
    "a power of a negative number": (r"\(-2\)\*\*x\[i\] is not a real number", named((-2) ** x[i])),
    "a negative number to a real one": (r"\(-1\)\*\*\(n\*w\) is not a real number", named((-1) ** (n * w) * x[i])),
    "a power of what is negative": ("is not a real number", named((-(x[i] ** 2) - 1) ** w)),
    "a complex logarithm": ("is not a real number", named(log(-n) * x[i])),
    "a complex angle": ("is not a real number", named(asin(2) * x[i])),
    "a symbol that is not known to be real": (r"make it with array\('w'\)", named(Symbol("w") * x[i])),
    "a complex symbol": (r"make it with array\('w'\)", named(Symbol("w", complex=True) * x[i])),
    "a symbol without a name": ("make the number with array", named(Dummy("w", real=True) * x[i])),
    "an array of sympy's without a shape": (r"make it with array\('z', n\)", named(Indexed("z", i))),
    "an array of sympy's that is not real": (r"make it with array\('z', n\)", named(z[i])),
    "a constant that torch has not": ("write GoldenRatio as a decimal number", named(GoldenRatio * x[i])),
    "the larger": (r"Max cannot stand in a formula: write Piecewise\(\(a, a > b\), \(b, True\)\)", named(Max(x[i], 0))),
    "the smaller": (r"Min cannot stand in a formula: write Piecewise", named(Min(x[i], 0))),
    "a step": (r"Heaviside cannot .* write Iverson\(x > 0\)", named(sympy.Heaviside(x[i]))),
    "a floor": ("floor cannot stand .* give the numbers as an array of whole numbers", named(floor(x[i]))),
    "Python's floor": ("floor cannot stand", named(x[i] // 2)),
    "a ceiling": ("ceiling cannot stand", named(sympy.ceiling(x[i]))),
    "a remainder": ("Mod cannot stand", named(x[i] % 2)),
    "a floor in an index": ("floor cannot stand", named(x[floor(i / 2)])),
    "a remainder in an index": (r"Mod cannot stand .* X\[t\[i\]\]", named(x[Mod(i + 1, n)])),
    "a function that is not in the table": ("gamma cannot stand .* there are exp, log,", named(gamma(x[i]))),
    "one of a number": ("gamma cannot stand", named(gamma(Rational(1, 3)) * x[i])),
    "a function without a derivative": ("nothing is known of f; derive a class", named(Function("f")(x[i]))),
    "a derivative": ("Derivative cannot stand", named(sympy.Derivative(exp(w), w))),
    "a product over an index": ("Product cannot stand", named(Product(w, (i, 0, n - 1)))),
    "a sum of sympy's": ("with the Sum of handgrad.symbolic", named(sympy.Sum(x[i], (i, 0, n - 1)))),
    "a delta of what is not whole": (r"write Iverson\(Eq\(a, b\)\)", named(KroneckerDelta(x[i], 1))),
    "a condition": (r"x\[i\] > 0 is a condition: write Iverson", named(x[i] > 0)),
    "a condition that Python decides": (r"write Eq\(a, b\)", lambda: Iverson(x[i] == 0)),
    "a number as a condition": ("Iverson takes a condition, such as", lambda: Iverson(x[i])),
    "either, or": ("Xor cannot stand", named(Iverson(Xor(x[i] > 0, y[i] > 1)))),
    "cases without the rest": ("there is no case for the rest", named(Piecewise((x[i], x[i] > 0)))),
    "a list": ("is no formula", named([1, 2])),
    "a string": ("'x' is no formula", named("x")),
    "nothing": ("None is no formula", named(None)),
    "an array of numpy": ("ndarray is no formula", named(numpy.ones(3))),
    "a tensor": ("Tensor is no formula", named(torch.ones(3))),
    "an entry before the first": (r"x\[-1\]: -1 is no index", lambda: define("y", x[-1])),
    "an entry between two": (r"i/2 is no index", named(x[i / 2])),
    "a sum over a size": ("a sum runs over indices, .* and n is none", lambda: Sum(x[i], n)),
    "a mean over a size": ("a mean runs over indices, and n is none", lambda: mean(x[i], n)),
    "too many indices": (r"x has 1 axes, and is given 2 indices; write x\[i\]", lambda: x[i, j]),
    "a slice": (r"x: slice\(None, None, None\) is no index", lambda: x[:]),
    "a letter": ("x: 'i' is no index", lambda: x["i"]),
    "indices of a number": ("L is a number, and has no indices", lambda: L[i]),
    "a list of entries": ("is not iterable", lambda: list(x)),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_what_cannot_stand_in_a_formula_is_refused_by_name(name: str) -> None:
    words, mistake = FORMULAS[name]
    with pytest.raises((ValueError, TypeError), match=words):
        mistake()


@pytest.mark.parametrize(
    ("words", "mistake"),
    [
        (r"made of another x, of shape \(n,\), than the one given, of shape \(q,\)", lambda: vjp(Y, array("x", q))),
        ("made of another x, of shape .* a number", lambda: vjp(Y, array("x"))),
        (r"made of another x, of shape \(n,\)", lambda: jacobian(Y, array("x", q)[k])),
        ("w is no array, no entry .* no real number", lambda: vjp(Y, Symbol("w"))),
        ("x is no array", lambda: vjp(Y, "x")),
        ("w does not occur in Y, which is made of x", lambda: vjp(Y, w)),
        ("y does not occur in L, which is made of Y, x", lambda: vjp(L, y)),
        ("Y does not occur in Y", lambda: vjp(Y, Y)),
        ("w does not occur in c, which is made of numbers alone", lambda: vjp(define("c", 2), w)),
        ("there is no derivative with respect to it", lambda: vjp(define("y", n * x[i], i), n)),
        (r"2\*r is not a letter", lambda: vjp(Y, x[2 * Idx("r", n)])),
        ("what is differentiated is a definition", lambda: vjp(x[i], x)),
        ("what is compiled is a definition", lambda: compile_torch(x)),
        ("exp is no function", lambda: compile_torch(Y, exp=3)),  # type: ignore[arg-type]
        ("the grad_output of Y is an array of its shape, and 'G' is none", lambda: vjp(Y, x, "G")),
        ("X has 2 axes, and is given 1", lambda: vjp(Y, x, X)),
        ("index i runs over n values, the axis has q", lambda: vjp(Y, x, array("H", q))),
        ("grad_output: y is an array", lambda: vjp(L, x, y)),
    ],
)
def test_what_is_no_part_of_the_output_has_no_gradient_of_zeros(words: str, mistake: Callable[[], Any]) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        mistake()


def test_a_derivative_that_vanishes_is_zero() -> None:
    flat = vjp(define("Y", Iverson(Eq(t[i], 1)) * y[i] + 0 * x[i] + Sum(x[other] - x[other] * w / w, other), i), y)
    assert compile_torch(flat.result)(G=torch.ones(2), t=torch.tensor([0, 1])).tolist() == [0, 1]
    constant = vjp(define("Y", sqrt(x[i] ** 2) - abs(x[i]) + sympy.sin(y[i]) ** 2 + sympy.cos(y[i]) ** 2, i), y)
    torch.testing.assert_close(constant.compile()(n=2), torch.zeros(2, dtype=torch.float64))


@pytest.mark.parametrize(
    ("words", "mistake"),
    [
        ("an array cannot be called math", lambda: array("math", i)),
        ("an array cannot be called torch", lambda: array("torch", i)),
        ("'lambda' is no name for a number", lambda: array("lambda")),
        ("'x y' is no name", lambda: array("x y")),
        ("'2x' is no name", lambda: array("2x")),
        ("'' is no name", lambda: array("")),
        ("'_' is no name", lambda: array("_", i)),
        ("'ℓ' is no name", lambda: array("ℓ", i)),
        ("e: it would be printed as Euler's number is", lambda: array("e")),
        ("pi: it would be printed as π is", lambda: define("pi", w**2)),
        ("I: it would be printed as the imaginary unit is", lambda: array("I")),
        ("e: it would be printed as", lambda: sizes("n e")),
        ("the name of an array is a string", lambda: array(x, i)),
        ("the name of a definition is a string", lambda: define(Y, x[i], i)),  # type: ignore[arg-type]
        ("'dL/dx' is no name for a definition", lambda: define("dL/dx", x[i], i)),
        ("'class' is no name for a definition", lambda: define("class", x[i], i)),
        ("2.5 is no size", lambda: array("x", 2.5)),
        (r"\[3\] is no size", lambda: array("x", [3])),
        ("'n' is no size", lambda: array("x", "n")),
        ("0 is no size", lambda: array("x", 0)),
        ("True is no size", lambda: array("x", True)),
        ("w is no size", lambda: array("x", w)),
        (r"i \+ 1 is no size", lambda: array("x", i + 1)),
        ("x is no size", lambda: array("y", x)),
        ("index o has no range", lambda: array("x", Idx("o"))),
        ("'2' is no name for a size", lambda: sizes("2")),
        ("names are given as a string", lambda: sizes(2)),  # type: ignore[arg-type]
        ("'stride-1' is no name for a whole number", lambda: integers("stride-1")),
        ("index i has no range; write for example i:n", lambda: indices("i j")),
        ("an index that runs over 0 values has none", lambda: indices("i:0")),
        ("'n:m' is no name for a size", lambda: indices("i:n:m")),
        ("'' is no name for an index", lambda: indices(":n")),
        ("indices are given as a string", lambda: indices(["i:n"])),  # type: ignore[arg-type]
        ("'i' is no index", lambda: define("Y", x[i], "i")),
        ("n is no index", lambda: define("Y", x[i], n)),
    ],
)
def test_names_sizes_and_indices_are_what_they_are_said_to_be(words: str, mistake: Callable[[], Any]) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        mistake()


def test_a_negative_number_has_whole_powers() -> None:
    signs = compile_torch(define("Z", (-1) ** i * (-2) ** t[i] * x[i] * (-1) ** (n * integers("s")[0]), i))
    assert signs(x=torch.ones(2), t=torch.tensor([1, 2]), s=3).tolist() == [-2, -4]


def defined_by(name: str, value: Any) -> Any:
    return define(name, value, i)[i]


SAME_NAMES: dict[str, Callable[[], Any]] = {
    "x": lambda: define("Z", x[i] + Sum(array("x", i, j)[i, j], j), i),
    "y": lambda: define("Z", x[i] + defined_by("Y", y[i]) * defined_by("W", Sum(array("y", i, j)[i, j], j)), i),
    "H": lambda: define("Z", defined_by("H", x[i]) * defined_by("H", y[i]), i),
    "X": lambda: define("X", 2 * X[i, j], i, j),
    "t": lambda: define("t", defined_by("Y", x[i]) * x[t[i]], i),
    "p": lambda: define("p", Sum(X[i, j], j) / p, i),
    "i": lambda: define("i", Sum(x[i], i)),
    "l": lambda: define("Z", defined_by("Y", array("l") * x[i]) * Sum(x[other], other), i),
    "w": lambda: define("Z", w * x[integers("w")[0] * i], i),
}


@pytest.mark.parametrize("name", SAME_NAMES)
def test_no_two_things_in_a_formula_and_its_parts_have_one_name(name: str) -> None:
    with pytest.raises(ValueError, match=f"two different .* are called {name}: rename one"):
        SAME_NAMES[name]()


def test_the_loss_and_a_derivative_have_names_of_their_own() -> None:
    with pytest.raises(ValueError, match="Y is made of an L, and the loss is called so"):
        vjp(define("Y", array("L", i)[i] * x[i], i), x)
    assert vjp(define("Y", array("dx", i)[i] * x[i], i), x).compile().arrays.keys() == {"G", "dx"}


def test_an_index_may_run_over_a_number() -> None:
    (three,) = indices("a:3")
    v = array("v", three)
    total = compile_torch(define("s", Sum(v[three], three)))
    assert total(v=torch.ones(3)) == 3
    with pytest.raises(ValueError, match="3 is 2 in v"):
        total(v=torch.ones(2))


scaled = compile_torch(define("Z", w * x[i] * x[t[i]] + q, i))
GIVEN: dict[str, Any] = {"w": torch.tensor(2.0), "x": torch.ones(2), "t": torch.tensor([0, 1]), "q": 3}


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ("x is an array; it was given as ndarray", {"x": numpy.ones(2)}),
        ("x is an array; it was given as list", {"x": [1.0, 1.0]}),
        ("w is an array; it was given as float: give a torch.Tensor", {"w": 2.0}),
        (r"x is an array of real numbers; .* torch.int64: give x.double\(\)", {"x": torch.tensor([1, 2])}),
        ("x is an array of real numbers; .* torch.complex64", {"x": torch.ones(2, dtype=torch.complex64)}),
        (r"x is given as a tensor of layout torch.sparse_coo: give x.to_dense\(\)", {"x": torch.ones(2).to_sparse()}),
        (r"t is an array of whole numbers; .* torch.float32: give t.long\(\)", {"t": torch.tensor([0.0, 1.0])}),
        ("t is an array of whole numbers; .* torch.bool", {"t": torch.tensor([True, False])}),
        ("x has dtype torch.float32, but w has torch.float64", {"w": torch.tensor(2.0).double()}),
        ("x has device meta, but w has cpu", {"x": torch.ones(2, device="meta")}),
        ("q is a whole number; it was given as float: give an int", {"q": 3.0}),
        ("q is a whole number; it was given as bool", {"q": True}),
        ("q is a size; it was given as -1", {"q": -1}),
        ("t says which of 2 is meant, and has numbers that are not from 0 to 1", {"t": torch.tensor([0, 2])}),
        ("t says which of 2 is meant, and has numbers that are not from 0 to 1", {"t": torch.tensor([-1, 0])}),
    ],
)
def test_a_compiled_formula_takes_tensors_of_the_kinds_that_it_is_in(words: str, given: dict[str, Any]) -> None:
    assert scaled(**GIVEN).tolist() == [5, 5]
    with pytest.raises((ValueError, TypeError), match=words):
        scaled(**GIVEN | given)


def test_a_size_that_another_is_computed_from_fits() -> None:
    longer = array("b", n + 1)
    shifted = compile_torch(define("d", longer[i + 1] + x[i], i))
    assert shifted(b=torch.tensor([1.0, 3, 7]), x=torch.zeros(2)).tolist() == [3, 7]
    with pytest.raises(ValueError, match=r"n \+ 1 is 3 elsewhere, but 4 in b"):
        shifted(b=torch.zeros(4), x=torch.zeros(2))


def test_what_has_no_value_at_a_size_says_so() -> None:
    with pytest.raises(ValueError, match="the formula has no value at these sizes"):
        vjp(define("L", mean(x[i], i)), x).compile()(n=0)
    with pytest.raises(ValueError, match="the formula has no value at these sizes"):
        compile_torch(define("L", log(Sum(exp(x[i]), i))))(x=torch.zeros(0))
    assert compile_torch(define("L", Sum(x[i], i)))(x=torch.zeros(0)) == 0


def test_more_indices_than_torch_has_letters_for_are_refused() -> None:
    many = [Idx(f"i{number}", n) for number in range(54)]
    entries = [array(f"a{index.name}", n)[index] for index in many]
    assert compile_torch(define("L", Sum(sympy.Mul(*entries[:52]), *many[:52]))).source.count("einsum") == 1
    with pytest.raises(ValueError, match=r"54 indices meet in one product, and .* letters for 52: define"):
        compile_torch(define("L", Sum(sympy.Mul(*entries), *many)))


@pytest.mark.parametrize(
    "value",
    [sqrt(1 - n), (1 - n) ** Rational(1, 3), (2 - n) ** 0.5, log(2 - n), exp(sqrt(1 - n)), Iverson(sqrt(1 - n) > 0)],
)
def test_what_is_not_real_at_a_size_says_so(value: Any) -> None:
    for formula in (value, value * x[i], Sum(value * x[other], other)):
        compiled = compile_torch(define("y", formula, i))
        given: dict[str, Any] = {"x": torch.ones(3)} if compiled.arrays else {"n": 3}
        with pytest.raises(ValueError, match=r"the formula has no (real )?value at these sizes"):
            compiled(**given)


def test_entries_are_written_out_for_sizes() -> None:
    with pytest.raises(TypeError, match=r"n is a whole number, not 1\.5"):
        vjp(Y, x).entries(n=1.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="n is a size, and cannot be 0"):
        vjp(Y, x).entries(n=0)
    with pytest.raises(ValueError, match="zz is no size of the formula"):
        vjp(Y, x).entries(n=2, zz=3)


def test_only_formulas_are_expanded() -> None:
    assert expand(define("c", w**2)) == w**2
    for wrong in (Y, "x"):
        with pytest.raises(TypeError, match=r"use an entry of it|is no formula"):
            expand(wrong)
