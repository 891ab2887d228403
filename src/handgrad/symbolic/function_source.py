"""The source of a torch.autograd.Function that computes a program, and of the function that applies it."""

import ast
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from handgrad.symbolic.code_text import ROOM, WIDTH, enclosed, spaced, tuple_lines
from handgrad.symbolic.formulas import free_name
from handgrad.symbolic.layer_code import RESERVED, LayerCode
from handgrad.symbolic.source_text import Computed, docstring, gradients_text, module, shape_text, shapes_text

_IMPORTS = (
    ("import math", "from typing import Any"),
    ("import torch", "from torch import Tensor", "from torch.autograd.function import once_differentiable"),
    ("from handgrad.layer import require_same_shape",),
)


class _FunctionCode(LayerCode):
    """The lines of a function's forward and backward; autograd sees to the shape of what comes in."""

    owner, is_checked = "ctx", False
    # Lines may stand under a condition, and be multiplied by what comes in.
    room = ROOM - len(f"    {LayerCode.incoming} * ()")


def function_source(computed: Computed, name: str, parameters: Sequence[str]) -> str:
    """Return the source of a module with the function: see `Program.function`."""
    computed.require_names(name, "a function", parameters, {name, *RESERVED})
    if not computed.gradients:
        raise ValueError("a function's backward returns gradients, and there is none")
    program, bases, upstream = computed.stacked(parameters)
    code = _FunctionCode(program, bases, {}, upstream, computed.joined, computed.required)
    if code.told.asked:
        raise ValueError(
            f"no shape tells the size {code.told.asked[0]}, and functions are given tensors: write a layer"
        )
    called = "".join(word[:1].upper() + word[1:] for word in name.split("_")) + "Function"
    output, given = computed.output.name, ", ".join(bases)
    shapes = shapes_text(code, bases)
    about = docstring(
        f"{output} of {given}, and its gradients.", computed.formulas, shapes + gradients_text(computed, bases)
    )
    methods = "\n\n".join([about, _forward(code), _backward(code)])
    head = enclosed(f"def {name}(", [f"{argument}: Tensor" for argument in bases], ") -> Tensor:", indent=0)
    first = f"Return {output} {shape_text(code, code.output.base)}, which autograd differentiates by {called}."
    body = f"    output: Tensor = {called}.apply({given})  # type: ignore[no-untyped-call]\n    return output\n"
    applied = "\n".join([*head, docstring(first, (), shapes), body])
    text = f"class {called}(torch.autograd.Function):\n{methods}\n\n\n{applied}"
    return module("A function that was derived by handgrad.symbolic, with its gradients.", _IMPORTS, text)


def _forward(code: LayerCode) -> str:
    arguments = ["ctx: Any", *(f"{name}: Tensor" for name in code.inputs)]
    head = enclosed("def forward(", arguments, ") -> Tensor:", indent=4)
    about = f'        """Compute {code.output.name}."""'
    return "\n".join(["    @staticmethod", *head, about, *code.forward()])


def _backward(code: LayerCode) -> str:
    returned = "tuple[Tensor | None, ...]" if len(code.inputs) > 1 else "Any"
    head = f"    def backward(ctx: Any, grad_output: Tensor) -> {returned}:"
    about = '        """Compute the gradients that autograd asks for."""'
    ends = [_end(code, name) if name in code.results else "None" for name in code.inputs]
    lines = [*code.known(), *_asked_for(code), *tuple_lines("return ", ends)]
    return "\n".join(["    @staticmethod", "    @once_differentiable", head, about, *lines])


def _end(code: LayerCode, name: str) -> str:
    """Return the code of a gradient, which may be None if there are several."""
    gradient, returned = code.gradient(name), code.returned(name)
    may_be_none = len(code.results) > 1 and returned != gradient
    return f"None if {gradient} is None else {returned}" if may_be_none else returned


def _asked_for(code: LayerCode) -> Iterator[str]:
    """Yield the lines of the gradients, under conditions where not all need them."""
    gradients = {code.gradient(name): name for name in code.results}
    lines = [
        f"{name} = {_times(value) if name in gradients and code.upstream is None else value}"
        for name, value in code.behind_lines
    ]
    flags = {
        name: free_name(f"needs_{name}", code.second.taken) if name in code.results else "_" for name in code.inputs
    }
    if len(gradients) > 1:
        yield from tuple_lines("", [*flags.values()], " = ctx.needs_input_grad")
        yield f"        {' = '.join(code.gradient(name) for name in code.inputs if name in code.results)} = None"
    for needed, group in groupby(zip(code.needed_by(), lines, strict=True), key=lambda line: line[0]):
        everywhere = len(needed) == len(gradients)
        if not everywhere:
            yield from _condition([flag for name, flag in flags.items() if name in needed])
        for _, line in group:
            yield f"        {line}" if everywhere else f"            {line}"


def _condition(flags: Sequence[str]) -> list[str]:
    line = f"        if {' or '.join(flags)}:"
    if len(line) <= WIDTH:
        return [line]
    first, *others = flags
    return ["        if (", f"            {first}", *(f"            or {flag}" for flag in others), "        ):"]


def _times(code: str) -> str:
    """Return code times the gradient that comes in."""
    product: Any = ast.BinOp(ast.Name("grad_output"), ast.Mult(), ast.parse(code, mode="eval").body)
    return spaced(product)
