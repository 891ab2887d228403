"""Reading a matrix expression off an index expression, with the proof that both are the same."""

from collections.abc import Callable
from dataclasses import dataclass

from sympy import Add, Expr, Idx, Indexed, KroneckerDelta, Mul, Pow, S
from sympy.logic.boolalg import Boolean

from handgrad.symbolic.definitions import Definition
from handgrad.symbolic.formulas import Iverson, Sum
from handgrad.symbolic.letters import free_indices, ordered, rename, size
from handgrad.symbolic.notation import apart, entrywise, joined, latex, scaled
from handgrad.symbolic.terms import Term, canonical, terms
from handgrad.symbolic.whole import InverseOf


def matrix_form(definition: Definition) -> str | None:
    """Return LaTeX of a matrix expression equal to a defined number, vector or matrix, or None where there is none.

    A sum of products is read as matrix products, transposes, products with ones (sums over rows or columns) and traces;
    the entries of what was read are expanded to index notation again and compared, so a wrong reading is refused.
    A vector is a column. A sum of products of entries that all stand at the defined place is written without indices,
    ⊙ being the entrywise product.
    """
    value, indices = definition.value, definition.indices
    if len(indices) > 2 or any(len(entry.indices) > 2 for entry in value.atoms(Indexed)) or not value.has(Indexed):
        return None
    if indices and _is_entrywise(value, indices):
        return entrywise(value, indices)
    row, column = _ends(indices)
    for blocks in (_each_factor, _grouped_by_place):
        readings = [_read(term, row, column, blocks) for term in terms(value)]
        complete = [reading for reading in readings if reading]
        entries = (reading.scalar * reading.entry(row, column) for reading in complete)
        if len(complete) == len(readings) and canonical(Add(*entries)) == canonical(value):
            # Plain products first, those with ones last; the order is the same in every run.
            complete.sort(key=lambda reading: (reading.has_ones, len(reading.latex), reading.latex))
            return joined([scaled(reading.scalar, reading.latex) for reading in complete])
    return None


@dataclass(frozen=True)
class _Block:
    """A factor of a matrix product from one index to another; None is the only index of an axis of size 1."""

    value: Expr
    left: Idx | None
    right: Idx | None

    @property
    def latex(self) -> str:
        indices = tuple(index for index in (self.left, self.right) if index is not None)
        is_row = self.left is None
        if isinstance(self.value, Indexed):
            is_transposed = self.value.indices != indices if len(indices) == 2 else is_row
            return _transposed_if(is_transposed, str(latex(self.value.base.label)))
        if self.value == 1:
            return _transposed_if(is_row, "\\mathbf{1}")
        return _transposed_if(is_row, f"\\left({entrywise(self.value, indices)}\\right)")

    def transposed(self) -> "_Block":
        return _Block(self.value, self.right, self.left)

    def entry(self, row: Idx | None, column: Idx | None) -> Expr:
        renaming = {old: new for old, new in ((self.left, row), (self.right, column)) if old is not None}
        return rename(self.value, renaming)


@dataclass(frozen=True)
class _Reading:
    """A number times a matrix product, or the trace of one."""

    scalar: Expr
    chain: tuple[_Block, ...]
    trace: bool

    @property
    def has_ones(self) -> bool:
        return any(block.value == 1 for block in self.chain)

    @property
    def latex(self) -> str:
        product = apart(" ".join(block.latex for block in self.chain))
        return f"\\operatorname{{tr}}\\left({product}\\right)" if self.trace else product

    def entry(self, row: Idx | None, column: Idx | None) -> Expr:
        """Expand the (row, column) entry, by the definitions of the matrix product and of the trace."""
        inner = [block.right and Idx(f"_m{place}", size(block.right)) for place, block in enumerate(self.chain)]
        if self.trace:
            row = inner[-1]
        else:
            inner[-1] = column
        stops = zip(self.chain, [row, *inner[:-1]], inner, strict=True)
        product = Mul(*(block.entry(left, right) for block, left, right in stops))
        summed = [index for index in inner if index is not None and (self.trace or index is not column)]
        return Sum(product, *summed)


def _read(term: Term, row: Idx | None, column: Idx | None, blocks: Callable[..., list[_Block]]) -> _Reading | None:
    """Follow the indices from row to column through the factors; None if that does not use each factor once."""
    scalar = Mul(*(factor for factor in term.factors if not factor.has(Indexed)))
    rest = blocks([factor for factor in term.factors if factor.has(Indexed)])
    if not rest or free_indices(scalar) or not all(map(_is_matrix, rest)):
        return None
    ends = [end for block in rest for end in (block.left, block.right)]
    trace = row is column is None and all(end is not None and ends.count(end) == 2 for end in ends)
    start, stop = (rest[0].left,) * 2 if trace else (row, column)
    chain = _followed(rest, start, stop)
    return _Reading(scalar, chain, trace) if chain else None


def _is_matrix(block: _Block) -> bool:
    """Say whether a block has plain indices at its ends and depends on no third."""
    plain = all(end is None or isinstance(end, Idx) for end in (block.left, block.right))
    return plain and len(free_indices(block.value)) <= 2


def _followed(blocks: list[_Block], start: Idx | None, stop: Idx | None) -> tuple[_Block, ...]:
    """Chain the blocks from one index to another, with blocks of ones between; nothing if they make no chain."""
    at, rest = start, [*blocks]
    chain: list[_Block] = []
    while rest:
        following = next((block for block in rest if at in (block.left, block.right)), None)
        if following:
            rest.remove(following)
            chain.append(following if following.left == at else following.transposed())
        elif chain and chain[-1].value == 1:
            return ()
        else:
            # No factor starts here: a sum over this axis, or a repetition along it, is a product with ones.
            chain.append(_Block(S.One, at, None if at is not None else rest[0].left))
        at = chain[-1].right
    if at != stop:
        # At most one end of a block of ones is an index: it is a column or a row, never a whole matrix.
        chain += [_Block(S.One, left, right) for left, right in ((at, None), (None, stop)) if left != right]
    return tuple(chain)


def _ends(indices: tuple[Idx, ...]) -> tuple[Idx | None, Idx | None]:
    """Return the indices of row and column; None for an axis that there is not."""
    row, column = (*indices, None, None)[:2]
    return row, column


def _transposed_if(is_transposed: bool, formula: str) -> str:
    return f"{formula}^{{\\mathsf{{T}}}}" if is_transposed else formula


def _each_factor(factors: list[Expr]) -> list[_Block]:
    return [_Block(factor, *_ends(factor.indices)) for factor in factors if isinstance(factor, Indexed)]


def _grouped_by_place(factors: list[Expr]) -> list[_Block]:
    """Multiply what stands at the same place entry by entry."""
    places: dict[frozenset[Idx], list[Expr]] = {}
    for factor in factors:
        places.setdefault(frozenset(free_indices(factor)), []).append(factor)
    blocks = []
    for place, group in places.items():
        value, indices = Mul(*group), tuple(ordered(place))
        if len(group) == 1 and isinstance(value, Indexed):
            blocks += _each_factor(group)
        elif _is_entrywise(value, indices):
            blocks.append(_Block(value, *_ends(indices)))
        else:
            return []
    return blocks


def _is_entrywise(value: Expr, indices: tuple[Idx, ...]) -> bool:
    """Say whether the value is made of entries at one place by sums, products, powers, numbers and brackets."""

    def fits(value: Expr) -> bool:
        if not value.has(Indexed):
            return not free_indices(value)
        if isinstance(value, Indexed):
            return len(value.indices) == len(indices) and {*value.indices} == {*indices}
        if isinstance(value, Add):
            return all(fits(term) and term.has(Indexed) for term in value.args)
        if isinstance(value, Pow):
            return fits(value.base) and value.exp.is_number
        if isinstance(value, InverseOf):
            # A product entry by entry in which an inverse stands has brackets around it that are not printed.
            return len(value.indices) == 2 and fits(value.args[0]) and value is whole
        return isinstance(value, (Mul, Iverson, Boolean)) and all(map(fits, value.args))

    whole = value

    return bool(value.has(Indexed)) and not value.has(KroneckerDelta, Sum) and fits(value)
