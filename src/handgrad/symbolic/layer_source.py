"""The source of a layer that computes a program, with its formulas, to be read, checked, changed and kept."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sympy import Expr

from handgrad.symbolic.code_text import WIDTH, enclosed
from handgrad.symbolic.definitions import Definition, given_in, in_order, made_of
from handgrad.symbolic.formulas import Array, require_name
from handgrad.symbolic.layer_code import RESERVED, LayerCode
from handgrad.symbolic.plain_text import equation
from handgrad.symbolic.shapes import shape_of
from handgrad.symbolic.stacks import stacked

if TYPE_CHECKING:
    from handgrad.symbolic.reverse import Program

_HEAD = '''    def __init__(
        self,
{arguments}
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        """Draw each parameter uniformly in ±1/√(its first size)."""
{lines}
'''


_SIZES = '''    def __init__(self, {arguments}) -> None:
        """Take the sizes that the shapes of inputs do not tell."""
{lines}
'''


def layer_source(derived: "Program", gradients: Mapping[str, Definition], name: str, parameters: Sequence[str]) -> str:
    """Return the source of a module with the layer: see `Program.layer`."""
    output, arguments = derived.output, derived.arguments
    require_name(name, "a layer")
    made = made_of(output)
    ordered = [*(argument for argument in arguments if argument in made), *(n for n in made if n not in arguments)]
    inputs = {argument: made[argument] for argument in ordered if argument not in parameters}
    _require_fitting(made, gradients, inputs, parameters)
    known = {*made.values()}
    bases, numbers = given_in([*gradients.values()])
    upstream = next((base for base in (*bases, *numbers) if base not in known), None)
    arrays = [base for base in inputs.values() if isinstance(base, Array)]
    # Rows that are the first of a joined axis are none of any number of axes.
    by_rows = not any(derived.joined.get(name, (1,))[:1] > (1,) for name in (*inputs, output.name))
    program = stacked(output, gradients, arrays, upstream, by_rows)
    new, _ = given_in([*program.steps, *program.gradients.values()])
    by_name = made | {base.name: base for base in new}
    incoming = upstream if upstream is None else by_name.get(upstream.name, upstream)
    code = LayerCode(
        program, {n: by_name[n] for n in inputs}, {n: made[n] for n in parameters}, incoming, derived.joined
    )
    formulas = [*in_order(output), *gradients.values()]
    return _module(code, name, formulas, derived.required)


def _require_fitting(
    made: Mapping[str, Any], gradients: Mapping[str, Definition], inputs: Mapping[str, Any], parameters: Sequence[str]
) -> None:
    """Raise ValueError on parameters that are none, names that a layer has already, and layers without a gradient."""
    for name in parameters:
        if name not in made:
            raise ValueError(f"there is no {name} to be a parameter: there are {', '.join(made)}")
        if name not in gradients:
            raise ValueError(f"{name} is no parameter: there is no gradient with respect to it")
    if taken := [name for name in made if name in RESERVED]:
        raise ValueError(f"an argument is called {taken[0]}, as something in a layer is: rename it")
    if not any(name in gradients for name in inputs):
        raise ValueError(
            "a layer's backward returns the gradient of an input, and there is none: take one from the parameters"
        )


def _module(code: LayerCode, name: str, formulas: Sequence[Definition], required: Mapping[Expr, str]) -> str:
    methods = [_initial(code), _forward(code, required), _backward(code), _parameters(code)]
    body = "\n".join(filter(None, methods))
    text = f'class {name}(Layer):\n    """{_docstring(code, formulas)}\n    """\n\n{body}'
    helpers = [helper for helper in ("accumulate", "require_same_shape") if f"{helper}(" in text]
    imports = [
        *(["import math"] if "math." in text else []),
        *(["from collections.abc import Iterator"] if "Iterator[" in text else []),
        *([""] if "math." in text or "Iterator[" in text else []),
        *(["import torch"] if "torch." in text else []),
        "from torch import Tensor",
        "",
        f"from handgrad.layer import {', '.join(['Layer', *helpers])}",
    ]
    return '"""A layer that was derived by handgrad.symbolic."""\n\n' + "\n".join(imports) + f"\n\n\n{text}"


def _docstring(code: LayerCode, formulas: Sequence[Definition]) -> str:
    shapes = ", ".join(f"{n} {_shape(code, base)}" for n, base in {**code.inputs, **code.parameters}.items())
    inputs = ", ".join(code.inputs)
    lines = [f"{code.output.name} of {inputs}, and its gradients.", ""]
    for step in formulas:
        lines += textwrap.wrap(
            equation(step), WIDTH - 4, initial_indent="    ", subsequent_indent="        ", break_long_words=False
        )
    about = f"{shapes}." + (" `*` is any number of axes." if code.star is not None else "")
    first = next(name for name in code.inputs if name in code.results)
    about += f" d{first} is the gradient of {first}" + (
        f", {code.upstream.name} that of {code.output.name}." if code.upstream else "."
    )
    lines += ["", *textwrap.wrap(about, WIDTH - 4, break_long_words=False)]
    return "\n    ".join(lines).replace("\n    \n", "\n\n")


def _shape(code: LayerCode, base: Any) -> str:
    names = ["*" if extent == code.star else str(extent) for extent in code.shape(base)]
    return f"({', '.join(names)}{',' if len(names) == 1 and names != ['*'] else ''})"


def _initial(code: LayerCode) -> str:
    """Return __init__, if there are parameters, or sizes that no shape tells."""
    asked = [str(extent) for extent in code.told.asked]
    if not (code.parameters or asked):
        return ""
    shapes = {name: [_product(extent) for extent in code.shape(base)] for name, base in code.parameters.items()}
    sizes = dict.fromkeys(
        str(extent) for base in code.parameters.values() for extent in shape_of(base) if extent.is_Symbol
    )
    sizes |= dict.fromkeys(asked)
    lines = [f"        self.{extent} = {extent}" for extent in asked]
    for name, shape in shapes.items():
        extents = ", ".join(shape) or "()"
        bound = f" / math.sqrt({shape[0]})" if shape else ""
        lines.append(f"        self.{name} = torch.empty({extents}, dtype=dtype, device=device).uniform_(-1, 1){bound}")
    arguments = "\n".join(f"        {extent}: int," for extent in sizes)
    if not code.parameters:
        return _SIZES.format(arguments=", ".join(f"{extent}: int" for extent in asked), lines="\n".join(lines))
    return _HEAD.format(arguments=arguments, lines="\n".join(lines)).replace("self,\n\n", "self,\n")


def _product(extent: Expr) -> str:
    return str(extent).replace("*", " * ")


def _forward(code: LayerCode, required: Mapping[Expr, str]) -> str:
    shapes = ", ".join(_shape(code, base) for base in code.inputs.values())
    arguments = [f"{name}: Tensor" for name in code.inputs]
    lines = "\n".join(code.forward(required))
    about = f'"""{shapes} -> {_shape(code, code.output.base)}."""'
    head = "\n".join(enclosed("def forward(", ["self", *arguments], ") -> Tensor:", indent=4))
    return f"{head}\n        {about}\n{lines}\n"


def _backward(code: LayerCode) -> str:
    found = [base for name, base in code.inputs.items() if name in code.results]
    shapes = ", ".join(_shape(code, base) for base in found)
    returned = "Tensor" if len(found) == 1 else f"tuple[{'Tensor, ' * (len(found) - 1)}Tensor]"
    returned = "tuple[Tensor, ...]" if len(found) > 4 else returned
    output = code.shape(code.output.base)
    given = "grad_output: Tensor" if output else "grad_output: Tensor | float = 1.0"
    adds = f"; adds to the `.grad` of {', '.join(code.parameters)}" if code.parameters else ""
    about = f'"""{_shape(code, code.output.base)} -> {shapes}{adds}."""'
    lines = "\n".join(code.backward())
    # A layer returns the gradient of its first input; one of several differs from it on purpose.
    differs = "" if len(found) == 1 else "  # type: ignore[override]"
    return f"    def backward(self, {given}) -> {returned}:{differs}\n        {about}\n{lines}\n"


def _parameters(code: LayerCode) -> str:
    if not code.parameters:
        return ""
    names = [f"self.{name}" for name in code.parameters]
    (line, *more) = enclosed("yield from (", names, ",)" if len(names) == 1 else ")", is_call=False)
    about = f'        """Yield {", ".join(code.parameters)}."""'
    return "\n".join(["    def parameters(self) -> Iterator[Tensor]:", about, line, *more, ""])
