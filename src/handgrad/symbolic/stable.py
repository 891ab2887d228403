"""Exponentials that would overflow are computed relative to the largest: exp(z) / Σ exp(z), log(Σ exp(z)), …

A formula is the same after this, but that 0 times an infinite factor counts as 0. For a sum S of exponentials, with m
the largest of their exponents, S is exp(m) S', where S' sums exponentials of numbers that are at most 0; exp(a) / S is
then exp(a − m) / S', and log(S) is m + log(S').
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import sympy
from sympy import Add, Expr, Idx, Indexed, Mul, Piecewise, Pow, exp, log, oo

from handgrad.symbolic.calculus import Definition, canonical, contract, free_indices, rename, size, unfolded
from handgrad.symbolic.formulas import Array, Iverson, Name, Sum


class StableSigmoid(sympy.Function):  # type: ignore[misc]
    """1 / (1 + exp(−z)), by torch."""

    is_real = True


class StableLogSigmoid(sympy.Function):  # type: ignore[misc]
    """−log(1 + exp(−z)), by torch."""

    is_real = True


class Larger(sympy.Function):  # type: ignore[misc]
    """The largest of values, entry by entry."""

    is_real = True


class Largest(Sum):
    """The largest of the values that a sum would sum."""


# What the printer is to call these.
CODE = {"StableSigmoid": "torch.sigmoid", "StableLogSigmoid": "torch.nn.functional.logsigmoid"}


class Exponential(NamedTuple):
    """A positive number, or a bracket, times exp(exponent), summed over some indices."""

    coefficient: Expr
    exponent: Expr
    dummies: tuple[Idx, ...]


def stabilized(steps: Sequence[Definition], wanted: Sequence[Definition] = ()) -> list[Definition]:
    """Return definitions of the same values, without those that those wanted, else the last, do not use any more."""
    rewriter = _Rewriter()
    found: list[Definition] = []
    for step in steps:
        value = step.value
        for rewritten in (_with_joined_powers, _where_defined):
            value = value.replace(lambda part: isinstance(part, Mul), rewritten)
        value = rewriter.value(value)
        found += [*rewriter.new, replace(step, value=value)]
        rewriter.new.clear()
    used, kept = {step.base for step in wanted or steps[-1:]}, []
    for step in reversed(found):
        if step.base in used:
            kept.append(step)
            used |= {name.definition.base for name in step.value.atoms(Name)}
    return kept[::-1]


def _with_joined_powers(product: Expr) -> Expr:
    """Write (xy)^t / x as y (xy)^(t − 1): it is defined where x is 0.

    The power may stand in a sum, and the division in a bracket, as in s^t (t (1 − s) / s − 1).
    """
    joined = (_joined(power, [other for other in product.args if other is not power]) for power in product.args)
    return next((value for value in joined if value is not None), product)


def _joined(power: Expr, others: list[Expr]) -> Expr | None:
    """Return the product of a power, or a sum of such, and others that divide it; None if none does."""
    inside = Mul.make_args(power.function) if isinstance(power, Sum) else (power,)
    taken = {other: max(_taken_from(part, other) for part in inside) for other in others}
    divisors = [other for other, times in taken.items() if times > 0]
    rest = [other for other in others if other not in divisors]
    if divisors and isinstance(power, Sum):
        summed = (index for index, *_ in power.limits)
        return Mul(*rest, Sum(_with_joined_powers(Mul(*divisors, *inside)), *summed))
    if divisors:
        (base, exponent), most = power.as_base_exp(), max(taken.values())
        return _with_joined_powers(Mul(*rest, base**most * Mul(*divisors), base ** (exponent - most)))
    bracket = next((other for other in others if _divides_in(other, power)), None)
    if bracket is None:
        return None
    others.remove(bracket)
    return Mul(*others, _multiplied_in(power, bracket))


def _divides_in(bracket: Expr, power: Expr) -> bool:
    parts = (part for term in Add.make_args(bracket) for part in Mul.make_args(term))
    return any(_taken_from(power, part) > 0 for part in parts)


def _taken_from(power: Expr, divisor: Expr) -> Expr:
    """Return how often a base b is to be taken out of b^t to cancel x^(−m): 0 if b has no power of x in it."""
    (base, exponent), (part, times) = power.as_base_exp(), divisor.as_base_exp()
    within = dict(factor.as_base_exp() for factor in Mul.make_args(base)).get(part, sympy.S.Zero)
    is_whole = times.is_Integer and times < 0 and within.is_Integer and within > 0
    is_power = not isinstance(power, exp) and not exponent.is_number
    return sympy.ceiling(-times / within) if is_whole and is_power else sympy.S.Zero


def _multiplied_in(power: Expr, bracket: Expr) -> Expr:
    """Multiply a bracket's terms by a power, those that give the same power together: (t − 1) x^(t − 2) is one."""
    base, by_power = power.as_base_exp()[0], dict[Expr, list[Expr]]()
    for term in bracket.args:
        factors = Mul.make_args(_with_joined_powers(Mul(power, *Mul.make_args(term))))
        own = Mul(*(factor for factor in factors if factor.as_base_exp()[0] == base))
        by_power.setdefault(own, []).append(Mul(*(factor for factor in factors if factor.as_base_exp()[0] != base)))
    sums = {own: Add(*found) for own, found in by_power.items()}
    # Sympy factors no sum that has cases in it.
    factored = ((own, total if total.has(Piecewise) else sympy.factor(total)) for own, total in sums.items())
    return Add(*(Mul(own, *Mul.make_args(total)) for own, total in factored))


def _where_defined(product: Expr) -> Expr:
    """Give products a bracket that leaves out where one factor is 0 and another infinite, and the product is 0.

    These are t x^(t − 1), a derivative of x^t, where t and x are 0, and x log(x) where x is 0.
    """
    powers = [factor.as_base_exp() for factor in product.args if not isinstance(factor, exp)]
    vanishing = {
        factor
        for power in _exponents(product)
        for factor in (base for base, own in powers if own.is_positive)
        if factor.free_symbols and factor.free_symbols <= power.free_symbols and _is_negative_where_0(power, factor)
    }
    vanishing |= {
        base**power
        for base, power in powers
        if log(base) in product.args and not power.is_negative and not base.is_positive and not _has_logarithm(base)
    }
    return Mul(*product.args, *(Iverson(sympy.Ne(factor, 0)) for factor in sorted(vanishing, key=str)))


def _exponents(value: Expr) -> set[Expr]:
    """Return the exponents, but for numbers, of the powers that a value is a sum of products of."""
    if isinstance(value, (Add, Mul, Sum)):
        parts = (value.function,) if isinstance(value, Sum) else value.args
        return set().union(*map(_exponents, parts))
    exponent = sympy.S.Zero if isinstance(value, exp) else value.as_base_exp()[1]
    return set() if exponent.is_number else {exponent}


def _is_negative_where_0(power: Expr, factor: Expr) -> bool:
    """Say whether a power is a negative whole number where a factor is 0."""
    if isinstance(factor, Add):
        terms, others = power.as_coefficients_dict(), factor.as_coefficients_dict()
        term = next(term for term in others if term != 1)
        power = sympy.expand(power - terms[term] / others[term] * factor)
    else:
        power = power.xreplace({factor: sympy.S.Zero})
    return bool(power.is_Integer and power.is_negative)


def exponentials(value: Expr) -> list[Exponential] | None:
    """Write a value as a sum of exponentials with coefficients that are not negative; None if it is none."""
    is_python_number = (
        not free_indices(value) and not value.has(Sum) and all(symbol.is_integer for symbol in value.free_symbols)
    )
    terms = None if is_python_number else _terms(value)
    return terms if terms and any(term.exponent != 0 for term in terms) else None


def _terms(value: Expr) -> list[Exponential] | None:
    if isinstance(value, exp):
        return [Exponential(sympy.S.One, value.args[0], ())]
    if isinstance(value, Iverson) or _is_positive(value):
        return [Exponential(value, sympy.S.Zero, ())]
    if isinstance(value, Sum):
        inner, summed = _terms(value.function), tuple(index for index, *_ in value.limits)
        return None if inner is None else [term._replace(dummies=term.dummies + summed) for term in inner]
    if isinstance(value, (Add, Mul)):
        parts = []
        for part in value.args:
            if (terms := _terms(part)) is None:
                return None
            parts.append(terms)
        return [term for terms in parts for term in terms] if isinstance(value, Add) else _product(parts)
    inner = unfolded(value) if isinstance(value, (Indexed, Name)) else None
    return None if inner is None else _terms(inner)


def _is_positive(value: Expr) -> bool:
    """Say whether a value is made of positive numbers and sizes."""
    return bool(value.is_positive and not value.has(Indexed, Name, exp))


def _product(parts: list[list[Exponential]]) -> list[Exponential] | None:
    spread = [terms for terms in parts if len(terms) > 1 or terms[0].dummies]
    if len(spread) > 1:
        return None
    single = [terms[0] for terms in parts if terms not in spread]
    by, exponent = Mul(*(term.coefficient for term in single)), Add(*(term.exponent for term in single))
    wide = spread[0] if spread else [Exponential(sympy.S.One, sympy.S.Zero, ())]
    return [Exponential(by * term.coefficient, exponent + term.exponent, term.dummies) for term in wide]


@dataclass
class _Factors:
    """Factors, exponents by the indices in them, and powers of sums of exponentials, by a canonical form."""

    factors: list[Expr] = field(default_factory=list)
    exponents: dict[frozenset[Idx], Expr] = field(default_factory=dict)
    sums: dict[Expr, tuple[Expr, Expr]] = field(default_factory=dict)

    def add(self, base: Expr, power: Expr, unfold: bool) -> None:
        """Multiply by a power; defined values that are products of exponentials and such sums are taken apart."""
        if isinstance(base, exp):
            self._add_exponent(power * base.args[0])
        elif terms := exponentials(base):
            self._add_sum(base, power, terms)
        elif (other := _complement(base)) is not None:
            self.add(other, power, unfold)
        elif isinstance(base, (Mul, Pow)) and _has_logarithm(base):
            for part in Mul.make_args(base):
                inner, own = _power(part)
                self.add(inner, own * power, unfold)
        elif unfold and isinstance(base, (Indexed, Name)) and _has_logarithm(base):
            self.add(unfolded(base), power, unfold)
        else:
            self.factors.append(base**power)

    def _add_exponent(self, exponent: Expr) -> None:
        key = frozenset(free_indices(exponent))
        total = self.exponents.get(key, sympy.S.Zero) + exponent
        # Equal sums cancel whatever the letters are that they are written with.
        self.exponents[key] = contract(total) if total.has(Sum) else total

    def _add_sum(self, base: Expr, power: Expr, terms: list[Exponential]) -> None:
        if len(terms) == 1 and not terms[0].dummies:
            self.factors.append(terms[0].coefficient ** power)
            self._add_exponent(power * terms[0].exponent)
        else:
            key = canonical(_sum(terms, sympy.S.Zero))
            kept, before = self.sums.get(key, (base, sympy.S.Zero))
            self.sums[key] = (kept, before + power)


def _sum(terms: list[Exponential], less: Expr) -> Expr:
    return Add(*(Sum(term.coefficient * exp(term.exponent - less), *term.dummies) for term in terms))


def _exponents_of(terms: list[Exponential]) -> list[Expr]:
    return [term.exponent for term in terms if term.exponent != 0]


def _brackets(term: Exponential) -> list[Expr]:
    return [factor for factor in Mul.make_args(term.coefficient) if isinstance(factor, Iverson)]


def _has_logarithm(value: Expr) -> bool:
    """Say whether a value is a product of exponentials, positive numbers, and powers of sums of exponentials."""
    if isinstance(value, Mul):
        return all(map(_has_logarithm, value.args))
    if isinstance(value, Pow):
        return bool(value.exp.is_number) and _has_logarithm(value.base)
    if _is_positive(value):
        return True
    if exponentials(value) is not None:
        return True
    inner = unfolded(value) if isinstance(value, (Indexed, Name)) else _complement(value)
    return inner is not None and _has_logarithm(inner)


def _complement(value: Expr) -> Expr | None:
    """Return 1 − σ(z) as σ(−z), for what is a product of exponentials: exp(z) / (1 + exp(z)) is no difference."""
    if not isinstance(value, Add) or len(value.args) != 2 or value.args[0] != 1 or not _has_logarithm(-value.args[1]):
        return None
    product = _Factors()
    product.add(-value.args[1], sympy.S.One, unfold=True)
    ((base, power),) = [*product.sums.values()] if len(product.sums) == 1 else [(sympy.S.One, sympy.S.Zero)]
    argument = _of_sigmoid(exponentials(base) or [])
    if power != -1 or Mul(*product.factors) != 1 or argument is None:
        return None
    return {sympy.S.Zero: exp(argument) / base, argument: 1 / base}.get(Add(*product.exponents.values()))


def _ratio(value: Expr, other: Expr) -> Expr:
    """Return how many times another formula is in a sum; 0 if it is not, or not in whole."""
    terms, others = (sympy.expand(part).as_coefficients_dict() for part in (value, other))
    ratios = {terms[term] / number for term, number in others.items()}
    ratio = ratios.pop() if len(ratios) == 1 else sympy.S.Zero
    return sympy.Integer(ratio) if ratio == int(ratio) else ratio


def _alike(value: Expr) -> Expr:
    """Return a value with the same letter for all indices of one range: entries of an array that look alike then."""
    letters = {index: Idx("_", size(index)) for index in value.atoms(Idx)}
    entries = {
        entry: entry.base[tuple(Idx("_", axis) for axis in entry.shape)]
        for entry in value.atoms(Indexed)
        if not entry.is_integer
    }
    return value.xreplace(entries).xreplace(letters)


def _times(exponent: Expr, like: Sequence[Expr] | None) -> Expr:
    """Return how many times an exponent is the largest of others `like` it, if none are given 1; 0 if it is unlike."""
    if like is None:
        return sympy.S.One
    terms, times = sympy.expand(_alike(exponent)).as_coefficients_dict(), [sympy.S.Zero]
    for other in like:
        ratios = {terms[term] / number for term, number in sympy.expand(_alike(other)).as_coefficients_dict().items()}
        times += ratios if len(ratios) == 1 else []
    return max(times)


def _degree(value: Expr, like: Sequence[Expr] | None = None) -> Expr:
    """Return how often exp(m), m the largest of exponents `like` some, is to be taken out of a factor.

    What is left then stays finite.
    """
    if isinstance(value, exp):
        return _times(value.args[0], like)
    if isinstance(value, Pow) and value.exp.is_number:
        return value.exp * _degree(value.base, like)
    if isinstance(value, Mul):
        return Add(*(_degree(part, like) for part in value.args))
    if isinstance(value, Add):
        return max(_degree(part, like) for part in value.args)
    if isinstance(value, Sum):
        return _degree(value.function, like)
    terms = exponentials(value) if isinstance(value, (Indexed, Name)) else None
    return max(_times(term.exponent, like) for term in terms) if terms else sympy.S.Zero


def _power(factor: Expr) -> tuple[Expr, Expr]:
    """Return a base, and a number that is its exponent."""
    base, power = (factor, sympy.S.One) if isinstance(factor, exp) else factor.as_base_exp()
    return (base, power) if power.is_number else (factor, sympy.S.One)


def _divisors(factors: Sequence[Expr]) -> list[Expr]:
    """Return the products of exponentials and of their sums that others are divided by."""
    return [base for base, power in map(_power, factors) if power.is_negative and _has_logarithm(base)]


def _is_divided(product: Expr) -> bool:
    """Say whether a product is divided by exponentials, or by sums of them, and not by numbers alone."""
    return not all(map(_is_positive, _divisors(Mul.make_args(product))))


def _is_to_be_multiplied_in(bracket: Expr) -> bool:
    """Say whether what terms are divided by may cancel with factors before the bracket, or some overflow alone.

    These are y / σ before dσ/dz, and the terms of 2 exp(2z) / (1 + exp(z)) − exp(z), a second derivative of σ(z).
    """
    divisors = [_divisors(Mul.make_args(term)) for term in bracket.args]
    is_defined = any(exponentials(base) is None for bases in divisors for base in bases)
    may_overflow = [_degree(term) > 0 for term, bases in zip(bracket.args, divisors, strict=True) if not bases]
    return is_defined or (len(may_overflow) < len(divisors) and any(may_overflow))


class _Rewriter:
    """Rewrites values, and collects the definitions of the largest exponents that they then use."""

    def __init__(self) -> None:
        self.new: list[Definition] = []
        self.largest: dict[Expr, Definition] = {}

    def value(self, value: Expr) -> Expr:
        """Return a value in which what may overflow is computed relative to the largest exponent."""
        if not value.has(exp, Name) or isinstance(value, (Indexed, Idx, Name)):
            return value
        if isinstance(value, Sum):
            return Sum(self.value(value.function), *(index for index, *_ in value.limits))
        if isinstance(value, log):
            return self.logarithm(value.args[0])
        if (other := _complement(value)) is not None:
            value = other
        if isinstance(value, (Mul, Pow)):
            return self.product(Mul.make_args(value))
        return value.func(*map(self.value, value.args))

    def logarithm(self, value: Expr) -> Expr:
        """Return a logarithm: that of exponentials and powers of their sums, and that of the other factors."""
        known, others = sympy.sift(Mul.make_args(value), _has_logarithm, binary=True)
        if all(map(_is_positive, known)):
            return log(self.value(value))
        if others:
            return self.logarithm(Mul(*known)) + log(self.value(Mul(*others)))
        product = _Factors()
        product.add(value, sympy.S.One, unfold=True)
        logs, exponent = [log(factor) for factor in product.factors], Add(*product.exponents.values())
        for base, power in product.sums.values():
            terms = exponentials(base) or []
            if (argument := _of_sigmoid(terms)) is not None:
                above, below = _powers(exponent, argument, power) or (sympy.S.Zero, -power)
                exponent, argument = exponent - above * argument, self.value(argument)
                logs.append(above * StableLogSigmoid(argument) + below * StableLogSigmoid(-argument))
            elif power != 0:
                largest = self.exponent(base, terms)
                logs += [power * largest, power * log(self.value(_sum(terms, largest)))]
        return Add(self.value(exponent), *logs)

    def product(self, factors: Sequence[Expr]) -> Expr:
        """Return a product in which sums of exponentials that it is divided by, if there are, are relative."""
        pairs = [_power(factor) for factor in factors]
        divisors = _divisors(factors)
        if (value := self._spread(factors, divisors)) is not None:
            return value
        if not divisors:
            return Mul(*(self._factor(base, power) for base, power in pairs))
        product = _Factors()
        unfold = any(exponentials(base) is None for base in divisors)
        for base, power in pairs:
            product.add(base, power, unfold)
        return self.relative(product)

    def _spread(self, factors: Sequence[Expr], divisors: list[Expr]) -> Expr | None:
        """Return a product with what may cancel multiplied into a bracket, or exponentials into a sum; None if none."""
        for place, factor in enumerate(factors):
            others = [*factors[:place], *factors[place + 1 :]]
            moved, kept = sympy.sift(others, lambda other: exponentials(other) is not None, binary=True)
            inside = moved and any(map(_is_divided, Add.make_args(factor)))
            if isinstance(factor, Add) and (divisors or inside) and _is_to_be_multiplied_in(factor):
                return Add(*(self.product([*others, *Mul.make_args(term)]) for term in factor.args))
            if isinstance(factor, Sum) and moved and not divisors and _is_divided(factor.function):
                summed = (index for index, *_ in factor.limits)
                return self.product([*kept, Sum(Mul(factor.function, *moved), *summed)])
        return None

    def _factor(self, base: Expr, power: Expr) -> Expr:
        # A power of a product, or of a power, is no product of powers: that is told from these here.
        if isinstance(base, Pow):
            return Pow(self.value(base.base), self.value(base.exp)) ** power
        return self.value(base) ** power

    def relative(self, product: _Factors) -> Expr:
        """Return a product with its sums relative to their largest exponents."""
        result: list[Expr] = []
        rest = [*map(exp, product.exponents.values()), *product.factors]
        sums = [(base, power) for base, power in product.sums.values() if power != 0]
        like = _exponents_of([term for base, power in sums if power < 0 for term in exponentials(base) or []])
        multiplied = [(base, power) for base, power in sums if power > 0 and _degree(base, like) > 0]
        rest += [base**power for base, power in multiplied]
        for base, power in sums:
            if (base, power) in multiplied:
                continue
            terms = exponentials(base) or []
            if (argument := _of_sigmoid(terms)) is not None and (taken := _taken(rest, argument, power)):
                above, below, rest = taken
                argument = self.value(argument)
                result.append(StableSigmoid(argument) ** above * StableSigmoid(-argument) ** below)
                continue
            largest = self.exponent(base, terms)
            result.append(self.value(_sum(terms, largest)) ** power)
            rest = _less(rest, -power, largest, _exponents_of(terms))
        return Mul(*result, *map(self.value, rest))

    def exponent(self, base: Expr, terms: list[Exponential]) -> Expr:
        """Return the largest exponent in a sum of exponentials, as an entry of an array of its own."""
        longest = sorted(base.atoms(Indexed), key=lambda entry: (-len(entry.indices), str(entry)))
        order = [index for entry in longest for index in entry.indices]
        rest = sorted(free_indices(base) - {*order}, key=str)
        places = tuple(index for index in dict.fromkeys([*order, *rest]) if index in free_indices(base))
        letters = {index: Idx(f"_{place}", size(index)) for place, index in enumerate(places)}
        plain = [term._replace(coefficient=Mul(*_brackets(term))) for term in terms]
        key = canonical(rename(_sum(plain, sympy.S.Zero), letters))
        if key not in self.largest:
            name = Name("largest", real=True)
            parts = [self._largest(term) for term in terms]
            whole = Larger(*dict.fromkeys(parts)) if len({*parts}) > 1 else parts[0]
            array = Array(name, shape=tuple(map(size, places))) if places else name
            self.largest[key] = name.definition = Definition("largest", places, whole, array)
            self.new.append(name.definition)
        return self.largest[key][places]

    def _largest(self, term: Exponential) -> Expr:
        value = self.value(term.exponent)
        if brackets := _brackets(term):
            value = Piecewise((value, sympy.And(*(bracket.args[0] for bracket in brackets))), (-oo, True))
        dummies = [index for index in term.dummies if index in free_indices(value)]
        return Expr.__new__(Largest, value, *(sympy.Tuple(d, 0, d.upper) for d in dummies)) if dummies else value


def _less(factors: Sequence[Expr], times: Expr, largest: Expr, like: Sequence[Expr]) -> list[Expr]:
    """Multiply a product by exp(−m) a number of times, in each factor as often as it has an exponential.

    First come the factors with exponents like those that m is the largest of.
    """
    if exp(times * largest) in factors:
        return [factor for factor in factors if factor != exp(times * largest)]
    result, places = [*factors], list[int]()
    for known in (like, None):
        for place, factor in enumerate(factors):
            # What is multiplied, and not divided, stays one exponential: exp(−m) may be another's part already.
            is_one = isinstance(factor, exp) if times < 0 else times > 0
            if is_one and place not in places and (degree := _degree(factor, known)) > 0:
                result[place] = _less_in(factor, min(degree, times), largest, like)
                times -= min(degree, times)
                places.append(place)
    if not places:
        return [*result, exp(-times * largest)]
    result[places[-1]] = _less_in(result[places[-1]], times, largest, like) if times else result[places[-1]]
    return result


def _less_in(value: Expr, times: Expr, largest: Expr, like: Sequence[Expr]) -> Expr:
    if isinstance(value, exp):
        return exp(value.args[0] - times * largest)
    if isinstance(value, Add):
        return Add(*(_less_in(term, times, largest, like) for term in value.args))
    if isinstance(value, Sum):
        summed = (index for index, *_ in value.limits)
        return Sum(_less_in(value.function, times, largest, like), *summed)
    if isinstance(value, Pow) and _degree(value.base) > 0:
        return _less_in(value.base, times / value.exp, largest, like) ** value.exp
    if isinstance(value, (Indexed, Name)) and (terms := exponentials(value)):
        return _sum(terms, times * largest)
    if isinstance(value, Mul):
        return Mul(*_less(value.args, times, largest, like))
    return value * exp(-times * largest)


def _of_sigmoid(terms: list[Exponential]) -> Expr | None:
    """Return z of 1 + exp(z)."""
    if len(terms) != 2 or any(term.coefficient != 1 or term.dummies for term in terms):
        return None
    exponents = {term.exponent for term in terms} - {sympy.S.Zero}
    return exponents.pop() if len(exponents) == 1 else None


def _taken(factors: list[Expr], argument: Expr, power: Expr) -> tuple[Expr, Expr, list[Expr]] | None:
    """Write factors times (1 + exp(z))^power as powers of σ(z) and σ(−z), and the factors that are left.

    None if that leaves a factor such as exp(z) − 1, which overflows alone.
    """
    if any(_degree(factor, [argument]) > 0 for factor in factors if isinstance(_power(factor)[0], Add)):
        return None
    places = [place for place, factor in enumerate(factors) if isinstance(factor, exp)]
    for place in places:
        exponent = factors[place].args[0]
        if (powers := _powers(exponent, argument, power)) and powers[0] != 0:
            left = exp(exponent - powers[0] * argument)
            return *powers, [*factors[:place], left, *factors[place + 1 :]]
    is_like = any(_degree(factors[place], [argument]) > 0 for place in places)
    powers = None if is_like else _powers(sympy.S.Zero, argument, power)
    return (*powers, factors) if powers else None


def _powers(exponent: Expr, argument: Expr, power: Expr) -> tuple[Expr, Expr] | None:
    """Write exp(exponent) (1 + exp(z))^power, for a negative power, as powers of σ(z) and of σ(−z)."""
    if not (power.is_Integer and power < 0):
        return None
    above = _ratio(exponent, argument)
    return (above, -power - above) if above.is_Integer and 0 <= above <= -power else None
