"""Each construct that means something to Quarto is right, or refused by name with file and line."""

import re

import pytest
from test_positions import check
from website import DOT, Project, cell, notebook, plain, prose

# A line that ends with «words» is refused with these words; all others are not.
SCANNED = """\
---
title: t
---

A [x](x-{{< meta y >}}.html) «the shortcode 'meta' is not supported»
`{{< kbd Ctrl >}}`«the shortcode 'kbd' is not supported»
{{<video x>}}«the shortcode 'video' is not supported»

{{< fa«the shortcode 'fa' must stand on one line»
brands github >}}

{{< embed x.ipynb#a >}}«the shortcode 'embed' is not supported»

- {{< include x.qmd >}}«the shortcode 'include' must stand alone on its line»

```
{{< var x >}}«the shortcode 'var' is not supported»
```

```{mermaid}«a cell of '{mermaid}' is not supported»
```

```{python #fig-x}«a cell of '{python #fig-x}' is not supported»
```

::: {.cell}«the class 'cell' is written around cells»

```{.python .cell-code}«the class 'cell-code' is written around cells»
x
```

:::

::: {.a}
text
::: {.b}«a div must have a blank line before it»
:::
:::

```{python}
#| layout-ncol: 2«the option 'layout-ncol' is not supported»
#| fig-subcap: [a, b]«the option 'fig-subcap' is not supported»
#| lst-label: lst-a«the option 'lst-label' is not supported»
#| lst-cap: c«the option 'lst-cap' is not supported»
#| column: margin«the option 'column' is not supported»
#| tbl-colwidths: [1, 2]«the option 'tbl-colwidths' is not supported»
#| code-line-numbers: true«the option 'code-line-numbers' is not supported»
#| file: a.py«the option 'file' is not supported»
#| fig-align: left«the option 'fig-align' is not supported»
#| fig-cap: [a, b]«fig-cap is ['a', 'b'], and must be text»
#| fig-alt: >-«fig-alt must stand on one line»
#|   two
#|   lines
#| echo: fenced«echo is 'fenced'»
#| tags: [a]«the option 'tags' is not supported»
1
```

x

---
params: {a: 1}«»
---
""".replace("---\nparams: {a: 1}«»", "---«metadata may only stand at the top»\nparams: {a: 1}")
FRONT = """\
---
title: "{{< meta x >}}"«a shortcode in title is not supported»
abstract: x«the option 'abstract' is not supported»
doi: x«the option 'doi' is not supported»
license: CC BY«the option 'license' is not supported»
comments: {giscus: {}}«the option 'comments' is not supported»
keywords: [a]«the option 'keywords' is not supported»
params: {a: 1}«the option 'params' is not supported»
format:
  html:
    embed-resources: true«the option 'format.html.embed-resources' is not supported»
    code-annotations: hover«the option 'format.html.code-annotations' is not supported»
  pdf: default«the option 'format.pdf' is not supported»
execute:
  cache: true«the option 'execute.cache' is not supported»
  enabled: false«the option 'execute.enabled' is not supported»
lang: de«lang is 'de', and must be en or en-US or en-GB»
page-layout: full«the option 'page-layout' is not supported»
title-block-banner: true«the option 'title-block-banner' is not supported»
lightbox: true«the option 'lightbox' is not supported»
reference-location: margin«the option 'reference-location' is not supported»
include-in-header: x«the option 'include-in-header' is not supported»
filters: [x]«the option 'filters' is not supported»
crossref: {fig-prefix: x}«the option 'crossref' is not supported»
nocite: "@*"«the option 'nocite' is not supported»
date-format: long«the option 'date-format' is not supported»
author: {name: A B, orcid: x}«the option 'author.orcid' is not supported»
jupyter: julia«jupyter is 'julia'»
engine: knitr«engine is 'knitr'»
listing: {type: grid}«listing.type is 'grid'»
about: {template: x}«the option 'about' is not supported»
---
"""
CONVERTED = """\
---
title: t
---

::: {#fig-sub}«the caption of 'fig-sub' must be its last paragraph, and the only caption in it»
![a](dot.svg){#fig-a}«'fig-a' is part of a figure, which is not supported»

Cap
:::

::: {#fig-own}«the caption of 'fig-own' must be»
![](dot.svg)
:::

::: {#tbl-own}«the caption of 'tbl-own' must be»
| a |
|---|
| b |

: Caption
:::

![](dot.svg){#fig-bare}«'fig-bare' needs a caption, in the brackets, and a paragraph of its own»

[![Caption](dot.svg)](index.qmd)«a picture that is a link is a figure to Quarto»

::: {#fig-cap fig-cap="C"}«the attribute 'fig-cap' of this div is not supported»
![](dot.svg)

C
:::

::: {#tbl-cap tbl-cap="C"}«the attribute 'tbl-cap' of this div is not supported»
| a |
|---|
| b |

C
:::

```{.python #lst-x lst-cap="C"}«the attribute 'lst-cap' of this block is not supported»
x
```

::: {#lst-y}«a numbered listing ('#lst-y') is not supported»
C
:::

![C](dot.svg){fig-align="left"}«the attribute 'fig-align' of this image is not supported»

::: {#rem-x}«a numbered remark ('#rem-x') is not supported»
:::

::: {#alg-x}«an algorithm ('#alg-x') is not supported»
:::

::: {#sol-x}«a numbered solution ('#sol-x') is not supported»
:::

::: {#tip-x .callout-tip}«a numbered callout ('#tip-x') is not supported»
T
:::

::: {.callout-note collapse=maybe}«collapse is 'maybe', and may only be one of: true false»
T
:::

::: {.callout-note appearance=fancy}«appearance is 'fancy', and may only be one of: default simple minimal»
T
:::

::: {.grid}«the class 'grid' of this div is not supported»

::: {.g-col-6}«the class 'g-col-6' of this div is not supported»
:::

:::

```js
x = 1 // <1>«an annotation is a comment that starts with #»
```

```css
b {} /* <1> */«an annotation is a comment that starts with #»
```

1. One

::: {.column-page-inset-left}«the class 'column-page-inset-left' of this div is not supported»
:::

<div class="column-page">«the class 'column-page' of this div is not supported»

</div>

![C](dot.svg){.column-screen}«the class 'column-screen' of this image is not supported»

![C](dot.svg){.lightbox}«the class 'lightbox' of this image is not supported»

::: {.list-table}«the class 'list-table' of this div is not supported»
:::

::: {.panel-tabset group=g}«the attribute 'group' of this div is not supported»
### A

### B {.active}«the class 'active' of this heading is not supported»

## C«this heading would end the tabset»
:::

| a |
|---|
| b |

: C {.striped tbl-colwidths="[1]"}«the class 'striped' of this table is not supported»

::: {.content-visible when-meta="a"}«the attribute 'when-meta' of this div is not supported»
:::

::: {.content-hidden unless-profile="a"}
:::

::: {.content-visible when-format="htlm"}«the format 'htlm' is not known»
:::

[x]{.content-visible when-format="pdf"}«the attribute 'when-format' of this span is not supported»

```{.python .hidden}«the class 'hidden' of this block is not supported»
```

```{.python code-line-numbers="1"}«the attribute 'code-line-numbers' of this block is not supported»
```

`x`{.hidden}«the class 'hidden' of this code is not supported»

## Not {#sec-not .unnumbered}

@sec-not,«'@sec-not' refers to nothing: this page has no such section»
[@sec-yes; @parr2018],«'@parr2018' is cited, and needs brackets of its own»
[Chapter @sec-yes]«write the words beside '@sec-yes' outside the brackets»
@Sec-yes,«a reference starts with a small letter: write '@sec-yes' for '@Sec-yes'»
and @lst-x.«'@lst-x' refers to nothing»

## Yes {#sec-yes}

## Wrong {#fig-wrong}«the label of a heading may start with sec-»

$$x$$ {#eq-x alt="a"}«of an equation only the label may stand in the braces»

$x$ {#eq-y}«the label 'eq-y' must stand behind a display»

```{=latex}«raw latex does not reach a web page»
x
```

Words
`x`{=typst}«raw typst does not reach a web page»

::: {.appendix}«the class 'appendix' of this div is not supported»
:::

[x]{.badge}«the class 'badge' of this span is not supported»
[x](index.qmd){.btn}«the class 'btn' of this link is not supported»
""".replace('unless-profile="a"}', "unless-profile=\"a\"}«the attribute 'unless-profile' of this div is not supported»")


def test_what_the_text_may_not_hold_is_refused_by_name(project: Project) -> None:
    assert check(project, {"a.qmd": SCANNED, "b.qmd": FRONT}) >= 53


def test_what_elements_may_not_have_is_refused_by_name(project: Project) -> None:
    project.write("dot.svg", DOT.decode())
    assert check(project, {"a.qmd": CONVERTED}) >= 49


@pytest.mark.parametrize("kind", ["vnd.jupyter.widget-view+json", "vnd.plotly.v1+json"])
def test_an_output_that_needs_a_script_is_refused_by_name(project: Project, kind: str) -> None:
    shown = f"display({{'application/{kind}': {{}}, 'text/plain': 'x'}}, raw=True)"
    project.page("a", cell(shown))
    assert f"a.qmd:5: cell 1 shows application/{kind}, which a page cannot show" in project.render().err


@pytest.mark.parametrize("name", ["notes.md", "notes.ipynb"])
def test_a_page_of_another_kind_is_refused_by_name(project: Project, name: str) -> None:
    project.write(name, "# Notes\n")
    assert f"{name}:1: Quarto makes a page of this file, and qmdsite does not" in project.render().err


def test_an_author_of_one_word_is_refused_where_the_page_is_cited(project: Project) -> None:
    page = "---\ntitle: t\nauthor: handgrad«Quarto cites an author of one word by no name»\ncitation: true\n---\n"
    settings = "project:\n  type: website\nwebsite:\n  site-url: https://y.org\n"
    assert check(project, {"a.qmd": page, "_quarto.yml": settings}) == 1


# By name: what is written, and what must and must not stand in the page.
RIGHT: dict[str, tuple[str, str, str]] = {
    "hidden": ('::: {.content-hidden when-format="html"}\nGone\n:::\n\nHere', "Here", "Gone"),
    "visible": ('::: {.content-visible when-format="html"}\nHere\n:::', "Here", "when-format"),
    "script": ('::: {.content-visible when-format="html:js"}\nHere\n:::', "Here", "when-format"),
    "printed": ('::: {.content-visible when-format="pdf"}\nGone\n:::\n\nHere', "Here", "Gone"),
    "unless": ('::: {.content-visible unless-format="html"}\nGone\n:::\n\nHere', "Here", "Gone"),
    "columns": (
        ':::: {.columns}\n\n::: {.column width="40%"}\nL\n:::\n\n::: {.column width="60%"}\nR\n:::\n\n::::',
        '<div class="columns"> <div class="column" style="width:40%;"> <p>L</p> </div>',
        "width=",
    ),
    "theorem": (
        '::: {#thm-x name="N *x*"}\nT\n:::\n\nSee @thm-x.',
        '<a href="#thm-x" class="quarto-xref">Theorem 1</a> (N <em>x</em>)</span> T',
        "name=",
    ),
    "aside": ("::: aside\nBeside\n:::", '<div class="column-margin"> <p>Beside</p>', "aside"),
    "note": ("Words [beside]{.aside}.", '<div class="column-margin"> <span>beside</span>', "aside"),
    "tight": ("::: {.callout-note}\n::: {.own}\nx\n:::\n:::", '<div class="own"> <p>x</p> </div> </div>', ":::"),
    "close": (":::{.callout-tip}\nx\n:::", '<div class="callout callout-tip">', ":::"),
    "bash": ("```bash\nls # <1>\n```\n\n1. One", 'href="#annotated-cell-1-note-1">1</a>', "&lt;1&gt;"),
    "caption": ("|a|\n|-|\n|b|\n\n: Cap {#tbl-x}\n\n@tbl-x", 'Table 1</a>: Cap </figcaption>', "{#"),
    "alt": ('![Cap](dot.svg){#fig-x fig-alt="What"}\n\n@fig-x', 'alt="What"', "fig-alt"),
    "escaped": ("\\@fig-x and me@fig-x.org", "@fig-x and me@fig-x.org", "<a"),
    "span": ("[a]{.underline} [b]{.mark} [c]{.smallcaps}", '<u>a</u> <mark>b</mark> <span class="smallcaps">', "<u "),
    "sections": ("## A {#sec-a}\n\n-@sec-a, [@sec-a; @sec-b], @sec-b's\n\n## B {#sec-b}", ">Section 2</a>’s", "@"),
    "magic": (cell("%matplotlib inline\n6 * 7"), ">42</code>", "Error"),
    "root": (
        "[a](/index.qmd) ![b](/dot.svg){width=4} <a href='/index.qmd'>c</a>",
        "<a href=\"../index.html\">a</a> <img src=\"../dot.svg\" width=\"4\" alt=\"b\" /> <a href='../index.html'>",
        '"/',
    ),
    "query": ("[a](../index.qmd?x=1) [b](../index.qmd#top-of-all)\n\n", 'href="../index.html?x=1"', ".qmd"),
}  # fmt: skip


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("right"))
    project.write("dot.svg", DOT.decode())
    project.page("index", "## Top of all {#top-of-all}")
    for name, (body, _, _) in RIGHT.items():
        project.page(f"p/{name}", body.replace("](dot", "](../dot"))
    ran = project.render()
    assert ran.err == ""
    assert ran.status == 0
    return project


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_supported_is_right(pages: Project, name: str) -> None:
    _, here, gone = RIGHT[name]
    main = re.sub(r"\s+", " ", pages.html(f"p/{name}").partition("</header>")[2].partition("<main")[2])
    text = main.partition("</header>")[2].partition("</main>")[0]
    assert here in text
    assert gone not in text


def test_a_notebook_has_what_is_for_notebooks(project: Project) -> None:
    body = "\n\n".join(
        f'::: {{.content-{kind} when-format="ipynb"}}\n{words}\n:::\n'
        for kind, words in (("visible", "For it"), ("hidden", "Not"))
    )
    project.write("a.qmd", f"---\ntitle: t\nformat: {{html: default, ipynb: default}}\n---\n\n{body}")
    assert project.render().err == ""
    assert ("For it" in prose(notebook(project, "a")), "Not" in prose(notebook(project, "a"))) == (True, False)
    assert ("For it" in project.html("a"), "Not" in project.html("a")) == (False, True)


SITE = """\
project:
  type: website
  render: ["*.qmd", "posts/", "!posts/left.qmd"]
  resources: ["data/*", "!data/left.txt"]
website:
  title: S
  favicon: dot.svg
  navbar:
    left:
      - index.qmd
      - href: /posts/one.qmd
        text: First
    right:
      - icon: github
        href: https://x.org
        aria-label: Sources
  page-footer:
    left: Made *here*
    right:
      - text: Home
        href: index.qmd
author:
  - name: {given: Ada, family: Lovelace}
    url: https://ada.org
editor: visual
execute:
  freeze: auto
format:
  html:
    html-math-method: mathml
"""
INDEX = """\
---
title: Home
listing:
  id: mine
  contents: ["/posts", "!posts/two.qmd"]
---

Above

::: {#mine}
:::

Below

{{< include /part.txt >}}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("site"))
    one = "---\ntitle: One\ndate: last-modified\naliases: [old, /older.html]\n---\n\nwords\n"
    files = {"_quarto.yml": SITE, "index.qmd": INDEX, "dot.svg": DOT.decode(), "part.txt": "From the root",
             "posts/one.qmd": one,
             "posts/draft.qmd": "---\ntitle: Draft\ndraft: true\n---\n", "posts/left.qmd": "broken",
             "data/a.txt": "a", "data/left.txt": "b"}  # fmt: skip
    for name, text in files.items():
        project.write(name, text)
    project.page("posts/two", "words")
    ran = project.render()
    assert ran.err == ""
    assert ran.status == 0
    return project


def test_the_settings_of_a_site_do_what_they_say(site: Project) -> None:
    home, one = site.html("index"), site.html("posts/one")
    assert re.search(r'<a href="index\.html"[^>]*>Home</a>', home), "a navbar item that is only a page has its title"
    assert re.search(r'<a href="\.\./posts/one\.html"[^>]*>First</a>|<a href="one\.html"[^>]*>First</a>', one)
    assert '<a href="https://x.org">Sources</a>' in home, "an icon has its words"
    assert re.search(r'<link rel="icon" href="dot\.svg"', home)
    assert re.search(r"<footer.*Made <em>here</em>.*<a href=\"index\.html\"[^>]*>Home</a>", home, re.S)
    assert re.search(r'<a href="https://ada\.org"[^>]*>Ada Lovelace</a>', one)
    assert re.search(r'class="date">\w+ \d+, \d{4}<', one), "last-modified is a day"


def test_pages_lists_and_files_are_those_that_are_named(site: Project) -> None:
    made = site.site()
    assert {name for name in made if name.startswith(("posts/", "data/"))} >= {
        "posts/one.html",
        "posts/two.html",
        "data/a.txt",
    }
    assert not {"posts/draft.html", "posts/left.html", "data/left.txt"} & made.keys()
    assert b"url=../one.html" in made["posts/old/index.html"]
    assert b"url=posts/one.html" in made["older.html"]
    text = plain(site.html("index").partition("<main")[2])
    assert re.search(r"Above One .*Below From the root", text), "a list stands in the div of its name"
    assert ("Two" in text, "Draft" in text) == (False, False)
