"""Code as people write it: `A @ V`, `X.mT`, `(A * B).sum(-1, keepdim=True)`; an einsum where there is no such form.

Axes are counted from the last: what is so written holds for arrays with more axes before them. One size may be said to
be that of these: an index over it stands for any number of axes, `...` in an einsum.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, permutations
from math import prod
from typing import Any

from sympy import Expr, Idx, Indexed

from handgrad.symbolic.code_text import without_repetition
from handgrad.symbolic.coder import Operand, letters_for
from handgrad.symbolic.compiled import TorchGradients
from handgrad.symbolic.definitions import Definition
from handgrad.symbolic.formulas import Iverson
from handgrad.symbolic.joined import Joined, joined
from handgrad.symbolic.letters import size
from handgrad.symbolic.places_code import PlaceCoder
from handgrad.symbolic.saved import count, subtracted
from handgrad.symbolic.stable import stabilized
from handgrad.symbolic.torch_code import code_of

# Products of more arrays are not tried in all orders.
_MANY = 5


class MatrixCoder(PlaceCoder):
    """Writes products of arrays as matrix products or entry by entry where they are such."""

    def __init__(self, *arguments: Any, star: Expr | None = None) -> None:
        """Take the size that stands for any number of axes, the first of each array that has it."""
        super().__init__(*arguments)
        self.star = star
        self.printer.has_extremes = True

    def is_star(self, index: Idx) -> bool:
        """Say whether an index stands for any number of axes."""
        return self.star is not None and size(index) == self.star

    def extent(self, index: Idx) -> str:
        """Return the code of an axis' size among those that an array is expanded to."""
        return "*batch" if self.is_star(index) else super().extent(index)

    def aligned(self, text: str, axes: tuple[Idx, ...], target: tuple[Idx, ...]) -> str:
        """Insert the axes of size 1 that broadcasting to `target` needs; one at the end is kept, not inserted."""
        places = ["None" if index not in axes else ":" for index in target]
        while axes and places and places[0] == "None":
            places.pop(0)
        if not axes or "None" not in places:
            return text
        inserted, whole = places.index("None"), any(map(self.is_star, axes))
        if places[inserted:] == ["None"] and text.endswith((".sum(-1)", ".amax(-1)")):
            return f"{text[:-1]}, keepdim=True)"
        dots = [":"] if inserted == 1 and not whole else ["..."]
        return f"{text}[{', '.join([*dots, *places[inserted:]])}]"

    def summed(self, text: str, axes: tuple[Idx, ...], remaining: tuple[Idx, ...]) -> str | None:
        """Return code that sums an array over all but the `remaining` axes, or None if that takes an einsum."""
        over_star = any(self.is_star(index) for index in axes if index not in remaining)
        return None if remaining and over_star else super().summed(text, axes, remaining)

    def places(self, chosen: Iterable[Idx], axes: tuple[Idx, ...]) -> str:
        """Return where some axes stand, counted from the last."""
        places = [str(axes.index(index) - len(axes)) for index in chosen]
        return places[0] if len(places) == 1 else f"({', '.join(places)})"

    def plain(self, factor: Expr) -> list[Expr]:
        """Return factors of the same product; what torch's gather gives is one."""
        return [factor] if _is_gathered(factor) else super().plain(factor)

    def operand(self, factor: Expr, order: tuple[Idx, ...]) -> Operand:
        """Return a factor; a bracket is a condition as numbers."""
        if _is_gathered(factor):
            *axes, which = factor.indices
            array, places = (self.names.get(base, base.label.name) for base in (factor.base, which.base))
            return f"{array}.gather(-1, {places}[..., None]).squeeze(-1)", tuple(axes)
        code, axes = super().operand(factor, order)
        before, after = "torch.where(", f", torch.tensor(1, {self.options}), 0)"
        if isinstance(factor, Iverson) and code.startswith(before) and code.endswith(after):
            return f"({code.removeprefix(before).removesuffix(after)}).to({self.dtype})", axes
        return code, axes

    def ordered(self, axes: tuple[Idx, ...]) -> tuple[Idx, ...]:
        """Return the same axes, what stands for any number of them first."""
        return tuple(sorted(axes, key=lambda index: not self.is_star(index)))

    def einsum(self, operands: Sequence[Operand], axes: tuple[Idx, ...]) -> str:
        """Return the code of a product of arrays, summed over all indices but some, without an einsum if possible."""
        operands = [self.without_lone(operand, operands, axes) for operand in operands]
        if code := self.plain_form(operands, axes) or self.in_pairs(operands, axes)[-1]:
            return code
        while len(operands) > 2:
            operands = self.with_product(operands, axes)
        return self.plain_form(operands, axes) or self.in_letters(operands, axes)

    def in_letters(self, operands: Sequence[Operand], axes: tuple[Idx, ...]) -> str:
        """Return an einsum; ValueError if what stands for any number of axes is no first one."""
        operands, axes, back = self.arranged(operands, axes)
        letters: dict[Idx, str] = {}
        plain = letters_for(index for _, own in operands for index in own if not self.is_star(index))
        for _, own in operands:
            for place, index in enumerate(own):
                if self.is_star(index) and place:
                    raise ValueError(f"{size(index)} stands for the first axes, and is another one's size too")
                letters[index] = "..." if self.is_star(index) else plain[index]
        terms = ",".join("".join(letters[index] for index in own) for _, own in operands)
        output = "".join(letters[index] for index in axes)
        return f'torch.einsum("{terms}->{output}", {", ".join(text for text, _ in operands)}){back}'

    def plain_form(self, operands: Sequence[Operand], axes: tuple[Idx, ...]) -> str | None:
        """Return a matrix product, or a product entry by entry, that is so summed."""
        if any(len({*own}) < len(own) for _, own in operands):
            return None
        forms = (form(operands, axes) for form in (self.transposed, self.matrix_product, self.entrywise))
        return next(filter(None, forms), None)

    def without_lone(self, operand: Operand, operands: Sequence[Operand], axes: tuple[Idx, ...]) -> Operand:
        """Sum a factor over what no other has."""
        needed = {*axes}.union(*(other[1] for other in operands if other is not operand))
        kept = tuple(index for index in operand[1] if index in needed)
        code = self.summed(*operand, kept) if len(operands) > 1 else None
        return (code, kept) if code else operand

    def in_pairs(self, operands: Sequence[Operand], axes: tuple[Idx, ...]) -> tuple[int, int, str]:
        """Return a product of three or more as one of two, one of them a product, after how many axes that has."""
        found: list[tuple[int, int, str]] = []
        most = max(len(own) for own in (axes, *(own for _, own in operands)))
        for pair in combinations(operands, 2) if 2 < len(operands) <= _MANY else ():
            others = [operand for operand in operands if operand not in pair]
            needed = {*axes}.union(*(own for _, own in others))
            kept = [index for index in dict.fromkeys([*pair[0][1], *pair[1][1]]) if index in needed]
            for order in permutations(kept) if len(kept) <= most else ():
                # What any number of axes stands for comes first.
                if any(map(self.is_star, order[1:])) or not (code := self.plain_form(pair, order)):
                    continue
                rest: list[Operand] = [*others, (code, order)]
                if whole := self.plain_form(rest, axes):
                    found.append((len(order), len(whole), whole))
                elif (deeper := self.in_pairs(rest, axes))[-1]:
                    found.append((len(order) + deeper[0], *deeper[1:]))
        return min(found, default=(0, 0, ""))

    def with_product(self, operands: Sequence[Operand], axes: tuple[Idx, ...]) -> list[Operand]:
        """Return the same product with two of its factors as one: the first two to be multiplied, by symbolic sizes."""
        indices = {index for _, own in operands for index in own}
        small = subtracted(map(size, indices))
        numbers = {index: count([size(index)], small) for index in indices}
        first, second = _cheapest([own for _, own in operands], axes, numbers)[-1]
        pair = operands[first], operands[second]
        others = [operand for operand in operands if operand not in pair]
        kept = self.ordered(_kept([own for _, own in pair], [axes, *(own for _, own in others)]))
        orders = (order for order in permutations(kept) if self.ordered(order) == order)
        order = next((order for order in orders if self.plain_form(pair, order)), kept)
        product = self.einsum(pair, order), order
        return [product if operand is pair[0] else operand for operand in operands if operand is not pair[1]]

    def transposed(self, operands: Sequence[Operand], axes: tuple[Idx, ...]) -> str | None:
        """Write an array whose last two axes are exchanged."""
        (text, own), *others = operands
        is_transposed = len(own) > 1 and (*own[:-2], own[-1], own[-2]) == axes
        return f"{text}.mT" if is_transposed and not others and not any(map(self.is_star, own[-2:])) else None

    def matrix_product(self, operands: Sequence[Operand], axes: tuple[Idx, ...]) -> str | None:
        """Write a product of two that is summed over an index that both have, the other axes being broadcast."""
        if len(operands) != 2:
            return None
        common = [index for index in operands[0][1] if index in operands[1][1] and index not in axes]
        if len(common) != 1 or self.is_star(common[0]):
            return None
        for left, right in (operands, operands[::-1]):
            for outer_left, row, one in self.ends(left, common[0], is_left=True):
                for outer_right, column, other in self.ends(right, common[0], is_left=False):
                    outer, shorter = sorted((outer_left, outer_right), key=len, reverse=True)
                    if outer[len(outer) - len(shorter) :] == shorter and (*outer, *row, *column) == axes:
                        return f"({one} @ {other})"
        return None

    def ends(self, operand: Operand, inner: Idx, is_left: bool) -> list[tuple[Any, Any, str]]:
        """Return the ways to read a factor as a stack of matrices, or a vector: outer axes, row or column, code."""
        text, own = operand
        ways: list[tuple[Any, Any, str]] = [((), (), text)] if own == (inner,) else []
        if len(own) < 2:
            return ways
        outer, (last, end) = own[:-2], own[-2:]
        plain, turned = (last, end) if is_left else (end, last)
        if turned == inner:
            ways.append((outer, (plain,), text))
        elif plain == inner and not any(map(self.is_star, own[-2:])):
            ways.append((outer, (turned,), f"{text}.mT"))
        return ways

    def entrywise(self, operands: Sequence[Operand], axes: tuple[Idx, ...]) -> str | None:
        """Write a product entry by entry, summed where one of the factors has all of its axes."""
        whole = max((own for _, own in operands), key=len)
        if set().union(*(own for _, own in operands)) != {*whole}:
            whole = axes
        fitting = [self.in_order(operand, whole) for operand in operands]
        if None in fitting:
            return None
        product = f"({' * '.join(self.aligned(text, own, whole) for text, own in filter(None, fitting))})"
        return self.summed(product, whole, axes)

    def in_order(self, operand: Operand, whole: tuple[Idx, ...]) -> Operand | None:
        """Return a factor with its axes in the order of others, its last two exchanged if need be."""
        own = operand[1]
        order = tuple(index for index in whole if index in own)
        if order == own:
            return operand
        turned = self.transposed([operand], order)
        return (turned, order) if turned else None


def _kept(pair: Iterable[tuple[Idx, ...]], others: Iterable[tuple[Idx, ...]]) -> tuple[Idx, ...]:
    """Return the axes of two factors' product that others need."""
    needed = {index for own in others for index in own}
    return tuple(dict.fromkeys(index for own in pair for index in own if index in needed))


def _cheapest(
    factors: Sequence[tuple[Idx, ...]], axes: tuple[Idx, ...], numbers: Mapping[Idx, int]
) -> tuple[int, int, tuple[int, int]]:
    """Return how large the largest of a product's parts is, how many products it takes, and which two come first.

    The factors, given by their axes, are multiplied two at a time; of all orders the one with the smallest parts is
    meant, and of these the one that takes least. Of very many factors only the first part is looked at.
    """
    found = []
    for first, second in combinations(range(len(factors)), 2):
        pair = factors[first], factors[second]
        others = [own for place, own in enumerate(factors) if place not in (first, second)]
        work = prod(numbers[index] for index in {*pair[0], *pair[1]})
        if not others:
            return 0, work, (first, second)
        kept = _kept(pair, [axes, *others])
        later = _cheapest([kept, *others], axes, numbers) if len(factors) <= _MANY else (0, 0, (0, 0))
        largest = max(prod(numbers[index] for index in kept), later[0])
        found.append((largest, work + later[1], (first, second)))
    return min(found)


def _is_gathered(factor: Expr) -> bool:
    """Say whether a factor is the entry of each row that an array of whole numbers names, as in X[i, t[i]]."""
    if not isinstance(factor, Indexed) or len({*factor.indices}) < len(factor.indices):
        return False
    *axes, which = factor.indices
    return isinstance(which, Indexed) and which.indices == tuple(axes) and all(isinstance(i, Idx) for i in axes)


def compile_results(
    function: str,
    steps: Sequence[Definition],
    results: Mapping[str, Definition],
    counts: Joined,
    required: Mapping[Expr, str],
) -> TorchGradients:
    """Return a function, so called, of what `steps` are made of, that computes each once.

    It returns `results`, some of them, by name. `counts` are those of arrays with joined axes, `required` is what is
    not to be negative.
    """
    code = code_of(stabilized(steps, [*results.values()]), {}, MatrixCoder)
    named = [(code.names[base], value) for base, value in code.lines]
    lines = [f"{name} = {value}" for name, value in without_repetition(named, code.taken)]
    codes = {name: joined(code.names[result.base], counts.get(name)) for name, result in results.items()}
    returned = ", ".join(f'"{name}": {value}' for name, value in codes.items())
    compiled = code.compiled(function, [*lines, f"return {{{returned}}}"], counts)
    return TorchGradients(**compiled, required=required)
