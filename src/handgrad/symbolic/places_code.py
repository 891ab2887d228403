"""Code for entries at computed places: what stands under a window, what is looked up, sums up to a place.

Written as products with deltas, as any such entry may be, these take as many times more work as an axis is long.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sympy import Expr, Ge, Idx, Indexed, Integer, KroneckerDelta, Le

from handgrad.symbolic.coder import Coder, Operand
from handgrad.symbolic.formulas import Iverson
from handgrad.symbolic.letters import free_indices, ordered, size


class Window(NamedTuple):
    """An index of the form stride * step + dilation * within + start; `within` runs over the places of the window."""

    stride: int
    step: Idx
    dilation: int
    within: Idx
    start: Expr

    def pads(self, axis: Expr) -> tuple[Expr, Expr]:
        """Return how many zeros stand before and behind an axis so that all places are inside; fewer than 0 are cut."""
        reach = self.dilation * (size(self.within) - 1)
        low, high = (self.start, self.start + reach) if self.dilation > 0 else (self.start + reach, self.start)
        return (-low).expand(), (high + self.stride * (size(self.step) - 1) - axis + 1).expand()


def window(index: Expr, axis: Expr) -> Window | None:
    """Read an index of an axis as that of a window, if it is a sum of two letters, one of which has few places.

    Which has few is told by the sizes: as numbers, or as one is made of another less the third, l − k + 1.
    """
    letters = ordered(free_indices(index))
    if len(letters) != 2 or index.atoms(Indexed):
        return None
    slopes = [index.coeff(letter) for letter in letters]
    start = (index - sum(slope * letter for slope, letter in zip(slopes, letters, strict=True))).expand()
    if free_indices(start) or not all(isinstance(slope, Integer) and slope for slope in slopes):
        return None
    short = [letter for letter in letters if _is_short(size(letter), [axis, *map(size, letters)])]
    if len(short) != 1:
        return None
    within, step = short[0], letters[1 - letters.index(short[0])]
    stride, dilation = (int(slopes[letters.index(letter)]) for letter in (step, within))
    return Window(stride, step, dilation, within, start) if stride > 0 else None


def _is_short(own: Expr, extents: Sequence[Expr]) -> bool:
    """Say whether the size of a letter is the short one of three, those of a sum's two letters and of its axis."""
    if all(extent.is_number for extent in extents):
        return bool(own == min(extents) and [*extents].count(own) == 1)
    return bool(own.free_symbols) and any(
        extent.coeff(symbol).is_negative for symbol in own.free_symbols for extent in extents if extent != own
    )


class PlaceCoder(Coder):
    """Writes windows, look-ups and running sums as torch does, without deltas."""

    def __init__(self, *arguments: Any) -> None:
        """Take what a `Coder` takes."""
        super().__init__(*arguments)
        self.by_products = False
        """Whether these stay products with deltas: not all libraries have words for them."""
        self.turned: frozenset[Idx] = frozenset()
        """The letters of windows that are summed over from the last to the first."""
        self.within: set[Idx] = set()
        """The letters of windows."""

    def plain(self, factor: Expr) -> list[Expr]:
        """Return factors of the same product; what stands under a window is one, and what is looked up in a stack."""
        is_place = not self.by_products and (_windows(factor) or _is_taken(factor))
        return [factor] if is_place else super().plain(factor)

    def operand(self, factor: Expr, order: tuple[Idx, ...]) -> Operand:
        """Return a factor and its axes."""
        if self.by_products:
            return super().operand(factor, order)
        if _is_taken(factor):
            place = next(place for place, index in enumerate(factor.indices) if isinstance(index, Indexed))
            which, after = factor.indices[place], factor.indices[place + 1 :]
            array, places = (self.names.get(base, base.label.name) for base in (factor.base, which.base))
            index = f"{places}[{', '.join(['...', *['None'] * len(after)])}]" if after else places
            return f"torch.take_along_dim({array}, {index}, {-1 - len(after)})", (*which.indices, *after)
        if windows := _windows(factor):
            return self.under(factor, windows)
        code, axes = super().operand(factor, order)
        places = [str(axes.index(index) - len(axes)) for index in axes if index in self.turned]
        return f"{code}.flip({', '.join(places)})" if places else code, axes

    def under(self, entry: Indexed, windows: dict[int, Window]) -> Operand:
        """Return what stands under windows: the places of each are an axis at the end."""
        code, axes = self.names.get(entry.base, entry.base.label.name), [*entry.indices]
        pads = [windows[at].pads(axis) if at in windows else (Integer(0),) * 2 for at, axis in enumerate(entry.shape)]
        beside = [pad for pair in reversed(pads[min(windows) :]) for pad in pair]
        if any(pad != 0 for pad in beside):
            self.sizes |= {symbol for pad in beside for symbol in pad.free_symbols}
            code = f"torch.nn.functional.pad({code}, ({', '.join(map(str, beside))}))"
        for place, found in windows.items():
            every = abs(found.dilation)
            length = (every * (size(found.within) - 1) + 1).expand()
            self.sizes |= length.free_symbols
            code += f".unfold({place - len(axes)}, {length}, {found.stride})"
            code += f"[..., ::{every}]" if every > 1 else ""
            code += ".flip(-1)" if found.dilation < 0 and found.within not in self.turned else ""
            axes[place] = found.step
            axes.append(found.within)
            self.within.add(found.within)
        return code, tuple(axes)

    def arranged(
        self, operands: Sequence[Operand], axes: tuple[Idx, ...]
    ) -> tuple[list[Operand], tuple[Idx, ...], str]:
        """Return the factors and axes of an einsum in a fast order, and code that puts the axes back in their own.

        An einsum copies its factors, slowly if the few places of a window are to be next to each other in the copy.
        """
        found = sorted(operands, key=lambda operand: ".unfold(" in operand[0])
        if ".unfold(" not in found[-1][0]:
            return found, axes, ""
        stack = [index for index in axes if self.is_star(index)]
        own = [index for index in axes if index in found[-1][1] and index not in stack]
        first = [index for index in axes if index not in {*own, *stack}]
        if self.within.isdisjoint(own) or len(first) != 1 or (*stack, *first, *own) != axes:
            return found, axes, ""
        return found, (*stack, *own, *first), f".movedim(-1, {-len(own) - 1})"

    def contraction(self, factors: Sequence[Expr], order: tuple[Idx, ...], ready: Sequence[Operand] = ()) -> Operand:
        """Return code of a product, summed over all indices that are not in `order`, and its axes."""
        if self.by_products:
            return super().contraction(factors, order, ready)
        factors = _selected(factors, order) if not ready else factors
        for factor in factors:
            rest = [other for other in factors if other is not factor]
            if found := self.running(factor, rest, order, ready) or (not ready and self.added(factor, rest, order)):
                return found
        before, self.turned = self.turned, _turned(factors, order)
        found = super().contraction(factors, order, ready)
        self.turned = before
        return found

    def added(self, delta: Expr, rest: Sequence[Expr], order: tuple[Idx, ...]) -> Operand | None:
        """Write a product summed over look-ups, Σ_n δ(v, t[n]) x[n], as adding each x to its place."""
        to, which = _looked_up(delta)
        others = _axes(rest)
        if which is None or to not in order or to in others:
            return None
        gone = tuple(index for index in which.indices if index not in order)
        axes = tuple(index for index in order if index in {to, *others, *which.indices})
        at = axes.index(to)
        whole = (*axes[:at], *gone, *axes[at + 1 :])
        # Several axes go where all that the places have do, and come first.
        is_flat = len(gone) == len(which.indices) and not at
        if tuple(filter({*which.indices}.__contains__, whole)) != which.indices or (len(gone) != 1 and not is_flat):
            return None
        places = self.names.get(which.base, which.base.label.name)
        ones = f"torch.ones_like({places}, dtype={self.dtype})", which.indices
        operand = self.contraction(rest, whole) if rest else ones
        return (self.at_places(places, which.indices, operand, axes, at), axes) if gone else None

    def at_places(self, places: str, which: tuple[Idx, ...], operand: Operand, axes: tuple[Idx, ...], at: int) -> str:
        """Return zeros to which an operand is added at the places of one axis."""
        gone = tuple(index for index in which if index not in axes)
        whole = (*axes[:at], *gone, *axes[at + 1 :])
        code = self.aligned(*operand, whole)
        sizes = ", ".join(map(self.extent, whole))
        code = code if operand[1] == whole else f"{code}.expand({sizes})"
        like, is_like, _ = self.dtype.rpartition(".dtype")
        extents = ", ".join(map(self.extent, axes))
        zeros = f"{like}.new_zeros({extents})" if is_like else f"torch.zeros({extents}, {self.options})"
        if len(gone) == len(which) == 1 and not self.is_star(gone[0]):
            return f"{zeros}.index_add_({at - len(axes)}, {places}, {code})"
        if len(gone) == len(which):
            return f"{zeros}.index_add_(0, {places}.flatten(), {code}.flatten(0, {-len(axes)}))"
        index = self.aligned(places, which, whole)
        index = index if which == whole else f"{index}.expand({sizes})"
        return f"{zeros}.scatter_add_({at - len(axes)}, {index}, {code})"

    def is_star(self, index: Idx) -> bool:
        """Say whether an index stands for any number of axes."""
        return False

    def running(
        self, bracket: Expr, rest: Sequence[Expr], order: tuple[Idx, ...], ready: Sequence[Operand]
    ) -> Operand | None:
        """Write a sum up to a place, Σ_i [i ≤ k] x[i], or from it, as a running sum."""
        most = max(map(len, [order, *map(free_indices, rest), *(axes for _, axes in ready)]))
        for summed, last, is_upwards in _up_to(bracket):
            within = [factor for factor in rest if summed in free_indices(factor)]
            under = [operand for operand in ready if summed in operand[1]]
            others = [factor for factor in rest if factor not in within]
            beside = [operand for operand in ready if operand not in under]
            own, known = _axes(within, under), (*order, *ordered(_axes(others, beside).difference(order)))
            whole = tuple(filter(own.__contains__, (*known, summed)))
            both = {summed, last}
            # Not where it takes an array of more axes than all that there are.
            if both & own == {summed} and both & {*known} == {last} and len(whole) <= most:
                found = self.totals(self.contraction(within, _own_order(within, whole), under), summed, is_upwards)
                axes = tuple(map({summed: last}.get, found[1], found[1]))
                return self.contraction(others, order, (*beside, (found[0], axes)))
        return None

    def totals(self, operand: Operand, summed: Idx, is_upwards: bool) -> Operand:
        """Return running sums along an axis, upwards or downwards."""
        code, axes = operand
        dim = axes.index(summed) - len(axes)
        return (f"{code}.cumsum({dim})" if is_upwards else f"{code}.flip({dim}).cumsum({dim}).flip({dim})"), axes


def _looked_up(delta: Expr) -> tuple[Any, Any]:
    """Return the sides of a delta of a place and an entry that is looked up; nothing if it is none."""
    if not isinstance(delta, KroneckerDelta):
        return None, None
    to, which = sorted(delta.args, key=lambda side: isinstance(side, Indexed))
    return (to, which) if isinstance(which, Indexed) and _has_plain(which.indices) else (None, None)


def _up_to(bracket: Expr) -> list[tuple[Idx, Idx, bool]]:
    """Return the ways to read a bracket [i ≤ k]: a sum over i goes up to k, one over k goes down to i."""
    relation = bracket.args[0] if isinstance(bracket, Iverson) else None
    if not isinstance(relation, (Le, Ge)) or not _has_plain(relation.args):
        return []
    low, high = relation.args if isinstance(relation, Le) else relation.args[::-1]
    return [(low, high, True), (high, low, False)] if size(low) == size(high) else []


def _own_order(factors: Sequence[Expr], axes: tuple[Idx, ...]) -> tuple[Idx, ...]:
    """Return the axes in the order of a lone entry that has them."""
    indices = getattr(factors[0], "indices", ()) if len(factors) == 1 else ()
    return tuple(indices) if {*indices} == {*axes} else axes


def _axes(factors: Sequence[Expr], operands: Sequence[Operand] = ()) -> set[Idx]:
    """Return the axes of all factors and operands."""
    return set[Idx]().union(*map(free_indices, factors), *(axes for _, axes in operands))


def _has_plain(indices: Sequence[Expr]) -> bool:
    return all(isinstance(index, Idx) for index in indices) and len({*indices}) == len(indices)


def _windows(factor: Expr) -> dict[int, Window]:
    """Return the windows that an entry is under, by their axes, if all its other indices are letters."""
    if not isinstance(factor, Indexed) or factor.is_integer:
        return {}
    pairs = zip(factor.indices, factor.shape, strict=True)
    found = {place: window(index, axis) for place, (index, axis) in enumerate(pairs) if not isinstance(index, Idx)}
    read = {place: each for place, each in found.items() if each is not None}
    letters = [index for index in factor.indices if isinstance(index, Idx)]
    letters += [letter for each in read.values() for letter in (each.step, each.within)]
    return read if len(read) == len(found) and len({*letters}) == len(letters) else {}


def _turned(factors: Sequence[Expr], order: tuple[Idx, ...]) -> frozenset[Idx]:
    """Return the letters over which a window stands the other way round, if what it is summed with may be turned."""
    windows = [each for factor in factors for each in _windows(factor).values()]
    back = {each.within for each in windows if each.dilation < 0}
    forth = {each.within for each in windows if each.dilation > 0} | {each.step for each in windows}
    fixed = _axes([factor for factor in factors if not _is_plain(factor) and not _windows(factor)])
    return frozenset(back - forth - fixed - {*order}) if len(back) == len(windows) else frozenset()


def _is_plain(factor: Expr) -> bool:
    return isinstance(factor, Indexed) and _has_plain(factor.indices)


def _is_taken(factor: Expr) -> bool:
    """Say whether a factor is looked up in each array of a stack, as in W[s, t[s, i], j]."""
    if not isinstance(factor, Indexed):
        return False
    computed = [place for place, index in enumerate(factor.indices) if not isinstance(index, Idx)]
    if len(computed) != 1 or not isinstance(which := factor.indices[computed[0]], Indexed):
        return False
    before, after = factor.indices[: computed[0]], factor.indices[computed[0] + 1 :]
    return bool(before) and _has_plain((*which.indices, *after)) and which.indices[:-1] == before


def _selected(factors: Sequence[Expr], order: tuple[Idx, ...]) -> list[Expr]:
    """Write Σ_g δ(t, g + f) x[g] as x[t − f], where that is an entry under a window."""
    for delta in factors:
        if isinstance(delta, KroneckerDelta) and not delta.atoms(Indexed):
            rest = [factor for factor in factors if factor is not delta]
            for letter in ordered(free_indices(delta).difference(order)):
                using = [factor for factor in rest if letter in free_indices(factor)]
                moved = _moved(using[0], letter, delta) if len(using) == 1 else None
                if moved is not None:
                    return _selected([moved if factor is using[0] else factor for factor in rest], order)
    return [*factors]


def _moved(entry: Expr, letter: Idx, delta: Expr) -> Expr | None:
    """Put for a letter of an entry what a delta says that it is, if it is then an entry under a window."""
    difference = delta.args[0] - delta.args[1]
    slope = difference.coeff(letter)
    if not isinstance(entry, Indexed) or abs(slope) != 1 or entry.indices.count(letter) != 1:
        return None
    place = (letter - slope * difference).expand()
    found = entry.base[tuple(place if index == letter else index for index in entry.indices)]
    return found if letter not in free_indices(found) and _windows(found) else None
