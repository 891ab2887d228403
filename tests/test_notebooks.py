"""The notebook that a page offers: its text, its cells, its exercises."""

import base64
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from website import DOT, SETTINGS, Project, cell, notebook, prose

NOTES = """---
title: "Notes on $x^2$"
description: "What is *in* a notebook."
format:
  html: default
  ipynb: default
---

## Why? {#q1}

See @eq-loss, @eq-shown, @fig-drawn, @sec-end, @thm-chain and [the loss](#q1), as @parr2018 showed.[^note]
It costs \\$5, so to [the other page](folder/other.qmd#sec-there) and to [elsewhere](https://x.org/).

[^note]: The *note*.

$$
L = \\frac{1}{n}
$$ {#eq-loss}

::: {.callout-note collapse="true"}
## Title
Words of $x_i$ and `{python} 40 + 2`.
:::

::: {.panel-tabset}
## Left
First tab.

## Right
Second tab.
:::

::: {#thm-chain}
## Chain rule
The product.
:::

Noted.[beside]{.aside}

![A *dot*](dot.svg){#fig-dot fig-alt="A dot" width=50%}

""" + "".join(
    [
        cell("import sys\nhidden = 41", "include: false"),
        cell(
            "from IPython.display import Markdown\nMarkdown('::: {.step}\\n$$\\nG\\n$$ {#eq-shown}\\n:::')",
            "echo: false",
        ),
        cell("never", "eval: false"),
        cell("print('to stderr', file=sys.stderr)\nprint('printed')", "warning: false", "label: says"),
        cell("hidden + 1", "code-fold: true", "label: check-x"),
        cell("1 / 0", "error: true"),
        cell("print('**bold**')", "output: asis"),
        cell(
            f"display({{'image/svg+xml': {DOT.decode()!r}}}, raw=True)",
            "label: fig-drawn",
            "fig-cap: Drawn",
            "fig-alt: A",
        ),
        cell("from IPython.display import Markdown\nMarkdown('It took [2.1 ms]{.timing} at [7f0a]{.address}.')"),
        "## End {#sec-end}\n\n| a | b |\n|---|---|\n| 1 | [3 s]{.timing} |\n",
    ]
)
SITE = '  site-url: "https://y.org/blog/"\n  repo-url: https://z.org/me/it\n'


@pytest.fixture(scope="module")
def noted(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("noted"))
    project.write("_quarto.yml", SETTINGS.replace("website:\n", "website:\n" + SITE))
    project.write("pyproject.toml", '[project]\nname = "it"\ndependencies = ["numpy>=1"]\n')
    project.write("notes.qmd", NOTES)
    project.write("dot.svg", DOT.decode())
    project.page("folder/other", "## There {#sec-there}")
    ran = project.render_apart()
    assert (ran.status, ran.err) == (0, "")
    return project


@pytest.mark.parametrize(
    "words",
    [
        "# Notes on $x^2$\n\nWhat is *in* a notebook.\n",
        "## Why?\n\nSee Equation 1, Equation 2, Figure 2, Section 2, Theorem 1 and [the loss]",
        "[the loss](https://y.org/blog/notes.html#q1), as Parr (2018) showed. (The *note*.)\nIt costs \\$5, so",
        "[the other page](https://y.org/blog/folder/other.html#sec-there) and to [elsewhere](https://x.org/).",
        "$$\nL = \\frac{1}{n} \\tag{1}$$\n",
        "> **Title**\n>\n> Words of $x_i$ and 42.",
        "**Left**\n\nFirst tab.\n\n**Right**\n\nSecond tab.",
        "**Theorem 1 (Chain rule)** The product.",
        "Noted.\n\nbeside\n",
        "![A dot](attachment:dot.svg)\n\n*Figure 1: A *dot**",
        "``` python\nnever\n```",
        "*Figure 2: Drawn*\n",
        "## End\n\n| a   | b ",
        '| 1   | <span class="timing">3 s</span> |',
        "## References\n\nParr, Terence. 2018. *The Matrix Calculus*.",
    ],
)
def test_the_text_of_a_notebook_is_what_jupyter_shows(noted: Project, words: str) -> None:
    assert words in prose(notebook(noted, "notes"))


def test_the_cells_of_a_notebook_are_those_of_the_page_with_their_outputs(noted: Project) -> None:
    install, *code = [cell for cell in notebook(noted, "notes").cells if cell.cell_type == "code"]
    assert install.source == '%pip install --quiet "it @ git+https://z.org/me/it"'
    ids = ["cell-1", "cell-2", "says", "check-x", "cell-6", "cell-7", "fig-drawn", "cell-9"]
    assert [cell.id for cell in code] == ids
    assert [cell.execution_count for cell in code] == [*range(1, 9)]
    assert [dict(cell.metadata) for cell in code[3:5]] == [
        {},
        {"tags": ["raises-exception"]},
    ]
    assert code[3].source == "hidden + 1"
    outputs = [output for cell in code for output in cell.outputs]
    assert [len(cell.outputs) for cell in code] == [0, 1, 1, 1, 1, 1, 1, 1]
    assert outputs[0].data["text/markdown"] == "$$\nG \\tag{2}$$"
    assert outputs[1].text == "printed\n"
    assert (outputs[2].data["text/plain"], outputs[2].execution_count) == ("42", 4)
    assert (outputs[3].ename, outputs[3].evalue) == ("ZeroDivisionError", "division by zero")
    assert outputs[4].data["text/markdown"] == "**bold**"
    assert outputs[5].data["image/svg+xml"] == DOT.decode()
    marked = 'It took <span class="timing">2.1 ms</span> at <span class="address">7f0a</span>.'
    assert outputs[6].data == {"text/markdown": marked}


SUM = "def total(x):\n    "
SOLVED = [
    cell(f"{SUM}...", "label: exercise-sum"),
    cell(f"import json\n{SUM}return '```' and x", "label: solution-sum", "code-fold: true", "code-summary: One & all"),
    "Between.\n\n",
    cell("total(3)", "label: check-sum"),
    "Behind.\n\n",
    cell("4", "label: last"),
]
HOW = "To solve an exercise, fill in its cell"


@pytest.mark.slow
def test_in_a_notebook_the_solution_of_an_exercise_is_folded_text_behind_its_check(project: Project) -> None:
    project.write("_quarto.yml", SETTINGS.replace("format:\n", "format:\n  ipynb: default\n"))
    project.page("index", "".join(SOLVED))
    project.page("other", "".join(SOLVED[:-3]) + cell("1", "label: check-more", "code-fold: true"))
    assert project.render().status == 0
    read = notebook(project, "index")
    ids = ["title", "exercise-sum", "text-3", "check-sum", "solution-sum", "text-5", "last"]
    assert [cell.id for cell in read.cells] == ids
    title, _, between, check, solution, behind, last = read.cells
    assert HOW in title.source
    assert (between.source, behind.source, check.source) == ("Between.", "Behind.", "total(3)")
    assert (check.metadata, check.outputs, check.execution_count) == ({"tags": ["raises-exception"]}, [], None)
    assert (last.execution_count, last.outputs[0].execution_count) == (4, 4)
    assert solution.cell_type == "markdown"
    opening, code, closing = solution.source.split("\n\n")
    assert opening == '<details class="code-fold"><summary>One &amp; all</summary>'
    assert code == f"``` python\nimport json\n{SUM}return '```' and x\n```"
    assert closing == "</details>"
    assert re.findall('id="(.*?-sum)"', project.html("index")) == ["exercise-sum", "solution-sum", "check-sum"]
    # Without a check of the same name a solution is a cell like others.
    other = notebook(project, "other")
    code_cells = [cell for cell in other.cells if cell.cell_type == "code"]
    assert [cell.id for cell in code_cells] == ["exercise-sum", "solution-sum", "check-more"]
    # It waits to be asked for. What else a page folds is read by who runs a notebook, in Quarto's too.
    assert [dict(cell.metadata) for cell in code_cells] == [{}, {"jupyter": {"source_hidden": True}}, {}]
    assert HOW not in other.cells[0].source
    assert all(not cell.metadata.get("tags") for cell in other.cells)


def test_a_page_links_to_its_notebook_and_only_where_one_is_asked_for(noted: Project) -> None:
    assert '<a href="notes.ipynb" download="">Download as notebook</a>' in noted.html("notes")
    assert [name for name in noted.site() if name.endswith(".ipynb")] == ["notes.ipynb"]
    assert "notebook" not in noted.html("folder/other")


@pytest.mark.slow
def test_a_notebook_has_the_same_bytes_each_time_and_runs_nothing_twice(noted: Project, tmp_path: Path) -> None:
    before = noted.site()
    same = noted.copy(tmp_path / "same")
    assert "0 executed" in same.render().out
    assert same.site() == before
    other = Project(tmp_path / "elsewhere")
    shutil.copytree(noted.root, other.root, dirs_exist_ok=True, ignore=shutil.ignore_patterns("_site", ".qmdsite"))
    assert other.render_apart().out.count("ran 9 cells") == 1
    assert other.site() == before


@pytest.mark.parametrize(
    ("form", "made"),
    [
        ("", True),
        ("format: html\n", False),
        ("format: {html: default}\n", False),
        ("format: {html: {toc: false}}\n", False),
        ("format: {html: default, ipynb: default}\n", True),
    ],
)
def test_the_format_of_a_page_says_which_formats_are_made(project: Project, form: str, made: bool) -> None:
    project.write("_quarto.yml", SETTINGS.replace("format:\n", "format:\n  ipynb: default\n"))
    project.write("index.qmd", f"---\ntitle: t\n{form}---\n\nwords\n")
    assert project.render().status == 0
    assert ("index.ipynb" in project.site()) == made


INSIDE = """
::: {.callout-note}
## Try it
Words.

CELL
More words.
:::

| a | b |
|---|---|
| `x|y` | $1 < |x|$ |

+-----+-----+
| a   | b   |
+=====+=====+
| one | x   |
| two | y   |
+-----+-----+

+-----+-----+
| a   | b   |
+=====+=====+
| one | - x |
|     | - y |
+-----+-----+
"""


def test_a_notebook_holds_what_markdown_of_jupyter_cannot(project: Project) -> None:
    project.write("_quarto.yml", SETTINGS.replace("format:\n", "format:\n  ipynb: default\n"))
    project.page("index", INSIDE.replace("CELL\n", cell("1 + 1")))
    ran = project.render()
    assert (ran.status, ran.err) == (0, "")
    _, before, code, behind = notebook(project, "index").cells
    assert (before.source, code.source) == ("**Try it**\n\nWords.", "1 + 1")
    assert behind.source.startswith("More words.\n\n<table>")
    assert "<td><code>x|y</code></td>\n<td>$1 &lt; |x|$</td>" in behind.source
    assert "| one two | x y |" in behind.source
    assert "<li>x</li>" in behind.source


def test_the_images_of_a_notebook_are_those_of_its_text(project: Project) -> None:
    project.write("_quarto.yml", SETTINGS.replace("format:\n", "format:\n  ipynb: default\n"))
    for name in ("a/dot.svg", "b/dot.svg", "s p(1).svg", "shown.svg"):
        project.write(f"posts/{name}", DOT.decode() + f"<!-- {name} -->")
    page = "![a](a/dot.svg?v=1) ![b](b/dot.svg) ![s](s%20p(1).svg)\n\n```\n![a](a/dot.svg)\n```\n\n"
    page += cell("from IPython.display import Markdown\nMarkdown('![o](shown.svg)')")
    project.page("posts/index", page)
    ran = project.render()
    assert (ran.status, ran.err) == (0, "")
    _, text, code = notebook(project, "posts/index").cells
    assert text.source.endswith("\n\n    ![a](a/dot.svg)")

    def image(data: Any) -> str:
        return base64.b64decode(data["image/svg+xml"]).decode().partition("<!-- ")[2]

    shown = re.findall(r"\(attachment:(.*?)\)", text.source)
    assert [image(text.attachments[name]) for name in shown] == ["a/dot.svg -->", "b/dot.svg -->", "s p(1).svg -->"]
    assert len(text.attachments) == 3
    markdown = code.outputs[0].data["text/markdown"]
    assert image({"image/svg+xml": markdown.removeprefix("![o](data:image/svg+xml;base64,")[:-1]}) == "shown.svg -->"


def test_a_page_may_show_the_marks_of_notebooks(project: Project) -> None:
    project.write("_quarto.yml", SETTINGS.replace("format:\n", "format:\n  ipynb: default\n"))
    marks = "<!--qmdsite cell-->\n<!--qmdsite 7-->"
    code_block = "    <!--qmdsite cell-->\n    <!--qmdsite 7-->"
    page = f"```\n{marks}\n```\n\n"
    page += cell(f"from IPython.display import Markdown\nMarkdown({f'```{chr(10)}{marks}{chr(10)}```'!r})")
    project.page("index", page)
    ran = project.render()
    assert (ran.status, ran.err) == (0, "")
    _, text, code = notebook(project, "index").cells
    assert text.source == code.outputs[0].data["text/markdown"] == code_block


def test_the_cells_of_a_notebook_have_ids_of_their_own(project: Project) -> None:
    project.write("_quarto.yml", SETTINGS.replace("format:\n", "format:\n  ipynb: default\n"))
    labels = ["text-1", "title", "long" * 20 + "a", "long" * 20 + "b", "a.b", "a-b"]
    project.page("index", "words\n\n" + "".join(cell("1", f"label: {label}") for label in labels))
    assert project.render().status == 0
    ids = [cell.id for cell in notebook(project, "index").cells]
    assert len(set(ids)) == len(ids) == 8
    assert max(map(len, ids)) <= 64


@pytest.mark.slow
def test_a_notebook_asks_for_no_package_twice_and_keeps_the_words_of_an_error(project: Project) -> None:
    project.write("_quarto.yml", SETTINGS.replace("format:\n", "format:\n  ipynb: default\n"))
    project.write("pyproject.toml", '[project]\nname = "it"\ndependencies = ["pyYaml[c]>=1", "scikit_learn"]\n')
    project.page(
        "index", cell("import yaml\nimport sklearn") + cell("raise ValueError('two: x\\nlines: y')", "error: true")
    )
    assert project.render().status == 0
    _, install, *_, code = notebook(project, "index").cells
    assert install.source == "# In a copy of the project's folder:\n%pip install --quiet ."
    assert (code.outputs[0].ename, code.outputs[0].evalue) == ("ValueError", "two: x\nlines: y")


def test_a_notebook_installs_the_wheel_that_the_site_carries(project: Project) -> None:
    settings = SETTINGS.replace("format:\n", "format:\n  ipynb: default\n").replace("website:\n", "website:\n" + SITE)
    project.write("_quarto.yml", settings.replace("  type: website\n", "  type: website\n  resources: ['up/*.whl']\n"))
    project.write("pyproject.toml", '[project]\nname = "the-one"\ndependencies = []\n')
    for name in ("another-2-py3-none-any.whl", "the_one-1.0-py3-none-any.whl"):
        project.write(f"up/{name}", "")
    project.page("index", cell("import sys, yaml\n[sys.executable, '-m', 'mypy', 'it.py']"))
    assert project.render().err == ""
    address = "https://y.org/blog/up/the_one-1.0-py3-none-any.whl"
    assert notebook(project, "index").cells[1].source == f"%pip install --quiet {address} PyYAML mypy"
    assert "up/the_one-1.0-py3-none-any.whl" in project.site()


def test_without_an_address_a_notebook_has_no_links_within_the_site(project: Project) -> None:
    project.write("_quarto.yml", SETTINGS.replace("format:\n", "format:\n  ipynb: default\n"))
    project.page("index", "[words](other.qmd) and [more](https://x.org/)\n\n" + cell("import yaml"))
    project.page("other", "words")
    assert project.render().status == 0
    assert "\n\nwords and [more](https://x.org/)" in prose(notebook(project, "index"))
    assert notebook(project, "index").cells[1].source == "%pip install --quiet PyYAML"
    assert [cell.cell_type for cell in notebook(project, "other").cells] == ["markdown", "markdown"]


def test_in_a_notebook_annotated_code_keeps_its_comments_and_its_list(project: Project) -> None:
    code = cell("a = 1  # <1>\na + 1")
    project.write(
        "it.qmd", f"---\ntitle: It\nformat: {{html: default, ipynb: default}}\n---\n\n{code}1. The *first*.\n"
    )
    assert project.render().err == ""
    _, made, listed = json.loads(project.site()["it.ipynb"])["cells"]
    assert (made["source"], made["outputs"][0]["data"]["text/plain"]) == ("a = 1  # <1>\na + 1", "2")
    assert re.fullmatch(r"1\. +The \*first\*\.", listed["source"])
