"""The same post has the same parts whether `quarto render` or qmdsite made its page."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import ROOT, copy_project
from parity import Outline, alternatives, complaints, differences, flaws, outline, unexpected

LISTED = tomllib.loads((ROOT / "tests/oracle/parity.toml").read_text("utf-8"))["difference"]

# One page twice, in the elements of the one renderer and of the other.
QUARTO = """<main><header><h1 class="title">A post</h1></header>
<section id="one"><h2 class="anchored">One<a class="anchorjs-link" href="#one">#</a></h2>
<p><span id="eq-a"><math display="block"><mi>L</mi><mspace width="2em"/><mo>(</mo><mn>1</mn><mo>)</mo></math></span></p>
<p><math display="block"><mi>x</mi></math> and <math display="inline"><mi>y</mi></math></p>
<div id="fig-a" class="quarto-float"><figure class="figure"><div><img src="a.svg" alt="A line" class="img-fluid"></div>
<figcaption id="fig-a-caption-0c">Figure&nbsp;1: A caption</figcaption></figure></div>
<p><img src="b.svg" alt="Another"></p>
<div id="tbl-a"><figure><figcaption>Table&nbsp;1: Numbers</figcaption>
<table><tr><th>a</th></tr><tr><td>1 <span class="timing">3 ms</span></td></tr></table></figure></div>
<div class="cell"><div class="sourceCode"><pre class="sourceCode python"><code>
<a class="code-annotation-anchor">1</a>a = 1</code></pre>
<button>copy</button></div><div class="cell-output"><pre><code>1</code></pre></div></div>
<p>See <a href="#fig-a" class="quarto-xref">Figure&nbsp;1</a> and
<span class="citation">Parr (2018)</span>.</p></section>
<div class="quarto-listing quarto-listing-container-default"><div class="list">
<div class="quarto-post"><div class="body">
<h3 class="no-anchor listing-title"><a href="./posts/b/index.html" class="no-external">B</a></h3></div></div>
<div class="quarto-post"><h3><a href="./posts/c/index.html">C</a></h3></div></div></div>
<div id="quarto-appendix"><div id="refs"><div id="ref-parr2018" class="csl-entry">Parr. 2018.</div></div>
<section id="quarto-citation"><h2>Citation</h2><pre class="sourceCode code-with-copy quarto-appendix-bibtex">
<code class="sourceCode bibtex">@online{a2026, author = {A}}</code></pre></section></div></main>"""
OURS = """<main><h1>A post</h1>
<section id="one"><h2>One<a class="anchor" href="#one"></a></h2>
<p><span id="eq-a" class="equation"><math display="block"><mi>L</mi></math><a href="#eq-a">(1)</a></span></p>
<p><span class="equation"><math display="block"><mi>x</mi></math></span> and
<math display="inline"><mi>y</mi></math></p>
<div id="fig-a"><figure><p><img src="a.svg" alt="A line"></p>
<figcaption><a href="#fig-a" class="quarto-xref">Figure&nbsp;1</a>: A caption</figcaption></figure></div>
<p><img src="b.svg" alt="Another"></p>
<div id="tbl-a"><figure><figcaption>Table&nbsp;1: Numbers</figcaption>
<div class="table"><table><tr><th>a</th></tr>
<tr><td>1 <span class="timing">4 ms</span></td></tr></table></div></figure></div>
<div class="sourceCode"><pre class="sourceCode python"><code>
<a class="code-annotation" href="#n">1</a>a = 1</code></pre></div>
<p>See <a href="#fig-a" class="quarto-xref">Figure&nbsp;1</a> and
<span class="citation">Parr (2018)</span>.</p></section>
<div class="quarto-listing"><article><h3><a href="posts/b/index.html">B</a></h3></article>
<article><h3><a href="posts/c/index.html">C</a></h3></article></div>
<div id="refs"><div id="ref-parr2018" class="csl-entry">Parr. 2018.</div></div>
<section id="quarto-citation"><h2>Citation</h2><div class="sourceCode"><pre class="sourceCode bibtex"><code>
<span>@online</span>{a2026, author = {A}}</code></pre></div></section></main>"""


Outlined = Callable[[str], Outline]


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    def write(page: str) -> Path:
        path = tmp_path / "page.html"
        path.write_text(f'<meta charset="utf-8">{page}', "utf-8")
        return path

    return write


@pytest.fixture
def outlined(written: Callable[[str], Path]) -> Outlined:
    return lambda page: outline(written(page))


def test_elements_may_differ_where_their_parts_are_the_same(outlined: Outlined) -> None:
    assert differences(outlined(QUARTO), outlined(OURS)) == []
    assert all(outlined(OURS).values())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("<h2>One", "<h2>Two", ["heading: h2 One", "heading: h2 Two"]),
        ("<h2>One", "<h2>One</h2><h3>More</h3><h2 hidden>One", ["heading: h2 One", "heading: h3 More"]),
        ("<mi>L</mi>", "<mi>M</mi>", ["equation: eq-a L(1)", "equation: eq-a M(1)"]),
        (">(1)<", ">(2)<", ["equation: eq-a L(1)", "equation: eq-a L(2)"]),
        ("<mi>x</mi>", "<mi>z</mi>", ["equation: x", "equation: z"]),
        (
            'alt="A line"',
            'alt=""',
            ["figure: fig-a [A line] Figure 1: A caption", "figure: fig-a [] Figure 1: A caption"],
        ),
        ('alt="Another"', 'alt="None"', ["figure: [Another]", "figure: [None]"]),
        (": A caption", ": No", ["figure: fig-a [A line] Figure 1: A caption", "figure: fig-a [A line] Figure 1: No"]),
        ("<td>1", "<td>2", ["table: a / 1", "table: a / 2"]),
        ("a = 1", "a = 2", ["code: a = 1", "code: a = 2"]),
        ("Parr (2018)", "Parr 2018", ["reference: Parr (2018)", "reference: Parr 2018"]),
        ("Parr. 2018.", "", ["reference: Parr. 2018.", "reference:"]),
        ('See <a href="#fig-a"', 'See <a href="#b"', ["reference: Figure 1 → #fig-a", "reference: Figure 1 → #b"]),
        ("{a2026", "{2026", ["code: @online{a2026, author = {A}}", "code: @online{2026, author = {A}}"]),
        ("{A}", "{, A}", ["code: @online{a2026, author = {A}}", "code: @online{a2026, author = {, A}}"]),
        ("posts/b/", "posts/d/", ["listing: B → posts/b/index.html", "listing: B → posts/d/index.html"]),
    ],
)
def test_each_kind_of_difference_is_said(outlined: Outlined, old: str, new: str, said: list[str]) -> None:
    assert old in OURS
    found = differences(outlined(QUARTO), outlined(OURS.replace(old, new, 1)))
    assert [re.sub("^only .* has the ", "", line).strip() for line in found] == said


def test_listed_pages_have_one_order(outlined: Outlined) -> None:
    turned = OURS.replace("posts/b/", "posts/_/").replace("posts/c/", "posts/b/").replace("posts/_/", "posts/c/")
    turned = turned.replace(">B<", ">_<").replace(">C<", ">B<").replace(">_<", ">C<")
    said = differences(outlined(QUARTO), outlined(turned))
    assert [line for line in said if "listing" in line] == [
        "only qmdsite has the listing: C → posts/c/index.html",
        "only Quarto has the listing: C → posts/c/index.html",
    ]


@pytest.mark.parametrize("page", [QUARTO, OURS])
def test_a_page_that_was_understood_has_no_flaw(written: Callable[[str], Path], page: str) -> None:
    shown = page.replace(
        "<p>See", "<pre>@fig-a ::: {#fig-a}</pre><p>(f@x.org) <code>?@fig-a</code> <math>{.a</math> See"
    )
    path = written(shown)
    assert alternatives(path) == ["A line", "Another"]
    assert flaws(path, alternatives(path)) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            '<a href="#fig-a" class="quarto-xref">Figure&nbsp;1</a> and',
            '<a href="#a" class="quarto-xref">Figure&nbsp;<span class="quarto-unresolved-ref">fig-b</span></a> and',
            "unresolved reference: fig-b",
        ),
        ("See", "See <strong>?@fig-b</strong>", "shown as text: ?@fig-b"),
        ("See", "See @eq-b", "shown as text: @eq-b"),
        ("Parr (2018)", "(<strong>parr2018?</strong>)", "unresolved reference: parr2018?"),
        ('<figcaption id="fig-a-caption-0c">Figure&nbsp;1: A caption</figcaption>', "", "without a number: fig-a"),
        ("Figure&nbsp;1: A caption", "A caption", "without a number: fig-a"),
        ("Table&nbsp;1: ", "", "without a number: tbl-a"),
        ("See", "A line}", "shown as text: A line"),
        ("See", "{#fig-b width=3}", "shown as text: {#fig-b"),
        ("See", "{.cell execution_count=1}", "shown as text: {.cell"),
        ("See", "fig-alt=&quot;A", "shown as text: fig-alt"),
        ("See", "::: cell", "shown as text: :::"),
        ("See", "![](a.svg)", "shown as text: !["),
        ("See", "{{&lt; include a.md >}}", "shown as text: {{<"),
    ],
)
def test_each_kind_of_flaw_is_said(written: Callable[[str], Path], old: str, new: str, said: str) -> None:
    assert old in QUARTO
    assert flaws(written(QUARTO.replace(old, new, 1)), ["A line"]) == [said]


def test_of_a_long_description_its_end_is_enough(written: Callable[[str], Path]) -> None:
    alt = "Contour lines of the loss form a long narrow valley. The path follows its floor to the minimum."
    assert flaws(written(QUARTO.replace("See", "It follows the floor to the minimum.")), [alt]) == []
    assert len(flaws(written(QUARTO.replace("See", alt[20:])), [alt])) == 1


def test_warnings_and_errors_are_told_from_progress() -> None:
    wrong = ["\x1b[33mWARN: Unable to resolve link", "[WARNING] Citeproc: citation x not found", "ERROR: no"]
    assert complaints("\n".join(["Cell 1/2: 'check'...Done", *wrong, "Output created: _site/index.html"])) == wrong


def test_what_is_listed_must_be_there() -> None:
    assert unexpected(["a", "b"], ["b"]) == ["a"]
    assert unexpected(["b"], ["b", "c"]) == ["listed, and not there: c"]
    assert all(each["line"] and each["reason"] for each in LISTED)


def test_our_pages_have_no_flaw(site: Path) -> None:
    pages = [site / name for name in names(site)]
    assert [(page, found) for page in pages if (found := flaws(page, alternatives(page)))] == []


def names(site: Path) -> list[str]:
    return sorted(str(page.relative_to(site)) for page in site.rglob("*.html"))


@pytest.fixture(scope="session")
def of_quarto(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """What Quarto makes of the whole project, in a folder of its own, and what it says of it."""
    if not shutil.which("quarto"):
        pytest.skip("no quarto on the PATH: its pages are not compared with ours")
    folder = tmp_path_factory.mktemp("quarto") / "project"
    copy_project(folder)
    environment = os.environ | {"QUARTO_PYTHON": sys.executable, "PYTHONPATH": str(folder / "src")}
    command = ["quarto", "render", str(folder)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return SimpleNamespace(site=folder / "_site", log=ran.stderr)


@pytest.mark.slow
def test_quarto_has_nothing_to_complain_of(of_quarto: SimpleNamespace) -> None:
    assert complaints(of_quarto.log) == []


@pytest.mark.slow
def test_quarto_makes_the_same_of_every_page(of_quarto: SimpleNamespace, site: Path) -> None:
    assert names(of_quarto.site) == names(site)
    said = []
    for name in names(site):
        theirs, ours = of_quarto.site / name, site / name
        found = differences(outline(theirs), outline(ours)) + flaws(theirs, alternatives(ours))
        said += [f"{name}: {line}" for line in found]
    wrong = unexpected(said, [each["line"] for each in LISTED])
    assert not wrong, "\n" + "\n".join(wrong)
