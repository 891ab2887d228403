"""The steps to what is derived, each with the name of its rule, and how they are shown."""

import html
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from handgrad.symbolic.compiled import TorchFunction
from handgrad.symbolic.definitions import Definition
from handgrad.symbolic.matrix import matrix_form
from handgrad.symbolic.notation import Markdown, broken, display, latex
from handgrad.symbolic.torch_code import compile_torch


@dataclass(frozen=True)
class DerivationStep:
    """One line of a derivation: the rule that leads to it, and its LaTeX."""

    rule: str
    latex: str


@dataclass(frozen=True)
class Derived:
    """What is derived from `output`: the steps to it, and the result as a definition."""

    output: Definition
    steps: tuple[DerivationStep, ...]
    result: Definition
    where: str
    """For which arguments the result is the derivative, and what jumps elsewhere, in Markdown; empty if no cases meet.

    Of roots and powers where they have no slope nothing is said: there the result has no value.
    """

    @property
    def plain_name(self) -> str:
        """The name in plain text, without indices."""
        return self.result.name

    @property
    def formula(self) -> Markdown:
        """The result entry by entry, to stand in a sentence."""
        return Markdown(f"${latex(self.result.value)}$")

    @property
    def matrix(self) -> Markdown:
        """The result as a product of matrices, to stand in a sentence; ValueError if it has no such form."""
        if not (matrix := matrix_form(self.result)):
            raise ValueError(f"{self.result.name} has no matrix form: use its formula")
        return Markdown(f"${matrix}$")

    def compile(self, **functions: Callable[..., Any]) -> TorchFunction:
        """Return the result as a torch function of the arrays in it, by name: `f(G=…, X=…)`.

        `functions` are torch's versions of sympy functions that it has no code for, by name.
        """
        return compile_torch(self.result, **functions)

    def show(self, label: str | None = None, skip: int = 0) -> Markdown:
        """Return the steps, without the first `skip`, as Markdown; the last is numbered if `label` is given.

        Below it stands where the result holds, if there are kinks or jumps where it does not.
        """
        return Markdown(framed(self.plain_name, self.output, self.lines(label, skip)))

    def lines(self, label: str | None = None, skip: int = 0) -> str:
        """Return the Markdown of `show` without what it is marked with."""
        *steps, last = self.steps[skip:]
        shown = [(step.rule, display(broken(step.latex))) for step in steps]
        shown.append((last.rule, display(broken(last.latex, width=29), label)))
        if self.where:
            shown[-1] = (shown[-1][0], f"{shown[-1][1]}\n\n{self.where}")
        return "\n\n".join(f'<div class="step">\n\n{rule}\n\n{equation}\n\n</div>' for rule, equation in shown)

    def _repr_markdown_(self) -> str:
        return self.show().text


def matrix_step(name: str, result: Definition) -> list[DerivationStep]:
    """Return the step to the matrix form of a result, that is called `name` as a whole; nothing if it has none."""
    return [DerivationStep("matrix form", f"{name} = {matrix}")] if (matrix := matrix_form(result)) else []


def framed(name: str, output: Definition, body: str) -> str:
    """Return Markdown of what is derived from a definition, marked with what that was compared with."""
    reference = html.escape(output.base_name.compared_with)
    return f'<div class="derivation" data-name="{name}" data-compared="{reference}">\n\n{body}\n\n</div>'


def listed(title: str, definitions: Iterable[Definition]) -> list[str]:
    """Return paragraphs with a line for each definition."""
    return [f"**{title}**", *(f'<div class="line">\n\n{_equation(step)}\n\n</div>' for step in definitions)]


def opening(title: str, derived: Iterable[tuple[Definition, Derived]]) -> list[str]:
    """Return paragraphs with a line for each definition that opens to how it was derived."""
    parts = [f"**{title}**: each line opens to its derivation"]
    for result, derivation in derived:
        # Not all screen readers read formulas: the title is text.
        summary = f'<summary title="{result.name}">{_equation(result)}</summary>'
        parts.append(f"<details>\n{summary}\n\n{derivation.lines()}\n\n</details>")
    return parts


def sides(step: Definition) -> tuple[str, str]:
    """Return the LaTeX of a definition, as a product of matrices where it has such a form, else entry by entry."""
    matrix = matrix_form(step)
    return (latex(step.base_name), matrix) if matrix else (latex(step.entry), latex(step.value))


def _equation(step: Definition) -> str:
    """Return a definition in two pieces, so that a long one breaks."""
    left, right = sides(step)
    return f"${left}$ $= {right}$"
