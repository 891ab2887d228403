"""Pictures that a reader steps through: every tensor of a pass, and curves that move while a model learns.

What is shown is HTML, and complete as it is; `posts/player.js`, which each picture brings along, adds the controls.
"""

import html
from collections.abc import Sequence
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
