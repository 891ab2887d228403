"""The same post has the same parts whether `quarto render` or qmdsite made its page."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from conftest import copy_project
from parity import differences, outline

# One page twice, in the elements of the one renderer and of the other.
QUARTO = """<main><header><h1 class="title">A post</h1></header>
<section id="one"><h2 class="anchored">One<a class="anchorjs-link" href="#one">#</a></h2>
<p><span id="eq-a"><math display="block"><mi>L</mi><mspace width="2em"/><mo>(</mo><mn>1</mn><mo>)</mo></math></span></p>
<p><math display="block"><mi>x</mi></math> and <math display="inline"><mi>y</mi></math></p>
<div id="fig-a" class="quarto-float"><figure class="figure"><div><img src="a.svg" alt="A line" class="img-fluid"></div>
<figcaption>Figure&nbsp;1: A caption</figcaption></figure></div>
<p><img src="b.svg" alt="Another"></p>
<div id="tbl-a"><figure><figcaption>Table&nbsp;1: Numbers</figcaption>
<table><tr><th>a</th></tr><tr><td>1 <span class="timing">3 ms</span></td></tr></table></figure></div>
<div class="cell"><div class="sourceCode"><pre class="sourceCode python"><code>
<a class="code-annotation-anchor">1</a>a = 1</code></pre>
<button>copy</button></div><div class="cell-output"><pre><code>1</code></pre></div></div>
<p>See <a href="#fig-a" class="quarto-xref">Figure&nbsp;1</a> and
<span class="citation">Parr (2018)</span>.</p></section>
<div id="refs"><div id="ref-parr2018" class="csl-entry">Parr. 2018.</div></div></main>"""
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
<div id="refs"><div id="ref-parr2018" class="csl-entry">Parr. 2018.</div></div></main>"""


@pytest.fixture
def outlined(tmp_path):
    def read(page):
        (tmp_path / "page.html").write_text(f'<meta charset="utf-8">{page}', "utf-8")
        return outline(tmp_path / "page.html")

    return read


def test_elements_may_differ_where_their_parts_are_the_same(outlined):
    assert differences(outlined(QUARTO), outlined(OURS)) == []
    assert all(outlined(OURS).values())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("<h2>One", "<h2>Two", ["heading: h2 One", "heading: h2 Two"]),
        ("<h2>One", "<h2>One</h2><h3>More</h3><h2 hidden>One", ["heading: h3 More", "heading: h2 One"]),
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
    ],
)
def test_each_kind_of_difference_is_said(outlined, old, new, said):
    assert old in OURS
    found = differences(outlined(QUARTO), outlined(OURS.replace(old, new, 1)))
    assert [re.sub("^only .* has the ", "", line).strip() for line in found] == said


@pytest.fixture(scope="session")
def of_quarto(tmp_path_factory):
    """What Quarto makes of the whole project."""
    if not shutil.which("quarto"):
        pytest.skip("no quarto on the PATH: its pages are not compared with ours")
    folder = tmp_path_factory.mktemp("quarto") / "project"
    copy_project(folder)
    environment = os.environ | {"QUARTO_PYTHON": sys.executable, "PYTHONPATH": str(folder / "src")}
    command = ["quarto", "render", str(folder)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return folder / "_site"


def test_quarto_makes_the_same_of_every_page(of_quarto, site):
    pages = sorted(str(page.relative_to(site)) for page in site.rglob("*.html"))
    pairs = [(page, differences(outline(of_quarto / page), outline(site / page))) for page in pages]
    said = [f"{page}: {line}" for page, lines in pairs for line in lines]
    assert not said, "\n" + "\n".join(said)
