"""Derivations in index notation, for every size at once: define, differentiate, contract, read off, compile.

    i, j, k = indices("i:n j:p k:q")
    X, W = array("X", i, j), array("W", j, k)
    Y = define("Y", Sum(X[i, j] * W[j, k], j), i, k)
    vjp(Y, W)            # the steps, as a post shows them; the last is  dL/dW = Xᵀ G
    vjp(Y, W).compile()  # torch.einsum("is,ir->rs", G, X)

Indices count from 0, as torch's do. Nothing here imports torch until a formula is compiled.
"""

from sympy import Idx

from handgrad.symbolic.calculus import Definition, array, define, expand, indices, integers, mean, sizes
from handgrad.symbolic.derivation import Derivation, jacobian, vjp
from handgrad.symbolic.formulas import Iverson, Sum
from handgrad.symbolic.notation import Markdown
from handgrad.symbolic.reverse import Gradient, Program, backward

__all__ = [
    "Definition",
    "Derivation",
    "Gradient",
    "Idx",
    "Iverson",
    "Markdown",
    "Program",
    "Sum",
    "array",
    "backward",
    "define",
    "expand",
    "indices",
    "integers",
    "jacobian",
    "mean",
    "sizes",
    "vjp",
]
