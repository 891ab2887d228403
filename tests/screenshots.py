"""Pictures of the rendered site, to be looked at: `make screenshots` leaves them in screenshots/."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from conftest import CHROMIUM, ROOT, chromium, serving
from playwright.sync_api import Page

SITE, FOLDER = ROOT / "_site", ROOT / "screenshots"
WIDTHS = {"wide": 1280, "narrow": 390}
HEIGHT = 900

# Where the most display equations stand in one window.
DENSEST = """() => {
  const tops = [...document.querySelectorAll("main .equation")].filter((part) => part.checkVisibility())
    .map((part) => scrollY + part.getBoundingClientRect().top);
  const inside = (top) => tops.filter((each) => each >= top && each < top + innerHeight - 100).length;
  return tops.length ? tops.reduce((best, top) => (inside(top) > inside(best) ? top : best)) - 60 : null;
}"""


def shoot(page: Page, address: str, name: str, label: str) -> Iterator[str]:
    """Take a page's top and its stretch of most equations; return the files."""
    page.goto(f"{address}{name}index.html")
    page.evaluate("document.fonts.ready")
    post = Path(name).name or "home"
    taken = {"top": 0, "equations": page.evaluate(DENSEST) if name else None}
    for place, top in taken.items():
        if top is not None:
            page.evaluate("top => scrollTo({ top, behavior: 'instant' })", top)
            page.wait_for_timeout(150)  # until the contents have followed
            file = f"{post}-{place}-{label}.png"
            page.screenshot(path=FOLDER / file)
            yield file


def main() -> None:
    if not CHROMIUM:
        sys.exit("screenshots: no chromium on the PATH; install it (on Debian: apt install chromium)")
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    names = ["", *(f"posts/{page.parent.name}/" for page in sorted(SITE.glob("posts/*/index.html")))]
    files: list[str] = []
    with serving(SITE) as address, chromium() as browser:
        for scheme in ("light", "dark"):
            for label, width in WIDTHS.items():
                page = browser.new_page(viewport={"width": width, "height": HEIGHT}, color_scheme=scheme)
                for name in names:
                    files += shoot(page, address, name, f"{scheme}-{label}")
                page.close()
    files.sort()
    shown = "\n".join(
        f'<figure><img src="{file}" alt="" loading="lazy"><figcaption>{file}</figcaption></figure>' for file in files
    )
    style = "body { display: flex; flex-wrap: wrap } figure { margin: 1rem } img { height: 30rem; border: 1px solid }"
    head = f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Screenshots</title><style>{style}</style>'
    (FOLDER / "index.html").write_text(f"{head}\n{shown}\n")
    print(f"{FOLDER}: {len(files)} pictures; open index.html")


if __name__ == "__main__":
    main()
