"""The phase that runs a page's cells in a kernel of its own, and keeps the results for as long as they hold."""

import atexit
import json
import os
import re
import signal
import sys
import tempfile
import time
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

from qmdsite.cache import Cache, digest, installed
from qmdsite.page import Cell, Output, Outputs, Page
from qmdsite.problem import FailedCell

# Colours, and the file that a syntax error is said to be in, which only the kernel knows.
NOISE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]| \(\d+\.py, line \d+\)")
# A warning names the kernel's temporary file; the process id in its path would make no two renders equal.
CELL_FILE = re.compile(r"\S*ipykernel_\d+/\d+\.py")

# The kernel: every file that is opened for reading is noted, from before the first cell on.
KERNEL = """
import os, sys
sys._qmdsite_opened = set()
def note(event, args, opened=sys._qmdsite_opened, os=os):
    if event == "open" and isinstance(args[0], (str, bytes)) and args[2] & os.O_ACCMODE != os.O_WRONLY:
        opened.add(os.path.abspath(os.fsdecode(args[0])))
sys.addaudithook(note)
from ipykernel.kernelapp import launch_new_instance
# As IPython does where no -P forbids it: a page imports what lies beside it, but from the standard library first.
sys.path.insert(next(at for at, path in enumerate(sys.path) if path.endswith("-packages")), "")
launch_new_instance()
"""
REPORT = """
import json, sys
modules = {getattr(module, "__file__", None) for module in list(sys.modules.values())} - {None}
print(json.dumps(sorted(modules | sys._qmdsite_opened)))
"""


def figures(page: Page) -> tuple[str, str]:
    """Return what matplotlib starts with, which a style overrides, and the format of figures in the kernel.

    A figure has the same bytes each time: without a date, and with names that are not random.
    """
    form, width, height = map(page.options.get, ("fig-format", "fig-width", "fig-height"), ("retina", 7, 5))
    settings = f"figure.figsize: {width}, {height}\nfigure.dpi: 96\nsvg.hashsalt: qmdsite\n"
    keywords = {"bbox_inches": "tight"} | ({"metadata": {"Date": None}} if form == "svg" else {})
    config = {"InlineBackend": {"figure_formats": [form], "print_figure_kwargs": keywords}}
    return settings, json.dumps(config)


class Executor:
    """Runs the pages of one project."""

    def __init__(self, root: Path, output: Path, sockets: Path, cache: Cache) -> None:
        """Keep results in `cache`, for what is installed now, and the kernels' sockets in `sockets`."""
        self.root, self.output, self.sockets, self.cache = root, output, sockets, cache
        self.environment = digest(sys.version, *installed(), Path(__file__).read_bytes())
        self.kernels: dict[str, int] = {}
        self.stopped = False

    def key(self, page: Page) -> str:
        """Return the name of the page's result: its cells, and the options that matter when they run."""
        cells = [(cell.code, cell.number == 0, cell.options.get("error", False)) for cell in page.cells]
        return digest(self.environment, page.path, json.dumps(cells), *figures(page))

    def known(self, page: Page) -> Outputs | None:
        """Return the outputs of an earlier run that still hold, a list for each cell that runs."""
        entry = self.cache.get(self.key(page)) if page.cells else b'{"files": {}, "outputs": []}'
        result: dict[str, Any] = json.loads(entry) if entry else {"files": {"": ""}}
        holds = all(self._hash(name) == value for name, value in result["files"].items())
        return result["outputs"] if holds else None

    def run(self, page: Page) -> Outputs:
        """Run the page's cells and keep the outputs."""
        started = time.time()
        with tempfile.TemporaryDirectory(dir=self.sockets) as folder:
            outputs, files = self._run(page, folder)
        names = [name for name in map(self._within, files) if self._hash(name)]
        # A file that changed while the page ran may have been read before or after: such a result is not kept.
        if all((self.root / name).stat().st_mtime < started for name in names):
            result = {"files": {name: self._hash(name) for name in names}, "outputs": outputs}
            self.cache.put(self.key(page), json.dumps(result).encode())
        return outputs

    def stop(self) -> None:
        """Kill the kernels that run and start no other."""
        self.stopped = True
        for pid in list(self.kernels.values()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _within(self, file: str) -> str:
        path = Path(file).resolve()
        if not path.is_relative_to(self.root) or path.is_relative_to(self.output):
            return ""
        name = path.relative_to(self.root)
        hidden = any(part.startswith(".") or part in ("__pycache__", "site-packages") for part in name.parts)
        return "" if hidden else name.as_posix()

    def _hash(self, name: str) -> str | None:
        file = self.root / name
        return digest(file.read_bytes()) if file.is_file() else None

    def _run(self, page: Page, folder: str) -> tuple[Outputs, list[str]]:
        """Run the page's cells in a kernel, and one that says which files it read."""
        # Imported here: they take half a second that a render with nothing to run need not spend.
        import asyncio

        import nbformat
        from nbclient import NotebookClient

        code = [(cell.code, cell.options.get("error", False)) for cell in page.cells] + [(REPORT, False)]
        notebook: Any = nbformat.from_dict({"cells": [  # type: ignore[no-untyped-call]
            {"cell_type": "code", "execution_count": None, "source": text, "outputs": [],
             "metadata": {"tags": ["raises-exception"] * error}}
            for text, error in code
        ], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})  # fmt: skip
        kernel = _kernel(folder)

        def starting(cell: Any, cell_index: int) -> None:
            self.kernels[page.path] = kernel.provisioner.pid
            if self.stopped:
                raise FailedCell("stopped")

        client = NotebookClient(notebook, km=kernel, timeout=None, shutdown_kernel="immediate", on_cell_start=starting)
        environment = _environment(page, folder)
        launch: Any = {"env": environment, "stdout": DEVNULL, "stderr": DEVNULL, "cleanup_kc": True}
        try:
            asyncio.run(client.async_execute(cwd=str((self.root / page.path).parent), **launch))
        except Exception as error:
            at = min(max(client.code_cells_executed, 1), len(page.cells)) - 1
            raise _failure(page.cells[at], notebook.cells[at].get("execution_count", 0), error) from None
        finally:
            self.kernels.pop(page.path, None)
            atexit.unregister(client._cleanup_kernel)
        outputs = [_tidy(ready.outputs) for ready in notebook.cells[:-1]]
        return outputs, json.loads("".join(output.text for output in notebook.cells[-1].outputs))


def _kernel(folder: str) -> Any:
    """Return the manager of one kernel, which runs this interpreter, whatever is installed elsewhere."""
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager

    class ThisPython(KernelSpecManager):
        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            # -P: a file in the page's folder is not taken for one of the kernel's own modules.
            command = [sys.executable, "-P", "-c", KERNEL, "-f", "{connection_file}"]
            return KernelSpec(argv=[*command, "--HistoryManager.enabled=False"], language="python")

    connection: Any = {"connection_file": f"{folder}/kernel.json", "transport": "ipc", "ip": f"{folder}/k"}
    return AsyncKernelManager(kernel_spec_manager=ThisPython(), **connection)


def _environment(page: Page, folder: str) -> dict[str, str]:
    """Write what the kernel reads when it starts, and return its environment."""
    Path(folder, "profile_default").mkdir()
    for name, text in zip(("matplotlibrc", "profile_default/ipython_config.json"), figures(page), strict=True):
        Path(folder, name).write_text(text)
    settings = {"PYTHONHASHSEED": "0", "IPYTHONDIR": folder, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    return {**os.environ, **settings, "MATPLOTLIBRC": f"{folder}/matplotlibrc"}


def _failure(cell: Cell, count: int, error: Exception) -> FailedCell:
    """Return what is said of a cell that stopped the run; `count` is its number in the kernel."""
    from nbclient.exceptions import CellExecutionError, DeadKernelError
    from nbformat import ValidationError

    line = cell.line
    if isinstance(error, CellExecutionError):
        places = re.findall(rf"Cell In\[{count}\], line (\d+)", NOISE.sub("", error.traceback))
        line = cell.start + int(places[-1]) - 1 if places else line
        words = f" raised {error.ename}: {NOISE.sub('', error.evalue)}"
    elif isinstance(error, DeadKernelError):
        words = ": the kernel died: the cell ended the process, or memory ran out"
    elif isinstance(error, ValidationError):
        words = f" shows what no notebook may hold: {str(error).splitlines()[0]}"
    else:
        words = f": the kernel failed: {type(error).__name__}: {error}"
    return FailedCell(f"{cell.path}:{line}: {cell.name}{words}")


def _tidy(outputs: list[Any]) -> list[Output]:
    """Return the outputs with streams in a fixed order: how two of them interleave differs from run to run."""
    result: list[Output] = []
    for is_stream, group in groupby(outputs, lambda output: output.output_type == "stream"):
        if is_stream:
            texts = [(output.name, output.text) for output in group]
            merged = {name: "".join(text for each, text in texts if each == name) for name in ("stdout", "stderr")}
            result += [_clean({"stream": name, "text": text}) for name, text in merged.items() if text]
        else:
            result += map(_shown, group)
    return result


def _clean(output: dict[str, str]) -> Output:
    """Return a stream or an error without what differs from run to run."""
    return {key: CELL_FILE.sub("cell.py", NOISE.sub("", text)) for key, text in output.items()}


def _shown(output: Any) -> Output:
    """Return an error, or a result in all its forms."""
    if output.output_type == "error":
        text = "\n".join(output.traceback) or f"{output.ename}: {output.evalue}"
        return _clean({"stream": "error", "text": text, "ename": output.ename, "evalue": output.evalue})
    # A text may also come as a list of lines.
    data = {form: "".join(text) if isinstance(text, list) else text for form, text in output.data.items()}
    about = {"metadata": output.metadata, "result": output.output_type == "execute_result"}
    return {"data": data} | {key: value for key, value in about.items() if value}
