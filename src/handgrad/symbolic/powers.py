"""Products of powers and logarithms, written so that they have a value where a factor is 0."""

import sympy
from sympy import Add, Expr, Mul, Piecewise, exp, log

from handgrad.symbolic.exponentials import has_logarithm
from handgrad.symbolic.formulas import Iverson, Sum


def with_joined_powers(product: Expr) -> Expr:
    """Write (xy)^t / x as y (xy)^(t − 1): it is defined where x is 0.

    The power may stand in a sum, and the division in a bracket, as in s^t (t (1 − s) / s − 1).
    """
    joined = (_joined(power, [other for other in product.args if other is not power]) for power in product.args)
    return next((value for value in joined if value is not None), product)


def where_defined(product: Expr) -> Expr:
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
        if log(base) in product.args and not power.is_negative and not base.is_positive and not has_logarithm(base)
    }
    return Mul(*product.args, *(Iverson(sympy.Ne(factor, 0)) for factor in sorted(vanishing, key=str)))


def _joined(power: Expr, others: list[Expr]) -> Expr | None:
    """Return the product of a power, or a sum of such, and others that divide it; None if none does."""
    inside = Mul.make_args(power.function) if isinstance(power, Sum) else (power,)
    taken = {other: max(_taken_from(part, other) for part in inside) for other in others}
    divisors = [other for other, times in taken.items() if times > 0]
    rest = [other for other in others if other not in divisors]
    if divisors and isinstance(power, Sum):
        summed = (index for index, *_ in power.limits)
        return Mul(*rest, Sum(with_joined_powers(Mul(*divisors, *inside)), *summed))
    if divisors:
        (base, exponent), most = power.as_base_exp(), max(taken.values())
        return with_joined_powers(Mul(*rest, base**most * Mul(*divisors), base ** (exponent - most)))
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
        factors = Mul.make_args(with_joined_powers(Mul(power, *Mul.make_args(term))))
        own = Mul(*(factor for factor in factors if factor.as_base_exp()[0] == base))
        by_power.setdefault(own, []).append(Mul(*(factor for factor in factors if factor.as_base_exp()[0] != base)))
    sums = {own: Add(*found) for own, found in by_power.items()}
    # Sympy factors no sum that has cases in it.
    factored = ((own, total if total.has(Piecewise) else sympy.factor(total)) for own, total in sums.items())
    return Add(*(Mul(own, *Mul.make_args(total)) for own, total in factored))


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
