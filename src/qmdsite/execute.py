"""Running a page's cells in a kernel of its own, and remembering the results for as long as they hold."""

import asyncio
import json
import os
import re
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

from qmdsite.cache import Cache, digest
from qmdsite.problem import FailedCell
from qmdsite.source import Cell, Page

Output = dict[str, Any]
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# A warning names the kernel's temporary file, whose path holds the process id: no two renders would be equal.
CELL_FILE = re.compile(r"\S*ipykernel_\d+/\d+\.py")

# Runs in the kernel before the first cell, to note every file that is opened for reading.
WATCH = """
def _watch():
    import os, sys
    sys._qmdsite_opened = opened = set()
    def note(event, args):
        if event == "open" and isinstance(args[0], (str, bytes)) and args[2] & 3 != os.O_WRONLY:
            opened.add(os.path.abspath(os.fsdecode(args[0])))
    sys.addaudithook(note)
_watch()
del _watch
"""
REPORT = """
def _report():
    import json, sys
    modules = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    print(json.dumps(sorted(set(filter(None, modules)) | sys._qmdsite_opened)))
_report()
"""


def environment() -> str:
    """Return a name for everything installed that a result may depend on."""
    versions = sorted(f"{each.name} {each.version}" for each in metadata.distributions())
    return digest(sys.version, *versions, Path(__file__).read_bytes())


class Executor:
    """Runs pages of one project; results are kept in `cache`."""

    def __init__(self, root: Path, output: Path, cache: Cache) -> None:
        """Results hold for this environment, and until a file of the project that a page read changes."""
        self.root, self.output, self.cache = root, output, cache
        self.environment = environment()
        self.kernels: set[int] = set()
        self.stopped = False

    def key(self, page: Page) -> str:
        """Return the name of the page's result: its cells and the options that matter when they run."""
        cells = [(cell.code, cell.number == 0, cell.options.get("error", False)) for cell in page.cells]
        return digest(self.environment, page.path, json.dumps(cells))

    def remembered(self, page: Page) -> list[list[Output]] | None:
        """Return the outputs of an earlier run that still hold, one list for each cell that runs."""
        if not page.cells:
            return []
        entry = self.cache.get(self.key(page))
        if entry is None:
            return None
        result = json.loads(entry)
        if any(self._hash(name) != value for name, value in result["files"].items()):
            return None
        outputs: list[list[Output]] = result["outputs"]
        return outputs

    def run(self, page: Page) -> list[list[Output]]:
        """Run the page's cells and remember the outputs."""
        started = time.time()
        with tempfile.TemporaryDirectory(prefix="qmdsite") as sockets:
            outputs, files = asyncio.run(self._run(page, sockets))
        names = [name for name in map(self._within, files) if name and self._hash(name)]
        # A file that changed while the page ran may have been read before or after: such a result is not kept.
        if all((self.root / name).stat().st_mtime < started for name in names):
            result = {"files": {name: self._hash(name) for name in names}, "outputs": outputs}
            self.cache.put(self.key(page), json.dumps(result).encode())
        return outputs

    def stop(self) -> None:
        """Kill the kernels that run and start no other."""
        self.stopped = True
        for pid in list(self.kernels):
            os.kill(pid, 9)

    def _within(self, file: str) -> str | None:
        path = Path(file).resolve()
        if not path.is_relative_to(self.root) or path.is_relative_to(self.output):
            return None
        name = path.relative_to(self.root)
        hidden = any(part.startswith(".") or part in ("__pycache__", "site-packages") for part in name.parts)
        return None if hidden else name.as_posix()

    def _hash(self, name: str) -> str | None:
        try:
            return digest((self.root / name).read_bytes())
        except OSError:
            return None

    async def _run(self, page: Page, sockets: str) -> tuple[list[list[Output]], list[str]]:
        # Imported here: they take half a second that a render with nothing to run need not spend.
        import nbformat
        from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
        from jupyter_client.manager import AsyncKernelManager
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError, DeadKernelError

        class ThisPython(KernelSpecManager):  # type: ignore[misc]
            """Knows one kernel: this interpreter, whatever kernels are installed."""

            def get_kernel_spec(self, kernel_name: str) -> Any:
                command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}",
                           "--HistoryManager.enabled=False", "--InteractiveShell.banner1="]  # fmt: skip
                return KernelSpec(argv=command, display_name="Python", language="python")

        code = [WATCH, *(cell.code for cell in page.cells), REPORT]
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in code])
        kernel = AsyncKernelManager(
            kernel_spec_manager=ThisPython(), connection_file=f"{sockets}/kernel.json", transport="ipc", ip=f"{sockets}/k"
        )
        client = NotebookClient(notebook, km=kernel, timeout=None, startup_timeout=120)
        settings = {"PYTHONHASHSEED": "0", "IPYTHONDIR": str(self.cache.folder.parent / "ipython"),
                    "PYDEVD_DISABLE_FILE_VALIDATION": "1", "NO_COLOR": "1"}  # fmt: skip
        folder = (self.root / page.path).parent
        cell: Cell | None = None
        launch = {"cwd": str(folder), "env": {**os.environ, **settings}, "stdout": DEVNULL, "stderr": DEVNULL}
        async with client.async_setup_kernel(**launch):
            pid = kernel.provisioner.pid
            self.kernels.add(pid)
            try:
                if self.stopped:
                    raise KeyboardInterrupt
                for index, (cell, ready) in enumerate(zip([None, *page.cells, None], notebook.cells, strict=True)):
                    if cell and cell.options.get("error"):
                        ready.metadata["tags"] = ["raises-exception"]
                    await client.async_execute_cell(ready, index, store_history=bool(cell and cell.number))
            except CellExecutionError as error:
                where = f"{cell.path}:{cell.line}: {cell.name}" if cell else page.path
                raise FailedCell(ANSI.sub("", f"{where} raised {error.ename}: {error.evalue}")) from None
            except DeadKernelError:
                where = f"{cell.path}:{cell.line}: in {cell.name}" if cell else page.path
                raise FailedCell(f"{where} the kernel died: the cell ended the process, or memory ran out") from None
            finally:
                self.kernels.discard(pid)
                await kernel.shutdown_kernel(now=True)
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
        for name in sorted(streams, reverse=True):
            result.append({"stream": name, "text": CELL_FILE.sub("cell.py", ANSI.sub("", streams[name]))})
        streams = {}
        if output and output.output_type == "error":
            text = "\n".join(output.traceback) or f"{output.ename}: {output.evalue}"
            result.append({"stream": "error", "text": CELL_FILE.sub("cell.py", ANSI.sub("", text))})
        elif output:
            result.append({"data": dict(output.data)})
    return result
