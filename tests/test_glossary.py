"""The glossary: every word in its place, explained in plain sentences, and shown beside the links that lead to it."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from conftest import box_of
from lxml import html
from playwright.sync_api import Browser, FloatRect, Page, expect

ROOT = Path(__file__).parent.parent
POSTS = ROOT / "posts"
SOURCE = (POSTS / "glossary" / "index.qmd").read_text(encoding="utf-8")
ENTRY = re.compile(r"^## (?P<word>[^\n]+?)(?: \{#(?P<anchor>[\w-]+)\})?\n\n(?P<text>.+?)\n*(?=^## |\Z)", re.M | re.S)
ENTRIES = list(ENTRY.finditer(SOURCE))
LINK = re.compile(r"\[([^\]]+)\]\(([^)]+)\)")
EXPLAINS = re.compile(r"\.\./(?!glossary)([\w-]+)/index\.qmd(?:#([\w-]+))?")
SENTENCE = re.compile(r"(?<=[.?])\s+(?=[A-Z`$\[])")


def anchors_of(slug: str) -> set[str]:
    return set(re.findall(r"\{#([\w-]+)\}", (POSTS / slug / "index.qmd").read_text(encoding="utf-8")))


def lacking(source: str) -> list[str]:
    """Say what the entries lack, each under its word."""
    entries = list(ENTRY.finditer(source))
    words = [entry["word"].casefold() for entry in entries]
    found = [f"{one}: put it before '{other}'" for other, one in pairwise(words) if other > one]
    for entry, word in zip(entries, words, strict=True):
        *sentences, links = SENTENCE.split(entry["text"])
        leads = [EXPLAINS.fullmatch(address) for _, address in LINK.findall(links)]
        anchor = word.replace(" ", "-")
        lacks = {
            f"write '## {entry['word']} {{#{anchor}}}', for pages to link to it": entry["anchor"] != anchor,
            "give it one to three sentences, and then links": not 1 <= len(sentences) <= 3,
            "let its last words be links to other pages, ../POST/index.qmd#SECTION": not (leads and all(leads)),
            # It is shown as text, by itself.
            "let its first sentence end in a point, without formulas": not sentences
            or "$" in sentences[0]
            or not sentences[0].endswith("."),
        } | {
            f"posts/{link[1]} has no section {{#{link[2]}}}": link[2] not in anchors_of(link[1])
            for link in leads
            if link and link[2]
        }
        found += [f"{word}: {what}" for what, wrong in lacks.items() if wrong]
    return found


def test_a_word_is_in_its_place_has_one_to_three_sentences_and_leads_to_the_section_that_explains_it() -> None:
    assert len(re.findall("^## ", SOURCE, re.M)) == len(ENTRIES) >= 30
    found = lacking(SOURCE)
    assert not found, "posts/glossary/index.qmd: " + "\n".join(found)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("## Derivative {#derivative}", "## Derivative", "derivative: write '## Derivative {#derivative}'"),
        ("## Chain rule {#chain-rule}", "## Chain rule {#chain}", "chain rule: write '## Chain rule {#chain-rule}'"),
        ("## Batch {#batch}", "## Table {#table}", "broadcasting: put it before 'table'"),
        ("One round of training through all examples, batch after batch. ", "", "epoch: give it one to three sent"),
        ("batch after batch.", "One. Two. Three. Four.", "epoch: give it one to three sentences"),
        ("batch after batch.", "$n$ in each batch.", "epoch: let its first sentence end in a point, without form"),
        ("(../training/index.qmd#models)", "", "epoch: let its last words be links to other pages"),
        ("(../training/index.qmd#models)", "(#batch)", "epoch: let its last words be links to other pages"),
        ("training/index.qmd#models", "training/index.qmd#model", "epoch: posts/training has no section {#model}"),
    ],
)
def test_what_an_entry_lacks_is_said_under_its_word(old: str, new: str, words: str) -> None:
    assert old in SOURCE
    assert words in "\n".join(lacking(SOURCE.replace(old, new)))


def test_pages_link_to_words_that_the_glossary_has() -> None:
    known = {entry["anchor"] for entry in ENTRIES}
    for post in POSTS.glob("*/index.qmd"):
        linked = re.findall(r"\(\.\./glossary/index\.qmd#([\w-]+)\)", post.read_text(encoding="utf-8"))
        unknown = {*linked} - known
        assert not unknown, f"{post.relative_to(ROOT)} links to what is no word of the glossary: {unknown}"


def test_what_a_word_means_is_told_of_all_that_is_linked_and_of_nothing_else(site: Path) -> None:
    glossary = html.parse(site / "posts" / "glossary" / "index.html")
    linked = 0
    for path in [site / "index.html", *site.glob("posts/*/index.html")]:
        page = html.parse(path)
        links = page.xpath("//main//a[contains(@href, 'glossary/index.html#')]/@href")
        words = {str(link).partition("#")[2] for link in links}
        told = {str(each.get("id")): each.text for each in page.xpath("//*[@id='meanings']/p[@hidden]")}
        assert told.keys() == {f"meaning-{word}" for word in words}, path
        for word in words:
            (paragraph, *_) = glossary.xpath(f"//section[@id='{word}']/p")
            text = " ".join(paragraph.text_content().split())
            assert f"{text} ".startswith(f"{told[f'meaning-{word}']} ")
        linked += bool(words)
    assert linked > 2


GLOSSARY = """<body><main><section id="transpose"><h2>Transpose</h2>
<p>A table <a href="#turn">turned</a> over, .T &amp; so on. More of it.</p></section></main></body>"""
LINKING = """<!DOCTYPE html><meta charset="utf-8"><style>{style}</style><body><main><p style="margin: {margin}">
<a href="../glossary/index.html#transpose">transpose</a> and <a href="../glossary/index.html#none">none</a></p></main>
</body>"""
MEANS = "A table turned over, .T & so on."


def linking(folder: Path, margin: str) -> Path:
    """Return a page that links to a glossary, as the script that runs after a render leaves it the second time."""
    sheets = (ROOT / "src" / "qmdsite" / "tokens.css", POSTS / "styles.css")
    style = re.sub(r"@font-face \{.*?\}", "", "".join(sheet.read_text() for sheet in sheets))
    for slug, text in {"glossary": GLOSSARY, "one": LINKING.format(style=style, margin=margin)}.items():
        (folder / "posts" / slug).mkdir(parents=True)
        (folder / "posts" / slug / "index.html").write_text(text, encoding="utf-8")
    shutil.copy(POSTS / "glossary.js", folder / "posts")
    environment = os.environ | {"QUARTO_PROJECT_OUTPUT_DIR": str(folder)}
    for _ in range(2):
        subprocess.run([sys.executable, POSTS / "glossary" / "previews.py"], env=environment, check=True)
    return folder / "posts" / "one" / "index.html"


@pytest.fixture(params=["6rem 40rem", "53rem 1rem 0"], ids=["above", "at the end of the window"])
def page(browser: Browser, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.goto(linking(tmp_path, request.param).as_uri())
    yield page
    page.close()


def apart(one: FloatRect, other: FloatRect) -> bool:
    return one["y"] + one["height"] <= other["y"] or other["y"] + other["height"] <= one["y"]


def test_the_pointer_shows_what_a_word_means_asks_for_nothing_and_covers_no_link(page: Page) -> None:
    asked = list[str]()
    page.on("request", lambda request: asked.append(request.url))
    link, meaning = page.get_by_role("link", name="transpose"), page.get_by_text(MEANS)
    expect(meaning).to_be_hidden()
    link.hover()
    expect(meaning).to_be_visible()
    assert apart(box_of(meaning), box_of(link))
    expect(meaning).to_be_in_viewport(ratio=1)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    meaning.hover()
    page.wait_for_timeout(300)
    expect(meaning).to_be_visible()
    page.mouse.move(0, 0)
    expect(meaning).to_be_hidden()
    page.get_by_role("link", name="none").hover()
    page.wait_for_timeout(300)
    expect(meaning).to_be_hidden()
    assert asked == []


def test_the_keyboard_shows_it_escape_hides_it_and_it_is_read_out_once(page: Page) -> None:
    link, meaning = page.get_by_role("link", name="transpose"), page.get_by_text(MEANS)
    page.keyboard.press("Tab")
    expect(link).to_be_focused()
    expect(meaning).to_be_visible()
    expect(meaning).to_have_count(1)
    expect(link).to_have_accessible_name("transpose")
    expect(link).to_have_accessible_description(MEANS)
    assert link.get_attribute("title") is None  # a second one, by the browser
    page.keyboard.press("Escape")
    expect(meaning).to_be_hidden()
    expect(link).to_be_focused()
    expect(link).to_have_accessible_description(MEANS)
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    expect(meaning).to_be_visible()
    page.keyboard.press("Tab")
    expect(meaning).to_be_hidden()


def test_without_scripts_a_link_is_a_link(browser: Browser, tmp_path: Path) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto(linking(tmp_path, "0").as_uri())
    page.get_by_role("link", name="transpose").hover()
    expect(page.get_by_text(MEANS)).to_be_hidden()
    page.get_by_role("link", name="transpose").click()
    assert page.url.endswith("posts/glossary/index.html#transpose")
    page.close()
