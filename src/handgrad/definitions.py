"""The check that posts run on a definition before they show what was derived from it."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from sympy import Symbol
from torch import Tensor

from handgrad.symbolic.compiled import TorchFunction
from handgrad.symbolic.definitions import Definition, made_of
from handgrad.symbolic.derivation import jacobian, vjp, whole_numbers_of
from handgrad.symbolic.indexed import array
from handgrad.symbolic.reverse import Program
from handgrad.symbolic.torch_code import compile_torch
from handgrad.testing import TOLERANCE, CheckError, Line, Receipt, added_up, name_of, show


def check_definition(
    definition: Definition | Program,
    reference: Callable[..., Tensor],
    arrays: str,
    /,
    positive: bool = False,
    **given: Any,
) -> Receipt:
    """Compare a definition, and its derivatives, with `reference`: a torch function that was not made from it.

    Of a program, the output and the gradients are compared, each with the steps that it is made of.

    `arrays` names the arrays and numbers that it is made of, in the order of the reference's arguments ("X W b"). At
    three choices of sizes, on random numbers in float64, compared are: the values; the derivative of L with respect to
    each real array, for a random grad_output, with autograd's; and, at the first sizes, the Jacobians. `positive` draws
    positive numbers. `given` has numbers for sizes that cannot be any (`p=7`), and functions from a shape to an array
    (`t=lambda shape: torch.randint(0, 2, shape)`, which is how whole numbers are drawn). Raises CheckError at the first
    difference. A derivation tells what its definition was compared with, and the site is not built if it was not.
    """
    check = _Check(definition, reference, arrays.split(), positive, given)
    output = check.definition
    for smallest in (2, 3, 4):
        check.at(smallest)
    check.jacobians()
    output.base_name.compared_with = check.referee
    return Receipt(f"definition of {output.name}", check.referee, added_up(check.lines))


class _Check:
    """The comparison of a definition with a function."""

    def __init__(
        self,
        definition: Definition | Program,
        reference: Callable[..., Tensor],
        arrays: Sequence[str],
        positive: bool,
        given: Mapping[str, Any],
    ) -> None:
        self.program = definition if isinstance(definition, Program) else None
        self.definition = definition.output if isinstance(definition, Program) else definition
        self.arrays, self.positive, self.given = arrays, positive, given
        self.function, self.referee = reference, name_of(reference)
        self.parts, self.generator = made_of(self.definition), torch.Generator().manual_seed(0)
        if sorted(arrays) != sorted(self.parts):
            raise ValueError(
                f"{self.definition.name} is made of {', '.join(self.parts)}: name these, in the order of the arguments "
                f"of {self.referee}, and not {' '.join(arrays)!r}"
            )
        self.lines: list[Line] = []

    def at(self, smallest: int) -> None:
        """Compare where the sizes are `smallest` and the whole numbers that follow it."""
        self.draw(smallest)
        leaves = [self.values[name].clone().requires_grad_() for name in self.real]
        expected = self.reference(*leaves)
        self.compare("values", "", compile_torch(self.definition), expected.detach())
        indices = self.definition.indices
        upstream = torch.randn(expected.shape, generator=self.generator, dtype=torch.float64)
        given = self.program.grad_output if self.program else array("grad_", *indices) if indices else None
        upstream = torch.ones_like(upstream) if given is None else upstream
        self.values |= {} if given is None else {given.name: upstream}
        grads = torch.autograd.grad(expected, leaves, upstream, materialize_grads=True)
        for name, grad in zip(self.real, grads, strict=True):
            derived = self.program[name] if self.program else vjp(self.definition, self.parts[name], given)
            self.compare("derivatives", f"/∂{name}", derived.compile(), grad)

    def jacobians(self) -> None:
        """Compare the derivatives of each entry with respect to each."""
        self.draw(2)
        inputs = tuple(self.values[name] for name in self.real)
        built = torch.autograd.functional.jacobian(self.reference, inputs)  # type: ignore[no-untyped-call]
        for name, expected in zip(self.real, built, strict=True):
            derived = jacobian(self.definition, self.parts[name])
            self.compare("Jacobians", f"/∂{name}", derived.compile(), expected)

    def draw(self, smallest: int) -> None:
        """Draw numbers for all sizes and arrays."""
        numbers = itertools.count(smallest)
        sizes = {s: self.given.get(s.name) or next(numbers) for s in sorted(whole_numbers_of(self.definition), key=str)}
        self.values: dict[str, Any] = {symbol.name: number for symbol, number in sizes.items()}
        for name, part in self.parts.items():
            self.values[name] = self.drawn(
                name, part, tuple(int(extent.xreplace(sizes)) for extent in getattr(part, "shape", ()))
            )
        self.real = [name for name in self.arrays if self.values[name].is_floating_point()]

    def drawn(self, name: str, part: Any, shape: tuple[int, ...]) -> Tensor:
        if name in self.given:
            return torch.as_tensor(self.given[name](shape))
        if (part if isinstance(part, Symbol) else part.label).is_integer:
            return torch.randint(0, 2, shape, generator=self.generator)
        tensor = torch.randn(shape, generator=self.generator, dtype=torch.float64)
        return tensor.abs() + 0.1 if self.positive else tensor

    def reference(self, *real: Tensor) -> Tensor:
        values = self.values | dict(zip(self.real, real, strict=True))
        return self.function(*(values[name] for name in self.arrays))

    def compare(self, kind: str, wrt: str, compiled: TorchFunction, expected: Tensor) -> None:
        actual = compiled(**{name: self.values[name] for name in [*compiled.arrays, *compiled.sizes]})
        allowed = TOLERANCE[torch.float64]
        if actual.shape != expected.shape or not torch.allclose(actual, expected, rtol=allowed, atol=allowed):
            what = f"∂{self.definition.name if kind == 'Jacobians' else 'L'}{wrt}" if wrt else self.definition.name
            raise CheckError(
                f"{self.definition.name}, as it is defined, is not {self.referee}: {what} differs\n"
                f"  {'defined':9} {show(actual)}\n  {self.referee:9} {show(expected)}"
            )
        error = (actual - expected).abs().max().item() if actual.numel() else 0.0
        compared = kind if kind == "values" else f"{kind} = autograd"
        self.lines.append(Line(compared, "float64", 1, float(error), allowed))
