"""The phase that puts a page together: its parts, and around them what others say of it, in a template."""

import math
import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from qmdsite.page import Article, Page
from qmdsite.paths import HERE, LIBS, NOT_FOUND, out, png_size, relative, rooted
from qmdsite.project import Project, authors, day

FIELDS = ("title", "date", "author", "description", "categories")
TEMPLATES = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE), autoescape=True, trim_blocks=True)
# The fonts that are used at the top of every page, and those for mathematics and code where there is some.
FONTS = ("fonts/text", "fonts/text-bold", "fonts/sans", "fonts/sans-bold")


@dataclass(frozen=True)
class Link:
    """What an element <a> is made of; text without a link has no address."""

    text: str
    href: str = ""
    attributes: list[tuple[str, str]] = field(default_factory=list)


def wrap(project: Project, articles: dict[str, Article], page: Page, texts: dict[str, str]) -> bytes:
    """Return a page of the site; `texts` are those of the settings as HTML, by their Markdown."""
    about = _about(project, articles, page)
    listing = _listing(project, articles, page)
    article, body = articles[page.path], articles[page.path].body
    about_text = article.plain_description or Markup(texts.get(project.website.get("description", ""), "")).striptags()
    if listing:
        place = rf'<div id="{re.escape(_listing_id(page))}"[^>]*>\s*</div>'
        body, placed = re.subn(place, lambda _: listing, body)
        listing = "" if placed else listing
    about |= {
        "body": Markup(body),
        "listing_below": Markup(listing),
        "citation": Markup(article.citation),
        "toc": Markup(article.toc),
        "neighbours": _neighbours(project, articles, page),
        "about": about_text,
    }
    site = _site(project, articles, page, texts)
    return TEMPLATES.get_template("page.html").render(page=about, site=site).encode()


def _to(page: Page, target: str) -> str:
    """Return the address, as a page links to it, of what is named from the project's folder."""
    if re.match(r"[a-z][a-z0-9+.-]*:|#|//", target):
        return target
    name, mark, fragment = target.lstrip("/").partition("#")
    return quote(relative(out(name) if name.endswith(".qmd") else name, page.path), safe="/%?=&:.~") + mark + fragment


def _from(page: Page, text: str) -> Markup:
    """Return HTML of the settings with its paths, which are from the project's folder, from that of a page."""
    return Markup(re.sub(r'( (?:href|src)=")([^"]*)', lambda found: found[1] + _to(page, found[2]), text))


def _about(project: Project, articles: dict[str, Article], page: Page) -> dict[str, Any]:
    """Return what the page says of itself, in the form in which it is shown."""
    article, options = articles[page.path], page.options
    listed = project.listed_on(page)
    feeds = [path for path in listed if "feed" in project.pages[path].meta.get("listing")]
    fonts = [*FONTS, *["fonts/mono"] * ("<code" in article.body),
             *["math", "fonts/text-italic"] * ("<math" in article.body)]  # fmt: skip
    icon = project.website.get("favicon", f"{LIBS}/icon.svg")
    about = {
        "lang": options.get("lang", "en"),
        "plain_title": article.plain_title,
        "subtitle": Markup(article.subtitle),
        "libs": relative(LIBS, page.path),
        "icon": _to(page, icon),
        "css": [relative(name, page.path) for name in (f"{LIBS}/tokens.css", f"{LIBS}/site.css", *project.css)],
        "fonts": fonts,
        "toc_title": options.get("toc-title", "On this page"),
        "modified": _date(page, "date-modified"),
        **_shown(project, articles, page, page),
    }
    about["authors"] = about.pop("author")
    if "ipynb" in options.get("format", {}):
        about["notebook"] = Link("Download as notebook", _to(page, out(page.path, ".ipynb")), [("download", "")])
    if tools := options.get("code-tools"):
        about["source"] = Link(
            tools.get("caption", "Source"), quote(PurePosixPath(page.path).name), [("class", "source")]
        )
    if "site-url" in project.website and page.path != NOT_FOUND:
        about["address"] = project.address(out(page.path))
        about["picture"] = _picture(project, page)
    if feeds:
        about["feed"] = relative(out(feeds[0], ".xml"), page.path)
    return about


def _date(page: Page, name: str = "date") -> str:
    date = day(page, name)
    return f"{date:%B} {date.day}, {date.year}" if date else ""


def _shown(project: Project, articles: dict[str, Article], each: Page, page: Page) -> dict[str, Any]:
    """Return what is shown of a page on itself and in listings of other pages, with links from `page`."""
    article = articles[each.path]
    home = next(iter(project.listed_on(each)), next(iter(project.listings), "index.qmd"))
    categories = each.meta.get("categories", [])
    return {
        "title": Markup(article.title),
        "link": Link(Markup(article.title), _to(page, each.path)),
        "description": Markup(article.description),
        "date": _date(each),
        "author": [Link(author.name, author.url) for author in authors(each.options)],
        "categories": [Link(name, f"{_to(page, home)}#category={quote(name)}") for name in categories],
        "tags": "|".join(categories),
        # As Quarto's listings count it: 200 words of source a minute.
        "reading_time": f"{max(1, math.ceil(each.words / 200))} min read" if "date" in each.meta.values else "",
    }


def _listing_id(page: Page) -> str:
    return str(page.meta.get("listing").get("id", "listing-listing"))


def _listing(project: Project, articles: dict[str, Article], page: Page) -> str:
    """Return the list of other pages that a page shows, or nothing."""
    if page.path not in project.listings:
        return ""
    wanted = page.meta.get("listing")
    fields = {name.replace("-", "_") for name in wanted.get("fields", FIELDS)} | {"link", "tags"}
    shown = [_shown(project, articles, each, page) for each in project.listings[page.path]]
    items = [{key: value for key, value in each.items() if key in fields} for each in shown]
    template = TEMPLATES.get_template("listing.html")
    return template.render(id=_listing_id(page), filter=wanted.get("categories"), items=items)


def _neighbours(project: Project, articles: dict[str, Article], page: Page) -> list[Link]:
    """Return links to the pages before and after a page in the listing that it is in."""
    order = next((pages for pages in project.listings.values() if page in pages), [])
    if not (project.website.get("page-navigation") and order):
        return []
    at = order.index(page)
    near = [(rel, order[i]) for rel, i in (("prev", at - 1), ("next", at + 1)) if 0 <= i < len(order)]
    return [Link(Markup(articles[each.path].title), _to(page, each.path), [("rel", rel)]) for rel, each in near]


def _site(project: Project, articles: dict[str, Article], page: Page, texts: dict[str, str]) -> dict[str, Any]:
    """Return what is on every page: the bar and the footer."""
    website, navbar = project.website, project.website.get("navbar", {})
    title = website.get("title", "")
    brand = navbar.get("title", title)
    home = Link(brand, _to(page, "index.qmd"), [("class", "brand")]) if "index.qmd" in project.pages else Link(brand)
    footer = website.get("page-footer", [])
    parts = [footer.get(part) for part in ("left", "center", "right")] if isinstance(footer, dict) else [footer]
    return {
        "title": title,
        "brand": home if brand else None,
        "search": website.get("search", True),
        "open_graph": website.get("open-graph"),
        "twitter_card": website.get("twitter-card"),
        **{side: [_item(project, articles, page, item) for item in navbar.get(side, [])] for side in ("left", "right")},
        "footer": [
            _from(page, texts[part])
            if isinstance(part, str)
            else [_item(project, articles, page, item) for item in part]
            for part in parts
            if part
        ],
    }


def _item(project: Project, articles: dict[str, Article], page: Page, item: Any) -> Link:
    """Return the link that an item of the bar or of the footer is."""
    item = item if isinstance(item, dict) else {"href": item}
    href, icon = item.get("href", ""), item.get("icon", "")
    target = articles.get(href.lstrip("/"))
    text = item.get("text") or item.get("aria-label") or icon.capitalize() or (Markup(target.title) if target else href)
    here = [("aria-current", "page")] if href.lstrip("/") == page.path else []
    return Link(text, _to(page, href) if href else "", here)


def _picture(project: Project, page: Page) -> dict[str, Any]:
    """Return what a page's preview on other sites shows as its picture."""
    if not (image := page.meta.get("image")):
        return {}
    path = rooted(image, str(PurePosixPath(page.path).parent))
    size = png_size(project.root / path) if (project.root / path).is_file() else None
    width, height = size or ("", "")
    address = image if re.match("https?://", image) else project.address(path)
    return {"address": address, "width": width, "height": height, "alt": page.meta.get("image-alt", "")}
