"""The checker rejects wrong layers, each with a message that says what differs, and passes right ones."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from cases import CASES, DTYPES, Case, Factor2Forgotten, G, InputGradNotTransposed, Mistake, Z, i, k, m, s
from sympy import Piecewise
from torch import Tensor
from torch.nn import functional

from handgrad import CheckError, Exp, Layer, Linear, MSELoss, ReLU, Sequential, check_layer
from handgrad.symbolic import Sum, define, vjp
from handgrad.testing import DTYPES as CHECKED
from handgrad.testing import VARIANTS, _Check, _Numbers

MISTAKES = [
    pytest.param(case, mistake, id=f"{case.name}: {mistake.layer.__name__}")
    for case in CASES.values()
    for mistake in case.mistakes
]


@pytest.mark.parametrize(("case", "mistake"), MISTAKES)
def test_checker_rejects(case: Case, mistake: Mistake) -> None:
    with pytest.raises(CheckError, match=mistake.message) as raised:
        case.check(mistake.layer)
    assert "  at: " in str(raised.value)


@pytest.mark.parametrize("name", CASES)
def test_forward_mode_alone_tells_a_wrong_gradient_from_a_right_one(name: str) -> None:
    case = CASES[name]
    example = case.examples[0]
    numbers = _Numbers(torch.float64, "the shape given")
    wrong = changed(case.layer, "backward", same, lambda grad: 1.001 * grad)
    _Check(case.layer(*example.arguments), case.reference, {}, []).by_forward_mode(numbers, example.shapes)
    with pytest.raises(CheckError, match=r"gradients along a direction .* differs from forward mode"):
        _Check(wrong(*example.arguments), case.reference, {}, []).by_forward_mode(numbers, example.shapes)


def same(tensor: Any) -> Any:
    return tensor


def changed(layer: type[Layer], method: str, given: Callable[..., Any], result: Callable[..., Any]) -> type[Layer]:
    """Return a subclass with one method whose arguments and result go through a function each."""

    def wrong(self: Layer, *arguments: Any) -> Any:
        return result(getattr(layer, method)(self, *map(given, arguments)))

    return type("Wrong", (layer,), {method: wrong})


def doubled_in(dtype: torch.dtype, tensor: Tensor) -> Tensor:
    return 2 * tensor if tensor.dtype == dtype else tensor


# What can be got wrong in any layer: the method, what happens to its arguments and to its result, and what is said.
ANY: dict[str, tuple[str, Callable[..., Any], Callable[..., Any], str]] = {
    "gradient doubled": ("backward", same, lambda grad: 2 * grad, "gradient of input"),
    "gradient scaled by 1.001": ("backward", same, lambda grad: 1.001 * grad, "gradient of input"),
    "gradient of the wrong sign": ("backward", same, torch.neg, "gradient of input"),
    "gradient of fixed dtype": ("backward", same, Tensor.float, r"gradient of input(.|\n)*torch.float32"),
    "no gradient": ("backward", same, lambda grad: None, "not solved yet: Wrong.backward returns nothing"),
    "grad_output ignored": ("backward", torch.ones_like, same, "gradient of input"),
    "grad_output changed in place": ("backward", lambda grad: grad.mul_(2), same, "changes its grad_output in place"),
    "output of fixed dtype": ("forward", same, Tensor.float, "output by Wrong differs from"),
}
for dtype in DTYPES:
    doubled = partial(doubled_in, dtype)
    ANY[f"gradient in {dtype}"] = "backward", same, doubled, f"gradient of input(.|\n)*{dtype}"
    ANY[f"output in {dtype}"] = "forward", same, doubled, f"output by Wrong differs from .*(.|\n)*{dtype}"


@pytest.mark.parametrize("mistake", ANY)
@pytest.mark.parametrize("name", CASES)
def test_checker_rejects_what_can_be_wrong_in_any_layer(name: str, mistake: str) -> None:
    method, given, result, message = ANY[mistake]
    with pytest.raises(CheckError, match=message):
        CASES[name].check(changed(CASES[name].layer, method, given, result))


# How the input of each variant is told from those of the others.
ONLY: dict[str, Callable[[Tensor], bool]] = {
    "the shape given": lambda input: input.shape == (4, 3) and input.is_contiguous(),
    "a batch of 1": lambda input: len(input) == 1,
    "an empty batch": lambda input: len(input) == 0,
    "an extra leading dimension": lambda input: input.ndim == 3,
    "tensors not contiguous": lambda input: not input.is_contiguous(),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_wrong_in_one_variant_alone_is_told_there(variant: str) -> None:
    assert variant in ONLY, f"add {variant!r} to ONLY, and how its input is told from those of the other variants"

    class Wrong(ReLU):
        def forward(self, input: Tensor) -> Tensor:
            self.wrong = ONLY[variant](input)
            return super().forward(input)

        def backward(self, grad_output: Tensor) -> Tensor:
            return super().backward(grad_output)[None] if self.wrong else super().backward(grad_output)

    with pytest.raises(CheckError, match=f"gradient of input(.|\n)* at: {variant}, "):
        check_layer(Wrong(), functional.relu, (4, 3))


def test_a_reference_that_is_nan_for_negative_numbers_is_to_stand_behind_a_layer_that_makes_them_positive() -> None:
    class Log(Layer):
        def forward(self, input: Tensor) -> Tensor:
            self.save_for_backward(input)
            return input.log()

        def backward(self, grad_output: Tensor) -> Tensor:
            return grad_output / self.saved_tensors[0]

    with pytest.raises(CheckError, match=r"Log, log, is NaN(.|\n)* such as Sequential\(Exp\(\), Log\(\)\)"):
        check_layer(Log(), torch.log, (2, 3), exact=False)
    check_layer(Sequential(Exp(), Log()), lambda x: x.exp().log(), (2, 3), exact=False)


@pytest.mark.parametrize("factor", [2, 0.5])
def test_a_factor_of_a_loss_is_not_taken_for_the_value_of_grad_output(factor: float) -> None:
    wrong = changed(MSELoss, "backward", lambda grad: factor * grad, same)
    with pytest.raises(CheckError, match=f"the right one, {'multiplied' if factor > 1 else 'divided'} by 2\n"):
        check_layer(wrong(), functional.mse_loss, (4, 3), (4, 3), exact=False)


def test_the_docstring_tells_of_every_variant() -> None:
    told = " ".join((check_layer.__doc__ or "").split())
    missing = [variant for variant in VARIANTS if variant not in told]
    assert not missing, f"src/handgrad/testing.py: tell in the docstring of check_layer of {', '.join(missing)}"


def test_a_difference_is_shown_with_both_values_and_both_shapes() -> None:
    with pytest.raises(CheckError) as raised:
        check_layer(Factor2Forgotten(), functional.mse_loss, (2, 1), (2, 1))
    message = str(raised.value)
    assert message.count("shape (2, 1), torch.float64: tensor(") == 2
    assert "entries differ" in message


def test_what_a_layer_raises_is_reported_with_the_shapes() -> None:
    layer = InputGradNotTransposed(3, 2)
    with pytest.raises(CheckError, match=r"backward raises RuntimeError(.|\n)*\(5, 3\), \(3, 2\), \(2,\)"):
        check_layer(layer, CASES["linear"].reference, (5, 3))


def test_a_wrong_formula_is_rejected_though_the_layer_is_right() -> None:
    x = Z[i, k]
    shifted = vjp(define("Y", Piecewise((x, x > 1), (0, True)), i, k), Z[m, s], G).compile()
    with pytest.raises(CheckError, match="gradient of X by formula differs from autograd"):
        check_layer(ReLU(), functional.relu, (4, 3), formulas={"X": shifted}, arrays="X")


def test_a_mistake_that_the_reference_makes_too_fails_the_finite_differences() -> None:
    class Doubled(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, input: Tensor) -> Tensor:
            return input.clone()

        @staticmethod
        def backward(ctx: Any, grad_output: Tensor) -> Tensor:
            return 2 * grad_output

    class Identity(Layer):
        def forward(self, input: Tensor) -> Tensor:
            return input.clone()

        def backward(self, grad_output: Tensor) -> Tensor:
            return 2 * grad_output

    with pytest.raises(CheckError, match=r"Identity.backward fails gradcheck(.|\n)*numerical"):
        check_layer(Identity(), Doubled.apply, (4, 3))


def test_arrays_must_be_named_for_formulas() -> None:
    formulas = CASES["mse"].formulas
    with pytest.raises(ValueError, match="arrays must name the 2 inputs and parameters; it is 'X'"):
        check_layer(MSELoss(), functional.mse_loss, (4, 2), (4, 2), formulas=formulas, arrays="X")


def test_the_checked_layer_is_left_as_it_was() -> None:
    layer = Linear(3, 2)
    weight = layer.weight.clone()
    check_layer(layer, CASES["linear"].reference, (5, 3))
    assert torch.equal(layer.weight, weight)
    assert layer.weight.grad is None
    assert not layer.weight.requires_grad


def test_a_right_layer_that_rounds_is_told_to_say_so_and_then_passes() -> None:
    class Tenth(Layer):
        def forward(self, input: Tensor) -> Tensor:
            return input * 0.1

        def backward(self, grad_output: Tensor) -> Tensor:
            return grad_output / 10

    rounded = "gradient of input(.|\n)* by rounding alone: a layer that may round is checked with exact=False$"
    with pytest.raises(CheckError, match=rounded):
        check_layer(Tenth(), lambda input: input * 0.1, (4, 3))
    with pytest.raises(CheckError, match=r"output(.|\n)* entries differ: \S+ is not \S+ at \[0, 0\]$"):
        check_layer(Tenth(), lambda input: input * 0.10001, (4, 3))
    check_layer(Tenth(), lambda input: input * 0.1, (4, 3), exact=False)


@pytest.mark.parametrize(
    ("words", "mistake"),
    [
        (
            "checks an instance of a subclass of handgrad.Layer, not <class",
            lambda: check_layer(ReLU, torch.relu, (4, 3)),  # type: ignore[arg-type]
        ),
        (
            r"shape of each input as a tuple of whole numbers, such as \(4, 3\), not \(4, 3\)",
            lambda: check_layer(ReLU(), torch.relu, 4, 3),  # type: ignore[arg-type]
        ),
        (r"shape of each input", lambda: check_layer(ReLU(), torch.relu)),
        (
            r"the reference raises TypeError(.|\n)*parameters\(\) yields: \(4, 2\)$",
            lambda: check_layer(MSELoss(), functional.mse_loss, (4, 2)),
        ),
        (
            "must return a tensor that autograd can differentiate",
            lambda: check_layer(ReLU(), print, (4, 3)),  # type: ignore[arg-type]
        ),
        (
            "must return a tensor that autograd can differentiate",
            lambda: check_layer(ReLU(), lambda x: x.detach(), (4, 3)),
        ),
    ],
)
def test_mistakes_in_the_use_of_the_checker_are_named(words: str, mistake: Callable[[], object]) -> None:
    with pytest.raises((TypeError, CheckError), match=words):
        mistake()


def test_a_formula_of_sizes_alone_is_checked() -> None:
    class Total(Layer):
        def forward(self, input: Tensor) -> Tensor:
            self.save_for_backward(input)
            return input.sum()

        def backward(self, grad_output: Tensor) -> Tensor:
            (input,) = self.saved_tensors
            return grad_output.expand(input.shape)

    formulas = {"X": vjp(define("S", Sum(Z[i, k], i, k)), Z[m, s]).compile()}
    receipt = check_layer(Total(), torch.sum, (4, 3), formulas=formulas, arrays="X")
    assert "formula = autograd" in {line.compared for line in receipt.lines}


def test_receipts_add_up() -> None:
    one = check_layer(ReLU(), functional.relu, (4, 3))
    two = one + one
    assert two.cases == 2 * one.cases
    assert [line.error for line in two.lines] == [line.error for line in one.lines]
    assert f"| output | integers | {2 * len(CHECKED) * len(VARIANTS)} | 0 | 0 |" in two._repr_markdown_()


def test_a_receipt_is_printed_as_text() -> None:
    first, *rows = str(check_layer(ReLU(), functional.relu, (4, 3))).splitlines()
    assert first == f"Checked: ReLU against relu, {2 * len(CHECKED) * len(VARIANTS) + 13} comparisons"
    assert rows[0] == f"  output, integers: {len(CHECKED) * len(VARIANTS)}, largest error 0, allowed 0"
    assert rows[-1] == "  gradients = finite differences, float64: 1, allowed 1e-7"


def test_a_receipt_names_the_functions_that_were_compared_with() -> None:
    def half(input: Tensor) -> Tensor:
        return input / 2

    class Half(Layer):
        def forward(self, input: Tensor) -> Tensor:
            return input / 2

        def backward(self, grad_output: Tensor) -> Tensor:
            return grad_output / 2

    by_name = check_layer(ReLU(), functional.relu, (4, 3)) + check_layer(Half(), half, (4, 3))
    assert [line.compared for line in by_name.lines if line.data == "float64"] == [
        "output",
        "gradients = autograd",
        "gradients = autograd, twice in a model",
        "gradients = forward mode",
        "gradients = finite differences",
    ]
    assert "**Checked: ReLU, Half** against relu, half, " in by_name._repr_markdown_()
    nameless = check_layer(Half(), lambda input: input / 2, (4, 3))
    assert "**Checked: Half** against the reference, " in nameless._repr_markdown_()


class Product(Layer):
    """X Y, entry by entry, with a factor in the second gradient."""

    factor = 1.0

    def forward(self, X: Tensor, Y: Tensor) -> Tensor:
        self.save_for_backward(X, Y)
        return X * Y

    def backward(self, grad_output: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        X, Y = self.saved_tensors
        return grad_output * Y, self.factor * grad_output * X


def test_each_gradient_of_several_inputs_is_compared() -> None:
    receipt = check_layer(Product(), torch.mul, (4, 3), (4, 3))
    one = check_layer(ReLU(), functional.relu, (4, 3))
    assert receipt.cases > one.cases
    wrong = Product()
    wrong.factor = 2.0
    with pytest.raises(CheckError, match="gradient of input 2 by Product differs from autograd"):
        check_layer(wrong, torch.mul, (4, 3), (4, 3))
    for method in ("in_a_model", "by_forward_mode", "by_finite_differences"):
        check = _Check(wrong, torch.mul, {}, [])
        check.find_inputs(_Numbers(torch.float64, VARIANTS[0]), [(4, 3), (4, 3)])
        with pytest.raises(CheckError):
            getattr(check, method)(_Numbers(torch.float64, VARIANTS[0]), [(4, 3), (4, 3)])


def test_as_many_gradients_are_returned_everywhere_and_no_more_than_there_are_inputs() -> None:
    class More(Product):
        def backward(self, grad_output: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
            one, other = super().backward(grad_output)
            return (one, other, other) if len(grad_output) != 1 else (one,)

    with pytest.raises(CheckError, match=r"More.backward returns 3 gradients of 2 inputs"):
        check_layer(More(), torch.mul, (4, 3), (4, 3))
    with pytest.raises(CheckError, match=r"returns 3 gradients, and 1 elsewhere\n  at: an empty batch|the shape given"):
        check_layer(More(), torch.mul, (1, 3), (1, 3))
