"""Exponentials that would overflow are computed relative to the largest: exp(z) / Σ exp(z), log(Σ exp(z)), …

A formula is the same after this, but that 0 times an infinite factor counts as 0. For a sum S of exponentials, with m
the largest of their exponents, S is exp(m) S', where S' sums exponentials of numbers that are at most 0; exp(a) / S is
then exp(a − m) / S', and log(S) is m + log(S').
"""

from collections.abc import Sequence
from dataclasses import replace

import sympy
from sympy import Add, Expr, Idx, Indexed, Mul, Piecewise, Pow, exp, log, oo

from handgrad.symbolic.definitions import Definition
from handgrad.symbolic.exponentials import (
    Exponential,
    Factors,
    as_power,
    brackets_of,
    complement_of,
    degree_of,
    divisors_of,
    exponentials,
    exponents_of,
    has_logarithm,
    is_divided,
    is_positive,
    is_to_be_multiplied_in,
    of_sigmoid,
    sum_of,
)
from handgrad.symbolic.formulas import Array, Name, Sum
from handgrad.symbolic.letters import free_indices, ordered, rename, size
from handgrad.symbolic.powers import where_defined, with_joined_powers
from handgrad.symbolic.terms import canonical


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


def stabilized(steps: Sequence[Definition], wanted: Sequence[Definition] = ()) -> list[Definition]:
    """Return definitions of the same values, without those that those wanted, else the last, do not use any more."""
    rewriter = _Rewriter()
    found: list[Definition] = []
    for step in steps:
        value = step.value
        for rewritten in (with_joined_powers, where_defined):
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
        if (other := complement_of(value)) is not None:
            value = other
        if isinstance(value, (Mul, Pow)):
            return self.product(Mul.make_args(value))
        return value.func(*map(self.value, value.args))

    def logarithm(self, value: Expr) -> Expr:
        """Return a logarithm: that of exponentials and powers of their sums, and that of the other factors."""
        known, others = sympy.sift(Mul.make_args(value), has_logarithm, binary=True)
        if all(map(is_positive, known)):
            return log(self.value(value))
        if others:
            return self.logarithm(Mul(*known)) + log(self.value(Mul(*others)))
        product = Factors()
        product.add(value, sympy.S.One, unfold=True)
        logs, exponent = [log(factor) for factor in product.factors], Add(*product.exponents.values())
        for base, power in product.sums.values():
            terms = exponentials(base) or []
            if (argument := of_sigmoid(terms)) is not None:
                above, below = _powers(exponent, argument, power) or (sympy.S.Zero, -power)
                exponent, argument = exponent - above * argument, self.value(argument)
                logs.append(above * StableLogSigmoid(argument) + below * StableLogSigmoid(-argument))
            elif power != 0:
                largest = self.exponent(base, terms)
                logs += [power * largest, power * log(self.value(sum_of(terms, largest)))]
        return Add(self.value(exponent), *logs)

    def product(self, factors: Sequence[Expr]) -> Expr:
        """Return a product in which sums of exponentials that it is divided by, if there are, are relative."""
        pairs = [as_power(factor) for factor in factors]
        divisors = divisors_of(factors)
        if (value := self._spread(factors, divisors)) is not None:
            return value
        if not divisors:
            return Mul(*(self._factor(base, power) for base, power in pairs))
        product = Factors()
        unfold = any(exponentials(base) is None for base in divisors)
        for base, power in pairs:
            product.add(base, power, unfold)
        return self.relative(product)

    def _spread(self, factors: Sequence[Expr], divisors: list[Expr]) -> Expr | None:
        """Return a product with what may cancel multiplied into a bracket, or exponentials into a sum; None if none."""
        for place, factor in enumerate(factors):
            others = [*factors[:place], *factors[place + 1 :]]
            moved, kept = sympy.sift(others, lambda other: exponentials(other) is not None, binary=True)
            inside = moved and any(map(is_divided, Add.make_args(factor)))
            if isinstance(factor, Add) and (divisors or inside) and is_to_be_multiplied_in(factor):
                return Add(*(self.product([*others, *Mul.make_args(term)]) for term in factor.args))
            if isinstance(factor, Sum) and moved and not divisors and is_divided(factor.function):
                summed = (index for index, *_ in factor.limits)
                return self.product([*kept, Sum(Mul(factor.function, *moved), *summed)])
        return None

    def _factor(self, base: Expr, power: Expr) -> Expr:
        # A power of a product, or of a power, is no product of powers: that is told from these here.
        if isinstance(base, Pow):
            return Pow(self.value(base.base), self.value(base.exp)) ** power
        return self.value(base) ** power

    def relative(self, product: Factors) -> Expr:
        """Return a product with its sums relative to their largest exponents."""
        result: list[Expr] = []
        rest = [*map(exp, product.exponents.values()), *product.factors]
        sums = [(base, power) for base, power in product.sums.values() if power != 0]
        like = exponents_of([term for base, power in sums if power < 0 for term in exponentials(base) or []])
        multiplied = [(base, power) for base, power in sums if power > 0 and degree_of(base, like) > 0]
        rest += [base**power for base, power in multiplied]
        for base, power in sums:
            if (base, power) in multiplied:
                continue
            terms = exponentials(base) or []
            if (argument := of_sigmoid(terms)) is not None and (taken := _taken(rest, argument, power)):
                above, below, rest = taken
                argument = self.value(argument)
                result.append(StableSigmoid(argument) ** above * StableSigmoid(-argument) ** below)
                continue
            largest = self.exponent(base, terms)
            result.append(self.value(sum_of(terms, largest)) ** power)
            rest = _less(rest, -power, largest, exponents_of(terms))
        return Mul(*result, *map(self.value, rest))

    def exponent(self, base: Expr, terms: list[Exponential]) -> Expr:
        """Return the largest exponent in a sum of exponentials, as an entry of an array of its own."""
        longest = sorted(base.atoms(Indexed), key=lambda entry: (-len(entry.indices), str(entry)))
        order = [index for entry in longest for index in entry.indices]
        rest = ordered(free_indices(base) - {*order})
        places = tuple(index for index in dict.fromkeys([*order, *rest]) if index in free_indices(base))
        letters = {index: Idx(f"_{place}", size(index)) for place, index in enumerate(places)}
        plain = [term._replace(coefficient=Mul(*brackets_of(term))) for term in terms]
        key = canonical(rename(sum_of(plain, sympy.S.Zero), letters))
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
        if brackets := brackets_of(term):
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
            if is_one and place not in places and (degree := degree_of(factor, known)) > 0:
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
    if isinstance(value, Pow) and degree_of(value.base) > 0:
        return _less_in(value.base, times / value.exp, largest, like) ** value.exp
    if isinstance(value, (Indexed, Name)) and (terms := exponentials(value)):
        return sum_of(terms, times * largest)
    if isinstance(value, Mul):
        return Mul(*_less(value.args, times, largest, like))
    return value * exp(-times * largest)


def _ratio(value: Expr, other: Expr) -> Expr:
    """Return how many times another formula is in a sum; 0 if it is not, or not in whole."""
    terms, others = (sympy.expand(part).as_coefficients_dict() for part in (value, other))
    ratios = {terms[term] / number for term, number in others.items()}
    ratio = ratios.pop() if len(ratios) == 1 else sympy.S.Zero
    return sympy.Integer(ratio) if ratio == int(ratio) else ratio


def _taken(factors: list[Expr], argument: Expr, power: Expr) -> tuple[Expr, Expr, list[Expr]] | None:
    """Write factors times (1 + exp(z))^power as powers of σ(z) and σ(−z), and the factors that are left.

    None if that leaves a factor such as exp(z) − 1, which overflows alone.
    """
    if any(degree_of(factor, [argument]) > 0 for factor in factors if isinstance(as_power(factor)[0], Add)):
        return None
    places = [place for place, factor in enumerate(factors) if isinstance(factor, exp)]
    for place in places:
        exponent = factors[place].args[0]
        if (powers := _powers(exponent, argument, power)) and powers[0] != 0:
            left = exp(exponent - powers[0] * argument)
            return *powers, [*factors[:place], left, *factors[place + 1 :]]
    is_like = any(degree_of(factors[place], [argument]) > 0 for place in places)
    powers = None if is_like else _powers(sympy.S.Zero, argument, power)
    return (*powers, factors) if powers else None


def _powers(exponent: Expr, argument: Expr, power: Expr) -> tuple[Expr, Expr] | None:
    """Write exp(exponent) (1 + exp(z))^power, for a negative power, as powers of σ(z) and of σ(−z)."""
    if not (power.is_Integer and power < 0):
        return None
    above = _ratio(exponent, argument)
    return (above, -power - above) if above.is_Integer and 0 <= above <= -power else None
