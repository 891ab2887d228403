"""A program is written as a function that autograd differentiates, by a `torch.autograd.Function`."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from functions import FUNCTIONS
from test_layer_code import LAYERS, SIZES, attributes, require_typed_and_formatted
from test_trace import arguments, given
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from handgrad.symbolic import derive

pytestmark = pytest.mark.slow  # seldom breaks: not while one works


@cache
def source_of(name: str) -> str:
    parameters = LAYERS[name][0].split() if name in LAYERS else []
    return derive(FUNCTIONS[name][0], **arguments(*FUNCTIONS[name])).function(name, parameters)


def function_of(name: str) -> Any:
    namespace: dict[str, Any] = {}
    exec(source_of(name), namespace)
    return namespace[name]


# With parameters and without, a number, whole numbers, losses, what is computed again, and one gradient alone.
SOME = ("attention", "mlp", "layer_norm", "scaled", "softmax_cross_entropy", "kl_divergence", "mse", "gelu")


@pytest.mark.parametrize("name", SOME)
def test_the_function_is_torchs_and_its_gradients_are_the_finite_differences(name: str) -> None:
    function, tensors = function_of(name), [*given(arguments(*FUNCTIONS[name]), SIZES, 0).values()]
    torch.testing.assert_close(function(*tensors), FUNCTIONS[name][0](*tensors))
    assert torch.autograd.gradcheck(function, tensors, atol=1e-7, rtol=1e-7)


def test_a_stack_of_arrays_has_any_number_of_axes_and_shares_the_parameters() -> None:
    for name, stacked in {"attention": "Q K V", "linear": "X"}.items():
        axes = arguments(*FUNCTIONS[name])
        tensors = [
            torch.randn([*((2, 3) if argument in stacked.split() else ()), *(SIZES[size] for size in text.split())])
            for argument, text in axes.items()
        ]
        torch.testing.assert_close(function_of(name)(*tensors), FUNCTIONS[name][0](*tensors))


class Products(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts products of matrices."""

    count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += function in (torch.ops.aten.mm.default, torch.ops.aten.bmm.default)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(("wanted", "products"), [("V", 1), ("K", 2), ("Q", 2), ("QK", 3), ("QKV", 4)])
def test_no_gradient_is_computed_that_nobody_asks_for(wanted: str, products: int) -> None:
    tensors = {name: t.detach() for name, t in given(arguments(*FUNCTIONS["attention"]), SIZES, 0).items()}
    leaves = {name: tensor.requires_grad_(name in wanted) for name, tensor in tensors.items()}
    output, expected = function_of("attention")(*leaves.values()), FUNCTIONS["attention"][0](*leaves.values())
    G, asked = torch.randn(output.shape, dtype=torch.float64), [leaves[name] for name in wanted]
    with Products() as counted:  # type: ignore[no-untyped-call]
        gradients = torch.autograd.grad(output, asked, G)
    assert counted.count == products
    torch.testing.assert_close(gradients, torch.autograd.grad(expected, asked, G))


def test_what_autograd_checks_is_not_checked_again() -> None:
    assert not any("grad_output.shape" in source_of(name) for name in SOME)


def test_a_second_derivative_is_refused() -> None:
    X = torch.ones(2, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(function_of("gelu")(X).square().sum(), X, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        torch.autograd.backward(gradient.sum())


def test_as_little_is_saved_as_by_the_layer() -> None:
    saved: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        saved.append(tensor)
        return tensor

    Q, K, V = (t.requires_grad_() for t in given(arguments(*FUNCTIONS["attention"]), SIZES, 0).values())
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        function_of("attention")(Q, K, V)
    assert [tensor.shape for tensor in saved] == [Q.shape, K.shape, V.shape, (len(Q), len(K))]


@pytest.mark.parametrize(
    ("axes", "name", "words"),
    [
        ({"ctx": "n"}, "twice", "an argument is called ctx, as something in a function is"),
        ({"twice": "n"}, "twice", "an argument is called twice, as something in a function is"),
        ({"X": "n"}, "to do", "'to do' is no name for a function"),
        ({"t": "n -> d"}, "twice", "a function's backward returns gradients, and there is none"),
    ],
)
def test_what_makes_no_function_is_refused(axes: dict[str, str], name: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        derive(lambda *one, **other: 2 * [*one, *other.values()][0], **axes).function(name)


def test_no_function_calls_autograd_or_backward_functions_of_torchs() -> None:
    for name in SOME:
        assert {
            attribute for attribute in attributes(source_of(name)) if "grad" in attribute or "backward" in attribute
        } == {
            "autograd",  # torch.autograd.Function, of which it is one
            "save_for_backward",
            *(["needs_input_grad"] if name not in {"softmax_cross_entropy", "gelu"} else []),
        }


@pytest.mark.deep
def test_functions_are_typed_and_formatted_as_the_package_is(tmp_path: Path) -> None:
    for name in FUNCTIONS:
        (tmp_path / f"{name}_function.py").write_text(source_of(name))
    # Sizes may be called l, as the axes are.
    require_typed_and_formatted(tmp_path, "--ignore", "E741")
