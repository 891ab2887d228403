"""What several files of tests share."""

import fcntl
import gzip
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, FloatRect, Locator, sync_playwright
from samples import blog_in, tour_in
from website import Project

from qmdsite import font

ROOT = Path(__file__).parent.parent


Once = Callable[[str, Callable[[Path], None]], Path]
CACHE = ROOT / ".qmdsite"
# What a test asks for tells what it needs.
MARKED = {"browser": "browser", **dict.fromkeys(("site", "layer_posts", "of_quarto", "sample", "cards"), "slow")}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for fixture in MARKED.keys() & set(getattr(item, "fixturenames", ())):
            item.add_marker(MARKED[fixture])


def copy_results(source: Path, target: Path) -> None:
    """Copy what renders keep, each result in one step and none deleted: other processes may render in both folders."""
    for kind in ("runs", "html"):
        (target / kind).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target) as own:
            for result in (source / kind).glob("*"):
                # A render deletes what it does not need any more.
                with suppress(FileNotFoundError):
                    shutil.copy(result, own)
                    Path(own, result.name).replace(target / kind / result.name)


def copy_project(folder: Path) -> Callable[[], subprocess.CompletedProcess[str]]:
    """Copy what is rendered and the results that are known; return the function that renders it there."""
    folder.mkdir(exist_ok=True)
    for name in ("_quarto.yml", "pyproject.toml", "references.bib", "index.qmd", "404.qmd", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in ("posts", "src"):
        ignored = shutil.ignore_patterns("__pycache__", ".*_cache")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored, dirs_exist_ok=True)
    copy_results(CACHE, folder / ".qmdsite")
    environment = os.environ | {"PYTHONPATH": str(folder / "src")}
    command = [sys.executable, "-m", "qmdsite", "render"]
    return partial(subprocess.run, command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """What makes a folder with a site in it, once for all processes of this run."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def made(name: str, make: Callable[[Path], None]) -> Path:
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (shared / name / "_site").exists():
                make(shared / name)
        return shared / name

    return made


@pytest.fixture(scope="session")
def site(once: Once) -> Path:
    """The whole project's `_site`; what its render had to find out is kept for the next run and for `make site`."""

    def make(folder: Path) -> None:
        ran = copy_project(folder)()
        assert ran.returncode == 0, ran.stderr
        copy_results(folder / ".qmdsite", CACHE)

    return once("project", make) / "_site"


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser of this machine."""
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield started
        started.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not CHROMIUM and os.environ.get("CI"):
        pytest.fail("the gate needs a browser: install chromium")
    if not CHROMIUM:
        pytest.skip("no chromium on the PATH: pages are not looked at in a browser")
    with chromium() as started:
        yield started


def box_of(part: Locator) -> FloatRect:
    """Return where a part of a page is shown, which it must be."""
    box = part.bounding_box()
    assert box
    return box


class Host(SimpleHTTPRequestHandler):
    """Serves a site as hosts do: text is sent packed."""

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path.partition("?")[0]))
        path = path / "index.html" if path.is_dir() else path
        if not path.is_file():
            return self.send_error(404)
        data, kind = path.read_bytes(), self.guess_type(path)
        text = kind.startswith(("text/", "application/j", "application/xml", "image/svg"))
        data = gzip.compress(data) if text else data
        self.send_response(200)
        self.send_header("Content-Type", f"{kind}; charset=utf-8" if text else kind)
        if text:
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        return self.send(data, path.suffix)

    def send(self, data: bytes, suffix: str) -> None:
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


class SlowHost(Host):
    """What is slow to come is seen to be missing: the second half of a page, and fonts."""

    def send(self, data: bytes, suffix: str) -> None:
        half = len(data) // 2 if suffix == ".html" else 0
        self.wfile.write(data[:half])
        time.sleep({".html": 0.1, ".woff2": 0.3}.get(suffix, 0))
        self.wfile.write(data[half:])


class Server(ThreadingHTTPServer):
    request_queue_size = 64  # a browser asks for many files at once


@contextmanager
def serving(site: Path, host: type[Host] = Host) -> Iterator[str]:
    """Serve a site on this machine; the address is what this returns."""
    with Server(("127.0.0.1", 0), partial(host, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    """Where the rendered site is served on this machine."""
    with serving(site) as address:
        yield address


@pytest.fixture(scope="session")
def slow_address(site: Path) -> Iterator[str]:
    """Where it is served as if it were far away."""
    with serving(site, SlowHost) as address:
        yield address


@pytest.fixture(scope="session", autouse=True)
def font_once() -> Iterator[None]:
    """Give all small sites one font, cut down once: it takes most of their time. Other processes cut their own."""
    plain = cache(partial(font.subset, font.characters([])))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(font, "subset", lambda letters: plain())
        yield


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture
def blog(tmp_path: Path) -> Project:
    return blog_in(tmp_path)


def rendered(project: Project) -> None:
    ran = project.render_apart()
    assert (ran.status, ran.err) == (0, "")


@pytest.fixture(scope="session")
def tour(once: Once) -> Project:
    """The tour, rendered; tests of several processes read it and none changes it."""
    return Project(once("tour", lambda folder: rendered(tour_in(folder))))


@pytest.fixture(scope="session")
def published(once: Once) -> Project:
    """The blog, rendered; tests of several processes read it and none changes it."""
    return Project(once("published", lambda folder: rendered(blog_in(folder))))
