"""More functions in torch's words: gradients are autograd's and the evaluator's, and layers of them pass the check."""

import inspect
from collections.abc import Callable, Sequence
from functools import cache
from random import Random
from typing import Any

import pytest
import torch
from blocks import FUNCTIONS
from evaluator import Evaluator, number, part, with_variables
from test_trace import arguments, extent, given, letters
from torch import Tensor

from handgrad import Layer, check_layer
from handgrad.symbolic import Program, derive

# These stand for all while one works: the rest takes long together.
QUICK = {"heads", "rotary", "first_of_all", "strided_convolution", "largest"}
# The parameters of the layers that are made of functions, for those that have some.
PARAMETERS = {
    "mlp_of_four": "W1 b1 W2 b2 W3 b3 W4 b4",
    "mlp_of_twelve": "W b",
    "torch_linear": "W b",
    "torch_bilinear": "W b",
    "torch_layer_norm": "w b",
    "torch_rms_norm": "w",
    "torch_batch_norm": "w b",
    "torch_group_norm": "w b",
    "heads": "WQ WK WV WO",
    "graph_attention": "W a b",
    "transformer_block_with_heads": "w WQ WK WV WO v W1 V1 W2",
    "strided_convolution": "W b",
    "strided_convolution_2d": "W",
    "grouped_convolution": "W b",
    "depthwise_convolution": "W",
    "put_together": "a b",
    "mahalanobis": "m S",
    "gaussian_log_likelihood": "m R",
    "rnn_of_twenty": "W U b",
    "lstm": "W U b",
    "gru": "Wz Uz Wr Ur Wn Un",
}


def marked(names: Sequence[str]) -> list[Any]:
    return [pytest.param(name, marks=pytest.mark.slow if name in QUICK else pytest.mark.deep) for name in names]


@cache
def program(name: str) -> Program:
    return derive(FUNCTIONS[name][0], **arguments(*FUNCTIONS[name]))


def sizes_of(name: str, random: Random, low: int, high: int) -> dict[str, int]:
    """Return sizes, large enough for windows where there are some."""
    found = {letter: random.randint(low, high) for letter in letters(FUNCTIONS[name][1]) if letter.isalpha()}
    windows = {"l", "h", "w"} if name.endswith(("convolution", "convolution_2d", "average_pool")) else set()
    return found | {letter: random.randint(high, high + 2) for letter in windows & {*found}}


def gradients(name: str, tensors: dict[str, Tensor], G: Tensor, sizes: dict[str, int]) -> dict[str, Tensor]:
    compiled = program(name).compile()
    values = {**sizes, **{called: tensor.detach() for called, tensor in tensors.items()}, "G": G}
    return compiled(**{called: values[called] for called in [*compiled.arrays, *compiled.sizes]})


def gradient_of(tensor: Tensor) -> Tensor:
    """Return what autograd found, which is nothing for what stands in conditions alone."""
    return torch.zeros_like(tensor) if tensor.grad is None else tensor.grad


@pytest.fixture(autouse=True)
def _double() -> Any:
    """Let torch.arange and torch.eye make what the gradients are compared in."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", marked([*FUNCTIONS]))
def test_gradients_are_autograds_at_five_shapes(name: str) -> None:
    axes = arguments(*FUNCTIONS[name])
    for seed in range(5):
        sizes = sizes_of(name, Random(seed), 2, 5)
        tensors = given(axes, sizes, seed)
        output = FUNCTIONS[name][0](**tensors)
        G = torch.randn(output.shape)
        torch.autograd.backward(output, G if output.dim() else None)
        found = gradients(name, tensors, G, sizes)
        for wrt, tensor in tensors.items():
            if tensor.is_floating_point():
                torch.testing.assert_close(found[wrt], gradient_of(tensor), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", marked([*FUNCTIONS]))
def test_outputs_and_gradients_are_those_of_loops_and_dual_numbers(name: str) -> None:
    axes, output = arguments(*FUNCTIONS[name]), program(name).output
    sizes = sizes_of(name, Random(0), 2, 2)
    tensors = given(axes, sizes, 0)
    arrays = {called: split(name, called, tensor, sizes) for called, tensor in tensors.items()}
    whole = {called for called, tensor in tensors.items() if not tensor.is_floating_point()}
    variables = {n: values if n in whole else with_variables(n, values) for n, values in arrays.items()}
    entries = Evaluator(sizes, variables).values(output)
    expected = FUNCTIONS[name][0](**tensors).detach()
    real = torch.tensor([float(number(value)) for value in entries.values()])
    torch.testing.assert_close(real.reshape(expected.shape), expected, rtol=1e-9, atol=1e-11)
    G = torch.randn(expected.shape) if expected.dim() else torch.tensor(1.0)
    found = gradients(name, tensors, G, sizes)
    for wrt in {*arrays} - whole:
        pairs = [*zip(G.flatten().tolist(), entries.values(), strict=True)]
        loops = [sum(g * float(part(value, (wrt, place))) for g, value in pairs) for place in arrays[wrt]]
        torch.testing.assert_close(found[wrt].flatten(), torch.tensor(loops), rtol=1e-9, atol=1e-11)


def split(name: str, argument: str, tensor: Tensor, sizes: dict[str, int]) -> dict[tuple[int, ...], Any]:
    """Return an argument's entries by their places on the axes that it has in formulas."""
    factors = arguments(*FUNCTIONS[name])[argument].partition("->")[0].replace("*", " ").split()
    apart = tensor.detach().reshape([extent(factor, sizes) for factor in factors])
    return {tuple(place.tolist()): apart[tuple(place)].item() for place in torch.ones(apart.shape).nonzero()}


def layer_of(name: str, sizes: dict[str, int]) -> Layer:
    namespace: dict[str, Any] = {}
    parameters = PARAMETERS.get(name, "").split()
    exec(program(name).layer("Made", parameters), namespace)
    wanted = [size for size in inspect.signature(namespace["Made"]).parameters if size in sizes]
    options: dict[str, Any] = {"dtype": torch.float64} if parameters else {}
    layer: Layer = namespace["Made"](*(sizes[size] for size in wanted), **options)
    return layer


def stacked(function: Callable[..., Tensor], inputs: Sequence[Tensor], dims: int) -> Tensor:
    """Return a function of each in a stack of inputs, whose first has so many axes when it is alone."""
    if inputs[0].dim() == dims:
        return function(*inputs)
    if len(inputs[0]):
        return torch.stack([stacked(function, rows, dims) for rows in zip(*inputs, strict=True)])
    empty = stacked(function, [torch.ones(tensor.shape[1:]) for tensor in inputs], dims)[None][:0]
    return empty + sum(tensor.sum() for tensor in inputs)


def joined(function: Callable[..., Tensor], inputs: Sequence[Tensor], more: int) -> Tensor:
    """Return a loss of rows that are those of several axes."""
    return function(*(tensor.flatten(0, more) for tensor in inputs))


# Losses in which rows meet have no stack, and some no empty one: their layers are compared without.
ALONE = {"clip_loss", "differences"}


@pytest.mark.parametrize("name", marked([*FUNCTIONS]))
def test_layers_pass_the_check(name: str) -> None:
    function, axes = FUNCTIONS[name][0], arguments(*FUNCTIONS[name])
    sizes = sizes_of(name, Random(1), 2, 4)
    layer, parameters = layer_of(name, sizes), PARAMETERS.get(name, "").split()
    inputs = [argument for argument in axes if argument not in parameters]
    shapes = {n: [extent(axis, sizes) for axis in axes[n].partition("->")[0].split()] for n in inputs}
    is_loss = not program(name).output.indices
    if name in ALONE or any("->" in axes[argument] for argument in inputs):
        return compare(layer, function, given(axes, sizes, 0), parameters)

    def reference(*tensors: Tensor) -> Tensor:
        own, learned = tensors[: len(inputs)], dict(zip(parameters, tensors[len(inputs) :], strict=True))

        def alone(*given: Tensor) -> Tensor:
            result: Tensor = function(**dict(zip(inputs, given, strict=True)), **learned)
            return result

        dims = len(shapes[inputs[0]])
        result = joined(alone, own, own[0].dim() - dims) if is_loss else stacked(alone, own, dims)
        # What stands in conditions alone has a gradient too.
        return result + 0 * sum(tensor.sum() for tensor in own)

    before = () if is_loss else (2,)
    given_shapes = [(*before, *shapes[argument]) for argument in inputs]
    check_layer(layer, reference, *given_shapes, exact=False, dtypes=(torch.float64,))
    return None


def compare(layer: Layer, function: Callable[..., Tensor], tensors: dict[str, Tensor], parameters: list[str]) -> None:
    """Compare a layer with a function once."""
    learned = {n: p.detach().clone().requires_grad_() for n, p in zip(parameters, layer.parameters(), strict=True)}
    expected = function(**tensors | learned)
    inputs = {called: tensor for called, tensor in tensors.items() if called not in parameters}
    torch.testing.assert_close(layer(*(tensor.detach() for tensor in inputs.values())), expected.detach())
    G = torch.randn(expected.shape)
    torch.autograd.backward(expected, G)
    found = layer.backward(G)
    real = [tensor for tensor in inputs.values() if tensor.is_floating_point()]
    for one, other in zip(found if isinstance(found, tuple) else [found], real, strict=True):
        torch.testing.assert_close(one, gradient_of(other))
    for one, other in zip(layer.parameters(), learned.values(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)
