"""Losses: a scalar from a prediction and a target. Derived in posts/mse."""

from torch import Tensor

from handgrad.layer import Layer, require_same_shape


class MSELoss(Layer):
    """Mean squared error L = Σ (Y − T)² / N.   dL/dY = 2 (Y − T) / N.

    Y (input, the prediction) and T (target) have one and the same shape; N is
    the number of its entries, rows times columns. The target gets no gradient.
    The loss of an empty batch is nan, as in torch.
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """(*), (*) -> (); ValueError if the shapes differ."""
        require_same_shape(input=input.shape, target=target.shape)
        difference = input - target
        self.save_for_backward(difference)
        return (difference**2).mean()

    def backward(self, grad_output: Tensor | float = 1.0) -> Tensor:
        """() -> (*); grad_output is 1 if the program ends with the loss."""
        (difference,) = self.saved_tensors
        shape = getattr(grad_output, "shape", ())
        require_same_shape(grad_output=shape, loss=())
        return grad_output * 2 * difference / difference.numel()
