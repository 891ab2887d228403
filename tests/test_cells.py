"""How cells run, and how what they show arrives in a page."""

import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from website import DOT, SETTINGS, Project, cell, plain

from qmdsite.cache import Cache
from qmdsite.kernel import LIMITS
from qmdsite.problem import FailedCell
from qmdsite.read import read_pages
from qmdsite.run import Executor
from qmdsite.site import open_project

RICH = "::: {.player data-play=3}\n<table><tr><td>1 < 2</td></tr></table>\n\n<svg><path d='M0 0'/></svg> and $x_1$\n:::"


def test_html_and_markdown_of_a_cell_arrive_as_they_are(project: Project) -> None:
    shown = "<div data-a='{\"b\": [1]}'><svg viewBox='0 0 1 1'><text>a*b*c _d_</text></svg>\n\n    <p>$y$</p></div>"
    own = f"class Own:\n    def _repr_html_(self):\n        return {shown!r}\nOwn()"
    page = "@fig-own and @fig-rich\n\n"
    page += cell(f"from IPython.display import HTML, Markdown\ndisplay(HTML({shown!r}))")
    page += cell(own, "label: fig-own", "fig-cap: Own *words*")
    page += cell(f"Markdown({RICH!r})", "label: fig-rich", "fig-cap: Rich")
    project.page("index", page)
    ran = project.render()
    assert (ran.status, ran.err) == (0, "")
    made = project.html("index")
    assert made.count(shown) == 2
    assert '<div class="player" data-play="3">' in made
    assert re.search(r"<table>\s*<tr>\s*<td>\s*1 &lt; 2\s*</td>\s*</tr>\s*</table>", made)
    assert re.search(r"<svg>\s*<path d='M0 0'/>\s*</svg>", made)
    assert re.search(r"and <math.*?<mi>x</mi>.*?<mn>1</mn>.*?</math>", made, flags=re.S)
    for words in ("Figure 1 and Figure 2", "Figure 1: Own words", "Figure 2: Rich"):
        assert words in plain(made)


PLOT = "import matplotlib.pyplot as plt\nplt.rcParams['axes.grid'] = True\nplt.plot([1, 2])"


@pytest.mark.slow
def test_figures_have_the_format_and_size_that_are_asked_for(tmp_path: Path) -> None:
    options = "format:\n  html:\n    fig-format: svg\n    fig-width: 4\n    fig-height: 2.5\n"
    pages = {"drawn": cell(f"{PLOT}\nplt.title('1')", "label: fig-a", "fig-cap: Up", "fig-alt: A line")}
    sites = []
    for name in ("one", "two"):
        project = Project(tmp_path / name, **pages, bare=cell("import sys\nprint('matplotlib' in sys.modules)"))
        project.write("_quarto.yml", SETTINGS.replace("format:\n  html:\n", options))
        default = "fig-format: retina\nfig-width: 7\nfig-height: 5\n"
        project.write("other.qmd", f"---\ntitle: t\n{default}---\n\n" + cell(PLOT, "fig-alt: A line"))
        ran = project.render()
        assert (ran.status, ran.err) == (0, "")
        sites.append(project.site())
    assert sites[0] == sites[1]
    svg = sites[0]["drawn_files/figure-html/fig-a-output-1.svg"].decode()
    width, height = (float(re.findall(rf'{side}="([.\d]+)pt"', svg)[0]) for side in ("width", "height"))
    assert (4 * 72 * 0.8, 2.5 * 72 * 0.8) < (width, height) < (4 * 72, 2.5 * 72)  # tight: cut to what is drawn
    assert "<dc:date>" not in svg
    assert f'width="{round(width * 4 / 3)}" height="{round(height * 4 / 3)}"' in project.html("drawn")
    assert "Figure 1: Up" in plain(project.html("drawn"))
    assert "Text(" not in plain(project.html("drawn").partition("<figure>")[2])
    png = sites[0]["other_files/figure-html/cell-1-output-1.png"]
    pixels = [int.from_bytes(png[at : at + 4], "big") for at in (16, 20)]
    assert f'alt="A line" width="{pixels[0] // 2}" height="{pixels[1] // 2}"' in project.html("other")
    assert 7 * 96 * 0.8 < pixels[0] / 2 < 7 * 96
    assert "[&lt;matplotlib" not in project.html("other")
    assert "False" in project.html("bare")
    project.write("other.qmd", (project.root / "other.qmd").read_text().replace("fig-height: 5", "fig-height: 2"))
    assert "other.qmd  ran 1 cells" in project.render().out
    assert project.site()["other_files/figure-html/cell-1-output-1.png"] != png


@pytest.mark.slow
def test_a_result_beside_a_figure_is_shown_unless_it_is_what_a_plot_returned(project: Project) -> None:
    drawn = f"display({{'image/svg+xml': '{DOT.decode()}'}}, raw=True)\n"
    for number, code in enumerate(["[1, 2]", "display([3, 4])", "'five'", "print([6])"]):
        project.page(f"page{number}", cell(drawn + code, "echo: false", "fig-alt: A dot"))
    project.page("none", cell("[7, 8]", "echo: false"))
    assert project.render().status == 0
    assert "[1, 2]" not in plain(project.html("page0"))
    for name, words in {"page1": "[3, 4]", "page2": "'five'", "page3": "[6]", "none": "[7, 8]"}.items():
        assert words in plain(project.html(name))


@pytest.mark.slow
def test_pages_run_at_the_same_time(project: Project) -> None:
    meet = "import os, time\nopen('{}', 'w')\nwhile not os.path.exists('{}'): time.sleep(0.01)"
    project.page("a", cell(meet.format("a.txt", "b.txt")))
    project.page("b", cell(meet.format("b.txt", "a.txt")))
    assert project.render_apart().status == 0


def test_the_kernel_is_this_interpreter_in_the_folder_of_the_page(project: Project) -> None:
    project.write("posts/ipykernel.py", "raise SystemExit('not the kernel')")
    project.page("posts/here", cell("import os, sys\nprint(sys.executable, os.getcwd(), os.environ['PYTHONHASHSEED'])"))
    assert project.render().status == 0
    assert f"{sys.executable} {project.root}/posts 0" in project.html("posts/here")


def test_a_page_imports_what_lies_beside_it_but_first_what_python_has(project: Project) -> None:
    project.write("posts/mine.py", "VALUE = 'from beside the page'")
    project.write("posts/json.py", "raise SystemExit('not the library')")
    project.page("posts/here", cell("import json, mine\nprint(json.dumps(mine.VALUE))"))
    assert project.render().err == ""
    assert '"from beside the page"' in plain(project.html("posts/here"))


@pytest.mark.parametrize(
    ("code", "line", "words"),
    [
        ("#| label: a\n\nx = 1\nraise ValueError('two\\nlines')", 9, "cell 'a' raised ValueError: two\nlines"),
        ("def f():\n    1 / 0\n\nf()", 7, "cell 1 raised ZeroDivisionError: division by zero"),
        ("import json\n\njson.loads('x')", 8, "cell 1 raised JSONDecodeError"),
        ("x = 1\nx = = 2", 7, "cell 1 raised SyntaxError: invalid syntax\n"),
        ("import os\nos._exit(1)", 5, "cell 1: the kernel died"),
        ("display({'text/plain': 7}, raw=True)", 5, "cell 1 shows what no notebook may hold: "),
        ("#| fig-alt: none\ndisplay({'image/png': 'x'}, raw=True)", 5, "cell 1 shows an image that is not base64"),
    ],
)
def test_a_failing_cell_is_named_with_the_line_that_failed(project: Project, code: str, line: int, words: str) -> None:
    project.page("index", f"```{{python}}\n{code}\n```")
    ran = project.render()
    assert ran.status == (2 if "base64" in words else 1)
    assert ran.err.startswith(f"index.qmd:{line}: {words}")
    assert "Traceback" not in ran.err


def test_a_reference_that_a_cell_may_define_is_judged_after_it_ran(project: Project) -> None:
    project.page("index", cell("print('ran')") + "@eq-none")
    ran = project.render()
    assert (ran.status, ran.err) == (2, "index.qmd:9: '@eq-none' refers to nothing: this page has no such equation\n")
    assert "ran 1 cells" in ran.out


def test_an_executor_that_was_stopped_runs_no_cell(project: Project, tmp_path: Path) -> None:
    project.page("index", cell("open('ran', 'w')"))
    read, problems = read_pages(open_project(project.root))
    assert not problems
    executor = Executor(project.root, read.output, tmp_path, Cache(tmp_path / "runs"), LIMITS)
    executor.stop()
    # In a thread, as in a render: in this one the loop of a browser may run.
    with ThreadPoolExecutor() as pool, pytest.raises(FailedCell):
        pool.submit(executor.run, read.pages["index.qmd"]).result()
    assert not (project.root / "ran").exists()
