"""The contract of a layer, a chain of layers, and the bridge to torch's autograd."""

import copy
import inspect
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Never, Self, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class Layer:
    """A function with a hand-derived gradient.

    `forward(*inputs)` computes the output and saves what `backward` needs.
    `backward(grad_output)` takes dL/d(output), adds dL/d(parameter) to the
    `.grad` of each parameter and returns dL/d(first input), or a tuple of the
    gradients of the first inputs that hold real numbers. Where that costs
    much, `backward(grad_output, needs_input_grad=False)` leaves it out.
    """

    forward: Callable[..., Tensor]
    _saved: tuple[tuple[Tensor, int], ...]

    def backward(self, grad_output: Tensor) -> Tensor:
        """Return the gradient of the first input, given that of the output."""
        raise NotImplementedError(f"{type(self).__name__} has no backward")

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Return `forward(*inputs)`."""
        return self.forward(*inputs)

    def parameters(self) -> Iterator[Tensor]:
        """Yield the tensors to be learned."""
        return iter(())

    def __copy__(self) -> Self:
        # Same parameters, but what it saves is its own, as is what the
        # layers it is made of save.
        twin = object.__new__(type(self))
        parts = {name: _copied(part) for name, part in vars(self).items()}
        vars(twin).update(parts)
        return twin

    def save_for_backward(self, *tensors: Tensor) -> None:
        """Keep `tensors` (no copies) until the next forward."""
        self._saved = tuple((t, _version(t)) for t in tensors)

    @property
    def saved_tensors(self) -> tuple[Tensor, ...]:
        """What the last forward saved.

        RuntimeError if there was none, or a tensor was changed in place since.
        """
        name = type(self).__name__
        if not hasattr(self, "_saved"):
            raise RuntimeError(
                f"{name}.backward finds nothing saved: call forward before it,"
                " and let forward save_for_backward what backward needs"
            )
        for tensor, version in self._saved:
            if _version(tensor) != version:
                raise RuntimeError(
                    f"a tensor of shape {tuple(tensor.shape)} that"
                    f" {name}.backward needs was changed in place after"
                    f" {name}.forward: call backward before the optimizer's"
                    " step, and change copies"
                )
        return tuple(tensor for tensor, _ in self._saved)


class Sequential(Layer):
    """Composition Y = fₖ(… f₂(f₁(X))).   dL/dX = (… backward₁ ∘ … ∘ backwardₖ)(dL/dY), by the chain rule."""

    def __init__(self, *layers: Layer) -> None:
        """Chain `layers`; one that occurs twice shares its parameters and saves for each place on its own."""
        seen: set[int] = set()
        places = []
        for layer in layers:
            parts = {id(part) for part in _layers(layer)}
            places.append(copy.copy(layer) if parts & seen else layer)
            seen |= parts
        self.layers = tuple(places)

    def forward(self, input: Tensor) -> Tensor:
        """Apply the layers, first to last."""
        for layer in self.layers:
            input = layer.forward(input)
        return input

    def backward(self, grad_output: Tensor, needs_input_grad: bool = True) -> Tensor:
        """Apply the layers' backwards, last to first; what the first one returns may be unwanted."""
        for layer in reversed(self.layers):
            wanted = needs_input_grad or layer is not self.layers[0]
            grad_output = backward(layer, grad_output, wanted)
        return grad_output

    def parameters(self) -> Iterator[Tensor]:
        """Yield each layer's parameters, a shared one once."""
        return iter({id(p): p for layer in self.layers for p in layer.parameters()}.values())


def _copied(value: Any) -> Any:
    """Return `value` with copies of the layers in it."""
    if isinstance(value, Layer):
        return copy.copy(value)
    if isinstance(value, dict):
        return {key: _copied(part) for key, part in value.items()}
    return type(value)(map(_copied, value)) if type(value) in (list, tuple) else value


def _layers(value: Any) -> Iterator[Layer]:
    """Yield the layers in `value`, at any depth, itself first if it is one."""
    if isinstance(value, Layer):
        yield value
        value = vars(value)
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    for part in parts:
        yield from _layers(part)


NOT_WANTED: Never = cast(Never, None)
"""What `backward` returns for a gradient that was not wanted: Never, so that nobody need ask if one is there."""


def backward(layer: Layer, grad_output: Tensor, needs_input_grad: bool) -> Any:
    """Return `layer.backward(grad_output)`, or NOT_WANTED; a layer without the keyword computes it all the same."""
    if needs_input_grad:
        return layer.backward(grad_output)
    if takes_needs_input_grad(type(layer).backward):
        return layer.backward(grad_output, needs_input_grad=False)  # type: ignore[call-arg]
    layer.backward(grad_output)
    return NOT_WANTED


def gradients(returned: Any) -> tuple[Any, ...]:
    """Return the gradients of inputs that a backward has returned."""
    return returned if isinstance(returned, tuple) else (returned,)


@cache
def takes_needs_input_grad(backward: Callable[..., Tensor]) -> bool:
    """Return whether a layer's backward has the keyword."""
    return "needs_input_grad" in inspect.signature(backward).parameters


def accumulate(parameter: Tensor, grad: Tensor) -> None:
    """Add `grad` to `parameter.grad`: a parameter that is used twice gets the sum of both gradients.

    ValueError if the shapes differ.
    """
    if grad.shape != parameter.shape:
        shapes = f"the gradient has the shape {tuple(grad.shape)}, its parameter {tuple(parameter.shape)}"
        what = "transpose it" if grad.shape == parameter.shape[::-1] else "sum over what the parameter has no axis for"
        raise ValueError(f"{shapes}: {what}")
    if grad.stride() != parameter.stride():
        # Fused optimizers go through both in the order of memory, and look at no strides.
        grad = torch.empty_like(parameter, dtype=grad.dtype).copy_(grad)
    parameter.grad = grad if parameter.grad is None else parameter.grad + grad


def require_same_shape(**shapes: tuple[int, ...]) -> None:
    """Raise ValueError, naming the shapes, unless all are equal: broadcasting would make them so silently."""
    if len({tuple(shape) for shape in shapes.values()}) > 1:
        named = " and ".join(f"{name} of shape {tuple(shape)}" for name, shape in shapes.items())
        raise ValueError(f"{named} must have the same shape: broadcasting would silently pair up the wrong entries")


def as_function(layer: Layer) -> Callable[..., Tensor]:
    """Return `layer` as a differentiable torch function of its inputs.

    What `backward` returns are the gradients of the first inputs that hold real numbers; the others get none. The
    parameters are made to require a gradient, as those of a torch module do; autograd adds to their `.grad`.
    """
    parameters = [parameter.requires_grad_() for parameter in layer.parameters()]

    def function(*inputs: Tensor) -> Tensor:
        output: Tensor = _LayerFunction.apply(layer, len(inputs), *inputs, *parameters)  # type: ignore[no-untyped-call]
        return output

    return function


class _LayerFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, layer: Layer, inputs: int, *tensors: Tensor) -> Tensor:
        # A copy, sharing the parameters, for each call: the layer may stand in several places of the graph.
        ctx.layer, ctx.real = copy.copy(layer), [tensor.is_floating_point() for tensor in tensors[:inputs]]
        output: Tensor = ctx.layer(*tensors[:inputs])
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        # The layer adds to .grad, but autograd wants the gradients returned and adds them itself.
        parameters = tuple(ctx.layer.parameters())
        before = [parameter.grad for parameter in parameters]
        for parameter in parameters:
            parameter.grad = None
        wanted = any(ctx.needs_input_grad[2 : 2 + len(ctx.real)])
        returned = [*gradients(backward(ctx.layer, grad_output, wanted))]
        grads = [parameter.grad for parameter in parameters]
        for parameter, grad in zip(parameters, before, strict=True):
            parameter.grad = grad
        if any(grad is not None for grad in returned[sum(ctx.real) :]):
            name, real = type(ctx.layer).__name__, sum(ctx.real)
            raise ValueError(f"{name}.backward returns {len(returned)} gradients, and {real} inputs hold real numbers")
        return None, None, *(returned.pop(0) if is_real and returned else None for is_real in ctx.real), *grads


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version
