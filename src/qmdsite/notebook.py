"""The phase that makes a Jupyter notebook of a page, with the outputs of the page's own run."""

import ast
import base64
import json
import mimetypes
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from qmdsite import marks
from qmdsite.cache import Cache, digest
from qmdsite.compose import Composition, block, literal
from qmdsite.page import Cell, Output, Outputs, Page
from qmdsite.pandoc import Form, Pandoc, about, placed
from qmdsite.paths import out
from qmdsite.problem import Problem
from qmdsite.project import Project

# The Markdown that Jupyter shows.
FORM = Form("gfm+tex_math_dollars-tex_math_gfm-footnotes", {"wrap_text": "preserve"}, ("notebook",))
EXERCISES = (
    "To solve an exercise, fill in its cell, run it and the check below it, "
    "which says what is wrong. If it says nothing, or shows a receipt, the answer is right."
)
# A check before its exercise is solved: it has not run, and "Run all" goes on behind it.
UNSOLVED: dict[str, Any] = {"execution_count": None, "outputs": [], "metadata": {"tags": ["raises-exception"]}}
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def notebook(project: Project, page: Page, outputs: Outputs, pandoc: Pandoc) -> tuple[bytes, list[Problem]]:
    """Return a page as a notebook, and what is wrong with it."""
    composed = Notebook(page, outputs)
    meta, inputs = about(project, page, composed.positions)
    if "site-url" in project.website:
        meta["address"] = literal(project.address(out(page.path)))
    found, wrong = pandoc.convert(composed.markdown, meta, FORM, inputs, marks.clean)
    written = composed.write(found.result, project, pandoc.cache)
    return written, composed.problems + placed(wrong, composed.positions)


class Notebook(Composition):
    """One page as Markdown with a mark for each cell and around each output that is Markdown itself."""

    def __init__(self, page: Page, outputs: Outputs) -> None:
        """Compose; the cells are kept aside, with the outputs that the page shows."""
        self.page = page
        # Part of each mark: a page may show the marks of others.
        self.key = digest(repr(page.parts))[:16]
        self.cells: list[tuple[Cell, list[dict[str, Any]]]] = []
        labels = [cell.options.get("label", "").partition("-") for cell in page.cells]
        solutions, checks = ({name for kind, _, name in labels if kind == each} for each in ("solution", "check"))
        self.exercises = solutions & checks
        super().__init__(page, outputs)

    def mark(self, word: object) -> str:
        """Return Markdown that leaves a mark, at which the text is cut."""
        return block(f"<!--qmdsite {self.key} {word}-->", "=html")

    def cell(self, cell: Cell, outputs: list[Output]) -> str:
        """Return a mark for the cell, and what numbers it, or text for what does not run."""
        if not (cell.number and cell.runs):
            return super().cell(cell, outputs)
        opening = self.mark(f"cell{len(self.cells)}")
        self.cells.append((cell, []))
        if self.part(cell) == "solution":
            return opening + super().code(cell) + self.mark("end")
        return opening + super().cell(cell, outputs)

    def part(self, cell: Cell) -> str:
        """Return what the cell is of an exercise that has a solution and a check: 'solution', 'check', or ''."""
        kind, _, name = cell.options.get("label", "").partition("-")
        return kind if kind in ("solution", "check") and name in self.exercises else ""

    def code(self, cell: Cell) -> str:
        """Return the code only of a cell that does not run."""
        return "" if cell.runs else super().code(cell)

    def output(self, cell: Cell, output: Output, index: int) -> str:
        """Keep one output in the notebook's form; what is Markdown in it is also text, to be converted."""
        outputs = self.cells[-1][1]
        data, name = output.get("data", {}), output.get("stream", "")
        if name == "stdout" and cell.options.get("output") == "asis":
            data = {"text/markdown": output["text"]}
        if "text/markdown" in data:
            # Its plain form says the same again, and there what differs from one run to the next has no mark.
            data = {form: value for form, value in data.items() if form != "text/plain"}
        entry: dict[str, Any]
        if data:
            entry = {"output_type": "display_data", "data": dict(data), "metadata": output.get("metadata", {})}
            if "result" in output:
                entry |= {"output_type": "execute_result", "execution_count": len(self.cells)}
        elif name == "error":
            entry = {"output_type": "error", "ename": output["ename"], "evalue": output["evalue"]}
            entry["traceback"] = output["text"].split("\n")
        else:
            entry = {"output_type": "stream", "name": name, "text": output["text"]}
        outputs.append(entry)
        markdown = data.get("text/markdown")
        return f"{self.mark(len(outputs) - 1)}\n\n{markdown}\n\n{self.mark('end')}" if markdown else ""

    def write(self, text: str, project: Project, cache: Cache) -> bytes:
        """Return the notebook, given the composed text as Jupyter's Markdown."""
        root = project.root
        cells = self.opening(project, cache)
        labels: dict[str, int] = {}
        first, *pieces = re.split(rf"<!--qmdsite {self.key} (\w+)-->", text)
        for word, piece in [("end", first), *zip(pieces[::2], pieces[1::2], strict=True)]:
            piece = piece.strip("\n")  # and no spaces: they make a line code
            if word.startswith("cell"):
                count = int(word.removeprefix("cell"))
                cell, outputs = self.cells[count]
                labels[cell.options.get("label", "")] = len(cells)
                if self.part(cell) == "solution":
                    cells.append(self.text(_id(cell.options["label"]), piece, root))
                    continue
                cells.append(_code(cell, outputs, count + 1) | (UNSOLVED if self.part(cell) == "check" else {}))
            if word.isdigit():
                # An output has no attachments.
                for name, image in self.images(piece, root).items():
                    for kind, data in image.items():
                        piece = piece.replace(f"(attachment:{name})", f"(data:{kind};base64,{data})")
                outputs[int(word)]["data"]["text/markdown"] = piece
            elif piece:
                cells.append(self.text(f"text-{len(cells)}", piece, root))
        # Run before the check, a solution would let any answer pass.
        shown = [name for name in self.exercises if {f"solution-{name}", f"check-{name}"} <= labels.keys()]
        place = {labels[f"solution-{name}"]: labels[f"check-{name}"] + 0.5 for name in shown}
        cells = [cells[at] for at in sorted(range(len(cells)), key=lambda at: place.get(at, at))]
        _distinct(cells)
        about = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
        notebook = {"cells": cells, "metadata": about, "nbformat": 4, "nbformat_minor": 5}
        return (json.dumps(notebook, indent=1, ensure_ascii=False) + "\n").encode()

    def opening(self, project: Project, cache: Cache) -> list[dict[str, Any]]:
        """Return the first cells: title and description, and one that installs what the others use."""
        meta = self.page.meta.values
        lines = [f"# {meta['title']}", *(meta[key] for key in ("subtitle", "description") if key in meta)]
        if self.exercises:
            lines.append(EXERCISES)
        title = self.text("title", "\n\n".join(lines), project.root)
        needed = list(requirements([cell for cell, _ in self.cells], project, cache))
        if not needed:
            return [title]
        where = "# In a copy of the project's folder:\n" if "." in needed else ""
        source = f"{where}%pip install --quiet {' '.join(needed)}"
        install: dict[str, Any] = {"cell_type": "code", "execution_count": None, "id": "install", "metadata": {}}
        return [title, install | {"outputs": [], "source": source}]

    def text(self, name: str, text: str, root: Path) -> dict[str, Any]:
        """Return a cell of Markdown, with the images of the project in it."""
        attachments = self.images(text, root)
        cell = {"cell_type": "markdown", "id": name, "metadata": {}, "source": text}
        return cell | ({"attachments": attachments} if attachments else {})

    def images(self, text: str, root: Path) -> dict[str, dict[str, str]]:
        """Return the project's images that a text shows, by the address that notebook.lua gave them."""
        found = {}
        for name in re.findall(r"\]\(attachment:([^()\s]+)\)", text):
            file = (root / self.page.path).parent / unquote(name)
            if file.is_file():
                kind = mimetypes.guess_type(file.name)[0] or "image/png"
                found[name] = {kind: base64.b64encode(file.read_bytes()).decode()}
        return found


def _id(label: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "-", label)[:64]


def _code(cell: Cell, outputs: list[dict[str, Any]], count: int) -> dict[str, Any]:
    name = _id(cell.options.get("label", f"cell-{cell.number}"))
    about: dict[str, Any] = {"tags": ["raises-exception"]} if cell.options.get("error") else {}
    # As in Quarto's, code is folded on the page alone: who runs a notebook reads it. A solution waits to be asked for.
    if name.startswith("solution-"):
        about["jupyter"] = {"source_hidden": True}
    start = {"cell_type": "code", "execution_count": count, "id": name, "metadata": about}
    return start | {"outputs": outputs, "source": cell.code}


def _distinct(cells: list[dict[str, Any]]) -> None:
    """Give cells of one name different ones, of at most 64 characters."""
    taken = set[str]()
    for cell in cells:
        name, count = cell["id"], 1
        while cell["id"] in taken:
            count += 1
            cell["id"] = f"{name[:56]}-{count}"
        taken.add(cell["id"])


def requirements(cells: list[Cell], project: Project, cache: Cache) -> Iterator[str]:
    """Return what pip must install for the cells: the project, and what they import beyond what it depends on."""
    package = project.package
    if cells and package.name:
        yield _place(project)
    imported = {module for cell in cells for module in modules(cell.code)} - sys.stdlib_module_names - {"IPython"}
    found: dict[str, list[str]] = json.loads(cache.get_or_make("modules", _packages))
    known = {_normal(each) for each in (package.name, *package.dependencies)}
    yield from sorted({name for module in imported for name in found.get(module, ())[:1] if _normal(name) not in known})


def _place(project: Project) -> str:
    """Return where pip finds the package: its wheel on the site, else its repository, else its folder."""
    name, website = _normal(project.package.name), project.website
    wheels = [Path(file) for file in project.resources[0] if file.endswith(".whl")]
    own = [str(wheel) for wheel in wheels if _normal(wheel.name.partition("-")[0]) == name]
    if own and "site-url" in website:
        return project.address(own[0])
    return f'"{project.package.name} @ git+{website["repo-url"]}"' if "repo-url" in website else "."


def _packages() -> bytes:
    """Return which packages have which modules; to find that out takes a quarter of a second."""
    return json.dumps(metadata.packages_distributions()).encode()


def _normal(requirement: str) -> str:
    """Return the name in a requirement in the form in which names are compared."""
    return re.sub("[-_.]+", "-", re.split(r"[^\w.-]", requirement)[0]).lower()


def modules(code: str) -> Iterator[str]:
    """Return the top modules that some code imports, or runs as in [python, "-m", "mypy"], where it is plain Python."""
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
        elif isinstance(node, ast.List):
            words = [part.value if isinstance(part, ast.Constant) else None for part in node.elts]
            yield from (str(name).partition(".")[0] for option, name in pairwise(words) if option == "-m")
