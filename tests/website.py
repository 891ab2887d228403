"""A small website in a folder of its own, and what tests read from it."""

import html
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

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
    """A website in a folder of its own."""

    def __init__(self, root: Path, **pages: str) -> None:
        self.root = root
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
        process = self.start()
        out, err = process.communicate(timeout=60)
        return Run(process.returncode, out, err)

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


def wait_for(path: Path) -> None:
    for _ in range(600):
        if path.exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} never came")


def finished(root: Path, script: str, **pages: str) -> Project:
    project = Project(root, **pages)
    project.write("dot.svg", DOT.decode())
    project.write("scripts/finish.py", script)
    settings = "type: website\n  post-render: scripts/finish.py"
    project.write("_quarto.yml", SETTINGS.replace("type: website", settings))
    return project


def complaint(project: Project, capsys: pytest.CaptureFixture[str], status: int = 2) -> str:
    from qmdsite.__main__ import main

    assert main(["render", str(project.root)]) == status
    return capsys.readouterr().err


def notebook(project: Project, name: str) -> Any:
    import nbformat

    read = nbformat.reads((project.root / "_site" / f"{name}.ipynb").read_text("utf-8"), 4)
    nbformat.validate(read)
    return read


def prose(read: Any) -> str:
    return "\n\n".join(cell.source for cell in read.cells if cell.cell_type == "markdown").replace("\xa0", " ")
