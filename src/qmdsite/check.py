"""The second phase: what sources say is compared with what there is, before anything runs."""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from qmdsite.page import Page
from qmdsite.paths import png_size, rooted
from qmdsite.problem import Problem
from qmdsite.project import Project, authors, texts

FIELDS = ("title", "date", "author", "description", "categories", "reading-time")


def check_settings(project: Project) -> list[Problem]:
    """Return what is wrong with the settings, as far as that is known without the pages."""
    settings, problems = project.settings, list[Problem]()
    problems += [Problem(*settings.at("project", "output-dir"), words) for words in _misplaced(project)]
    for name in ("open-graph", "twitter-card"):
        if project.website.get(name) and "site-url" not in project.website:
            words = f"'{name}' names addresses: add 'site-url: …' to 'website'"
            problems.append(Problem(*settings.at("website", name), words))
    for when in ("pre-render", "post-render"):
        for count, name in enumerate(texts(project.options.get(when))):
            if not name.endswith(".py") or not (project.root / name).is_file():
                words = f"project.{when} is '{name}', and must be the path of a Python script, such as finish.py"
                problems.append(Problem(*settings.at("project", when, count), words))
    if (icon := project.website.get("favicon")) and not (project.root / icon).is_file():
        problems.append(Problem(*settings.at("website", "favicon"), f"the file '{icon}' does not exist"))
    return problems


def _misplaced(project: Project) -> Iterator[str]:
    """Say why the site may not be written where the settings say: all that is in that folder is replaced."""
    name, place = project.options.get("output-dir", "_site"), project.output.resolve()
    if project.root not in place.parents or place != Path(rooted(name, str(project.root))):
        yield f"project.output-dir is '{name}', and must be a folder in the project, without links on the way"
    elif any(part.startswith(".") for part in place.relative_to(project.root).parts):
        yield f"project.output-dir is '{name}', which is hidden and may hold what is not the site's"
    elif place.exists() and not place.is_dir():
        yield f"the site is to be written to '{name}', which is no folder; move it"
    elif place.exists() and any(place.iterdir()) and not (place / "site_libs").is_dir():
        yield f"'{name}' does not look like a rendered site (it has no site_libs), and all in it would be replaced"


def check_pages(project: Project) -> list[Problem]:
    """Return what is wrong with what the pages say of themselves."""
    problems = [problem for page in project.pages.values() for problem in _page(project, page)]
    for path in project.listings:
        problems += _listing(project, project.pages[path])
    return problems


def _page(project: Project, page: Page) -> Iterator[Problem]:
    folder = str(PurePosixPath(page.path).parent)
    for key in ("bibliography", "csl"):
        own = key in page.meta.values
        for count, name in enumerate(texts(page.options.get(key))):
            if not (project.root / (rooted(name, folder) if own else name)).is_file():
                yield Problem(*page.options.at(key, count), f"the file '{name}' does not exist")
    if page.options.get("citation"):
        yield from _citation(project, page)
    image = page.meta.get("image", "")
    if image.endswith(".png") and (file := project.root / rooted(image, folder)).is_file() and not png_size(file):
        yield Problem(*page.meta.at("image"), f"'{image}' is no PNG picture; make it again")


def _citation(project: Project, page: Page) -> Iterator[Problem]:
    found = [author for author in authors(page.options) if author.name.strip()]
    lacking = [] if found else ["an author: add 'author: …' to the page"]
    lacking += [] if "site-url" in project.website else ["an address: add 'site-url: …' to 'website' in _quarto.yml"]
    if lacking:
        yield Problem(*page.options.at("citation"), f"'citation: true' needs {', and '.join(lacking)}")
    given = page.options.get("author")
    for each in given if isinstance(given, list) else [given]:
        name = each.get("name") if isinstance(each, dict) else each
        if isinstance(name, str) and re.fullmatch(r"\S+", name):
            words = f"Quarto cites an author of one word by no name; write 'author: {{name: {{family: {name}}}}}'"
            yield Problem(*page.options.at("author"), words)


def _listing(project: Project, page: Page) -> Iterator[Problem]:
    wanted, at = page.meta.get("listing"), page.meta.at
    for count, name in enumerate(wanted.get("fields", [])):
        if name not in FIELDS:
            words = f"the listing field '{name}' is not supported; there are {', '.join(FIELDS)}"
            yield Problem(*at("listing", "fields", count), words)
    if "feed" in wanted:
        if not {"site-url", "title"} <= project.website.keys():
            words = "a feed needs the title and the address of the site: 'title' and 'site-url' under 'website'"
            yield Problem(*at("listing", "feed"), words)
        if wanted["feed"].get("items", 1) < 1:
            yield Problem(*at("listing", "feed", "items"), "a feed has at least one item")
        for each in project.listings[page.path]:
            if "date" not in each.meta.values:
                yield Problem(*each.meta.at("title"), "a feed lists this page, so it needs a date")
