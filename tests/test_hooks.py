"""The scripts that a project runs before and after a render."""

import os
import re
from pathlib import Path

import pytest
from samples import BLOG_INDEX, BLOG_SETTINGS, DRAW
from website import Project, cell, complaint, finished, until

pytestmark = pytest.mark.slow  # seldom breaks: not while one works


def test_a_script_runs_before_the_pages_are_read_and_is_told_what_quarto_tells_it(blog: Project) -> None:
    script = """\
    import os
    from pathlib import Path
    pages = os.environ["QUARTO_PROJECT_INPUT_FILES"].split("\\n")
    assert pages == ["404.qmd", "index.qmd", "posts/one/index.qmd", "posts/two/index.qmd"]
    assert (os.environ["QUARTO_PROJECT_RENDER_ALL"], Path("_quarto.yml").is_file()) == ("1", True)
    assert Path(os.environ["QUARTO_PROJECT_OUTPUT_DIR"]).is_absolute()
    Path("made.qmd").write_text("---\\ntitle: Made\\ndate: 2026-01-01\\n---\\n")
    """
    blog.write("scripts/card.py", DRAW + re.sub("^    ", "", script, flags=re.M))
    ran = blog.render()
    assert (ran.status, ran.err) == (0, "")
    assert "made.html" in blog.site()


def test_a_script_makes_the_pages_that_are_to_be_rendered(tmp_path: Path) -> None:
    script = (
        "from pathlib import Path\nPath('made').mkdir()\nPath('made/one.qmd').write_text('---\\ntitle: t\\n---\\n')"
    )
    project = finished(tmp_path, script, index="words")
    settings = (
        (tmp_path / "_quarto.yml").read_text().replace("post-render", "render: [index.qmd, made/*.qmd]\n  pre-render")
    )
    project.write("_quarto.yml", settings)
    ran = project.render()
    assert (ran.status, ran.err) == (0, "")
    assert "made/one.html" in project.site()


def test_a_script_that_fails_before_a_render_leaves_the_site_as_it_was(blog: Project) -> None:
    assert blog.render().status == 0
    before = blog.site()
    blog.write("scripts/card.py", "\nraise ValueError('no')")
    blog.write("index.qmd", BLOG_INDEX.replace("Words", "New words"))
    ran = blog.render()
    assert ran.status == 1
    assert ran.err.startswith("scripts/card.py:2: the script failed with status 1\n")
    assert ran.err.endswith("ValueError: no\n")
    assert blog.site() == before


@pytest.mark.parametrize("name", ["card.ts", "none.py"])
def test_a_script_that_is_none_is_named(blog: Project, name: str) -> None:
    blog.write("_quarto.yml", BLOG_SETTINGS.replace("scripts/card.py", name))
    words = f"project.pre-render is '{name}', and must be the path of a Python script, such as finish.py"
    assert complaint(blog) == f"_quarto.yml:3: {words}\n"


FINISH = """\
import os
from pathlib import Path

site, pages = Path(os.environ["QUARTO_PROJECT_OUTPUT_DIR"]), os.environ["QUARTO_PROJECT_OUTPUT_FILES"].split("\\n")
assert os.environ["QUARTO_PROJECT_RENDER_ALL"] == "1" and Path("_quarto.yml").is_file()
assert (site / "dot.svg").is_file()
for page in map(Path, pages):
    page.write_text(page.read_text().replace("PLACE", f"finished {' '.join(map(str, {'a', 'b', 'c'}))}"))
(site / "made.html").write_text("<p id='here'>" + " ".join(sorted(page.name for page in map(Path, pages))))
"""


def test_scripts_finish_the_pages_before_the_site_is_exchanged(tmp_path: Path) -> None:
    page = "PLACE and [made](made.html) ![a](dot.svg)"
    project = finished(tmp_path / "one", FINISH, index=page, other="words\n\nPLACE")
    assert (project.render_apart().status, project.render().err) == (0, "")
    assert "finished " in project.html("index")
    assert "PLACE" not in project.html("other")
    assert project.html("made").endswith("index.html other.html")
    before = project.site()
    assert project.render().status == 0
    assert project.site() == before
    other = finished(tmp_path / "two", FINISH, index=page, other="words\n\nPLACE")
    assert other.render_apart().status == 0
    assert other.site() == before


def test_a_failing_script_is_a_failed_build(tmp_path: Path) -> None:
    project = finished(tmp_path, "", index="words")
    assert project.render().status == 0
    before = project.site()
    project.page("index", "other words")
    for script, line, words in [("\nraise ValueError('no')", 2, "ValueError: no"), ("raise SystemExit('no')", 1, "no")]:
        project.write("scripts/finish.py", script)
        ran = project.render()
        assert ran.status == 1
        assert ran.err.startswith(f"scripts/finish.py:{line}: the script failed with status 1\n")
        assert ran.err.endswith(f"{words}\n")
        assert project.site() == before


SITE_FOLDER = "import os, pathlib, shutil, sys\nsite = pathlib.Path(os.environ['QUARTO_PROJECT_OUTPUT_DIR'])\n"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("sys.exit(3)", "the script failed with status 3\n"),
        ("os.kill(os.getpid(), 9)", "the script failed with signal 9\n"),
        ("os.write(2, b'caf\\xe9'); sys.exit(1)", "the script failed with status 1\ncaf\ufffd\n"),
        ("shutil.rmtree(site)", "the script took away a page of the site: index.html, other.html\n"),
        ("(site / 'other.html').unlink()", "the script took away a page of the site: other.html\n"),
        (
            "(site / 'other.html').unlink(); (site / 'other.html').mkdir()",
            "the script took away a page of the site: other.html\n",
        ),
    ],
)
def test_a_script_that_fails_silently_or_takes_pages_away_is_a_failed_build(
    tmp_path: Path, script: str, words: str
) -> None:
    project = finished(tmp_path, SITE_FOLDER + script, index="words", other="words")
    ran = project.render()
    assert (ran.status, ran.err) == (1, f"scripts/finish.py:1: {words}")
    assert not (project.root / "_site").exists()


def test_what_cells_got_wrong_is_reported_before_a_script_runs(tmp_path: Path) -> None:
    project = finished(tmp_path, "open('ran', 'w')", index=cell("1") + "@eq-none")
    assert project.render().err.startswith("index.qmd:9: '@eq-none' refers to nothing")
    assert not (project.root / "ran").exists()


def test_a_script_that_outlives_a_killed_render_writes_into_no_other_site(tmp_path: Path) -> None:
    wait = "import time\nwhile not os.path.exists('go'): time.sleep(0.01)\n"
    first = "open('ready', 'w')\n" + wait
    first += "try: site.mkdir(parents=True, exist_ok=True); (site / 'stale.txt').write_text('')\n"
    first += "finally: open('gone', 'w')"
    second = "open('go', 'w')\nimport time\nwhile not os.path.exists('gone'): time.sleep(0.01)"
    project = finished(tmp_path, SITE_FOLDER + first, index="words")
    process = project.start()
    until((project.root / "ready").exists)
    process.kill()
    process.wait()
    project.write("scripts/finish.py", SITE_FOLDER + second)
    assert project.render().status == 0
    process.communicate(timeout=20)
    assert "index.html" in project.site()
    assert "stale.txt" not in project.site()
    assert (project.root / "_site").stat().st_mode & 0o777 == 0o777 & ~umask()


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_page_of_a_script_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    project = finished(tmp_path, SITE_FOLDER + "(site / 'made.html').write_bytes(b'caf\\xe9')", index="words")
    ran = project.render()
    assert (ran.status, ran.err) == (2, "made.html:1: the file is not UTF-8 text (byte 3); save it as UTF-8\n")


def test_what_scripts_leave_is_checked_for_links_that_lead_nowhere(tmp_path: Path) -> None:
    write = "import os, pathlib\nsite = pathlib.Path(os.environ['QUARTO_PROJECT_OUTPUT_DIR'])\n"
    page = "[a](made.html#{})"
    script = write + """(site / "made.html").write_text('<p id="yes"><a href="{}">b</a></p>')"""
    project = finished(tmp_path, script.format("index.html#none"), index=page.format("yes"))
    assert project.render().err == "made.html:1: '#none' leads nowhere: index.html has no such place\n"
    project.write("scripts/finish.py", script.format("index.html"))
    assert project.render().status == 0
    project.page("index", page.format("no"))
    assert project.render().err == "index.qmd:5: '#no' leads nowhere: made.html has no such place\n"
