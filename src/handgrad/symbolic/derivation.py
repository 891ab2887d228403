"""Derivations as lists of steps, each with the name of its rule, and their check entry by entry."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count, product
from random import Random
from typing import Any

import sympy
from sympy import Expr, Idx, Indexed, IndexedBase, Integer, Rational, Symbol

from handgrad.symbolic.calculus import differentiate, scalar_derivative
from handgrad.symbolic.definitions import (
    Definition,
    define,
    expand,
    in_order,
    indices_of,
    label_of,
    made_of,
    parts_of,
    require_parts,
)
from handgrad.symbolic.formulas import Iverson, Sum, require_formula, sympified
from handgrad.symbolic.indexed import array, require_fitting
from handgrad.symbolic.kinks import exceptions
from handgrad.symbolic.letters import names_of, rename, size
from handgrad.symbolic.notation import Markdown, derivative, display, latex
from handgrad.symbolic.steps import DerivationStep, Derived, matrix_step
from handgrad.symbolic.terms import contract


@dataclass(frozen=True)
class Derivation(Derived):
    """The derivative of `total`, called `of`, with respect to `entry`.

    `of` is L, made of the `output` that the derivative goes back through, or that output itself.
    """

    of: str
    total: Expr
    entry: Expr

    @property
    def wrt(self) -> str:
        """The name of the array or number that the derivative is with respect to."""
        return str(label_of(self.entry).name)

    @property
    def plain_name(self) -> str:
        """The name in plain text, without indices."""
        return f"∂{self.output.name if self.of != 'L' else 'L'}/∂{self.wrt}"

    @property
    def name(self) -> str:
        """The LaTeX of the derivative."""
        return derivative(self.of, latex(self.entry))

    def entries(self, **shape: int) -> Markdown:
        """Return all entries of the result at one small shape, each checked against scalar calculus.

        What is differentiated is written out with a real symbol for each entry of each array, and sympy differentiates
        that: no delta is involved. AssertionError if an entry differs from that of the derived formula: if sympy does
        not simplify their difference to 0, and they differ at random points, or have values at too few.
        """
        total, result = (expand(value, label_of(self.entry)) for value in (self.total, self.result.value))
        indices = self.result.indices
        symbols = set[Symbol]().union(*map(whole_numbers, (total, self.entry, *indices)))
        given = (part for step in in_order(self.output) for part in (step.entry, step.value))
        numbers = _sizes_in_numbers(symbols, symbols.union(*map(whole_numbers, given)), shape)
        table = {}
        for place in product(*(_range(index, numbers) for index in indices)):
            at = dict(zip(indices, place, strict=True))
            by_formula, wrt, written = (_write_out(rename(v, at), numbers) for v in (result, self.entry, total))
            entries = written.atoms(Indexed) | {wrt}
            scalars = {entry: sympy.Dummy(str(entry), **_kind(entry)) for entry in entries}
            by_calculus = scalar_derivative(written.xreplace(scalars), scalars[wrt])
            if not _are_equal(by_calculus, by_formula.xreplace(scalars)):
                raise AssertionError(f"derivative with respect to {wrt}: {by_formula} is not {by_calculus}")
            table[place] = by_formula
        rows: dict[Any, list[str]] = {}
        for place, value in table.items():
            rows.setdefault(place[:-1], []).append(latex(value))
        body = " \\\\ ".join(map(" & ".join, rows.values()))
        if not indices:
            return Markdown(display(f"{self.name} = {body}"))
        return Markdown(display(f"\\left({self.name}\\right) = \\begin{{bmatrix}} {body} \\end{{bmatrix}}"))


def vjp(output: Definition, wrt: Any, grad_output: Any = None) -> Derivation:
    """Derive dL/d(wrt) from G = dL/d(output).

    L is any number that depends on `wrt` through `output` alone and is differentiable at it. `wrt` is a number, an
    array, or an entry of one if you want to choose the letters. `grad_output` is the array G; one of that name if none
    is given, but if the output is a number, L is then the output itself. ValueError if the letters of an entry are used
    in the output already, or `grad_output` depends on what is differentiated.
    """
    entry = _entry(output, wrt)
    if grad_output is None and output.indices:
        if "G" in names_of(output.value) | names_of(expand(output.value)):
            raise ValueError(f"{output.name} is made of a G already: pass the grad_output, under another name")
        grad_output = array("G", *output.indices)
    upstream = None if grad_output is None else _upstream(output, grad_output)
    if upstream is not None and "L" in {part.name for part in parts_of(output)}:
        raise ValueError(f"{output.name} is made of an L, and the loss is called so: rename the first")
    if upstream is not None and differentiate(upstream, entry) != 0:
        raise ValueError(
            f"the grad_output of {output.name} is held fixed, so it cannot be made of {label_of(entry).name} too"
        )
    if grad_output is None:
        of, total, rules = output.name, output.value, list[DerivationStep]()
    else:
        summed = ", ".join(map(latex, output.indices))
        link = f"{latex(upstream)} {derivative(latex(output.entry), latex(entry))}"
        chain = f"\\sum_{{{summed}}} {link}" if output.indices else link
        of, rules = "L", [DerivationStep("chain rule", f"{derivative('L', latex(entry))} = {chain}")]
        total = Sum(upstream * output.value, *output.indices)
    derivation = _derive(output, of, entry, total, indices_of(entry), rules)
    whole = derivative(of, latex(label_of(entry)))
    return replace(derivation, steps=(*derivation.steps, *matrix_step(whole, derivation.result)))


def _upstream(output: Definition, grad_output: Any) -> Expr:
    """Return the entry of G at the output's indices, or a number's G."""
    if not output.indices:
        require_formula("grad_output", value := sympified(grad_output))
        return value
    if not isinstance(grad_output, (IndexedBase, Definition)):
        raise TypeError(f"the grad_output of {output.name} is an array of its shape, and {grad_output!r} is none")
    entry = grad_output[output.indices]
    require_formula("grad_output", entry)
    require_fitting(entry)
    return entry


def jacobian(output: Definition, wrt: Any) -> Derivation:
    """Derive d(output)/d(wrt), an array with the indices of both; `wrt` is an array, or an entry with other letters."""
    entry = _entry(output, wrt)
    return _derive(output, latex(output.entry), entry, output.value, output.indices + indices_of(entry), [])


def _entry(output: Definition, wrt: Any) -> Expr:
    """Return the entry to differentiate with respect to; of an array, one with letters that the output does not use."""
    if not isinstance(output, Definition):
        raise TypeError(f"what is differentiated is a definition, made with define, and {output!r} is none")
    wrt = wrt.base if isinstance(wrt, Definition) else wrt
    is_number = isinstance(wrt, Symbol) and wrt.is_real
    if not is_number and not isinstance(wrt, (IndexedBase, Indexed)):
        raise TypeError(
            f"{wrt} is no array, no entry of one, such as X[m, s], and no real number: "
            "it cannot be differentiated with respect to"
        )
    require_parts(output, [wrt.base if isinstance(wrt, Indexed) else wrt])
    if isinstance(wrt, Indexed):
        _require_letters(output, wrt)
        return wrt
    return entry_of(wrt, in_order(output))


def entry_of(base: Any, beside: Sequence[Definition]) -> Expr:
    """Return the entry of an array at letters that definitions do not use; a number itself."""
    used = set[str]().union(*(names_of(part) for step in beside for part in (step.entry, step.value)))
    letters = (letter for letter in "rstuvwxyzabcdefghijklmnopq" if letter not in used)
    return base[tuple(Idx(next(letters), extent) for extent in base.shape)] if isinstance(base, IndexedBase) else base


def _require_letters(output: Definition, entry: Indexed) -> None:
    require_fitting(entry)
    if computed := [index for index in entry.indices if not isinstance(index, Idx)]:
        raise ValueError(f"{entry}: {computed[0]} is not a letter; differentiate with respect to X[r, s], or to X")
    if clash := [index for index in entry.indices if index in output.indices or entry.indices.count(index) > 1]:
        raise ValueError(f"{entry}: index {clash[0]} has a meaning already; give the entry letters of its own")


def _derive(
    output: Definition, of: str, entry: Expr, total: Expr, indices: tuple[Idx, ...], rules: list[DerivationStep]
) -> Derivation:
    name = derivative(of, latex(entry))
    differentiated = differentiate(total, entry)
    value = contract(differentiated)
    steps = [
        *(DerivationStep("definition", f"{latex(used.entry)} = {latex(used.value)}") for used in in_order(output)),
        *rules,
        DerivationStep("differentiate", f"{name} = {latex(differentiated)}"),
    ]
    if value != differentiated:
        steps.append(DerivationStep("contract the deltas", f"{name} = {latex(value)}"))
    values = [value, *(part.value for part in in_order(output))]
    taken = set[str]().union(*map(names_of, values))
    names = (f"d{label_of(entry).name}{'_' * times}" for times in count())
    result = define(next(name for name in names if name not in taken), value, *indices)
    where = exceptions(in_order(output), {label_of(entry)}, value)
    return Derivation(output, tuple(steps), result, where, of, total, entry)


def whole_numbers(value: Expr) -> set[Symbol]:
    """Return the sizes and other whole numbers in `value`."""
    letters = {index.label for index in value.atoms(Idx)} | {entry.base.label for entry in value.atoms(Indexed)}
    return {symbol for symbol in value.atoms(Symbol) if symbol.is_integer} - letters


def whole_numbers_of(definition: Definition) -> set[Symbol]:
    """Return the sizes and other whole numbers in a definition, in its parts, and in the shapes of its arrays."""
    steps = in_order(definition)
    extents = [size(index) for step in steps for index in step.indices]
    extents += [extent for part in made_of(definition).values() for extent in getattr(part, "shape", ())]
    symbols = set[Symbol]().union(*(extent.free_symbols for extent in extents))
    return symbols.union(*(whole_numbers(step.value) for step in steps))


def _are_equal(one: Expr, other: Expr) -> bool:
    """Say whether two formulas in numbers are equal: by sympy, or else to 20 digits wherever both have values."""
    if sympy.simplify(sympy.piecewise_fold((one - other).rewrite(Iverson, sympy.Piecewise))) == 0:
        return True
    random, compared = Random(0), 0
    symbols = sorted(one.free_symbols | other.free_symbols, key=str)
    # Logarithms have values where all is positive, borders of cases are mostly round numbers, which 1/97 avoids.
    for low, high in ((-50, 50), (0, 100), (-400, 400), (0, 400)) * 10:
        point = {symbol: Rational(random.randrange(low, high), 50) + Rational(1, 97) for symbol in symbols}
        point |= {symbol: Integer(random.randrange(3)) for symbol in symbols if symbol.is_integer}
        try:
            here, there = (side.xreplace(point).evalf(30) for side in (one, other))
        except TypeError:  # a comparison of what is not real
            continue
        if all(isinstance(value, sympy.Number) and value.is_finite for value in (here, there)):
            compared += 1
            if abs(here - there) > 1e-20 * (1 + abs(here)):
                return False
    return compared >= 5


def _sizes_in_numbers(symbols: set[Symbol], known: set[Symbol], shape: dict[str, int]) -> dict[Symbol, sympy.Integer]:
    if missing := {symbol.name for symbol in symbols} - {*shape}:
        raise ValueError(f"give every size a number; there is none for {', '.join(sorted(missing))}")
    if unknown := {*shape} - {symbol.name for symbol in known}:
        raise ValueError(f"{min(unknown)} is no size of the formula: there is no number to be given for it")
    if wrong := [name for name, number in shape.items() if type(number) is not int]:
        raise TypeError(f"{wrong[0]} is a whole number, not {shape[wrong[0]]!r}")
    if wrong := [symbol.name for symbol in symbols if symbol.is_positive and shape[symbol.name] < 1]:
        raise ValueError(f"{wrong[0]} is a size, and cannot be {shape[wrong[0]]}")
    return {symbol: sympy.Integer(shape[symbol.name]) for symbol in symbols}


def _write_out(value: Expr, numbers: dict[Symbol, int]) -> Expr:
    """Return `value` with all sums written out, as an expression in entries whose indices are numbers."""
    if isinstance(value, Sum):
        dummies = [index for index, *_ in value.limits]
        places = product(*(_range(index, numbers) for index in dummies))
        summands = (rename(value.function, dict(zip(dummies, place, strict=True))) for place in places)
        return sympy.Add(*(_write_out(summand, numbers) for summand in summands))
    if not isinstance(value, Indexed):
        return (
            value.func(*(_write_out(part, numbers) for part in value.args)) if value.args else numbers.get(value, value)
        )
    return _written_out_entry(value, numbers)


def _written_out_entry(value: Indexed, numbers: dict[Symbol, int]) -> Expr:
    """Return an entry with numbers for its indices: 0 outside of its array."""
    base, where = value.base.xreplace(numbers), [_write_out(index, numbers) for index in value.indices]
    for axis, index in enumerate(where):
        inside = range(base.shape[axis])
        if index.is_Integer and index not in inside:
            return sympy.S.Zero
        if not index.is_Integer:
            # An index that is itself an entry selects one of all.
            choices = (base[(*where[:axis], place, *where[axis + 1 :])] for place in map(sympy.Integer, inside))
            deltas = (sympy.KroneckerDelta(place, index) for place in inside)
            return sympy.Add(*(d * _write_out(c, {}) for d, c in zip(deltas, choices, strict=True)))
    return base[tuple(where)]


def _kind(entry: Indexed) -> dict[str, bool]:
    return {"integer": True} if entry.is_integer else {"real": True}


def _range(index: Idx, numbers: dict[Symbol, int]) -> list[sympy.Integer]:
    return [sympy.Integer(place) for place in range(size(index).xreplace(numbers))]
