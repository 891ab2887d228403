"""Arrays in index notation with symbolic sizes: defined entry by entry, differentiated, contracted, compared.

An index carries its range, `Idx("i", n)`: a sum needs no limits, and contracting a Kronecker delta over the whole range
of an index needs no case for a value out of range.
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, reduce
from itertools import chain, groupby, permutations, product
from math import comb, factorial, prod
from typing import Any, NamedTuple

import sympy
from sympy import Abs, Add, Dummy, Expr, Idx, Indexed, KroneckerDelta, Mul, Piecewise, Symbol, sign

from handgrad.symbolic.formulas import Array, Iverson, Name, Sum, example, require_formula, require_name, sympified


def sizes(names: str) -> tuple[Symbol, ...]:
    """Return symbolic sizes, positive whole numbers, one for each of the space-separated `names`."""
    return tuple(Symbol(name, integer=True, positive=True) for name in _names(names, "a size"))


def integers(names: str) -> tuple[Symbol, ...]:
    """Return symbolic whole numbers that are no sizes, such as strides and paddings, one for each of `names`."""
    return tuple(Symbol(name, integer=True) for name in _names(names, "a whole number"))


def indices(names: str) -> tuple[Idx, ...]:
    """Return indices with their ranges: `i, k = indices("i:n k:3")` run from 0 to n - 1 and from 0 to 2."""
    if not isinstance(names, str):
        raise TypeError(f"indices are given as a string, 'i:n j:p', not as {names!r}")
    pairs = [name.partition(":") for name in names.split()]
    if lacking := [index for index, _, extent in pairs if not extent]:
        raise ValueError(f"index {lacking[0]} has no range; write for example {lacking[0]}:n")
    for index, *_ in pairs:
        require_name(index, "an index")
    return tuple(Idx(index, _extent(extent)) for index, _, extent in pairs)


def _names(names: Any, what: str) -> list[str]:
    if not isinstance(names, str):
        raise TypeError(f"names are given as a string, 'n p', not as {names!r}")
    for name in names.split():
        require_name(name, what, number=True)
    return names.split()


def _extent(text: str) -> Expr:
    if not text.isdecimal():
        return sizes(text)[0]
    if int(text) == 0:
        raise ValueError("an index that runs over 0 values has none")
    return sympy.Integer(text)


def array(name: str, *shape: Any, integer: bool = False) -> Any:
    """Return a real array, to be indexed as `X[i, j]`; without a shape, a real number.

    An axis is given by its size, or by an index that runs over it. An entry's index may also be a sum of indices and
    whole numbers, `X[stride * i + a]`, outside the axis the entry is 0; or an entry of an array of whole numbers that
    stay inside, `X[i, t[i]]`. ValueError if the name is none in Python, or printed as a number's; TypeError if an axis
    is neither an index nor a whole number.
    """
    require_name(name, "an array" if shape else "a number", number=not shape)
    kind = {"integer": True} if integer else {"real": True}
    return Array(name, shape=tuple(map(_axis, shape)), **kind) if shape else Symbol(name, **kind)


def _axis(axis: Any) -> Expr:
    if isinstance(axis, Idx):
        if axis.upper is None:
            raise ValueError(f"index {axis} has no range; make it with indices('{axis}:n')")
        return size(axis)
    extent = axis if isinstance(axis, Expr) else sympy.Integer(axis) if type(axis) is int else None
    if extent is None or not extent.is_integer or extent.is_positive is False or extent.has(Idx, Array):
        raise TypeError(f"{axis!r} is no size; an axis is an index, or a positive whole number, made with sizes('n')")
    return extent


def mean(value: Expr, *over: Idx) -> Expr:
    """Return the mean of `value` over the ranges of some indices."""
    if strange := [index for index in over if not isinstance(index, Idx)]:
        raise TypeError(f"a mean runs over indices, and {strange[0]!r} is none")
    return Sum(value, *over) / Mul(*map(size, over))


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
    for index in [*indices, *sorted(value.atoms(Idx), key=str)]:
        if isinstance(index.label, Dummy):
            continue
        if index.upper is None or index.lower != 0:
            raise ValueError(f"{index} is no index that starts at 0: make one with Idx(name, size)")
        if (other := letters.setdefault(index.label.name, index)) != index:
            raise ValueError(f"{name}: {index} runs over {size(other)} values in one place, {size(index)} in another")
    _require_distinct_names(name, value, indices)
    if len({*indices}) < len(indices):
        raise ValueError(f"{name}: its indices {', '.join(map(str, indices))} must differ")
    _require_distinct(value, {*indices})
    if free := free_indices(value) - {*indices}:
        raise ValueError(f"{value}: index {min(map(str, free))} is neither summed over nor an index of {name}")
    label = Name(name, real=True)
    base = Array(label, shape=tuple(map(size, indices))) if indices else label
    label.definition = Definition(name, indices, value, base)
    return label.definition


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

    def add(step: Definition) -> None:
        if step not in steps:
            for used in _names_in(step.value):
                add(used.definition)
            steps[step] = None

    add(definition)
    return [*steps]


@cache
def _names_in(value: Expr) -> list[Name]:
    return sorted(value.atoms(Name), key=lambda name: name.dummy_index)


def require_part(output: Definition, wrt: Any) -> None:
    """Raise ValueError unless an array, given by its base, or a number occurs in what a definition is made of."""
    parts = parts_of(output)
    if wrt in parts or wrt.is_integer:
        return
    names = {part.name: part for part in parts}
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
    entries = set().union(*(value.atoms(Indexed) for value in values))
    labels = {entry.base.label for entry in entries}.union(
        *(index.atoms(Symbol) for value in values for index in value.atoms(Idx))
    )
    return {entry.base for entry in entries} | set().union(*(value.atoms(Symbol) for value in values)) - labels


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


def require_fitting(entry: Indexed) -> None:
    """Raise ValueError unless each index of an entry is a whole number that depends on an index or array.

    A plain index must run over the whole axis.
    """
    if len(entry.indices) != len(entry.shape):
        raise ValueError(f"{entry}: the array has {len(entry.shape)} axes, and is given {len(entry.indices)} indices")
    for index, axis in zip(entry.indices, entry.shape, strict=True):
        if isinstance(index, Idx) and index.upper is None:
            raise ValueError(f"{entry}: index {index} has no range; make it with Idx({str(index)!r}, {axis})")
        if not index.atoms(Idx) or not index.is_integer:
            raise ValueError(f"{entry}: {index} is no index; make one with Idx(name, {axis})")
        if isinstance(index, Idx) and size(index) != axis:
            raise ValueError(f"{entry}: index {index} runs over {size(index)} values, the axis has {axis}")


def _require_distinct_names(name: str, value: Expr, indices: tuple[Idx, ...]) -> None:
    """Raise ValueError if two things in a formula, the definitions that it uses, or the one it makes, have one name."""
    values = [value, *(step.value for used in _names_in(value) for step in in_order(used.definition))]
    things = frozenset[Any]().union(*map(named_in, values))
    numbers = {thing.name for thing in things if isinstance(thing, Symbol) and not thing.is_integer}
    # An index may have the letter of its range, X[c, i] with c:c, or of an array.
    letters = {index.label.name for index in {*indices}.union(*map(_letters_in, values))}
    names = [name, *(thing.name for thing in things), *(letters & (numbers if indices else numbers | {name}))]
    if twice := [called for called in names if names.count(called) > 1]:
        kinds = "definitions, arrays, numbers, sizes or indices"
        raise ValueError(f"{name}: two different {kinds} are called {twice[0]}: rename one")


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
def _letters_in(value: Expr) -> set[Idx]:
    indices: set[Idx] = value.atoms(Idx)
    return indices


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


# Differentiation and contraction

# More terms, or orders of letters, than these are not compared: it would take long, and the formula is right without.
_MANY = 500


def differentiate(value: Expr, entry: Expr) -> Expr:
    """Return d(value)/d(entry), by the chain rule over the entries and sums that `value` is a function of.

    `entry` is an entry of an array, or a number: a symbol.
    """
    if isinstance(value, Sum):
        return _differentiated_sum(value, entry)
    if entry.is_integer:
        kind = "an array of whole numbers" if indices_of(entry) else "whole"
        raise ValueError(f"{label_of(entry)} is {kind}: there is no derivative with respect to it")
    if value == entry and isinstance(value, Symbol):
        return sympy.S.One
    if isinstance(value, Indexed) and isinstance(entry, Indexed) and value.base == entry.base:
        return Mul(*(KroneckerDelta(a, b) for a, b in zip(value.indices, entry.indices, strict=True)))
    if isinstance(value, (Indexed, Name)):
        inner = unfolded(value)
        return sympy.S.Zero if inner is None else differentiate(inner, entry)
    return _by_chain_rule(value, entry)


def _differentiated_sum(value: Sum, entry: Expr) -> Expr:
    clash = {index: _fresh(index) for index, *_ in value.limits if index in indices_of(entry)}
    inner = differentiate(rename(value.function, clash) if clash else value.function, entry)
    return Sum(inner, *(clash.get(index, index) for index, *_ in value.limits))


def _by_chain_rule(value: Expr, entry: Expr) -> Expr:
    """Differentiate a function of entries, sums and defined numbers: its slope by each, times their derivatives."""
    parts = outermost(value, (Indexed, Sum, Name))
    if isinstance(entry, Symbol) and entry not in parts:
        parts.append(entry)
    scalars = {part: Dummy(real=True) for part in parts}
    back = {scalar: part for part, scalar in scalars.items()}
    scalar_value = value.xreplace(scalars)
    derivatives = []
    for part in parts:
        inner = differentiate(part, entry)
        slope = _as_product(scalar_derivative(scalar_value, scalars[part])) if inner != 0 else sympy.S.Zero
        if slope.has(sympy.Derivative, sympy.Subs):
            raise ValueError(f"{value}: sympy cannot differentiate this with respect to {part}")
        # One product of all factors: sympy multiplies a lone number into a sum.
        derivatives.append(Mul(*(f.xreplace(back) for f in Mul.make_args(slope)), *Mul.make_args(inner)))
    return Add(*derivatives)


def contract(value: Expr) -> Expr:
    """Return `value` as a sum of products, with each delta over a summed index replaced by what it selects."""
    merged: dict[Expr, list[Expr]] = {}
    parts = [*map(rebuilt, _selected(value))]
    if len(parts) == 1:
        return parts[0]
    for part in parts:
        coefficient, rest = part.as_coeff_Mul()
        merged.setdefault(canonical(rest), [rest]).append(coefficient)
    return Add(*(Mul(Add(*coefficients), rest) for rest, *coefficients in merged.values()))


def _selected(value: Expr) -> list["Term"]:
    return [_select(term) for term in terms(value)]


def canonical(value: Expr, depth: int = 0) -> Expr:
    """Return `value` with products expanded, sums split and letters renamed.

    Equal objects are equal values. Values that differ by these rules alone are equal objects, but for some in which a
    sum stands inside of a function in another sum, and some of very many terms or orders of letters.
    """
    parts = []
    value = value.replace(_is_power_of_sum, lambda power: Mul(*(freshened(power.base) for _ in range(power.exp))))
    for factors, dummies in _selected(value):
        for summand in Add.make_args(_expanded(Mul(*(_canonical_inside(factor, depth) for factor in factors)))):
            alike = _alike(summand, [dummy for dummy in dummies if dummy in free_indices(summand)])
            used = [*chain.from_iterable(alike)]
            names = [_canonical_index(depth, place, size(dummy)) for place, dummy in enumerate(used)]
            many = prod(factorial(len(group)) for group in alike) > _MANY
            orders = [alike] if many else product(*map(permutations, alike))
            renamed = (rename(summand, dict(zip(chain(*order), names, strict=True))) for order in orders)
            first = min(renamed, key=sympy.default_sort_key)
            parts.append(Sum(first, *names) * Mul(*(size(dummy) for dummy in dummies if dummy not in used)))
    return _expanded(Add(*parts))


def _expanded(value: Expr) -> Expr:
    return sympy.expand(value) if _count_terms(value) <= _MANY else value


def _count_terms(value: Expr) -> int:
    """Return how many terms an expression has at most, or one inside of it, when products are expanded, if not many."""
    if isinstance(value, Indexed) or not value.args:
        return 1
    counts = [_count_terms(part) for part in value.args]
    if isinstance(value, sympy.Pow):
        power = abs(int(value.exp.as_coeff_Add()[0]))
        counts.append(comb(counts[0] + power - 1, power))
    kind = sum if isinstance(value, Add) else prod if isinstance(value, Mul) else max
    return min(kind(counts), _MANY + 1)


def _alike(summand: Expr, dummies: list[Idx]) -> list[list[Idx]]:
    """Return groups of dummies of one size that stand in the same places of a summand, in an order of their own."""

    def places(dummy: Idx) -> Any:
        others = {other: _canonical_index(-1, 0, size(other)) for other in dummies}
        marked = rename(summand, others | {dummy: _canonical_index(-1, 1, size(dummy))})
        return sympy.default_sort_key(size(dummy)), sympy.default_sort_key(marked)

    if len(dummies) < 2:
        return [dummies]
    keys = {dummy: places(dummy) for dummy in dummies}
    return [[*group] for _, group in groupby(sorted(dummies, key=keys.__getitem__), key=keys.__getitem__)]


def _is_power_of_sum(value: Expr) -> bool:
    return isinstance(value, sympy.Pow) and isinstance(value.base, Sum) and value.exp.is_Integer and 1 < value.exp < 8


def _canonical_inside(value: Expr, depth: int) -> Expr:
    if isinstance(value, Sum):
        return canonical(value, depth + 1)
    return value.func(*(_canonical_inside(part, depth) for part in value.args)) if value.has(Sum) else value


def terms(value: Expr) -> list["Term"]:
    """Write `value` as a sum of terms: products and sums are expanded as far as sums and deltas stand in them."""
    if isinstance(value, Sum):
        summed = tuple(index for index, *_ in value.limits)
        return [Term(factors, dummies + summed) for factors, dummies in terms(value.function)]
    if isinstance(value, Add) and _is_to_be_expanded(value):
        return [term for part in value.args for term in terms(part)]
    if isinstance(value, Mul):
        factors = [terms(factor) for factor in value.args]
        if prod(map(len, factors)) > _MANY:
            pairs = zip(value.args, factors, strict=True)
            factors = [parts if factor.has(KroneckerDelta) else [Term((factor,), ())] for factor, parts in pairs]
        return [reduce(_times, combination) for combination in product(*factors)]
    return [Term((value,), ())]


def _is_to_be_expanded(value: Expr) -> bool:
    """Say whether a sum or a delta is a term, or a factor of one; inside of functions they stay where they are."""
    return isinstance(value, (Sum, KroneckerDelta)) or (
        isinstance(value, (Add, Mul)) and any(map(_is_to_be_expanded, value.args))
    )


class Term(NamedTuple):
    """A product of factors, summed over the range of each index in `dummies`."""

    factors: tuple[Expr, ...]
    dummies: tuple[Idx, ...]


def size(index: Idx) -> Expr:
    """Return the number of values that `index` takes."""
    return index.upper - index.lower + 1


def free_indices(value: Expr) -> set[Idx]:
    """Return the indices in `value` that no sum binds."""
    if isinstance(value, Sum):
        return free_indices(value.function) - {index for index, *_ in value.limits}
    if isinstance(value, Idx):
        return {value}
    return set().union(*map(free_indices, value.args))


@cache
def _canonical_index(depth: int, place: int, extent: Expr) -> Idx:
    return Idx(Dummy(f"_{depth}{place}", integer=True), extent)


def freshened(value: Expr) -> Expr:
    """Return `value` with letters of its own for what it sums over."""
    if isinstance(value, Sum):
        fresh = {index: _fresh(index) for index, *_ in value.limits}
        return Sum(freshened(rename(value.function, fresh)), *fresh.values())
    if isinstance(value, Indexed) or not value.has(Sum):
        return value
    return value.func(*map(freshened, value.args))


def _fresh(index: Idx) -> Idx:
    return Idx(Dummy(index.label.name, integer=True), size(index))


def _as_product(value: Expr) -> Expr:
    """Write cases as sums of products with brackets, and factor out what a sum's terms share."""
    cases = value.replace(lambda part: isinstance(part, Piecewise), with_brackets)
    return sympy.factor_terms(cases).replace(lambda part: isinstance(part, Mul), _with_joined_powers)


def _with_joined_powers(product: Expr) -> Expr:
    """Write x^t / x, as sympy differentiates, as x^(t − 1): it is defined where x is 0."""
    powers = [factor.as_base_exp() for factor in product.args if not isinstance(factor, sympy.exp)]
    bases = {base for base, power in powers if not power.is_number}
    whole = {base: Add(*(power for other, power in powers if other == base)) for base in bases}
    rest = (factor for factor in product.args if isinstance(factor, sympy.exp) or factor.as_base_exp()[0] not in bases)
    return Mul(*rest, *(base**power for base, power in whole.items())) if bases else product


class _RealAbs(sympy.Function):  # type: ignore[misc]
    """An absolute value of what is real where it has a value: of Abs(sqrt(x)), sympy's derivative has complex parts."""

    is_real = True

    def fdiff(self, _: int = 1) -> Expr:
        return sign(self.args[0])


class _RealSign(sympy.Function):  # type: ignore[misc]
    """A sign whose derivative is 0, as that of a bracket is: what it has at a jump alone is left out."""

    is_real = True

    def fdiff(self, _: int = 1) -> Expr:
        return sympy.S.Zero


def scalar_derivative(value: Expr, scalar: Symbol) -> Expr:
    """Return sympy's derivative of a real function of real numbers, as it is almost everywhere."""
    derivative = value.replace(Abs, _RealAbs).replace(sign, _RealSign).diff(scalar)
    return derivative.replace(_RealAbs, Abs).replace(_RealSign, sign)


def with_brackets(cases: Piecewise) -> Expr:
    """Write cases as a sum of products with brackets."""
    terms, others = [], sympy.true
    for branch, condition in cases.args:
        terms.append(branch * Iverson(sympy.And(others, condition)))
        others = sympy.And(others, sympy.Not(condition))
    return Add(*terms)


def rename(value: Expr, names: Mapping[Idx, Any]) -> Expr:
    """Put other indices, or numbers, for free indices of `value`; a sum that would catch one is renamed."""
    if isinstance(value, Sum):
        summed = [index for index, *_ in value.limits]
        fresh = {index: _fresh(index) for index in summed if index in names.values()}
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


def _times(left: Term, right: Term) -> Term:
    right = _renamed(right, left)
    left = _renamed(left, right)
    return Term(left.factors + right.factors, left.dummies + right.dummies)


def _renamed(term: Term, other: Term) -> Term:
    """Rename the dummies of `term` that mean something else in `other`."""
    taken = {*other.dummies}.union(*(factor.atoms(Idx) for factor in other.factors)) & {*term.dummies}
    renaming = {index: _fresh(index) for index in taken}
    return Term(
        tuple(rename(factor, renaming) for factor in term.factors),
        tuple(renaming.get(index, index) for index in term.dummies),
    )


def _select(term: Term) -> Term:
    for delta in term.factors:
        if isinstance(delta, KroneckerDelta):
            for old, new in (delta.args, delta.args[::-1]):
                if old in term.dummies and isinstance(new, Idx) and size(old) == size(new):
                    rest = (factor for factor in term.factors if factor is not delta)
                    return _select(
                        Term(
                            tuple(rename(factor, {old: new}) for factor in rest),
                            tuple(index for index in term.dummies if index != old),
                        )
                    )
    return term


def rebuilt(term: Term) -> Expr:
    """Return a term as an expression: what is not summed over stands before the sum."""
    bound = {*term.dummies}
    outer = Mul(*(factor for factor in term.factors if not free_indices(factor) & bound))
    inner = Mul(*(factor for factor in term.factors if free_indices(factor) & bound))
    summed = [index for index in term.dummies if index in free_indices(inner)]
    repeats = Mul(*(size(index) for index in term.dummies if index not in summed))
    return outer * repeats * Sum(inner, *summed)
