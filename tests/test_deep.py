"""Definitions made of definitions, many deep: they derive within seconds, and their gradients are autograd's."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from sympy import Expr, Piecewise, tanh
from torch import Tensor

from handgrad.symbolic import Definition, Sum, array, define, indices, mean, vjp

i, k, other = indices("i:n k:q l:q")
X = array("X", i, k)


def relu(value: Expr) -> Expr:
    return Piecewise((value, value > 0), (0, True))


def network(depth: int) -> tuple[Definition, Any]:
    units: Any = X
    weights = [array(f"W{layer}", k, other) for layer in range(1, depth + 1)]
    for layer, weight in enumerate(weights, 1):
        scores = define(f"Z{layer}", Sum(units[i, other] * weight[other, k], other), i, k)
        units = define(f"R{layer}", relu(scores[i, k]), i, k)
    return define("L", mean(units[i, k] ** 2, i, k)), weights[0]


def recurrent(steps: int, function: Callable[[Expr], Expr]) -> tuple[Definition, Any]:
    weight, state = array("W1", k, other), array("H0", i, k)
    for step in range(1, steps + 1):
        mixed = Sum(state[i, other] * weight[other, k], other) + array(f"X{step}", i, k)[i, k]
        state = define(f"H{step}", function(mixed), i, k)
    return define("L", mean(state[i, k] ** 2, i, k)), weight


def by_torch(definition: str, given: dict[str, Tensor]) -> Tensor:
    if definition == "network":
        units = given["X"]
        for layer in range(1, 7):
            units = torch.relu(units @ given[f"W{layer}"])
        return units.square().mean()
    state = given["H0"]
    for step in range(1, 4):
        mixed = state @ given["W1"] + given[f"X{step}"]
        state = torch.tanh(mixed) if definition == "tanh" else torch.relu(mixed)
    return state.square().mean()


OUTPUTS = {"network": network(6), "tanh": recurrent(3, tanh), "relu": recurrent(3, relu)}


@pytest.mark.parametrize("name", OUTPUTS)
def test_gradients_through_many_definitions_are_autograds(name: str) -> None:
    output, weight = OUTPUTS[name]
    compiled = vjp(output, weight).compile()
    torch.manual_seed(0)
    shapes = {"W": (3, 3), "X": (5, 3), "H": (5, 3)}
    names = [*(f"W{layer}" for layer in range(1, 7)), "X", "X1", "X2", "X3", "H0"]
    given = {key: torch.randn(shapes[key[0]], dtype=torch.float64) for key in names}
    given["W1"].requires_grad_()
    (expected,) = torch.autograd.grad(by_torch(name, given), given["W1"])
    assert expected.any()
    available: dict[str, Any] = {key: value.detach() for key, value in given.items()} | {"n": 5, "q": 3}
    torch.testing.assert_close(
        compiled(**{key: available[key] for key in [*compiled.arrays, *compiled.sizes]}), expected
    )
