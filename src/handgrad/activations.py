"""Activations: functions of each entry on its own. Derived in posts/relu and posts/chain-rule."""

from torch import Tensor

from handgrad.layer import Layer, require_same_shape


class ReLU(Layer):
    """Rectifier Y = max(X, 0), entrywise.   dL/dX = G where X > 0, else 0.

    G = dL/dY. X has any shape. At X = 0, where there is no derivative, the
    gradient is 0, as that of `torch.relu`. An infinite G stays visible: it
    is multiplied by 0 where X < 0, which gives nan.
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
        # The slope is the sign of the output, 1 or 0. `torch.where` is many
        # times slower, as it decides for each entry, and needs a mask.
        return output.sign().mul_(grad_output)


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
