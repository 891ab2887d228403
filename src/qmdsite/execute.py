"""Running a page's cells in a kernel of its own, and keeping the results for as long as they hold."""

import asyncio
import atexit
import json
import os
import re
import signal
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

from qmdsite.cache import Cache, digest
from qmdsite.problem import FailedCell
from qmdsite.source import Page

Output = dict[str, Any]
Outputs = list[list[Output]]
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# A warning names the kernel's temporary file; the process id in its path would make no two renders equal.
CELL_FILE = re.compile(r"\S*ipykernel_\d+/\d+\.py")

# Runs in the kernel before the first cell: every file that is opened for reading is noted.
WATCH = """
def _watch():
    import os, sys
    sys._qmdsite_opened = opened = set()
    def note(event, args):
        if event == "open" and isinstance(args[0], (str, bytes)) and args[2] & os.O_ACCMODE != os.O_WRONLY:
            opened.add(os.path.abspath(os.fsdecode(args[0])))
    sys.addaudithook(note)
_watch()
del _watch
"""
REPORT = """
import json, sys
modules = {getattr(module, "__file__", None) for module in list(sys.modules.values())} - {None}
print(json.dumps(sorted(modules | sys._qmdsite_opened)))
"""


class Executor:
    """Runs the pages of one project."""

    def __init__(self, root: Path, output: Path, cache: Cache) -> None:
        """Keep results in `cache`, for what is installed now."""
        self.root, self.output, self.cache = root, output, cache
        versions = sorted(f"{each.name} {each.version}" for each in metadata.distributions())
        self.environment = digest(sys.version, *versions, Path(__file__).read_bytes())
        self.kernels: set[int] = set()
        self.stopped = False

    def key(self, page: Page) -> str:
        """Return the name of the page's result: its cells, and the options that matter when they run."""
        cells = [(cell.code, cell.number == 0, cell.options.get("error", False)) for cell in page.cells]
        return digest(self.environment, page.path, json.dumps(cells))

    def kept(self, page: Page) -> Outputs | None:
        """Return the outputs of an earlier run that still hold, a list for each cell that runs."""
        entry = self.cache.get(self.key(page)) if page.cells else b'{"files": {}, "outputs": []}'
        result: dict[str, Any] = json.loads(entry) if entry else {"files": {"": ""}}
        holds = all(self._hash(name) == value for name, value in result["files"].items())
        return result["outputs"] if holds else None

    def run(self, page: Page) -> Outputs:
        """Run the page's cells and keep the outputs."""
        started = time.time()
        with tempfile.TemporaryDirectory(prefix="qmdsite") as sockets:
            outputs, files = asyncio.run(self._run(page, sockets))
        names = [name for name in map(self._within, files) if self._hash(name)]
        # A file that changed while the page ran may have been read before or after: such a result is not kept.
        if all((self.root / name).stat().st_mtime < started for name in names):
            result = {"files": {name: self._hash(name) for name in names}, "outputs": outputs}
            self.cache.put(self.key(page), json.dumps(result).encode())
        return outputs

    def stop(self) -> None:
        """Kill the kernels that run and start no other."""
        self.stopped = True
        for pid in list(self.kernels):
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

    async def _run(self, page: Page, sockets: str) -> tuple[Outputs, list[str]]:
        # Imported here: they take half a second that a render with nothing to run need not spend.
        import nbformat
        from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
        from jupyter_client.manager import AsyncKernelManager
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError, DeadKernelError

        class ThisPython(KernelSpecManager):
            """Knows one kernel, which runs this interpreter, whatever is installed elsewhere."""

            def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
                command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
                return KernelSpec(argv=[*command, "--HistoryManager.enabled=False"], language="python")

        cells = [None, *page.cells, None]
        code = [WATCH, *(cell.code for cell in page.cells), REPORT]
        notebook: Any = nbformat.from_dict({"cells": [  # type: ignore[no-untyped-call]
            {"cell_type": "code", "source": text, "metadata": {}, "outputs": []} for text in code
        ], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})  # fmt: skip
        kernel: Any = AsyncKernelManager(kernel_spec_manager=ThisPython(), connection_file=f"{sockets}/kernel.json",
                                         transport="ipc", ip=f"{sockets}/k")  # fmt: skip
        client = NotebookClient(notebook, km=kernel, timeout=None, shutdown_kernel="immediate")
        settings = {"PYTHONHASHSEED": "0", "IPYTHONDIR": sockets, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
        launch = {"env": {**os.environ, **settings}, "stdout": DEVNULL, "stderr": DEVNULL, "cleanup_kc": True}
        where, pid = f"{page.path}:1: at the start", 0
        try:
            async with client.async_setup_kernel(cwd=str((self.root / page.path).parent), **launch):
                pid = kernel.provisioner.pid
                self.kernels.add(pid)
                for index, (cell, ready) in enumerate(zip(cells, notebook.cells, strict=True)):
                    if self.stopped:
                        raise FailedCell("stopped")
                    if cell:
                        where = f"{cell.path}:{cell.line}: {cell.name}"
                        ready.metadata["tags"] = ["raises-exception"] if cell.options.get("error") else []
                    await client.async_execute_cell(ready, index, store_history=bool(cell and cell.number))
        except CellExecutionError as error:
            raise FailedCell(ANSI.sub("", f"{where} raised {error.ename}: {error.evalue}")) from None
        except (DeadKernelError, RuntimeError) as error:
            died = isinstance(error, DeadKernelError)
            why = "the kernel died: the cell ended the process, or memory ran out" if died else error
            raise FailedCell(f"{where}: {why}") from None
        finally:
            self.kernels.discard(pid)
            atexit.unregister(client._cleanup_kernel)
        outputs = [_tidy(ready.outputs) for ready in notebook.cells[1:-1]]
        return outputs, json.loads("".join(output.text for output in notebook.cells[-1].outputs))


def _tidy(outputs: list[Any]) -> list[Output]:
    """Return the outputs with streams in a fixed order: how two of them interleave differs from run to run."""
    result: list[Output] = []
    streams: dict[str, str] = {}
    for output in [*outputs, None]:
        if output and output.output_type == "stream":
            streams[output.name] = streams.get(output.name, "") + output.text
            continue
        found: list[tuple[str, str]] = [(name, streams[name]) for name in ("stdout", "stderr") if name in streams]
        if output and output.output_type == "error":
            found.append(("error", "\n".join(output.traceback) or f"{output.ename}: {output.evalue}"))
        result += [{"stream": name, "text": CELL_FILE.sub("cell.py", ANSI.sub("", text))} for name, text in found]
        streams = {}
        if output and output.output_type != "error":
            result.append({"data": dict(output.data)})
    return result
