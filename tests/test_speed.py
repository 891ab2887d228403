"""What deriving costs: counted, not timed."""

import inspect
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

import handgrad.symbolic
from handgrad.symbolic import Definition, array, define, derive, indices, tanh
from handgrad.symbolic.definitions import in_order

pytestmark = pytest.mark.slow  # seldom breaks: not while one works

PACKAGE = os.path.dirname(handgrad.symbolic.__file__)


def calls(function: Callable[[], object]) -> int:
    """Return how many functions of the derivations' are called."""
    count = 0

    def counted(frame: Any, event: str, _: Any) -> None:
        nonlocal count
        count += event == "call" and frame.f_code.co_filename.startswith(PACKAGE)

    sys.setprofile(counted)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


def chain(count: int) -> list[Definition]:
    """Define one array after the other, each made of the one before."""
    (i,) = indices("i:n")
    steps = [define("y", 2 * array("x", i)[i], i)]
    for place in range(count):
        steps.append(define(f"y{place}", 2 * steps[-1][i], i))
    return steps


def layers(count: int) -> None:
    """Derive a chain of layers with one weight."""

    def forward(x: Any, w: Any) -> Any:
        for _ in range(count):
            x = w * tanh(x)
        return x

    derive(forward, x="n", w="n")


def test_a_definition_costs_the_same_however_much_it_is_made_of() -> None:
    (i,) = indices("i:n")
    short, long = (calls(partial(define, "z", 2 * chain(count)[-1][i], i)) for count in (10, 100))
    assert long == short


def test_a_step_more_costs_what_a_step_costs_however_many_there_are() -> None:
    layers(9)
    few, more, most = (calls(partial(layers, count)) for count in (3, 6, 9))
    assert most - more <= more - few


def test_a_chain_may_be_longer_than_python_calls_functions_in_each_other() -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 150)
    try:
        assert len(in_order(chain(200)[-1])) == 201
    finally:
        sys.setrecursionlimit(limit)
