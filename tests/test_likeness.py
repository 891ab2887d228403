"""A wrong answer is told what it looks like, and what is shown of an error fits into a notebook."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import notebooks
import numpy as np
import pytest
import torch
from torch import Tensor

from handgrad import CheckError, Layer, Linear, accumulate, check_layer
from handgrad.likeness import likeness, sizes_in, where
from handgrad.testing import check_value

RIGHT = torch.tensor([[1.0, -2.0, 3.0, 0.0], [4.0, 5.0, -6.0, 7.0], [2.0, 0.0, 1.0, -3.0]])
SQUARE = RIGHT[:, :3]
ROW = RIGHT.sum(0)


@pytest.mark.parametrize(
    ("found", "expected", "words"),
    [
        (2 * RIGHT, RIGHT, "it is the right one, multiplied by 2"),
        (-RIGHT, RIGHT, "it is the right one, with the wrong sign"),
        (-RIGHT / 2, RIGHT, "it is the right one, with the wrong sign, divided by 2"),
        (RIGHT / 12, RIGHT, "it is the right one, divided by 12, the number of entries"),
        (3 * RIGHT, RIGHT, "it is the right one, multiplied by 3, the number of rows"),
        (RIGHT / 4, RIGHT, "it is the right one, divided by 4, the number of columns"),
        (SQUARE / 3, SQUARE, "it is the right one, divided by 3, the number of rows or the number of columns"),
        (0.3 * RIGHT, RIGHT, "it is the right one, divided by 3.333"),
        (0 * RIGHT, RIGHT, "it is 0 everywhere"),
        (SQUARE.T, SQUARE, "it is the right one, transposed"),
        (RIGHT.T, RIGHT, "transposed, it is right"),
        (RIGHT, ROW, "summed over its rows, it is right"),
        (RIGHT[None], RIGHT, "its numbers are right, its shape is not"),
        (RIGHT, RIGHT.sum(1), "summed over its axis 1, it is right"),
        (RIGHT, RIGHT.sum(1, keepdim=True), "summed over its axis 1, it is right"),
        (RIGHT.expand(2, 3, 4), 2 * ROW, "summed over its axes (0, 1), it is right"),
        (RIGHT, RIGHT.sum(), "the sum of its entries is right"),
        (RIGHT + 1, RIGHT, ""),
        (RIGHT[:2], RIGHT, ""),
        (RIGHT + torch.nan, RIGHT, ""),
        (RIGHT, 0 * RIGHT, ""),
        (RIGHT[:0], RIGHT[:0], ""),
        # One number is a multiple of any other.
        (torch.tensor(21.0), torch.tensor(3.0), ""),
        (torch.tensor(0.0), torch.tensor(3.0), ""),
        (torch.tensor(6.0), torch.tensor(3.0), "it is the right one, multiplied by 2"),
        (torch.tensor(-3.0), torch.tensor(3.0), "it is the right one, with the wrong sign"),
    ],
)
def test_what_a_wrong_tensor_looks_like_is_said(found: Tensor, expected: Tensor, words: str) -> None:
    for dtype in (torch.float64, torch.float32):
        assert likeness(found.to(dtype), expected.to(dtype), sizes_in(expected)) == words


def test_nothing_is_said_of_a_tensor_that_is_like_the_right_one_in_all_but_some_entries() -> None:
    one, row, column = torch.zeros(3, 3, 4).unbind()
    one[1, 2] = row[0] = column[:, 1] = 1
    for right in (RIGHT, SQUARE):
        for part in (one, row, column, torch.arange(12.0).view(3, 4)):
            for size in (0.001, 0.1, 3.0):
                changed = size * part[:, : right.shape[1]] + right
                found = {likeness(wrong, right, sizes_in(right)) for wrong in (changed, -changed, changed.flip(0))}
                assert found == {""}, f"{found} is said of {changed}, which is no such thing"


def test_a_2_is_not_taken_for_the_number_of_rows() -> None:
    assert sizes_in(torch.ones(2, 2)) == {"the number of entries": 4}


def test_on_which_side_of_0_a_function_is_wrong_is_said() -> None:
    input = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])
    for wrong, words in {
        (-1.0,): "negative",
        (0.0,): "0",
        (-1.0, 0.0): "negative or 0",
        (0.0, 1.0): "0 or positive",
    }.items():
        found = torch.where(torch.isin(input.sign(), torch.tensor(wrong)), 7.0, input)
        assert where(found, input, input) == f"it is wrong only where the input is {words}"
    for found in (input + 1, input * 2, input + torch.eye(5)[4], input[:4]):
        assert where(found, input, input) == ""


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (3, 3),
        (3.0, 3),
        (Fraction(1, 3), 1 / 3),
        (torch.tensor(1 / 3), Fraction(1, 3)),
        (RIGHT, RIGHT.double()),
        (RIGHT.double(), RIGHT),
        (RIGHT * (1 + 1e-6), RIGHT),
        (np.ones(2), [1, 1]),
        (torch.ones(2, requires_grad=True), [1.0, 1.0]),
    ],
)
def test_a_right_value_passes_in_any_type(found: Any, expected: Any) -> None:
    check_value("it", found, expected)


@pytest.mark.parametrize(
    ("found", "expected", "words"),
    [
        (None, 3, "not solved yet: it is None: nothing was set or returned"),
        (..., 3, "it is Ellipsis, and should be a number"),
        ("3", RIGHT, "it is '3', and should be a tensor"),
        (3 + 1j, 3, "it is (3+1j), and should be a number"),
        (torch.tensor(3j), 3, "it is tensor(0.+3.j), and should be a number"),
        (9, 3, "it is wrong\n  it is nine\n  it is 9, and should be 3"),
        (1e9, 2.5, "it is wrong\n  it is 1000000000, and should be 2.5"),
        (torch.nan, 2.5, "it is wrong\n  it is nan, and should be 2.5"),
        (
            -RIGHT,
            RIGHT,
            "it is wrong\n  it is the right one, with the wrong sign\n  10 of 12 entries differ: -1 is not 1",
        ),
        (RIGHT + 1 / 3, RIGHT, "it is wrong\n  12 of 12 entries differ: 1.33333 is not 1 at [0, 0]"),
        (RIGHT, ROW, "it is wrong\n  summed over its rows, it is right\n  its shape is (3, 4), and should be (4,)"),
        (RIGHT.double() + 1e-6, RIGHT.double(), "12 of 12 entries differ: 1 is not 1 at"),
    ],
)
def test_a_wrong_value_is_told_what_is_wrong(found: Any, expected: Any, words: str) -> None:
    with pytest.raises(CheckError) as raised:
        check_value("it", found, expected, mistakes={"it is nine": 9})
    assert words in str(raised.value)


def test_how_far_values_may_differ_can_be_said() -> None:
    check_value("it", RIGHT + 0.01, RIGHT, tolerance=0.1)
    with pytest.raises(CheckError):
        check_value("it", RIGHT + 0.01, RIGHT)


class Affine(Layer):
    """A layer whose backward is put together from parts that can be got wrong."""

    def __init__(self) -> None:
        self.weight = torch.ones(4)

    def parameters(self) -> Any:
        yield self.weight

    def forward(self, input: Tensor) -> Tensor:
        self.save_for_backward(input, self.weight)
        return input * self.weight

    def backward(self, grad_output: Tensor) -> Tensor:
        input, weight = self.saved_tensors
        self.add((input * grad_output).reshape(-1, 4), len(grad_output))
        return self.of_input(grad_output, weight, input)

    def add(self, rows: Tensor, count: int) -> None:
        accumulate(self.weight, rows.sum(0))

    def of_input(self, grad_output: Tensor, weight: Tensor, input: Tensor) -> Tensor:
        return grad_output * weight


@pytest.mark.parametrize(
    ("part", "function", "words"),
    [
        ("add", lambda self, rows, count: None, "backward has added nothing"),
        (
            "add",
            lambda self, rows, count: setattr(self.weight, "grad", rows.sum(0)),
            "what was in .grad before is gone",
        ),
        ("add", lambda self, rows, count: accumulate(self.weight, rows.mean(0)), "divided by 5, the number of rows"),
        ("add", lambda self, rows, count: accumulate(self.weight, rows), r"\(5, 4\), its parameter \(4,\): sum over"),
        ("of_input", lambda self, g, w, x: w.expand(x.shape), "it is what a grad_output of ones would give"),
        ("of_input", lambda self, g, w, x: g, "it is grad_output, as it came"),
        ("of_input", lambda self, g, w, x: g * w - g, "it lacks grad_output as a summand"),
        ("of_input", lambda self, g, w, x: g * w * (x >= 0), "it is wrong only where the input is negative"),
        ("of_input", lambda self, g, w, x: (g * w).float(), "its dtype is torch.float32, and should be torch.float64"),
        ("of_input", lambda self, g, w, x: (g * w).sum(0), r"its shape is \(4,\), and should be \(5, 4\)"),
        ("of_input", lambda self, g, w, x: None, "not solved yet: Wrong.backward returns nothing"),
        ("forward", lambda self, x: None, "not solved yet: Wrong.forward returns nothing"),
        ("forward", lambda self, x: 2 * x * self.weight, "output by Wrong .*\n  it is the right one, multiplied by 2"),
        ("forward", lambda self, x: x * self.weight, "forward was called, but it saved nothing: call self.save_for_ba"),
    ],
)
def test_a_wrong_gradient_is_told_what_it_looks_like(part: str, function: Any, words: str) -> None:
    check_layer(Affine(), torch.mul, (5, 4))
    with pytest.raises(CheckError, match=words):
        check_layer(type("Wrong", (Affine,), {part: function})(), torch.mul, (5, 4))


def test_a_gradient_of_another_shape_is_not_added() -> None:
    for shape, words in {(2, 3): "transpose it", (5, 3): "sum over", (2,): "sum over"}.items():
        with pytest.raises(ValueError, match=words):
            accumulate(Linear(3, 2).weight, torch.ones(shape))


LEARNER = """import torch
from handgrad import Layer, check_layer
class Mine(Layer):
    def forward(self, input):
        return input.clamp(min=0)
    def backward(self, grad_output):
        half = grad_output
        return half * BACK
"""
CHECK = "x = 1\ncheck_layer(\n    Mine(), torch.relu, (4, 3))"
INSIDE = ("testing.py", "layer.py", "contextlib.py")


@pytest.mark.slow
def test_a_notebook_shows_of_an_error_its_words_and_the_lines_that_the_reader_wrote(tmp_path: Path) -> None:
    sources = [
        LEARNER.replace("BACK", "1"),
        CHECK,
        LEARNER.replace("BACK", "None"),
        CHECK,
        "try:\n    1 / 0\nexcept ZeroDivisionError:\n    check_layer(Mine(), torch.relu, (4, 3))",
        "import handgrad.testing\nhandgrad.testing.product = None",
        CHECK,
        "def read(x):\n    return x.grad\ntry:\n    read(1)\nexcept AttributeError as error:\n"
        "    raise handgrad.CheckError('read it') from error",
    ]
    found, _ = notebooks.run([(source, True) for source in sources], tmp_path, Path(__file__).parent.parent / "src")
    assert [*found] == [1, 3, 4, 6, 7]
    wrong, raised, while_another, ours, by_hand = (found[count].shown for count in found)
    assert wrong.startswith(
        "CheckError: Mine: gradient of input by Mine differs from autograd\n  it is grad_output, as"
    )
    assert wrong.endswith("\n\nCell In[2], line 2, in <module>\n    check_layer(\n")
    assert "Mine.backward raises TypeError: unsupported operand" in raised
    assert "Cell In[3], line 8, in backward\n    return half * None\n" in raised
    assert not [name for name in INSIDE if name in wrong + raised]
    # Nothing else is left out: what an error came from, and what is wrong in the package.
    assert "ZeroDivisionError" in while_another
    assert "During handling" in while_another
    assert "'NoneType' object is not callable" in ours
    assert "testing.py" in ours
    assert by_hand.count("Cell In[") == 2
    assert "line 2, in read\n    return x.grad\n" in by_hand


def test_what_a_script_shows_of_an_error_is_a_traceback_as_ever() -> None:
    with pytest.raises(CheckError) as raised:
        check_value("it", None, 3)
    assert raised.value._render_traceback_()[0] == f"CheckError: {raised.value}"
    assert any(line.startswith(__file__) for line in raised.value._render_traceback_())
