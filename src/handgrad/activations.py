"""Activations: functions of each entry on its own. Derived in posts/relu and posts/chain-rule."""

import torch
from torch import Tensor

from handgrad.layer import Layer, require_same_shape


class ReLU(Layer):
    """Rectifier Y = max(X, 0), entrywise.   dL/dX = G where X > 0, else 0.

    G = dL/dY. X has any shape. At X = 0, where there is no derivative, the
    gradient is 0, as that of `torch.relu`.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(*) -> (*)."""
        output = input.clamp(min=0)
        # Positive exactly where the input is, and the next layer keeps it
        # anyway: saving it costs no memory.
        self.save_for_backward(output)
        return output

    def backward(self, grad_output: Tensor) -> Tensor:
        """(*) -> (*)."""
        (output,) = self.saved_tensors
        require_same_shape(grad_output=grad_output.shape, output=output.shape)
        return torch.where(output > 0, grad_output, 0)


class Exp(Layer):
    """Exponential Y = exp(X), entrywise.   dL/dX = G exp(X) = G Y, entrywise.

    G = dL/dY. X has any shape.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(*) -> (*)."""
        output = input.exp()
        self.save_for_backward(output)
        return output

    def backward(self, grad_output: Tensor) -> Tensor:
        """(*) -> (*)."""
        (output,) = self.saved_tensors
        require_same_shape(grad_output=grad_output.shape, output=output.shape)
        return grad_output * output
