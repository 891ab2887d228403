"""An error names the line of the thing itself, in the presence of the same words elsewhere.

A line that ends with «words» is wrong: the words are what is said of it, and no part of the page.
"""

import re

import pytest
from website import DOT, Project

# What stands right, or says nothing, before the faults: the same words in a comment, in code, in the front matter.
LINKS = """\
---
title: gone.png
description: none.qmd and \\#nowhere, lost.qmd
image: gone-card.png«'gone-card.png' leads nowhere»
---

<!-- ![x](gone.png) [a](none.qmd) [b](#nowhere) ![c](https://far.org/a.png)
[x](gone-table.qmd) -->

`![x](gone.png)` and `[a](none.qmd)`, gone.png none.qmd #nowhere

``` markdown
![x](gone.png) [a](none.qmd) [b](#nowhere) gone.js
```

Words [right](../index.qmd)
with ![x](gone.png)«'gone.png' leads nowhere»
and words [a](none.qmd),«'none.qmd' leads nowhere»
none.qmd [b](#nowhere)«'#nowhere' leads nowhere»

[Again](none.qmd) «'none.qmd' leads nowhere»
and [right](#a-heading), [c](../index.qmd#nope) «'#nope' leads nowhere»

A [reference][lost] and [lost].

[lost]: lost.qmd «'lost.qmd' leads nowhere»

![Far](https://far.org/a.png)«'https://far.org/a.png' is on another host»

<img src="../dot.svg" alt="gone2.png"
  srcset="../dot.svg 1x, gone2.png 2x">«'gone2.png' leads nowhere»

<script src="gone.js"></script>«'gone.js' leads nowhere»

<link rel="stylesheet" href='gone.css'>«'gone.css' leads nowhere»

<video src="../dot.svg"
poster="poster.png"></video>«'poster.png' leads nowhere»

| a | b |
|---|---|
| `gone-table.qmd` | [x](../index.qmd) |
| c | [x](gone-table.qmd) |«'gone-table.qmd' leads nowhere»

a        b
-------  -----------------------
grid     [x](gone-simple.qmd)«'gone-simple.qmd' leads nowhere»

- gone-list.qmd
- [x](gone-list.qmd)«'gone-list.qmd' leads nowhere»

> gone-quote.qmd
> [x](gone-quote.qmd)«'gone-quote.qmd' leads nowhere»

A note.[^n]

[^n]: gone-note.qmd
    [x](gone-note.qmd)«'gone-note.qmd' leads nowhere»

::: {.callout-note title="gone-callout.qmd"}
gone-callout.qmd

[x](/gone-callout.qmd)«'../gone-callout.qmd' leads nowhere»
:::

## A heading

### [x](gone-heading.qmd)«'gone-heading.qmd' leads nowhere»

{{< include _part.qmd >}}

```{python}
# gone-cell.qmd
```

```{python}«'gone-cell.qmd' leads nowhere»
#| output: asis
print("[x](gone-" + "cell.html)")
```
"""
PART = """\
gone-part.qmd

[x](gone-part.qmd)«'gone-part.qmd' leads nowhere»
"""
TEXT = """\
---
title: "@parr2018 and eq-none"
subtitle: "@nobody2000"«'@nobody2000' refers to nothing»
description: "@eq-none"«'@eq-none' refers to nothing»
---

<!-- @eq-none @nobody2000 [^gone] $\\nonsense$ {#sec-a} {.column-page} ::: -->

`@eq-none` `@nobody2000` `[^gone]` `$\\nonsense$` `{.column-page}`

```markdown
@eq-none @nobody2000 [^gone] $\\nonsense$
<script>x()</script>
```

See @eq-one, \\@nobody2000 and
@eq-none, then«'@eq-none' refers to nothing»
@nobody2000 and«'@nobody2000' refers to nothing»
a word[^gone]«the footnote '[^gone]' is never defined»
and @parr2018 [-@nobody2000]. «'@nobody2000' refers to nothing»

[See @nobody2000.]{.k}«'@nobody2000' refers to nothing»

$$
1 + 1
$$ {#eq-one}

$$
\\begin{aligned}
x &= 1 \\\\
\\nonsense{x} &= 2 \\\\«this TeX cannot be shown as MathML: \\begin{aligned} x»
y &= \\frac{1}{2}
\\end{aligned}
$$

$$
1 + 1
= 2
= \\nonsense«this TeX cannot be shown as MathML»
$$

$x$ and $y$
and $\\nonsense x$,«this TeX cannot be shown as MathML: \\nonsense x»
words $\\nonsense x$.«this TeX cannot be shown as MathML: \\nonsense x»

## One {#sec-a}

## Two {#sec-a}«the label 'sec-a' is used twice»

$$
x
$$ {#eq-one}«the label 'eq-one' is used twice»

::: {.callout-note}
column-page
:::

::: {.column-page}«the class 'column-page' of this div is not supported»
words
:::

[x]{.k} layout-ncol
and [column-page]{.column-page}«the class 'column-page' of this span is not supported»

::: {layout-ncol=2}«the attribute 'layout-ncol' of this div is not supported»
layout-ncol
:::

![x](dot.svg){.k}
![x](dot.svg){.lightbox}«the class 'lightbox' of this image is not supported»

## Three {.active}«the class 'active' of this heading is not supported»

::: {.panel-tabset}«a tabset must start with a heading»
Tabset
:::

::: {.b title=a b}«a ':::' here, or printed by a cell»
words
:::

<script src="a.js"></script> <b>script</b>

<script>x()</script>«lets no '<script…' in it work»

<style>p {}</style>«lets no '<style…' in it work»

<b title="onclick">b</b>
<b
onclick="x()">b</b>«lets no 'onclick=…' in it work»

`javascript:x` [b](javascript:x%28%29)«lets no 'javascript:…' in it work»

Words
with \\textbf{raw},«raw tex does not reach a web page»
words \\emph{raw}.«raw tex does not reach a web page»

\\begin{center}«raw tex does not reach a web page»
x
\\end{center}

| a |
|---|
| @nobody2000 |«'@nobody2000' refers to nothing»

  a      b
-----  -------------
  c    @nobody2000«'@nobody2000' refers to nothing»

: $x$ {#tbl-a}

[^used]: Used.
[^idle]: [^used] is used.«the footnote 'idle' is defined and never used»

Used.[^used]

```python
x = 1
y = 2 # <1>«below its code there is no numbered list»
```

Words.
"""
READ = """\
---
title: layout-ncol
categories: [toc, titel]
titel: t«did you mean 'title'?»
format:
  html:
    titel: x«the option 'format.html.titel' is not supported»
    toc: maybe«toc is 'maybe'»
author:
  - name: A B
    nmae: toc«did you mean 'name'?»
---

```{python}
#| echo: false
#| ecoh: false«did you mean 'echo'?»
#| layout-ncol: 2«the option 'layout-ncol' is not supported»
ecoh = "layout-ncol"
```

{{< include none.md >}}«the included file 'none.md' does not exist»

`kbd`
{{< kbd x >}}«the shortcode 'kbd' is not supported»

words
:::«closes nothing»

::: {.callout-hint}«there is no callout 'hint'»
callout-hint
:::

```{r}«a cell of '{r}' is not supported»
```
"""
# What is read of a page before its listing and its dates are looked at, and what after.
CHECKED = """\
---
title: gone.bib
bibliography:
  - references.bib
  - gone.bib«the file 'gone.bib' does not exist»
csl: gone.csl«the file 'gone.csl' does not exist»
image: bad.png«'bad.png' is no PNG picture»
author: gone«Quarto cites an author of one word by no name»
citation: true«'citation: true' needs an address»
listing:
  contents: other.qmd
  fields:
    - title
    - titel«the listing field 'titel' is not supported»
  feed:«a feed needs the title and the address»
    items: 0«a feed has at least one item»
---
"""
LISTS = """\
---
title: soon posts
date: soon«date is 'soon'»
date-modified: "2026-02-30"«date-modified is '2026-02-30'»
listing:
  contents:
    - posts«'posts' match no page»
    - other.qmd
    - index«'index' match no page»
  sort:
    - title
    - tilte desc«'tilte desc' is no order»
---
"""
METADATA = """\
author: titel
titel: x«the option 'titel' is not supported»
execute:
  echo: maybe«echo is 'maybe'»
toc: 3«toc is 3»
"""
INHERITS = "---\ntitle: maybe\n---\n"
OPTIONS = """\
project:
  type: website
  titel: maybe«'project.titel' is not supported»
website:
  title: titel
  titel: t«'website.titel' is not supported (did you mean 'title'?)»
  navbar:
    left:
      - text: type
        hreff: index.qmd«'website.navbar.left.hreff'»
format:
  html:
    toc-depth: 99«toc-depth is 99»
lang: de«lang is 'de', and must be en or en-US or en-GB»
"""
NAMED = """\
project:
  type: website
  pre-render: [gone.py]«'gone.py', and must be the path of a Python script»
  post-render:
    - gone.sh«'gone.sh', and must be the path of a Python script»
website:
  title: gone.py gone.sh
  open-graph: true«'open-graph' names addresses»
  favicon: gone.svg«'gone.svg' does not exist»
"""
ALIASES = """\
---
title: other.html
aliases:
  - old.html
  - other.html«'other.html' is the address of another page»
---
"""
FOOTER = """\
project:
  type: website
website:
  title: "[a](gone.qmd)"
  page-footer: "[a](gone.qmd)"«'gone.qmd' leads nowhere»
"""
LED = """\
project:
  type: website
website:
  title: gone.qmd
  navbar:
    left:
      - index.qmd
      - text: gone.qmd
        href: gone.qmd«'gone.qmd' leads nowhere»
      - none.qmd«'none.qmd' leads nowhere»
  page-footer:
    center: none.qmd
    right:
      - text: none.qmd
        href: lost.qmd«'lost.qmd' leads nowhere»
"""
MOVED = """\
project:
  type: website
  resources:
    - dot.svg
    - gone.txt«'gone.txt' matches no file»
    - none/*«'none/*' matches no file»
website:
  title: gone.txt
css:
  - gone.css«the style sheet 'gone.css' does not exist»
"""


def written(project: Project, files: dict[str, str]) -> dict[tuple[str, int], str]:
    """Write files without what is said of their lines; return what is, by file and line."""
    said = {}
    for name, text in files.items():
        for number, line in enumerate(text.split("\n"), 1):
            if found := re.search("«(.*)»", line):
                said[name, number] = found[1]
        project.write(name, re.sub(" *«.*»", "", text))
    return said


def told(project: Project) -> dict[tuple[str, int], str]:
    """Return what is wrong by file and line."""
    ran = project.render()
    assert ran.status == 2, ran.err
    found: dict[tuple[str, int], str] = {}
    for line in ran.err.splitlines():
        path, number, words = line.split(":", 2)
        place = path, int(number)
        found[place] = found.get(place, "") + words
    return found


def check(project: Project, files: dict[str, str]) -> int:
    """Assert that all faults are named where they are, and nothing else; return how many there are."""
    said = written(project, files)
    found = told(project)
    assert {place: words for place, words in said.items() if words not in found.get(place, "")} == {}
    assert found.keys() - said.keys() == set()
    return len(said)


def test_what_leads_nowhere_is_named_where_it_stands(project: Project) -> None:
    project.write("dot.svg", DOT.decode())
    assert check(project, {"a/b.qmd": LINKS, "a/_part.qmd": PART}) >= 21


def test_what_pandoc_meets_is_named_where_it_stands(project: Project) -> None:
    project.write("dot.svg", DOT.decode())
    assert check(project, {"b.qmd": TEXT}) >= 27


def test_what_is_read_of_a_page_is_named_where_it_stands(project: Project) -> None:
    said = {
        "b.qmd": READ,
        "e.qmd": LISTS,
        "c/_metadata.yml": METADATA,
        "c/d.qmd": INHERITS,
        "other.qmd": "---\ntitle: t\n---\n",
    }
    assert check(project, said) >= 18


def test_what_is_checked_before_anything_runs_is_named_where_it_stands(project: Project) -> None:
    (project.root / "bad.png").write_bytes(b"none")
    assert check(project, {"b.qmd": CHECKED, "other.qmd": "---\ntitle: t«a feed lists this page»\n---\n"}) >= 9


def test_an_address_that_is_taken_is_named_where_it_stands(project: Project) -> None:
    assert check(project, {"b.qmd": ALIASES, "other.qmd": "---\ntitle: t\n---\n"}) == 1


@pytest.mark.parametrize("settings", [OPTIONS, NAMED, LED, FOOTER, MOVED])
def test_what_the_settings_say_is_named_where_it_stands(project: Project, settings: str) -> None:
    project.write("dot.svg", DOT.decode())
    assert check(project, {"_quarto.yml": settings}) >= 1


def test_a_fault_is_named_in_a_page_that_is_a_notebook_too(project: Project) -> None:
    page = "---\ntitle: t\nsubtitle: '@eq-no'«'@eq-no' refers»\nformat: {html: default, ipynb: default}\n---\n"
    page += "\n`@eq-none` `$\\nonsense$`\n\n"
    page += "@eq-none«'@eq-none' refers to nothing»\n$\\nonsense$«this TeX cannot be shown»\n"
    page += "[x](gone.qmd){.lightbox}«the class 'lightbox' of this link»\n"
    assert check(project, {"b.qmd": page}) == 4
