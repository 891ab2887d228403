"""What torch's words mean for symbolic arrays: sizes that are asked for, places, masks; what is refused, and where."""

import inspect
import re
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from handgrad import symbolic
from handgrad.symbolic import Sum, array, define, derive, sizes, vjp
from handgrad.symbolic.trace import trace

pytestmark = pytest.mark.slow  # seldom breaks: not while one works


def attention(X: Any, WQ: Any, WK: Any, h: Any) -> Any:
    Q, K = ((X @ W).unflatten(-1, (h, -1)).transpose(0, 1) for W in (WQ, WK))
    return torch.softmax(Q @ K.mT, dim=-1)


def test_sizes_that_no_shape_tells_are_asked_for_and_the_others_are_divided() -> None:
    (h,) = sizes("h")
    program = derive(attention, X="n d", WQ="d h*c", WK="d h*c", h=h)
    compiled = program.compile("WQ")
    given = {"X": torch.randn(4, 3, dtype=torch.float64)}
    given |= {name: torch.randn(3, 6, dtype=torch.float64, requires_grad=True) for name in ("WQ", "WK")}
    output = attention(given["X"], given["WQ"], given["WK"], 2)
    G = torch.randn_like(output)
    torch.autograd.backward(output, G)
    values = {name: tensor.detach() for name, tensor in given.items()} | {"G": G}
    result = compiled(**{name: values[name] for name in compiled.arrays}, **dict.fromkeys(compiled.sizes, 2))
    torch.testing.assert_close(result["WQ"], given["WQ"].grad)
    namespace: dict[str, Any] = {}
    exec(program.layer("Scores", ["WQ", "WK"]), namespace)
    assert [*inspect.signature(namespace["Scores"]).parameters][:3] == ["d", "h", "c"]
    layer = namespace["Scores"](3, 2, 3, dtype=torch.float64)
    assert [tuple(parameter.shape) for parameter in layer.parameters()] == [(3, 6), (3, 6)]
    torch.testing.assert_close(layer(values["X"]), attention(values["X"], layer.WQ, layer.WK, 2))


def test_a_size_that_is_no_multiple_is_refused() -> None:
    compiled = derive(lambda X: X.chunk(2, -1)[0].sum(-1) ** 2, X="n 2*d").compile()
    with pytest.raises(ValueError, match=re.escape("an axis of 2*d has the size 5, which is no multiple of 2")):
        compiled(X=torch.ones(3, 5), G=torch.ones(3))


@pytest.mark.parametrize(
    ("function", "shape", "words"),
    [
        (lambda X: X[:, 3], (2, 3), "place 3 is none of an axis of l"),
        (lambda X: X[:, -4] + X[:, 0], (2, 3), "place l - 4 is none of an axis of l"),
        (lambda X: X[:, :4].mean(-1), (2, 3), "a slice from 0 to 4 is longer than an axis of l"),
        (lambda X: F.avg_pool1d(X, 4, 1).mean(-1), (2, 3), "a window of 4 is larger than what it slides over"),
    ],
)
def test_sizes_that_have_no_such_places_are_refused_when_they_are_known(
    function: Any, shape: tuple[int, ...], words: str
) -> None:
    program = derive(function, X="n l")
    compiled = program.compile()
    values = {"G": torch.ones(shape[:1]), "X": torch.ones(shape)}
    with pytest.raises(ValueError, match=re.escape(words)):
        compiled(**{name: values[name] for name in compiled.arrays}, **dict.fromkeys(compiled.sizes, shape[1]))
    namespace: dict[str, Any] = {}
    exec(program.layer("Places"), namespace)
    with pytest.raises(ValueError, match=re.escape(words)):
        namespace["Places"]()(torch.ones(shape))


def test_the_second_derivatives_of_an_inverse_and_of_determinants_are_autograds() -> None:
    def function(A: Any) -> Any:
        return torch.linalg.inv(A) * torch.linalg.det(A) + torch.logdet(A) ** 2

    output, V = trace(function, A="n n"), array("V", *sizes("n n"))
    first = vjp(output, array("A", *sizes("n n"))).result
    product = define("h", Sum(first[first.indices] * V[first.indices], *first.indices))
    compiled = vjp(product, array("A", *sizes("n n"))).compile()
    torch.manual_seed(0)
    values = {name: torch.randn(3, 3, dtype=torch.float64) for name in "GV"}
    values["A"] = torch.eye(3, dtype=torch.float64) * 4 + torch.rand(3, 3, dtype=torch.float64)
    A = values["A"].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(function(A), A, values["G"], create_graph=True)
    (expected,) = torch.autograd.grad(gradient, A, values["V"])
    torch.testing.assert_close(compiled(**{name: values[name] for name in compiled.arrays}), expected)


def test_of_entries_that_are_equally_large_each_has_its_share_as_torchs_amax_gives_it() -> None:
    program = derive(lambda X: X.amax(-1), X="n d")
    X = torch.tensor([[1.0, 3, 3], [2, 0, 1]], requires_grad=True)
    G = torch.tensor([4.0, 5])
    torch.autograd.backward(X.amax(-1), G)
    torch.testing.assert_close(program.compile()(X=X.detach(), G=G)["X"], X.grad)
    assert program["X"].derivation.where == "where no row of $X$ has two entries that are the largest"


def test_torchs_own_functions_are_there_again_after_a_trace_that_fails() -> None:
    own = torch.arange, F.conv1d
    with pytest.raises(ValueError, match="median"):
        derive(lambda X: torch.arange(X.shape[0]) * torch.median(X), X="n")
    assert (torch.arange, F.conv1d) == own


def fails_inside(X: Any) -> Any:
    Y = X * 2
    return Y.median()


@pytest.mark.parametrize(
    ("function", "axes", "words"),
    [
        (fails_inside, {"X": "n"}, r"no median; .* \(line \d+ of fails_inside: return Y.median\(\)\)"),
        (lambda X: X.reshape(2, -1), {"X": "n d"}, r"declare an axis that is split as the product that it is, 2\*m"),
        (lambda X: X.unflatten(1, (3, -1)), {"X": "n 2*d"}, r"axes of sizes 2, d are not known to make one of 3"),
        (lambda X: X.reshape(X.shape[0]), {"X": "n d"}, "axes of sizes n, d have more entries than n"),
        (lambda X, Y: X + Y, {"X": "a*b", "Y": "b*a"}, r"axes of sizes a\*b and b\*a do not fit"),
        (lambda X: X[1:], {"X": "2*d"}, "a slice of an axis that is joined"),
        (lambda X: X.masked_fill(X > 0, float("-inf")) * 2, {"X": "n"}, "finite ones are added, and nothing else"),
        (lambda X: X.masked_fill(X > 0, float("-inf")), {"X": "n"}, "entries that are -inf"),
        (lambda X: F.rms_norm(X, (X.shape[-1],)), {"X": "n d"}, "give eps"),
        (lambda X: F.dropout(X), {"X": "n d"}, "dropout of torch's cannot be traced"),
        (lambda X: F.cross_entropy(X, X, weight=X[0]), {"X": "n d"}, "unexpected keyword argument 'weight'"),
        (lambda X: F.mse_loss(X, X, reduction="max"), {"X": "n d"}, "reduction='max' cannot be traced"),
        (lambda X: torch.linalg.inv(X), {"X": "n d"}, r"inv of shape \(n, d\)"),
        (lambda X: X.amax((0, 1)), {"X": "n d"}, r"amax over dim=\(0, 1\) cannot be traced"),
        (lambda X: X.unbind(0), {"X": "n d"}, "the places of an axis of size n are not counted"),
        (lambda X, W: F.conv1d(X, W, groups=2), {"X": "n c l", "W": "2*o c k"}, "not known to make one of 2"),
        (lambda X, W: F.conv1d(X, W, padding="same"), {"X": "n c l", "W": "o c k"}, "'same' cannot be traced"),
        (lambda X: X.squeeze(0), {"X": "n d"}, "the axis has the size n, not 1"),
        (lambda X: X.expand(3, 4), {"X": "n d"}, "is not repeated to 3"),
        (lambda X: X.norm(3), {"X": "n d"}, "norm with p=3 cannot be traced"),
        (lambda X: abs(X) & X, {"X": "n d"}, "is no condition: compare it"),
    ],
)
def test_what_a_word_cannot_be_is_refused_with_its_line(function: Any, axes: dict[str, str], words: str) -> None:
    with pytest.raises((ValueError, AttributeError), match=words) as refused:
        derive(function, **axes)
    assert f"of {function.__name__}" in str(refused.value) or "-inf: only" in str(refused.value)


def test_an_array_is_made_of_sizes_only_in_a_function_that_is_traced() -> None:
    with pytest.raises(ValueError, match="arrays are made of sizes in a function that is traced"):
        symbolic.arange(3)
