"""The phase that makes the index that the pages' search asks, with pagefind."""

import base64
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from qmdsite.cache import Cache, digest
from qmdsite.markup import main, written
from qmdsite.page import Page
from qmdsite.paths import out
from qmdsite.problem import FailedCell

COMMAND = ("-m", "pagefind", "--keep-index-url")
# Of what pagefind writes, all but the dialogs that it offers: pages have their own.
NEEDED = ("pagefind.js", "pagefind-worker.js", "pagefind-entry.json", "*.pf_meta", "wasm.*", "fragment/*", "index/*")


def index(pages: list[Page], files: dict[str, bytes], cache: Cache) -> dict[str, bytes]:
    """Return the files of the index over the text of the pages."""
    found = {out(page.path): files[out(page.path)] for page in pages}
    key = digest("index", *(part for each in found.items() for part in each))
    encoded = cache.get_or_make(key, lambda: json.dumps(_indexed(found)).encode())
    return {name: base64.b64decode(data) for name, data in json.loads(encoded).items()}


def _indexed(pages: dict[str, bytes]) -> dict[str, str]:
    """Return the files that pagefind makes of pages, as base64."""
    with tempfile.TemporaryDirectory() as folder:
        site, target = Path(folder, "site"), Path(folder, "pagefind")
        for name, page in pages.items():
            (site / name).parent.mkdir(parents=True, exist_ok=True)
            (site / name).write_bytes(text(page))
        command = [sys.executable, *COMMAND, "--site", str(site), "--output-path", str(target)]
        ran = subprocess.run(command, capture_output=True, text=True)
        if ran.returncode:
            output = f"{ran.stdout}{ran.stderr}".rstrip()
            raise FailedCell(f"pagefind, which makes the index that the search asks, failed:\n{output}")
        found = sorted(file for pattern in NEEDED for file in target.glob(pattern))
        return {str(file.relative_to(folder)): base64.b64encode(file.read_bytes()).decode() for file in found}


def text(page: bytes) -> bytes:
    """Return a page with what is worth finding: prose, code, and formulas within a line, but without their TeX."""
    root, content = main(page)
    for name in ("math[@display='block']", "annotation", "a[@class='equation-number']", "div[@class='about']"):
        for element in content.xpath(f".//{name}"):
            element.drop_tree()
    for heading in content.xpath(".//section[@id]/*[1]"):
        # Where a result leads: pagefind looks at headings only.
        heading.set("id", heading.getparent().attrib.pop("id"))
    return written(root).encode()
