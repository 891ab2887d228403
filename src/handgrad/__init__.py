"""Backpropagation derived by machine, written by hand, and checked against autograd."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from handgrad.activations import Exp as Exp
    from handgrad.activations import ReLU as ReLU
    from handgrad.data import mnist as mnist
    from handgrad.definitions import check_definition as check_definition
    from handgrad.layer import Layer as Layer
    from handgrad.layer import Sequential as Sequential
    from handgrad.layer import accumulate as accumulate
    from handgrad.layer import as_function as as_function
    from handgrad.linear import Linear as Linear
    from handgrad.losses import MSELoss as MSELoss
    from handgrad.measure import compare as compare
    from handgrad.statements import StatementError as StatementError
    from handgrad.statements import says as says
    from handgrad.testing import CheckError as CheckError
    from handgrad.testing import Receipt as Receipt
    from handgrad.testing import check_layer as check_layer

_HOME = {
    "CheckError": "testing",
    "Exp": "activations",
    "Layer": "layer",
    "Linear": "linear",
    "MSELoss": "losses",
    "ReLU": "activations",
    "Receipt": "testing",
    "Sequential": "layer",
    "StatementError": "statements",
    "accumulate": "layer",
    "as_function": "layer",
    "check_definition": "definitions",
    "check_layer": "testing",
    "compare": "measure",
    "mnist": "data",
    "says": "statements",
}


def __dir__() -> list[str]:
    return sorted(_HOME)


if not TYPE_CHECKING:  # A type checker would take every name to exist.

    def __getattr__(name: str) -> Any:
        # Imported on first use: `handgrad.symbolic` must also run where there is no torch.
        if name not in _HOME:
            raise AttributeError(f"module 'handgrad' has no attribute {name!r}")
        return getattr(import_module(f"handgrad.{_HOME[name]}"), name)
