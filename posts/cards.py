"""Draws card.png for each page: what is shown where a link to it is shared. Run by the render, before all else."""

import hashlib
import io
import tempfile
from pathlib import Path

import yaml
from fontTools.ttLib import TTFont
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.text import Text
from PIL import Image
from PIL.PngImagePlugin import PngInfo

HERE = Path(__file__).parent
FONTS = HERE.parent / "src" / "qmdsite" / "fonts"
# The light colours of src/qmdsite/tokens.css.
PAGE, TEXT, QUIET, BLUE = "#fdfcf9", "#1d1f22", "#5c6067", "#1d5a96"
WIDTH, HEIGHT, MARGIN = 1200, 630, 90


def front_matter(source: Path) -> dict[str, str]:
    """Return what a page says about itself."""
    _, options, _ = source.read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(options)


def font(name: str, size: int, folder: str) -> FontProperties:
    """Return a font of the site, unpacked: matplotlib reads no woff2."""
    file = Path(folder) / f"{name}.ttf"
    if not file.exists():
        unpacked = TTFont(FONTS / f"{name}.woff2")
        unpacked.flavor = None
        unpacked.save(file)
    return FontProperties(fname=file, size=size)


def wrap(label: Text, width: float) -> None:
    """Break the lines of a text so that none is wider than `width` pixels."""
    lines: list[str] = []
    for word in label.get_text().split():
        label.set_text(" ".join([*lines[-1:], word]))
        if lines and label.get_window_extent().width <= width:
            lines[-1] = label.get_text()
        else:
            lines.append(word)
    label.set_text("\n".join(lines))


def draw(site: str, title: str, description: str) -> Image.Image:
    """Return a card: the name of the site, and what the page is about."""
    figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72), dpi=72, facecolor=PAGE)
    with tempfile.TemporaryDirectory() as folder:

        def write(text: str, top: float, color: str, face: str, size: int) -> Text:
            place = {"x": MARGIN / WIDTH, "y": top / HEIGHT, "va": "top", "linespacing": 1.25, "parse_math": False}
            label = figure.text(s=text, color=color, fontproperties=font(face, size, folder), **place)
            wrap(label, WIDTH - 2 * MARGIN)
            return label

        write(site, HEIGHT - 70, BLUE, "sans-bold", 34)
        heading = write(title, HEIGHT - 150, TEXT, "text-bold", 62)
        write(description, heading.get_window_extent().y0 - 34, QUIET, "text", 32)
        figure.add_artist(Line2D([0, 1], [0, 0], color=BLUE, linewidth=28))
        figure.savefig(drawn := io.BytesIO(), format="png")
    # Text needs few colours, and with these the file is a third of its size.
    return Image.open(drawn).convert("RGB").quantize(32)


def digest_of(card: Path) -> str | None:
    """Return what a card was drawn from, as it is noted in its file."""
    with Image.open(card) as image:
        return image.info.get("digest")


def main() -> None:
    """Draw the cards that are missing, or whose page or drawing has changed."""
    site = yaml.safe_load((HERE.parent / "_quarto.yml").read_text(encoding="utf-8"))["website"]["title"]
    for source in [HERE.parent / "index.qmd", *sorted(HERE.glob("*/index.qmd"))]:
        # The home page's lies here too: there are no images beside it.
        card = (HERE if source.parent == HERE.parent else source.parent) / "card.png"
        page = front_matter(source)
        words = site, page["title"], page["description"]
        digest = hashlib.sha256(repr(words).encode() + Path(__file__).read_bytes()).hexdigest()
        if not card.exists() or digest_of(card) != digest:
            (note := PngInfo()).add_text("digest", digest)
            draw(*words).save(card, optimize=True, pnginfo=note)


if __name__ == "__main__":
    main()
