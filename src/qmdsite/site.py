"""The whole build: read, check, run, convert, and only then put the new site in the place of the old."""

import ctypes
import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from qmdsite import font
from qmdsite.cache import Cache, digest
from qmdsite.context import LIBS, context
from qmdsite.convert import HERE, NOTEBOOK, Composition, convert, html_arguments
from qmdsite.execute import Executor, Outputs
from qmdsite.links import check_links
from qmdsite.notebook import Notebook
from qmdsite.problem import BadInput, FailedCell
from qmdsite.project import Project, out, texts
from qmdsite.publish import publish, rebase
from qmdsite.search import index
from qmdsite.source import Page


class Site(Project):
    """One project while it is rendered."""

    def __init__(self, root: Path) -> None:
        """Read the settings; nothing is written yet."""
        super().__init__(root)
        # In a place with a short name, for the path of a socket may have about a hundred bytes.
        self.sockets = Path(tempfile.gettempdir(), f"qmdsite-{os.getuid()}-{digest(str(self.root))[:12]}")
        self.work = self.root / ".qmdsite"
        self.work.mkdir(exist_ok=True)
        self.runs, self.htmls = Cache(self.work / "runs"), Cache(self.work / "html")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the project, which one render at a time may do, and clear away what a killed one left."""
        with (self.work / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print("waiting for another render of this project", flush=True)
                fcntl.flock(lock, fcntl.LOCK_EX)
            if (self.work / "old").exists() and not self.output.exists():
                (self.work / "old").rename(self.output)
            for folder in (self.work / "old", *self.work.glob("new*"), self.sockets):
                shutil.rmtree(folder, ignore_errors=True)
            self.sockets.mkdir(mode=0o700)
            # A folder of this render's own: a script that outlived a killed render may still write into that one's.
            with tempfile.TemporaryDirectory(prefix="new", dir=self.work, ignore_cleanup_errors=True) as own:
                self.new = Path(own, "site")
                try:
                    yield
                finally:
                    shutil.rmtree(self.sockets)

    def render(self) -> None:
        """Render the project; the old site stands until the new one is complete."""
        started = time.time()
        with self.locked():
            self.run("pre-render", {"INPUT": self.names()})
            self.read()
            executor = Executor(self.root, self.output, self.sockets, self.runs)
            kept = {page.path: executor.kept(page) for page in self.pages.values()}
            files = self.build(executor, kept)
            files |= self.assets(files)
            if self.scripts["post-render"]:
                check_links(self, files)  # what pages show is there for the scripts; only what they leave is judged
                self.judge()
                files = self.post_render(files)
            files |= publish(self, files, self.htmls)
            problems, elsewhere = check_links(self, files)
            self.problems += problems
            self.judge()
            if self.website.get("search", True) and self.public:
                files |= index(self.public, files, self.htmls)
            rebase(self, files)
            self.write(files)
            self.runs.prune()
            self.htmls.prune()
        ran = sum(outputs is None for outputs in kept.values())
        listed = self.work / "links.txt"
        listed.write_text("".join(f"{each}\t{' '.join(sorted(elsewhere[each]))}\n" for each in sorted(elsewhere)))
        count = f"{len(elsewhere)} link{'s' * (len(elsewhere) != 1)}"
        print(f"{count} to other sites, listed in {listed.relative_to(self.root)}", flush=True)
        print(f"{self.output.name}: {len(kept)} pages, {ran} executed, {time.time() - started:.1f} s", flush=True)

    def build(self, executor: Executor, kept: dict[str, Outputs | None]) -> dict[str, bytes]:
        """Return the pages and the files beside them; pages run at the same time."""
        failures: list[str] = []
        files: dict[str, bytes] = {}

        def finish(page: Page) -> str:
            started, outputs = time.time(), kept[page.path]
            if outputs is not None:
                return "unchanged" if page.cells else "no cells"
            try:
                outputs = executor.run(page)
            except FailedCell as failure:
                failures.append(str(failure))
                return "failed"
            files.update(self.convert(page, outputs))
            return f"ran {len(page.cells)} cells in {time.time() - started:.1f} s"

        pool = ThreadPoolExecutor(os.cpu_count())
        try:
            # A page whose outputs are not known is first converted without them, to find bad input before it runs.
            for made in pool.map(lambda page: self.convert(page, kept[page.path]), self.pages.values()):
                files.update(made)
            self.judge()
            results = zip(self.pages, pool.map(finish, self.pages.values()), strict=True)
            for number, (path, words) in enumerate(results, 1):
                print(f"[{number}/{len(kept)}] {path}  {words}", flush=True)
        except BaseException:
            executor.stop()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
        if failures:
            raise FailedCell("\n".join([*sorted(failures), *map(str, sorted(set(self.problems)))]))
        return files

    def convert(self, page: Page, outputs: Outputs | None) -> dict[str, bytes]:
        """Return the page and the files beside it."""
        composition = Composition(page, outputs)
        meta = context(self, page) | {"qmdsite-dry": composition.dry}
        folder = PurePosixPath(page.path).parent
        inputs: list[Path] = []
        for key in ("bibliography", "csl"):
            base, owner = (folder, page) if key in page.meta else (PurePosixPath(), self.file)
            for name in texts(page.options.get(key)):
                if not (self.root / base / name).is_file():
                    raise BadInput([owner.problem(key, f"the file '{name}' does not exist")])
                meta[key] = [*meta.get(key, []), str(base / name)]
                inputs.append(self.root / base / name)
        text, problems = convert(page, composition.markdown, meta, html_arguments(page), inputs, self.root, self.htmls)
        self.problems += composition.problems + problems
        files = {out(page.path): text.encode()}
        files |= {str(folder / name): data for name, data in composition.files.items()}
        if outputs is not None and "notebook" in meta:
            notebook = Notebook(page, outputs)
            text, problems = convert(page, notebook.markdown, meta, NOTEBOOK, inputs, self.root, self.htmls)
            self.problems += problems
            files[out(page.path, ".ipynb")] = notebook.write(
                text, self.root, self.package, self.website.get("repo-url")
            )
        return files

    def assets(self, pages: dict[str, bytes]) -> dict[str, bytes]:
        """Return what every page loads: style sheets, script, fonts, the one of mathematics cut down to the pages."""
        shipped = [*HERE.glob("*.css"), HERE / "site.js", HERE / "icon.svg", *HERE.glob("fonts/*")]
        letters = font.characters(data.decode() for name, data in pages.items() if name.endswith(".html"))
        key = digest(letters, Path(font.__file__).read_bytes())
        math = self.htmls.get(key)
        if math is None:
            math = font.subset(letters)
            self.htmls.put(key, math)
        files = {f"{LIBS}/{file.relative_to(HERE)}": file.read_bytes() for file in shipped}
        return files | {f"{LIBS}/math.woff2": math}

    def post_render(self, files: dict[str, bytes]) -> dict[str, bytes]:
        """Return the site's files as the project's scripts leave them."""
        _write(self.new, files)
        made = [name for path in self.pages for name in (out(path), out(path, ".ipynb")) if name in files]
        self.run("post-render", {"OUTPUT": [str((self.new / name).relative_to(self.root)) for name in made]}, made)
        return {str(path.relative_to(self.new)): path.read_bytes() for path in self.new.rglob("*") if path.is_file()}

    def run(self, when: str, files: dict[str, list[str]], made: Iterable[str] = ()) -> None:
        """Run the project's scripts of one kind, with what Quarto tells them; what was made must still be there."""
        environment = {
            **os.environ,
            **{"QUARTO_PROJECT_RENDER_ALL": "1", "QUARTO_PROJECT_OUTPUT_DIR": str(self.new), "PYTHONHASHSEED": "0"},
            **{f"QUARTO_PROJECT_{kind}_FILES": "\n".join(names) for kind, names in files.items()},
        }
        for name in self.scripts[when]:
            command = [sys.executable, name]
            ran = subprocess.run(command, cwd=self.root, env=environment, stderr=subprocess.PIPE)
            said = ran.stderr.decode(errors="replace")
            if status := ran.returncode:
                places = re.findall(rf'File ".*{re.escape(name)}", line (\d+)', said)
                how = f"status {status}" if status > 0 else f"signal {-status}"
                raise FailedCell(f"{name}:{[1, *places][-1]}: the script failed with {how}\n{said}".rstrip())
            print(said, end="", file=sys.stderr, flush=True)
            if lost := [page for page in made if not (self.new / page).is_file()]:
                raise FailedCell(f"{name}:1: the script took away a page of the site: {', '.join(lost)}")

    def write(self, files: dict[str, bytes]) -> None:
        """Write the whole site beside the old one and exchange the two."""
        _write(self.new, files)
        if not _exchanged(self.new, self.output):
            old = self.work / "old"
            if self.output.exists():
                self.output.rename(old)
            self.new.rename(self.output)
            shutil.rmtree(old, ignore_errors=True)


def _write(folder: Path, files: dict[str, bytes]) -> None:
    """Write files into a folder."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange two folders in one step, where the system has renameat2 and the file system can."""
    here, exchange = -100, 2
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    return rename is not None and rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0
