"""What the renderer of the site promises, each promise on small sites made here."""

import base64
import html
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import serving

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
INDEX = '---\ntitle: "Home"\nlisting:\n  contents: posts\n  sort: "date"\n---\n\nWords.\n'
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


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def plain(page: str) -> str:
    """Return the text a reader gets, white space made one."""
    text = html.unescape(re.sub(r"<(script|style|annotation)\b.*?</\1>|<[^>]*>", "", page, flags=re.S))
    return re.sub(r"\s+", " ", text)


def cell(code: str, *options: str) -> str:
    return "\n".join(["```{python}", *(f"#| {option}" for option in options), code, "```", "", ""])


WIDE_SUM = " + ".join(f"x_{{{i}}}" for i in range(60))
WIDE_TABLE = "\n".join([f"|{'column|' * 20}", f"|{'---|' * 20}", f"|{'1|' * 20}"])
TOUR = {
    "posts/one/index": """---
title: "One & *only*"
description: "The first"
date: 2026-01-02
author: A. Author
categories: [maths, one]
---

## First {#sec-first}

::: {.callout-note}
## No section
Words.
:::

See @sec-first, @sec-inner, @eq-loss, @eq-asis, @eq-shown, @fig-dot, @fig-drawn, @tbl-md, @tbl-cell, @thm-chain and
[the loss](#eq-loss), bare -@fig-dot, as @parr2018 [see @parr2018, p. 3] showed.[^note]

$$
L = \\frac{1}{n}
$$ {#eq-loss}

### Inner {#sec-inner}

![A *dot*](dot.svg){#fig-dot fig-alt="A dot" width=50%}

| a | b |
|---|---|
| 1 | 2 |

: From Markdown {#tbl-md}

::: {#thm-chain}
## Chain rule
The product.
:::

::: {.proof}
By hand.
:::

Noted.[beside the text]{.aside}

[^note]: The note.

"""
    + cell("hidden = 41", "include: false")
    + cell("hidden + 1", "code-fold: true", 'code-summary: "Show it"')
    + cell("print('no code')", "echo: false")
    + cell("print('no output')", "output: false")
    + cell("raise SystemExit('never run')", "eval: false")
    + cell("print('$$\\nG\\n$$ {#eq-asis}\\n\\nand **bold**')", "output: asis")
    + cell("from IPython.display import Markdown, HTML, Latex, SVG\nMarkdown('$$\\nH\\n$$ {#eq-shown}')")
    + cell("display({'text/plain': ['many ', 'lines']}, raw=True)")
    + cell("HTML('<b id=\"raw\">raw</b>')")
    + cell("import warnings\nwarnings.warn('shown')")
    + cell("warnings.warn('quiet')", "warning: false")
    + cell("1 / 0", "error: true")
    + cell(f"SVG('{DOT.decode()}')", "label: fig-drawn", 'fig-cap: "Drawn with $y$"', 'fig-alt: "A \\"drawing\\""')
    + cell("Markdown('|c|\\n|--|\\n|7|')", "label: tbl-cell", 'tbl-cap: "From a cell"')
    + """
Inline `{python} hidden + 1`, and escaped `{python} "*" * 3`.

{{< include _part.qmd >}}
""",
    "posts/two/index": """---
title: "Two in (0, 1]"
date: 2026-01-03
categories: [maths]
---

::: {.callout-note}
Plain note.
:::

::: {.callout-warning collapse="true"}
## Folded
Folded text.
:::

::: {.callout-tip appearance="simple"}
Simple text.
:::

::: {.panel-tabset}
## Left
First tab.

## Right
Second tab.
:::

::: {.column-margin}
In the margin.
:::

Term
: definition

````markdown
```{python}
$$ <!-- in code
```
````

Prose <!-- with a comment,
$$ [^none] ::: --> and more.

```{.python filename="layer.py"}
a = 1
```

$$
WIDE_SUM
$$ {#eq-wide}

WIDE_TABLE

Back to [one](../one/index.qmd#sec-first) and [home](../../index.qmd).

<details><summary>Raw</summary>inside</details>
""".replace("WIDE_SUM", WIDE_SUM).replace("WIDE_TABLE", WIDE_TABLE),
}


@pytest.fixture(scope="session")
def tour(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("tour"))
    project.write("index.qmd", INDEX)
    project.write("posts/one/_part.qmd", "Included *text*.\n")
    project.write("posts/one/dot.svg", DOT.decode())
    for name, text in TOUR.items():
        project.write(f"{name}.qmd", text)
    ran = project.render()
    assert (ran.status, ran.err) == (0, "")
    return project


@pytest.mark.parametrize(
    "words",
    [
        "See Section 1, Section 1.1, Equation 1, Equation 2, Equation 3, Figure 1, Figure 2, Table 1, Table 2,",
        "Table 2, Theorem 1 and the loss",
        "bare 1, as Parr (2018; see Parr 2018, 3) showed.1",
        "L=1n(1)",
        "Figure 1: A dot",
        "Figure 2: Drawn with y",
        "Table 1: From Markdown",
        "Table 2: From a cell",
        "Theorem 1 (Chain rule) The product.",
        "Proof. By hand.",
        "Show it hidden + 1",
        "G(2)",
        "and bold",
        "H(3)",
        "many lines",
        "UserWarning: shown",
        "ZeroDivisionError: division by zero",
        "Inline 42, and escaped ***.",
        "Included text.",
        "Footnotes The note.",
        "References",
        "Parr, Terence. 2018.",
        "A. Author January 2, 2026",
    ],
)
def test_a_page_reads_as_quarto_words_it(tour: Project, words: str) -> None:
    assert words in plain(tour.html("posts/one/index"))


def test_options_hide_what_they_name(tour: Project) -> None:
    text = plain(tour.html("posts/one/index"))
    assert "hidden = 41" not in text
    assert "print('no code')" not in text
    assert re.search("no code", text)
    assert text.count("no output") == 1
    assert text.count("never run") == 1
    assert "UserWarning: quiet" not in text


@pytest.mark.parametrize(
    "markup",
    [
        '<section id="sec-first" class="level2">',
        '<a href="#eq-loss" class="equation-number">(1)</a>',
        'id="fig-dot"',
        'alt="A dot"',
        '<img src="index_files/figure-html/fig-drawn-output-1.svg" alt="A &quot;drawing&quot;"',
        'id="tbl-cell"',
        '<b id="raw">raw</b>',
        '<details class="code-fold"><summary>Show it</summary>',
        "<title>One &amp; only – Small &amp; plain</title>",
        '<meta name="description" content="The first">',
        '<a href="../two/index.html" rel="next">Two in (0, 1]</a>',
        '<section id="quarto-bibliography"',
        '<h2 class="unnumbered unlisted">References</h2>',
        'Inner<a href="#sec-inner" class="anchor" aria-label="Link to this section"></a></h3>',
        '<a href="#fig-dot" class="quarto-xref">Figure 1</a>: A <em>dot</em>',
        '<a href="#tbl-cell" class="quarto-xref">Table 2</a>: From a cell',
        '<a href="#thm-chain" class="quarto-xref">Theorem 1</a> (Chain rule)',
    ],
)
def test_a_page_carries_the_ids_and_links(tour: Project, markup: str) -> None:
    assert markup in re.sub(r"\s+", " ", tour.html("posts/one/index"))


@pytest.mark.parametrize(
    "words",
    [
        "Note Plain note.",
        "Folded Folded text.",
        "Left Right First tab. Second tab.",
        "layer.py a = 1",
        "```{python} $$ <!-- in code ``` Prose and more.",
    ],
)
def test_blocks_read_as_quarto_words_them(tour: Project, words: str) -> None:
    assert words in plain(tour.html("posts/two/index"))


def test_annotated_code_is_explained_below_it_by_number(project: Project) -> None:
    listed = "\n1. The *first*.\n2. The second, and $x$.\n\n"
    shown = cell("a = 1  # <1>\nprint(a)  # <2>", "code-fold: true")
    project.write("_quarto.yml", SETTINGS.replace("website:\n", "website:\n  llms-txt: true\n"))
    body = f"```python\na = 1    # <1>\nb = 2\nc = 3 # <2>\n```\n{listed}{shown}{listed}"
    project.page(
        "index", f"{body}```{{.python filename=a.py}}\nd = 4  # <1>\n```\n\n1. Named.\n\nThen\n\n1. no note.\n"
    )
    assert project.render().err == ""
    page = project.html("index")
    assert "# &lt;" not in page
    text = plain(page)
    assert "1a = 1 b = 2 2c = 3 1 The first. 2 The second, and x. Code 1a = 1 2print(a) 1 The first." in text
    assert re.search(r"2 The second, and x\. +1 a\.py 1d = 4 1 Named\. Then no note\.", text)
    marks = re.findall(r'<a class="code-annotation" href="#(.*?)">(\d)</a>', page)
    assert [number for _, number in marks] == ["1", "2", "1", "2", "1"]
    assert all(f'<dt><span id="{place}">{number}</span></dt>' in page for place, number in marks)
    # Where nothing can be marked the comments are back.
    assert "a = 1  # <1>\nb = 2\nc = 3  # <2>\n" in project.site()["index.llms.md"].decode()


def test_what_is_printed_or_shows_how_pages_are_written_is_not_annotated(project: Project) -> None:
    project.page("index", cell("print('a = 1  # <1>')") + "```markdown\nx = 1  # <1>\n```\n")
    ran = project.render()
    assert (ran.status, ran.err) == (0, "")
    assert project.html("index").count("# &lt;1&gt;") >= 2


def test_annotated_code_keeps_its_label_and_its_first_number(project: Project) -> None:
    code = "```{.python #lst-a .numberLines startFrom=10}\nx = 1\ny = 2  # <1>\n```\n\n1. One\n"
    project.page("index", f"{code}\n[a](#lst-a)\n")
    ran = project.render()
    assert (ran.status, ran.err) == (0, "")
    assert '<a class="code-annotation" href="#lst-a-note-1">1</a>' in project.html("index")


def test_in_a_notebook_annotated_code_keeps_its_comments_and_its_list(project: Project) -> None:
    code = cell("a = 1  # <1>\na + 1")
    project.write(
        "it.qmd", f"---\ntitle: It\nformat: {{html: default, ipynb: default}}\n---\n\n{code}1. The *first*.\n"
    )
    assert project.render().err == ""
    _, made, listed = json.loads(project.site()["it.ipynb"])["cells"]
    assert (made["source"], made["outputs"][0]["data"]["text/plain"]) == ("a = 1  # <1>\na + 1", "2")
    assert re.fullmatch(r"1\. +The \*first\*\.", listed["source"])


@pytest.mark.parametrize(
    ("front", "bibtex", "words"),
    [
        (
            "author: Ada Lovelace\ndate: 2026-01-04",
            "@online{lovelace2026, author = {Lovelace, Ada}, title = {On \\emph{It}}, date = {2026-01-04}, url = ",
            "Lovelace, Ada. 2026. “On It.” January 4. https://y.org/b/a_b/.",
        ),
        (
            "author: [A. B. Of, The It]",
            "@online{of, author = {Of, A. B. and It, The}, title = {On \\emph{It}}, url = ",
            "Of, A. B., and The It. n.d. “On It.” https://y.org/b/a_b/.",
        ),
    ],
)
def test_a_page_says_how_it_is_cited(project: Project, front: str, bibtex: str, words: str) -> None:
    project.write("_quarto.yml", SETTINGS.replace("website:\n", "website:\n  site-url: https://y.org/b/\n"))
    project.write("a_b/index.qmd", f"---\ntitle: On *it*\ncitation: true\n{front}\n---\n\nWords.[^n]\n\n[^n]: Note.\n")
    assert project.render().err == ""
    text = plain(project.html("a_b/index")).partition("Footnotes")[2]
    assert f"Citation BibTeX citation: {bibtex}{{https://y.org/b/a_b/}}, langid = {{en}} }}" in text
    assert f"For attribution, please cite this work as: {words}" in text


def test_links_between_sources_become_links_between_pages(tour: Project) -> None:
    page = tour.html("posts/two/index")
    assert 'href="../one/index.html#sec-first"' in page
    assert '<a href="../one/index.html" rel="prev">One &amp; <em>only</em></a>' in page
    assert ".qmd" not in page


def test_data_and_the_tables_of_pandas_stand_in_a_page(project: Project) -> None:
    data = '<script type="application/json">{"a": "<b onclick=1>"}</script>\n\n'
    project.page("index", data + cell("display({'text/html': '<style scoped>\\np {}\\n</style><b>t</b>'}, raw=True)"))
    ran = project.render()
    assert (ran.status, ran.err) == (0, "")
    assert "<style" not in project.html("index")
    assert data.strip() in project.html("index")


def test_the_listing_lists_the_posts_in_order(tour: Project) -> None:
    text = plain(tour.html("index").partition("quarto-listing")[2])
    assert re.search(
        r"One & only The first .*January 2, 2026.*maths.*one.* Two .*January 3, 2026", text.replace("&amp;", "&")
    )


def test_a_page_asks_no_other_host_and_no_missing_file(tour: Project) -> None:
    site = tour.site()
    for name, content in site.items():
        if not name.endswith((".html", ".css", ".svg")):
            continue
        text = content.decode()
        assert not re.findall(r'(?:src|<link[^>]*href)="(?:https?:)?//', text)
        for target in re.findall(r'(?:src|href)="([^"#:]+)', text) + re.findall(r"url\(([^)]+)\)", text):
            assert os.path.normpath(os.path.join(os.path.dirname(name), target)) in site


def test_the_font_carries_the_mathematics_used(tour: Project) -> None:
    from fontTools import ttLib

    font = ttLib.TTFont(tour.root / "_site/site_libs/qmdsite/math.woff2")
    assert {ord("="), 0x1D43F, 0x1D434} <= set(font.getBestCmap())
    assert set(map(ord, "√−𝚤")) <= set(font.getBestCmap()), "what a browser draws for <msqrt>, <mo>-</mo>, <mi>ı</mi>"
    assert "MATH" in font
    assert (tour.root / "_site/site_libs/qmdsite/math.woff2").stat().st_size < 200_000


SPACED = {
    r"v\max(0, x)": "v_max(0,x)",
    r"a\log 2": "a_log_2",
    r"(x)^2\sin^2 y": "(x)2_sin2_y",
    r"\log\left(x\right)\log_2 x, \exp y": "log(x)_log2_x,exp_y",
    r"\sum_i\log p_i=\exp(-y)": "∑ilog_pi=exp(−y)",
    r"\arg\max_x f": "arg_maxx_f",
    r"\sqrt{2\log x}\begin{array}{c}2\ln x\end{array}": "2_log_x2_ln_x",
    r"x\frac{\sin^2}{2}e^{\log}": "xsin22elog",
    r"2\,\log\,x": "2_log_x",
    r"\text{a < b}\log x": "a < b_log_x",
    r"\displaystyle 2\max_i x_i": "2_maxi_xi",
}


def test_names_of_functions_have_the_space_beside_them_that_tex_sets(project: Project) -> None:
    project.page("index", "\n\n".join(f"${tex}$" for tex in SPACED) + "\n\n$$2\\max_i x_i$$")
    assert project.render().status == 0
    formulas = re.findall("<math .*?</math>", project.html("index"))
    spaced = [re.sub("<mspace[^>]*>", "_", formula.replace("\u2061", "")) for formula in formulas]
    assert list(map(plain, spaced)) == [*SPACED.values(), "2_maxi_xi"]
    sources = [html.unescape(*re.findall("<annotation.*?>(.*?)</annotation>", formula)) for formula in formulas]
    assert sources == [*SPACED, r"2\max_i x_i"]


@pytest.mark.parametrize("tex", ["f'", r"f^{\prime}", "f''", "(x)'", "x'_i"])
def test_a_prime_is_raised_once(project: Project, tex: str) -> None:
    project.page("index", f"${tex}$")
    assert project.render().status == 0
    (prime,) = re.findall("<(m[^>]*)><m[^>]*>[fx)]</m[io]>(?:<mi>i</mi>)?<mo([^>]*)>[′″]</mo>", project.html("index"))
    assert prime == (("msubsup", "") if "_" in tex else ("mrow", ' lspace="0" rspace="0"'))


def test_a_second_render_executes_nothing_and_changes_no_byte(tour: Project) -> None:
    before = tour.site()
    started = time.time()
    ran = tour.render()
    assert "0 executed" in ran.out
    assert "posts/one/index.qmd  unchanged" in ran.out
    assert time.time() - started < 2
    assert tour.site() == before


def test_two_cold_renders_give_the_same_bytes(tour: Project, tmp_path: Path) -> None:
    other = Project(tmp_path / "elsewhere")
    shutil.copytree(tour.root, other.root, dirs_exist_ok=True, ignore=shutil.ignore_patterns("_site", ".qmdsite"))
    assert other.render().status == 0
    assert other.site() == tour.site()


PAGE = "---\ntitle: t\n---\n\n"
BAD = [
    ("---\ntitle: t\n", 1, "front matter opened here is never closed"),
    ("---\ntitle: [t\n---\n", 2, "not valid YAML"),
    ("---\ntitel: t\ntitle: t\n---\n", 2, "did you mean 'title'?"),
    ("---\ntitle: t\ntoc: maybe\n---\n", 3, "toc is 'maybe', and must be true or false"),
    ("---\ntitle: t\ndate: soon\n---\n", 3, "must be a day"),
    ("---\ntitle: t\nformat:\n  pdf: {}\n---\n", 4, "'format.pdf'"),
    ("---\ntitle: t\nformat:\n  html:\n    toc-depth: 99\n---\n", 5, "toc-depth is 99, and may only be 1 or 2 or"),
    ("---\ntitle: t\nlisting: default\n---\n", 3, "listing must be options"),
    ("---\ntitle: t\nlisting:\n---\n", 3, "listing must be options"),
    ("---\ntitle: t\nlisting:\n  contents: x/*\n---\n", 4, "'x/*' match no page"),
    ("---\ntitle: t\n? [a]\n: 1\n---\n", 3, "the option '[a]' is not supported"),
    ("---\ntitle: t\ncategories: " + "[" * 2000 + "]" * 2000 + "\n---\n", 2, "nested too deeply"),
    ("---\ntitle: t.\nbibliography: .\n---\n", 3, "the file '.' does not exist"),
    ("words\n", 1, "no title"),
    (PAGE + "```python\nx\n", 5, "code block opened here is never closed"),
    (PAGE + "```{python}\n#| ecoh: false\nx\n```\n", 6, "did you mean 'echo'?"),
    (PAGE + "```{python}\n#| echo: fenced\nx\n```\n", 6, "echo is 'fenced', and must be true or false"),
    (PAGE + "```{python}\nx\n#| echo: false\n```\n", 7, "above the cell's first line"),
    (PAGE + "```{python}\nx = 1\n\n```{python}\ny = 1\n```\n", 5, "code block opened here is never closed"),
    (PAGE + "```{python}\n#| label: a b\nx\n```\n", 6, "label is 'a b', and may only hold letters"),
    (PAGE + "a\n\n`{python}1 + 1`\n", 7, "after '{python}' a space"),
    (PAGE + "```{r}\nx\n```\n", 5, "'{r}' is not supported"),
    (PAGE + "```{python echo=false}\nx\n```\n", 5, "'{python echo=false}' is not supported"),
    (PAGE + "::: {.callout-note}\nx\n", 5, "div opened here is never closed"),
    (PAGE + "::: {.callout-note\nx\n:::\n", 5, "this is not a div"),
    (PAGE + "x\n\n:::\n", 7, "closes nothing"),
    (PAGE + "::: {.a}\nx\n:::\n\n::: {.b title=a b}\nx\n:::\n", 9, "a ':::' here, or printed by a cell"),
    (PAGE + "```{python}\n#| output: asis\nprint('[a](<go' + 'ne2.qmd>)')\n```\n", 5, "'gone2.qmd' leads"),
    (PAGE + '\n<script type="module" src="gone.js"></script>\n', 6, "'gone.js' leads nowhere"),
    (PAGE + "<link rel='stylesheet' href='gone.css'>\n", 5, "'gone.css' leads nowhere"),
    (PAGE + "x\n\n" + cell("display({'text/html': '<img src=' + '\"g' + '.png\">'}, raw=True)"), 7, "'g.png' leads"),
    (PAGE + "x\n::: {.callout-note}\ny\n:::\n", 6, "blank line before it"),
    (PAGE + "::: {.callout-hint}\nx\n:::\n", 5, "no callout 'hint'"),
    (PAGE + "::: {.column-page}\nx\n:::\n", 5, "'column-page' of this div is not supported"),
    (PAGE + "::: {layout-ncol=2}\nx\n:::\n", 5, "'layout-ncol' of this div is not supported"),
    (PAGE + "\nsee @eq-none\n", 6, "'@eq-none' refers to nothing"),
    (PAGE + "see @fig-none\n", 5, "'@fig-none' refers to nothing"),
    (PAGE + "see @smith1999\n", 5, "'@smith1999' refers to nothing"),
    (PAGE + "see [it](#nowhere)\n", 5, "'#nowhere' leads nowhere"),
    (PAGE + "see [it](none.qmd)\n", 5, "'none.qmd' leads nowhere"),
    (PAGE + "![x](none.png)\n", 5, "'none.png' leads nowhere"),
    (PAGE + "## A {#sec-a}\n\n## B {#sec-a}\n", 5, "the label 'sec-a' is used twice"),
    (PAGE + "{{< include none.qmd >}}\n", 5, "'none.qmd' does not exist"),
    (PAGE + "{{< include index.qmd >}}\n", 5, "includes itself"),
    (PAGE + "{{< video x >}}\n", 5, "shortcode 'video' is not supported"),
    (PAGE + "$\\nonsense$\n", 5, "cannot be shown as MathML"),
    (PAGE + "$$\n1 + 1\n= \\nonsense\n$$\n", 7, "cannot be shown as MathML: 1 + 1 = "),
    (PAGE + "$$\na\n$$\n\nx\n\n$$\nb\n\nc\n", 11, "mathematics opened here is never closed"),
    (PAGE + "a $$x$$ and `$$`, \\$\\$ $u$$v$ and $$b", 5, "mathematics opened here is never closed"),
    (PAGE + "$$\na\n\n```{python}\n1\n```\n", 5, "mathematics opened here is never closed"),
    (PAGE + "\na.[^1]\n", 6, "the footnote '[^1]' is never defined"),
    (PAGE + "<!-- a -->\n\nb <!-- c\n\nd\n", 7, "comment opened here is never closed"),
    (PAGE + "a\n\n<div>\nb\n\nc\n", 7, "pandoc says: Div unclosed, closing implicitly"),
    (PAGE + "x\n\n---\ntitle: u\n---\n", 7, "metadata may only stand at the top"),
    (PAGE + '<script src="https://x.org/a.js"></script>\n', 5, "on another host"),
    (PAGE + "a\n\n<script>x()</script>\n", 7, "lets no '<script…' in it work; put it in a file"),
    (PAGE + cell("display({'text/html': '<style>p {}</style>'}, raw=True)"), 5, "lets no '<style…' in it work"),
    (PAGE + "<script type='module'>x()</script>\n", 5, "lets no '<script…' in it work; put it in a file"),
    (PAGE + 'a\n\n<button\nonclick="x()">b</button>\n', 8, "lets no 'onclick=…' in it work"),
    (PAGE + "a\n\n[b](javascript:x%28%29)\n", 7, "lets no 'javascript:…' in it work"),
    (PAGE + "a\n\n<img alt='b' src=gone.png>\n", 7, "'gone.png' leads nowhere"),
    (PAGE + '<img src="dot.svg" srcset="dot.svg 1x, gone.png 2x">\n', 5, "'gone.png' leads nowhere"),
    (PAGE + '<video poster="gone.png" src="dot.svg"></video>\n', 5, "'gone.png' leads nowhere"),
    ("---\ntitle: t\ncss: a.css\n---\n", 3, "the option 'css' is not supported"),
    (PAGE + "```python\nx = 1  # <1>\n```\n\nOne\n", 6, "below its code there is no numbered list"),
    (PAGE + cell("x = 1\ny = 1  # <1>") + "One\n", 7, "below its code there is no numbered list"),
    (PAGE + "```python\nx = 1  # <1>\ny = 1  # <2>\n```\n\n1. One\n", 7, "the list below this code has no item 2"),
    (PAGE + "```python\nx = 1  # <1>\n```\n\n1. One\n2. Two\n", 6, "no line of this code is marked # <2>"),
    (PAGE + "```\nx = 1  # <1>\n```\n\n1. One\n", 6, "annotated code needs a language that is known"),
    ("---\ntitle: t\nauthor: ''\ncitation: true\n---\n", 4, "needs an author: add 'author: …' to the page"),
    ("---\ntitle: t\nauthor: A B\ncitation: true\n---\n", 4, "needs an address: add 'site-url: …' to 'website'"),
    ("---\ntitle: t\ncitation: true\n---\n", 3, "needs an author: add 'author: …' to the page, and an address"),
    (PAGE + "```{python}\n#| output: asis\nprint('\\\\n:::\\\\n')\n```\n", 5, "closes nothing"),
    (PAGE + cell("display({'image/svg+xml': '<svg/>'}, raw=True)"), 5, "shows a figure and has no 'fig-alt'"),
    ("---\ntitle: t\nfig-width: wide\n---\n", 3, "fig-width is 'wide', and must be a number"),
    (PAGE + "\\begin{center}x\\end{center}\n", 5, "raw tex"),
]


@pytest.mark.parametrize(("text", "line", "words"), BAD, ids=[words for _, _, words in BAD])
def test_bad_input_is_named_with_file_and_line(
    project: Project, text: str, line: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from qmdsite.__main__ import main

    project.write("index.qmd", text)
    project.write("dot.svg", DOT.decode())
    assert main(["render", str(project.root)]) == 2
    first = capsys.readouterr().err.splitlines()[0]
    assert first.startswith(f"index.qmd:{line}: ")
    assert words in first
    assert not (project.root / "_site").exists()


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("  type: website", "  type: book", 2, "project.type is 'book', and may only be website"),
        ("page-navigation", "page-navigatoin", 5, "did you mean 'page-navigation'?"),
        ("mathml", "katex", 12, "may only be mathml"),
        ("href: index.qmd", "href: home.qmd", 9, "'home.qmd' leads nowhere"),
        ("toc: true", "toc: [", 14, "not valid YAML"),
        ("project:\n  type: website", "project: website", 1, "project must be options"),
        ("website\nweb", 'website\n  render: ["/x/*.qmd"]\nweb', 3, "'/x/*.qmd' matches no file"),
        ("website\nweb", 'website\n  output-dir: "_x/.."\nweb', 3, "must be a folder in the project"),
        (
            "website\nweb",
            "website\n  post-render: finish.ts\nweb",
            3,
            "'finish.ts', and must be the path of a Python script",
        ),
        ("website\nweb", "website\n  post-render:\n    - none.py\nweb", 4, "post-render is 'none.py'"),
        ("website\nweb", "website\n  resources: [none/*.js]\nweb", 3, "'none/*.js' matches no file"),
        ("website\nweb", "website\n  resources: [../*]\nweb", 3, "'../*' matches no file"),
        ("references.bib", "none.bib", 14, "the file 'none.bib' does not exist"),
    ],
)
def test_bad_settings_are_named_with_file_and_line(
    project: Project, old: str, new: str, line: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from qmdsite.__main__ import main

    project.page("index", "words")
    project.write("_quarto.yml", SETTINGS.replace(old, new))
    assert main(["render", str(project.root)]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"_quarto.yml:{line}: ")
    assert words in err


def test_all_bad_input_is_reported_before_anything_runs(project: Project) -> None:
    project.page("a", cell("open('ran', 'w')") + "$\\nonsense$")
    project.page("b", "@eq-none")
    ran = project.render()
    assert ran.status == 2
    assert [line.partition(": ")[0] for line in ran.err.splitlines()] == ["a.qmd:9", "b.qmd:5"]
    assert not (project.root / "ran").exists()


def test_the_cache_follows_what_a_page_reads(project: Project) -> None:
    project.write("lib/shared.py", "VALUE = 1\n")
    project.write("lib/data.txt", "a\n")
    use = "import sys\nsys.path.insert(0, 'lib')\nimport shared\nprint('value', shared.VALUE)"
    project.page("uses", cell(use))
    project.page("reads", cell("print('data', open('lib/data.txt').read())"))
    project.page("alone", cell("print('alone')"))

    def executed() -> set[str]:
        ran = project.render()
        assert (ran.status, ran.err) == (0, "")
        return set(re.findall(r"(\w+)\.qmd  ran", ran.out))

    assert executed() == {"uses", "reads", "alone"}
    project.write("alone.qmd", (project.root / "alone.qmd").read_text() + "\nMore prose.\n")
    assert executed() == set()
    assert "More prose." in project.html("alone")
    project.write("lib/shared.py", "VALUE = 2\n")
    assert executed() == {"uses"}
    assert "value 2" in project.html("uses")
    project.write("lib/data.txt", "b\n")
    assert executed() == {"reads"}
    assert "data b" in project.html("reads")
    for entry in (project.root / ".qmdsite").rglob("*"):
        if entry.is_file():
            entry.write_bytes(entry.read_bytes()[:-1])
    assert executed() == {"uses", "reads", "alone"}


def test_a_failing_cell_leaves_the_previous_site_untouched(project: Project) -> None:
    project.page("good", cell("1"))
    project.page("bad", "words")
    assert project.render().status == 0
    before = project.site()
    project.page("bad", cell("x = 1") + cell("raise ValueError('two\\nlines')", "label: trouble"))
    project.page("good", cell("2"))
    project.page("dead", cell("import os\nos._exit(1)"))
    ran = project.render()
    assert ran.status == 1
    assert "bad.qmd:11: cell 'trouble' raised ValueError: two\nlines\n" in ran.err
    assert re.search(r"dead\.qmd:5: .*cell 1.* the kernel died", ran.err)
    assert "Traceback" not in ran.err
    assert "good.qmd  ran 1 cells" in ran.out
    assert project.site() == before


def test_resources_are_not_what_is_hidden_private_or_the_site_itself(project: Project) -> None:
    project.write("_quarto.yml", SETTINGS.replace("type: website", "type: website\n  resources: ['*', '.secret/*']"))
    for name in ("a.txt", "data/b.txt", ".env", ".secret/key", "data/.env", "data/_part.txt", "_private/c.txt"):
        project.write(name, "text")
    ran = project.render()
    words = "'.secret/*' matches no file of the project; names that start with '.' or '_' are left out"
    assert (ran.status, ran.err) == (2, f"_quarto.yml:3: {words}\n")
    project.write("_quarto.yml", SETTINGS.replace("type: website", "type: website\n  resources: '*'"))
    for _ in range(2):
        assert project.render().status == 0
        own = {"index.html", *(name for name in project.site() if name.startswith(("site_libs/", "pagefind/")))}
        assert project.site().keys() - own == {"a.txt", "data/b.txt", "index.qmd", "references.bib"}


def test_a_resource_that_is_not_utf8_is_named(project: Project) -> None:
    project.write("_quarto.yml", SETTINGS.replace("type: website", "type: website\n  resources: old.html"))
    (project.root / "old.html").write_bytes(b"caf\xe9")
    assert project.render().err == "old.html:1: the file is not UTF-8 text (byte 3); save it as UTF-8\n"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (b"[project]\nname = it\n", 2, "this is not valid TOML: "),
        (b"name = 'caf\xe9'\n", 1, "the file is not UTF-8 text (byte 11)"),
        (b"project = 3\n", 1, "project must have a name that is text"),
        (b"[project]\nname = 'it'\ndependencies = [3]\n", 1, "project must have a name that is text"),
    ],
)
def test_a_broken_pyproject_is_named_before_a_cell_runs(project: Project, text: bytes, line: int, words: str) -> None:
    (project.root / "pyproject.toml").write_bytes(text)
    project.page("index", cell("open('ran', 'w')"))
    ran = project.render()
    assert ran.status == 2
    assert ran.err.startswith(f"pyproject.toml:{line}: {words}")
    assert not (project.root / "ran").exists()


def test_links_in_comments_and_scripts_are_none_and_a_query_is_no_part_of_a_file(project: Project) -> None:
    project.write("dot.svg", DOT.decode())
    project.write("run.js", "")
    page = '<!-- <img src="gone.png"> -->\n\n'
    page += '<script src="run.js">const text = `<img src="${x}"> <a href="y">`;</script>\n\n'
    page += '![a](dot.svg?v=1) [b](?x=1) [c](index.html?x=1#there) <img src="dot.svg?v=2"> [d]{#there}\n\n'
    project.page("index", page + '<script src="run.js?v=3"></script>')
    ran = project.render()
    assert (ran.status, ran.err) == (0, "")
    assert {"dot.svg", "run.js"} <= project.site().keys()
    project.page("index", '<script src="gone.js?v=3"></script>')
    assert "'gone.js' leads nowhere" in project.render().err


def test_files_that_are_named_or_referred_to_are_copied(project: Project) -> None:
    project.write("_quarto.yml", SETTINGS.replace("type: website", "type: website\n  resources: [data, '*.txt']"))
    for name in ("data/in/a.csv", "data/b.csv", "robots.txt", "posts/x.js", "posts/y.css", "posts/z.js", "unnamed.xyz"):
        project.write(name, "text of " + name)
    raw = "<script src='../x.js' type=module></script>\n<link\nrel=stylesheet href=\"../y.css\">\n\n"
    shown = "from IPython.display import Markdown\nMarkdown('::: {.player}\\n:::\\n<script src=\"../z.js\"></script>')"
    project.page("posts/one/index", raw + cell(shown))
    ran = project.render()
    assert (ran.status, ran.err) == (0, "")
    site = project.site()
    for name in ("data/in/a.csv", "data/b.csv", "robots.txt", "posts/x.js", "posts/y.css", "posts/z.js"):
        assert site[name].decode() == "text of " + name
    assert "unnamed.xyz" not in site


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


def test_a_result_beside_a_figure_is_shown_unless_it_is_what_a_plot_returned(project: Project) -> None:
    drawn = f"display({{'image/svg+xml': '{DOT.decode()}'}}, raw=True)\n"
    for number, code in enumerate(["[1, 2]", "display([3, 4])", "'five'", "print([6])"]):
        project.page(f"page{number}", cell(drawn + code, "echo: false", "fig-alt: A dot"))
    project.page("none", cell("[7, 8]", "echo: false"))
    assert project.render().status == 0
    assert "[1, 2]" not in plain(project.html("page0"))
    for name, words in {"page1": "[3, 4]", "page2": "'five'", "page3": "[6]", "none": "[7, 8]"}.items():
        assert words in plain(project.html(name))


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
        cell("hidden + 1", "code-fold: true", "label: exercise-x"),
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


def notebook(project: Project, name: str) -> Any:
    import nbformat

    read = nbformat.reads((project.root / "_site" / f"{name}.ipynb").read_text("utf-8"), 4)
    nbformat.validate(read)
    return read


@pytest.fixture(scope="module")
def noted(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("noted"))
    project.write("_quarto.yml", SETTINGS.replace("website:\n", "website:\n" + SITE))
    project.write("pyproject.toml", '[project]\nname = "it"\ndependencies = ["numpy>=1"]\n')
    project.write("notes.qmd", NOTES)
    project.write("dot.svg", DOT.decode())
    project.page("folder/other", "## There {#sec-there}")
    ran = project.render()
    assert (ran.status, ran.err) == (0, "")
    return project


def prose(read: Any) -> str:
    return "\n\n".join(cell.source for cell in read.cells if cell.cell_type == "markdown").replace("\xa0", " ")


@pytest.mark.parametrize(
    "words",
    [
        "# Notes on $x^2$\n\nWhat is *in* a notebook.\n",
        '```\npip install "it @ git+https://z.org/me/it"\n```',
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
    code = [cell for cell in notebook(noted, "notes").cells if cell.cell_type == "code"]
    ids = ["cell-1", "cell-2", "says", "exercise-x", "cell-6", "cell-7", "fig-drawn", "cell-9"]
    assert [cell.id for cell in code] == ids
    assert [cell.execution_count for cell in code] == [*range(1, 9)]
    assert [dict(cell.metadata) for cell in code[3:5]] == [
        {"jupyter": {"source_hidden": True}},
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


def test_in_a_notebook_the_solution_of_an_exercise_is_folded_text_behind_its_check(project: Project) -> None:
    project.write("_quarto.yml", SETTINGS.replace("format:\n", "format:\n  ipynb: default\n"))
    project.page("index", "".join(SOLVED))
    project.page("other", "".join(SOLVED[:-3]) + cell("1", "label: check-more"))
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
    assert HOW not in other.cells[0].source
    assert all(not cell.metadata.get("tags") for cell in other.cells)


def test_a_page_links_to_its_notebook_and_only_where_one_is_asked_for(noted: Project) -> None:
    assert '<a href="notes.ipynb" download="">Download as notebook</a>' in noted.html("notes")
    assert [name for name in noted.site() if name.endswith(".ipynb")] == ["notes.ipynb"]
    assert "notebook" not in noted.html("folder/other")


def test_a_notebook_has_the_same_bytes_each_time_and_runs_nothing_twice(noted: Project, tmp_path: Path) -> None:
    before = noted.site()
    assert "0 executed" in noted.render().out
    assert noted.site() == before
    other = Project(tmp_path / "elsewhere")
    shutil.copytree(noted.root, other.root, dirs_exist_ok=True, ignore=shutil.ignore_patterns("_site", ".qmdsite"))
    assert other.render().out.count("ran 9 cells") == 1
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


def test_a_notebook_asks_for_no_package_twice_and_keeps_the_words_of_an_error(project: Project) -> None:
    project.write("_quarto.yml", SETTINGS.replace("format:\n", "format:\n  ipynb: default\n"))
    project.write("pyproject.toml", '[project]\nname = "it"\ndependencies = ["pyYaml[c]>=1", "scikit_learn"]\n')
    project.page(
        "index", cell("import yaml\nimport sklearn") + cell("raise ValueError('two: x\\nlines: y')", "error: true")
    )
    assert project.render().status == 0
    title, *_, code = notebook(project, "index").cells
    assert "pip install .\n" in title.source
    assert (code.outputs[0].ename, code.outputs[0].evalue) == ("ValueError", "two: x\nlines: y")


def test_without_an_address_a_notebook_has_no_links_within_the_site(project: Project) -> None:
    project.write("_quarto.yml", SETTINGS.replace("format:\n", "format:\n  ipynb: default\n"))
    project.page("index", "[words](other.qmd) and [more](https://x.org/)\n\n" + cell("import yaml"))
    project.page("other", "words")
    assert project.render().status == 0
    assert "\n\nwords and [more](https://x.org/)" in prose(notebook(project, "index"))
    assert "pip install PyYAML\n" in prose(notebook(project, "index"))
    assert "pip install" not in prose(notebook(project, "other"))


FINISH = """\
import os
from pathlib import Path

site, pages = Path(os.environ["QUARTO_PROJECT_OUTPUT_DIR"]), os.environ["QUARTO_PROJECT_OUTPUT_FILES"].split("\\n")
assert os.environ["QUARTO_PROJECT_RENDER_ALL"] == "1" and Path("_quarto.yml").is_file()
assert (site / "dot.svg").is_file()
for page in map(Path, pages):
    page.write_text(page.read_text().replace("PLACE", f"finished {' '.join(map(str, {'a', 'b', 'c'}))}"))
(site / "made.html").write_text("<p id='here'>" + " ".join(sorted(page.name for page in map(Path, pages))))
"""


def finished(root: Path, script: str, **pages: str) -> Project:
    project = Project(root, **pages)
    project.write("dot.svg", DOT.decode())
    project.write("scripts/finish.py", script)
    settings = "type: website\n  post-render: scripts/finish.py"
    project.write("_quarto.yml", SETTINGS.replace("type: website", settings))
    return project


def test_scripts_finish_the_pages_before_the_site_is_exchanged(tmp_path: Path) -> None:
    page = "PLACE and [made](made.html) ![a](dot.svg)"
    project = finished(tmp_path / "one", FINISH, index=page, other="words\n\nPLACE")
    assert (project.render().status, project.render().err) == (0, "")
    assert "finished " in project.html("index")
    assert "PLACE" not in project.html("other")
    assert project.html("made").endswith("index.html other.html")
    before = project.site()
    assert project.render().status == 0
    assert project.site() == before
    other = finished(tmp_path / "two", FINISH, index=page, other="words\n\nPLACE")
    assert other.render().status == 0
    assert other.site() == before


def test_a_failing_script_is_a_failed_build(tmp_path: Path) -> None:
    project = finished(tmp_path, "", index="words")
    assert project.render().status == 0
    before = project.site()
    project.page("index", "other words")
    for script, line, words in [("\nraise ValueError('no')", 2, "ValueError: no"), ("raise SystemExit('no')", 1, "no")]:
        project.write("scripts/finish.py", script)
        ran = project.render()
        assert ran.status == 1
        assert ran.err.startswith(f"scripts/finish.py:{line}: the script failed with status 1\n")
        assert ran.err.endswith(f"{words}\n")
        assert project.site() == before


SITE_FOLDER = "import os, pathlib, shutil, sys\nsite = pathlib.Path(os.environ['QUARTO_PROJECT_OUTPUT_DIR'])\n"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("sys.exit(3)", "the script failed with status 3\n"),
        ("os.kill(os.getpid(), 9)", "the script failed with signal 9\n"),
        ("os.write(2, b'caf\\xe9'); sys.exit(1)", "the script failed with status 1\ncaf\ufffd\n"),
        ("shutil.rmtree(site)", "the script took away a page of the site: index.html, other.html\n"),
        ("(site / 'other.html').unlink()", "the script took away a page of the site: other.html\n"),
        (
            "(site / 'other.html').unlink(); (site / 'other.html').mkdir()",
            "the script took away a page of the site: other.html\n",
        ),
    ],
)
def test_a_script_that_fails_silently_or_takes_pages_away_is_a_failed_build(
    tmp_path: Path, script: str, words: str
) -> None:
    project = finished(tmp_path, SITE_FOLDER + script, index="words", other="words")
    ran = project.render()
    assert (ran.status, ran.err) == (1, f"scripts/finish.py:1: {words}")
    assert not (project.root / "_site").exists()


def test_what_cells_got_wrong_is_reported_before_a_script_runs(tmp_path: Path) -> None:
    project = finished(tmp_path, "open('ran', 'w')", index=cell("1") + "@eq-none")
    assert project.render().err.startswith("index.qmd:9: '@eq-none' refers to nothing")
    assert not (project.root / "ran").exists()


def test_a_script_that_outlives_a_killed_render_writes_into_no_other_site(tmp_path: Path) -> None:
    wait = "import time\nwhile not os.path.exists('go'): time.sleep(0.01)\n"
    first = "open('ready', 'w')\n" + wait
    first += "try: site.mkdir(parents=True, exist_ok=True); (site / 'stale.txt').write_text('')\n"
    first += "finally: open('gone', 'w')"
    second = "open('go', 'w')\nimport time\nwhile not os.path.exists('gone'): time.sleep(0.01)"
    project = finished(tmp_path, SITE_FOLDER + first, index="words")
    process = project.start()
    wait_for(project.root / "ready")
    process.kill()
    process.wait()
    project.write("scripts/finish.py", SITE_FOLDER + second)
    assert project.render().status == 0
    process.communicate(timeout=20)
    assert "index.html" in project.site()
    assert "stale.txt" not in project.site()
    assert (project.root / "_site").stat().st_mode & 0o777 == 0o777 & ~umask()


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_page_of_a_script_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    project = finished(tmp_path, SITE_FOLDER + "(site / 'made.html').write_bytes(b'caf\\xe9')", index="words")
    ran = project.render()
    assert (ran.status, ran.err) == (2, "made.html:1: the file is not UTF-8 text (byte 3); save it as UTF-8\n")


def test_what_scripts_leave_is_checked_for_links_that_lead_nowhere(tmp_path: Path) -> None:
    write = "import os, pathlib\nsite = pathlib.Path(os.environ['QUARTO_PROJECT_OUTPUT_DIR'])\n"
    page = "[a](made.html#{})"
    script = write + """(site / "made.html").write_text('<p id="yes"><a href="{}">b</a></p>')"""
    project = finished(tmp_path, script.format("index.html#none"), index=page.format("yes"))
    assert project.render().err == "made.html:1: '#none' leads nowhere: index.html has no such place\n"
    project.write("scripts/finish.py", script.format("index.html"))
    assert project.render().status == 0
    project.page("index", page.format("no"))
    assert project.render().err == "index.qmd:5: '#no' leads nowhere: made.html has no such place\n"


def wait_for(path: Path) -> None:
    for _ in range(600):
        if path.exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} never came")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_a_render_that_is_stopped_leaves_the_previous_site_untouched(
    project: Project, number: signal.Signals, status: int
) -> None:
    project.page("index", "words")
    assert project.render().status == 0
    before = project.site()
    project.page(
        "index", cell("import os, time\nopen('pid', 'w').write(str(os.getpid()))\nopen('ready', 'w')\ntime.sleep(60)")
    )
    process = project.start()
    wait_for(project.root / "ready")
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == status
    assert "Traceback" not in err
    assert project.site() == before
    kernel = Path("/proc") / (project.root / "pid").read_text()
    for _ in range(100):
        if not kernel.exists():
            break
        time.sleep(0.05)
    assert not kernel.exists()
    project.page("index", "new words")
    assert project.render().status == 0
    assert "new words" in project.html("index")
    assert not list((project.root / ".qmdsite").glob("new*"))


def test_a_full_disk_leaves_the_previous_site_untouched(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from qmdsite.__main__ import main

    project.page("index", "words")
    assert main(["render", str(project.root)]) == 0
    before = project.site()
    project.page("index", "new words")
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.name == "math.woff2":
            raise OSError(28, "No space left on device", str(path))
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    assert main(["render", str(project.root)]) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert project.site() == before


def test_a_second_render_waits_for_the_first(project: Project) -> None:
    project.page("index", cell("open('ready', 'w')\nimport time\ntime.sleep(1)"))
    first = project.start()
    wait_for(project.root / "ready")
    second = project.render()
    assert first.communicate(timeout=20)[0].endswith("s\n")
    assert "waiting" in second.out
    assert "0 executed" in second.out


def test_pages_run_at_the_same_time(project: Project) -> None:
    meet = "import os, time\nopen('{}', 'w')\nwhile not os.path.exists('{}'): time.sleep(0.01)"
    project.page("a", cell(meet.format("a.txt", "b.txt")))
    project.page("b", cell(meet.format("b.txt", "a.txt")))
    assert project.render().status == 0


def test_the_kernel_is_this_interpreter_in_the_folder_of_the_page(project: Project) -> None:
    project.write("posts/ipykernel.py", "raise SystemExit('not the kernel')")
    project.page("posts/here", cell("import os, sys\nprint(sys.executable, os.getcwd(), os.environ['PYTHONHASHSEED'])"))
    assert project.render().status == 0
    assert f"{sys.executable} {project.root}/posts 0" in project.html("posts/here")


def test_preview_serves_and_renders_what_changes(project: Project) -> None:
    import urllib.error
    import urllib.request

    project.page("index", "first words")
    process = project.start("preview", str(project.root), "--port", "0")
    try:
        assert process.stdout
        address = next(line.split()[0] for line in process.stdout if line.startswith("http"))
        wait_for(project.root / "_site")
        assert address.startswith("http://127.0.0.1:")

        def fetch() -> str:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return str(answer.read().decode())

        assert "first words" in fetch()
        assert "/.reload.js" in fetch()
        assert ".reload" not in project.html("index")
        with urllib.request.urlopen(f"{address}.reload", timeout=20) as events:
            time.sleep(0.1)
            project.page("index", "@eq-none")
            time.sleep(1.2)
            assert "first words" in fetch()
            project.page("index", "second words")
            assert events.readline() == b"data: rendered\n"
        assert "second words" in fetch()
    finally:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    assert "'@eq-none' refers to nothing" in err


def test_preview_renders_an_edit_made_meanwhile_and_not_for_ever_what_a_script_writes(tmp_path: Path) -> None:
    script = "import time\nopen('log.txt', 'a').write('x')\nopen('ready', 'w')\ntime.sleep(0.5)"
    project = finished(tmp_path, script, index="first words")
    process = project.start("preview", str(project.root), "--port", "0")
    try:
        wait_for(project.root / "ready")
        project.page("index", "second words")
        for _ in range(200):
            if (project.root / "_site").exists() and "second words" in project.html("index"):
                break
            time.sleep(0.1)
        assert "second words" in project.html("index")
        time.sleep(3)
        before = (project.root / "log.txt").read_text()
        time.sleep(4)
        assert (project.root / "log.txt").read_text() == before
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


def test_only_the_pages_named_are_rendered(project: Project) -> None:
    project.page("posts/a/index", "words")
    project.page("draft", "words")
    project.page("posts/_part", "words")
    project.page(".hidden/x", "words")
    named = 'type: website\n  render: ["posts/**/*.qmd", index.qmd]'
    project.write("_quarto.yml", SETTINGS.replace("type: website", named))
    assert project.render().status == 0
    assert {name for name in project.site() if name.endswith(".html")} == {"index.html", "posts/a/index.html"}


def test_a_reference_that_a_cell_may_define_is_judged_after_it_ran(project: Project) -> None:
    project.page("index", cell("print('ran')") + "@eq-none")
    ran = project.render()
    assert (ran.status, ran.err) == (2, "index.qmd:9: '@eq-none' refers to nothing: this page has no such equation\n")
    assert "ran 1 cells" in ran.out


@pytest.fixture
def address(tour: Project) -> Iterator[str]:
    with serving(tour.root / "_site") as address:
        yield address


def test_in_a_browser_nothing_fails_and_nothing_scrolls_sideways(address: str, browser: Any) -> None:
    failed: list[str] = []
    page = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme="dark")
    page.on("requestfailed", lambda request: failed.append(request.url))
    page.on("pageerror", lambda error: failed.append(str(error)))
    for name in ("index.html", "posts/one/index.html", "posts/two/index.html"):
        page.goto(address + name, wait_until="networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Light").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark
    assert not page.get_by_text("Second tab.").is_visible()
    page.get_by_text("Right", exact=True).click()
    assert page.get_by_text("Second tab.").is_visible()
    assert not page.get_by_text("First tab.").is_visible()
    page.goto(address + "index.html#category=one")
    assert page.locator("article:visible").count() == 1
    page.close()
    assert failed == []


NEAR = "word " * 12 + "".join(f"($x_{{{n}}}$). ($y$), $z$-th " for n in range(20))
LONG = "($\\operatorname{maximum}(x_{1}, y_{1})$)."
PICTURE = """'<svg xmlns="http://www.w3.org/2000/svg" width="{0}" height="{0}" viewBox="0 0 9 9"/>'"""


def test_on_a_small_screen_punctuation_stays_at_its_formula_and_what_is_wide_scrolls(
    project: Project, browser: Any
) -> None:
    drawn = [f"display({{'image/svg+xml': {PICTURE.format(width)}}}, raw=True)" for width in (700, 40)]
    cells = "".join(cell(code, "fig-alt: None") for code in drawn)
    project.page("index", f"{NEAR}\n\n{LONG}\n\n{WIDE_TABLE}\n\n{cells}")
    assert project.render().status == 0
    assert '<span class="nowrap">(<math' in project.html("index")
    lines = """[...document.querySelectorAll("main .nowrap")].map(span => {
        const range = document.createRange();
        range.selectNodeContents(span);
        const boxes = [...range.getClientRects()];
        return Math.max(...boxes.map(box => box.top)) < Math.min(...boxes.map(box => box.bottom));
    })"""
    for width in range(320, 400, 10):
        page = browser.new_page(viewport={"width": width, "height": 800})
        page.goto((project.root / "_site/index.html").as_uri(), wait_until="networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate(lines) == [True] * 60
        images = page.evaluate("[...document.images].map(image => image.getBoundingClientRect().width)")
        assert images == [480, 40]
        assert page.evaluate("getComputedStyle(document.querySelector('td')).fontSize") == "13.6px"
        page.close()


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


@pytest.mark.parametrize("form", ["format: html", "format:\n  html: default"])
def test_a_format_without_options_is_none(project: Project, form: str) -> None:
    project.write("index.qmd", f"---\ntitle: t\n{form}\n---\n\nwords\n")
    project.write("_quarto.yml", f"project:\n  type: website\n{form}\n")
    assert (project.render().status, "words" in project.html("index")) == (0, True)


def test_a_broken_bibliography_is_named_with_its_line(project: Project) -> None:
    project.write("references.bib", "@misc{a, title={x}}\n\n@misc{b, title={y}\n@misc{c, title={z}}\n")
    project.page("index", "@a")
    assert project.render().err.startswith("references.bib:4: this is no bibliography: unexpected ")


def test_what_others_left_in_the_work_folder_does_no_harm(project: Project) -> None:
    project.page("index", "words")
    (project.root / ".qmdsite/runs/mine").mkdir(parents=True)
    for _ in range(2):
        project.write(".qmdsite/new/stale.html", "from a render that was killed")
        assert project.render().status == 0
        assert "stale.html" not in project.site()
    assert (project.root / ".qmdsite/runs/mine").is_dir()


def test_an_executor_that_was_stopped_runs_no_cell(project: Project) -> None:
    from qmdsite.run import Executor
    from qmdsite.problem import FailedCell
    from qmdsite.site import Site

    project.page("index", cell("open('ran', 'w')"))
    site = Site(project.root)
    with site.locked():
        site.read()
        executor = Executor(site.root, site.output, site.sockets, site.runs)
        executor.stop()
        # In a thread, as in a render: in this one the loop of a browser may run.
        with ThreadPoolExecutor() as pool, pytest.raises(FailedCell):
            pool.submit(executor.run, site.pages["index.qmd"]).result()
    assert not (project.root / "ran").exists()


@pytest.mark.parametrize("port", ["taken", "70000"])
def test_a_port_that_cannot_be_served_is_named(project: Project, port: str) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1]) if port == "taken" else port
        process = project.start("preview", str(project.root), "--port", port)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert re.fullmatch(rf"127.0.0.1:{port}: .*; choose another port with --port\n", err)


def test_a_deep_folder_has_short_sockets_and_a_killed_render_leaves_one_folder_that_the_next_clears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(tmp_path / "/".join(["folder"] * 20))
    with tempfile.TemporaryDirectory() as sockets:
        monkeypatch.setenv("TMPDIR", sockets)
        for _ in range(2):
            project.page("index", cell("open('ready', 'w')\nimport time\ntime.sleep(60)"))
            process = project.start()
            wait_for(project.root / "ready")
            (project.root / "ready").unlink()
            process.kill()
            process.communicate()
            assert len(os.listdir(sockets)) == 1
        project.page("index", cell("print('done')"))
        assert project.render().status == 0
        assert os.listdir(sockets) == []


def test_a_result_is_not_kept_if_a_file_changed_while_its_page_ran(project: Project) -> None:
    project.write("data.txt", "before")
    project.page("index", cell("print(open('data.txt').read())\nopen('data.txt', 'w').write('after')"))
    assert "1 executed" in project.render().out
    assert "1 executed" in project.render().out
    assert "after" in project.html("index")


def test_the_cache_keeps_only_what_the_last_render_used(project: Project) -> None:
    def entries() -> tuple[int, int]:
        folder = project.root / ".qmdsite"
        return len(list((folder / "runs").iterdir())), len(list((folder / "html").iterdir()))

    for number in range(2):
        project.page("index", cell(f"print('number', {number})"))
        assert project.render().status == 0
        assert entries() == (1, 4)  # the page without outputs and with them, the font, and the index


def test_without_an_exchange_in_one_step_two_renames_do_and_a_kill_between_them_is_mended(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qmdsite import site
    from qmdsite.__main__ import main

    monkeypatch.setattr(site, "_exchanged", lambda *folders: False)
    for words in ("first words", "second words"):
        project.page("index", words)
        assert main(["render", str(project.root)]) == 0
        assert words in project.html("index")
    before = project.site()
    (project.root / "_site").rename(project.root / ".qmdsite/old")
    project.page("index", "@eq-none")
    assert main(["render", str(project.root)]) == 2
    assert project.site() == before
    assert not (project.root / ".qmdsite/old").exists()
