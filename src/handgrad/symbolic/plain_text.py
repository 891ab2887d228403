"""Formulas as plain text, to stand in a docstring."""

from typing import Any

from sympy import Expr
from sympy.printing.str import StrPrinter

from handgrad.symbolic.definitions import Definition
from handgrad.symbolic.notation import with_letters


def equation(definition: Definition) -> str:
    """Return `name[indices] = value`."""
    whole = with_letters(definition.value)
    left = f"{definition.name}[{', '.join(i.label.name for i in definition.indices)}]"
    return f"{left if definition.indices else definition.name} = {_Printer().doprint(whole)}"


class _Printer(StrPrinter):  # type: ignore[misc]
    def _print_Indexed(self, value: Expr) -> str:
        return f"{value.base.name}[{', '.join(map(self._print, value.indices))}]"

    def _print_InverseOf(self, value: Expr) -> str:
        return f"inv({value.args[0].base.name})[{', '.join(map(self._print, value.indices))}]"

    def _print_DeterminantOf(self, value: Expr) -> str:
        return self._of_each("det", value)

    def _print_LogDeterminantOf(self, value: Expr) -> str:
        return self._of_each("logdet", value)

    def _print_MaximumOf(self, value: Expr) -> str:
        return self._of_each("max", value)

    def _of_each(self, name: str, value: Expr) -> str:
        """Print a function of an array, or of each of a stack."""
        places = ", ".join(map(self._print, value.indices))
        return f"{name}({value.args[0].base.name}{f'[{places}]' if places else ''})"

    def _print_Idx(self, value: Expr) -> str:
        return str(value.label.name)

    def _print_Name(self, value: Expr) -> str:
        return str(value.name)

    def _print_Sum(self, value: Expr) -> str:
        return f"sum({self._print(value.function)}, {', '.join(self._print(index) for index, *_ in value.limits)})"

    def _print_Iverson(self, value: Expr) -> str:
        return f"[{self._print(value.args[0])}]"

    def _print_KroneckerDelta(self, value: Expr) -> str:
        return f"[{' = '.join(map(self._print, value.args))}]"

    def _print_Piecewise(self, value: Any) -> str:
        cases = [f"{self._print(part)} if {self._print(condition)}" for part, condition in value.args[:-1]]
        return f"({' else '.join([*cases, self._print(value.args[-1].expr)])})"
