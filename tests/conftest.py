"""What several files of tests share."""

import fcntl
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parent.parent


def copy_project(folder):
    """Copy what is rendered; return the function that renders it there."""
    folder.mkdir(exist_ok=True)
    for name in ("_quarto.yml", "pyproject.toml", "references.bib", "index.qmd"):
        shutil.copy(ROOT / name, folder)
    for name in ("posts", "src"):
        ignored = shutil.ignore_patterns("__pycache__", ".*_cache")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored, dirs_exist_ok=True)
    environment = os.environ | {"PYTHONPATH": str(folder / "src")}
    command = [sys.executable, "-m", "qmdsite", "render"]
    return partial(subprocess.run, command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The whole project's `_site`, rendered once for all processes of this run."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / "project"
    with (shared / "project.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "_site").exists():
            first = copy_project(folder)()
            assert first.returncode == 0, first.stderr
    return folder / "_site"


@pytest.fixture(scope="session")
def browser():
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
    if not path and os.environ.get("CI"):
        pytest.fail("the gate needs a browser: install chromium")
    if not path:
        pytest.skip("no chromium on the PATH: pages are not looked at in a browser")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        started = playwright.chromium.launch(executable_path=path, args=arguments)
        yield started
        started.close()
