"""From the text of a .qmd file to front matter, Markdown and cells, each knowing its line."""

import os
import re
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from qmdsite import config
from qmdsite.problem import Problem, did_you_mean

FENCE = re.compile(r"^(\s*)(`{3,}(?=[^`]*$)|~{3,})\s*(.*)$")
DIV = re.compile(r"^\s*:{3,}\s*(.*?)\s*:*$")
SHORTCODE = re.compile(r"\{\{+<\s*(\S+)\s*(.*?)\s*>\}+\}")
INLINE = re.compile(r"(?<!`)`\{python\} +([^`]+)`")
LABEL = re.compile(r"\{#([\w:.-]+)[ }]")
CALLOUTS = ("note", "tip", "warning", "important", "caution")


class Line(NamedTuple):
    """One line of a page, where it stands in its file; an included file keeps its own name."""

    path: str
    number: int
    text: str


@dataclass
class Cell:
    """Code to run; `number` counts the page's cells from 1 and is 0 for an inline expression."""

    path: str
    line: int
    number: int
    code: str
    options: dict[str, Any]

    @property
    def runs(self) -> bool:
        """Whether the cell is executed, not only shown."""
        return bool(self.code) and self.options.get("eval", True) is True

    @property
    def name(self) -> str:
        """The label, or else the number, as a message names the cell."""
        return f"cell '{self.options['label']}'" if "label" in self.options else f"cell {self.number}"


@dataclass
class Page:
    """One .qmd file: its options (the project's, overridden by its own) and its body in document order."""

    path: str
    meta: dict[str, Any]
    options: dict[str, Any]
    parts: list[str | Cell] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)

    @property
    def cells(self) -> list[Cell]:
        """The cells and inline expressions that are run."""
        return [part for part in self.parts if isinstance(part, Cell) and part.runs]

    def find(self, words: str) -> tuple[str, int]:
        """Return the file and line where `words` stand first, or the page's first line."""
        pattern = re.compile(r"(?<![\w-])" + re.escape(words) + r"(?![\w-])")
        for test in (pattern.search, lambda text: words in text):
            for line in self.lines:
                if test(line.text):
                    return line.path, line.number
        return self.path, 1


def load(root: Path, path: str, project: dict[str, Any], problems: list[Problem]) -> Page:
    """Read one page; all that is wrong with its text goes to `problems`."""
    lines = _lines(root, path, problems)
    meta: dict[str, Any] = {}
    if lines and lines[0].text.rstrip() == "---":
        end = next((i for i, line in enumerate(lines[1:], 1) if line.text.rstrip() in ("---", "...")), 0)
        if not end:
            problems.append(Problem(path, 1, "the front matter opened here is never closed; end it with '---'"))
            return Page(path, {}, project)
        meta = config.read("\n".join(line.text for line in lines[1:end]), config.PAGE, path, 2, problems)
        lines = [line._replace(text="") for line in lines[: end + 1]] + lines[end + 1 :]
    if not isinstance(meta.get("title"), str):
        problems.append(Problem(path, 1, "the page has no title; give it one: 'title: …' in the front matter"))
    page = Page(path, meta, {**project, **config.flat(meta)})
    _Scanner(root, page, problems).scan(lines)
    return page


def _lines(root: Path, path: str, problems: list[Problem]) -> list[Line]:
    try:
        text = (root / path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        problems.append(Problem(path, 1, f"the file is not UTF-8 text (byte {error.start}); save it as UTF-8"))
        return []
    return [Line(path, number, line) for number, line in enumerate(text.split("\n"), 1)]


class _Scanner:
    """Walks the lines of one page once."""

    def __init__(self, root: Path, page: Page, problems: list[Problem]) -> None:
        self.root, self.page, self.problems = root, page, problems
        self.markdown: list[str] = []
        self.labels: dict[str, Line] = {}
        self.cells = 0

    def complain(self, line: Line, text: str) -> None:
        self.problems.append(Problem(line.path, line.number, text))

    def scan(self, lines: list[Line]) -> None:
        todo = deque(lines)
        divs: list[Line] = []
        previous = ""
        while todo:
            line = todo.popleft()
            self.page.lines.append(line)
            text = line.text.strip()
            if text.startswith("<!--"):
                self.markdown.append(line.text)
                while "-->" not in line.text and todo:
                    line = todo.popleft()
                    self.markdown.append(line.text)
                if "-->" not in line.text:
                    self.complain(line, "a comment is never closed; end it with '-->'")
            elif fence := FENCE.match(line.text):
                self.fenced(line, fence, todo)
            elif (shortcode := SHORTCODE.search(text)) and shortcode[1] == "include" and shortcode[0] == text:
                todo.extendleft(reversed(self.included(line, shortcode[2])))
            elif text.startswith(":::"):
                self.div(line, divs, previous)
                self.markdown.append(line.text)
            else:
                if text == "---" and not previous and todo and todo[0].text.strip():
                    self.complain(line, "metadata may only stand at the top; for a rule leave a blank line after '---'")
                self.prose(line)
            previous = text
        for line in divs:
            self.complain(line, "the div opened here is never closed; end it with ':::'")
        self.flush()

    def flush(self) -> None:
        if self.markdown:
            self.page.parts.append("\n".join(self.markdown) + "\n")
        self.markdown = []

    def prose(self, line: Line) -> None:
        self.shortcodes(line)
        for label in LABEL.findall(line.text):
            self.label(label, line)
        pieces = INLINE.split(line.text)
        for text, code in zip(pieces[::2], pieces[1::2], strict=False):
            self.markdown.append(text)
            self.page.parts += ["\n".join(self.markdown), Cell(line.path, line.number, 0, code.strip(), {})]
            self.markdown = []
        self.markdown.append(pieces[-1])

    def shortcodes(self, line: Line) -> None:
        for name, _ in SHORTCODE.findall(line.text):
            words = "must stand alone on its line, outside code" if name == "include" else "is not supported; remove it"
            self.complain(line, f"the shortcode '{name}' {words}{did_you_mean(name, ['include'])}")

    def label(self, label: str, line: Line) -> None:
        first = self.labels.setdefault(label, line)
        if first is not line:
            self.complain(line, f"the label '{label}' is already used on line {first.number}; labels must differ")

    def included(self, line: Line, name: str) -> list[Line]:
        target = self.root / name[1:] if name.startswith("/") else self.root / Path(line.path).parent / name
        if not target.is_file():
            self.complain(line, f"the included file '{name}' does not exist")
            return []
        path = os.path.relpath(target, self.root)
        if len(self.page.lines) > 100_000:
            self.complain(line, f"'{name}' includes itself")
            return []
        return _lines(self.root, path, self.problems)

    def div(self, line: Line, divs: list[Line], previous: str) -> None:
        found = DIV.match(line.text)
        attributes = found[1] if found else ""
        if not attributes:
            if divs:
                divs.pop()
            else:
                self.complain(line, "this ':::' closes nothing; remove it, or open a div above")
            return
        divs.append(line)
        if not re.fullmatch(r"\{.*\}|\S+", attributes):
            self.complain(line, "this is not a div; write '::: {.class}' or '::: class'")
        if previous and not previous.startswith(":::"):
            self.complain(line, "a div must have a blank line before it, or else it is taken for text")
        for label in LABEL.findall(attributes):
            self.label(label, line)
        for name in re.findall(r"callout-([\w-]+)", attributes):
            if name not in CALLOUTS:
                near = did_you_mean(name, CALLOUTS)
                self.complain(line, f"there is no callout '{name}'{near}; there are {', '.join(CALLOUTS)}")

    def fenced(self, opening: Line, fence: re.Match[str], todo: deque[Line]) -> None:
        indent, ticks, info = fence.groups()
        body: list[Line] = []
        while todo:
            line = todo.popleft()
            self.page.lines.append(line)
            close = line.text.strip()
            if close.startswith(ticks) and not close.strip(ticks[0]):
                break
            body.append(line)
            self.shortcodes(line)
        else:
            return self.complain(opening, f"the code block opened here is never closed; end it with '{ticks}'")
        language = re.match(r"\{+(\w+)", info)
        if language is None:
            self.markdown += [opening.text, *(each.text for each in body), line.text]
        elif info.strip() != "{python}" or indent:
            words = f"a cell of '{info.strip()}'" if info.strip() != "{python}" else "an indented cell"
            self.complain(opening, f"{words} is not supported; a cell starts with '```{{python}}' at the left margin")
        else:
            self.cell(opening, body)
        return None

    def cell(self, opening: Line, body: list[Line]) -> None:
        count = next((i for i, line in enumerate(body) if not line.text.startswith("#|")), len(body))
        text = "\n".join(line.text[2:].removeprefix(" ") for line in body[:count])
        options = config.read(text, config.CELL, opening.path, opening.number + 1, self.problems)
        for line in body[count:]:
            if line.text.startswith("#|"):
                self.complain(line, "a cell option must stand above the cell's first line of code")
        if "label" in options:
            self.label(options["label"], next((line for line in body if line.text.startswith("#| label:")), opening))
        self.flush()
        self.cells += 1
        code = "\n".join(line.text for line in body[count:]).strip("\n")
        inherited = {key: value for key, value in self.page.options.items() if key in config.CELL}
        cell = Cell(opening.path, opening.number, self.cells, code, {**inherited, **options})
        self.page.parts.append(cell)
