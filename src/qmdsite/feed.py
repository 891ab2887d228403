"""The phase that writes the feeds of listings, with the whole text of their pages."""

import datetime
from typing import Any

from qmdsite.markup import main, plain_code, words, written
from qmdsite.page import Page
from qmdsite.paths import out
from qmdsite.project import Project, authors, day


def feeds(project: Project, files: dict[str, bytes]) -> dict[str, bytes]:
    """Return the feeds that listings ask for."""
    pages = [project.pages[path] for path in project.listings]
    return {out(page.path, ".xml"): feed(project, page, files) for page in pages if "feed" in page.meta.get("listing")}


def moment(page: Page) -> datetime.datetime:
    """Return the beginning of a page's day in UTC."""
    return datetime.datetime.combine(day(page) or datetime.date.min, datetime.time(), datetime.UTC)


def feed(project: Project, page: Page, files: dict[str, bytes]) -> bytes:
    """Return the feed of a page's listing as RSS 2.0, the newest first."""
    wanted, website = page.meta.get("listing")["feed"], project.website
    items = sorted(project.listings[page.path], key=moment, reverse=True)[: wanted.get("items", 20)]
    # Imported here, as most sites have no feed.
    from feedgen.feed import FeedGenerator

    rss: Any = FeedGenerator()
    rss.load_extension("dc")
    rss.title(wanted.get("title", website["title"]))
    about = main(files[out(page.path)])[0].xpath("string(//meta[@name='description']/@content)") or website["title"]
    rss.description(wanted.get("description", about))
    rss.link(href=project.address(out(page.path, ".xml")), rel="self", type="application/rss+xml")
    rss.link(href=project.address(out(page.path)), rel="alternate")
    rss.language(page.options.get("lang", "en"))
    # Not the time of the build: two renders give the same bytes.
    rss.lastBuildDate(max(map(moment, items), default=datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)))
    for item in items:
        _entry(rss, project, item, files, wanted.get("type", "full"))
    xml: bytes = rss.rss_str(pretty=True)
    return xml


def _entry(rss: Any, project: Project, item: Page, files: dict[str, bytes], kind: str) -> None:
    """Add a page to a feed, with as much of it as the kind of the feed asks for."""
    _, content = main(files[out(item.path)])
    address = project.address(out(item.path))
    content.make_links_absolute(address)
    entry = rss.add_entry(order="append")
    entry.title(words(content.xpath(".//h1")[0]))
    entry.link(href=address)
    entry.guid(address, permalink=True)
    entry.pubDate(moment(item))
    entry.category([{"term": name} for name in item.meta.get("categories", [])])
    if names := [author.name for author in authors(item.options)]:
        entry.dc.dc_creator(names)
    summary = content.xpath(".//*[@class='description']")
    # What stands above the text is said in other elements of the entry.
    for header in content.xpath("./header"):
        header.drop_tree()
    summary = summary or (content.xpath(".//p")[:1] if kind != "metadata" else [])
    entry.description(words(summary[0]) if summary else address)
    if kind == "full":
        plain_code(content)
        entry.content("".join(map(written, content)), type="CDATA")
