"""Pictures that a reader steps through: every tensor of a pass, and curves that move while a model learns.

What is shown is HTML, and complete as it is; `posts/player.js`, which each picture brings along, adds the controls.
"""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from handgrad.symbolic.notation import Markdown, display

PLAYER = '<script src="../player.js" defer></script>'
"""A post is one folder below the script. It is no module, since browsers load none from a folder without a server."""


@dataclass(frozen=True)
class Step:
    """One tensor of a pass (0, 1 or 2 dimensions), the LaTeX of its formula, and what is to be said about it.

    `text` is Markdown. `given` says that the tensor is there from the start, as inputs and weights are. `of` is the
    name of the tensor, in an earlier step, that this one is the gradient of: the two stand side by side.
    """

    name: str
    formula: str
    tensor: Tensor
    text: str
    given: bool = False
    of: str = ""


def walkthrough(steps: Sequence[Step]) -> Markdown:
    """Return a picture of all tensors with their values, filled in step by step; those given come first, together.

    ValueError if a tensor has more than two dimensions, if a name occurs twice, or if a gradient has not the shape of
    an earlier tensor that it is `of`.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    pairs: dict[str, str] = {}
    texts: dict[str, list[str]] = {}
    for step in steps:
        shape = tuple(step.tensor.shape)
        if step.name in shapes or len(shape) > 2:
            raise ValueError(f"{step.name} of shape {shape} needs a name of its own and at most two dimensions")
        if step.of and shapes.get(step.of) != shape:
            raise ValueError(f"{step.name} of shape {shape} cannot be the gradient of {step.of}: {shapes.get(step.of)}")
        shapes[step.name] = shape
        label = "Given" if step.given else step.name
        texts.setdefault(label, []).append(f"**{step.name}** {step.text}")
        texts[label] += [display(step.formula)] * bool(step.formula)
        number = list(texts).index(label) + 1
        kind = "gradient" if step.of else "value"
        pairs[step.of or step.name] = pairs.get(step.of or step.name, "") + _table(step, kind, number)
    captions = "\n\n".join(
        f'::: {{.step data-step="{number}" data-label="{html.escape(label)}"}}\n' + "\n".join(lines) + "\n:::"
        for number, (label, lines) in enumerate(texts.items(), 1)
    )
    tensors = "\n".join(f'<div class="pair">\n{pair}</div>' for pair in pairs.values())
    return Markdown(
        f"::::: {{.player .walkthrough}}\n:::: {{.steps}}\n{captions}\n::::\n\n"
        f'```{{=html}}\n<div class="tensors">\n{tensors}\n</div>\n{PLAYER}\n```\n:::::'
    )


def _table(step: Step, kind: str, number: int) -> str:
    """Return the values as a table, a vector as one row, that appears at step `number`."""
    shape = tuple(step.tensor.shape)
    caption = f"<b>{html.escape(step.name)}</b> ({', '.join(map(str, shape))})"
    rows = "\n".join(
        f"<tr>{''.join(f'<td>{_number(value)}</td>' for value in row)}</tr>"
        for row in step.tensor.reshape(-1, shape[-1] if shape else 1).tolist()
    )
    # Quarto would make a Bootstrap table of it.
    opening = f'<table class="tensor {kind}" data-quarto-disable-processing="true">'
    return f'{opening}<caption>{caption}</caption><tbody data-from="{number}">\n{rows}\n</tbody></table>\n'


def _number(value: float) -> str:
    """Return at most four significant digits; a zero has no sign."""
    return f"{value + 0.0:.4g}".replace("-", "−")


@dataclass(frozen=True)
class Html:
    """Text that a notebook shows as HTML."""

    text: str

    def _repr_html_(self) -> str:
        return self.text


@dataclass(frozen=True)
class Frame:
    """What a panel shows at one step: curves by kind ("hinge", "sum" or "target"), and a short note such as a loss.

    A curve is a tensor of points (n, 2), joined by straight lines.
    """

    curves: Mapping[str, Sequence[Tensor]]
    note: str = ""


@dataclass(frozen=True)
class Panel:
    """Frames in one pair of axes, over a background that stays; `alt` says what is to be seen."""

    title: str
    alt: str
    background: Frame
    frames: Sequence[Frame]


def animation(
    panels: Sequence[Panel], labels: Sequence[str], x: tuple[float, float], y: tuple[float, float], interval: int = 150
) -> Html:
    """Return panels that play together: `labels` name the frames, all axes go from x[0] to x[1] and y[0] to y[1].

    `interval` is the time from frame to frame, in milliseconds. ValueError if a panel has not one frame for each label.
    """
    for panel in panels:
        if len(panel.frames) != len(labels):
            raise ValueError(f"{panel.title} has {len(panel.frames)} frames and not {len(labels)}, one for each label")
    axes = _Axes(x, y)
    figures = "\n".join(axes.figure(panel, labels) for panel in panels)
    return Html(f'<div class="player" data-play="{interval}"><div class="panels">\n{figures}\n</div></div>\n{PLAYER}')


@dataclass(frozen=True)
class _Axes:
    """A box of 300 by 200 pixels, and what lies between which numbers in it."""

    x: tuple[float, float]
    y: tuple[float, float]

    def figure(self, panel: Panel, labels: Sequence[str]) -> str:
        hidden = ['visibility="hidden" '] * (len(labels) - 1) + [""]
        frames = "\n".join(
            f'<g {hide}data-step="{step}" data-label="{html.escape(label)}">{self.frame(frame)}</g>'
            for step, (hide, label, frame) in enumerate(zip(hidden, labels, panel.frames, strict=True), 1)
        )
        return (
            f'<figure><figcaption>{html.escape(panel.title)}</figcaption><svg viewBox="0 0 300 200" role="img" '
            f'aria-label="{html.escape(panel.alt)}">{self.ticks()}{self.frame(panel.background)}\n{frames}</svg></figure>'
        )

    def frame(self, frame: Frame) -> str:
        paths = "".join(
            f'<path class="{kind}" d="{"".join(map(self.path, curves))}"/>' for kind, curves in frame.curves.items()
        )
        return paths + (
            f'<text x="294" y="22" text-anchor="end">{html.escape(frame.note)}</text>' if frame.note else ""
        )

    def path(self, points: Tensor) -> str:
        (left, right), (low, high) = self.x, self.y
        at = ((300 * (x - left) / (right - left), 200 * (high - y) / (high - low)) for x, y in points.tolist())
        return "M" + " ".join(f"{x:.1f} {y:.1f}".replace(".0", "") for x, y in at)

    def ticks(self) -> str:
        """Return the numbers at the ends of the axes, inside of the box."""
        (left, right), (low, high) = self.x, self.y
        return (
            f'<text x="6" y="194">{_number(left)}</text><text x="294" y="194" text-anchor="end">{_number(right)}</text>'
            f'<text x="6" y="22">{_number(high)}</text><text x="6" y="172">{_number(low)}</text>'
        )
