"""What the template shows around a page's body."""

import datetime
import math
import os
import re
import struct
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from qmdsite.citation import entry
from qmdsite.convert import literal
from qmdsite.project import FIELDS, NOT_FOUND, Project, out, texts
from qmdsite.source import Page

LIBS = "site_libs/qmdsite"


def reading_time(page: Page) -> str:
    """Return how long a page takes to read, as Quarto's listings count it: 200 words of source a minute."""
    words = sum(len((part if isinstance(part, str) else part.code).split()) for part in page.parts)
    return f"{max(1, math.ceil(words / 200))} min read"


def social(project: Project, page: Page) -> dict[str, Any]:
    """Return what a page's preview on other sites shows, by the names that the template gives to Open Graph's."""
    meta: dict[str, Any] = {name: project.website.get(name, False) for name in ("open-graph", "twitter-card")}
    meta["og-type"] = "article" if "date" in page.meta else "website"
    if name := page.meta.get("image"):
        path = os.path.normpath(PurePosixPath(page.path).parent / name)
        file, elsewhere = project.root / path, re.match("https?://", name)
        meta |= {
            "image": {"address": literal(name if elsewhere else project.address(path))},
            "image-alt": literal(page.meta.get("image-alt", "")),
        }
        if file.suffix == ".png" and file.is_file():
            with file.open("rb") as data:
                start = data.read(24)
            if len(start) < 24 or not start.startswith(b"\x89PNG"):
                project.problems.append(page.problem(name, f"'{name}' is no PNG picture; make it again"))
                return meta
            width, height = struct.unpack(">II", start[16:])
            meta["image"] |= {"width": str(width), "height": str(height)}
    return meta


def context(project: Project, page: Page) -> dict[str, Any]:
    """Return all that the template shows around the page's body, as pandoc's metadata."""

    def relative(target: str) -> str:
        return os.path.relpath(target, PurePosixPath(page.path).parent)

    def link(text: str, target: str, attributes: str = "") -> str:
        elsewhere = re.match(r"[a-z][a-z0-9+.-]*:|#", target)
        # A bracket that is neither code nor mathematics nor escaped could end the text.
        text = re.sub(r"(`[^`]*`|\$[^$]*\$|\\.)|[][]", lambda found: found[1] or f"\\{found[0]}", text)
        target = re.sub("[<>]", lambda found: quote(found[0]), target if elsewhere else relative(target))
        return f"[{text}](<{target}>){attributes}"

    def date(each: Page, name: str) -> str:
        try:
            day = datetime.date.fromisoformat(str(each.meta[name])[:10])
        except ValueError:
            words = f"{name} is '{each.meta[name]}', and must be a day such as 2026-01-31"
            project.problems.append(each.problem(name, words))
            return ""
        return f"{day:%B} {day.day}, {day.year}"

    def listed(each: Page) -> list[str]:
        return [path for path, pages in project.listings.items() if path == each.path or each in pages]

    def shown(each: Page) -> dict[str, Any]:
        home = next(iter(listed(each)), next(iter(project.listings), "index.qmd"))
        about: dict[str, Any] = {"link": link(each.meta["title"], each.path)}
        about["author"] = [literal(name) for name in texts(each.options.get("author"))]
        names = each.meta.get("categories", [])
        about["categories"] = [link(literal(name), f"{home}#category={name}") for name in names]
        about |= {key: each.meta[key] for key in ("title", "subtitle", "description") if key in each.meta}
        about |= {key: date(each, key) for key in ("date", "date-modified") if key in each.meta}
        return about | ({"reading-time": reading_time(each)} if "date" in each.meta else {})

    options, website = page.options, project.website
    brand = literal(website.get("title", ""))
    order = next((pages for pages in project.listings.values() if page in pages), [])
    meta = shown(page) | {
        "lang": options.get("lang", "en"),
        "description-meta": page.meta.get("description", website.get("description", "")),
        "site-title": brand,
        "brand": link(brand, "index.qmd", "{.brand}") if "index.qmd" in project.pages else f"[{brand}]{{.brand}}",
        "libs": literal(relative(LIBS)),
        "css": [literal(relative(name)) for name in (f"{LIBS}/tokens.css", f"{LIBS}/site.css", *project.css)],
        "toc-title": literal(options.get("toc-title", "On this page")),
        "footer": website.get("page-footer", ""),
        "number-sections": options.get("number-sections", False),
        "link-citations": options.get("link-citations", True),
        "reference-section-title": "References",
        "search": website.get("search", True),
    }
    if "ipynb" in options.get("format", {}):
        meta["notebook"] = link("Download as notebook", out(page.path, ".ipynb"), "{download=''}")
    if tools := options.get("code-tools"):
        meta["source"] = link(literal(tools.get("caption", "Source")), page.path, "{.source}")
    if "site-url" in website and page.path != NOT_FOUND:
        meta["address"] = literal(project.address(out(page.path)))
        meta |= social(project, page)
    if feeds := [path for path in listed(page) if "feed" in project.pages[path].meta["listing"]]:
        meta["feed"] = literal(relative(out(feeds[0], ".xml")))
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
