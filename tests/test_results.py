"""Results that tests take over from earlier renders: they save time, and a wrong one does no harm."""

from pathlib import Path

import pytest
from conftest import copy_results
from website import Project, cell

from qmdsite.cache import Cache
from qmdsite.kernel import LIMITS
from qmdsite.run import Executor


@pytest.mark.slow
def test_results_of_another_folder_hold_for_the_same_cells_and_only_if_whole(project: Project, tmp_path: Path) -> None:
    page = cell("print('once')")
    project.page("index", page)
    assert "1 executed" in project.render().out

    def there(name: str, body: str) -> Project:
        """A project in a folder of its own that starts with the results of this one."""
        copy_results(project.root / ".qmdsite", tmp_path / name / ".qmdsite")
        return Project(tmp_path / name, index=body)

    same, other, damaged = there("same", page), there("other", cell("print('twice')")), there("damaged", page)
    for entry in (damaged.root / ".qmdsite").rglob("*"):
        if entry.is_file():
            entry.write_bytes(entry.read_bytes().replace(b"once", b"ONCE"))
    assert "0 executed" in same.render().out
    assert "1 executed" in other.render().out
    assert "1 executed" in damaged.render().out
    assert "twice" in other.html("index")
    assert same.html("index") == project.html("index") == damaged.html("index")


def test_where_there_are_no_results_none_are_taken_over(tmp_path: Path) -> None:
    copy_results(tmp_path / "nowhere", tmp_path / "here")
    assert {path.name for path in (tmp_path / "here").rglob("*")} == {"runs", "html"}


def test_another_version_of_what_is_installed_is_another_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (installed := tmp_path / "installed").mkdir()
    monkeypatch.syspath_prepend(installed)

    def environment() -> str:
        return Executor(tmp_path, tmp_path, tmp_path, Cache(tmp_path / "runs"), LIMITS).environment

    before = environment()
    (installed / "package-1.0.dist-info").mkdir()
    first = environment()
    (installed / "package-1.0.dist-info").rename(installed / "package-1.1.dist-info")
    assert len({before, first, environment()}) == 3
    assert environment() == environment()
