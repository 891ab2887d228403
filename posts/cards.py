"""Draws card.png for each page: what is shown where a link to it is shared. Run by the render, before all else."""

import hashlib
import io
import re
import tempfile
from pathlib import Path
from typing import Any

import yaml
from PIL import Image
from PIL.PngImagePlugin import PngInfo

HERE = Path(__file__).parent
FONTS = HERE.parent / "src" / "qmdsite" / "fonts"
# The light colours of src/qmdsite/tokens.css.
PAGE, TEXT, QUIET, BLUE = "#fdfcf9", "#1d1f22", "#5c6067", "#1d5a96"
WIDTH, HEIGHT, MARGIN = 1200, 630, 90
FRONT_MATTER = re.compile(r"---[ \t]*\n(.*?)^(?:---|\.\.\.)[ \t]*$", re.M | re.S)
# Mathematics, code and emphasis: what stands between two marks of a kind.
MARKED = re.compile(r"(\$|`|\*+)(\S|\S.*?\S)\1")


def front_matter(source: Path) -> dict[str, Any]:
    """Return what a page says about itself; of what cannot be read, the render says what is wrong."""
    found = FRONT_MATTER.match(source.read_text(encoding="utf-8-sig"))
    try:
        options = yaml.safe_load(found[1]) if found else None
    except yaml.YAMLError:
        return {}
    return options if isinstance(options, dict) else {}


def draw(site: str, title: str, description: str) -> Image.Image:
    """Return a card: the name of the site, and what the page is about."""
    # Here, as they take longer than all else where nothing is drawn.
    from fontTools.ttLib import TTFont
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties
    from matplotlib.lines import Line2D

    figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72), dpi=72, facecolor=PAGE)

    def write(text: str, top: float, bottom: float, color: str, face: str, size: int) -> float:
        """Write as much of a text as fits between two heights; return where it ends."""
        font = TTFont(FONTS / f"{face}.woff2")
        font.flavor = None  # unpacked: matplotlib reads no woff2
        font.save(file := Path(folder, f"{face}.ttf"))
        place = {"x": MARGIN / WIDTH, "y": top / HEIGHT, "va": "top", "linespacing": 1.25, "parse_math": False}
        label = figure.text(s="", color=color, fontproperties=FontProperties(fname=file, size=size), **place)

        def fits(lines: list[str]) -> bool:
            label.set_text("\n".join(lines))
            extent = label.get_window_extent()
            return extent.width <= WIDTH - 2 * MARGIN and extent.y0 >= bottom

        lines: list[str] = []
        for word in text.split():
            if lines and fits([*lines[:-1], f"{lines[-1]} {word}"]):
                lines[-1] += f" {word}"
            elif fits([*lines, word]):
                lines.append(word)
            else:
                *lines, last = lines or [word]
                while last and not fits([*lines, f"{last}…"]):
                    last = last[:-1].rstrip()
                break
        return label.get_window_extent().y0

    with tempfile.TemporaryDirectory() as folder:
        write(site, HEIGHT - 70, HEIGHT - 140, BLUE, "sans-bold", 34)
        end = write(title, HEIGHT - 150, 150, TEXT, "text-bold", 62)
        write(description, end - 34, 50, QUIET, "text", 32)
        figure.add_artist(Line2D([0, 1], [0, 0], color=BLUE, linewidth=28))
        figure.savefig(drawn := io.BytesIO(), format="png")
    # Text needs few colours, and with these the file is a third of its size.
    return Image.open(drawn).convert("RGB").quantize(32)


def digest_of(card: Path) -> str | None:
    """Return what a card was drawn from, as it is noted in its file; nothing of one that is not whole."""
    try:
        with Image.open(card) as image:
            image.load()
            return image.info.get("digest")
    except OSError:
        return None


def main() -> None:
    """Draw the cards that are missing, or whose page or drawing has changed."""
    site = yaml.safe_load((HERE.parent / "_quarto.yml").read_text(encoding="utf-8"))["website"]["title"]
    drawing = b"".join(file.read_bytes() for file in (Path(__file__), *sorted(FONTS.glob("*.woff2"))))
    for source in [HERE.parent / "index.qmd", *sorted(HERE.glob("*/index.qmd"))]:
        # The home page's lies here too: there are no images beside it.
        card = (HERE if source.parent == HERE.parent else source.parent) / "card.png"
        page = front_matter(source)
        words = [MARKED.sub(r"\2", str(each or "")) for each in (site, page.get("title"), page.get("description"))]
        digest = hashlib.sha256(repr(words).encode() + drawing).hexdigest()
        if digest_of(card) != digest:
            (note := PngInfo()).add_text("digest", digest)
            draw(*words).save(new := card.with_name(".card.png"), optimize=True, pnginfo=note)
            new.replace(card)


if __name__ == "__main__":
    main()
