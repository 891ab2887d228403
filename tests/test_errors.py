"""What is wrong with the sources is named, with file and line, before anything runs."""

import pytest
from website import DOT, SETTINGS, Project, cell, complaint

PAGE = "---\ntitle: t\n---\n\n"
BAD = [
    ("---\ntitle: t\n", 1, "front matter opened here is never closed"),
    ("---\ntitle: [t\n---\n", 2, "not valid YAML"),
    ("---\ntitel: t\ntitle: t\n---\n", 2, "did you mean 'title'?"),
    ("---\ntitle: t\ntoc: maybe\n---\n", 3, "toc is 'maybe', and must be true or false"),
    ("---\ntitle: t\ndate: soon\n---\n", 3, "must be a day"),
    ("---\ntitle: t\nformat:\n  pdf: {}\n---\n", 4, "'format.pdf'"),
    ("---\ntitle: t\nformat:\n  html:\n    toc-depth: 99\n---\n", 5, "toc-depth is 99, and must be 1 or 2 or"),
    ("---\ntitle: t\nlisting: default\n---\n", 3, "listing is 'default', and must be options"),
    ("---\ntitle: t\nlisting:\n---\n", 3, "listing is None, and must be options"),
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
    (PAGE + "```{python}\n#| label: a b\nx\n```\n", 6, "label is 'a b', and must be letters"),
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
    (PAGE + "## A {#sec-a}\n\n## B {#sec-a}\n", 7, "the label 'sec-a' is used twice"),
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
def test_bad_input_is_named_with_file_and_line(project: Project, text: str, line: int, words: str) -> None:
    project.write("index.qmd", text)
    project.write("dot.svg", DOT.decode())
    first = complaint(project).splitlines()[0]
    assert first.startswith(f"index.qmd:{line}: ")
    assert words in first
    assert not (project.root / "_site").exists()


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("  type: website", "  type: book", 2, "project.type is 'book', and must be website"),
        ("page-navigation", "page-navigatoin", 5, "did you mean 'page-navigation'?"),
        ("mathml", "katex", 12, "must be mathml"),
        ("href: index.qmd", "href: home.qmd", 9, "'home.qmd' leads nowhere"),
        ("toc: true", "toc: [", 14, "not valid YAML"),
        ("project:\n  type: website", "project: website", 1, "project is 'website', and must be options"),
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
def test_bad_settings_are_named_with_file_and_line(project: Project, old: str, new: str, line: int, words: str) -> None:
    project.page("index", "words")
    project.write("_quarto.yml", SETTINGS.replace(old, new))
    err = complaint(project)
    assert err.startswith(f"_quarto.yml:{line}: ")
    assert words in err


def test_all_bad_input_is_reported_before_anything_runs(project: Project) -> None:
    project.page("a", cell("open('ran', 'w')") + "$\\nonsense$")
    project.page("b", "@eq-none")
    ran = project.render()
    assert ran.status == 2
    assert [line.partition(": ")[0] for line in ran.err.splitlines()] == ["a.qmd:9", "b.qmd:5"]
    assert not (project.root / "ran").exists()


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


def test_a_broken_bibliography_is_named_with_its_line(project: Project) -> None:
    project.write("references.bib", "@misc{a, title={x}}\n\n@misc{b, title={y}\n@misc{c, title={z}}\n")
    project.page("index", "@a")
    assert project.render().err.startswith("references.bib:4: this is no bibliography: unexpected ")
