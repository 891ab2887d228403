"""Losses: a scalar from a prediction and a target. Derived in posts/mse."""

from torch import Tensor

from handgrad.layer import Layer, require_same_shape


class MSELoss(Layer):
    """Mean squared error L = Σ (X − T)² / N over all N entries.   dL/dX = 2 (X − T) / N, times grad_output.

    X (input) and T (target) are of one and the same shape; N is its number of entries, rows times columns. The target
    gets no gradient. An empty batch has loss nan, as in torch.
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """(*), (*) -> (); ValueError if the shapes differ."""
        require_same_shape(input=input, target=target)
        difference = input - target
        self.save_for_backward(difference)
        return (difference**2).mean()

    def backward(self, grad_output: Tensor | float = 1.0) -> Tensor:
        """() -> (*); grad_output is 1 where the loss is the end of the program."""
        (difference,) = self.saved_tensors
        return grad_output * 2 * difference / difference.numel()
