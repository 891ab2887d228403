"""Results kept between renders; an entry that is damaged counts as missing."""

import hashlib
import os
import threading
from pathlib import Path


def digest(*parts: str | bytes) -> str:
    """Return one name for all the parts."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(b"%d:" % len(data) + data)
    return total.hexdigest()


class Cache:
    """A folder of entries by key, each behind the hash of its content."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`, made if it does not exist."""
        self.folder, self.used = folder, set[str]()
        folder.mkdir(parents=True, exist_ok=True)

    def get(self, key: str) -> bytes | None:
        """Return the entry, or None if there is none or it is not what was written."""
        self.used.add(key)
        try:
            head, _, content = (self.folder / key).read_bytes().partition(b"\n")
        except FileNotFoundError:
            return None
        return content if head.decode("ascii", "replace") == digest(content) else None

    def put(self, key: str, content: bytes) -> None:
        """Write the entry in one step: a reader sees all of it or none."""
        self.used.add(key)
        part = self.folder / f"{key}.{os.getpid()}.{threading.get_ident()}.part"
        part.write_bytes(digest(content).encode() + b"\n" + content)
        part.replace(self.folder / key)

    def prune(self) -> None:
        """Delete what this render did not ask for."""
        for entry in self.folder.iterdir():
            if entry.name not in self.used:
                entry.unlink()
