"""What a page reads as: each construct of the dialect, in the words and the order that Quarto gives it."""

import html
import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import serving
from samples import BLOG_SETTINGS, WIDE_TABLE
from website import SETTINGS, Project, cell, plain

from qmdsite.paths import HERE


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


def test_a_page_with_a_date_says_how_long_it_takes_to_read(published: Project) -> None:
    assert "1 min read" in published.html("posts/one/index")
    assert "4 min read" in published.html("posts/two/index")  # 600 words, and those of the page's own
    home = published.html("index")
    assert re.findall(r"\d min read", home) == ["4 min read", "1 min read"]
    assert "min read" not in home.partition("quarto-listing")[0]


def test_hidden_code_takes_no_time_to_read(project: Project) -> None:
    hidden = cell("# " + "word " * 600, "include: false", "eval: false")
    project.write("index.qmd", f"---\ntitle: One\ndate: 2026-01-02\n---\n\n{hidden}")
    assert project.render().status == 0
    assert "1 min read" in project.html("index")


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


@pytest.mark.parametrize("form", ["format: html", "format:\n  html: default"])
def test_a_format_without_options_is_none(project: Project, form: str) -> None:
    project.write("index.qmd", f"---\ntitle: t\n{form}\n---\n\nwords\n")
    project.write("_quarto.yml", f"project:\n  type: website\n{form}\n")
    assert (project.render().status, "words" in project.html("index")) == (0, True)


def test_a_style_sheet_that_is_shipped_already_is_named_once(blog: Project) -> None:
    (blog.root / "tokens.css").symlink_to(HERE / "tokens.css")
    blog.write("own.css", "p {}")
    blog.write("_quarto.yml", BLOG_SETTINGS + "css: [tokens.css, own.css]\n")
    assert blog.render().status == 0
    sheets = re.findall('rel="stylesheet" href="(.*?)"', blog.html("index"))
    assert sheets == ["site_libs/qmdsite/tokens.css", "site_libs/qmdsite/site.css", "own.css"]
    assert "tokens.css" not in blog.site()


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


def test_the_bar_of_categories_stands_above_a_listing_that_asks_for_it_or_is_filtered(
    project: Project, browser: Any
) -> None:
    project.write("a.qmd", "---\ntitle: A\ncategories: [one]\n---\n")
    page = browser.new_page()
    seen = []
    for option in ("true", "false"):
        project.write("index.qmd", f"---\ntitle: H\nlisting:\n  contents: a.qmd\n  categories: {option}\n---\n")
        assert project.render().status == 0
        for place in ("", "#category=one"):
            page.goto("about:blank")
            page.goto((project.root / "_site/index.html").as_uri() + place)
            seen.append(page.get_by_role("navigation", name="Categories").is_visible())
    page.close()
    assert seen == [True, True, False, True]


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
