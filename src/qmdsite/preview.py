"""Serving the site on this machine, rendering what changes and reloading the open pages."""

import threading
import time
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from qmdsite.paths import files_of
from qmdsite.problem import BadInput, Problem
from qmdsite.site import open_project

# Named behind each page that is sent from here, and never written into the site. A file, as the pages' policy lets no
# script stand in their text.
SCRIPT = b'new EventSource("/.reload").onmessage = () => location.reload()'
RELOAD = b'<script src="/.reload.js"></script>'


class Handler(SimpleHTTPRequestHandler):
    """Serves files, and to pages the news that there is a new render."""

    rendered = threading.Condition()

    def do_GET(self) -> None:
        """Answer with a file, a page, or an event once the site is rendered anew."""
        path = Path(self.translate_path(self.path))
        path = path / "index.html" if self.path.partition("?")[0].endswith("/") else path
        if self.path == "/.reload":
            self._start("text/event-stream")
            with self.rendered:
                self.rendered.wait()
            self.wfile.write(b"data: rendered\n\n")
        elif self.path == "/.reload.js":
            self._start("text/javascript")
            self.wfile.write(SCRIPT)
        elif path.suffix == ".html" and path.is_file():
            self._start("text/html; charset=utf-8")
            self.wfile.write(path.read_bytes() + RELOAD)
        else:
            super().do_GET()

    def _start(self, kind: str) -> None:
        self.send_response(200)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Type", kind)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the terminal is for renders."""


def versions(root: Path, output: Path) -> dict[Path, tuple[int, int]]:
    """Return time and size of each file that a page may depend on; within a tick of the clock only the size tells."""
    files = [path for path in files_of(root) if not path.is_relative_to(output) and path.exists()]
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in files}


def serve(root: Path, port: int, render: Callable[[], int]) -> None:
    """Serve until interrupted; a render that fails leaves the previous site in place."""
    site = open_project(root)
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), partial(Handler, directory=str(site.output)))
    except (OSError, OverflowError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise BadInput([Problem("127.0.0.1", port, f"{why}; choose another port with --port")]) from None
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}/  (Ctrl-C stops)", flush=True)
    before: dict[Path, tuple[int, int]] = {}
    changed = set[Path]()
    status = 0
    while status != 130:
        now = versions(site.root, site.output)
        if now != before:
            if (status := render()) == 0:
                with Handler.rendered:
                    Handler.rendered.notify_all()
            after, last = versions(site.root, site.output), changed
            changed = {path for path, _ in now.items() ^ after.items()}
            # What changes while one render runs may be an edit; in two running, the render itself writes it.
            own = changed & last
            before = {path: each for path, each in now.items() if path not in own}
            before |= {path: each for path, each in after.items() if path in own}
        time.sleep(0.5)
