"""Index notation to torch: one readable line of code per formula, an einsum for a contraction, never a loop."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from string import ascii_letters
from typing import TYPE_CHECKING, Any

import sympy
from sympy import Add, Dummy, Expr, Idx, Indexed, KroneckerDelta, Mul, Piecewise, Sum, Symbol
from sympy.core.relational import Relational
from sympy.printing.pycode import PythonCodePrinter

from handgrad.symbolic.calculus import Definition, Iverson, free_indices, outermost, size
from handgrad.symbolic.notation import reading_order

if TYPE_CHECKING:
    from torch import Tensor


_FUNCTIONS = ("exp", "log", "sin", "cos", "tanh")


@dataclass(frozen=True)
class TorchFunction:
    """A formula as a torch function: of its arrays by name, and of the sizes that no array tells."""

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

    def _repr_markdown_(self) -> str:
        return f"```python\n{self.source}\n```"


def compile_torch(definition: Definition) -> TorchFunction:
    """Return the definition as a function of the arrays, and of the sizes that no array tells, in its value."""
    import torch

    value, indices = definition.value, definition.indices
    indexed = sorted(value.atoms(Indexed), key=str)
    arrays: dict[str, tuple[Expr, ...]] = {str(entry.base.label): entry.base.shape for entry in indexed}
    arrays |= {str(s): () for s in sorted(value.atoms(Symbol), key=str) if not s.is_integer and str(s) not in arrays}
    coder = _Coder(like=next(iter(arrays), None))
    code, axes = coder.expression(value, indices)
    if axes != indices:
        tensor = f"({_aligned(f'({code})', axes, indices)})" if arrays else f"torch.tensor({code}, dtype=torch.float64)"
        code = f"{tensor}.expand({', '.join(coder.size(index) for index in indices)})"
    lines = []
    for name, shape in arrays.items():
        if coder.sizes & {*shape}:
            names = [str(symbol) if symbol in coder.sizes else "_" for symbol in shape]
            lines.append(f"    {', '.join(names)}{',' * (len(shape) == 1)} = {name}.shape\n")
            coder.sizes -= {*shape}
    sizes = tuple(sorted(map(str, coder.sizes)))
    source = f"def {definition.name}({', '.join([*arrays, *sizes])}):\n{''.join(lines)}    return {code}"
    namespace: dict[str, Any] = {"torch": torch}
    exec(source, namespace)
    return TorchFunction(source, arrays, sizes, tuple(map(size, indices)), namespace[definition.name])


class _Coder:
    """Translates sums, arrays and deltas to tensors whose axes stand in a given order, and prints the rest."""

    def __init__(self, like: str | None) -> None:
        self.like = like
        self.options = f", dtype={like}.dtype, device={like}.device" if like else ""
        self.sizes: set[Symbol] = set()

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
        for part in outermost(value, (Indexed, KroneckerDelta, Sum)):
            factors, repeats = [part], []
            if isinstance(part, Sum):
                factors = Mul.make_args(part.function)
                repeats = [size(index) for index, *_ in part.limits if index not in free_indices(part.function)]
            numbers = [factor for factor in factors if not free_indices(factor)]
            arrays = [factor for factor in factors if free_indices(factor)]
            tensors[part] = Mul(*numbers, *repeats, *([self.symbol(arrays, order, axes)] if arrays else []))
        printed = value.xreplace(tensors)
        if printed.has(Idx):
            raise ValueError(f"{value}: an index that is used as a number has no torch code")
        if unknown := {type(part).__name__ for part in printed.atoms(sympy.Function)} - {
            *_FUNCTIONS,
            "Iverson",
            "Piecewise",
        }:
            raise ValueError(f"{value}: torch code is known for {', '.join(_FUNCTIONS)}, not for {min(unknown)}")
        self.sizes |= {symbol for symbol in printed.free_symbols if symbol.is_integer}
        return str(_Printer(self.like).doprint(printed)), axes

    def symbol(self, factors: Sequence[Expr], order: tuple[Idx, ...], axes: tuple[Idx, ...]) -> Symbol:
        """Return a product, summed over all indices not in `order`, as a symbol whose name is its code."""
        return Symbol(_aligned(*self.contraction(factors, order), axes), real=True)

    def contraction(self, factors: Sequence[Expr], order: tuple[Idx, ...]) -> tuple[str, tuple[Idx, ...]]:
        """Return code of the product of `factors`, summed over all indices that are not in `order`, and its axes."""
        free = {index for factor in factors for index in free_indices(factor)}
        axes = tuple(index for index in order if index in free)
        inner = order + tuple(sorted(free.difference(order), key=str))
        operands = [self.operand(factor, inner) for factor in reading_order(factors)]
        text, given = operands[0]
        if len(operands) == 1 and given == axes:
            return text, axes
        if len(operands) == 1 and len({*given}) == len(given) and tuple(i for i in given if i in axes) == axes:
            places = [str(place) for place, index in enumerate(given) if index not in axes]
            where = places[0] if len(places) == 1 else f"({', '.join(places)})"
            return f"{text}.sum({where if axes else ''})", axes
        letters = _letters(index for _, operand in operands for index in operand)
        terms = ",".join("".join(letters[index] for index in operand) for _, operand in operands)
        output = "".join(letters[index] for index in axes)
        return f'torch.einsum("{terms}->{output}", {", ".join(text for text, _ in operands)})', axes

    def operand(self, factor: Expr, order: tuple[Idx, ...]) -> tuple[str, tuple[Idx, ...]]:
        """Return a factor of an einsum, whose axes may stand in any order and twice."""
        if isinstance(factor, Indexed):
            return str(factor.base.label), factor.indices
        if isinstance(factor, KroneckerDelta):
            return f"torch.eye({self.size(factor.args[0])}{self.options})", factor.args
        code, axes = self.expression(factor, order)
        return (code if factor.is_Function else f"({code})"), axes


class _Printer(PythonCodePrinter):  # type: ignore[misc]
    """Python code for what happens entry by entry."""

    def __init__(self, like: str | None) -> None:
        super().__init__({"user_functions": {name: f"torch.{name}" for name in _FUNCTIONS}})
        self.like = like

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
        return f"torch.where({self._print(sympy.And(*conditions))}, {self.tensor(rest)}, 0)"

    def tensor(self, value: Expr) -> str:
        """Print a number as a tensor: one of torch's own choice would have torch's default dtype."""
        code = str(self._print(value))
        return (
            code if any(not symbol.is_integer for symbol in value.free_symbols) else f"{self.like}.new_tensor({code})"
        )

    def _print_Pow(self, value: Expr, rational: bool = False) -> str:
        return str(self._hprint_Pow(value, rational=rational, sqrt="torch.sqrt"))

    def _print_Relational(self, value: Relational) -> str:
        return f"{self._print(value.lhs)} {value.rel_op} {self._print(value.rhs)}"

    def _print_And(self, value: Any) -> str:
        return " & ".join(f"({self._print(part)})" for part in sorted(value.args, key=str))

    def _print_Or(self, value: Any) -> str:
        return " | ".join(f"({self._print(part)})" for part in sorted(value.args, key=str))

    def _print_Iverson(self, value: Expr) -> str:
        return f"torch.where({self._print(value.args[0])}, {self.tensor(sympy.S.One)}, 0)"

    def _print_Piecewise(self, value: Expr) -> str:
        (branch, condition), *others = value.args
        if condition == sympy.true:
            return self.tensor(branch)
        rest = self._print(Piecewise(*others)) if len(others) > 1 else self._print(others[0][0])
        return f"torch.where({self._print(condition)}, {self.tensor(branch)}, {rest})"


def _aligned(text: str, axes: tuple[Idx, ...], target: tuple[Idx, ...]) -> str:
    """Insert the axes of size 1 that broadcasting to `target` needs."""
    missing = [index not in axes for index in target]
    start = missing.index(False) if axes else len(target)
    gaps = ", ".join("None" if gap else ":" for gap in missing[start:])
    return f"{text}[{gaps}]" if any(missing[start:]) else text


def _letters(indices: Iterable[Idx]) -> dict[Idx, str]:
    distinct = list(dict.fromkeys(indices))
    names = [str(index.label) for index in distinct]
    readable = len({*names}) == len(names) and all(len(name) == 1 and name in ascii_letters for name in names)
    return dict(zip(distinct, names if readable else ascii_letters, strict=False))
