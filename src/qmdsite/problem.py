"""What goes wrong, where, and how it is said."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple


class Position(NamedTuple):
    """A line of a file of the project, counted from 1."""

    path: str
    line: int


@dataclass(frozen=True, order=True)
class Problem:
    """One complaint about one line of one file."""

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        """Return the form that editors and terminals turn into a link."""
        return f"{self.path}:{self.line}: {self.text}"


class BadInput(Exception):
    """The sources cannot be rendered, for all these reasons."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Put the problems in the order of files and lines, each once."""
        super().__init__("\n".join(map(str, sorted(set(problems)))))


class FailedCell(Exception):
    """A cell raised, or took its kernel with it; or a program that the render uses failed."""


def judge(problems: Iterable[Problem]) -> None:
    """Stop if anything was found wrong."""
    if found := list(problems):
        raise BadInput(found)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the one of the known names that was likely meant, as a question, or nothing."""
    near = difflib.get_close_matches(name, list(known), 1)
    return f" (did you mean '{near[0]}'?)" if near else ""
