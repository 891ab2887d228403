"""The options that are known: the table in README.md; and YAML that is checked against it and keeps its lines."""

import datetime
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

from qmdsite.paths import documented
from qmdsite.problem import Position, Problem, did_you_mean

ROW = re.compile(r"^\| `(?:\[([\w.]+)\.\])?([\w.-]+)` \| ([\w, ]+) \| (.*?) \| (.*?) \|$", re.M)
ADDRESS, NAME = re.compile(r"https?://[\w.:-]+(/[\w.~/-]*)?"), re.compile(r"[\w:.-]+")
# What the words in the table's column of values mean, but for literal values and for options.
FITS: dict[str, Callable[[Any], bool]] = {
    "text": lambda value: isinstance(value, str),
    "texts": lambda value: isinstance(value, list) and all(isinstance(item, str) for item in value),
    "a number": lambda value: type(value) in (int, float),
    "a whole number": lambda value: type(value) is int,
    "a day": lambda value: isinstance(value, datetime.date | str),
    "an address: https://…": lambda value: isinstance(value, str) and bool(ADDRESS.fullmatch(value)),
    "letters, digits and - _ . :": lambda value: isinstance(value, str) and bool(NAME.fullmatch(value)),
    "anything": lambda value: True,
}
DEFAULTS = [("format", "html"), ("format.html", "default"), ("listing.feed", "true")]  # Quarto's words for no options


class Option(NamedTuple):
    """A row of the table."""

    within: str  # format.html or execute, below which it may stand too
    name: str
    places: list[str]
    value: str
    about: str


OPTIONS = [
    Option(within, name, places.split(", "), value, about)
    for within, name, places, value, about in ROW.findall(documented("options"))
]


def rows(place: str) -> Iterator[tuple[str, Option]]:
    """Return the options that may stand at a place, by their full names there."""
    for option in OPTIONS:
        if place in option.places:
            if option.within != "execute" or place == "cell":
                yield option.name, option
            if option.within and place != "cell":
                yield f"{option.within}.{option.name}", option


def schema(place: str) -> dict[str, Any]:
    """Return the options of a place as a tree: of each its value under "", and what is within it by name."""
    tree: dict[str, Any] = {"": "options"}
    for name, option in rows(place):
        branch = tree
        for part in name.split("."):
            branch = branch.setdefault(part, {"": "options"})
        branch[""] = option.value
    return tree


SCHEMAS = {place: schema(place) for place in sorted({place for option in OPTIONS for place in option.places})}


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
            places |= {keys[len(within) :]: at for keys, at in self.places.items() if keys[: len(within)] == within}
        return Settings(values, places, self.start)


def read(text: str, place: str, path: str, first_line: int) -> tuple[Settings, list[Problem]]:
    """Return the options that a YAML text holds and what is wrong with it; if anything is, it holds none."""
    if found := re.search(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", text):
        at = Position(path, first_line + text.count("\n", 0, found.start()))
        return Settings(start=at), [Problem(*at, f"a character here is none of a text: {found[0]!r}; remove it")]
    reader = _Reader(text, path, first_line)
    values: dict[str, Any] = {}
    try:
        if node := reader.loader.get_single_node():
            reader.value(node, SCHEMAS[place], ())
            values = reader.loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line if error.problem_mark else 0
        reader.complain(line, f"this is not valid YAML: {error.problem}")
    except (yaml.YAMLError, ValueError) as error:
        reader.complain(0, f"a value here cannot be read: {' '.join(str(error).split())}")
    except RecursionError:
        reader.complain(0, "this is nested too deeply")
    start = reader.place(0)
    return (Settings(start=start), reader.problems) if reader.problems else (Settings(values, reader.places, start), [])


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
        """Check a value of any form: what the table says of it are alternatives."""
        words = known[""].split(" or ")
        if isinstance(node, yaml.SequenceNode):
            for count, item in enumerate(node.value):
                self.places[*keys, count] = self.place(item.start_mark.line)
        for word in words:
            kind, _, place = word.partition(" of ")
            if kind == "options" and isinstance(node, yaml.MappingNode):
                return self.mapping(node, SCHEMAS[place] if place else known, keys)
            if kind == "a list" and isinstance(node, yaml.SequenceNode):
                for count, item in enumerate(node.value):
                    self.value(item, {"": f"text or options of {place}"}, (*keys, count))
                return None
        value = self.plain(node)
        if isinstance(value, str) and "{{<" in value:
            self.complain(
                node.start_mark.line, f"a shortcode in {_name(keys)} is not supported; write what it stands for"
            )
        if not any(_fits(value, word) for word in words):
            must = (
                "options: 'key: value' on each line" if words[0].startswith("options") else known[""].replace("`", "")
            )
            self.complain(node.start_mark.line, f"{_name(keys) or 'this'} is {value!r}, and must be {must}")
        return None

    def plain(self, node: yaml.Node) -> Any:
        """Return a value; of one that cannot be, such as a day 32, the text."""
        try:
            return self.loader.construct_object(node, deep=True)
        except ValueError as error:
            self.complain(node.start_mark.line, f"a value here cannot be read: {error}")
            return ""

    def mapping(self, node: yaml.MappingNode, known: dict[str, Any], keys: tuple[str | int, ...]) -> None:
        """Check options by their names."""
        seen = set[str]()
        for at, (key, value) in enumerate(node.value):
            word = key.value if isinstance(key, yaml.ScalarNode) else yaml.serialize(key).strip()
            inner, line = (*keys, word), key.start_mark.line
            self.places[inner] = self.place(line)
            if word not in known or not word:
                near = did_you_mean(word, filter(None, known))
                self.complain(line, f"the option '{_name(inner)}' is not supported{near}; remove it")
            elif word in seen:
                self.complain(line, f"the option '{_name(inner)}' is given twice; remove one")
            elif isinstance(value, yaml.ScalarNode) and (_name(inner), str(self.plain(value)).lower()) in DEFAULTS:
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


def _name(keys: tuple[str | int, ...]) -> str:
    return ".".join(key for key in keys if isinstance(key, str))


def _fits(value: Any, word: str) -> bool:
    if word.startswith("`"):
        literal = yaml.safe_load(word.strip("`"))
        return type(value) is type(literal) and value == literal
    return word in FITS and FITS[word](value)
