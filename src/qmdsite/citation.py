"""How a page is cited."""

import re
from typing import Any

from qmdsite.convert import literal
from qmdsite.project import Project, out, texts
from qmdsite.source import Page


def entry(project: Project, page: Page) -> dict[str, Any]:
    """Return the page as pandoc's bibliographies describe a work; what it lacks for that is complained of."""
    authors, site = (
        [name for name in texts(page.options.get("author")) if name.strip()],
        project.website.get("site-url"),
    )
    lacking = [] if authors else ["an author: add 'author: …' to the page"]
    lacking += [] if site else ["an address: add 'site-url: …' to 'website' in _quarto.yml"]
    if lacking:
        project.problems.append(page.problem("citation", f"'citation: true' needs {', and '.join(lacking)}"))
        return {}
    names = [name.rpartition(" ") for name in authors]
    date = str(page.meta.get("date", ""))[:10]
    family = re.sub(r"\W", "", names[0][2]).lower()
    return {
        "id": f"{family}{date[:4]}",
        "type": "webpage",
        "title": page.meta["title"],
        "author": [
            {"family": literal(last)} | ({"given": literal(first)} if first else {}) for first, _, last in names
        ],
        **({"issued": date} if date else {}),
        "url": literal(re.sub(r"/index\.html$", "/", project.address(out(page.path)))),
        "language": page.options.get("lang", "en"),
    }
