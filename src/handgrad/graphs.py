"""The graph of a computation, drawn of what a run of it did: tensors go down, their gradients back up."""

import copy
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from handgrad.layer import Layer

# In pixels. Letters of a monospaced font are 0.6 of its size wide, in some a little more.
SIZE, LETTER, LINE = 15, 9.2, 25
ARROW, GAP, LANE, SPACE = 26, 8, 15, 50
LINES = 'fill="none" stroke="currentColor" stroke-width="1.5"'


def in_words(shape: Sequence[int]) -> str:
    """Return the sizes of a shape; a number has none, and empty parentheses would look like a call."""
    return ", ".join(map(str, shape)) or "one number"


@dataclass(frozen=True)
class Edge:
    """A tensor that enters or leaves a layer; its gradient, if it gets one, has its shape and goes the other way."""

    name: str
    shape: Sequence[int]
    has_gradient: bool = True

    def __str__(self) -> str:
        return f"{self.name} ({in_words(self.shape)})"


@dataclass(frozen=True)
class Node:
    """What a layer of a chain took, first what the one before made, and what it made of that."""

    layer: str
    inputs: Sequence[Edge]
    output: Edge


def graph(layers: Mapping[str, Layer], /, **given: Tensor) -> "Graph":
    """Run a chain of layers, forward and backward, and return the graph of what happened.

    `layers` has a name for the output of each layer, `given` one for each tensor that is there from the start: the
    parameters, and of all others the first enters the first layer, the rest the last, as targets enter a loss.
    Parameters keep the `.grad` that they have. ValueError if a name is missing or there twice, and if a gradient is
    missing or has not the shape of its tensor.
    """
    names = {id(tensor): name for name, tensor in given.items()}
    parameters = {id(parameter): parameter for layer in layers.values() for parameter in layer.parameters()}
    handed = [name for name in given if id(given[name]) not in parameters]
    for each, parameter in parameters.items():
        if each not in names:
            raise ValueError(f"a parameter of shape {tuple(parameter.shape)} has no name: add NAME=tensor for it")
    if not layers or not handed or layers.keys() & given.keys():
        every = ", ".join([*layers, *given])
        raise ValueError(f"a graph needs a layer, an input, and a name of its own for each tensor: {every}")
    before = [(parameter, parameter.grad) for parameter in parameters.values()]
    try:
        with torch.no_grad():
            return _run(layers, given, names, handed)
    finally:
        for parameter, grad in before:
            parameter.grad = grad


def _run(
    layers: Mapping[str, Layer], given: Mapping[str, Tensor], names: Mapping[int, str], handed: Sequence[str]
) -> "Graph":
    """Return the graph; `handed` names what is no parameter."""
    entering, *targets = handed
    tensors, turns = dict(given), []
    for output, original in layers.items():
        layer = copy.copy(original)  # The original may be in the middle of a pass, and needs what it saved.
        inputs = [entering, *(targets if output == list(layers)[-1] else ())]
        tensors[output] = layer(*(tensors[name] for name in inputs))
        turns.append((layer, inputs, output))
        entering = output
    nodes: list[Node] = []
    handed_in = grad = torch.ones_like(tensors[entering])
    for layer, inputs, output in reversed(turns):
        own = {names[id(parameter)]: parameter for parameter in layer.parameters()}
        for parameter in own.values():
            parameter.grad = None
        grad = layer.backward(grad)
        kind = type(layer).__name__
        for name, found in {inputs[0]: grad, **{name: parameter.grad for name, parameter in own.items()}}.items():
            edge = Edge(name, tensors[name].shape)
            if found is None or found.shape != edge.shape:
                shape = "missing" if found is None else f"of shape {tuple(found.shape)}"
                raise ValueError(f"{kind}: the gradient of {edge} is {shape}")
        parts = [inputs[0], *own, *inputs[1:]]
        taken = [Edge(name, tensors[name].shape, name not in targets) for name in parts]
        nodes.insert(0, Node(kind, taken, Edge(output, tensors[output].shape)))
    return Graph(nodes, handed_in)


@dataclass(frozen=True, repr=False)
class Graph:
    """A chain of nodes, shown as a picture; its text says the same in words. `grad` is what the last was handed."""

    nodes: Sequence[Node]
    grad: Tensor

    def __repr__(self) -> str:
        lines = [f"{node.layer} makes {node.output} of {_listed(node.inputs)}." for node in self.nodes]
        if not self.grad.ndim:
            lines.append(f"The gradient of {self.nodes[-1].output} is {self.grad:g}.")
        for node in reversed(self.nodes):
            learned = [edge for edge in node.inputs if edge.has_gradient]
            what = "that" if len(learned) == 1 else "those"
            lines.append(f"Of the gradient of {node.output}, {node.layer} makes {what} of {_listed(learned)}.")
        return " ".join([*lines, "Each gradient has the shape of its tensor."])

    def _repr_html_(self) -> str:
        # The chain runs down the middle, where x is 0: tensors to the left of it, their gradients to the right.
        chain = [self.nodes[0].inputs[0], *(node.output for node in self.nodes)]
        of = "L" if chain[-1].shape else chain[-1].name
        half = max(len(node.layer) for node in self.nodes) * LETTER / 2 + GAP
        values, gradients, boxes = [], [], []
        labels: list[tuple[Edge, float, float]] = []  # how far from the middle, and how far down
        y = 0.0
        for edge, node in zip(chain, [*self.nodes, None], strict=True):
            values.append(_arrow(-LANE, y + 3, 0, SPACE - 6))
            gradients.append(_arrow(LANE, y + SPACE - 3, 0, 6 - SPACE))
            labels.append((edge, LANE + GAP, y + SPACE / 2))
            y += SPACE
            sides = node.inputs[1:] if node else ()
            for at, side in enumerate(sides):
                middle = y + GAP + (at + 0.5) * LINE
                values.append(_arrow(-half - ARROW, middle, ARROW - 3, 0))
                if side.has_gradient:
                    gradients.append(_arrow(half + 3, middle, ARROW - 3, 0))
                labels.append((side, half + ARROW + GAP, middle))
            if node:
                height = max(len(sides), 1) * LINE + 2 * GAP
                boxes.append(f'<rect x="{-half:g}" y="{y:g}" width="{2 * half:g}" height="{height}" rx="4" {LINES}/>')
                boxes.append(_text(node.layer, 0, y + height / 2, "middle"))
                y += height
        derivatives = [(f"∂{of}/∂{edge}", x, down) for edge, x, down in labels if edge.has_gradient]
        if not self.grad.ndim:
            derivatives[-1] = (f"∂{of}/∂{of} = {self.grad:g}", *derivatives[-1][1:])
        values += [_text(str(edge), -x, down, "end") for edge, x, down in labels]
        gradients += [_text(name, x, down, "start") for name, x, down in derivatives]
        left = max(x + len(str(edge)) * LETTER for edge, x, _ in labels)
        right = max(x + len(name) * LETTER for name, x, _ in derivatives)
        names = ", ".join(node.layer for node in self.nodes)
        # Colours of the page; those in a notebook stand out from black as well as from white.
        return (
            f'<svg class="graph" role="img" viewBox="{-left:g} 0 {left + right:g} {y:g}" width="{left + right:g}" '
            f'height="{y:g}" font-family="var(--mono, monospace)" font-size="{SIZE}" fill="currentColor">\n'
            f"<title>{html.escape(f'Graph of {names}: tensors down, gradients up')}</title>\n"
            f"<desc>{html.escape(repr(self))}</desc>\n"
            f'<g color="var(--value, #3a7cbe)">{"".join(values)}</g>\n'
            f'<g color="var(--gradient, #b3661a)">{"".join(gradients)}</g>\n'
            f"<g>{''.join(boxes)}</g>\n</svg>"
        )


def _listed(edges: Sequence[Edge]) -> str:
    *some, last = map(str, edges)
    return f"{', '.join(some)} and {last}" if some else last


def _text(text: str, x: float, y: float, anchor: str) -> str:
    return f'<text x="{x:g}" y="{y + 5:g}" text-anchor="{anchor}">{html.escape(text)}</text>'


def _arrow(x: float, y: float, right: float, down: float) -> str:
    """Return an arrow that is horizontal or vertical."""
    u, v = ((way > 0) - (way < 0) for way in (right, down))
    ahead, aside = (6 * u + 4 * v, 6 * v + 4 * u), (4 * v - 6 * u, 4 * u - 6 * v)
    head = f"m{-ahead[0]} {-ahead[1]}l{ahead[0]} {ahead[1]} {aside[0]} {aside[1]}"
    return f'<path d="M{x:g} {y:g}l{right:g} {down:g}{head}" {LINES}/>'
