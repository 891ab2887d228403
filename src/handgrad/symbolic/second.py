"""Second derivatives, entry by entry: a gradient is differentiated again, one named step after the other."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import sympy
from sympy import Expr, Idx

from handgrad.symbolic.calculus import differentiate
from handgrad.symbolic.definitions import Definition, define, in_order, indices_of, label_of, parts_of, unfolded
from handgrad.symbolic.derivation import Derivation, entry_of
from handgrad.symbolic.formulas import free_name
from handgrad.symbolic.forward import differentiated
from handgrad.symbolic.kinks import exceptions
from handgrad.symbolic.letters import named_in
from handgrad.symbolic.notation import derivative, latex, named
from handgrad.symbolic.reverse import Program, backward, sources_of
from handgrad.symbolic.steps import DerivationStep, matrix_step


@dataclass(frozen=True)
class SecondDerivative(Derivation):
    """The derivative of a gradient: of that of `loss`, by its name, with respect to `first`."""

    loss: str
    first: Expr

    @property
    def plain_name(self) -> str:
        """The name in plain text, without indices."""
        return f"∂²{self.loss}/∂{label_of(self.first).name}∂{self.wrt}"

    @property
    def name(self) -> str:
        """The LaTeX of the derivative."""
        return _second(self.loss, self.first, self.entry)


def hessian(loss: Definition | Program, a: Any, b: Any) -> SecondDerivative:
    """Derive the second derivative of a loss with respect to two arrays or numbers, with the indices of both.

    They are given as themselves or by their names. The derivatives of the steps from `b` to the gradient with respect
    to `a` are put in each other: of many steps, use `hvp`. If the loss is no number, what is meant is ⟨G, loss⟩.
    ValueError if `a` or `b` is whole, or no part of the loss.
    """
    program = loss if isinstance(loss, Program) else backward(loss, a)
    (wrt,) = sources_of(program.output, [b])
    way = in_order(program[a].result)
    entry, first = entry_of(wrt, way), program[a].derivation.entry
    steps = [DerivationStep("definition", f"{latex(step.entry)} = {latex(step.value)}") for step in way]
    taken = {part.name for part in parts_of(way[-1])} | {step.name for step in way}
    derivatives: dict[Any, Callable[[Expr], Expr]] = {wrt: lambda part: differentiate(part, entry)}
    for step in way:
        if step.base != wrt and (step is way[-1] or not named_in(step.value).isdisjoint(derivatives)):
            rules = differentiated(step, derivatives, indices_of(entry))
            name = derivative(latex(step.entry), latex(entry))
            steps += [DerivationStep(rule, f"{name} = {latex(value)}") for rule, value in rules]
            indices = (*step.indices, *indices_of(entry))
            result = define(free_name(f"d{step.name}_d{wrt.name}", taken), rules[-1][1], *indices)
            derivatives[step.base] = partial(_put_in, result, indices_of(entry))
    loss_name = program.output.name if program.grad_output is None else "L"
    steps.append(DerivationStep("second derivative", f"{_second(loss_name, first, entry)} = {latex(result.value)}"))
    steps += matrix_step(_second(loss_name, label_of(first), label_of(entry)), result)
    where = exceptions(way, {label_of(entry)}, result.value)
    of = derivative(named(loss_name), latex(first))
    return SecondDerivative(program.output, tuple(steps), result, where, of, way[-1].value, entry, loss_name, first)


def _second(loss: str, one: Expr, other: Expr) -> str:
    """Return the LaTeX of a second derivative."""
    return f"\\frac{{\\partial^{{2}} {named(loss)}}}{{\\partial {latex(one)} \\, \\partial {latex(other)}}}"


def _put_in(of_step: Definition, letters: tuple[Idx, ...], part: Expr) -> Expr:
    """Return the derivative of an entry of a step, given that of the step."""
    return unfolded(of_step[(*indices_of(part), *letters)]) or sympy.S.Zero
