"""Translation of index notation to torch: one line of code per formula, an einsum for a contraction, no loops."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from string import ascii_letters
from typing import TYPE_CHECKING, Any

import sympy
from sympy import Add, Dummy, Expr, Idx, Indexed, KroneckerDelta, Mul, Piecewise, Rational, Symbol
from sympy.core.relational import Relational
from sympy.printing.precedence import PRECEDENCE
from sympy.printing.pycode import PythonCodePrinter

from handgrad.symbolic.calculus import (
    Definition,
    definition_of,
    free_indices,
    in_order,
    outermost,
    size,
    symbols_beside_entries,
)
from handgrad.symbolic.formulas import FUNCTIONS, Iverson, Name, Sum, TensorSymbol, free_name
from handgrad.symbolic.notation import reading_order
from handgrad.symbolic.stable import CODE, Largest, stabilized

if TYPE_CHECKING:
    from torch import Tensor

# Code of an array, and its axes: the same index twice for a diagonal.
Operand = tuple[str, tuple[Idx, ...]]
_NOT_REAL = "the formula has no real value at these sizes: there is a root of a negative number in it"


@dataclass(frozen=True)
class Compiled:
    """Code, and what it is given: arrays by name, and the sizes that are in no array's shape.

    Arrays of whole numbers are looked up with: `lookups` are the axes they are to stay inside.
    """

    source: str
    arrays: dict[str, tuple[Expr, ...]]
    sizes: dict[str, Symbol]
    function: Any
    whole: frozenset[str]
    lookups: dict[str, Expr]

    def evaluated(self, given: Mapping[str, Any]) -> Any:
        """Return what the code returns; see `TorchFunction` for the errors."""
        names = [*self.arrays, *self.sizes]
        if {*given} != {*names}:
            raise TypeError(f"the formula is in {', '.join(names)}; it was given {', '.join(given) or 'nothing'}")
        tensors = {name: _tensor(name, given[name], name in self.whole) for name in self.arrays}
        numbers = {symbol: _whole(symbol, given[name]) for name, symbol in self.sizes.items()}
        _require_alike({name: tensor for name, tensor in tensors.items() if name not in self.whole})
        numbers |= self._extents(tensors, numbers)
        for name, axis in self.lookups.items():
            _require_inside(name, tensors[name], int(axis.subs(numbers)))
        try:
            result = self.function(**{**given, **tensors})
        except (ArithmeticError, IndexError, ValueError) as error:
            raise ValueError(f"the formula has no value at these sizes: {error}") from error
        except (TypeError, RuntimeError) as error:
            if "complex" not in str(error).lower():
                raise
            raise ValueError(_NOT_REAL) from error
        if any(tensor.is_complex() for tensor in (result.values() if isinstance(result, dict) else [result])):
            raise ValueError(_NOT_REAL)
        return result

    def _extents(self, tensors: dict[str, "Tensor"], numbers: dict[Symbol, int]) -> dict[Expr, int]:
        """Return the sizes that shapes tell; ValueError if they do not fit each other, or the numbers given."""
        known: dict[Expr, tuple[int, str]] = {}
        for name, shape in self.arrays.items():
            actual = tuple(tensors[name].shape)
            if len(actual) != len(shape):
                raise ValueError(f"{name} has shape {actual}; in the formula it has shape {shape}")
            for extent, number in zip(shape, actual, strict=True):
                first, where = known.setdefault(extent, (number, name))
                if first != number or (extent.is_number and extent != number):
                    raise ValueError(f"{extent} is {first} in {where}, but {number} in {name} of shape {actual}")
        extents = {extent: number for extent, (number, _) in known.items()}
        simple = numbers | {extent: number for extent, number in extents.items() if extent.is_Symbol}
        for extent, number in extents.items():
            if (computed := extent.subs(simple)).is_number and computed != number:
                raise ValueError(f"{extent} is {computed} elsewhere, but {number} in {known[extent][1]}")
        return extents

    def __repr__(self) -> str:
        return self.source

    def _repr_markdown_(self) -> str:
        return f"```python\n{self.source}\n```"


@dataclass(frozen=True)
class TorchFunction(Compiled):
    """A formula as a torch function of its arrays, by name, and of the sizes that are in no array's shape.

    What it returns is a tensor of the formula's shape, with the dtype and on the device of the real arrays; of float64
    where there are none.
    """

    shape: tuple[Expr, ...]

    def __call__(self, **given: Any) -> "Tensor":
        """Evaluate; ValueError on shapes, dtypes, devices or whole numbers that do not fit the formula.

        TypeError on a missing or unknown name, an array that is no tensor or not of its kind, a size that is no int.
        """
        result: Tensor = self.evaluated(given)
        return result


@dataclass(frozen=True)
class TorchGradients(Compiled):
    """The gradients of a program as one torch function, which is given what a `TorchFunction` is, with the same errors.

    It returns a tensor for each gradient, by the name of what it is the gradient with respect to.
    """

    def __call__(self, **given: Any) -> "dict[str, Tensor]":
        """Evaluate."""
        result: dict[str, Tensor] = self.evaluated(given)
        return result


def _tensor(name: str, value: Any, whole: bool) -> "Tensor":
    """Return an array as it is computed with; TypeError if it is none, or of another kind."""
    import torch

    if not isinstance(value, torch.Tensor):
        raise TypeError(f"{name} is an array; it was given as {type(value).__name__}: give a torch.Tensor")
    if value.layout != torch.strided:
        raise TypeError(f"{name} is given as a tensor of layout {value.layout}: give {name}.to_dense()")
    if whole:
        if value.is_floating_point() or value.is_complex() or value.dtype == torch.bool:
            raise TypeError(f"{name} is an array of whole numbers; it was given with {value.dtype}: give {name}.long()")
        return value.long()
    if not value.is_floating_point():
        raise TypeError(f"{name} is an array of real numbers; it was given with {value.dtype}: give {name}.double()")
    return value


def _whole(symbol: Symbol, value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"{symbol} is a whole number; it was given as {type(value).__name__}: give an int")
    if symbol.is_positive and value < 0:
        raise ValueError(f"{symbol} is a size; it was given as {value}")
    return value


def _require_alike(real: dict[str, "Tensor"]) -> None:
    names = [*real]
    for first, name in pairwise(names):
        for what in ("dtype", "device"):
            one, other = getattr(real[first], what), getattr(real[name], what)
            if one != other:
                raise ValueError(
                    f"{first} has {what} {one}, but {name} has {other}; a formula is computed in one {what}"
                )


def _require_inside(name: str, places: "Tensor", extent: int) -> None:
    if places.numel() and not (int(places.min()) >= 0 and int(places.max()) < extent):
        raise ValueError(f"{name} says which of {extent} is meant, and has numbers that are not from 0 to {extent - 1}")


def compile_torch(definition: Definition, **functions: Callable[..., Any]) -> TorchFunction:
    """Return the definition as a function of the arrays, and of the numbers that no array's shape tells, in its value.

    Definitions that the value uses become assignments, but sums of exponentials that something is divided by, or whose
    logarithm is taken: those are computed relative to the largest exponent, as torch's softmax and logsumexp are, and
    1 / (1 + exp(-z)) is torch.sigmoid(z). So formulas of such parts are finite where what they stand for is. Others are
    NaN or infinite where a part is: sums of exponentials with weights whose sign is not known, such as entries of an
    array in x[i] exp(y[i]) / Σ x[j] exp(y[j]), and terms that overflow alone, such as exp(z) - exp(z). Where x is 0,
    products such as t x^(t - 1) or x log(x) are 0 if a factor is; but terms that are infinite there do not cancel, such
    as k^2 (xy)^k / x^2 - k (xy)^k / x^2. `functions` are torch's versions, by name, of functions of the user's own.
    ValueError on a function that has none, and if two things have one name.
    """
    if not isinstance(definition, Definition):
        raise TypeError(f"what is compiled is a definition, made with define, and {definition!r} is none")
    code = code_of(stabilized(in_order(definition)), functions)
    *assigned, (_, value) = code.lines
    shape = tuple(map(size, definition.indices))
    return TorchFunction(**code.compiled(definition.name, [*code.assigned(assigned), f"return {value}"]), shape=shape)


@dataclass(frozen=True)
class Code:
    """Definitions as code: what they are made of, and a line for each, as the base that it defines and its value."""

    steps: Sequence[Definition]
    arrays: dict[str, tuple[Expr, ...]]
    whole: frozenset[str]
    names: Mapping[Any, str]
    lines: Sequence[tuple[Any, str]]
    sizes: set[Symbol]
    taken: set[str]
    functions: Mapping[str, Callable[..., Any]]

    def assigned(self, lines: Iterable[tuple[Any, str]]) -> list[str]:
        """Return lines as assignments."""
        return [f"{self.names[base]} = {value}" for base, value in lines]

    def compiled(self, name: str, lines: Sequence[str]) -> dict[str, Any]:
        """Return a function with these lines, and what it is given, as the fields of a `Compiled`."""
        import torch

        unpacked, sizes = _unpacked(self.sizes, self.arrays)
        source = f"def {name}({', '.join([*self.arrays, *sizes])}):\n    " + "\n    ".join([*unpacked, *lines])
        namespace: dict[str, Any] = {"torch": torch, "math": math, **self.functions}
        exec(source, namespace)
        fields = {"source": source, "arrays": self.arrays, "sizes": sizes, "function": namespace[name]}
        return fields | {"whole": self.whole, "lookups": _lookups(self.steps)}


def code_of(
    steps: Sequence[Definition],
    functions: Mapping[str, Callable[..., Any]],
    coder_of: "Callable[..., Coder] | None" = None,
) -> Code:
    """Return definitions, each after those it uses, as code; the errors are those of `compile_torch`."""
    bases, numbers = given_in(steps)
    _require_distinct_names(bases, numbers, functions)
    arrays: dict[str, tuple[Expr, ...]] = {base.label.name: base.shape for base in bases}
    arrays |= {number.name: () for number in numbers}
    whole = frozenset(base.label.name for base in bases if base.label.is_integer)
    taken = {*arrays, *symbols_of(steps), *functions, "torch", "math"}
    known = known_functions() | {name: name for name in functions}
    coder = (coder_of or Coder)([*arrays], whole, taken, known)
    lines = [(step.base, coder.definition(step)) for step in steps]
    return Code(steps, arrays, whole, coder.names, lines, coder.sizes, taken, functions)


def symbols_of(steps: Sequence[Definition]) -> set[str]:
    """Return the names of the sizes and numbers in definitions."""
    return {symbol.name for step in steps for symbol in step.value.atoms(Symbol) if not isinstance(symbol, Name)}


def known_functions() -> dict[str, str]:
    """Return torch's names of the functions that formulas may use."""
    return {name: code.torch for name, code in FUNCTIONS.items()} | CODE


def _lookups(steps: Sequence[Definition]) -> dict[str, Expr]:
    """Return the axes on which an array's entry says which entry of another is meant, by the array's name."""
    entries = {entry for step in steps for entry in step.value.atoms(Indexed)}
    return {
        index.base.label.name: axis
        for entry in entries
        for index, axis in zip(entry.indices, entry.shape, strict=True)
        if isinstance(index, Indexed)
    }


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


def _unpacked(sizes: set[Symbol], arrays: Mapping[str, tuple[Expr, ...]]) -> tuple[list[str], dict[str, Symbol]]:
    """Return code that reads sizes off the shapes of arrays, and the sizes that no shape tells, by name."""
    lines = []
    for name, shape in arrays.items():
        if sizes & {*shape}:
            names = [str(extent) if extent in sizes else "_" for extent in shape]
            lines.append(f"{', '.join(names)}{',' if len(shape) == 1 else ''} = {name}.shape")
            sizes = sizes - {*shape}
    return lines, {str(symbol): symbol for symbol in sorted(sizes, key=str)}


class Coder:
    """Translates sums, arrays and deltas to tensors whose axes stand in a given order, and prints the rest."""

    def __init__(self, arrays: list[str], whole: frozenset[str], taken: set[str], functions: dict[str, str]) -> None:
        """Take the names of the arrays, of those of whole numbers, all that are taken, and the code of functions."""
        self.taken, self.functions = taken, functions
        real = [name for name in arrays if name not in whole]
        self.dtype = f"{real[0]}.dtype" if real else "torch.float64"
        self.device = f", device={(real or arrays)[0]}.device" if arrays else ""
        self.options = f"dtype={self.dtype}{self.device}"
        self.printer = _Printer(self.options, self.device, functions)
        self.names: dict[Any, str] = {}
        self.sizes: set[Symbol] = set()
        self.exact = False

    def definition(self, definition: Definition) -> str:
        """Return code of a whole array, and remember its name."""
        self.names[definition.base] = free_name(definition.name, self.taken)
        printed, axes = self.printable(definition.value, definition.indices)
        code = self.printer.doprint(printed)
        if _is_number(printed):
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
        return str(size(index))

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
        outer = [factor for factor in Mul.make_args(value) if isinstance(factor, (Indexed, KroneckerDelta))]
        if len({frozenset(free_indices(factor)) for factor in outer}) > 1:
            product = Dummy(real=True)
            tensors[product] = self.symbol(outer, order, axes)
            value = Mul(product, *(factor for factor in Mul.make_args(value) if factor not in outer))
        for part in outermost(value, (Indexed, KroneckerDelta, Sum, Idx, Name)):
            tensors[part] = self.part(part, order, axes)
        printed = _with_code(value, tensors)
        used = {type(part).__name__ for part in printed.atoms(sympy.Function)}
        if unknown := used - {*self.functions, "Iverson", "Larger", "Piecewise"}:
            raise ValueError(f"{value}: there is no torch code for {min(unknown)}; give compile torch's version of it")
        self.sizes |= {symbol for symbol in printed.free_symbols if symbol.is_integer}
        return printed, axes

    def comparison(self, relation: Relational, axes: tuple[Idx, ...]) -> Expr:
        """Return a comparison of whole numbers, which stay whole: a float16 holds none above 2048 exactly."""
        sides = (
            self.aligned(f"({code})", given, axes) for code, given in (self.exactly(s, axes) for s in relation.args)
        )
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
        if not value.has(Sum, Name):
            return value
        printed, _ = self.printable(value, ())
        return printed if _is_number(printed) else TensorSymbol(f"({self.printer.doprint(printed)})")

    def symbol(self, factors: Sequence[Expr], order: tuple[Idx, ...], axes: tuple[Idx, ...]) -> TensorSymbol:
        """Return a product, summed over all indices not in `order`, as a symbol whose name is its code."""
        return TensorSymbol(self.aligned(*self.contraction(factors, order), axes))

    def contraction(self, factors: Sequence[Expr], order: tuple[Idx, ...]) -> tuple[str, tuple[Idx, ...]]:
        """Return code of the product of `factors`, summed over all indices that are not in `order`, and its axes."""
        factors = reading_order([part for factor in factors for part in self.plain(factor)])
        free = {index for factor in factors for index in free_indices(factor)}
        axes = tuple(index for index in order if index in free)
        inner = self.ordered(order + tuple(sorted(free.difference(order), key=str)))
        whole = [isinstance(factor, Indexed) and factor.is_integer and not self.exact for factor in factors]
        operands = [self.operand(factor, inner) for factor in factors]
        operands = [(f"{t}.to({self.dtype})" if w else t, a) for (t, a), w in zip(operands, whole, strict=True)]
        if len(operands) == 1 and (code := self.summed(*operands[0], axes)):
            return code, axes
        return self.einsum(operands, axes), axes

    def operand(self, factor: Expr, order: tuple[Idx, ...]) -> tuple[str, tuple[Idx, ...]]:
        """Return a factor of an einsum, whose axes may stand in any order and twice."""
        if isinstance(factor, Indexed):
            name = self.names.get(factor.base, factor.base.label.name)
            if (place := _gathered(factor)) is None:
                return name, factor.indices
            which = factor.indices[place]
            moved = name if place == 0 else f"{name}.movedim({place}, 0)"
            others = factor.indices[:place] + factor.indices[place + 1 :]
            return f"{moved}[{self.names.get(which.base, which.base.label.name)}]", which.indices + others
        if isinstance(factor, KroneckerDelta):
            left, right = factor.args
            if isinstance(left, Idx) and isinstance(right, Idx) and size(left) == size(right):
                return f"torch.eye({self.size(left)}, {self.options})", factor.args
            # Where whole numbers are compared, what is looked up is not converted to the dtype of the real ones.
            dtype = "torch.int64" if self.exact else self.dtype
            axes = tuple(index for index in order if index in free_indices(factor))
            return f"({self.comparison(sympy.Eq(*factor.args, evaluate=False), axes)}).to({dtype})", axes
        if isinstance(factor, Idx):
            return f"torch.arange({self.size(factor)}{self.device if self.exact else ', ' + self.options})", (factor,)
        code, axes = self.expression(factor, order)
        return (code if factor.is_Function else f"({code})"), axes


def _require_distinct_names(bases: Sequence[Any], numbers: Iterable[Symbol], functions: Mapping[str, Any]) -> None:
    """Raise ValueError if two things have one name, TypeError if a function is none."""
    names = [base.label.name for base in dict.fromkeys(bases)] + [number.name for number in numbers] + [*functions]
    names += {symbol.name for base in bases for extent in base.shape for symbol in extent.free_symbols}
    if strange := [name for name, function in functions.items() if not callable(function)]:
        raise TypeError(f"{strange[0]} is no function")
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two different arrays, numbers, sizes or functions are called {name}: rename one")


def _whole_comparisons(value: Expr) -> list[Relational]:
    """Return the comparisons of indices and entries that are whole numbers, but for those inside of sums."""
    found = outermost(value, (Relational, Sum, Indexed, KroneckerDelta))
    relations = [part for part in found if isinstance(part, Relational)]
    return [part for part in relations if free_indices(part) and (part.lhs - part.rhs).is_integer]


def _is_number(value: Any) -> bool:
    """Say whether a value, or a condition, is Python's in the code, and not a tensor."""
    return all(symbol.is_integer for symbol in value.free_symbols)


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
    if not isinstance(factor, Indexed) or _gathered(factor) is not None:
        return [factor]
    if all(isinstance(index, Idx) for index in factor.indices):
        return [factor]
    plain = [
        index if isinstance(index, Idx) else Idx(Dummy("p", integer=True), axis)
        for index, axis in zip(factor.indices, factor.shape, strict=True)
    ]
    pairs = zip(plain, factor.indices, strict=True)
    return [factor.base[tuple(plain)], *(KroneckerDelta(new, old) for new, old in pairs if new != old)]


class _Printer(PythonCodePrinter):  # type: ignore[misc]
    """Python code for what happens entry by entry."""

    def __init__(self, options: str, device: str, functions: dict[str, str]) -> None:
        super().__init__({"user_functions": functions})
        self.options, self.device = options, device

    def doprint(self, value: Expr) -> str:
        """Return the code."""
        return str(super().doprint(value))

    def _print_Add(self, value: Expr, order: str | None = None) -> str:
        positive_first = sorted(
            value.args, key=lambda t: (t.could_extract_minus_sign(), "einsum" not in str(t), str(t))
        )
        return str(super()._print_Add(Add(*positive_first, evaluate=False), order="none"))

    def _print_Mul(self, value: Expr) -> str:
        conditions = [factor.args[0] for factor in value.args if isinstance(factor, Iverson)]
        if not conditions:
            return str(super()._print_Mul(value))
        # Not a product with 0 and 1: where the condition fails the result is 0 even if the rest is infinite.
        rest = Mul(*(factor for factor in value.args if not isinstance(factor, Iverson)))
        return self.choice(sympy.And(*conditions), rest, sympy.S.Zero)

    def choice(self, condition: Any, value: Expr, other: Expr) -> str:
        """Print one of two values; what is decided by sizes alone is decided in Python."""
        if condition == sympy.false:
            return "0" if _is_number(value) else f"torch.zeros_like({self._print(value)})"
        code = self._print(condition)
        if _is_number(condition):
            if _is_number(value) and _is_number(other):
                return f"({self._print(value)} if {code} else {self._print(other)})"
            code = f"torch.tensor({code}{self.device})"
        return f"torch.where({code}, {self.tensor(value)}, {self._print(other)})"

    def tensor(self, value: Expr) -> str:
        """Print a number as a tensor: one of torch's own choice would have torch's default dtype."""
        code = str(self._print(value))
        return f"torch.tensor({code}, {self.options})" if _is_number(value) else code

    def _print_Float(self, value: Expr) -> str:
        return repr(float(value))

    def _print_Pow(self, value: Expr, rational: bool = False) -> str:
        if value.is_commutative and abs(value.exp) == Rational(1, 2) and not _is_number(value):
            return str(self._hprint_Pow(value, rational=rational, sqrt="torch.sqrt"))
        base, exponent = (self.parenthesize(part, PRECEDENCE["Pow"]) for part in value.args)
        return f"{base}**{exponent}"

    def _print_Relational(self, value: Relational) -> str:
        return f"{self._print(value.lhs)} {value.rel_op} {self._print(value.rhs)}"

    def _print_And(self, value: Any) -> str:
        return " & ".join(f"({self._print(part)})" for part in sorted(value.args, key=str))

    def _print_Or(self, value: Any) -> str:
        return " | ".join(f"({self._print(part)})" for part in sorted(value.args, key=str))

    def _print_Not(self, value: Any) -> str:
        return f"{'not ' if _is_number(value) else '~'}({self._print(value.args[0])})"

    def _print_Function(self, value: Expr) -> str:
        name = type(value).__name__
        if _is_number(value) and name in FUNCTIONS:
            return f"{FUNCTIONS[name].python}({', '.join(str(self._print(part)) for part in value.args)})"
        return str(super()._print_Function(value))

    def _print_Exp1(self, _: Expr) -> str:
        return "math.e"

    def _print_Pi(self, _: Expr) -> str:
        return "math.pi"

    def _print_Iverson(self, value: Expr) -> str:
        return self.choice(value.args[0], sympy.S.One, sympy.S.Zero)

    def _print_Larger(self, value: Expr) -> str:
        numbers = [part for part in value.args if _is_number(part)]
        tensors = [self._print(part) for part in value.args if part not in numbers]
        code = reduce(lambda one, other: f"torch.maximum({one}, {other})", tensors)
        return f"({code}).clamp(min={self._print(numbers[0])})" if numbers else code

    def _print_Piecewise(self, value: Expr) -> str:
        (branch, condition), *others = value.args
        if not others:
            return str(self._print(branch))
        return self.choice(condition, branch, Piecewise(*others))


# Sympy prints these as functions of Python's own.
for _name in FUNCTIONS:
    setattr(_Printer, f"_print_{_name}", _Printer._print_Function)


def letters_for(indices: Iterable[Idx]) -> dict[Idx, str]:
    """Return a letter of an einsum for each index; ValueError if there are too many."""
    distinct = list(dict.fromkeys(indices))
    if len(distinct) > len(ascii_letters):
        limit = f"torch.einsum has letters for {len(ascii_letters)}"
        raise ValueError(f"{len(distinct)} indices meet in one product, and {limit}: define parts of it by themselves")
    names = [index.label.name for index in distinct]
    readable = len({*names}) == len(names) and all(len(name) == 1 and name in ascii_letters for name in names)
    return dict(zip(distinct, names if readable else ascii_letters, strict=False))
