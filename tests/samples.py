"""Two sites that many tests look at: a tour of the dialect, and a blog with all that stands beside its pages."""

import struct
import zlib
from pathlib import Path

from website import DOT, Project, cell

WIDE_SUM = " + ".join(f"x_{{{i}}}" for i in range(60))
WIDE_TABLE = "\n".join([f"|{'column|' * 20}", f"|{'---|' * 20}", f"|{'1|' * 20}"])
INDEX = '---\ntitle: "Home"\nlisting:\n  contents: posts\n  sort: "date"\n---\n\nWords.\n'
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


def tour_in(root: Path) -> Project:
    project = Project(root)
    project.write("index.qmd", INDEX)
    project.write("posts/one/_part.qmd", "Included *text*.\n")
    project.write("posts/one/dot.svg", DOT.decode())
    for name, text in TOUR.items():
        project.write(f"{name}.qmd", text)
    return project


BLOG_SETTINGS = """\
project:
  type: website
  pre-render: scripts/card.py
website:
  title: "Small & plain"
  description: "All *about* it"
  site-url: https://y.org/blog/
  open-graph: true
  twitter-card: true
  llms-txt: true
  page-navigation: true
  navbar:
    left:
      - text: Home
        href: index.qmd
"""
BLOG_INDEX = """\
---
title: "Home"
listing:
  contents: "*.qmd"
  sort: "date"
  fields: [title, date, reading-time]
  feed: true
---

Words.
"""
FOLDER = """\
author: A. Author
code-tools: {source: true, toggle: false, caption: "The source"}
categories: [maths]
"""
ONE = """\
---
title: "One & $x^2$"
description: 'The *first* "one"'
date: 2026-01-04
date-modified: 2026-03-04
image: card.png
image-alt: 'A "card"'
---

## First {#sec-a}

The Jacobian of [it](../two/index.qmd#sec-b), `save_for_backward` and [elsewhere](https://x.org/?a=1&b=2).[^n]
See @eq-l.

[^n]: $\\mathbf{n} < 2$ words.

$$
L = X^{\\mathsf{T}} \\operatorname{zebra}
$$ {#eq-l}

![A *dot*](../dot.svg){fig-alt="A dot"}

<button>Press</button> <script src="../run.js"></script>

<svg role="img"><title>Drawn</title><desc>It goes from here to there.</desc><path d="M0 0"/></svg>

"""
TWO = """\
---
title: Two
date: 2026-01-03
author: [B. Author, C. Author]
categories: []
---

Nothing of it.

[Here](https://y.org/blog/posts/one/) it [is](https://y.org/blog/posts/one/index.html#sec-a). ]]&gt;

## The *transpose* {#sec-b}

A [link](https://x.org/?a=1&b=2), [letter](mailto:a@x.org), [home](https://y.org/blog) and `torch.matmul(X, W)`.
"""
MISSING = """\
---
title: Not found
---

Go [home](index.qmd), to [one](posts/one/index.qmd#sec-a) or [up](#main). Jacobian.
"""


def card(width: int, height: int) -> bytes:
    """A PNG with nothing on it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixels = zlib.compress((b"\0" + b"\0" * width) * height)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


DRAW = f"from pathlib import Path\nPath('posts/one/card.png').write_bytes({card(120, 63)!r})\n"


def blog_in(root: Path) -> Project:
    project = Project(root)
    project.write("_quarto.yml", BLOG_SETTINGS)
    project.write("scripts/card.py", DRAW)
    project.write("posts/_metadata.yml", FOLDER)
    project.write("posts/dot.svg", DOT.decode())
    project.write("posts/run.js", "")
    project.write("index.qmd", BLOG_INDEX)
    project.write("404.qmd", MISSING)
    project.write("posts/one/index.qmd", ONE + cell("print('printed', 6 * 7)"))
    project.write("posts/two/index.qmd", TWO + "\nword" * 600)
    return project
