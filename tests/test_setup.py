"""What sets the project up is locked, and says of itself what is so."""

import re
import tomllib

import pytest
import yaml
from conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):.*##", MAKEFILE, re.M))
VERSIONS = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text("utf-8"), re.M))


def normal(name: str) -> str:
    """Return a package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_package_that_the_project_names_has_its_version() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    named = [*PROJECT["project"]["dependencies"], *extras["site"], *extras["dev"]]
    assert {normal(each.partition("[")[0]) for each in named} <= {normal(name) for name in VERSIONS}


def test_the_build_backend_is_the_locked_one() -> None:
    assert PROJECT["build-system"]["requires"] == [f"hatchling=={VERSIONS['hatchling']}"]
    set_up = re.findall(r"pip install (.*)", MAKEFILE.partition(".venv/ready: ")[2])
    assert all("--constraint constraints.txt" in each for each in set_up)
    assert set_up[0].endswith("hatchling")
    assert "--no-build-isolation" in set_up[1]


def test_the_targets_of_the_tests_choose_by_marks_that_there_are() -> None:
    marks = {mark.partition(":")[0] for mark in PROJECT["tool"]["pytest"]["ini_options"]["markers"]}
    chosen = dict(re.findall(r"^([a-z-]+): .*\n\t\$\(RUN\) pytest(?: -m \"(.*)\")?$", MAKEFILE, re.M))
    assert {target: set(re.findall(r"not (\w+)", words)) for target, words in chosen.items()} == {
        "quick": marks,
        "test": {"deep"},
        "test-deep": set(),
    }


def test_hooks_run_what_is_there() -> None:
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    assert repository["repo"] == "local"
    commands = {hook["entry"].removeprefix(".venv/bin/python -m ") for hook in repository["hooks"]}
    assert commands == {"ruff check", "ruff format", "mypy"}
    assert {hook["language"] for hook in repository["hooks"]} == {"system"}


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_what_is_said_to_be_made_can_be_made(name: str) -> None:
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", (ROOT / name).read_text("utf-8"), re.M))
    assert named <= TARGETS
    assert named


def test_the_changelog_tells_of_the_version() -> None:
    told = re.findall(r"^## \[(.*?)\]( - \d{4}-\d\d-\d\d)?$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert told[0] == ("Unreleased", "")
    assert told[1][0] == PROJECT["project"]["version"]
    assert all(date for _, date in told[1:])
