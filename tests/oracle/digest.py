"""Reduce a page rendered by Quarto or by qmdsite to what a reader gets: one line a block, kind | id | text.

The digests of the sample were made with this from the pages of Quarto 1.9.38. usage: digest.py PAGE.html
"""

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lxml import html

# Ids that a renderer counts up or draws, and no source names.
COUNTED = re.compile(r"[0-9a-f]{8}|cb\d+.*|fnref?\d+|ref-.*-caption.*|annotated-cell-\d+.*")
SECTIONS = {"level1", "level2", "level3", "footnotes", "quarto-appendix-contents"}
# Divs that are lines of their own, with these as their kinds.
DIVS = {"callout", "panel-tabset", "theorem", "proof", "cell", "cell-output", "column-margin", "quarto-listing"}
DIVS |= {"csl-entry", "quarto-float", "tab-pane"}


def text(node: Any) -> str:
    node = html.fromstring(html.tostring(node, with_tail=False))
    for drop in node.xpath(".//script|.//style|.//annotation|.//button"):
        drop.drop_tree()
    flat = re.sub(r"\s+", " ", node.text_content().replace("\xa0", " ")).strip()
    # A kernel's own file: Quarto's has the number of its process in it.
    return re.sub(r"\S*ipykernel_\d+/\d+\.py|\bcell\.py(?=:\d)", "CELL", flat)


def classes(node: Any) -> set[str]:
    return set((node.get("class") or "").split())


def walk(node: Any, lines: list[str], depth: int = 0) -> None:
    tag, found, name = node.tag, classes(node), node.get("id") or ""
    if not isinstance(tag, str) or tag in ("script", "style", "button"):
        return

    def put(kind: str, words: str = "") -> None:
        lines.append(f"{'  ' * depth}{kind} | {'' if COUNTED.fullmatch(name) else name} | {words}")

    def within() -> None:
        for child in node:
            walk(child, lines, depth + 1)

    if re.fullmatch(r"h[1-6]|blockquote|math", tag) or (tag == "span" and "math" in found):
        put({"blockquote": "quote", "span": "math"}.get(tag, tag), text(node))
    elif (tag == "div" and "sourceCode" in found) or tag == "pre":
        code = "sourceCode" in found or node.xpath(".//code[contains(@class,'sourceCode')]")
        put("code" if code else "output", text(node)[:160])
    elif tag == "figure":
        caption, image = node.xpath(".//figcaption"), node.xpath(".//img")
        words = [f"img alt={image[0].get('alt')!r} "] if image else []
        put("figure", "".join(words + [f"caption: {text(each)}" for each in caption[:1]]))
        for child in node:
            if child.tag != "figcaption" and not child.xpath("self::img|.//img"):
                walk(child, lines, depth + 1)
    elif tag == "img":
        put("img", f"alt={node.get('alt')!r}")
    elif tag in ("p", "li", "dt", "dd", "summary", "caption"):
        put(tag, text(node)[: 160 if tag == "li" and node.xpath("./ul|./ol|./p|./div") else 400])
    elif tag == "table":
        rows = [" ; ".join(text(cell) for cell in row.xpath("./th|./td")) for row in node.xpath(".//tr")]
        caption = [f"caption: {text(each)} " for each in node.xpath("./caption")]
        put("table", "".join(caption) + " / ".join(rows))
    elif tag == "section":
        put("section", " ".join(sorted(found & SECTIONS)))
        within()
    elif tag == "div" and (found & {*DIVS, "cell-annotation"} or name == "refs"):
        shown = sorted(each for each in found if each in DIVS or each.startswith(("callout", "cell-output")))
        put(f"div.{'.'.join(shown)}", text(node) if "csl-entry" in found else "")
        if "csl-entry" not in found:
            within()
    elif "callout-title-container" in found:
        title, hidden = text(node), " ".join(map(text, node.xpath(".//span[contains(@class,'screen-reader-only')]")))
        put("callout-title", title.removeprefix(hidden).strip() or title)
    elif tag == "details":
        put("details")
        within()
    elif tag in ("aside", "span", "a") and not len(node) and (node.text or "").strip():
        put(tag, text(node))
    else:
        for child in node:
            walk(child, lines, depth)


def digest(path: Path, without: Iterable[str] = ()) -> list[str]:
    """Return the lines of a page, the last of them its contents, without the elements that XPaths name."""
    page, lines = html.parse(str(path)).getroot(), list[str]()
    for left_out in (element for each in without for element in page.xpath(each)):
        left_out.drop_tree()
    main = page.xpath("//main") or page.xpath("//body")
    walk(main[0], lines)
    contents = page.xpath("//nav[@id='TOC']//a")
    return [*lines, "toc | | " + " / ".join(map(text, contents))]


if __name__ == "__main__":
    print("\n".join(digest(Path(sys.argv[1]))))
