"""A function as one writes it with torch, run on symbolic arrays: what it computes, as definitions in index notation.

    def attention(Q, K, V):
        return softmax(Q @ K.mT / sqrt(Q.shape[-1]), dim=-1) @ V

    derive(attention, Q="n d", K="m d", V="m e")

Variables keep their names. Sizes are symbols: two that may differ are not taken for equal, nor one that may be 1 for 1.
"""

import dis
import linecache
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import sympy
from sympy import Dummy, Expr, Idx, Symbol

from handgrad.symbolic.arrays import SymbolicArray
from handgrad.symbolic.creation import making
from handgrad.symbolic.definitions import Definition
from handgrad.symbolic.formulas import Sum
from handgrad.symbolic.indexed import array, sizes
from handgrad.symbolic.letters import size
from handgrad.symbolic.reverse import Program, backward
from handgrad.symbolic.run import Run


def derive(function: Callable[..., Any], /, **shapes: Any) -> Program:
    """Trace the function and derive its backward pass, with respect to each of its real arguments.

    Each argument is given by its axes, `X="n d"`: sizes are symbols, or numbers; `""` is a real number; `t="n -> d"` is
    an array of n whole numbers below d. An axis that is split, into heads or groups, is the product that it is,
    `W="d h*e"`. What is no string is handed to the function as it is: a number, or a size, `h=sizes("h")[0]`.
    ValueError on what cannot be traced, with its line, and as `backward`.
    """
    output, run = _traced(function, shapes)
    arguments = tuple(name for name, axes in shapes.items() if isinstance(axes, str))
    program = backward(output)
    counts = {**run.joined}
    if program.grad_output is not None and output.name in counts:
        counts[program.grad_output.name] = counts[output.name]
    return replace(program, arguments=arguments, joined=counts, required=run.required)


def trace(function: Callable[..., Any], /, **shapes: Any) -> Definition:
    """Return what the function computes as a definition, made of those of its variables; for `shapes` see `derive`."""
    return _traced(function, shapes)[0]


def _traced(function: Callable[..., Any], shapes: dict[str, Any]) -> tuple[Definition, Run]:
    run = Run({*shapes})
    extents = {name: _extents(axes) for name, axes in shapes.items() if isinstance(axes, str)}
    run.taken |= {str(extent) for axes, below in extents.values() for axis in axes for extent in (*axis, below)}
    arguments = {name: _argument(run, name, *axes) for name, axes in extents.items()}
    with making(run):
        try:
            result = function(**shapes | arguments)
        except (ValueError, TypeError, AttributeError) as error:
            if not (where := _line(function, error)):
                raise
            raise type(error)(f"{error} ({where})") from error
    if not isinstance(result, SymbolicArray):
        raise ValueError(f"{function.__name__} returns {result!r}, and is to return what it computes of its arguments")
    return result.output(_returned(function) or ("Y" if result.axes else "L")), run


def _line(function: Callable[..., Any], error: BaseException) -> str:
    """Return where in a function, or in what it calls in its own file, something was refused."""
    code, found, trace = function.__code__, "", error.__traceback__
    while trace is not None:
        own = trace.tb_frame.f_code
        if own.co_filename == code.co_filename:
            source = linecache.getline(own.co_filename, trace.tb_lineno).strip()
            found = f"line {trace.tb_lineno} of {own.co_name}" + (f": {source}" if source else "")
        trace = trace.tb_next
    return found


def _extents(axes: str) -> tuple[list[list[Expr]], Expr | None]:
    """Return the sizes that each axis is a product of, and the size that whole numbers are below."""
    shape, _, below = axes.partition("->")
    extents = [[_extent(factor) for factor in axis.split("*")] for axis in shape.split()]
    return extents, _extent(below.strip()) if below else None


def _extent(text: str) -> Expr:
    if text == "e":  # which sizes() refuses, as it is printed as Euler's number
        return Symbol("e", integer=True, positive=True)
    return sympy.Integer(text) if text.isdecimal() else sizes(text)[0]


def _argument(run: Run, name: str, extents: list[list[Expr]], below: Expr | None) -> SymbolicArray:
    flat = [extent for axis in extents for extent in axis]
    base = array(name, *flat, integer=below is not None)
    if len(flat) > len(extents):
        run.joined[name] = tuple(map(len, extents))
    if not flat:
        return SymbolicArray(run, (), base)
    # An axis of size 1 has no index: its only entry is the sum over it.
    axes = [[run.index(extent) or Idx(Dummy("o", integer=True), 1) for extent in axis] for axis in extents]
    places = [index for axis in axes for index in axis]
    only = [place for place in places if size(place) == 1]
    known = tuple(tuple(index for index in axis if index not in only) for axis in axes)
    return SymbolicArray(run, known, Sum(base[tuple(places)], *only), below)


def _returned(function: Callable[..., Any]) -> str | None:
    """Return the name of the variable that a function returns, if it returns one in the only place where it returns."""
    code = [*dis.get_instructions(function)]
    ends = [before for before, last in pairwise(code) if last.opname == "RETURN_VALUE"]
    return str(ends[0].argval) if len(ends) == 1 and ends[0].opname == "LOAD_FAST" else None
