"""Words for products of symbolic arrays."""

from typing import Any

import sympy

from handgrad.symbolic.arrays import WORDS, SymbolicArray, aligned, broadcast
from handgrad.symbolic.formulas import Sum
from handgrad.symbolic.letters import rename


def matmul(input: SymbolicArray, other: SymbolicArray) -> SymbolicArray:
    """Return the matrix product, as torch's: of vectors, matrices, and stacks of matrices with broadcast axes."""
    if not isinstance(other, SymbolicArray):
        raise ValueError(f"{other!r} is no symbolic array")
    one, two = input.named().fresh(), other.named().fresh()
    if not one.ndim or not two.ndim:
        raise ValueError("a number has no matrix product: write *")
    inner, same = one.axes[-1], two.axes[-2 if two.ndim > 1 else -1]
    if bool(inner) != bool(same):
        raise ValueError(f"a matrix product of shapes {one.shape} and {two.shape}: the inner sizes differ")
    broadcast([(inner,), (same,)])
    rows, columns = one.axes[-2:-1], two.axes[-1:] if two.ndim > 1 else ()
    stack = broadcast([one.axes[:-2], two.axes[:-2]])
    product = aligned(_without(one, 2), stack) * aligned(_without(two, 2), stack)
    product = Sum(rename(product, dict(zip(same, inner, strict=True))), *inner)
    return SymbolicArray(one.run, (*stack, *rows, *columns), product)


def _without(own: SymbolicArray, count: int) -> SymbolicArray:
    return SymbolicArray(own.run, own.axes[:-count], own.value)


def dot(input: SymbolicArray, other: SymbolicArray) -> SymbolicArray:
    """Return the sum of products of two vectors."""
    return _of_axes("dot", 1, input, other)


def mv(input: SymbolicArray, vec: SymbolicArray) -> SymbolicArray:
    """Return the product of a matrix and a vector."""
    return _of_axes("mv", 2, input, vec, 1)


def mm(input: SymbolicArray, mat2: SymbolicArray) -> SymbolicArray:
    """Return the product of two matrices."""
    return _of_axes("mm", 2, input, mat2)


def bmm(input: SymbolicArray, mat2: SymbolicArray) -> SymbolicArray:
    """Return the products of two stacks of matrices."""
    return _of_axes("bmm", 3, input, mat2)


def _of_axes(word: str, axes: int, one: SymbolicArray, other: SymbolicArray, others: int = 0) -> SymbolicArray:
    if (one.ndim, other.ndim) != (axes, others or axes):
        raise ValueError(f"{word} of arrays with {one.ndim} and {other.ndim} axes: write @")
    return matmul(one, other)


def outer(input: SymbolicArray, vec2: SymbolicArray) -> SymbolicArray:
    """Return the products of each entry of a vector with each of another."""
    if (input.ndim, vec2.ndim) != (1, 1):
        raise ValueError(f"outer is of vectors, and these have {input.ndim} and {vec2.ndim} axes")
    return input[:, None] * vec2


def einsum(equation: str, *operands: Any) -> SymbolicArray:
    """Return the sum of products that the letters say, `"ij,jk->ik"`."""
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    if not arrow or "." in equation:
        raise ValueError(f"einsum({equation!r}): write all letters, and the arrow")
    arrays = [*operands[0]] if isinstance(operands[0], (list, tuple)) else [*operands]
    letters: dict[str, Any] = {}
    factors = []
    for names, operand in zip(inputs.split(","), arrays, strict=True):
        own = operand.named().fresh()
        if len(names) != own.ndim:
            raise ValueError(f"einsum({equation!r}): {names} is of an array of {own.ndim} axes")
        for name, axis in zip(names, own.axes, strict=True):
            (letters[name],) = broadcast([(letters.setdefault(name, axis),), (axis,)])
        factors.append(aligned(own, tuple(letters[name] for name in names)))
    summed = [index for name, axis in letters.items() if name not in output for index in axis]
    return SymbolicArray(arrays[0].run, tuple(letters[name] for name in output), Sum(sympy.Mul(*factors), *summed))


_WORDS = (matmul, dot, mv, mm, bmm, outer, einsum)
WORDS.update((word.__name__, word) for word in _WORDS)
