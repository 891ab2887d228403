"""Posts are read, not deciphered: what only checks or draws is folded, and says what it is."""

import ast
import re
from pathlib import Path

import pytest
import yaml
from lxml import html
from statements import CELL

ROOT = Path(__file__).parent.parent
POSTS = sorted(ROOT.glob("posts/*/index.qmd"))
# What these tell of is code.
OF_CODE = {"module", "six-versions", "reference"}


def options(cell: str) -> dict[str, object]:
    return yaml.safe_load("\n".join(re.findall(r"^#\| (.*)", cell, re.M))) or {}


def open_cells(source: str) -> list[str]:
    """Return the code that a reader sees without opening a fold."""
    return [cell for cell in CELL.findall(source) if not {"code-fold", "include", "echo"} & options(cell).keys()]


def apparatus(source: str) -> list[str]:
    """Return what is wrong with how the cells of a post are shown."""
    found = []
    for cell in open_cells(source):
        statements = [each for each in ast.parse(cell).body if not isinstance(each, ast.Import | ast.ImportFrom)]
        if statements and all(isinstance(each, ast.Assert) for each in statements):
            found.append(f"fold this, it only checks:\n{cell}")
        if str(options(cell).get("label", "")).startswith("fig-"):
            found.append(f"fold this, it only draws:\n{cell}")
    for cell in CELL.findall(source):
        summary = str(options(cell).get("code-summary", ""))
        if summary.startswith("Checked"):
            count = sum(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(cell)))
            facts = "one fact" if count == 1 else f"{count} facts"
            if not summary.endswith(f": {facts}"):
                found.append(f"this checks {facts}, and says '{summary}':\n{cell}")
    return found


@pytest.mark.parametrize("post", POSTS, ids=lambda post: post.parent.name)
def test_what_only_checks_or_draws_is_folded_and_counted(post: Path) -> None:
    found = apparatus(post.read_text())
    assert not found, "\n".join(found)


def cell(*lines: str) -> str:
    return "\n".join(["```{python}", *lines, "```", ""])


@pytest.mark.parametrize(
    ("wrong", "right", "words"),
    [
        (cell("import torch", "assert 1"), cell("x = 1", "assert x"), "it only checks"),
        (cell("#| label: fig-a", "draw()"), cell("#| label: fig-a", "#| echo: false", "draw()"), "it only draws"),
        (
            cell("#| code-fold: true", '#| code-summary: "Checked here: 3 facts"', "assert 1", "assert 2"),
            cell("#| code-fold: true", '#| code-summary: "Checked here: 2 facts"', "assert 1", "assert 2"),
            "this checks 2 facts",
        ),
        (
            cell("#| code-fold: true", '#| code-summary: "Checked here"', "for i in x:", "    assert i"),
            cell("#| code-fold: true", '#| code-summary: "Checked here: one fact"', "for i in x:", "    assert i"),
            "this checks one fact",
        ),
    ],
)
def test_apparatus_between_the_sentences_is_found(wrong: str, right: str, words: str) -> None:
    assert not apparatus(right)
    (found,) = apparatus(wrong)
    assert words in found


def words(page: Path) -> tuple[int, int]:
    """Return how many words of code a page shows, and how many words in all: folds, sources and citation aside."""
    (main,) = html.fromstring(page.read_text()).xpath("//main")
    unread = ".//section[@id = 'quarto-citation' or h2[normalize-space() = 'References']]"
    for hidden in main.xpath(f".//annotation | .//script | .//style | .//details | .//svg | {unread}"):
        hidden.drop_tree()
    code = sum(len(block.text_content().split()) for block in main.xpath(".//pre[contains(@class, 'sourceCode')]"))
    return code, len(main.text_content().split())


@pytest.mark.parametrize("post", POSTS, ids=lambda post: post.parent.name)
def test_less_than_a_third_of_what_a_post_shows_is_code(site: Path, post: Path) -> None:
    code, everything = words(site / "posts" / post.parent.name / "index.html")
    assert code <= 0.30 * everything or post.parent.name in OF_CODE, f"{code} of {everything} words are code"


def test_the_first_page_is_read_within_twelve_minutes(site: Path) -> None:
    _, everything = words(site / "posts" / "chain-rule" / "index.html")
    assert everything < 12 * 200
