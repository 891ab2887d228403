"""Errors typed into the posts are noticed; and what looks for those that are not can find one."""

from pathlib import Path

import pytest
from statements import statements
from text_mutants import (
    OPERATORS,
    PAGES,
    Corruption,
    corrupted_definitions,
    drawn,
    known_reasons,
    tried,
)

ROOT = Path(__file__).parent.parent
MSE, RELU = ROOT / "posts/mse/index.qmd", ROOT / "posts/relu/index.qmd"


@pytest.mark.parametrize(
    ("operator", "text", "corrupted"),
    [
        ("factor", r"\frac{2}{n q} (X - T)", [r"2 \frac{2}{n q} (X - T)"]),
        ("factor", "2 (X - T)", ["2 \\cdot 2 (X - T)", "(X - T)"]),
        ("sign", "a + b - c", ["a - b - c", "a + b + c"]),
        ("sign", "L = x", ["L = -x"]),
        ("exponent", "h^2/8", ["h^3/8", "h/8"]),
        ("transpose", r"X^\mathsf{T} G", ["X G", r"X^\mathsf{T} G^\mathsf{T}"]),
        ("swapped letters", r"X^\mathsf{T} G", [r"G^\mathsf{T} X"]),
        ("swapped letters", r"n \times q", [r"q \times n"]),
        ("swapped letters", "(n, 1)", ["(1, n)"]),
        ("power of ten", "50 000", ["50 0000"]),
        ("power of ten", "0.51", ["5.1"]),
        ("count", "157", ["158"]),
        ("count", "eight", ["nine"]),
        ("comparison", "more than five", ["less than five"]),
        ("comparison", r"a \le b", [r"a \ge b"]),
    ],
)
def test_operators_make_the_errors_that_people_make(operator: str, text: str, corrupted: list[str]) -> None:
    assert list(OPERATORS[operator](text)) == corrupted


def test_definitions_are_corrupted_as_a_whole() -> None:
    assert {corruption.operator for corruption in corrupted_definitions(MSE)} >= {
        "three times the definition",
        "half the definition",
        "a sum for a mean",
        "an operand transposed",
    }


def test_what_is_drawn_is_chosen_by_the_seed_alone() -> None:
    assert drawn(1, 50, 1) == drawn(1, 50, 1) != drawn(2, 50, 1)
    assert {corruption.statement.path for corruption in drawn(0, 10_000, 1)} <= {*PAGES}


def test_a_sample_of_corruptions_is_caught_and_what_corrupts_nothing_is_not(site: Path) -> None:
    formula = next(s for s in statements(RELU) if s.kind == "says" and "=" in s.text)
    none = Corruption(formula, "none", f"{formula.text} ")
    report = tried([*drawn(0, 20, 0, [RELU]), none])
    assert len(report.tried) == 21
    assert none in report.survivors, "what finds survivors is itself broken"
    assert len(report.survivors) <= 2, report
    assert [name for name in report.unexplained if none.name not in name] == [], report


@pytest.mark.deep
def test_of_all_corruptions_of_texts_and_many_of_definitions_nearly_all_are_caught() -> None:
    report = tried(drawn(0, 10_000, 3))
    assert len(report.tried) >= 300
    assert report.share >= 0.95, report
    assert not report.unexplained, report
    caught = {corruption.name for corruption in report.tried} - {corruption.name for corruption in report.survivors}
    assert not known_reasons().keys() & caught, "these are caught now: take them out of text_mutants.toml"
