"""Code that reads sizes off the shapes of tensors, and refuses shapes that do not fit."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import sympy
from sympy import Expr, Symbol
from sympy.printing.precedence import PRECEDENCE
from sympy.printing.str import StrPrinter


def shape_of(base: Any) -> tuple[Expr, ...]:
    """Return the shape of an array, none of a number."""
    return tuple(getattr(base, "shape", ()))


def code_of_size(extent: Expr) -> str:
    """Return the code of a size: whole numbers are divided with `//`."""
    return str(_SizePrinter().doprint(extent))


class _SizePrinter(StrPrinter):  # type: ignore[misc]
    def _print_floor(self, value: Expr) -> str:
        above, below = sympy.fraction(sympy.together(value.args[0]))
        return f"({' // '.join(self.parenthesize(part, PRECEDENCE['Pow']) for part in (above, below))})"


class _Tensor(NamedTuple):
    code: str
    shape: tuple[Expr, ...]
    argument: str


@dataclass
class Shapes:
    """The shapes of tensors by their code; one size may be that of any number of axes, which are called `batch`."""

    star: Expr | None
    tensors: list[_Tensor] = field(default_factory=list)
    had: set[str] = field(default_factory=set)
    divided: list[str] = field(default_factory=list)
    """Lines that divide sizes that are told by others."""

    def add(self, code: str, shape: tuple[Expr, ...], argument: str = "") -> None:
        """Add a tensor, which is to be checked if it is an argument."""
        self.tensors.append(_Tensor(code, shape, argument))

    def have(self, names: Iterable[str]) -> None:
        """Add sizes that are known before."""
        self.had |= {*names}

    def name(self, extent: Expr) -> str:
        """Return what a size is called."""
        return "batch" if self.star is not None and extent == self.star else code_of_size(extent)

    def names(self, shape: Sequence[Expr]) -> list[str]:
        """Return what the sizes are called that are no numbers."""
        return [self.name(extent) for extent in shape if isinstance(extent, Symbol)]

    def symbols(self, shape: Sequence[Expr]) -> set[str]:
        """Return what the sizes are called that a shape is made of."""
        return {self.name(symbol) for extent in shape for symbol in extent.free_symbols}

    def known(self) -> set[str]:
        """Return the names of all sizes that are told."""
        return self.had.union(*(self.names(tensor.shape) for tensor in self.tensors))

    def code(self, shape: Sequence[Expr]) -> list[str]:
        """Return the code of the sizes in a shape."""
        return ["*batch" if name == "batch" else name.replace("*", " * ") for name in map(self.name, shape)]

    def lines(self, wanted: set[str]) -> list[str]:
        """Return lines that name the sizes that are wanted, and check the arguments."""
        number = {str(self.star)} & wanted
        wanted = wanted | self.repeated() | ({"batch"} if number else set())
        lines, known = list[str](), {*self.had}
        for tensor in self.tensors:
            before = {*known}
            own = [*map(self.name, tensor.shape)]
            names = [n if n in wanted - known and own.index(n) == i else "_" for i, n in enumerate(own)]
            if new := {*names} - {"_"}:
                lines.append(f"        {self.unpacked(tensor, names)}")
                known |= new
            if tensor.argument and (before & {*self.names(tensor.shape)} or _repeats(tensor.shape)):
                lines.append(f"        {self.check(tensor, known)}")
        return [*lines, *self.divided, *(f"        {name} = math.prod(batch)" for name in number)]

    def repeated(self) -> set[str]:
        """Return the sizes of arguments that stand twice in the shapes."""
        checked = [name for tensor in self.tensors if tensor.argument for name in self.names(tensor.shape)]
        every = [name for tensor in self.tensors for name in self.names(tensor.shape)]
        return {name for name in checked if every.count(name) > 1}

    def unpacked(self, tensor: _Tensor, names: list[str]) -> str:
        """Return code that names sizes."""
        has_star = bool(tensor.shape) and self.name(tensor.shape[0]) == "batch"
        if has_star and names[0] == "batch":
            if {*names[1:]} <= {"_"}:
                return f"batch = {tensor.code}.shape" + (f"[:{1 - len(names)}]" if names[1:] else "")
            return f"*batch, {', '.join(names[1:])} = {tensor.code}.shape"
        last = names[1:] if has_star else names
        if len(found := [name for name in last if name != "_"]) == 1:
            place = last.index(found[0])
            return f"{found[0]} = {tensor.code}.shape[{place - len(last) if has_star else place}]"
        return f"{', '.join(last)} = {tensor.code}.shape" + (f"[-{len(last)}:]" if has_star else "")

    def check(self, tensor: _Tensor, known: set[str]) -> str:
        """Return code that refuses another shape."""
        actual, shape = f"{tensor.code}.shape", tensor.shape
        if self.name(shape[0]) == "batch" and "batch" not in known:
            actual, shape = f"{actual}[{1 - len(shape)}:]", shape[1:]
        expected = [
            code
            if code == "*batch" or code in known or code.isdigit()
            else f"{tensor.code}.shape[{place - len(shape)}]"
            for place, code in enumerate(self.code(shape))
        ]
        whole = f"({', '.join(expected)}{',' if len(expected) == 1 else ''})"
        return f"require_same_shape({tensor.argument}={actual}, expected={whole})"


def _repeats(shape: Sequence[Expr]) -> bool:
    return len({*shape}) < len(shape) or any(extent.is_number for extent in shape)
