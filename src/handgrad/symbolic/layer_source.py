"""The source of a layer that computes a program, with its formulas, to be read, checked, changed and kept."""

from collections.abc import Sequence

from handgrad.symbolic.code_text import enclosed
from handgrad.symbolic.layer_code import RESERVED, LayerCode
from handgrad.symbolic.shapes import shape_of
from handgrad.symbolic.source_text import Computed, docstring, from_to, gradients_text, module, shapes_text

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
_IMPORTS = (
    ("import math", "from collections.abc import Iterator"),
    ("import torch", "from torch import Tensor"),
    ("from handgrad.layer import NOT_WANTED, Layer, accumulate, require_same_shape",),
)


def layer_source(computed: Computed, name: str, parameters: Sequence[str]) -> str:
    """Return the source of a module with the layer: see `Program.layer`."""
    computed.require_names(name, "a layer", parameters, RESERVED)
    for parameter in parameters:
        if parameter not in computed.gradients:
            raise ValueError(f"{parameter} is no parameter: there is no gradient with respect to it")
    inputs = [argument for argument in computed.arguments if argument not in parameters]
    if not any(argument in computed.gradients for argument in inputs):
        raise ValueError(
            "a layer's backward returns the gradient of an input, and there is none: take one from the parameters"
        )
    program, bases, upstream = computed.stacked(parameters)
    given, learned = ({name: bases[name] for name in names} for names in (inputs, parameters))
    code = LayerCode(program, given, learned, upstream, computed.joined, computed.required)
    first = f"{computed.output.name} of {', '.join(inputs)}, and its gradients."
    about = shapes_text(code, {**code.inputs, **code.parameters}) + gradients_text(computed, inputs)
    methods = filter(None, [_initial(code), _forward(code), _backward(code), _parameters(code)])
    text = f"class {name}(Layer):\n{docstring(first, computed.formulas, about)}\n\n" + "\n".join(methods)
    return module("A layer that was derived by handgrad.symbolic.", _IMPORTS, text)


def _initial(code: LayerCode) -> str:
    """Return __init__, if there are parameters, or sizes that no shape tells."""
    asked = [str(extent) for extent in code.told.asked]
    if not (code.parameters or asked):
        return ""
    lines = [f"        self.{extent} = {extent}" for extent in asked]
    if not code.parameters:
        return _SIZES.format(arguments=", ".join(f"{extent}: int" for extent in asked), lines="\n".join(lines))
    extents = (extent for base in code.parameters.values() for extent in shape_of(base) if extent.is_Symbol)
    sizes = dict.fromkeys([*map(str, extents), *asked])
    for name, base in code.parameters.items():
        shape = [str(extent).replace("*", " * ") for extent in code.shape(base)]
        bound = f" / math.sqrt({shape[0]})" if shape else ""
        made = f"torch.empty({', '.join(shape) or '()'}, dtype=dtype, device=device)"
        lines.append(f"        self.{name} = {made}.uniform_(-1, 1){bound}")
    arguments = "\n".join(f"        {extent}: int," for extent in sizes)
    return _HEAD.format(arguments=arguments, lines="\n".join(lines)).replace("self,\n\n", "self,\n")


def _forward(code: LayerCode) -> str:
    arguments = [f"{name}: Tensor" for name in code.inputs]
    head = enclosed("def forward(", ["self", *arguments], ") -> Tensor:", indent=4)
    about = from_to(code, code.inputs.values(), [code.output.base])
    return "\n".join([*head, about, *code.forward(), ""])


def _backward(code: LayerCode) -> str:
    found = [base for name, base in code.inputs.items() if name in code.results]
    returned = "Tensor" if len(found) == 1 else f"tuple[{'Tensor, ' * (len(found) - 1)}Tensor]"
    returned = "tuple[Tensor, ...]" if len(found) > 4 else returned
    given = "grad_output: Tensor" if code.shape(code.output.base) else "grad_output: Tensor | float = 1.0"
    given += ", needs_input_grad: bool = True" if code.parameters else ""
    adds = f"; adds to the `.grad` of {', '.join(code.parameters)}" if code.parameters else ""
    about = from_to(code, [code.output.base], found, adds)
    # A layer returns the gradient of its first input; one of several differs from it on purpose.
    differs = "" if len(found) == 1 else "  # type: ignore[override]"
    return "\n".join([f"    def backward(self, {given}) -> {returned}:{differs}", about, *code.backward(), ""])


def _parameters(code: LayerCode) -> str:
    if not code.parameters:
        return ""
    names = [f"self.{name}" for name in code.parameters]
    (line, *more) = enclosed("yield from (", names, ",)" if len(names) == 1 else ")", is_call=False)
    about = f'        """Yield {", ".join(code.parameters)}."""'
    return "\n".join(["    def parameters(self) -> Iterator[Tensor]:", about, line, *more, ""])
