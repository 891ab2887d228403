"""Pictures that a reader steps through: every tensor of a pass, and curves that move while a model learns.

What is shown is HTML, and complete as it is; `posts/player.js`, which each picture brings along, adds the controls.
"""

import html
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from torch import Tensor

from handgrad.graphs import in_words
from handgrad.symbolic.notation import Markdown, display

PLAYER = '<script src="../player.js" defer></script>'
"""A post is one folder below the script. It is no module, since browsers load none from a folder without a server."""
LINES = 'fill="none" stroke="currentColor"'
"""Attributes of curves for notebooks, which have no style sheet."""


@dataclass(frozen=True)
class Step:
    """One tensor of a pass (0, 1 or 2 dimensions), the LaTeX of its formula, and a text about it.

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

    ValueError if there is no step, if a tensor has more than two dimensions, if a name occurs twice, or if a gradient
    has not the shape of an earlier tensor that it is `of`.
    """
    given = [step for step in steps if step.given]
    computed = [step for step in steps if not step.given]
    _check_steps(given + computed)
    moments = [("Given", given)] if given else []
    moments += [(step.name, [step]) for step in computed]
    captions = "\n\n".join(_caption(number, *moment) for number, moment in enumerate(moments, 1))
    pairs = defaultdict(list)
    for number, (_, together) in enumerate(moments, 1):
        for step in together:
            pairs[step.of or step.name].append(_table(step, number))
    tensors = "\n".join(f'<div class="pair">\n{"".join(pair)}</div>' for pair in pairs.values())
    return Markdown(
        f"::::: {{.player .walkthrough}}\n:::: {{.steps}}\n{captions}\n::::\n\n"
        f'```{{=html}}\n<div class="tensors">\n{tensors}\n</div>\n{PLAYER}\n```\n:::::'
    )


def _check_steps(steps: Sequence[Step]) -> None:
    """Raise the ValueErrors of `walkthrough`, given its steps in the order in which they show."""
    if not steps:
        raise ValueError("a walkthrough needs at least one step")
    shapes: dict[str, tuple[int, ...]] = {}
    for step in steps:
        shape = tuple(step.tensor.shape)
        if step.name in shapes or len(shape) > 2:
            raise ValueError(f"{step.name} of shape {shape} needs a name of its own and at most two dimensions")
        if step.of and shapes.get(step.of) != shape:
            raise ValueError(f"{step.name} of shape {shape} cannot be the gradient of {step.of}: {shapes.get(step.of)}")
        shapes[step.name] = shape


def _caption(number: int, label: str, steps: Sequence[Step]) -> str:
    """Return the texts and formulas of steps that are shown together, as Markdown."""
    lines = [f'::: {{.step data-step="{number}" data-label="{html.escape(label)}"}}']
    for step in steps:
        lines.append(f"**{step.name}** {step.text}")
        if step.formula:
            lines.append(display(step.formula))
    return "\n".join([*lines, ":::"])


def _table(step: Step, number: int) -> str:
    """Return the values as a table, a vector as one row, that appears at moment `number`."""
    caption = f"<b>{html.escape(step.name)}</b> <span>({in_words(step.tensor.shape)})</span>"
    rows = "\n".join(
        f"<tr>{''.join(f'<td>{_number(value)}</td>' for value in row)}</tr>"
        for row in torch.atleast_2d(step.tensor).tolist()  # type: ignore[no-untyped-call]
    )
    kind = "gradient" if step.of else "value"
    # Quarto would make a Bootstrap table of it.
    opening = f'<table class="tensor {kind}" data-quarto-disable-processing="true">'
    return f'{opening}<caption>{caption}</caption><tbody data-from="{number}">\n{rows}\n</tbody></table>\n'


def _number(value: float) -> str:
    """Return at most four significant digits; a zero has no sign."""
    return f"{value + 0.0:.4g}".replace("-", "−")


Kind = Literal["part", "whole", "reference"]
"""How curves are drawn: thin, dotted, or as a plain line."""


@dataclass(frozen=True)
class Frame:
    """What a panel shows at one step: curves by kind, and a short note such as a loss.

    A curve is a tensor of points (n, 2), joined by straight lines.
    """

    curves: Mapping[Kind, Sequence[Tensor]]
    note: str = ""


@dataclass(frozen=True)
class Panel:
    """Frames in one pair of axes, over a background that stays; `alt` describes them in words."""

    title: str
    alt: str
    background: Frame
    frames: Sequence[Frame]


@dataclass(frozen=True)
class Animation:
    """Panels that play together, in boxes of 300 by 200 pixels; shown as HTML.

    `labels` name the frames, all axes go from x[0] to x[1] and y[0] to y[1], `legend` says what the kinds of curves
    are, and `interval` is the time from frame to frame, in milliseconds. ValueError if there is nothing to play, if a
    panel has not one frame for each label, or if something in one cannot be drawn: the message names panel, frame and
    kind.
    """

    panels: Sequence[Panel] = field(repr=False)  # a saved notebook has the text beside the picture
    labels: Sequence[str] = field(repr=False)
    x: tuple[float, float]
    y: tuple[float, float]
    legend: Mapping[Kind, str] = field(default_factory=dict, repr=False)
    interval: int = 150

    def __post_init__(self) -> None:
        """Check that all of it can be drawn."""
        if not self.panels or not self.labels or self.interval <= 0:
            what = f"{len(self.panels)} panels, {len(self.labels)} labels, {self.interval} ms for each"
            raise ValueError(f"nothing to play: {what}")
        for axis, (low, high) in {"x": self.x, "y": self.y}.items():
            if not -math.inf < low < high < math.inf:
                raise ValueError(f"{axis} must go from a finite number to a larger one, not from {low} to {high}")
        count = len(self.labels)
        for panel in self.panels:
            if len(panel.frames) != count:
                raise ValueError(f"{panel.title} has {len(panel.frames)} frames and not {count}, one for each label")
            for label, frame in [("background", panel.background), *zip(self.labels, panel.frames, strict=True)]:
                for kind, curves in frame.curves.items():
                    if fault := _fault(kind, curves):
                        raise ValueError(f"{panel.title}, {label}, {kind}: {fault}")

    def _repr_html_(self) -> str:
        figures = "\n".join(map(self._figure, self.panels))
        return (
            f'<div class="player" data-play="{self.interval}"><div class="panels">\n{self._legend()}\n{figures}\n'
            f"</div></div>\n{PLAYER}"
        )

    def _legend(self) -> str:
        """Return what the curves are, and how far the axes go: once, since numbers in small panels are too small."""
        curves = "".join(
            f'<span><svg class="key" viewBox="0 0 30 6" width="30" height="6" aria-hidden="true" {LINES}>'
            f'<path class="{kind}" d="M0 3h30"/></svg> {html.escape(text)}</span> '
            for kind, text in self.legend.items()
        )
        x, y = (
            f"{name} from {_number(low)} to {_number(high)}" for name, (low, high) in {"x": self.x, "y": self.y}.items()
        )
        return f'<p class="legend">{curves}<span>{x}, {y}</span></p>'

    def _figure(self, panel: Panel) -> str:
        frames, notes = "", ""
        for step, (label, frame) in enumerate(zip(self.labels, panel.frames, strict=True), 1):
            svg, text = ('visibility="hidden" ', 'hidden="" ') if step < len(self.labels) else ("", "")
            frames += f'<g {svg}data-step="{step}" data-label="{html.escape(label)}">{self._frame(frame)}</g>\n'
            notes += f'<span {text}data-step="{step}">{html.escape(frame.note)}</span>'
        return (
            f'<figure><figcaption aria-live="off">{html.escape(panel.title)}<br/>{notes}</figcaption>'
            f'<svg viewBox="0 0 300 200" role="img" aria-label="{html.escape(panel.alt)}" {LINES}>'
            f"{self._frame(panel.background)}\n{frames}</svg></figure>"
        )

    def _frame(self, frame: Frame) -> str:
        return "".join(
            f'<path class="{kind}" d="{"".join(map(self._path, curves))}"/>' for kind, curves in frame.curves.items()
        )

    def _path(self, points: Tensor) -> str:
        (left, right), (low, high) = self.x, self.y
        at = ((300 * (x - left) / (right - left), 200 * (high - y) / (high - low)) for x, y in points.tolist())
        return "M" + " ".join(f"{x:.1f} {y:.1f}".replace(".0", "") for x, y in at)


def _fault(kind: str, curves: Sequence[Tensor]) -> str:
    """Return what keeps the curves of one kind from being drawn, or nothing."""
    if kind not in get_args(Kind):
        return f"not a kind, which are {', '.join(get_args(Kind))}"
    if isinstance(curves, Tensor):
        return "a tensor and not a list of tensors, one for each curve"
    for points in curves:
        if points.ndim != 2 or points.shape[1] != 2 or not len(points):
            return f"points of shape {tuple(points.shape)} and not (n, 2)"
        if not points.isfinite().all():
            return "points that are not finite"
    return ""
