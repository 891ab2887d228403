"""A small website in a folder of its own, and what tests read from it."""

import html
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import nbformat

from qmdsite.__main__ import main

SETTINGS = """\
project:
  type: website
website:
  title: "Small & plain"
  page-navigation: true
  navbar:
    left:
      - text: Home
        href: index.qmd
format:
  html:
    html-math-method: mathml
    toc: true
bibliography: references.bib
"""
BOOKS = "@misc{parr2018, author = {Parr, Terence}, title = {The Matrix Calculus}, year = {2018}}\n"
DOT = b'<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"/>'


@dataclass
class Run:
    """What one run of the command left behind."""

    status: int
    out: str
    err: str


class Project:
    """A website in a folder of its own, which is made where there is none."""

    def __init__(self, root: Path, **pages: str) -> None:
        self.root = root
        if not (root / "_quarto.yml").exists():
            self.write("_quarto.yml", SETTINGS)
            self.page("index", "words")
            self.write("references.bib", BOOKS)
        for name, body in pages.items():
            self.page(name, body)

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def page(self, name: str, body: str) -> None:
        self.write(f"{name}.qmd", f"---\ntitle: {name}\n---\n\n{body}\n")

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "qmdsite", *(arguments or ("render", str(self.root)))]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def render(self) -> Run:
        """Render in this process, which takes the least time."""
        with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
            status = main(["render", str(self.root)])
        return Run(status, out.getvalue(), err.getvalue())

    def render_apart(self) -> Run:
        """Render in a process of its own, where sets have another order and what hangs is stopped."""
        process = self.start()
        out, err = process.communicate(timeout=60)
        return Run(process.returncode, out, err)

    def copy(self, root: Path) -> "Project":
        """Return a copy with all that renders left in it."""
        shutil.copytree(self.root, root, dirs_exist_ok=True)
        return Project(root)

    def site(self) -> dict[str, bytes]:
        output = self.root / "_site"
        return {str(path.relative_to(output)): path.read_bytes() for path in output.rglob("*") if path.is_file()}

    def html(self, name: str) -> str:
        return (self.root / "_site" / f"{name}.html").read_text("utf-8")


def plain(page: str) -> str:
    """Return the text a reader gets, white space made one."""
    text = html.unescape(re.sub(r"<(script|style|annotation)\b.*?</\1>|<[^>]*>", "", page, flags=re.S))
    return re.sub(r"\s+", " ", text)


def cell(code: str, *options: str) -> str:
    return "\n".join(["```{python}", *(f"#| {option}" for option in options), code, "```", "", ""])


def until(true: Callable[[], bool]) -> None:
    """Wait for what another process does; a minute is too long."""
    for _ in range(1200):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("it never came")


def finished(root: Path, script: str, **pages: str) -> Project:
    project = Project(root, **pages)
    project.write("dot.svg", DOT.decode())
    project.write("scripts/finish.py", script)
    settings = "type: website\n  post-render: scripts/finish.py"
    project.write("_quarto.yml", SETTINGS.replace("type: website", settings))
    return project


def complaint(project: Project, status: int = 2) -> str:
    ran = project.render()
    assert ran.status == status
    return ran.err


def notebook(project: Project, name: str) -> Any:
    read = nbformat.read(project.root / "_site" / f"{name}.ipynb", 4)  # type: ignore[no-untyped-call]
    nbformat.validate(read)
    return read


def prose(read: Any) -> str:
    return "\n\n".join(cell.source for cell in read.cells if cell.cell_type == "markdown").replace("\xa0", " ")
