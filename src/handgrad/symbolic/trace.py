"""A function as one writes it with torch, run on symbolic arrays: what it computes, as definitions in index notation.

    def attention(Q, K, V):
        return softmax(Q @ K.mT / sqrt(Q.shape[-1]), dim=-1) @ V

    derive(attention, Q="n d", K="m d", V="m e")

Variables keep their names. Sizes are symbols: two that may differ are not taken for equal, nor one that may be 1 for 1.
"""

import dis
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import sympy
from sympy import Dummy, Expr, Idx, Symbol

from handgrad.symbolic.arrays import SymbolicArray
from handgrad.symbolic.definitions import Definition
from handgrad.symbolic.formulas import Sum
from handgrad.symbolic.indexed import array, sizes
from handgrad.symbolic.reverse import Program, backward
from handgrad.symbolic.run import Run


def derive(function: Callable[..., Any], /, **shapes: str) -> Program:
    """Trace the function and derive its backward pass, with respect to each of its real arguments.

    Each argument is given by its axes, `X="n d"`: sizes are symbols, or numbers; `""` is a real number; `t="n -> d"` is
    an array of n whole numbers below d. ValueError on what cannot be traced, and as `backward`.
    """
    return replace(backward(trace(function, **shapes)), arguments=tuple(shapes))


def trace(function: Callable[..., Any], /, **shapes: str) -> Definition:
    """Return what the function computes as a definition, made of those of its variables; for `shapes` see `derive`."""
    run = Run({*shapes})
    extents = {name: _extents(axes) for name, axes in shapes.items()}
    run.taken |= {str(extent) for axes, below in extents.values() for extent in (*axes, below)}
    result = function(**{name: _argument(run, name, *axes) for name, axes in extents.items()})
    if not isinstance(result, SymbolicArray):
        raise ValueError(f"{function.__name__} returns {result!r}, and is to return what it computes of its arguments")
    return result.output(_returned(function) or ("Y" if result.axes else "L"))


def _extents(axes: str) -> tuple[list[Expr], Expr | None]:
    """Return the sizes of the axes that are written, and the size that whole numbers are below."""
    shape, _, below = axes.partition("->")
    return [*map(_extent, shape.split())], _extent(below.strip()) if below else None


def _extent(text: str) -> Expr:
    if text == "e":  # which sizes() refuses, as it is printed as Euler's number
        return Symbol("e", integer=True, positive=True)
    return sympy.Integer(text) if text.isdecimal() else sizes(text)[0]


def _argument(run: Run, name: str, extents: list[Expr], below: Expr | None) -> SymbolicArray:
    base = array(name, *extents, integer=below is not None)
    indices = [run.index(extent) for extent in extents]
    if not indices:
        return SymbolicArray(run, (), base)
    # An axis of size 1 has no index: its only entry is the sum over it.
    places = [index or Idx(Dummy("o", integer=True), 1) for index in indices]
    only = [place for place, index in zip(places, indices, strict=True) if index is None]
    return SymbolicArray(run, tuple(indices), Sum(base[tuple(places)], *only), below)


def _returned(function: Callable[..., Any]) -> str | None:
    """Return the name of the variable that a function returns, if it returns one in the only place where it returns."""
    code = [*dis.get_instructions(function)]
    ends = [before for before, last in pairwise(code) if last.opname == "RETURN_VALUE"]
    return str(ends[0].argval) if len(ends) == 1 and ends[0].opname == "LOAD_FAST" else None
