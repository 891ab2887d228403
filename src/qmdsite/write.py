"""The phase that puts a new site in the place of the old one, and what guards a project while it is rendered."""

import ctypes
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qmdsite.cache import digest
from qmdsite.project import Project


@contextmanager
def locked(project: Project) -> Iterator[tuple[Path, Path]]:
    """Hold the project, which one render at a time may do, and clear away what a killed one left.

    What is returned: a folder for the new site, of this render alone, as a script that outlived a killed render may
    still write into that one's; and one for the sockets and files of processes while they run.
    """
    work = project.work
    # In a place with a short name, for the path of a socket may have about a hundred bytes.
    short = min(tempfile.gettempdir(), "/tmp", key=lambda place: len(place) > 50)
    sockets = Path(short, f"qmdsite-{os.getuid()}-{digest(str(project.root))[:12]}")
    work.mkdir(exist_ok=True)
    with (work / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another render of this project", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        if (work / "old").exists() and not project.output.exists():
            (work / "old").rename(project.output)
        for folder in (work / "old", *work.glob("new*"), sockets):
            shutil.rmtree(folder, ignore_errors=True)
        sockets.mkdir(mode=0o700)
        with tempfile.TemporaryDirectory(prefix="new", dir=work, ignore_cleanup_errors=True) as own:
            try:
                yield Path(own, "site"), sockets
            finally:
                shutil.rmtree(sockets, ignore_errors=True)


def write(folder: Path, files: dict[str, bytes]) -> None:
    """Write files into a folder."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def read(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder, by their paths in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def exchange(project: Project, new: Path) -> None:
    """Put the new site in the place of the old one, which stands until then."""
    project.output.parent.mkdir(parents=True, exist_ok=True)
    if not _exchanged(new, project.output):
        old = project.work / "old"
        if project.output.exists():
            project.output.rename(old)
        try:
            new.rename(project.output)
        except BaseException:
            if old.exists():
                old.rename(project.output)
            raise
        shutil.rmtree(old, ignore_errors=True)


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange two folders in one step, where the system has renameat2 and the file system can."""
    here, flag = -100, 2
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    return rename is not None and rename(here, os.fsencode(one), here, os.fsencode(other), flag) == 0
