"""What readers brought runs on the site with their own numbers, in cells and in sentences that are compared."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# By page and anchor, the words of the source that only this case has.
CASES = {
    "Q18: ascent that ends in saturation": (
        "chain-rule#q18",
        "learning_rate=1e-4, slope=wrong_slope",
        "range(5000)",
        "reported = -0.71, -2.11, 0.505, 1.997",
        'says("24", before)',
        'says("92", after_all)',
    ),
    "S5: a dummy set that meets the kink": (
        "mlp#dummy-set",
        "[:3, [0, 9]] = dummy_x[3:, [3, 5]] = 1",
        "[1, 1, -1, -1, -1, 0, -1, 0, -1, 0]",
        "[[-1, 1]]",
        'says("2.5"',
        'says("three", sum(first.out.flatten() == 0))',
        "clamp_min(0)",
    ),
    "Q4: equal sums": ("mse#q4", "= 4, 1", 'says("1.13", every_ten)', "hot[0, 4]"),
    "Q23: a column minus a list, and a bare squeeze": ("mse#q23", "outputs - targets", ".squeeze()"),
    "Q20: return self.grad": ("module#q20", "return self.grad\n", 'says("18", first.grad)'),
    "Q20, in the first block": ("chain-rule#q21", "return self.grad\n", "== right_losses"),
    "Q26: a plain list, and an own call": ("module#plain-list", "def __call__", "register_forward_hook"),
    "Q25: in place": ("six-versions#requires-grad", "in place"),
    "Q25: a factor that is dropped": ("mlp#factor", "half = (l2 - T) / l2.numel()", "whole_over_half * each"),
    "Q12: one b for each equation": ("linear#q12", "systems of linear equations", "keepdim=True"),
    "S3: two type checkers": ("module#q6", '"mypy"', '"pyrefly"', "g: Tensor"),
    "S4: statement by statement": ("mlp#statements", "L1", "inp"),
    "S7: six times of a note": ("six-versions#microseconds", "1.95", "3.81", "5.25", "4.29", "5.01"),
    "S8: the memory that a forgotten dimension takes": ("mse#memory", "50"),
    "S9: hinges, bare and weighted": ("curve-fitting#hinge", "bare", "weight"),
}


def section(page: str, anchor: str) -> str:
    """Return a section of a post's source, to the next heading of its level or a higher one."""
    source = (ROOT / "posts" / page / "index.qmd").read_text()
    cells = re.compile(r"^```.*?^```$", re.M | re.S)
    headings = list(re.finditer(r"^(#+) .*$", cells.sub(lambda m: "." * len(m[0]), source), re.M))
    (start,) = (m for m in headings if f"{{#{anchor}}}" in m[0])
    ends = (m.start() for m in headings if m.start() > start.start() and len(m[1]) <= len(start[1]))
    return source[start.start() : next(ends, len(source))]


@pytest.mark.parametrize("case", CASES)
def test_a_readers_case_is_run_where_it_is_told(case: str) -> None:
    place, *words = CASES[case]
    told = section(*place.split("#"))
    assert [each for each in words if each not in told] == []
    assert "assert " in told or "says(" in told
