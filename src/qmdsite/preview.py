"""Serving the site on this machine, rendering what changes and reloading the open pages."""

import threading
import time
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from qmdsite.site import Site

# Sent with each page here, and never written into the site.
RELOAD = b'<script>new EventSource("/.reload").onmessage = () => location.reload()</script>'


class Handler(SimpleHTTPRequestHandler):
    """Serves files, pages with the script that reloads them."""

    changed = threading.Condition()

    def do_GET(self) -> None:
        """Answer with a file, or with an event as soon as the site is rendered anew."""
        path = Path(self.translate_path(self.path))
        path = path / "index.html" if path.is_dir() and self.path.endswith("/") else path
        if self.path != "/.reload" and not (path.suffix == ".html" and path.is_file()):
            return super().do_GET()
        self.send_response(200)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Type", "text/event-stream" if self.path == "/.reload" else "text/html; charset=utf-8")
        self.end_headers()
        if self.path == "/.reload":
            with self.changed:
                self.changed.wait()
            self.wfile.write(b"data: rendered\n\n")
        else:
            self.wfile.write(path.read_bytes() + RELOAD)
        return None

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the terminal is for renders."""


def sources(root: Path, output: Path) -> dict[Path, int]:
    """Return when each file of the project that a page may depend on was changed."""
    times = {}
    for path in root.rglob("*"):
        hidden = any(part.startswith(".") or part == "__pycache__" for part in path.relative_to(root).parts)
        if not hidden and not path.is_relative_to(output) and path.is_file():
            times[path] = path.stat().st_mtime_ns
    return times


def serve(root: Path, port: int, attempt: Callable[[Path], int]) -> int:
    """Serve until interrupted; a render that fails leaves the previous site in place."""
    root = root.resolve()
    attempt(root)
    output = Site(root).output
    server = ThreadingHTTPServer(("127.0.0.1", port), partial(Handler, directory=str(output)))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}/  (Ctrl-C stops)", flush=True)
    before = sources(root, output)
    while True:
        time.sleep(0.5)
        now = sources(root, output)
        if now != before:
            before = now
            if attempt(root) == 0:
                with Handler.changed:
                    Handler.changed.notify_all()
