"""What formulas are made of, and the refusal of all else: what is not known here would later be a silent zero."""

import sys
import unicodedata
from functools import cache
from keyword import iskeyword
from typing import TYPE_CHECKING, Any, NamedTuple

import sympy
from sympy import Add, Dummy, Expr, Idx, Indexed, IndexedBase, KroneckerDelta, Mul, Piecewise, Pow, Symbol
from sympy.core.function import AppliedUndef
from sympy.core.relational import Relational
from sympy.functions.elementary.piecewise import ExprCondPair
from sympy.logic.boolalg import Boolean, BooleanAtom

if TYPE_CHECKING:
    from handgrad.symbolic.definitions import Definition


class Code(NamedTuple):
    """How a function is written for tensors, and for Python's numbers."""

    torch: str
    python: str


# The functions that formulas may use; sympy knows the derivative of each, and it is made of these again.
_OF_BOTH = (
    "exp",
    "log",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "atanh",
)
FUNCTIONS = {name: Code(f"torch.{name}", f"math.{name}") for name in (*_OF_BOTH, "erf")} | {
    "Abs": Code("torch.abs", "abs"),
    "sign": Code("torch.sign", "(lambda x: (x > 0) - (x < 0))"),
}

_INSTEAD = (
    {
        "Max": "write Piecewise((a, a > b), (b, True))",
        "Min": "write Piecewise((a, a < b), (b, True))",
        "Heaviside": "write Iverson(x > 0)",
        "DiracDelta": "it is no function",
        "Trace": "write Sum(X[i, i], i)",
        "Determinant": "write the sum of products that it is",
        "Inverse": "give the inverse as an array of its own",
        "Product": "write exp(Sum(log(x[i]), i)) where the factors are positive",
        "Derivative": "vjp and jacobian derive",
        "ITE": "write conditions without cases in them",
    }
    | dict.fromkeys(("MatrixSymbol", "MatrixElement"), "make it with array(name, i, j), and use its entries, X[i, j]")
    | dict.fromkeys(("floor", "ceiling", "frac", "Mod"), "give the numbers as an array of whole numbers, X[t[i]]")
)

# Python's or this package's in the code of a compiled formula.
_TAKEN = {"torch", "math", "__debug__"}
# A number so called would be printed as another is.
_PRINTED_AS_NUMBERS = {"e": "Euler's number", "pi": "π", "I": "the imaginary unit"}


class Sum(sympy.Sum):  # type: ignore[misc]
    """A sum over the whole ranges of indices: `Sum(X[i, j] * W[j, k], j)`.

    Unlike sympy's it is left as it is written: sympy's moves cases and inner sums about, and their indices with them.
    """

    is_commutative = True

    def __new__(cls, function: Any, *limits: Any) -> Expr:
        """Return the sum, or what is summed if there is no index; `define` checks the limits."""
        summand = sympified(function)
        for limit in limits:
            if not isinstance(limit, (Idx, tuple, sympy.Tuple)):
                raise TypeError(f"a sum runs over indices, made with indices('i:n'), and {limit!r} is none")
        whole = [
            sympy.Tuple(limit, 0, limit.upper) if isinstance(limit, Idx) else sympy.Tuple(*limit) for limit in limits
        ]
        if not whole or summand == 0:
            return summand
        return Expr.__new__(cls, summand, *whole)


class Iverson(sympy.Function):  # type: ignore[misc]
    """[condition]: 1 where it holds, else 0. Its derivative is 0, at the jump by convention."""

    is_real = True

    def __new__(cls, condition: Any) -> Expr:
        """Return the bracket; TypeError on what is no condition, such as what Python's == says of two formulas."""
        if isinstance(condition, bool):
            raise TypeError("Python has decided the condition itself, as it does with a == b: write Eq(a, b), Ne(a, b)")
        if not isinstance(condition, Boolean) or (
            isinstance(condition, Symbol) and not isinstance(condition, TensorSymbol)
        ):
            raise TypeError(f"Iverson takes a condition, such as x[i] > 0, and {condition!r} is none")
        return super().__new__(cls, condition)

    @classmethod
    def eval(cls, condition: Any) -> Expr | None:
        """Return the number where the condition is decided."""
        return {sympy.true: sympy.S.One, sympy.false: sympy.S.Zero}.get(condition)

    def _eval_derivative(self, _: Any) -> Expr:
        return sympy.S.Zero

    def _eval_power(self, exponent: Expr) -> Expr | None:
        return self if exponent.is_positive else None

    def _eval_rewrite_as_Piecewise(self, condition: Any, **_: Any) -> Expr:
        return Piecewise((1, condition), (0, True))


class TensorSymbol(Symbol):  # type: ignore[misc]
    """Code of a tensor, where a formula is printed as code around it."""

    def __new__(cls, code: str) -> "TensorSymbol":
        """Return the symbol whose name is the code."""
        symbol: TensorSymbol = super().__new__(cls, code, real=True)
        return symbol


class Array(IndexedBase):  # type: ignore[misc]
    """An array of symbolic sizes, of which only entries stand in formulas."""

    # Python would iterate with [0], [1], [2], … and never stop: a symbolic size has no end.
    __iter__ = None

    @property
    def name(self) -> str:
        """The name as it was given; sympy's has a mark where the array is defined."""
        return str(self.label.name)

    def __getitem__(self, indices: Any) -> Expr:
        """Return an entry; ValueError if there are more or fewer indices than axes."""
        places = indices if isinstance(indices, (tuple, sympy.Tuple)) else (indices,)
        if len(places) != len(self.shape):
            counts = f"{len(self.shape)} axes, and is given {len(places)} indices"
            raise ValueError(f"{self.name} has {counts}; write {example(self)}")
        if strange := [place for place in places if not isinstance(place, (int, Expr)) or isinstance(place, bool)]:
            raise TypeError(
                f"{self.name}: {strange[0]!r} is no index; write {example(self)}, with indices such as i of n"
            )
        return super().__getitem__(tuple(places))


class Name(Dummy):  # type: ignore[misc]
    """The name of a defined array or number, with its definition as an attribute, and what that was compared with."""

    definition: "Definition"
    compared_with = ""


def example(base: IndexedBase) -> str:
    """Return how an entry of an array is written."""
    return f"{base.name}[{', '.join('ijklmnopqrst'[: len(base.shape)])}]"


def sympified(value: Any) -> Expr:
    """Return a formula or a number as sympy's; TypeError on all else, and ValueError on an array without indices."""
    if isinstance(value, (str, list, tuple, dict, set, bool)) or value is None:
        raise TypeError(f"{value!r} is no formula: write it with entries of arrays, such as X[i, j], and numbers")
    try:
        formula = sympy.sympify(value, strict=True)
    except (ValueError, RuntimeError):
        raise TypeError(f"{type(value).__name__} is no formula: write it with entries of arrays, and numbers") from None
    if not isinstance(formula, Expr):
        if isinstance(formula, Boolean):
            raise TypeError(f"{formula} is a condition: write Iverson(…), which is 1 where it holds and else 0")
        raise TypeError(f"{formula} is no formula: write its entries one by one, with arrays, X[i, j], and sums")
    return formula


def require_name(name: Any, what: str, number: bool = False) -> None:
    """Raise TypeError or ValueError unless a name can be an argument of a Python function, and read as what it is."""
    if not isinstance(name, str):
        raise TypeError(f"the name of {what} is a string, not {name!r}")
    if not name.isidentifier() or iskeyword(name) or name[0] == "_" or unicodedata.normalize("NFKC", name) != name:
        raise ValueError(f"{name!r} is no name for {what}: it is to be one in Python too, of letters and digits")
    if name in _TAKEN:
        raise ValueError(f"{what} cannot be called {name}: compiled formulas call something else so")
    if number and name in _PRINTED_AS_NUMBERS:
        raise ValueError(f"{what} cannot be called {name}: it would be printed as {_PRINTED_AS_NUMBERS[name]} is")


def free_name(wanted: str, taken: set[str]) -> str:
    """Return a name that is not taken yet, h, h_2, h_3, and take it."""
    name, times = wanted, 1
    while name in taken:
        times += 1
        name = f"{wanted}_{times}"
    taken.add(name)
    return name


def require_formula(name: str, value: Any) -> None:
    """Raise ValueError on anything in a formula that is not known to be derived, printed and compiled right."""
    if isinstance(value, IndexedBase):
        wanted = example(value) if value.shape else "X[i, j], of one made with array"
        raise ValueError(f"{name}: {value} is an array; a formula is made of its entries, {wanted}")
    if isinstance(value, Indexed):
        _require_array(name, value)
    elif isinstance(value, Symbol):
        _require_real(name, value)
    elif not isinstance(value, Idx) and not _is_known(value):
        _refuse(name, value)
    for part in _parts(value):
        require_formula(name, part)


def _parts(value: Any) -> tuple[Any, ...]:
    if isinstance(value, Indexed):
        return tuple(value.indices)
    return () if isinstance(value, Idx) else (value.function,) if isinstance(value, Sum) else tuple(value.args)


def _is_known(value: Any) -> bool:
    """Say whether a part of a formula, apart from the parts of its own, is one that may be in it."""
    if _is_not_real(value):
        return False
    if isinstance(value, KroneckerDelta):
        return all(side.is_integer for side in value.args)
    if isinstance(value, Piecewise):
        return bool(value.args[-1].cond == sympy.true)
    if isinstance(value, sympy.Function) and not isinstance(value, Iverson):
        return _name(value) in FUNCTIONS or is_users_own(value) or _counts(value)
    kinds = (Add, Mul, Pow, Sum, Iverson, sympy.Rational, sympy.Float, ExprCondPair)
    conditions = (Relational, sympy.And, sympy.Or, sympy.Not, BooleanAtom)
    return isinstance(value, (*kinds, *conditions)) or value in (sympy.E, sympy.pi)


def _counts(value: Any) -> bool:
    """Say whether a value is a size, such as that of what a stride leaves."""
    symbols = value.free_symbols
    return isinstance(value, sympy.floor) and not value.has(Idx, Indexed) and all(map(_is_size, symbols))


def _is_size(symbol: Symbol) -> bool:
    return bool(symbol.is_integer) and not isinstance(symbol, Name)


def _is_constant(value: Any) -> bool:
    return isinstance(value, Expr) and not isinstance(value, sympy.Lambda) and bool(value.is_number)


def _is_not_real(value: Any) -> bool:
    """Say whether a value is known to be no finite real number, at least between the numbers where it is one."""
    if isinstance(value, Pow) and value.base.is_negative and not value.exp.is_integer:
        return True
    if not _is_constant(value):
        kinds = (Add, Mul, Pow, sympy.Function)
        return isinstance(value, kinds) and not _is_made_of_real(value) and value.is_extended_real is False
    number = value if value.is_Atom else value.evalf()
    return not (number.is_real and number.is_finite and abs(number) < sys.float_info.max)


def is_users_own(value: Expr) -> bool:
    """Say whether a function is of a class that is not sympy's, with a derivative of its own."""
    return not isinstance(value, AppliedUndef) and type(value).__module__.partition(".")[0] != "sympy"


@cache
def _is_made_of_real(value: Any) -> bool:
    """Say whether sums, products and whole powers of what is real are all that there is: sympy finds it out slowly."""
    if isinstance(value, (Add, Mul)):
        return all(map(_is_made_of_real, value.args))
    if isinstance(value, Pow):
        return bool(value.exp.is_Integer) and _is_made_of_real(value.base)
    if isinstance(value, Sum):
        return _is_made_of_real(value.function)
    if isinstance(value, (sympy.exp, sympy.tanh)):
        return _is_made_of_real(value.args[0])
    return isinstance(value, (Indexed, Symbol, Iverson, sympy.Rational)) and bool(value.is_real)


def _name(value: Any) -> str:
    return type(value).__name__


def _require_array(name: str, entry: Indexed) -> None:
    base = entry.base
    if not isinstance(base, IndexedBase) or base.shape is None or not (entry.is_real or entry.is_integer):
        raise ValueError(f"{name}: {base} is no real array whose shape is known; make it with array({str(base)!r}, n)")


def _require_real(name: str, symbol: Symbol) -> None:
    if isinstance(symbol, Dummy) and not isinstance(symbol, Name):
        raise ValueError(f"{name}: {symbol} has no name; make the number with array(name)")
    if not symbol.is_real:
        raise ValueError(f"{name}: {symbol} is not known to be real; make it with array({symbol.name!r})")


def _refuse(name: str, value: Any) -> None:
    kind = _name(value)
    if _is_constant(value) and value.is_finite is not True and value.has(sympy.nan, sympy.zoo, sympy.oo, -sympy.oo):
        raise ValueError(f"{name}: {value} is no finite number; is something divided by 0?")
    if isinstance(value, (sympy.Rational, sympy.Float)):
        raise ValueError(f"{name}: {value.evalf(3)} is larger than any number of a computer")
    if _is_not_real(value):
        raise ValueError(f"{name}: {value} is not a real number")
    if isinstance(value, sympy.NumberSymbol):
        raise ValueError(f"{name}: write {value} as a decimal number")
    if isinstance(value, Piecewise):
        raise ValueError(f"{name}: {value}: there is no case for the rest; end with (…, True)")
    if isinstance(value, KroneckerDelta):
        raise ValueError(f"{name}: {value} compares what is not whole; write Iverson(Eq(a, b))")
    if isinstance(value, sympy.Sum):
        raise ValueError(f"{name}: write {value} with the Sum of handgrad.symbolic")
    if isinstance(value, AppliedUndef):
        raise ValueError(f"{name}: nothing is known of {kind}; derive a class from sympy.Function, with its fdiff")
    instead = _INSTEAD.get(kind, "write it with entries of arrays, sums and functions")
    if isinstance(value, sympy.Function) and kind not in _INSTEAD:
        instead = f"there are {', '.join(FUNCTIONS)}, and classes of your own, derived from sympy.Function, with fdiff"
    raise ValueError(f"{name}: {kind} cannot stand in a formula: {instead}")
