"""Marks change nothing: what pandoc makes of a page is the same with and without them."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from website import BOOKS, SETTINGS

from qmdsite import marks
from qmdsite.cache import Cache
from qmdsite.convert import convert
from qmdsite.page import Page
from qmdsite.pandoc import Pandoc, about
from qmdsite.project import Project
from qmdsite.read import read_pages, read_settings

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "tests/oracle/_sample"
# One page of all that is hard to mark: what only looks like a link, a formula, a citation, attributes, and what is one.
HARD = r"""---
title: "Hard *cases* with $x^2$ and @parr2018"
subtitle: "A [link](https://a.org) and `code`"
description: "It has $y$"
bibliography: references.bib
---

Setext *one* $x$
================

Setext two [a link](index.qmd)
------------------------------

# Alike $x$ {.unnumbered}

# Alike $x$

# Alike [it](index.qmd) @parr2018

# Alike [it](index.qmd) @parr2018

## A heading that ends with hashes ##

## With attributes {#sec-own .class key="a value"}

### `code {.x}` in a heading

### A *linked [word](https://x.org "title")* ### {#odd}

#### Ends with {braces}

##### $\alpha$ {-}

Words [full][ref], [collapsed][], [shortcut], [titled](https://x.org "a (title)"), [angle](<a b.html>),
[paren](a_(b).html),
[nested `code]` link](x.html), ![image *alt*](dot.svg){width=10}, [![in a link](dot.svg)](index.qmd),
[span]{.cls #an-id key=val}.
[Ref with (parens)][Paren Ref] and [empty](), [space]( x.html ), [multi
line text](x.html
"title over lines"), [esc\]aped](x.html).

[ref]: https://ref.org/a_(b) "Title"
[collapsed]: <https://ref.org/c d>
[shortcut]: s.html 'single'
[Paren Ref]:
  https://x.org/next-line
[with attributes]: t.html {.external}

[with attributes] and [Shortcut] again. A footnote,[^1] another[^long] and inline^[A note with [l](x.html) and
$m$.].

[^1]: The note with `code` and [l](x.html).
[^long]: First paragraph @parr2018.

    Second paragraph $x$.

    ```python
    code in a note
    ```

- one [l](x.html)
    - two `a``b` $x$

      paragraph in two
        1. three
           ```python
           x = 1
           ```
        2. four ``a ` b``, ``` `` ```
- five

  ~~~
  fence
  ~~~

(@) example one
(@good) example named
(@) third, see (@good)

a) letter [l](x.html)

#. hash

- [ ] task
- [x] done [l](x.html)

1. Loose

   > quote with [l](x.html)
   > and @parr2018

> # Heading in a quote
> ``` python
> code
> ```
> ::: {.note}
> div in quote
> :::

Dollars: $5 and $6, \$7, $x$5, $x$, $ x $, $x $, a$b$c, $a\$b$, `$x$`, $$a$$ and $$
b + c
$$ and
$$
\begin{aligned}
a &= b \\
c &= d
\end{aligned}
$$ {#eq-one}

See @eq-one, [@eq-one], -@eq-one.

$$x$$ {#eq-two}


Cite @parr2018, [@parr2018], [see @parr2018, p. 3; also -@parr2018], @parr2018 [p. 4], -@parr2018, @{parr2018},
[@{parr2018}], [-@parr2018, chap. 2].
me@example.org, <me@example.org>, <https://x.org/@user>, a@b, foo@, @, @ alone, \@parr2018, (@parr2018),
"@parr2018", *@parr2018*, @parr2018's, @parr2018. @parr2018: see.
`@parr2018`, [text @parr2018](x.html), user@parr2018, [a]@parr2018.

"Smart" quotes '[link](x.html)' beside "[link](x.html)" and '$x$' it's --- a -- b... "$x$" '@parr2018'
"'[l](x.html)'". '[l](x.html)'s "`code`"

*emph [l](x.html)*, **strong $x$**, *emph @parr2018*, _[l](x.html)_, **[l](x.html)**text, ~~[l](x.html)~~,
H~2~O, x^2^, *a*[l](x.html)*b*, _a_@parr2018.

\*escaped\*, \[not\](link), \`not code\`, \<b>, \\[l](x.html), \\`c`,
&amp; &copy; &lt;b&gt; [l](x.html?a=1&amp;b=2)

<b class="x" title='y'>raw <i>inline</i></b> <a href="x.html">a</a> <img src=dot.svg alt=a> <br/> <input disabled>

<div class="raw"
  id="over-lines"
  data-x="1">
Block [l](x.html) *emph*
</div>

<table>
<tr><td><a
href="x.html">x</a></td></tr>
</table>

<details><summary>S *x*</summary>

Inside [l](x.html)

</details>

<video src="dot.svg"
poster='dot.svg'></video>

<!-- comment with [l](x.html) @parr2018 $x$ -->

text <!-- inline [l](x.html)
over lines --> text [l](x.html)

<!--
## not a heading
::: not a div
-->

Term [l](x.html)
:   Definition $x$

    more `code`

Term 2
~ Def a
~ Def b @parr2018

| Line [l](x.html)
|   block $x$
| third
  continues @parr2018

| a | b [l](x.html) |
|---|:-:|
| `a|b` | $x$ |
| @parr2018 | ![i](dot.svg){width=5} |

: Caption [l](x.html) $x$ {#tbl-pipe}

See @tbl-pipe.

a | b
--|--
[l](a-very-long-address/that-goes-on-for-a-while/x.html) | $x$

| A longer row that is nearly as wide as columns may be | [link](x.html) |
|------------------------------------------|---------|
| b | c |

| A longer row that is much wider than the columns may be so that widths come to be | [link](x.html) |
|-----|---|
  Right     Left     Center
-------     ------ ----------
     12     [l](x.html)     $x$
    123     123       @parr2018

Table:  Simple table [l](x.html)

-------------------------------------------------------------
 Centered   Default           Right Left
  Header    Aligned         Aligned Aligned
----------- ------- --------------- -------------------------
   First    row                12.0 Example [l](x.html)
                                    lines $x$.

  Second    row                 5.0 Here's another @parr2018
-------------------------------------------------------------

: Here's the caption.

+---------------+---------------+
| Fruit         | [l](x.html)   |
+===============+===============+
| Bananas       | - built-in    |
|               | - $x$         |
+---------------+---------------+
| @parr2018     | `code`        |
+---------------+---------------+

``` {.python #code-id .numberLines startFrom="3"}
x = "@parr2018" [l](x.html)
```

```{=html}
<a href="x.html">x</a>
```

```python
# [l](x.html) $x$ @parr2018
::: {.x}
## H
```

````markdown
```python
x
```
::: {.y}
````

``` two words
x
```

`inline <b>raw</b>`{=html} and `code`{.python} and [l](x.html){.ext rel=nofollow}.

    indented [l](x.html)
    @parr2018 $x$

    ## not heading

::: {.callout-note title="T *x* $y$"}
Inside [l](x.html)
:::

::: callout-tip
## Title [l](x.html)

Inside
:::

::::: {#thm-one}
## Named $x$

Words @thm-one.
:::::

:::: {.a .b key="v w"}
::: b
inner
:::
::::

::: {#fig-div}
![alt](dot.svg)

Caption [l](x.html)
:::

![Caption *x* $y$ @parr2018](dot.svg){#fig-own fig-alt="An alt text"}

![](dot.svg)

![implicit figure [l](x.html)](dot.svg "title")

![not figure](dot.svg)\

See @fig-own and [@fig-own; @fig-div], @sec-own.

Line with two spaces{{SP}}
break [l](x.html)\
break

[]{#anchor} [l]( <x.html> "t" ){.c}

Text{.notattr} and {.x} and { not } and }{ and $x${.y} and `c` {.z}

*[l](x.html){.a}*{.b}

[a [b](x.html) c](y.html)

text \[^x]

x<y and y>z, a < b > c, <notatag, <a href="x

5*3*2 [x] (y) [x](y z) ![x] [x]: inline

[l](x.html)[m](y.html)`c`$x$@parr2018

+ plus
* star [l](x.html)

Heading without blank
# Not a heading [l](x.html)

Text $x
y$ over lines and `code
over lines` and [link
over](x.html) and *emph
[l](x.html)*

Trailing hash # {#x}

#    Spaced heading   ##   {.y}

    ```python
    [l](x.html){.k}
    ```

Marked [again](x.html){.k}.

<!--
```
a fence in a comment, never closed

::: {.x}
-->

# After the comment {.k}

<pre>
$x$ [l](x.html) @parr2018

## in pre {.k}
</pre>

- # Heading [l](x.html) {.k} in a list
- > quote in a list [l](x.html)

  ::: {.k}
  div in a list
  :::

:::{.k}
Without a space
:::

::: k :::
word
:::

[smallcaps]{.smallcaps} [x]{.smallcaps .k} [x]{.smallcaps #sc} [u]{.underline} [m]{.mark} [x]{.k} []{.k}
[x]{lang=de}

A caption by itself [l](x.html) {.k}

| a |
|---|
| b |
: Caption *x* {#tbl-own .k}

[a b]: x.html "t" {.k}

[a b] `x`{.python} ``` `` ```{.k} $x${.k} ![i](dot.svg){.k width="50%"}

Line {.k}
=========

word{.k} <b>{.k}</b> "q"{.k} (p){.k} **b**{.k}

[x]{.k title="a } b"} [x]{title='$y$' .k} [x](x.html "a 'b' $c$"){.k}

@other. begins an example,, [@parr2018 and *text*], [-@parr2018 [x]], @parr2018[p. 3].
x@parr2018 *@parr2018* [*@parr2018*]{.k} @parr2018--@parr2018 @parr2018---x  [^1]@parr2018 [^1]_x_ "a[^1]"[^1]'s.

Dollars \$5 $x$ costs 5 and $5 to $6, $x+
y$ and $\text{a $b$ c}$, $\{x\}$, $a_{1}${.k}

1.  An item

        indented code [l](x.html) in an item

    text @parr2018

(@named) an example

See (@named), @named and @{named}.

## As in (@named) {.k}
"""


def opened(root: Path) -> Project:
    project, problems = read_settings(root)
    project, more = read_pages(project)
    assert problems + more == []
    return project


@pytest.fixture(scope="session")
def hard(tmp_path_factory: pytest.TempPathFactory) -> Project:
    root = tmp_path_factory.mktemp("hard")
    for name, text in {
        "_quarto.yml": SETTINGS,
        "references.bib": BOOKS,
        "index.qmd": HARD.replace("{{SP}}", "  "),
    }.items():
        (root / name).write_text(text, encoding="utf-8")
    return opened(root)


def parts(project: Project, page: Page, cache: Path) -> tuple[dict[str, Any], list[str]]:
    """Return what a page becomes, and what is wrong with it, but for the lines."""
    with Pandoc(project.root, Cache(cache), cache) as pandoc:
        article, problems = convert(project, page, None, set(), pandoc)
    return {**vars(article), "places": {}}, sorted({problem.text for problem in problems})


def same(project: Project, page: Page, cache: Path, patch: pytest.MonkeyPatch) -> None:
    """Assert that a page is the same if nothing is marked; whether something is cited is told by marks."""

    def cited(*given: Any) -> tuple[dict[str, Any], list[Path]]:
        meta, inputs = about(*given)
        return {**meta, "nocite": ""}, inputs

    patch.setattr("qmdsite.convert.about", cited)
    marked = parts(project, page, cache)
    patch.setattr(marks, "markdown", lambda text, first: text)
    plain = parts(project, page, cache)
    assert marked == plain
    assert marks.clean(str(marked)) == str(marked)
    assert "data-at" not in str(marked)


def sources(root: Path) -> list[str]:
    return list(read_pages(read_settings(root)[0])[0].pages)


@pytest.mark.slow
@pytest.mark.parametrize("name", sources(ROOT))
def test_a_page_of_the_project_is_the_same_without_marks(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = opened(ROOT)
    same(project, project.pages[name], tmp_path, monkeypatch)


@pytest.mark.parametrize("name", sources(SAMPLE))
def test_a_page_of_the_sample_is_the_same_without_marks(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = opened(Path(shutil.copytree(SAMPLE, tmp_path / "sample")))
    same(project, project.pages[name], tmp_path, monkeypatch)


def test_a_page_of_hard_cases_is_the_same_without_marks(
    hard: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    same(hard, hard.pages["index.qmd"], tmp_path, monkeypatch)


def test_the_hard_cases_are_marked(hard: Project) -> None:
    text = "\n".join(line.text for part in hard.pages["index.qmd"].parts if isinstance(part, list) for line in part)
    found = marks.numbers(marks.markdown(text, 1))
    assert len(found) > 150
    assert found == sorted(found), "a mark stands on a line of its own number, so they rise"
    assert marks.clean(marks.markdown("[a](b)", 7)) == "[a](b)"
