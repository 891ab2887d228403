"""The mathematics font: STIX Two Math, cut down to the characters the pages use."""

import html
import importlib.resources
import io
import re
from collections.abc import Iterable

# Letters and Greek, as a browser shows a lone <mi>x</mi>: in mathematical italic, which has its own code points.
ALWAYS = [*range(0x20, 0x7F), *range(0x391, 0x3CA), *range(0x1D434, 0x1D468), *range(0x1D6E2, 0x1D71C), 0x210E]


def characters(pages: Iterable[str]) -> str:
    """Return every character that stands in mathematics on the pages, in order, each once."""
    used = {chr(code) for code in ALWAYS}
    for page in pages:
        for math in re.findall(r"<math.*?</math>", page, flags=re.S):
            shown = re.sub(r"<annotation.*?</annotation>|<[^>]*>", "", math, flags=re.S)
            used.update(html.unescape(shown))
    return "".join(sorted(used - {"\n", "\t"}))


def subset(text: str) -> bytes:
    """Return the font as woff2 with `text`'s characters and what stretching them needs."""
    from fontTools import subset, ttLib

    source = importlib.resources.files("ziamath") / "fonts" / "STIXTwoMath-Regular.ttf"
    font = ttLib.TTFont(io.BytesIO(source.read_bytes()), recalcTimestamp=False)
    options = subset.Options(layout_features=["*"], notdef_outline=True, hinting=False, drop_tables=["FFTM", "DSIG"])
    worker = subset.Subsetter(options)
    worker.populate(text=text)
    worker.subset(font)
    font.flavor = "woff2"
    file = io.BytesIO()
    font.save(file)
    return file.getvalue()
