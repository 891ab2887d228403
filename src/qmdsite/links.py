"""The links between the pages of a site, and the files that pages show."""

import os
import re
from urllib.parse import unquote

import lxml.html
from lxml.html import HtmlElement

from qmdsite import source
from qmdsite.problem import Problem
from qmdsite.project import Project, files_of, out, texts
from qmdsite.source import Page


def blocked(tree: HtmlElement) -> set[str]:
    """Return how the things begin that a page's policy lets do nothing: what is no file."""
    script = r"[\w.+-]+/(?!(x-)?(java|ecma)script)"  # a block of data has a type with a slash
    inline = [
        each.tag for each in tree.xpath("//style | //script[not(@src)]") if not re.match(script, each.get("type", ""))
    ]
    handlers = [each.attrname for each in tree.xpath("//@*[starts-with(name(), 'on')]")]
    return {
        *(f"<{tag}" for tag in inline),
        *(f"{name}=" for name in handlers),
        *("javascript:" for _ in tree.xpath("//@href[starts-with(., 'javascript:')]")),
    }


def links(tree: HtmlElement) -> list[tuple[str, str]]:
    """Return what a page links to and shows, each with its element's name."""
    found = [(each.getparent().tag, str(each)) for each in tree.xpath("//@href | //@src | //@poster")]
    several = [
        each for value in tree.xpath("//@srcset") for each in re.findall(r"(\S*[^\s,])(?:\s[^,]*)?(?:,|$)", value)
    ]
    return [*found, *(("img", link) for link in several)]


def check_links(project: Project, files: dict[str, bytes]) -> tuple[list[Problem], dict[str, set[str]]]:
    """Add the project's files that pages show or link to; return what leads nowhere, and who links to other sites."""
    problems: list[Problem] = []
    elsewhere: dict[str, set[str]] = {}
    own = project.website.get("site-url", "").rstrip("/")

    def take(name: str) -> bool:
        if not name.startswith(("..", "/")) and name not in files and (project.root / name).is_file():
            files[name] = (project.root / name).read_bytes()
        return name in files

    for name in project.css:
        if not take(name):
            problems.append(project.file.problem(name, f"the style sheet '{name}' does not exist"))
    for pattern in texts(project.project.get("resources")):
        found = [file for path in project.glob(pattern) for file in (files_of(path) if path.is_dir() else [path])]
        found = [file for file in found if not file.is_relative_to(project.output)]
        names = [str(file.relative_to(project.root)) for file in found]
        # The output folder is one of these, and so are the settings and what is secret.
        names = [name for name in names if not re.search(r"(^|/)[._]", name)]
        if not names or not all(map(take, names)):
            words = f"'{pattern}' matches no file of the project; names that start with '.' or '_' are left out"
            problems.append(project.file.problem(pattern, words))
    pages = {name: source.decode(data, name, problems) for name, data in files.items() if name.endswith(".html")}
    ids = {name: set(re.findall(r'\sid="([^"]+)"', text)) for name, text in pages.items()}
    sources = {out(page.path): page for page in project.pages.values()}
    for here in pages:
        if here not in sources and (project.root / here).is_file():
            continue  # the project's own file, copied as it is
        page = sources.get(here, Page(here))
        tree = lxml.html.document_fromstring(pages[here] or "<html>")
        for opening in blocked(tree):
            words = f"a page's policy (Content-Security-Policy) lets no '{opening}…' in it work; put it in a file"
            problems.append(page.problem(opening, words))
        # A preview's image is loaded by others.
        for tag, link in [*links(tree), *(("a", name) for name in texts(page.meta.get("image")))]:
            # What is published at the site's own address is looked for here.
            at_home = bool(own and re.match(rf"{re.escape(own)}(?![^/?#])", link))
            folder, link = ("", link.removeprefix(own).lstrip("/")) if at_home else (os.path.dirname(here), link)
            target, _, fragment = link.partition("#")
            target, fragment = unquote(target.partition("?")[0]), unquote(fragment)
            if re.match(r"[a-z][a-z0-9+.-]*:|//", link):
                if tag != "a" and not link.startswith("data:"):
                    words = f"'{link}' is on another host, which a page may link to and not load from"
                    problems.append(page.problem(link, words))
                elif re.match("(https?:)?//", link):
                    elsewhere.setdefault(link, set()).add(here)
                continue
            name = os.path.normpath(os.path.join(folder, target)) if target or at_home else here
            index = os.path.normpath(f"{name}/index.html")
            name = index if index in pages else name
            if not take(name):
                # A link of the navbar stands in the settings, written from the project's folder.
                written, rooted = (re.sub(r"\.html$", ".qmd", each) for each in (target, name))
                places = [(page, written), (page, target), (project.file, rooted)]
                owner, words = next((place for place in places if place[0].has(place[1])), places[0])
                problems.append(owner.problem(words, f"'{words}' leads nowhere: there is no such file"))
            elif name in ids and fragment and fragment not in ids[name] and "category=" not in fragment:
                words = f"'#{fragment}' leads nowhere: {name} has no such place"
                problems.append(page.problem(fragment, words))
    return problems, elsewhere
