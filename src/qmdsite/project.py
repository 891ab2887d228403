"""A project as its sources tell it: settings, pages and listings."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from qmdsite import config, source
from qmdsite.notebook import Package
from qmdsite.problem import BadInput, Problem
from qmdsite.source import Page

HERE = Path(__file__).parent

FIELDS = ("title", "date", "author", "description", "categories")
ALL_FIELDS = (*FIELDS, "reading-time")
NOT_FOUND = "404.qmd"  # shown at any address that there is not


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


class Project:
    """The sources of one website."""

    def __init__(self, root: Path) -> None:
        """Read the settings."""
        self.root = root.resolve()
        self.problems: list[Problem] = []
        if not (self.root / "_quarto.yml").is_file():
            raise BadInput([Problem(f"{root}/_quarto.yml", 1, "there is no such file; name the folder of a website")])
        self.file = Page("_quarto.yml", lines=source.read_lines(self.root, "_quarto.yml", self.problems))
        text = "\n".join(line.text for line in self.file.lines)
        self.settings = config.read(text, config.PROJECT, "_quarto.yml", 1, self.problems)
        self.website = self.settings.get("website", {})
        self.project = self.settings.get("project", {})
        for name in ("open-graph", "twitter-card"):
            if self.website.get(name) and "site-url" not in self.website:
                words = f"'{name}' names addresses: add 'site-url: …' to 'website'"
                self.problems.append(self.file.problem(name, words))
        # What qmdsite ships itself is named for Quarto.
        self.css = [
            name
            for name in texts(config.flat(self.settings).get("css"))
            if not ((self.root / name).is_file() and (self.root / name).samefile(HERE / "tokens.css"))
        ]
        name = self.project.get("output-dir", "_site")
        self.output = self.root / os.path.normpath(name)
        self.problems += [self.file.problem("output-dir", words) for words in self.misplaced(name)]
        self.scripts = {when: texts(self.project.get(when)) for when in ("pre-render", "post-render")}
        for when, name in [(when, name) for when, names in self.scripts.items() for name in names]:
            if not name.endswith(".py") or not (self.root / name).is_file():
                words = f"project.{when} is '{name}', and must be the path of a Python script, such as finish.py"
                self.problems.append(self.file.problem(name, words))
        self.package = Package.read(self.root, self.problems)
        self.folders: dict[str, dict[str, Any]] = {}
        self.pages: dict[str, Page] = {}
        self.listings: dict[str, list[Page]] = {}
        self.judge()

    def misplaced(self, name: str) -> Iterator[str]:
        """Say why the site may not be written to the folder of this name: all that is in it is replaced."""
        place = (self.root / name).resolve()
        if place != self.output or self.root not in place.parents:
            yield f"project.output-dir is '{name}', and must be a folder in the project, without links on the way"
        elif any(part.startswith(".") for part in place.relative_to(self.root).parts):
            yield f"project.output-dir is '{name}', which is hidden and may hold what is not the site's"
        elif place.exists() and not place.is_dir():
            yield f"the site is to be written to '{name}', which is no folder; move it"
        elif place.exists() and any(place.iterdir()) and not (place / "site_libs").is_dir():
            yield f"'{name}' does not look like a rendered site (it has no site_libs), and all in it would be replaced"

    def judge(self) -> None:
        """Stop if anything was found wrong."""
        if self.problems:
            raise BadInput(self.problems)

    def read(self) -> None:
        """Read the pages, and put the listings in order."""
        self.pages = {name: source.load(self.root, name, self.inherited(name), self.problems) for name in self.names()}
        # Scripts before a render may make pages, so only now it is known what there is.
        lacking = [pattern for pattern in self.project.get("render", []) if not self.glob(pattern)]
        self.problems += [self.file.problem(each, f"'{each}' matches no file of the project") for each in lacking]
        if not (self.pages or lacking):
            self.problems.append(Problem("_quarto.yml", 1, "the project has no page: no .qmd file to render"))
        self.listings = {page.path: self.listing(page) for page in self.pages.values() if "listing" in page.meta}
        self.judge()

    def names(self) -> list[str]:
        """Return the paths of the pages."""
        patterns = self.project.get("render")
        named = {path for pattern in patterns or () for path in self.glob(pattern)}
        files = [file for file in files_of(self.root) if file.suffix == ".qmd" and (not patterns or file in named)]
        files = [file for file in files if not file.is_relative_to(self.output)]
        names = [str(file.relative_to(self.root)) for file in files]
        return [name for name in names if not re.search(r"(^|/)_", name)]

    def inherited(self, name: str) -> dict[str, Any]:
        """Return the options that a page has from the project and from its folders, the nearest last."""
        settings = {key: value for key, value in self.settings.items() if key in config.SHARED}
        options, form = config.flat(settings), settings.get("format", {})
        for folder in reversed(PurePosixPath(name).parents):
            own = self.folder(str(folder / "_metadata.yml"))
            form = form | own.get("format", {})
            options |= config.flat(own) | {"format": form}
        return options

    def folder(self, name: str) -> dict[str, Any]:
        """Return what a folder's metadata says, read once."""
        if name not in self.folders:
            exists = (self.root / name).is_file()
            lines = source.read_lines(self.root, name, self.problems) if exists else []
            text = "\n".join(line.text for line in lines)
            self.folders[name] = config.read(text, config.FOLDER, name, 1, self.problems)
        return self.folders[name]

    def glob(self, pattern: str) -> set[Path]:
        """Return what in the project has a path like this."""
        with suppress(NotImplementedError, ValueError):
            return {path for path in self.root.glob(pattern) if path.resolve().is_relative_to(self.root)}
        return set()

    def address(self, name: str) -> str:
        """Return the address at which a file of the site is published."""
        return f"{self.website['site-url'].rstrip('/')}/{quote(name)}"

    @property
    def public(self) -> list[Page]:
        """The pages that are listed, found and counted: all but the one for what is not found."""
        return [page for page in self.pages.values() if page.path != NOT_FOUND]

    @property
    def reading_order(self) -> list[Page]:
        """The public pages: those at the top of the project, what is listed in its order, and the others."""
        top = [page for page in self.public if "/" not in page.path]
        listed = [page for pages in self.listings.values() for page in pages]
        return list({page.path: page for page in [*top, *listed, *self.public]}.values())

    def listing(self, page: Page) -> list[Page]:
        """Return the pages that a page's listing lists, in its order."""
        wanted, folder, items = page.meta["listing"], PurePosixPath(page.path).parent, list[Page]()
        for pattern in texts(wanted.get("contents")):
            base = folder / pattern
            others = [(each, PurePosixPath(each.path)) for each in self.public if each not in (page, *items)]
            found = [each for each, path in others if base in path.parents or path.match(str(base))]
            if not found:
                self.problems.append(page.problem("contents", f"the listing's contents '{pattern}' match no page"))
            items += found
        if "feed" in wanted and not {"site-url", "title"} <= self.website.keys():
            words = "a feed needs the title and the address of the site: 'title' and 'site-url' under 'website'"
            self.problems.append(page.problem("feed", words))
        if wanted.get("feed", {}).get("items", 1) < 1:
            self.problems.append(page.problem("items", "a feed has at least one item"))
        for each in items if "feed" in wanted else ():
            if "date" not in each.meta:
                self.problems.append(each.problem("title", "a feed lists this page, so it needs a date"))
        for name in set(wanted.get("fields", FIELDS)) - set(ALL_FIELDS):
            words = f"the listing field '{name}' is not supported; there are {', '.join(ALL_FIELDS)}"
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
