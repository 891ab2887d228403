"""In figures that readers change, all numbers have room; tables of a layer open on the entry that is asked for."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from test_interactive import GIVEN, drag, figures_in, shown

from handgrad.interactive import transpose, two_paths

# Pairs of texts of a drawing that lie on each other, and those that leave it.
CROWDED = """figure => {
  const area = figure.querySelector("svg").getBoundingClientRect();
  const texts = [...figure.querySelectorAll("svg text")];
  const boxes = texts.map((text) => [text.textContent, text.getBoundingClientRect()]);
  const outside = boxes.filter(([, box]) => box.left < area.left || box.right > area.right);
  const pairs = boxes.flatMap(([text, one], k) => boxes.slice(k + 1).filter(([, other]) =>
    one.left < other.right && other.left < one.right && one.top + 2 < other.bottom && other.top + 2 < one.bottom
  ).map(([beside]) => `${text} | ${beside}`));
  return [...outside.map(([text]) => text), ...pairs];
}"""


@pytest.fixture(scope="module")
def page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    page = browser.new_page()
    page.goto(figures_in(tmp_path_factory.mktemp("figures")))
    yield page
    page.close()


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("two_paths", {"w": -2.5, "d": 0.5, "c": 1.5}),
        ("two_paths", {"w": 3, "d": 2.5, "c": 1}),
        ("two_paths", {"w": -2.99, "d": 0, "c": 3.9}),
        ("two_paths", {"w": 2.99, "d": 3.9, "c": 3.9}),
        ("chain", {"w": 2, "x": 2, "b": 3, "t": -10}),
        ("chain", {"w": -1.99, "x": -1.99, "b": 2.99, "t": -9.9}),
        ("chain", {"w": -1.99, "x": 1.99, "b": -1.99, "t": -9.9}),
    ],
)
def test_no_text_of_a_drawing_lies_on_another_or_leaves_it(page: Page, name: str, state: dict[str, Any]) -> None:
    for label, value in state.items():
        drag(page, name, label, value)
    assert page.locator(f"#{name}").evaluate(CROWDED) == []


def test_a_negative_addend_stands_in_brackets(page: Page) -> None:
    for label, value in {"w": -2.5, "d": 0.5, "c": 1.5}.items():
        drag(page, "two_paths", label, value)
    total = page.locator("#two_paths text", has_text="∂L/∂w").text_content()
    assert total == "∂L/∂w = −3.75 + (−3) = −6.75"
    assert total in re.sub("<[^>]*>", "", two_paths(-2.5, 0.5, 1.5)._repr_html_())


@pytest.mark.parametrize("width", [320, 1280])
def test_the_number_of_a_slider_stays_on_its_line(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    drag(page, "descent", "Learning rate", -2.2)
    number = page.locator("#descent .shown")
    assert number.text_content() == "0.0063"
    assert number.evaluate("each => each.scrollWidth <= each.clientWidth && each.clientHeight < 30")


def test_the_tables_open_on_the_entry_that_is_asked_for_and_say_what_the_script_would(page: Page) -> None:
    entries = [f"dX{i}{r}" for i in range(3) for r in range(2)] + [f"dW{r}{s}" for r in range(2) for s in range(4)]
    for at in [*entries, *(f"db{s}" for s in range(4))]:
        page.locator(f'#transpose button[data-show="{at}"]').focus()
        figure = transpose(**GIVEN, at=at)._repr_html_()
        for key in ("names", "sum"):
            assert f'data-show="{key}">{shown(page, "transpose", key)}<' in figure
        lit = page.locator("#transpose td.lit")
        assert len(re.findall('class="lit"', figure)) == lit.count()


@pytest.mark.parametrize("at", ["dW42", "W00", "", "db"])
def test_an_entry_that_is_none_of_a_gradient_is_refused(at: str) -> None:
    with pytest.raises(ValueError, match="at must be an entry of a gradient, one of dX00, dX01"):
        transpose(**GIVEN, at=at)


@pytest.mark.parametrize("name", GIVEN)
def test_tables_of_shapes_that_do_not_fit_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"of shapes \(n, p\), \(p, q\), \(q\) and \(n, q\)"):
        transpose(**GIVEN | {name: GIVEN[name][1:]})
