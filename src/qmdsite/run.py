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

from qmdsite import kernel
from qmdsite.cache import Cache, digest, installed
from qmdsite.kernel import Limits
from qmdsite.page import Cell, Output, Outputs, Page
from qmdsite.problem import FailedCell

# Colours, and the file that a syntax error is said to be in, which only the kernel knows.
NOISE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]| \(\d+\.py, line \d+\)")
# A warning names the kernel's temporary file; the process id in its path would make no two renders equal.
CELL_FILE = re.compile(r"\S*ipykernel_\d+/\d+\.py")


def figures(page: Page) -> tuple[str, str]:
    """Return what matplotlib starts with, which a style overrides, and the format of figures in the kernel.

    A figure has the same bytes each time: without a date, and with names that are not random.
    """
    form, width, height = map(page.options.get, ("fig-format", "fig-width", "fig-height"), ("retina", 7, 5))
    settings = f"figure.figsize: {width}, {height}\nfigure.dpi: 96\nsvg.hashsalt: qmdsite\n"
    keywords = {"bbox_inches": "tight"} | ({"metadata": {"Date": None}} if form == "svg" else {})
    inline = {"figure_formats": [form], "print_figure_kwargs": keywords}
    # Without the second, a command behind "!" fails unseen.
    config = {"InlineBackend": inline, "InteractiveShell": {"system_raise_on_error": True}}
    return settings, json.dumps(config)


class Executor:
    """Runs the pages of one project."""

    def __init__(self, root: Path, output: Path, sockets: Path, cache: Cache, limits: Limits) -> None:
        """Keep results in `cache`, for what is installed now, and the kernels' sockets in `sockets`."""
        self.root, self.output, self.sockets, self.cache, self.limits = root, output, sockets, cache, limits
        code = (Path(__file__).read_bytes(), Path(kernel.__file__).read_bytes())
        self.environment = digest(sys.version, *installed(), *code)
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
        """Run the page's cells in a kernel; return what they show, and which files it read."""
        import asyncio  # here, as what takes half a second that a render with nothing to run need not spend

        client = _client(page, folder, self.limits)

        def starting(cell: Any, cell_index: int) -> None:
            self.kernels[page.path] = client.km.provisioner.pid
            if self.stopped:
                raise FailedCell("stopped")

        client.on_cell_start = starting
        environment = _environment(page, folder)
        launch: Any = {"env": environment, "stdout": DEVNULL, "stderr": DEVNULL, "cleanup_kc": True}
        try:
            asyncio.run(client.async_execute(cwd=str((self.root / page.path).parent), **launch))
        except Exception as error:
            at = min(max(client.code_cells_executed, 1), len(page.cells)) - 1
            raise _failure(page.cells[at], client.nb.cells[at], error, client.too_much, self.limits) from None
        finally:
            self.kernels.pop(page.path, None)
            atexit.unregister(client._cleanup_kernel)
            kernel.end(folder)
        cells = client.nb.cells[:-1]
        told = json.loads(Path(folder, "read.json").read_text())
        _see_failures(page.cells, cells, told["failed"])
        return [_tidy(ready.outputs) for ready in cells], told["files"]


def _client(page: Page, folder: str, limits: Limits) -> Any:
    """Return what runs the page's cells, and one more, on which the kernel tells what was read."""
    import nbformat
    from nbclient import NotebookClient

    class Client(NotebookClient):
        shown, too_much = 0, False

        def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
            content = msg["content"]
            parts = (content.get("text"), *content.get("data", {}).values())
            self.shown += sum(len(part) for part in parts if isinstance(part, str))
            if self.shown > limits.output * 2**20 and not self.too_much:
                # The cell still runs, and would be waited for.
                self.too_much = True
                os.kill(manager.provisioner.pid, signal.SIGKILL)
            return None if self.too_much else super().process_message(msg, cell, cell_index)

    code = [(cell.code, cell.options.get("error", False)) for cell in page.cells] + [(kernel.LAST, False)]
    notebook: Any = nbformat.from_dict({"cells": [  # type: ignore[no-untyped-call]
        {"cell_type": "code", "execution_count": None, "source": text, "outputs": [],
         "metadata": {"tags": ["raises-exception"] * error}}
        for text, error in code
    ], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})  # fmt: skip
    manager = _kernel(folder, limits)
    return Client(notebook, km=manager, timeout=limits.seconds, shutdown_kernel="immediate")


def _kernel(folder: str, limits: Limits) -> Any:
    """Return the manager of one kernel, which runs this interpreter, whatever is installed elsewhere."""
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager

    class ThisPython(KernelSpecManager):
        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            # -P: a file in the page's folder is not taken for one of the kernel's own modules.
            command = [sys.executable, "-P", kernel.__file__, "{connection_file}"]
            return KernelSpec(argv=[*command, str(os.getpid()), str(limits.memory * 2**20)], language="python")

    connection: Any = {"connection_file": f"{folder}/kernel.json", "transport": "ipc", "ip": f"{folder}/k"}
    return AsyncKernelManager(kernel_spec_manager=ThisPython(), **connection)


def _environment(page: Page, folder: str) -> dict[str, str]:
    """Write what the kernel reads when it starts, and return its environment."""
    Path(folder, "profile_default").mkdir()
    for name, text in zip(("matplotlibrc", "profile_default/ipython_config.json"), figures(page), strict=True):
        Path(folder, name).write_text(text)
    # Optimized, Python would leave out what cells assert.
    settings = {"PYTHONHASHSEED": "0", "PYTHONOPTIMIZE": "", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    return {**os.environ, **settings, kernel.FOLDER: folder, "MATPLOTLIBRC": f"{folder}/matplotlibrc"}


def _failure(cell: Cell, ready: Any, error: Exception, too_much: bool, limits: Limits) -> FailedCell:
    """Return what is said of a cell that stopped the run; `ready` is the same cell as it ran."""
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
    from nbformat import ValidationError

    if isinstance(error, CellExecutionError):
        return _raised(cell, ready, error.ename, error.evalue, error.traceback)
    if too_much:
        words = f": the page shows more than {limits.output} megabytes; --output allows more"
    elif isinstance(error, CellTimeoutError):
        words = f": it took longer than {limits.seconds} seconds; --seconds allows more"
    elif isinstance(error, DeadKernelError):
        words = ": the kernel died: the cell ended the process, or memory ran out"
    elif isinstance(error, ValidationError):
        words = f" shows what no notebook may hold: {str(error).splitlines()[0]}"
    else:
        words = f": the kernel failed: {type(error).__name__}: {error}"
    return FailedCell(f"{cell.path}:{cell.line}: {cell.name}{words}")


def _raised(cell: Cell, ready: Any, name: str, value: str, traceback: str) -> FailedCell:
    """Return what is said of a cell that raised, or showed that something did, with the line where."""
    count = ready.get("execution_count", 0)
    places = re.findall(rf"Cell In\[{count}\], line (\d+)", NOISE.sub("", traceback))
    line = cell.start + int(places[-1]) - 1 if places else cell.line
    return FailedCell(f"{cell.path}:{line}: {cell.name} raised {name}: {NOISE.sub('', value)}")


def _see_failures(cells: list[Cell], ready: list[Any], threads: list[tuple[int, str, str]]) -> None:
    """Raise what cells show as an error though they ended well, and what threads of theirs ended with."""
    for number, (cell, ran) in enumerate(zip(cells, ready, strict=True)):
        if not cell.options.get("error"):
            for output in ran.outputs:
                if output.output_type == "error":
                    raise _raised(cell, ran, output.ename, output.evalue, "\n".join(output.traceback))
            for at, name, value in threads:
                if at == number:
                    raise FailedCell(f"{cell.path}:{cell.line}: {cell.name}: a thread of it raised {name}: {value}")


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
