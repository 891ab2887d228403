"""What the prose of a post states was computed; what is typed is names and notation."""

import re
import symtable
from pathlib import Path

import pytest
from statements import CELL, MATH, NUMBER, captions, statements, states_something

ROOT = Path(__file__).parent.parent
POSTS = [*sorted(ROOT.glob("posts/*/index.qmd")), ROOT / "index.qmd"]
ADVICE = 'write it as `{python} says("…", value)`: then the page cannot be built if it is wrong'


@pytest.mark.parametrize("post", POSTS, ids=lambda post: post.parent.name)
def test_what_is_typed_states_nothing(post: Path) -> None:
    typed = [str(statement) for statement in statements(post) if states_something(statement)]
    assert not typed, "\n".join([ADVICE, *typed])


@pytest.mark.parametrize("post", POSTS, ids=lambda post: post.parent.name)
def test_captions_and_descriptions_have_no_figures(post: Path) -> None:
    assert [
        text for text in captions(post) if MATH.search(text) or NUMBER.search(text) or re.search("[=<>≤≥²³ᵀ√∂Σ]", text)
    ] == []


def bound_and_used(code: str) -> tuple[set[str], set[str]]:
    """Return the names that a cell binds, and those of the page that it uses, in its functions too."""
    cell = symtable.symtable(code, "cell", "exec")
    bound = {symbol.get_name() for symbol in cell.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    used, todo = {symbol.get_name() for symbol in cell.get_symbols() if symbol.is_referenced()}, cell.get_children()
    while todo:
        inner = todo.pop()
        used |= {symbol.get_name() for symbol in inner.get_symbols() if symbol.is_global()}
        todo += inner.get_children()
    return bound, used


@pytest.mark.parametrize("post", POSTS, ids=lambda post: post.parent.name)
def test_what_a_reader_runs_needs_no_hidden_cell(post: Path) -> None:
    hidden, shown = set[str](), set[str]()
    for code in CELL.findall(post.read_text()):
        bound, used = bound_and_used(code)
        if "#| include: false" in code:
            hidden |= bound
        else:
            shown |= bound
            lacks = ", ".join(sorted(used & (hidden - shown)))
            assert not lacks, (
                f"only a hidden cell has {lacks}: import or make it in this cell, or one before it\n{code}"
            )
