"""What the renderer makes beside the pages: feeds, maps, previews, texts, the search; each promise on small sites."""

import re
import signal
import struct
import threading
import time
import zlib
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import feedparser
import lxml.etree
import lxml.html
import pytest
from conftest import serving
from test_site import DOT, Project, cell, finished

SETTINGS = """\
project:
  type: website
  pre-render: scripts/card.py
website:
  title: "Small & plain"
  description: "All *about* it"
  site-url: https://y.org/blog/
  open-graph: true
  twitter-card: true
  llms-txt: true
  page-navigation: true
  navbar:
    left:
      - text: Home
        href: index.qmd
"""
INDEX = """\
---
title: "Home"
listing:
  contents: "*.qmd"
  sort: "date"
  fields: [title, date, reading-time]
  feed: true
---

Words.
"""
FOLDER = """\
author: A. Author
code-tools: {source: true, toggle: false, caption: "The source"}
categories: [maths]
"""
ONE = """\
---
title: "One & $x^2$"
description: 'The *first* "one"'
date: 2026-01-04
date-modified: 2026-03-04
image: card.png
image-alt: 'A "card"'
---

## First {#sec-a}

The Jacobian of [it](../two/index.qmd#sec-b), `save_for_backward` and [elsewhere](https://x.org/?a=1&b=2).[^n]
See @eq-l.

[^n]: $\\mathbf{n} < 2$ words.

$$
L = X^{\\mathsf{T}} \\operatorname{zebra}
$$ {#eq-l}

![A *dot*](../dot.svg){fig-alt="A dot"}

<button>Press</button> <script src="../run.js"></script>

<svg role="img"><title>Drawn</title><desc>It goes from here to there.</desc><path d="M0 0"/></svg>

"""
TWO = """\
---
title: Two
date: 2026-01-03
author: [B. Author, C. Author]
categories: []
---

Nothing of it.

[Here](https://y.org/blog/posts/one/) it [is](https://y.org/blog/posts/one/index.html#sec-a). ]]&gt;

## The *transpose* {#sec-b}

A [link](https://x.org/?a=1&b=2), [letter](mailto:a@x.org), [home](https://y.org/blog) and `torch.matmul(X, W)`.
"""
MISSING = """\
---
title: Not found
---

Go [home](index.qmd), to [one](posts/one/index.qmd#sec-a) or [up](#main). Jacobian.
"""


def card(width: int, height: int) -> bytes:
    """A PNG with nothing on it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixels = zlib.compress((b"\0" + b"\0" * width) * height)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


DRAW = f"from pathlib import Path\nPath('posts/one/card.png').write_bytes({card(120, 63)!r})\n"


def make(root: Path) -> Project:
    project = Project(root)
    project.write("_quarto.yml", SETTINGS)
    project.write("scripts/card.py", DRAW)
    project.write("posts/_metadata.yml", FOLDER)
    project.write("posts/dot.svg", DOT.decode())
    project.write("posts/run.js", "")
    project.write("index.qmd", INDEX)
    project.write("404.qmd", MISSING)
    project.write("posts/one/index.qmd", ONE + cell("print('printed', 6 * 7)"))
    project.write("posts/two/index.qmd", TWO + "\nword" * 600)
    return project


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = make(tmp_path_factory.mktemp("published"))
    ran = project.render()
    assert (ran.status, ran.err) == (0, "")
    return project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make(tmp_path)


def complaint(project: Project, capsys: pytest.CaptureFixture[str], status: int = 2) -> str:
    from qmdsite.__main__ import main

    assert main(["render", str(project.root)]) == status
    return capsys.readouterr().err


def read(project: Project, name: str) -> str:
    return project.site()[name].decode()


def meta(project: Project, name: str) -> dict[str, str]:
    """The names and contents of a page's meta elements."""
    page = lxml.html.document_fromstring(project.html(name))
    found = [(each.get("name") or each.get("property"), each.get("content")) for each in page.xpath("//head/meta")]
    return {name: content for name, content in found if name}


def test_two_cold_renders_publish_the_same_bytes_and_an_unchanged_one_makes_no_index(
    published: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make(tmp_path)
    assert other.render().status == 0
    before = published.site()
    assert other.site() == before
    from qmdsite import search
    from qmdsite.__main__ import main

    monkeypatch.delattr(search, "subprocess")
    assert main(["render", str(other.root)]) == 0
    assert other.site() == before


def test_a_script_runs_before_the_pages_are_read_and_is_told_what_quarto_tells_it(project: Project) -> None:
    script = """\
    import os
    from pathlib import Path
    pages = os.environ["QUARTO_PROJECT_INPUT_FILES"].split("\\n")
    assert pages == ["404.qmd", "index.qmd", "posts/one/index.qmd", "posts/two/index.qmd"]
    assert (os.environ["QUARTO_PROJECT_RENDER_ALL"], Path("_quarto.yml").is_file()) == ("1", True)
    assert Path(os.environ["QUARTO_PROJECT_OUTPUT_DIR"]).is_absolute()
    Path("made.qmd").write_text("---\\ntitle: Made\\ndate: 2026-01-01\\n---\\n")
    """
    project.write("scripts/card.py", DRAW + re.sub("^    ", "", script, flags=re.M))
    ran = project.render()
    assert (ran.status, ran.err) == (0, "")
    assert "made.html" in project.site()


def test_a_script_makes_the_pages_that_are_to_be_rendered(tmp_path: Path) -> None:
    script = (
        "from pathlib import Path\nPath('made').mkdir()\nPath('made/one.qmd').write_text('---\\ntitle: t\\n---\\n')"
    )
    project = finished(tmp_path, script, index="words")
    settings = (
        (tmp_path / "_quarto.yml").read_text().replace("post-render", "render: [index.qmd, made/*.qmd]\n  pre-render")
    )
    project.write("_quarto.yml", settings)
    ran = project.render()
    assert (ran.status, ran.err) == (0, "")
    assert "made/one.html" in project.site()


def test_a_script_that_fails_before_a_render_leaves_the_site_as_it_was(project: Project) -> None:
    assert project.render().status == 0
    before = project.site()
    project.write("scripts/card.py", "\nraise ValueError('no')")
    project.write("index.qmd", INDEX.replace("Words", "New words"))
    ran = project.render()
    assert ran.status == 1
    assert ran.err.startswith("scripts/card.py:2: the script failed with status 1\n")
    assert ran.err.endswith("ValueError: no\n")
    assert project.site() == before


@pytest.mark.parametrize("name", ["card.ts", "none.py"])
def test_a_script_that_is_none_is_named(project: Project, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    project.write("_quarto.yml", SETTINGS.replace("scripts/card.py", name))
    words = f"project.pre-render is '{name}', and must be the path of a Python script, such as finish.py"
    assert complaint(project, capsys) == f"_quarto.yml:3: {words}\n"


def until(true: Callable[[], bool]) -> None:
    for _ in range(600):
        if true():
            return
        time.sleep(0.1)
    raise AssertionError("it never came")


def test_preview_does_not_render_for_ever_what_a_script_writes_before_a_render(tmp_path: Path) -> None:
    project = finished(tmp_path, "with open('log.txt', 'a') as log: log.write('x')", index="words")
    settings = (tmp_path / "_quarto.yml").read_text().replace("post-render", "pre-render")
    project.write("_quarto.yml", settings)
    process = project.start("preview", str(project.root), "--port", "0")
    try:
        lines: list[str] = []
        threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, "")), daemon=True).start()
        # The second time it is known for what the render writes.
        until(lambda: sum(line.startswith("_site:") for line in lines) == 2)
        for edit in (1, 2):
            time.sleep(1)  # long enough for a render that nobody asked for to begin
            project.page("index", f"edit {edit}")
            until(lambda edit=edit: f"edit {edit}" in project.html("index"))
            assert (project.root / "log.txt").read_text() == "xx" + "x" * edit
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


def test_the_metadata_of_a_folder_holds_below_that_of_a_page_and_above_that_of_the_project(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write("posts/two/index.qmd", TWO)
    settings = "author: Nobody\ntoc-title: Contents\nformat: {ipynb: default}\n"
    project.write("_quarto.yml", "project:\n  type: website\nwebsite:\n  search: false\n" + settings)
    project.write("posts/_metadata.yml", FOLDER + "toc-title: On it\nexecute: {echo: false}\nformat: {html: default}\n")
    project.write("posts/one/index.qmd", "---\ntitle: One\n---\n\n## First\n\n" + cell("print('printed', 42)"))
    project.write("posts/one/_metadata.yml", "author: Inner\n")
    assert project.render().status == 0
    one, two = project.html("posts/one/index"), project.html("posts/two/index")
    assert re.findall('class="author">(.*?)<', one) == ["Inner"]
    assert re.findall('class="author">(.*?)<', two) == ["B. Author", "C. Author"]
    assert re.findall('class="author">(.*?)<', project.html("index")) == ["Nobody"]
    assert "On it" in one
    assert "Contents" not in one
    assert ("printed 42" in one, "cell-code" in one) == (True, False)
    assert "category=maths" in one
    assert 'class="categories"' not in two
    assert "posts/one/index.ipynb" in project.site()
    project.write("posts/_metadata.yml", FOLDER)
    assert "0 executed" in project.render().out
    assert "cell-code" in project.html("posts/one/index")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("author: A\ntitel: t\n", 2, "the option 'titel' is not supported"),
        ("title: t\n", 1, "the option 'title' is not supported"),
        ("bibliography: a.bib\n", 1, "the option 'bibliography' is not supported"),
        ("toc: maybe\n", 1, "toc is 'maybe', and must be true or false"),
        ("a: [\n", 1, "this is not valid YAML"),
        ("code-tools: true\n", 1, "code-tools must be options"),
        ("code-tools:\n  source: repo\n  toggle: false\n", 2, "code-tools.source is 'repo', and may only be true"),
        (
            "code-tools: {source: true, caption: S}\n",
            1,
            "of code-tools only the source is supported; write 'source: true'",
        ),
        ("format:\n  html:\n    code-tools: {}\n", 3, "of code-tools only the source is supported"),
    ],
)
def test_wrong_metadata_of_a_folder_is_named_once(
    project: Project, text: str, line: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write("posts/_metadata.yml", text)
    found = [each for each in complaint(project, capsys).splitlines() if "_metadata" in each]
    assert len(found) == 1
    assert found[0].startswith(f"posts/_metadata.yml:{line}: {words}")


def test_a_page_links_to_its_source_where_that_is_asked_for(published: Project) -> None:
    assert re.search('<a href="index.qmd"[^>]*>The source</a>', published.html("posts/one/index"))
    assert published.site()["posts/one/index.qmd"] == (published.root / "posts/one/index.qmd").read_bytes()
    assert "index.qmd" not in published.site()


def test_code_tools_that_would_fold_all_code_are_refused(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.write("404.qmd", "---\ntitle: t\ncode-tools:\n  source: true\n---\n")
    words = "of code-tools only the source is supported; write 'source: true' and 'toggle: false' under it"
    assert complaint(project, capsys) == f"404.qmd:3: {words}\n"


def test_a_page_with_a_date_says_how_long_it_takes_to_read(published: Project) -> None:
    assert "1 min read" in published.html("posts/one/index")
    assert "4 min read" in published.html("posts/two/index")  # 600 words, and those of the page's own
    home = published.html("index")
    assert re.findall(r"\d min read", home) == ["4 min read", "1 min read"]
    assert "min read" not in home.partition("quarto-listing")[0]


def test_a_style_sheet_that_is_shipped_already_is_named_once(project: Project) -> None:
    from qmdsite.convert import HERE

    (project.root / "tokens.css").symlink_to(HERE / "tokens.css")
    project.write("own.css", "p {}")
    project.write("_quarto.yml", SETTINGS + "css: [tokens.css, own.css]\n")
    assert project.render().status == 0
    sheets = re.findall('rel="stylesheet" href="(.*?)"', project.html("index"))
    assert sheets == ["site_libs/qmdsite/tokens.css", "site_libs/qmdsite/site.css", "own.css"]
    assert "tokens.css" not in project.site()


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


def test_what_no_feed_may_hold_is_left_out_of_the_page(project: Project) -> None:
    project.write("posts/one/index.qmd", ONE + cell(r"print('a\x1b7b\x00c\x0cd')"))
    ran = project.render()
    assert (ran.status, ran.err) == (0, "")
    assert "a7bcd" in project.html("posts/one/index")


def test_a_feed_has_the_type_and_number_of_items_that_are_asked_for(project: Project) -> None:
    feed = "feed: {type: metadata, items: 1, title: News, description: Of it}"
    project.write("index.qmd", INDEX.replace("feed: true", feed))
    assert project.render().status == 0
    channel = lxml.etree.fromstring(project.site()["index.xml"]).find("channel")
    assert [channel.findtext(name) for name in ("title", "description")] == ["News", "Of it"]
    assert [item.findtext("title") for item in channel.findall("item")] == ["One & x^2"]
    assert channel.find(f"item/{ENCODED}") is None


def test_the_pages_of_a_feed_name_it(published: Project) -> None:
    for name, address in {"index": "index.xml", "posts/one/index": "../../index.xml"}.items():
        found = lxml.html.document_fromstring(published.html(name)).xpath("//link[@type='application/rss+xml']")
        assert [(each.get("rel"), each.get("href")) for each in found] == [("alternate", address)]
    assert "application/rss+xml" not in published.html("404")


def test_a_feed_without_the_address_of_the_site_is_refused(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [line for line in SETTINGS.splitlines() if not line.startswith(("  site-url", "  open-graph", "  twitter"))]
    project.write("_quarto.yml", "\n".join(lines))
    words = "a feed needs the title and the address of the site: 'title' and 'site-url' under 'website'"
    assert complaint(project, capsys) == f"index.qmd:7: {words}\n"


@pytest.mark.parametrize("address", ["y.org", "ftp://y.org", "https://y.org/?a", "https://"])
def test_an_address_that_is_none_is_refused(project: Project, address: str, capsys: pytest.CaptureFixture[str]) -> None:
    project.write("_quarto.yml", SETTINGS.replace("https://y.org/blog/", address))
    words = f"website.site-url is '{address}', and must be an address: https://…"
    assert complaint(project, capsys) == f"_quarto.yml:7: {words}\n"


def test_previews_for_other_sites_need_the_address_of_the_site(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write("_quarto.yml", SETTINGS.replace("  site-url: https://y.org/blog/\n", ""))
    words = "names addresses: add 'site-url: …' to 'website'"
    lines = [f"_quarto.yml:7: 'open-graph' {words}", f"_quarto.yml:8: 'twitter-card' {words}"]
    assert complaint(project, capsys).splitlines() == lines


def test_a_feed_lists_pages_with_a_date_and_at_least_one(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.write("index.qmd", INDEX.replace("feed: true", "feed: {items: 0}").replace('"date"', '"title"'))
    project.write("n.qmd", "---\ntitle: n\n---\n")
    lines = ["index.qmd:7: a feed has at least one item", "n.qmd:2: a feed lists this page, so it needs a date"]
    assert complaint(project, capsys).splitlines() == lines


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


def test_the_image_of_a_preview_may_be_on_another_host(project: Project) -> None:
    project.write("posts/one/index.qmd", ONE.replace("card.png", "https://x.org/card.png"))
    assert project.render().err == ""
    assert meta(project, "posts/one/index")["og:image"] == "https://x.org/card.png"
    assert "https://x.org/card.png\t" in (project.root / ".qmdsite/links.txt").read_text()


def test_a_picture_that_is_damaged_is_named(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.write("scripts/card.py", "open('posts/one/card.png', 'w').close()")
    assert complaint(project, capsys) == "posts/one/index.qmd:6: 'card.png' is no PNG picture; make it again\n"


def test_each_page_names_the_feed_of_its_own_listing(project: Project) -> None:
    project.write("index.qmd", INDEX.replace("*.qmd", "posts/one"))
    project.write("more/index.qmd", INDEX.replace('contents: "*.qmd"', "contents: new"))
    project.write(
        "more/new/index.qmd", "---\ntitle: New\ndate: 2026-01-04\ncategories: ['the \"best\"', a>b]\n---\n\n## Part\n"
    )
    project.write("_quarto.yml", SETTINGS + 'toc-title: The "page"\n')
    ran = project.render()
    assert (ran.status, ran.err) == (0, "")
    page = lxml.html.document_fromstring(project.html("more/new/index"))
    assert page.xpath("//link[@type='application/rss+xml']/@href") == ["../index.xml"]
    assert page.xpath("//*[@class='categories']/a/text()") == ['the "best"', "a>b"]
    assert {link.partition("#")[0] for link in page.xpath("//*[@class='categories']/a/@href")} == {"../index.html"}
    home = lxml.html.document_fromstring(project.html("more/index"))
    assert home.xpath("//article/@data-categories") == ['the "best"|a>b']
    assert page.xpath("//nav[@id='TOC']/@aria-label") == ['The "page"']


def test_an_image_that_there_is_not_is_named(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.write("scripts/card.py", "")
    assert complaint(project, capsys) == ("posts/one/index.qmd:6: 'card.png' leads nowhere: there is no such file\n")


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


def test_a_preview_without_a_description_has_none(project: Project) -> None:
    project.write("_quarto.yml", SETTINGS.replace('  description: "All *about* it"\n', ""))
    assert project.render().err == ""
    about = meta(project, "index")
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


def test_a_link_to_the_address_of_the_site_is_one_within_it(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    places = "[a](https://y.org/blog/gone.html) [b](https://y.org/blog/#none) [c](https://y.org/blog#other)"
    project.write("404.qmd", MISSING + places)
    assert [line.partition(" leads")[0] for line in complaint(project, capsys).splitlines()] == [
        "404.qmd:6: '#none'",
        "404.qmd:6: '#other'",
        "404.qmd:6: 'gone.html'",
    ]


def test_the_links_to_other_sites_are_listed_in_one_place(published: Project) -> None:
    listed = (published.root / ".qmdsite/links.txt").read_text()
    assert listed == "https://x.org/?a=1&b=2\tposts/one/index.html posts/two/index.html\n"
    assert "1 link to other sites, listed in .qmdsite/links.txt" in published.render().out


FIND = """async (words) => {
    const found = await import(new URL("/pagefind/pagefind.js", location));
    await found.options({ baseUrl: "/" });
    const results = (await found.search(words)).results;
    return Promise.all(results.map((each) => each.data().then((data) => [data.sub_results[0].url, data.excerpt])));
}"""


@pytest.fixture
def served(published: Project, browser: Any) -> Any:
    """A page of the site as hosts serve it; what it complains of is on the page's list."""
    page = browser.new_page()
    page.said = []
    page.on("console", lambda message: page.said.append(message.text))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    with serving(published.root / "_site") as address:
        page.goto(f"{address}posts/one/index.html", wait_until="networkidle")
        yield page
        page.close()


def test_the_search_finds_words_of_mathematics_and_names_in_code_under_the_policy_of_a_page(served: Any) -> None:
    one, two = "/posts/one/index.html#sec-a", "/posts/two/index.html#sec-b"
    where = {"Jacobian": one, "save_for_backward": one, "printed": one, "transpose": two, "matmul": two}
    for words, address in where.items():
        assert [each[0] for each in served.evaluate(FIND, words)] == [address]
    assert served.said == []


@pytest.mark.parametrize("words", ["zebra", "mathbf", "Press", "found", "Skip"])
def test_the_search_does_not_find_what_is_no_text_of_a_page(served: Any, words: str) -> None:
    assert served.evaluate(FIND, words) == []


def test_the_search_shows_no_number_of_an_equation_without_the_equation(served: Any) -> None:
    ((_, excerpt),) = served.evaluate(FIND, "printed")
    assert "See Equation" in excerpt
    assert "(1)" not in excerpt


@pytest.mark.parametrize("what", ["video", "iframe"])
def test_a_policy_lets_the_films_and_pages_of_the_site_into_a_page(served: Any, what: str) -> None:
    served.evaluate(f"document.body.append(Object.assign(document.createElement('{what}'), {{src: '../run.js'}}))")
    served.wait_for_timeout(100)
    assert [said for said in served.said if "Content Security Policy" in said] == []


def test_a_policy_lets_no_inline_script_and_no_other_host_into_a_page(served: Any) -> None:
    served.evaluate("document.head.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))")
    with served.expect_console_message(lambda message: "x.org" in message.text):
        served.evaluate("document.body.append(Object.assign(new Image(), {src: 'https://x.org/a.png'}))")
    assert served.evaluate("window.ran") is None
    assert len([said for said in served.said if "Content Security Policy" in said]) == 2


def test_without_a_search_there_is_neither_index_nor_button(tmp_path: Path) -> None:
    project = Project(tmp_path)
    assert project.render().status == 0
    assert 'id="search"' in project.html("index")
    assert "pagefind/pagefind.js" in project.site()
    settings = (tmp_path / "_quarto.yml").read_text()
    project.write("_quarto.yml", settings.replace("website:\n", "website:\n  search: false\n"))
    assert project.render().status == 0
    assert 'id="search"' not in project.html("index")
    assert not [name for name in project.site() if name.startswith("pagefind/")]


def test_a_failing_pagefind_is_named_in_its_own_words_and_leaves_the_site_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Project(tmp_path)
    monkeypatch.setattr("qmdsite.search.COMMAND", ["-c", "import sys; sys.exit('no room')"])
    assert complaint(project, capsys, 1) == "pagefind, which makes the index that the search asks, failed:\nno room\n"
    assert not (project.root / "_site").exists()
