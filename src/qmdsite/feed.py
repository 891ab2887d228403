"""The feed of a listing, with the whole text of its pages."""

import datetime
from typing import Any

from feedgen.feed import FeedGenerator

from qmdsite.markup import main, plain_code, words, written
from qmdsite.project import Project, out, texts
from qmdsite.source import Page


def day(page: Page) -> datetime.datetime:
    """Return the beginning of a page's day in UTC."""
    return datetime.datetime.fromisoformat(str(page.meta["date"])[:10]).replace(tzinfo=datetime.UTC)


def feed(project: Project, page: Page, files: dict[str, bytes]) -> bytes:
    """Return the feed of a page's listing as RSS 2.0, the newest first."""
    wanted, website = page.meta["listing"]["feed"], project.website
    items = sorted((each for each in project.listings[page.path] if "date" in each.meta), key=day, reverse=True)
    items = items[: wanted.get("items", 20)]
    rss: Any = FeedGenerator()
    rss.load_extension("dc")
    rss.title(wanted.get("title", website["title"]))
    about = main(files[out(page.path)])[0].xpath("string(//meta[@name='description']/@content)") or website["title"]
    rss.description(wanted.get("description", about))
    rss.link(href=project.address(out(page.path, ".xml")), rel="self", type="application/rss+xml")
    rss.link(href=project.address(out(page.path)), rel="alternate")
    rss.language(page.options.get("lang", "en"))
    # Not the time of the build: two renders give the same bytes.
    rss.lastBuildDate(max(map(day, items), default=datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)))
    for item in items:
        _, content = main(files[out(item.path)])
        address = project.address(out(item.path))
        content.make_links_absolute(address)
        entry = rss.add_entry(order="append")
        entry.title(words(content.xpath(".//h1")[0]))
        entry.link(href=address)
        entry.guid(address, permalink=True)
        entry.pubDate(day(item))
        entry.category([{"term": name} for name in item.meta.get("categories", [])])
        if authors := texts(item.options.get("author")):
            entry.dc.dc_creator(authors)
        kind = wanted.get("type", "full")
        summary = content.xpath(".//*[@class='description']")
        # What stands above the text is said in other elements of the entry.
        for header in content.xpath("./header"):
            header.drop_tree()
        summary = summary or (content.xpath(".//p")[:1] if kind != "metadata" else [])
        entry.description(words(summary[0]) if summary else address)
        if kind == "full":
            plain_code(content)
            entry.content("".join(map(written, content)), type="CDATA")
    made: bytes = rss.rss_str(pretty=True)
    return made
