"""How long a pass through a model takes, and how much memory, against autograd and bare products. Run: make bench."""

import datetime
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from handgrad import Linear, MSELoss, ReLU, Sequential
from handgrad.measure import duration, memory, peak_memory

Pass = Callable[[], object]
HEAD = "| Model | Pass | Time | × autograd | × products | Work: × autograd | × products | Tensors | Process |"


class Taken(NamedTuple):
    """Seconds that a pass took: by the clock, and of all processors together."""

    clock: float
    work: float


# Rows, features, units, outputs; how often it is timed, and how many passes are timed together.
MODELS = {
    (50_000, 784, 50, 1): (30, 1),
    (64, 784, 50, 1): (100, 20),
    (1_024, 512, 512, 10): (100, 2),
}


def passes(sizes: tuple[int, int, int, int], device: str) -> dict[str, Pass]:
    """Return forward and backward of a model with a loss, by autograd and by hand, and its two large products."""
    rows, features, units, outputs = sizes
    torch.manual_seed(0)
    first, last = Linear(features, units, device=device), Linear(units, outputs, device=device)
    theirs = torch.nn.Sequential(first.to_torch(), torch.nn.ReLU(), last.to_torch())
    ours, loss = Sequential(first, ReLU(), last), MSELoss()
    input, target = torch.randn(rows, features, device=device), torch.randn(rows, outputs, device=device)

    def autograd() -> None:
        theirs.zero_grad()
        torch.autograd.backward(functional.mse_loss(theirs(input), target))

    def by_hand(needs_input_grad: bool) -> None:
        for parameter in ours.parameters():
            parameter.grad = None
        loss(ours(input), target)
        ours.backward(loss.backward(), needs_input_grad)

    def products() -> tuple[Tensor, Tensor]:
        hidden = input @ first.weight
        return hidden, input.T @ hidden

    return {
        "two products": products,
        "autograd": autograd,
        "handgrad": lambda: by_hand(needs_input_grad=False),
        "and dL/dX": lambda: by_hand(needs_input_grad=True),
    }


def times(functions: Mapping[str, Pass], repeats: int, together: int, device: str) -> dict[str, list[Taken]]:
    """Time all functions in turn: other work on the machine slows all that is in a round alike."""
    taken: dict[str, list[Taken]] = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in range(repeats):
        for name, function in functions.items():
            finish(device)
            start = time.perf_counter(), time.process_time()
            for _ in range(together):
                function()
            finish(device)
            end = time.perf_counter(), time.process_time()
            taken[name].append(Taken(*((b - a) / together for a, b in zip(start, end, strict=True))))
    return taken


def finish(device: str) -> None:
    """Wait for what was only started."""
    if device == "cuda":
        torch.cuda.synchronize()


def process_memory(sizes: tuple[int, int, int, int], device: str, name: str) -> int:
    """Return the most bytes that a pass takes, by CUDA's count, or of a process that runs nothing else."""
    if device == "cuda":
        function = passes(sizes, device)[name]
        function()
        torch.cuda.reset_peak_memory_stats()
        function()
        return torch.cuda.max_memory_allocated()
    command = [sys.executable, __file__, name, *map(str, sizes)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def resident(name: str, *sizes: str) -> int:
    """Run one of the passes three times, and return the most memory that this process ever had, as Linux tells it."""
    rows, features, units, outputs = map(int, sizes)
    function = passes((rows, features, units, outputs), "cpu")[name]
    for _ in range(3):
        function()
    # Not getrusage: it starts from what the parent had.
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return 1024 * int(kilobytes)


def processor() -> str:
    """Return the name of the processor."""
    named = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return named[1] if named else platform.machine()


def shown(sizes: tuple[int, int, int, int]) -> str:
    """Return the sizes of a model, as the table tells them."""
    return f"{sizes[0]:,} × {' → '.join(f'{size:,}' for size in sizes[1:])}"


def main() -> None:
    """Print a table in Markdown; a ratio is the median of those of the rounds."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    name = torch.cuda.get_device_name() if device == "cuda" else f"{processor()}, {torch.get_num_threads()} threads"
    print(f"{datetime.date.today()}, {name}, torch {torch.__version__.partition('+')[0]}:\n")
    print(f"{HEAD}\n|:--|:--|--:|--:|--:|--:|--:|--:|--:|")
    for sizes, (repeats, together) in MODELS.items():
        functions = passes(sizes, device)
        taken = times(functions, repeats, together, device)
        for name, function in functions.items():
            ratios = [
                median(own[at] / other[at] for own, other in zip(taken[name], taken[base], strict=True))
                for at in range(2)
                for base in ("autograd", "two products")
            ]
            cells = [
                shown(sizes),
                name,
                duration(median(each.clock for each in taken[name])),
                *(f"{ratio:.2f}" for ratio in ratios),
                memory(peak_memory(function)),
                memory(process_memory(sizes, device, name)),
            ]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    if arguments := sys.argv[1:]:
        print(resident(*arguments))
    else:
        main()
