"""Definitions compiled to torch functions."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sympy import Expr, Indexed, Symbol

from handgrad.symbolic.coder import Coder
from handgrad.symbolic.compiled import TorchFunction
from handgrad.symbolic.definitions import Definition, given_in, in_order, symbols_of
from handgrad.symbolic.formulas import FUNCTIONS
from handgrad.symbolic.joined import Joined, Told, groups, in_memory, sizes_joined, split
from handgrad.symbolic.letters import size
from handgrad.symbolic.stable import CODE, stabilized

NOTHING: Joined = MappingProxyType({})


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

    def compiled(self, name: str, lines: Sequence[str], counts: Joined = NOTHING) -> dict[str, Any]:
        """Return a function with these lines, and what it is given, as the fields of a `Compiled`.

        `counts` are those of the arrays that have joined axes.
        """
        import torch

        parts = {name: groups(shape, counts.get(name)) for name, shape in self.arrays.items()}
        arrays = {name: in_memory(shape, counts.get(name)) for name, shape in self.arrays.items()}
        products = {name: extents for name, extents in self.arrays.items() if name in counts}
        told = Told(parts)
        wanted = self.sizes.union(*(sizes_joined(shape, counts[name]) for name, shape in products.items()))
        unpacked, sizes = _unpacked(wanted - {size for size, *_ in told.divided}, arrays)
        unpacked += told.lines()
        unpacked += [f"{name} = {split(name, shape, counts[name])}" for name, shape in products.items()]
        source = f"def {name}({', '.join([*self.arrays, *sizes])}):\n    " + "\n    ".join([*unpacked, *lines])
        namespace: dict[str, Any] = {"torch": torch, "math": math, **self.functions}
        exec(source, namespace)
        fields = {"source": source, "arrays": arrays, "sizes": sizes, "function": namespace[name]}
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


def _unpacked(sizes: set[Symbol], arrays: Mapping[str, tuple[Expr, ...]]) -> tuple[list[str], dict[str, Symbol]]:
    """Return code that reads sizes off the shapes of arrays, and the sizes that no shape tells, by name."""
    lines = []
    for name, shape in arrays.items():
        if sizes & {*shape}:
            names = [str(extent) if extent in sizes else "_" for extent in shape]
            lines.append(f"{', '.join(names)}{',' if len(shape) == 1 else ''} = {name}.shape")
            sizes = sizes - {*shape}
    return lines, {str(symbol): symbol for symbol in sorted(sizes, key=str)}


def _require_distinct_names(bases: Sequence[Any], numbers: Iterable[Symbol], functions: Mapping[str, Any]) -> None:
    """Raise ValueError if two things have one name, TypeError if a function is none."""
    names = [base.label.name for base in dict.fromkeys(bases)] + [number.name for number in numbers] + [*functions]
    names += {symbol.name for base in bases for extent in base.shape for symbol in extent.free_symbols}
    if strange := [name for name, function in functions.items() if not callable(function)]:
        raise TypeError(f"{strange[0]} is no function")
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two different arrays, numbers, sizes or functions are called {name}: rename one")
