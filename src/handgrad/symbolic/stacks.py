"""Layers take arrays with any number of axes before those of a definition: a program is made one for such stacks.

Where a program treats each row, or sums over all of them, the rows may be those of any number of axes. Else the whole
program is repeated for each place in a stack of arrays, and the gradients of what all places share are added up.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import sympy
from sympy import Dummy, Expr, Idx, Indexed, KroneckerDelta, Symbol
from sympy.core.relational import Relational

from handgrad.symbolic.definitions import Definition, define, given_in, in_order
from handgrad.symbolic.formulas import Array, Sum
from handgrad.symbolic.indexed import array
from handgrad.symbolic.letters import free_indices, size
from handgrad.symbolic.terms import contract


class Stacked(NamedTuple):
    """The steps and gradients of a program, and the size that stands for any number of axes, if one does."""

    steps: list[Definition]
    gradients: dict[str, Definition]
    star: Expr | None


def stacked(
    output: Definition,
    gradients: Mapping[str, Definition],
    inputs: Sequence[Any],
    upstream: Any,
    by_rows: bool = True,
) -> Stacked:
    """Return the steps and gradients for stacks of the `inputs`, the bases of arrays.

    What else the program is made of is the same for all of a stack. They are returned as they are if there are no
    inputs, or there is no `upstream`, the gradient that comes in: of losses, which are the output, there is no stack.
    Not `by_rows`, the program is repeated in any case.
    """
    steps, results = in_order(output), dict(gradients)
    star = _rows([*steps, *results.values()], output, inputs) if inputs and by_rows else None
    if star is not None or not inputs or (upstream is None and not output.indices):
        return Stacked(steps, results, star)
    return _Lifting(inputs).program(steps, results, [upstream])


def _rows(steps: Sequence[Definition], output: Definition, inputs: Sequence[Any]) -> Expr | None:
    """Return the common first size of the inputs, if each row is treated alone or they are summed into a number."""
    firsts = {base.shape[0] for base in inputs}
    star = firsts.pop() if len(firsts) == 1 else sympy.S.One
    shared = [base for base in given_in(in_order(output))[0] if base not in inputs]
    if not isinstance(star, Symbol) or any(star in base.shape for base in shared):
        return None
    if not all(_treats_rows(step, star) for step in steps):
        return None
    if not output.indices:
        return star
    is_first = size(output.indices[0]) == star
    return star if is_first and not any(_mixes_rows(step.value, star) for step in in_order(output)) else None


def _treats_rows(step: Definition, star: Expr) -> bool:
    """Say whether the rows stand first in a definition, and only one row at a time."""
    own = [index for index in step.indices if size(index) == star]
    return own in ([], [*step.indices[:1]]) and _is_by_row(step.value, star, own)


def _mixes_rows(value: Expr, star: Expr) -> bool:
    """Say whether a formula sums over the rows, or counts them."""
    sums = value.atoms(Sum)
    return star in _beside_axes(value) or any(size(index) == star for part in sums for index, *_ in part.limits)


def _is_by_row(value: Expr, star: Expr, within: Sequence[Idx]) -> bool:
    """Say whether the rows of arrays stand first, and only one row at a time."""
    if isinstance(value, Indexed):
        places = [index for index, axis in zip(value.indices, value.shape, strict=True) if axis == star]
        is_first = places in ([], [value.indices[0]])
        computed = [index for index in value.indices if not isinstance(index, Idx)]
        return is_first and not {*places} & {*computed} and all(_is_by_row(i, star, within) for i in computed)
    if isinstance(value, Sum):
        within = [*within, *(index for index, *_ in value.limits if size(index) == star)]
        return len(within) < 2 and _is_by_row(value.function, star, within)
    if isinstance(value, (KroneckerDelta, Relational, Idx)) and star in map(size, _compared(value)):
        return False
    return all(_is_by_row(part, star, within) for part in value.args)


def _compared(value: Expr) -> Iterator[Idx]:
    """Yield the indices that stand for numbers themselves."""
    if isinstance(value, Idx):
        yield value
    elif not isinstance(value, Indexed):
        for part in value.args:
            yield from _compared(part)


def _beside_axes(value: Expr) -> set[Any]:
    """Return the sizes that are numbers in a formula, and not only axes."""
    if isinstance(value, (Indexed, Idx)):
        return set()
    parts = (value.function,) if isinstance(value, Sum) else value.args
    return {value} if isinstance(value, Symbol) else set().union(*map(_beside_axes, parts))


class _Lifting:
    """Gives the inputs, and all that depends on them, an axis before the others."""

    def __init__(self, inputs: Sequence[Any]) -> None:
        self.index = Idx(Dummy("s", integer=True), Symbol("stack", integer=True, positive=True))
        self.with_axis: dict[Any, Any] = {}
        self.as_before: dict[Any, Any] = {}
        for base in inputs:
            self.add_axis(base)

    def add_axis(self, base: Any) -> None:
        is_whole = isinstance(base, Array) and bool(base.label.is_integer)
        self.with_axis[base] = array(base.name, self.index, *getattr(base, "shape", ()), integer=is_whole)

    def program(
        self, steps: Sequence[Definition], gradients: Mapping[str, Definition], upstream: Sequence[Any]
    ) -> Stacked:
        """Return the same program for a stack of inputs; `upstream` is the gradient that comes in."""
        lifted = [self.definition(step, is_shared=False) for step in steps]
        apart = {base.name for base in self.with_axis}
        if steps[-1].base in self.with_axis:
            for base in upstream:
                self.add_axis(base)
        results = {
            name: self.definition(result, name not in apart, is_apart=name in apart)
            for name, result in gradients.items()
        }
        return Stacked(lifted, results, size(self.index))

    def definition(self, step: Definition, is_shared: bool, is_apart: bool = False) -> Definition:
        """Return a definition with the axis, or summed over it where all of a stack share what it is of.

        What `is_apart` has the axis even if it is the same for all, as the gradient is of what a condition alone has.
        """
        value, indices = self.value(step.value), step.indices
        if is_apart and self.index not in free_indices(value):
            indices = (self.index, *indices)
        elif self.index in free_indices(value):
            value, indices = (
                (contract(Sum(value, self.index)), indices) if is_shared else (value, (self.index, *indices))
            )
        new = define(step.name, value, *indices)
        (self.as_before if indices == step.indices else self.with_axis)[step.base] = new.base
        return new

    def value(self, value: Expr) -> Expr:
        """Return a formula in the new arrays."""
        if isinstance(value, Indexed):
            places = tuple(map(self.value, value.indices))
            if value.base in self.with_axis:
                return self.with_axis[value.base][(self.index, *places)]
            return self.as_before.get(value.base, value.base)[places]
        if value in self.with_axis:
            return self.with_axis[value][self.index]
        if isinstance(value, Sum):
            return Sum(self.value(value.function), *(index for index, *_ in value.limits))
        if isinstance(value, Idx) or not value.args:
            return self.as_before.get(value, value)
        return value.func(*map(self.value, value.args))
