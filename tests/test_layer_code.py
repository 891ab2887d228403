"""A program is compiled: to one function, and to the source of a layer that could stand in the package."""

import re
from random import Random

import pytest
import torch
from functions import FUNCTIONS
from test_trace import arguments, given

from handgrad.symbolic import derive


@pytest.mark.parametrize("name", FUNCTIONS)
def test_one_function_returns_all_gradients_and_they_are_autograds(name: str) -> None:
    function, axes = FUNCTIONS[name][0], arguments(*FUNCTIONS[name])
    compiled = derive(function, **axes).compile()
    real = {argument for argument, text in axes.items() if "->" not in text}
    letters = sorted({letter for text in axes.values() for letter in text.replace("->", " ").split()})
    for seed in range(3):
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
    assert compiled.source == 'def gradients(G):\n    db = G.sum(0)\n    return {"b": db}'
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
