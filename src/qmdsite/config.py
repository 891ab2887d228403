"""The options that are known, and YAML that is checked against them key by key."""

import datetime
import json
import re
from collections.abc import Callable
from typing import Any

import yaml

from qmdsite.problem import Problem, did_you_mean

# A type, or a tuple of types, is what a value must be; a set lists the values; a pattern is for names; a dict nests;
# [dict] is a list of such.
# What is 'object' may have any value, for it changes nothing here.
TEXTS, DATE, FOLD = (str, list), (datetime.date, str), {True, False, "show"}
EXECUTE = {**dict.fromkeys(("echo", "eval", "include", "warning", "error"), bool), "output": {True, False, "asis"}}
TOOLS = {"source", "toggle"}
OPTIONS = {
    **{"toc": bool, "toc-depth": {1, 2, 3, 4, 5, 6}, "toc-title": str, "number-sections": bool},
    **{"html-math-method": {"mathml"}, "code-fold": FOLD, "code-summary": str},
    "code-tools": {"source": {True}, "toggle": {False}, "caption": str},
    **{"fig-format": {"svg", "png", "retina"}, "fig-width": float, "fig-height": float},
    **dict.fromkeys(("theme", "highlight-style", "code-copy", "code-overflow", "anchor-sections"), object),
    # The pages follow the reader's system.
    "respect-user-color-scheme": {True},
}
SHARED = {
    **{"author": TEXTS, "lang": str, "bibliography": TEXTS, "csl": str, "link-citations": bool},
    **{
        "jupyter": {"python3"},
        "engine": {"jupyter"},
        "execute": EXECUTE,
        "format": {"html": OPTIONS, "ipynb": {"default"}},
    },
    **OPTIONS,
}
ITEMS = [{"text": str, "href": str}]
PROJECT = {
    "project": {
        "type": {"website"},
        "output-dir": str,
        "render": list,
        "resources": TEXTS,
        "pre-render": TEXTS,
        "post-render": TEXTS,
    },
    "website": {
        **{"title": str, "description": str, "page-navigation": bool, "page-footer": str, "sidebar": {False}},
        **{"site-url": re.compile(r"https?://[\w.:-]+(/[\w.~/-]*)?"), "repo-url": str},
        **dict.fromkeys(("search", "open-graph", "twitter-card", "llms-txt"), bool),
        **{"navbar": {"left": ITEMS, "right": ITEMS}},
        "bread-crumbs": object,
    },
    **SHARED,
    "css": TEXTS,
    "format": {"html": {**OPTIONS, "css": TEXTS}, "ipynb": {"default"}},
}
FEED = {"type": {"full", "partial", "metadata"}, "items": int, "title": str, "description": str}
LISTING = {
    **{"id": str, "contents": TEXTS, "sort": TEXTS, "type": {"default"}, "categories": bool, "fields": list},
    **{"feed": FEED, "sort-ui": {False}, "filter-ui": {False}},
}
PAGE = {
    **{"title": str, "subtitle": str, "description": str, "date": DATE, "date-modified": DATE, "categories": list},
    **{"image": str, "image-alt": str, "order": int, "citation": bool, "listing": LISTING},
    **SHARED,
}
# What a folder may say for the pages in it; paths are written where they hold, on the page or in the project.
FOLDER = {key: value for key, value in SHARED.items() if key not in ("bibliography", "csl")} | {
    "categories": PAGE["categories"],
    "citation": PAGE["citation"],
    "image-alt": PAGE["image-alt"],
}
CELL = {
    **{"label": re.compile(r"[\w:.-]+"), "code-fold": FOLD},
    **dict.fromkeys(("code-summary", "fig-cap", "fig-alt", "tbl-cap"), str),
    **EXECUTE,
}
DEFAULTS = [("format", "html"), ("html", "default"), ("feed", "true")]  # Quarto's words for no options
NAMES = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list",
    datetime.date: "a date",
}


def read(text: str, schema: dict[str, Any], path: str, first_line: int, problems: list[Problem]) -> dict[str, Any]:
    """Return the mapping that `text` holds, or, if anything is wrong with it, nothing; the wrong goes to `problems`."""
    before = len(problems)

    def complain(line: int, words: str) -> None:
        problems.append(Problem(path, first_line + min(line, text.rstrip().count("\n")), words))

    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return {}
        _check(node, schema, "", complain, loader)
        value: dict[str, Any] = loader.construct_document(node)
        return value if len(problems) == before else {}
    except yaml.MarkedYAMLError as error:
        complain(error.problem_mark.line if error.problem_mark else 0, f"this is not valid YAML: {error.problem}")
    except (yaml.YAMLError, ValueError) as error:
        complain(0, f"a value here cannot be read: {' '.join(str(error).split())}")
    except RecursionError:
        complain(0, "this is nested too deeply")
    return {}


def _check(node: yaml.Node, schema: Any, name: str, complain: Callable[[int, str], None], loader: Any) -> None:
    line = node.start_mark.line
    if isinstance(schema, dict) and isinstance(node, yaml.MappingNode):
        seen = set()
        for at, (key, value) in enumerate(node.value):
            word = key.value if isinstance(key, yaml.ScalarNode) else yaml.serialize(key).strip()
            full = f"{name}.{word}" if name else word
            if word not in schema:
                near = did_you_mean(word, schema)
                complain(key.start_mark.line, f"the option '{full}' is not supported{near}; remove it")
            elif word in seen:
                complain(key.start_mark.line, f"the option '{full}' is given twice; remove one")
            elif (word, value.value) in DEFAULTS:
                # Not left out: a page's 'format' names all the formats that are made of it.
                node.value[at] = key, yaml.MappingNode("tag:yaml.org,2002:map", [])
            else:
                _check(value, schema[word], full, complain, loader)
                # Left out, these would show the tool that folds all code.
                given = {each.value for each, _ in value.value} if isinstance(value, yaml.MappingNode) else TOOLS
                if word == "code-tools" and not given >= TOOLS:
                    words = (
                        "of code-tools only the source is supported; write 'source: true' and 'toggle: false' under it"
                    )
                    complain(key.start_mark.line, words)
            seen.add(word)
    elif isinstance(schema, list) and isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check(item, schema[0], name, complain, loader)
    elif isinstance(schema, (dict, list)):
        kind = "a list: '- …'" if isinstance(schema, list) else "options: 'key: value'"
        complain(line, f"{name or 'this'} must be {kind} on each line")
    else:
        value = loader.construct_object(node, deep=True)
        kinds = schema if isinstance(schema, tuple) else (schema,)
        value = float(value) if schema is float and type(value) is int else value
        if isinstance(schema, set):
            allowed = sorted(map(json.dumps, schema))
            if json.dumps(value, default=str) not in allowed:
                complain(line, f"{name} is {value!r}, and may only be {' or '.join(allowed)}".replace('"', ""))
        elif isinstance(schema, re.Pattern):
            if not (isinstance(value, str) and schema.fullmatch(value)):
                address = "must be an address: https://…"
                what = address if "site-url" in name else "may only hold letters, digits and - _ . :"
                complain(line, f"{name} is {value!r}, and {what}")
        elif not isinstance(value, kinds) or (isinstance(value, bool) and not {bool, object} & set(kinds)):
            complain(line, f"{name} is {value!r}, and must be {' or '.join(NAMES[kind] for kind in kinds)}")
        elif list in kinds and isinstance(value, list) and not all(isinstance(item, str) for item in value):
            complain(line, f"{name} must be a list of texts; put quotes around what is not text")


def flat(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a page or a project, those under 'format.html' and 'execute' lifted to the top."""
    return {**options, **options.get("format", {}).get("html", {}), **options.get("execute", {})}
