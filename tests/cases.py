"""The table of cases: each layer, torch's function for it, input shapes, and its derived formulas."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from sympy import Piecewise, exp
from torch.nn import functional

from handgrad import Exp, Layer, Linear, MSELoss, Receipt, ReLU, check_layer
from handgrad.symbolic import Definition, Derivation, Sum, array, define, indices, mean, sizes, vjp

n, p, q = sizes("n p q")
i, j, k = indices("i:n j:p k:q")
m, r, s = indices("m:n r:p s:q")
X, W, b, G = array("X", i, j), array("W", j, k), array("b", k), array("G", i, k)
Z, T = array("X", i, k), array("T", i, k)

linear = define("Y", Sum(X[i, j] * W[j, k], j) + b[k], i, k)
relu = define("Y", Piecewise((Z[i, k], Z[i, k] > 0), (0, True)), i, k)
exponential = define("Y", exp(Z[i, k]), i, k)
mse = define("L", mean((Z[i, k] - T[i, k]) ** 2, i, k))


@dataclass(frozen=True)
class Case:
    """A layer of the package and what it is checked with."""

    make: Callable[..., Layer]
    reference: Callable[..., torch.Tensor]
    output: Definition
    derivations: dict[str, Derivation]
    arrays: str
    examples: tuple[tuple[tuple[int, ...], tuple[tuple[int, ...], ...]], ...]
    """Arguments of `make`, and shapes of the inputs; powers of 2 where the layer divides by a size."""

    def check(self, make: Callable[..., Layer] | None = None) -> Receipt:
        """Check the case's layer, or another that claims to be it."""
        formulas = {name: derivation.compile() for name, derivation in self.derivations.items()}
        receipts = [
            check_layer((make or self.make)(*sizes), self.reference, *shapes, formulas=formulas, arrays=self.arrays)
            for sizes, shapes in self.examples
        ]
        return sum(receipts[1:], receipts[0])


CASES = {
    "linear": Case(
        Linear,
        lambda X, W, b: functional.linear(X, W.T, b),
        linear,
        {"X": vjp(linear, X[m, r], G), "W": vjp(linear, W[r, s], G), "b": vjp(linear, b[s], G)},
        "X W b",
        (((4, 4), ((4, 4),)), ((3, 2), ((5, 3),)), ((1, 3), ((2, 1),)), ((2, 1), ((3, 2),))),
    ),
    "relu": Case(
        ReLU,
        functional.relu,
        relu,
        {"X": vjp(relu, Z[m, s], G)},
        "X",
        (((), ((4, 3),)), ((), ((7, 1),))),
    ),
    "exp": Case(
        Exp,
        torch.exp,
        exponential,
        {"X": vjp(exponential, Z[m, s], G)},
        "X",
        (((), ((4, 3),)),),
    ),
    "mse": Case(
        MSELoss,
        functional.mse_loss,
        mse,
        {"X": vjp(mse, Z[m, s])},
        "X T",
        (((), ((4, 2), (4, 2))), ((), ((8, 1), (8, 1)))),
    ),
}
