"""The whole build, and the one place that knows its order: read, check, run, convert, wrap, link, publish, exchange."""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from qmdsite import font
from qmdsite.cache import Cache, digest, installed
from qmdsite.check import check_pages, check_settings
from qmdsite.convert import convert, convert_text
from qmdsite.dialect import own_classes
from qmdsite.feed import feeds
from qmdsite.hooks import run_scripts
from qmdsite.kernel import LIMITS, Limits
from qmdsite.link import Followed, follow, named_files, redirects
from qmdsite.notebook import notebook
from qmdsite.page import Article, Outputs, Page
from qmdsite.pandoc import Pandoc
from qmdsite.paths import HERE, LIBS, out
from qmdsite.problem import BadInput, FailedCell, Problem, judge
from qmdsite.project import Project, texts
from qmdsite.publish import publish, rebase
from qmdsite.read import page_names, read_pages, read_settings
from qmdsite.run import Executor
from qmdsite.search import index
from qmdsite.wrap import wrap
from qmdsite.write import exchange, locked, read, write

Result = TypeVar("Result")
MATH = f"{LIBS}/math.woff2"


def open_project(root: Path) -> Project:
    """Return a project as its settings tell it, if they are right."""
    project, problems = read_settings(root)
    judge(problems or check_settings(project))
    return project


def render(root: Path, only: str = "", limits: Limits = LIMITS) -> None:
    """Render the project in the folder `root`; the old site stands until the new one is complete.

    `only` is a page or a folder of pages: where there is a site already, it is rendered with what lists it, and with
    what the site lacks; all else is left as it is.
    """
    started, project = time.time(), open_project(root)
    with locked(project) as (new, sockets), Pandoc(project.root, made(project), sockets) as pandoc:
        old = read(project.output) if only and project.output.is_dir() else {}
        inputs = [name for name in page_names(project)[0] if not old or is_within(name, only)]
        run_scripts(project, "pre-render", new, {"INPUT": inputs}, whole=not old)
        project, problems = read_pages(project)
        judge(problems or check_pages(project))
        executor = Executor(project.root, project.output, sockets, Cache(project.work / "runs"), limits)
        build = Build(project, new, executor, pandoc, only, old)
        files = build.pages()
        files, followed = build.finished(files)
        write(new, files)
        build.prune()
        if not old:
            list_links(project, followed.elsewhere)
        exchange(project, new)
    ran, seconds = len(build.stale), time.time() - started
    say_last(f"{project.output.name}: {len(build.chosen)} pages, {ran} executed, {seconds:.1f} s")


def say_last(words: str) -> None:
    """Print what was done; that nobody listens any more does not undo it."""
    try:
        print(words, flush=True)
    except OSError:
        # What is left in the buffer would be tried again at the end.
        sys.stdout = None


def made(project: Project) -> Cache:
    """Return what was made before, by what is installed now and by this renderer as it is."""
    code = [file.read_bytes() for kind in ("*.py", "*.lua") for file in sorted(HERE.glob(kind))]
    return Cache(project.work / "html", *installed(), *code)


def is_within(path: str, only: str) -> bool:
    """Return whether a page is the one that is named, or in the folder that is."""
    return not only or path == only or path.startswith(f"{only}/")


def assets() -> dict[str, bytes]:
    """Return what every page loads: style sheets, script and fonts."""
    shipped = [*HERE.glob("*.css"), HERE / "site.js", HERE / "icon.svg", *HERE.glob("fonts/*")]
    return {f"{LIBS}/{file.relative_to(HERE)}": file.read_bytes() for file in shipped}


def list_links(project: Project, elsewhere: dict[str, set[str]]) -> None:
    """Write down which pages link to which other sites."""
    listed = project.work / "links.txt"
    listed.write_text("".join(f"{link}\t{' '.join(sorted(on))}\n" for link, on in sorted(elsewhere.items())))
    count = f"{len(elsewhere)} link{'s' * (len(elsewhere) != 1)}"
    print(f"{count} to other sites, listed in {listed.relative_to(project.root)}", flush=True)


class Build:
    """One render, from pages that are read to the files of the site."""

    def __init__(
        self, project: Project, new: Path, executor: Executor, pandoc: Pandoc, only: str, old: dict[str, bytes]
    ) -> None:
        """Choose the pages to render, and look which results of earlier runs still hold; `old` are files to keep."""
        self.project, self.new, self.old = project, new, old
        self.pandoc, self.executor, self.runs, self.htmls = pandoc, executor, executor.cache, pandoc.cache
        self.known = {page.path: self.executor.known(page) for page in project.pages.values()}
        self.chosen = self._chosen(only)
        self.stale = [page for page in self.chosen if self.known[page.path] is None]
        self.own = own_classes(project)
        self.articles: dict[str, Article] = {}

    def _chosen(self, only: str) -> list[Page]:
        """Return the pages that are named, those that list them, and those that the site lacks."""
        pages = self.project.pages
        named = [page for path, page in pages.items() if is_within(path, only)]
        if not named:
            raise BadInput([Problem(only, 1, "there is no such page in the project, and no page in such a folder")])
        lists = [pages[path] for path, listed in self.project.listings.items() if any(page in listed for page in named)]
        return [page for page in pages.values() if page in [*named, *lists] or out(page.path) not in self.old]

    def pages(self) -> dict[str, bytes]:
        """Return the pages and the files beside them; pages run at the same time."""
        everything = self.project.pages.values()
        # Two for each processor: while pandoc works for one page, the next is made ready.
        found = list(self._at_once(lambda page: self._convert(page, self.known[page.path]), everything, 2))
        self.articles = {path: article for path, article, _ in found}
        chosen = {page.path for page in self.chosen}
        # A page whose outputs are not known is first converted without them, to find bad input before it runs.
        judge(problem for path, _, problems in found if path in chosen for problem in problems)
        self._run()
        texts_of_settings = self._texts()
        files = dict[str, bytes]()
        for page in self.chosen:
            article = self.articles[page.path]
            files[out(page.path)] = wrap(self.project, self.articles, page, texts_of_settings)
            folder = os.path.dirname(page.path)
            files |= {os.path.join(folder, name): data for name, data in article.files.items()}
            if article.notebook is not None:
                files[out(page.path, ".ipynb")] = article.notebook
        return files

    def _texts(self) -> dict[str, str]:
        """Return the texts of the settings that are Markdown, as HTML."""
        website, footer = self.project.website, self.project.website.get("page-footer")
        written: list[tuple[tuple[str, ...], Any]] = [(("description",), website.get("description"))]
        parts = footer.items() if isinstance(footer, dict) else ()
        written += [(("page-footer",), footer), *((("page-footer", part), text) for part, text in parts)]
        converted: dict[str, str] = {}
        for keys, text in written:
            if text and isinstance(text, str):
                converted[text], problems = convert_text(self.project, keys, text, self.pandoc)
                judge(problems)
        return converted

    def _at_once(self, action: Callable[[Page], Result], pages: Iterable[Page], each: int = 1) -> Iterator[Result]:
        """Yield what an action makes of pages, in their order; `each` for a processor, and none once one fails."""
        pool = ThreadPoolExecutor(each * (os.cpu_count() or 1))
        try:
            yield from pool.map(action, pages)
        except BaseException:
            self.executor.stop()
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def _convert(self, page: Page, outputs: Outputs | None) -> tuple[str, Article, list[Problem]]:
        article, problems = convert(self.project, page, outputs, self.own, self.pandoc)
        if outputs is not None and "ipynb" in page.options.get("format", {}):
            data, wrong = notebook(self.project, page, outputs, self.pandoc)
            article, problems = replace(article, notebook=data), problems + wrong
        return page.path, article, problems

    def _run(self) -> None:
        """Run the pages whose results do not hold, and convert them again; say of each page what became of it."""
        failures, problems, count = list[str](), list[Problem](), len(self.chosen)
        for number, (page, words, found) in enumerate(self._at_once(self._finish, self.chosen), 1):
            print(f"[{number}/{count}] {page.path}  {words}", flush=True)
            if isinstance(found, FailedCell):
                failures.append(str(found))
            elif found:
                self.articles[page.path] = found[0]
                problems += found[1]
        if failures:
            raise FailedCell("\n".join([*sorted(failures), *map(str, sorted(set(problems)))]))
        judge(problems)

    def _finish(self, page: Page) -> tuple[Page, str, FailedCell | tuple[Article, list[Problem]] | None]:
        """Run a page if its result does not hold; return it with what became of it, in words and as a value."""
        started = time.time()
        if page not in self.stale:
            return page, "unchanged" if page.cells else "no cells", None
        try:
            outputs = self.executor.run(page)
        except FailedCell as failure:
            return page, "failed", failure
        _, article, problems = self._convert(page, outputs)
        return page, f"ran {len(page.cells)} cells in {time.time() - started:.1f} s", (article, problems)

    def finished(self, files: dict[str, bytes]) -> tuple[dict[str, bytes], Followed]:
        """Return all files of the site, and what became of its links."""
        with ThreadPoolExecutor(1) as aside:
            # Beside all else, as nothing waits for it and it takes long.
            math = aside.submit(self._math, {**self.old, **files})
            files, followed = self._completed(files)
        return files | {MATH: math.result()}, followed

    def _math(self, pages: dict[str, bytes]) -> bytes:
        """Return the font of mathematics, cut down to what is on the pages."""
        letters = font.characters(data.decode() for name, data in pages.items() if name.endswith(".html"))
        return self.htmls.get_or_make(digest("math", letters), lambda: font.subset(letters))

    def _completed(self, files: dict[str, bytes]) -> tuple[dict[str, bytes], Followed]:
        """Return the files with all that goes beside pages, but of one font the name only."""
        project, rendered = self.project, list(files)
        named = named_files(project, files)
        moved, problems = redirects(project, files | named.added)
        judge([*problems, *named.problems])
        files |= named.added | moved
        scripts = texts(project.options.get("post-render"))
        if scripts or self.old:
            # What pages show is there for the scripts, and not the old site's; only what scripts leave is judged.
            files |= self._followed(files).added
        gone = {out(path, suffix) for path in project.drafts for suffix in (".html", ".ipynb")}
        rest = {name: self.old[name] for name in self.old if name not in gone and not name.startswith("pagefind/")}
        files = {**rest, **files}
        files |= assets() | {MATH: b""}
        if scripts:
            files = self._post_render(files, rendered)
        files |= publish(project, files, self.pandoc) | feeds(project, files)
        followed = self._followed(files)
        judge(followed.problems)
        files |= followed.added
        if project.website.get("search", True) and project.public:
            files |= index(project.public, files, self.htmls)
        rebase(project, files)
        return files, followed

    def _followed(self, files: dict[str, bytes]) -> Followed:
        """Follow the links of the pages that are rendered."""
        pages = [out(page.path) for page in self.chosen] if self.old else list(files)
        return follow(self.project, self.articles, files, pages, self.htmls)

    def _post_render(self, files: dict[str, bytes], rendered: list[str]) -> dict[str, bytes]:
        """Return the site's files as the project's scripts leave them."""
        write(self.new, files)
        pages = [name for name in rendered if name.endswith((".html", ".ipynb"))]
        told = [str((self.new / name).relative_to(self.project.root)) for name in pages]
        run_scripts(self.project, "post-render", self.new, {"OUTPUT": told}, pages, whole=not self.old)
        return read(self.new)

    def prune(self) -> None:
        """Delete what no page needs any more; after a render of some pages the others' results are still needed."""
        if not self.old:
            self.runs.prune()
            self.htmls.prune()
