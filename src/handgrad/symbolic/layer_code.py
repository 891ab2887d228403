"""A program as the source of a layer: its forward saves the fewest entries from which its backward follows."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sympy
from sympy import Expr, Indexed, Symbol

from handgrad.symbolic.code_text import WIDTH, Line, enclosed, tuple_lines, without_repetition
from handgrad.symbolic.definitions import Definition, symbols_of
from handgrad.symbolic.formulas import Array, Name, Sum, TensorSymbol
from handgrad.symbolic.letters import symbols_beside_entries
from handgrad.symbolic.matrix_code import MatrixCoder
from handgrad.symbolic.saved import count, least
from handgrad.symbolic.shapes import Shapes, shape_of
from handgrad.symbolic.stable import stabilized
from handgrad.symbolic.stacks import Stacked
from handgrad.symbolic.torch_code import known_functions

# What a layer calls something else so.
RESERVED = {"torch", "math", "self", "batch", "grad_output", "dtype", "device", "Layer", "Tensor", "Iterator"} | {
    *("accumulate", "require_same_shape", "forward", "backward", "parameters"),
    *("save_for_backward", "saved_tensors", "sizes"),
}


class LayerCode:
    """The lines of a layer's forward and backward.

    `inputs` are the arrays and numbers that forward is given, in their order, `parameters` those that the layer has,
    `upstream` is the gradient that comes in, None if the output is the loss.
    """

    def __init__(
        self, program: Stacked, inputs: Mapping[str, Any], parameters: Mapping[str, Any], upstream: Any
    ) -> None:
        """Choose what is saved."""
        self.inputs, self.parameters, self.upstream, self.star = inputs, parameters, upstream, program.star
        self.output = program.steps[-1]
        self.results = {name: step for name, step in program.gradients.items() if name in {*inputs, *parameters}}
        steps = stabilized([*program.steps, *program.gradients.values()], [self.output, *self.results.values()])
        self.by_base = {step.base: step for step in steps}
        ahead = self.ancestors([self.output.base])
        self.ahead = [step for step in steps if step.base in ahead]
        self.behind = [step for step in steps if step.base not in ahead]
        self.taken = {*symbols_of(steps), *inputs, *parameters, *RESERVED}
        self.saved, self.again = self.choice()
        self.shared = [name for name, base in parameters.items() if base in self.parts([*self.again, *self.behind])]
        self.ahead_lines, self.behind_lines = self.lines()

    def parts(self, steps: Iterable[Definition]) -> set[Any]:
        """Return what steps are made of: definitions, arrays and numbers, by their bases."""
        found: set[Any] = set()
        for step in steps:
            found |= {entry.base for entry in step.value.atoms(Indexed)}
            found |= {s for s in symbols_beside_entries(step.value) if isinstance(s, Name) or not s.is_integer}
        return found

    def ancestors(self, bases: Iterable[Any], without: Iterable[Any] = ()) -> set[Any]:
        """Return bases, and those of the definitions that they are made of, but for some."""
        found, rest = set(without), [*bases]
        while rest:
            base = rest.pop()
            if base not in found:
                found.add(base)
                rest += self.parts([self.by_base[base]]) if base in self.by_base else []
        return found - {*without}

    def choice(self) -> tuple[list[Any], list[Definition]]:
        """Return what forward saves, but for parameters, and the steps that backward computes again."""
        values = [*self.inputs.values(), *(step.base for step in self.ahead)]
        learned = {*self.parameters.values()}
        made_of = {step.base: self.parts([step]) - learned for step in self.ahead if not step.value.has(Sum)}
        needed = [base for base in values if base in self.parts(self.behind)]
        saved = least(needed, made_of, {base: count(shape_of(base)) for base in values})
        again = self.ancestors(needed, without=saved)
        return [base for base in values if base in saved], [step for step in self.ahead if step.base in again]

    def coder(self, names: Mapping[Any, str], taken: set[str]) -> MatrixCoder:
        """Return a coder that knows some arrays by their code."""
        whole = frozenset(code for base, code in names.items() if isinstance(base, Array) and base.label.is_integer)
        coder = MatrixCoder([*names.values()], whole, taken, known_functions(), star=self.star)
        coder.names.update(names)
        return coder

    def lines(self) -> tuple[list[Line], list[Line]]:
        """Return the assignments of forward and backward."""
        given = {base: name for name, base in self.inputs.items()}
        learned = {base: f"self.{name}" for name, base in self.parameters.items()}
        self.first = self.coder(given | learned, {*self.taken})
        ahead = self.code(self.first, self.ahead, learned)
        known = {base: self.first.names[base] for base in self.saved}
        known |= {self.parameters[name]: name for name in self.shared}
        known |= {} if self.upstream is None else {self.upstream: "grad_output"}
        # A number has a dtype of its own: those of arrays come first.
        known = dict(sorted(known.items(), key=lambda item: not isinstance(item[0], Array)))
        self.second = self.coder(known, {*self.taken, *(name for name, _ in ahead)})
        return ahead, self.code(self.second, [*self.again, *self.behind], known)

    def code(self, coder: MatrixCoder, steps: Sequence[Definition], names: Mapping[Any, str]) -> list[Line]:
        """Return steps as assignments, numbers by their code."""
        numbers = {base: TensorSymbol(code) for base, code in names.items() if isinstance(base, Symbol)}
        lines = []
        for step in steps:
            value = coder.definition(Definition(step.name, step.indices, step.value.xreplace(numbers), step.base))
            lines.append((coder.names[step.base], value))
        return without_repetition(lines, coder.taken)

    # Methods

    def forward(self) -> list[str]:
        """Return the body of forward."""
        shapes = Shapes(self.star)
        for name, base in self.parameters.items():
            shapes.add(f"self.{name}", base)
        for name, base in self.inputs.items():
            shapes.add(name, base, argument=name)
        kept = self.sizes_kept()
        lines = shapes.lines({*map(str, self.first.sizes), *kept, *_batch(self.ahead_lines)})
        lines += [f"        {name} = {code}" for name, code in self.ahead_lines]
        lines += self.comment()
        names = [*(self.first.names[base] for base in self.saved), *(f"self.{name}" for name in self.shared)]
        lines += enclosed("self.save_for_backward(", names, ")")
        if kept:
            lines.append(f"        self.sizes = {_tuple(kept)}")
        return [*lines, f"        return {self.first.names[self.output.base]}"]

    def comment(self) -> list[str]:
        """Return what is said of what is saved."""
        if not self.saved:
            return ["        # Nothing that forward computes, or is given, is needed by backward."]
        counts = sympy.Add(*(sympy.Mul(*self.without_star(base)) for base in self.saved))
        each = " for each of the batch" if self.star is not None else ""
        what = f"{str(counts).replace('**', '^').replace('*', ' ')} {'entry' if counts == 1 else 'entries'}{each}"
        about = (
            f"Saved, parameters apart, are {what}: from fewer the gradients do not follow without computing a sum or a"
        )
        lines = textwrap.wrap(f"{about} product of matrices again.", WIDTH - 10)
        return [f"        # {line}" for line in lines]

    def without_star(self, base: Any) -> list[Expr]:
        """Return the sizes of an array but for that of any number of axes."""
        return [extent for extent in shape_of(base) if extent != self.star]

    def told(self) -> Shapes:
        """Return the shapes that backward knows."""
        shapes = Shapes(self.star)
        for base in self.saved:
            shapes.add(self.first.names[base], base)
        for name, base in self.parameters.items():
            shapes.add(name if name in self.shared else f"self.{name}", base)
        return shapes

    def sizes_wanted(self) -> set[str]:
        """Return the sizes that backward needs."""
        shape = () if self.same_as_output() else shape_of(self.output.base)
        output = {*Shapes(self.star).names([symbol for extent in shape for symbol in extent.free_symbols])}
        return {*map(str, self.second.sizes), *_batch(self.behind_lines), *output}

    def sizes_kept(self) -> list[str]:
        """Return the sizes that backward needs, and what is saved does not tell."""
        wanted = self.sizes_wanted()
        if self.star is not None and str(self.star) in wanted:
            wanted = wanted - {str(self.star)} | {"batch"}
        return sorted(wanted - self.told().known())

    def same_as_output(self) -> str | None:
        """Return the code of something saved that has the output's shape."""
        shape = shape_of(self.output.base)
        return next((self.first.names[base] for base in self.saved if shape_of(base) == shape), None)

    def backward(self) -> list[str]:
        """Return the body of backward."""
        names = [*(self.first.names[base] for base in self.saved), *self.shared]
        lines = tuple_lines("", names, " = self.saved_tensors") if names else []
        if kept := self.sizes_kept():
            lines += tuple_lines("", kept, " = self.sizes")
        shapes, shape = self.told(), shape_of(self.output.base)
        shapes.have(kept)
        lines += shapes.lines(self.sizes_wanted())
        same = self.same_as_output()
        expected = f"{same}.shape" if same else _tuple(shapes.code(shape))
        given = "grad_output.shape" if shape else "torch.as_tensor(grad_output).shape"
        lines.append(f"        require_same_shape(grad_output={given}, output={expected})")
        lines += [f"        {name} = {code}" for name, code in self.behind_lines]
        end = self.handed_on()
        last = f"        return {self.behind_lines[-1][0]}" if self.behind_lines else ""
        if end == [last]:
            return [*lines[:-1], lines[-1].replace(f"{self.behind_lines[-1][0]} =", "return", 1)]
        return lines + end

    def handed_on(self) -> list[str]:
        """Return the lines that add to the parameters' gradients, and return those of the inputs."""
        codes = {name: self.second.names[step.base] for name, step in self.results.items()}
        scale = "grad_output * " if self.upstream is None else ""
        lines = []
        for name in self.parameters:
            if name in codes:
                # A gradient that is kept is no view, nor another tensor that is in use.
                own = scale or not _is_view(dict(self.behind_lines)[codes[name]])
                lines.append(f"        accumulate(self.{name}, {scale}{codes[name]}{'' if own else '.clone()'})")
        returned = [f"{scale}{codes[name]}" for name in self.inputs if name in codes]
        return [*lines, *tuple_lines("return ", returned)]


def _is_view(code: str) -> bool:
    """Say whether a value may share its memory with another tensor, as a sum over no axes does."""
    is_lone = code.startswith('torch.einsum("') and "," not in code.split('"')[1]
    return code.isidentifier() or code.endswith((".mT", "]")) or ".expand(" in code or is_lone


def _batch(lines: Iterable[Line]) -> set[str]:
    """Return `batch` if it is used."""
    return {"batch"} if any("*batch" in code for _, code in lines) else set()


def _tuple(items: Sequence[str]) -> str:
    return f"({', '.join(items)}{',' if len(items) == 1 else ''})"
