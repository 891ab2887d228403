"""How long a website of a hundred pages takes to render, against as many bare runs of pandoc. Run: make bench."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

import pypandoc
from website import DOT, SETTINGS, Project

PAGES, ROUNDS = 100, 3
BODY = """\
The page before this one is [page {before}](page-{before:03}.qmd), and [the list](index.qmd) has all.

## Words {number}

- one *item* of page {number}
- another, with `code` and a formula $x_{{{number}}}^2 + y^2$
- a third, [linked](#numbers-{number})

## Numbers {number}

| name | value |
|------|------:|
| a    | {number} |
| b    | {before} |

$$\\sum_{{i=1}}^{{{number}}} \\frac{{\\partial L}}{{\\partial x_i}} = {number}$$

In a line: $\\sqrt{{{number}}} \\le {number}$.

```python
def page_{number}(x: float) -> float:
    return {number} * x  # what it says
```

![A dot](dot.svg)
"""


def hundred_in(folder: Path) -> Project:
    """Return a project of pages with headings, lists, tables, formulas, code, links and an image."""
    project = Project(folder)
    project.write("_quarto.yml", SETTINGS.replace("bibliography: references.bib\n", ""))
    project.write("dot.svg", DOT.decode())
    for number in range(1, PAGES):
        project.page(f"page-{number:03}", BODY.format(number=number, before=max(number - 1, 1)))
    items = "".join(f"- [page {number}](page-{number:03}.qmd)\n" for number in range(1, PAGES))
    project.page("index", items)
    return project


class Taken(NamedTuple):
    """How long something took: by the clock, and of all processors together."""

    seconds: float
    work: float


def bare(folder: Path) -> None:
    """Convert the pages with nothing but pandoc, one at a time for each processor."""
    names = "\n".join(str(path) for path in sorted(folder.glob("*.qmd")))
    pandoc = [pypandoc.get_pandoc_path(), "--standalone", "--from=markdown", "--mathml", "--output={}.html", "{}"]
    command = ["xargs", f"-P{os.cpu_count()}", "-I{}", *pandoc]
    subprocess.run(command, input=names, text=True, check=True, cwd=folder, capture_output=True)


def cold(folder: Path) -> None:
    """Render the project with nothing kept from before."""
    for name in ("_site", ".qmdsite"):
        shutil.rmtree(folder / name, ignore_errors=True)
    render(folder)


def render(folder: Path) -> None:
    """Render the project in a process of its own."""
    subprocess.run([sys.executable, "-m", "qmdsite", "render", str(folder)], check=True, capture_output=True)


def edited(folder: Path) -> None:
    """Render the project with another title of one page, which others show too."""
    page = folder / "page-050.qmd"
    page.write_text(page.read_text().replace("title: page", "title: another page"))
    render(folder)


def taken(action: Callable[[Path], None], folder: Path) -> Taken:
    """Return how long an action takes, with the processes that it starts."""
    start, before = time.perf_counter(), os.times()
    action(folder)
    after = os.times()
    return Taken(time.perf_counter() - start, sum(after[:4]) - sum(before[:4]))


def main() -> None:
    """Print the medians of several rounds: other work on the machine slows all that is in a round alike."""
    actions = {"bare pandoc": bare, "cold": cold, "unchanged": render, "title edited": edited}
    with tempfile.TemporaryDirectory() as folder:
        root = hundred_in(Path(folder)).root
        found = [{name: taken(action, root) for name, action in actions.items()} for _ in range(ROUNDS)]
    print(f"{PAGES} pages, {ROUNDS} rounds       seconds  × pandoc's   processor's  × pandoc's")
    for name in actions:
        columns = []
        for at in range(2):
            columns += [median(each[name][at] for each in found)]
            columns += [median(each[name][at] / each["bare pandoc"][at] for each in found)]
        print("{:24} {:7.2f} {:11.2f} {:13.2f} {:11.2f}".format(name, *columns))


if __name__ == "__main__":
    main()
