"""Memory is counted to the byte, times are reduced to a median, and what is measured is marked."""

import math
import re
from collections.abc import Callable
from functools import partial
from itertools import count

import pypandoc
import pytest
import torch

from handgrad.measure import Comparison, Cost, compare, duration, memory, peak_memory, timing

n, p, q = 7, 5, 3
X, G = torch.ones(n, p, dtype=torch.float64), torch.ones(n, q, dtype=torch.float64)
Y, EYE = torch.empty_like(X), torch.eye(n, dtype=torch.float64).to_sparse()
BYTES = 8


def let_go_of_each() -> None:
    for _ in range(4):
        X.exp()


def keep_four() -> list[torch.Tensor]:
    return [X.exp() for _ in range(4)]


def keep_only_views() -> tuple[torch.Tensor, torch.Tensor]:
    row = X.exp()[0]
    return X.exp(), row


def keep_only_the_storage() -> tuple[torch.Tensor, torch.UntypedStorage]:
    storage = X.exp().untyped_storage()
    return X.exp(), storage


def exp_and_sum(input: torch.Tensor) -> torch.Tensor:
    return input.exp().sum().add(1)


MEMORY: dict[str, tuple[Callable[[], object], int]] = {
    "outer products, then their sum": (lambda: (X[:, :, None] * G[:, None, :]).sum(0), n * p * q + p * q),
    "matrix product": (lambda: X.T @ G, p * q),
    "einsum": (lambda: torch.einsum("ir,is->rs", X, G), p * q),
    "views of what was there": (lambda: (X.T, X[2:], X.reshape(-1), X.expand(9, n, p), X.detach()), 0),
    "in place, in what was there": (lambda: X.mul_(1), 0),
    "in place, in a copy": (lambda: X.clone().mul_(2).add_(1), n * p),
    "a copy made by reshape": (lambda: X.T.reshape(-1), n * p),
    "tensors freed before the next": (let_go_of_each, n * p),
    "tensors kept": (keep_four, 4 * n * p),
    "tensors of which a view is kept": (keep_only_views, 2 * n * p),
    "tensors of which the storage is kept": (keep_only_the_storage, 2 * n * p),
    "a chain without gradients": (lambda: exp_and_sum(X), n * p + 1),
    "a chain that saves for autograd": (lambda: exp_and_sum(X.clone().requires_grad_()), n * p + n * p + 1 + 1),
    "several results of one operator": (lambda: torch.linalg.qr(X), n * p + p * p),
    "the output is given, and was there": (lambda: torch.exp(X, out=Y), 0),
    "a sparse tensor, of which nothing is seen": (lambda: EYE.neg(), 0),
    "a tensor that is neither used nor kept": (lambda: torch.zeros(n, dtype=torch.float64), n),
}


@pytest.mark.parametrize("name", MEMORY)
def test_peak_memory_is_counted_to_the_byte(name: str) -> None:
    function, numbers = MEMORY[name]
    assert peak_memory(function) == numbers * BYTES


def test_backward_frees_what_autograd_saved() -> None:
    leaf = X.clone().requires_grad_()

    def forward_and_backward() -> object:
        torch.autograd.backward(exp_and_sum(leaf))
        leaf.grad = None
        return keep_four()

    assert peak_memory(forward_and_backward) == 4 * n * p * BYTES


def test_memory_that_was_there_and_is_freed_is_not_subtracted() -> None:
    held = [X.clone()]

    def free_and_make() -> torch.Tensor:
        held[0].neg()
        held.clear()
        return X.clone()

    assert peak_memory(free_and_make) == n * p * BYTES


def test_on_the_meta_device_the_count_is_that_of_sizes_no_machine_has() -> None:
    x, g = (torch.empty(50_000, width, device="meta") for width in (784, 50))
    products = peak_memory(lambda: (x[:, :, None] * g[:, None, :]).sum(0))
    assert products == 4 * (50_000 * 784 * 50 + 784 * 50)


def test_the_count_of_one_function_knows_nothing_of_another() -> None:
    first = peak_memory(keep_four)
    peak_memory(lambda: X.expand(9, n, p).clone())
    assert peak_memory(keep_four) == first


def test_functions_are_called_once_and_then_timed_in_turn() -> None:
    calls: list[str] = []
    ticks = count()

    def tick() -> int:
        calls.append("tick")
        return next(ticks)

    compare({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repeats=2, clock=tick)
    a, b = ["tick", "a", "tick"], ["tick", "b", "tick"]
    assert calls == ["a", "b", *a, *b, *a, *b, "a", "b"]


class Clock:
    """A clock on which each function takes the times it is given, after one call that is not timed."""

    def __init__(self, **times: list[float]) -> None:
        self.now, self.times = 0.0, {name: iter([1000.0, *given, 1000.0]) for name, given in times.items()}
        self.functions = {name: partial(self.pass_by, name) for name in times}

    def pass_by(self, name: str) -> None:
        self.now += next(self.times[name])

    def __call__(self) -> float:
        return self.now


def test_the_median_is_compared_and_one_slow_call_changes_nothing() -> None:
    clock = Clock(slow=[6.0, 5.0, 90.0], fast=[3.0, 2.0, 1.0])
    costs = compare(clock.functions, repeats=3, clock=clock)
    assert costs["slow"].seconds == (6.0, 5.0, 90.0)
    assert (costs["slow"].median, costs["slow"].best, costs.ratio("slow")) == (6.0, 5.0, 3.0)
    assert (costs["fast"].median, costs["fast"].best, costs.ratio("fast")) == (2.0, 1.0, 1.0)


def test_times_too_short_for_the_clock_are_shown() -> None:
    costs = Comparison({"a": Cost((0.0,), 0), "b": Cost((0.0, 1.0), 0), "c": Cost((0.0,), 0)})
    assert [costs.ratio(name) for name in "abc"] == [1, math.inf, 1]
    assert "| a | [0 µs]{.timing}    | [1]{.timing}       |" in costs._repr_markdown_()
    assert "| b | [500 ms]{.timing}  | [inf]{.timing}     |" in costs._repr_markdown_()


def test_a_name_may_hold_what_separates_the_cells_of_a_table() -> None:
    html = pypandoc.convert_text(Comparison({"a|b": Cost((1.0,), 784)})._repr_markdown_(), "html", "markdown")
    assert re.findall(r"<td[^>]*>(.*?)</td>", html) == [
        "a|b", '<span class="timing">1 s</span>', '<span class="timing">1</span>', "784 bytes",
    ]  # fmt: skip


def test_memory_and_time_are_of_the_same_function() -> None:
    costs = compare({"four": keep_four, "one": let_go_of_each}, repeats=1)
    assert [costs[name].peak_memory for name in ("four", "one")] == [4 * n * p * BYTES, n * p * BYTES]


@pytest.mark.parametrize(("functions", "repeats"), [({}, 1), ({"a": keep_four}, 0)])
def test_nothing_to_time_is_an_error(functions: dict[str, Callable[[], object]], repeats: int) -> None:
    with pytest.raises(ValueError, match="nothing to time"):
        compare(functions, repeats)


def test_a_function_that_raises_is_not_timed() -> None:
    with pytest.raises(ZeroDivisionError):
        compare({"wrong": lambda: 1 / 0})


def test_two_tables_differ_in_marked_times_alone_and_are_laid_out_alike() -> None:
    tables = [
        Comparison({"a": Cost((1.0,), 784), "b": Cost((slow,), 7_840_156_800)})._repr_markdown_()
        for slow in (2.0, 999.4e-6)
    ]
    unmarked = [re.sub(r"\[[^]]*\]\{\.timing\} *", "", table) for table in tables]
    assert unmarked[0] == unmarked[1]
    assert "| a | | | 784 bytes |\n| b | | | 7.84 GB |" in unmarked[0]
    assert [*map(len, tables[0].splitlines())] == [*map(len, tables[1].splitlines())]
    assert "| a | [1 s]{.timing}     | [1]{.timing}       |" in tables[0]
    assert "[999 µs]{.timing}" in tables[1]


def test_plain_text_is_the_table_too_so_that_a_saved_notebook_marks_every_time() -> None:
    costs = Comparison({"a": Cost((1.0,), 784)})
    assert repr(costs) == costs._repr_markdown_()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (7200, "2 h"), (3599, "1 h"), (3500, "58.3 min"), (100, "1.67 min"), (59.96, "1 min"), (59.94, "59.9 s"),
        (12.3456, "12.3 s"), (1.0, "1 s"), (0.9999, "1 s"), (0.9994, "999 ms"), (0.0123, "12.3 ms"),
        (999.9e-6, "1 ms"), (4.5678e-6, "4.57 µs"), (1e-9, "0.001 µs"), (0.0, "0 µs"), (5e6, "1390 h"),
    ],
)  # fmt: skip
def test_a_time_has_three_digits_and_the_unit_that_fits_it_when_rounded(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"), (999, "999 bytes"), (1000, "1 kB"), (156_800, "157 kB"), (999_499, "999 kB"),
        (999_999, "1 MB"), (321_126_400, "321 MB"), (1_234_567_890_123, "1230 GB"),
    ],
)  # fmt: skip
def test_memory_has_three_digits_and_the_unit_that_fits_it_when_rounded(count: int, text: str) -> None:
    assert memory(count) == text


def test_what_is_measured_is_marked() -> None:
    assert timing("1 s") == "[1 s]{.timing}"
