"""What a wrong tensor looks like beside the right one: most mistakes leave that recognizable."""

from collections.abc import Iterator, Mapping
from itertools import chain, combinations

import torch
from torch import Tensor


def likeness(found: Tensor, expected: Tensor, counts: Mapping[str, int] | None = None) -> str:
    """Return a clause that says what `found` is, such as "it is the right one, divided by 15, the number of rows".

    `counts` names numbers that may stand as a factor ({"the number of rows": 15}). "" if nothing is recognized.
    """
    found, expected = (tensor.detach().to(torch.float64) for tensor in (found, expected))
    if not expected.any() or not (found.isfinite().all() and expected.isfinite().all()):
        return ""
    if found.shape != expected.shape:
        return next(_in_another_shape(found, expected), "")
    if not found.any():
        return "it is 0 everywhere" if found.ndim else ""
    factor = float((found * expected).sum() / (expected**2).sum())
    if same(found, factor * expected):
        return _times(factor, int(expected.count_nonzero()), counts or {})
    square = expected.ndim == 2 and expected.shape[0] == expected.shape[1]
    return "it is the right one, transposed" if square and same(found.T, expected) else ""


def where(found: Tensor, expected: Tensor, input: Tensor) -> str:
    """Return on which sides of 0 the input is where the tensors differ, "" if on all."""
    if not found.shape == expected.shape == input.shape:
        return ""
    wrong = ~torch.isclose(found.double(), expected.double(), rtol=1e-5, atol=1e-8)
    sides, every = ({*signs.int().tolist()} for signs in (input[wrong].sign(), input.sign().flatten()))
    names = [name for side, name in ((-1, "negative"), (0, "0"), (1, "positive")) if side in sides]
    # A lone entry may be at any side by chance, but 0 is rare; and at 0 much is right by chance.
    told = sides < every and (wrong.sum() > 1 or sides == {0}) and sides != {-1, 1}
    return f"it is wrong only where the input is {' or '.join(names)}" if told else ""


def sizes_in(tensor: Tensor) -> dict[str, int]:
    """Return the numbers by which a gradient is often divided, without 2: that is more often the 2 of a square."""
    sizes = {"the number of entries": tensor.numel()}
    if tensor.ndim > 1:
        sizes |= {"the number of rows": tensor.shape[0], "the number of columns": tensor.shape[-1]}
    return {name: size for name, size in sizes.items() if size > 2}


def same(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors have one shape, and numbers that differ by rounding at most."""
    return one.shape == other.shape and torch.allclose(one.double(), other.double(), rtol=1e-5, atol=1e-8)


def _in_another_shape(found: Tensor, expected: Tensor) -> Iterator[str]:
    if found.ndim == 2 and same(found.T, expected):
        yield "transposed, it is right"
    if found.numel() == expected.numel() and same(found.reshape(expected.shape), expected):
        yield "its numbers are right, its shape is not"
    axes = range(min(found.ndim, 4))
    for some in chain.from_iterable(combinations(axes, count) for count in axes):
        if some and any(same(found.sum(some, keepdim=keep), expected) for keep in (False, True)):
            where = "rows" if some == (0,) else f"axis {some[0]}" if len(some) == 1 else f"axes {some}"
            yield f"summed over its {where}, it is right"
    if not expected.ndim and same(found.sum(), expected):
        yield "the sum of its entries is right"


def _times(factor: float, entries: int, counts: Mapping[str, int]) -> str:
    """Return what a multiple of the right tensor is; one entry is a multiple of any other, which says little."""
    size = max(abs(factor), 1 / abs(factor))
    whole = round(size) if abs(size - round(size)) < 1e-5 * size else None
    sign = "with the wrong sign" if factor < 0 else ""
    names = [name for name, number in counts.items() if number == whole != 1]
    if entries < 2 and not names and whole not in (1, 2):
        return ""
    named = f", {' or '.join(names)}" if names else ""
    by = f"{'multiplied' if abs(factor) > 1 else 'divided'} by {whole or f'{size:.4g}'}{named}" if whole != 1 else ""
    return ", ".join(filter(None, ("it is the right one", sign, by)))
