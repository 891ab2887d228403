"""From a page and its cells' outputs to HTML, by way of one Markdown text and one run of pandoc."""

import base64
import html
import json
import re
import subprocess
from pathlib import Path, PurePosixPath
from typing import Any

import pypandoc

from qmdsite.cache import Cache, digest
from qmdsite.execute import Output
from qmdsite.problem import Problem
from qmdsite.source import Cell, Page

HERE = Path(__file__).parent
TEMPLATE, FILTER = HERE / "page.html", HERE / "filter.lua"
# The order in which Quarto takes the forms of one output.
FORMS = ("text/html", "text/markdown", "text/latex", "image/svg+xml", "image/png", "image/jpeg", "text/plain")
SUFFIX = {"image/svg+xml": "svg", "image/png": "png", "image/jpeg": "jpg"}
WARNINGS = {
    r"Citeproc: citation (\S+) not found": "'@{0}' refers to nothing: the bibliography has no such entry",
    r"Could not convert TeX math (.*?), rendering as TeX:": "this TeX cannot be shown as MathML: {0}",
    r"Note with key '(.*?)' defined .* but not used": "the footnote '{0}' is defined and never used",
    r"Duplicate note reference '(.*?)'": "the footnote '{0}' is defined twice",
}


def literal(text: str) -> str:
    """Return Markdown that reads as exactly `text`."""
    return re.sub(r"([^\w\s/])", r"\\\1", text)


def block(text: str, attributes: str = "") -> str:
    """Return a code block that holds `text`, whatever backticks stand in it."""
    ticks = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", text)), 3)
    return f"\n{ticks} {{{attributes}}}\n{text}\n{ticks}\n" if attributes else f"\n{ticks}\n{text}\n{ticks}\n"


def raw(text: str) -> str:
    """Return Markdown that puts `text` into the HTML as it is."""
    return block(text, "=html")


def div(attributes: str, content: str) -> str:
    """Return a div around Markdown."""
    return f"\n\n::: {{{attributes}}}\n\n{content}\n\n:::\n\n"


class Composer:
    """Writes one page as Markdown; outputs that are files are kept in `files`."""

    def __init__(self, page: Page, outputs: list[list[Output]] | None) -> None:
        """Compose from `outputs`, or, where they are not known yet, as if each cell printed nothing."""
        self.page, self.dry = page, outputs is None
        self.files: dict[str, bytes] = {}
        self.problems: list[Problem] = []
        results = iter(outputs or ())
        self.markdown = "".join(
            part if isinstance(part, str) else self.part(part, next(results, []) if part.runs else [])
            for part in page.parts
        )

    def part(self, cell: Cell, outputs: list[Output]) -> str:
        """Return one cell, or the value of an inline expression."""
        if cell.number:
            return self.cell(cell, outputs) if cell.options.get("include", True) else ""
        data = next((output["data"] for output in outputs if "data" in output), {"text/markdown": ""})
        plain = re.sub(r"^'(.*)'$", r"\1", data.get("text/plain", ""))
        return str(data.get("text/markdown") or data.get("text/latex") or literal(plain))

    def cell(self, cell: Cell, outputs: list[Output]) -> str:
        """Return the code and the outputs, as far as the options show them."""
        get = cell.options.get
        label, caption = get("label", ""), get("fig-cap") or get("tbl-cap") or ""
        code = block(cell.code, ".python .cell-code") if get("echo", True) and cell.code else ""
        if code and (fold := get("code-fold", False)):
            opening = f'<details class="code-fold"{" open" if fold == "show" else ""}>'
            code = raw(f"{opening}<summary>{html.escape(get('code-summary', 'Code'))}</summary>") + code + raw("</details>")
        if get("output") is False:
            outputs = []
        if not get("warning", True):
            outputs = [output for output in outputs if output.get("stream") != "stderr"]
        if get("output") == "asis":
            return f"{code}\n\n" + "\n\n".join(
                output["text"] if output.get("stream") == "stdout" else self.output(cell, output, i)
                for i, output in enumerate(outputs, 1)
            ) + "\n\n"
        shown = [self.output(cell, output, i) for i, output in enumerate(outputs, 1)]
        float_ = label.startswith(("fig-", "tbl-")) or caption
        if float_ and not self.dry and get("eval", True) and sum("data" in output for output in outputs) != 1:
            words = f"{cell.name} has a caption or a figure's label, so it must show exactly one result, not {len(shown)}"
            self.problems.append(Problem(cell.path, cell.line, words))
        if float_:
            name = f"#{label} " if label.startswith(("fig-", "tbl-")) else ""
            ending = div(".cell-caption", caption) if caption else ""
            return div(f"{f'#cell-{label} ' if label else ''}.cell", code + div(f"{name}.cell-float", "".join(shown) + ending))
        return div(f"{f'#{label} ' if label else ''}.cell", code + "".join(shown))

    def output(self, cell: Cell, output: Output, index: int) -> str:
        """Return one output in the form that shows most."""
        if "stream" in output:
            return div(f".cell-output .cell-output-{output['stream']}", block(output["text"].rstrip("\n")))
        form = next((form for form in FORMS if form in output["data"]), "")
        value = output["data"].get(form, "")
        content = ""
        if form in SUFFIX:
            content = raw(self.image(cell, form, value, index))
        elif form == "text/html":
            content = raw(value)
        elif form == "text/plain":
            content = block(value)
        elif form:
            content = value
        else:
            words = f"{cell.name} shows only {', '.join(output['data']) or 'nothing'}, which a page cannot show"
            self.problems.append(Problem(cell.path, cell.line, words))
        markdown = " .cell-output-markdown" if form in ("text/markdown", "text/latex") else ""
        if cell.options.get("output") == "asis":
            return str(content)
        return div(f".cell-output .cell-output-display{markdown}", content)

    def image(self, cell: Cell, form: str, value: str, index: int) -> str:
        """Keep an image as a file beside the page and return the element that shows it."""
        stem = PurePosixPath(self.page.path).stem
        name = f"{stem}_files/figure-html/{cell.options.get('label', f'cell-{cell.number}')}-output-{index}.{SUFFIX[form]}"
        if form == "image/svg+xml":
            svg = value if "xmlns=" in value else value.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
            self.files[name] = svg.encode()
        else:
            self.files[name] = base64.b64decode(value)
        alt = html.escape(cell.options.get("fig-alt") or cell.options.get("fig-cap") or "")
        return f'<p><img src="{name}" alt="{alt}" class="figure-img"></p>'


def pandoc(page: Page, markdown: str, meta: dict[str, Any], inputs: list[Path], cache: Cache) -> tuple[str, list[Problem]]:
    """Return the page's HTML and what pandoc and the filter found wrong with it."""
    options = page.options
    arguments = ["--from=markdown", "--to=html5", "--mathml", "--section-divs", "--wrap=preserve",
                 f"--template={TEMPLATE}", f"--lua-filter={FILTER}", "--citeproc", f"--toc-depth={options.get('toc-depth', 3)}"]  # fmt: skip
    if options.get("toc", True):
        arguments.append("--toc")
    text = f"---\n{json.dumps(meta, ensure_ascii=False)}\n...\n\n{markdown}"
    key = digest(text, *arguments, *(path.read_bytes() for path in [*sorted(HERE.iterdir()), *inputs] if path.is_file()))
    if kept := cache.get(key):
        return kept.decode(), []
    ran = subprocess.run([pypandoc.get_pandoc_path(), *arguments], input=text.encode(), capture_output=True)
    problems = [_problem(page, line) for line in _messages(ran.stderr.decode())]
    result = ran.stdout.decode()
    result = re.sub(r'(<section id="footnotes".*?>\s*)<hr />', r"\1<h2>Footnotes</h2>", result, flags=re.S)
    if ran.returncode == 0 and not problems:
        cache.put(key, result.encode())
    elif not problems:
        problems.append(Problem(page.path, 1, f"pandoc failed: {ran.stderr.decode().strip()}"))
    return result, problems


def _messages(stderr: str) -> list[str]:
    return re.findall(r"^(?:PROBLEM\t|\[WARNING\] |pandoc: |Error).*(?:\n(?!PROBLEM|\[).*)*", stderr, flags=re.M)


def _problem(page: Page, message: str) -> Problem:
    if message.startswith("PROBLEM\t"):
        words, text = message.split("\t", 2)[1:]
        return Problem(*page.find(words), text.strip())
    for pattern, text in WARNINGS.items():
        if found := re.search(pattern, message):
            return Problem(*page.find(found[1].strip()), text.format(found[1].strip()))
    return Problem(page.path, 1, f"pandoc says: {' '.join(message.split())}")
