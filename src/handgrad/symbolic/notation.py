"""How index notation is written in LaTeX: X_{ij}, sums without limits, deltas, Iverson brackets."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from sympy import Add, Dummy, Expr, Idx, Indexed, KroneckerDelta, Mul, Pow, Rational, Symbol, sqrt
from sympy.core.alphabets import greeks
from sympy.printing.latex import LatexPrinter, translate
from sympy.printing.precedence import PRECEDENCE

from handgrad.symbolic.formulas import Iverson, Sum
from handgrad.symbolic.letters import letters_in, names_of


@dataclass(frozen=True)
class Markdown:
    """Text that a notebook shows as Markdown."""

    text: str

    def _repr_markdown_(self) -> str:
        return self.text


@cache
def latex(value: Expr) -> str:
    """Return `value` in LaTeX."""
    printer = _Printer()
    printer.has_e = "e" in names_of(value)
    return apart(str(printer.doprint(with_letters(value))))


def display(formula: str, label: str | None = None) -> str:
    """Return LaTeX as a display equation in Markdown, numbered if it has a label."""
    return f"$$\n{formula}\n$$" + (f" {{#{label}}}" if label else "")


def broken(equation: str, width: float = 25) -> str:
    """Return an equation that goes on in further lines if it is wider than about so many letters.

    A line begins with a term or, where a term is too wide, with a sum by which the line before is multiplied; nothing
    breaks within brackets.
    """
    left, _, right = equation.partition(" = ")
    if "\\begin" in equation or _width(equation) <= width:
        return equation
    room = width - _width(f"{left} =")
    terms = _lines(_pieces(right, " [+-] "), room)
    first, *others = (line for term in terms for line in _lines(_pieces(term, r"\\sum"), room))
    rest = "".join(f" \\\\ & \\quad {line}" for line in others)
    return f"\\begin{{aligned}} {left} & = {first}{rest} \\end{{aligned}}" if others else equation


def _pieces(formula: str, start: str) -> list[str]:
    """Cut LaTeX before all that matches `start` and stands in no bracket, but not behind a sign."""
    depth, cuts = 0, [0]
    for found in re.finditer(rf"[{{(\[]|[}})\]]|{start}", formula):
        if found[0] in "{([":
            depth += 1
        elif found[0] in "})]":
            depth -= 1
        elif not depth and formula[: found.start()].strip(" +-"):
            cuts.append(found.start())
    return [formula[start:end] for start, end in zip(cuts, [*cuts[1:], len(formula)], strict=True)]


def _lines(pieces: Sequence[str], room: float) -> list[str]:
    """Join pieces of LaTeX to lines for which there is room; a sum that begins a later line multiplies."""
    lines = [pieces[0].strip()]
    for piece in map(str.strip, pieces[1:]):
        if _width(longer := f"{lines[-1]} {piece}") <= room:
            lines[-1] = longer
        else:
            lines.append(f"\\cdot {piece}" if piece.startswith("\\sum") else piece)
    return lines


def _width(formula: str) -> float:
    """Return how many letters wide LaTeX is, about: those of subscripts count half, those of numerators not."""
    below = re.sub(r"\\frac\{(?:[^{}]|\{[^{}]*\})*\}", "", formula)
    line = re.sub(r"_\{[^{}]*\}|\\(?:left|right|mathrm)|\\[,;]", "", below)
    subscripts = "".join(re.findall(r"_\{([^{}]*)\}", below))
    return len(re.findall(r"\\\w+|[^\s{}\\]", line)) + len(re.findall(r"\w", subscripts)) / 2


def derivative(of: str, wrt: str) -> str:
    """Return the LaTeX of a partial derivative."""
    return f"\\frac{{\\partial {of}}}{{\\partial {wrt}}}"


def scaled(scalar: Expr, product: str) -> str:
    """Return the LaTeX of a number times a product that is already LaTeX."""
    if scalar.could_extract_minus_sign() and not isinstance(scalar, Add):
        return f"- {scaled(-scalar, product)}"
    return product if scalar == 1 else apart(f"{_Printer().scalar(scalar)} {product}")


def named(name: str) -> str:
    """Return the LaTeX of a name: W1 is W with a subscript, x_hat and xhat are x with a hat.

    A word stands upright, as letters side by side multiply.
    """
    first, *below = name.rstrip("'").split("_")
    letters = first.rstrip("0123456789")
    below = [part for part in (first[len(letters) :], *below) if part]
    ends = [end for end in _ACCENTS if letters.endswith(end) and _is_letter(letters.removesuffix(end))]
    accented = _letter(letters.removesuffix("".join(ends)))
    for accent in [*ends, *(part for part in below if part in _ACCENTS)]:
        accented = f"\\{accent}{{{accented}}}"
    subscript = ", ".join(part if part.isdecimal() else _letter(part) for part in below if part not in _ACCENTS)
    return (f"{accented}_{{{subscript}}}" if subscript else accented) + "'" * name.count("'")


_ACCENTS = ("hat", "bar", "tilde", "dot")


def _is_letter(text: str) -> bool:
    return len(text) == 1 or text.lower() in greeks


def _letter(text: str) -> str:
    if not _is_letter(text):
        return f"\\mathrm{{{text}}}"
    return text if len(text) == 1 else str(translate(text))


def apart(formula: str) -> str:
    """Put a space between a word and the factor before or after it, which LaTeX would set as one word."""
    return _AFTER_A_WORD.sub(r"\1 \\, ", _BEFORE_A_WORD.sub(r"\1 \\, ", formula))


_SIGNS = ("neq", "geq", "leq", "odot", "wedge", "vee", "cdot")
_BELOW = r"(?:[_^]\{(?:[^{}]|\{[^{}]*\})*\})*"
_NO_SIGN_BEFORE = "".join(rf"(?<!\\{sign})" for sign in _SIGNS)
_BEFORE_A_WORD = re.compile(r"([\w})\]'])" + _NO_SIGN_BEFORE + r" (?=(?:\\dot\{)?\\mathrm\{)")
_FACTOR = rf"(?!\\(?:{'|'.join(_SIGNS)}|text|right|end|\\|,))[\\\w(\[]"
_AFTER_A_WORD = re.compile(r"(\\mathrm\{\w+\}\}?" + _BELOW + rf") (?={_FACTOR})")


def joined(terms: Sequence[str]) -> str:
    """Return the LaTeX of a sum, each term of which may start with a minus sign."""
    first, *rest = terms
    return first + "".join(f" - {term[1:].lstrip()}" if term[0] == "-" else f" + {term}" for term in rest)


def entrywise(value: Expr, indices: tuple[Idx, ...]) -> str:
    """Return the LaTeX of the array whose entry at `indices` is `value`: X for X_{ij}, ⊙ for a product of entries."""
    return apart(str(_EntrywisePrinter(indices).doprint(value)))


def with_letters(value: Expr) -> Expr:
    """Give indices that only the machine has named letters of their own: k', if there is a k."""
    indices = letters_in(value)
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
    names = [named(index.label.name) if isinstance(index, Idx) else latex(index) for index in indices]
    return ("" if all(len(name.rstrip("'")) == 1 for name in names) else ", ").join(names)


class _Printer(LatexPrinter):  # type: ignore[misc]
    between = " "
    fractions = True
    has_e = False

    def _print_ExpBase(self, value: Expr, exp: str | None = None) -> str:
        # Beside a size that is called e, the exponential is no power of it.
        if not self.has_e:
            return str(super()._print_ExpBase(value, exp))
        return f"\\exp{f'^{{{exp}}}' if exp else ''}\\left({self._print(value.args[0])}\\right)"

    def _print_Symbol(self, value: Symbol) -> str:
        return named(value.name)

    _print_Name = _print_Symbol

    def _print_Idx(self, value: Idx) -> str:
        return named(value.label.name)

    def _print_Indexed(self, value: Indexed) -> str:
        # LaTeX allows one subscript: W1 is printed W_{1}, and its entries W_{1, rs}.
        name, _, number = str(self._print(value.base.label)).partition("_{")
        below = ", ".join(filter(None, (number[:-1], subscript(value.indices))))
        return f"{name}_{{{below}}}"

    def _print_InverseOf(self, value: Expr, exp: str | None = None) -> str:
        inverse = f"\\left({self._print(value.args[0].base.label)}^{{-1}}\\right)_{{{subscript(value.indices)}}}"
        return _with_exponent(inverse, exp)

    def _print_DeterminantOf(self, value: Expr, exp: str | None = None) -> str:
        return _with_exponent(f"\\det {self._print_each(value)}", exp)

    def _print_LogDeterminantOf(self, value: Expr, exp: str | None = None) -> str:
        return _with_exponent(f"\\log \\det {self._print_each(value)}", exp)

    def _print_MaximumOf(self, value: Expr, exp: str | None = None) -> str:
        return _with_exponent("\\max " + self._print_each(value, "\\cdot"), exp)

    def _print_each(self, value: Expr, rest: str = "") -> str:
        """Print the array that a function is of, or each of a stack."""
        below = f"{subscript(value.indices)}{rest}"
        return f"{self._print(value.args[0].base.label)}" + (f"_{{{below}}}" if below else "")

    def _print_KroneckerDelta(self, value: KroneckerDelta, exp: str | None = None) -> str:
        return f"\\delta_{{{subscript(value.args)}}}" + (f"^{{{exp}}}" if exp else "")

    def _print_Sum(self, value: Sum) -> str:
        body = self.parenthesize(value.function, PRECEDENCE["Mul"], strict=True)
        if body.startswith("-"):
            body = f"\\left({body}\\right)"
        return f"\\sum_{{{', '.join(named(index.label.name) for index, *_ in value.limits)}}} {body}"

    def _print_Pow(self, value: Expr) -> str:
        # r² √r rather than r to the power 5/2.
        if value.base.is_Symbol or isinstance(value.base, Indexed):
            whole = value.exp - Rational(1, 2)
            if whole.is_Integer and whole > 0:
                return f"{self._print(value.base**whole)} {self._print(sqrt(value.base))}"
        return str(super()._print_Pow(value))

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


def _with_exponent(value: str, exp: str | None) -> str:
    return f"\\left({value}\\right)^{{{exp}}}" if exp else value


class _EntrywisePrinter(_Printer):
    between = " \\odot "
    fractions = False  # of matrices there are none

    def __init__(self, indices: tuple[Idx, ...]) -> None:
        super().__init__()
        self.indices_ = indices

    def _print_Indexed(self, value: Indexed) -> str:
        name = str(self._print(value.base.label))
        return name if value.indices == self.indices_ else f"{{{name}^{{\\mathsf{{T}}}}}}"

    def _print_InverseOf(self, value: Expr, exp: str | None = None) -> str:
        return f"{self._print(value.args[0])}^{{-1}}"

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
