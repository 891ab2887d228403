"""Arrays whose entries are formulas, computed with as torch tensors are."""

import inspect
import operator
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import sympy
from sympy import Dummy, Expr, Idx, Indexed, Symbol
from sympy.logic.boolalg import Boolean

from handgrad.symbolic.definitions import Definition, define
from handgrad.symbolic.formulas import Iverson, Sum, free_name
from handgrad.symbolic.letters import rename, size
from handgrad.symbolic.run import Run

# The module that calls the function that is traced.
_TRACER = "handgrad.symbolic.trace"
# What may be called with symbolic arrays, by the name that it has in torch: words.py fills this.
WORDS: dict[str, Callable[..., Any]] = {}


def _binary(operation: Callable[[Any, Any], Any], reflected: bool = False) -> Callable[[Any, Any], "SymbolicArray"]:
    """Return an operation of two numbers as one of the entries of two arrays."""

    def of_entries(*values: Any) -> Any:
        return operation(*(Iverson(value) if _is_condition(value) else value for value in values))

    def operate(own: "SymbolicArray", other: Any) -> "SymbolicArray":
        return elementwise(of_entries, other, own) if reflected else elementwise(of_entries, own, other)

    return operate


def _comparison(operation: Callable[[Any, Any], Any]) -> Callable[[Any, Any], "SymbolicArray"]:
    """Return a comparison of entries; what is compared is a step of its own, as a condition is not made of cases."""

    def compare(own: "SymbolicArray", other: Any) -> "SymbolicArray":
        steps = [value.named("Z") if isinstance(value, SymbolicArray) else value for value in (own, other)]
        return elementwise(operation, *steps)

    return compare


def _is_condition(value: Any) -> bool:
    return isinstance(value, Boolean) and not isinstance(value, Expr)  # a Symbol is both


class SymbolicArray:
    """An array whose entries are formulas; it is computed with as a torch tensor is, and has a shape of symbols.

    As soon as it is computed with, it is defined under the name of the variable that holds it.
    """

    # Python would iterate with [0], [1], [2], … and never stop: a symbolic size has no end.
    __iter__ = None
    __array_priority__ = 1000

    def __init__(self, run: Run, axes: tuple[Idx | None, ...], value: Expr, below: Expr | None = None) -> None:
        """Give the indices of its axes, None where the size is 1; its entry there; and, if whole, what it is below."""
        self.run, self.axes, self.value, self.below = run, axes, value, below
        self.definition: Definition | None = None

    # What it is

    @property
    def shape(self) -> tuple[Expr, ...]:
        """The sizes of its axes."""
        return tuple(sympy.S.One if index is None else size(index) for index in self.axes)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.axes)

    def __repr__(self) -> str:
        return f"SymbolicArray({self.value}, shape {self.shape})"

    def __bool__(self) -> bool:
        raise ValueError(
            f"{self!r} is neither true nor false before it has numbers: choose with where(condition, a, b)"
        )

    # Naming

    def define(self, wanted: str) -> None:
        """Give it a name: from now on it is an entry of an array that is defined."""
        indices = [index for index in self.axes if index is not None]
        self.definition = self.defined(wanted, indices)
        self.value = self.definition[tuple(indices)] if indices else self.definition.base

    def output(self, wanted: str) -> Definition:
        """Return it as a definition that has all of its axes, those of size 1 too."""
        if self.definition is None or None in self.axes:
            self.definition = self.defined(wanted, [i or Idx(Dummy("o", integer=True), 1) for i in self.axes])
        return self.definition

    def defined(self, wanted: str, indices: Sequence[Idx]) -> Definition:
        """Return it as a definition over some indices, with letters to be printed."""
        letters = self.run.letters_for(indices)
        return define(free_name(wanted, self.run.taken), rename(self.value, letters), *letters.values())

    def named(self, wanted: str | None = None) -> "SymbolicArray":
        """Define it under the name of the variable that holds it, or else, if it is no entry yet, as is wanted."""
        stays = isinstance(self.value, (Indexed, Symbol, sympy.Number)) or _is_condition(self.value)
        if not stays and (name := _variable(self) or wanted):
            self.define(name)
        return self

    # Arithmetic

    __add__ = __radd__ = _binary(operator.add)
    __mul__ = __rmul__ = _binary(operator.mul)
    __sub__, __rsub__ = _binary(operator.sub), _binary(operator.sub, reflected=True)
    __truediv__, __rtruediv__ = _binary(operator.truediv), _binary(operator.truediv, reflected=True)
    __pow__, __rpow__ = _binary(operator.pow), _binary(operator.pow, reflected=True)
    __gt__, __ge__, __lt__, __le__ = map(_comparison, (operator.gt, operator.ge, operator.lt, operator.le))
    __eq__, __ne__ = map(_comparison, (sympy.Eq, sympy.Ne))  # type: ignore[assignment]
    __hash__ = object.__hash__

    def __neg__(self) -> "SymbolicArray":
        return elementwise(operator.neg, self)

    def __abs__(self) -> "SymbolicArray":
        return elementwise(sympy.Abs, self)

    def __getattr__(self, name: str) -> Any:
        """Return one of the words as a method, `x.exp()`; AttributeError on others."""
        if name not in WORDS:
            raise AttributeError(f"a symbolic array has no {name}; it has {', '.join(sorted(WORDS))}")
        return partial(WORDS[name], self)

    def __matmul__(self, other: "SymbolicArray") -> "SymbolicArray":
        return matmul(self, other)

    # Axes

    @property
    def mT(self) -> "SymbolicArray":
        """The matrix transposed: the last two axes exchanged."""
        return self.transpose(-2, -1)

    @property
    def T(self) -> "SymbolicArray":
        """The matrix transposed; ValueError on an array of more or fewer axes, where torch warns."""
        if self.ndim != 2:
            raise ValueError(f"T is of a matrix, and this has {self.ndim} axes: write mT for the last two")
        return self.mT

    def transpose(self, one: int, other: int) -> "SymbolicArray":
        """Exchange two axes."""
        self.named()
        places = [*range(self.ndim)]
        places[self.place(one)], places[self.place(other)] = places[self.place(other)], places[self.place(one)]
        return SymbolicArray(self.run, tuple(self.axes[place] for place in places), self.value, self.below)

    def place(self, dim: int) -> int:
        """Return where an axis stands, counted from the left."""
        if not isinstance(dim, int) or not -self.ndim <= dim < self.ndim:
            raise ValueError(f"dim={dim!r} is no axis of an array of {self.ndim} axes")
        return dim % self.ndim

    def unsqueeze(self, dim: int) -> "SymbolicArray":
        """Insert an axis of size 1."""
        self.named()
        at = dim if dim >= 0 else self.ndim + 1 + dim
        return SymbolicArray(self.run, (*self.axes[:at], None, *self.axes[at:]), self.value, self.below)

    def fresh(self) -> "SymbolicArray":
        """Return the same array with indices of its own."""
        new = tuple(index and self.run.index(size(index)) for index in self.axes)
        names = {old: own for old, own in zip(self.axes, new, strict=True) if old is not None}
        return SymbolicArray(self.run, new, rename(self.value, names), self.below)

    # Reductions

    def reduce(self, dim: int | tuple[int, ...] | None, keepdim: bool) -> tuple["SymbolicArray", list[Idx]]:
        """Return what is left of it without some axes, all if none is given, and the indices that go with them."""
        self.named()
        dims = range(self.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
        gone = {*map(self.place, dims)}
        own = self.fresh()
        over = [index for place, index in enumerate(own.axes) if place in gone and index is not None]
        kept = [
            None if place in gone else index for place, index in enumerate(own.axes) if keepdim or place not in gone
        ]
        return SymbolicArray(self.run, tuple(kept), own.value), over

    def sum(self, dim: int | tuple[int, ...] | None = None, keepdim: bool = False) -> "SymbolicArray":
        """Sum over axes, over all if none is given."""
        rest, over = self.reduce(dim, keepdim)
        rest.value = Sum(rest.value, *over)
        return rest

    def mean(self, dim: int | tuple[int, ...] | None = None, keepdim: bool = False) -> "SymbolicArray":
        """Average over axes, over all if none is given."""
        rest, over = self.reduce(dim, keepdim)
        rest.value = Sum(rest.value, *over) / sympy.Mul(*map(size, over))
        return rest

    def var(
        self, dim: int | tuple[int, ...] | None = None, correction: int = 1, keepdim: bool = False
    ) -> "SymbolicArray":
        """Return the mean square distance from the mean, the number of values being lessened by the correction."""
        self.named("X")
        centred = (self - self.mean(dim, keepdim=True)).named("C")
        rest, over = centred.reduce(dim, keepdim)
        rest.value = Sum(rest.value**2, *over) / (sympy.Mul(*map(size, over)) - correction)
        return rest

    # Places

    def __getitem__(self, where: Any) -> "SymbolicArray":
        """Return entries: `:` and `...` keep axes, `None` inserts one, arrays of whole numbers choose from theirs."""
        return taken(self, where if isinstance(where, tuple) else (where,))

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, arguments: Sequence[Any] = (), options: dict[str, Any] | None = None
    ) -> Any:
        """Do what torch's function of the same name would do; ValueError where there is no such word."""
        name = function.__name__
        if name not in WORDS:
            raise ValueError(f"{name} of torch's cannot be traced; what can be is {', '.join(sorted(WORDS))}")
        given = options or {}
        # Functions of torch.nn.functional hand on all that they may be given.
        if given and inspect.isfunction(function):
            known = inspect.signature(function).parameters
            given = {key: value for key, value in given.items() if value is not known[key].default}
        return WORDS[name](*arguments, **given)


def _variable(value: SymbolicArray) -> str | None:
    """Return the name of the variable that holds an array in a function that is traced, the outermost first."""
    frames, frame = [], sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__") != _TRACER:
        frames.append(frame)
        frame = frame.f_back
    for traced in reversed(frames):
        if not traced.f_globals.get("__name__", "").startswith("handgrad.symbolic."):
            for name, held in traced.f_locals.items():
                if held is value:
                    return name
    return None


def elementwise(function: Callable[..., Any], *operands: Any) -> SymbolicArray:
    """Return the function of arrays and numbers, entry by entry, their axes aligned as torch broadcasts them.

    ValueError if two sizes differ, or may differ: of an axis that is to be repeated the size must be the number 1.
    """
    first = next(operand for operand in operands if isinstance(operand, SymbolicArray))
    arrays = [_as_array(first.run, operand) for operand in operands]
    # Indices of its own: an operand's may stand for another axis of another operand, as in x[:, None] + X.T.
    axes = tuple(index and first.run.index(size(index)) for index in broadcast([own.axes for own in arrays]))
    return SymbolicArray(first.run, axes, function(*(aligned(own, axes) for own in arrays)))


def _as_array(run: Run, value: Any) -> SymbolicArray:
    if isinstance(value, SymbolicArray):
        return value.named()
    if not isinstance(value, (int, float, Expr)):
        raise ValueError(f"{value!r} is no number and no symbolic array")
    exact = sympy.sympify(value).replace(lambda part: part.is_Float, lambda part: sympy.Rational(str(part)))
    return SymbolicArray(run, (), exact)


def broadcast(shapes: Sequence[tuple[Idx | None, ...]]) -> tuple[Idx | None, ...]:
    """Return the axes that arrays have in common: the first that runs over a size, from the right."""
    longest = max(map(len, shapes))
    padded = [(None,) * (longest - len(axes)) + axes for axes in shapes]
    found = []
    for column in zip(*padded, strict=True):
        indices = [index for index in column if index is not None]
        if len(extents := list(dict.fromkeys(map(size, indices)))) > 1:
            one, other = extents[:2]
            raise ValueError(
                f"axes of sizes {one} and {other} do not fit: they may differ, and neither is the number 1"
            )
        found.append(indices[0] if indices else None)
    return tuple(found)


def aligned(own: SymbolicArray, axes: tuple[Idx | None, ...]) -> Expr:
    """Return the entry of an array at axes that it is broadcast to."""
    last = axes[len(axes) - own.ndim :]
    names = {old: new for old, new in zip(own.axes, last, strict=True) if old is not None and new is not None}
    return rename(own.value, names)


def matmul(left: SymbolicArray, right: SymbolicArray) -> SymbolicArray:
    """Return the matrix product, as torch's: of vectors, matrices, and stacks of matrices with broadcast axes."""
    if not isinstance(right, SymbolicArray):
        raise ValueError(f"{right!r} is no symbolic array")
    one, two = left.named().fresh(), right.named().fresh()
    if not one.ndim or not two.ndim:
        raise ValueError("a number has no matrix product: write *")
    inner, other = one.axes[-1], two.axes[-2 if two.ndim > 1 else -1]
    if (inner is None) != (other is None):
        raise ValueError(f"a matrix product of shapes {one.shape} and {two.shape}: the inner sizes differ")
    broadcast([(inner,), (other,)])
    rows, columns = one.axes[-2:-1], two.axes[-1:] if two.ndim > 1 else ()
    stack = broadcast([one.axes[:-2], two.axes[:-2]])
    product = aligned(_without(one, 2), stack) * aligned(_without(two, 2), stack)
    if inner is not None:
        product = Sum(rename(product, {other: inner}), inner)
    return SymbolicArray(one.run, (*stack, *rows, *columns), product)


def _without(own: SymbolicArray, count: int) -> SymbolicArray:
    return SymbolicArray(own.run, own.axes[:-count], own.value)


def taken(own: SymbolicArray, where: tuple[Any, ...]) -> SymbolicArray:
    """Return entries of an array: see `SymbolicArray.__getitem__`."""
    own = own.named("X").fresh()
    items = _in_full(where, own.ndim)
    chosen = [item.named() for item in items if isinstance(item, SymbolicArray)]
    common = broadcast([item.axes for item in chosen]) if chosen else ()
    old, axes, names = iter(own.axes), list[Idx | None](), dict[Idx, Expr]()
    for item in items:
        index = None if item is None else next(old)
        if isinstance(item, SymbolicArray):
            axes += common if item is chosen[0] else ()
            names[looked_up(item, index)] = aligned(item, common)
        elif item is None or item == slice(None):
            axes.append(index)
        else:
            raise ValueError(f"[{item!r}] cannot be traced: take whole axes with `:`, or places with an array")
    return SymbolicArray(own.run, tuple(axes), rename(own.value, names))


def _in_full(where: tuple[Any, ...], count: int) -> list[Any]:
    """Return what is said about each axis: the dots, or what is left out at the end, stand for whole ones."""
    dots = next((place for place, item in enumerate(where) if item is Ellipsis), len(where))
    before, after = where[:dots], where[dots + 1 :]
    missing = count - sum(item is not None for item in (*before, *after))
    if missing < 0:
        raise ValueError(f"{count - missing} places in an array of {count} axes")
    return [*before, *[slice(None)] * missing, *after]


def looked_up(places: SymbolicArray, index: Idx | None) -> Idx:
    """Return the index that an array of whole numbers stands for; ValueError if it is none for this axis."""
    if index is None or places.below != size(index):
        what = "real numbers" if places.below is None else f"numbers below {places.below}"
        raise ValueError(f"an array of {what} looks nothing up on an axis of {'1' if index is None else size(index)}")
    return index
