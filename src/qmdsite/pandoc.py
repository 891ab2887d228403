"""Running pandoc on a composed text, and what it and the filters say of it, by lines of that text."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from queue import LifoQueue
from typing import Any, NamedTuple, Self

from qmdsite import marks
from qmdsite.cache import Cache, digest
from qmdsite.compose import literal
from qmdsite.page import Page
from qmdsite.paths import HERE, out, relative, rooted
from qmdsite.problem import Position, Problem
from qmdsite.project import Project, authors, day, texts

HTML = {"html_math_method": "mathml", "wrap_text": "preserve"}
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


class Form(NamedTuple):
    """What becomes of a text: pandoc's name for it, how pandoc writes it, and which filters there are for it alone."""

    to: str
    options: dict[str, Any]
    filters: tuple[str, ...] = ()


class Converted(NamedTuple):
    """What became of a text: what was made of pandoc's, marks and all, and the classes and attributes in it."""

    result: Any
    uses: list[Use]


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


class Pandoc:
    """Pandoc, once for each processor, waiting for texts: to start it takes longer than to convert a page."""

    def __init__(self, root: Path, cache: Cache, folder: Path) -> None:
        """Keep results in `cache`; what texts name is found from `root`, and in `folder` pandoc may have files."""
        self.root, self.cache, self.folder = root, cache, folder
        self.idle: LifoQueue[subprocess.Popen[str] | None] = LifoQueue()
        for _ in range(os.cpu_count() or 1):
            self.idle.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        while not self.idle.empty():
            if process := self.idle.get():
                process.communicate()

    def _start(self) -> subprocess.Popen[str]:
        # Imported here: a render that converts nothing does without.
        import pypandoc

        command = [pypandoc.get_pandoc_path(), "lua", str(HERE / "pandoc.lua"), str(HERE)]
        pipes: Any = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        environment = os.environ | {"TMPDIR": str(self.folder)}
        return subprocess.Popen(command, cwd=self.root, env=environment, encoding="utf-8", **pipes)

    def ask(self, text: str, form: Form, filters: Iterable[str] = (), source: str = "markdown") -> dict[str, Any]:
        """Return what pandoc.lua answers."""
        # A tab becomes spaces, as on pandoc's command line and so in Quarto.
        wanted = {"text": text.expandtabs(4), "from": source, "to": form.to, "options": form.options}
        answer, process = "", self.idle.get()
        try:
            process = process or self._start()
            with suppress(BrokenPipeError):
                print(json.dumps({**wanted, "filters": [*filters]}), file=process.stdin, flush=True)
                answer = process.stdout.readline() if process.stdout else ""
        finally:
            self.idle.put(process if answer.endswith("\n") else None)
        if not answer.endswith("\n"):  # it has ended
            answer = process.communicate()[1]
            return {"done": False, "text": answer, "problems": [], "uses": [], "log": []}
        return dict(json.loads(answer))

    def convert(
        self, markdown: str, meta: dict[str, Any], form: Form, inputs: Iterable[Path], finish: Callable[[str], Any]
    ) -> tuple[Converted, list[tuple[int, str] | Problem]]:
        """Return what becomes of a text, and what is wrong with it, by lines of the text.

        `inputs` are the files that the result depends on. `finish` makes of what pandoc writes the result, in values of
        JSON, which are kept.
        """
        head = json.dumps(meta, ensure_ascii=False)
        files = [file.read_bytes() for file in inputs if file.is_file()]
        key = digest(head, markdown, json.dumps(form), *files)
        if entry := self.cache.get(key):
            result, uses = json.loads(entry)
            return Converted(result, [Use(*use) for use in uses]), []
        text = f"---\n{head}\n...\n\n{marks.markdown(markdown, FIRST)}"
        cites = re.search(rf"(?<!\w)@\{{?(?!(?:{NUMBERED})-)[\w*]", markdown) or "nocite" in meta
        answer = self.ask(text, form, ["marks", "filter", *["citeproc"] * bool(cites), *form.filters])
        uses = dict.fromkeys((sum(marks.numbers(at)), *use) for at, *use in answer["uses"])
        converted = Converted(finish(answer["text"] * answer["done"]), [Use(*use) for use in uses])
        problems = list(_problems(self, answer, text))
        if meta.get("qmdsite-dry"):
            # What cells print, once they have run, may use a footnote.
            problems = [each for each in problems if "never used" not in str(each)]
        if not problems:
            self.cache.put(key, json.dumps(converted).encode())
        return converted, problems


def _problems(pandoc: Pandoc, answer: dict[str, Any], text: str) -> Iterable[tuple[int, str] | Problem]:
    """Return what pandoc and the filters complain of, each with its line, of the text or of a file."""
    for at, further, words in answer["problems"]:
        yield sum(marks.numbers(at)[:1]) + further, words
    for message in answer["log"]:
        # The filters tell of labels that are used twice, and where.
        if message["verbosity"] != "INFO" and message["type"] != "DuplicateIdentifier":
            yield from _warning(pandoc, message["pretty"], text)
    if answer["done"]:
        return
    if found := re.search(r"bibliography file (.*):\n\(line (\d+), .*\n(.*)", answer["text"]):
        yield Problem(found[1], int(found[2]), f"this is no bibliography: {found[3]}")
    else:
        yield 0, f"pandoc failed: {answer['text'].strip()}"


def _warning(pandoc: Pandoc, message: str, text: str) -> Iterable[tuple[int, str]]:
    place = re.search(r"at (?:\S+ )?line (\d+)", message) or re.search(r"line (\d+) column", message)
    for pattern, complaint in WARNINGS.items():
        if found := re.search(pattern, message, flags=re.S):
            words = complaint.format(" ".join(marks.clean(found[1]).split()))
            lines = [int(place[1])] if place else _lines(pandoc, pattern, found, text)
            yield from ((line, words) for line in lines or [0])
            return
    notes = re.sub(r" at line \d+ column \d+", "", " ".join(message.split()))
    yield (int(place[1]) if place else 0), f"pandoc says: {marks.clean(notes)}"


def _lines(pandoc: Pandoc, pattern: str, found: re.Match[str], text: str) -> list[int]:
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
    return [marks.numbers(at)[0] + _wrong_line(pandoc, each) for at, each in formulas if " ".join(each.split()) == tex]


def _wrong_line(pandoc: Pandoc, formula: str) -> int:
    """Return which line of a formula that cannot be shown is wrong: the one without which the others can."""
    lines = formula.split("\n")
    rest = ["\n".join([*lines[:at], "{}", *lines[at + 1 :]]) for at in range(len(lines))]
    text = "\n\n".join(f"$${each.strip()}$$" for each in rest)
    page = pandoc.ask(text, Form("html5", HTML))["text"]
    shown = [each == "<math " for each in re.findall('<math |<span class="math', page)]
    return shown.index(True) if True in shown else 0


def placed(problems: Iterable[tuple[int, str] | Problem], positions: list[Position]) -> list[Problem]:
    """Return problems at lines of the composed text as problems of the sources."""

    def at(line: int) -> Position:
        return positions[min(max(line - FIRST, 0), len(positions) - 1)]

    return [each if isinstance(each, Problem) else Problem(*at(each[0]), each[1]) for each in problems]
