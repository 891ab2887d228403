"""What the template shows around a page's body."""

import datetime
import os
import re
from pathlib import PurePosixPath
from typing import Any

from qmdsite.citation import entry
from qmdsite.convert import literal
from qmdsite.project import FIELDS, Project, out, texts
from qmdsite.source import Page

LIBS = "site_libs/qmdsite"


def context(project: Project, page: Page) -> dict[str, Any]:
    """Return all that the template shows around the page's body, as pandoc's metadata."""

    def relative(target: str) -> str:
        return os.path.relpath(target, PurePosixPath(page.path).parent)

    def link(text: str, target: str, attributes: str = "") -> str:
        elsewhere = re.match(r"[a-z][a-z0-9+.-]*:|#", target)
        # A bracket that is neither code nor mathematics nor escaped could end the text.
        text = re.sub(r"(`[^`]*`|\$[^$]*\$|\\.)|[][]", lambda found: found[1] or f"\\{found[0]}", text)
        return f"[{text}](<{target if elsewhere else relative(target)}>){attributes}"

    def date(each: Page, name: str) -> str:
        try:
            day = datetime.date.fromisoformat(str(each.meta[name])[:10])
        except ValueError:
            words = f"{name} is '{each.meta[name]}', and must be a day such as 2026-01-31"
            project.problems.append(each.problem(name, words))
            return ""
        return f"{day:%B} {day.day}, {day.year}"

    def shown(each: Page) -> dict[str, Any]:
        home = next(iter(project.listings), "index.qmd")
        about: dict[str, Any] = {"link": link(each.meta["title"], each.path)}
        about["author"] = [literal(name) for name in texts(each.options.get("author"))]
        names = each.meta.get("categories", [])
        about["categories"] = [link(literal(name), f"{home}#category={name}") for name in names]
        about |= {key: each.meta[key] for key in ("title", "subtitle", "description") if key in each.meta}
        return about | {key: date(each, key) for key in ("date", "date-modified") if key in each.meta}

    options, website = page.options, project.website
    brand = literal(website.get("title", ""))
    order = next(iter(project.listings.values()), [])
    meta = shown(page) | {
        "lang": options.get("lang", "en"),
        "description-meta": literal(page.meta.get("description", website.get("description", ""))),
        "site-title": brand,
        "brand": link(brand, "index.qmd", "{.brand}") if "index.qmd" in project.pages else f"[{brand}]{{.brand}}",
        "libs": literal(relative(LIBS)),
        "css": [literal(relative(name)) for name in (f"{LIBS}/tokens.css", f"{LIBS}/site.css", *project.css)],
        "toc-title": literal(options.get("toc-title", "On this page")),
        "footer": website.get("page-footer", ""),
        "number-sections": options.get("number-sections", False),
        "link-citations": options.get("link-citations", True),
        "reference-section-title": "References",
    }
    if "ipynb" in options.get("format", {}):
        meta["notebook"] = link("Download as notebook", out(page.path, ".ipynb"), "{download=''}")
    if "site-url" in website:
        meta["address"] = literal(f"{website['site-url'].rstrip('/')}/{out(page.path)}")
    if options.get("citation"):
        meta["citation"] = entry(project, page)
    for side, items in website.get("navbar", {}).items():
        here = {page.path: "{aria-current=page}"}
        pairs = [(literal(item.get("text", "")), item.get("href", "")) for item in items]
        meta[side] = [link(text, target, here.get(target, "")) for text, target in pairs]
    if page.path in project.listings:
        fields = [*page.meta["listing"].get("fields", FIELDS), "link"]
        meta["listing"] = {"id": page.meta["listing"].get("id", "listing-listing"), "items": [
            {key: value for key, value in shown(each).items() if key in fields}
            | {"tags": literal("|".join(each.meta.get("categories", [])))} for each in project.listings[page.path]
        ]}  # fmt: skip
    if website.get("page-navigation") and page in order:
        at = order.index(page)
        near = [(rel, i) for rel, i in (("prev", at - 1), ("next", at + 1)) if 0 <= i < len(order)]
        meta["neighbours"] = [link(order[i].meta["title"], order[i].path, f"{{rel={rel}}}") for rel, i in near]
    return {key: value for key, value in meta.items() if value not in ("", [], {})}
