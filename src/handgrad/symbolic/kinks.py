"""Where cases meet in a value: what is derived is claimed to hold elsewhere."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import sympy
from sympy import Abs, Add, Dummy, Eq, Expr, Idx, Indexed, Ne, Piecewise, Symbol, sign
from sympy.core.relational import Relational

from handgrad.symbolic.calculus import with_brackets
from handgrad.symbolic.definitions import Definition, label_of
from handgrad.symbolic.formulas import Iverson, Name, Sum
from handgrad.symbolic.letters import outermost, size
from handgrad.symbolic.notation import latex
from handgrad.symbolic.whole import MaximumOf


class Border(NamedTuple):
    """A condition's sides, or what an absolute value or a sign is taken of; and the value that it stands in."""

    left: Expr
    right: Expr
    scope: Expr
    at: type
    """What is at the border: a relation, an absolute value, a sign."""

    @property
    def difference(self) -> Expr:
        """What is 0 at the border."""
        return self.left - self.right


def exceptions(steps: Sequence[Definition], wrt: Collection[Any], result: Expr) -> str:
    """Say in Markdown where a derivative through steps holds, and what jumps elsewhere; nothing if no cases meet.

    Each step is after those it uses, `wrt` are the labels of what it is the derivative with respect to. The letters
    are those of the result, if the border is in it.
    """
    varying = {*wrt}
    letters = {_pattern(border): border for border in _borders(result, result)}
    found: dict[Expr, str] = {}
    jumps: dict[str, None] = {}
    ties: dict[str, None] = {}
    for step in steps:
        for part in step.value.atoms(MaximumOf):
            if not varying.isdisjoint(part.atoms(Symbol)):
                ties[f"where no row of ${latex(label_of(part.args[0]))}$ has two entries that are the largest"] = None
        for border in _borders(step.value, step.value):
            if border.difference.is_integer or varying.isdisjoint(border.difference.atoms(Symbol)):
                continue
            shown = letters.get(_pattern(border), border)
            left, right = latex(shown.left), latex(shown.right)
            found[_pattern(border)] = f"${left} \\neq {right}$"
            if words := _jump(border):
                jumps[f"where ${left} = {right}$, ${latex(label_of(step.entry))}$ {words}"] = None
        if not varying.isdisjoint(step.value.atoms(Symbol)):
            varying.add(label_of(step.entry))
    # A letter that is summed over in the result stands for all its values.
    where = "where all" if any(border.has(Idx) for border in found) else "where"
    borders = [f"{where} {' and '.join(found.values())}"] if found else []
    return "; ".join([*borders, *ties, *jumps])


def _borders(value: Expr, scope: Expr) -> Iterator[Border]:
    """Yield the borders in a value; their scope is all of it, or what the innermost sum around it sums over."""
    if isinstance(value, Relational):
        yield Border(value.lhs, value.rhs, scope, type(value))
    elif isinstance(value, Sum):
        yield from _borders(value.function, value.function)
    elif not isinstance(value, Indexed):
        if isinstance(value, (Abs, sign)):
            terms = Add.make_args(value.args[0])
            negative = [term for term in terms if len(terms) > 1 and term.could_extract_minus_sign()]
            positive = [term for term in terms if term not in negative]
            yield Border(Add(*positive), -Add(*negative), scope, type(value))
        for part in value.args:
            yield from _borders(part, scope)


def _pattern(border: Border) -> Expr:
    """Return what is 0 at a border, with letters that depend on their order alone."""
    difference = border.difference
    met = dict.fromkeys(part for part in sympy.preorder_traversal(difference) if isinstance(part, Idx))
    renamed = difference.xreplace({index: Idx(f"_{place}", size(index)) for place, index in enumerate(met)})
    return -renamed if renamed.could_extract_minus_sign() else renamed


def _jump(border: Border) -> str:
    """Return what is to be said of a value at a border; nothing where it is continuous."""
    if border.at is Abs:
        return ""
    scope = border.scope.replace(lambda part: isinstance(part, Piecewise), with_brackets)
    parts = outermost(Add(scope, border.difference, evaluate=False), (Idx, Indexed, Sum, Name, Symbol))
    scalars = {part: Dummy(real=True) for part in parts if not isinstance(part, Idx)}
    difference, scope = border.difference.xreplace(scalars), scope.xreplace(scalars)
    above, below = (_on_one_side(scope, difference, side, border.at in (Eq, Ne)) for side in (1, -1))
    gaps = [_gap(above - below, difference, signs) for signs in _signs(difference)]
    if all(gap == 0 for gap in gaps):
        return ""
    known = all(gap is not None and not gap.has(Iverson, sympy.nan, sympy.zoo, sympy.oo) for gap in gaps)
    return "jumps, and has no derivative" if known else "is not known to be continuous"


def _on_one_side(scope: Expr, difference: Expr, side: int, is_point: bool) -> Expr:
    """Return a value as it is next to a border where the difference is positive, or negative, for conditions.

    The two sides of an equation are the point itself, and what is around it.
    """

    def decided(part: Expr) -> Expr:
        own = part.args[0] if isinstance(part, sign) else part.lhs - part.rhs
        place = side * next((way for way in (1, -1) if sympy.expand(own - way * difference) == 0), 0)
        if not place:
            return part
        if isinstance(part, sign):
            return sympy.Integer(place)
        if isinstance(part, (Eq, Ne)):
            return sympy.sympify(isinstance(part, Eq) == (is_point and side > 0))
        return sympy.sympify((part.rel_op[0] == ">") == (place > 0))

    return scope.replace(lambda part: isinstance(part, (Relational, sign)), decided)


def _signs(difference: Expr) -> list[dict[Expr, Expr]]:
    """Return what each absolute value may be: |x| is x, or −x."""
    choices: list[dict[Expr, Expr]] = [{}]
    for part in difference.atoms(Abs):
        choices = [{**choice, part: way * part.args[0]} for choice in choices for way in (1, -1)]
    return choices


def _gap(gap: Expr, difference: Expr, signs: dict[Expr, Expr]) -> Expr | None:
    """Return the height of a jump at the border, or None if that is not found."""
    gap, difference = gap.xreplace(signs), sympy.expand(difference.xreplace(signs))
    for scalar in sorted(difference.atoms(Dummy), key=lambda dummy: dummy.dummy_index):
        slope = difference.diff(scalar)
        if slope != 0 and not slope.has(scalar):
            return _simplified(gap.subs(scalar, sympy.expand(scalar - difference / slope)))
    for scalar in difference.atoms(Dummy):
        if difference.is_polynomial(scalar) and (roots := sympy.roots(difference, scalar)):
            gaps = [_simplified(gap.subs(scalar, root)) for root in roots]
            return next((gap for gap in gaps if gap != 0), sympy.S.Zero)
    for function in sorted(difference.atoms(sympy.Function), key=sympy.default_sort_key):
        scalar = Dummy(real=True)
        slope = (own := difference.xreplace({function: scalar})).diff(scalar)
        if slope != 0 and not slope.has(scalar):
            gap = gap.xreplace({function: scalar}).subs(scalar, sympy.expand(scalar - own / slope))
            break
    # Where a function's value is known, and not that of its argument, what is not 0 may still be none.
    return sympy.S.Zero if _simplified(gap) == 0 else None


def _simplified(value: Expr) -> Expr:
    """Return a value in simpler form; nan where sympy, on the way to one, compares with what is no number."""
    try:
        return sympy.simplify(value)
    except TypeError:
        return sympy.nan
