"""Lists the receipts of all rendered posts in the receipts page. Run by the render, after the pages are written."""

import os
import re
import sys
from pathlib import Path

TITLE = re.compile(r"<h1[^>]*>(.*?)</h1>", re.S)
RECEIPT = re.compile(r'<div class="receipt">.*?</table>', re.S)
NAME = re.compile(r"<strong>Checked: (.*?)</strong>", re.S)
ROW = re.compile(r"<tr[^>]*>(.*?)</tr>", re.S)
CELL = re.compile(r"<td[^>]*>(.*?)</td>", re.S)
PLACE = re.compile(r'<div id="receipts">.*?<!-- receipts -->', re.S)
RIGHT = ' style="text-align: right;"'


def main() -> None:
    """Fill the place that the receipts page has for them."""
    posts = Path(os.environ["QUARTO_PROJECT_OUTPUT_DIR"]) / "posts"
    page = posts / "receipts" / "index.html"
    rows, total = [], 0
    for path in sorted(posts.glob("*/index.html")):
        html = path.read_text(encoding="utf-8")
        title = TITLE.search(html)
        post = f'<a href="../{path.parent.name}/index.html">{title[1] if title else path.parent.name}</a>'
        for receipt in RECEIPT.findall(html) if path != page else []:
            _, *lines = map(CELL.findall, ROW.findall(receipt))
            cases = sum(int(cases) for _, _, cases, _, _ in lines)
            error = max((error for _, data, _, error, _ in lines if data == "float64" and error), key=float)
            name = "".join(NAME.findall(receipt))
            rows.append(f"<tr><td>{post}</td><td>{name}</td><td{RIGHT}>{cases}</td><td{RIGHT}>{error}</td></tr>")
            total, post = total + cases, ""
    head = f"<th>Post</th><th>Checked</th><th{RIGHT}>Comparisons</th><th{RIGHT}>Largest error in float64</th>"
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    said = f"<p><strong>{total:,} comparisons in {len(rows)} checks.</strong></p>"
    place = f'<div id="receipts">{said}<div class="table">{table}</div></div><!-- receipts -->'
    filled, places = PLACE.subn(lambda _: place, page.read_text(encoding="utf-8"))
    if places != 1 or not rows:
        sys.exit(f"{page} has {places} places for receipts and must have one; {len(rows)} receipts were found")
    page.write_text(filled, encoding="utf-8")


if __name__ == "__main__":
    main()
