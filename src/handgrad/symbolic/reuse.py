"""What has been computed already is named: the derivative of tanh is written with the tanh that is there.

Every rewriting is proved by putting the definition back in the name's place: one that cannot be proved is not made.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from itertools import product
from math import prod
from typing import Any, NamedTuple

import sympy
from sympy import Add, Dummy, Expr, Idx, Indexed, Mul, Symbol, exp

from handgrad.symbolic.definitions import indices_of
from handgrad.symbolic.formulas import Sum
from handgrad.symbolic.letters import free_indices, letters_in, ordered, outermost, rename, size
from handgrad.symbolic.terms import Term, canonical, contract, rebuilt, terms

# More ways to put a formula's letters for those of a definition are not tried, nor are longer formulas rewritten.
_MANY = 200


class Known(NamedTuple):
    """An entry, or a number, and what it is equal to, for all values of its indices."""

    entry: Expr
    value: Expr

    def at(self, names: Mapping[Idx, Any]) -> "Known":
        """Return the same with other letters."""
        return Known(rename(self.entry, names), rename(self.value, names))


def in_names(value: Expr, known: Known) -> Expr:
    """Return an equal formula that uses the known entry, if there is one and it is shorter; else the same."""
    is_plain = isinstance(known.value, (Indexed, Symbol))
    if is_plain or free_indices(known.value) != {*indices_of(known.entry)} or length(value) > _MANY:
        return value
    best, known = value, known._replace(value=_with_own_letters(known.value))
    for written in (_by_parts, _by_factors, _by_solving):
        tried = written(_with_own_letters(best), known)
        if length(tried) < length(best) and _divisors(tried, known) <= _divisors(value, known):
            best = tried if _is_equal(value, tried, known) else best
    return best


def _by_parts(value: Expr, known: Known) -> Expr:
    """Put the name wherever its whole value stands."""
    return value.xreplace({place.value: place.entry for place in _places(letters_in(value), known)})


def _by_factors(value: Expr, known: Known) -> Expr:
    """Divide, or multiply, products by the value as often as that makes them shorter, and the name in its place."""
    named = [Term(_divided(Mul(*term.factors), known), term.dummies) for term in terms(value)]
    return _factored(Add(*map(rebuilt, named)))


def _divided(term: Expr, known: Known) -> tuple[Expr, ...]:
    ratios = [place.entry / place.value for place in _places(free_indices(term), known)]
    while ratios:
        # Powers are tried last: once 1 / Z is named Y, 1 / Z² is Y², and Y / Z on the way to it is no shorter.
        tries = [[term * ratio**power for ratio in ratios] for power in (1, -1, 2, 3)]
        best = next((found for each in tries if length(found := min(each, key=length)) < length(term)), None)
        if best is None:
            break
        term = best
    factors: tuple[Expr, ...] = Mul.make_args(term)
    return factors


def _by_solving(value: Expr, known: Known) -> Expr:
    """Put for an exponential what it is by the name, if the name is a fraction linear in it, as 1 / (1 + exp(−z))."""
    for place in _places(letters_in(value), known) if known.value.has(exp) else ():
        scalars = _scalars(place.value)
        written = place.value.xreplace(scalars)
        if len(found := [*written.atoms(exp)]) != 1 or place.value.has(Sum):
            continue
        one, name, back = Dummy(positive=True), Dummy(real=True), {scalar: part for part, scalar in scalars.items()}
        above = sympy.fraction(sympy.together(written.xreplace({found[0]: one}) - name))[0]
        if above.free_symbols != {one, name} or not above.is_polynomial(one) or sympy.degree(above, one) != 1:
            continue
        argument = found[0].exp.xreplace(back)
        solved = sympy.solve(above, one)[0].xreplace({name: place.entry})
        value = value.replace(exp, lambda power, by=argument, e=solved: _as_power(power, by, e))
    return _factored(value)


def _as_power(power: Expr, argument: Expr, base: Expr) -> Expr:
    """Return exp(n argument) as the n-th power of a base; another exponential as it is."""
    times = sympy.cancel(power / argument)
    return base**times if times.is_Integer else exp(power)


def _places(letters: frozenset[Idx], known: Known) -> Iterable[Known]:
    """Return the known with all of these letters that could stand for its own."""
    own = indices_of(known.entry)
    choices = [[index for index in ordered(letters) if size(index) == size(mine)] for mine in own]
    if prod(map(len, choices)) > _MANY:
        return []
    return [known.at(dict(zip(own, chosen, strict=True))) for chosen in product(*choices)]


def _with_own_letters(value: Expr) -> Expr:
    """Write inner sums that are equal with equal letters."""
    if len(sums := value.atoms(Sum)) < 2:
        return value
    found = {part: canonical(part) for part in sums}
    first: dict[Expr, Expr] = {}
    return value.xreplace({part: first.setdefault(form, part) for part, form in found.items()})


def _scalars(value: Expr) -> dict[Expr, Dummy]:
    return {part: Dummy(real=True) for part in outermost(value, (Indexed, Sum))}


@cache
def _factored(value: Expr) -> Expr:
    scalars = _scalars(value)
    back = {scalar: part for part, scalar in scalars.items()}
    return sympy.factor_terms(sympy.cancel(value.xreplace(scalars))).xreplace(back)


@cache
def length(value: Expr) -> int:
    """Return how many parts a formula has, an entry being one."""
    if isinstance(value, sympy.Number):
        return 1 + bool(value.is_negative) + (not value.is_Integer)
    return 1 if isinstance(value, Indexed) or not value.args else 1 + sum(map(length, value.args))


def _divisors(value: Expr, known: Known) -> set[Expr]:
    """Return what a formula divides by: in names it is not to divide by more, which may be 0."""
    divisors = {part.base for part in value.atoms(sympy.Pow) if not part.exp.is_nonnegative}
    put = {divisor: _put_back(divisor, known) for divisor in divisors}
    factors = {factor.as_base_exp()[0] for divisor in put.values() for factor in Mul.make_args(divisor)}
    return {factor for factor in factors if not factor.is_number}


def _is_equal(value: Expr, named: Expr, known: Known) -> bool:
    """Say whether a formula in names is the value, once the definition stands in the name's place again."""
    difference = _put_back(value - named, known)
    if canonical(contract(difference)) == 0:
        return True
    forms = {part: canonical(part) for part in outermost(difference, (Sum,))}
    scalars = {part: Dummy(real=True) for part in {*forms.values(), *outermost(difference.xreplace(forms), (Indexed,))}}
    return bool(sympy.simplify(difference.xreplace(forms).xreplace(scalars)) == 0)


def _put_back(value: Expr, known: Known) -> Expr:
    """Return a formula with the definition in the name's place."""
    entries = {part for part in value.atoms(Indexed, Symbol) if _base(part) == _base(known.entry)}
    own = indices_of(known.entry)
    return value.xreplace({part: known.at(dict(zip(own, indices_of(part), strict=True))).value for part in entries})


def _base(part: Expr) -> Expr:
    return part.base if isinstance(part, Indexed) else part
