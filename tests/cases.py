"""The layers of the package: each is one case here, with wrong versions of it that the checks must tell."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from sympy import Piecewise, exp
from torch import Tensor
from torch.nn import functional

from handgrad import Exp, Layer, Linear, MSELoss, Receipt, ReLU, accumulate, check_layer
from handgrad.layer import NOT_WANTED
from handgrad.symbolic import Definition, Derivation, Sum, array, define, indices, mean, sizes, vjp
from handgrad.symbolic.compiled import TorchFunction
from handgrad.symbolic.torch_code import compile_torch

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)

n, p, q = sizes("n p q")
i, j, k = indices("i:n j:p k:q")
m, r, s = indices("m:n r:p s:q")
X, W, b, G = array("X", i, j), array("W", j, k), array("b", k), array("G", i, k)
# The input of layers that keep its shape is called X as well.
Z, P, T = array("X", i, k), array("Y", i, k), array("T", i, k)


@dataclass(frozen=True)
class Example:
    """Shapes of the inputs, and the arguments with which the layer for them is made."""

    shapes: Sequence[tuple[int, ...]]
    arguments: tuple[int, ...] = ()


@dataclass(frozen=True)
class Mistake:
    """A wrong version of a layer, and a pattern of what `check_layer` must say of it."""

    layer: type[Layer]
    message: str


@dataclass(frozen=True)
class Case:
    """A layer of the package and all that it is checked with."""

    name: str
    layer: type[Layer]
    reference: Callable[..., Tensor]
    """Torch's function of the inputs and then the parameters."""
    definition: Definition
    """The output, entry by entry."""
    arrays: str
    """What the definition calls the inputs and then the parameters."""
    examples: Sequence[Example]
    """Powers of 2 where the layer divides by a size."""
    exact: bool = True
    """Whether results of small integers are the reference's to the last bit; else up to rounding."""
    derived_in: str | None = None
    """The post, if it has not the case's name."""
    mistakes: list[Mistake] = field(default_factory=list)

    @property
    def post(self) -> str:
        """The name of the post that derives the layer."""
        return self.derived_in or self.name

    @cached_property
    def function(self) -> TorchFunction:
        """The definition as a torch function."""
        return compile_torch(self.definition)

    @cached_property
    def derivations(self) -> dict[str, Derivation]:
        """The derivatives by the first input and by each parameter, keyed by its name."""
        first, *others = self.arrays.split()
        learned = [first, *others[len(self.examples[0].shapes) - 1 :]]
        return {name: vjp(self.definition, array(name, *self.function.arrays[name])) for name in learned}

    @cached_property
    def formulas(self) -> dict[str, TorchFunction]:
        """The derivatives as torch functions."""
        return {name: derivation.compile() for name, derivation in self.derivations.items()}

    def check(self, layer: type[Layer] | None = None) -> Receipt:
        """Check the case's layer, or another that claims to be it, in every dtype."""
        receipts = [
            check_layer(
                (layer or self.layer)(*example.arguments),
                self.reference,
                *example.shapes,
                formulas=self.formulas,
                arrays=self.arrays,
                exact=self.exact,
                dtypes=DTYPES,
            )
            for example in self.examples
        ]
        return sum(receipts[1:], receipts[0])


CASES = {
    case.name: case
    for case in (
        Case(
            "linear",
            Linear,
            lambda X, W, b: functional.linear(X, W.T, b),
            define("Y", Sum(X[i, j] * W[j, k], j) + b[k], i, k),
            "X W b",
            [
                Example([(4, 4)], arguments=(4, 4)),
                Example([(5, 3)], arguments=(3, 2)),
                Example([(2, 1)], arguments=(1, 3)),
                Example([(3, 2)], arguments=(2, 1)),
            ],
        ),
        Case(
            "relu",
            ReLU,
            functional.relu,
            define("Y", Piecewise((Z[i, k], Z[i, k] > 0), (0, True)), i, k),
            "X",
            [Example([(4, 3)]), Example([(7, 1)])],
        ),
        Case(
            "exp",
            Exp,
            torch.exp,
            define("Y", exp(Z[i, k]), i, k),
            "X",
            [Example([(4, 3)])],
            derived_in="chain-rule",
        ),
        Case(
            "mse",
            MSELoss,
            functional.mse_loss,
            define("L", mean((P[i, k] - T[i, k]) ** 2, i, k)),
            "Y T",
            [Example([(4, 2), (4, 2)]), Example([(8, 1), (8, 1)])],
        ),
    )
}


def wrong(name: str, message: str) -> Callable[[type[Layer]], type[Layer]]:
    """Register a wrong version of a case's layer, and what `check_layer` must say of it.

    The first one of a case is also what must not be published.
    """

    def register(layer: type[Layer]) -> type[Layer]:
        CASES[name].mistakes.append(Mistake(layer, message))
        return layer

    return register


class LinearParts(Linear):
    """Linear with each part of backward in a method of its own, to be got wrong one at a time."""

    def backward(self, grad_output: Tensor, needs_input_grad: bool = True) -> Tensor:
        input, weight = self.saved_tensors
        X, G = input.reshape(-1, weight.shape[0]), grad_output.reshape(-1, weight.shape[1])
        self.store(self.weight, self.weight_grad(X, G))
        self.store(self.bias, self.bias_grad(X, G))
        return self.input_grad(grad_output, weight) if needs_input_grad else NOT_WANTED

    def store(self, parameter: Tensor, grad: Tensor) -> None:
        accumulate(parameter, grad)

    def weight_grad(self, X: Tensor, G: Tensor) -> Tensor:
        return X.T @ G

    def bias_grad(self, X: Tensor, G: Tensor) -> Tensor:
        return G.sum(0)

    def input_grad(self, grad_output: Tensor, weight: Tensor) -> Tensor:
        return grad_output @ weight.T


@wrong("linear", "gradient of input by .* differs from autograd")
class InputGradNotTransposed(LinearParts):
    def input_grad(self, grad_output: Tensor, weight: Tensor) -> Tensor:
        return grad_output @ weight


@wrong("linear", "gradient of input")
class InputGradAveragedOverTheBatch(LinearParts):
    def input_grad(self, grad_output: Tensor, weight: Tensor) -> Tensor:
        return grad_output @ weight.T / max(grad_output.shape[0], 1)


@wrong("linear", "gradient of weight")
class WeightGradTransposed(LinearParts):
    def weight_grad(self, X: Tensor, G: Tensor) -> Tensor:
        return G.T @ X


@wrong("linear", "gradient of weight")
class WeightGradAveragedOverTheBatch(LinearParts):
    def weight_grad(self, X: Tensor, G: Tensor) -> Tensor:
        return X.T @ G / max(len(X), 1)


@wrong("linear", "gradient of weight")
class WeightGradOfTheFirstRowOnly(LinearParts):
    def weight_grad(self, X: Tensor, G: Tensor) -> Tensor:
        return X[:1].T @ G[:1]


@wrong("linear", "gradient of weight")
class WeightGradWithTheWrongSign(LinearParts):
    def weight_grad(self, X: Tensor, G: Tensor) -> Tensor:
        return -X.T @ G


@wrong("linear", r"WeightGradOfFixedDtype\.backward raises .*dtype 'float'.*'BFloat16'")
class WeightGradOfFixedDtype(LinearParts):
    def weight_grad(self, X: Tensor, G: Tensor) -> Tensor:
        return (X.T @ G).float()


@wrong("linear", "gradient of weight")
class WeightGradIgnoresGradOutput(LinearParts):
    def weight_grad(self, X: Tensor, G: Tensor) -> Tensor:
        return X.T @ torch.ones_like(G)


@wrong("linear", r"BiasGradKeepsTheSummedDimension\.backward raises .* shape \(1, 4\), its parameter \(4,\): sum over")
class BiasGradKeepsTheSummedDimension(LinearParts):
    def bias_grad(self, X: Tensor, G: Tensor) -> Tensor:
        return G.sum(0, keepdim=True)


@wrong("linear", "gradient of bias")
class BiasGradSummedOverTheWrongAxis(LinearParts):
    def bias_grad(self, X: Tensor, G: Tensor) -> Tensor:
        return G.sum(1)


@wrong("linear", "gradient of bias")
class BiasGradAveragedOverTheBatch(LinearParts):
    def bias_grad(self, X: Tensor, G: Tensor) -> Tensor:
        return G.mean(0)


@wrong("linear", r"backward raises ValueError: the gradient has the shape \(\), its parameter \(4,\)")
class BiasGradIsOneNumber(LinearParts):
    def bias_grad(self, X: Tensor, G: Tensor) -> Tensor:
        return G.sum()


@wrong("linear", "an extra leading dimension")
class BiasGradSummedOverOneBatchDimensionOfTwo(LinearParts):
    def backward(self, grad_output: Tensor, needs_input_grad: bool = True) -> Tensor:
        grad_input = super().backward(grad_output, needs_input_grad)
        if grad_output.ndim > 2:
            accumulate(self.bias, -grad_output[0].sum(0))
        return grad_input


@wrong("linear", "gradient of weight")
class GradsOverwrittenInsteadOfAccumulated(LinearParts):
    def store(self, parameter: Tensor, grad: Tensor) -> None:
        parameter.grad = grad


@wrong("linear", "gradient of weight")
class WeightGradAccumulatedTwice(LinearParts):
    def store(self, parameter: Tensor, grad: Tensor) -> None:
        accumulate(parameter, grad)
        if parameter.ndim == 2:
            accumulate(parameter, grad)


@wrong("linear", "gradient of bias")
class BiasGradForgotten(LinearParts):
    def store(self, parameter: Tensor, grad: Tensor) -> None:
        if parameter is not self.bias:
            accumulate(parameter, grad)


@wrong("linear", r"needs_input_grad=False\) returns a gradient of the input, not None")
class UnwantedInputGradReturned(LinearParts):
    def backward(self, grad_output: Tensor, needs_input_grad: bool = True) -> Tensor:
        return super().backward(grad_output)


@wrong("linear", r"needs_input_grad=False\) gives weight another gradient")
class WeightGradSkippedWithThatOfTheInput(LinearParts):
    def backward(self, grad_output: Tensor, needs_input_grad: bool = True) -> Tensor:
        return super().backward(grad_output) if needs_input_grad else NOT_WANTED


@wrong("linear", "WeightMovedByBackward changes its weight in place")
class WeightMovedByBackward(LinearParts):
    def backward(self, grad_output: Tensor, needs_input_grad: bool = True) -> Tensor:
        grad_input = super().backward(grad_output, needs_input_grad)
        self.weight.mul_(0.9)
        return grad_input


@wrong("linear", "output by BiasNotAdded differs from the reference")
class BiasNotAdded(LinearParts):
    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) - self.bias


@wrong("linear", "gradient of weight .* autograd, twice in a model")
class InputKeptWhereTheNextLayerOverwritesIt(LinearParts):
    last: Tensor

    def forward(self, input: Tensor) -> Tensor:
        type(self).last = input
        return super().forward(input)

    def weight_grad(self, X: Tensor, G: Tensor) -> Tensor:
        return type(self).last.reshape(X.shape).T @ G


@wrong("relu", "gradient of input(.|\n)*is not 0.0")
class PassesTheGradientAt0(ReLU):
    def backward(self, grad_output: Tensor) -> Tensor:
        (output,) = self.saved_tensors
        return torch.where(output >= 0, grad_output, 0)


@wrong("relu", "gradient of input")
class MaskOnTheWrongSide(ReLU):
    def backward(self, grad_output: Tensor) -> Tensor:
        (output,) = self.saved_tensors
        return torch.where(output > 0, 0, grad_output)


@wrong("relu", "gradient of input")
class MaskOfGradOutput(ReLU):
    def backward(self, grad_output: Tensor) -> Tensor:
        return grad_output.clamp(min=0)


@wrong("relu", "gradient of input")
class MaskWithoutGradOutput(ReLU):
    def backward(self, grad_output: Tensor) -> Tensor:
        (output,) = self.saved_tensors
        return (output > 0).to(output.dtype)


@wrong("relu", "gradient of input")
class OutputTimesGradOutput(ReLU):
    def backward(self, grad_output: Tensor) -> Tensor:
        (output,) = self.saved_tensors
        return output * grad_output


@wrong("relu", "gradient of input")
class HalfTheGradientAt0(ReLU):
    def backward(self, grad_output: Tensor) -> Tensor:
        (output,) = self.saved_tensors
        return super().backward(grad_output) + 0.5 * (output == 0) * grad_output


@wrong("relu", "normally distributed numbers")
class MaskFromOneHalfUpWhichIntegersCannotTell(ReLU):
    def backward(self, grad_output: Tensor) -> Tensor:
        (output,) = self.saved_tensors
        return torch.where(output > 0.5, grad_output, 0)


@wrong("relu", "changes its input 1 in place")
class ChangesTheInputInPlace(ReLU):
    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.clamp_(min=0))


@wrong("exp", "gradient of input by .* differs from autograd")
class TheRuleOfPowers(Exp):
    def forward(self, input: Tensor) -> Tensor:
        self.save_for_backward(input, input.exp())
        return input.exp()

    def backward(self, grad_output: Tensor) -> Tensor:
        input, output = self.saved_tensors
        return grad_output * input * output


@wrong("exp", "gradient of input")
class ExponentialOfTheOutput(Exp):
    def backward(self, grad_output: Tensor) -> Tensor:
        (output,) = self.saved_tensors
        return grad_output * output.exp()


@wrong("exp", "gradient of input")
class OutputWithoutGradOutput(Exp):
    def backward(self, grad_output: Tensor) -> Tensor:
        (output,) = self.saved_tensors
        return output.clone()


@wrong("mse", "gradient of input by .* differs from autograd")
class Factor2Forgotten(MSELoss):
    def backward(self, grad_output: Tensor | float = 1.0) -> Tensor:
        return super().backward(grad_output) / 2


@wrong("mse", "gradient of input")
class DividedByTheRowsOnly(MSELoss):
    def backward(self, grad_output: Tensor | float = 1.0) -> Tensor:
        (difference,) = self.saved_tensors
        return grad_output * 2 * difference / max(len(difference), 1)


@wrong("mse", "gradient of input")
class NotDividedAtAll(MSELoss):
    def backward(self, grad_output: Tensor | float = 1.0) -> Tensor:
        (difference,) = self.saved_tensors
        return grad_output * 2 * difference


@wrong("mse", "gradient of input")
class GradientOfTheAbsoluteDifference(MSELoss):
    def backward(self, grad_output: Tensor | float = 1.0) -> Tensor:
        (difference,) = self.saved_tensors
        return grad_output * difference.sign() / max(difference.numel(), 1)


@wrong("mse", r"gradient of input(.|\n)*shape \(4,\)(.|\n)*shape \(4, 2\)")
class OneGradientForEachRow(MSELoss):
    def backward(self, grad_output: Tensor | float = 1.0) -> Tensor:
        return super().backward(grad_output).sum(-1)


@wrong("mse", "output by .* differs from mse_loss")
class SumInsteadOfMean(MSELoss):
    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return super().forward(input, target) * input.numel()
