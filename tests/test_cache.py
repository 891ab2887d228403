"""What is kept between renders: nothing runs twice, nothing is stale, and the bytes are the same."""

import re
import shutil
import time
from pathlib import Path

import pytest
from samples import blog_in
from website import Project, cell

from qmdsite.site import made, open_project


def test_a_second_render_executes_nothing_and_changes_no_byte(tour: Project, tmp_path: Path) -> None:
    same = tour.copy(tmp_path)
    started = time.process_time()
    ran = same.render()
    assert "0 executed" in ran.out
    assert "posts/one/index.qmd  unchanged" in ran.out
    assert time.process_time() - started < 2
    assert same.site() == tour.site()


@pytest.mark.slow
def test_two_cold_renders_give_the_same_bytes(tour: Project, tmp_path: Path) -> None:
    other = Project(tmp_path / "elsewhere")
    shutil.copytree(tour.root, other.root, dirs_exist_ok=True, ignore=shutil.ignore_patterns("_site", ".qmdsite"))
    assert other.render_apart().status == 0
    assert other.site() == tour.site()


@pytest.mark.slow
def test_two_cold_renders_publish_the_same_bytes_and_an_unchanged_one_makes_no_index(
    published: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = blog_in(tmp_path)
    assert other.render_apart().status == 0
    before = published.site()
    assert other.site() == before
    monkeypatch.delattr("qmdsite.search.subprocess")
    assert other.render().status == 0
    assert other.site() == before


@pytest.mark.slow
def test_the_cache_follows_what_a_page_reads(project: Project) -> None:
    project.write("lib/shared.py", "VALUE = 1\n")
    project.write("lib/data.txt", "a\n")
    use = "import sys\nsys.path.insert(0, 'lib')\nimport shared\nprint('value', shared.VALUE)"
    project.page("uses", cell(use))
    project.page("reads", cell("print('data', open('lib/data.txt').read())"))
    project.page("alone", cell("print('alone')"))

    def executed() -> set[str]:
        ran = project.render()
        assert (ran.status, ran.err) == (0, "")
        return set(re.findall(r"(\w+)\.qmd  ran", ran.out))

    assert executed() == {"uses", "reads", "alone"}
    project.write("alone.qmd", (project.root / "alone.qmd").read_text() + "\nMore prose.\n")
    assert executed() == set()
    assert "More prose." in project.html("alone")
    project.write("lib/shared.py", "VALUE = 2\n")
    assert executed() == {"uses"}
    assert "value 2" in project.html("uses")
    project.write("lib/data.txt", "b\n")
    assert executed() == {"reads"}
    assert "data b" in project.html("reads")
    for entry in (project.root / ".qmdsite").rglob("*"):
        if entry.is_file():
            entry.write_bytes(entry.read_bytes()[:-1])
    assert executed() == {"uses", "reads", "alone"}


@pytest.mark.slow
def test_a_result_is_not_kept_if_a_file_changed_while_its_page_ran(project: Project) -> None:
    project.write("data.txt", "before")
    project.page("index", cell("print(open('data.txt').read())\nopen('data.txt', 'w').write('after')"))
    assert "1 executed" in project.render().out
    assert "1 executed" in project.render().out
    assert "after" in project.html("index")


@pytest.mark.slow
def test_the_cache_keeps_only_what_the_last_render_used(project: Project) -> None:
    def entries() -> tuple[int, int]:
        folder = project.root / ".qmdsite"
        return len(list((folder / "runs").iterdir())), len(list((folder / "html").iterdir()))

    for number in range(2):
        project.page("index", cell(f"print('number', {number})"))
        assert project.render().status == 0
        assert entries() == (1, 5)  # the page without outputs and with them, what is on it, the font, and the index


def test_what_other_versions_made_is_made_again(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = open_project(project.root)
    opened.work.mkdir()
    made(opened).put("page", b"words")
    assert made(opened).get("page") == b"words"
    monkeypatch.setattr("qmdsite.site.installed", lambda: ["pypandoc_binary-9.dist-info"])
    assert made(opened).get("page") is None
    monkeypatch.undo()
    monkeypatch.setattr("qmdsite.site.HERE", project.root)
    assert made(opened).get("page") is None
