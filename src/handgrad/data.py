"""MNIST from the four files it was published as. Used in posts/training."""

import gzip
import math
import zlib
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

LIMIT = 1_000_000
"""Most images that are read: MNIST has 60 000, EMNIST's digits 280 000. A damaged header may say billions."""


class Split(NamedTuple):
    """Images (n, 28, 28), from 0 for the paper to 255 for the ink, and their labels (n,), from 0 to 9, both uint8."""

    images: Tensor
    labels: Tensor


class MNIST(NamedTuple):
    """The digits to learn from, and those to be judged by."""

    train: Split
    test: Split


def mnist(folder: str | Path) -> MNIST:
    """Read the four files in `folder`, each plain or compressed by gzip.

    They are called train-images-idx3-ubyte, train-labels-idx1-ubyte, and t10k-… for the test, also with .idx for -idx
    and with .gz at the end. Raises FileNotFoundError if one is missing and ValueError if one is not what it should be.
    """
    return MNIST(_split(Path(folder), "train"), _split(Path(folder), "t10k"))


def _split(folder: Path, name: str) -> Split:
    image_file, label_file = _find(folder, f"{name}-images", 3), _find(folder, f"{name}-labels", 1)
    images, labels = _read(image_file, 28, 28), _read(label_file)
    if len(images) != len(labels):
        raise ValueError(
            f"{image_file} has {len(images)} images, {label_file.name} has {len(labels)} labels: take both files from "
            "the same data set"
        )
    if (largest := int(labels.max())) > 9:
        raise ValueError(f"{label_file} has a label {largest}; digits are 0 to 9: take the file of MNIST")
    return Split(images, labels)


def _find(folder: Path, stem: str, axes: int) -> Path:
    names = [f"{stem}{mark}idx{axes}-ubyte{end}" for mark in "-." for end in ("", ".gz")]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(
        f"{folder} has no file {names[0]} (nor {', '.join(names[1:])}): put it there; torchvision.datasets.MNIST "
        "downloads it to MNIST/raw"
    )


def _read(path: Path, *shape: int) -> Tensor:
    """Return the entries of an IDX file: two zero bytes, the dtype, the number of axes, their sizes, the entries."""
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if compressed else path.open("rb") as file:
            start, axes = file.read(4), 1 + len(shape)
            if start != bytes([0, 0, 8, axes]):
                raise ValueError(
                    f"{path} starts with the bytes '{start.hex(' ')}', not '00 00 08 {axes:02x}' (whole numbers of one "
                    f"byte, {axes} {'axis' if axes == 1 else 'axes'}): it is another file, or damaged; get it again"
                )
            sizes = [int.from_bytes(file.read(4)) for _ in range(axes)]
            if tuple(sizes[1:]) != shape or not 1 <= sizes[0] <= LIMIT:
                wanted = ", ".join(map(str, ("n", *shape)))
                raise ValueError(
                    f"{path} says its shape is {tuple(sizes)}, not ({wanted}) with n from 1 to {LIMIT}: it is another "
                    "file, or damaged; get it again"
                )
            entries = bytearray(file.read(math.prod(sizes) + 1))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged, gzip says: {error}; get it again") from None
    if len(entries) != math.prod(sizes):
        found = f"only {len(entries)}" if len(entries) < math.prod(sizes) else "more"
        raise ValueError(f"{path} should have {math.prod(sizes)} entries and has {found}: get it again")
    return torch.frombuffer(entries, dtype=torch.uint8).reshape(sizes)
