"""The checker rejects wrong layers, each with a message that says what differs, and passes right ones."""

import pytest
import torch
from cases import CASES, G, Z, i, k, m, s
from sympy import Piecewise
from torch.nn import functional

from handgrad import CheckError, Layer, Linear, MSELoss, ReLU, accumulate, check_layer
from handgrad.symbolic import Sum, define, vjp

WRONG: dict[str, tuple[type[Layer], str]] = {}


def wrong(what, message):
    """Register a wrong version of a case's layer, and what the checker must say of it."""

    def register(cls):
        cls.__name__ = cls.__base__.__name__
        WRONG[what] = cls, message
        return cls

    return register


class LinearParts(Linear):
    """Linear with each part of backward in a method of its own, to be got wrong one at a time."""

    def backward(self, grad_output):
        input, weight = self.saved_tensors
        X, G = input.reshape(-1, weight.shape[0]), grad_output.reshape(-1, weight.shape[1])
        self.store(self.weight, self.weight_grad(X, G))
        self.store(self.bias, self.bias_grad(X, G))
        return self.input_grad(grad_output, weight)

    def store(self, parameter, grad):
        accumulate(parameter, grad)

    def weight_grad(self, X, G):
        return X.T @ G

    def bias_grad(self, X, G):
        return G.sum(0)

    def input_grad(self, grad_output, weight):
        return grad_output @ weight.T


LinearParts.__name__ = "Linear"


@wrong("linear: the input gradient without the transpose", "gradient of input by .* differs from autograd")
class _(LinearParts):
    def input_grad(self, grad_output, weight):
        return grad_output @ weight


@wrong("linear: the input gradient doubled", "gradient of input")
class _(LinearParts):
    def input_grad(self, grad_output, weight):
        return 2 * grad_output @ weight.T


@wrong("linear: the input gradient scaled by 1.001", "gradient of input")
class _(LinearParts):
    def input_grad(self, grad_output, weight):
        return grad_output @ weight.T * 1.001


@wrong("linear: the input gradient averaged over the batch", "gradient of input")
class _(LinearParts):
    def input_grad(self, grad_output, weight):
        return grad_output @ weight.T / max(grad_output.shape[0], 1)


@wrong("linear: the weight gradient transposed", "gradient of weight")
class _(LinearParts):
    def weight_grad(self, X, G):
        return G.T @ X


@wrong("linear: the weight gradient averaged over the batch", "gradient of weight")
class _(LinearParts):
    def weight_grad(self, X, G):
        return X.T @ G / max(len(X), 1)


@wrong("linear: the weight gradient of the first row only", "gradient of weight")
class _(LinearParts):
    def weight_grad(self, X, G):
        return X[:1].T @ G[:1]


@wrong("linear: the weight gradient with the wrong sign", "gradient of weight")
class _(LinearParts):
    def weight_grad(self, X, G):
        return -X.T @ G


@wrong("linear: the weight gradient of fixed dtype", "Linear.backward raises .*dtype 'float'.*'BFloat16'")
class _(LinearParts):
    def weight_grad(self, X, G):
        return (X.T @ G).float()


@wrong("linear: the weight gradient ignores grad_output", "gradient of weight")
class _(LinearParts):
    def weight_grad(self, X, G):
        return X.T @ torch.ones_like(G)


@wrong("linear: the bias gradient keeps the summed dimension", r"Linear.backward raises .*\[1, 4\].*\[4\]")
class _(LinearParts):
    def bias_grad(self, X, G):
        return G.sum(0, keepdim=True)


@wrong("linear: the bias gradient summed over the wrong axis", "gradient of bias")
class _(LinearParts):
    def bias_grad(self, X, G):
        return G.sum(1)


@wrong("linear: the bias gradient averaged over the batch", "gradient of bias")
class _(LinearParts):
    def bias_grad(self, X, G):
        return G.mean(0)


@wrong("linear: the bias gradient is one number", "gradient of bias")
class _(LinearParts):
    def bias_grad(self, X, G):
        return G.sum()


@wrong("linear: the bias gradient summed over one batch dimension of two", "an extra leading dimension")
class _(LinearParts):
    def backward(self, grad_output):
        grad_input = super().backward(grad_output)
        if grad_output.ndim > 2:
            self.bias.grad = self.bias.grad - grad_output[0].sum(0)
        return grad_input


@wrong("linear: gradients overwritten instead of accumulated", "gradient of weight")
class _(LinearParts):
    def store(self, parameter, grad):
        parameter.grad = grad


@wrong("linear: the weight gradient accumulated twice", "gradient of weight")
class _(LinearParts):
    def store(self, parameter, grad):
        accumulate(parameter, grad)
        if parameter.ndim == 2:
            accumulate(parameter, grad)


@wrong("linear: the bias gradient forgotten", "gradient of bias")
class _(LinearParts):
    def store(self, parameter, grad):
        if parameter is not self.bias:
            accumulate(parameter, grad)


@wrong("linear: the bias not added in forward", "output by Linear differs from torch")
class _(LinearParts):
    def forward(self, input):
        return super().forward(input) - self.bias


@wrong(
    "linear: the input taken from a class attribute that the next layer overwrites",
    "gradient of weight .* autograd, twice in a model",
)
class _(LinearParts):
    def forward(self, input):
        type(self).last = input
        return super().forward(input)

    def weight_grad(self, X, G):
        return type(self).last.reshape(X.shape).T @ G


@wrong("linear: returns nothing", "gradient of input by Linear differs from autograd(.|\n)*None")
class _(LinearParts):
    def input_grad(self, grad_output, weight):
        return None


@wrong("relu: passes the gradient at 0", "gradient of input(.|\n)*is not 0.0")
class _(ReLU):
    def backward(self, grad_output):
        (output,) = self.saved_tensors
        return torch.where(output >= 0, grad_output, 0)


@wrong("relu: the mask on the wrong side", "gradient of input")
class _(ReLU):
    def backward(self, grad_output):
        (output,) = self.saved_tensors
        return torch.where(output > 0, 0, grad_output)


@wrong("relu: the mask of grad_output", "gradient of input")
class _(ReLU):
    def backward(self, grad_output):
        return grad_output.clamp(min=0)


@wrong("relu: the mask itself, without grad_output", "gradient of input")
class _(ReLU):
    def backward(self, grad_output):
        (output,) = self.saved_tensors
        return (output > 0).to(output.dtype)


@wrong("relu: the output times grad_output", "gradient of input")
class _(ReLU):
    def backward(self, grad_output):
        (output,) = self.saved_tensors
        return output * grad_output


@wrong("relu: half the gradient at 0", "gradient of input")
class _(ReLU):
    def backward(self, grad_output):
        (output,) = self.saved_tensors
        return super().backward(grad_output) + 0.5 * (output == 0) * grad_output


@wrong("relu: the mask of 0.5 and above, which integers cannot tell", "normally distributed numbers")
class _(ReLU):
    def backward(self, grad_output):
        (output,) = self.saved_tensors
        return torch.where(output > 0.5, grad_output, 0)


@wrong("relu: a gradient of fixed dtype", r"gradient of input(.|\n)*torch.float32")
class _(ReLU):
    def backward(self, grad_output):
        return super().backward(grad_output).float()


@wrong("relu: changes the input in place", "changes its input 1 in place")
class _(ReLU):
    def forward(self, input):
        return super().forward(input.clamp_(min=0))


@wrong("relu: changes grad_output in place", "changes its grad_output in place")
class _(ReLU):
    def backward(self, grad_output):
        (output,) = self.saved_tensors
        return grad_output.mul_(output > 0)


@wrong("mse: the factor 2 forgotten", "gradient of input")
class _(MSELoss):
    def backward(self, grad_output=1.0):
        return super().backward(grad_output) / 2


@wrong("mse: divided by the rows only", "gradient of input")
class _(MSELoss):
    def backward(self, grad_output=1.0):
        (difference,) = self.saved_tensors
        return grad_output * 2 * difference / max(len(difference), 1)


@wrong("mse: not divided at all", "gradient of input")
class _(MSELoss):
    def backward(self, grad_output=1.0):
        (difference,) = self.saved_tensors
        return grad_output * 2 * difference


@wrong("mse: target minus input", "gradient of input")
class _(MSELoss):
    def backward(self, grad_output=1.0):
        return -super().backward(grad_output)


@wrong("mse: grad_output ignored", "gradient of input")
class _(MSELoss):
    def backward(self, grad_output=1.0):
        return super().backward(1.0)


@wrong("mse: the gradient of the absolute difference", "gradient of input")
class _(MSELoss):
    def backward(self, grad_output=1.0):
        (difference,) = self.saved_tensors
        return grad_output * difference.sign() / max(difference.numel(), 1)


@wrong("mse: one gradient for each row", r"gradient of input(.|\n)*shape \(4,\)(.|\n)*shape \(4, 2\)")
class _(MSELoss):
    def backward(self, grad_output=1.0):
        return super().backward(grad_output).sum(-1)


@wrong("mse: the sum instead of the mean", "output by .* differs from torch")
class _(MSELoss):
    def forward(self, input, target):
        return super().forward(input, target) * input.numel()


@pytest.mark.parametrize("what", WRONG)
def test_checker_rejects(what):
    cls, message = WRONG[what]
    with pytest.raises(CheckError, match=message) as raised:
        CASES[what.split(":")[0]].check(cls)
    assert "  at: " in str(raised.value)


def test_at_least_21_wrong_layers_are_tried():
    assert len(WRONG) >= 21


def test_a_difference_is_shown_with_both_values_and_both_shapes():
    with pytest.raises(CheckError) as raised:
        check_layer(WRONG["mse: the factor 2 forgotten"][0](), functional.mse_loss, (2, 1), (2, 1))
    message = str(raised.value)
    assert message.count("shape (2, 1), torch.float64: tensor(") == 2
    assert "entries differ" in message


def test_what_a_layer_raises_is_reported_with_the_shapes():
    layer = WRONG["linear: the input gradient without the transpose"][0](3, 2)
    with pytest.raises(CheckError, match=r"backward raises RuntimeError(.|\n)*\(5, 3\), \(3, 2\), \(2,\)"):
        check_layer(layer, CASES["linear"].reference, (5, 3))


def test_a_wrong_formula_is_rejected_though_the_layer_is_right():
    x = Z[i, k]
    shifted = vjp(define("Y", Piecewise((x, x > 1), (0, True)), i, k), Z[m, s], G).compile()
    with pytest.raises(CheckError, match="gradient of X by formula differs from autograd"):
        check_layer(ReLU(), functional.relu, (4, 3), formulas={"X": shifted}, arrays="X")


def test_a_mistake_that_the_reference_makes_too_fails_the_finite_differences():
    class Doubled(torch.autograd.Function):
        @staticmethod
        def forward(ctx, input):
            return input.clone()

        @staticmethod
        def backward(ctx, grad_output):
            return 2 * grad_output

    class Identity(Layer):
        def forward(self, input):
            return input.clone()

        def backward(self, grad_output):
            return 2 * grad_output

    with pytest.raises(CheckError, match=r"Identity.backward fails gradcheck(.|\n)*numerical"):
        check_layer(Identity(), Doubled.apply, (4, 3))


def test_arrays_must_be_named_for_formulas():
    formulas = {"X": CASES["mse"].derivations["X"].compile()}
    with pytest.raises(ValueError, match="arrays must name the 2 inputs and parameters; it is 'X'"):
        check_layer(MSELoss(), functional.mse_loss, (4, 2), (4, 2), formulas=formulas, arrays="X")


def test_the_checked_layer_is_left_as_it_was():
    layer = Linear(3, 2)
    weight = layer.weight.clone()
    check_layer(layer, CASES["linear"].reference, (5, 3))
    assert torch.equal(layer.weight, weight)
    assert layer.weight.grad is None
    assert not layer.weight.requires_grad


def test_a_right_layer_that_rounds_passes_when_told_so():
    class Tenth(Layer):
        def forward(self, input):
            return input * 0.1

        def backward(self, grad_output):
            return grad_output / 10

    with pytest.raises(CheckError, match="gradient of input"):
        check_layer(Tenth(), lambda input: input * 0.1, (4, 3))
    check_layer(Tenth(), lambda input: input * 0.1, (4, 3), exact=False)


@pytest.mark.parametrize(
    ("words", "mistake"),
    [
        (
            "checks an instance of a subclass of handgrad.Layer, not <class",
            lambda: check_layer(ReLU, torch.relu, (4, 3)),
        ),
        (
            r"shape of each input as a tuple of whole numbers, such as \(4, 3\), not \(4, 3\)",
            lambda: check_layer(ReLU(), torch.relu, 4, 3),
        ),
        (r"shape of each input", lambda: check_layer(ReLU(), torch.relu)),
        (
            r"the reference raises TypeError(.|\n)*parameters\(\) yields: \(4, 2\)$",
            lambda: check_layer(MSELoss(), functional.mse_loss, (4, 2)),
        ),
        ("must return a tensor that autograd can differentiate", lambda: check_layer(ReLU(), print, (4, 3))),
        (
            "must return a tensor that autograd can differentiate",
            lambda: check_layer(ReLU(), lambda x: x.detach(), (4, 3)),
        ),
    ],
)
def test_mistakes_in_the_use_of_the_checker_are_named(words, mistake):
    with pytest.raises((TypeError, CheckError), match=words):
        mistake()


def test_a_formula_of_sizes_alone_is_checked():
    class Total(Layer):
        def forward(self, input):
            self.save_for_backward(input)
            return input.sum()

        def backward(self, grad_output):
            (input,) = self.saved_tensors
            return grad_output.expand(input.shape)

    formulas = {"X": vjp(define("S", Sum(Z[i, k], i, k)), Z[m, s]).compile()}
    receipt = check_layer(Total(), torch.sum, (4, 3), formulas=formulas, arrays="X")
    assert "formula = autograd" in {line.compared for line in receipt.lines}


def test_receipts_add_up():
    one = check_layer(ReLU(), functional.relu, (4, 3))
    two = one + one
    assert two.cases == 2 * one.cases
    assert [line.error for line in two.lines] == [line.error for line in one.lines]
    assert "| output = torch | integers | 30 | 0 | 0 |" in two._repr_markdown_()
