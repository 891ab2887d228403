"""What a forward pass saves for the backward pass: the fewest entries from which the rest follows entry by entry."""

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sympy import Expr, Mul

# Counts of entries are compared at sizes that are all this large: what has more axes has more. Only a size that is
# subtracted from others, as a kernel's is, is small.
_LARGE, _SMALL = 1000, 10
_START, _END = "start", "end"


def entries(shape: Sequence[Expr]) -> Expr:
    """Return how many entries an array has."""
    return Mul(*shape)


def count(shape: Sequence[Expr], small: Collection[Expr] = ()) -> int:
    """Return how many entries an array has where all sizes are large, but for some."""
    total = entries(shape)
    return int(total.subs({extent: _SMALL if extent in small else _LARGE for extent in total.free_symbols}))


def subtracted(extents: Iterable[Expr]) -> set[Expr]:
    """Return the sizes that are subtracted in others."""
    return {size for extent in extents for size in extent.free_symbols if extent.diff(size).is_negative}


def least(needed: Iterable[Any], made_of: Mapping[Any, Iterable[Any]], counts: Mapping[Any, int]) -> set[Any]:
    """Return the values to save, from which those needed can be made, with the least sum of their `counts`.

    `made_of` says of what a value is made, if it may be made again. Each way from a value that may not to a needed one
    leads through a saved one: this is a least cut, found as a largest flow, by the theorem of Ford and Fulkerson. Of
    several, it is the one that leaves the least to be made again.
    """
    wanted, no_limit = [*needed], sum(counts.values()) + 1
    room: dict[Any, dict[Any, int]] = {node: {} for node in (_START, _END)}
    for value, number in counts.items():
        room.setdefault((value, "in"), {})[value, "out"] = number
        room.setdefault((value, "out"), {})
        for other in made_of.get(value, ()):
            room.setdefault((other, "out"), {})[value, "in"] = no_limit
        if value not in made_of:
            room[_START][value, "in"] = no_limit
    for value in wanted:
        room[value, "out"][_END] = no_limit
    while path := _path(room):
        amount = min(room[one][other] for one, other in path)
        for one, other in path:
            room[one][other] -= amount
            room[other][one] = room[other].get(one, 0) + amount
    leading = _leading_to_end(room)
    return {value for value in counts if (value, "out") in leading and (value, "in") not in leading}


def _path(room: Mapping[Any, Mapping[Any, int]]) -> list[tuple[Any, Any]]:
    """Return the steps of a shortest way from start to end on which there is room, if there is one."""
    before: dict[Any, Any] = {_START: None}
    queue = deque([_START])
    while queue and _END not in before:
        node = queue.popleft()
        for other, free in room[node].items():
            if free > 0 and other not in before:
                before[other] = node
                queue.append(other)
    path, node = [], _END
    while before.get(node) is not None:
        path.append((before[node], node))
        node = before[node]
    return path


def _leading_to_end(room: Mapping[Any, Mapping[Any, int]]) -> set[Any]:
    """Return the nodes from which there is room on a way to the end."""
    found, queue = {_END}, deque([_END])
    while queue:
        node = queue.popleft()
        for other, ways in room.items():
            if other not in found and ways.get(node, 0) > 0:
                found.add(other)
                queue.append(other)
    return found
