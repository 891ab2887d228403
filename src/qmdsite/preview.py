"""Serving the site on this machine, rendering what changes and reloading the open pages."""

import asyncio
import mimetypes
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from socket import create_server, socket
from urllib.parse import quote, unquote

from tornado.httpserver import HTTPServer
from tornado.web import Application, HTTPError, RequestHandler

from qmdsite.paths import files_of
from qmdsite.problem import BadInput, Problem
from qmdsite.site import open_project

# Named behind each page that is sent from here, and never written into the site. A file, as the pages' policy lets no
# script stand in their text. It asks, and does not listen: a browser keeps few connections open to one host, and tabs
# that hold one each would leave none for pages. A hidden tab asks once it is seen.
RELOAD = '<script src="/.reload.js" data-render="{}"></script>'
SCRIPT = b"""\
const shown = document.currentScript.dataset.render
setInterval(async () => {
  const last = document.hidden ? shown : await fetch("/.reload").then(answer => answer.text()).catch(() => shown)
  if (last !== shown) location.reload()
}, 500)
"""


class Site:
    """What is served: a folder, and the number of its render, which no earlier preview has used."""

    def __init__(self, folder: Path) -> None:
        """Begin with what is in the folder."""
        self.folder, self.render = folder, time.time_ns()


class Handler(RequestHandler):
    """Answers with files of the site, and to pages with the number of the last render."""

    def initialize(self, site: Site) -> None:
        """Take what is served."""
        self.site = site

    def prepare(self) -> None:
        """Refuse other names of this machine: a page of another site could have given itself one, to read this one."""
        self.set_header("Cache-Control", "no-store")
        name, _, port = self.request.host.lower().partition(":")
        if name not in ("127.0.0.1", "localhost") or (port or "80") != str(self.settings["port"]):
            raise HTTPError(403)

    def get(self) -> None:
        """Answer with a file; a page has the script behind it."""
        path = unquote(self.request.path).strip("/")
        if path in (".reload", ".reload.js"):
            self.set_header("Content-Type", "text/javascript")
            self.finish(SCRIPT if path == ".reload.js" else str(self.site.render))
            return
        file = within(self.site.folder, path)
        if file and file.is_dir() and not self.request.path.endswith("/"):
            self.redirect(f"/{quote(path)}/")  # from there the links of its page lead on
            return
        file = within(file, "index.html") if file and file.is_dir() else file
        if not (file and file.is_file()):
            self.set_status(404)
            file = self.site.folder / "404.html"
        self.send(file)

    head = get

    def send(self, file: Path) -> None:
        """Send a file of the site, or say that there is none."""
        render = self.site.render  # before the file is read: a newer page is loaded once more, an older one not kept
        kind, _ = mimetypes.guess_type(file.name)
        try:
            data = file.read_bytes()
        except OSError:  # the sites may just be exchanged, or there is none yet
            self.set_status(404)
            kind, data = "text/html", b"<!DOCTYPE html>\n<title>404</title>\n<p>There is no such page.</p>\n"
        text = "; charset=utf-8" if kind and kind.startswith("text/") else ""
        self.set_header("Content-Type", f"{kind or 'application/octet-stream'}{text}")
        self.finish(data + RELOAD.format(render).encode() if kind == "text/html" else data)


def within(folder: Path, path: str) -> Path | None:
    """Return a path below a folder if it leads to something there, without links that leave it."""
    with suppress(OSError, ValueError):  # a name that is too long, or that no file can have
        root, place = os.path.realpath(folder), os.path.realpath(folder / path)
        return Path(place) if os.path.commonpath([root, place]) == root and os.path.exists(place) else None
    return None


def start(site: Site, at: socket) -> None:
    """Answer to requests at a socket, all in one thread of its own, until the process ends."""
    at.setblocking(False)

    async def answer() -> None:
        rules = [(".*", Handler, {"site": site})]
        HTTPServer(Application(rules, port=at.getsockname()[1], log_function=lambda _: None)).add_socket(at)
        await asyncio.Event().wait()

    threading.Thread(target=lambda: asyncio.run(answer()), daemon=True).start()


def versions(root: Path, output: Path) -> dict[Path, tuple[int, int]]:
    """Return time and size of each file that a page may depend on; within a tick of the clock only the size tells."""
    found = {}
    for path in files_of(root):
        if not path.is_relative_to(output):
            with suppress(OSError):  # files vanish while they are looked at
                about = path.stat()
                found[path] = about.st_mtime_ns, about.st_size
    return found


def serve(root: Path, port: int, render: Callable[[], int]) -> None:
    """Serve until interrupted; a render that fails leaves the previous site in place."""
    project = open_project(root)
    site = Site(project.output)
    try:
        at = create_server(("127.0.0.1", port))
    except (OSError, OverflowError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise BadInput([Problem("127.0.0.1", port, f"{why}; choose another port with --port")]) from None
    start(site, at)
    print(f"http://127.0.0.1:{at.getsockname()[1]}/  (Ctrl-C stops)", flush=True)
    before: dict[Path, tuple[int, int]] = {}
    changed = set[Path]()
    status = 0
    while status != 130:
        now = versions(project.root, project.output)
        if now != before:
            if (status := render()) == 0:
                site.render += 1
            after, last = versions(project.root, project.output), changed
            changed = {path for path, _ in now.items() ^ after.items()}
            # What changes while one render runs may be an edit; in two running, the render itself writes it.
            own = changed & last
            before = {path: each for path, each in now.items() if path not in own}
            before |= {path: each for path, each in after.items() if path in own}
        time.sleep(0.5)
