"""A project as its sources tell it: settings, pages and listings."""

import datetime
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from qmdsite.options import Settings
from qmdsite.page import Page
from qmdsite.paths import HERE, NOT_FOUND, chosen, files_of


class Package(NamedTuple):
    """What pyproject.toml says of the project: the name of its package and what that depends on."""

    name: str = ""
    dependencies: tuple[str, ...] = ()


class Author(NamedTuple):
    """Who wrote a page."""

    name: str
    given: str = ""
    family: str = ""
    url: str = ""


@dataclass(frozen=True)
class Project:
    """The sources of one website."""

    root: Path
    settings: Settings
    package: Package = field(default=Package())
    pages: dict[str, Page] = field(default_factory=dict)
    drafts: frozenset[str] = frozenset()
    listings: dict[str, list[Page]] = field(default_factory=dict)

    @property
    def output(self) -> Path:
        """The folder that the site is written to."""
        return self.root / str(self.options.get("output-dir", "_site"))

    @property
    def work(self) -> Path:
        """The folder for what is kept between renders."""
        return self.root / ".qmdsite"

    @property
    def options(self) -> dict[str, Any]:
        """What the settings say under 'project'."""
        return dict(self.settings.get("project", {}))

    @property
    def website(self) -> dict[str, Any]:
        """What the settings say under 'website'."""
        return dict(self.settings.get("website", {}))

    @property
    def css(self) -> list[str]:
        """The project's style sheets, but the one that qmdsite ships itself, which is named for Quarto."""
        tokens = HERE / "tokens.css"
        files = [(name, self.root / name) for name in texts(self.settings.flat().get("css"))]
        return [name for name, file in files if not (file.is_file() and file.samefile(tokens))]

    @cached_property
    def resources(self) -> tuple[list[str], list[int]]:
        """The files that the settings name for the site, and which of their patterns name none."""
        names = [str(file.relative_to(self.root)) for file in files_of(self.root)]
        # The output folder is one of these, and so are the settings and what is secret.
        site = str(self.output.relative_to(self.root))
        names = [name for name in names if not re.search(r"(^|/)[._]", name) and not name.startswith(f"{site}/")]
        return chosen(names, texts(self.options.get("resources")))

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

    def listed_on(self, page: Page) -> list[str]:
        """Return the paths of the pages that list a page, itself first if it lists others."""
        found = [path for path, pages in self.listings.items() if page in pages]
        return [page.path, *found] if page.path in self.listings else found


def texts(value: Any) -> list[str]:
    """Return one text, or a list of them, or nothing, as a list."""
    return [value] if isinstance(value, str) else list(value or [])


def authors(options: Settings) -> list[Author]:
    """Return the authors that a page or its project names."""
    given = options.get("author") or []
    return [author(each) for each in (given if isinstance(given, list) else [given])]


def author(value: Any) -> Author:
    """Return an author from a name, or from options; the last word of a name is the family's."""
    value = value if isinstance(value, dict) else {"name": value}
    name = value.get("name", "")
    if isinstance(name, dict):
        parts = [name.get("given", ""), name.get("family", "")]
        whole = name.get("literal", " ".join(filter(None, parts)))
        return Author(whole, parts[0], parts[1] or whole, value.get("url", ""))
    first, _, last = name.rpartition(" ")
    return Author(name, first, last, value.get("url", ""))


def day(page: Page, name: str = "date") -> datetime.date | None:
    """Return a day that a page names."""
    value = page.meta.get(name)
    return datetime.date.fromisoformat(str(value)[:10]) if value else None
