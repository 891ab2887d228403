"""Words that make an array of sizes alone, `arange(n)`: torch's own would want numbers for these while one traces."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import sympy
from sympy import KroneckerDelta

from handgrad.symbolic.arrays import WORDS, SymbolicArray, as_array
from handgrad.symbolic.axes import expand, spread
from handgrad.symbolic.run import Run

_RUNS: list[Run] = []


def _run() -> Run:
    if not _RUNS:
        raise ValueError("arrays are made of sizes in a function that is traced: call this in one, with torch's words")
    return _RUNS[-1]


def arange(start: Any, end: Any = None, **_: Any) -> SymbolicArray:
    """Return the whole numbers from one on, 0 if one bound is given, to another."""
    first, last = (0, start) if end is None else (start, end)
    axis = _run().axis(sympy.sympify(last) - first)
    return SymbolicArray(_run(), (axis,), first + sympy.Add(*axis), sympy.sympify(last) if first == 0 else None)


def full(size: Any, fill_value: Any, **_: Any) -> SymbolicArray:
    """Return an array of one number."""
    return expand(as_array(_run(), fill_value), [sympy.sympify(extent) for extent in size])


def zeros(*size: Any, **_: Any) -> SymbolicArray:
    """Return an array of zeros."""
    return full(spread(size), 0)


def ones(*size: Any, **_: Any) -> SymbolicArray:
    """Return an array of ones."""
    return full(spread(size), 1)


def eye(n: Any, **_: Any) -> SymbolicArray:
    """Return the identity matrix."""
    (row,), (column,) = _run().axis(sympy.sympify(n)), _run().axis(sympy.sympify(n))
    return SymbolicArray(_run(), ((row,), (column,)), KroneckerDelta(row, column))


def zeros_like(input: SymbolicArray, **_: Any) -> SymbolicArray:
    """Return zeros of an array's shape."""
    return zeros(input.shape)


def ones_like(input: SymbolicArray, **_: Any) -> SymbolicArray:
    """Return ones of an array's shape."""
    return ones(input.shape)


_WORDS: tuple[Callable[..., SymbolicArray], ...] = (arange, full, zeros, ones, eye, zeros_like, ones_like)
WORDS.update((word.__name__, word) for word in _WORDS)
# Torch's own would want numbers for sizes, before they ask what their arrays are.
_INSTEAD = {
    "torch": ("arange", "full", "zeros", "ones", "eye", "reshape", "unflatten", "narrow"),
    "torch.nn.functional": ("conv1d", "conv2d", "avg_pool1d", "avg_pool2d", "one_hot"),
}


@contextmanager
def making(run: Run) -> Iterator[None]:
    """Put these words in the place of torch's while a function is traced, as far as torch is imported."""
    modules = [(sys.modules[name], word) for name, words in _INSTEAD.items() for word in words if name in sys.modules]
    own = [(module, word, getattr(module, word)) for module, word in modules]
    _RUNS.append(run)
    try:
        for module, word in modules:
            setattr(module, word, WORDS[word])
        yield
    finally:
        for module, word, function in own:
            setattr(module, word, function)
        _RUNS.pop()
