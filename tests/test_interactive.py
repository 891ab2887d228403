"""Figures that readers change compute what autograd computes, are complete without their script, and need no mouse."""

import gzip
import math
import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import box_of
from playwright.sync_api import Browser, Locator, Page
from test_accessibility import AXE, PALE

from handgrad.interactive import _descent, _hinges, _level, chain, descent, hinges, number, transpose, two_paths

ROOT = Path(__file__).parent.parent
GIVEN: dict[str, Any] = {
    "X": torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
    "W": torch.tensor([[1.0, 0.0, -1.0, 2.0], [0.0, 1.0, 1.0, 1.0]]),
    "b": torch.tensor([10.0, 20.0, 30.0, 40.0]),
    "G": torch.tensor([[1.0, 0.0, 2.0, -1.0], [0.5, 1.0, 0.0, 3.0], [-2.0, 1.0, 1.0, 0.0]]),
}
FIGURES = {
    "chain": chain(1.0, 0.5, 1.0, 9.0),
    "two_paths": two_paths(2.0, 1.0, 3.0),
    "descent": descent(),
    "transpose": transpose(**GIVEN, at="dW10"),
}
PLACES = torch.linspace(-1.5, 1.5, 101, dtype=torch.float64)
HINGES: dict[str, Any] = {
    "parameters": torch.tensor([[1.0, 1.0, -1.0], [1.0, 0.0, 1.5], [1.0, -0.5, -1.0]]),
    "bias": 0.0,
    "x": PLACES,
    "t": torch.sin(3 * PLACES) + PLACES / 2,
}
FIGURES["hinges"] = hinges(**HINGES)
Numbers = dict[str, Any]


def figures_in(folder: Path) -> str:
    """Write a page with all figures, and return its address."""
    (folder / "post").mkdir()
    shutil.copy(ROOT / "posts" / "interactive.js", folder)
    sheets = ROOT / "src" / "qmdsite" / "tokens.css", ROOT / "posts" / "styles.css"
    style = "".join(sheet.read_text() for sheet in sheets) + "body { background: var(--page); color: var(--text); }"
    head = f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Figures</title><style>{style}</style>'
    shown = "".join(f'<div id="{name}">{figure._repr_html_()}</div>' for name, figure in FIGURES.items())
    (folder / "post" / "index.html").write_text(f"{head}<main><h1>Figures</h1>{shown}</main>")
    return (folder / "post" / "index.html").as_uri()


@pytest.fixture(scope="module")
def opened(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Page]:
    """What opens a page with all figures, from its file."""
    address = figures_in(tmp_path_factory.mktemp("figures"))

    def open_page(**options: Any) -> Page:
        page = browser.new_page(**options)
        page.set_default_timeout(5000)
        page.on("pageerror", lambda error: pytest.fail(str(error)))
        page.goto(address)
        return page

    return open_page


@pytest.fixture
def page(opened: Callable[..., Page]) -> Iterator[Page]:
    page = opened()
    yield page
    page.close()


def by_script(page: Page, name: str, states: list[Numbers]) -> list[Numbers]:
    """What the script computes, all states at once."""
    found = page.evaluate("([name, states]) => states.map(globalThis.handgrad[name])", [name, states])
    assert len(found) == len(states) == 200
    return list(found)


def differentiated(loss: torch.Tensor, *at: torch.Tensor) -> list[Any]:
    return [gradient.tolist() for gradient in torch.autograd.grad(loss, at, retain_graph=True)]


def leaf(value: Any) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64, requires_grad=True)


def is_close(found: Any, expected: Any) -> bool:
    one, other = (torch.as_tensor(each, dtype=torch.float64) for each in (found, expected))
    return one.shape == other.shape and torch.allclose(one, other, rtol=1e-9, atol=1e-9)


def numbers(shown: Locator) -> dict[str, str]:
    found = shown.evaluate_all("parts => parts.map((part) => [part.dataset.show, part.textContent])")
    return dict(found)


def shown(page: Page, name: str, key: str) -> str:
    return str(page.locator(f'#{name} [data-show="{key}"]').first.text_content())


def drag(page: Page, name: str, label: str, value: float) -> None:
    page.locator(f"#{name}").get_by_role("slider", name=label, exact=True).fill(str(value))


def test_the_script_is_small_and_its_functions_fit_a_screen() -> None:
    script = (ROOT / "posts" / "interactive.js").read_text()
    assert len(gzip.compress(script.encode())) < 20_000
    lines = script.splitlines()
    long, opened_at = [], {}
    for count, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if re.match(r" *(function )?\w+\(.*\) \{$", line):
            opened_at[indent] = count
        elif line.strip() in ("}", "},") and indent in opened_at and count - opened_at.pop(indent) > 44:
            long.append(line)
    assert long == []
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-40.498, "−40.5"), (0.0, "0"), (-0.0, "0"), (12345.6, "12350"), (1 / 3, "0.3333"), (1e-7, "0.0000001"),
        (9.0, "9"), (-1e-20, "0"),
    ],
)  # fmt: skip
def test_a_number_has_four_digits_and_no_exponent(value: float, text: str) -> None:
    assert number(value) == text


def test_a_figure_looks_the_same_before_the_script_comes(opened: Callable[..., Page], page: Page) -> None:
    still = opened(java_script_enabled=False)
    assert still.get_by_role("slider").count() == still.get_by_role("button").count() == 0
    for name in FIGURES:
        before, after = (numbers(each.locator(f"#{name} [data-show]")) for each in (still, page))
        typed = {key: text.replace("−", "-") for key, text in before.items() if key not in after}
        assert before == after | {key: before[key] for key in typed}
        assert [field.input_value() for field in page.locator(f"#{name} td input").all()] == [*typed.values()]
        assert len(after) > 3
        assert still.locator(f"#{name} svg desc, #{name} caption").count() > 0
    still.close()


def test_in_a_notebook_a_figure_is_a_picture_with_the_colours_it_brings() -> None:
    for figure in FIGURES.values():
        made = figure._repr_html_()
        assert "class=" in made
        assert made.count("var(--") == made.count("var(--sans, ") + made.count("var(--value, #") + made.count(
            "var(--gradient, #"
        )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 2560])
def test_axe_finds_nothing_no_text_is_pale_and_nothing_is_wider_than_the_page(
    page: Page, width: int, scheme: Any
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    assert page.evaluate(PALE) == []
    page.evaluate(AXE)
    result = page.evaluate("axe.run({ resultTypes: ['violations'], runOnly: undefined })")
    assert [(each["id"], [node["target"] for node in each["nodes"]]) for each in result["violations"]] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_targets_are_large_enough_and_named(page: Page) -> None:
    page.set_viewport_size({"width": 320, "height": 900})
    for part in page.locator("main :is(button, input)").all():
        box = box_of(part)
        assert min(box["width"], box["height"]) >= 24, part.evaluate("part => part.outerHTML")


def test_each_figure_has_one_polite_region_that_says_the_result(page: Page) -> None:
    for name in FIGURES:
        places = "[aria-live]", '.result[aria-live="polite"][aria-atomic="true"]'
        assert [page.locator(f"#{name} {place}").count() for place in places] == [1, 1]


def test_on_paper_only_the_picture_is_left(page: Page) -> None:
    page.emulate_media(media="print")
    assert not any(part.is_visible() for part in page.locator(".controls, .controls *").all())
    for name in FIGURES:
        assert page.locator(f"#{name} :is(svg, table)").first.is_visible()


def test_the_chain_of_the_script_is_that_of_autograd(page: Page) -> None:
    draw = random.Random(0)
    states = [{name: draw.uniform(-2, 2) for name in "wxbt"} for _ in range(200)]
    for state, found in zip(states, by_script(page, "chain", states), strict=True):
        w, x, b, t = (leaf(state[name]) for name in "wxbt")
        u = w * x
        v = u + b
        y = v.exp()
        loss = (y - t) ** 2
        parts = {"w": w, "x": x, "b": b, "u": u, "v": v, "y": y, "L": loss}
        gradients = differentiated(loss, *parts.values())
        assert is_close([found[name] for name in parts], [part.item() for part in parts.values()])
        assert is_close([found[f"d{name}"] for name in parts], gradients)
        nudged = (math.exp((state["w"] + 0.01) * state["x"] + state["b"]) - state["t"]) ** 2
        assert is_close([found["promised"], found["came"]], [0.01 * gradients[0], nudged - loss.item()])


def test_values_and_gradients_follow_a_parameter_that_is_dragged_or_moved_by_key(page: Page) -> None:
    drag(page, "chain", "w", 0)
    assert [shown(page, "chain", key) for key in ("w", "u", "v", "y")] == ["0", "0", "1", "2.718"]
    assert shown(page, "chain", "dx") == "0"
    page.locator("#chain").get_by_role("slider", name="b", exact=True).focus()
    page.keyboard.press("End")
    assert [shown(page, "chain", key) for key in ("b", "v")] == ["3", "3"]
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert page.locator("#chain").get_by_role("slider", name="b", exact=True).get_attribute("aria-valuetext") == "3"


def test_a_nudge_moves_w_and_shows_what_was_promised_beside_what_came(page: Page) -> None:
    drag(page, "chain", "x", 2)
    assert shown(page, "chain", "told") == "If w went from 1 to 1.01, L would change by"
    page.locator("#chain").get_by_role("button", name="Nudge w by 0.01").press("Enter")
    assert shown(page, "chain", "w") == "1.01"
    assert shown(page, "chain", "told") == "w went from 1 to 1.01; L changed by"
    assert [shown(page, "chain", key) for key in ("promised", "came")] == ["8.906", "9.161"]
    promise = "If w goes from 1 to 1.01, its gradient promises that L changes by 8.906; it does by 9.161."
    assert promise in repr(chain(1.0, 2.0, 1.0, 9.0))
    drag(page, "chain", "w", 1.5)
    assert shown(page, "chain", "told") == "If w went from 1.5 to 1.51, L would change by"


def test_the_gradient_along_two_paths_is_that_of_autograd_and_the_sum_of_what_each_brings(page: Page) -> None:
    draw = random.Random(0)
    states = [{name: draw.uniform(-3, 3) for name in "wdc"} for _ in range(200)]
    for state, found in zip(states, by_script(page, "two_paths", states), strict=True):
        w, d, c = (leaf(state[name]) for name in "wdc")
        u, v = w + d, c * w
        loss = u * v
        du, dv, dw = differentiated(loss, u, v, w)
        by_u, by_v = differentiated(u * v.detach(), w)[0], differentiated(u.detach() * v, w)[0]
        assert is_close([found[key] for key in ("u", "v", "L")], [u.item(), v.item(), loss.item()])
        assert is_close([found[key] for key in ("du", "dv", "dw", "through_u", "through_v")], [du, dv, dw, by_u, by_v])
        assert is_close([found[f"promised{part}"] for part in ("", "_u", "_v")], [0.01 * dw, 0.01 * by_u, 0.01 * by_v])
        w_then = state["w"] + 0.01
        assert is_close(found["came"], (w_then + state["d"]) * state["c"] * w_then - loss.item())


def test_what_comes_back_along_each_path_is_in_view_and_follows(page: Page) -> None:
    keys = "through_u", "through_v", "dw", "promised_u", "promised_v", "promised", "came"
    expected = ["6", "9", "15", "0.06", "0.09", "0.15", "0.1503"]
    assert [shown(page, "two_paths", key) for key in keys] == expected
    page.locator("#two_paths").get_by_role("button", name="Nudge w by 0.01").click()
    assert [shown(page, "two_paths", key) for key in keys] == ["6.03", "9.03", "15.06", *expected[3:]]
    drag(page, "two_paths", "c", 0)
    assert [shown(page, "two_paths", key) for key in keys] == ["0"] * 7


def test_the_three_gradients_of_the_script_are_those_of_autograd_and_sums_of_their_terms(page: Page) -> None:
    generator = torch.Generator().manual_seed(0)
    draw = random.Random(0)
    states: list[Numbers] = []
    for _ in range(200):
        n, p, q = (draw.randint(1, 4) for _ in range(3))
        shapes = {"X": (n, p), "W": (p, q), "b": (q,), "G": (n, q)}
        state = {name: torch.randn(shape, generator=generator).tolist() for name, shape in shapes.items()}
        at = draw.choice(["dX", "dW", "db"])
        states.append(state | {"at": at + "".join(str(draw.randrange(size)) for size in shapes[at[1:]])})
    for state, found in zip(states, by_script(page, "transpose", states), strict=True):
        X, W, b = (leaf(state[name]) for name in "XWb")
        Y = X @ W + b
        gradients = torch.autograd.grad(Y, (X, W, b), torch.tensor(state["G"], dtype=torch.float64))
        assert is_close(found["Y"], Y.detach())
        for name, gradient in zip("XWb", gradients, strict=True):
            assert is_close(found[f"d{name}"], gradient)
        entry = gradients["XWb".index(state["at"][1])][tuple(map(int, state["at"][2:]))]
        values = {key: torch.tensor(state[key]) for key in "XWG"}
        terms = [math.prod(float(values[key[0]][tuple(map(int, key[1:]))]) for key in term) for term in found["terms"]]
        assert is_close(sum(terms), entry)


def lit(page: Page) -> list[str]:
    """The entries that are lit, each by its table and its place there."""
    return list(
        page.locator("#transpose td.lit").evaluate_all(
            """cells => cells.map((cell) => cell.closest("table").dataset.name
              + cell.parentElement.rowIndex + cell.cellIndex)"""
        )
    )


def test_an_entry_of_a_gradient_that_is_pointed_at_lights_what_makes_it(page: Page) -> None:
    said = page.locator("#transpose .result p")
    assert lit(page) == ["X01", "X11", "X21", "dW10", "G00", "G10", "G20"]
    assert said.inner_text() == "∂L/∂W₁₀ = X₀₁·G₀₀ + X₁₁·G₁₀ + X₂₁·G₂₀ = 2·1 + 4·0.5 + 6·(−2) = −8"
    point = page.get_by_role("button", name="∂L/∂W₁₀ = −8", exact=True)
    assert point.get_attribute("aria-pressed") == "true"
    page.get_by_role("button", name="∂L/∂X₀₁").hover()
    assert lit(page) == ["dX01", "W10", "W11", "W12", "W13", "G00", "G01", "G02", "G03"]
    assert said.inner_text().endswith(" = 1·0 + 0·1 + 2·1 + (−1)·1 = 1")
    page.get_by_role("button", name="∂L/∂b₃").click()
    assert lit(page) == ["db03", "G03", "G13", "G23"]
    assert said.inner_text() == "∂L/∂b₃ = G₀₃ + G₁₃ + G₂₃ = (−1) + 3 + 0 = 2"


def test_arrow_keys_go_from_entry_to_entry_of_a_gradient_and_stop_at_its_ends(page: Page) -> None:
    page.get_by_role("button", name="∂L/∂W₀₀").focus()
    top = page.evaluate("scrollY")
    for key, at in [("ArrowRight", "W₀₁"), ("ArrowDown", "W₁₁"), ("ArrowDown", "W₁₁"), ("ArrowLeft", "W₁₀")]:
        page.keyboard.press(key)
        assert shown(page, "transpose", "names").startswith(f"∂L/∂{at} = ")
        assert page.evaluate("scrollY") == top
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_all_gradients_follow_a_number_that_is_written_and_none_what_is_no_number(page: Page) -> None:
    weight = page.get_by_role("spinbutton", name="G₀₀", exact=True)
    for written, total in [("3", "−4"), ("", "−4"), ("1e6", "−4"), ("0", "−10")]:
        weight.fill(written)
        assert shown(page, "transpose", "sum").endswith(f" = {total}")
    page.get_by_role("spinbutton", name="b₁", exact=True).fill("0.5")
    assert [shown(page, "transpose", key) for key in ("Y01", "Y21", "db0")] == ["2.5", "6.5", "−1.5"]


def test_the_loss_its_gradients_and_a_step_are_those_of_autograd(page: Page) -> None:
    draw = random.Random(0)
    x = torch.arange(100, dtype=torch.float64) / 100
    states: list[Numbers] = [
        {"w": draw.uniform(0, 2), "b": draw.uniform(0, 3), "rate": draw.uniform(0, 0.03), "truth": [0.5, 2]}
        for _ in range(200)
    ]
    for state, found in zip(states, by_script(page, "descent", states), strict=True):
        at = w, b = leaf(state["w"]), leaf(state["b"])
        loss = torch.nn.functional.mse_loss((w * x + b).exp(), (0.5 * x + 2).exp())
        dw, db = differentiated(loss, *at)
        assert is_close([found[key] for key in ("L", "dw", "db")], [loss.item(), dw, db])
        for each, gradient in zip(at, (dw, db), strict=True):
            each.grad = torch.tensor(gradient, dtype=torch.float64)
        torch.optim.SGD(at, lr=state["rate"]).step()
        assert is_close([found["next"][key] for key in "wb"], [w.item(), b.item()])


def test_lines_join_points_of_the_same_loss() -> None:
    for loss in (0.01, 1.0, 100.0):
        points = _level(loss)
        assert len(points) > 10
        assert all(abs(_descent(*point)["L"] / loss - 1) < 1e-6 for point in points if point[1] > 0.6)


def path(page: Page) -> list[list[float]]:
    line = page.locator("#descent [data-part='path']").get_attribute("d")
    return [[float(number) for number in point.split()] for point in str(line)[1:].split("L")]


def test_the_ball_takes_one_step_or_twenty_and_goes_back_to_the_start(page: Page) -> None:
    figure = page.locator("#descent")
    keys = "steps", "w", "b", "L"
    start = [shown(page, "descent", key) for key in keys]
    assert start == ["0", "1", "1", "24.17"]
    figure.get_by_role("button", name="One step").press("Enter")
    assert [shown(page, "descent", key) for key in keys[:3]] == ["1", "1.08", "1.137"]
    assert shown(page, "descent", "told") == "The loss falls."
    figure.get_by_role("button", name="20 steps").click()
    assert shown(page, "descent", "steps") == "21"
    assert len(path(page)) == 22
    ball = figure.locator("[data-part='ball']").get_attribute("transform")
    assert ball == f"translate({path(page)[-1][0]:.1f} {path(page)[-1][1]:.1f})"
    figure.get_by_role("button", name="Back to the start").click()
    assert [shown(page, "descent", key) for key in keys] == start
    assert len(path(page)) == 1


@pytest.mark.parametrize(
    ("rate", "steps", "told"),
    [
        (0.0032, [20], "The loss falls."),
        (0.0079, [20], "The ball crossed the floor of the valley and turns back: a zigzag."),
        (0.0079, [20, 1], "The last step led upwards: it was too long, and leapt over the floor of the valley."),
        (0.0063, [20] * 4, "The ball has arrived."),
        (0.014, [20], "The ball leapt out of the picture: the learning rate is too large."),
        (0.02, [20], "The ball leapt out of the picture, to where all outputs are almost zero"),
    ],
)
def test_words_say_what_the_learning_rate_did(page: Page, rate: float, steps: list[int], told: str) -> None:
    drag(page, "descent", "Learning rate", round(math.log10(rate) * 20) / 20)
    slider = page.locator("#descent").get_by_role("slider", name="Learning rate")
    assert slider.get_attribute("aria-valuetext") == str(rate)
    for count in steps:
        page.locator("#descent").get_by_role("button", name="20 steps" if count == 20 else "One step").click()
    assert shown(page, "descent", "told").startswith(told)
    w = b = 1.0
    for _ in range(sum(steps)):
        at = _descent(w, b)
        w, b = w - rate * at["dw"], b - rate * at["db"]
    assert shown(page, "descent", "L") == number(_descent(w, b)["L"])


def test_the_error_of_hinges_and_its_gradients_are_those_of_the_layers_and_of_autograd(page: Page) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.linspace(-1.5, 1.5, 21, dtype=torch.float64)
    states: list[Numbers] = [
        {
            "P": torch.randn(3, 3, generator=generator, dtype=torch.float64).tolist(),
            "c": torch.randn((), generator=generator, dtype=torch.float64).item(),
            "x": x.tolist(),
            "t": torch.randn(21, generator=generator, dtype=torch.float64).tolist(),
        }
        for _ in range(200)
    ]
    for state, found in zip(states, by_script(page, "hinges", states), strict=True):
        P, c, t = leaf(state["P"]), leaf(state["c"]), torch.tensor(state["t"], dtype=torch.float64)
        units = torch.relu(x[:, None] * P[:, 0] + P[:, 1])
        loss = torch.nn.functional.mse_loss(units @ P[:, 2] + c, t)
        dP, dc = differentiated(loss, P, c)
        assert is_close(found["L"], loss.item())
        assert is_close(found["dP"], dP)
        assert is_close(found["dc"], dc)
        assert found["dead"] == [r for r in range(3) if not units[:, r].any()]


def grip(page: Page, hinge: int, kind: int) -> Locator:
    return page.locator("#hinges .grip").nth(3 * hinge + kind)


def pull(page: Page, handle: Locator, right: float, down: float) -> None:
    """Drag something by a part of the width and of the height of its picture."""
    handle.scroll_into_view_if_needed()
    box, plane = box_of(handle), box_of(page.locator("#hinges [data-part='plane']"))
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + right * plane["width"], y + down * plane["height"])
    page.mouse.up()


def written(page: Page) -> list[float]:
    return [float(field.input_value()) for field in page.locator("#hinges td input").all()]


def test_a_kink_a_slope_and_a_weight_are_dragged(page: Page) -> None:
    before = float(shown(page, "hinges", "L"))
    pull(page, grip(page, 1, 0), 0.1, 0)
    start = written(page)
    assert start[:3] + start[6:] == [1, 1, -1, 1, -0.5, -1]
    assert start[3:6] == [1, pytest.approx(-0.3, abs=0.02), 1.5]
    pull(page, grip(page, 1, 1), 0, -0.1)
    slope, intercept, weight = written(page)[3:6]
    assert slope > 1.2
    assert -intercept / slope == pytest.approx(0.3, abs=0.03)
    assert weight == 1.5
    pull(page, grip(page, 1, 2), 0, 0.3)
    assert written(page)[3:5] == [slope, intercept]
    assert 0 < written(page)[5] < 1.3
    at = torch.tensor(written(page)).view(3, 3)
    assert shown(page, "hinges", "L") == number(_hinges(at.double(), 0.0, HINGES["x"], HINGES["t"])[0])
    assert float(shown(page, "hinges", "L")) != before


def test_the_numbers_of_a_hinge_are_written_and_its_line_follows(page: Page) -> None:
    line = page.locator("#hinges [data-part='unit0']")
    assert line.get_attribute("d") == "M0.0 120.0L53.3 120.0L160.0 174.5L213.3 201.8L320.0 256.4"
    page.get_by_role("spinbutton", name="Output weight of hinge 1").fill("0")
    assert {point.split()[1] for point in str(line.get_attribute("d"))[1:].split("L")} == {"120.0"}
    assert shown(page, "hinges", "dP00") == shown(page, "hinges", "dP01") == "0"


def test_steps_of_descent_are_those_of_sgd(page: Page) -> None:
    figure = page.locator("#hinges")
    start = [*written(page), shown(page, "hinges", "L")]
    figure.get_by_role("button", name="One step").press("Enter")
    figure.get_by_role("button", name="100 steps").click()
    P, c = leaf(HINGES["parameters"].tolist()), leaf(0.0)
    sgd = torch.optim.SGD([P, c], lr=0.05)
    for _ in range(101):
        output = torch.relu(PLACES[:, None] * P[:, 0] + P[:, 1]) @ P[:, 2] + c
        loss = torch.nn.functional.mse_loss(output, HINGES["t"])
        P.grad, c.grad = torch.autograd.grad(loss, (P, c))
        sgd.step()
    assert written(page) == pytest.approx(P.flatten().tolist(), abs=1e-4)
    assert [shown(page, "hinges", "steps"), float(shown(page, "hinges", "L"))] == [
        "101",
        pytest.approx(0.152, abs=0.01),
    ]
    figure.get_by_role("button", name="Back to the start").click()
    assert [*written(page), shown(page, "hinges", "L")] == start


def test_too_long_steps_kill_hinges_and_the_words_say_which(page: Page) -> None:
    drag(page, "hinges", "Learning rate", 0.3)
    page.locator("#hinges").get_by_role("button", name="100 steps").click()
    assert all(f"Hinge {k} is off everywhere" in shown(page, "hinges", "told") for k in (1, 2, 3))
    assert {shown(page, "hinges", f"dP{r}{k}") for r in range(3) for k in range(3)} == {"0"}


@pytest.mark.parametrize("name", ["parameters", "x", "t"])
def test_hinges_of_other_shapes_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"shapes \(units, 3\), \(n\) and \(n\)"):
        hinges(**HINGES | {name: HINGES[name][..., 1:]})
