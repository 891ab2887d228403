"""Arrays with symbolic sizes that are defined entry by entry, of entries of others."""

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, NamedTuple

import sympy
from sympy import Dummy, Expr, Idx, Indexed, Symbol

from handgrad.symbolic.formulas import Array, Iverson, Name, Sum, example, require_formula, require_name, sympified
from handgrad.symbolic.indexed import require_fitting
from handgrad.symbolic.letters import (
    free_indices,
    freshened,
    letters_in,
    named_in,
    ordered,
    rename,
    size,
    symbols_beside_entries,
)


def _of_entry(operation: Callable[[Any, Any], Expr], reflected: bool = False) -> Callable[["Definition", Any], Expr]:
    """Return an operation of a number that is defined, on its entry; that of an array raises TypeError."""

    def operate(number: "Definition", other: Any) -> Expr:
        entry = number._sympy_()
        return operation(other, entry) if reflected else operation(entry, other)

    return operate


@dataclass(frozen=True)
class Definition:
    """An array given entry by entry: name[indices] = value for all indices in their ranges.

    Its entries, `S[i, k]`, may be used in other definitions; a number's only entry is `S[()]`, or `S` in a formula.
    """

    name: str
    indices: tuple[Idx, ...]
    value: Expr
    base: Any

    # Python would iterate with [0], [1], [2], … and never stop: a symbolic size has no end.
    __iter__ = None

    __add__, __radd__ = _of_entry(operator.add), _of_entry(operator.add, reflected=True)
    __sub__, __rsub__ = _of_entry(operator.sub), _of_entry(operator.sub, reflected=True)
    __mul__, __rmul__ = _of_entry(operator.mul), _of_entry(operator.mul, reflected=True)
    __truediv__, __rtruediv__ = _of_entry(operator.truediv), _of_entry(operator.truediv, reflected=True)
    __pow__, __rpow__ = _of_entry(operator.pow), _of_entry(operator.pow, reflected=True)
    __lt__, __le__, __gt__, __ge__ = map(_of_entry, (operator.lt, operator.le, operator.gt, operator.ge))

    def __neg__(self) -> Expr:
        return -self._sympy_()

    def __abs__(self) -> Expr:
        return abs(self._sympy_())

    def __getitem__(self, indices: Any) -> Expr:
        """Return an entry."""
        if not self.indices and indices != ():
            raise ValueError(f"{self.name} is a number, and has no indices: use {self.name}[()], or {self.name} itself")
        return self.base[indices] if self.indices else self.base

    def _sympy_(self) -> Expr:
        if self.indices:
            raise TypeError(f"{self.name} is an array: use an entry of it, {example(self.base)}, in a formula")
        return self.base

    @property
    def entry(self) -> Expr:
        """The left-hand side, name[indices]."""
        return self[self.indices]

    @property
    def base_name(self) -> "Name":
        """The symbol that stands for it in formulas."""
        name = label_of(self.entry)
        assert isinstance(name, Name)
        return name

    @cached_property
    def called(self) -> "_Called":
        """What is called how in it, and in the definitions that it uses."""
        return _called_in(self.value)


def define(name: str, value: Expr, *indices: Idx) -> Definition:
    """Define name[indices] = value.

    ValueError if an index is free, is used on an axis of another size, or means two things: an index of `name`, or of a
    sum, cannot be summed over again inside. ValueError too if an array, a number or a size has the name of another, and
    on whatever stands in the value that is not known: functions that are not in the table `FUNCTIONS` of `formulas.py`,
    numbers that are not real or not finite, an array without its indices. TypeError on what is no formula or no index.
    """
    require_name(name, "a definition", number=not indices)
    if strange := [index for index in indices if not isinstance(index, Idx)]:
        raise TypeError(f"{name}: {strange[0]!r} is no index; make one with indices('i:n')")
    value = sympified(value)
    require_formula(name, value)
    for entry in value.atoms(Indexed):
        require_fitting(entry)
    letters: dict[str, Idx] = {}
    for index in [*indices, *ordered(letters_in(value))]:
        if isinstance(index.label, Dummy):
            continue
        if index.upper is None or index.lower != 0:
            raise ValueError(f"{index} is no index that starts at 0: make one with Idx(name, size)")
        if (other := letters.setdefault(index.label.name, index)) != index:
            raise ValueError(f"{name}: {index} runs over {size(other)} values in one place, {size(index)} in another")
    label = Name(name, real=True)
    base = Array(label, shape=tuple(map(size, indices))) if indices else label
    label.definition = Definition(name, indices, value, base)
    _require_distinct_names(label.definition)
    if len({*indices}) < len(indices):
        raise ValueError(f"{name}: its indices {', '.join(map(str, indices))} must differ")
    _require_distinct(value, {*indices})
    if free := free_indices(value) - {*indices}:
        raise ValueError(f"{value}: index {min(map(str, free))} is neither summed over nor an index of {name}")
    return label.definition


class _Called(NamedTuple):
    """What is called how in formulas, so that what has two meanings is found without going through them again."""

    things: frozenset[Any] = frozenset()
    """All that has a name, apart from letters."""
    names: frozenset[str] = frozenset()
    """The names of these: fewer than there are things if two have one."""
    numbers: frozenset[str] = frozenset()
    """The names of those that are real numbers."""
    letters: frozenset[str] = frozenset()
    """The names of the indices."""

    def with_others(self, others: Iterable["_Called"]) -> "_Called":
        """Return what is called how in these and others."""
        return _Called(*(own.union(*more) for own, *more in zip(self, *others, strict=True)))


def _called_in(value: Expr) -> _Called:
    """Return what is called how in a formula, and in the definitions that it uses."""
    things = named_in(value)
    numbers = (thing.name for thing in things if isinstance(thing, Symbol) and not thing.is_integer)
    letters = (index.label.name for index in letters_in(value))
    own = _Called(things, frozenset(thing.name for thing in things), frozenset(numbers), frozenset(letters))
    return own.with_others(used.definition.called for used in _names_in(value))


def _require_distinct_names(made: Definition) -> None:
    """Raise ValueError if two things in a formula, the definitions that it uses, or the one it makes, have one name."""
    things, names, numbers, letters = made.called
    # An index may have the letter of its range, X[c, i] with c:c, or of an array.
    both = (letters | {index.label.name for index in made.indices}) & (
        numbers if made.indices else numbers | {made.name}
    )
    if len(things) == len(names) and made.name not in names and not both:
        return
    called = [made.name, *(thing.name for thing in things), *both]
    twice = next(name for name in called if called.count(name) > 1)
    kinds = "definitions, arrays, numbers, sizes or indices"
    raise ValueError(f"{made.name}: two different {kinds} are called {twice}: rename one")


def _require_distinct(value: Expr, bound: set[Idx]) -> None:
    if isinstance(value, Sum):
        for index, *ends in value.limits:
            if not isinstance(index, Idx):
                raise ValueError(f"{index} is no index that starts at 0: make one with Idx(name, size)")
            if ends != [0, index.upper]:
                raise ValueError(f"a sum over {index} runs from 0 to {index.upper}; for less, multiply by an Iverson")
        summed = [index for index, *_ in value.limits]
        if twice := [index for index in summed if index in bound or summed.count(index) > 1]:
            raise ValueError(f"{value}: index {twice[0]} already has a meaning here; sum over another letter")
        return _require_distinct(value.function, bound | {*summed})
    for part in value.args:
        _require_distinct(part, bound)
    return None


def label_of(entry: Expr) -> Any:
    """Return the symbol that names an array, given one of its entries; a number names itself."""
    return entry.base.label if isinstance(entry, Indexed) else entry


def indices_of(entry: Expr) -> tuple[Idx, ...]:
    """Return the indices of an entry; a number has none."""
    return tuple(entry.indices) if isinstance(entry, Indexed) else ()


def definition_of(value: Expr) -> Definition | None:
    """Return the definition of a defined entry or number, None for all else."""
    label = label_of(value)
    return label.definition if isinstance(label, Name) else None


def in_order(definition: Definition) -> list[Definition]:
    """Return the definitions that one is made of, itself the last, each after those it uses."""
    steps: dict[Definition, None] = {}
    rest = [(definition, False)]
    while rest:
        step, is_after_its_own = rest.pop()
        if step in steps:
            continue
        if is_after_its_own:
            steps[step] = None
        else:
            rest.append((step, True))
            rest += [(used.definition, False) for used in reversed(_names_in(step.value))]
    return [*steps]


@cache
def _names_in(value: Expr) -> list[Name]:
    labels = (getattr(thing, "label", thing) for thing in named_in(value))
    return sorted((label for label in labels if isinstance(label, Name)), key=lambda name: name.dummy_index)


def require_parts(output: Definition, wanted: Iterable[Any]) -> None:
    """Raise ValueError unless arrays, given by their bases, and numbers occur in what a definition is made of."""
    parts = parts_of(output)
    names = {part.name: part for part in parts}
    for wrt in wanted:
        if wrt in parts or wrt.is_integer:
            continue
        if (other := names.get(wrt.name)) is not None:
            its, given = (f"of shape {part.shape}" if isinstance(part, Array) else "a number" for part in (other, wrt))
            raise ValueError(
                f"{output.name} is made of another {wrt.name}, {its}, than the one given, {given}: give that one"
            )
        made = ", ".join(sorted(names)) or "numbers alone"
        raise ValueError(f"{wrt.name} does not occur in {output.name}, which is made of {made}")


def parts_of(output: Definition) -> set[Any]:
    """Return the arrays and numbers that a definition is made of, and that those are made of which are defined."""
    values = [step.value for step in in_order(output)]
    letters = set[Idx]().union(*map(letters_in, values))
    ranges = {index.label for index in letters}.union(*map(named_in, letters))
    return set().union(*map(named_in, values)) - ranges


def given_in(steps: Sequence[Definition]) -> tuple[list[Any], list[Symbol]]:
    """Return the arrays and the real numbers that definitions are made of and that are not defined themselves."""
    entries = sorted({entry for step in steps for entry in step.value.atoms(Indexed)}, key=str)
    bases = dict.fromkeys(entry.base for entry in entries if definition_of(entry) is None)
    symbols = {symbol for step in steps for symbol in symbols_beside_entries(step.value)}
    numbers = (symbol for symbol in symbols if not symbol.is_integer and not isinstance(symbol, Dummy))
    return [*bases], sorted(numbers, key=str)


def made_of(definition: Definition) -> dict[str, Any]:
    """Return the arrays and the real numbers that a definition is made of, by name."""
    bases, numbers = given_in(in_order(definition))
    return {base.label.name: base for base in bases} | {number.name: number for number in numbers}


def symbols_of(steps: Sequence[Definition]) -> set[str]:
    """Return the names of the sizes and numbers in definitions."""
    letters = {index.label for step in steps for index in step.value.atoms(Idx)}
    found = {symbol for step in steps for symbol in step.value.atoms(Symbol)} - letters
    return {symbol.name for symbol in found if not isinstance(symbol, Name)}


def unfolded(value: Expr) -> Expr | None:
    """Return what a defined entry is defined to be, with letters of its own for what it sums over; else None."""
    if not (definition := definition_of(value)):
        return None
    if not isinstance(value, Indexed):
        return freshened(definition.value)
    places = zip(value.indices, value.shape, strict=True)
    computed = [(index, axis) for index, axis in places if not isinstance(index, (Idx, Indexed))]
    inside = [condition for index, axis in computed for condition in (index >= 0, index < axis)]
    renamed = rename(freshened(definition.value), dict(zip(definition.indices, value.indices, strict=True)))
    return renamed * Iverson(sympy.And(*inside)) if inside else renamed


def expand(value: Expr, keep: Expr | None = None) -> Expr:
    """Return `value` with everything that is defined, but what has the label `keep`, replaced by its definition."""
    value = value if isinstance(value, sympy.Basic) else sympified(value)
    if label_of(value) == keep:
        return value
    if (inner := unfolded(value)) is not None:
        return expand(inner, keep)
    if isinstance(value, Sum):
        return Sum(expand(value.function, keep), *(index for index, *_ in value.limits))
    if isinstance(value, Indexed) or not value.atoms(Name):
        return value
    return value.func(*(expand(part, keep) for part in value.args))
