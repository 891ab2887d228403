"""Derivative rules of the standard references, derived for all sizes: the matrix form, and autograd's numbers.

Of the kind in the chapter on derivatives of Petersen and Pedersen's "The Matrix Cookbook" (traces, quadratic forms,
norms) and in Parr and Howard's "The Matrix Calculus You Need For Deep Learning" (elementwise operators, vector sums,
dot products, chain rules). A gradient has the shape of what it is the gradient of.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from sympy import Expr, cos, exp, log, sin, sqrt, tanh
from torch import Tensor

from handgrad.symbolic import Definition, Sum, array, define, indices, jacobian, mean, vjp
from handgrad.symbolic.compiled import TorchFunction
from handgrad.symbolic.torch_code import compile_torch

i, j, k, h, f, g = indices("i:n j:n k:n h:n f:n g:n")
a, e, u = indices("a:p e:p u:q")
A, B, C, X = array("A", i, j), array("B", i, j), array("C", i, j), array("X", i, j)
P, Q, R = array("P", i, a), array("Q", a, u), array("R", a, i)
b, c, x, y, z = array("b", i), array("c", i), array("x", i), array("y", i), array("z", a)
s, t = array("s"), array("t")


def number(value: Expr) -> Definition:
    return define("L", value)


def vector(value: Expr) -> Definition:
    return define("Y", value, i)


def matrix(value: Expr) -> Definition:
    return define("Y", value, i, j)


norm2 = Sum(x[i] ** 2, i)
inner = define("w", Sum(A[i, j] * x[j], j), i)
mid = define("u", Sum(P[i, a] * z[a], a), i)
softplus = define("v", log(1 + exp(x[i])), i)

# Name: (the function, what it is differentiated with respect to, the matrix form of the gradient or None, in torch).
GRADIENTS: dict[str, tuple[Definition, Any, str | None, Callable[..., Tensor]]] = {
    # Linear and bilinear forms
    "bᵀx by x": (number(Sum(b[i] * x[i], i)), x, "b", lambda b, x: b @ x),
    "xᵀb by x": (number(Sum(x[i] * b[i], i)), x, "b", lambda b, x: x @ b),
    "bᵀXc by X": (number(Sum(b[i] * X[i, j] * c[j], i, j)), X, r"b c^{\mathsf{T}}", lambda b, X, c: b @ X @ c),
    "bᵀXᵀc by X": (number(Sum(b[i] * X[j, i] * c[j], i, j)), X, r"c b^{\mathsf{T}}", lambda b, X, c: b @ X.T @ c),
    "bᵀXb by X": (number(Sum(b[i] * X[i, j] * b[j], i, j)), X, r"b b^{\mathsf{T}}", lambda b, X: b @ X @ b),
    "bᵀXᵀXc by X": (
        number(Sum(b[i] * X[k, i] * X[k, j] * c[j], i, j, k)),
        X,
        r"X b c^{\mathsf{T}} + X c b^{\mathsf{T}}",
        lambda b, X, c: b @ X.T @ X @ c,
    ),
    "xᵀAx by x": (
        number(Sum(x[i] * A[i, j] * x[j], i, j)),
        x,
        r"A x + A^{\mathsf{T}} x",
        lambda x, A: x @ A @ x,
    ),
    "xᵀAx by A": (number(Sum(x[i] * A[i, j] * x[j], i, j)), A, r"x x^{\mathsf{T}}", lambda x, A: x @ A @ x),
    "xᵀAy by x": (number(Sum(x[i] * A[i, j] * y[j], i, j)), x, "A y", lambda x, A, y: x @ A @ y),
    "xᵀAy by y": (number(Sum(x[i] * A[i, j] * y[j], i, j)), y, r"A^{\mathsf{T}} x", lambda x, A, y: x @ A @ y),
    # Traces
    "tr X": (number(Sum(X[i, i], i)), X, None, lambda X: X.trace()),
    "tr AX": (number(Sum(A[i, j] * X[j, i], i, j)), X, r"{A^{\mathsf{T}}}", lambda A, X: (A @ X).trace()),
    "tr AXᵀ": (number(Sum(A[i, j] * X[i, j], i, j)), X, "A", lambda A, X: (A @ X.T).trace()),
    "tr XA": (number(Sum(X[i, j] * A[j, i], i, j)), X, r"{A^{\mathsf{T}}}", lambda A, X: (X @ A).trace()),
    "tr XᵀX": (number(Sum(X[i, j] ** 2, i, j)), X, "2 X", lambda X: (X.T @ X).trace()),
    "tr X²": (number(Sum(X[i, j] * X[j, i], i, j)), X, r"2 {X^{\mathsf{T}}}", lambda X: (X @ X).trace()),
    "tr X³": (
        number(Sum(X[i, j] * X[j, k] * X[k, i], i, j, k)),
        X,
        r"3 X^{\mathsf{T}} X^{\mathsf{T}}",
        lambda X: (X @ X @ X).trace(),
    ),
    "tr AXB": (
        number(Sum(A[i, j] * X[j, k] * B[k, i], i, j, k)),
        X,
        r"A^{\mathsf{T}} B^{\mathsf{T}}",
        lambda A, X, B: (A @ X @ B).trace(),
    ),
    "tr AXᵀB": (
        number(Sum(A[i, j] * X[k, j] * B[k, i], i, j, k)),
        X,
        "B A",
        lambda A, X, B: (A @ X.T @ B).trace(),
    ),
    "tr XᵀAX": (
        number(Sum(X[j, i] * A[j, k] * X[k, i], i, j, k)),
        X,
        r"A X + A^{\mathsf{T}} X",
        lambda A, X: (X.T @ A @ X).trace(),
    ),
    "tr XAXᵀ": (
        number(Sum(X[i, j] * A[j, k] * X[i, k], i, j, k)),
        X,
        r"X A + X A^{\mathsf{T}}",
        lambda A, X: (X @ A @ X.T).trace(),
    ),
    "tr AXBXᵀC": (
        number(Sum(A[f, i] * X[i, j] * B[j, k] * X[g, k] * C[g, f], i, j, k, f, g)),
        X,
        r"C A X B + A^{\mathsf{T}} C^{\mathsf{T}} X B^{\mathsf{T}}",
        lambda A, X, B, C: (A @ X @ B @ X.T @ C).trace(),
    ),
    "tr AᵀA + tr BᵀB by A": (
        number(Sum(A[i, j] ** 2, i, j) + Sum(B[i, j] ** 2, i, j)),
        A,
        "2 A",
        lambda A, B: (A.T @ A).trace() + (B.T @ B).trace(),
    ),
    # Norms and distances
    "‖x‖²": (number(norm2), x, "2 x", lambda x: x @ x),
    "‖x‖": (number(sqrt(norm2)), x, None, lambda x: x.norm()),
    "‖x − b‖²": (number(Sum((x[i] - b[i]) ** 2, i)), x, "2 x - 2 b", lambda x, b: (x - b).square().sum()),
    "‖Ax − b‖² by x": (
        number(Sum((inner[i] - b[i]) ** 2, i)),
        x,
        r"2 A^{\mathsf{T}} \left(w - b\right)",
        lambda A, x, b: (A @ x - b).square().sum(),
    ),
    "‖X‖²": (number(Sum(X[i, j] ** 2, i, j)), X, "2 X", lambda X: X.norm() ** 2),
    "‖X − A‖²": (
        number(Sum((X[i, j] - A[i, j]) ** 2, i, j)),
        X,
        "2 X - 2 A",
        lambda X, A: (X - A).square().sum(),
    ),
    # Sums, means and dot products
    "sum of x": (number(Sum(x[i], i)), x, None, lambda x: x.sum()),
    "sum of tx by t": (number(t * Sum(x[i], i)), x, None, lambda t, x: (t * x).sum()),
    "mean of x²": (number(mean(x[i] ** 2, i)), x, r"\frac{2}{n} x", lambda x: x.square().mean()),
    "x·x y·b by y": (
        number(norm2 * Sum(y[i] * b[i], i)),
        y,
        r"b \left(x^{\odot 2}\right)^{\mathsf{T}} \mathbf{1}",
        lambda x, y, b: (x @ x) * (y @ b),
    ),
    "xᵀ(x ⊙ b)": (number(Sum(x[i] ** 2 * b[i], i)), x, r"2 b \odot x", lambda x, b: x @ (x * b)),
    # Elementwise operators, against a random gradient of the output
    "x + y": (vector(x[i] + y[i]), x, "G", lambda x, y: x + y),
    "x − y by y": (vector(x[i] - y[i]), y, "- G", lambda x, y: x - y),
    "x ⊙ y": (vector(x[i] * y[i]), x, r"G \odot y", lambda x, y: x * y),
    "x ⊘ y by x": (vector(x[i] / y[i]), x, r"G \odot y^{\odot -1}", lambda x, y: x / y),
    "x ⊘ y by y": (vector(x[i] / y[i]), y, r"- G \odot x \odot y^{\odot -2}", lambda x, y: x / y),
    "x³": (vector(x[i] ** 3), x, r"3 G \odot x^{\odot 2}", lambda x: x**3),
    "t x": (vector(t * x[i]), x, "t G", lambda t, x: t * x),
    "x + t": (vector(x[i] + t), x, "G", lambda t, x: x + t),
    "exp x": (vector(exp(x[i])), x, None, lambda x: x.exp()),
    "sin x": (vector(sin(x[i])), x, None, lambda x: x.sin()),
    "cos x": (vector(cos(x[i])), x, None, lambda x: x.cos()),
    "A ⊙ X": (matrix(A[i, j] * X[i, j]), X, r"A \odot G", lambda A, X: A * X),
    # Products
    "Ax by x": (vector(Sum(A[i, j] * x[j], j)), x, r"A^{\mathsf{T}} G", lambda A, x: A @ x),
    "Ax by A": (vector(Sum(A[i, j] * x[j], j)), A, r"G x^{\mathsf{T}}", lambda A, x: A @ x),
    "xᵀA": (vector(Sum(x[j] * A[j, i], j)), x, "A G", lambda A, x: x @ A),
    "AX": (matrix(Sum(A[i, k] * X[k, j], k)), X, r"A^{\mathsf{T}} G", lambda A, X: A @ X),
    "XB": (matrix(Sum(X[i, k] * B[k, j], k)), X, r"G B^{\mathsf{T}}", lambda B, X: X @ B),
    "XᵀX": (
        matrix(Sum(X[k, i] * X[k, j], k)),
        X,
        r"X G + X G^{\mathsf{T}}",
        lambda X: X.T @ X,
    ),
    "x yᵀ by x": (matrix(x[i] * y[j]), x, "G y", lambda x, y: torch.outer(x, y)),
    "x yᵀ by y": (matrix(x[i] * y[j]), y, r"G^{\mathsf{T}} x", lambda x, y: torch.outer(x, y)),
    "A ⊙ x by rows": (matrix(A[i, j] * x[i]), x, r"\left(A \odot G\right) \mathbf{1}", lambda A, x: A * x[:, None]),
    # Chain rules
    "sin(x²)": (vector(sin(x[i] ** 2)), x, None, lambda x: (x**2).sin()),
    "tanh(Ax) by x": (vector(tanh(inner[i])), x, None, lambda A, x: (A @ x).tanh()),
    "log(1 + eˣ), summed": (number(Sum(softplus[i], i)), x, None, lambda x: (1 + x.exp()).log().sum()),
    "xᵀA Ax by A": (number(Sum(x[i] * inner[i], i)), A, r"x x^{\mathsf{T}}", lambda A, x: x @ A @ x),
    "PQ-shaped: ‖Pz‖² by z": (
        number(Sum(mid[i] ** 2, i)),
        z,
        r"2 P^{\mathsf{T}} u",
        lambda P, z: (P @ z).square().sum(),
    ),
}


def arguments(compiled: TorchFunction, seed: int) -> tuple[dict[str, Tensor], dict[str, int]]:
    generator = torch.Generator().manual_seed(seed)
    numbers = {"n": 2 + seed % 3, "p": 1 + seed % 4, "q": 1 + seed % 2}
    shapes = {name: [numbers[str(extent)] for extent in shape] for name, shape in compiled.arrays.items()}
    values = {name: 0.1 + torch.rand(shape, generator=generator, dtype=torch.float64) for name, shape in shapes.items()}
    return values, numbers


@pytest.mark.parametrize("name", GRADIENTS)
def test_the_gradient_has_the_matrix_form_of_the_books_and_autograds_numbers(name: str) -> None:
    output, wrt, form, by_torch = GRADIENTS[name]
    derivation = vjp(output, wrt)
    last = derivation.steps[-1]
    assert (last.latex.partition(" = ")[2] if last.rule == "matrix form" else None) == form
    gradient, forward = derivation.compile(), compile_torch(output)
    for seed in range(3):
        values, numbers = arguments(forward, seed)
        inputs = {key: value.requires_grad_() for key, value in values.items()}
        expected = by_torch(**inputs)
        torch.testing.assert_close(forward(**values), expected)
        grad_output = torch.rand_like(expected)
        reference = torch.autograd.grad(expected, inputs[wrt.label.name], grad_output)[0]
        available = values | {"G": grad_output}
        tensors = {key: available[key].detach() for key in gradient.arrays}
        value = gradient(**tensors, **{key: numbers[key] for key in gradient.sizes})
        torch.testing.assert_close(value if "G" in gradient.arrays else grad_output * value, reference)


JACOBIANS: dict[str, tuple[Definition, Any, Callable[..., Tensor]]] = {
    "x": (vector(x[i]), x, lambda x: x * 1),
    "x²": (vector(x[i] ** 2), x, lambda x: x**2),
    "Ax": (vector(Sum(A[i, j] * x[j], j)), x, lambda A, x: A @ x),
    "x yᵀ": (matrix(x[i] * y[j]), x, lambda x, y: torch.outer(x, y)),
    "XᵀX": (matrix(Sum(X[k, i] * X[k, j], k)), X, lambda X: X.T @ X),
    "softmax": (vector(exp(x[i]) / Sum(exp(x[j]), j)), x, lambda x: x.softmax(0)),
}


@pytest.mark.parametrize("name", JACOBIANS)
def test_the_jacobian_is_autograds(name: str) -> None:
    output, wrt, by_torch = JACOBIANS[name]
    compiled = jacobian(output, wrt).compile()
    values, numbers = arguments(compile_torch(output), 1)
    reference = torch.autograd.functional.jacobian(  # type: ignore[no-untyped-call]
        lambda value: by_torch(**values | {wrt.label.name: value}), values[wrt.label.name]
    )
    tensors = {key: values[key] for key in compiled.arrays}
    torch.testing.assert_close(compiled(**tensors, **{key: numbers[key] for key in compiled.sizes}), reference)


def test_at_least_forty_identities_are_tried() -> None:
    assert len(GRADIENTS) >= 40
