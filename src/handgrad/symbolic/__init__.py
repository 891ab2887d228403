"""Derivations in index notation, for every size at once: define, differentiate, contract, read off, compile.

    n, p, q = sizes("n p q")
    i, j, k, r, s = Idx("i", n), Idx("j", p), Idx("k", q), Idx("r", p), Idx("s", q)
    X, W, G = array("X", n, p), array("W", p, q), array("G", n, q)
    Y = define("Y", Sum(X[i, j] * W[j, k], j), i, k)
    vjp(Y, W[r, s], G)            # the steps, as a post shows them; the last is  dL/dW = Xᵀ G
    vjp(Y, W[r, s], G).compile()  # torch.einsum("is,ir->rs", G, X)

Indices count from 0, as torch's do. Nothing here imports torch until a formula is compiled.
"""

from sympy import Idx, Sum

from handgrad.symbolic.calculus import Definition, Iverson, array, define, integers, sizes
from handgrad.symbolic.derivation import Derivation, jacobian, vjp
from handgrad.symbolic.notation import Markdown

__all__ = [
    "Definition",
    "Derivation",
    "Idx",
    "Iverson",
    "Markdown",
    "Sum",
    "array",
    "define",
    "integers",
    "jacobian",
    "sizes",
    "vjp",
]
