"""How long each derivation takes, for all shapes at once, how long the programs
that are derived take to run, a pass through the layers, and a website. Run: make bench."""

import time

import bench_derive
import bench_layers
import bench_programs
import bench_render
from test_derivations import FUNCTIONS, Function

from handgrad.symbolic import vjp


def seconds(function: Function) -> float:
    """Derive all gradients of one function."""
    start = time.perf_counter()
    for entry in function.wrt:
        vjp(function.output, entry.base)
    return time.perf_counter() - start


if __name__ == "__main__":
    taken = {name: seconds(function) for name, function in FUNCTIONS.items()}
    total = sum(taken.values())
    for name, duration in sorted(taken.items(), key=lambda item: -item[1]):
        print(f"{name:32} {len(FUNCTIONS[name].wrt)} gradients {duration:7.3f} s  {duration / total:4.0%}")
    print(f"{'all':32} {sum(len(f.wrt) for f in FUNCTIONS.values())} gradients {total:7.3f} s")
    print()
    bench_derive.main()
    print()
    bench_programs.main()
    print()
    bench_layers.main()
    print()
    bench_render.main()
