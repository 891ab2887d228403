"""The preview as an author sees it: an open page shows an edit by itself, and only what an edit concerns runs again."""

import re
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from website import Project, cell, finished, wait_for


@pytest.fixture
def preview(tmp_path):
    """A project of two pages, one of which imports a module, in preview; its address, and what is printed."""
    project = Project(tmp_path)
    project.write("src/numbers_of_mine.py", "answer = 41\n")
    project.write("pyproject.toml", "")
    project.page("plain", cell("print('no import')"))
    project.page(
        "index",
        cell("import sys\nsys.path.insert(0, 'src')\nfrom numbers_of_mine import answer\nprint(f'it is {answer}')"),
    )
    process = project.start("preview", str(tmp_path), "--port", "0")
    address = re.search(r"http://\S+", process.stdout.readline())[0]
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, "")), daemon=True)
    reader.start()
    yield project, address, lines
    process.send_signal(signal.SIGINT)
    process.wait(timeout=20)
    reader.join(timeout=5)
    process.stdout.close()
    process.stderr.close()


def test_an_open_page_shows_an_edit_and_only_the_pages_it_concerns_run(browser, preview):
    project, address, lines = preview
    page = browser.new_page()
    wrong = []
    page.on("console", lambda message: message.type == "error" and wrong.append(message.text))

    def shows(words):
        page.wait_for_function(
            "words => document.querySelector('main')?.textContent.includes(words)", arg=words, timeout=30_000
        )

    def rendered(count):
        for _ in range(1200):
            if len([line for line in lines if line.startswith("_site:")]) >= count:
                break
            page.wait_for_timeout(50)
        else:
            raise AssertionError(f"no {count} renders, but: {lines}")
        ran = [line for line in lines if " ran " in line]
        lines.clear()
        return [line.split()[1] for line in ran]

    assert sorted(rendered(1)) == ["index.qmd", "plain.qmd"]
    page.goto(address)
    shows("it is 41")

    project.write("src/numbers_of_mine.py", "answer = 42\n")
    shows("it is 42")
    assert rendered(1) == ["index.qmd"]

    source = (project.root / "index.qmd").read_text()
    project.write("index.qmd", source + "\nA new sentence.\n")
    shows("A new sentence.")
    assert rendered(1) == []
    assert wrong == []
    page.close()


def test_preview_serves_and_renders_what_changes(project: Project) -> None:
    import urllib.error
    import urllib.request

    project.page("index", "first words")
    process = project.start("preview", str(project.root), "--port", "0")
    try:
        assert process.stdout
        address = next(line.split()[0] for line in process.stdout if line.startswith("http"))
        wait_for(project.root / "_site")
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
    finally:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    assert "'@eq-none' refers to nothing" in err


def test_preview_renders_an_edit_made_meanwhile_and_not_for_ever_what_a_script_writes(tmp_path: Path) -> None:
    script = "import time\nopen('log.txt', 'a').write('x')\nopen('ready', 'w')\ntime.sleep(0.5)"
    project = finished(tmp_path, script, index="first words")
    process = project.start("preview", str(project.root), "--port", "0")
    try:
        wait_for(project.root / "ready")
        project.page("index", "second words")
        for _ in range(200):
            if (project.root / "_site").exists() and "second words" in project.html("index"):
                break
            time.sleep(0.1)
        assert "second words" in project.html("index")
        time.sleep(3)
        before = (project.root / "log.txt").read_text()
        time.sleep(4)
        assert (project.root / "log.txt").read_text() == before
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


def until(true: Callable[[], bool]) -> None:
    for _ in range(600):
        if true():
            return
        time.sleep(0.1)
    raise AssertionError("it never came")


def test_preview_does_not_render_for_ever_what_a_script_writes_before_a_render(tmp_path: Path) -> None:
    project = finished(tmp_path, "with open('log.txt', 'a') as log: log.write('x')", index="words")
    settings = (tmp_path / "_quarto.yml").read_text().replace("post-render", "pre-render")
    project.write("_quarto.yml", settings)
    process = project.start("preview", str(project.root), "--port", "0")
    try:
        lines: list[str] = []
        threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, "")), daemon=True).start()
        # The second time it is known for what the render writes.
        until(lambda: sum(line.startswith("_site:") for line in lines) == 2)
        for edit in (1, 2):
            time.sleep(1)  # long enough for a render that nobody asked for to begin
            project.page("index", f"edit {edit}")
            until(lambda edit=edit: f"edit {edit}" in project.html("index"))
            assert (project.root / "log.txt").read_text() == "xx" + "x" * edit
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


@pytest.mark.parametrize("port", ["taken", "70000"])
def test_a_port_that_cannot_be_served_is_named(project: Project, port: str) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1]) if port == "taken" else port
        process = project.start("preview", str(project.root), "--port", port)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert re.fullmatch(rf"127.0.0.1:{port}: .*; choose another port with --port\n", err)
