"""Joined axes: an array has one axis in memory where formulas have several, as of heads and of their entries.

How many indices each axis has is a tuple for each such array, by name: (1, 2) of W[i, (h, e)]. Axes may stand before
these that are not counted.
"""

from collections.abc import Mapping, Sequence

from sympy import Expr, Mul, Symbol

Joined = Mapping[str, tuple[int, ...]]


def groups(shape: Sequence[Expr], counts: Sequence[int] | None) -> list[tuple[Expr, ...]]:
    """Return the sizes of a formula's axes that each axis in memory is made of."""
    extents, before = [*shape], len(shape) - sum(counts or (1,) * len(shape))
    found = [(extents.pop(0),) for _ in range(before)]
    for count in counts or (1,) * len(extents):
        found.append(tuple(extents[:count]))
        del extents[:count]
    return found


def sizes_joined(shape: Sequence[Expr], counts: Sequence[int] | None) -> set[Symbol]:
    """Return the sizes that joined axes are made of."""
    return {
        symbol for group in groups(shape, counts) if len(group) > 1 for size in group for symbol in size.free_symbols
    }


def in_memory(shape: Sequence[Expr], counts: Sequence[int] | None) -> tuple[Expr, ...]:
    """Return the shape that an array has in memory."""
    return tuple(Mul(*group) for group in groups(shape, counts))


def split(code: str, shape: Sequence[Expr], counts: Sequence[int] | None) -> str:
    """Return the code of an array with the axes that it has in formulas, given that of the one in memory."""
    parts = groups(shape, counts)
    for place, group in enumerate(parts):
        if len(group) > 1:
            code = f"torch.unflatten({code}, {place - len(parts)}, ({', '.join(map(str, group))}))"
    return code


def joined(code: str, counts: Sequence[int] | None) -> str:
    """Return the code of an array as it is in memory, given that of the one with the axes of formulas."""
    start = -sum(counts or ())
    for count in counts or ():
        if count > 1:
            code += f".flatten({start}, {start + count - 1})"
        start += count
    return code


class Told:
    """How sizes are told by shapes in memory: those that none tells are asked for."""

    def __init__(self, shapes: Mapping[str, Sequence[tuple[Expr, ...]]]) -> None:
        """Take the groups of each array, by its code."""
        self.asked: list[Symbol] = []
        self.divided: list[tuple[Symbol, str, int, Expr]] = []
        """Sizes that are an axis' size divided by others: which, of what, at which place from the end, by what."""
        known = {group[0] for parts in shapes.values() for group in parts if len(group) == 1}
        products = [
            (code, place - len(parts), group)
            for code, parts in shapes.items()
            for place, group in enumerate(parts)
            if len(group) > 1
        ]
        for least in (1, 0):
            for code, place, group in products:
                unknown = [extent for extent in dict.fromkeys(group) if extent.is_Symbol and extent not in known]
                if least and len(unknown) != 1:
                    continue
                if unknown and group.count(unknown[-1]) == 1:
                    last = unknown.pop()
                    self.divided.append((last, code, place, Mul(*group) / last))
                    known.add(last)
                self.asked += unknown
                known |= {*unknown}

    def lines(self) -> list[str]:
        """Return the lines that divide."""
        return [f"{size} = {code}.shape[{place}] // {_factor(by)}" for size, code, place, by in self.divided]


def _factor(value: Expr) -> str:
    return f"({value})" if value.is_Mul else str(value)
