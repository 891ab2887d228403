"""The whole build: read, check, run, convert, and only then put the new site in the place of the old."""

import ctypes
import datetime
import fcntl
import html
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from qmdsite import config, font, source
from qmdsite.cache import Cache, digest
from qmdsite.convert import HERE, NOTEBOOK, Composition, convert, html_arguments, literal
from qmdsite.execute import Executor, Outputs
from qmdsite.notebook import Notebook, Package
from qmdsite.problem import BadInput, FailedCell, Problem
from qmdsite.source import Page

LIBS = "site_libs/qmdsite"
FIELDS = ("title", "date", "author", "description", "categories")


def out(path: str, suffix: str = ".html") -> str:
    """Return where in the site the page from `path` goes."""
    return str(PurePosixPath(path).with_suffix(suffix))


def files_of(root: Path) -> Iterator[Path]:
    """Return the files of a project; hidden folders, such as an environment's, are no part of it."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__pycache__")))
        yield from (Path(folder, name) for name in sorted(names))


def texts(value: Any) -> list[str]:
    """Return one text, or a list of them, or nothing, as a list."""
    return [value] if isinstance(value, str) else list(value or [])


class Site:
    """One project while it is rendered."""

    def __init__(self, root: Path) -> None:
        """Read the settings; nothing is written yet."""
        self.root = root.resolve()
        self.problems: list[Problem] = []
        if not (self.root / "_quarto.yml").is_file():
            raise BadInput([Problem(f"{root}/_quarto.yml", 1, "there is no such file; name the folder of a website")])
        self.file = Page("_quarto.yml", lines=source.read_lines(self.root, "_quarto.yml", self.problems))
        text = "\n".join(line.text for line in self.file.lines)
        self.settings = config.read(text, config.PROJECT, "_quarto.yml", 1, self.problems)
        self.website = self.settings.get("website", {})
        self.project = self.settings.get("project", {})
        self.css = texts(config.flat(self.settings).get("css"))
        self.output = self.root / os.path.normpath(self.project.get("output-dir", "_site"))
        if not self.output.name.startswith("_") or self.root not in self.output.parents:
            words = "project.output-dir must be in the project, with a name that starts with '_': all in it is replaced"
            self.problems.append(self.file.problem("output-dir", words))
        if self.output.is_symlink() or (self.output.exists() and not self.output.is_dir()):
            words = "the site is to be written here, and this is no folder; move it"
            self.problems.append(Problem(str(self.output.relative_to(self.root)), 1, words))
        self.scripts = texts(self.project.get("post-render"))
        for name in self.scripts:
            if not name.endswith(".py") or not (self.root / name).is_file():
                words = f"project.post-render is '{name}', and must be the path of a Python script, such as finish.py"
                self.problems.append(self.file.problem(name, words))
        self.package = Package.read(self.root, self.problems)
        self.judge()
        # In a place with a short name, for the path of a socket may have about a hundred bytes.
        self.sockets = Path(tempfile.gettempdir(), f"qmdsite-{os.getuid()}-{digest(str(self.root))[:12]}")
        self.work = self.root / ".qmdsite"
        self.work.mkdir(exist_ok=True)
        self.runs, self.htmls = Cache(self.work / "runs"), Cache(self.work / "html")
        self.pages: dict[str, Page] = {}
        self.listings: dict[str, list[Page]] = {}

    def judge(self) -> None:
        """Stop if anything was found wrong."""
        if self.problems:
            raise BadInput(self.problems)

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
            self.read()
            executor = Executor(self.root, self.output, self.sockets, self.runs)
            kept = {page.path: executor.kept(page) for page in self.pages.values()}
            files = self.build(executor, kept)
            problems = self.link(files)
            if self.scripts:
                self.judge()  # of links only what scripts leave is judged
                files = self.post_render(files)
                problems = self.link(files)
            self.problems += problems
            self.judge()
            self.write(files)
            self.runs.prune()
            self.htmls.prune()
        ran = sum(outputs is None for outputs in kept.values())
        print(f"{self.output.name}: {len(kept)} pages, {ran} executed, {time.time() - started:.1f} s", flush=True)

    def read(self) -> None:
        """Find and read the pages, and put the listings in order."""
        shared = config.flat({key: value for key, value in self.settings.items() if key in config.SHARED})
        named: set[Path] = set()
        for pattern in self.project.get("render", []):
            named |= (found := self.glob(pattern))
            if not found:
                self.problems.append(self.file.problem(pattern, f"'{pattern}' matches no file of the project"))
        for file in files_of(self.root):
            name = str(file.relative_to(self.root))
            if file.suffix == ".qmd" and (not named or file in named) and not re.search(r"(^|/)_", name):
                self.pages[name] = source.load(self.root, name, shared, self.problems)
        if not self.pages:
            self.problems.append(Problem("_quarto.yml", 1, "the project has no page: no .qmd file to render"))
        self.listings = {page.path: self.listing(page) for page in self.pages.values() if "listing" in page.meta}
        self.judge()

    def glob(self, pattern: str) -> set[Path]:
        """Return what in the project has a path like this."""
        with suppress(NotImplementedError, ValueError):
            return {path for path in self.root.glob(pattern) if path.resolve().is_relative_to(self.root)}
        return set()

    def listing(self, page: Page) -> list[Page]:
        """Return the pages that a page's listing lists, in its order."""
        wanted, folder, items = page.meta["listing"], PurePosixPath(page.path).parent, list[Page]()
        for pattern in texts(wanted.get("contents")):
            base = folder / pattern
            others = [(each, PurePosixPath(each.path)) for each in self.pages.values() if each not in (page, *items)]
            found = [each for each, path in others if base in path.parents or path.match(str(base))]
            if not found:
                self.problems.append(page.problem("contents", f"the listing's contents '{pattern}' match no page"))
            items += found
        for name in set(wanted.get("fields", FIELDS)) - set(FIELDS):
            words = f"the listing field '{name}' is not supported; there are {', '.join(FIELDS)}"
            self.problems.append(page.problem(name, words))
        for rule in reversed(texts(wanted.get("sort"))):
            name, _, direction = rule.partition(" ")
            lacking = [each.path for each in items if name not in each.meta]
            if direction not in ("", "asc", "desc") or name not in ("date", "title", "order"):
                self.problems.append(page.problem("sort", f"'{rule}' is no order; write for example 'date desc'"))
            elif lacking:
                self.problems.append(page.problem("sort", f"the order is by {name}, and {lacking[0]} gives none"))
            else:
                keys = {each.path: each.meta[name] if name == "order" else str(each.meta[name]) for each in items}
                items.sort(key=lambda each, keys=keys: keys[each.path], reverse=direction == "desc")  # type: ignore[misc]
        return items

    def build(self, executor: Executor, kept: dict[str, Outputs | None]) -> dict[str, bytes]:
        """Return the pages and the files beside them; pages run at the same time."""
        failures: list[str] = []
        files = {f"{LIBS}/{name}": (HERE / name).read_bytes() for name in ("site.css", "site.js", "icon.svg")}

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
        meta = self.context(page) | {"qmdsite-dry": composition.dry}
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

    def context(self, page: Page) -> dict[str, Any]:
        """Return all that the template shows around the page's body, as pandoc's metadata."""

        def relative(target: str) -> str:
            return os.path.relpath(target, PurePosixPath(page.path).parent)

        def link(text: str, target: str, attributes: str = "") -> str:
            elsewhere = re.match(r"[a-z][a-z0-9+.-]*:|#", target)
            # A bracket that is neither code nor mathematics nor escaped could end the text.
            text = re.sub(r"(`[^`]*`|\$[^$]*\$|\\.)|[][]", lambda found: found[1] or f"\\{found[0]}", text)
            return f"[{text}](<{target if elsewhere else relative(target)}>){attributes}"

        def date(each: Page, name: str) -> str:
            try:
                day = datetime.date.fromisoformat(str(each.meta[name])[:10])
            except ValueError:
                words = f"{name} is '{each.meta[name]}', and must be a day such as 2026-01-31"
                self.problems.append(each.problem(name, words))
                return ""
            return f"{day:%B} {day.day}, {day.year}"

        def shown(each: Page) -> dict[str, Any]:
            home = next(iter(self.listings), "index.qmd")
            about: dict[str, Any] = {"link": link(each.meta["title"], each.path)}
            about["author"] = [literal(name) for name in texts(each.options.get("author"))]
            names = each.meta.get("categories", [])
            about["categories"] = [link(literal(name), f"{home}#category={name}") for name in names]
            about |= {key: each.meta[key] for key in ("title", "subtitle", "description") if key in each.meta}
            return about | {key: date(each, key) for key in ("date", "date-modified") if key in each.meta}

        options, website = page.options, self.website
        brand = literal(website.get("title", ""))
        order = next(iter(self.listings.values()), [])
        meta = shown(page) | {
            "lang": options.get("lang", "en"),
            "description-meta": literal(page.meta.get("description", website.get("description", ""))),
            "site-title": brand,
            "brand": link(brand, "index.qmd", "{.brand}") if "index.qmd" in self.pages else f"[{brand}]{{.brand}}",
            "libs": literal(relative(LIBS)),
            "css": [literal(relative(name)) for name in (f"{LIBS}/site.css", *self.css)],
            "toc-title": literal(options.get("toc-title", "On this page")),
            "footer": website.get("page-footer", ""),
            "number-sections": options.get("number-sections", False),
            "link-citations": options.get("link-citations", True),
            "reference-section-title": "References",
        }
        if "ipynb" in options.get("format", {}):
            meta["notebook"] = link("Download as notebook", out(page.path, ".ipynb"), "{download=''}")
        if "site-url" in website:
            meta["address"] = literal(f"{website['site-url'].rstrip('/')}/{out(page.path)}")
        for side, items in website.get("navbar", {}).items():
            here = {page.path: "{aria-current=page}"}
            pairs = [(literal(item.get("text", "")), item.get("href", "")) for item in items]
            meta[side] = [link(text, target, here.get(target, "")) for text, target in pairs]
        if page.path in self.listings:
            fields = [*page.meta["listing"].get("fields", FIELDS), "link"]
            meta["listing"] = {"id": page.meta["listing"].get("id", "listing-listing"), "items": [
                {key: value for key, value in shown(each).items() if key in fields}
                | {"tags": literal("|".join(each.meta.get("categories", [])))} for each in self.listings[page.path]
            ]}  # fmt: skip
        if website.get("page-navigation") and page in order:
            at = order.index(page)
            near = [(rel, i) for rel, i in (("prev", at - 1), ("next", at + 1)) if 0 <= i < len(order)]
            meta["neighbours"] = [link(order[i].meta["title"], order[i].path, f"{{rel={rel}}}") for rel, i in near]
        return {key: value for key, value in meta.items() if value not in ("", [])}

    def link(self, files: dict[str, bytes]) -> list[Problem]:
        """Add the project's files that pages show or link to, and return what leads nowhere."""
        problems: list[Problem] = []

        def take(name: str) -> bool:
            if not name.startswith(("..", "/")) and name not in files and (self.root / name).is_file():
                files[name] = (self.root / name).read_bytes()
            return name in files

        for name in self.css:
            if not take(name):
                problems.append(self.file.problem(name, f"the style sheet '{name}' does not exist"))
        for pattern in texts(self.project.get("resources")):
            found = [file for path in self.glob(pattern) for file in (files_of(path) if path.is_dir() else [path])]
            names = [str(file.relative_to(self.root)) for file in found]
            # The output folder is one of these, and so are the settings and what is secret.
            names = [name for name in names if not re.search(r"(^|/)[._]", name)]
            if not names or not all(map(take, names)):
                words = f"'{pattern}' matches no file of the project; names that start with '.' or '_' are left out"
                problems.append(self.file.problem(pattern, words))
        pages = {name: source.decode(data, name, problems) for name, data in files.items() if name.endswith(".html")}
        ids = {name: set(re.findall(r'\sid="([^"]+)"', text)) for name, text in pages.items()}
        sources = {out(page.path): page for page in self.pages.values()}
        for here in pages:
            if here not in sources and (self.root / here).is_file():
                continue  # the project's own file, copied as it is
            page = sources.get(here, Page(here))
            text = r"<!--.*?-->|<pre.*?</pre>|<math.*?</math>|(<script\b[^>]*>).*?</script>"
            body = re.sub(text, r"\1", pages[here], flags=re.S)
            links = re.findall(r"""<(\w+)\b[^>]*?\s(?:href|src)=(["'])(.*?)\2""", body, flags=re.S)
            for tag, _, link in [*links, *(("img", "", name) for name in texts(page.meta.get("image")))]:
                target, _, fragment = html.unescape(link).partition("#")
                target, fragment = unquote(target.partition("?")[0]), unquote(fragment)
                if re.match(r"[a-z][a-z0-9+.-]*:|//", link):
                    if tag != "a" and not link.startswith("data:"):
                        words = f"'{link}' is on another host, which a page may link to and not load from"
                        problems.append(page.problem(link, words))
                    continue
                name = os.path.normpath(os.path.join(os.path.dirname(here), target)) if target else here
                name = f"{name}/index.html" if f"{name}/index.html" in pages else name
                if not take(name):
                    # A link of the navbar stands in the settings, written from the project's folder.
                    written, rooted = (re.sub(r"\.html$", ".qmd", each) for each in (target, name))
                    places = [(page, written), (page, target), (self.file, rooted)]
                    owner, words = next((place for place in places if place[0].has(place[1])), places[0])
                    problems.append(owner.problem(words, f"'{words}' leads nowhere: there is no such file"))
                elif name in ids and fragment and fragment not in ids[name] and "category=" not in fragment:
                    words = f"'#{fragment}' leads nowhere: {name} has no such place"
                    problems.append(page.problem(fragment, words))
        return problems

    def post_render(self, files: dict[str, bytes]) -> dict[str, bytes]:
        """Return the site's files as the project's scripts leave them."""
        new = self.new
        _write(new, files)
        made = [name for path in self.pages for name in (out(path), out(path, ".ipynb")) if name in files]
        pages = [str((new / name).relative_to(self.root)) for name in made]
        environment = {
            **os.environ,
            **{"QUARTO_PROJECT_RENDER_ALL": "1", "QUARTO_PROJECT_OUTPUT_DIR": str(new), "PYTHONHASHSEED": "0"},
            **{"QUARTO_PROJECT_OUTPUT_FILES": "\n".join(pages)},
        }
        for name in self.scripts:
            command = [sys.executable, name]
            ran = subprocess.run(command, cwd=self.root, env=environment, stderr=subprocess.PIPE)
            said = ran.stderr.decode(errors="replace")
            if status := ran.returncode:
                places = re.findall(rf'File ".*{re.escape(name)}", line (\d+)', said)
                how = f"status {status}" if status > 0 else f"signal {-status}"
                raise FailedCell(f"{name}:{[1, *places][-1]}: the script failed with {how}\n{said}".rstrip())
            print(said, end="", file=sys.stderr, flush=True)
            if lost := [page for page in made if not (new / page).is_file()]:
                raise FailedCell(f"{name}:1: the script took away a page of the site: {', '.join(lost)}")
        return {str(path.relative_to(new)): path.read_bytes() for path in sorted(new.rglob("*")) if path.is_file()}

    def write(self, files: dict[str, bytes]) -> None:
        """Write the whole site beside the old one and exchange the two."""
        letters = font.characters(data.decode() for name, data in files.items() if name.endswith(".html"))
        key = digest(letters, Path(font.__file__).read_bytes())
        woff = self.htmls.get(key)
        if woff is None:
            woff = font.subset(letters)
            self.htmls.put(key, woff)
        files[f"{LIBS}/math.woff2"] = woff
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
