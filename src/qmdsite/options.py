"""The options that are known, in one table, and YAML that is checked against it and keeps the line of each key."""

import datetime
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

from qmdsite.problem import Position, Problem, did_you_mean

PROJECT, PAGE, SHARED = "project", "page", "project folder page"
FOLDED = "folder page"  # a page's own, which its folder may say for it
ITEM, AUTHOR, LISTING = "item", "author", "listing"


class Each(NamedTuple):
    """A list, whose items are texts or options of the table's rows for this place."""

    place: str


class Group(NamedTuple):
    """Options of the table's rows for this place."""

    place: str


Kind = Any  # a type; a tuple of kinds, any of which will do; a set of values; a pattern; Each; Group
TEXTS, DATE, FOLD = (str, list), (datetime.date, str), {True, False, "show"}
ADDRESS, LABEL = re.compile(r"https?://[\w.:-]+(/[\w.~/-]*)?"), re.compile(r"[\w:.-]+")
NAMES = {str: "text", bool: "true or false", int: "a whole number", float: "a number", list: "a list",
         datetime.date: "a date"}  # fmt: skip


class Option(NamedTuple):
    """One option: where it may stand, what its value must be, and what it does."""

    name: str
    places: str
    kind: Kind
    about: str
    within: str = ""  # "html": also within format.html; "execute": within execute, but not in a cell


OPTIONS = [
    Option("project.type", PROJECT, {"website"}, "what is rendered"),
    Option("project.output-dir", PROJECT, str, "the folder of the project that the site is written to (_site)"),
    Option("project.render", PROJECT, list, "the pages: files, folders and patterns, those after '!' left out (all)"),
    Option("project.resources", PROJECT, TEXTS, "files, folders and patterns that are copied as they are"),
    Option("project.pre-render", PROJECT, TEXTS, "Python scripts that run before the pages are read"),
    Option("project.post-render", PROJECT, TEXTS, "Python scripts that run before the site is exchanged"),
    Option("website.title", PROJECT, str, "the site's name, in the bar and behind each page's title"),
    Option("website.description", PROJECT, str, "what the site is, for pages that do not say what they are"),
    Option("website.site-url", PROJECT, ADDRESS, "where the site is published"),
    Option("website.repo-url", PROJECT, str, "where its sources are, from which notebooks install the package"),
    Option("website.favicon", PROJECT, str, "the picture in the browser's tab"),
    Option("website.search", PROJECT, bool, "whether the pages can be searched (true)"),
    Option("website.page-navigation", PROJECT, bool, "whether listed pages link to the previous and the next (false)"),
    Option("website.open-graph", PROJECT, bool, "whether a link that is shared shows a card (false)"),
    Option("website.twitter-card", PROJECT, bool, "the same for X (false)"),
    Option("website.llms-txt", PROJECT, bool, "whether pages are also written as Markdown, with a list (false)"),
    Option("website.navbar.title", PROJECT, (str, {False}), "the name in the bar, or none (the site's title)"),
    Option("website.navbar.left", PROJECT, Each(ITEM), "links in the bar: pages, or options of an item"),
    Option("website.navbar.right", PROJECT, Each(ITEM), "links at the bar's right end"),
    Option("website.page-footer", PROJECT, (str, dict), "what stands below each page: Markdown, or its parts"),
    *(Option(f"website.page-footer.{part}", PROJECT, (str, Each(ITEM)), f"what stands there at the {part}")
      for part in ("left", "center", "right")),
    Option("website.page-footer.border", PROJECT, bool, "changes nothing: there is a line above"),
    Option("website.sidebar", PROJECT, {False}, "there is none"),
    Option("website.bread-crumbs", PROJECT, object, "changes nothing: there is no sidebar"),
    Option("text", ITEM, str, "the link's words (the page's title)"),
    Option("href", ITEM, str, "the page or address that it leads to"),
    Option("icon", ITEM, str, "shown as its name, where the item has no text: no font of icons is loaded"),
    Option("aria-label", ITEM, str, "the words of an item that has only an icon"),
    Option("name", AUTHOR, (str, dict), "the author's name, or its parts"),
    *(Option(f"name.{part}", AUTHOR, str, f"the {part} name") for part in ("given", "family", "literal")),
    Option("url", AUTHOR, str, "the author's page, to which the name links"),
    Option("title", PAGE, str, "the page's title, which it must have"),
    Option("subtitle", PAGE, str, "what stands below the title"),
    Option("description", PAGE, str, "what the page is about: below the title, in listings, in cards"),
    Option("date", PAGE, DATE, "its day, such as 2026-01-31; last-modified is that of its last commit"),
    Option("date-modified", PAGE, DATE, "the day of its last change"),
    Option("draft", FOLDED, bool, "whether the page is left out of the site (false)"),
    Option("categories", FOLDED, list, "what listings can be filtered by"),
    Option("image", PAGE, str, "the picture of the card that a shared link shows"),
    Option("image-alt", FOLDED, str, "what is to be seen in it"),
    Option("order", PAGE, int, "the page's place in a listing that is sorted by order"),
    Option("aliases", PAGE, list, "other addresses, which lead here"),
    Option("citation", FOLDED, bool, "whether the page says how to cite it (false)"),
    Option("listing", PAGE, Group(LISTING), "a list of other pages"),
    Option("id", LISTING, LABEL, "the div that the list fills (listing-listing: below the text)"),
    Option("contents", LISTING, TEXTS, "what is listed: pages, folders and patterns, those after '!' left out"),
    Option("sort", LISTING, TEXTS, "its order: title, date or order, with desc behind it for the last first"),
    Option("type", LISTING, {"default"}, "how it looks"),
    Option("categories", LISTING, bool, "whether it can be filtered by category (false)"),
    Option("fields", LISTING, list, "what is shown: title, date, author, description, categories, reading-time"),
    Option("feed", LISTING, (dict, {True}), "whether there is a feed of it: true, or its options"),
    Option("feed.type", LISTING, {"full", "partial", "metadata"}, "how much of a page it holds (full)"),
    Option("feed.items", LISTING, int, "how many pages at most (20)"),
    Option("feed.title", LISTING, str, "its title (the site's)"),
    Option("feed.description", LISTING, str, "what it is (the description of the page)"),
    Option("sort-ui", LISTING, {False}, "there is none"),
    Option("filter-ui", LISTING, {False}, "there is none"),
    Option("author", SHARED, (str, list, Group(AUTHOR), Each(AUTHOR)), "who wrote it: names, or options of authors"),
    Option("lang", SHARED, re.compile("en(-[A-Za-z]+)?"), "the language: English, in which all words are (en)"),
    Option("bibliography", "project page", TEXTS, "the files of the works that are cited"),
    Option("csl", "project page", str, "the style of citations"),
    Option("link-citations", SHARED, bool, "whether a citation links to its entry (true)"),
    Option("jupyter", SHARED, {"python3"}, "what runs the cells: the Python that runs the render"),
    Option("engine", SHARED, {"jupyter"}, "the same"),
    Option("editor", SHARED, object, "changes nothing: it is for editors"),
    Option("format.ipynb", SHARED, {"default"}, "the page is also a notebook"),
    Option("css", PROJECT, TEXTS, "style sheets of every page", "html"),
    Option("toc", SHARED, bool, "whether the page has a table of contents (true)", "html"),
    Option("toc-depth", SHARED, {1, 2, 3, 4, 5, 6}, "how deep it goes (3)", "html"),
    Option("toc-title", SHARED, str, "its title (On this page)", "html"),
    Option("number-sections", SHARED, bool, "whether headings have numbers (false)", "html"),
    Option("html-math-method", SHARED, {"mathml"}, "how mathematics is written", "html"),
    Option("code-tools", SHARED, dict, "a link to the page's source", "html"),
    Option("code-tools.source", SHARED, {True}, "must be said, as must toggle", "html"),
    Option("code-tools.toggle", SHARED, {False}, "what folds all code is not supported", "html"),
    Option("code-tools.caption", SHARED, str, "the link's words (Source)", "html"),
    Option("fig-format", SHARED, {"svg", "png", "retina"}, "the format of matplotlib's figures (retina)", "html"),
    Option("fig-width", SHARED, float, "their width in inches (7)", "html"),
    Option("fig-height", SHARED, float, "their height in inches (5)", "html"),
    *(Option(name, SHARED, object, "changes nothing: the pages have a style of their own", "html")
      for name in ("theme", "highlight-style", "code-copy", "code-overflow", "anchor-sections")),
    Option("respect-user-color-scheme", SHARED, {True}, "the pages follow the reader's system", "html"),
    Option("code-fold", f"{SHARED} cell", FOLD, "whether code is folded; show: open at first (false)", "html"),
    Option("code-summary", f"{SHARED} cell", str, "the words on a fold (Code)", "html"),
    Option("echo", f"{SHARED} cell", bool, "whether code is shown (true)", "execute"),
    Option("eval", f"{SHARED} cell", bool, "whether it runs (true)", "execute"),
    Option("include", f"{SHARED} cell", bool, "whether code or output is shown at all (true)", "execute"),
    Option("output", f"{SHARED} cell", {True, False, "asis"}, "whether output is shown; asis: as Markdown", "execute"),
    Option("warning", f"{SHARED} cell", bool, "whether what is written to stderr is shown (true)", "execute"),
    Option("error", f"{SHARED} cell", bool, "whether an error is shown, and does not stop the render", "execute"),
    Option("freeze", SHARED, object, "changes nothing: a result is kept for as long as it holds", "execute"),
    Option("label", "cell", LABEL, "the cell's name, and its figure's or table's where it starts with fig- or tbl-"),
    Option("fig-cap", "cell", str, "the figure's caption"),
    Option("fig-alt", "cell", str, "what is to be seen in the figure, on one line: over several, Quarto loses it"),
    Option("tbl-cap", "cell", str, "the table's caption"),
]  # fmt: skip
LIFTED = {"html": "format.html.", "execute": "execute."}
DEFAULTS = [("format", "html"), ("format.html", "default"), ("listing.feed", "true")]  # Quarto's words for no options


def rows(place: str) -> Iterator[tuple[str, Option]]:
    """Return the options that may stand at a place, by their full names there."""
    for option in OPTIONS:
        if place in option.places.split():
            if option.within != "execute" or place == "cell":
                yield option.name, option
            if option.within and place != "cell":
                yield LIFTED[option.within] + option.name, option


def schema(place: str) -> dict[str, Any]:
    """Return the options of a place as a tree: of each its kind under "", and what is within it by name."""
    tree: dict[str, Any] = {}
    for name, option in rows(place):
        branch = tree
        for part in name.split("."):
            branch = branch.setdefault(part, {"": dict})
        branch[""] = option.kind
    return tree


SCHEMAS = {place: schema(place) for place in ("project", "folder", "page", "cell", ITEM, AUTHOR, LISTING)}


def table() -> str:
    """Return the options as a table in Markdown: the documentation of the dialect."""
    lines = ["| Option | Where | Value | What it does |", "|---|---|---|---|"]
    for option in OPTIONS:
        name = {"html": "[format.html.]", "execute": "[execute.]"}.get(option.within, "") + option.name
        lines.append(f"| `{name}` | {option.places.replace(' ', ', ')} | {described(option.kind)} | {option.about} |")
    return "\n".join(lines)


def described(kind: Kind) -> str:
    """Return what a value must be, in words."""
    if isinstance(kind, tuple) and not isinstance(kind, Each | Group):
        return " or ".join(dict.fromkeys(map(described, kind)))
    if isinstance(kind, set):
        return " or ".join(sorted(json.dumps(value).replace('"', "") for value in kind))
    if isinstance(kind, re.Pattern):
        return "an address: https://…" if kind is ADDRESS else "letters, digits and - _ . :" if kind is LABEL else "en"
    if isinstance(kind, Each | Group):
        return f"{'a list: texts or ' if isinstance(kind, Each) else ''}options of {kind.place}"
    return "options" if kind is dict else "anything" if kind is object else NAMES[kind]


@dataclass(frozen=True)
class Settings:
    """What a YAML text says, and where it says it."""

    values: dict[str, Any] = field(default_factory=dict)
    places: dict[tuple[str | int, ...], Position] = field(default_factory=dict)
    start: Position = field(default=Position("", 1))

    def at(self, *keys: str | int) -> Position:
        """Return where this is said; where it is not, the place of what it would stand in."""
        found = (self.places.get(keys[:count]) for count in range(len(keys), 0, -1))
        return next((place for place in found if place), self.start)

    def where(self, text: str) -> Position | None:
        """Return where a text is a value, if it is one."""

        def value(keys: tuple[str | int, ...]) -> Any:
            found: Any = self.values
            for key in keys:
                held = key in found if isinstance(found, dict) else isinstance(found, list) and key in range(len(found))
                found = found[key] if held else None
            return found

        return next((place for keys, place in self.places.items() if value(keys) == text), None)

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of an option, or the default."""
        return self.values.get(name, default)

    def over(self, other: "Settings") -> "Settings":
        """Return these settings, and the other's where these say nothing."""
        return Settings({**other.values, **self.values}, {**other.places, **self.places}, self.start)

    def flat(self) -> "Settings":
        """Return the settings with those within format.html and execute lifted to the top."""
        values, places = self.values.copy(), self.places.copy()
        for within in (("format", "html"), ("execute",)):
            inner = self.values
            for key in within:
                inner = inner.get(key, {})
            values |= inner
            count = len(within)
            places |= {keys[count:]: place for keys, place in self.places.items() if keys[:count] == within}
        return Settings(values, places, self.start)


def read(text: str, place: str, path: str, first_line: int) -> tuple[Settings, list[Problem]]:
    """Return the options that a YAML text holds and what is wrong with it; if anything is, it holds none."""
    reader = _Reader(text, path, first_line)
    try:
        node = reader.loader.get_single_node()
        if node is None:
            return Settings(start=reader.place(0)), []
        reader.value(node, {**SCHEMAS[place], "": dict}, ())
        values = reader.loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line if error.problem_mark else 0
        reader.complain(line, f"this is not valid YAML: {error.problem}")
    except (yaml.YAMLError, ValueError) as error:
        reader.complain(0, f"a value here cannot be read: {' '.join(str(error).split())}")
    except RecursionError:
        reader.complain(0, "this is nested too deeply")
    if reader.problems:
        return Settings(start=reader.place(0)), reader.problems
    return Settings(values, reader.places, reader.place(0)), []


class _Reader:
    """Walks the nodes of one YAML text, notes the line of each key, and checks it."""

    def __init__(self, text: str, path: str, first_line: int) -> None:
        self.loader: Any = yaml.SafeLoader(text)
        self.path, self.first, self.last = path, first_line, first_line + text.rstrip().count("\n")
        self.places: dict[tuple[str | int, ...], Position] = {}
        self.problems: list[Problem] = []

    def place(self, line: int) -> Position:
        return Position(self.path, min(self.first + line, self.last))

    def complain(self, line: int, words: str) -> None:
        self.problems.append(Problem(*self.place(line), words))

    def value(self, node: yaml.Node, known: dict[str, Any], keys: tuple[str | int, ...]) -> None:
        """Check a value of any form."""
        kinds = known[""] if type(known[""]) is tuple else (known[""],)
        if isinstance(node, yaml.MappingNode):
            for kind in kinds:
                if kind is dict or isinstance(kind, Group):
                    return self.mapping(node, SCHEMAS[kind.place] if isinstance(kind, Group) else known, keys)
        elif isinstance(node, yaml.SequenceNode):
            each = next((kind for kind in kinds if isinstance(kind, Each)), None)
            if each:
                for count, item in enumerate(node.value):
                    self.places[*keys, count] = self.place(item.start_mark.line)
                    self.value(item, {"": (str, Group(each.place))}, (*keys, count))
                return None
            for count, item in enumerate(node.value):
                self.places[*keys, count] = self.place(item.start_mark.line)
        return self.plain(node, kinds, _said(keys))

    def mapping(self, node: yaml.MappingNode, known: dict[str, Any], keys: tuple[str | int, ...]) -> None:
        """Check options by their names."""
        seen = set[str]()
        for at, (key, value) in enumerate(node.value):
            word = key.value if isinstance(key, yaml.ScalarNode) else yaml.serialize(key).strip()
            inner, line = (*keys, word), key.start_mark.line
            self.places[inner] = self.place(line)
            if word not in known or not word:
                near = did_you_mean(word, filter(None, known))
                self.complain(line, f"the option '{_said(inner)}' is not supported{near}; remove it")
            elif word in seen:
                self.complain(line, f"the option '{_said(inner)}' is given twice; remove one")
            elif (_said(inner), value.value) in DEFAULTS:
                # Not left out: a page's 'format' names all the formats that are made of it.
                node.value[at] = key, yaml.MappingNode("tag:yaml.org,2002:map", [])
            else:
                self.value(value, known[word], inner)
                self.special(word, value, line)
            seen.add(word)

    def special(self, word: str, node: yaml.Node, line: int) -> None:
        """Refuse what would be read, and mean something else to Quarto."""
        given = {each.value for each, _ in node.value} if isinstance(node, yaml.MappingNode) else set()
        # Left out, these would show the tool that folds all code.
        if word == "code-tools" and isinstance(node, yaml.MappingNode) and not given >= {"source", "toggle"}:
            words = "of code-tools only the source is supported; write 'source: true' and 'toggle: false' under it"
            self.complain(line, words)
        if word == "fig-alt" and node.start_mark.line != node.end_mark.line:
            self.complain(line, "fig-alt must stand on one line: over several, Quarto loses the figure")

    def plain(self, node: yaml.Node, kinds: tuple[Kind, ...], name: str) -> None:
        """Check a value that is no options."""
        line = node.start_mark.line
        value = self.loader.construct_object(node, deep=True)
        if isinstance(value, str) and "{{<" in value:
            self.complain(line, f"a shortcode in {name} is not supported; write what it stands for")
        if not any(_fits(value, kind) for kind in kinds):
            self.complain(line, _unfit(name, value, kinds))
        elif list in kinds and isinstance(value, list) and not all(isinstance(item, str) for item in value):
            self.complain(line, f"{name} must be a list of texts; put quotes around what is not text")


def _unfit(name: str, value: Any, kinds: tuple[Kind, ...]) -> str:
    """Return what is wrong with a value that is of none of these kinds."""
    first = kinds[0]
    if all(kind is dict or isinstance(kind, Group) for kind in kinds):
        return f"{name or 'this'} must be options: 'key: value' on each line"
    if all(isinstance(kind, Each) for kind in kinds):
        return f"{name} must be a list: '- …' on each line"
    if first is LABEL:
        return f"{name} is {value!r}, and may only hold {described(LABEL)}"
    chosen = isinstance(first, set) or (isinstance(first, re.Pattern) and first is not ADDRESS)
    return f"{name} is {value!r}, and {'may only be' if chosen else 'must be'} {described(kinds)}"


def _said(keys: tuple[str | int, ...]) -> str:
    return ".".join(str(key) for key in keys if isinstance(key, str))


def _fits(value: Any, kind: Kind) -> bool:
    if isinstance(kind, set):
        return any(type(value) is type(each) and value == each for each in kind)
    if isinstance(kind, re.Pattern):
        return isinstance(value, str) and bool(kind.fullmatch(value))
    if isinstance(kind, Each | Group) or kind is dict:
        return False
    if kind is float:
        return type(value) in (int, float)
    return isinstance(value, kind) and (kind in (bool, object) or not isinstance(value, bool))
