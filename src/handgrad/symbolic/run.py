"""One run of a function that is traced: what is called how in it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from string import ascii_lowercase

from sympy import Dummy, Expr, Idx

from handgrad.symbolic.letters import size

# Indices have these letters, in this order, as far as nothing else is called so.
_LETTERS = "ijk" + ascii_lowercase.replace("ijk", "").replace("e", "")


@dataclass
class Run:
    """One run of a function: the names that are taken in it, and the letters of its sizes."""

    taken: set[str]
    letters: dict[Expr, str] = field(default_factory=dict)
    joined: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """How many indices each axis of an array has that has joined axes."""
    required: dict[Expr, str] = field(default_factory=dict)
    """What is not to be negative, and what is said where it is."""

    def index(self, extent: Expr) -> Idx | None:
        """Return a new index over a size; none over 1."""
        if extent == 1:
            return None
        if extent not in self.letters:
            free = (letter for letter in _LETTERS if letter not in self.taken | {*self.letters.values()})
            self.letters[extent] = next(free, "i")
        letter = self.letters[extent]
        return Idx(Dummy(letter, integer=True), extent)

    def axis(self, extent: Expr) -> tuple[Idx, ...]:
        """Return a new axis of a size: it has no index if the size is 1."""
        index = self.index(extent)
        return () if index is None else (index,)

    def require(self, difference: Expr, words: str) -> None:
        """Have it checked, when there are numbers, that a difference is not negative; ValueError if it always is."""
        if difference.is_negative:
            raise ValueError(words)
        if not difference.is_nonnegative:
            self.required.setdefault(difference, words)

    def letters_for(self, indices: Sequence[Idx]) -> dict[Idx, Idx]:
        """Return letters to print for the indices of a definition: of two over one size, the second has another."""
        found: dict[Idx, Idx] = {}
        for index in indices:
            used = {*self.taken, *(other.label.name for other in found.values())}
            spare = (letter for letter in _LETTERS if letter not in {*used, *self.letters.values()})
            own = self.letters.get(size(index)) or next(spare)
            found[index] = Idx(next(spare) if own in used else own, size(index))
        return found
