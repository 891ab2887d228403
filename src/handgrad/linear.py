"""The affine layer. Derived in posts/linear."""

from collections.abc import Iterator

import torch
from torch import Tensor

from handgrad.layer import NOT_WANTED, Layer, accumulate, require_same_shape


class Linear(Layer):
    """Affine map Y = X W + b.   dL/dX = G Wᵀ,   dL/dW = Xᵀ G,   dL/db = Σₙ Gₙ.

    G = dL/dY. X is (*, in_features), weight (in_features, out_features), bias
    (out_features,). `*` is any number of batch dimensions; Σₙ runs over all.
    Starts like `torch.nn.Linear`: uniform in ±1/√in_features.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        """Draw weight and bias."""
        bound = in_features**-0.5
        weight = torch.empty(in_features, out_features, dtype=dtype, device=device)
        bias = torch.empty(out_features, dtype=dtype, device=device)
        self.weight, self.bias = weight.uniform_(-bound, bound), bias.uniform_(-bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        """(*, in_features) -> (*, out_features)."""
        self.save_for_backward(input, self.weight)
        return input @ self.weight + self.bias

    def backward(self, grad_output: Tensor, needs_input_grad: bool = True) -> Tensor:
        """(*, out_features) -> (*, in_features); adds to both `.grad`s."""
        input, weight = self.saved_tensors
        output_shape = (*input.shape[:-1], weight.shape[1])
        require_same_shape(grad_output=grad_output.shape, output=output_shape)
        X = input.reshape(-1, weight.shape[0])
        G = grad_output.reshape(-1, weight.shape[1])
        accumulate(self.weight, X.T @ G)
        accumulate(self.bias, G.sum(0))
        return grad_output @ weight.T if needs_input_grad else NOT_WANTED

    def parameters(self) -> Iterator[Tensor]:
        """Yield weight, then bias."""
        yield from (self.weight, self.bias)

    @classmethod
    def from_torch(cls, module: torch.nn.Linear) -> "Linear":
        """Copy a `torch.nn.Linear`, whose weight is (out_features, in_features)."""
        if module.bias is None:
            raise ValueError("Linear always has a bias; this torch.nn.Linear was made with bias=False")
        layer = cls(module.in_features, module.out_features)
        layer.weight = module.weight.detach().T.clone(memory_format=torch.contiguous_format)
        layer.bias = module.bias.detach().clone()
        return layer

    def to_torch(self) -> torch.nn.Linear:
        """Copy to a `torch.nn.Linear`."""
        module = torch.nn.Linear(*self.weight.shape).to(self.weight)
        with torch.no_grad():
            module.weight.copy_(self.weight.T)
            module.bias.copy_(self.bias)
        return module
