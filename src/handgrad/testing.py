"""The check that posts, tests and users run on a layer, against autograd, derived formulas and finite differences."""

import copy
import math
import sysconfig
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.gradcheck import GradcheckError, gradcheck

from handgrad.layer import Layer, as_function, backward, gradients, takes_needs_input_grad
from handgrad.likeness import likeness, same, sizes_in, where
from handgrad.symbolic.compiled import TorchFunction

DTYPES = (torch.float64, torch.float32, torch.bfloat16)

TOLERANCE = {torch.float64: 1e-7, torch.float32: 1e-5, torch.bfloat16: 1.6e-2, torch.float16: 1e-3}
"""Relative and absolute, where rounding is allowed for; in float64 that of `torch.testing.assert_close`."""

VARIANTS = ("the shape given", "a batch of 1", "an empty batch", "an extra leading dimension", "tensors not contiguous")


class CheckError(AssertionError):
    """A layer differs from what it should be; the message names the tensor, both values and both shapes."""

    def _render_traceback_(self) -> list[str]:
        # What IPython shows in place of a traceback, whose lines, but for these, are those of the package.
        cause = self.__cause__
        for error in (self, cause):
            if error and not error.__suppress_context__ and error.__context__:
                return traceback.format_exception(self)
        errors = [self, cause] if cause else [self]
        return [f"{type(self).__name__}: {self}", *(line for error in errors for line in _lines_of_others(error))]


def _lines_of_others(error: BaseException) -> list[str]:
    """Return the last line on the way to an error that is not of this package, nor of others that are installed."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = str(Path(__file__).parent), sysconfig.get_path("stdlib")
    theirs = [frame for frame in frames if not frame.filename.startswith(inside) and "-packages" not in frame.filename]
    if not theirs:
        return traceback.format_tb(error.__traceback__) if error.__traceback__ else []
    frame = theirs[-1]
    return ["", f"{_place(frame.filename)}, line {frame.lineno}, in {frame.name}", f"    {frame.line}"]


def _place(filename: str) -> str:
    """Return what a notebook calls a cell, or the file."""
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    named = shell.compile.format_code_name(filename) if shell else None
    return " ".join(named) if named else filename


@dataclass(frozen=True)
class Line:
    """One kind of comparison: how many were made, the largest difference (None if not told), the largest allowed."""

    compared: str
    data: str
    cases: int
    error: float | None
    allowed: float

    def __add__(self, other: "Line") -> "Line":
        errors = [line.error for line in (self, other) if line.error is not None]
        allowed = max(self.allowed, other.allowed)
        return Line(self.compared, self.data, self.cases + other.cases, max(errors, default=None), allowed)


@dataclass(frozen=True)
class Receipt:
    """What a check compared, and with which function. Receipts add up; a notebook shows one as a table."""

    name: str
    reference: str
    lines: tuple[Line, ...]

    def __add__(self, other: "Receipt") -> "Receipt":
        names, references = (
            ", ".join(dict.fromkeys(f"{one}, {two}".split(", ")))
            for one, two in ((self.name, other.name), (self.reference, other.reference))
        )
        return Receipt(names, references, added_up(self.lines + other.lines))

    @property
    def cases(self) -> int:
        """The number of comparisons."""
        return sum(line.cases for line in self.lines)

    def __str__(self) -> str:
        lines = [f"Checked: {self.name} against {self.reference}, {self.cases} comparisons"]
        for x in self.lines:
            error = "" if x.error is None else f", largest error {_number(x.error)}"
            lines.append(f"  {x.compared}, {x.data}: {x.cases}{error}, allowed {_number(x.allowed, 'g')}")
        return "\n".join(lines)

    def _repr_markdown_(self) -> str:
        table = "\n".join(
            f"| {x.compared} | {x.data} | {x.cases} | {_number(x.error)} | {_number(x.allowed, 'g')} |"
            for x in self.lines
        )
        head = "| Compared | Data | Cases | Largest error | Allowed |\n|:--|:--|--:|--:|--:|"
        title = f"**Checked: {self.name}** against {self.reference}, {self.cases} comparisons"
        # A fenced div would be shown as it is in Jupyter.
        return f'<div class="receipt">\n\n{title}\n\n{head}\n{table}\n\n</div>'


def check_layer(
    layer: Layer,
    reference: Callable[..., Tensor],
    *shapes: tuple[int, ...],
    formulas: Mapping[str, TorchFunction] | None = None,
    arrays: str = "",
    exact: bool = True,
    dtypes: Iterable[torch.dtype] = DTYPES,
) -> Receipt:
    """Check `layer` against `reference`, a torch function of the inputs and then the parameters, and `formulas`.

    `shapes` has one shape for each input, the first dimension being the batch. The layer itself is left as it is:
    copies are run, on random parameters, inputs and grad_output, for

    - the shape given, a batch of 1, an empty batch, an extra leading dimension, and tensors not contiguous,
    - in each of `dtypes` (float64, float32, bfloat16; float16 too, if you name it) on small integers, where results
      must be equal, and in float64 on normally distributed numbers. Divisions by what is no power of 2, and functions
      such as exp, round: with `exact=False` integers too are compared up to the rounding of their dtype.

    Compared are: the output; the gradient of the first input, or of as many as `backward` returns a tuple of, and of
    each parameter with autograd's, added to what was in `.grad` before; the same with each of `formulas`, which is
    keyed by the name of the array it is the gradient of, `arrays` naming the inputs and then the parameters ("X W b")
    and G being the grad_output (a formula without G is multiplied by it); the gradients when the layer stands in the
    middle of a torch model and is used twice; their product with random directions, ⟨Jᵀu, v⟩, with ⟨u, Jv⟩ by forward
    mode, which never goes backwards; and `torch.autograd.gradcheck`. Inputs, grad_output and parameters must stay as
    they are. Where `backward` takes `needs_input_grad`, False must return None and change no other gradient. Raises
    CheckError at the first difference, and before all if the reference is NaN for normally distributed numbers.
    """
    if not isinstance(layer, Layer):
        raise TypeError(f"check_layer checks an instance of a subclass of handgrad.Layer, not {layer!r}")
    if not shapes or not all(isinstance(shape, tuple) and all(isinstance(n, int) for n in shape) for shape in shapes):
        raise TypeError(f"give the shape of each input as a tuple of whole numbers, such as (4, 3), not {shapes}")
    check = _Check(layer, reference, formulas or {}, arrays.split())
    check.see_that_it_is_defined(_Numbers(torch.float64, VARIANTS[0]), shapes)
    check.find_inputs(_Numbers(torch.float64, VARIANTS[0]), shapes)
    for dtype, variant in product(dtypes, VARIANTS):
        check.against_autograd(_Numbers(dtype, variant, integers=True, exact=exact), shapes)
    for variant in VARIANTS:
        check.against_autograd(_Numbers(torch.float64, variant), shapes)
    check.in_a_model(_Numbers(torch.float64, VARIANTS[0]), shapes)
    check.by_forward_mode(_Numbers(torch.float64, VARIANTS[0]), shapes)
    check.by_finite_differences(_Numbers(torch.float64, VARIANTS[0]), shapes)
    return Receipt(check.name, check.referee, added_up(check.lines))


class _Numbers:
    """The random numbers of a variant, the same in every run."""

    def __init__(self, dtype: torch.dtype, variant: str, integers: bool = False, exact: bool = False) -> None:
        self.dtype, self.variant, self.integers = dtype, variant, integers
        self.tolerance = 0.0 if exact else TOLERANCE[dtype]
        self.generator = torch.Generator().manual_seed(0)

    def __str__(self) -> str:
        kind = "small integers" if self.integers else "normally distributed numbers"
        return f"{self.variant}, {kind} in {self.dtype}"

    def shaped(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of an input in this variant."""
        batch = {"a batch of 1": (1,), "an empty batch": (0,), "an extra leading dimension": (2, *shape[:1])}
        return batch.get(self.variant, shape[:1]) + shape[1:]

    def draw(self, shape: tuple[int, ...]) -> Tensor:
        """Return a tensor: of integers from -3 to 3, a lone one not 0 or 1, or of normally distributed numbers."""
        if self.integers:
            low = -3 if shape else 2
            tensor = torch.randint(low, 4, shape, generator=self.generator).to(self.dtype)
        else:
            tensor = torch.randn(shape, generator=self.generator, dtype=self.dtype)
        if self.variant != "tensors not contiguous" or not shape:
            return tensor
        return tensor.mT.contiguous().mT if tensor.ndim > 1 else tensor.repeat_interleave(2)[::2]


class _Check:
    def __init__(
        self,
        layer: Layer,
        reference: Callable[..., Tensor],
        formulas: Mapping[str, TorchFunction],
        arrays: Sequence[str],
    ) -> None:
        self.layer, self.reference, self.formulas, self.arrays = layer, reference, formulas, arrays
        self.name, self.referee = type(layer).__name__, name_of(reference)
        self.parameters = list(layer.parameters())
        attributes = {id(value): name for name, value in vars(layer).items()}
        self.learned = [attributes.get(id(p), f"parameter {i}") for i, p in enumerate(self.parameters)]
        self.lines: list[Line] = []
        self.inputs = 1

    @property
    def names(self) -> list[str]:
        """What has a gradient: the first inputs, and the parameters."""
        inputs = ["input"] if self.inputs == 1 else [f"input {i + 1}" for i in range(self.inputs)]
        return [*inputs, *self.learned]

    def see_that_it_is_defined(self, numbers: _Numbers, shapes: Sequence[tuple[int, ...]]) -> None:
        """Raise CheckError where the reference is NaN; if it raises, or returns no tensor, the comparisons say so."""
        inputs, parameters = self.draw(numbers, shapes)
        undefined = False
        with suppress(Exception):
            undefined = bool(self.reference(*inputs, *parameters).isnan().any())
        if undefined:
            raise CheckError(
                f"the reference of {self.name}, {self.referee}, is NaN for some numbers, which are negative too\n"
                f"  at: {numbers}\n"
                f"  check it behind a layer that makes them positive, such as Sequential(Exp(), {self.name}()), and "
                "compose the reference likewise"
            )

    def find_inputs(self, numbers: _Numbers, shapes: Sequence[tuple[int, ...]]) -> None:
        """Find out of how many inputs backward returns the gradient; if it raises, the comparisons say so."""
        inputs, parameters = self.draw(numbers, shapes)
        layer = self.copy(parameters)
        with suppress(Exception):
            self.inputs = len(gradients(layer.backward(torch.ones_like(layer(*inputs)))))
        if self.inputs > len(shapes):
            raise CheckError(f"{self.name}.backward returns {self.inputs} gradients of {len(shapes)} inputs")

    def copy(self, parameters: Sequence[Tensor]) -> Layer:
        """Return a copy of the layer with other parameters."""
        return copy.deepcopy(self.layer, {id(p): new for p, new in zip(self.parameters, parameters, strict=True)})

    def draw(self, numbers: _Numbers, shapes: Sequence[tuple[int, ...]]) -> tuple[list[Tensor], list[Tensor]]:
        """Return inputs and parameters."""
        return [numbers.draw(numbers.shaped(shape)) for shape in shapes], [
            numbers.draw(tuple(p.shape)) for p in self.parameters
        ]

    def against_autograd(self, numbers: _Numbers, shapes: Sequence[tuple[int, ...]]) -> None:
        """Compare output, gradients and formulas, each on fresh tensors, and see that none of these is changed."""
        inputs, parameters = self.draw(numbers, shapes)
        count = self.inputs
        leaves = [tensor.clone().requires_grad_() for tensor in (*inputs[:count], *parameters)]
        with self.running("the reference", numbers, inputs):
            expected = self.reference(*leaves[:count], *inputs[count:], *leaves[count:])
        if not isinstance(expected, Tensor) or not expected.requires_grad:
            raise CheckError(f"the reference of {self.name} must return a tensor that autograd can differentiate")
        grad_output = numbers.draw(tuple(expected.shape))
        if numbers.integers and not grad_output.ndim:
            # A factor that is in hardly any formula, so that a mistake with a 2 is not taken for one with this.
            grad_output = torch.full_like(grad_output, 7)
        grads = torch.autograd.grad(expected, leaves, grad_output, retain_graph=True)

        layer = self.copy(parameters)
        arguments = {f"input {i + 1}": tensor for i, tensor in enumerate(inputs)} | {"grad_output": grad_output}
        arguments |= dict(zip(self.learned, parameters, strict=True))
        copies = {name: tensor.clone() for name, tensor in arguments.items()}
        with self.running(f"{self.name}.forward", numbers, inputs):
            output = layer(*inputs)
        self.solved("forward", output)
        self.compare("output", self.referee, output, expected.detach(), numbers, clue=partial(_clue, input=inputs[0]))
        earlier = [*map(torch.zeros_like, inputs[:count]), *(numbers.draw(tuple(p.shape)) for p in parameters)]
        for parameter, grad in zip(parameters, earlier[count:], strict=True):
            parameter.grad = grad.clone()
        with self.running(f"{self.name}.backward", numbers, inputs):
            returned = layer.backward(grad_output)
        self.solved("backward", returned)
        for name, tensor in arguments.items():
            if not torch.equal(tensor, copies[name]):
                raise CheckError(f"{self.name} changes its {name} in place\n  at: {numbers}")
        results = [*self.of_inputs(returned, numbers), *(parameter.grad for parameter in parameters)]
        for name, result, old, grad, leaf in zip(self.names, results, earlier, grads, leaves, strict=True):
            of_ones = partial(_grad_of_ones, expected, leaf)
            clue = partial(
                _clue_of_gradient, earlier=old, grad=grad, of_ones=of_ones, grad_output=grad_output, input=inputs[0]
            )
            self.compare(f"gradient of {name}", "autograd", result, old + grad, numbers, clue=clue)
        self.input_not_wanted(layer, results, earlier, grad_output, numbers)
        self.formulas_against(grads, [*inputs, *parameters], grad_output, numbers)

    def solved(self, method: str, result: Any) -> None:
        """Raise CheckError if a method returns nothing, as those do that are still to be written."""
        if result is None:
            where = f"{self.name}.{method}"
            raise CheckError(f"not solved yet: {where} returns nothing; if you wrote it, its `return` is missing")

    def of_inputs(self, returned: Any, numbers: _Numbers) -> tuple[Any, ...]:
        """Return the gradients of the inputs that backward has returned."""
        found = gradients(returned)
        if len(found) != self.inputs:
            raise CheckError(
                f"{self.name}.backward returns {len(found)} gradients, and {self.inputs} elsewhere\n  at: {numbers}"
            )
        return found

    def input_not_wanted(
        self,
        layer: Layer,
        results: Sequence[Any],
        earlier: Sequence[Tensor],
        grad_output: Tensor,
        numbers: _Numbers,
    ) -> None:
        """See that the parameters get the same where the gradient of the input is not wanted, and that it is None."""
        if not takes_needs_input_grad(type(layer).backward):
            return
        parameters = list(layer.parameters())
        for parameter, grad in zip(parameters, earlier[self.inputs :], strict=True):
            parameter.grad = grad.clone()
        where = f"{self.name}.backward(grad_output, needs_input_grad=False)"
        with self.running(where, numbers, earlier[: self.inputs]):
            returned = backward(layer, grad_output, needs_input_grad=False)
        if returned is not None:
            raise CheckError(f"{where} returns a gradient of the input, not None\n  at: {numbers}\n  {show(returned)}")
        allowed = numbers.tolerance
        for name, parameter, result in zip(self.learned, parameters, results[self.inputs :], strict=True):
            found = parameter.grad
            if found is None or not torch.allclose(found, result, rtol=allowed, atol=allowed, equal_nan=True):
                raise CheckError(f"{where} gives {name} another gradient\n  at: {numbers}\n  {found} is not {result}")

    def formulas_against(
        self, grads: Sequence[Tensor], tensors: Sequence[Tensor], grad_output: Tensor, numbers: _Numbers
    ) -> None:
        """Compare the derived formulas, on the rows of all batch dimensions taken together."""
        if not self.formulas:
            return
        if len(self.arrays) != len(tensors):
            raise ValueError(
                f"arrays must name the {len(tensors)} inputs and parameters; it is {' '.join(self.arrays)!r}"
            )
        arrays = dict(zip(self.arrays, tensors, strict=True)) | {"G": grad_output}
        of = [*self.arrays[: self.inputs], *self.arrays[len(tensors) - len(self.parameters) :]]
        expected = dict(zip(of, grads, strict=True))
        for array, formula in self.formulas.items():
            flat = {name: _flat(arrays[name], len(shape)) for name, shape in formula.arrays.items()}
            extents = dict(zip(map(str, formula.shape), _flat(expected[array], len(formula.shape)).shape, strict=True))
            value = formula(**flat, **{name: extents[name] for name in formula.sizes})
            value = (value if flat else value.to(numbers.dtype)) * (1 if "G" in flat else grad_output)
            value = value.reshape(expected[array].shape)
            self.compare(f"gradient of {array}", "autograd", value, expected[array], numbers, by="formula")

    def in_a_model(self, numbers: _Numbers, shapes: Sequence[tuple[int, ...]]) -> None:
        """Compare gradients where the layer stands between other functions, twice in one graph, sharing parameters."""
        inputs, parameters = self.draw(numbers, shapes)
        layer = self.copy(parameters)
        grads = []

        def reference(*inputs: Tensor) -> Tensor:
            return self.reference(*inputs, *parameters)

        for function in (as_function(layer), reference):
            leaves, others = (
                [tensor.clone().requires_grad_() for tensor in inputs[: self.inputs]],
                inputs[self.inputs :],
            )
            with self.running(f"{self.name}.backward", numbers, inputs):
                outputs = [function(*(torch.tanh(scale * leaf) for leaf in leaves), *others) for scale in (0.5, 2.0)]
                grads.append(torch.autograd.grad((outputs[0].sin() * outputs[1]).sum(), [*leaves, *parameters]))
        for name, actual, expected in zip(self.names, *grads, strict=True):
            self.compare(f"gradient of {name}", "autograd, twice in a model", actual, expected, numbers)

    def by_forward_mode(self, numbers: _Numbers, shapes: Sequence[tuple[int, ...]]) -> None:
        """Compare ⟨Jᵀu, v⟩, what backward makes of u, with ⟨u, Jv⟩: how far the reference moves in a direction v."""
        inputs, parameters = self.draw(numbers, shapes)
        count = self.inputs
        leaves = (*inputs[:count], *parameters)
        directions = tuple(numbers.draw(tuple(leaf.shape)) for leaf in leaves)

        def reference(*changed: Tensor) -> Tensor:
            return self.reference(*changed[:count], *inputs[count:], *changed[count:])

        with warnings.catch_warnings():
            # Forward mode, when first used, imports a module of torch's that torch itself calls deprecated.
            warnings.simplefilter("ignore", DeprecationWarning)
            try:
                output, moved = torch.func.jvp(reference, leaves, directions)[:2]
            except (NotImplementedError, RuntimeError):
                return  # A torch.autograd.Function has no forward mode of its own; then the receipt has no such line.
        grad_output = numbers.draw(tuple(output.shape))
        layer = self.copy(parameters)
        with self.running(f"{self.name}.backward", numbers, inputs):
            layer(*inputs)
            returned = layer.backward(grad_output)
        grads = [*self.of_inputs(returned, numbers), *(parameter.grad for parameter in parameters)]
        pairs = zip(grads, directions, strict=True)
        product = torch.stack([(grad * direction).sum() for grad, direction in pairs if grad is not None]).sum()
        self.compare("gradients along a direction", "forward mode", product, (grad_output * moved).sum(), numbers)

    def by_finite_differences(self, numbers: _Numbers, shapes: Sequence[tuple[int, ...]]) -> None:
        inputs, parameters = self.draw(numbers, shapes)
        function, count, tolerance = as_function(self.copy(parameters)), self.inputs, numbers.tolerance
        try:
            gradcheck(
                lambda *changed: function(*changed[:count], *inputs[count:]),
                (*(tensor.requires_grad_() for tensor in inputs[:count]), *parameters),
                rtol=tolerance,
                atol=tolerance,
            )
        except GradcheckError as error:
            raise CheckError(f"{self.name}.backward fails gradcheck\n  at: {numbers}\n  {error}") from None
        self.lines.append(Line("gradients = finite differences", "float64", 1 + len(parameters), None, tolerance))

    @contextmanager
    def running(self, what: str, numbers: _Numbers, inputs: Sequence[Tensor]) -> Iterator[None]:
        """Raise what the layer or the reference raises as a CheckError that names the data."""
        try:
            yield
        except Exception as error:
            shapes = ", ".join(str(tuple(tensor.shape)) for tensor in [*inputs, *self.parameters])
            words = f"{what} raises {type(error).__name__}: {error}"
            if f"{self.name}.backward finds nothing saved" in words:
                words = f"{what}: forward was called, but it saved nothing: call self.save_for_backward(…) there"
            raise CheckError(
                f"{words}\n  at: {numbers}\n  shapes of the inputs, then of what parameters() yields: {shapes}"
            ) from error

    def compare(
        self,
        what: str,
        referee: str,
        actual: Tensor | None,
        expected: Tensor,
        numbers: _Numbers,
        by: str = "",
        clue: Callable[[Tensor, Tensor], str] | None = None,
    ) -> None:
        """Record that the layer (or `by`, the formula) agrees with the referee, or raise CheckError, with the clue."""
        by = by or self.name
        where, at = f"{self.name}: {what} by {by} differs from {referee}\n", f"  at: {numbers}\n"
        if not isinstance(actual, Tensor):
            raise CheckError(f"{where}{at}  {by:9} {actual}\n  {referee:9} {show(expected)}")
        both = f"{at}  {by:9} {show(actual)}\n  {referee:9} {show(expected)}"
        words = differs(actual, expected)
        if words:
            raise CheckError(f"{where}{_line(words)}{_line(clue and clue(actual, expected))}{both}")
        close = torch.isclose(actual, expected, rtol=numbers.tolerance, atol=numbers.tolerance, equal_nan=True)
        if not close.all():
            message = f"{where}{_line(clue and clue(actual, expected))}{both}\n  {entries(close, actual, expected)}"
            if torch.allclose(actual, expected, *(TOLERANCE.get(numbers.dtype, 0),) * 2, equal_nan=True):
                message += ", by rounding alone: a layer that may round is checked with exact=False"
            raise CheckError(message)
        difference = (actual - expected).abs().nan_to_num(0).max().item() if actual.numel() else 0.0
        subject = "output" if what == "output" else "formula" if by == "formula" else "gradients"
        dtype = str(numbers.dtype).removeprefix("torch.")
        data = dtype if not numbers.integers else f"integers, {dtype}" if numbers.tolerance else "integers"
        compared = subject if subject == "output" else f"{subject} = {referee}"
        self.lines.append(Line(compared, data, 1, float(difference), numbers.tolerance))


def _line(words: str | None) -> str:
    return f"  {words}\n" if words else ""


def _clue(found: Tensor, expected: Tensor, input: Tensor, **more: int) -> str:
    return likeness(found, expected, sizes_in(input) | more) or where(found, expected, input)


def _clue_of_gradient(
    found: Tensor,
    expected: Tensor,
    earlier: Tensor,
    grad: Tensor,
    of_ones: Callable[[], Tensor],
    grad_output: Tensor,
    input: Tensor,
) -> str:
    """Return what a wrong gradient looks like; `expected` is what was in .grad `earlier`, plus the right one."""
    if earlier.any() and same(found, grad):
        return "it is the right one, but what was in .grad before is gone: add to that, as accumulate does"
    if earlier.any() and same(found, earlier):
        return "it is what was in .grad before: backward has added nothing"
    more = {} if grad_output.ndim else {"the value of grad_output": round(grad_output.item())}
    for own in (found - earlier, found) if found.shape == earlier.shape else (found,):
        if grad_output.ndim and same(own, of_ones()):
            return "it is what a grad_output of ones would give: multiply by grad_output"
        if same(own, grad_output):
            return "it is grad_output, as it came"
        if own.shape == grad_output.shape == grad.shape and same(own + grad_output, grad):
            return "it lacks grad_output as a summand"
        if words := _clue(own, grad, input, **more):
            return words
    return ""


def _grad_of_ones(output: Tensor, leaf: Tensor) -> Tensor:
    return torch.autograd.grad(output, leaf, torch.ones_like(output), retain_graph=True)[0]


def differs(found: Tensor, expected: Tensor) -> str:
    """Return what is wrong with the shape or the dtype of a tensor, or ""."""
    if found.shape != expected.shape:
        return f"its shape is {tuple(found.shape)}, and should be {tuple(expected.shape)}"
    return f"its dtype is {found.dtype}, and should be {expected.dtype}" if found.dtype != expected.dtype else ""


def entries(close: Tensor, found: Tensor, expected: Tensor, digits: int | None = None) -> str:
    """Return how many entries differ, and the first that does, with all digits or with so many."""
    place = tuple(int(i) for i in (~close).nonzero()[0])
    first = " is not ".join(_short(tensor[place], digits) for tensor in (found, expected))
    return f"{int((~close).sum())} of {close.numel()} entries differ: {first}" + (f" at {list(place)}" if place else "")


def check_value(
    what: str,
    found: Any,
    expected: Any,
    *,
    mistakes: Mapping[str, Any] | None = None,
    tolerance: float | None = None,
) -> None:
    """Compare a number or a tensor with the right one; raise CheckError, which says what is wrong with `what`.

    Either may be in any dtype: they agree up to `tolerance`, relative and absolute, which is by default that of the
    coarser one. `mistakes` has what is known to come out if one goes wrong, by a clause that says how.
    """
    if found is None:
        raise CheckError(f"not solved yet: {what} is None: nothing was set or returned")
    try:
        mine, right = _real(found), _real(expected)
    except (TypeError, ValueError, RuntimeError):
        kind = "a tensor" if isinstance(expected, Tensor) else "a number"
        raise CheckError(f"{what} is {found!r}, and should be {kind}") from None
    allowed = tolerance or max(TOLERANCE.get(tensor.dtype, 0.0) for tensor in (mine, right))
    mine, right = mine.double(), right.double()
    if mine.shape == right.shape and torch.allclose(mine, right, rtol=allowed, atol=allowed):
        return
    known = [clause for clause, value in (mistakes or {}).items() if same(mine, _real(value))]
    looks = known[0] if known else likeness(mine, right, sizes_in(right))
    if mine.shape != right.shape:
        words = differs(mine, right)
    elif right.ndim:
        words = entries(torch.isclose(mine, right, rtol=allowed, atol=allowed), mine, right, 6)
    else:
        words = f"it is {_short(mine, 6)}, and should be {_short(right, 6)}"
    raise CheckError(f"{what} is wrong\n{_line(looks)}  {words}")


def _real(value: Any) -> Tensor:
    tensor = value.detach() if isinstance(value, Tensor) else torch.as_tensor(value, dtype=torch.float64)
    if tensor.is_complex():
        raise TypeError("complex")
    return tensor


def _short(value: Tensor, digits: int | None) -> str:
    number = float(value)
    return str(value.item()) if digits is None else f"{number:.0f}" if number.is_integer() else f"{number:.{digits}g}"


def name_of(function: Callable[..., object]) -> str:
    """Return the name of a function, as a receipt tells it."""
    name = getattr(function, "__name__", type(function).__name__)
    return name if name.isidentifier() else "the reference"


def added_up(lines: Iterable[Line]) -> tuple[Line, ...]:
    """Add up the lines that tell of the same kind of comparison."""
    kinds: dict[tuple[str, str], Line] = {}
    for line in lines:
        kind = line.compared, line.data
        kinds[kind] = kinds[kind] + line if kind in kinds else line
    return tuple(kinds.values())


def _number(value: float | None, form: str = ".0e") -> str:
    return "" if value is None else "0" if value == 0 else f"{value:{form}}".replace("e-0", "e-")


def _flat(tensor: Tensor, axes: int) -> Tensor:
    """Make the leading dimensions one, as in the formula, which has one batch index."""
    if not axes:
        return tensor
    last = tensor.shape[max(tensor.ndim - axes + 1, 0) :]
    return tensor.reshape(math.prod(tensor.shape[: tensor.ndim - len(last)]), *last)


def show(tensor: Tensor) -> str:
    """Return a tensor with its shape and dtype, for a message."""
    text = str(tensor.detach()).replace("\n", "\n" + " " * 12)
    return f"shape {tuple(tensor.shape)}, {tensor.dtype}: {text}"
