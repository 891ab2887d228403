"""The layers are what they say: torch's functions, with gradients that add up, in any torch program."""

import inspect
import re
from collections.abc import Callable, Iterator, Sequence

import pytest
import torch
from cases import CASES, DTYPES, Case, Example
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

import handgrad
from handgrad import Layer, Linear, MSELoss, ReLU, Sequential, as_function, check_layer
from handgrad.testing import TOLERANCE, name_of


@pytest.mark.parametrize("name", CASES)
def test_layer_agrees_with_torch_autograd_and_its_derived_formula(name: str) -> None:
    receipt = CASES[name].check()
    kinds = {"output", "gradients = autograd", "formula = autograd", "gradients = forward mode"}
    assert {line.compared for line in receipt.lines} >= kinds
    assert receipt.reference == name_of(CASES[name].reference)
    assert all(line.error == 0 for line in receipt.lines if line.data == "integers")


def grad_of(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad.clone()


def use(case: Case, example: Example, dtype: torch.dtype, empty: bool, layer: type[Layer] | None = None) -> None:
    """Use a layer as a program does, the gradient being asked for as from torch; the same numbers must come out."""
    generator = torch.Generator().manual_seed(0)

    def integers(shape: Sequence[int]) -> Tensor:
        return torch.randint(-3, 4, tuple(shape), generator=generator).to(dtype)

    cls = layer or case.layer
    made = cls(*example.arguments, dtype=dtype) if example.arguments else cls()  # type: ignore[call-arg]
    for parameter in made.parameters():
        assert parameter.dtype == dtype
        parameter.copy_(integers(parameter.shape))
    inputs = [integers((0, *shape[1:]) if empty else shape) for shape in example.shapes]
    leaves = [tensor.clone().requires_grad_() for tensor in (inputs[0], *made.parameters())]
    expected = case.reference(leaves[0], *inputs[1:], *leaves[1:])

    output = made(*inputs)
    if expected.ndim:
        grad_output = integers(expected.shape)
        grad_input = made.backward(grad_output)
        torch.autograd.backward(expected, grad_output)
    else:
        grad_input = made.backward()  # type: ignore[call-arg]
        torch.autograd.backward(expected)

    tolerance = 0.0 if case.exact else TOLERANCE[dtype]
    pairs = zip((grad_input, *(p.grad for p in made.parameters())), (leaf.grad for leaf in leaves), strict=True)
    for ours, theirs in [(output, expected.detach()), *pairs]:
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance, equal_nan=True)


@pytest.mark.parametrize("empty", [False, True], ids=["batch", "empty"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", CASES)
def test_a_layer_made_and_used_as_in_a_program_gives_torchs_numbers(name: str, dtype: torch.dtype, empty: bool) -> None:
    for example in CASES[name].examples:
        use(CASES[name], example, dtype, empty)


@pytest.mark.parametrize("name", CASES)
def test_grad_output_may_be_left_out_exactly_if_the_output_is_one_number(name: str) -> None:
    backward = inspect.signature(CASES[name].layer.backward)
    has_default = backward.parameters["grad_output"].default is not inspect.Parameter.empty
    assert has_default == (not CASES[name].definition.indices)


def test_a_wrong_default_of_grad_output_and_a_fixed_dtype_of_parameters_are_told() -> None:
    class Doubled(MSELoss):
        def backward(self, grad_output: Tensor | float = 2.0) -> Tensor:
            return super().backward(grad_output)

    class Single(Linear):
        def __init__(self, in_features: int, out_features: int, dtype: torch.dtype) -> None:
            super().__init__(in_features, out_features, dtype=torch.float32)

    for name, layer in (("mse", Doubled), ("linear", Single)):
        with pytest.raises(AssertionError):
            use(CASES[name], CASES[name].examples[0], torch.float64, empty=False, layer=layer)


def test_mse_loss_refuses_shapes_that_would_broadcast_and_names_both() -> None:
    with pytest.raises(ValueError, match=r"\(6, 1\).*\(6,\).*broadcast"):
        MSELoss()(torch.zeros(6, 1), torch.zeros(6))


def test_relu_refuses_a_gradient_that_would_broadcast() -> None:
    relu = ReLU()
    relu(torch.zeros(4, 3))
    with pytest.raises(ValueError, match=r"\(3,\).*\(4, 3\)"):
        relu.backward(torch.zeros(3))


def test_linear_and_mse_loss_refuse_gradients_of_another_shape() -> None:
    linear, loss = Linear(3, 2), MSELoss()
    linear(torch.zeros(5, 3))
    loss(torch.zeros(2, 2), torch.zeros(2, 2))
    with pytest.raises(ValueError, match=r"\(5, 1\).*\(5, 2\)"):
        linear.backward(torch.zeros(5, 1))
    with pytest.raises(ValueError, match=r"\(2, 2\) and loss of shape \(\)"):
        loss.backward(torch.zeros(2, 2))


def test_relu_gradient_at_zero_is_zero_as_in_torch() -> None:
    relu, zero = ReLU(), torch.zeros(1, requires_grad=True)
    torch.autograd.backward(torch.relu(zero))
    relu(torch.zeros(1))
    assert relu.backward(torch.ones(1)) == zero.grad == 0


def test_backward_before_forward_says_so() -> None:
    with pytest.raises(
        RuntimeError, match=r"Linear\.backward finds nothing saved: call forward before it, and let forward save"
    ):
        Linear(2, 2).backward(torch.zeros(1, 2))


def test_a_saved_tensor_that_was_changed_in_place_is_noticed() -> None:
    layer = Linear(2, 2)
    layer(torch.zeros(1, 2))
    layer.weight += 1
    with pytest.raises(RuntimeError, match=r"shape \(2, 2\) that Linear.backward needs was changed in place"):
        layer.backward(torch.zeros(1, 2))


def test_forward_runs_in_inference_mode() -> None:
    with torch.inference_mode():
        assert Sequential(Linear(2, 2), ReLU())(torch.zeros(1, 2)).shape == (1, 2)


def test_gradients_of_two_backwards_add_up() -> None:
    layer, input = Linear(3, 2), torch.randn(5, 3)
    layer(input)
    layer.backward(torch.ones(5, 2))
    once = grad_of(layer.weight)
    layer.backward(torch.ones(5, 2))
    assert torch.equal(grad_of(layer.weight), 2 * once)


def flops(function: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        function()
    return int(counter.get_total_flops())


@pytest.mark.parametrize("model", [Linear(4, 2), Sequential(Linear(4, 3), ReLU(), Linear(3, 2))], ids=["one", "three"])
def test_a_gradient_of_the_input_that_is_not_wanted_is_not_computed_and_the_others_are_the_same(model: Linear) -> None:
    input, ones = torch.randn(5, 4), torch.ones(5, 2)
    model(input)
    of_all = flops(lambda: model.backward(ones))
    wanted = [grad_of(parameter) for parameter in model.parameters()]
    for parameter in model.parameters():
        parameter.grad = None
    returned = []
    of_others = flops(lambda: returned.append(model.backward(ones, needs_input_grad=False)))
    assert returned == [None]
    assert of_all - of_others == 2 * input.numel() * len(wanted[1])
    for parameter, grad in zip(model.parameters(), wanted, strict=True):
        assert torch.equal(grad_of(parameter), grad)


def test_a_first_layer_that_does_not_know_the_keyword_keeps_its_input_gradient_to_itself() -> None:
    class Own(Linear):
        def backward(self, grad_output: Tensor) -> Tensor:  # type: ignore[override]
            return super().backward(grad_output)

    model = Sequential(Own(3, 2), ReLU())
    model(torch.ones(4, 3))
    assert model.backward(torch.ones(4, 2), needs_input_grad=False) is None
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_autograd_is_asked_whether_the_input_needs_a_gradient() -> None:
    asked = []

    class Asked(Linear):
        def backward(self, grad_output: Tensor, needs_input_grad: bool = True) -> Tensor:
            asked.append(needs_input_grad)
            return super().backward(grad_output, needs_input_grad)

    function = as_function(Asked(3, 2))
    for needed in (False, True):
        torch.autograd.backward(function(torch.ones(4, 3, requires_grad=needed)).sum())
    assert asked == [False, True]


@pytest.mark.parametrize("shared", ["the layer", "its parameters"])
def test_a_weight_used_twice_gets_the_sum_of_both_gradients(shared: str) -> None:
    first = Linear(3, 3, dtype=torch.float64)
    second = first
    if shared == "its parameters":
        second = Linear(3, 3)
        second.weight, second.bias = first.weight, first.bias
    model = Sequential(first, ReLU(), second)
    input = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    weight, bias = (parameter.clone().requires_grad_() for parameter in first.parameters())
    output = torch.relu(input @ weight + bias) @ weight + bias
    torch.autograd.backward(output.square().sum())

    grad_input = model.backward(2 * model(input.detach()))

    assert len(list(model.parameters())) == 2
    for ours, theirs in [(grad_input, input), (first.weight.grad, weight), (first.bias.grad, bias)]:
        torch.testing.assert_close(ours, theirs.grad)


def test_sgd_trains_a_sequential_to_the_weights_that_torch_reaches() -> None:
    torch.manual_seed(0)
    input, target = torch.randn(32, 4, dtype=torch.float64), torch.randn(32, 2, dtype=torch.float64)
    one, two = Linear(4, 8, dtype=torch.float64), Linear(8, 2, dtype=torch.float64)
    model = Sequential(one, ReLU(), two)
    twin = torch.nn.Sequential(one.to_torch(), torch.nn.ReLU(), two.to_torch())
    loss = MSELoss()
    ours = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    theirs = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9)
    first = loss(model(input), target)
    for _ in range(50):
        ours.zero_grad()
        last = loss(model(input), target)
        model.backward(loss.backward())
        ours.step()
        theirs.zero_grad()
        torch.autograd.backward(functional.mse_loss(twin(input), target))
        theirs.step()
    assert last < 0.7 * first
    torch.testing.assert_close(one.weight, twin.get_parameter("0.weight").detach().T)


def test_linear_converts_to_torch_and_back() -> None:
    theirs = torch.nn.Linear(3, 2)
    ours = Linear.from_torch(theirs)
    input = torch.randn(5, 3)
    torch.testing.assert_close(ours(input), theirs(input).detach())
    assert torch.equal(ours.to_torch().weight, theirs.weight)
    with pytest.raises(ValueError, match="bias=False"):
        Linear.from_torch(torch.nn.Linear(3, 2, bias=False))


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("features", [(3, 2), (3, 50)])
def test_gradients_lie_in_memory_as_their_parameters_whatever_the_layout(
    features: tuple[int, int], fused: bool
) -> None:
    torch.manual_seed(0)
    converted = Linear.from_torch(torch.nn.Linear(*features))
    turned = Linear(*features)
    turned.weight, turned.bias = converted.weight.T.contiguous().T, converted.bias.clone()
    twin, input = converted.to_torch(), torch.randn(5, 3)
    for layer in (converted, turned):
        layer(input)
        layer.backward(torch.ones(5, features[1]))
        assert grad_of(layer.weight).stride() == layer.weight.stride()
        torch.optim.Adam(layer.parameters(), fused=fused).step()
    torch.autograd.backward(twin(input).sum())
    torch.optim.Adam(twin.parameters(), fused=fused).step()
    torch.testing.assert_close(converted.weight, twin.weight.detach().T)
    torch.testing.assert_close(turned.weight, twin.weight.detach().T)


def test_lbfgs_which_takes_gradients_of_one_piece_steps_a_narrow_layer() -> None:
    for layer in (Linear(3, 2), Linear.from_torch(torch.nn.Linear(3, 2))):
        before = layer.weight.clone()

        def loss(layer: Linear = layer) -> float:
            output = layer(torch.ones(5, 3))
            layer.backward(2 * output)
            return float((output**2).sum())

        torch.optim.LBFGS(layer.parameters()).step(loss)  # type: ignore[no-untyped-call]
        assert not torch.equal(layer.weight, before)


def test_linear_copies_are_independent_of_the_torch_module() -> None:
    theirs = torch.nn.Linear(3, 2)
    for parameter in Linear.from_torch(theirs).parameters():
        parameter.zero_()
    assert all(parameter.abs().sum() > 0 for parameter in theirs.parameters())


def test_linear_starts_uniform_between_plus_and_minus_one_over_the_root_of_in_features() -> None:
    torch.manual_seed(0)
    for parameter in Linear(100, 100).parameters():
        assert -0.1 <= parameter.min() < -0.09
        assert 0.09 < parameter.max() <= 0.1


def test_a_layer_drops_into_a_torch_model() -> None:
    layer = Linear(4, 3, dtype=torch.float64)
    function = as_function(layer)
    outer = torch.nn.Linear(4, 4, dtype=torch.float64)
    input = torch.randn(2, 4, dtype=torch.float64)
    weight, bias = (parameter.detach().clone().requires_grad_() for parameter in layer.parameters())

    torch.autograd.backward((function(outer(input)).exp() * function(input)).sum())
    ours = [layer.weight.grad, layer.bias.grad, grad_of(outer.weight)]
    outer.zero_grad()
    torch.autograd.backward(((outer(input) @ weight + bias).exp() * (input @ weight + bias)).sum())

    for actual, expected in zip(ours, [weight.grad, bias.grad, outer.weight.grad], strict=True):
        torch.testing.assert_close(actual, expected)


def test_a_layer_made_of_layers_may_stand_twice_in_a_torch_model() -> None:
    class Residual(Layer):
        def __init__(self, layer: Layer) -> None:
            self.layer = layer

        def parameters(self) -> Iterator[Tensor]:
            return self.layer.parameters()

        def forward(self, input: Tensor) -> Tensor:
            return input + self.layer(input)

        def backward(self, grad_output: Tensor) -> Tensor:
            return grad_output + self.layer.backward(grad_output)

    check_layer(Residual(Sequential(Linear(4, 4), ReLU())), lambda X, W, b: X + (X @ W + b).relu(), (4, 4))


class Block(Layer):
    """A layer that keeps its parts in a list."""

    def __init__(self, *layers: Layer) -> None:
        self.layers = [*layers]

    def parameters(self) -> Iterator[Tensor]:
        return Sequential(*self.layers).parameters()

    def forward(self, input: Tensor) -> Tensor:
        for layer in self.layers:
            input = layer(input)
        return input

    def backward(self, grad_output: Tensor) -> Tensor:
        for layer in reversed(self.layers):
            grad_output = layer.backward(grad_output)
        return grad_output


@pytest.mark.parametrize("nested", [Sequential, Block])
def test_a_layer_within_a_layer_may_stand_at_several_places(nested: Callable[..., Layer]) -> None:
    torch.manual_seed(0)
    first, second, relu = Linear(4, 4, dtype=torch.float64), Linear(4, 4, dtype=torch.float64), ReLU()
    block = nested(second, relu)
    model = Sequential(first, relu, block, first, block)
    input = torch.randn(6, 4, dtype=torch.float64)
    leaves = [tensor.clone().requires_grad_() for tensor in (input, first.weight, second.weight)]
    x, w, v = leaves
    hidden = ((x @ w + first.bias).relu() @ v + second.bias).relu() @ w + first.bias
    expected = (hidden @ v + second.bias).relu()
    torch.testing.assert_close(model(input), expected.detach())
    torch.autograd.backward(expected, torch.ones_like(expected))
    found = [model.backward(torch.ones_like(expected)), first.weight.grad, second.weight.grad]
    for ours, leaf in zip(found, leaves, strict=True):
        torch.testing.assert_close(ours, leaf.grad)


def test_a_sequential_may_stand_twice_in_a_torch_model() -> None:
    linear = Linear(2, 2, dtype=torch.float64)
    function = as_function(Sequential(linear, ReLU()))
    a, b = (torch.randn(3, 2, dtype=torch.float64, requires_grad=True) for _ in "ab")
    twin = torch.nn.Sequential(linear.to_torch(), torch.nn.ReLU())
    ours = torch.autograd.grad((function(a) * function(b)).sum(), [a, b])
    theirs = torch.autograd.grad((twin(a) * twin(b)).sum(), [a, b])
    for actual, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(actual, expected)


def test_a_layer_as_first_function_of_a_model_trains_though_its_input_needs_no_gradient() -> None:
    layer = Linear(2, 1)
    torch.autograd.backward(as_function(layer)(torch.ones(3, 2)).sum())
    assert torch.equal(grad_of(layer.bias), torch.tensor([3.0]))


def test_every_public_name_is_known_to_python_and_to_type_checkers() -> None:
    typed = re.findall(r"import (\w+) as \1", inspect.getsource(handgrad))
    assert sorted(typed) == dir(handgrad)
    for name in dir(handgrad):
        assert getattr(handgrad, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Lin'"):
        _ = handgrad.Lin  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", CASES)
def test_backward_stands_directly_under_forward(name: str) -> None:
    methods = list(vars(CASES[name].layer))
    assert methods.index("backward") == methods.index("forward") + 1
    assert len(inspect.getsource(CASES[name].layer).splitlines()) < 60


ACTIVATIONS = [name for name, case in CASES.items() if case.layer.__module__ == "handgrad.activations"]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_saves_its_input_or_output_itself_and_no_copy(name: str) -> None:
    layer, input = CASES[name].layer(), torch.randn(3)
    output = layer(input)
    assert all(saved is input or saved is output for saved in layer.saved_tensors)


class Scaled(Layer):
    """X[t] * s, entry by entry."""

    def forward(self, t: Tensor, X: Tensor, s: Tensor) -> Tensor:
        self.save_for_backward(t, X, s)
        return X[t] * s

    def backward(self, grad_output: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        t, X, s = self.saved_tensors
        return torch.zeros_like(X).index_add(0, t, grad_output * s), grad_output * X[t]


def test_a_function_of_several_inputs_gives_each_of_real_numbers_its_gradient() -> None:
    t, X, s = torch.tensor([1, 1, 0]), torch.randn(2, 3, requires_grad=True), torch.randn(3, 3, requires_grad=True)
    expected = torch.autograd.grad((X[t] * s).sin().sum(), (X, s))
    actual = torch.autograd.grad(as_function(Scaled())(t, X, s).sin().sum(), (X, s))
    torch.testing.assert_close(actual, expected)


def test_more_gradients_than_inputs_of_real_numbers_are_refused() -> None:
    class More(Scaled):
        def backward(self, grad_output: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
            return (*super().backward(grad_output), grad_output)

    t, X, s = torch.tensor([0]), torch.ones(1, 1), torch.ones(1, 1, requires_grad=True)
    with pytest.raises(ValueError, match="returns 3 gradients, and 2 inputs hold real numbers"):
        torch.autograd.backward(as_function(More())(t, X, s).sum())
