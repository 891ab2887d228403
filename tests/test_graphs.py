"""A graph shows what a run did, says the same in words, and can be read on every screen."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from playwright.sync_api import Browser
from torch import Tensor

from handgrad import Layer, Linear, MSELoss, ReLU, Sequential
from handgrad.graphs import Graph, Steps, graph, graph_of_steps
from handgrad.symbolic import backward, derive
from handgrad.symbolic.definitions import made_of

ROOT = Path(__file__).parent.parent
X, T = torch.zeros(6, 10), torch.zeros(6, 1)


def model(inputs: int = 10, hidden: int = 2) -> tuple[dict[str, Layer], dict[str, Tensor]]:
    """The arguments of a graph of two linear layers and a loss."""
    one, two = Linear(inputs, hidden), Linear(hidden, 1)
    layers: dict[str, Layer] = {"L1": one, "R": ReLU(), "L2": two, "L": MSELoss()}
    return layers, {"W1": one.weight, "b1": one.bias, "W2": two.weight, "b2": two.bias}


def drawn(picture: Graph | Steps) -> tuple[str, str, list[str], list[str], list[str]]:
    """The title, the words, and the texts of each group: tensors, gradients, layers."""
    title, words, *groups = ET.fromstring(picture._repr_html_())
    tensors, gradients, layers = ([str(text.text) for text in group.iter("text")] for group in groups)
    return str(title.text), str(words.text), tensors, gradients, layers


LAYERS, PARAMETERS = model()
MLP = graph(LAYERS, X=X, T=T, **PARAMETERS)
LOSS = graph({"loss": MSELoss()}, X=T, T=T)
LONE = Linear(2, 4)
LINEAR = graph({"Y": LONE}, X=torch.zeros(5, 3, 2), W=LONE.weight, b=LONE.bias)


def test_every_tensor_stands_there_with_its_shape_and_its_gradient() -> None:
    title, _, tensors, gradients, layers = drawn(MLP)
    assert layers == ["Linear", "ReLU", "Linear", "MSELoss"]
    assert title == "Graph of Linear, ReLU, Linear, MSELoss: tensors down, gradients up"
    assert tensors == [
        "X (6, 10)", "W1 (10, 2)", "b1 (2)", "L1 (6, 2)",
        "R (6, 2)", "W2 (2, 1)", "b2 (1)", "L2 (6, 1)", "T (6, 1)", "L (one number)",
    ]  # fmt: skip
    assert gradients == [*(f"∂L/∂{tensor}" for tensor in tensors[:-1] if not tensor.startswith("T")), "∂L/∂L = 1"]


def test_a_gradient_is_of_the_last_output_if_that_is_a_number_and_of_some_loss_if_not() -> None:
    assert drawn(LOSS)[3] == ["∂loss/∂X (6, 1)", "∂loss/∂loss = 1"]
    assert drawn(LINEAR)[3] == ["∂L/∂X (5, 3, 2)", "∂L/∂W (2, 4)", "∂L/∂b (4)", "∂L/∂Y (5, 3, 4)"]


def test_the_gradient_of_a_number_is_what_the_last_layer_was_handed() -> None:
    class Watched(MSELoss):
        def backward(self, grad_output: Tensor | float = 1.0) -> Tensor:
            grad_outputs.append(grad_output)
            return super().backward(grad_output)

    grad_outputs: list[Tensor | float] = []
    last = drawn(graph({"L": Watched()}, X=T, T=T))[3][-1]
    assert last == f"∂L/∂L = {grad_outputs[0]:g}"


def test_the_words_tell_all_that_is_drawn_in_the_order_in_which_it_happens() -> None:
    assert drawn(LINEAR)[1] == repr(LINEAR) == (
        "Linear makes Y (5, 3, 4) of X (5, 3, 2), W (2, 4) and b (4). "
        "Of the gradient of Y (5, 3, 4), Linear makes those of X (5, 3, 2), W (2, 4) and b (4). "
        "Each gradient has the shape of its tensor."
    )  # fmt: skip
    assert drawn(LOSS)[1].startswith(
        "MSELoss makes loss (one number) of X (6, 1) and T (6, 1). The gradient of loss (one number) is 1. "
        "Of the gradient of loss (one number), MSELoss makes"
    )
    _, words, tensors, _, layers = drawn(MLP)
    assert all(words.count(tensor) > (tensor != "T (6, 1)") for tensor in tensors)
    assert re.findall(r"(?:^|\. |, )(\w+) makes", words) == [*layers, *reversed(layers)]
    assert ", MSELoss makes that of L2 (6, 1)." in words


def test_the_shapes_are_those_of_the_run() -> None:
    layers, parameters = model(3, 7)
    tensors = drawn(graph(layers, X=torch.zeros(2, 5, 3), T=torch.zeros(2, 5, 1), **parameters))[2]
    assert {"X (2, 5, 3)", "W1 (3, 7)", "L1 (2, 5, 7)", "L2 (2, 5, 1)"} <= {*tensors}


def test_a_chain_in_one_box_has_all_parameters_at_its_side() -> None:
    layers, parameters = model()
    *inner, loss = layers.values()
    tensors, gradients, names = drawn(graph({"Y": Sequential(*inner), "L": loss}, X=X, T=T, **parameters))[2:]
    assert names == ["Sequential", "MSELoss"]
    assert tensors == [
        "X (6, 10)",
        "W1 (10, 2)",
        "b1 (2)",
        "W2 (2, 1)",
        "b2 (1)",
        "Y (6, 1)",
        "T (6, 1)",
        "L (one number)",
    ]
    assert len(gradients) == len(tensors) - 1


def test_a_shared_parameter_is_drawn_in_each_place() -> None:
    layer = Linear(3, 3)
    layers = {"Y": layer, "Z": layer}
    tensors = drawn(graph(layers, X=torch.zeros(2, 3), W=layer.weight, b=layer.bias))[2]
    assert [tensors.count(name) for name in ("W (3, 3)", "b (3)")] == [2, 2]


def test_drawing_leaves_no_trace() -> None:
    layers, parameters = model()
    loss = layers["L"]
    parameters["W1"].grad = before = torch.ones(10, 2)
    loss(T, T)
    state = torch.get_rng_state()
    graph(layers, X=X, T=T, **parameters)
    assert parameters["W1"].grad is before
    assert parameters["b1"].grad is None
    assert torch.equal(loss.backward(torch.ones(())), T)
    assert not hasattr(layers["L1"], "_saved")
    assert torch.equal(torch.get_rng_state(), state)


class Wrong(Layer):
    """A layer whose backward does what it is told to."""

    def __init__(self, returned: Tensor | None, weight_gets: Tensor | None = None) -> None:
        self.weight, self.returned, self.weight_gets = torch.ones(2), returned, weight_gets

    def parameters(self) -> Iterator[Tensor]:
        yield self.weight

    def forward(self, input: Tensor) -> Tensor:
        return input.sum()

    def backward(self, grad_output: Tensor) -> Tensor:
        if self.weight_gets is not None:
            self.weight.grad = self.weight_gets
        return self.returned  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (Wrong(torch.ones(3, 2), torch.ones(2)), r"Wrong: the gradient of X \(2, 3\) is of shape \(3, 2\)"),
        (Wrong(None, torch.ones(2)), r"Wrong: the gradient of X \(2, 3\) is missing"),
        (Wrong(torch.ones(2, 3)), r"Wrong: the gradient of w \(2\) is missing"),
    ],
)
def test_a_layer_with_a_wrong_gradient_is_refused(layer: Wrong, words: str) -> None:
    layer.weight.grad = before = torch.zeros(2)
    with pytest.raises(ValueError, match=words):
        graph({"Y": layer}, X=torch.ones(2, 3), w=layer.weight)
    assert layer.weight.grad is before


def test_torch_itself_refuses_a_parameter_a_gradient_of_another_shape() -> None:
    layer = Wrong(torch.ones(2, 3), torch.ones(1, 2))
    with pytest.raises(RuntimeError, match="gradient of size"):
        graph({"Y": layer}, X=torch.ones(2, 3), w=layer.weight)


@pytest.mark.parametrize(
    ("layers", "given", "words"),
    [
        ({}, {"X": X}, "needs a layer, an input"),
        ({"L": MSELoss()}, {}, "needs a layer, an input"),
        ({"X": ReLU()}, {"X": X}, "a name of its own for each tensor: X, X"),
        ({"Y": LONE}, {"X": X, "W": LONE.weight}, r"a parameter of shape \(4,\) has no name"),
    ],
)
def test_what_cannot_be_drawn_is_refused(layers: dict[str, Layer], given: dict[str, Tensor], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        graph(layers, **given)


def test_names_are_text() -> None:
    _, words, tensors, gradients, _ = drawn(graph({"R<b>": ReLU()}, **{"a & b": X}))
    assert tensors == ["a & b (6, 10)", "R<b> (6, 10)"]
    assert "∂L/∂a & b (6, 10)" in gradients
    assert "R<b> (6, 10) of a & b (6, 10)" in words


def test_two_graphs_on_a_page_share_no_id() -> None:
    assert " id=" not in MLP._repr_html_()


def test_the_style_sheet_knows_the_graph_and_its_colours() -> None:
    styles = (ROOT / "posts" / "styles.css").read_text()
    markup = MLP._repr_html_()
    assert re.findall(r'class="(.*?)"', markup) == ["graph"]
    assert ".graph {" in styles
    for colour in re.findall(r'color="var\((--\w+),', markup):
        assert len(re.findall(rf"[{{ ]{colour}: ", styles)) == 1


STYLES = "".join(path.read_text() for path in (ROOT / "src" / "qmdsite" / "tokens.css", ROOT / "posts" / "styles.css"))
LONG, LONG_PARAMETERS = model(784, 50)
WIDE = graph(LONG, images=torch.zeros(50_000, 784), T=torch.zeros(50_000, 1), **LONG_PARAMETERS)
# Where things are, in pixels of the screen, and each colour as painted.
MEASURED = """
svg => {
  const box = part => part.getBoundingClientRect().toJSON();
  const canvas = new OffscreenCanvas(1, 1).getContext("2d");
  const painted = colour => {
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  return {
    frame: box(svg),
    texts: [...svg.querySelectorAll("text")].map(part => ({ text: part.textContent, ...box(part) })),
    lines: [...svg.querySelectorAll("path, rect")].map(box),
    size: parseFloat(getComputedStyle(svg).fontSize) * box(svg).width / svg.viewBox.baseVal.width,
    colours: [...svg.querySelectorAll("g")].map(group => painted(getComputedStyle(group).color)),
    page: painted(getComputedStyle(document.body).backgroundColor),
  };
}"""


@pytest.fixture(params=[(320, "light"), (320, "dark"), (1280, "light"), (1280, "dark")], ids=str)
def measured(browser: Browser, request: pytest.FixtureRequest) -> Iterator[list[Any]]:
    """What a browser says of three graphs on a page as wide as given, with 16 pixels free on each side."""
    width, scheme = request.param
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    style = f"{STYLES} body {{ margin: 16px; color: var(--text); background: var(--page); }}"
    body = "".join(picture._repr_html_() for picture in (MLP, LINEAR, WIDE))
    page.set_content(f'<!DOCTYPE html><meta charset="utf-8"><style>{style}</style>{body}')
    assert page.evaluate("document.documentElement.scrollWidth") == width
    yield [graph.evaluate(MEASURED) for graph in page.locator("svg").all()]
    page.close()


def overlap(a: dict[str, float], b: dict[str, float]) -> bool:
    return a["left"] < b["right"] and b["left"] < a["right"] and a["top"] < b["bottom"] and b["top"] < a["bottom"]


def test_no_text_leaves_the_picture_or_meets_another_or_a_line(measured: list[Any]) -> None:
    for each in measured:
        frame, texts = each["frame"], each["texts"]
        assert len(texts) > 5
        for text in texts:
            assert frame["left"] <= text["left"] < text["right"] <= frame["right"], text
            assert frame["top"] <= text["top"] < text["bottom"] <= frame["bottom"], text
            assert [other["text"] for other in texts if other is not text and overlap(text, other)] == []
            boxes = [line for line in each["lines"] if overlap(text, line)]
            inside = [line for line in boxes if line["left"] <= text["left"] and text["right"] <= line["right"]]
            assert boxes == inside, text


def test_text_is_large_and_dark_enough(measured: list[Any]) -> None:
    for each in measured[:2]:
        assert each["size"] >= 11
        tensors, gradients, layers = (contrast(colour, each["page"]) for colour in each["colours"])
        assert min(tensors, gradients, layers) >= 4.5
        assert each["colours"][0] != each["colours"][1]


def contrast(a: list[int], b: list[int]) -> float:
    """The ratio that WCAG defines."""
    dark, light = sorted(map(luminance, (a, b)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: list[int]) -> float:
    linear = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in colour[:3]))
    return sum(weight * channel for weight, channel in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def normalized(X: Any, w: Any) -> Any:
    M = X.mean(-1, keepdim=True)
    C = X - M
    Y = C * w / torch.sqrt((C**2).mean(-1, keepdim=True) + 1)
    return Y


def cross_entropy(Z: Any, t: Any) -> Any:
    return torch.nn.functional.cross_entropy(Z, t)


PROGRAM = derive(normalized, X="n d", w="d")
STEPS = graph_of_steps(PROGRAM)
OF_LOSS = graph_of_steps(derive(cross_entropy, Z="n c", t="n -> c"))


def arrows(picture: Steps, curved: bool = False) -> list[int]:
    """How many arrows are drawn for values, and for gradients; how many lead around boxes, if `curved`."""
    groups = ET.fromstring(picture._repr_html_())[2:4]
    return [sum(("c" in path.attrib["d"]) == curved for path in group.iter("path")) for group in groups]


def test_every_step_of_a_program_stands_after_what_it_uses_with_its_gradient() -> None:
    title, _, values, gradients, _ = drawn(STEPS)
    assert title == "Graph of M, C, Z, Y: tensors down, gradients up"
    assert values == ["X (n, d)", "M (n)", "C (n, d)", "Z (n)", "w (d)", "Y (n, d)"]
    assert gradients == ["dX", "dM", "dC", "dZ", "dw", "G"]


def test_an_arrow_leads_from_each_step_to_each_that_uses_it_and_one_back() -> None:
    uses = sum(len(place.uses) for place in STEPS.places)
    assert arrows(STEPS) == [uses, uses] == [7, 7]
    assert arrows(STEPS, curved=True) == [3, 3]
    assert arrows(OF_LOSS) == [2, 1]


def test_what_has_no_gradient_has_no_box_for_one_and_a_loss_has_one() -> None:
    _, _, values, gradients, _ = drawn(OF_LOSS)
    assert values == ["Z (n, c)", "t (n)", "L (one number)"]
    assert gradients == ["dZ", "dL = 1"]
    assert OF_LOSS._repr_html_().count("<rect") == 5


def test_the_words_of_a_program_tell_what_is_made_of_what_and_where_gradients_come_from() -> None:
    assert drawn(STEPS)[1] == repr(STEPS)
    for sentence in ("C (n, d) is made of X (n, d) and M (n).", "dC comes back from Z and Y.", "dw comes back from Y."):
        assert sentence in repr(STEPS)


def test_arguments_stand_in_the_order_of_the_function_and_gradients_only_where_they_were_asked_for() -> None:
    def chained(B: Any, A: Any) -> Any:
        return torch.tanh(B @ A)

    program = derive(chained, B="n m", A="m k")
    assert [place.name for place in graph_of_steps(program).places] == ["B", "A", "Z", "Y"]
    part = graph_of_steps(backward(program.output, made_of(program.output)["B"]))
    assert {place.name: place.gradient for place in part.places} == {"A": "", "B": "dB", "Z": "dZ", "Y": "G"}
