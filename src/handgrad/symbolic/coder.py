"""Translation of index notation to torch: one line of code per formula, an einsum for a contraction, no loops."""

from collections.abc import Iterable, Mapping, Sequence
from string import ascii_letters
from typing import Any

import sympy
from sympy import Add, Dummy, Expr, Idx, Indexed, KroneckerDelta, Mul, Symbol
from sympy.core.relational import Relational

from handgrad.symbolic.definitions import Definition
from handgrad.symbolic.formulas import Iverson, Name, Sum, TensorSymbol, free_name
from handgrad.symbolic.letters import free_indices, ordered, outermost, size
from handgrad.symbolic.notation import reading_order
from handgrad.symbolic.printer import Printer, is_number
from handgrad.symbolic.shapes import code_of_size
from handgrad.symbolic.stable import Largest
from handgrad.symbolic.whole import OfArray

# Code of an array, and its axes: the same index twice for a diagonal.
Operand = tuple[str, tuple[Idx, ...]]


class Coder:
    """Translates sums, arrays and deltas to tensors whose axes stand in a given order, and prints the rest."""

    def __init__(self, arrays: list[str], whole: frozenset[str], taken: set[str], functions: dict[str, str]) -> None:
        """Take the names of the arrays, of those of whole numbers, all that are taken, and the code of functions."""
        self.taken, self.functions = taken, functions
        real = [name for name in arrays if name not in whole]
        self.dtype = f"{real[0]}.dtype" if real else "torch.float64"
        self.device = f", device={(real or arrays)[0]}.device" if arrays else ""
        self.options = f"dtype={self.dtype}{self.device}"
        self.printer = Printer(self.options, self.device, functions)
        self.names: dict[Any, str] = {}
        self.sizes: set[Symbol] = set()
        self.exact = False

    def definition(self, definition: Definition) -> str:
        """Return code of a whole array, and remember its name."""
        self.names[definition.base] = free_name(definition.name, self.taken)
        printed, axes = self.printable(definition.value, definition.indices)
        code = self.printer.doprint(printed)
        if is_number(printed):
            code = f"torch.tensor({code}, {self.options})"
        if axes == definition.indices:
            return code
        aligned = self.aligned(f"({code})", axes, definition.indices)
        return f"{aligned}.expand({', '.join(map(self.extent, definition.indices))})"

    def aligned(self, text: str, axes: tuple[Idx, ...], target: tuple[Idx, ...]) -> str:
        """Insert the axes of size 1 that broadcasting to `target` needs."""
        missing = [index not in axes for index in target]
        start = missing.index(False) if axes else len(target)
        gaps = ", ".join("None" if gap else ":" for gap in missing[start:])
        return f"{text}[{gaps}]" if any(missing[start:]) else text

    def summed(self, text: str, axes: tuple[Idx, ...], remaining: tuple[Idx, ...]) -> str | None:
        """Return code that sums an array over all but the `remaining` axes, or None if that takes an einsum."""
        if axes == remaining:
            return text
        is_diagonal = len({*axes}) < len(axes)
        if is_diagonal or tuple(index for index in axes if index in remaining) != remaining:
            return None
        where = self.places([index for index in axes if index not in remaining], axes)
        return f"{text}.sum({where if remaining else ''})"

    def places(self, chosen: Iterable[Idx], axes: tuple[Idx, ...]) -> str:
        """Return where some axes stand."""
        places = [str(axes.index(index)) for index in chosen]
        return places[0] if len(places) == 1 else f"({', '.join(places)})"

    def plain(self, factor: Expr) -> list[Expr]:
        """Return factors of the same product of which each is an operand: see `operand`."""
        return _with_plain_indices(factor)

    def ordered(self, axes: tuple[Idx, ...]) -> tuple[Idx, ...]:
        """Return in what order a factor's axes are to stand, if any will do."""
        return axes

    def einsum(self, operands: Sequence[Operand], axes: tuple[Idx, ...]) -> str:
        """Return the code of a product of arrays, summed over all indices but some."""
        letters = letters_for(index for _, operand in operands for index in operand)
        terms = ",".join("".join(letters[index] for index in operand) for _, operand in operands)
        output = "".join(letters[index] for index in axes)
        return f'torch.einsum("{terms}->{output}", {", ".join(text for text, _ in operands)})'

    def extent(self, index: Idx) -> str:
        """Return the code of an axis' size among those that an array is expanded to."""
        return self.size(index)

    def size(self, index: Idx) -> str:
        """Return the code of an index' size."""
        self.sizes |= size(index).free_symbols
        return code_of_size(size(index))

    def expression(self, value: Expr, order: tuple[Idx, ...]) -> tuple[str, tuple[Idx, ...]]:
        """Return code, and its axes: those indices of `order` that are free in `value`."""
        printed, axes = self.printable(value, order)
        return self.printer.doprint(printed), axes

    def printable(self, value: Expr, order: tuple[Idx, ...]) -> tuple[Expr, tuple[Idx, ...]]:
        """Return `value` with a symbol for each tensor in it, and its axes."""
        axes = tuple(index for index in order if index in free_indices(value))
        # A sum has axes of its own: what is compared in it stays as it is here.
        kept = {part: part for part in outermost(value, (Sum,))}
        value = value.xreplace(kept | {part: self.comparison(part, axes) for part in _whole_comparisons(value)})
        tensors: dict[Expr, Expr] = {}
        outer = [factor for factor in Mul.make_args(value) if isinstance(factor, (Indexed, KroneckerDelta, OfArray))]
        if len({frozenset(free_indices(factor)) for factor in outer}) > 1:
            product = Dummy(real=True)
            tensors[product] = self.symbol(outer, order, axes)
            value = Mul(product, *(factor for factor in Mul.make_args(value) if factor not in outer))
        for part in outermost(value, (Indexed, KroneckerDelta, Sum, Idx, Name, OfArray)):
            tensors[part] = self.part(part, order, axes)
        printed = _with_code(value, tensors)
        used = {type(part).__name__ for part in printed.atoms(sympy.Function)}
        if unknown := used - {*self.functions, "Iverson", "Larger", "Piecewise", "floor"}:
            raise ValueError(f"{value}: there is no torch code for {min(unknown)}; give compile torch's version of it")
        self.sizes |= {symbol for symbol in printed.free_symbols if symbol.is_integer}
        return printed, axes

    def comparison(self, relation: Relational, axes: tuple[Idx, ...]) -> Expr:
        """Return a comparison of whole numbers, which stay whole: a float16 holds none above 2048 exactly."""
        # What is a tensor comes first.
        both = sorted(relation.args, key=lambda side: not free_indices(side))
        parts = both if isinstance(relation, (sympy.Eq, sympy.Ne)) else relation.args
        sides = (self.aligned(f"({code})", given, axes) for code, given in (self.exactly(s, axes) for s in parts))
        return TensorSymbol(f" {relation.rel_op} ".join(sides))

    def exactly(self, value: Expr, order: tuple[Idx, ...]) -> tuple[str, tuple[Idx, ...]]:
        """Return code in which whole numbers are not converted to the dtype of the real ones."""
        before, self.exact = self.exact, True
        code = self.expression(value, order)
        self.exact = before
        return code

    def part(self, part: Expr, order: tuple[Idx, ...], axes: tuple[Idx, ...]) -> Expr:
        """Return a sum, an entry, a delta, an index or a defined number as a symbol, times the numbers in it."""
        if isinstance(part, Name):
            return TensorSymbol(self.names[part])
        if isinstance(part, Largest):
            return self.largest(part, order, axes)
        return self.sum(part, order, axes) if isinstance(part, Sum) else self.product([part], order, axes)

    def sum(self, part: Sum, order: tuple[Idx, ...], axes: tuple[Idx, ...]) -> Expr:
        """Return a sum as a symbol times numbers, or as several if a term alone has fewer axes."""
        factors, summed = Mul.make_args(part.function), [index for index, *_ in part.limits]
        if terms := _distributed(factors):
            return Add(*(self.part(Sum(term, *summed), order, axes) for term in terms))
        repeats = [size(index) for index in summed if index not in free_indices(part.function)]
        return Mul(*repeats, self.product(factors, order, axes))

    def largest(self, part: Largest, order: tuple[Idx, ...], axes: tuple[Idx, ...]) -> Expr:
        """Return the largest of what a sum would sum, as a symbol."""
        summed = tuple(index for index, *_ in part.limits)
        code, own = self.expression(part.function, self.ordered(order + summed))
        where = self.places([index for index in own if index in summed], own)
        code = code if code.isidentifier() else f"({code})"
        kept = tuple(index for index in own if index not in summed)
        return TensorSymbol(self.aligned(f"{code}.amax({where})", kept, axes))

    def product(self, factors: Sequence[Expr], order: tuple[Idx, ...], axes: tuple[Idx, ...]) -> Expr:
        """Return a product, summed over all indices not in `order`, as a symbol times numbers."""
        numbers = [self.number(factor) for factor in factors if not free_indices(factor)]
        arrays = _with_brackets_inside([factor for factor in factors if free_indices(factor)])
        return Mul(*numbers, self.symbol(arrays, order, axes)) if arrays else Mul(*numbers)

    def number(self, value: Expr) -> Expr:
        """Return a factor without axes; what torch has to compute becomes a symbol."""
        if isinstance(value, (OfArray, Indexed)) and not value.is_integer:
            return TensorSymbol(self.operand(value, ())[0])
        if not value.has(Sum, Name, Indexed):
            return value
        printed, _ = self.printable(value, ())
        return printed if is_number(printed) else TensorSymbol(f"({self.printer.doprint(printed)})")

    def symbol(self, factors: Sequence[Expr], order: tuple[Idx, ...], axes: tuple[Idx, ...]) -> TensorSymbol:
        """Return a product, summed over all indices not in `order`, as a symbol whose name is its code."""
        return TensorSymbol(self.aligned(*self.contraction(factors, order), axes))

    def contraction(self, factors: Sequence[Expr], order: tuple[Idx, ...], ready: Sequence[Operand] = ()) -> Operand:
        """Return code of the product of `factors`, summed over all indices that are not in `order`, and its axes.

        Factors that are `ready` are code already.
        """
        factors = reading_order([part for factor in factors for part in self.plain(factor)])
        free = {index for factor in factors for index in free_indices(factor)}.union(*(own for _, own in ready))
        axes = tuple(index for index in order if index in free)
        inner = self.ordered((*order, *ordered(free.difference(order))))
        whole = [isinstance(factor, Indexed) and factor.is_integer and not self.exact for factor in factors]
        operands = [self.operand(factor, inner) for factor in factors]
        operands = [(f"{t}.to({self.dtype})" if w else t, a) for (t, a), w in zip(operands, whole, strict=True)]
        operands += ready
        if len(operands) == 1 and (code := self.summed(*operands[0], axes)):
            return code, axes
        return self.einsum(operands, axes), axes

    def operand(self, factor: Expr, order: tuple[Idx, ...]) -> tuple[str, tuple[Idx, ...]]:
        """Return a factor of an einsum, whose axes may stand in any order and twice."""
        if isinstance(factor, Indexed):
            name = self.names.get(factor.base, factor.base.label.name)
            if _has_numbers(factor):
                return f"{name}[{self.where(factor)}]", tuple(i for i in factor.indices if isinstance(i, Idx))
            if (place := _gathered(factor)) is None:
                return name, factor.indices
            which = factor.indices[place]
            moved = name if place == 0 else f"{name}.movedim({place}, 0)"
            others = factor.indices[:place] + factor.indices[place + 1 :]
            return f"{moved}[{self.names.get(which.base, which.base.label.name)}]", which.indices + others
        if isinstance(factor, OfArray):
            base = factor.args[0].base
            return factor.code.format(self.names.get(base, base.label.name)), factor.indices
        if isinstance(factor, KroneckerDelta):
            return self.delta(factor, order)
        if isinstance(factor, Idx):
            return f"torch.arange({self.size(factor)}{self.device if self.exact else ', ' + self.options})", (factor,)
        code, axes = self.expression(factor, order)
        return (code if factor.is_Function else f"({code})"), axes

    def delta(self, factor: KroneckerDelta, order: tuple[Idx, ...]) -> tuple[str, tuple[Idx, ...]]:
        """Return a delta as a factor of an einsum."""
        left, right = factor.args
        if isinstance(left, Idx) and isinstance(right, Idx) and size(left) == size(right):
            return f"torch.eye({self.size(left)}, {self.options})", factor.args
        # Where whole numbers are compared, what is looked up is not converted to the dtype of the real ones.
        dtype = "torch.int64" if self.exact else self.dtype
        axes = tuple(index for index in order if index in free_indices(factor))
        return f"({self.comparison(sympy.Eq(*factor.args, evaluate=False), axes)}).to({dtype})", axes

    def where(self, entry: Indexed) -> str:
        """Return the code of places that are numbers, those counted from the end as negative ones."""
        found = []
        for index, axis in zip(entry.indices, entry.shape, strict=True):
            place = index - axis if (index - axis).is_Integer else index
            self.sizes |= {symbol for symbol in place.free_symbols if not isinstance(index, Idx)}
            found.append(":" if isinstance(index, Idx) else code_of_size(place))
        while found[-1] == ":" and len(found) > 1 and found[0] != ":":
            found.pop()
        first = next(place for place, code in enumerate(found) if code != ":")
        return ", ".join(["...", *found[first:]] if first else found)


def _has_numbers(entry: Expr) -> bool:
    """Say whether the places that are no plain indices of an entry are numbers, or made of sizes."""
    others = [index for index in entry.indices if not isinstance(index, Idx)]
    return bool(others) and not any(index.has(Idx, Indexed) for index in others)


def _whole_comparisons(value: Expr) -> list[Relational]:
    """Return the comparisons of indices and entries that are whole numbers, but for those inside of sums."""
    found = outermost(value, (Relational, Sum, Indexed, KroneckerDelta))
    relations = [part for part in found if isinstance(part, Relational)]
    return [part for part in relations if free_indices(part) and (part.lhs - part.rhs).is_integer]


def _with_code(value: Expr, tensors: Mapping[Expr, Expr]) -> Expr:
    """Put code for parts; equal code is told apart by brackets where it cancels, as in Σ_j X_ij / Σ_k X_ik.

    With it the axis i would be lost.
    """
    printed = value.xreplace(dict(tensors))
    if {symbol for code in tensors.values() for symbol in code.atoms(TensorSymbol)} <= printed.free_symbols:
        return printed
    apart: dict[Expr, Expr] = {}
    taken: set[TensorSymbol] = set()
    for part, code in tensors.items():
        while same := code.atoms(TensorSymbol) & taken:
            code = code.xreplace({symbol: TensorSymbol(f"({symbol.name})") for symbol in same})
        apart[part] = code
        taken |= code.atoms(TensorSymbol)
    return value.xreplace(apart)


def _distributed(factors: Sequence[Expr]) -> list[Expr]:
    """Return the terms of a product of entries and one sum that has more axes than each of its terms, else nothing.

    G_ik (P_ir - Q_kr) has three, its terms two. Powers and functions of such sums stay: their terms would cancel.
    """
    sums = [factor for factor in factors if isinstance(factor, Add) and free_indices(factor)]
    others = [factor for factor in factors if factor not in sums]
    if len(sums) != 1 or not all(map(_is_product_of_entries, [*others, *sums[0].args])):
        return []
    axes = [free_indices(term) for term in sums[0].args]
    is_spread = all(own < set().union(*axes) for own in axes)
    return [Mul(*others, term) for term in sums[0].args] if is_spread else []


def _is_product_of_entries(value: Expr) -> bool:
    parts = Mul.make_args(value)
    return all(
        isinstance(part, (Indexed, KroneckerDelta, Idx)) or not (free_indices(part) or part.has(Sum)) for part in parts
    )


def _with_brackets_inside(factors: list[Expr]) -> list[Expr]:
    """Multiply brackets into factors that may be infinite where they are 0, so that `torch.where` leaves those out."""
    brackets = [factor for factor in factors if isinstance(factor, Iverson)]
    unsafe = [factor for factor in factors if not isinstance(factor, (Iverson, Indexed, KroneckerDelta, Idx))]
    if not brackets or not unsafe:
        return factors
    return [factor for factor in factors if factor not in brackets + unsafe] + [Mul(*brackets, *unsafe)]


def _gathered(factor: Indexed) -> int | None:
    """Return the place of the only computed index, if torch can look it up: W[t[i], j] is W[t]."""
    computed = [place for place, index in enumerate(factor.indices) if not isinstance(index, Idx)]
    if len(computed) != 1 or not isinstance(which := factor.indices[computed[0]], Indexed):
        return None
    apart = all(isinstance(index, Idx) and index not in factor.indices for index in which.indices)
    return computed[0] if apart else None


def _with_plain_indices(factor: Expr) -> list[Expr]:
    """Write X[i + a] as X[p] times the delta of p and i + a: a product that is summed over p."""
    if not isinstance(factor, Indexed) or _gathered(factor) is not None or _has_numbers(factor):
        return [factor]
    if all(isinstance(index, Idx) for index in factor.indices):
        return [factor]
    plain = [
        index if isinstance(index, Idx) else Idx(Dummy("p", integer=True), axis)
        for index, axis in zip(factor.indices, factor.shape, strict=True)
    ]
    pairs = zip(plain, factor.indices, strict=True)
    return [factor.base[tuple(plain)], *(KroneckerDelta(new, old) for new, old in pairs if new != old)]


def letters_for(indices: Iterable[Idx]) -> dict[Idx, str]:
    """Return a letter of an einsum for each index; ValueError if there are too many."""
    distinct = list(dict.fromkeys(indices))
    if len(distinct) > len(ascii_letters):
        limit = f"torch.einsum has letters for {len(ascii_letters)}"
        raise ValueError(f"{len(distinct)} indices meet in one product, and {limit}: define parts of it by themselves")
    names = [index.label.name for index in distinct]
    readable = len({*names}) == len(names) and all(len(name) == 1 and name in ascii_letters for name in names)
    return dict(zip(distinct, names if readable else ascii_letters, strict=False))
