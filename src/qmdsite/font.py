"""The mathematics font: STIX Two Math, cut down to the characters of the pages. Quarto runs this after a render."""

import html
import importlib.util
import io
import os
import re
from collections.abc import Iterable
from pathlib import Path

# What a browser draws and no page has written: a lone <mi>x</mi> in mathematical italic, which has code points of its
# own, also without a dot, the minus of <mo>-</mo>, and the root of <msqrt> and <mroot>.
ITALIC = [*range(0x1D434, 0x1D468), *range(0x1D6A4, 0x1D6A6), *range(0x1D6E2, 0x1D71C), 0x210E]
ALWAYS = [*range(0x20, 0x7F), *range(0x391, 0x3CA), *ITALIC, 0x2212, 0x221A]


def characters(pages: Iterable[str]) -> str:
    """Return every character of the mathematics on the pages, in order, each once."""
    used = {chr(code) for code in ALWAYS}
    for math in re.findall(r"<math.*?</math>", "".join(pages), flags=re.S):
        used.update(html.unescape(re.sub(r"<annotation.*?</annotation>|<[^>]*>", "", math, flags=re.S)))
    return "".join(sorted(used - {"\n", "\t"}))


def subset(text: str) -> bytes:
    """Return the font as woff2 with the characters of `text` and what stretches them."""
    from fontTools import subset, ttLib

    # Found, not imported: importing ziamath loads its whole renderer.
    spec = importlib.util.find_spec("ziamath")
    file = Path(spec.origin or "" if spec else "").parent / "fonts/STIXTwoMath-Regular.ttf"
    # The measures of the whole font hold for a part of it; to take them anew takes a tenth of a second.
    font = ttLib.TTFont(file, recalcTimestamp=False, recalcBBoxes=False)
    worker = subset.Subsetter(subset.Options(layout_features=["*"], hinting=False))
    worker.populate(text=text)
    worker.subset(font)
    font.flavor = "woff2"
    font.save(result := io.BytesIO())
    return result.getvalue()


def main() -> None:
    """Write the font beside the style sheet that names it, where Quarto has copied that to."""
    site = Path(os.environ["QUARTO_PROJECT_OUTPUT_DIR"])
    for tokens in site.glob("src/qmdsite/tokens.css"):
        pages = (page.read_text(encoding="utf-8") for page in sorted(site.rglob("*.html")))
        tokens.with_name("math.woff2").write_bytes(subset(characters(pages)))


if __name__ == "__main__":
    main()
