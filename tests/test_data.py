"""MNIST's files are read under each of their names; a file that is not right is named, with what to do."""

import gzip
import struct
import tracemalloc
from pathlib import Path

import pytest
import torch

from handgrad import mnist
from handgrad.data import LIMIT

NAMES = {
    ("train", "images"): "train-images-idx3-ubyte",
    ("train", "labels"): "train-labels-idx1-ubyte",
    ("t10k", "images"): "t10k-images-idx3-ubyte",
    ("t10k", "labels"): "t10k-labels-idx1-ubyte",
}
IMAGES = NAMES["train", "images"]


def idx(tensor: torch.Tensor, start: bytes = b"\0\0\x08") -> bytes:
    """The bytes of an IDX file."""
    return start + bytes([tensor.ndim]) + struct.pack(f">{tensor.ndim}I", *tensor.shape) + tensor.numpy().tobytes()


def images(n: int) -> torch.Tensor:
    return (torch.arange(n * 28 * 28) % 251).to(torch.uint8).reshape(n, 28, 28)


def labels(n: int) -> torch.Tensor:
    return (torch.arange(n) % 10).to(torch.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for (split, kind), name in NAMES.items():
        n = 12 if split == "train" else 3
        (tmp_path / name).write_bytes(idx(images(n) if kind == "images" else labels(n)))
    return tmp_path


def test_images_and_labels_are_what_the_files_say(folder: Path) -> None:
    train, test = mnist(folder)
    assert torch.equal(train.images, images(12))
    assert torch.equal(train.labels, labels(12))
    assert torch.equal(test.images, images(3))
    assert torch.equal(test.labels, labels(3))
    assert {tensor.dtype for split in (train, test) for tensor in split} == {torch.uint8}


@pytest.mark.parametrize("dotted", [False, True])
@pytest.mark.parametrize("end", ["", ".gz"])
@pytest.mark.parametrize("compressed", [False, True])
def test_files_may_have_each_of_their_names_compressed_or_not(
    folder: Path, dotted: bool, end: str, compressed: bool
) -> None:
    for name in NAMES.values():
        data = (folder / name).read_bytes()
        (folder / name).unlink()
        renamed = name.replace("-idx", ".idx") if dotted else name
        (folder / f"{renamed}{end}").write_bytes(gzip.compress(data) if compressed else data)
    assert torch.equal(mnist(str(folder)).train.images, images(12))


@pytest.mark.parametrize("name", NAMES.values())
def test_a_missing_file_is_named_with_its_other_names_and_where_to_get_it(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError) as error:
        mnist(folder)
    for words in (str(folder), f"no file {name}", name.replace("-idx", ".idx"), f"{name}.gz", "torchvision"):
        assert words in str(error.value)


WHOLE = idx(images(12))
COMPRESSED = gzip.compress(WHOLE)
WRONG = {
    "empty": (b"", r"starts with the bytes '', not '00 00 08 03'"),
    "a web page": (b"<!DOCTYPE html>", "starts with the bytes '3c 21 44 4f'"),
    "the labels": (idx(labels(12)), "starts with the bytes '00 00 08 01', not '00 00 08 03' .*3 axes"),
    "floats": (idx(images(12), start=b"\0\0\x0d"), "starts with the bytes '00 00 0d 03'"),
    "larger images": (idx(torch.zeros(2, 32, 32, dtype=torch.uint8)), r"shape is \(2, 32, 32\), not \(n, 28, 28\)"),
    "no images": (idx(images(0)), r"shape is \(0, 28, 28\)"),
    "a header that ends early": (WHOLE[:10], r"shape is \(12, 0, 0\)"),
    "entries that end early": (WHOLE[:-1], "should have 9408 entries and has only 9407"),
    "too many entries": (WHOLE + b"\0", "should have 9408 entries and has more"),
    "a header that lies": (b"\0\0\x08\x03" + b"\xff" * 12 + WHOLE[16:], r"shape is \(4294967295, 4294967295"),
    "too many images": (b"\0\0\x08\x03" + struct.pack(">3I", LIMIT + 1, 28, 28), "with n from 1 to 1000000"),
    "gzip that ends early": (COMPRESSED[: len(COMPRESSED) // 2], "is damaged, gzip says: Compressed file ended"),
    "gzip with a wrong check sum": (COMPRESSED[:-8] + b"\0" * 8, "is damaged, gzip says: CRC check failed"),
    "gzip with rubbish inside": (COMPRESSED[:10] + b"\xff" * 40, "is damaged, gzip says: Error -3"),
    "gzip of the wrong file": (gzip.compress(b"wrong"), "starts with the bytes '77 72 6f 6e'"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_file_is_named_with_what_was_found(folder: Path, kind: str) -> None:
    data, message = WRONG[kind]
    (folder / IMAGES).write_bytes(data)
    with pytest.raises(ValueError, match=message) as error:
        mnist(folder)
    assert str(error.value).startswith(str(folder / IMAGES))
    assert str(error.value).endswith("get it again")


@pytest.mark.parametrize("n", [11, LIMIT])
def test_images_need_as_many_labels(folder: Path, n: int) -> None:
    (folder / NAMES["train", "labels"]).write_bytes(idx(labels(n)))
    with pytest.raises(ValueError, match=f"has 12 images, train-labels-idx1-ubyte has {n} labels"):
        mnist(folder)


def test_labels_are_digits(folder: Path) -> None:
    (folder / NAMES["t10k", "labels"]).write_bytes(idx(torch.tensor([1, 10, 2], dtype=torch.uint8)))
    with pytest.raises(ValueError, match="has a label 10; digits are 0 to 9"):
        mnist(folder)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_file_longer_than_it_says_is_not_read_to_its_end(folder: Path, compressed: bool) -> None:
    data = WHOLE + bytes(20_000_000)
    (folder / IMAGES).write_bytes(gzip.compress(data, 1) if compressed else data)
    del data
    tracemalloc.start()
    with pytest.raises(ValueError, match="has more"):
        mnist(folder)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1_000_000


def test_what_is_read_can_be_written_to(folder: Path) -> None:
    train = mnist(folder).train
    train.images.zero_()
    assert train.images.sum() == 0
