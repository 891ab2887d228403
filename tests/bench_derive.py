"""How long it takes to derive chains of layers, and a whole block, from their forwards. Run: make bench."""

import time
from collections.abc import Callable
from typing import Any

import torch
from functions import FUNCTIONS

from handgrad.symbolic import derive

LENGTHS = (1, 2, 4, 8, 16, 32, 64, 100)


def shared(length: int) -> dict[str, str]:
    """Return the axes of what a chain of layers with one weight is given."""
    return {"H": "n h", "W0": "h h", "b0": "h"}


def own(length: int) -> dict[str, str]:
    """Return the same where each layer has a weight and a bias of its own."""
    return {"H": "n h"} | {name: axes for at in range(length) for name, axes in ((f"W{at}", "h h"), (f"b{at}", "h"))}


def chain(length: int) -> Callable[..., Any]:
    """Return the forward of a chain of layers."""

    def forward(H: Any, **given: Any) -> Any:
        count = len(given) // 2
        for at in range(length):
            H = torch.tanh(H @ given[f"W{at % count}"] + given[f"b{at % count}"])
        return H

    return forward


def seconds(function: Callable[..., Any], axes: dict[str, str]) -> float:
    """Derive all gradients, and return the processor's seconds: others may be at work on the machine."""
    start = time.process_time()
    derive(function, **axes)
    return time.process_time() - start


def main() -> None:
    """Print a table in Markdown, and the times of the functions that are derived in the tests."""
    seconds(chain(2), own(2))
    print("| tanh layers | one weight | for each | a weight each | for each |\n|--:|--:|--:|--:|--:|")
    for length in LENGTHS:
        taken = [seconds(chain(length), axes(length)) for axes in (shared, own)]
        cells = (cell for each in taken for cell in (f"{each:.2f} s", f"{each / length:.3f} s"))
        print(f"| {length} | {' | '.join(cells)} |", flush=True)
    others = {}
    for name, (function, axes) in FUNCTIONS.items():
        names = function.__code__.co_varnames
        others[name] = seconds(function, dict(zip(names, axes, strict=False)))
    print(f"\n{'transformer_block':24}{others['transformer_block']:7.2f} s")
    longest = max(others, key=lambda name: others[name])
    print(f"{longest + ', the longest':24}{others[longest]:7.2f} s\n{'all functions':24}{sum(others.values()):7.2f} s")


if __name__ == "__main__":
    main()
