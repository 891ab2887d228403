"""A layer that is new is told here where else it must be named: each of these takes no time."""

import pkgutil
import re
from importlib import import_module
from pathlib import Path

import pytest
from cases import CASES, Case

import handgrad
from handgrad import Layer, Sequential

ROOT = Path(__file__).parent.parent
POSTS = sorted(ROOT.glob("posts/*/index.qmd"))


def public_layers() -> list[type[Layer]]:
    """Return the layers of the package; a Sequential is made of others and has no gradient of its own."""
    modules = [import_module(f"handgrad.{module.name}") for module in pkgutil.iter_modules(handgrad.__path__)]
    classes = {value for module in modules for value in vars(module).values() if isinstance(value, type)}
    layers = {cls for cls in classes if issubclass(cls, Layer)} - {Layer, Sequential}
    return sorted(layers, key=lambda layer: layer.__name__)


@pytest.mark.parametrize("layer", public_layers(), ids=lambda layer: layer.__name__)
def test_every_layer_has_a_case(layer: type[Layer]) -> None:
    layers = [case.layer for case in CASES.values()]
    assert layer in layers, f"tests/cases.py: add a Case for {layer.__name__} to CASES"


@pytest.mark.parametrize("layer", public_layers(), ids=lambda layer: layer.__name__)
def test_every_layer_is_exported(layer: type[Layer]) -> None:
    name, home = layer.__name__, layer.__module__
    lines = f"`from {home} import {name} as {name}` and to _HOME `{name!r}: {home.removeprefix('handgrad.')!r}`"
    assert name in dir(handgrad), f"src/handgrad/__init__.py: add {lines}"


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_case_has_wrong_versions_of_its_layer(case: Case) -> None:
    name = case.layer.__name__
    assert case.mistakes, f"tests/cases.py: add a wrong {name}, @wrong({case.name!r}, 'what is said of it')"
    assert all(issubclass(mistake.layer, case.layer) for mistake in case.mistakes)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_layer_has_a_post_that_prints_it_and_that_its_module_names(case: Case) -> None:
    post, name = ROOT / "posts" / case.post / "index.qmd", case.layer.__name__
    assert post in POSTS, f"posts/{case.post}/index.qmd: write it, or give the case the post that derives {name}"
    assert re.search(rf"getsource.*\b{name}\b", post.read_text()), f"{post}: print inspect.getsource({name})"
    module = import_module(case.layer.__module__)
    named = re.search(rf"posts/{case.post}\b", module.__doc__ or "")
    assert named, f"{module.__file__}: name posts/{case.post} in the docstring, as what derives {name}"


@pytest.mark.parametrize("post", POSTS, ids=lambda post: post.parent.name)
def test_the_readme_lists_every_post(post: Path) -> None:
    listed = (ROOT / "README.md").read_text().partition("\nposts/ ")[2].partition("\nsrc/")[0].split()
    assert post.parent.name in listed, f"README.md: add {post.parent.name} to the posts under 'What is where'"
