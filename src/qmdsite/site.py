"""The whole build: read, check, run, convert, and only then put the new site in the place of the old."""

import ctypes
import datetime
import errno
import fcntl
import html
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from qmdsite import config, convert, font, source
from qmdsite.cache import Cache, digest
from qmdsite.execute import Executor
from qmdsite.problem import BadInput, FailedCell, Problem
from qmdsite.source import Page

LIBS = "site_libs/qmdsite"
STATIC = ("site.css", "site.js", "icon.svg")
FIELDS = ("title", "subtitle", "date", "author", "description", "categories")


def render(root: Path) -> None:
    """Render the project in `root`; the old site stands until the new one is complete."""
    started = time.time()
    root = root.resolve()
    problems: list[Problem] = []
    if not (root / "_quarto.yml").is_file():
        raise BadInput([Problem(str(root), 0, "there is no '_quarto.yml' here; name the folder of a Quarto website")])
    settings = config.read((root / "_quarto.yml").read_text("utf-8"), config.PROJECT, "_quarto.yml", 1, problems)
    if problems:
        raise BadInput(problems)
    site = Site(root, settings)
    with site.locked():
        ran = site.build()
    print(f"{site.output.name}: {len(site.pages)} pages, {ran} executed, {time.time() - started:.1f} s", flush=True)


def out(path: str) -> str:
    """Return where the page from `path` goes in the site."""
    return str(PurePosixPath(path).with_suffix(".html"))


def relative(target: str, page: str) -> str:
    """Return the link to a file of the site from the page at `page`."""
    return os.path.relpath(target, os.path.dirname(page) or ".")


def texts(value: Any) -> list[str]:
    """Return one text or a list of them as a list."""
    return [] if value is None else [value] if isinstance(value, str) else list(value)


class Site:
    """One project while it is rendered."""

    def __init__(self, root: Path, settings: dict[str, Any]) -> None:
        """Name the folders; nothing is read or written yet."""
        self.root, self.settings, self.website = root, settings, settings.get("website", {})
        project = settings.get("project", {})
        self.output = root / project.get("output-dir", "_site")
        if self.output == root or not self.output.resolve().is_relative_to(root):
            raise BadInput([Problem("_quarto.yml", 1, "project.output-dir must be a folder inside the project's")])
        self.work = root / ".qmdsite"
        self.patterns: list[str] = project.get("render", [])
        self.problems: list[Problem] = []
        self.pages: list[Page] = []
        self.found: dict[str, list[Problem]] = {}

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the project for one render at a time, and clear away what a killed one left."""
        self.work.mkdir(exist_ok=True)
        with (self.work / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print("another render is at work here; waiting for it", flush=True)
                fcntl.flock(lock, fcntl.LOCK_EX)
            old = self.work / "old"
            if old.exists() and not self.output.exists():
                old.rename(self.output)
            for left in (old, self.work / "new"):
                shutil.rmtree(left, ignore_errors=True)
            self.runs, self.htmls = Cache(self.work / "runs"), Cache(self.work / "html")
            for part in [*self.work.glob("*/*.part")]:
                part.unlink()
            yield

    def build(self) -> int:
        """Read and check every page, run and convert, and swap; return how many pages were executed."""
        self.read()
        executor = Executor(self.root, self.output, self.runs)
        kept = {page.path: executor.remembered(page) for page in self.pages}
        pool = ThreadPoolExecutor(os.cpu_count())
        try:
            # Pages whose outputs are not known yet are converted without them, so that bad input is found first.
            first = dict(zip(kept, pool.map(lambda page: self.convert(page, kept[page.path]), self.pages), strict=True))
            self.judge()
            failures: list[str] = []
            results = pool.map(lambda page: self.finish(page, kept[page.path], first[page.path], executor), self.pages)
            files: dict[str, bytes] = {}
            for number, (page, (text, made, words)) in enumerate(zip(self.pages, results, strict=True), 1):
                print(f"[{number}/{len(self.pages)}] {page.path}  {words}", flush=True)
                if isinstance(made, str):
                    failures.append(made)
                else:
                    files.update(made)
                    files[out(page.path)] = text.encode()
        except BaseException:
            executor.stop()
            pool.shutdown(cancel_futures=True)
            raise
        pool.shutdown()
        problems = [problem for page in self.pages for problem in self.found.get(page.path, [])]
        if failures:
            raise FailedCell("\n".join([*failures, *map(str, sorted(set(problems)))]))
        self.problems += problems
        self.judge()
        self.link(files)
        self.judge()
        self.write(files)
        self.runs.prune()
        self.htmls.prune()
        return sum(value is None for value in kept.values())

    def judge(self) -> None:
        """Stop if anything was found wrong."""
        if self.problems:
            raise BadInput(self.problems)

    def read(self) -> None:
        """Find and read the pages, and lay out listings and their order."""
        names = [path.relative_to(self.root) for path in sorted(self.root.rglob("*.qmd"))
                 if not path.is_relative_to(self.output)]  # fmt: skip
        names = [name for name in names if not any(part[0] in "._" for part in name.parts)]
        if self.patterns:
            names = [name for name in names if any(name.match(pattern) for pattern in self.patterns)]
        shared = config.flat({key: value for key, value in self.settings.items() if key in config.SHARED})
        self.pages = [source.load(self.root, name.as_posix(), shared, self.problems) for name in names]
        if not self.pages:
            self.problems.append(Problem("_quarto.yml", 1, "the project has no page: no .qmd file to render"))
        self.by_path = {page.path: page for page in self.pages}
        self.listings = {page.path: self.listing(page) for page in self.pages if "listing" in page.meta}
        self.order = next(iter(self.listings.values()), [])
        self.home = next(iter(self.listings), "index.qmd")
        self.judge()

    def listing(self, page: Page) -> list[Page]:
        """Return the pages that a page's listing lists, in its order."""
        wanted = page.meta["listing"]
        complain = lambda words, text: self.problems.append(Problem(*page.find(words), text))  # noqa: E731
        folder = PurePosixPath(page.path).parent
        items: list[Page] = []
        for pattern in texts(wanted.get("contents")):
            base = (folder / pattern).as_posix()
            found = [each for each in self.pages if each is not page and each not in items and
                     (each.path.startswith(f"{base}/") or PurePosixPath(each.path).match(base))]  # fmt: skip
            if not found:
                complain("contents", f"the listing's contents '{pattern}' match no page")
            items += found
        for name in wanted.get("fields", []):
            if name not in FIELDS:
                complain(name, f"the listing field '{name}' is not supported; there are {', '.join(FIELDS)}")
        for rule in reversed(texts(wanted.get("sort") or None)):
            name, _, direction = rule.partition(" ")
            lacking = [each.path for each in items if name not in each.meta]
            if direction not in ("", "asc", "desc") or name not in ("date", "title", "order", "author"):
                complain("sort", f"the listing cannot be sorted by '{rule}'; write for example 'date desc'")
            elif lacking:
                complain("sort", f"the listing is sorted by '{name}', which {lacking[0]} does not give")
            else:
                items.sort(key=lambda each: (str(each.meta[name]) if name != "order" else each.meta[name]),
                           reverse=direction == "desc")  # fmt: skip
        return items

    def date(self, page: Page, name: str) -> str | None:
        """Return a date in words: January 3, 2026."""
        value = page.meta.get(name)
        if value is None:
            return None
        try:
            day = datetime.date.fromisoformat(str(value)[:10])
        except ValueError:
            self.problems.append(Problem(*page.find(name), f"{name} is {value!r}, and must be a day such as 2026-01-31"))
            return None
        return f"{day:%B} {day.day}, {day.year}"

    def context(self, page: Page) -> dict[str, Any]:
        """Return all that the template shows around the page's body."""
        here, options, literal = out(page.path), page.options, convert.literal

        def href(target: str, where: str = "_quarto.yml") -> str:
            if re.match(r"[a-z][a-z0-9+.-]*:", target):
                return literal(target)
            path, _, fragment = target.removeprefix("/").partition("#")
            if path.endswith(".qmd") and path not in self.by_path:
                self.problems.append(Problem(where, 1, f"the link to '{path}' leads nowhere: there is no such page"))
            return literal(relative(out(path) if path.endswith(".qmd") else path, here) + (fragment and f"#{fragment}"))

        def categories(each: Page) -> list[dict[str, str]]:
            index = href(self.home)
            return [{"text": literal(name), "href": f"{index}\\#category\\={literal(name)}"}
                    for name in each.meta.get("categories", [])]  # fmt: skip

        meta: dict[str, Any] = {
            key: page.meta[key] for key in ("title", "subtitle", "description") if key in page.meta
        }
        meta |= {
            "lang": options.get("lang", "en"),
            "description-meta": literal(page.meta.get("description", "")),
            "site-title": literal(self.website.get("title", "")),
            "author": [literal(name) for name in texts(options.get("author"))],
            "date": self.date(page, "date"),
            "date-modified": self.date(page, "date-modified"),
            "categories": categories(page),
            "home": href("index.qmd") if "index.qmd" in self.by_path else "",
            "libs": literal(relative(LIBS, here)),
            "css": [literal(relative(f"{LIBS}/site.css", here)), *map(href, texts(options.get("css")))],
            "toc-title": literal(options.get("toc-title", "On this page")),
            "footer": self.website.get("page-footer", ""),
            "qmdsite-dry": False,
            "number-sections": options.get("number-sections", False),
            "link-citations": options.get("link-citations", True),
            "reference-section-title": "References",
        }
        for side, items in self.website.get("navbar", {}).items():
            meta[side] = [{"text": literal(item.get("text", item.get("href", ""))), "href": href(item.get("href", "")),
                           "here": item.get("href") == page.path} for item in items]  # fmt: skip
        if page.path in self.listings:
            fields = page.meta["listing"].get("fields", FIELDS)
            meta["listing"] = {"id": page.meta["listing"].get("id", "listing-listing"), "items": [
                {"title": each.meta["title"], "href": href(each.path),
                 "description": each.meta.get("description", "") if "description" in fields else "",
                 "tags": literal("|".join(each.meta.get("categories", []))),
                 "meta": [literal(words) for words in [
                     self.date(each, "date") if "date" in fields else None,
                     *(texts(each.options.get("author")) if "author" in fields else []),
                     *(each.meta.get("categories", []) if "categories" in fields else [])] if words]}
                for each in self.listings[page.path]]}  # fmt: skip
        if self.website.get("page-navigation") and page in self.order:
            at = self.order.index(page)
            around = [("prev", at - 1), ("next", at + 1)]
            meta["neighbours"] = [{"rel": rel, "href": href(self.order[i].path), "title": self.order[i].meta["title"]}
                                  for rel, i in around if 0 <= i < len(self.order)]  # fmt: skip
        return {key: value for key, value in meta.items() if value not in (None, "", [])}

    def convert(self, page: Page, outputs: Any) -> tuple[str, dict[str, bytes]]:
        """Return the page's HTML and the files beside it."""
        composed = convert.Composer(page, outputs)
        meta = self.context(page)
        meta["qmdsite-dry"] = composed.dry
        own = [(self.root / page.path).parent / name for name in texts(page.meta.get("bibliography"))]
        shared = [self.root / name for name in texts(self.settings.get("bibliography"))]
        books = own or shared
        for book in books:
            if not book.is_file():
                self.problems.append(Problem(*page.find(book.name), f"the bibliography '{book.name}' does not exist"))
        if books:
            meta["bibliography"] = [str(book) for book in books]
        text, problems = convert.pandoc(page, composed.markdown, meta, [b for b in books if b.is_file()], self.htmls)
        self.found[page.path] = composed.problems + problems
        if composed.dry:
            self.problems += self.found[page.path]
        folder = PurePosixPath(page.path).parent
        return text, {(folder / name).as_posix(): data for name, data in composed.files.items()}

    def finish(self, page: Page, kept: Any, first: Any, executor: Executor) -> tuple[str, Any, str]:
        """Return a page's HTML, its files or the message of its failure, and the words for its line of progress."""
        if kept is not None:
            return first[0], first[1], "unchanged" if page.cells else "no cells"
        started = time.time()
        try:
            outputs = executor.run(page)
        except FailedCell as failure:
            return "", str(failure), "failed"
        text, files = self.convert(page, outputs)
        return text, files, f"ran {len(page.cells)} cells in {time.time() - started:.1f} s"

    def link(self, files: dict[str, bytes]) -> None:
        """Add the files that pages show or link to; a link that leads nowhere is a problem."""
        pages = {name: data.decode() for name, data in files.items() if name.endswith(".html")}
        ids = {name: set(re.findall(r'\sid="([^"]+)"', text)) for name, text in pages.items()}
        for css in texts(config.flat(self.settings).get("css")):
            self.take(css, files)
        for page in self.pages:
            name = out(page.path)
            body = re.sub(r"<pre.*?</pre>|<math.*?</math>", "", pages[name], flags=re.S)
            for attribute, link in re.findall(r'<(?:a|img|source|video)\b[^>]*?\s(href|src)="([^"]*)"', body):
                target, _, fragment = unquote(html.unescape(link)).partition("#")
                if re.match(r"[a-z][a-z0-9+.-]*:|//", link):
                    continue
                path = os.path.normpath(os.path.join(os.path.dirname(name), target)) if target else name
                path = os.path.join(path, "index.html") if f"{path}/index.html" in pages else path
                if path in pages:
                    if fragment and fragment not in ids[path] and not fragment.startswith("category="):
                        words = f"the link to '#{fragment}' leads nowhere: {path} has no such place"
                        self.problems.append(Problem(*page.find(fragment), words))
                elif path not in files and not path.startswith(LIBS) and not self.take(path, files):
                    shown = target.replace(".html", ".qmd") if attribute == "href" else target
                    what = "the link" if attribute == "href" else "the image"
                    self.problems.append(Problem(*page.find(shown), f"{what} '{shown}' leads nowhere: no such file"))

    def take(self, name: str, files: dict[str, bytes]) -> bool:
        """Copy a file of the project into the site, and say whether it exists."""
        file = self.root / name
        if name.startswith("..") or not file.is_file():
            return False
        files[name] = file.read_bytes()
        return True

    def write(self, files: dict[str, bytes]) -> None:
        """Write the whole site beside the old one and swap the two."""
        letters = font.characters(data.decode() for name, data in files.items() if name.endswith(".html"))
        key = digest(letters, Path(font.__file__).read_bytes())
        woff = self.htmls.get(key)
        if woff is None:
            woff = font.subset(letters)
            self.htmls.put(key, woff)
        files[f"{LIBS}/math.woff2"] = woff
        for name in STATIC:
            files[f"{LIBS}/{name}"] = (convert.HERE / name).read_bytes()
        new = self.work / "new"
        for name, data in sorted(files.items()):
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            (new / name).write_bytes(data)
        swap(new, self.output, self.work / "old")


def swap(new: Path, target: Path, old: Path) -> None:
    """Put `new` in the place of `target`, in one step where the system can exchange two names."""
    if not target.exists():
        new.rename(target)
    elif sys.platform == "linux" and exchange(new, target):
        shutil.rmtree(new)
    else:
        target.rename(old)
        new.rename(target)
        shutil.rmtree(old)


def exchange(one: Path, other: Path) -> bool:
    """Exchange two names by renameat2; return False where the file system cannot."""
    here, swap_names = -100, 2
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    if call(here, os.fsencode(one), here, os.fsencode(other), swap_names) == 0:
        return True
    if ctypes.get_errno() in (errno.EINVAL, errno.ENOSYS):
        return False
    raise OSError(ctypes.get_errno(), "cannot put the new site in its place", str(other))
