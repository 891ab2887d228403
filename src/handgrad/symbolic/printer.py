"""Python code for what happens entry by entry."""

from functools import reduce
from typing import Any

import sympy
from sympy import Add, Expr, Ge, Gt, Le, Lt, Mul, Piecewise, Rational
from sympy.core.relational import Relational
from sympy.printing.precedence import PRECEDENCE
from sympy.printing.pycode import PythonCodePrinter

from handgrad.symbolic.formulas import FUNCTIONS, Iverson
from handgrad.symbolic.shapes import code_of_size


def is_number(value: Any) -> bool:
    """Say whether a value, or a condition, is Python's in the code, and not a tensor."""
    return all(symbol.is_integer for symbol in value.free_symbols)


class Printer(PythonCodePrinter):  # type: ignore[misc]
    """Python code for what happens entry by entry."""

    def __init__(self, options: str, device: str, functions: dict[str, str]) -> None:
        """Take what a tensor is made with, and the code of functions."""
        super().__init__({"user_functions": functions})
        self.options, self.device = options, device
        self.has_extremes = False
        """Whether the larger or smaller of two is written as such: a choice takes torch several times as long."""

    def doprint(self, value: Expr) -> str:
        """Return the code."""
        return str(super().doprint(value))

    def _print_Add(self, value: Expr, order: str | None = None) -> str:
        positive_first = sorted(
            value.args, key=lambda t: (t.could_extract_minus_sign(), "einsum" not in str(t), str(t))
        )
        return str(super()._print_Add(Add(*positive_first, evaluate=False), order="none"))

    def _print_Mul(self, value: Expr) -> str:
        conditions = [factor.args[0] for factor in value.args if isinstance(factor, Iverson)]
        if not conditions:
            return str(super()._print_Mul(value))
        # Not a product with 0 and 1: where the condition fails the result is 0 even if the rest is infinite.
        rest = Mul(*(factor for factor in value.args if not isinstance(factor, Iverson)))
        return self.choice(sympy.And(*conditions), rest, sympy.S.Zero)

    def choice(self, condition: Any, value: Expr, other: Expr) -> str:
        """Print one of two values; what is decided by sizes alone is decided in Python."""
        if condition == sympy.false:
            return "0" if is_number(value) else f"torch.zeros_like({self._print(value)})"
        code = self._print(condition)
        if is_number(condition):
            if is_number(value) and is_number(other):
                return f"({self._print(value)} if {code} else {self._print(other)})"
            code = f"torch.tensor({code}{self.device})"
        elif self.has_extremes and (extreme := self.extreme(condition, value, other)):
            return extreme
        return f"torch.where({code}, {self.tensor(value)}, {self._print(other)})"

    def extreme(self, condition: Any, value: Expr, other: Expr) -> str | None:
        """Print the larger or the smaller of two values, if that is what is chosen."""
        if not isinstance(condition, (Gt, Ge, Lt, Le)) or {value, other} != {condition.lhs, condition.rhs}:
            return None
        is_larger = isinstance(condition, (Gt, Ge)) == (value == condition.lhs)
        tensor, bound = (value, other) if is_number(other) else (other, value)
        if not is_number(bound):
            return f"torch.{'maximum' if is_larger else 'minimum'}({self._print(value)}, {self._print(other)})"
        code = self.parenthesize(tensor, PRECEDENCE["Func"])
        return f"{code}.clamp({'min' if is_larger else 'max'}={self._print(bound)})"

    def tensor(self, value: Expr) -> str:
        """Print a number as a tensor: one of torch's own choice would have torch's default dtype."""
        if not is_number(value):
            return str(self._print(value))
        # Python divides nothing by a size that is 0.
        above, below = sympy.fraction(value) if value.free_symbols else (value, sympy.S.One)
        made = f"torch.tensor({self._print(above)}, {self.options})"
        return made if below == 1 else f"{made} / {self.parenthesize(below, PRECEDENCE['Pow'])}"

    def _print_Float(self, value: Expr) -> str:
        return repr(float(value))

    def _print_Pow(self, value: Expr, rational: bool = False) -> str:
        if value.is_commutative and abs(value.exp) == Rational(1, 2) and not is_number(value):
            return str(self._hprint_Pow(value, rational=rational, sqrt="torch.sqrt"))
        base, exponent = (self.parenthesize(part, PRECEDENCE["Pow"]) for part in value.args)
        return f"{base}**{exponent}"

    def _print_Relational(self, value: Relational) -> str:
        return f"{self._print(value.lhs)} {value.rel_op} {self._print(value.rhs)}"

    def _print_And(self, value: Any) -> str:
        return " & ".join(f"({self._print(part)})" for part in sorted(value.args, key=str))

    def _print_Or(self, value: Any) -> str:
        return " | ".join(f"({self._print(part)})" for part in sorted(value.args, key=str))

    def _print_Not(self, value: Any) -> str:
        return f"{'not ' if is_number(value) else '~'}({self._print(value.args[0])})"

    def _print_Function(self, value: Expr) -> str:
        name = type(value).__name__
        if is_number(value) and name in FUNCTIONS:
            return f"{FUNCTIONS[name].python}({', '.join(str(self._print(part)) for part in value.args)})"
        return str(super()._print_Function(value))

    def _print_Exp1(self, _: Expr) -> str:
        return "math.e"

    def _print_floor(self, value: Expr) -> str:
        return code_of_size(value)

    def _print_Pi(self, _: Expr) -> str:
        return "math.pi"

    def _print_Iverson(self, value: Expr) -> str:
        return self.choice(value.args[0], sympy.S.One, sympy.S.Zero)

    def _print_Larger(self, value: Expr) -> str:
        numbers = [part for part in value.args if is_number(part)]
        tensors = [self._print(part) for part in value.args if part not in numbers]
        code = reduce(lambda one, other: f"torch.maximum({one}, {other})", tensors)
        return f"({code}).clamp(min={self._print(numbers[0])})" if numbers else code

    def _print_Piecewise(self, value: Expr) -> str:
        (branch, condition), *others = value.args
        if not others:
            return str(self._print(branch))
        return self.choice(condition, branch, Piecewise(*others))


# Sympy prints these as functions of Python's own.
for _name in FUNCTIONS:
    setattr(Printer, f"_print_{_name}", Printer._print_Function)
