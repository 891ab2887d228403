"""What is wrong with the input, and where."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Problem:
    """One complaint about one line of one file."""

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        """Return the form that editors and terminals turn into a link."""
        return f"{self.path}:{self.line}: {self.text}" if self.line else f"{self.path}: {self.text}"


class BadInput(Exception):
    """The sources cannot be rendered; every problem found so far."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Keep the problems in the order of files and lines, each once."""
        self.problems = sorted(set(problems))
        super().__init__("\n".join(map(str, self.problems)))


class FailedCell(Exception):
    """A cell raised, or took its kernel with it; the message is for the author."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ' (did you mean …?)' for a near miss, else nothing."""
    near = difflib.get_close_matches(name, list(known), 1)
    return f" (did you mean '{near[0]}'?)" if near else ""
