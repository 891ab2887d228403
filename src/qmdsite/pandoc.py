"""Running pandoc on a composed text, and what it and the filters say of it, by lines of that text."""

import json
import re
import subprocess
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from qmdsite import marks
from qmdsite.cache import Cache, digest
from qmdsite.compose import literal
from qmdsite.page import Page
from qmdsite.paths import HERE, out, relative, rooted
from qmdsite.problem import Position, Problem
from qmdsite.project import Project, authors, day, texts

FILTERS = [f"--lua-filter={HERE / name}.lua" for name in ("marks", "filter")]
OURS = ("parts.html", "marks.py", "pandoc.py", "convert.py", "markup.py")
SOURCES = [*sorted(HERE.glob("*.lua")), *(HERE / name for name in OURS)]
CODE = digest(metadata.version("pypandoc_binary"), *(file.read_bytes() for file in SOURCES))
FIRST = 5  # the number of the text's first line, behind the metadata
UNKNOWN_CITATION = r"Citeproc: citation (\S+) not found"
BAD_TEX = "Could not convert TeX math (.*?), rendering as TeX:"
WARNINGS = {
    UNKNOWN_CITATION: "'@{0}' refers to nothing: the bibliography has no such entry",
    BAD_TEX: "this TeX cannot be shown as MathML: {0}",
    r"Note with key '(.*?)' defined .* but not used": "the footnote '{0}' is defined and never used",
    r"Duplicate note reference '(.*?)'": "the footnote '{0}' is defined twice",
}
NUMBERED = "eq|fig|tbl|sec|thm|lem|cor|prp|cnj|def|exm|exr"  # as in filter.lua: what refers to these cites nothing


class Use(NamedTuple):
    """A class or attribute that an element of the text has."""

    line: int
    element: str
    what: str
    name: str


class Converted(NamedTuple):
    """What became of a text: what was made of pandoc's, marks and all, and the classes and attributes in it."""

    result: Any
    uses: list[Use]


def program() -> str:
    """Return where pandoc is."""
    # Imported here: a render that converts nothing does without.
    import pypandoc

    path: str = pypandoc.get_pandoc_path()
    return path


def about(project: Project, page: Page, positions: list[Position]) -> tuple[dict[str, Any], list[Path]]:
    """Return what pandoc and the filters have to know of a page, and the files that they read.

    Titles have marks as the text has; their positions are added behind those of the text.
    """
    options, folder = page.options, str(PurePosixPath(page.path).parent)
    meta: dict[str, Any] = {}
    for key in ("title", "subtitle", "description"):
        if text := page.meta.get(key):
            meta[key] = marks.markdown(text, FIRST + len(positions))
            positions += [page.meta.at(key)] * (text.count("\n") + 1)
    meta |= {
        "root": literal(relative(".", page.path).rstrip("/") + "/"),
        "lang": options.get("lang", "en"),
        "toc-title": "",
        "number-sections": options.get("number-sections", False),
        "link-citations": options.get("link-citations", True),
        "reference-section-title": "References",
    }
    inputs = []
    for key in ("bibliography", "csl"):
        base = folder if key in page.meta.values else "."
        for name in texts(options.get(key)):
            meta[key] = [*meta.get(key, []), rooted(name, base)]
            inputs.append(project.root / rooted(name, base))
    if options.get("citation"):
        meta["citation"] = _entry(project, page)
    return meta, inputs


def _entry(project: Project, page: Page) -> dict[str, Any]:
    """Return the page as pandoc's bibliographies describe a work."""
    found, date = authors(page.options), day(page)
    family = re.sub(r"\W", "", found[0].family).lower()
    return {
        "id": f"{family}{date.year if date else ''}",
        "type": "webpage",
        "title": page.meta.get("title"),
        "author": [
            {"family": literal(each.family)} | ({"given": literal(each.given)} if each.given else {}) for each in found
        ],
        **({"issued": str(date)} if date else {}),
        "url": literal(re.sub(r"/index\.html$", "/", project.address(out(page.path)))),
        "language": page.options.get("lang", "en"),
    }


def run(
    markdown: str,
    meta: dict[str, Any],
    arguments: list[str],
    inputs: Iterable[Path],
    root: Path,
    cache: Cache,
    finish: Callable[[str], Any],
) -> tuple[Converted, list[tuple[int, str] | Problem]]:
    """Return the text in the form that arguments say, and what is wrong with it, by lines of the text.

    What the metadata names is found from the folder `root`; `inputs` are the files that the result depends on. `finish`
    makes of what pandoc writes the result, in values of JSON, which are kept.
    """
    head = json.dumps(meta, ensure_ascii=False)
    key = digest(CODE, head, markdown, *arguments, *(file.read_bytes() for file in inputs if file.is_file()))
    if entry := cache.get(key):
        result, uses = json.loads(entry)
        return Converted(result, [Use(*use) for use in uses]), []
    text = f"---\n{head}\n...\n\n{marks.markdown(markdown, FIRST)}"
    cites = re.search(rf"(?<!\w)@\{{?(?!(?:{NUMBERED})-)[\w*]", markdown) or "nocite" in meta
    command = [program(), "--from=markdown", "--wrap=preserve", *FILTERS, *["--citeproc"] * bool(cites), *arguments]
    ran = subprocess.run(command, input=text.encode(), capture_output=True, cwd=root)
    notes = ran.stderr.decode()
    uses = [Use(sum(marks.numbers(at)), *use) for at, *use in _tabbed(notes, "USES")]
    converted = Converted(finish(ran.stdout.decode()), uses)
    # What cells print, once they have run, may use a footnote.
    unused = "never used" if meta.get("qmdsite-dry") else "\n"
    problems = [each for each in _problems(notes, text, ran.returncode) if unused not in str(each)]
    if not problems:
        cache.put(key, json.dumps(converted).encode())
    return converted, problems


def _tabbed(notes: str, word: str) -> list[tuple[str, ...]]:
    """Return the lines that a filter wrote with a word before them, cut at tabs."""
    found = re.findall(rf"^{word}\t(.*)$", notes, flags=re.M)
    return [tuple(line.split("\t")) for line in dict.fromkeys(found)]


def _problems(notes: str, text: str, status: int) -> Iterable[tuple[int, str] | Problem]:
    """Return what pandoc complains of, each with its line, of the text or of a file."""
    for place, words in _tabbed(notes, "PROBLEM"):
        at, _, further = place.partition("+")
        yield sum(marks.numbers(at)[:1]) + int(further or 0), words
    # The filters tell of labels that are used twice, and where.
    warning = r"^\[WARNING\] (?!Duplicate identifier)(.*(?:\n(?!PROBLEM|USES|\[).*)*)"
    for message in re.findall(warning, notes, flags=re.M):
        yield from _warning(message, text)
    if found := re.search(r"bibliography file (.*):\n\(line (\d+), .*\n(.*)", notes):
        yield Problem(found[1], int(found[2]), f"this is no bibliography: {found[3]}")
    elif status:
        words = re.sub(r"^(USES|PROBLEM)\t.*\n", "", notes, flags=re.M)
        yield 0, f"pandoc failed: {words.strip()}"


def _warning(message: str, text: str) -> Iterable[tuple[int, str]]:
    place = re.search(r"at (?:\S+ )?line (\d+)", message) or re.search(r"line (\d+) column", message)
    for pattern, complaint in WARNINGS.items():
        if found := re.search(pattern, message, flags=re.S):
            words = complaint.format(" ".join(marks.clean(found[1]).split()))
            lines = [int(place[1])] if place else _lines(pattern, found, text)
            yield from ((line, words) for line in lines or [0])
            return
    notes = re.sub(r" at line \d+ column \d+", "", " ".join(message.split()))
    yield (int(place[1]) if place else 0), f"pandoc says: {marks.clean(notes)}"


def _lines(pattern: str, found: re.Match[str], text: str) -> list[int]:
    """Return the lines of all citations of a work, or of all formulas of the same TeX, which are all wrong."""
    if pattern == UNKNOWN_CITATION:
        key = rf"@\{{?{re.escape(found[1])}"
        tables = marks.unmarked(text.split("\n...\n", 1)[1], FIRST - 1)
        unmarked = [line for line, words in tables if re.search(rf"{key}(?![\w-])", words)]
        return [*(marks.numbers(at)[0] for at in re.findall(f"{key}({marks.MARK})", text)), *unmarked]
    if pattern != BAD_TEX:
        return []
    tex = " ".join(found[1].split())
    formulas = re.findall(rf"\$\$?({marks.MARK})((?:\\.|[^$\\])*)\$", text)
    return [marks.numbers(at)[0] + _wrong_line(each) for at, each in formulas if " ".join(each.split()) == tex]


def _wrong_line(formula: str) -> int:
    """Return which line of a formula that cannot be shown is wrong: the one without which the others can."""
    lines = formula.split("\n")
    rest = ["\n".join([*lines[:at], "{}", *lines[at + 1 :]]) for at in range(len(lines))]
    text = "\n\n".join(f"$${each.strip()}$$" for each in rest)
    command = [program(), "--from=markdown", "--to=html5", "--mathml"]
    page = subprocess.run(command, input=text.encode(), capture_output=True).stdout.decode()
    shown = [each == "<math " for each in re.findall('<math |<span class="math', page)]
    return shown.index(True) if True in shown else 0


def placed(problems: Iterable[tuple[int, str] | Problem], positions: list[Position]) -> list[Problem]:
    """Return problems at lines of the composed text as problems of the sources."""

    def at(line: int) -> Position:
        return positions[min(max(line - FIRST, 0), len(positions) - 1)]

    return [each if isinstance(each, Problem) else Problem(*at(each[0]), each[1]) for each in problems]
