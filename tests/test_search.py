"""The search of a site, in a browser, under the policy of its pages."""

from pathlib import Path
from typing import Any

import pytest
from conftest import serving
from website import Project, complaint

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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(tmp_path)
    monkeypatch.setattr("qmdsite.search.COMMAND", ["-c", "import sys; sys.exit('no room')"])
    assert complaint(project, 1) == "pagefind, which makes the index that the search asks, failed:\nno room\n"
    assert not (project.root / "_site").exists()
