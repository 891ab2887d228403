"""The options qmdsite knows, and YAML that is checked against them key by key."""

import datetime
from typing import Any

import yaml

from qmdsite.problem import Problem, did_you_mean

# A type or tuple of types is what a value must be; a frozenset lists the values; a dict nests; [dict] is a list of them.
# Keys marked "cosmetic" are accepted for Quarto's sake: they change nothing here.
TEXTS = (str, list)
FOLD = frozenset({True, False, "show"})
EXECUTE = {"echo": bool, "eval": bool, "output": frozenset({True, False, "asis"}), "include": bool, "warning": bool,
           "error": bool}  # fmt: skip
HTML = {
    "theme": (str, list, dict),  # cosmetic
    "css": TEXTS,
    "html-math-method": frozenset({"mathml"}),
    "toc": bool,
    "toc-depth": int,
    "toc-title": str,
    "toc-location": str,  # cosmetic
    "number-sections": bool,
    "code-fold": FOLD,
    "code-summary": str,
    "code-copy": (bool, str),  # cosmetic
    "code-overflow": str,  # cosmetic
    "anchor-sections": bool,  # cosmetic
    "smooth-scroll": bool,  # cosmetic
    "highlight-style": (str, dict),  # cosmetic
    "grid": dict,  # cosmetic
}
SHARED = {
    "author": TEXTS,
    "lang": str,
    "bibliography": TEXTS,
    "csl": str,
    "link-citations": bool,
    "jupyter": frozenset({"python3"}),
    "engine": frozenset({"jupyter"}),
    "execute": EXECUTE,
    "format": {"html": HTML},
    **{key: HTML[key] for key in ("css", "toc", "toc-depth", "toc-title", "number-sections", "code-fold")},
}
NAVBAR_ITEM = {"text": str, "href": str, "aria-label": str}
PROJECT = {
    "project": {"type": frozenset({"website"}), "output-dir": str, "render": list, "resources": TEXTS},
    "website": {
        "title": str,
        "description": str,
        "site-url": str,
        "repo-url": str,
        "favicon": str,
        "search": bool,  # no search is written: the browser's own finds text on a page
        "page-navigation": bool,
        "sidebar": frozenset({False}),
        "bread-crumbs": bool,  # cosmetic without a sidebar
        "page-footer": (str, dict),
        "navbar": {"title": (str, bool), "left": [NAVBAR_ITEM], "right": [NAVBAR_ITEM]},
    },
    **SHARED,
}
LISTING = {
    "id": str,
    "contents": TEXTS,
    "sort": (str, list, bool),
    "type": frozenset({"default"}),
    "categories": bool,
    "fields": list,
    "feed": frozenset({False}),
    "sort-ui": frozenset({False}),
    "filter-ui": frozenset({False}),
}
PAGE = {
    "title": str,
    "subtitle": str,
    "description": str,
    "date": (datetime.date, str),
    "date-modified": (datetime.date, str),
    "categories": list,
    "image": str,
    "image-alt": str,
    "order": int,
    "citation": bool,
    "listing": LISTING,
    **SHARED,
}
CELL = {
    "label": str,
    "code-fold": FOLD,
    "code-summary": str,
    "fig-cap": str,
    "fig-alt": str,
    "tbl-cap": str,
    **EXECUTE,
}
NAMES = {str: "text", bool: "true or false", int: "a whole number", list: "a list", dict: "a mapping",
         datetime.date: "a date"}  # fmt: skip


def read(text: str, schema: dict[str, Any], path: str, first_line: int, problems: list[Problem]) -> dict[str, Any]:
    """Return the mapping that `text` holds; what is wrong with it goes to `problems`."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is None:
            return {}
        loader = yaml.SafeLoader("")
        _check(node, schema, "", lambda at, words: problems.append(Problem(path, first_line + at, words)), loader)
        value = loader.construct_document(node)
        return value if isinstance(value, dict) else {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or str(error)
        problems.append(Problem(path, first_line + (mark.line if mark else 0), f"this is not valid YAML: {what}"))
    except ValueError as error:
        problems.append(Problem(path, first_line, f"a value here cannot be read: {error}"))
    return {}


def _check(node: yaml.Node, schema: Any, name: str, complain: Any, loader: yaml.SafeLoader) -> None:
    line = node.start_mark.line
    if isinstance(schema, dict):
        if not isinstance(node, yaml.MappingNode):
            return complain(line, f"{name or 'this'} must be a mapping of options: 'key: value' on each line")
        seen = set()
        for key, value in node.value:
            full = f"{name}.{key.value}" if name else str(key.value)
            if key.value not in schema:
                near = did_you_mean(str(key.value), schema)
                complain(key.start_mark.line, f"the option '{full}' is not one that is supported{near}; remove it")
            elif key.value in seen:
                complain(key.start_mark.line, f"the option '{full}' is given twice; remove one")
            else:
                _check(value, schema[key.value], full, complain, loader)
            seen.add(key.value)
        return None
    if isinstance(schema, list):
        if not isinstance(node, yaml.SequenceNode):
            return complain(line, f"{name} must be a list: '- …' on each line")
        for item in node.value:
            _check(item, schema[0], name, complain, loader)
        return None
    value = loader.construct_object(node, deep=True)
    if isinstance(schema, frozenset):
        if not isinstance(value, (bool, str)) or value not in schema:
            allowed = " or ".join(sorted(str(v).lower() if isinstance(v, bool) else v for v in schema))
            complain(line, f"{name} is {value!r}, and may only be {allowed}")
        return None
    kinds = schema if isinstance(schema, tuple) else (schema,)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        complain(line, f"{name} is {value!r}, and must be {' or '.join(NAMES[kind] for kind in kinds)}")
    elif isinstance(value, list) and not all(isinstance(item, str) for item in value):
        complain(line, f"{name} must be a list of texts; put quotes around {value!r}")
    return None


def flat(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options a page or a project gives, those under 'format.html' and 'execute' lifted to the top."""
    html = (options.get("format") or {}).get("html") or {}
    top = {key: value for key, value in options.items() if key not in ("format", "execute")}
    return {**top, **html, **(options.get("execute") or {})}
