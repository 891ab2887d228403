"""The rendered pages for every reader: read aloud, magnified, by day and by night, and without a mouse."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from lxml import html
from playwright.sync_api import Browser, Locator, Page
from test_pages import PAGES, VIEWS, View, settle, trees
from website import Project

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
FOCUS = "document.activeElement"
# The texts whose contrast is too low for WCAG 2 AA. Axe is silent about those on a gradient, which all code has as the
# shade of what scrolls, and takes a millisecond for each of the others. Colours are premultiplied; ink is what a text
# shows where it is, ground what shows beside it.
PALE = """() => {
  const parsed = (colour) => {
    const [r, g, b, a = 1] = colour.match(/[\\d.]+(e-\\d+)?/g).map(Number);
    const full = colour.startsWith("color(srgb ") ? 1 : 255;
    return [r / full * a, g / full * a, b / full * a, a];
  };
  const over = (upper, lower) => upper.map((part, k) => part + lower[k] * (1 - upper[3]));
  const linear = (part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const texts = [...document.querySelectorAll("body *")].filter((part) =>
    [...part.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim())
    && part.checkVisibility({ visibilityProperty: true, opacityProperty: true })
    && !part.closest("[aria-disabled=true]"));
  if (texts.length < 10) throw new Error("the page has no text");
  return texts.filter((text) => {
    const { color, fontSize, fontWeight } = getComputedStyle(text);
    let shown = [parsed(color), [0, 0, 0, 0]];
    for (let part = text; part; part = part.parentElement) {
      const { backgroundColor, opacity } = getComputedStyle(part);
      shown = shown.map((each) => over(each, parsed(backgroundColor)).map((part) => part * opacity));
    }
    const [dark, light] = shown.map((each) => luminance(over(each, [1, 1, 1, 1]))).sort((a, b) => a - b);
    const large = parseFloat(fontSize) >= (fontWeight >= 700 ? 18.66 : 24);
    return (light + 0.05) / (dark + 0.05) < (large ? 3 : 4.5);
  }).map((text) => text.outerHTML);
}"""


@pytest.fixture(scope="module")
def page(browser: Browser, address: str) -> Iterator[Page]:
    context = browser.new_context(base_url=address, permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.set_default_timeout(10_000)
    yield page
    context.close()


def violations(
    page: Page, name: str, views: Sequence[View], by_axe: Sequence[View], *without: str
) -> dict[View, list[Any]]:
    """Return which texts of a page are pale, and what is wrong by the rules of axe, in some widths by day or night."""
    found: dict[View, list[Any]] = {}
    rules = {rule: {"enabled": False} for rule in without}
    for width, scheme in views:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        if not found:
            page.goto(name)
            page.evaluate(AXE)
        settle(page)
        found[width, scheme] = page.evaluate(PALE)
        if (width, scheme) in by_axe:
            result = page.evaluate("rules => axe.run({ resultTypes: ['violations'], rules })", rules)
            assert result["passes"]
            found[width, scheme] += [
                (violation["id"], str(node["target"]), node["failureSummary"])
                for violation in result["violations"]
                for node in violation["nodes"]
            ]
    page.emulate_media(color_scheme="light")
    return {view: wrong for view, wrong in found.items() if wrong}


@pytest.mark.parametrize("name", PAGES)
def test_on_a_telephone_by_day_and_on_a_desk_by_night_no_text_is_pale_and_in_turns_axe_finds_nothing(
    page: Page, name: str
) -> None:
    in_turn = VIEWS[PAGES.index(name) % len(VIEWS)]
    assert violations(page, name, VIEWS, [in_turn], "color-contrast") == {}


@pytest.mark.deep
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_no_violation_nor_low_contrast_on_any_screen_by_day_or_by_night(page: Page, name: str) -> None:
    views: list[View] = [*VIEWS, (390, "dark"), (1280, "light")]
    assert violations(page, name, views, views) == {}


def test_a_text_is_pale_where_its_colour_or_its_ground_or_its_opacity_makes_it_so(desk: Page) -> None:
    desk.goto("posts/linear/index.html")
    assert desk.evaluate(PALE) == []
    # On white, #767676 has 4.54 and #777777 has 4.48 for contrast.
    for style, pale in [
        ("color: #767676", False),
        ("color: #777777", True),
        ("color: #777777; font-size: 24px", False),
        ("color: #959595; font-size: 24px", True),
        ("color: #fff; background: #767676", False),
        ("color: #fff; background: #777777", True),
        ("color: #000; opacity: 0.55", False),
        ("color: #000; opacity: 0.45", True),
    ]:
        desk.evaluate(
            """style => {
              document.documentElement.style.background = document.body.style.background = "#fff";
              const text = document.querySelector("main > section > p");
              text.style.cssText = style;
              text.textContent = "words";
            }""",
            style,
        )
        assert any("words" in text for text in desk.evaluate(PALE)) == pale, style


def test_every_picture_has_words(site: Path) -> None:
    count = 0
    for name, tree in trees(site).items():
        for picture in tree.xpath("//img | //svg"):
            count += 1
            words = picture.get("alt") or picture.get("aria-label") or picture.findtext("title")
            decoration = picture.get("aria-hidden") == "true"
            assert words or decoration, (name, html.tostring(picture)[:200])
            assert picture.tag == "img" or decoration or picture.get("role") == "img", (
                name,
                html.tostring(picture)[:200],
            )
    assert count > 10


@pytest.fixture
def desk(page: Page) -> Page:
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(color_scheme="light")
    return page


def reach(page: Page, selector: str, key: str = "Tab") -> None:
    """Press the key until the part that the selector names has the focus, which must be seen."""
    for _ in range(60):
        page.keyboard.press(key)
        if page.evaluate(f"selector => {FOCUS}.matches(selector)", selector):
            assert page.evaluate(f"getComputedStyle({FOCUS}).outlineStyle") != "none"
            return
    raise AssertionError(f"{key} never reaches {selector}")


def test_the_first_key_offers_to_skip_to_the_text(desk: Page) -> None:
    desk.goto("posts/linear/index.html")
    desk.keyboard.press("Tab")
    assert desk.evaluate(f"{FOCUS}.textContent") == "Skip to the text"
    desk.keyboard.press("Enter")
    reach(desk, "main a, main button, main summary, main [tabindex]")


def test_the_theme_is_changed_by_key_and_kept(desk: Page) -> None:
    desk.goto("index.html")
    ground = "getComputedStyle(document.body).backgroundColor"
    day = desk.evaluate(ground)
    reach(desk, "#theme")
    desk.keyboard.press("Enter")
    night = desk.evaluate(ground)
    assert night != day
    desk.goto("posts/linear/index.html")
    assert desk.evaluate(ground) == night
    reach(desk, "#theme")
    desk.keyboard.press("Space")
    assert desk.evaluate(ground) == day
    desk.evaluate("localStorage.clear()")


@pytest.mark.parametrize("way", ["the key /", "the button"])
def test_the_search_needs_no_mouse(desk: Page, way: str) -> None:
    desk.goto("index.html")
    reach(desk, "#search")
    desk.keyboard.press("/" if way == "the key /" else "Enter")
    dialog = desk.locator("#search-dialog")
    assert dialog.is_visible()
    desk.keyboard.type("transpose")
    dialog.locator("li a").first.wait_for()
    assert "page" in dialog.get_by_role("status").inner_text()
    desk.keyboard.press("ArrowDown")
    assert desk.evaluate(f"{FOCUS}.matches('#search-dialog li:first-child a')")
    desk.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert desk.evaluate(f"{FOCUS}.id") == "search"
    desk.keyboard.press("/")
    desk.keyboard.press("Tab")
    address = desk.evaluate(f"{FOCUS}.href")
    desk.keyboard.press("Enter")
    desk.wait_for_url(address)
    assert "/posts/" in address


def test_a_slash_typed_in_the_search_is_a_slash(desk: Page) -> None:
    desk.goto("index.html")
    desk.keyboard.press("/")
    desk.keyboard.type("1/n")
    assert desk.locator("#search-dialog input").input_value() == "1/n"


def found(desk: Page, words: str) -> list[str]:
    """What the search lists for words put in at once."""
    desk.goto("index.html")
    desk.keyboard.press("/")
    desk.keyboard.insert_text(words)
    desk.wait_for_function("() => document.querySelector('#search-dialog [role=status]').textContent")
    return [link.get_attribute("href") or "" for link in desk.locator("#search-dialog li a").all()]


def test_the_search_leads_to_the_section_that_answers(desk: Page) -> None:
    assert any(href.endswith("posts/module/index.html#q28") for href in found(desk, "gradient double backward twice"))


def test_a_word_that_no_page_has_is_not_found(desk: Page) -> None:
    assert found(desk, "zzqq") == []
    assert "zzqq" in desk.locator("#search-dialog [role=status]").inner_text()


def test_escape_closes_the_search_with_words_in_it(desk: Page) -> None:
    found(desk, "einsum")
    desk.keyboard.press("Escape")
    assert not desk.locator("#search-dialog").is_visible()


def test_an_address_with_a_broken_sign_breaks_nothing_else(desk: Page) -> None:
    desk.goto("index.html#category=50%")
    assert desk.locator("#search").is_visible()


def test_the_contents_lead_to_a_section_and_say_where_the_reader_is(desk: Page) -> None:
    desk.goto("posts/linear/index.html")
    reach(desk, "#TOC a")
    desk.keyboard.press("Tab")
    place = desk.evaluate(f"{FOCUS}.hash")
    desk.keyboard.press("Enter")
    desk.wait_for_function("place => document.querySelector('#TOC [aria-current]')?.hash === place", arg=place)
    assert desk.evaluate("document.querySelectorAll('#TOC [aria-current]').length") == 1
    assert 0 <= desk.locator(place).evaluate("part => part.getBoundingClientRect().y") < 225
    desk.keyboard.press("End")
    desk.wait_for_function("place => document.querySelector('#TOC [aria-current]')?.hash !== place", arg=place)


def test_the_contents_of_a_telephone_open_by_key(desk: Page) -> None:
    desk.set_viewport_size({"width": 390, "height": 900})
    desk.goto("posts/linear/index.html")
    link = desk.locator("#TOC a").first
    assert not link.is_visible()
    reach(desk, ".toc summary")
    desk.keyboard.press("Enter")
    assert link.is_visible()


def test_folded_code_opens_by_key(desk: Page) -> None:
    desk.goto("posts/linear/index.html")
    fold = desk.locator("details.code-fold").first
    code = fold.locator("pre")
    assert not code.is_visible()
    fold.locator("summary").focus()
    desk.keyboard.press("Enter")
    assert code.is_visible()


def test_code_is_copied_by_key_as_it_was_written(desk: Page) -> None:
    desk.goto("posts/linear/index.html")
    reach(desk, "button.copy")
    assert desk.evaluate(f"getComputedStyle({FOCUS}).opacity") == "1"
    code = desk.evaluate(f"{FOCUS}.closest('div.sourceCode').querySelector('code').textContent")
    desk.keyboard.press("Enter")
    desk.wait_for_function(f"() => {FOCUS}.textContent === 'Copied'")
    assert desk.evaluate("navigator.clipboard.readText()") == code
    assert "\n" in code


def test_a_wide_equation_or_block_of_code_scrolls_by_key(desk: Page) -> None:
    desk.set_viewport_size({"width": 390, "height": 900})
    desk.goto("posts/chain-rule/index.html")
    wide = desk.locator("pre[tabindex='0']:visible").first  # not in a fold
    wide.wait_for()
    wide.focus()
    for _ in range(3):
        desk.keyboard.press("ArrowRight")
    desk.wait_for_function(f"() => {FOCUS}.scrollLeft > 0")


def shows_and_hides_its_target(desk: Page, reference: Locator) -> None:
    reference.scroll_into_view_if_needed()
    desk.keyboard.press("Tab")
    reference.focus()
    preview = desk.locator(".preview")
    preview.wait_for()
    target = reference.evaluate("link => document.getElementById(decodeURIComponent(link.hash.slice(1))).textContent")
    words = preview.text_content()
    assert words
    assert words.strip()[:20] in target
    assert desk.evaluate("document.documentElement.scrollWidth") == 1280
    desk.keyboard.press("Escape")
    assert preview.count() == 0
    reference.hover()
    preview.wait_for()
    desk.mouse.move(0, 0)
    preview.wait_for(state="detached")


@pytest.mark.parametrize("kind", ["class='quarto-xref'", "role='doc-biblioref'"])
def test_what_a_reference_leads_to_is_shown_on_focus_until_escape(desk: Page, site: Path, kind: str) -> None:
    within = f"//main//p//a[@{kind}][starts-with(@href, '#')]"
    name = next(name for name, tree in sorted(trees(site).items()) if tree.xpath(within))
    desk.goto(name)
    shows_and_hides_its_target(desk, desk.locator(within).first)


def test_a_footnote_is_shown_on_focus_until_escape(desk: Page, tmp_path: Path) -> None:
    project = Project(tmp_path, index="Words.[^1]\n\n[^1]: What the note says.")
    assert project.render().status == 0
    desk.goto((tmp_path / "_site" / "index.html").as_uri())
    shows_and_hides_its_target(desk, desk.locator("a.footnote-ref"))


def test_the_posts_of_one_category_are_shown_by_key(desk: Page) -> None:
    desk.goto("index.html")
    shown = "[...document.querySelectorAll('.quarto-listing article')].filter((post) => post.checkVisibility()).length"
    everything = desk.evaluate(shown)
    reach(desk, ".listing-filter a[href*='category=']")
    wanted = desk.evaluate(f"{FOCUS}.textContent")
    desk.keyboard.press("Enter")
    desk.wait_for_function("() => document.querySelector('.listing-filter [aria-current]').textContent !== 'All'")
    assert 0 < desk.evaluate(shown) < everything
    categories = desk.locator(".quarto-listing article:visible").evaluate_all(
        "posts => posts.map((post) => post.dataset.categories)"
    )
    assert all(wanted in each.split("|") for each in categories)
    assert desk.url.endswith(f"#category={wanted}".replace(" ", "%20"))
    reach(desk, ".listing-filter a", "Shift+Tab")
    desk.keyboard.press("Enter")
    desk.wait_for_function(f"() => {shown} === {everything}")


def test_the_walkthrough_steps_by_key(desk: Page) -> None:
    desk.goto("posts/mlp/index.html")
    player = desk.locator(".player").first
    steps = """[...document.querySelectorAll(".player:first-of-type .step")]
      .findIndex((step) => step.checkVisibility({ visibilityProperty: true }))"""
    assert desk.evaluate(steps) == 0
    player.get_by_role("button", name="Next").focus()
    desk.keyboard.press("Enter")
    assert desk.evaluate(steps) == 1
    player.get_by_role("slider").focus()
    desk.keyboard.press("ArrowLeft")
    assert desk.evaluate(steps) == 0
