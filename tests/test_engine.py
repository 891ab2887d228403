"""Derivations of random definitions are right: what loops and dual numbers give, in every entry."""

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from random import Random
from typing import Any

import pytest
import torch
from definitions import Example, Variable, filled, names_in, random_definition
from evaluator import Dual, Evaluator, Place, Values, moved, part, with_variables
from matrices import UnknownError, matrix_value
from sympy import Add, Dummy, Expr, Indexed, Integer, Mul, Piecewise, Pow, exp, preorder_traversal
from torch import Tensor

from handgrad.symbolic import (
    Definition,
    Iverson,
    Sum,
    array,
    backward,
    define,
    formulas,
    hvp,
    jacobian,
    jvp,
    letters,
    terms,
    vjp,
)
from handgrad.symbolic.coder import Coder
from handgrad.symbolic.definitions import definition_of
from handgrad.symbolic.matrix import matrix_form
from handgrad.symbolic.torch_code import compile_torch


class RefusedError(Exception):
    """The engine refuses something, with a reason."""


@contextmanager
def refusals() -> Iterator[None]:
    """Tell the engine's refusals from what is wrong elsewhere."""
    try:
        yield
    except ValueError as refused:
        reason = str(refused).rpartition(": ")[2]
        raise RefusedError(re.sub(r"\S*[\[\](){}*/^=+-]\S*|\b\w\b", "…", reason)) from refused


@dataclass
class Subject:
    """A definition with all that its derivatives are checked against."""

    example: Example

    def __post_init__(self) -> None:
        random = Random(self.example.seed)
        self.real = self.example.real
        self.shape = tuple(index.upper + 1 for index in self.example.definition.indices)
        one: Values = {(): Fraction(1)}
        self.G: Values = one if not self.shape else filled(random, Variable(None, self.shape), self.example.sizes)
        self.moving = random.choice([*self.real])
        self.by = random.choice([*self.real])
        self.V = filled(random, self.real[self.moving], self.example.sizes)
        self.all_move = {name: filled(random, variable, self.example.sizes) for name, variable in self.real.items()}

    def evaluator(self, **replaced: Values) -> Evaluator:
        return Evaluator(self.example.sizes, {**self.example.arrays, **replaced})

    def outputs(self, moves: bool = False) -> Values:
        """Return the entries of the output, each with its derivatives by the entries of all arrays."""
        arrays: dict[str, Values] = {name: self.example.arrays[name] for name in self.real}
        if moves:
            arrays[self.moving] = moved(arrays[self.moving], self.V)
        variables = {name: with_variables(name, values) for name, values in arrays.items()}
        return self.evaluator(**variables).values(self.example.definition)

    def gradient(self, outputs: Values, name: str, places: Iterable[Place] | None = None) -> Values:
        return {
            place: sum((g * part(outputs[at], (name, place)) for at, g in self.G.items()), Fraction(0))
            for place in places or self.example.arrays[name]
        }

    def run(self, definition: Definition, shape: tuple[int, ...]) -> Tensor:
        """Compile a definition and run it."""
        with refusals():
            function = compile_torch(definition)
        arrays = {**self.example.arrays, "G": self.G, "V": self.V}
        arrays |= {f"{name}_dot": direction for name, direction in self.all_move.items()}
        whole = {name for name, variable in self.example.variables.items() if variable.whole is not None}
        given: dict[str, Any] = {name: self.example.sizes[name] for name in function.sizes}
        for name in function.arrays:
            given[name] = tensor(arrays[name], torch.int64 if name in whole else torch.float64)
        value = function(**given)
        assert value.shape == shape, f"{self.example}\n{function.source}\nhas shape {value.shape}, not {shape}"
        return value

    def compare(self, what: str, actual: Tensor, expected: Mapping[Place, Any], source: object) -> None:
        reference = tensor(expected)
        limit = 1e-9 * (1 + reference.abs().max())
        if not bool(((actual - reference).abs() <= limit).all()):
            raise AssertionError(f"{self.example}\n{what}: {source}\n is {actual.tolist()},\nnot {reference.tolist()}")

    # What is checked

    def check_output(self) -> Values:
        outputs = self.outputs()
        expected = {place: value.real if isinstance(value, Dual) else value for place, value in outputs.items()}
        definition = self.example.definition
        self.compare("the output", self.run(definition, extents(expected)), expected, definition.value)
        if (text := matrix_form(definition)) is not None:
            self.check_matrix("the output", text, expected)
        return outputs

    def check_gradient(self, outputs: Values, name: str) -> Counter[str]:
        with refusals():
            derived = vjp(self.example.definition, self.real[name].base)
        expected = self.gradient(outputs, name)
        self.compare(derived.name, self.run(derived.result, extents(expected)), expected, derived.result.value)
        counts, last = Counter(["gradients"]), derived.steps[-1]
        if last.rule == "matrix form":
            counts[self.check_matrix(derived.name, last.latex.partition(" = ")[2], expected)] += 1
        return counts

    def check_program(self, outputs: Values) -> None:
        """The gradients of a program, each made of those of the steps that use it."""
        with refusals():
            program = backward(self.example.definition)
        for name in self.real:
            expected, derived = self.gradient(outputs, name), program[name].result
            self.compare(derived.name, self.run(derived, extents(expected)), expected, derived.value)

    def check_tangents(self) -> None:
        """The tangents of a program, and of its gradients, each made of those of what it uses, as all arrays move."""
        arrays = {name: moved(self.example.arrays[name], direction) for name, direction in self.all_move.items()}
        outputs = self.evaluator(**arrays).values(self.example.definition)
        with refusals():
            derived = jvp(self.example.definition)[self.example.definition].result
        expected = {place: part(value, "moved") for place, value in outputs.items()}
        self.compare(derived.name, self.run(derived, extents(expected)), expected, derived.value)
        variables = {name: with_variables(name, values) for name, values in arrays.items()}
        outputs = self.evaluator(**variables).values(self.example.definition)
        with refusals():
            program = backward(self.example.definition)
            second = hvp(program)
        for name in self.real:
            gradient = self.gradient(outputs, name)
            expected = {place: part(value, "moved") for place, value in gradient.items()}
            derived = second[program[name].result].result
            self.compare(derived.name, self.run(derived, extents(expected)), expected, derived.value)

    def check_matrix(self, what: str, text: str, expected: Mapping[Place, Any]) -> str:
        given: dict[str, Any] = {**self.example.sizes}
        for name, values in {**self.example.arrays, "G": self.G}.items():
            given[{"alpha": r"\alpha", "beta": r"\beta"}.get(name, name)] = tensor(values).numpy()
        for step in self.example.intermediate:
            given[step.name] = tensor(self.evaluator().values(step)).numpy()
        try:
            value = matrix_value(text, given, extents(expected))
        except UnknownError:
            return "matrix forms not read"
        except ValueError as error:
            raise AssertionError(f"{self.example}\n{what} = {text}\ncannot be read: {error}") from error
        self.compare(f"the matrix form of {what}", torch.tensor(value), expected, text)
        return "matrix forms"

    def check_gradient_by_what_is_defined(self, definition: Definition) -> None:
        """What is defined is differentiated by as if its entries were given."""
        with refusals():
            derived = vjp(self.example.definition, definition.base)
        evaluator = self.evaluator()
        variables = with_variables(definition.name, evaluator.values(definition))
        evaluator.entries |= {(definition.base, place): value for place, value in variables.items()}
        expected = self.gradient(evaluator.values(self.example.definition), definition.name, variables)
        self.compare(derived.name, self.run(derived.result, extents(expected)), expected, derived.result.value)

    def check_jacobian(self, outputs: Values, name: str) -> None:
        with refusals():
            derived = jacobian(self.example.definition, self.real[name].base)
        places = self.example.arrays[name]
        expected = {at + place: part(output, (name, place)) for at, output in outputs.items() for place in places}
        self.compare(derived.name, self.run(derived.result, extents(expected)), expected, derived.result.value)

    def check_second_derivative(self) -> None:
        """The gradient by one array, summed against V, is differentiated by another."""
        shape = self.real[self.moving].shape
        V = array("V", *shape)
        gradient = self.gradient(self.outputs(moves=True), self.by)
        expected = {place: part(value, "moved") for place, value in gradient.items()}
        with refusals():
            first = vjp(self.example.definition, self.real[self.moving].base).result
            summed = Sum(first[first.indices] * (V[first.indices] if shape else V), *first.indices)
            second = define("h", summed)
        if self.by not in names_in(summed):
            assert not any(expected.values()), f"{self.example}\nthe derivative by {self.moving} lacks {self.by}"
            return
        with refusals():
            second = vjp(second, self.real[self.by].base).result
        actual = self.run(second, extents(expected))
        self.compare(f"derivative by {self.by} of that by {self.moving}", actual, expected, second.value)


def tensor(values: Mapping[Place, Any], dtype: torch.dtype = torch.float64) -> Tensor:
    numbers = [float(value) for value in values.values()]
    return torch.tensor(numbers, dtype=dtype).reshape(extents(values))


def extents(values: Mapping[Place, Any]) -> tuple[int, ...]:
    return tuple(max(axis) + 1 for axis in zip(*values, strict=True))


def check(seed: int, every: int = 1) -> Counter[str]:
    """Check what is derived from the definition of a seed, return what was counted; AssertionError if it is wrong.

    Of the longer checks, each is done for one in `every` seeds.
    """
    counts = Counter({"definitions": 1})
    try:
        with refusals():
            example = random_definition(seed)
        subject = Subject(example)
        outputs = subject.check_output()
        names = [*subject.real] if every == 1 else [subject.by]
        for name in names:
            counts += subject.check_gradient(outputs, name)
        for definition in example.intermediate:
            subject.check_gradient_by_what_is_defined(definition)
        if seed % every == 0:
            subject.check_jacobian(outputs, subject.by)
        if (seed + every // 2) % every == 0:
            subject.check_second_derivative()
        if (seed + every // 4) % every == 0:
            subject.check_program(outputs)
        if seed % (8 * every) == 3 * every // 4:
            subject.check_tangents()
    except RefusedError as refused:
        counts["refused"] += 1
        counts[f"refused: {refused}"] += 1
    return counts


def checked(seeds: Iterable[int], every: int = 1) -> Counter[str]:
    return sum((check(seed, every) for seed in seeds), Counter[str]())


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, 500, 25))
def test_derivatives_of_random_definitions_are_those_of_loops_and_dual_numbers(start: int) -> None:
    counts = checked(range(start, start + 25), every=10)
    assert counts["gradients"] >= 22, counts
    assert counts["matrix forms"] >= 4, counts
    assert counts["refused"] <= 2, counts


@pytest.mark.deep
@pytest.mark.parametrize("start", range(10_000, 20_000, 500))
def test_every_derivative_of_ten_thousand_definitions_is_right(start: int) -> None:
    counts = checked(range(start, start + 500))
    assert counts["gradients"] >= 700, counts
    assert counts["matrix forms"] >= 150, counts
    assert counts["refused"] <= 20, counts


@pytest.mark.slow
def test_the_definitions_have_everything_in_them_that_has_rules() -> None:
    found: Counter[str] = Counter()
    for seed in range(400):
        try:
            example = random_definition(seed)
        except ValueError:
            continue
        steps = [*example.intermediate, example.definition]
        parts = [part for step in steps for part in preorder_traversal(step.value)]
        found.update({type(part).__name__ for part in parts})
        found["sum in a sum"] += any(isinstance(part, Sum) and part.function.has(Sum) for part in parts)
        places = [index for part in parts if isinstance(part, Indexed) for index in part.indices]
        found["look-up"] += any(isinstance(index, Indexed) for index in places)
        found["computed place"] += any(isinstance(index, (Add, Mul)) for index in places)
        divisors = [part.base for part in parts if isinstance(part, Pow) and part.exp.could_extract_minus_sign()]
        found["sigmoid"] += any(isinstance(part, Add) and part.has(exp) and part.has(Integer(1)) for part in divisors)
        found["softmax"] += any(isinstance(part, Sum) and part.has(exp) for part in divisors)
        found["array and number defined"] += bool(example.intermediate)
        found[f"{len(example.definition.indices)} axes"] += 1
    kinds = [
        "Sum",
        "Mul",
        "Pow",
        "Piecewise",
        "Iverson",
        "KroneckerDelta",
        "Name",
        "exp",
        "log",
        "tanh",
        "sin",
        "cos",
        "Abs",
        "Rational",
    ]
    kinds += ["sigmoid", "softmax", "sum in a sum", "look-up", "computed place", *(f"{axes} axes" for axes in range(4))]
    assert {kind: found[kind] for kind in kinds if found[kind] < 5} == {}


# Wrong rules


def without_a_term(value: Expr, entry: Expr) -> Expr:
    found = RIGHT["differentiate"](value, entry)
    return Add(*found.args[1:]) if isinstance(found, Add) else found


def without_what_is_defined(value: Expr, entry: Expr) -> Expr:
    hidden = {part: Dummy() for part in letters.outermost(value, (Indexed, formulas.Name))}
    defined = {part: hidden[part] for part in hidden if definition_of(part)}
    return RIGHT["differentiate"](value.xreplace(defined), entry)


def without_a_factor(value: Expr) -> Expr:
    found = RIGHT["contract"](value)
    return Mul(*found.args[1:]) if isinstance(found, Mul) else found


def without_repeats(term: terms.Term) -> Expr:
    found = [index for index in term.dummies if any(index in letters.free_indices(f) for f in term.factors)]
    return RIGHT["rebuilt"](terms.Term(term.factors, tuple(found)))


def with_every_case(value: Expr) -> Expr:
    """Write cases as brackets, as if those before did not count."""

    def brackets(cases: Expr) -> Expr:
        return Add(*(branch * Iverson(condition) for branch, condition in cases.args))

    return value.replace(lambda part: isinstance(part, Piecewise), brackets)


def without_a_transpose(definition: Definition) -> str | None:
    found: str | None = RIGHT["matrix_form"](definition)
    return found and found.replace(r"^{\mathsf{T}}", "", 1)


def with_another_sign(definition: Definition) -> str | None:
    found: str | None = RIGHT["matrix_form"](definition)
    return found and found.replace(" - ", " + ")


def with_letters_swapped(coder: Coder, operands: Any, axes: Any) -> str:
    return str(RIGHT["einsum"](coder, operands, axes[::-1]))


MISTAKES: dict[str, tuple[str, Callable[..., Any]]] = {
    "a term of a derivative is lost": ("differentiate", without_a_term),
    "what is defined counts as constant": ("differentiate", without_what_is_defined),
    "a factor is lost": ("contract", without_a_factor),
    "a sum over what does not occur does not multiply": ("rebuilt", without_repeats),
    "a letter is put where it means something else": ("fresh_copy", lambda index: index),
    "a case holds where an earlier one does": ("_as_product", with_every_case),
    "a matrix form lacks a transpose": ("matrix_form", without_a_transpose),
    "a matrix form has another sign": ("matrix_form", with_another_sign),
    "the letters of an einsum are swapped": ("einsum", with_letters_swapped),
}
MODULES: list[Any] = [
    Coder,
    *(module for name, module in sorted(sys.modules.items()) if name.startswith("handgrad.symbolic.")),
]
RIGHT: dict[str, Any] = {
    name: next(vars(module)[name] for module in MODULES if name in vars(module)) for name, _ in MISTAKES.values()
}


@pytest.mark.slow
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_rule_is_found(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, wrong = MISTAKES[mistake]
    for module in MODULES:
        if name in vars(module):
            monkeypatch.setattr(module, name, wrong)
    with pytest.raises(AssertionError, match=r"random_definition\(\d+\):(.|\n)*(not|read)"):
        checked(range(80, 230), every=10)
