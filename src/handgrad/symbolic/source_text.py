"""What the sources of layers and functions have in common: the program that they compute, docstrings, imports."""

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sympy import Expr

from handgrad.symbolic.code_text import WIDTH
from handgrad.symbolic.definitions import Definition, given_in, in_order, made_of
from handgrad.symbolic.formulas import Array, require_name
from handgrad.symbolic.joined import Joined
from handgrad.symbolic.layer_code import LayerCode
from handgrad.symbolic.plain_text import equation
from handgrad.symbolic.stacks import Stacked, stacked


class Computed(NamedTuple):
    """What a source is made of: definitions, the gradients by what they are of, and the arguments' names in order.

    `joined` and `required` are those of `Program`.
    """

    output: Definition
    gradients: Mapping[str, Definition]
    order: Sequence[str]
    joined: Joined
    required: Mapping[Expr, str]

    @property
    def arguments(self) -> dict[str, Any]:
        """The arrays and numbers that the output is made of, by their names, in the order of the arguments."""
        made = made_of(self.output)
        return {name: made[name] for name in (*self.order, *made) if name in made}

    @property
    def upstream(self) -> Any:
        """The gradient that comes in; None if the output is the loss."""
        known = {*self.arguments.values()}
        bases, numbers = given_in([*self.gradients.values()])
        return next((base for base in (*bases, *numbers) if base not in known), None)

    def stacked(self, parameters: Sequence[str]) -> tuple[Stacked, dict[str, Any], Any]:
        """Return the program for stacks of the arguments but for parameters, its arguments, and what comes in."""
        made, upstream = self.arguments, self.upstream
        arrays = [base for name, base in made.items() if isinstance(base, Array) and name not in parameters]
        # Rows that are the first of a joined axis are none of any number of axes.
        inputs = [name for name in made if name not in parameters]
        by_rows = not any(self.joined.get(name, (1,))[:1] > (1,) for name in (*inputs, self.output.name))
        program = stacked(self.output, self.gradients, arrays, upstream, by_rows)
        new, _ = given_in([*program.steps, *program.gradients.values()])
        by_name = {base.name: base for base in new}
        bases = {name: base if name in parameters else by_name.get(name, base) for name, base in made.items()}
        return program, bases, upstream if upstream is None else by_name.get(upstream.name, upstream)

    def require_names(self, name: str, what: str, parameters: Sequence[str], reserved: Iterable[str]) -> None:
        """Raise ValueError on names that the source of `what` has already, and on parameters that are none."""
        require_name(name, what)
        made = self.arguments
        for parameter in parameters:
            if parameter not in made:
                raise ValueError(f"there is no {parameter} to be a parameter: there are {', '.join(made)}")
        if taken := [argument for argument in made if argument in reserved]:
            raise ValueError(f"an argument is called {taken[0]}, as something in {what} is: rename it")

    @property
    def formulas(self) -> list[Definition]:
        """Its steps, and the gradients."""
        return [*in_order(self.output), *self.gradients.values()]


def shape_text(code: LayerCode, base: Any) -> str:
    """Return `(*, n, d)`."""
    names = ["*" if extent == code.star else str(extent) for extent in code.shape(base)]
    return f"({', '.join(names)}{',' if len(names) == 1 and names != ['*'] else ''})"


def shapes_text(code: LayerCode, arguments: Mapping[str, Any]) -> str:
    """Return `X (*, n, d), W (d, q).`, and what `*` is."""
    shapes = ", ".join(f"{name} {shape_text(code, base)}" for name, base in arguments.items())
    return f"{shapes}." + (" `*` is any number of axes." if code.star is not None else "")


def docstring(first: str, formulas: Sequence[Definition], about: str) -> str:
    """Return the docstring of a class or a function, indented as its body, from and to its quotes."""
    lines = [f'"""{first}', *([""] if formulas else [])]
    for step in formulas:
        lines += textwrap.wrap(
            equation(step), WIDTH - 4, initial_indent="    ", subsequent_indent="        ", break_long_words=False
        )
    lines += ["", *textwrap.wrap(about, WIDTH - 4, break_long_words=False), '"""']
    return textwrap.indent("\n".join(lines), "    ")


def from_to(code: LayerCode, given: Iterable[Any], returned: Iterable[Any], about: str = "") -> str:
    """Return the docstring of a method, the shapes of what it is given and of what it returns."""
    before, after = (", ".join(shape_text(code, base) for base in bases) for bases in (given, returned))
    text = f'"""{before} -> {after}{about}."""'
    return textwrap.indent("\n".join(textwrap.wrap(text, WIDTH - 8, break_long_words=False)), " " * 8)


def gradients_text(computed: Computed, arguments: Iterable[str]) -> str:
    """Return what the letters of gradients stand for."""
    first = next(name for name in arguments if name in computed.gradients)
    upstream, output = computed.upstream, computed.output.name
    return f" d{first} is the gradient of {first}" + (f", {upstream.name} that of {output}." if upstream else ".")


def module(about: str, groups: Iterable[Iterable[str]], text: str) -> str:
    """Return the source of a module, with those of the imports, in groups, whose names stand in its text."""
    needed = [
        [
            f"{line.before} import {', '.join(line.used(text))}".strip()
            for line in map(_Import, group)
            if line.used(text)
        ]
        for group in groups
    ]
    head = "\n\n".join("\n".join(lines) for lines in needed if lines)
    return f'"""{about}"""\n\n{head}\n\n\n{text}'


class _Import:
    def __init__(self, line: str) -> None:
        before, _, names = line.rpartition("import ")
        self.before, self.names = before.strip(), names.split(", ")

    def used(self, text: str) -> list[str]:
        """Return what of it is used in a text."""
        called = {name: name.split(" as ")[-1].split(".")[0] for name in self.names}
        return [name for name in self.names if re.search(rf"(?<![\w.]){called[name]}\b", text)]
