"""Runs the code of a notebook as Jupyter does, in a process that begins with what notebooks import.

That is forked from one that has imported it and done nothing else, which costs a tenth of a kernel.
"""

import contextlib
import io
import multiprocessing
import os
import sys
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["torch", "sympy", "matplotlib.pyplot", "IPython.core.interactiveshell"])
ROOT = Path(__file__).parent.parent


class Failure(NamedTuple):
    """What a cell raised: the name of the error, its words, and where it came from."""

    name: str
    words: str
    trace: str


Failures = dict[int, Failure]


def run(cells: list[tuple[str, bool]], folder: Path, package: Path | None) -> Failures:
    """Run the cells, each with whether it may fail, in an empty folder; return by number what the cells raised.

    Nothing of the project is there but what `package` has. Behind a cell that fails and may not no cell is run.
    """
    (empty := folder / "empty").mkdir()
    ours, theirs = FORKS.Pipe(duplex=False)
    process = FORKS.Process(target=_in_process, args=(theirs, cells, empty, package))
    process.start()
    theirs.close()
    try:
        found: Failures = ours.recv()
    except EOFError:
        raise AssertionError("the process of the notebook died") from None
    finally:
        process.join()
    return found


def _in_process(answer: Connection, cells: list[tuple[str, bool]], folder: Path, package: Path | None) -> None:
    os.chdir(folder)
    os.environ.pop("PYTHONPATH", None)
    os.environ["IPYTHONDIR"] = str(folder.parent)
    inside = [path for path in sys.path if not Path(path).is_relative_to(ROOT) or "site-packages" in path]
    sys.path[:] = [*([str(package)] if package else []), *inside, ""]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        answer.send(_failures(cells))


def _failures(cells: list[tuple[str, bool]]) -> Failures:
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    shell: Any = InteractiveShell.instance(config=Config(HistoryManager={"enabled": False}))
    found: Failures = {}
    for count, (source, may_fail) in enumerate(cells):
        result = shell.run_cell(source, store_history=True)
        if error := result.error_before_exec or result.error_in_exec:
            trace = "".join(traceback.format_exception(error))
            found[count] = Failure(type(error).__name__, str(error), trace)
            if not may_fail:
                break
    return found
