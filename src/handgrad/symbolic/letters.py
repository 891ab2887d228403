"""Indices as letters: which are free, renaming them, and what stands in a formula."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from sympy import Dummy, Expr, Idx, Indexed, Symbol

from handgrad.symbolic.formulas import Sum


def size(index: Idx) -> Expr:
    """Return the number of values that `index` takes."""
    return index.upper - index.lower + 1


@cache
def free_indices(value: Any) -> frozenset[Idx]:
    """Return the indices in `value` that no sum binds."""
    if isinstance(value, Sum):
        return free_indices(value.function) - {index for index, *_ in value.limits}
    return frozenset({value} if isinstance(value, Idx) else ()).union(*map(free_indices, value.args))


def freshened(value: Expr) -> Expr:
    """Return `value` with letters of its own for what it sums over."""
    if isinstance(value, Sum):
        fresh = {index: fresh_copy(index) for index, *_ in value.limits}
        return Sum(freshened(rename(value.function, fresh)), *fresh.values())
    if isinstance(value, Indexed) or not value.has(Sum):
        return value
    return value.func(*map(freshened, value.args))


def ordered(letters: Iterable[Idx]) -> list[Idx]:
    """Return indices in the same order in every run: by name, and those that the machine named by age."""
    return sorted(letters, key=lambda index: (str(index.label), getattr(index.label, "dummy_index", 0)))


def fresh_copy(index: Idx) -> Idx:
    """Return an index that looks like another and is of its own."""
    return Idx(Dummy(index.label.name, integer=True), size(index))


def rename(value: Expr, names: Mapping[Idx, Any]) -> Expr:
    """Put other indices, or numbers, for free indices of `value`; a sum that would catch one is renamed."""
    if isinstance(value, Sum):
        summed = [index for index, *_ in value.limits]
        fresh = {index: fresh_copy(index) for index in summed if index in names.values()}
        function = rename(value.function, fresh) if fresh else value.function
        free = {old: new for old, new in names.items() if old not in summed}
        return Sum(rename(function, free), *(fresh.get(index, index) for index in summed))
    if value.has(Sum):
        return value.func(*(rename(part, names) for part in value.args))
    return value.xreplace(dict(names))


def outermost(value: Expr, kinds: tuple[type, ...]) -> list[Expr]:
    """Return the parts of `value` of the given kinds that stand in no other such part."""
    if isinstance(value, kinds):
        return [value]
    return list(dict.fromkeys(part for argument in value.args for part in outermost(argument, kinds)))


def symbols_beside_entries(value: Expr) -> set[Symbol]:
    """Return the symbols in `value` that are in no entry of an array."""
    return {part for part in outermost(value, (Indexed, Symbol)) if isinstance(part, Symbol)}


@cache
def named_in(value: Any) -> frozenset[Any]:
    """Return what has a name in a formula, apart from letters: the arrays, numbers, sizes and definitions."""
    if isinstance(value, Symbol):
        return frozenset({value})
    if isinstance(value, Idx):
        return named_in(value.upper)
    own, parts = ({value.base}, (*value.indices, *value.shape)) if isinstance(value, Indexed) else (set(), value.args)
    return frozenset(own).union(*map(named_in, parts))


@cache
def letters_in(value: Any) -> frozenset[Idx]:
    """Return all indices in a formula, those that are summed over too."""
    return frozenset({value} if isinstance(value, Idx) else ()).union(*map(letters_in, value.args))


def names_of(value: Any) -> set[str]:
    """Return the names of all that has one in a formula: of arrays, numbers, sizes, definitions and letters."""
    return {thing.name for thing in named_in(value)} | {index.label.name for index in letters_in(value)}
