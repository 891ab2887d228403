"""Formulas as torch functions: what they are given is checked before they are evaluated."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from sympy import Expr, Symbol

if TYPE_CHECKING:
    from torch import Tensor


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
    required: Mapping[Expr, str] = field(default_factory=dict, kw_only=True)
    """What is not to be negative, and what is said where it is."""

    def evaluated(self, given: Mapping[str, Any]) -> Any:
        """Return what the code returns; see `TorchFunction` for the errors."""
        names = [*self.arrays, *self.sizes]
        if {*given} != {*names}:
            raise TypeError(f"the formula is in {', '.join(names)}; it was given {', '.join(given) or 'nothing'}")
        tensors = {name: _tensor(name, given[name], name in self.whole) for name in self.arrays}
        numbers = {symbol: _whole(symbol, given[name]) for name, symbol in self.sizes.items()}
        _require_alike({name: tensor for name, tensor in tensors.items() if name not in self.whole})
        numbers |= self._extents(tensors, numbers)
        self._require_sizes(tensors, numbers)
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

    def _require_sizes(self, tensors: dict[str, "Tensor"], numbers: Mapping[Expr, int]) -> None:
        """Raise ValueError on sizes that do not go together, and on whole numbers outside of the axes they are of."""
        for difference, words in self.required.items():
            if (found := difference.subs(numbers)).is_negative:
                raise ValueError(f"{words}: {difference} is {found}")
        for name, axis in self.lookups.items():
            # Sympy takes longer to put a number in a symbol's place than torch to compute small formulas.
            _require_inside(name, tensors[name], numbers[axis] if axis in numbers else int(axis.subs(numbers)))

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
        simple = _with_factors(simple, extents)
        for extent, number in extents.items():
            if extent.is_Symbol:
                continue
            if (computed := extent.subs(simple)).is_number and computed != number:
                raise ValueError(f"{extent} is {computed} elsewhere, but {number} in {known[extent][1]}")
        return simple | extents

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
    """The gradients, or tangents, of a program as one torch function, which is given what a `TorchFunction` is.

    The errors are the same. It returns a tensor for each, by the name of what it is the gradient by, or the tangent of.
    """

    def __call__(self, **given: Any) -> "dict[str, Tensor]":
        """Evaluate."""
        result: dict[str, Tensor] = self.evaluated(given)
        return result


def _with_factors(numbers: dict[Any, int], extents: Mapping[Expr, int]) -> dict[Any, int]:
    """Return sizes with those that a product tells, as 2*d does d; ValueError if it is no multiple of the others."""
    numbers = {**numbers}
    products = {extent: number for extent, number in extents.items() if extent.is_Mul}
    for extent, number in sorted(products.items(), key=lambda item: len(item[0].free_symbols - {*numbers})):
        rest = extent.subs(numbers)
        if len(rest.free_symbols) == 1:
            (unknown,) = rest.free_symbols
            by = int(rest / unknown)
            if number % by:
                raise ValueError(f"an axis of {extent} has the size {number}, which is no multiple of {by}")
            numbers[unknown] = number // by
    return numbers


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
