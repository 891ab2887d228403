"""Each exercise: without a solution its check fails, with one it passes, in the notebook that the site offers."""

import asyncio
import copy
import os
import re
import sys
from pathlib import Path

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from qmdsite.__main__ import main

ROOT = Path(__file__).parent.parent
WITH_EXERCISES = [post for post in sorted(ROOT.glob("posts/*/index.qmd")) if "#| label: exercise-" in post.read_text()]
# What is added behind an exercise: its check, run too early.
TOO_EARLY = """
try:
    exec({check!r})
except AssertionError:
    pass
except BaseException as error:
    raise RuntimeError(f"{name} must raise AssertionError before the solution, not {{error!r}}") from error
else:
    raise RuntimeError("{name} passes before the solution")
"""
POST = """---
title: Doubling
format:
  html: default
  ipynb: default
---

```{python}
#| label: exercise-double
def double(x):
    ...
```

```{python}
#| label: solution-double
#| code-fold: true
#| code-summary: "A solution"
def double(x):
    return 2 * x
```

```{python}
#| label: check-double
assert double(3) == 6
```
"""


class ThisPython(KernelSpecManager):
    def get_kernel_spec(self, kernel_name):
        return KernelSpec(argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"])


def parts(notebook):
    """Return the cells of each exercise, by its name and in their order."""
    found = {}
    for cell in notebook.cells:
        if match := re.fullmatch(r"(exercise|solution|check)-(.+)", cell.id):
            found.setdefault(match[2], []).append((match[1], cell))
    return found


def prove(notebook, folder):
    """Run the notebook in an empty folder, with nothing of the project but what is installed; say what is wrong."""
    for name, cells in parts(notebook).items():
        kinds = [kind for kind, _ in cells]
        assert kinds == ["exercise", "solution", "check"], f"'{name}' has the cells {', '.join(kinds)}, in this order"
        exercise, solution, check = (cell for _, cell in cells)
        assert solution.metadata.get("jupyter", {}).get("source_hidden"), f"solution-{name} is not folded"
        added = nbformat.v4.new_code_cell(TOO_EARLY.format(check=check.source, name=check.id))
        notebook.cells.insert(notebook.cells.index(exercise) + 1, added)
    kernel = AsyncKernelManager(
        kernel_spec_manager=ThisPython(), connection_file=f"{folder}/k.json", transport="ipc", ip=f"{folder}/k"
    )
    client = NotebookClient(notebook, km=kernel, timeout=300, shutdown_kernel="immediate")
    settings = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"IPYTHONDIR": str(folder)}
    (folder / "empty").mkdir()
    try:
        asyncio.run(client.async_execute(cwd=str(folder / "empty"), env=settings, cleanup_kc=True))
    except CellExecutionError as error:
        raise AssertionError(str(error)) from None


def read(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


@pytest.mark.parametrize("post", WITH_EXERCISES, ids=lambda post: post.parent.name)
def test_unsolved_exercises_fail_and_solved_ones_pass_in_the_notebook(site, post, tmp_path):
    notebook = read(site / "posts" / post.parent.name / "index.ipynb")
    assert 2 <= len(parts(notebook)) <= 4
    prove(notebook, tmp_path)


@pytest.fixture(scope="module")
def doubling(tmp_path_factory):
    folder = tmp_path_factory.mktemp("doubling")
    (folder / "_quarto.yml").write_text("project:\n  type: website\n")
    (folder / "index.qmd").write_text(POST)
    assert main(["render", str(folder)]) == 0
    return read(folder / "_site" / "index.ipynb")


def test_an_exercise_with_its_solution_and_check_is_accepted(doubling, tmp_path):
    prove(copy.deepcopy(doubling), tmp_path)


@pytest.mark.parametrize(
    ("cell", "old", "new", "words"),
    [
        (1, "    ...", "    return x + x", "check-double passes before the solution"),
        (1, "def double", "def treble", "check-double must raise AssertionError before the solution, not NameError"),
        (2, "2 * x", "3 * x", "AssertionError"),
        (3, "double(3)", "double('3')", "AssertionError"),
        (1, "def double(x):\n    ...", "open('_quarto.yml')", "FileNotFoundError"),
    ],
)
def test_what_is_wrong_with_an_exercise_is_said(doubling, tmp_path, cell, old, new, words):
    notebook = copy.deepcopy(doubling)
    assert old in notebook.cells[cell].source
    notebook.cells[cell].source = notebook.cells[cell].source.replace(old, new)
    with pytest.raises(AssertionError, match=re.escape(words)):
        prove(notebook, tmp_path)


def test_the_parts_of_an_exercise_are_three_in_order_and_the_solution_is_folded(doubling, tmp_path):
    swapped, unfolded, without = (copy.deepcopy(doubling) for _ in range(3))
    swapped.cells[2:] = reversed(swapped.cells[2:])
    without.cells.pop()
    unfolded.cells[2].metadata = {}
    for notebook, words in [
        (swapped, "'double' has the cells exercise, check, solution"),
        (without, "'double' has the cells exercise, solution,"),
        (unfolded, "solution-double is not folded"),
    ]:
        with pytest.raises(AssertionError, match=words):
            prove(notebook, tmp_path)
