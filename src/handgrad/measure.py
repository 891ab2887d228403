"""Times, taken in turn, and memory of functions that compute the same."""

import math
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from timeit import Timer
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.weak import WeakIdKeyDictionary


@dataclass(frozen=True)
class Cost:
    """What one function took: seconds, one for each call, and bytes."""

    seconds: tuple[float, ...]
    peak_memory: int

    @property
    def median(self) -> float:
        """The median of the times, in seconds."""
        return median(self.seconds)

    @property
    def best(self) -> float:
        """The shortest of the times, in seconds: the least disturbed one, as disturbances only add time."""
        return min(self.seconds)


@dataclass(frozen=True, repr=False)
class Comparison:
    """What each of several functions took, by name; shown as a Markdown table, with times in `.timing` spans."""

    costs: Mapping[str, Cost]

    def __getitem__(self, name: str) -> Cost:
        return self.costs[name]

    def ratio(self, name: str) -> float:
        """Return by what factor the function's median time exceeds that of the fastest: 1 if both are 0, or inf."""
        own, fastest = self[name].median, min(cost.median for cost in self.costs.values())
        if own == fastest:
            return 1.0
        return own / fastest if fastest else math.inf

    def _repr_markdown_(self) -> str:
        head = "| Function | Median time | Ratio to fastest | Peak memory |\n|:--|--:|--:|--:|"
        return "\n".join([head, *(self._row(name, cost) for name, cost in self.costs.items())])

    # Plain text stands beside the table in a saved notebook, and has its times marked too.
    __repr__ = _repr_markdown_

    def _row(self, name: str, cost: Cost) -> str:
        # Padded: pandoc lays a table out by the length of its source, which must not depend on a measurement.
        times = [timing(text).ljust(18) for text in (duration(cost.median), _three_digits(self.ratio(name)))]
        plain = name.replace("|", r"\|")
        return f"| {plain} | {times[0]} | {times[1]} | {memory(cost.peak_memory)} |"


def compare(
    functions: Mapping[str, Callable[[], object]], repeats: int = 20, clock: Callable[[], float] = perf_counter
) -> Comparison:
    """Time each function `repeats` times and count the memory of the tensors it makes.

    Each is called once before anything is timed. Then all are called in turn, `repeats` rounds of them, so that a
    machine that slows down slows all alike, with Python's garbage collector off, as in `timeit`. Memory is counted by
    `peak_memory` in a call of its own. `clock` gives seconds. A function that only starts work elsewhere, as on a GPU,
    must itself wait for the end of it. Raises ValueError if there is nothing to time.
    """
    if not functions or repeats < 1:
        raise ValueError(f"nothing to time: {len(functions)} functions, {repeats} repeats")
    for function in functions.values():
        function()
    timers = {name: Timer(function, timer=clock) for name, function in functions.items()}
    rounds = [[timer.timeit(number=1) for timer in timers.values()] for _ in range(repeats)]
    seconds = zip(*rounds, strict=True)
    pairs = zip(functions.items(), seconds, strict=True)
    return Comparison({name: Cost(times, peak_memory(function)) for (name, function), times in pairs})


def peak_memory(function: Callable[[], object]) -> int:
    """Return the most bytes of tensors that `function` makes and that are alive at once, on any device.

    Exact for what torch's operators return and autograd keeps: a storage counts once however many views it has, from
    the operator that makes it until its last owner is gone; storages that were there before do not count. On the `meta`
    device nothing is allocated and the count is the same. What it cannot see: scratch memory within an operator, what
    an allocator rounds up or keeps, storages that are resized, sparse tensors, tensors made of Python numbers or numpy
    arrays, and memory that is not torch's.
    """
    mode = _MemoryMode()
    with mode:
        function()
    return mode.peak


class _MemoryMode(TorchDispatchMode):
    """Counts the bytes of the storages that are alive: 0 for those that were there before."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.added: MutableMapping[torch.UntypedStorage, int] = WeakIdKeyDictionary()
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for storage in _storages((args, kwargs)):
            self.added.setdefault(storage, 0)
        result = func(*args, **(kwargs or {}))
        for storage in _storages(result):
            self.added.setdefault(storage, storage.nbytes())
        self.peak = max(self.peak, sum(self.added.values()))
        return result


def _storages(values: Any) -> Iterator[torch.UntypedStorage]:
    for value in tree_iter(values):
        if isinstance(value, Tensor) and value.layout is torch.strided:
            yield value.untyped_storage()


def timing(text: str) -> str:
    """Return Markdown that marks `text` as measured: it may differ between two renders of a page."""
    return f"[{text}]{{.timing}}"


def duration(seconds: float) -> str:
    """Return seconds as text, in a fitting unit."""
    return _in_units(seconds, {"h": 3600, "min": 60, "s": 1, "ms": 1e-3, "µs": 1e-6})


def memory(count: int) -> str:
    """Return bytes as text, in a fitting decimal unit."""
    return _in_units(count, {"GB": 1e9, "MB": 1e6, "kB": 1e3, "bytes": 1})


def _in_units(value: float, units: Mapping[str, float]) -> str:
    # Rounded first: 0.9999 s is 1 s, and not 1000 ms.
    rounded = _rounded(value)
    unit = next((unit for unit, scale in units.items() if rounded >= scale), [*units][-1])
    return f"{_three_digits(rounded / units[unit])} {unit}"


def _three_digits(value: float) -> str:
    # Of a rounded number this format writes 1000, and not 1e+03.
    return f"{_rounded(value):g}"


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
