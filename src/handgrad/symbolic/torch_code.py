"""Translation of index notation to torch: one line of code per formula, an einsum for a contraction, no loops."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from keyword import iskeyword
from string import ascii_letters
from typing import TYPE_CHECKING, Any

import sympy
from sympy import Add, Dummy, Expr, Idx, Indexed, KroneckerDelta, Mul, Piecewise, Rational, Symbol
from sympy.core.relational import Relational
from sympy.printing.precedence import PRECEDENCE
from sympy.printing.pycode import PythonCodePrinter

from handgrad.symbolic.calculus import (
    Definition,
    Iverson,
    Name,
    Sum,
    definition_of,
    free_indices,
    in_order,
    outermost,
    size,
)
from handgrad.symbolic.notation import reading_order

if TYPE_CHECKING:
    from torch import Tensor


_FUNCTIONS = {name: f"torch.{name}" for name in ("exp", "log", "sin", "cos", "tanh")} | {
    "Abs": "torch.abs",
    "sign": "torch.sign",
}


@dataclass(frozen=True)
class TorchFunction:
    """A formula as a torch function of its arrays, by name, and of the sizes that are in no array's shape."""

    source: str
    arrays: dict[str, tuple[Expr, ...]]
    sizes: tuple[str, ...]
    shape: tuple[Expr, ...]
    function: Any

    def __call__(self, **given: Any) -> "Tensor":
        """Evaluate; TypeError on a missing or unknown name, ValueError on shapes that do not fit the formula."""
        names = [*self.arrays, *self.sizes]
        if {*given} != {*names}:
            raise TypeError(f"the formula is in {', '.join(names)}; it was given {', '.join(given) or 'nothing'}")
        known: dict[Expr, tuple[int, str]] = {}
        for name, shape in self.arrays.items():
            actual = tuple(given[name].shape)
            if len(actual) != len(shape):
                raise ValueError(f"{name} has shape {actual}; in the formula it has shape {shape}")
            for extent, number in zip(shape, actual, strict=True):
                first, where = known.setdefault(extent, (number, name))
                if first != number or (extent.is_number and extent != number):
                    raise ValueError(f"{extent} is {first} in {where}, but {number} in {name} of shape {actual}")
        result: Tensor = self.function(**given)
        return result

    def __repr__(self) -> str:
        return self.source

    def _repr_markdown_(self) -> str:
        return f"```python\n{self.source}\n```"


def compile_torch(definition: Definition, **functions: Callable[..., Any]) -> TorchFunction:
    """Return the definition as a function of the arrays, and of the numbers that no array's shape tells, in its value.

    Definitions that the value uses become assignments. `functions` are torch's versions, by name, of sympy functions
    other than exp, log, sin, cos, tanh and the absolute value. ValueError on a function that has none, and if two
    things have one name.
    """
    import torch

    steps = in_order(definition)
    bases, numbers = _given(steps)
    _require_python_names(bases, numbers, functions)
    arrays: dict[str, tuple[Expr, ...]] = {base.label.name: base.shape for base in bases}
    arrays |= {number.name: () for number in numbers}
    real = [base.label.name for base in bases if not base.label.is_integer] + [number.name for number in numbers]
    symbols = {symbol for step in steps for symbol in step.value.atoms(Symbol) if not isinstance(symbol, Name)}
    taken = {*arrays, *(symbol.name for symbol in symbols), *functions, "torch", "math"}
    coder = _Coder(next(iter(real), None), taken, _FUNCTIONS | {name: name for name in functions})
    *codes, value = [coder.definition(step) for step in steps]
    assigned = [f"{coder.names[step.base]} = {code}" for step, code in zip(steps[:-1], codes, strict=True)]
    unpacked, sizes = _unpacked(coder.sizes, arrays)
    body = "\n    ".join([*unpacked, *assigned, f"return {value}"])
    source = f"def {definition.name}({', '.join([*arrays, *sizes])}):\n    {body}"
    namespace: dict[str, Any] = {"torch": torch, "math": math, **functions}
    exec(source, namespace)
    shape = tuple(map(size, definition.indices))
    return TorchFunction(source, arrays, sizes, shape, namespace[definition.name])


def _given(steps: Sequence[Definition]) -> tuple[list[Any], list[Symbol]]:
    """Return the arrays and the real numbers that definitions are made of and that are not defined themselves."""
    entries = sorted({entry for step in steps for entry in step.value.atoms(Indexed)}, key=str)
    bases = dict.fromkeys(entry.base for entry in entries if definition_of(entry) is None)
    without_entries = {entry: Dummy() for entry in entries}
    symbols = {symbol for step in steps for symbol in step.value.xreplace(without_entries).atoms(Symbol)}
    numbers = (symbol for symbol in symbols if not symbol.is_integer and not isinstance(symbol, Dummy))
    return [*bases], sorted(numbers, key=str)


def made_of(definition: Definition) -> dict[str, Any]:
    """Return the arrays and the real numbers that a definition is made of, by name."""
    bases, numbers = _given(in_order(definition))
    return {base.label.name: base for base in bases} | {number.name: number for number in numbers}


def _unpacked(sizes: set[Symbol], arrays: Mapping[str, tuple[Expr, ...]]) -> tuple[list[str], tuple[str, ...]]:
    """Return code that reads sizes off the shapes of arrays, and the names of the sizes that no shape tells."""
    lines = []
    for name, shape in arrays.items():
        if sizes & {*shape}:
            names = [str(extent) if extent in sizes else "_" for extent in shape]
            lines.append(f"{', '.join(names)}{',' if len(shape) == 1 else ''} = {name}.shape")
            sizes = sizes - {*shape}
    return lines, tuple(sorted(map(str, sizes)))


class _Coder:
    """Translates sums, arrays and deltas to tensors whose axes stand in a given order, and prints the rest."""

    def __init__(self, like: str | None, taken: set[str], functions: dict[str, str]) -> None:
        self.taken, self.functions = taken, functions
        self.dtype = f"{like}.dtype" if like else "torch.float64"
        self.device = f", device={like}.device" if like else ""
        self.names: dict[Any, str] = {}
        self.sizes: set[Symbol] = set()

    def definition(self, definition: Definition) -> str:
        """Return code of a whole array, and remember its name."""
        names = chain([definition.name], (f"{definition.name}_{number}" for number in count(2)))
        name = self.names[definition.base] = next(name for name in names if name not in self.taken)
        self.taken.add(name)
        code, axes = self.expression(definition.value, definition.indices)
        if all(symbol.is_integer for symbol in definition.value.atoms(Symbol)) and not definition.value.atoms(Idx):
            code = f"torch.tensor({code}, dtype={self.dtype}{self.device})"
        elif not axes and definition.indices:
            code = f"torch.as_tensor({code}, dtype={self.dtype}{self.device})"
        if axes == definition.indices:
            return code
        aligned = _aligned(f"({code})", axes, definition.indices)
        return f"{aligned}.expand({', '.join(self.size(index) for index in definition.indices)})"

    def size(self, index: Idx) -> str:
        self.sizes |= size(index).free_symbols
        return str(size(index))

    def expression(self, value: Expr, order: tuple[Idx, ...]) -> tuple[str, tuple[Idx, ...]]:
        """Return code, and its axes: those indices of `order` that are free in `value`."""
        axes = tuple(index for index in order if index in free_indices(value))
        tensors: dict[Expr, Expr] = {}
        outer = [factor for factor in Mul.make_args(value) if isinstance(factor, (Indexed, KroneckerDelta))]
        if len({frozenset(free_indices(factor)) for factor in outer}) > 1:
            product = Dummy(real=True)
            tensors[product] = self.symbol(outer, order, axes)
            value = Mul(product, *(factor for factor in Mul.make_args(value) if factor not in outer))
        for part in outermost(value, (Indexed, KroneckerDelta, Sum, Idx, Name)):
            tensors[part] = self.part(part, order, axes)
        printed = value.xreplace(tensors)
        used = {type(part).__name__ for part in printed.atoms(sympy.Function)}
        if unknown := used - {*self.functions, "Iverson", "Piecewise"}:
            raise ValueError(f"{value}: torch code is known for {', '.join(self.functions)}, not for {min(unknown)}")
        self.sizes |= {symbol for symbol in printed.free_symbols if symbol.is_integer}
        return str(_Printer(self.dtype, self.device, self.functions).doprint(printed)), axes

    def part(self, part: Expr, order: tuple[Idx, ...], axes: tuple[Idx, ...]) -> Expr:
        """Return a sum, an entry, a delta, an index or a defined number as a symbol, times the numbers in it."""
        if isinstance(part, Name):
            return Symbol(self.names[part], real=True)
        return self.sum(part, order, axes) if isinstance(part, Sum) else self.product([part], order, axes)

    def sum(self, part: Sum, order: tuple[Idx, ...], axes: tuple[Idx, ...]) -> Expr:
        """Return a sum as a symbol times numbers, or as several if a term alone has fewer axes."""
        factors, summed = Mul.make_args(part.function), [index for index, *_ in part.limits]
        terms = Add.make_args(sympy.expand(part.function)) if any(map(_is_spread, factors)) else ()
        if len(terms) > 1:
            return Add(*(self.part(Sum(term, *summed), order, axes) for term in terms))
        repeats = [size(index) for index in summed if index not in free_indices(part.function)]
        return Mul(*repeats, self.product(factors, order, axes))

    def product(self, factors: Sequence[Expr], order: tuple[Idx, ...], axes: tuple[Idx, ...]) -> Expr:
        """Return a product, summed over all indices not in `order`, as a symbol times numbers."""
        numbers = [self.number(factor) for factor in factors if not free_indices(factor)]
        arrays = _with_brackets_inside([factor for factor in factors if free_indices(factor)])
        return Mul(*numbers, self.symbol(arrays, order, axes)) if arrays else Mul(*numbers)

    def number(self, value: Expr) -> Expr:
        """Return a factor without axes; what torch has to compute becomes a symbol."""
        return Symbol(f"({self.expression(value, ())[0]})", real=True) if value.has(Sum, Name) else value

    def symbol(self, factors: Sequence[Expr], order: tuple[Idx, ...], axes: tuple[Idx, ...]) -> Symbol:
        """Return a product, summed over all indices not in `order`, as a symbol whose name is its code."""
        return Symbol(_aligned(*self.contraction(factors, order), axes), real=True)

    def contraction(self, factors: Sequence[Expr], order: tuple[Idx, ...]) -> tuple[str, tuple[Idx, ...]]:
        """Return code of the product of `factors`, summed over all indices that are not in `order`, and its axes."""
        factors = reading_order([part for factor in factors for part in _with_plain_indices(factor)])
        free = {index for factor in factors for index in free_indices(factor)}
        axes = tuple(index for index in order if index in free)
        inner = order + tuple(sorted(free.difference(order), key=str))
        operands = [self.operand(factor, inner) for factor in factors]
        if len(operands) == 1 and (code := _summed(*operands[0], axes)):
            return code, axes
        whole = [isinstance(factor, (Idx, Indexed)) and factor.is_integer for factor in factors]
        operands = [(f"{t}.to({self.dtype})" if w else t, a) for (t, a), w in zip(operands, whole, strict=True)]
        return _einsum(operands, axes), axes

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
                return f"torch.eye({self.size(left)}, dtype={self.dtype}{self.device})", factor.args
            axes = tuple(index for index in order if index in free_indices(factor))
            sides = (
                _aligned(f"({code})", given, axes) for code, given in (self.expression(s, axes) for s in factor.args)
            )
            return f"({' == '.join(sides)}).to({self.dtype})", axes
        if isinstance(factor, Idx):
            return f"torch.arange({self.size(factor)}{self.device})", (factor,)
        code, axes = self.expression(factor, order)
        return (code if factor.is_Function else f"({code})"), axes


def _require_python_names(bases: Sequence[Any], numbers: Iterable[Symbol], functions: Mapping[str, Any]) -> None:
    """Raise ValueError if two things have one name, or a name is none in Python."""
    names = [base.label.name for base in dict.fromkeys(bases)] + [number.name for number in numbers] + [*functions]
    names += {symbol.name for base in bases for extent in base.shape for symbol in extent.free_symbols}
    for name in names:
        if not name.isidentifier() or iskeyword(name):
            raise ValueError(f"{name!r} is no name in Python: give the array another")
        if names.count(name) > 1:
            raise ValueError(f"two different arrays, numbers, sizes or functions are called {name}: rename one")


def _is_spread(factor: Expr) -> bool:
    """Say whether a sum or its power has more axes than each of its terms: P_ir - Q_kr has three, its terms two."""
    base = factor.base if isinstance(factor, sympy.Pow) and factor.exp.is_Integer else factor
    axes = [free_indices(term) for term in base.args] if isinstance(base, Add) else []
    return bool(axes) and all(own < set().union(*axes) for own in axes)


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

    def __init__(self, dtype: str, device: str, functions: dict[str, str]) -> None:
        super().__init__({"user_functions": functions})
        self.options = f"dtype={dtype}{device}"

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
        if sympy.And(*conditions) == sympy.false:
            return f"(0*{self.tensor(rest)})"
        return f"torch.where({self._print(sympy.And(*conditions))}, {self.tensor(rest)}, 0)"

    def tensor(self, value: Expr) -> str:
        """Print a number as a tensor: one of torch's own choice would have torch's default dtype."""
        code = str(self._print(value))
        return f"torch.tensor({code}, {self.options})" if self.is_number(value) else code

    @staticmethod
    def is_number(value: Expr) -> bool:
        """Say whether the value is a Python number in the code, and not a tensor."""
        return all(symbol.is_integer for symbol in value.free_symbols)

    def _print_Pow(self, value: Expr, rational: bool = False) -> str:
        if value.is_commutative and abs(value.exp) == Rational(1, 2) and not self.is_number(value):
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
        return f"~({self._print(value.args[0])})"

    def _print_Function(self, value: Expr) -> str:
        name = type(value).__name__
        if self.is_number(value) and name in _FUNCTIONS:
            return f"math.{name}({', '.join(str(self._print(part)) for part in value.args)})"
        return str(super()._print_Function(value))

    _print_exp = _print_log = _print_sin = _print_cos = _print_tanh = _print_sign = _print_Function

    def _print_Exp1(self, _: Expr) -> str:
        return "math.e"

    def _print_Pi(self, _: Expr) -> str:
        return "math.pi"

    def _print_Iverson(self, value: Expr) -> str:
        return f"torch.where({self._print(value.args[0])}, {self.tensor(sympy.S.One)}, 0)"

    def _print_Piecewise(self, value: Expr) -> str:
        (branch, condition), *others = value.args
        if condition == sympy.true:
            return self.tensor(branch)
        if not others:
            raise ValueError(f"{value}: there is no case for the rest; end with (…, True)")
        rest = self._print(Piecewise(*others)) if len(others) > 1 else self._print(others[0][0])
        return f"torch.where({self._print(condition)}, {self.tensor(branch)}, {rest})"


def _summed(text: str, axes: tuple[Idx, ...], remaining: tuple[Idx, ...]) -> str | None:
    """Return code that sums an array over all but the `remaining` axes, or None if that takes an einsum."""
    if axes == remaining:
        return text
    is_diagonal = len({*axes}) < len(axes)
    if is_diagonal or tuple(index for index in axes if index in remaining) != remaining:
        return None
    places = [str(place) for place, index in enumerate(axes) if index not in remaining]
    where = places[0] if len(places) == 1 else f"({', '.join(places)})"
    return f"{text}.sum({where if remaining else ''})"


def _einsum(operands: Sequence[tuple[str, tuple[Idx, ...]]], axes: tuple[Idx, ...]) -> str:
    letters = _letters(index for _, operand in operands for index in operand)
    terms = ",".join("".join(letters[index] for index in operand) for _, operand in operands)
    output = "".join(letters[index] for index in axes)
    return f'torch.einsum("{terms}->{output}", {", ".join(text for text, _ in operands)})'


def _aligned(text: str, axes: tuple[Idx, ...], target: tuple[Idx, ...]) -> str:
    """Insert the axes of size 1 that broadcasting to `target` needs."""
    missing = [index not in axes for index in target]
    start = missing.index(False) if axes else len(target)
    gaps = ", ".join("None" if gap else ":" for gap in missing[start:])
    return f"{text}[{gaps}]" if any(missing[start:]) else text


def _letters(indices: Iterable[Idx]) -> dict[Idx, str]:
    distinct = list(dict.fromkeys(indices))
    names = [index.label.name for index in distinct]
    readable = len({*names}) == len(names) and all(len(name) == 1 and name in ascii_letters for name in names)
    return dict(zip(distinct, names if readable else ascii_letters, strict=False))
