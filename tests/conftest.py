"""What several files of tests share."""

import fcntl
import gzip
import os
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright
from samples import INDEX, TOUR, blog_in
from website import DOT, Project

ROOT = Path(__file__).parent.parent


def copy_project(folder):
    """Copy what is rendered; return the function that renders it there."""
    folder.mkdir(exist_ok=True)
    for name in ("_quarto.yml", "pyproject.toml", "references.bib", "index.qmd", "404.qmd"):
        shutil.copy(ROOT / name, folder)
    for name in ("posts", "src"):
        ignored = shutil.ignore_patterns("__pycache__", ".*_cache")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored, dirs_exist_ok=True)
    environment = os.environ | {"PYTHONPATH": str(folder / "src")}
    command = [sys.executable, "-m", "qmdsite", "render"]
    return partial(subprocess.run, command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The whole project's `_site`, rendered once for all processes of this run."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / "project"
    with (shared / "project.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "_site").exists():
            first = copy_project(folder)()
            assert first.returncode == 0, first.stderr
    return folder / "_site"


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


@contextmanager
def chromium():
    """Start the browser of this machine."""
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield started
        started.close()


@pytest.fixture(scope="session")
def browser():
    if not CHROMIUM and os.environ.get("CI"):
        pytest.fail("the gate needs a browser: install chromium")
    if not CHROMIUM:
        pytest.skip("no chromium on the PATH: pages are not looked at in a browser")
    with chromium() as started:
        yield started


class Host(SimpleHTTPRequestHandler):
    """Serves a site as hosts do: text is sent packed."""

    def do_GET(self):
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

    def send(self, data, suffix):
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class SlowHost(Host):
    """What is slow to come is seen to be missing: the second half of a page, and fonts."""

    def send(self, data, suffix):
        half = len(data) // 2 if suffix == ".html" else 0
        self.wfile.write(data[:half])
        time.sleep({".html": 0.1, ".woff2": 0.3}.get(suffix, 0))
        self.wfile.write(data[half:])


class Server(ThreadingHTTPServer):
    request_queue_size = 64  # a browser asks for many files at once


@contextmanager
def serving(site, host=Host):
    """Serve a site on this machine; the address is what this returns."""
    with Server(("127.0.0.1", 0), partial(host, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="session")
def address(site):
    """Where the rendered site is served on this machine."""
    with serving(site) as address:
        yield address


@pytest.fixture(scope="session")
def slow_address(site):
    """Where it is served as if it were far away."""
    with serving(site, SlowHost) as address:
        yield address


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture(scope="session")
def tour(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("tour"))
    project.write("index.qmd", INDEX)
    project.write("posts/one/_part.qmd", "Included *text*.\n")
    project.write("posts/one/dot.svg", DOT.decode())
    for name, text in TOUR.items():
        project.write(f"{name}.qmd", text)
    ran = project.render()
    assert (ran.status, ran.err) == (0, "")
    return project


@pytest.fixture
def blog(tmp_path: Path) -> Project:
    return blog_in(tmp_path)


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = blog_in(tmp_path_factory.mktemp("published"))
    ran = project.render()
    assert (ran.status, ran.err) == (0, "")
    return project
