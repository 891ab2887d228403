"""The program that a page's cells run in: IPython's kernel, which tells what was read and ends when the render does.

It uses nothing of this package, and nothing of it is in reach of the cells' names.
"""

import json
import os
import resource
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LAST = "# What was read?"
"""The code of the cell behind a page's last one, on which the report is written: it needs no name of the page's."""
FOLDER = "IPYTHONDIR"
"""The variable by which all processes of a page are known."""
opened: set[str] = set()
failed: list[tuple[int, str, str]] = []


@dataclass(frozen=True)
class Limits:
    """What stops a page that would never end or take the whole machine; pages need far less.

    `seconds` for a cell, `output`, megabytes, for what a page shows, `memory`, megabytes, for its kernel: if nothing
    is said, what the machine has.
    """

    seconds: int = 3600
    output: int = 50
    memory: int = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20


LIMITS = Limits()


def note(event: str, args: tuple[Any, ...]) -> None:
    """Note each file that is opened for reading."""
    if event == "open" and isinstance(args[0], (str, bytes)) and args[2] & os.O_ACCMODE != os.O_WRONLY:
        opened.add(os.path.abspath(os.fsdecode(args[0])))


def report(file: Path) -> None:
    """Write which files were read, those of modules too, and what threads failed with, by the cell's number, from 0."""
    modules = {getattr(module, "__file__", None) for module in list(sys.modules.values())} - {None}
    file.write_text(json.dumps({"files": sorted(modules | opened), "failed": failed}))


def end(folder: str, spared: int = 0) -> None:
    """Kill all processes that the cells of the page in `folder` have started, and their kernel, but the one spared."""
    import psutil

    for process in psutil.process_iter():
        try:
            if process.environ().get(FOLDER) == folder and process.pid != spared:
                process.kill()
        except psutil.Error:
            continue  # it has ended, or is another user's


def end_with(render: int, folder: str) -> None:
    """Wait for the end of the render, however it ends; then end all that its page has started."""
    while os.getppid() == render:
        time.sleep(0.25)
    end(folder, spared=os.getpid())
    os._exit(1)


def main(connection: Path, render: int, memory: int) -> None:
    """Be a kernel for the process `render`, with at most `memory` bytes."""
    sys.addaudithook(note)
    from ipykernel.kernelapp import IPKernelApp

    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    # As IPython does where no -P forbids it: a page imports what lies beside it, but from the standard library first.
    sys.path.insert(next(at for at, path in enumerate(sys.path) if path.endswith("-packages")), "")
    # Its own watch on the render would end this process before it has ended the others.
    os.environ.pop("JPY_PARENT_PID", None)
    app: Any = IPKernelApp.instance()
    app.initialize(["-f", str(connection), "--HistoryManager.enabled=False"])
    shell = app.shell

    running = -1

    def cell_starts(info: Any) -> None:
        nonlocal running
        running += 1

    def thread_failed(args: threading.ExceptHookArgs) -> None:
        failed.append((running, args.exc_type.__name__, str(args.exc_value)))

    def cell_ran(result: Any) -> None:
        if result.info.raw_cell == LAST:
            report(connection.with_name("read.json"))

    threading.excepthook = thread_failed
    shell.events.register("pre_run_cell", cell_starts)
    shell.events.register("post_run_cell", cell_ran)
    threading.Thread(target=end_with, args=(render, os.environ[FOLDER]), daemon=True).start()
    app.start()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
