"""From a page and its cells' outputs to HTML, by way of one Markdown text and one run of pandoc."""

import base64
import html
import json
import re
import subprocess
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Any

import pypandoc

from qmdsite.cache import Cache, digest
from qmdsite.execute import Output, Outputs
from qmdsite.markup import typeset
from qmdsite.problem import Problem
from qmdsite.source import Cell, Page

HERE = Path(__file__).parent
# In the order in which Quarto prefers the forms of one output.
FORMS = ("text/html", "text/markdown", "text/latex", "image/svg+xml", "image/png", "image/jpeg", "text/plain")
SUFFIX = {"image/svg+xml": "svg", "image/png": "png", "image/jpeg": "jpg"}
WARNINGS = {
    r"Citeproc: citation (\S+) not found": "'@{0}' refers to nothing: the bibliography has no such entry",
    r"Could not convert TeX math (.*?), rendering as TeX:": "this TeX cannot be shown as MathML: {0}",
    r"Note with key '(.*?)' defined .* but not used": "the footnote '{0}' is defined and never used",
    r"Duplicate identifier '(.*?)'": "the label '{0}' is used twice on this page; labels must differ",
    r"Duplicate note reference '(.*?)'": "the footnote '{0}' is defined twice",
}


def literal(text: str) -> str:
    """Return Markdown that reads as exactly `text`."""
    return re.sub(r"([^\w\s/])", r"\\\1", text)


def block(text: str, attributes: str) -> str:
    """Return a code block that holds `text`, whatever backticks stand in it."""
    ticks = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", text))])
    return f"\n\n{ticks} {{{attributes}}}\n{text}\n{ticks}\n\n"


def div(attributes: str, content: str) -> str:
    """Return a div around Markdown."""
    return f"\n\n::: {{{attributes}}}\n\n{content}\n\n:::\n\n"


def beside_a_figure(output: Output) -> bool:
    """Return whether a result is only what a plotting function returned, such as [<Line2D>], which Quarto drops too."""
    text = output["data"].get("text/plain", "") if "result" in output and len(output["data"]) == 1 else ""
    return bool(re.match(r"[\[{(]?.*<matplotlib\.|[<(\[].*[>)\]]$|Text\(", text))


def said(output: Output) -> str:
    """Return an output's text in all its forms."""
    return "\n".join([*map(str, output.get("data", {}).values()), output.get("text", "")])


class Composition:
    """One page as Markdown, with the files that its cells made."""

    def __init__(self, page: Page, outputs: Outputs | None) -> None:
        """Compose with the outputs, or, where none are known yet, as if the cells printed nothing."""
        self.dry, self.stem = outputs is None, PurePosixPath(page.path).stem
        self.files: dict[str, bytes] = {}
        self.problems: list[Problem] = []
        page.said = [
            (cell, text) for cell, found in zip(page.cells, outputs or (), strict=False) for text in map(said, found)
        ]
        results = iter(outputs or ())
        self.markdown = "".join(
            part if isinstance(part, str) else self.cell(part, next(results, []) if part.runs else [])
            for part in page.parts
        )

    def cell(self, cell: Cell, outputs: list[Output]) -> str:
        """Return one cell's code and outputs as far as its options show them, or an inline expression's value."""
        get = cell.options.get
        if not cell.number:
            data = outputs[-1].get("data", {}) if outputs else {}
            plain = re.sub(r"^'(.*)'$", r"\1", data.get("text/plain", ""))
            return str(data.get("text/markdown") or data.get("text/latex") or literal(plain))
        if not get("include", True):
            return ""
        code = self.code(cell) if get("echo", True) and cell.code else ""
        hidden = "stdout stderr error data" if get("output") is False else "" if get("warning", True) else "stderr"
        outputs = [output for output in outputs if output.get("stream", "data") not in hidden]
        if any(form.startswith("image/") for output in outputs for form in output.get("data", ())):
            outputs = [output for output in outputs if not beside_a_figure(output)]
        shown = "".join(self.output(cell, output, index) for index, output in enumerate(outputs, 1))
        if get("output") == "asis":
            return code + shown
        label, caption = get("label", ""), get("fig-cap") or get("tbl-cap") or ""
        if not caption and not label.startswith(("fig-", "tbl-")):
            return div(f"#{label} .cell" if label else ".cell", code + shown)
        if sum("data" in output for output in outputs) != 1 and cell.runs and not self.dry:
            self.complain(cell, f"has a caption or a numbered label, so it must show one result, not {len(outputs)}")
        content = shown + (div(".cell-caption", caption) if caption else "")
        inner = f"#{label} " if label else ""
        outer = f"#cell-{label} " if label.startswith("fig-") else ""
        return div(f"{outer}.cell", code + div(f"{inner}.cell-float", content))

    def code(self, cell: Cell) -> str:
        """Return a cell's code, in a fold if it asks for one."""
        get, code = cell.options.get, block(cell.code, ".python .cell-code")
        if not (fold := get("code-fold", False)):
            return code
        opening = f'<details class="code-fold"{" open" if fold == "show" else ""}>'
        opening += f"<summary>{html.escape(get('code-summary', 'Code'))}</summary>"
        return block(opening, "=html") + code + block("</details>", "=html")

    def complain(self, cell: Cell, words: str) -> None:
        """Note what is wrong with a cell's outputs."""
        self.problems.append(Problem(cell.path, cell.line, f"{cell.name} {words}"))

    def output(self, cell: Cell, output: Output, index: int) -> str:
        """Return one output in the form that shows most."""
        asis = cell.options.get("output") == "asis"
        if "stream" in output:
            name, text = output["stream"], output["text"].rstrip("\n")
            if asis and name == "stdout":
                return f"\n\n{text}\n\n"
            return div(f".cell-output .cell-output-{name}", block(text, ".text"))
        form = next((form for form in FORMS if form in output["data"]), "")
        value = output["data"].get(form, "")
        if not form:
            self.complain(cell, f"shows {', '.join(output['data']) or 'nothing'}, which a page cannot show")
        elif form in SUFFIX:
            value = block(self.image(cell, form, value, index, output.get("metadata", {})), "=html")
        elif form in ("text/html", "text/plain"):
            if form == "text/html":  # a table of pandas has a style sheet, which a page's policy does not let in
                value = re.sub(r"<style scoped>.*?</style>\s*", "", value, flags=re.S)
            value = block(value, "=html" if form == "text/html" else ".text")
        markdown = " .cell-output-markdown" if form in ("text/markdown", "text/latex") else ""
        return f"\n\n{value}\n\n" if asis else div(f".cell-output .cell-output-display{markdown}", value)

    def image(self, cell: Cell, form: str, value: str, index: int, metadata: dict[str, Any]) -> str:
        """Keep an image as a file beside the page and return the element that shows it."""
        label = cell.options.get("label", f"cell-{cell.number}")
        name = f"{self.stem}_files/figure-html/{label}-output-{index}.{SUFFIX[form]}"
        if form == "image/svg+xml" and "xmlns=" not in value:
            value = value.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
        try:
            data = value.encode() if form == "image/svg+xml" else base64.b64decode(value)
        except ValueError:
            data = b""
            self.complain(cell, "shows an image that is not base64")
        self.files[name] = data
        if "fig-alt" not in cell.options:
            self.complain(cell, "shows a figure and has no 'fig-alt'; say there what is to be seen in it")
        size = "".join(
            f' {side}="{value}"' for side in ("width", "height") if (value := metadata.get(form, {}).get(side))
        )
        return f'<p><img src="{name}" alt="{html.escape(cell.options.get("fig-alt", ""))}"{size}></p>'


# To the Markdown that Jupyter shows.
NOTEBOOK = ["--to=gfm+tex_math_dollars-tex_math_gfm-footnotes", f"--lua-filter={HERE / 'notebook.lua'}"]


def html_arguments(page: Page) -> list[str]:
    """Return what makes pandoc write a page."""
    contents = ["--toc"] if page.options.get("toc", True) else []
    depth = f"--toc-depth={page.options.get('toc-depth', 3)}"
    form = ["--to=html5", "--mathml", "--section-divs", f"--template={HERE / 'page.html'}"]
    return [f"--lua-filter={HERE / 'page.lua'}", *form, depth, *contents]


def convert(
    page: Page,
    markdown: str,
    meta: dict[str, Any],
    form: list[str],
    inputs: Iterable[Path],
    root: Path,
    cache: Cache,
) -> tuple[str, list[Problem]]:
    """Return the page in the form that pandoc's arguments `form` say, and what pandoc and the filter find wrong."""
    arguments = [pypandoc.get_pandoc_path(), "--from=markdown", "--wrap=preserve",
                 f"--lua-filter={HERE / 'filter.lua'}", "--citeproc", *form]  # fmt: skip
    text = f"---\n{json.dumps(meta, ensure_ascii=False)}\n...\n\n{markdown}"
    files = [file for file in [*sorted(HERE.iterdir()), *inputs] if file.is_file()]
    key = digest(text, *arguments, metadata.version("pypandoc_binary"), *(file.read_bytes() for file in files))
    if kept := cache.get(key):
        return kept.decode(), []
    ran = subprocess.run(arguments, input=text.encode(), capture_output=True, cwd=root)
    said = re.findall(r"^(?:PROBLEM\t|\[WARNING\] ).*(?:\n(?!PROBLEM|\[).*)*", ran.stderr.decode(), flags=re.M)
    problems = [_problem(page, message, text) for message in said]
    result = re.sub(r'(<section id="footnotes"[^>]*>\s*)<hr />', r"\1<h2>Footnotes</h2>", ran.stdout.decode())
    if "--mathml" in form:
        result = re.sub("<math display=.*?</math>", lambda found: typeset(found[0]), result, flags=re.S)
    result = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", "", result)  # which no page and no feed may have
    if found := re.search(r"bibliography file (.*):\n\(line (\d+), .*\n(.*)", ran.stderr.decode()):
        problems.append(Problem(found[1], int(found[2]), f"this is no bibliography: {found[3]}"))
    elif ran.returncode:
        problems.append(Problem(page.path, 1, f"pandoc failed: {ran.stderr.decode().strip()}"))
    if not problems:
        cache.put(key, result.encode())
    return result, problems


def _problem(page: Page, message: str, text: str) -> Problem:
    if message.startswith("PROBLEM"):
        _, words, complaint = message.split("\t", 2)
        return page.problem(words, complaint.strip())
    for pattern, complaint in WARNINGS.items():
        if found := re.search(pattern, message, flags=re.S):
            words = found[1].strip()
            return page.problem(words.partition("\n")[0], complaint.format(" ".join(words.split())))
    # Pandoc counts the lines of what it was given.
    place = re.search(r"at line (\d+)", message)
    words = (text.split("\n")[: int(place[1])] if place else [""])[-1]
    said = re.sub(r" at line \d+ column \d+|^\[WARNING\] ", "", " ".join(message.split()))
    return page.problem(words, f"pandoc says: {said}")
