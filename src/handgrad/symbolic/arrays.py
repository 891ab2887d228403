"""Arrays whose entries are formulas, computed with as torch tensors are."""

import inspect
import operator
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, cast

import sympy
from sympy import Dummy, Expr, Idx, Indexed, Symbol

from handgrad.symbolic.definitions import Definition, define
from handgrad.symbolic.formulas import Iverson, Sum, free_name
from handgrad.symbolic.letters import rename, size
from handgrad.symbolic.masks import added, applied, as_condition, is_condition
from handgrad.symbolic.run import Run

# The module that calls the function that is traced.
_TRACER = "handgrad.symbolic.trace"
# What may be called with symbolic arrays, by the name that it has in torch: the modules of words fill this.
WORDS: dict[str, Callable[..., Any]] = {}

Axis = tuple[Idx, ...]
"""The indices of an axis: none if its size is 1; several if it is joined, as that of heads and of their entries is."""


def _binary(operation: Callable[[Any, Any], Any], reflected: bool = False) -> Callable[[Any, Any], "SymbolicArray"]:
    """Return an operation of two numbers as one of the entries of two arrays."""

    def of_entries(*values: Any) -> Any:
        return operation(*(Iverson(value) if is_condition(value) else value for value in values))

    def operate(own: "SymbolicArray", other: Any) -> "SymbolicArray":
        return elementwise(of_entries, other, own) if reflected else elementwise(of_entries, own, other)

    return operate


def _comparison(operation: Callable[[Any, Any], Any]) -> Callable[[Any, Any], "SymbolicArray"]:
    """Return a comparison of entries; what is compared is a step of its own, as a condition is not made of cases."""

    def compare(own: "SymbolicArray", other: Any) -> "SymbolicArray":
        steps = [value.named("Z") if isinstance(value, SymbolicArray) else value for value in (own, other)]
        return elementwise(operation, *steps)

    return compare


def _logical(operation: Callable[..., Any]) -> Callable[..., "SymbolicArray"]:
    """Return an operation of conditions."""

    def operate(*operands: Any) -> "SymbolicArray":
        return elementwise(lambda *values: operation(*map(as_condition, values)), *operands)

    return operate


class SymbolicArray:
    """An array whose entries are formulas; it is computed with as a torch tensor is, and has a shape of symbols.

    As soon as it is computed with, it is defined under the name of the variable that holds it.
    """

    # Python would iterate with [0], [1], [2], … and never stop: a symbolic size has no end.
    __iter__ = None
    __array_priority__ = 1000

    def __init__(self, run: Run, axes: tuple[Axis, ...], value: Expr, below: Expr | None = None) -> None:
        """Give the indices of its axes; its entry there; and, if whole, what it is below."""
        self.run, self.axes, self.value, self.below = run, axes, value, below
        self.definition: Definition | None = None

    # What it is

    @property
    def shape(self) -> tuple[Expr, ...]:
        """The sizes of its axes."""
        return tuple(sympy.Mul(*map(size, axis)) for axis in self.axes)

    @property
    def indices(self) -> tuple[Idx, ...]:
        """The indices of all axes, in their order."""
        return tuple(index for axis in self.axes for index in axis)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.axes)

    def __repr__(self) -> str:
        return f"SymbolicArray({self.value}, shape {self.shape})"

    def __bool__(self) -> bool:
        raise ValueError(
            "an array is neither true nor false before it has numbers: choose entry by entry, where(condition, a, b)"
        )

    # Naming

    def define(self, wanted: str) -> None:
        """Give it a name: from now on it is an entry of an array that is defined."""
        self.definition = self.defined(wanted, self.indices)
        self.value = self.definition[self.indices] if self.indices else self.definition.base

    def output(self, wanted: str) -> Definition:
        """Return it as a definition that has all of its axes, those of size 1 too."""
        if self.value.has(-sympy.oo):
            raise ValueError(f"{self!r} has entries that are -inf: only softmax and logsumexp are taken of such")
        if self.definition is None or () in self.axes:
            axes = [axis or (Idx(Dummy("o", integer=True), 1),) for axis in self.axes]
            self.definition = self.defined(wanted, [index for axis in axes for index in axis])
        if any(len(axis) > 1 for axis in self.axes):
            self.run.joined[self.definition.name] = tuple(len(axis) or 1 for axis in self.axes)
        return self.definition

    def defined(self, wanted: str, indices: Sequence[Idx]) -> Definition:
        """Return it as a definition over some indices, with letters to be printed."""
        letters = self.run.letters_for(indices)
        return define(free_name(wanted, self.run.taken), rename(self.value, letters), *letters.values())

    def named(self, wanted: str | None = None) -> "SymbolicArray":
        """Define it under the name of the variable that holds it, or else, if it is no entry yet, as is wanted."""
        stays = isinstance(self.value, (Indexed, Symbol, sympy.Number, Idx)) or is_condition(self.value)
        if not stays and not self.value.has(-sympy.oo) and (name := _variable(self) or wanted):
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

    __and__ = __rand__ = _logical(sympy.And)
    __or__ = __ror__ = _logical(sympy.Or)

    def __invert__(self) -> "SymbolicArray":
        return _logical(sympy.Not)(self)

    def __neg__(self) -> "SymbolicArray":
        return elementwise(operator.neg, self)

    def __abs__(self) -> "SymbolicArray":
        return elementwise(sympy.Abs, self)

    def __getattr__(self, name: str) -> Any:
        """Return one of the words as a method, `x.exp()`; AttributeError on others."""
        if name not in WORDS:
            raise AttributeError(f"a symbolic array has no {name}; it has {known_words()}")
        return partial(_called, name, self)

    def __matmul__(self, other: "SymbolicArray") -> "SymbolicArray":
        return cast("SymbolicArray", WORDS["matmul"](self, other))

    # Axes

    @property
    def mT(self) -> "SymbolicArray":
        """The matrix transposed: the last two axes exchanged."""
        return cast("SymbolicArray", self.transpose(-2, -1))

    @property
    def T(self) -> "SymbolicArray":
        """The matrix transposed; ValueError on an array of more or fewer axes, where torch warns."""
        if self.ndim != 2:
            raise ValueError(f"T is of a matrix, and this has {self.ndim} axes: write mT for the last two")
        return self.mT

    def size(self, dim: int | None = None) -> Any:
        """Return the shape, or the size of an axis."""
        return self.shape if dim is None else self.shape[self.place(dim)]

    def place(self, dim: Any) -> int:
        """Return where an axis stands, counted from the left."""
        if not isinstance(dim, int) or not -self.ndim <= dim < self.ndim:
            raise ValueError(f"dim={dim!r} is no axis of an array of {self.ndim} axes")
        return dim % self.ndim

    def with_axes(self, axes: Iterable[Axis]) -> "SymbolicArray":
        """Return the same entries with their indices on other axes."""
        return SymbolicArray(self.run, tuple(axes), self.value, self.below)

    def fresh(self) -> "SymbolicArray":
        """Return the same array with indices of its own."""
        names = {old: self.run.axis(size(old))[0] for old in self.indices}
        own = self.with_axes(tuple(names[index] for index in axis) for axis in self.axes)
        own.value = rename(self.value, names)
        return own

    # Reductions

    def reduce(self, dim: int | tuple[int, ...] | None, keepdim: bool) -> tuple["SymbolicArray", list[Idx]]:
        """Return what is left of it without some axes, all if none is given, and the indices that go with them."""
        self.named()
        dims = range(self.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
        gone = {*map(self.place, dims)}
        own = self.fresh()
        over = [index for place, axis in enumerate(own.axes) if place in gone for index in axis]
        kept = [() if place in gone else axis for place, axis in enumerate(own.axes) if keepdim or place not in gone]
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
        return cast("SymbolicArray", WORDS["__getitem__"](self, where if isinstance(where, tuple) else (where,)))

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, arguments: Sequence[Any] = (), options: dict[str, Any] | None = None
    ) -> Any:
        """Do what torch's function of the same name would do; ValueError where there is no such word."""
        name = function.__name__.removeprefix("linalg_")
        if name not in WORDS:
            raise ValueError(f"{name} of torch's cannot be traced; what can be is {known_words()}")
        given = options or {}
        # Functions of torch.nn.functional hand on all that they may be given.
        if given and inspect.isfunction(function):
            known = inspect.signature(function).parameters
            given = {key: value for key, value in given.items() if value is not known[key].default}
        return _called(name, *arguments, **given)


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


def _called(name: str, *arguments: Any, **options: Any) -> Any:
    """Return what a word says; ValueError on arguments that it has not."""
    try:
        inspect.signature(WORDS[name]).bind(*arguments, **options)
    except TypeError as error:
        raise ValueError(f"{name} as it is called here cannot be traced: {error}") from None
    return WORDS[name](*arguments, **options)


def known_words() -> str:
    """Return the names of the words."""
    return ", ".join(sorted(word for word in WORDS if word[0] != "_"))


def elementwise(function: Callable[..., Any], *operands: Any) -> SymbolicArray:
    """Return the function of arrays and numbers, entry by entry, their axes aligned as torch broadcasts them.

    ValueError if two sizes differ, or may differ: of an axis that is to be repeated the size must be the number 1.
    """
    first = next(operand for operand in operands if isinstance(operand, SymbolicArray))
    arrays = [as_array(first.run, operand) for operand in operands]
    # Indices of its own: an operand's may stand for another axis of another operand, as in x[:, None] + X.T.
    axes = fresh_axes(first.run, broadcast([own.axes for own in arrays]))
    values = [aligned(own, axes) for own in arrays]
    entry = added if any(value.has(-sympy.oo) for value in values) else applied
    return SymbolicArray(first.run, axes, entry(function, values))


def as_array(run: Run, value: Any) -> SymbolicArray:
    """Return an array, or a number as one; ValueError on all else."""
    if isinstance(value, SymbolicArray):
        return value.named()
    if not isinstance(value, (int, float, Expr)):
        raise ValueError(f"{value!r} is no number and no symbolic array")
    exact = sympy.sympify(value).replace(lambda part: part.is_Float, lambda part: sympy.Rational(str(part)))
    return SymbolicArray(run, (), exact)


def fresh_axes(run: Run, axes: Iterable[Axis]) -> tuple[Axis, ...]:
    """Return axes of the same sizes with indices of their own."""
    return tuple(tuple(run.axis(size(index))[0] for index in axis) for axis in axes)


def broadcast(shapes: Sequence[tuple[Axis, ...]]) -> tuple[Axis, ...]:
    """Return the axes that arrays have in common: the first that runs over a size, from the right."""
    longest = max(map(len, shapes))
    padded = [((),) * (longest - len(axes)) + axes for axes in shapes]
    found = []
    for column in zip(*padded, strict=True):
        axes = [axis for axis in column if axis]
        if len(extents := list(dict.fromkeys(tuple(map(size, axis)) for axis in axes))) > 1:
            one, other = ("*".join(map(str, extent)) for extent in extents[:2])
            raise ValueError(
                f"axes of sizes {one} and {other} do not fit: they may differ, and neither is the number 1"
            )
        found.append(axes[0] if axes else ())
    return tuple(found)


def aligned(own: SymbolicArray, axes: tuple[Axis, ...]) -> Expr:
    """Return the entry of an array at axes that it is broadcast to."""
    last = axes[len(axes) - own.ndim :]
    pairs = [(old, new) for old, new in zip(own.axes, last, strict=True) if old and new]
    return rename(own.value, {old: new for one, other in pairs for old, new in zip(one, other, strict=True)})
