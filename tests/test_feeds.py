"""What the renderer makes beside the pages for other programs: feeds, the map, previews, texts, the list of links."""

import re
from email.utils import parsedate_to_datetime
from pathlib import Path

import feedparser
import lxml.etree
import lxml.html
import pytest
from samples import BLOG_INDEX, BLOG_SETTINGS, MISSING, ONE, card
from website import Project, cell, complaint

pytestmark = pytest.mark.slow  # seldom breaks: not while one works


def read(project: Project, name: str) -> str:
    return project.site()[name].decode()


def meta(project: Project, name: str) -> dict[str, str]:
    """The names and contents of a page's meta elements."""
    page = lxml.html.document_fromstring(project.html(name))
    found = [(each.get("name") or each.get("property"), each.get("content")) for each in page.xpath("//head/meta")]
    return {name: content for name, content in found if name}


DC = "{http://purl.org/dc/elements/1.1/}"
ENCODED = "{http://purl.org/rss/1.0/modules/content/}encoded"


def test_a_feed_is_what_rss_asks_for(published: Project) -> None:
    data = published.site()["index.xml"]
    parsed = feedparser.parse(data)
    assert (parsed.bozo, parsed.version) == (False, "rss20")
    channel = lxml.etree.fromstring(data).find("channel")
    assert [channel.findtext(name) for name in ("title", "link", "description", "language")] == [
        "Small & plain",
        "https://y.org/blog/index.html",
        "All about it",
        "en",
    ]
    newest = "2026-01-04T00:00:00+00:00"
    assert parsedate_to_datetime(channel.findtext("lastBuildDate")).isoformat() == newest
    own = channel.find("{http://www.w3.org/2005/Atom}link")
    assert (own.get("rel"), own.get("href")) == ("self", "https://y.org/blog/index.xml")
    one, two = channel.findall("item")
    assert [one.findtext(name) for name in ("title", "link", "guid", "description")] == [
        "One & x^2",
        *["https://y.org/blog/posts/one/index.html"] * 2,
        "The first “one”",
    ]
    assert one.find("guid").get("isPermaLink") == "true"
    assert [each.text for each in one.findall("category")] == ["maths"]
    assert [each.text for each in two.findall(f"{DC}creator")] == ["B. Author", "C. Author"]
    assert two.findtext("description") == "Nothing of it."
    assert parsedate_to_datetime(one.findtext("pubDate")).isoformat() == newest


def test_a_feed_holds_the_whole_text_with_mathematics_and_what_it_links_to(published: Project) -> None:
    one = lxml.etree.fromstring(published.site()["index.xml"]).find("channel/item")
    text = lxml.html.fragment_fromstring(one.findtext(ENCODED), create_parent=True)
    page = lxml.html.document_fromstring(published.html("posts/one/index"))
    assert len(text.findall(".//math")) == len(page.findall(".//main//math")) - 1 == 2  # but that of the title
    assert text.xpath("string(.//h2[1])") == "First"
    assert "printed 42" in text.text_content()
    links = [link for _, _, link, _ in text.iterlinks()]
    assert [link for link in links if not re.match("https://[xy].org/", link)] == []
    assert {"https://y.org/blog/posts/two/index.html#sec-b", "https://y.org/blog/posts/dot.svg"} <= set(links)
    assert "https://y.org/blog/posts/one/index.html#eq-l" in links
    assert text.xpath(".//script | .//button | .//nav | .//h1 | .//*[@tabindex]") == []


def test_what_no_feed_may_hold_is_left_out_of_the_page(blog: Project) -> None:
    blog.write("posts/one/index.qmd", ONE + cell(r"print('a\x1b7b\x00c\x0cd')"))
    ran = blog.render()
    assert (ran.status, ran.err) == (0, "")
    assert "a7bcd" in blog.html("posts/one/index")


def test_a_feed_has_the_type_and_number_of_items_that_are_asked_for(blog: Project) -> None:
    feed = "feed: {type: metadata, items: 1, title: News, description: Of it}"
    blog.write("index.qmd", BLOG_INDEX.replace("feed: true", feed))
    assert blog.render().status == 0
    channel = lxml.etree.fromstring(blog.site()["index.xml"]).find("channel")
    assert [channel.findtext(name) for name in ("title", "description")] == ["News", "Of it"]
    assert [item.findtext("title") for item in channel.findall("item")] == ["One & x^2"]
    assert channel.find(f"item/{ENCODED}") is None


def test_the_pages_of_a_feed_name_it(published: Project) -> None:
    for name, address in {"index": "index.xml", "posts/one/index": "../../index.xml"}.items():
        found = lxml.html.document_fromstring(published.html(name)).xpath("//link[@type='application/rss+xml']")
        assert [(each.get("rel"), each.get("href")) for each in found] == [("alternate", address)]
    assert "application/rss+xml" not in published.html("404")


def test_a_feed_without_the_address_of_the_site_is_refused(blog: Project) -> None:
    lines = [
        line for line in BLOG_SETTINGS.splitlines() if not line.startswith(("  site-url", "  open-graph", "  twitter"))
    ]
    blog.write("_quarto.yml", "\n".join(lines))
    words = "a feed needs the title and the address of the site: 'title' and 'site-url' under 'website'"
    assert complaint(blog) == f"index.qmd:7: {words}\n"


@pytest.mark.parametrize("address", ["y.org", "ftp://y.org", "https://y.org/?a", "https://"])
def test_an_address_that_is_none_is_refused(blog: Project, address: str) -> None:
    blog.write("_quarto.yml", BLOG_SETTINGS.replace("https://y.org/blog/", address))
    words = f"website.site-url is '{address}', and must be an address: https://…"
    assert complaint(blog) == f"_quarto.yml:7: {words}\n"


def test_previews_for_other_sites_need_the_address_of_the_site(blog: Project) -> None:
    blog.write("_quarto.yml", BLOG_SETTINGS.replace("  site-url: https://y.org/blog/\n", ""))
    words = "names addresses: add 'site-url: …' to 'website'"
    lines = [f"_quarto.yml:7: 'open-graph' {words}", f"_quarto.yml:8: 'twitter-card' {words}"]
    assert complaint(blog).splitlines() == lines


def test_a_feed_lists_pages_with_a_date_and_at_least_one(blog: Project) -> None:
    blog.write("index.qmd", BLOG_INDEX.replace("feed: true", "feed: {items: 0}").replace('"date"', '"title"'))
    blog.write("n.qmd", "---\ntitle: n\n---\n")
    lines = ["index.qmd:7: a feed has at least one item", "n.qmd:2: a feed lists this page, so it needs a date"]
    assert complaint(blog).splitlines() == lines


def test_the_sitemap_lists_the_pages_with_their_last_change(published: Project) -> None:
    found = lxml.etree.fromstring(published.site()["sitemap.xml"])
    space = "{http://www.sitemaps.org/schemas/sitemap/0.9}"
    assert found.tag == f"{space}urlset"
    base = "https://y.org/blog/"
    assert [(each.findtext(f"{space}loc"), each.findtext(f"{space}lastmod")) for each in found] == [
        (f"{base}index.html", None),
        (f"{base}posts/two/index.html", "2026-01-03"),
        (f"{base}posts/one/index.html", "2026-03-04"),
    ]


def test_a_page_tells_other_sites_how_to_show_it(published: Project) -> None:
    about = meta(published, "posts/one/index")
    picture, title = "https://y.org/blog/posts/one/card.png", "One & x^2"
    graph = {name.removeprefix("og:"): text for name, text in about.items() if name.startswith("og:")}
    assert graph == {
        **{"title": title, "description": "The first “one”", "type": "article", "site_name": "Small & plain"},
        **{"url": "https://y.org/blog/posts/one/index.html", "image": picture},
        **{"image:width": "120", "image:height": "63", "image:alt": 'A "card"'},
    }
    cards = {name.removeprefix("twitter:"): text for name, text in about.items() if name.startswith("twitter:")}
    assert cards == {
        **{"card": "summary_large_image", "title": title, "description": "The first “one”"},
        **{"image": picture, "image:alt": 'A "card"'},
    }
    assert published.site()["posts/one/card.png"] == card(120, 63)
    assert '<link rel="canonical" href="https://y.org/blog/posts/one/index.html">' in published.html("posts/one/index")
    home = meta(published, "index")
    assert (home["og:type"], home["twitter:card"], home["og:description"]) == ("website", "summary", "All about it")
    assert "og:image" not in home


def test_the_image_of_a_preview_may_be_on_another_host(blog: Project) -> None:
    blog.write("posts/one/index.qmd", ONE.replace("card.png", "https://x.org/card.png"))
    assert blog.render().err == ""
    assert meta(blog, "posts/one/index")["og:image"] == "https://x.org/card.png"
    assert "https://x.org/card.png\t" in (blog.root / ".qmdsite/links.txt").read_text()


def test_a_picture_that_is_damaged_is_named(blog: Project) -> None:
    blog.write("scripts/card.py", "open('posts/one/card.png', 'w').close()")
    assert complaint(blog) == "posts/one/index.qmd:6: 'card.png' is no PNG picture; make it again\n"


def test_each_page_names_the_feed_of_its_own_listing(blog: Project) -> None:
    blog.write("index.qmd", BLOG_INDEX.replace("*.qmd", "posts/one"))
    blog.write("more/index.qmd", BLOG_INDEX.replace('contents: "*.qmd"', "contents: new"))
    blog.write(
        "more/new/index.qmd", "---\ntitle: New\ndate: 2026-01-04\ncategories: ['the \"best\"', a>b]\n---\n\n## Part\n"
    )
    blog.write("_quarto.yml", BLOG_SETTINGS + 'toc-title: The "page"\n')
    ran = blog.render()
    assert (ran.status, ran.err) == (0, "")
    page = lxml.html.document_fromstring(blog.html("more/new/index"))
    assert page.xpath("//link[@type='application/rss+xml']/@href") == ["../index.xml"]
    assert page.xpath("//*[@class='categories']/a/text()") == ['the "best"', "a>b"]
    assert {link.partition("#")[0] for link in page.xpath("//*[@class='categories']/a/@href")} == {"../index.html"}
    home = lxml.html.document_fromstring(blog.html("more/index"))
    assert home.xpath("//article/@data-categories") == ['the "best"|a>b']
    assert page.xpath("//nav[@id='TOC']/@aria-label") == ['The "page"']


def test_an_image_that_there_is_not_is_named(blog: Project) -> None:
    blog.write("scripts/card.py", "")
    assert complaint(blog) == ("posts/one/index.qmd:6: 'card.png' leads nowhere: there is no such file\n")


def test_the_page_for_what_is_not_found_works_at_any_address_and_is_found_nowhere(published: Project) -> None:
    page = lxml.html.document_fromstring(published.html("404"))
    links = {link for _, _, link, _ in page.iterlinks()}
    assert {link for link in links if not link.startswith("/blog/")} == {"#main"}
    assert {"/blog/index.html", "/blog/posts/one/index.html#sec-a", "/blog/site_libs/qmdsite/site.js"} <= links
    assert not {name for name in meta(published, "404") if name.startswith(("og:", "twitter:"))}
    assert "canonical" not in published.html("404")
    for name in ("index.html", "index.xml", "sitemap.xml", "llms.txt"):
        assert "404" not in read(published, name)
    assert "404.llms.md" not in published.site()


def test_without_an_address_the_page_for_what_is_not_found_starts_at_the_root(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write("404.qmd", MISSING.replace("posts/one/index.qmd#sec-a", "https://x.org"))
    assert project.render().status == 0
    assert '<a href="/index.html">home</a>' in project.html("404")
    assert "sitemap.xml" not in project.site()


def test_a_site_may_be_one_page_for_what_is_not_found(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write("_quarto.yml", "website: {title: t, site-url: 'https://y.org'}\n")
    (tmp_path / "index.qmd").unlink()
    project.write("404.qmd", "---\ntitle: Not found\n---\n")
    ran = project.render()
    assert (ran.status, ran.err) == (0, "")


def test_a_preview_without_a_description_has_none(blog: Project) -> None:
    blog.write("_quarto.yml", BLOG_SETTINGS.replace('  description: "All *about* it"\n', ""))
    assert blog.render().err == ""
    about = meta(blog, "index")
    assert about["og:title"] == about["twitter:title"] == "Home"
    assert not [name for name in about if "description" in name]


def test_language_models_get_a_list_and_each_page_as_markdown(published: Project) -> None:
    assert read(published, "llms.txt") == (
        "# Small & plain\n\n> All *about* it\n\n## Pages\n\n"
        "- [Home](https://y.org/blog/index.llms.md)\n"
        "- [Two](https://y.org/blog/posts/two/index.llms.md)\n"
        "- [One & x^2](https://y.org/blog/posts/one/index.llms.md): The first “one”\n"
    )
    text = read(published, "posts/one/index.llms.md")
    for words in (
        "# One & $x^2$\n\nThe *first* “one”\n\n## First\n",
        "[it](../two/index.llms.md#sec-b), `save_for_backward`",
        "[elsewhere](https://x.org/?a=1&b=2)",
        "$$L = X^{\\mathsf{T}} \\operatorname{zebra} \\tag{1}$$",
        "``` python\nprint('printed', 6 * 7)\n```",
        "printed 42",
        "![A dot](../dot.svg)",
        "\n\nIt goes from here to there.\n",
    ):
        assert words in text
    assert not re.search("Press|min read|January|The source|<", text.replace("{n} < 2", ""))


def test_a_link_to_the_address_of_the_site_is_one_within_it(blog: Project) -> None:
    places = "[a](https://y.org/blog/gone.html) [b](https://y.org/blog/#none) [c](https://y.org/blog#other)"
    blog.write("404.qmd", MISSING + places)
    assert [line.partition(" leads")[0] for line in complaint(blog).splitlines()] == [
        "404.qmd:6: '#none'",
        "404.qmd:6: '#other'",
        "404.qmd:6: 'gone.html'",
    ]


def test_the_links_to_other_sites_are_listed_in_one_place(published: Project, tmp_path: Path) -> None:
    listed = (published.root / ".qmdsite/links.txt").read_text()
    assert listed == "https://x.org/?a=1&b=2\tposts/one/index.html posts/two/index.html\n"
    assert "1 link to other sites, listed in .qmdsite/links.txt" in published.copy(tmp_path).render().out
