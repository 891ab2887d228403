"""What a package has, as Markdown: each public name with its arguments and its docstring."""

import inspect
import re
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

# A signature that is longer has a line for each argument.
SHORT = 60


def listed(module: ModuleType, names: Iterable[str]) -> str:
    """Return an entry for each name that has a docstring, classes with their methods."""
    return "\n".join(entry for name in sorted(names, key=str.lower) for entry in _entries(name, getattr(module, name)))


def bare(module: ModuleType, names: Iterable[str]) -> str:
    """Return the names of functions without a docstring."""
    return ", ".join(f"`{name}`" for name in names if not inspect.getdoc(getattr(module, name)))


def _entries(name: str, thing: Any) -> Iterator[str]:
    if inspect.getdoc(thing) and thing.__module__.startswith("handgrad"):
        yield _entry(name, thing, 3)
        if inspect.isclass(thing) and not issubclass(thing, Exception):
            for method, value in vars(thing).items():
                value = getattr(value, "__func__", value)
                if inspect.isfunction(value) and not method.startswith("_"):
                    yield _entry(f"{name}.{method}", value, 4)


def _entry(name: str, thing: Any, level: int) -> str:
    kind = "class " if inspect.isclass(thing) else ""
    # Stars in shapes, such as (*, n), are no emphasis.
    text = re.sub(r"(?<=[(, ])\*(?=[,) ])", r"\*", inspect.getdoc(thing) or "")
    return f"{'#' * level} `{name}`\n\n```python\n{kind}{name}{_signature(thing)}\n```\n\n{text}\n"


def _signature(thing: Any) -> str:
    if inspect.isclass(thing) and issubclass(thing, Exception):
        return f"({thing.__base__.__name__})"
    # Without the modules of types, and functions by their names.
    text = re.sub(r"(\w+\.)+(?=\w)", "", str(inspect.signature(thing)))
    text = re.sub(r"<[^<>]* (\w+)>", r"\1", text)
    inside, _, after = text.removeprefix("(").rpartition(")")
    if len(text) < SHORT or not inside:
        return text
    lines = "".join(f"    {part},\n" for part in _parts(inside))
    return f"(\n{lines}){after}"


def _parts(text: str) -> Iterator[str]:
    """Cut a list at its commas, but for those in brackets."""
    depth = start = 0
    for place, character in enumerate(f"{text},"):
        depth += (character in "([") - (character in ")]")
        if character == "," and not depth:
            yield text[start:place].strip()
            start = place + 1
