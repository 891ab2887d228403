"""A page and its cells' outputs as one Markdown text, of which each line knows where it comes from."""

import base64
import html
import re
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from qmdsite.marks import RESERVED
from qmdsite.page import Cell, Output, Outputs, Page
from qmdsite.problem import Position, Problem

# In the order in which Quarto prefers the forms of one output.
FORMS = ("text/html", "text/markdown", "text/latex", "image/svg+xml", "image/png", "image/jpeg", "text/plain")
SUFFIX = {"image/svg+xml": "svg", "image/png": "png", "image/jpeg": "jpg"}
METADATA = re.compile(r"(^|\n[ \t]*\n|^\n)---[ \t]*\n[ \t]*\S")
INTERACTIVE = re.compile(r"application/(vnd\.(jupyter\.widget|plotly|vega|bokeh|holoviews)|javascript)")


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


def inline(outputs: list[Output]) -> str:
    """Return the value of an inline expression, a text without its quotes."""
    data = outputs[-1].get("data", {}) if outputs else {}
    plain = re.sub(r"^'(.*)'$", r"\1", data.get("text/plain", ""))
    return str(data.get("text/markdown") or data.get("text/latex") or literal(plain))


class Composition:
    """One page as Markdown, with the files that its cells made."""

    def __init__(self, page: Page, outputs: Outputs | None) -> None:
        """Compose with the outputs, or, where none are known yet, as if the cells printed nothing."""
        self.dry, self.stem = outputs is None, PurePosixPath(page.path).stem
        self.files: dict[str, bytes] = {}
        self.problems: list[Problem] = []
        self.markdown = ""
        self.positions: list[Position] = [Position(page.path, 1)]
        results = iter(outputs or ())
        for part in page.parts:
            if not isinstance(part, Cell):
                self.add("\n".join(line.text for line in part), [line.position for line in part])
                continue
            text = self.cell(part, next(results, []) if part.runs else [])
            lines = [part.position] * (text.count("\n") + 1)
            if part.number and (start := text.find(f"\n{part.code}\n")) >= 0:
                first = text.count("\n", 0, start) + 1
                for count in range(part.code.count("\n") + 1):
                    lines[first + count] = Position(part.path, part.start + count)
            self.add(f"\n{text}" if part.number else text, ([part.position] if part.number else []) + lines)

    def add(self, text: str, positions: list[Position]) -> None:
        """Go on with text, the first line of which ends the line before."""
        self.markdown += text
        if positions:
            self.positions[-1] = positions[0]
            self.positions += positions[1:]

    def cell(self, cell: Cell, outputs: list[Output]) -> str:
        """Return one cell's code and outputs as far as its options show them, or an inline expression's value."""
        get = cell.options.get
        if not cell.number:
            return inline(outputs)
        if not get("include", True):
            return ""
        code = self.code(cell) if get("echo", True) and cell.code else ""
        hidden = "stdout stderr error data" if get("output") is False else "" if get("warning", True) else "stderr"
        outputs = [output for output in outputs if output.get("stream", "data") not in hidden]
        if any(form.startswith("image/") for output in outputs for form in output.get("data", ())):
            outputs = [output for output in outputs if not beside_a_figure(output)]
        shown = "".join(self.output(cell, output, index) for index, output in enumerate(outputs, 1))
        return code + shown if get("output") == "asis" else self.framed(cell, code, shown, outputs)

    def framed(self, cell: Cell, code: str, shown: str, outputs: list[Output]) -> str:
        """Return code and outputs in a div, and what is numbered with its caption in one of its own."""
        label, caption = cell.options.get("label", ""), cell.options.get("fig-cap") or cell.options.get("tbl-cap") or ""
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
        self.problems.append(Problem(*cell.position, f"{cell.name} {words}"))

    def judge(self, cell: Cell, output: Output) -> None:
        """Complain of what a page cannot show, or what would be taken for something else."""
        data = output.get("data", {})
        lost = next(filter(INTERACTIVE.match, data), "")
        if "stream" not in output and (lost or not any(form in data for form in FORMS)):
            self.complain(cell, f"shows {lost or ', '.join(data) or 'nothing'}, which a page cannot show")
        markdown = output.get("text", "") if cell.options.get("output") == "asis" else data.get("text/markdown", "")
        if any(isinstance(text, str) and RESERVED.search(text) for text in (*data.values(), output.get("text", ""))):
            self.complain(cell, "shows digits of Osmanya, which cannot be shown: lines are marked by them")
        if METADATA.search(markdown):
            self.complain(cell, "prints a block of metadata; for a rule leave a blank line behind '---'")

    def output(self, cell: Cell, output: Output, index: int) -> str:
        """Return one output in the form that shows most."""
        asis = cell.options.get("output") == "asis"
        self.judge(cell, output)
        if "stream" in output:
            name, text = output["stream"], output["text"].rstrip("\n")
            if asis and name == "stdout":
                return f"\n\n{text}\n\n"
            return div(f".cell-output .cell-output-{name}", block(text, ".text"))
        form = next((form for form in FORMS if form in output["data"]), "")
        value = output["data"].get(form, "")
        if form in SUFFIX:
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
        if name in self.files:
            self.complain(cell, f"shows a figure that would be the file '{name}', as another; give one another label")
        self.files[name] = data
        if "fig-alt" not in cell.options:
            self.complain(cell, "shows a figure and has no 'fig-alt'; say there what is to be seen in it")
        address = quote(name)
        told = metadata.get(form) or (_size(value) if form == "image/svg+xml" else {})
        # With it, the text below stays where it is when the image comes.
        size = "".join(f' {side}="{told[side]}"' for side in ("width", "height") if told.get(side))
        return f'<p><img src="{address}" alt="{html.escape(cell.options.get("fig-alt", ""))}"{size}></p>'


def _size(svg: str) -> dict[str, int]:
    """Return width and height of a drawing in pixels, if it tells them in points, as matplotlib does."""
    found = [re.search(rf'<svg[^>]*\s{side}="([\d.]+)pt"', svg) for side in ("width", "height")]
    width, height = (round(float(points[1]) * 4 / 3) if points else 0 for points in found)
    return {"width": width, "height": height} if width and height else {}
