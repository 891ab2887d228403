"""One pandoc converts many texts: none of them knows the others, and one that fails or ends takes no other with it."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from website import Project

from qmdsite.cache import Cache
from qmdsite.pandoc import HTML, Form, Pandoc

PLAIN, NUMBERED = Form("html5", HTML), "# A {#sec-a}\n\n$$\na\n$$ {#eq-a}\n\n![Dot](dot.svg){#fig-a}\n\n@eq-a @fig-a\n"


@pytest.fixture
def pandoc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pandoc]:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    with Pandoc(tmp_path, Cache(tmp_path / "cache"), tmp_path) as pandoc:
        yield pandoc


def process(pandoc: Pandoc) -> Any:
    return pandoc.idle.queue[0]


def test_a_text_becomes_the_same_whatever_was_converted_before_it(pandoc: Pandoc) -> None:
    first = pandoc.ask(NUMBERED, PLAIN, ["marks", "filter"])
    alone = process(pandoc)
    assert "Equation\xa01" in first["text"]
    assert first["problems"] == []
    pandoc.ask(NUMBERED * 2, PLAIN, ["marks", "filter"])
    assert pandoc.ask(NUMBERED, PLAIN, ["marks", "filter"]) == first
    assert process(pandoc) is alone


def test_what_fails_is_said_and_the_next_text_is_converted(pandoc: Pandoc) -> None:
    failed = pandoc.ask("words", Form("junk", {}))
    assert not failed["done"]
    assert "junk" in failed["text"]
    assert pandoc.ask("words", PLAIN)["text"] == "<p>words</p>"


def test_a_pandoc_that_was_killed_is_replaced(pandoc: Pandoc) -> None:
    pandoc.ask("words", PLAIN)
    os.kill(process(pandoc).pid, signal.SIGKILL)
    process(pandoc).wait()
    assert not pandoc.ask("words", PLAIN)["done"]
    assert pandoc.ask("words", PLAIN)["text"] == "<p>words</p>"


def test_a_page_that_ends_pandoc_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qmdsite.pandoc.HERE", tmp_path / "none")
    ran = Project(tmp_path / "site").render()
    assert ran.status == 2
    assert "index.qmd:4: pandoc failed: " in ran.err
    assert not (tmp_path / "site/_site").exists()


def test_no_more_pandocs_run_than_there_are_processors_and_none_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, start = list[Any](), Pandoc._start

    def noted(pandoc: Pandoc) -> Any:
        started.append(start(pandoc))
        return started[-1]

    monkeypatch.setattr(Pandoc, "_start", noted)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert Project(tmp_path, **{f"page{count}": f"words {count}" for count in range(5)}).render().status == 0
    assert 1 <= len(started) <= 2
    assert [each.returncode for each in started] == [0] * len(started)


def test_a_tab_is_the_spaces_that_pandoc_makes_of_it(pandoc: Pandoc) -> None:
    assert pandoc.ask("```\n\ta\tb\n```\n", PLAIN)["text"] == "<pre><code>    a   b</code></pre>"


def test_where_there_is_no_pandoc_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pypandoc.get_pandoc_path", lambda: "none")
    ran = Project(tmp_path, **{f"page{count}": "words" for count in range(5)}).render()
    assert ran.status == 2
    assert "none: No such file" in ran.err


def test_what_a_killed_pandoc_leaves_lies_where_the_render_clears_away(pandoc: Pandoc, tmp_path: Path) -> None:
    pandoc.ask("words", PLAIN)
    assert len([*tmp_path.glob("pandoc-*")]) == 1
