"""Lists the receipts of all posts in the receipts page, and refuses derivations of what was compared with nothing.

Run by the render, after the pages are written.
"""

import os
import re
import sys
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

TITLE = re.compile(r"<h1[^>]*>(.*?)</h1>", re.S)
OPENING = '<div class="receipt">'
RECEIPT = re.compile(
    OPENING + r"\s*<p><strong>Checked: ([^<]*)</strong>[^<]*</p>\s*(?:<div[^>]*>\s*)?<table[^>]*>(.*?)</table>", re.S
)
ROW = re.compile(r"<tr[^>]*>(.*?)</tr>", re.S)
CELL = re.compile(r"<td[^>]*>(.*?)</td>", re.S)
PLACE = re.compile(r'<div id="receipts">.*?<!-- receipts -->', re.S)
RIGHT = ' style="text-align: right;"'


class Entry(NamedTuple):
    """A receipt as it is listed: the error is the largest in float64, as it was printed, or empty."""

    name: str
    cases: int
    error: str


class Derivations(HTMLParser):
    """The derivations that a page shows: the name of each, and what its definition was compared with."""

    def __init__(self, html: str) -> None:
        """Find them."""
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a derivation, with its attributes in any order."""
        given = {name: value or "" for name, value in attrs}
        if "derivation" in given.get("class", "").split():
            self.found.append((given.get("data-name", "a derivation"), given.get("data-compared", "")))


def derivations(pages: dict[Path, str]) -> str:
    """Return what the receipts page says of the derivations on all pages; the build ends here if one is unproved."""
    found = {path: Derivations(html).found for path, html in pages.items()}
    lacking = {path: [name for name, reference in shown if not reference] for path, shown in found.items()}
    if wrong := [f"{'/'.join(path.parts[-2:])} shows {', '.join(names)}" for path, names in lacking.items() if names]:
        how = "check_definition(definition, function, names of its arrays)"
        sys.exit("\n".join([*wrong, f"and nothing was compared with what it is derived from: run {how} before"]))
    references = sorted({reference for shown in found.values() for _, reference in shown}, key=str.casefold)
    count, names = sum(map(len, found.values())), ", ".join(f"<code>{escape(name)}</code>" for name in references)
    said = f"The definition behind each of the {count} derivations shown was compared as well, with a function that was"
    said += f" not made from it. The names of these functions, {len(references)} in all: {names}."
    return f"<p>{said}</p>" if count else ""


def receipts(html: str) -> list[Entry]:
    """Return those receipts of a page that can be read."""
    found = []
    for name, table in RECEIPT.findall(html):
        _, *lines = map(CELL.findall, ROW.findall(table))
        errors = [error for _, data, _, error, _ in lines if data == "float64" and error]
        found.append(Entry(name, sum(int(cases) for _, _, cases, _, _ in lines), max(errors, key=float, default="")))
    return found


def main() -> None:
    """Fill the place that the receipts page has for them."""
    site = Path(os.environ["QUARTO_PROJECT_OUTPUT_DIR"])
    paths = [*site.glob("index.html"), *sorted(site.glob("posts/*/index.html"))]
    pages = {path: path.read_text(encoding="utf-8") for path in paths}
    compared = derivations(pages)
    page = site / "posts" / "receipts" / "index.html"
    if not page.is_file():
        # Quarto also renders single pages, before there is a whole site.
        if not os.environ.get("QUARTO_PROJECT_RENDER_ALL"):
            return
        sys.exit(f"{page}, where the receipts are to be listed, does not exist: render the whole site")
    rows, total = [], 0
    for path, html in pages.items():
        title = TITLE.search(html)
        address = Path(os.path.relpath(path, page.parent)).as_posix()
        post = f'<a href="{address}">{title[1] if title else path.parent.name}</a>'
        found = receipts(html)
        if len(found) != html.count(OPENING):
            # None may be left out of the total in silence.
            sys.exit(f"{path} has {html.count(OPENING)} receipts, of which {len(found)} can be read")
        for name, cases, error in found:
            rows.append(f"<tr><td>{post}</td><td>{name}</td><td{RIGHT}>{cases}</td><td{RIGHT}>{error}</td></tr>")
            total += cases
            post = ""  # A post is named once, beside its first receipt.
    if not rows:
        sys.exit(f"no page below {site} has a receipt")
    head = f"<th>Post</th><th>Checked</th><th{RIGHT}>Comparisons</th><th{RIGHT}>Largest error in float64</th>"
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    said = f"<p><strong>{total:,} comparisons in {len(rows)} checks.</strong></p>{compared}"
    place = f'<div id="receipts">{said}<div class="table">{table}</div></div><!-- receipts -->'
    filled, places = PLACE.subn(lambda _: place, page.read_text(encoding="utf-8"))
    if places != 1:
        sys.exit(f"{page} has {places} places for the receipts and must have one")
    page.write_text(filled, encoding="utf-8")


if __name__ == "__main__":
    main()
