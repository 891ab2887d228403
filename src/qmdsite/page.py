"""What the phases hand on of a page: its lines, its cells, what it became."""

import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from qmdsite.options import Settings
from qmdsite.problem import Position

# A callout that is closed, and what a page says by an expression.
FOLD = re.compile(r"^(:{3,})\s*\{[^}\n]*\.callout-[^}\n]*collapse=\"?true.*?^\1\s*$", re.M | re.S)
INLINE = re.compile(r"`\{python\} [^`]*`")

Output = dict[str, Any]
Outputs = list[list[Output]]  # a list for each cell that runs


class Line(NamedTuple):
    """One line and where it stands; a line that was included keeps its own file's name."""

    path: str
    number: int
    text: str

    @property
    def position(self) -> Position:
        """Where it stands."""
        return Position(self.path, self.number)


@dataclass
class Cell:
    """Code to run, from line `start`; `number` counts a page's cells from 1 and is 0 for an inline expression."""

    path: str
    line: int
    start: int
    number: int
    code: str
    options: dict[str, Any]

    @property
    def position(self) -> Position:
        """Where it starts."""
        return Position(self.path, self.line)

    @property
    def runs(self) -> bool:
        """Whether the cell is executed, not only shown."""
        return bool(self.code.strip() and self.options.get("eval", True))

    @property
    def is_open(self) -> bool:
        """Whether readers see the code without opening a fold."""
        get = self.options.get
        return bool(get("include", True) and get("echo", True) and get("code-fold") is not True)

    @property
    def name(self) -> str:
        """The cell's label or number, as messages say it."""
        label = self.options.get("label")
        return f"cell '{label}'" if label else f"cell {self.number}" if self.number else f"`{{python}} {self.code}`"


@dataclass(frozen=True)
class Page:
    """One .qmd file: its front matter, the options that hold on it, and its body."""

    path: str
    meta: Settings
    options: Settings
    parts: list[list[Line] | Cell] = field(default_factory=list)

    @property
    def cells(self) -> list[Cell]:
        """The cells and inline expressions that are run."""
        return [part for part in self.parts if isinstance(part, Cell) and part.runs]

    @property
    def words(self) -> int:
        """How many words a reader of the page meets, code among them; not what is hidden or in a closed fold."""
        texts = ((part.code if part.is_open else "") if isinstance(part, Cell)
                 else "\n".join(line.text for line in part) for part in self.parts)  # fmt: skip
        return len(INLINE.sub("x", FOLD.sub("", "\n".join(texts))).split())


@dataclass(frozen=True)
class Article:
    """What a page became: the parts that a template puts together, and the files beside it."""

    title: str
    plain_title: str
    subtitle: str
    description: str
    plain_description: str
    toc: str
    body: str
    citation: str
    notebook: bytes | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    places: dict[str, list[Position]] = field(default_factory=dict)  # by what the page links to or shows
