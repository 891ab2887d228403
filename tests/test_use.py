"""The site carries the package: what a reader installs from it is what the pages say."""

import os
import re
import subprocess
import sys
from pathlib import Path

import handgrad
import handgrad.symbolic

NAMES = [f"handgrad.{name}" for name in dir(handgrad)] + [f"symbolic.{name}" for name in handgrad.symbolic.__all__]
# Names of sympy's, with its own documentation.
THEIRS = {"Idx"}


def page(site: Path, name: str) -> str:
    return (site / "posts" / name / "index.html").read_text("utf-8")


def test_pip_installs_the_package_from_the_address_that_the_page_names(
    site: Path, address: str, tmp_path: Path
) -> None:
    told = re.sub(r"<[^>]*>", "", page(site, "use"))
    (command,) = re.findall(r"pip install (https://handgrad\.example/\S+)", told)
    wheel = command.replace("https://handgrad.example/", address)
    options = ["--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", "--target", str(tmp_path)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, wheel], check=True)
    code = "import handgrad, handgrad.symbolic, sys; print(handgrad.__file__, 'torch' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout == f"{tmp_path}/handgrad/__init__.py False\n"


def test_two_renders_build_the_same_wheel(site: Path) -> None:
    (wheel,) = (site / "posts" / "use").glob("*.whl")
    source = site.parent / "posts" / "use" / wheel.name
    before, when = source.read_bytes(), source.stat().st_mtime_ns
    for path in (site.parent / "src").rglob("*.py"):
        path.touch()
    subprocess.run([sys.executable, source.with_name("wheel.py")], check=True)
    assert (source.read_bytes(), source.stat().st_mtime_ns) == (before, when)
    assert wheel.read_bytes() == before


def test_every_notebook_begins_with_what_installs_the_package(site: Path) -> None:
    notebooks = sorted(site.glob("posts/*/index.ipynb"))
    assert len(notebooks) > 8
    for notebook in notebooks:
        assert "%pip install --quiet https://handgrad.example/posts/use/handgrad-" in notebook.read_text("utf-8")
    assert re.search(r"\.whl [^\"]*\bmypy\b", (site / "posts" / "module" / "index.ipynb").read_text("utf-8"))


def test_the_reference_has_every_public_name(site: Path) -> None:
    told = re.sub(r"<[^>]*>", "", page(site, "reference"))
    words = set(re.findall(r"\w+", told))
    assert {name.rpartition(".")[2] for name in NAMES} - THEIRS - words == set()
