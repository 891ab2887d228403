"""The preview as an author sees it: an open page shows an edit by itself, and only what an edit concerns runs again."""

import re
import signal
import threading

import pytest
from test_site import Project, cell


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
