"""The preview as an author sees it: an open page shows an edit by itself, and only what an edit concerns runs again."""

import re
import signal
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from email.message import Message
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser
from website import Project, cell, finished, until

from qmdsite.preview import Site, start, versions

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


class Answer(NamedTuple):
    """What the server says to one request."""

    status: int
    headers: Message
    body: bytes


Ask = Callable[..., Answer]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a site in it, and files that are not the site's."""
    for name, text in {
        "site/index.html": "<p>home",
        "site/posts/one/index.html": "<p>one",
        "site/styles.css": "p {}",
        "site/é x.txt": "accents",
        "secret.txt": "secret",
        "site-of-others/index.html": "secret",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "site/leaves.txt").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "site/up").symlink_to(tmp_path)
    (tmp_path / "site/stays.css").symlink_to(tmp_path / "site/styles.css")
    (tmp_path / "site/loop").symlink_to(tmp_path / "site/loop")
    return tmp_path


@pytest.fixture
def port(folder: Path) -> int:
    """The port at which the folder's site is served."""
    at = socket.create_server(("127.0.0.1", 0))
    start(Site(folder / "site"), at)
    return int(at.getsockname()[1])


@pytest.fixture
def ask(port: int) -> Ask:
    """What asks the server for a path, as it is written."""

    def asked(path: str, method: str = "GET", host: str = "127.0.0.1:{}") -> Answer:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        with closing(connection):
            connection.putrequest(method, path, skip_host=True)
            if host:
                connection.putheader("Host", host.format(port))
            connection.endheaders()
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())

    return asked


def test_pages_have_the_script_behind_them_and_other_files_are_as_they_are(ask: Ask) -> None:
    for path, text in {"/": b"<p>home", "/index.html?a=b": b"<p>home", "/posts/one/": b"<p>one"}.items():
        status, headers, body = ask(path)
        assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert re.fullmatch(text + rb'<script src="/.reload.js" data-render="\d+"></script>', body)
    for path, text in {"/styles.css": b"p {}", "/stays.css": b"p {}", "/%C3%A9%20x.txt": b"accents"}.items():
        assert (ask(path).status, ask(path).body) == (200, text)
    assert ask("/styles.css").headers["Content-Type"] == "text/css; charset=utf-8"
    assert ask("/").headers["Cache-Control"] == "no-store"


def test_a_folder_is_shown_where_its_links_lead_on_and_no_other_host_is_named(ask: Ask) -> None:
    assert (ask("/posts/one").status, ask("/posts/one").headers["Location"]) == (302, "/posts/one/")
    assert ask("//posts/one").headers["Location"] == "/posts/one/"


OUTSIDE = [
    "/../secret.txt",
    "/..%2fsecret.txt",
    "/%2e%2e/secret.txt",
    "/up/secret.txt",
    "/leaves.txt",
    "/posts/../../secret.txt",
    "/..%2fsite-of-others/",
    "/../site-of-others/index.html",
    "//etc/passwd",
    "/%2fetc/passwd",
]
IMPOSSIBLE = [
    "/%00",
    "/a%00b",
    "/%ff%fe",
    "/" + "a" * 300,
    "/" + "a/" * 3000,
    "/loop",
    "/loop/x",
    "/none.html",
    "/index.html/x",
]


@pytest.mark.parametrize("path", [*OUTSIDE, *IMPOSSIBLE])
def test_a_path_that_leaves_the_site_or_that_no_file_can_have_is_not_found(ask: Ask, path: str) -> None:
    status, _, body = ask(path)
    assert status == 404
    assert b"There is no such page." in body
    assert b"secret" not in body
    assert ask("/").status == 200


def test_what_is_not_found_is_told_by_the_page_that_the_site_has_for_it(ask: Ask, folder: Path) -> None:
    (folder / "site/404.html").write_text("<p>lost")
    assert (ask("/none").status, ask("/none").body[:7]) == (404, b"<p>lost")


def test_before_there_is_a_site_its_pages_are_loaded_again_once_there_is(ask: Ask, folder: Path) -> None:
    (folder / "site").rename(folder / "away")
    assert ask("/").status == 404
    assert b"/.reload.js" in ask("/").body


def test_head_tells_what_get_would_without_the_body(ask: Ask) -> None:
    for path in ("/", "/styles.css", "/none"):
        status, headers, body = ask(path, "HEAD")
        assert (status, body) == (ask(path).status, b"")
        assert headers["Content-Length"] == str(len(ask(path).body))
    assert ask("/", "POST").status == 405


@pytest.mark.parametrize(
    "host", ["evil.example:{}", "evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil:{}", ""]
)
def test_a_foreign_host_is_refused(ask: Ask, host: str) -> None:
    for path in ("/", "/styles.css", "/.reload", "/none"):
        status, _, body = ask(path, host=host)
        assert status in ((400, 403) if not host else (403,))
        assert b"home" not in body


def test_the_names_of_this_machine_are_served(ask: Ask) -> None:
    assert [ask("/", host=host).status for host in ("localhost:{}", "LocalHost:{}", "127.0.0.1:{}")] == [200] * 3


def test_many_open_connections_take_no_thread_and_no_answer_from_others(ask: Ask, port: int) -> None:
    before = threading.active_count()
    with ExitStack() as opened:
        for _ in range(200):
            connection = opened.enter_context(socket.create_connection(("127.0.0.1", port)))
            connection.sendall(b"GET / HTTP/1.1\r\n")  # and no more
        started = time.monotonic()
        assert ask("/").status == 200
        assert time.monotonic() - started < 2
        assert threading.active_count() == before


def test_a_file_that_vanishes_during_a_scan_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stays.qmd").write_text("words")
    monkeypatch.setattr("qmdsite.preview.files_of", lambda root: iter([root / "gone.qmd", root / "stays.qmd"]))
    assert {path.name: size for path, (_, size) in versions(tmp_path, tmp_path / "_site").items()} == {"stays.qmd": 5}


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
        with pytest.raises(OSError, match=r"refused|assign"):  # another address of this machine
            socket.create_connection(("127.0.0.2", int(address.rstrip("/").rpartition(":")[2])), timeout=5)

        def fetch(name: str = "") -> str:
            with urllib.request.urlopen(address + name, timeout=5) as answer:
                return str(answer.read().decode())

        until(lambda: any(line.startswith("_site:") for line in lines))
        assert "first words" in fetch()
        assert f'data-render="{fetch(".reload")}"' in fetch()
        assert ".reload" not in project.html("index")
        before = fetch(".reload")
        project.page("index", "@eq-none")
        time.sleep(1.2)
        assert "first words" in fetch()
        assert fetch(".reload") == before
        project.page("index", "second words")
        until(lambda: fetch(".reload") != before)
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
            # In one step: a page that is seen half written is rendered twice.
            edited = tmp_path.with_suffix(".edited")
            edited.write_text(f"---\ntitle: index\n---\n\nedit {edit}\n", encoding="utf-8")
            edited.replace(project.root / "index.qmd")
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
