"""The phase that runs a project's own scripts, before its pages are read and before its site is exchanged."""

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from qmdsite.problem import FailedCell
from qmdsite.project import Project, texts


def run_scripts(
    project: Project, when: str, site: Path, files: dict[str, list[str]], pages: Iterable[str] = (), whole: bool = True
) -> None:
    """Run the scripts of one kind, with what Quarto tells them; the pages that they find must still be there.

    `site` is the folder that the site is written to, `files` names files by their kind, `whole` says whether all of the
    site is rendered.
    """
    environment = {
        **os.environ,
        "QUARTO_PROJECT_OUTPUT_DIR": str(site),
        "PYTHONHASHSEED": "0",
        **{f"QUARTO_PROJECT_{kind}_FILES": "\n".join(names) for kind, names in files.items()},
    }
    if whole:
        environment["QUARTO_PROJECT_RENDER_ALL"] = "1"
    for name in texts(project.options.get(when)):
        ran = subprocess.run([sys.executable, name], cwd=project.root, env=environment, stderr=subprocess.PIPE)
        message = ran.stderr.decode(errors="replace")
        if status := ran.returncode:
            places = re.findall(rf'File ".*{re.escape(name)}", line (\d+)', message)
            how = f"status {status}" if status > 0 else f"signal {-status}"
            raise FailedCell(f"{name}:{[1, *places][-1]}: the script failed with {how}\n{message}".rstrip())
        print(message, end="", file=sys.stderr, flush=True)
        if lost := [page for page in pages if not (site / page).is_file()]:
            raise FailedCell(f"{name}:1: the script took away a page of the site: {', '.join(lost)}")
