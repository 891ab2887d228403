"""The first phase: the sources of a project, read into settings, pages and listings."""

import datetime
import re
import subprocess
import tomllib
from dataclasses import replace
from pathlib import Path, PurePosixPath

from qmdsite import options
from qmdsite.options import Settings
from qmdsite.page import Line, Page
from qmdsite.paths import chosen, decoded, files_of
from qmdsite.problem import BadInput, Position, Problem
from qmdsite.project import Package, Project, texts
from qmdsite.scan import read_lines, scan

# What Quarto renders too, but for READMEs, and what qmdsite does not.
OTHERS = re.compile(r"(?!.*\breadme\.md$).*\.(md|ipynb|Rmd|rmd)$", re.I)


def read_settings(root: Path) -> tuple[Project, list[Problem]]:
    """Return a project as its settings tell it, without its pages."""
    if not (root / "_quarto.yml").is_file():
        raise BadInput([Problem(f"{root}/_quarto.yml", 1, "there is no such file; name the folder of a website")])
    root = root.resolve()
    lines, problems = read_lines(root, "_quarto.yml")
    settings, wrong = options.read(_text(lines), "project", "_quarto.yml", 1)
    package, broken = _package(root)
    return Project(root, settings, package), problems + wrong + broken


def _text(lines: list[Line]) -> str:
    return "\n".join(line.text for line in lines)


def _package(root: Path) -> tuple[Package, list[Problem]]:
    """Return what pyproject.toml says of the package, if there is one."""
    path = "pyproject.toml"
    if not (root / path).is_file():
        return Package(), []
    text, wrong = decoded((root / path).read_bytes())
    if wrong:
        return Package(), [Problem(path, 1, wrong)]
    try:
        project = tomllib.loads(text).get("project", {})
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        return Package(), [Problem(path, int(line[1]) if line else 1, f"this is not valid TOML: {error}")]
    match {"name": "", "dependencies": []} | project if isinstance(project, dict) else project:
        case {"name": str(name), "dependencies": [*needed]} if all(isinstance(each, str) for each in needed):
            return Package(name, tuple(needed)), []
    return Package(), [Problem(path, 1, "project must have a name that is text, and dependencies that are texts")]


def page_names(project: Project) -> tuple[list[str], list[Problem]]:
    """Return the paths of the pages, and which of the patterns for them match none."""
    files = [file for file in files_of(project.root) if not file.is_relative_to(project.output)]
    names = [str(file.relative_to(project.root)) for file in files]
    names = [name for name in names if not re.search(r"(^|/)_", name)]
    patterns: list[str] = project.options.get("render") or []
    all_but = not patterns or patterns[0].startswith("!")
    wanted, idle = chosen(names, ["**", *patterns] if all_but else patterns)
    settings, found = project.settings, sorted(name for name in wanted if name.endswith(".qmd"))
    problems = [
        Problem(*settings.at("project", "render", count), f"'{patterns[count]}' matches no file of the project")
        for count in idle
        if not all_but
    ]
    for name in filter(OTHERS.match, wanted):
        words = "Quarto makes a page of this file, and qmdsite does not: name it .qmd, or leave it out, "
        problems.append(Problem(name, 1, f"{words}with 'render: [\"*.qmd\", …]' under 'project'"))
    if not (found or problems):
        problems.append(Problem("_quarto.yml", 1, "the project has no page: no .qmd file to render"))
    return found, problems


def read_pages(project: Project) -> tuple[Project, list[Problem]]:
    """Return the project with its pages and, in their order, its listings."""
    names, problems = page_names(project)
    folders, wrong = _folders(project, names)
    problems += wrong
    pages: dict[str, Page] = {}
    for name in names:
        pages[name], wrong = read_page(project, name, folders)
        problems += wrong
    drafts = frozenset(name for name, page in pages.items() if page.meta.get("draft"))
    project = replace(project, pages={name: pages[name] for name in names if name not in drafts}, drafts=drafts)
    listings: dict[str, list[Page]] = {}
    for page in project.pages.values():
        if "listing" in page.meta.values:
            listings[page.path], wrong = _listing(project, page)
            problems += wrong
    return replace(project, listings=listings), problems


def _folders(project: Project, names: list[str]) -> tuple[dict[str, Settings], list[Problem]]:
    """Return what the folders of pages say for them in _metadata.yml."""
    files = {str(folder / "_metadata.yml") for name in names for folder in PurePosixPath(name).parents}
    folders: dict[str, Settings] = {}
    problems: list[Problem] = []
    for file in sorted(files):
        if (project.root / file).is_file():
            lines, wrong = read_lines(project.root, file)
            folders[file], more = options.read(_text(lines), "folder", file, 1)
            problems += wrong + more
    return folders, problems


def _inherited(project: Project, name: str, folders: dict[str, Settings]) -> Settings:
    """Return the options that a page has from the project and from its folders, the nearest first."""
    own = {key: value for key, value in project.settings.values.items() if key not in ("project", "website", "css")}
    found, forms = replace(project.settings, values=own).flat(), own.get("format", {})
    for folder in reversed(PurePosixPath(name).parents):
        metadata = folders.get(str(folder / "_metadata.yml"), Settings())
        forms = forms | metadata.get("format", {})
        found = metadata.flat().over(found)
    return replace(found, values={**found.values, "format": forms})


def read_page(project: Project, name: str, folders: dict[str, Settings]) -> tuple[Page, list[Problem]]:
    """Return one page, with the options it has from elsewhere."""
    lines, problems = read_lines(project.root, name)
    own, start = Settings(start=Position(name, 1)), 0
    if lines[0].text.rstrip() == "---":
        end = next((i for i, line in enumerate(lines[1:], 1) if line.text.rstrip() in ("---", "...")), 0)
        if not end:
            words = "the front matter opened here is never closed; end it with '---'"
            return Page(name, own, own), [*problems, Problem(name, 1, words)]
        own, wrong = options.read(_text(lines[1:end]), "page", name, 2)
        problems += wrong
        start = end + 1
    if "title" not in own.values and not problems:
        problems.append(Problem(name, 1, "the page has no title; give it one: 'title: …' in the front matter"))
    inherited = _inherited(project, name, folders)
    shared = {key for key, option in options.rows("folder") if "project" not in option.places}
    meta = own.over(replace(inherited, values={key: inherited.values[key] for key in shared & set(inherited.values)}))
    meta, wrong = _dated(project, name, meta)
    form = {"format": own.get("format", inherited.get("format", {}))}
    effective = own.flat().over(inherited)
    effective = replace(effective, values={**effective.values, **form})
    parts, more = scan(project.root, lines[start:], effective)
    return Page(name, meta, effective, parts), problems + wrong + more


def _dated(project: Project, name: str, meta: Settings) -> tuple[Settings, list[Problem]]:
    """Return what a page says of itself with its dates as days."""
    days, problems = dict[str, datetime.date](), list[Problem]()
    for key in ("date", "date-modified"):
        if (value := str(meta.get(key, ""))) == "last-modified":
            days[key] = _last_modified(project.root / name)
        elif value:
            try:
                days[key] = datetime.date.fromisoformat(value[:10])
            except ValueError:
                words = f"{key} is '{value}', and must be a day such as 2026-01-31, or last-modified"
                problems.append(Problem(*meta.at(key), words))
    values = {key: value for key, value in meta.values.items() if key not in ("date", "date-modified")}
    return replace(meta, values={**values, **days}), problems


def _last_modified(file: Path) -> datetime.date:
    """Return the day of a file's last commit, which all copies have; where there is none, the file's own."""
    command = ["git", "log", "-1", "--format=%cs", "--", file.name]
    try:
        committed = subprocess.run(command, cwd=file.parent, capture_output=True, text=True).stdout.strip()
    except FileNotFoundError:
        committed = ""
    return datetime.date.fromisoformat(committed) if committed else datetime.date.fromtimestamp(file.stat().st_mtime)


def _listing(project: Project, page: Page) -> tuple[list[Page], list[Problem]]:
    """Return the pages that a page's listing lists, in its order."""
    wanted, at = page.meta.get("listing"), page.meta.at
    names = [each.path for each in project.public if each != page]
    patterns, folder = texts(wanted.get("contents")), str(PurePosixPath(page.path).parent)
    found, idle = chosen(names, patterns, folder)
    problems = [
        Problem(*at("listing", "contents", count), f"the listing's contents '{patterns[count]}' match no page")
        for count in idle
    ]
    if not (found or idle):
        problems.append(Problem(*at("listing", "contents"), "the listing lists no page; name some in 'contents'"))
    items = [project.pages[name] for name in found]
    for count, rule in reversed(list(enumerate(texts(wanted.get("sort"))))):
        name, _, direction = rule.partition(" ")
        lacking = [each.path for each in items if name not in each.meta.values]
        place = at("listing", "sort", count)
        if direction not in ("", "asc", "desc") or name not in ("date", "title", "order"):
            problems.append(Problem(*place, f"'{rule}' is no order; write for example 'date desc'"))
        elif lacking:
            problems.append(Problem(*place, f"the order is by {name}, and {lacking[0]} gives none"))
        else:
            items.sort(key=lambda each, name=name: each.meta.get(name), reverse=direction == "desc")  # type: ignore[misc]
    return items, problems
