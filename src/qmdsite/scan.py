"""From the lines of a .qmd file to text and cells, each knowing its line."""

import os
import re
from collections import deque
from itertools import dropwhile
from pathlib import Path

from qmdsite import options
from qmdsite.marks import RESERVED, ends, uncommented
from qmdsite.options import Settings
from qmdsite.page import Cell, Line
from qmdsite.paths import decoded
from qmdsite.problem import Problem, did_you_mean

FENCE = re.compile(r"(\s*)(`{3,}(?=[^`]*$)|~{3,})\s*(.*)$")
DIV = re.compile(r":{3,}\s*(.*?)\s*:*$")
SHORTCODE = re.compile(r"\{\{+<\s*(\S+)\s*(.*?)\s*>\}+\}")
UNCLOSED = re.compile(r"\{\{+<\s*(\S+)(?!.*>\}+\})")
INLINE = re.compile(r"(?<!`)`\{python\} +([^`]+)`")
# What may hold two dollars that open nothing, and the two dollars that do.
DOLLARS = re.compile(r"`[^`]*`|\\.|\$[^$`]+\$|(\$\$)")
CALLOUTS = ("note", "tip", "warning", "important", "caution")


def read_lines(root: Path, path: str) -> tuple[list[Line], list[Problem]]:
    """Return the lines of a file of the project, and what is wrong with its text."""
    text, wrong = decoded((root / path).read_bytes())
    lines = [Line(path, number, line) for number, line in enumerate(re.split("\r\n?|\n", text), 1)]
    words = "the digits of Osmanya cannot be shown: lines are marked by them"
    problems = [Problem(*line.position, words) for line in lines if RESERVED.search(line.text)]
    return lines, [Problem(path, 1, wrong)] if wrong else problems


def scan(root: Path, lines: list[Line], inherited: Settings) -> tuple[list[list[Line] | Cell], list[Problem]]:
    """Return the parts of a page's body, and what is wrong with them; cells have the options that are inherited."""
    scanner = _Scanner(root, inherited)
    scanner.scan(deque(lines))
    return scanner.parts, scanner.problems


class _Scanner:
    """Walks the lines of one page once."""

    def __init__(self, root: Path, inherited: Settings) -> None:
        self.root, self.inherited = root, inherited
        self.problems: list[Problem] = []
        self.parts: list[list[Line] | Cell] = []
        self.text: list[Line] = []
        self.divs: list[Line] = []
        self.above: dict[str, set[str]] = {}  # of an included file, those that it stands in
        self.display: Line | None = None
        self.cells = 0

    def complain(self, line: Line, text: str) -> None:
        self.problems.append(Problem(*line.position, text))

    def scan(self, todo: deque[Line]) -> None:
        previous = ""
        while todo:
            line = todo.popleft()
            if not line.text.strip() or FENCE.match(line.text):
                self.end_of_display()
            self.line(line, previous, todo)
            previous = line.text.strip()
        self.end_of_display()
        for line in self.divs:
            self.never_closed(line, "div", ":::")
        self.flush()

    def line(self, line: Line, previous: str, todo: deque[Line]) -> None:
        text = line.text.strip()
        if text.startswith("<!--") or "<!--" in uncommented(text):
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

    def end_of_display(self) -> None:
        if self.display:
            self.never_closed(self.display, "display mathematics", "$$")
        self.display = None

    def never_closed(self, line: Line, what: str, end: str) -> None:
        self.complain(line, f"the {what} opened here is never closed; end it with '{end}'")

    def comment(self, line: Line, todo: deque[Line]) -> None:
        opening = line
        self.text.append(line)
        while "-->" not in line.text.rpartition("<!--")[2]:
            if not todo:
                return self.never_closed(opening, "comment", "-->")
            line = todo.popleft()
            self.text.append(line)

    def flush(self) -> None:
        self.parts.append(self.text)
        self.text = []

    def prose(self, line: Line) -> None:
        self.shortcodes(line)
        if DOLLARS.findall(line.text).count("$$") % 2:
            self.display = None if self.display else line
        if re.search(r"(?<!`)`\{python\}", INLINE.sub("", line.text)):
            self.complain(line, "inline code needs after '{python}' a space, and its end on the same line")
        *pieces, last = INLINE.split(line.text)
        for text, code in zip(pieces[::2], pieces[1::2], strict=True):
            self.text.append(line._replace(text=text))
            self.flush()
            self.parts.append(Cell(*line.position, line.number, 0, code.strip(), {}))
        self.text.append(line._replace(text=last))

    def shortcodes(self, line: Line) -> None:
        for name, _ in SHORTCODE.findall(line.text):
            words = "must stand alone on its line, outside code" if name == "include" else "is not supported; remove it"
            self.complain(line, f"the shortcode '{name}' {words}")
        for name in UNCLOSED.findall(line.text):
            self.complain(line, f"the shortcode '{name}' must stand on one line")

    def included(self, line: Line, name: str) -> list[Line]:
        folder = self.root if name.startswith("/") else (self.root / line.path).parent
        target = Path(os.path.normpath(folder / name.lstrip("/")))
        if not target.is_file():
            self.complain(line, f"the included file '{name}' does not exist")
            return []
        path, above = os.path.relpath(target, self.root), {line.path, *self.above.get(line.path, ())}
        if path in above:
            self.complain(line, f"the file '{name}' includes itself")
            return []
        self.above[path] = above | self.above.get(path, set())
        lines, problems = read_lines(self.root, path)
        self.problems += problems
        return lines

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
            self.of_cells(line)
            for name in re.findall(r"callout-([\w-]+)", attributes):
                if name not in CALLOUTS:
                    near = did_you_mean(name, CALLOUTS)
                    self.complain(line, f"there is no callout '{name}'{near}; there are {', '.join(CALLOUTS)}")

    def of_cells(self, line: Line) -> None:
        for name in re.findall(r"\.(cell(?:-[\w-]+)?)(?=[\s}])", line.text):
            self.complain(line, f"the class '{name}' is written around cells, and may not be written by hand")

    def fenced(self, opening: Line, fence: re.Match[str], todo: deque[Line]) -> None:
        indent, ticks, info = fence[1], fence[2], fence[3].strip()
        body = [opening]
        # The opening of a cell within a block means that the block was not closed.
        inner = re.compile(rf"\s*{ticks}+\s*\{{")
        while todo and not (len(body) > 1 and ends(body[-1].text, ticks)) and not inner.match(todo[0].text):
            body.append(todo.popleft())
            self.shortcodes(body[-1])
        if len(body) == 1 or not ends(body[-1].text, ticks):
            self.never_closed(opening, "code block", ticks)
        elif not re.match(r"\{+\w", info):
            self.of_cells(opening)
            self.text += body
        elif info != "{python}" or indent:
            what = "an indented cell" if info == "{python}" else f"a cell of '{info}'"
            self.complain(opening, f"{what} is not supported; a cell starts with '```{{python}}' at the left margin")
        else:
            self.cell(opening, body[1:-1])

    def cell(self, opening: Line, body: list[Line]) -> None:
        count = next((i for i, line in enumerate(body) if not line.text.startswith("#|")), len(body))
        text = "\n".join(line.text[2:].removeprefix(" ") for line in body[:count])
        own, problems = options.read(text, "cell", opening.path, opening.number + 1)
        self.problems += problems
        for line in body[count:]:
            if line.text.startswith("#|"):
                self.complain(line, "a cell option must stand above the cell's first line of code")
        self.flush()
        self.cells += 1
        inherited = {key: value for key, value in self.inherited.values.items() if key in options.SCHEMAS["cell"]}
        # IPython leaves out the lines at the top that have no code, and does not count them.
        lines = list(dropwhile(lambda line: not line.text.strip(), body[count:]))
        code, start = "\n".join(line.text for line in lines).strip("\n"), lines[0].number if lines else 0
        self.parts.append(Cell(*opening.position, start, self.cells, code, {**inherited, **own.values}))
