"""A program is compiled: to one function, and to the source of a layer that could stand in the package."""

import ast
import inspect
import re
import subprocess
import sys
from functools import cache
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from functions import FUNCTIONS
from test_trace import arguments, given
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from handgrad import Layer, check_layer
from handgrad.symbolic import derive, sizes
from handgrad.symbolic.saved import count, least, subtracted

pytestmark = pytest.mark.slow  # seldom breaks: not while one works


def attributes(source: str) -> set[str]:
    """Return the names of what the code takes from modules and arrays."""
    return {node.attr for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)}


def of_many(source: str) -> list[str]:
    """Return the sums of products of more than two arrays, of which there are to be none."""
    return re.findall(r'einsum\("[^"]*,[^"]*,[^"]*->[^"]*"', source)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_one_function_returns_all_gradients_and_at_five_shapes_they_are_autograds_and_numpys(name: str) -> None:
    function, axes = FUNCTIONS[name][0], arguments(*FUNCTIONS[name])
    program = derive(function, **axes)
    compiled, source, by_numpy = program.compile(), program.numpy(), dict[str, Any]()
    exec(source, by_numpy)
    assert of_many(compiled.source) == of_many(source) == []
    assert not any("grad" in name or "backward" in name for name in attributes(compiled.source) | attributes(source))
    real = {argument for argument, text in axes.items() if "->" not in text}
    letters = sorted({letter for text in axes.values() for letter in text.replace("->", " ").split()})
    for seed in range(5):
        random = Random(seed)
        sizes = {letter: 1 if letter == "1" else random.randint(2, 5) for letter in letters}
        tensors = given(axes, sizes, seed)
        output = function(**tensors)
        G = torch.randn(output.shape, dtype=torch.float64)
        torch.autograd.backward(output, G if output.dim() else None)
        values = {called: tensor.detach() for called, tensor in tensors.items()} | {"G": G}
        numbers = {called: values[called] for called in compiled.arrays} | {s: sizes[s] for s in compiled.sizes}
        gradients = compiled(**numbers)
        assert {*gradients} == real
        for wrt in real:
            torch.testing.assert_close(gradients[wrt], tensors[wrt].grad, rtol=1e-9, atol=1e-11)
        arrays = [tensor.detach().numpy() for tensor in tensors.values()]
        returned = by_numpy["backward"](*arrays, *([G.numpy()] if output.dim() else []))
        expected = [tensor.grad for tensor in tensors.values() if tensor.grad is not None]
        for actual, wanted in zip(
            (by_numpy["forward"](*arrays), *(returned if isinstance(returned, tuple) else (returned,))),
            (output.detach(), *expected),
            strict=True,
        ):
            torch.testing.assert_close(torch.tensor(actual), wanted, rtol=1e-9, atol=1e-11)


def test_each_step_is_one_line_and_computed_once_without_autograd() -> None:
    for name in ("attention", "mlp", "layer_norm", "lstm_cell"):
        source = derive(FUNCTIONS[name][0], **arguments(*FUNCTIONS[name])).compile().source
        assigned = re.findall(r"^    (\w+) = (.*)$", source, re.MULTILINE)
        assert len(dict(assigned)) == len(assigned) == len({code for _, code in assigned}), source
        assert "autograd" not in source
        assert "backward" not in source


def test_only_what_is_asked_for_is_computed() -> None:
    program = derive(FUNCTIONS["linear"][0], X="n p", W="p q", b="q")
    compiled = program.compile("b")
    assert compiled.source == 'def gradients(G):\n    db = G.sum(-2)\n    return {"b": db}'
    assert [*compiled(G=torch.ones(2, 3))] == ["b"]
    with pytest.raises(KeyError, match="no gradient with respect to Q"):
        program.compile("Q")


def test_a_step_that_is_asked_for_is_returned_too() -> None:
    program = derive(FUNCTIONS["mlp"][0], **arguments(*FUNCTIONS["mlp"]))
    G, W2 = torch.randn(4, 3), torch.randn(2, 3)
    torch.testing.assert_close(program.compile("H")(G=G, W2=W2)["H"], G @ W2.T)


@pytest.mark.parametrize("name", ["attention", "softmax_cross_entropy"])
def test_gradients_are_finite_at_1000_in_float32(name: str) -> None:
    function, axes = FUNCTIONS[name][0], arguments(*FUNCTIONS[name])
    compiled = derive(function, **axes).compile()
    tensors = {called: t.detach() for called, t in given(axes, dict.fromkeys("ndmv", 4), 0).items()}
    values = {called: 1000 * t.float() if t.is_floating_point() else t for called, t in tensors.items()}
    leaves = {called: t.clone().requires_grad_(t.is_floating_point()) for called, t in values.items()}
    output = function(**leaves)
    torch.autograd.backward(output, torch.ones_like(output))
    values["G"] = torch.ones_like(output.detach())
    for wrt, gradient in compiled(**{called: values[called] for called in compiled.arrays}).items():
        assert gradient.isfinite().all()
        torch.testing.assert_close(gradient, leaves[wrt].grad)


# The parameters of the layers that are made of functions, and on how many axes more than theirs they are checked: the
# first of what check_layer is given may be empty, and there is no largest number in an empty row.
LAYERS = {
    "linear": ("W b", 0),
    "mlp": ("W1 b1 W2 b2", 0),
    "layer_norm": ("w b", 0),
    "rms_norm": ("w", 0),
    "lora": ("W A B", 0),
    "one_output": ("W b", 0),
    "additive_scores": ("W v", 0),
    "factorization_machine": ("V", 0),
    "gelu": ("", 0),
    "unit_rows": ("", 0),
    "scaled": ("a", 0),
    "bilinear": ("W", 0),
    "mse": ("", 0),
    "cross_entropy_of_probabilities": ("", 0),
    "kl_divergence": ("", 0),
    "focal": ("", 0),
    "attention": ("", 1),
    "transformer_block": ("WQ WK WV WO W1 W2", 1),
    "lower": ("", 1),
}
SIZES = {"n": 4, "m": 3, "d": 5, "p": 3, "q": 2, "h": 4, "c": 3, "v": 2, "r": 2, "k": 2}


# The formulas round otherwise than autograd does, by more than is allowed in bfloat16, and after many steps in float32.
EXACT_ENOUGH = dict.fromkeys(("attention", "transformer_block"), (torch.float64,))


@cache
def layer_source(name: str) -> str:
    called = "".join(word.capitalize() for word in name.split("_"))
    parameters = LAYERS[name][0].split() if name in LAYERS else []
    return derive(FUNCTIONS[name][0], **arguments(*FUNCTIONS[name])).layer(called, parameters)


def layer_class(name: str) -> Any:
    namespace: dict[str, Any] = {}
    exec(layer_source(name), namespace)
    return namespace["".join(word.capitalize() for word in name.split("_"))]


def layer_of(name: str, **options: Any) -> Layer:
    made = layer_class(name)
    sizes = [size for size in inspect.signature(made).parameters if size in SIZES]
    layer: Layer = made(*(SIZES[size] for size in sizes), **options)
    return layer


# These stand for all but once a week: together the others take long.
QUICK = {"linear", "mlp", "layer_norm", "attention", "mse", "scaled", "unit_rows"}


@pytest.mark.filterwarnings("ignore:var.*degrees of freedom")
@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.deep] * (n not in QUICK)) for n in LAYERS])
def test_layers_pass_the_check_against_the_function_that_they_are_made_of(name: str) -> None:
    function, axes = FUNCTIONS[name][0], arguments(*FUNCTIONS[name])
    parameters, more = LAYERS[name][0].split(), LAYERS[name][1]
    inputs = [argument for argument in axes if argument not in parameters]
    layer = layer_of(name)
    dtypes = EXACT_ENOUGH.get(name, (torch.float64, torch.float32))

    def reference(*tensors: Tensor) -> Tensor:
        result: Tensor = function(**dict(zip([*inputs, *parameters], tensors, strict=True)))
        return result

    shapes = [(2,) * more + tuple(SIZES[size] for size in axes[argument].split()) for argument in inputs]
    check_layer(layer, reference, *shapes, exact=False, dtypes=dtypes)


def require_typed_and_formatted(folder: Path, *options: str) -> None:
    """Have the tools read the modules in a folder as they read the package, the linter with its options."""
    files = sorted(map(str, folder.glob("*.py")))
    root = Path(__file__).parent.parent
    for tool in (
        ["ruff", "format", "--diff", "--config", str(root / "pyproject.toml")],
        ["ruff", "check", *options, "--config", str(root / "pyproject.toml")],
        ["mypy", "--strict", "--scripts-are-modules", "--config-file", str(root / "pyproject.toml")],
    ):
        run = subprocess.run([sys.executable, "-m", *tool, *files], capture_output=True, text=True, cwd=root)
        assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.deep
def test_layers_are_typed_and_formatted_as_the_package_is(tmp_path: Path) -> None:
    for name in LAYERS:
        (tmp_path / f"{name}_layer.py").write_text(layer_source(name))
    require_typed_and_formatted(tmp_path)


def test_the_layer_of_a_linear_map_is_what_one_would_have_written() -> None:
    source = layer_source("linear")
    for line in [
        "class Linear(Layer):",
        "        Y[i, k] = b[k] + sum(W[j, k]*X[i, j], j)",
        "    X (*, p), W (p, q), b (q,). `*` is any number of axes. dX is the gradient of X, G that of Y.",
        "        require_same_shape(X=X.shape[-1:], expected=(p,))",
        "        Y = X @ self.W + self.b",
        "        self.save_for_backward(X, self.W)",
        "        require_same_shape(grad_output=grad_output.shape, output=(*batch, q))",
        "        accumulate(self.W, dW)",
        "        accumulate(self.b, db.clone())",
        "        if not needs_input_grad:",
        "            return NOT_WANTED",
        "        return grad_output @ W.mT",
    ]:
        assert line in source.splitlines(), source


some_and_weekly_all = pytest.mark.parametrize(
    "names", [QUICK, pytest.param({*LAYERS}, marks=pytest.mark.deep)], ids=["some", "all"]
)


@some_and_weekly_all
def test_no_layer_calls_autograd_or_backward_functions_of_torchs(names: set[str]) -> None:
    for name in names:
        called = {called for called in attributes(layer_source(name)) if "grad" in called or "backward" in called}
        assert called == {"save_for_backward"}, name


@some_and_weekly_all
def test_sums_of_products_are_computed_two_at_a_time(names: set[str]) -> None:
    assert not any(of_many(layer_source(name)) for name in names)


def test_products_are_computed_in_the_order_with_the_smallest_parts() -> None:
    lines = layer_source("transformer_block").splitlines()
    assert '        dWO = torch.einsum("...ir,...is->rs", A @ V, dH)' in lines

    def chain(A: Any, B: Any, C: Any, D: Any) -> Any:
        return torch.einsum("iab,abc,cdi,d->i", A, B, C, D)

    # Any other two first would leave an array of more axes.
    source = derive(chain, A="n a b", B="a b c", C="c d n", D="d").compile("D").source
    assert 'torch.einsum("jkf,ijk->fi", B, A)' in source


def test_a_size_that_is_subtracted_from_others_is_taken_for_a_small_one() -> None:
    n, k = sizes("n k")
    assert subtracted([n, n - k + 1]) == {k}
    assert count([n, n - k], {k}) > 90 * count([n, k], {k})


class Largest(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Finds how many entries the largest array has that is computed."""

    entries = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.entries = max(self.entries, result.untyped_storage().nbytes() // result.element_size())
        return result


def test_no_array_is_larger_than_the_scores_of_attention() -> None:
    layer, (b, h, n, d) = layer_of("batched_attention"), (2, 4, 128, 16)
    Q, K, V = torch.randn(3, b, h, n, d)
    with Largest() as found:  # type: ignore[no-untyped-call]
        layer.backward(layer(Q, K, V))
    assert found.entries == b * h * n * n


def test_what_is_saved_is_the_least_and_what_follows_entry_by_entry_is_computed_again() -> None:
    def saved(source: str) -> list[str]:
        return re.findall(r"save_for_backward\((.*)\)", source)

    def gated(X: Any, W: Any) -> Any:
        Z = X @ W
        gate = torch.sigmoid(Z)
        Y = torch.tanh(gate)
        return Y * gate

    assert saved(layer_source("attention")) == ["Q, K, V, A"]
    assert saved(layer_source("mlp")) == ["X, Z, self.W1, self.W2"]
    assert saved(layer_source("layer_norm")) == ["C, r, self.w"]
    assert saved(layer_source("gelu")) == ["X"]
    source = derive(gated, X="n p", W="p q").layer("Gated", ["W"])
    assert saved(source) == ["X, Z, self.W"]
    assert source.count("torch.sigmoid(Z)") == 2


def brute_force(needed: set[int], made_of: dict[int, list[int]], counts: dict[int, int]) -> int:
    def follows(saved: set[int]) -> bool:
        known = {*saved}
        for value in counts:
            if value in made_of and {*made_of[value]} <= known:
                known.add(value)
        return needed <= known

    choices = (set(chosen) for number in range(len(counts) + 1) for chosen in combinations(counts, number))
    return min(sum(counts[value] for value in chosen) for chosen in choices if follows(chosen))


def test_no_choice_of_what_is_saved_has_fewer_entries() -> None:
    random = Random(0)
    for _ in range(200):
        counts = {value: random.randint(1, 5) for value in range(7)}
        made_of = {value: random.sample(range(value), min(value, 2)) for value in range(1, 7) if random.random() < 0.7}
        needed = set(random.sample(range(7), 3))
        saved = least(needed, made_of, counts)
        assert sum(counts[value] for value in saved) == brute_force(needed, made_of, counts)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
@pytest.mark.parametrize(
    ("name", "scale"),
    [("attention", 30), ("softmax_cross_entropy", 1000), ("kl_divergence", 100), ("binary_cross_entropy", 800)],
)
def test_layers_are_finite_where_torchs_functions_are(name: str, scale: float, dtype: torch.dtype) -> None:
    function, axes = FUNCTIONS[name][0], arguments(*FUNCTIONS[name])
    tensors = given(axes, SIZES, 0).values()
    inputs = [(scale * t.detach()).to(dtype) if t.is_floating_point() else t for t in tensors]
    leaves = [t.double().requires_grad_() if t.is_floating_point() else t for t in inputs]
    expected = function(*leaves)
    torch.autograd.backward(expected, torch.ones_like(expected))
    layer = layer_of(name)
    output = layer(*inputs)
    gradients = layer.backward(torch.ones_like(output))
    grads = [leaf.grad for leaf in leaves if leaf.grad is not None]
    for actual, wanted in zip(gradients if isinstance(gradients, tuple) else [gradients], grads, strict=True):
        assert actual.dtype == dtype
        assert actual.isfinite().all()
        tolerance = {torch.float64: 1e-9, torch.float32: 1e-3, torch.float16: 3e-2}[dtype]
        size = float(wanted.abs().max()) + 1
        torch.testing.assert_close(actual.double(), wanted, rtol=tolerance, atol=tolerance * size)


def test_targets_that_are_whole_numbers_are_inputs_without_a_gradient() -> None:
    layer = layer_of("softmax_cross_entropy")
    Z, t = torch.randn(2, 3, 5, dtype=torch.float64, requires_grad=True), torch.randint(0, 5, (2, 3))
    expected = torch.nn.functional.cross_entropy(Z.reshape(-1, 5), t.reshape(-1))
    expected.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(layer(Z.detach(), t), expected.detach())
    torch.testing.assert_close(layer.backward(torch.tensor(1.0)), Z.grad)
    with pytest.raises(RuntimeError, match="out of bounds"):
        layer(Z.detach(), t + 5)


def test_gradients_of_parameters_are_added_up_and_are_no_views() -> None:
    def shifted(X: Any, B: Any) -> Any:
        return X + B

    namespace: dict[str, Any] = {}
    exec(derive(shifted, X="n d", B="n d").layer("Shifted", ["B"]), namespace)
    layer = namespace["Shifted"](2, 3, dtype=torch.float64)
    (B,) = layer.parameters()
    G = torch.randn(2, 3, dtype=torch.float64)
    for times in (1, 2):
        layer(torch.zeros(2, 3, dtype=torch.float64))
        layer.backward(G)
        torch.testing.assert_close(B.grad, times * G)
        if times == 1:
            assert B.grad.data_ptr() != G.data_ptr()


def test_a_parameter_that_has_the_axis_of_the_rows_is_shared_by_all_of_a_stack() -> None:
    namespace: dict[str, Any] = {}
    exec(derive(lambda X, B: X * B, X="n d", B="n d").layer("Gains", ["B"]), namespace)
    check_layer(namespace["Gains"](4, 3), lambda X, B: X * B, (2, 4, 3))


def test_sizes_that_nothing_saved_tells_are_kept() -> None:
    source = derive(lambda X: X.mean(-1), X="n d").layer("Mean")
    assert "self.save_for_backward()" in source
    assert "self.sizes = (batch, d)" in source
    namespace: dict[str, Any] = {}
    exec(source, namespace)
    check_layer(namespace["Mean"](), lambda X: X.mean(-1), (4, 3), exact=False)


@pytest.mark.parametrize(
    ("name", "inputs", "words"),
    [
        ("attention", [(4, 5), (3, 4), (3, 2)], "K of shape (3, 4) and expected of shape (3, 5)"),
        ("linear", [(4, 1)], "X of shape (1,) and expected of shape (3,)"),
        ("layer_norm", [(4, 1)], "X of shape (1,) and expected of shape (5,)"),
        ("mse", [(4, 3), (4, 1)], "T of shape (4, 1) and expected of shape (4, 3)"),
    ],
)
def test_shapes_that_torch_would_broadcast_are_refused(name: str, inputs: list[Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        layer_of(name)(*map(torch.ones, inputs))


@pytest.mark.parametrize(
    ("parameters", "name", "words"),
    [
        (["Q"], "Linear", "there is no Q to be a parameter: there are"),
        (["X", "W", "b"], "Linear", "backward returns the gradient of an input, and there is none"),
        (["W"], "my layer", "'my layer' is no name for a layer"),
    ],
)
def test_what_makes_no_layer_is_refused(parameters: list[str], name: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        derive(FUNCTIONS["linear"][0], X="n p", W="p q", b="q").layer(name, parameters)


def test_an_argument_that_is_called_as_something_in_a_layer_is_refused() -> None:
    with pytest.raises(ValueError, match="an argument is called batch, as something in a layer is"):
        derive(lambda batch: batch * 2, batch="n d").layer("Twice")
