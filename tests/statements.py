"""What a post states in its prose: formulas, numbers and comparisons, each with its place."""

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

# A cell, its code the only group.
CELL = re.compile(r"^```\{python\}\n(.*?)^```$", re.M | re.S)
FENCE = re.compile(r"^(`{3,}|~{3,}).*?^\1\s*?$", re.M | re.S)
FRONT = re.compile(r"\A---\n.*?^---$", re.M | re.S)
SAYS = re.compile(r"`\{python\} \w+\(r?(?P<quote>[\"'])(?P<text>.*?)(?P=quote)[^`]*\)`")
INLINE = re.compile(r"`\{python\} [^`]+`")
NOTATION = re.compile(r"\[([^\[\]]+)\]\{\.notation\}")
MATH = re.compile(r"(?<![\\$])\$(?=[^\s$])([^$]+?)(?<=[^\s\\])\$(?![\d$])", re.S)
# Where figures state nothing: code, addresses, attributes, citations, raw HTML, comments.
ELSEWHERE = re.compile(r"`[^`]+`|\]\([^)]*\)|\{[^{}]*\}|@[\w-]+|<!--.*?-->|<[^>]+>|https?://\S+", re.S)
COUNTED = "two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|half|twice|fifty|hundred|thousand|million"
NUMBER = re.compile(r"(?<![\w.])[-−]?\d(?:[\d,  ]*\d)?(?:\.\d+)?(?![\w])|[½¼¾⅓]")
COMPARISON = re.compile(rf"\b(?:more|less|fewer|at least|at most)(?: than)?\s+(?:{COUNTED}|\d[\d.]*)\b", re.I)
# What is counted in a name: lesson 13, Python 3.11, lecture 08.
NAMED = re.compile(
    r"(?:lesson|lecture|version|python|quarto|torch|sympy|chapter|section|figure|equation|step)\s+$", re.I
)

# A letter, with a subscript or a prime; an entry; the name of a derivative.
LETTER = (
    r"(?:[A-Za-z]|\\mathrm\{\w+\}"
    r"|\\(?!times|cdot|odot|le|ge|ne|sum|frac|sqrt|log|exp|sin|cos|max|min|mathsf|mathbf|partial)[a-zA-Z]+)"
)
SUBSCRIPT = r"(?:_(?:\w|\{[\w,\\' ]+\}))?'*"
NAME = re.compile(rf"\s*{LETTER}{SUBSCRIPT}\s*|\\partial\s?{LETTER}{SUBSCRIPT}\s?/\s?\\partial\s?{LETTER}{SUBSCRIPT}")


@dataclass(frozen=True)
class Statement:
    """A piece of a source: where it stands, from `start` to `end` and on which line, its kind and its text."""

    path: Path
    line: int
    start: int
    end: int
    kind: str  # "says": compared by the page; "notation": introduced; "math", "number", "comparison": typed
    text: str

    def __str__(self) -> str:
        return f"{self.path.parent.name}/{self.path.name}:{self.line}: {self.text}"


def blanked(pattern: re.Pattern[str], text: str) -> str:
    """Replace what a pattern finds by spaces, so that places stay."""
    return pattern.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)


def statements(path: Path, source: str | None = None) -> list[Statement]:
    """Return the formulas, numbers and comparisons in the prose of a post, checked and typed, in their order."""
    source = path.read_text(encoding="utf-8") if source is None else source
    prose = blanked(FENCE, blanked(FRONT, source))
    found = [("says", *match.span("text"), match["text"]) for match in SAYS.finditer(prose)]
    prose = blanked(INLINE, prose)
    found += [("notation", *match.span(1), match[1]) for match in NOTATION.finditer(prose)]
    prose = blanked(NOTATION, prose)
    found += [("math", *match.span(1), match[1]) for match in MATH.finditer(prose)]
    prose = blanked(ELSEWHERE, blanked(MATH, prose))
    compared = list(COMPARISON.finditer(prose))
    found += [("comparison", *match.span(), match[0]) for match in compared]
    prose = blanked(COMPARISON, prose)
    numbers = (match for match in NUMBER.finditer(prose) if not _is_named(prose, match))
    found += [("number", *match.span(), match[0]) for match in numbers]
    found.sort(key=lambda item: item[1])
    return [
        Statement(path, source.count("\n", 0, start) + 1, start, end, kind, text) for kind, start, end, text in found
    ]


def captions(path: Path) -> list[str]:
    """Return the captions, alternative texts and descriptions of a post: YAML, in which nothing is computed."""
    source = path.read_text(encoding="utf-8")
    options = [yaml.safe_load(source.split("---\n")[1])]
    for cell in re.findall(r"^```\{python\}\n((?:#\|.*\n)+)", source, re.M):
        options.append(yaml.safe_load(re.sub(r"^#\| ?", "", cell, flags=re.M)))
    names = ("description", "subtitle", "fig-cap", "fig-alt", "tbl-cap")
    return [str(each[name]) for each in options for name in names if name in each]


def _is_named(prose: str, match: re.Match[str]) -> bool:
    starts_list = re.match(r"\s*\d+\. ", prose[prose.rfind("\n", 0, match.start()) + 1 :])
    at_line = not prose[prose.rfind("\n", 0, match.start()) + 1 : match.start()].strip()
    return bool(NAMED.search(prose, 0, match.start()) or (starts_list and at_line))


def states_something(statement: Statement) -> bool:
    """Return whether a statement is typed, unchecked, and more than a name."""
    return statement.kind in ("number", "comparison") or (
        statement.kind == "math" and not NAME.fullmatch(statement.text)
    )
