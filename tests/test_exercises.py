"""Each exercise: without a solution its check fails, with one it passes, in the notebook that the site offers."""

import copy
import re
from pathlib import Path
from zipfile import ZipFile

import nbformat
import notebooks
import pytest
from answers import RIGHT, WRONG, Change, changed
from nbformat import NotebookNode
from notebooks import Failure
from test_posts import LESSONS as SOURCES

from handgrad.testing import CheckError
from qmdsite.__main__ import main

LESSONS = [source.parent for source in SOURCES]
FAILURES = {AssertionError.__name__, CheckError.__name__}
SOLUTION = re.compile(r"<details[^>]*><summary>[^<]+</summary>\n\n``` ?python\n(.*)\n```\n\n</details>", re.S)
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
assert double(3) == 6, 'twice 3 is 6'
print("right")
```

```{python}
print('later')
```
"""


def parts(notebook: NotebookNode) -> dict[str, list[tuple[str, NotebookNode]]]:
    """Return the cells of each exercise, by its name and in their order."""
    found: dict[str, list[tuple[str, NotebookNode]]] = {}
    for cell in notebook.cells:
        if match := re.fullmatch(r"(exercise|solution|check)-(.+)", cell.id):
            found.setdefault(match[2], []).append((match[1], cell))
    return found


def prove(
    notebook: NotebookNode, folder: Path, package: Path | None = None, answers: dict[str, list[Change]] | None = None
) -> dict[str, list[Failure | None]]:
    """Run the notebook, with each exercise solved in the middle of it and then left as it was; say what is wrong.

    Return what the checks raise of `answers`, which are changes of the solutions, by the name of the exercise.
    """
    tries: dict[str, list[str]] = {}
    exercises = parts(notebook)
    for name, cells in exercises.items():
        kinds = [kind for kind, _ in cells]
        assert kinds == ["exercise", "check", "solution"], f"'{name}' has the cells {', '.join(kinds)}, in this order"
        exercise, check, solution = (cell for _, cell in cells)
        assert check.metadata.tags == ["raises-exception"], f"check-{name} would stop the notebook"
        assert not check.outputs, f"check-{name} has outputs before it ran"
        solved = SOLUTION.fullmatch(solution.source)
        assert solved, f"solution-{name} is no folded Python"
        # The starter comes once more, so that nothing behind it leans on the solution.
        changes = (answers or {}).get(name, [])
        tries[check.id] = [f"{changed(solved[1], change)}\n{check.source}" for change in changes]
        added = map(nbformat.v4.new_code_cell, (solved[1], check.source, exercise.source))
        at = notebook.cells.index(check) + 1
        notebook.cells[at:at] = added
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.id != "install"]
    sources = [(cell.source, "tags" in cell.metadata) for cell in code]
    before = {count: tries[cell.id] for count, cell in enumerate(code) if cell.id in tries}
    found, tried = notebooks.run(sources, folder, package, before)
    failed = {code[count].id: failure for count, failure in found.items()}
    for name, failure in failed.items():
        assert name.startswith("check-"), f"{name} failed\n{failure.trace}"
    for name in exercises:
        assert f"check-{name}" in failed, f"check-{name} passes before the solution"
        failure = failed[f"check-{name}"]
        words = f"check-{name} must raise AssertionError before the solution, not {failure.name}: {failure.words}"
        assert failure.name in FAILURES, words
        assert failure.words.strip(), f"check-{name} raises an error without words"
        assert len(failure.shown.splitlines()) < 25, f"check-{name} shows too much\n{failure.shown}"
    return {code[count].id.removeprefix("check-"): failures for count, failures in tried.items() if count in before}


@pytest.fixture(scope="session")
def package(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What readers install: the wheel that the site carries."""
    (wheel,) = (site / "posts" / "use").glob("*.whl")
    ZipFile(wheel).extractall(folder := tmp_path_factory.mktemp("package"))
    return folder


def read(path: Path) -> NotebookNode:
    notebook: NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(notebook)
    return notebook


@pytest.mark.parametrize("post", LESSONS, ids=lambda post: post.name)
def test_unsolved_exercises_fail_and_solved_ones_pass_in_the_notebook(
    site: Path, package: Path, post: Path, tmp_path: Path
) -> None:
    notebook = read(site / "posts" / post.name / "index.ipynb")
    names = parts(notebook)
    assert 2 <= len(names) <= 4
    told = [name for name in names if name in WRONG]
    answers = {name: [RIGHT[name], *(wrong.change for wrong in WRONG[name])] for name in told}
    found = prove(notebook, tmp_path, package, answers)
    for name in told:
        right, *failures = found[name]
        assert right is None, f"check-{name} refuses a right answer\n{right.trace}"
        for wrong, failure in zip(WRONG[name], failures, strict=True):
            assert failure, f"check-{name} takes {wrong.change}"
            assert failure.name in FAILURES, failure.trace
            assert re.search(wrong.words, failure.words, re.S), f"{wrong.words!r} is not said of it: {failure.words}"


def test_every_exercise_has_wrong_answers_and_a_right_one_in_other_words() -> None:
    sources = {post.parent.name: post.read_text() for post in SOURCES}
    names = {name: re.findall(r"^#\| label: exercise-(\S+)", source, re.M) for name, source in sources.items()}
    every = {each for found in names.values() for each in found}
    assert RIGHT.keys() == WRONG.keys() <= every
    without = {post: missing for post, found in names.items() if (missing := [*{*found} - RIGHT.keys()])}
    assert not without, f"tests/answers.py: write some for {without}"
    assert min(map(len, WRONG.values())) >= 3


@pytest.mark.parametrize("post", LESSONS, ids=lambda post: post.name)
def test_a_notebook_says_how_its_exercises_work(site: Path, post: Path) -> None:
    assert "fill in its cell" in read(site / "posts" / post.name / "index.ipynb").cells[0].source


@pytest.mark.parametrize("post", LESSONS, ids=lambda post: post.name)
def test_on_a_page_each_solution_is_folded_and_stands_before_its_check(site: Path, post: Path) -> None:
    html = (site / "posts" / post.name / "index.html").read_text()
    found = re.findall(r'<div id="(exercise|solution|check)-([^"]+)" class="cell">\s*<(div|details)\b', html)
    names = list(dict.fromkeys(name for _, name, _ in found))
    kinds = ("exercise", "solution", "check")
    assert [(kind, name) for kind, name, _ in found] == [(kind, name) for name in names for kind in kinds]
    assert {(kind, tag) for kind, _, tag in found if kind != "check"} == {("exercise", "div"), ("solution", "details")}


@pytest.fixture(scope="module")
def doubling(tmp_path_factory: pytest.TempPathFactory) -> NotebookNode:
    folder = tmp_path_factory.mktemp("doubling")
    (folder / "_quarto.yml").write_text("project:\n  type: website\n")
    (folder / "index.qmd").write_text(POST)
    assert main(["render", str(folder)]) == 0
    return read(folder / "_site" / "index.ipynb")


@pytest.mark.slow
def test_an_exercise_with_its_solution_and_check_is_accepted(doubling: NotebookNode, tmp_path: Path) -> None:
    prove(copy.deepcopy(doubling), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cell", "old", "new", "words"),
    [
        (1, "    ...", "    return x + x", "check-double passes before the solution"),
        (1, "def double", "def treble", "check-double must raise AssertionError before the solution, not NameError"),
        (1, "def double(x):\n    ...", "open('_quarto.yml')", "FileNotFoundError"),
        (2, ", 'twice 3 is 6'", "", "check-double raises an error without words"),
        (2, "double(3)", "double('3')", "AssertionError"),
        (3, "2 * x", "3 * x", ": twice 3 is 6"),
        (3, "</summary>", "</summary></details>", "solution-double is no folded Python"),
        (4, "'later'", "double(3) + 1", "TypeError"),
    ],
)
def test_what_is_wrong_with_an_exercise_is_said(
    doubling: NotebookNode, tmp_path: Path, cell: int, old: str, new: str, words: str
) -> None:
    notebook = copy.deepcopy(doubling)
    assert old in notebook.cells[cell].source
    notebook.cells[cell].source = notebook.cells[cell].source.replace(old, new)
    with pytest.raises(AssertionError, match=re.escape(words)):
        prove(notebook, tmp_path)


def test_the_parts_of_an_exercise_are_three_in_order_and_the_check_has_not_run(
    doubling: NotebookNode, tmp_path: Path
) -> None:
    swapped, without, strict, ran = (copy.deepcopy(doubling) for _ in range(4))
    swapped.cells[2:4] = reversed(swapped.cells[2:4])
    del without.cells[3]
    strict.cells[2].metadata.tags = []
    ran.cells[2].outputs = [{"output_type": "stream", "name": "stdout", "text": "from a run"}]
    for notebook, words in [
        (swapped, "'double' has the cells exercise, solution, check"),
        (without, "'double' has the cells exercise, check,"),
        (strict, "check-double would stop the notebook"),
        (ran, "check-double has outputs before it ran"),
    ]:
        with pytest.raises(AssertionError, match=words):
            prove(notebook, tmp_path)
