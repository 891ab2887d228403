"""From the text of a .qmd file to front matter, Markdown and cells, each knowing its line."""

import os
import re
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from qmdsite import config
from qmdsite.problem import Problem, did_you_mean

FENCE = re.compile(r"(\s*)(`{3,}(?=[^`]*$)|~{3,})\s*(.*)$")
DIV = re.compile(r":{3,}\s*(.*?)\s*:*$")
SHORTCODE = re.compile(r"\{\{+<\s*(\S+)\s*(.*?)\s*>\}+\}")
INLINE = re.compile(r"(?<!`)`\{python\} +([^`]+)`")
# What may hold two dollars that open nothing, and the two dollars that do.
DOLLARS = re.compile(r"`[^`]*`|\\.|\$[^$`]+\$|(\$\$)")
CALLOUTS = ("note", "tip", "warning", "important", "caution")


class Line(NamedTuple):
    """One line and where it stands; a line that was included keeps its own file's name."""

    path: str
    number: int
    text: str


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
    def runs(self) -> bool:
        """Whether the cell is executed, not only shown."""
        return bool(self.code.strip() and self.options.get("eval", True))

    @property
    def name(self) -> str:
        """The cell's label or number, as messages say it."""
        label = self.options.get("label")
        return f"cell '{label}'" if label else f"cell {self.number}" if self.number else f"`{{python}} {self.code}`"


@dataclass
class Page:
    """One .qmd file: its front matter, the options that hold on it, its body and its lines."""

    path: str
    meta: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    parts: list[str | Cell] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    said: list[tuple["Cell", str]] = field(default_factory=list)  # what cells showed, once that is known

    @property
    def cells(self) -> list[Cell]:
        """The cells and inline expressions that are run."""
        return [part for part in self.parts if isinstance(part, Cell) and part.runs]

    def has(self, words: str) -> bool:
        """Return whether a line or a cell's output has the words."""
        return any(words in line.text for line in self.lines) or any(words in text for _, text in self.said)

    def problem(self, words: str, text: str) -> Problem:
        """Return a complaint about the first line that has `words`: as a label, on their own, or within others."""
        name = re.escape(words)
        # A cell that makes a reference has its name without the mark.
        for pattern in (rf"{{#{name}[ }}]", rf"(?<![\w-]){name}(?![\w-])", name, re.escape(words.lstrip("@"))):
            for line in self.lines:
                if re.search(pattern, line.text):
                    return Problem(line.path, line.number, text)
        for cell, said in self.said:
            if words in said:
                return Problem(cell.path, cell.line, text)
        return Problem(self.path, 1, text)


def decode(data: bytes, path: str, problems: list[Problem]) -> str:
    """Return the text of a file."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problems.append(Problem(path, 1, f"the file is not UTF-8 text (byte {error.start}); save it as UTF-8"))
        return ""


def read_lines(root: Path, path: str, problems: list[Problem]) -> list[Line]:
    """Return the lines of a file of the project."""
    text = decode((root / path).read_bytes(), path, problems)
    return [Line(path, number, line) for number, line in enumerate(re.split("\r\n?|\n", text), 1)]


def load(root: Path, path: str, inherited: dict[str, Any], problems: list[Problem]) -> Page:
    """Read one page, with the options it has from elsewhere; all that is wrong with its text goes to `problems`."""
    lines = read_lines(root, path, problems)
    page, before = Page(path, lines=[]), len(problems)
    if lines and lines[0].text.rstrip() == "---":
        end = next((i for i, line in enumerate(lines[1:], 1) if line.text.rstrip() in ("---", "...")), 0)
        if not end:
            problems.append(Problem(path, 1, "the front matter opened here is never closed; end it with '---'"))
            return page
        page.meta = config.read("\n".join(line.text for line in lines[1:end]), config.PAGE, path, 2, problems)
        page.lines, lines = lines[: end + 1], lines[end + 1 :]
    if "title" not in page.meta and len(problems) == before:
        problems.append(Problem(path, 1, "the page has no title; give it one: 'title: …' in the front matter"))
    page.meta = {
        key: value for key, value in inherited.items() if key in config.FOLDER.keys() - config.SHARED
    } | page.meta
    page.options = {**inherited, **config.flat(page.meta)}
    _Scanner(root, page, problems).scan(deque(lines))
    return page


class _Scanner:
    """Walks the lines of one page once."""

    def __init__(self, root: Path, page: Page, problems: list[Problem]) -> None:
        self.root, self.page, self.problems = root, page, problems
        self.markdown: list[str] = []
        self.divs: list[Line] = []
        self.display: Line | None = None
        self.cells = 0

    def complain(self, line: Line, text: str) -> None:
        self.problems.append(Problem(line.path, line.number, text))

    def scan(self, todo: deque[Line]) -> None:
        previous = ""
        while todo:
            line = todo.popleft()
            self.page.lines.append(line)
            text = line.text.strip()
            if self.display and (not text or FENCE.match(line.text)):
                self.never_closed(self.display, "display mathematics", "$$")
                self.display = None
            if text.startswith("<!--") or "<!--" in re.sub("`[^`]*`", "", text).rpartition("-->")[2]:
                self.comment(line, todo)
            elif fence := FENCE.match(line.text):
                self.fenced(line, fence, todo)
            elif (include := SHORTCODE.fullmatch(text)) and include[1] == "include":
                todo.extendleft(reversed(self.included(line, include[2])))
            else:
                if text.startswith(":::"):
                    self.div(line, previous)
                elif text == "---" and not previous and todo and todo[0].text.strip():
                    self.complain(line, "metadata may only stand at the top; for a rule leave a blank line after '---'")
                self.prose(line)
            previous = text
        for line in self.divs:
            self.never_closed(line, "div", ":::")
        if self.display:
            self.never_closed(self.display, "display mathematics", "$$")
        self.flush()

    def never_closed(self, line: Line, what: str, end: str) -> None:
        self.complain(line, f"the {what} opened here is never closed; end it with '{end}'")

    def comment(self, line: Line, todo: deque[Line]) -> None:
        opening = line
        self.markdown.append(line.text)
        while "-->" not in line.text.rpartition("<!--")[2]:
            if not todo:
                return self.never_closed(opening, "comment", "-->")
            line = todo.popleft()
            self.markdown.append(line.text)

    def flush(self) -> None:
        self.page.parts += ["\n".join(self.markdown) + "\n"]
        self.markdown = []

    def prose(self, line: Line) -> None:
        self.shortcodes(line)
        if DOLLARS.findall(line.text).count("$$") % 2:
            self.display = None if self.display else line
        if re.search(r"(?<!`)`\{python\}", INLINE.sub("", line.text)):
            self.complain(line, "inline code needs after '{python}' a space, and its end on the same line")
        *pieces, last = INLINE.split(line.text)
        for text, code in zip(pieces[::2], pieces[1::2], strict=True):
            self.page.parts += ["\n".join([*self.markdown, text]), Cell(*line[:2], line.number, 0, code.strip(), {})]
            self.markdown = []
        self.markdown.append(last)

    def shortcodes(self, line: Line) -> None:
        for name, _ in SHORTCODE.findall(line.text):
            words = "must stand alone on its line, outside code" if name == "include" else "is not supported; remove it"
            self.complain(line, f"the shortcode '{name}' {words}")

    def included(self, line: Line, name: str) -> list[Line]:
        folder = self.root if name.startswith("/") else (self.root / line.path).parent
        target = Path(os.path.normpath(folder / name.lstrip("/")))
        if not target.is_file():
            self.complain(line, f"the included file '{name}' does not exist")
        elif len(self.page.lines) > 50_000:
            self.complain(line, f"the file '{name}' includes itself")
        else:
            return read_lines(self.root, os.path.relpath(target, self.root), self.problems)
        return []

    def div(self, line: Line, previous: str) -> None:
        found = DIV.match(line.text.strip())
        attributes = found[1] if found else ""
        if not attributes and not self.divs:
            self.complain(line, "this ':::' closes nothing; remove it, or open a div above")
        elif not attributes:
            self.divs.pop()
        else:
            self.divs.append(line)
            if not re.fullmatch(r"\{.*\}|[^\s{}]+", attributes):
                self.complain(line, "this is not a div; write '::: {.class}' or '::: class'")
            if previous and not previous.startswith(":::"):
                self.complain(line, "a div must have a blank line before it, or else it is taken for text")
            for name in re.findall(r"callout-([\w-]+)", attributes):
                if name not in CALLOUTS:
                    near = did_you_mean(name, CALLOUTS)
                    self.complain(line, f"there is no callout '{name}'{near}; there are {', '.join(CALLOUTS)}")

    def fenced(self, opening: Line, fence: re.Match[str], todo: deque[Line]) -> None:
        indent, ticks, info = fence[1], fence[2], fence[3].strip()
        body = [opening]
        # The opening of a cell within a block means that the block was not closed.
        inner = re.compile(rf"\s*{ticks}+\s*\{{")
        while todo and not (len(body) > 1 and self.closes(body[-1], ticks)) and not inner.match(todo[0].text):
            body.append(todo.popleft())
            self.shortcodes(body[-1])
        self.page.lines += body[1:]
        if len(body) == 1 or not self.closes(body[-1], ticks):
            self.never_closed(opening, "code block", ticks)
        elif not re.match(r"\{+\w", info):
            self.markdown += [line.text for line in body]
        elif info != "{python}" or indent:
            what = "an indented cell" if info == "{python}" else f"a cell of '{info}'"
            self.complain(opening, f"{what} is not supported; a cell starts with '```{{python}}' at the left margin")
        else:
            self.cell(opening, body[1:-1])

    @staticmethod
    def closes(line: Line, ticks: str) -> bool:
        text = line.text.strip()
        return text.startswith(ticks) and not text.strip(ticks[0])

    def cell(self, opening: Line, body: list[Line]) -> None:
        count = next((i for i, line in enumerate(body) if not line.text.startswith("#|")), len(body))
        text = "\n".join(line.text[2:].removeprefix(" ") for line in body[:count])
        options = config.read(text, config.CELL, opening.path, opening.number + 1, self.problems)
        for line in body[count:]:
            if line.text.startswith("#|"):
                self.complain(line, "a cell option must stand above the cell's first line of code")
        self.flush()
        self.cells += 1
        inherited = {key: value for key, value in self.page.options.items() if key in config.CELL}
        code = "\n".join(line.text for line in body[count:]).strip("\n")
        start = next((line.number for line in body[count:] if line.text), 0)
        self.page.parts.append(Cell(*opening[:2], start, self.cells, code, {**inherited, **options}))
