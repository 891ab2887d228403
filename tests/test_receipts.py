"""The receipts page lists every receipt of a build and adds them up, or says what is wrong with the build."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pypandoc
import pytest

from handgrad.testing import Line, Receipt

SCRIPT = Path(__file__).parent.parent / "posts" / "receipts" / "collect.py"
Collect = Callable[..., str]
PLACE = '<div id="receipts"><p>later</p></div><!-- receipts -->'


def receipt(name: str, *lines: tuple[str, int, float | None]) -> str:
    """A receipt as it stands in a page; each line gives the data, the number of cases and the error."""
    shown = Receipt(name, "exp", tuple(Line("output", data, cases, error, 1e-7) for data, cases, error in lines))
    return str(pypandoc.convert_text(shown._repr_markdown_(), "html", "markdown"))


EXP = receipt("Exp", ("integers", 1500, 0.5), ("float64", 20, 2e-16), ("float64", 3, 1e-15), ("float64", 1, None))
RELU = receipt("ReLU", ("integers", 4, 0.0))
LINEAR = receipt("Linear", ("float64", 50, 0.0))


@pytest.fixture
def collect(tmp_path: Path) -> Collect:
    """A function that writes pages, runs the script on them and returns the receipts page; what fails is raised."""

    def run(place: str = PLACE, **posts: str) -> str:
        pages = {slug: f"<h1 class='title'>The {slug}</h1>{html}" for slug, html in posts.items()}
        for slug, html in (pages | ({"receipts": f"<h1>Receipts</h1>{place}"} if place else {})).items():
            (tmp_path / "posts" / slug).mkdir(parents=True)
            (tmp_path / "posts" / slug / "index.html").write_text(html, encoding="utf-8")
        environment = os.environ | {"QUARTO_PROJECT_OUTPUT_DIR": str(tmp_path), "QUARTO_PROJECT_RENDER_ALL": "1"}
        ran = subprocess.run([sys.executable, SCRIPT], env=environment, capture_output=True, text=True, check=False)
        assert "Traceback" not in ran.stderr
        if ran.returncode:
            raise ValueError(ran.stderr)
        return (tmp_path / "posts" / "receipts" / "index.html").read_text(encoding="utf-8")

    return run


def cells(page: str) -> list[list[str]]:
    """The texts of the list, row by row."""
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(<td.*?)</tr>", page)]
    return [[re.sub("<.*?>", "", cell) for cell in row] for row in rows]


def test_every_receipt_is_listed_and_its_post_named_once(collect: Collect) -> None:
    page = collect(b=LINEAR, a=EXP + "<p>Between.</p><table><tr><td>9</td></tr></table>" + RELU, c="no receipt")
    assert cells(page) == [
        ["The a", "Exp", "1524", "1e-15"],  # of the float64 rows alone
        ["", "ReLU", "4", ""],  # there are none
        ["The b", "Linear", "50", "0"],
    ]
    assert page.count('<a href="../a/index.html">') == 1
    assert "<strong>1,578 comparisons in 3 checks.</strong>" in page


def derivation(name: str, compared: str) -> str:
    """A derivation as it stands in a page of Quarto's, which orders attributes and escapes in its own way."""
    return f'<div data-compared="{compared}" data-name="{name}" class="derivation">\n<div class="step"></div></div>'


DERIVED = '<p>Y</p><div class="derivation" data-name="∂L/∂W" data-compared="linear"><div class="step">…</div></div>'


def test_the_derivations_are_counted_and_what_they_were_compared_with_is_named(collect: Collect) -> None:
    page = collect(a=EXP + DERIVED + derivation("∂L/∂b", "linear"), b=derivation("&#8706;Y/&#8706;X", "a&lt;b"))
    text = re.sub("<.*?>", "", page)
    assert "each of the 3 derivations shown was compared as well" in text
    assert "these functions, 2 in all: a&lt;b, linear." in text
    assert "derivations" not in re.sub("<.*?>", "", page.partition("<table")[2])


def test_where_no_derivation_is_shown_none_is_told_of(collect: Collect) -> None:
    assert "derivation" not in collect(a=EXP + "<pre>&lt;div class=&quot;derivation&quot;&gt;</pre>")


@pytest.mark.parametrize(
    ("html", "names"),
    [
        (DERIVED.replace('"linear"', '""'), "∂L/∂W"),
        (DERIVED.replace(' data-compared="linear"', ""), "∂L/∂W"),
        (DERIVED + derivation("∂L/∂b", "") + derivation("&part;Y/&#8706;X", ""), "∂L/∂b, ∂Y/∂X"),
        (DERIVED.replace("linear", "").replace('"derivation"', '"derivation folded"'), "∂L/∂W"),
        ('<div class="derivation">', "a derivation"),
    ],
)
def test_a_derivation_whose_definition_was_compared_with_nothing_is_refused(
    collect: Collect, html: str, names: str
) -> None:
    with pytest.raises(ValueError, match=f"b/index.html shows {names}\n(.|\n)*run check_definition"):
        collect(a=EXP + DERIVED, b=EXP + html)


def test_one_on_a_page_that_is_rendered_alone_is_refused_too(collect: Collect) -> None:
    with pytest.raises(ValueError, match=r"b/index\.html shows ∂L/∂b\n"):
        collect(b=derivation("∂L/∂b", ""), place="")


def test_a_second_run_finds_the_place_again(collect: Collect, tmp_path: Path) -> None:
    once = collect(a=EXP)
    environment = os.environ | {"QUARTO_PROJECT_OUTPUT_DIR": str(tmp_path)}
    subprocess.run([sys.executable, SCRIPT], env=environment, check=True)
    assert (tmp_path / "posts" / "receipts" / "index.html").read_text(encoding="utf-8") == once


def test_a_single_page_rendered_before_the_site_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "posts" / "a").mkdir(parents=True)
    (tmp_path / "posts" / "a" / "index.html").write_text(EXP, encoding="utf-8")
    environment = os.environ | {"QUARTO_PROJECT_OUTPUT_DIR": str(tmp_path)}
    subprocess.run([sys.executable, SCRIPT], env=environment, check=True)
    assert [path.name for path in (tmp_path / "posts").iterdir()] == ["a"]


BARE = re.sub("<table>.*</table>", "<p>No table.</p>", RELU, flags=re.S)


@pytest.mark.parametrize(
    ("pages", "words"),
    [
        ({"a": EXP, "place": ""}, r"receipts/index\.html, where .* does not exist: render the whole site"),
        ({"a": EXP, "place": "<p>none</p>"}, r"receipts/index\.html has 0 places for the receipts"),
        ({"a": EXP, "place": PLACE * 2}, r"receipts/index\.html has 2 places for the receipts"),
        ({"a": "none"}, "no page below .* has a receipt"),
        ({"a": EXP, "b": BARE + RELU}, r"b/index\.html has 2 receipts, of which 1 can be read"),
    ],
)
def test_what_is_wrong_is_said(collect: Collect, pages: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        collect(**pages)
