"""Backpropagation over definitions: one short derivation for each named step, from the last to the first.

What a step was computed from, and what it is, stay names: no definition is put in another's place, so the work, and the
length of what comes out, grow with the number of steps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from sympy import Add, Expr, IndexedBase, Symbol

from handgrad.symbolic.array_source import JAX, NUMPY, array_source
from handgrad.symbolic.compiled import TorchFunction, TorchGradients
from handgrad.symbolic.definitions import Definition, define, in_order, label_of, made_of, parts_of, require_parts
from handgrad.symbolic.derivation import Derivation, vjp
from handgrad.symbolic.formulas import Sum
from handgrad.symbolic.function_source import function_source
from handgrad.symbolic.indexed import array
from handgrad.symbolic.layer_source import layer_source
from handgrad.symbolic.letters import freshened, named_in, size
from handgrad.symbolic.matrix import matrix_form
from handgrad.symbolic.matrix_code import compile_results
from handgrad.symbolic.notation import Markdown, derivative, latex
from handgrad.symbolic.plain_text import equation
from handgrad.symbolic.reuse import Known, in_names
from handgrad.symbolic.source_text import Computed
from handgrad.symbolic.steps import DerivationStep, framed, listed, matrix_step, opening, sides
from handgrad.symbolic.torch_code import compile_torch


@dataclass(frozen=True)
class Gradient:
    """dL/d(wrt) of one step of the program of `output`, from those of the steps that use it."""

    output: Definition
    derivation: Derivation
    """How it is derived: the steps that it is made of, and their gradients, are given arrays in it."""
    result: Definition
    """The gradient, made of the program's own steps and gradients."""

    @property
    def formula(self) -> Markdown:
        """The result as a product of matrices where it has such a form, else entry by entry, to stand in a sentence."""
        return short_form(self.result)

    def compile(self) -> TorchFunction:
        """Return the result as a torch function of the arrays that the program starts from, by name."""
        return compile_torch(self.result)

    def show(self, label: str | None = None, skip: int = 0) -> Markdown:
        """Return the steps, as `Derivation.show` does."""
        self.derivation.output.base_name.compared_with = self.output.base_name.compared_with
        return self.derivation.show(label, skip)

    def _repr_markdown_(self) -> str:
        return self.show().text


@dataclass(frozen=True)
class Program:
    """The backward pass of `output`: by name, the gradient with respect to each step, the last step first."""

    output: Definition
    gradients: dict[str, Gradient]
    grad_output: Any
    """The array of the gradient with respect to the output; None if that is the loss."""
    arguments: tuple[str, ...] = ()
    """The names of what it starts from in the order of the function that was traced."""
    joined: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """How many indices each axis of an array has, where one has several."""
    required: Mapping[Expr, str] = field(default_factory=dict)
    """What is not to be negative, and what is said where it is."""

    def __getitem__(self, wrt: Any) -> Gradient:
        """Return the gradient with respect to a step or an array, given as itself or by its name; KeyError if none."""
        name = wrt if isinstance(wrt, str) else wrt.name
        if name not in self.gradients:
            raise KeyError(f"no gradient with respect to {name}: there are those of {', '.join(self.gradients)}")
        return self.gradients[name]

    def compile(self, *wrt: Any) -> TorchGradients:
        """Return one torch function of the arrays, and of the gradient that comes in, that computes each step once.

        It returns the gradients with respect to `wrt`, by name; without any, those of the arrays and numbers that the
        program starts from. KeyError where there is none.
        """
        defined = {step.name for step in in_order(self.output)}
        names = [part if isinstance(part, str) else part.name for part in wrt]
        results = {name: self[name].result for name in names or self.gradients if names or name not in defined}
        steps = [*in_order(self.output), *(gradient.result for gradient in self.gradients.values())]
        results = results or {name: gradient.result for name, gradient in self.gradients.items()}
        return compile_results("gradients", steps, results, self.joined, self.required)

    def layer(self, name: str, parameters: Sequence[str] = ()) -> str:
        """Return the source of a `handgrad.Layer` that computes the output, and its gradients.

        What the program starts from is the input of `forward`, but for `parameters`, the names of arrays and numbers:
        they are made from their sizes by `__init__`, and `backward` adds to their gradients. It returns that of the
        input, a tuple where there are several. Inputs may have any number of axes before those of the program if it
        treats each row alone, or sums over all; else the program is repeated for each place in them. `forward` saves
        the fewest entries from which `backward` follows without computing a sum or a product of matrices again.
        ValueError if no input has a gradient, and on names that something in a layer has.
        """
        return layer_source(self._computed, name, parameters)

    def function(self, name: str, parameters: Sequence[str] = ()) -> str:
        """Return the source of a differentiable function of tensors, by way of a `torch.autograd.Function`.

        Its arguments are what the program starts from. They may have any number of axes before those of the program, as
        the inputs of `layer` may; all of such a stack share the `parameters`. Saved is the least, as there. Gradients
        that autograd does not ask for are not computed, and there is no second derivative. ValueError as for `layer`.
        """
        return function_source(self._computed, name, parameters)

    def numpy(self, name: str = "") -> str:
        """Return the source of two functions of numpy's arrays: the output, and its gradients.

        `attention(Q, K, V)` and `attention_backward(Q, K, V, G)`, if that is their name, else `forward` and `backward`,
        are given what the program starts from, in the shapes that it has, and the gradient that comes in. The second
        returns the gradients in the order of the arguments, one alone by itself, and computes again what it needs. They
        need numpy 2.1, and scipy for erf. ValueError on names that the code has already.
        """
        return array_source(self._computed, name, NUMPY)

    def jax(self, name: str = "") -> str:
        """Return the source of the same functions as `numpy`, of jax's arrays: see there."""
        return array_source(self._computed, name, JAX)

    @property
    def _computed(self) -> Computed:
        gradients = {wrt: gradient.result for wrt, gradient in self.gradients.items()}
        return Computed(self.output, gradients, self.arguments, self.joined, self.required)

    def latex(self) -> str:
        """Return the steps, and below them the gradients, as one `aligned` environment, to stand in displayed formulas.

        Each is a product of matrices where it has such a form, else given entry by entry; dL/dA is called dA.
        """
        results = [gradient.result for gradient in self.gradients.values()]
        parts = (
            " \\\\\n".join(f"{left} &= {right}" for left, right in map(sides, steps))
            for steps in (in_order(self.output), results)
        )
        return "\\begin{aligned}\n" + " \\\\[1ex]\n".join(parts) + "\n\\end{aligned}"

    def __str__(self) -> str:
        gradients = (gradient.result for gradient in self.gradients.values())
        return "\n".join(map(equation, [*in_order(self.output), *gradients]))

    def _repr_markdown_(self) -> str:
        """Return the steps, and below them their gradients, each of which opens to its derivation."""
        back = ((gradient.result, gradient.derivation) for gradient in self.gradients.values())
        parts = [*listed("forward", in_order(self.output)), *opening("backward", back)]
        return framed(f"the backward pass of {self.output.name}", self.output, "\n\n".join(parts))


def short_form(definition: Definition) -> Markdown:
    """Return what is defined as a product of matrices where it has such a form, else entry by entry."""
    return Markdown(f"${matrix_form(definition) or latex(definition.value)}$")


def backward(output: Definition, *wrt: Any, grad_output: Any = None) -> Program:
    """Derive dL/dA for each array or number A in `wrt`, and for each step between A and the output.

    They are given as themselves or by their names; without any, all real ones are meant that the output starts from.
    L is any number that depends on them through `output` alone and is differentiable at it; its gradient there is
    `grad_output`, an array of the output's shape, or a number; one called G if none is given, but if the output is a
    number, L is then the output itself. ValueError if something in `wrt` is whole, or no part of the output, or has the
    name of the loss.
    """
    steps, sources = in_order(output), sources_of(output, wrt)
    taken = {part.name for part in parts_of(output)} | {step.name for step in steps}
    upstream = _upstream(output, grad_output, taken)
    reverse = _Reverse(steps, "L" if upstream is not None else output.name, {output.base: upstream})
    gradients = {}
    for part in reversed(_between(steps, sources)):
        name = f"d{part.name}"
        while name in taken:
            name += "_"
        taken.add(name)
        gradients[part.name] = reverse.gradient(part, name)
    return Program(output, gradients, upstream)


def sources_of(output: Definition, wrt: Sequence[Any]) -> list[Any]:
    """Return the arrays and numbers meant, given as themselves or by their names, without any all that are real."""
    named = {part.name: part for part in parts_of(output)}
    given = [named.get(part, Symbol(part)) if isinstance(part, str) else part for part in wrt]
    bases = [*dict.fromkeys(part.base if isinstance(part, Definition) else part for part in given)]
    require_parts(output, bases)
    for base in bases:
        if base.is_integer:
            raise ValueError(f"{base.name} holds whole numbers: there is no derivative with respect to it")
    return bases or [part for part in made_of(output).values() if not part.is_integer]


def _between(steps: Sequence[Definition], sources: Sequence[Any]) -> list[Any]:
    """Return the sources, and the steps but the last that depend on one of them, each after those it uses."""
    defined = {step.base for step in steps}
    wanted = {*sources}
    found = dict.fromkeys(source for source in sources if source not in defined)
    for step in steps[:-1]:
        if step.base in wanted or not found.keys().isdisjoint(named_in(step.value)):
            found[step.base] = None
    return [*found]


def _upstream(output: Definition, grad_output: Any, taken: set[str]) -> Any:
    """Return the gradient that comes in; None if the output is the loss."""
    if grad_output is None and not output.indices:
        return None
    if "L" in taken:
        raise ValueError(f"{output.name} is made of an L, and the loss is called so: rename the first")
    shape = tuple(map(size, output.indices))
    given = array("G", *shape) if grad_output is None else grad_output
    require_like(output, given, shape, f"grad_output of {output.name}", taken)
    return given


def require_like(output: Definition, given: Any, shape: tuple[Expr, ...], what: str, taken: set[str]) -> None:
    """Raise TypeError unless what is given is an array of a shape, or a number; ValueError if its name is taken."""
    if not isinstance(given, (IndexedBase, Symbol)) or tuple(getattr(given, "shape", ())) != shape:
        raise TypeError(f"the {what} is an array of its shape, and {given!r} is none")
    if given.name in taken:
        raise ValueError(f"{output.name} is made of a {given.name} already: give the {what} another name")


class _Use(NamedTuple):
    """A step that uses what is differentiated by, all else in it being given; its entry; and the gradient there."""

    step: Definition
    entry: Expr
    gradient: Expr | None

    @property
    def term(self) -> Expr:
        """What the loss has of it: ⟨dL/dU, U⟩, or the loss itself."""
        return self.step.value if self.gradient is None else Sum(self.gradient * self.step.value, *self.step.indices)

    def link(self, wrt: str) -> str:
        """Return the LaTeX of its term of the chain rule."""
        if self.gradient is None:
            return f"\\frac{{\\partial}}{{\\partial {wrt}}} \\left({latex(self.step.value)}\\right)"
        product = f"{latex(self.gradient)} {derivative(latex(self.entry), wrt)}"
        summed = ", ".join(map(latex, self.step.indices))
        return f"\\sum_{{{summed}}} {product}" if summed else product


@dataclass
class _Reverse:
    """Derives the gradients one after the other, the last step first."""

    steps: Sequence[Definition]
    of: str
    upstream: dict[Any, Any]
    """The gradient of each step that is known, as a given array; None for the loss."""
    given: dict[Any, Any] = field(init=False)
    """An array to stand for each step."""
    defined: dict[Any, Any] = field(init=False)
    """What those arrays stand for, and those of `upstream`."""
    users: dict[Any, list[Definition]] = field(init=False)
    """The steps that use each part."""

    def __post_init__(self) -> None:
        self.given = {step.base: array(step.name, *map(size, step.indices)) for step in self.steps}
        self.defined = {plain: base for base, plain in self.given.items()}
        self.users = {}
        for step in self.steps:
            for part in named_in(step.value):
                self.users.setdefault(part, []).append(step)

    def gradient(self, part: Any, name: str) -> Gradient:
        """Derive the gradient with respect to a part from the steps that use it, whose gradients are known.

        As far as the part is concerned, the loss is the sum of ⟨dL/dU, U⟩ over these steps U: both ends of each product
        but what is made of the part itself stay as they are.
        """
        uses = [self.use(step) for step in self.users[part] if step.base in self.upstream]
        loss = define(self.of, _total(uses))
        derivation = vjp(loss, self.given.get(part, part))
        derivation = replace(derivation, steps=(*_rules(uses, derivation), *derivation.steps[1:]))
        value, indices = derivation.result.value, derivation.result.indices
        for use in uses:
            value = in_names(value, Known(use.entry, use.step.value))
        if value != derivation.result.value:
            derivation = _with_names(derivation, define(derivation.result.name, value, *indices))
        result = define(name, value.xreplace(self.defined), *indices)
        self.upstream[part] = array(name, *map(size, indices))
        self.defined[self.upstream[part]] = result.base
        return Gradient(self.steps[-1], derivation, result)

    def use(self, step: Definition) -> _Use:
        plain, gradient = self.given[step.base], self.upstream[step.base]
        entry = plain[step.indices] if step.indices else plain
        if gradient is not None and step.indices:
            gradient = gradient[step.indices]
        return _Use(replace(step, value=step.value.xreplace(self.given)), entry, gradient)


def _total(uses: Sequence[_Use]) -> Expr:
    # Letters of its own for each: two steps may have one letter over two sizes.
    return Add(*(freshened(use.term) for use in uses)) if len(uses) > 1 else uses[0].term


def _rules(uses: Sequence[_Use], derivation: Derivation) -> list[DerivationStep]:
    """Return the definitions of the steps, and the chain rule over them, but for the loss by itself."""
    steps = [DerivationStep("definition", f"{latex(use.entry)} = {latex(use.step.value)}") for use in uses]
    if [use.gradient for use in uses] != [None]:
        links = " + ".join(use.link(latex(derivation.entry)) for use in uses)
        steps.append(DerivationStep("chain rule", f"{derivation.name} = {links}"))
    return steps


def _with_names(derivation: Derivation, result: Definition) -> Derivation:
    """Add the step that names what is known, and the matrix form of what it leads to."""
    steps = [step for step in derivation.steps if step.rule != "matrix form"]
    steps.append(DerivationStep("name what is known", f"{derivation.name} = {latex(result.value)}"))
    steps += matrix_step(derivative(derivation.of, latex(label_of(derivation.entry))), result)
    return replace(derivation, steps=tuple(steps))
