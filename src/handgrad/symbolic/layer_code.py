"""A program as the lines of a forward, which saves the fewest entries from which its backward follows, and of that."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import sympy
from sympy import Expr, Indexed, Symbol

from handgrad.symbolic.code_text import ROOM, WIDTH, Line, enclosed, names_in, tuple_lines, without_repetition
from handgrad.symbolic.definitions import Definition, symbols_of
from handgrad.symbolic.formulas import Array, Name, Sum, TensorSymbol
from handgrad.symbolic.joined import Joined, Told, groups, in_memory, joined, sizes_joined, split
from handgrad.symbolic.letters import symbols_beside_entries
from handgrad.symbolic.matrix_code import MatrixCoder
from handgrad.symbolic.saved import count, least, subtracted
from handgrad.symbolic.shapes import Shapes, code_of_size, shape_of
from handgrad.symbolic.stable import stabilized
from handgrad.symbolic.stacks import Stacked
from handgrad.symbolic.torch_code import known_functions
from handgrad.symbolic.whole import OfArray

# What the code around these lines calls something else so.
RESERVED = {"torch", "math", "self", "batch", "grad_output", "dtype", "device", "Layer", "Tensor", "Iterator"} | {
    *("accumulate", "require_same_shape", "forward", "backward", "parameters", "needs_input_grad", "NOT_WANTED"),
    *("save_for_backward", "saved_tensors", "sizes", "ctx", "once_differentiable", "Any"),
}


class LayerCode:
    """The lines of forward and backward.

    `inputs` are the arrays and numbers that forward is given, in their order, `parameters` those that `owner` has. It
    saves for backward. `upstream` is the gradient that comes in, None if the output is the loss.
    """

    owner, incoming = "self", "grad_output"
    is_checked = True
    """Whether the shape of the gradient that comes in is."""
    reserved: AbstractSet[str] = frozenset(RESERVED)
    """What the code around the lines calls something else so."""
    by_products = False
    """Whether what stands at computed places is written as products with deltas."""
    room = ROOM
    """How long the name and the value of a line may be."""

    def __init__(
        self,
        program: Stacked,
        inputs: Mapping[str, Any],
        parameters: Mapping[str, Any],
        upstream: Any,
        counts: Joined,
        required: Mapping[Expr, str],
    ) -> None:
        """Choose what is saved.

        `counts` are those of arrays with joined axes, `required` is what is not to be negative, and what is said then.
        """
        self.inputs, self.parameters, self.upstream, self.star = inputs, parameters, upstream, program.star
        self.output, self.counts, self.required = program.steps[-1], counts, required
        self.given = {f"self.{name}": base for name, base in parameters.items()} | dict(inputs)
        arrays = {code: base for code, base in self.given.items() if isinstance(base, Array)}
        self.told = Told({code: groups(base.shape, counts.get(base.name)) for code, base in arrays.items()})
        self.results = {name: step for name, step in program.gradients.items() if name in {*inputs, *parameters}}
        steps = stabilized([*program.steps, *program.gradients.values()], [self.output, *self.results.values()])
        self.by_base = {step.base: step for step in steps}
        ahead = self.ancestors([self.output.base])
        self.ahead = [step for step in steps if step.base in ahead]
        self.behind = [step for step in steps if step.base not in ahead]
        self.taken = {*symbols_of(steps), *inputs, *parameters, *self.reserved}
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
        made_of = {step.base: self.parts([step]) - learned for step in self.ahead if not step.value.has(Sum, OfArray)}
        needed = [base for base in values if base in self.parts(self.behind)]
        small = subtracted(extent for base in values for extent in shape_of(base))
        saved = least(needed, made_of, {base: count(shape_of(base), small) for base in values})
        again = self.ancestors(needed, without=saved)
        return [base for base in values if base in saved], [step for step in self.ahead if step.base in again]

    def coder(self, names: Mapping[Any, str], taken: set[str]) -> MatrixCoder:
        """Return a coder that knows some arrays by their code."""
        whole = frozenset(code for base, code in names.items() if isinstance(base, Array) and base.label.is_integer)
        coder = MatrixCoder([*names.values()], whole, taken, known_functions(), star=self.star)
        coder.by_products = self.by_products
        coder.names.update({base: self.split(code, base) for base, code in names.items()})
        for base in names:
            coder.sizes |= sizes_joined(shape_of(base), self.counts.get(base.name))
        return coder

    def shape(self, base: Any) -> tuple[Expr, ...]:
        """Return the shape of an array in memory."""
        return in_memory(shape_of(base), self.counts.get(base.name))

    def split(self, code: str, base: Any) -> str:
        """Return the code of an array with the axes of formulas."""
        return split(code, shape_of(base), self.counts.get(base.name))

    def stored(self, base: Any) -> str:
        """Return the code of what is saved, as it is in memory."""
        return next((code for code, given in self.given.items() if given == base), self.first.names[base])

    def lines(self) -> tuple[list[Line], list[Line]]:
        """Return the assignments of forward and backward."""
        given = {base: name for name, base in self.inputs.items()}
        learned = {base: f"self.{name}" for name, base in self.parameters.items()}
        self.first = self.coder(given | learned, {*self.taken})
        ahead = self.code(self.first, self.ahead, learned)
        known = {base: self.stored(base) for base in self.saved}
        known |= {self.parameters[name]: name for name in self.shared}
        known |= {} if self.upstream is None else {self.upstream: self.incoming}
        # A number has a dtype of its own: those of arrays come first.
        known = dict(sorted(known.items(), key=lambda item: not isinstance(item[0], Array)))
        self.second = self.coder(known, {*self.taken, *known.values()})
        return ahead, self.code(self.second, [*self.again, *self.behind], known)

    def code(self, coder: MatrixCoder, steps: Sequence[Definition], names: Mapping[Any, str]) -> list[Line]:
        """Return steps as assignments, numbers by their code."""
        numbers = {base: TensorSymbol(code) for base, code in names.items() if isinstance(base, Symbol)}
        lines = []
        for step in steps:
            value = coder.definition(Definition(step.name, step.indices, step.value.xreplace(numbers), step.base))
            lines.append((coder.names[step.base], value))
        return without_repetition(lines, coder.taken, self.room)

    def needed_by(self) -> list[set[str]]:
        """Return for each line of backward the inputs and parameters whose gradients follow from it."""
        users: dict[str, set[str]] = {self.gradient(name): {name} for name in self.results}
        found = []
        for name, code in reversed(self.behind_lines):
            found.append(users.get(name, set()))
            for used in names_in(code):
                users[used] = users.get(used, set()) | found[-1]
        return found[::-1]

    def gradient(self, name: str) -> str:
        """Return what the gradient of an input or a parameter is called."""
        return self.second.names[self.results[name].base]

    def returned(self, name: str) -> str:
        """Return the code of that gradient as it is in memory."""
        return joined(self.gradient(name), self.counts.get(name))

    # Methods

    def forward(self) -> list[str]:
        """Return the body of forward."""
        kept = self.sizes_kept()
        lines = self.sizes_of(self.inputs, {*map(str, self.first.sizes), *kept, *_batch(self.ahead_lines)})
        lines += [f"        {name} = {code}" for name, code in self.ahead_lines]
        lines += self.comment()
        names = [*map(self.stored, self.saved), *(f"self.{name}" for name in self.shared)]
        lines += enclosed(f"{self.owner}.save_for_backward(", names, ")")
        if kept:
            lines.append(f"        {self.owner}.sizes = {_tuple(kept)}")
        returned = joined(self.first.names[self.output.base], self.counts.get(self.output.name))
        return [*lines, f"        return {returned}"]

    def sizes_of(self, arguments: Mapping[str, Any], wanted: set[str]) -> list[str]:
        """Return lines that name the sizes that are wanted, and check the shapes of arguments."""
        shapes = Shapes(self.star)
        for name, base in self.parameters.items():
            shapes.add(f"self.{name}", self.shape(base))
        for name, base in arguments.items():
            shapes.add(name, self.shape(base), argument=name)
        wanted = wanted | {str(symbol) for difference in self.required for symbol in difference.free_symbols}
        asked = [f"        {extent} = self.{extent}" for extent in map(str, self.told.asked) if extent in wanted]
        shapes.have(map(str, self.told.asked))
        shapes.have(str(extent) for extent, *_ in self.told.divided)
        shapes.divided = [f"        {line}" for line in self.told.lines()]
        lines = [*asked, *shapes.lines(wanted)]
        for difference, words in self.required.items():
            least = code_of_size(difference).replace("*", " * ")
            lines += [f"        if {least} < 0:", f'            raise ValueError("{words}")']
        return lines

    def comment(self) -> list[str]:
        """Return what is said of what is saved."""
        if not self.saved:
            return ["        # Nothing that forward computes, or is given, is needed by backward."]
        counts = sympy.Add(*(sympy.Mul(*self.without_star(base)) for base in self.saved))
        each = " for each of the batch" if self.star is not None else ""
        what = f"{str(counts).replace('**', '^').replace('*', ' ')} {'entry' if counts == 1 else 'entries'}{each}"
        saved = "Saved, parameters apart, are" if self.parameters else "Saved are"
        about = (
            f"{saved} {what}: from fewer the gradients do not follow without computing a sum or a product of matrices"
        )
        lines = textwrap.wrap(f"{about} again.", WIDTH - 10)
        return [f"        # {line}" for line in lines]

    def without_star(self, base: Any) -> list[Expr]:
        """Return the sizes of an array but for that of any number of axes."""
        return [extent for extent in shape_of(base) if extent != self.star]

    def shapes_known(self) -> Shapes:
        """Return the shapes that backward knows."""
        shapes = Shapes(self.star)
        for base in self.saved:
            shapes.add(self.stored(base), self.shape(base))
        for name, base in self.parameters.items():
            shapes.add(name if name in self.shared else f"self.{name}", self.shape(base))
        return shapes

    def sizes_wanted(self) -> set[str]:
        """Return the sizes that backward needs."""
        is_told = not self.is_checked or self.same_as_output()
        output = set() if is_told else Shapes(self.star).symbols(shape_of(self.output.base))
        return {*map(str, self.second.sizes), *_batch(self.behind_lines), *output}

    def sizes_kept(self) -> list[str]:
        """Return the sizes that backward needs, and what is saved does not tell."""
        wanted = self.sizes_wanted()
        if self.star is not None and str(self.star) in wanted:
            wanted = wanted - {str(self.star)} | {"batch"}
        return sorted(wanted - self.shapes_known().known())

    def same_as_output(self) -> str | None:
        """Return the code of something saved that has the output's shape."""
        shape = self.shape(self.output.base)
        return next((self.stored(base) for base in self.saved if self.shape(base) == shape), None)

    def known(self) -> list[str]:
        """Return the lines of backward that name what is saved, and check what comes in."""
        names = [*map(self.stored, self.saved), *self.shared]
        lines = tuple_lines("", names, f" = {self.owner}.saved_tensors") if names else []
        if kept := self.sizes_kept():
            lines += tuple_lines("", kept, f" = {self.owner}.sizes")
        shapes, shape = self.shapes_known(), self.shape(self.output.base)
        shapes.have(kept)
        lines += shapes.lines(self.sizes_wanted())
        if not self.is_checked:
            return lines
        same = self.same_as_output()
        expected = f"{same}.shape" if same else _tuple(shapes.code(shape))
        given = "grad_output.shape" if shape else "torch.as_tensor(grad_output).shape"
        return [*lines, f"        require_same_shape(grad_output={given}, output={expected})"]

    def backward(self) -> list[str]:
        """Return the body of a layer's backward: what parameters need comes first, the inputs may need none."""
        by_parameters = [not by.isdisjoint(self.parameters) for by in self.needed_by()]
        ordered = sorted(zip(by_parameters, self.behind_lines, strict=True), key=lambda line: not line[0])
        lines = [f"        {name} = {code}" for _, (name, code) in ordered]
        first = by_parameters.count(True)
        scale = "grad_output * " if self.upstream is None else ""
        end = tuple_lines("return ", [f"{scale}{self.returned(name)}" for name in self.inputs if name in self.results])
        if lines[first:] and end == [f"        return {ordered[-1][1][0]}"]:
            lines[-1:], end = [lines[-1].replace(f"{ordered[-1][1][0]} =", "return", 1)], []
        return [*self.known(), *lines[:first], *self.accumulated(scale), *lines[first:], *end]

    def accumulated(self, scale: str) -> list[str]:
        """Return the lines that add to the parameters' gradients, after which who wants no other is done."""
        lines = []
        for name in self.parameters:
            code = self.returned(name)
            # A gradient that is kept is no view, nor another tensor that is in use.
            own = scale or not _is_view(dict(self.behind_lines)[self.gradient(name)])
            lines.append(f"        accumulate(self.{name}, {scale}{code}{'' if own else '.clone()'})")
        return [*lines, "        if not needs_input_grad:", "            return NOT_WANTED"] if lines else []


def _is_view(code: str) -> bool:
    """Say whether a value may share its memory with another tensor, as a sum over no axes does."""
    is_lone = code.startswith('torch.einsum("') and "," not in code.split('"')[1]
    return code.isidentifier() or code.endswith((".mT", "]")) or ".expand(" in code or is_lone


def _batch(lines: Iterable[Line]) -> set[str]:
    """Return `batch` if it is used."""
    return {"batch"} if any("*batch" in code for _, code in lines) else set()


def _tuple(items: Sequence[str]) -> str:
    return f"({', '.join(items)}{',' if len(items) == 1 else ''})"
