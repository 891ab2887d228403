"""Tables that figures are made of: each number in its cell, the marked ones in colour."""

import torch
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from handgrad.tables import draw_table

VALUES = torch.tensor([[1.0, -2.0], [3.5, 0.0], [5.0, 6.0]])


def test_each_number_stands_in_its_cell_rows_going_down() -> None:
    axes = Figure().subplots()
    draw_table(axes, VALUES, (2, 7))
    cells = {(int(cell.get_x()) - 2, 6 - int(cell.get_y())) for cell in axes.patches}  # type: ignore[attr-defined]
    assert cells == {(column, row) for row in range(3) for column in range(2)}
    found = {text.get_text(): (int(text.get_position()[0]) - 2, int(7 - text.get_position()[1])) for text in axes.texts}
    assert found == {"1": (0, 0), "−2": (1, 0), "3.5": (0, 1), "0": (1, 1), "5": (0, 2), "6": (1, 2)}


def test_marked_cells_alone_are_filled_and_bold() -> None:
    axes = Figure().subplots()
    draw_table(axes, VALUES, marked={(1, 0)}, color="C1")
    colors = [to_rgba(cell.get_facecolor()) for cell in axes.patches]
    assert [color[:3] for color in colors if color[3] > 0] == [to_rgba("C1")[:3]]
    assert [text.get_text() for text in axes.texts if text.get_fontweight() == "bold"] == ["3.5"]
