"""The phase that follows the links between the pages of a site, and brings the files that they show."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from urllib.parse import quote, unquote

import lxml.html

from qmdsite import markup
from qmdsite.cache import Cache, digest
from qmdsite.page import Article
from qmdsite.paths import LIBS, decoded, out, rooted
from qmdsite.problem import Position, Problem
from qmdsite.project import Project, texts

URL = re.compile(r"""url\(\s*["']?([^"')\s]+)|@import\s+["']([^"']+)""")


@dataclass(frozen=True)
class Facts:
    """What a page says to others: its places, where it leads, and what on it can do nothing."""

    ids: list[str]
    links: list[tuple[str, str]]
    blocked: list[str]


@dataclass
class Followed:
    """What became of the links of a site."""

    added: dict[str, bytes] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    elsewhere: dict[str, set[str]] = field(default_factory=dict)


def facts(page: str, cache: Cache) -> Facts:
    """Return the facts of a page, read once."""

    def read() -> bytes:
        tree = lxml.html.document_fromstring(page or "<html>")
        ids = [str(each) for each in tree.xpath("//@id | //a/@name")]
        blocked = sorted({words for words, _ in markup.blocked(tree)})
        return json.dumps([ids, markup.links(tree), blocked]).encode()

    return Facts(*json.loads(cache.get_or_make(digest("facts", page), read)))


def named_files(project: Project, files: dict[str, bytes]) -> Followed:
    """Bring the style sheets and resources that the settings name."""
    settings, followed = project.settings, Followed()
    for count, name in enumerate(project.css):
        if not _take(project, name, files, followed.added):
            followed.problems.append(Problem(*settings.at("css", count), f"the style sheet '{name}' does not exist"))
    if icon := project.website.get("favicon"):
        _take(project, icon, files, followed.added)
    found, idle = project.resources
    for name in found:
        _take(project, name, files, followed.added)
    for count in idle:
        pattern = texts(project.options.get("resources"))[count]
        words = f"'{pattern}' matches no file of the project; names that start with '.' or '_' are left out"
        followed.problems.append(Problem(*settings.at("project", "resources", count), words))
    return followed


def _take(project: Project, name: str, files: dict[str, bytes], added: dict[str, bytes]) -> bool:
    """Add a file of the project to the site, if there is such a file; return whether the site has it."""
    known, file = name in files or name in added, project.root / name
    if known or name.startswith(("..", "/")) or not file.is_file() or file.is_relative_to(project.output):
        return known
    added[name] = file.read_bytes()
    return True


def follow(
    project: Project, articles: dict[str, Article], files: dict[str, bytes], pages: list[str], cache: Cache
) -> Followed:
    """Bring the files that pages show or link to, and say what leads nowhere and who links to other sites.

    `pages` are those of the site's pages whose links are followed.
    """
    followed = Followed()
    known = {}
    for name in files:
        if name.endswith(".html") and (name in pages or not (project.root / name).is_file()):
            text, wrong = decoded(files[name])
            followed.problems += [Problem(name, 1, wrong)] if wrong else []
            known[name] = facts(text, cache)
    follower = _Follower(project, articles, files, known, followed, pages)
    for name in known:
        if name in pages:
            follower.page(name)
    sheets = [name for name in (*files, *followed.added) if name.endswith(".css") and not name.startswith(f"{LIBS}/")]
    for name in sheets:
        follower.sheet(name)
    return followed


class _Follower:
    """Follows the links of pages."""

    def __init__(
        self,
        project: Project,
        articles: dict[str, Article],
        files: dict[str, bytes],
        known: dict[str, Facts],
        followed: Followed,
        pages: list[str],
    ) -> None:
        self.pages = pages
        self.project, self.articles, self.files, self.known, self.followed = project, articles, files, known, followed
        self.own = project.website.get("site-url", "").rstrip("/")
        self.ids = {name: set(each.ids) for name, each in known.items()}
        self.sources = {out(path): path for path in articles}
        self.settings = dict(_in_settings(project))

    def page(self, here: str) -> None:
        """Follow all links of one page."""
        self.followed.problems += [Problem(here, 1, words) for words in self.known[here].blocked]
        links = list(self.known[here].links)
        if (source := self.sources.get(here)) and (image := self.project.pages[source].meta.get("image")):
            links.append(("a", image))  # a preview's image is loaded by others
        for tag, link in links:
            if words := self.wrong(here, tag, link):
                for place in self.places(here, link):
                    self.followed.problems.append(Problem(*place, self.as_written(place, words)))

    def sheet(self, here: str) -> None:
        """Follow the links of a style sheet, and those of the sheets that it imports."""
        text, _ = decoded((self.files | self.followed.added)[here])
        text = re.sub(r"/\*.*?\*/", lambda comment: "\n" * comment[0].count("\n"), text, flags=re.S)
        for found in URL.finditer(text):
            before, link = {*self.followed.added}, found[1] or found[2]
            if words := self.wrong(here, "link", link):
                line = text.count("\n", 0, found.start()) + 1
                self.followed.problems.append(Problem(here, line, words))
            for name in self.followed.added.keys() - before:
                if name.endswith(".css"):
                    self.sheet(name)

    def wrong(self, here: str, tag: str, link: str) -> str:
        """Return what is wrong with a link, if anything; what it leads to in the project comes along."""
        # What is published at the site's own address is looked for here.
        at_home = bool(self.own and re.match(rf"{re.escape(self.own)}(?![^/?#])", link))
        folder, path = ("", link.removeprefix(self.own).lstrip("/")) if at_home else (os.path.dirname(here), link)
        target, _, fragment = path.partition("#")
        target, fragment = unquote(target.partition("?")[0]), unquote(fragment)
        if re.match(r"[a-z][a-z0-9+.-]*:|//", path):
            if tag != "a" and not path.startswith("data:"):
                return f"'{link}' is on another host, which a page may link to and not load from"
            if re.match("(https?:)?//", path):
                self.followed.elsewhere.setdefault(path, set()).add(here)
            return ""
        name = os.path.normpath(os.path.join(folder, target)) if target or at_home else here
        index = os.path.normpath(f"{name}/index.html")
        name = index if index in self.known else name
        if not _take(self.project, name, self.files, self.followed.added):
            if re.sub(r"\.html$", ".qmd", name) in self.project.drafts:
                return f"'{target}' is a draft, which is not published"
            return f"'{target}' leads nowhere: there is no such file"
        if name in self.ids and fragment and fragment not in self.ids[name] and "category=" not in fragment:
            return self.no_place(name, fragment)
        return ""

    def no_place(self, name: str, fragment: str) -> str:
        """Say that a page has no such place; a page that is not rendered now may be older than its source."""
        old = "" if name in self.pages else ", as it was last rendered: render the whole site"
        return f"'#{fragment}' leads nowhere: {name} has no such place{old}"

    def as_written(self, place: Position, words: str) -> str:
        """Return words with the name of a page as its source has it: a link to a .qmd file has become one to .html."""
        file = self.project.root / place.path
        line = file.read_text("utf-8").splitlines()[place.line - 1] if file.is_file() else ""
        name = re.match(r"'(.*\.html)'", words)
        return re.sub(r"\.html'", ".qmd'", words, count=1) if name and name[1] not in line else words

    def places(self, here: str, link: str) -> list[Position]:
        """Return where in the sources a link of a page stands."""
        source = self.sources.get(here)
        if source is None:
            return [Position(here, 1)]
        places, page = self.articles[source].places, self.project.pages[source]
        if link in places:
            return places[link]
        for key, found in places.items():  # of several pictures in one srcset
            if link in re.split(r"[\s,]+", key):
                return found
        target = os.path.normpath(os.path.join(os.path.dirname(here), link))
        if target in self.settings:
            return [self.settings[target]]
        if named := page.meta.where(link) or page.options.where(link):
            return [named]
        own = link in repr(self.articles[source])
        return [page.meta.at("title") if own else self.project.settings.at("website", "page-footer")]


def _in_settings(project: Project) -> Iterator[tuple[str, Position]]:
    """Return the pages and files that the bar and the footer link to, and where the settings say so."""
    footer = [("page-footer", part) for part in ("left", "center", "right")]
    for keys in (("navbar", "left"), ("navbar", "right"), *footer):
        block = project.website.get(keys[0], {})
        items = block.get(keys[1], []) if isinstance(block, dict) else []
        for count, item in enumerate(items if isinstance(items, list) else []):
            href = item.get("href", "") if isinstance(item, dict) else item
            name, mark, fragment = href.lstrip("/").partition("#")
            target = (out(name) if name.endswith(".qmd") else name) + mark + fragment
            yield target, project.settings.at("website", *keys, count, "href")


def redirects(project: Project, files: dict[str, bytes]) -> tuple[dict[str, bytes], list[Problem]]:
    """Return the pages that lead from other addresses, their aliases, to pages; `files` are those that the site has."""
    moved, problems = dict[str, bytes](), list[Problem]()
    taken = {*files, *map(out, project.pages)}
    for page in project.pages.values():
        for count, alias in enumerate(page.meta.get("aliases", [])):
            name = rooted(alias, str(PurePosixPath(page.path).parent))
            name = os.path.normpath(name if name.endswith(".html") else f"{name}/index.html")
            if name.startswith("..") or name in moved or name in taken:
                words = f"the alias '{alias}' is the address of another page or file, or leads out of the site"
                problems.append(Problem(*page.meta.at("aliases", count), words))
                continue
            target = quote(os.path.relpath(out(page.path), os.path.dirname(name) or "."))
            moved[name] = (
                f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Moved</title>'
                f'<meta http-equiv="refresh" content="0; url={target}"></head>'
                f'<body><p>This page is <a href="{target}">here</a> now.</p></body></html>\n'
            ).encode()
    return moved, problems
