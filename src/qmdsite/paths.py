"""Files of a project, and where they go in its site."""

import os
import re
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from pathspec import PathSpec

HERE = Path(__file__).parent
LIBS = "site_libs/qmdsite"
NOT_FOUND = "404.qmd"  # shown at any address that there is not


def documented(part: str) -> str:
    """Return a table of the README: it is the documentation, and what the renderer goes by."""
    return (HERE / "README.md").read_text("utf-8").partition(f"<!-- {part} -->")[2].partition("<!-- end -->")[0].strip()


def out(path: str, suffix: str = ".html") -> str:
    """Return where in the site the page from `path` goes."""
    return str(PurePosixPath(path).with_suffix(suffix))


def relative(target: str, page: str) -> str:
    """Return the path to a file of the site from the folder of a page."""
    return os.path.relpath(target, PurePosixPath(page).parent)


def rooted(target: str, folder: str) -> str:
    """Return a path as it is from the project's folder: one that starts with / already is."""
    return os.path.normpath(target.lstrip("/") if target.startswith("/") else os.path.join(folder, target))


def files_of(root: Path) -> Iterator[Path]:
    """Return the files of a project; hidden ones, and folders such as an environment's, are no part of it."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__pycache__")))
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))


def chosen(names: Iterable[str], patterns: Iterable[str], folder: str = "") -> tuple[list[str], list[int]]:
    """Return which names patterns choose, in the order of both, and which of the patterns choose none.

    A pattern is a name, a folder or has * or **, as in .gitignore. One with * that does not start with / chooses in all
    folders, as in Quarto, and so does one that starts with '!': what that chooses is left out.
    """
    names, found, idle = list(names), list[str](), list[int]()
    for count, pattern in enumerate(patterns):
        plain = pattern.removeprefix("!")
        anywhere = not plain.startswith(("/", "..")) and ("*" in plain or plain != pattern)
        wanted = rooted(f"**/{plain}" if anywhere else plain, folder)
        try:
            spec = PathSpec.from_lines("gitignore", ["*" if wanted == "." else f"/{wanted}"])
        except (ValueError, re.error):  # such as [z-a]
            spec = PathSpec([])
        matching = list(spec.match_files(names))
        if pattern.startswith("!"):
            found = [name for name in found if name not in matching]
        else:
            found += [name for name in matching if name not in found]
            idle += [] if matching else [count]
    return found, idle


def decoded(data: bytes) -> tuple[str, str]:
    """Return the text of a file, and what is wrong with it, if anything."""
    try:
        return data.decode("utf-8-sig"), ""
    except UnicodeDecodeError as error:
        return "", f"the file is not UTF-8 text (byte {error.start}); save it as UTF-8"


def png_size(file: Path) -> tuple[int, int] | None:
    """Return width and height of a PNG picture, or nothing if it is none."""
    with file.open("rb") as data:
        start = data.read(24)
    if len(start) < 24 or not start.startswith(b"\x89PNG"):
        return None
    width, height = struct.unpack(">II", start[16:])
    return width, height
