"""Pictures show every number, take few bytes, and a reader can step through them, or read them without a script."""

import re
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from conftest import box_of
from playwright.sync_api import Browser, Page

from handgrad.pictures import Animation, Frame, Kind, Panel, Step, walkthrough

ROOT = Path(__file__).parent.parent
X = torch.tensor([[1.0, -0.5], [0.0, 1 / 3]])
STEPS = [
    Step("X", "", X, "holds two examples.", given=True),
    Step("b", "", torch.tensor([-0.0, 12345.6]), "is a vector.", given=True),
    Step("R", r"R = \max(X, 0)", X.relu(), "keeps what is positive."),
    Step("L", r"L = \sum R", X.relu().sum(), "is a number."),
    Step("dL/dX", r"\frac{\partial L}{\partial X}", (X > 0).double(), "is a mask.", of="X"),
]
LINE = torch.tensor([[-1.0, -1.0], [0.0, 0.5], [1.0, 1.0]])


def within(root: ET.Element, path: str) -> ET.Element:
    """Return the one element at a path."""
    (element,) = root.findall(path)
    return element


def raw(markdown: str) -> str:
    """Return the HTML in Markdown."""
    (html,) = re.findall("```{=html}\n(.*)\n```", markdown, re.S)
    return str(html)


Shown = tuple[str | None, str, str | None, list[list[str | None]]]


def tables(markdown: str) -> dict[str, Shown]:
    """The tensors as they are shown: class, caption, first step and texts of the cells, by name."""
    result: dict[str, Shown] = {}
    for text in re.findall(r"<table.*?</table>", markdown, re.S):
        table = ET.fromstring(text)
        caption, body = within(table, "caption"), within(table, "tbody")
        cells = [[cell.text for cell in row] for row in body]
        name = str(within(caption, "b").text)
        result[name] = table.get("class"), "".join(caption.itertext()), body.get("data-from"), cells
    return result


def panel(frames: int = 3) -> Panel:
    steep = [Frame({"whole": [LINE * torch.tensor([1, k])]}, f"loss < {k}") for k in range(frames)]
    return Panel("Title <1>", 'says "what"', Frame({"reference": [LINE]}), steep)


def test_every_tensor_is_shown_with_its_name_shape_and_values() -> None:
    assert tables(walkthrough(STEPS).text) == {
        "X": ("tensor value", "X (2, 2)", "1", [["1", "−0.5"], ["0", "0.3333"]]),
        "b": ("tensor value", "b (2)", "1", [["0", "1.235e+04"]]),
        "R": ("tensor value", "R (2, 2)", "2", [["1", "0"], ["0", "0.3333"]]),
        "L": ("tensor value", "L (one number)", "3", [["1.333"]]),
        "dL/dX": ("tensor gradient", "dL/dX (2, 2)", "4", [["1", "0"], ["0", "1"]]),
    }


def test_a_gradient_stands_beside_what_it_is_the_gradient_of() -> None:
    pairs = re.findall(r'<div class="pair">(.*?)</div>', walkthrough(STEPS).text, re.S)
    assert [list(tables(pair)) for pair in pairs] == [["X", "dL/dX"], ["b"], ["R"], ["L"]]


def test_every_step_says_its_text_and_formula() -> None:
    text = walkthrough(STEPS).text
    for step in STEPS:
        assert f"**{step.name}** {step.text}" in text
        assert step.formula in text
    assert re.findall(r'data-step="(\d)" data-label="(.*?)"', text) == [
        ("1", "Given"), ("2", "R"), ("3", "L"), ("4", "dL/dX"),
    ]  # fmt: skip


@pytest.mark.parametrize(("shape", "cells"), [((0,), [[]]), ((3, 0), [[], [], []]), ((0, 3), [])])
def test_an_empty_tensor_is_shown_with_its_shape(shape: tuple[int, ...], cells: list[list[str]]) -> None:
    shown = tables(walkthrough([Step("E", "", torch.empty(shape), "has no values.")]).text)
    assert shown == {"E": ("tensor value", f"E ({', '.join(map(str, shape))})", "1", cells)}


def test_what_is_given_comes_first_and_together_wherever_it_stands_among_the_steps() -> None:
    steps = [Step("Given", "", X, "is computed."), STEPS[2], *STEPS[:2], STEPS[4]]
    text = walkthrough(steps).text
    assert [(name, first) for name, (_, _, first, _) in tables(text).items()] == [
        ("X", "1"), ("dL/dX", "4"), ("b", "1"), ("Given", "2"), ("R", "3"),
    ]  # fmt: skip
    captions = re.findall(r"^::: {\.step .*?^:::$", text, re.M | re.S)
    assert [re.findall(r"\*\*(.*?)\*\*", caption) for caption in captions] == [["X", "b"], ["Given"], ["R"], ["dL/dX"]]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (Step("X", "", X, "again"), "a name of its own"),
        (Step("Y", "", X[None], "three dimensions"), "at most two dimensions"),
        (Step("dL/dX", "", X[:1], "another shape", of="X"), r"of shape \(1, 2\) cannot be the gradient of X: \(2, 2\)"),
        (Step("dL/dZ", "", X, "of nothing", of="Z"), "cannot be the gradient of Z: None"),
    ],
)
def test_steps_that_make_no_sense_are_refused(wrong: Step, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        walkthrough([STEPS[0], wrong])


def test_a_walkthrough_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one step"):
        walkthrough([])


def test_a_curve_passes_through_its_points() -> None:
    film = Animation([panel()], ["a", "b", "c"], (-1, 1), (-1, 1))._repr_html_()
    root = ET.fromstring(f"<div>{film.replace(' defer>', '>')}</div>")
    svg = within(root, ".//svg")
    assert svg.get("role") == "img"
    assert svg.get("aria-label") == 'says "what"'
    assert within(svg, "path").get("d") == "M0 200 150 50 300 0"
    frames = svg.findall("g")
    assert [within(frame, "path").get("d") for frame in frames] == [
        "M0 100 150 100 300 100", "M0 200 150 50 300 0", "M0 300 150 0 300 -100",
    ]  # fmt: skip
    assert [frame.get("data-label") for frame in frames] == ["a", "b", "c"]
    notes = root.findall(".//figcaption/span")
    assert [note.text for note in notes] == ["loss < 0", "loss < 1", "loss < 2"]
    assert [note.get("data-step") for note in notes] == [frame.get("data-step") for frame in frames]


def test_the_legend_says_once_what_the_curves_are_and_how_far_the_axes_go() -> None:
    legend: dict[Kind, str] = {"whole": "a < b", "reference": "c"}
    film = Animation([panel(1), panel(1)], ["a"], (-1, 2), (-3, 4.5), legend)._repr_html_()
    (shown,) = ET.fromstring(f"<div>{film.replace(' defer>', '>')}</div>").findall(".//p")
    assert [" ".join(part.itertext()).strip() for part in shown] == ["a < b", "c", "x from −1 to 2, y from −3 to 4.5"]
    assert [key.get("class") for key in shown.iter("path")] == [*legend]


def test_a_saved_notebook_holds_the_animation_once() -> None:
    assert repr(Animation([panel(1)], ["a"], (-1, 1), (-1, 1))) == "Animation(x=(-1, 1), y=(-1, 1), interval=150)"


def drawn(curves: Any, background: Any = None) -> dict[str, Any]:
    """The arguments of an animation whose second frame has these curves, over a background."""
    return {"panels": [Panel("Title", "", Frame(background or {}), [Frame({}), Frame(curves)])]}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (drawn({"hinge": [LINE]}), "Title, b, hinge: not a kind, which are part, whole, reference"),
        (drawn({"part": LINE}), "Title, b, part: a tensor and not a list"),
        (drawn({"part": [LINE, LINE[0]]}), r"Title, b, part: points of shape \(2,\) and not \(n, 2\)"),
        (drawn({"part": [LINE.T]}), r"Title, b, part: points of shape \(2, 3\) and not \(n, 2\)"),
        (drawn({"part": [LINE[:0]]}), r"Title, b, part: points of shape \(0, 2\) and not \(n, 2\)"),
        (drawn({"part": [LINE], "whole": [LINE * torch.nan]}), "Title, b, whole: points that are not finite"),
        (drawn({"whole": [LINE / 0]}), "Title, b, whole: points that are not finite"),
        (drawn({}, {"whole": LINE}), "Title, background, whole: a tensor"),
        ({"panels": [panel(2), panel(3)]}, "Title <1> has 3 frames and not 2, one for each label"),
        ({"panels": []}, "0 panels"),
        ({"panels": [panel(0)], "labels": []}, "0 labels"),
        ({"interval": 0}, "0 ms"),
        ({"x": (1, 1)}, "x must go from a finite number to a larger one, not from 1 to 1"),
        ({"y": (1, -1)}, "y must go from a finite number to a larger one"),
        ({"y": (0, float("inf"))}, "y must go from a finite number to a larger one"),
        ({"x": (float("nan"), 1)}, "x must go from a finite number to a larger one"),
    ],
)
def test_an_animation_that_cannot_be_drawn_is_refused_and_the_place_named(wrong: dict[str, Any], words: str) -> None:
    right: dict[str, Any] = {"panels": [panel(2)], "labels": ["a", "b"], "x": (-1, 1), "y": (-1, 1)}
    Animation(**right)
    with pytest.raises(ValueError, match=words):
        Animation(**right | wrong)


def test_the_style_sheet_knows_what_is_drawn_in_another_way_than_plain() -> None:
    styles = (ROOT / "posts" / "styles.css").read_text()
    assert {*re.findall(r"path\.(\w+)", styles)} == {*get_args(Kind)} - {"reference"}


@pytest.fixture
def page(browser: Browser, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page with two animations and a walkthrough, opened from its file, with scripts on unless the test says not."""
    shutil.copy(ROOT / "posts" / "player.js", tmp_path)
    (tmp_path / "post").mkdir()
    film = Animation([panel(), panel()], ["first", "second", "third"], (-1, 1), (-1, 1), interval=30)._repr_html_()
    steps = "".join(f'<p data-step="{k}" data-label="step {k}">text {k}</p>' for k in (1, 2))
    told = raw(walkthrough(STEPS[:3]).text)
    pages = f'{film}<div class="player walkthrough" id="told"><div class="steps">{steps}</div>{told}</div>'
    sheets = ROOT / "src" / "qmdsite" / "tokens.css", ROOT / "posts" / "styles.css"
    style = "".join(sheet.read_text() for sheet in sheets)
    head = f'<!DOCTYPE html><meta charset="utf-8"><style>{style}</style>'
    (tmp_path / "post" / "index.html").write_text(head + pages)
    page = browser.new_page(java_script_enabled=getattr(request, "param", True))
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.goto((tmp_path / "post" / "index.html").as_uri())
    yield page
    page.close()


def seen(page: Page, place: str, what: str) -> list[str]:
    return [str(part.text_content()).strip() for part in page.locator(f"{place} {what}").all() if part.is_visible()]


TOLD = "#told"


def frames(page: Page) -> list[str | None]:
    player = page.locator(".player").first
    visible = "part => part.checkVisibility({ visibilityProperty: true })"  # a level line has a box without height
    return [each.get_attribute("data-label") for each in player.locator("svg g").all() if each.evaluate(visible)]


def test_back_and_next_stop_at_the_ends(page: Page) -> None:
    player = page.locator("#told")
    back, next_ = player.get_by_role("button", name="Back"), player.get_by_role("button", name="Next")
    assert seen(page, TOLD, "[data-step]") == ["text 1"]
    assert page.locator("#told tbody.off").count() == 1
    back.click(force=True)
    assert seen(page, TOLD, "[data-step]") == ["text 1"]
    assert back.get_attribute("aria-disabled") == "true"
    next_.click()
    assert seen(page, TOLD, "[data-step]") == ["text 2"]
    assert page.locator("#told tbody.off").count() == 0
    assert page.locator("#told tbody.now").count() == 1
    next_.click(force=True)
    assert seen(page, TOLD, "[data-step]") == ["text 2"]
    back.click()
    assert seen(page, TOLD, "[data-step]") == ["text 1"]


def test_nothing_moves_when_a_step_shows(page: Page) -> None:
    boxes = [box_of(page.locator("#told table").nth(k)) for k in range(3)]
    page.locator("#told").get_by_role("button", name="Next").click()
    assert [box_of(page.locator("#told table").nth(k)) for k in range(3)] == boxes


def test_the_keyboard_is_enough(page: Page) -> None:
    slider = page.get_by_role("slider", name="Step").first
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert frames(page) == ["second", "second"]
    assert slider.get_attribute("aria-valuetext") == "2 of 3: second"
    page.keyboard.press("End")
    assert frames(page) == ["third", "third"]
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.activeElement.textContent") == "Back"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert frames(page) == ["second", "second"]


def test_it_plays_only_when_asked_and_silently(page: Page) -> None:
    page.clock.install(time=0)
    page.reload()
    page.clock.pause_at(120)
    assert frames(page) == ["first", "first"]
    play = page.get_by_role("button", name="Play").first
    live = page.locator("[aria-live]").first
    assert live.get_attribute("aria-live") == "polite"
    play.click()
    assert live.get_attribute("aria-live") == "off"
    page.clock.run_for(30)
    assert frames(page) == ["second", "second"]
    page.clock.run_for(30)
    assert play.text_content() == "Play"
    assert frames(page) == ["third", "third"]
    assert live.get_attribute("aria-live") == "polite"
    assert [slider.input_value() for slider in page.get_by_role("slider").all()] == ["3", "1"]


def test_the_note_of_a_frame_stands_in_the_caption_in_every_state_alone(page: Page) -> None:
    assert seen(page, "figcaption", "span") == ["loss < 0"] * 2
    page.get_by_role("slider", name="Step").first.focus()
    page.keyboard.press("ArrowRight")
    assert seen(page, "figcaption", "span") == ["loss < 1"] * 2
    page.keyboard.press("End")
    assert seen(page, "figcaption", "span") == ["loss < 2"] * 2


def test_the_cells_of_a_tensor_and_of_its_gradient_have_one_size(page: Page) -> None:
    value, gradient = (Step(name, "", torch.zeros(3, 2), "", of=of) for name, of in (("w", ""), ("∂L/∂w", "w")))
    pair = raw(walkthrough([value, gradient]).text)
    page.evaluate("html => document.body.innerHTML = html", f'<div class="player">{pair}</div>')
    boxes = [box_of(cell) for cell in page.locator("td").all()]
    assert len(boxes) == 12
    assert len({(round(box["width"], 1), round(box["height"], 1)) for box in boxes}) == 1
    assert {box["y"] for box in boxes[:6]} == {box["y"] for box in boxes[6:]}


def test_play_at_the_end_starts_again(page: Page) -> None:
    page.get_by_role("slider", name="Step").first.focus()
    page.keyboard.press("End")
    assert frames(page) == ["third", "third"]
    play = page.get_by_role("button", name="Play").first
    assert play.evaluate("play => { play.click(); return play.parentElement.querySelector('input').value }") == "1"


def test_the_tensor_of_a_step_is_scrolled_to(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 500})
    page.add_style_tag(content=".pair { flex-basis: 100%; margin-bottom: 600px }")
    page.locator("#told").get_by_role("button", name="Next").click()
    box = box_of(page.locator("#told table:has(.now)"))
    controls = box_of(page.locator("#told .steps"))
    assert controls["y"] + controls["height"] <= box["y"]
    assert box["y"] + box["height"] <= 500


@pytest.mark.parametrize("page", [False], indirect=True)
def test_without_scripts_all_steps_and_the_last_frame_show(page: Page) -> None:
    assert seen(page, TOLD, "[data-step]") == ["text 1", "text 2"]
    assert len(seen(page, TOLD, "td")) == 10
    assert frames(page) == ["third", "third"]
    assert seen(page, "figcaption", "span") == ["loss < 2"] * 2
    assert page.get_by_role("button").count() == 0
