"""Tables of numbers in matplotlib's figures, with some cells in colour."""

from collections.abc import Collection
from typing import Any

from torch import Tensor

GREY = "#7a7a7a"
"""Of lines and numbers, as in `figures.mplstyle`: it can be read on light and on dark pages."""


def draw_table(
    axes: Any,
    values: Tensor,
    corner: tuple[float, float] = (0.0, 0.0),
    *,
    marked: Collection[tuple[int, int]] = (),
    color: str = "C0",
) -> None:
    """Draw a matrix into the `axes` of a figure as a table with cells of size 1, down and right from `corner`.

    The `marked` cells, each a row and a column, are filled with `color`, and their numbers are bold.
    """
    from matplotlib.colors import to_rgba
    from matplotlib.patches import Rectangle

    for row, line in enumerate(values.tolist()):
        for column, number in enumerate(line):
            left, top, is_marked = corner[0] + column, corner[1] - row, (row, column) in marked
            fill = to_rgba(color, 0.08 if is_marked else 0.0)
            axes.add_patch(Rectangle((left, top - 1), 1, 1, facecolor=fill, edgecolor=GREY))
            text = axes.text(left + 0.5, top - 0.52, f"{number:g}".replace("-", "−"), ha="center", va="center")
            text.set_weight("bold" if is_marked else "normal")
    axes.set(aspect="equal")
    axes.set_axis_off()
    axes.autoscale_view()
