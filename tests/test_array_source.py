"""A program is written as plain functions of numpy's arrays, and of jax's."""

import sys
from functools import cache
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.special
import torch
from functions import FUNCTIONS
from test_layer_code import SIZES, attributes
from test_trace import arguments, given

from handgrad.symbolic import derive

pytestmark = pytest.mark.slow  # seldom breaks: not while one works

# Matrices, a softmax, sigmoids and their logarithm, erf, and what is looked up.
SOME = ("attention", "binary_cross_entropy", "focal", "gelu", "softmax_cross_entropy", "lower")


@cache
def sources(name: str) -> dict[str, str]:
    program = derive(FUNCTIONS[name][0], **arguments(*FUNCTIONS[name]))
    return {"numpy": program.numpy(name), "jax": program.jax(name)}


@pytest.fixture
def jax(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Those of jax's functions that are used, computed by numpy and scipy, where jax is not installed."""
    try:
        import jax  # type: ignore[import-not-found]
    except ImportError:
        jax = ModuleType("jax")
        special = scipy.special
        nn = SimpleNamespace(sigmoid=special.expit, log_sigmoid=special.log_expit)
        jax.__dict__.update(numpy=np, nn=nn, lax=SimpleNamespace(erf=special.erf))
        monkeypatch.setitem(sys.modules, "jax", jax)
        monkeypatch.setitem(sys.modules, "jax.numpy", np)
        return jax
    jax.config.update("jax_enable_x64", True)
    return jax


def run(source: str, name: str, arrays: list[Any], *upstream: Any) -> list[Any]:
    """Return the output, and the gradients."""
    namespace: dict[str, Any] = {}
    exec(source, namespace)
    returned = namespace[f"{name}_backward"](*arrays, *upstream)
    return [namespace[name](*arrays), *(returned if isinstance(returned, tuple) else [returned])]


@pytest.mark.parametrize("name", SOME)
def test_the_functions_of_jax_compute_what_those_of_numpy_do(name: str, jax: Any) -> None:
    tensors = given(arguments(*FUNCTIONS[name]), SIZES, 0)
    output = FUNCTIONS[name][0](**tensors)
    upstream = [np.full(output.shape, 0.5)] if output.dim() else []
    arrays = [tensor.detach().numpy() for tensor in tensors.values()]
    expected = run(sources(name)["numpy"], name, arrays, *upstream)
    actual = run(sources(name)["jax"], name, [*map(jax.numpy.asarray, arrays)], *map(jax.numpy.asarray, upstream))
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)
        assert "np." not in sources(name)["jax"].replace("jnp.", "")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("name", "scale"), [("attention", 30), ("softmax_cross_entropy", 1000), ("binary_cross_entropy", 800), ("gelu", 9)]
)
def test_what_numpy_computes_is_finite_and_of_the_dtype_of_what_it_is_given(
    name: str, scale: float, dtype: Any
) -> None:
    tensors = [*given(arguments(*FUNCTIONS[name]), SIZES, 0).values()]
    arrays = [
        t.detach().numpy() if not t.is_floating_point() else (scale * t.detach().numpy()).astype(dtype) for t in tensors
    ]
    leaves = [
        torch.tensor(array).double().requires_grad_() if t.is_floating_point() else t
        for array, t in zip(arrays, tensors, strict=True)
    ]
    output = FUNCTIONS[name][0](*leaves)
    torch.autograd.backward(output, torch.ones_like(output))
    upstream = [np.ones(output.shape, dtype)] if output.dim() else []
    expected = [output.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)]
    tolerance = {"float64": 1e-9, "float32": 1e-3}[dtype]
    for actual, wanted in zip(run(sources(name)["numpy"], name, arrays, *upstream), expected, strict=True):
        assert actual.dtype == dtype
        size = float(wanted.abs().max()) + 1
        np.testing.assert_allclose(actual, wanted.numpy(), rtol=tolerance, atol=tolerance * size)


def test_attention_is_what_one_would_have_written() -> None:
    source = sources("attention")["numpy"]
    for line in [
        "import numpy as np",
        "def attention(Q, K, V):",
        "    assert K.shape == (m, d)",
        "    Z = Q @ K.mT / math.sqrt(d)",
        "    A = powers / powers.sum(-1, keepdims=True)",
        "    return Y",
        "def attention_backward(Q, K, V, G):",
        "        dA[r, s] = sum(G[r, a]*V[s, a], a)",
        "    dZ = A * (dA - (A * dA).sum(-1, keepdims=True))",
        "    return dQ, dK, dV",
    ]:
        assert line in source.splitlines(), source


def test_shapes_that_numpy_would_broadcast_are_refused() -> None:
    namespace: dict[str, Any] = {}
    exec(derive(FUNCTIONS["mse"][0], Y="n d", T="n d").numpy(), namespace)
    for name in ("forward", "backward"):
        with pytest.raises(AssertionError):
            namespace[name](np.ones((3, 2)), np.ones((3, 1)))


def test_scipy_is_needed_for_erf_alone() -> None:
    assert {name for name in SOME if "scipy" in sources(name)["numpy"]} == {"gelu"}


def test_no_function_calls_automatic_differentiation() -> None:
    for name in SOME:
        for source in sources(name).values():
            assert not any("grad" in called or "vjp" in called for called in attributes(source))


@pytest.mark.parametrize(
    ("axes", "name", "words"),
    [
        ({"np": "n"}, "twice", "an argument is called np, as something in a function is"),
        ({"X": "n"}, "to do", "'to do' is no name for a function"),
    ],
)
def test_names_that_the_code_has_already_are_refused(axes: dict[str, str], name: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        derive(lambda *one, **other: 2 * [*one, *other.values()][0], **axes).numpy(name)
