"""What several files of tests share."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """A copy of the project, rendered once for all processes of this run: its folder, and what renders it again."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / "project"

    def render():
        environment = os.environ | {"PYTHONPATH": str(folder / "src")}
        command = [sys.executable, "-m", "qmdsite", "render"]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)

    with (shared / "project.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "_site").exists():
            folder.mkdir(exist_ok=True)
            for name in ("_quarto.yml", "pyproject.toml", "references.bib", "index.qmd"):
                shutil.copy(ROOT / name, folder)
            for name in ("posts", "src"):
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / name, folder / name, ignore=ignored, dirs_exist_ok=True)
            first = render()
            assert first.returncode == 0, first.stderr
    return folder, render
