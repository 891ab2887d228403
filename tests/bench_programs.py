"""How long forward and backward of functions take, as compiled and as a layer, against autograd. Run: make bench."""

import inspect
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any, NamedTuple

import torch
from functions import FUNCTIONS
from torch import Tensor

from handgrad.measure import Comparison, compare, duration, memory
from handgrad.symbolic import derive

Pass = Callable[[], object]
REPEATS = 30
# 64 rows of 256, but where other sizes are ordinary.
ORDINARY = {"n": 64, "1": 1}
SIZES = {
    "attention": {"n": 256, "m": 256, "d": 64, "v": 64},
    "batched_attention": {"b": 4, "h": 8, "n": 128, "m": 128, "d": 64, "v": 64},
    "biased_attention": {"n": 256, "d": 64},
    "multi_head": {"n": 256, "h": 8, "c": 32},
    "group_norm": {"g": 8, "c": 32},
    "embedding": {"v": 10_000},
    "bag_of_words": {"v": 10_000},
    "distances": {"m": 64},
    "pairs": {"n": 256},
    "lower": {"n": 256},
    "symmetric": {"n": 256},
    "convolution": {"c": 16, "l": 128, "o": 32, "k": 5},
    "dilated_convolution": {"n": 16, "c": 8, "h": 32, "w": 32, "o": 16, "k": 3, "l": 3},
}


class Taken(NamedTuple):
    """What one function took, by name of the way it was computed."""

    name: str
    costs: Comparison

    def seconds(self, way: str) -> float:
        """Return how many times autograd's a way takes: the median over rounds in turn."""
        pairs = zip(self.costs[way].seconds, self.costs["autograd"].seconds, strict=True)
        return median(own / other for own, other in pairs)

    def bytes(self, way: str) -> float:
        """Return how many times the memory of autograd a way takes."""
        return self.costs[way].peak_memory / max(self.costs["autograd"].peak_memory, 1)


def tensors(axes: dict[str, str], sizes: dict[str, int]) -> dict[str, Tensor]:
    """Return random numbers in float32, and random places, for what a function is given."""
    generator = torch.Generator().manual_seed(0)
    found = {}
    for name, text in axes.items():
        letters, _, below = text.partition("->")
        shape = [sizes[letter] for letter in letters.split()]
        if below:
            found[name] = torch.randint(sizes[below.strip()], shape, generator=generator)
        else:
            found[name] = torch.randn(shape, generator=generator) / max(shape[-1:] or [1]) ** 0.5
    return found


def passes(name: str) -> dict[str, Pass]:
    """Return forward and backward of a function: by autograd, compiled, and as a layer."""
    function, written = FUNCTIONS[name]
    axes = dict(zip(inspect.signature(function).parameters, written, strict=True))
    letters = {letter for text in written for letter in text.replace("->", " ").split()}
    sizes = dict.fromkeys(letters, 256) | ORDINARY | SIZES.get(name, {})
    given = tensors(axes, sizes)
    leaves = {key: value.clone().requires_grad_(value.is_floating_point()) for key, value in given.items()}
    real = [leaf for leaf in leaves.values() if leaf.requires_grad]
    G = torch.randn_like(function(**given))
    program = derive(function, **axes)
    compiled = program.compile()
    numbers = {key: value for key, value in (given | {"G": G}).items() if key in compiled.arrays}
    extents = {key: sizes[key] for key in compiled.sizes}
    namespace: dict[str, Any] = {}
    exec(program.layer("Generated"), namespace)
    layer = namespace["Generated"]()
    upstream = [G] if G.dim() else []

    def autograd() -> object:
        return torch.autograd.grad(function(**leaves), real, G)

    def as_layer() -> object:
        layer.forward(*given.values())
        gradients: object = layer.backward(*upstream)
        return gradients

    return {
        "autograd": autograd,
        "compiled": lambda: compiled(**numbers, **extents),
        "layer": as_layer,
    }


def main(*names: str) -> None:
    """Print a table in Markdown, the slowest first; times are those of all processors together."""
    found = [Taken(name, compare(passes(name), REPEATS, time.process_time)) for name in names or FUNCTIONS]
    print("| Function | autograd | × compiled | × layer | memory | × compiled | × layer |")
    print("|:--|--:|--:|--:|--:|--:|--:|")
    for taken in sorted(found, key=lambda taken: -max(map(taken.seconds, ("compiled", "layer")))):
        base, ways = taken.costs["autograd"], ("compiled", "layer")
        times, sizes = ([f"{of(way):.2f}" for way in ways] for of in (taken.seconds, taken.bytes))
        cells = [taken.name, duration(base.median), *times, memory(base.peak_memory), *sizes]
        print(f"| {' | '.join(cells)} |")
    middle = [
        f"{median(getattr(taken, what)(way) for taken in found):.2f}"
        for what in ("seconds", "bytes")
        for way in ("compiled", "layer")
    ]
    print(f"| median | | {' | '.join(middle[:2])} | | {' | '.join(middle[2:])} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
