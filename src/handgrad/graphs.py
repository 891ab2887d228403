"""Graphs: of a chain of layers, recorded while it runs, and of a program; tensors go down, their gradients back up."""

import copy
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from handgrad.layer import Layer
from handgrad.symbolic.definitions import in_order, made_of
from handgrad.symbolic.letters import named_in, size
from handgrad.symbolic.reverse import Program

# In pixels. Letters of a monospaced font are 0.6 of its size wide, in some a little more.
SIZE, LETTER, LINE = 15, 9.2, 25
ARROW, GAP, LANE, SPACE = 26, 8, 15, 50
ROW, STEP, BEND = 30, 24, 15
LINES = 'fill="none" stroke="currentColor" stroke-width="1.5"'


def in_words(shape: Sequence[object]) -> str:
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
    """A layer of a chain, its inputs, of which the first is the output of the layer before, and its output."""

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
    inputs = [name for name in given if id(given[name]) not in parameters]
    for each, parameter in parameters.items():
        if each not in names:
            raise ValueError(f"a parameter of shape {tuple(parameter.shape)} has no name: add NAME=tensor for it")
    if not layers or not inputs or layers.keys() & given.keys():
        every = ", ".join([*layers, *given])
        raise ValueError(f"a graph needs a layer, an input, and a name of its own for each tensor: {every}")
    before = [(parameter, parameter.grad) for parameter in parameters.values()]
    try:
        with torch.no_grad():
            return _run(layers, given, names, inputs)
    finally:
        for parameter, grad in before:
            parameter.grad = grad


def _run(
    layers: Mapping[str, Layer], given: Mapping[str, Tensor], names: Mapping[int, str], inputs: Sequence[str]
) -> "Graph":
    """Run the layers; `names` are those of the parameters, by id, and `inputs` those of all other tensors."""
    entering, *targets = inputs
    tensors, calls = dict(given), []
    for output, original in layers.items():
        layer = copy.copy(original)  # The original may be in the middle of a pass, and needs what it saved.
        arguments = [entering, *(targets if output == list(layers)[-1] else ())]
        tensors[output] = layer(*(tensors[name] for name in arguments))
        calls.append((layer, arguments, output))
        entering = output
    nodes: list[Node] = []
    grad_output = grad = torch.ones_like(tensors[entering])
    for layer, arguments, output in reversed(calls):
        parameters = {names[id(parameter)]: parameter for parameter in layer.parameters()}
        for parameter in parameters.values():
            parameter.grad = None
        grad = layer.backward(grad)
        kind = type(layer).__name__
        grads = {name: parameter.grad for name, parameter in parameters.items()}
        for name, gradient in ({arguments[0]: grad} | grads).items():
            edge = Edge(name, tensors[name].shape)
            if gradient is None or gradient.shape != edge.shape:
                shape = "missing" if gradient is None else f"of shape {tuple(gradient.shape)}"
                raise ValueError(f"{kind}: the gradient of {edge} is {shape}")
        entering, *others = arguments
        edges = [Edge(name, tensors[name].shape, name not in targets) for name in (entering, *parameters, *others)]
        nodes.insert(0, Node(kind, edges, Edge(output, tensors[output].shape)))
    return Graph(nodes, grad_output)


@dataclass(frozen=True, repr=False)
class Graph:
    """A chain of nodes, shown as a picture; its text says the same in words. `grad` is the last one's grad_output."""

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
        drawing = _Drawing(max(len(node.layer) for node in self.nodes) * LETTER / 2 + GAP)
        drawing.hand_on(self.nodes[0].inputs[0])
        for node in self.nodes:
            drawing.add(node)
            drawing.hand_on(node.output)
        derivatives = self._derivatives(drawing.labels)
        values = drawing.values + [_text(str(edge), -x, y, "end") for edge, x, y in drawing.labels]
        gradients = drawing.gradients + [_text(name, x, y, "start") for name, x, y in derivatives]
        left = max(x + len(str(edge)) * LETTER for edge, x, _ in drawing.labels)
        right = max(x + len(name) * LETTER for name, x, _ in derivatives)
        width, height = left + right, drawing.y
        names = ", ".join(node.layer for node in self.nodes)
        return _picture(names, repr(self), (-left, 0, width, height), values, gradients, drawing.boxes)

    def _derivatives(self, labels: Sequence[tuple[Edge, float, float]]) -> list[tuple[str, float, float]]:
        """Return the names of the gradients, and where they stand; that of a number with its value."""
        last = self.nodes[-1].output
        of = "L" if last.shape else last.name
        derivatives = [(f"∂{of}/∂{edge}", x, y) for edge, x, y in labels if edge.has_gradient]
        if not self.grad.ndim:
            derivatives[-1] = (f"∂{of}/∂{of} = {self.grad:g}", *derivatives[-1][1:])
        return derivatives


@dataclass
class _Drawing:
    """A chain as it is drawn from top to bottom. It runs down the middle, where x is 0.

    Tensors and their arrows stand to the left of it, gradients and theirs to the right. `half` is half the width of a
    box, `y` how far down the drawing goes, and `labels` say how far each tensor is from the middle, and how far down.
    """

    half: float
    y: float = 0.0
    values: list[str] = field(default_factory=list)
    gradients: list[str] = field(default_factory=list)
    boxes: list[str] = field(default_factory=list)
    labels: list[tuple[Edge, float, float]] = field(default_factory=list)

    def hand_on(self, edge: Edge) -> None:
        """Add a tensor that goes down the chain, and its gradient up."""
        self.values.append(arrow(-LANE, self.y + 3, 0, SPACE - 6))
        self.gradients.append(arrow(LANE, self.y + SPACE - 3, 0, 6 - SPACE))
        self.labels.append((edge, LANE + GAP, self.y + SPACE / 2))
        self.y += SPACE

    def add(self, node: Node) -> None:
        """Add the box of a layer, and what enters it from the side."""
        sides, half = node.inputs[1:], self.half
        for place, side in enumerate(sides):
            middle = self.y + GAP + (place + 0.5) * LINE
            self.values.append(arrow(-half - ARROW, middle, ARROW - 3, 0))
            if side.has_gradient:
                self.gradients.append(arrow(half + 3, middle, ARROW - 3, 0))
            self.labels.append((side, half + ARROW + GAP, middle))
        height = max(len(sides), 1) * LINE + 2 * GAP
        corner = f'x="{-half:g}" y="{self.y:g}"'
        self.boxes.append(f'<rect {corner} width="{2 * half:g}" height="{height}" rx="4" {LINES}/>')
        self.boxes.append(_text(node.layer, 0, self.y + height / 2, "middle"))
        self.y += height


@dataclass(frozen=True)
class Place:
    """An array, a number or a step of a program; the name of its gradient, empty if it has none; and what it uses."""

    name: str
    shape: Sequence[object]
    gradient: str
    uses: Sequence["Place"]

    def __str__(self) -> str:
        return f"{self.name} ({in_words(self.shape)})"


def graph_of_steps(program: Program) -> "Steps":
    """Return the graph of a program: its steps, and what it starts from, each before the first step that uses it."""
    parts, places = made_of(program.output), dict[object, Place]()
    gradients = {name: gradient.result.name for name, gradient in program.gradients.items()}
    output = program.output.name
    gradients[output] = program.grad_output.name if program.grad_output is not None else f"d{output} = 1"
    for step in in_order(program.output):
        found = named_in(step.value)
        for name in program.arguments or parts:
            base = parts.get(name)
            if base in found and base not in places:
                places[base] = Place(name, getattr(base, "shape", ()), gradients.get(name, ""), ())
        uses = [place for base, place in places.items() if base in found]
        places[step.base] = Place(step.name, [*map(size, step.indices)], gradients.get(step.name, ""), uses)
    return Steps([*places.values()])


@dataclass(frozen=True, repr=False)
class Steps:
    """The places of a program in their order, each after those that it uses; its text says the same in words."""

    places: Sequence[Place]

    def __repr__(self) -> str:
        lines = [f"{place} is made of {_listed(place.uses)}." for place in self.places if place.uses]
        for place in reversed(self.places[:-1]):
            if place.gradient:
                users = [user for user in self.places if place in user.uses]
                lines.append(f"{place.gradient} comes back from {_listed([user.name for user in users])}.")
        return " ".join([*lines, "Each gradient has the shape of what it stands beside."])

    def _repr_html_(self) -> str:
        left = max(len(str(place)) for place in self.places) * LETTER + 2 * GAP
        right = max(len(place.gradient) for place in self.places) * LETTER + 2 * GAP
        values, gradients, boxes, farthest = list[str](), list[str](), list[str](), 1
        for number, place in enumerate(self.places):
            top = number * (ROW + STEP)
            values.append(_text(str(place), GAP - left, top + ROW / 2, "start"))
            cells = [(-left, left)]
            if place.gradient:
                gradients.append(_text(place.gradient, GAP, top + ROW / 2, "start"))
                cells.append((0, right))
            boxes += [f'<rect x="{x:g}" y="{top}" width="{width:g}" height="{ROW}" {LINES}/>' for x, width in cells]
            for used in place.uses:
                apart = number - self.places.index(used)
                farthest = max(farthest, apart)
                before = top - apart * (ROW + STEP)
                values.append(_way(-left, before, top, apart))
                if used.gradient:
                    gradients.append(_way(right, top, before, apart))
        names = ", ".join(place.name for place in self.places if place.uses)
        bend, height = BEND * farthest + GAP, len(self.places) * (ROW + STEP) - STEP
        frame = -left - bend, -1, left + right + 2 * bend, height + 2
        return _picture(names, repr(self), frame, values, gradients, boxes)


def _listed(things: Sequence[object]) -> str:
    *some, last = map(str, things)
    return f"{', '.join(some)} and {last}" if some else last


def _text(text: str, x: float, y: float, anchor: str) -> str:
    return f'<text x="{x:g}" y="{y + 5:g}" text-anchor="{anchor}">{html.escape(text)}</text>'


def arrow(x: float, y: float, right: float, down: float) -> str:
    """Return an arrow that is horizontal or vertical."""
    u, v = ((way > 0) - (way < 0) for way in (right, down))
    ahead, aside = (6 * u + 4 * v, 6 * v + 4 * u), (4 * v - 6 * u, 4 * u - 6 * v)
    head = f"m{-ahead[0]} {-ahead[1]}l{ahead[0]} {ahead[1]} {aside[0]} {aside[1]}"
    return f'<path d="M{x:g} {y:g}l{right:g} {down:g}{head}" {LINES}/>'


def _way(side: float, start: int, end: int, apart: int) -> str:
    """Return an arrow from box to box, given where they begin: straight to the next one, around those between."""
    down, outward = (1, -1) if end > start else (-1, 1)
    if apart == 1:
        return arrow(-down * LANE, start + (ROW + 3 if down > 0 else -3), 0, down * (STEP - 6))
    # One leaves a box at the lower end of its side, and enters one at the upper; a gradient takes the same way back.
    first, last = start + ROW / 2 + down * ROW / 5, end + ROW / 2 - down * ROW / 5
    x, bend = side + outward * 2, outward * BEND * apart * 4 / 3
    curve = f"M{x:g} {first:g}c{bend:g} 0 {bend:g} {last - first:g} {outward * 4:g} {last - first:g}"
    return f'<path d="{curve}" {LINES}/>{arrow(x + outward * 6, last, outward * -6, 0)}'


def _picture(
    names: str, words: str, frame: tuple[float, ...], values: list[str], gradients: list[str], boxes: list[str]
) -> str:
    """Return a drawing as SVG; its frame is left, top, width and height."""
    left, top, width, height = frame
    # Colours of the page; those in a notebook stand out from black as well as from white.
    return (
        f'<svg class="graph" role="img" viewBox="{left:g} {top:g} {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" font-family="var(--mono, monospace)" font-size="{SIZE}" fill="currentColor">\n'
        f"<title>{html.escape(f'Graph of {names}: tensors down, gradients up')}</title>\n"
        f"<desc>{html.escape(words)}</desc>\n"
        f'<g color="var(--value, #3a7cbe)">{"".join(values)}</g>\n'
        f'<g color="var(--gradient, #b3661a)">{"".join(gradients)}</g>\n'
        f"<g>{''.join(boxes)}</g>\n</svg>"
    )
