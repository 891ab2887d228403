"""Puts the first sentence of a glossary's entry on each page that links to it, for glossary.js to show beside the link.

Run by the render, after the pages are written.
"""

import os
import re
import sys
from html import escape
from pathlib import Path

from lxml import html

LINK = re.compile(r'<a [^>]*href="[^"]*glossary/index\.html#([\w-]+)"')
SENTENCE = re.compile(r".*?[.](?=\s|$)", re.S)
END = "<!-- meanings -->"
PLACE = re.compile(rf'(?:<div id="meanings">(?:(?!{END}).)*{END}\n)?(?=</body>)', re.S)


def meanings(page: str) -> dict[str, str]:
    """Return the first sentence of each section of the glossary, as text, by the section's anchor."""
    found = {}
    for section in html.fromstring(page).xpath("//main//section[@id]"):
        text = " ".join("".join(paragraph.text_content() for paragraph in section.xpath("p[1]")).split())
        if sentence := SENTENCE.match(text):
            found[section.get("id")] = sentence[0]
    return found


def with_meanings(page: str, known: dict[str, str], script: str) -> str:
    """Return a page with what the words mean that it links, in the place of what an earlier render put there."""
    words = sorted({word for word in LINK.findall(page) if word in known})
    told = "".join(f'<p id="meaning-{word}" hidden>{escape(known[word], quote=False)}</p>' for word in words)
    block = f'<div id="meanings">{told}<script src="{script}" defer></script></div>{END}\n' if words else ""
    return PLACE.sub(lambda _: block, page, count=1)


def main() -> None:
    """Do it on all pages."""
    site = Path(os.environ["QUARTO_PROJECT_OUTPUT_DIR"])
    glossary = site / "posts" / "glossary" / "index.html"
    if not glossary.is_file():
        # Quarto also renders single pages, before there is a whole site.
        if not os.environ.get("QUARTO_PROJECT_RENDER_ALL"):
            return
        sys.exit(f"{glossary}, which says what words mean, does not exist: render the whole site")
    known = meanings(glossary.read_text(encoding="utf-8"))
    for path in [site / "index.html", *sorted(site.glob("posts/*/index.html"))]:
        script = Path(os.path.relpath(site / "posts" / "glossary.js", path.parent)).as_posix()
        before = path.read_text(encoding="utf-8") if path.is_file() else ""
        after = with_meanings(before, known, script)
        if after != before:
            path.write_text(after, encoding="utf-8")


if __name__ == "__main__":
    main()
