"""How index notation is written in LaTeX: X_{ij}, sums without limits, deltas, Iverson brackets."""

from collections.abc import Sequence
from dataclasses import dataclass

from sympy import Dummy, Expr, Idx, Indexed, KroneckerDelta, Mul, Pow, Symbol
from sympy.printing.latex import LatexPrinter
from sympy.printing.precedence import PRECEDENCE

from handgrad.symbolic.formulas import Iverson, Name, Sum


@dataclass(frozen=True)
class Markdown:
    """Text that a notebook shows as Markdown."""

    text: str

    def _repr_markdown_(self) -> str:
        return self.text


def latex(value: Expr) -> str:
    """Return `value` in LaTeX."""
    return str(_Printer().doprint(_with_letters(value)))


def display(formula: str, label: str | None = None) -> str:
    """Return LaTeX as a display equation in Markdown, numbered if it has a label."""
    return f"$$\n{formula}\n$$" + (f" {{#{label}}}" if label else "")


def derivative(of: str, wrt: str) -> str:
    """Return the LaTeX of a partial derivative."""
    return f"\\frac{{\\partial {of}}}{{\\partial {wrt}}}"


def scaled(scalar: Expr, product: str) -> str:
    """Return the LaTeX of a number times a product that is already LaTeX."""
    if scalar == 1:
        return product
    return f"- {product}" if scalar == -1 else f"{_Printer().scalar(scalar)} {product}"


def joined(terms: Sequence[str]) -> str:
    """Return the LaTeX of a sum, each term of which may start with a minus sign."""
    first, *rest = terms
    return first + "".join(f" - {term[1:].lstrip()}" if term[0] == "-" else f" + {term}" for term in rest)


def entrywise(value: Expr, indices: tuple[Idx, ...]) -> str:
    """Return the LaTeX of the array whose entry at `indices` is `value`: X for X_{ij}, ⊙ for a product of entries."""
    return str(_EntrywisePrinter(indices).doprint(value))


def _with_letters(value: Expr) -> Expr:
    """Give indices that only the machine has named letters of their own: k', if there is a k."""
    indices = value.atoms(Idx)
    taken = {index.label.name for index in indices if not isinstance(index.label, Dummy)}
    letters = {}
    for index in sorted((i for i in indices if isinstance(i.label, Dummy)), key=lambda i: i.label.dummy_index):
        name = index.label.name
        while name in taken:
            name += "'"
        taken.add(name)
        letters[index] = Idx(Symbol(name, integer=True), index.upper + 1)
    return value.xreplace(letters)


def subscript(indices: tuple[Expr, ...]) -> str:
    """Return `ij`, or `i,10` where juxtaposing would be ambiguous."""
    names = [latex(index) for index in indices]
    return ("" if all(len(name.rstrip("'")) == 1 for name in names) else ", ").join(names)


class _Printer(LatexPrinter):  # type: ignore[misc]
    between = " "
    fractions = True

    def _print_Idx(self, value: Idx) -> str:
        return str(value.label.name)

    def _print_Name(self, value: Name) -> str:
        return str(self._print(Symbol(value.name)))

    def _print_Indexed(self, value: Indexed) -> str:
        # LaTeX allows one subscript: W1 is printed W_{1}, and its entries W_{1, rs}.
        name, _, number = str(self._print(value.base.label)).partition("_{")
        below = ", ".join(filter(None, (number[:-1], subscript(value.indices))))
        return f"{name}_{{{below}}}"

    def _print_KroneckerDelta(self, value: KroneckerDelta, exp: str | None = None) -> str:
        return f"\\delta_{{{subscript(value.args)}}}" + (f"^{{{exp}}}" if exp else "")

    def _print_Sum(self, value: Sum) -> str:
        body = self.parenthesize(value.function, PRECEDENCE["Mul"], strict=True)
        return f"\\sum_{{{', '.join(index.label.name for index, *_ in value.limits)}}} {body}"

    def _print_Iverson(self, value: Expr, exp: str | None = None) -> str:
        return f"[{self._print(value.args[0])}]" + (f"^{{{exp}}}" if exp else "")

    def _print_Add(self, value: Expr, order: str | None = None) -> str:
        # Positive terms first, of these sums first: X − T, not −T + X.
        terms = sorted(value.as_ordered_terms(order), key=lambda t: (t.could_extract_minus_sign(), not t.has(Sum)))
        return joined([str(self._print(term)) for term in terms])

    def _print_Mul(self, value: Expr) -> str:
        if value.could_extract_minus_sign():
            return f"- {self.parenthesize(-value, PRECEDENCE['Mul'], strict=True)}"
        arrays = [factor for factor in value.args if factor.has(Indexed, KroneckerDelta)]
        divides = any(isinstance(factor, Pow) and factor.exp.is_negative for factor in arrays)
        if not arrays or (divides and self.fractions) or isinstance(value, Pow):
            return str(super()._print_Mul(value))
        scalar = (
            [self.scalar(Mul(*(factor for factor in value.args if factor not in arrays)))]
            if len(arrays) < len(value.args)
            else []
        )
        factors = reading_order(arrays)
        return " ".join([*scalar, self.between.join(self._factor(f, f is factors[-1]) for f in factors)]).strip()

    def scalar(self, value: Expr) -> str:
        return str(self.parenthesize(value, PRECEDENCE["Mul"], strict=True))

    def _factor(self, factor: Expr, last: bool) -> str:
        if isinstance(factor, Sum) and last:
            return str(self._print(factor))
        return str(self.parenthesize(factor, PRECEDENCE["Mul"], strict=not isinstance(factor, Sum)))


class _EntrywisePrinter(_Printer):
    between = " \\odot "
    fractions = False  # of matrices there are none

    def __init__(self, indices: tuple[Idx, ...]) -> None:
        super().__init__()
        self.indices_ = indices

    def _print_Indexed(self, value: Indexed) -> str:
        name = str(self._print(value.base.label))
        return name if value.indices == self.indices_ else f"{{{name}^{{\\mathsf{{T}}}}}}"

    def _print_Pow(self, value: Expr) -> str:
        if not value.has(Indexed):
            return str(super()._print_Pow(value))
        return f"{self.parenthesize(value.base, PRECEDENCE['Pow'])}^{{\\odot {self._print(value.exp)}}}"


def reading_order(factors: Sequence[Expr]) -> list[Expr]:
    """Return `factors` with sums last, and X_{ij} before W_{jk}: neighbours share an index, as in a matrix product."""
    ordered: list[Expr] = []
    rest = sorted(factors, key=lambda f: (isinstance(f, Sum), isinstance(f, Iverson), not isinstance(f, Indexed)))
    while rest:
        heads = [f for f in rest if not any(_leads_to(g, f) for g in rest if g is not f)]
        chosen = next((f for f in rest if ordered and _leads_to(ordered[-1], f)), (heads or rest)[0])
        ordered.append(chosen)
        rest.remove(chosen)
    return ordered


def _leads_to(left: Expr, right: Expr) -> bool:
    if not (isinstance(left, Indexed) and isinstance(right, Indexed)) or len(left.indices) == len(right.indices) == 1:
        return False
    return isinstance(left.indices[-1], Idx) and left.indices[-1] == right.indices[0]
