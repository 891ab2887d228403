"""Results kept between renders; an entry that is damaged counts as missing."""

import hashlib
import sys
import threading
from collections.abc import Callable
from pathlib import Path


def digest(*parts: str | bytes) -> str:
    """Return one name for all the parts."""
    data = [part.encode() if isinstance(part, str) else part for part in parts]
    return hashlib.sha256(b"".join(b"%d:%b" % (len(part), part) for part in data)).hexdigest()


def installed() -> list[str]:
    """Return the names of the folders of what is installed, NAME-VERSION.dist-info: to read them takes long."""
    return sorted(each.name for folder in sys.path for each in Path(folder).glob("*.*-info"))


class Cache:
    """A folder of entries by key, each behind the hash of its content."""

    def __init__(self, folder: Path, *makers: str | bytes) -> None:
        """Use `folder`, made if it does not exist, for what the `makers` made: others find none of it."""
        self.folder, self.makers, self.used = folder, digest(*makers), set[str]()
        folder.mkdir(parents=True, exist_ok=True)

    def _file(self, key: str) -> Path:
        name = digest(self.makers, key)
        self.used.add(name)
        return self.folder / name

    def get(self, key: str) -> bytes | None:
        """Return the entry, or None if there is none or it is not what was written."""
        file = self._file(key)
        head, _, content = file.read_bytes().partition(b"\n") if file.is_file() else (b"", b"", b"")
        return content if head == digest(content).encode() else None

    def put(self, key: str, content: bytes) -> None:
        """Write the entry in one step: a reader sees all of it or none."""
        file = self._file(key)
        part = file.with_suffix(f".{threading.get_ident()}")
        part.write_bytes(digest(content).encode() + b"\n" + content)
        part.replace(file)

    def get_or_make(self, key: str, make: Callable[[], bytes]) -> bytes:
        """Return the entry; if there is none, make it first."""
        entry = self.get(key)
        if entry is None:
            entry = make()
            self.put(key, entry)
        return entry

    def prune(self) -> None:
        """Delete what was not asked for, which is what no page needs any more."""
        for entry in self.folder.iterdir():
            if entry.name not in self.used and entry.is_file():
                entry.unlink()
