"""Conditions, and values that are -inf where one does not hold, as scores are before a softmax."""

from collections.abc import Callable, Sequence
from typing import Any

import sympy
from sympy import Expr, Piecewise
from sympy.logic.boolalg import Boolean

from handgrad.symbolic.formulas import Iverson


def is_condition(value: Any) -> bool:
    """Say whether a value is a condition, and no number."""
    return isinstance(value, Boolean) and not isinstance(value, Expr)  # a Symbol is both


def as_condition(value: Any) -> Any:
    """Return a condition as it is, or that of a bracket; ValueError if a value is neither."""
    if isinstance(value, Iverson):
        return value.args[0]
    if value in (0, 1):
        return sympy.sympify(bool(value))
    if not is_condition(value):
        raise ValueError(f"{value} is no condition: compare it, as in mask > 0")
    return value


def applied(function: Callable[..., Any], values: Sequence[Any]) -> Any:
    """Return a function of entries."""
    return function(*values)


def added(function: Callable[..., Any], values: Sequence[Any]) -> Expr:
    """Return the sum of entries that may be -inf; ValueError on other functions of them."""
    parts = [finite_part(value) for value in values]
    one, other = sympy.symbols("one other", real=True)
    if len(values) != 2 or function(one, other) != one + other:
        raise ValueError("to an array with entries that are -inf finite ones are added, and nothing else: mask last")
    return with_infinite(function(*(part for part, _ in parts)), sympy.And(*(holds for _, holds in parts)))


def with_infinite(value: Expr, holds: Any) -> Expr:
    """Return a value where a condition holds, and -inf elsewhere."""
    return Piecewise((value, holds), (-sympy.oo, True))


def finite_part(value: Expr) -> tuple[Expr, Any]:
    """Return a value without the case in which it is -inf, and where it is not."""
    if value == -sympy.oo:
        return sympy.S.Zero, sympy.false
    if not value.has(-sympy.oo):
        return value, sympy.true
    finite, holds = value.args[0]
    return finite, holds


def chosen(holds: Any, one: Expr, other: Expr) -> Expr:
    """Return a choice between two entries that may be -inf."""
    if not (one.has(-sympy.oo) or other.has(-sympy.oo)):
        return Piecewise((one, holds), (other, True))
    (first, within), (second, without) = finite_part(one), finite_part(other)
    value = second if within == sympy.false else first if without == sympy.false else chosen(holds, first, second)
    return with_infinite(value, sympy.Or(sympy.And(holds, within), sympy.And(sympy.Not(holds), without)))
