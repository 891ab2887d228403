"""Forward mode over definitions: how each named step moves as what it is made of does, from the first to the last.

A step's tangent is made of the tangents of the steps it uses, so the work, and the length of what comes out, grow with
the number of steps. The steps of a gradient have tangents too: together they are a second derivative times a vector.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, zip_longest
from typing import Any

from sympy import Add, Expr, Idx, Indexed, KroneckerDelta, Mul

from handgrad.symbolic.calculus import along
from handgrad.symbolic.compiled import TorchGradients
from handgrad.symbolic.definitions import Definition, define, in_order, indices_of, parts_of
from handgrad.symbolic.derivation import entry_of
from handgrad.symbolic.formulas import Sum, free_name
from handgrad.symbolic.indexed import array
from handgrad.symbolic.joined import Joined
from handgrad.symbolic.kinks import exceptions
from handgrad.symbolic.letters import free_indices, named_in
from handgrad.symbolic.matrix_code import compile_results
from handgrad.symbolic.notation import Markdown, derivative, latex
from handgrad.symbolic.reuse import Known, in_names, length
from handgrad.symbolic.reverse import Program, backward, require_like, short_form, sources_of
from handgrad.symbolic.steps import DerivationStep, Derived, framed, listed, matrix_step, opening
from handgrad.symbolic.terms import contract


@dataclass(frozen=True)
class Tangent(Derived):
    """How one step of a program of `output` moves, from the tangents of what the step is made of."""

    @property
    def formula(self) -> Markdown:
        """The result as a product of matrices where it has such a form, else entry by entry, to stand in a sentence."""
        return short_form(self.result)


@dataclass(frozen=True)
class TangentProgram:
    """The tangents of `moved`, and by name of each step on the way to them that moves, the first step first."""

    output: Definition
    """What was differentiated: of a second derivative, the loss; else what is moved itself."""
    moved: tuple[Definition, ...]
    tangents: dict[str, Tangent]
    joined: Joined
    """How many indices each axis of an array has, where one has several."""
    required: Mapping[Expr, str]
    """What is not to be negative, and what is said where it is."""

    def __getitem__(self, step: Any) -> Tangent:
        """Return the tangent of a step, given as itself or by its name; KeyError if none is derived."""
        name = step if isinstance(step, str) else step.name
        if name not in self.tangents:
            raise KeyError(f"no tangent of {name} is derived: there are those of {', '.join(self.tangents)}")
        return self.tangents[name]

    def compile(self, *steps: Any) -> TorchGradients:
        """Return one torch function of the arrays, and of their tangents, that computes each step once.

        It returns the tangents of `steps`, by name of the step; without any, those of what is moved. KeyError where
        there is none.
        """
        chosen = [step if isinstance(step, str) else step.name for step in steps or self.moved]
        made_of = [*_steps(self.moved), *(tangent.result for tangent in self.tangents.values())]
        results = {name: self[name].result for name in chosen}
        return compile_results("tangents", made_of, results, self.joined, self.required)

    def _repr_markdown_(self) -> str:
        """Return the steps, and below them their tangents, each of which opens to its derivation."""
        own, steps = {*in_order(self.output)}, _steps(self.moved)
        parts = listed("forward", (step for step in steps if step in own))
        if back := [step for step in steps if step not in own]:
            parts += listed("backward", back)
        parts += opening("tangents", ((tangent.result, tangent) for tangent in self.tangents.values()))
        return framed(f"the tangents of {', '.join(step.name for step in self.moved)}", self.output, "\n\n".join(parts))


def jvp(output: Definition | Program, *wrt: Any, tangents: Sequence[Any] = ()) -> TangentProgram:
    """Derive how the output, and each step on the way to it, moves as each array or number in `wrt` moves: J v.

    `wrt` are arrays, numbers or steps, themselves or by their names; without any, all real arrays and numbers are meant
    that the output starts from. `tangents` are the directions v in which they move, one for each of `wrt`, arrays of
    their shapes, or numbers; without any, that of X is called X_dot. The tangent of each step has the step's shape.
    ValueError if something in `wrt` is whole, no part of the output, or made of another, or a tangent's name is taken;
    TypeError on a tangent of another shape.
    """
    program = output if isinstance(output, Program) else Program(output, {}, None)
    return _forward(program, (program.output,), sources_of(program.output, wrt), tangents)


def hvp(loss: Definition | Program, *wrt: Any, tangents: Sequence[Any] = ()) -> TangentProgram:
    """Derive how the gradients of a loss move as each array or number in `wrt` moves: its Hessian times v.

    It is forward mode over the steps of the gradients: it costs a small multiple of what they cost. `wrt` and
    `tangents` are those of `jvp`, and the errors too; the tangent of dX has the shape of X. If the loss is no number,
    what is meant is ⟨G, loss⟩, with the gradient that comes in held fixed.
    """
    program = loss if isinstance(loss, Program) else backward(loss, *wrt)
    sources = sources_of(program.output, wrt)
    return _forward(program, tuple(program[source].result for source in sources), sources, tangents)


def _steps(moved: Sequence[Definition]) -> list[Definition]:
    """Return what definitions are made of, and themselves, each after those it uses."""
    return [*dict.fromkeys(step for definition in moved for step in in_order(definition))]


def _forward(
    program: Program, moved: tuple[Definition, ...], sources: Sequence[Any], tangents: Sequence[Any]
) -> TangentProgram:
    """Derive the tangents of the steps that depend on the sources, and of those that are asked for."""
    output, counts = program.output, program.joined
    steps = _steps(moved)
    taken = {step.name for step in steps}.union(*({part.name for part in parts_of(made)} for made in (output, *moved)))
    moving = _directions(output, sources, tangents, taken)
    like = {moving[source].name: counts[source.name] for source in sources if source.name in counts}
    found: dict[str, Tangent] = {}
    for step in steps:
        used = {part: moving[part] for part in sorted(named_in(step.value) & moving.keys(), key=lambda part: part.name)}
        if step.base in moving and used:
            raise ValueError(f"{step.name} is made of {next(iter(used)).name}: only one of them can be given a tangent")
        if step.base not in moving and (used or step in moved):
            found[step.name] = tangent = _tangent(output, step, used, free_name(f"{step.name}_dot", taken))
            if tangent.result.value != 0:
                moving[step.base] = tangent.result.base
    return TangentProgram(output, moved, found, {**counts, **like}, program.required)


def _directions(output: Definition, sources: Sequence[Any], tangents: Sequence[Any], taken: set[str]) -> dict[Any, Any]:
    """Return the tangent of each source."""
    if tangents and len(tangents) != len(sources):
        names = ", ".join(source.name for source in sources)
        raise ValueError(f"there are {len(tangents)} tangents, and there is to be one for each of {names}")
    found = {}
    for source, given in zip_longest(sources, tangents):
        shape = getattr(source, "shape", ())
        if given is not None:
            require_like(output, given, shape, f"tangent of {source.name}", taken)
            taken.add(given.name)
        found[source] = array(free_name(f"{source.name}_dot", taken), *shape) if given is None else given
    return found


def _tangent(output: Definition, step: Definition, moving: Mapping[Any, Any], name: str) -> Tangent:
    """Derive the tangent of a step from those of what it uses."""
    rules = differentiated(step, {part: partial(_at, tangent) for part, tangent in moving.items()})
    result = define(name, rules[-1][1], *step.indices)
    steps = [DerivationStep("definition", f"{latex(step.entry)} = {latex(step.value)}")]
    if moving:
        links = " + ".join(_link(step, *part) for part in moving.items())
        steps.append(DerivationStep("chain rule", f"{latex(result.entry)} = {links}"))
    steps += [DerivationStep(rule, f"{latex(result.entry)} = {latex(value)}") for rule, value in rules]
    steps += matrix_step(latex(result.base_name), result)
    labels = {getattr(part, "label", part) for part in moving}
    return Tangent(output, tuple(steps), result, exceptions([step], labels, result.value))


def _at(tangent: Any, part: Expr) -> Expr:
    """Return the tangent of an entry, or of a number."""
    return tangent[part.indices] if isinstance(part, Indexed) else tangent


def differentiated(
    step: Definition, derivatives: Mapping[Any, Callable[[Expr], Expr]], taken: tuple[Idx, ...] = ()
) -> list[tuple[str, Expr]]:
    """Return the derivative of a step, made of those of what it uses, as each rule that changes it leaves it.

    `taken` are the indices that it has besides those of the step.
    """
    value = along(step.value, derivatives, taken).replace(_is_of_products, _split)
    found = [("differentiate", value)]
    contracted = contract(value)
    if value.has(KroneckerDelta):
        found.append(("contract the deltas", contracted))
    elif length(contracted) < length(value):
        found.append(("collect terms", contracted))
    named = in_names(found[-1][1], Known(step.entry, step.value))
    if step.base in named_in(named):
        found.append(("name what is known", named))
    return [found[0], *(after for before, after in pairwise(found) if after[1] != before[1])]


def _is_of_products(value: Expr) -> bool:
    """Say whether a value is a sum of terms that are each a product of arrays to be summed, not one entry by entry."""
    if not isinstance(value, Sum) or not isinstance(value.function, Add):
        return False
    factors = [factor for term in value.function.args for factor in Mul.make_args(term) if free_indices(factor)]
    return any(free_indices(factor) != free_indices(value.function) for factor in factors)


def _split(value: Sum) -> Expr:
    return Add(*(Sum(term, *(index for index, *_ in value.limits)) for term in value.function.args))


def _link(step: Definition, part: Any, tangent: Any) -> str:
    """Return the LaTeX of a part's term of the chain rule."""
    entry = entry_of(part, [step])
    link = f"{derivative(latex(step.entry), latex(entry))} {latex(_at(tangent, entry))}"
    summed = ", ".join(map(latex, indices_of(entry)))
    return f"\\sum_{{{summed}}} {link}" if summed else link
