"""The preview as an author sees it: an open page shows an edit by itself, and only what an edit concerns runs again."""

import re
import signal
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from website import Project, cell, finished, until

Preview = tuple[Project, str, list[str]]


@contextmanager
def previewing(project: Project) -> Iterator[list[str]]:
    """Preview a project; what is printed is in the list, line by line, and at the end what went wrong."""
    process = project.start("preview", str(project.root), "--port", "0")
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(process.stdout or ()))
    reader.start()
    try:
        until(lambda: bool(lines))
        yield lines
    finally:
        process.send_signal(signal.SIGINT)
        reader.join(timeout=20)
        lines += process.communicate(timeout=20)[1].splitlines()


def address_in(lines: list[str]) -> str:
    return lines[0].split()[0]


def shown(project: Project, words: str) -> bool:
    return (project.root / "_site").exists() and words in project.html("index")


@pytest.fixture
def preview(tmp_path: Path) -> Iterator[Preview]:
    """A project of two pages, one of which imports a module, in preview; its address, and what is printed."""
    project = Project(tmp_path)
    project.write("src/numbers_of_mine.py", "answer = 41\n")
    project.write("pyproject.toml", "")
    project.page("plain", cell("print('no import')"))
    project.page(
        "index",
        cell("import sys\nsys.path.insert(0, 'src')\nfrom numbers_of_mine import answer\nprint(f'it is {answer}')"),
    )
    with previewing(project) as lines:
        yield project, address_in(lines), lines


@pytest.mark.slow
def test_an_open_page_shows_an_edit_and_only_the_pages_it_concerns_run(browser: Browser, preview: Preview) -> None:
    project, address, lines = preview
    page = browser.new_page()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.extend([message.text] * (message.type == "error")))

    def shows(words: str) -> None:
        page.wait_for_function(
            "words => document.querySelector('main')?.textContent.includes(words)", arg=words, timeout=30_000
        )

    def rendered() -> list[str]:
        """Wait for a render to end; return the pages that it ran."""
        for _ in range(1200):
            if any(line.startswith("_site:") for line in lines):
                break
            page.wait_for_timeout(50)
        else:
            raise AssertionError(f"no render, but: {lines}")
        ran = [line.split()[1] for line in lines if " ran " in line]
        lines.clear()
        return ran

    assert sorted(rendered()) == ["index.qmd", "plain.qmd"]
    page.goto(address)
    shows("it is 41")

    project.write("src/numbers_of_mine.py", "answer = 42\n")
    shows("it is 42")
    assert rendered() == ["index.qmd"]

    source = (project.root / "index.qmd").read_text()
    project.write("index.qmd", source + "\nA new sentence.\n")
    shows("A new sentence.")
    assert rendered() == []
    assert wrong == []
    page.close()


@pytest.mark.slow
def test_preview_serves_and_renders_what_changes(project: Project) -> None:
    project.page("index", "first words")
    with previewing(project) as lines:
        address = address_in(lines)
        until((project.root / "_site").exists)
        assert address.startswith("http://127.0.0.1:")

        def fetch() -> str:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return str(answer.read().decode())

        assert "first words" in fetch()
        assert "/.reload.js" in fetch()
        assert ".reload" not in project.html("index")
        with urllib.request.urlopen(f"{address}.reload", timeout=20) as events:
            time.sleep(0.1)
            project.page("index", "@eq-none")
            time.sleep(1.2)
            assert "first words" in fetch()
            project.page("index", "second words")
            assert events.readline() == b"data: rendered\n"
        assert "second words" in fetch()
    assert any("'@eq-none' refers to nothing" in line for line in lines)


@pytest.mark.slow
def test_preview_renders_an_edit_made_meanwhile_and_not_for_ever_what_a_script_writes(tmp_path: Path) -> None:
    script = "import time\nopen('log.txt', 'a').write('x')\nopen('ready', 'w')\ntime.sleep(0.5)"
    project = finished(tmp_path, script, index="first words")
    with previewing(project):
        until((project.root / "ready").exists)
        project.page("index", "second words")
        until(partial(shown, project, "second words"))
        time.sleep(3)
        before = (project.root / "log.txt").read_text()
        time.sleep(4)
        assert (project.root / "log.txt").read_text() == before


@pytest.mark.slow
def test_preview_does_not_render_for_ever_what_a_script_writes_before_a_render(tmp_path: Path) -> None:
    project = finished(tmp_path, "with open('log.txt', 'a') as log: log.write('x')", index="words")
    settings = (tmp_path / "_quarto.yml").read_text().replace("post-render", "pre-render")
    project.write("_quarto.yml", settings)
    with previewing(project) as lines:
        # The second time it is known for what the render writes.
        until(lambda: sum(line.startswith("_site:") for line in lines) == 2)
        for edit in (1, 2):
            time.sleep(1)  # long enough for a render that nobody asked for to begin
            project.page("index", f"edit {edit}")
            until(partial(shown, project, f"edit {edit}"))
            assert (project.root / "log.txt").read_text() == "xx" + "x" * edit


@pytest.mark.parametrize("port", ["taken", "70000"])
def test_a_port_that_cannot_be_served_is_named(project: Project, port: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1]) if port == "taken" else port
        process = project.start("preview", str(project.root), "--port", port)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert re.fullmatch(rf"127.0.0.1:{port}: .*; choose another port with --port\n", err)
