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
    """What a cell raised: the name of the error, its words, where it came from, and what the reader sees of it."""

    name: str
    words: str
    trace: str
    shown: str = ""


Failures = dict[int, Failure]
Tries = dict[int, list[str]]
Tried = dict[int, list[Failure | None]]


def run(
    cells: list[tuple[str, bool]], folder: Path, package: Path | None, tries: Tries | None = None
) -> tuple[Failures, Tried]:
    """Run the cells, each with whether it may fail, in an empty folder; return by number what the cells raised.

    Nothing of the project is there but what `package` has. Behind a cell that fails and may not no cell is run.
    Before a cell its `tries` are run, each in a copy of the names that are there; returned is what they raised too.
    """
    (empty := folder / "empty").mkdir()
    ours, theirs = FORKS.Pipe(duplex=False)
    process = FORKS.Process(target=_in_process, args=(theirs, cells, empty, package, tries or {}))
    process.start()
    theirs.close()
    try:
        found: tuple[Failures, Tried] = ours.recv()
    except EOFError:
        raise AssertionError("the process of the notebook died") from None
    finally:
        process.join()
    return found


def _in_process(
    answer: Connection, cells: list[tuple[str, bool]], folder: Path, package: Path | None, tries: Tries
) -> None:
    os.chdir(folder)
    os.environ.pop("PYTHONPATH", None)
    os.environ["IPYTHONDIR"] = str(folder.parent)
    inside = [path for path in sys.path if not Path(path).is_relative_to(ROOT) or "site-packages" in path]
    sys.path[:] = [*([str(package)] if package else []), *inside, ""]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        answer.send(_failures(cells, tries))


def _failures(cells: list[tuple[str, bool]], tries: Tries) -> tuple[Failures, Tried]:
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    quiet = Config(HistoryManager={"enabled": False}, InteractiveShell={"colors": "nocolor"})
    shell: Any = InteractiveShell.instance(config=quiet)
    found: Failures = {}
    tried: Tried = {}
    for count, (source, may_fail) in enumerate(cells):
        tried[count] = [_tried(code, dict(shell.user_ns)) for code in tries.get(count, ())]
        with contextlib.redirect_stdout(io.StringIO()) as shown:
            result = shell.run_cell(source, store_history=True)
        if error := result.error_before_exec or result.error_in_exec:
            found[count] = _failure(error)._replace(shown=shown.getvalue())
            if not may_fail:
                break
    return found, tried


def _tried(code: str, names: dict[str, Any]) -> Failure | None:
    try:
        exec(compile(code, "<answer>", "exec"), names)
    except Exception as error:
        return _failure(error)
    return None


def _failure(error: BaseException) -> Failure:
    return Failure(type(error).__name__, str(error), "".join(traceback.format_exception(error)))
