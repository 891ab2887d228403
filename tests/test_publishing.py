"""Never half a site: what is published, and what a render that fails or is stopped leaves."""

import os
import re
import signal
import tempfile
import time
from pathlib import Path

import pytest
from website import DOT, SETTINGS, Project, cell, complaint, until


def test_only_the_pages_named_are_rendered(project: Project) -> None:
    project.page("posts/a/index", "words")
    project.page("draft", "words")
    project.page("posts/_part", "words")
    project.page(".hidden/x", "words")
    named = 'type: website\n  render: ["posts/**/*.qmd", index.qmd]'
    project.write("_quarto.yml", SETTINGS.replace("type: website", named))
    assert project.render().status == 0
    assert {name for name in project.site() if name.endswith(".html")} == {"index.html", "posts/a/index.html"}


def test_resources_are_not_what_is_hidden_private_or_the_site_itself(project: Project) -> None:
    project.write("_quarto.yml", SETTINGS.replace("type: website", "type: website\n  resources: ['*', '.secret/*']"))
    for name in ("a.txt", "data/b.txt", ".env", ".secret/key", "data/.env", "data/_part.txt", "_private/c.txt"):
        project.write(name, "text")
    ran = project.render()
    words = "'.secret/*' matches no file of the project; names that start with '.' or '_' are left out"
    assert (ran.status, ran.err) == (2, f"_quarto.yml:3: {words}\n")
    project.write("_quarto.yml", SETTINGS.replace("type: website", "type: website\n  resources: '*'"))
    for _ in range(2):
        assert project.render().status == 0
        own = {"index.html", *(name for name in project.site() if name.startswith(("site_libs/", "pagefind/")))}
        assert project.site().keys() - own == {"a.txt", "data/b.txt", "index.qmd", "references.bib"}


def test_links_in_comments_and_scripts_are_none_and_a_query_is_no_part_of_a_file(project: Project) -> None:
    project.write("dot.svg", DOT.decode())
    project.write("run.js", "")
    page = '<!-- <img src="gone.png"> -->\n\n'
    page += '<script src="run.js">const text = `<img src="${x}"> <a href="y">`;</script>\n\n'
    page += '![a](dot.svg?v=1) [b](?x=1) [c](index.html?x=1#there) <img src="dot.svg?v=2"> [d]{#there}\n\n'
    project.page("index", page + '<script src="run.js?v=3"></script>')
    ran = project.render()
    assert (ran.status, ran.err) == (0, "")
    assert {"dot.svg", "run.js"} <= project.site().keys()
    project.page("index", '<script src="gone.js?v=3"></script>')
    assert "'gone.js' leads nowhere" in project.render().err


def test_files_that_are_named_or_referred_to_are_copied(project: Project) -> None:
    project.write("_quarto.yml", SETTINGS.replace("type: website", "type: website\n  resources: [data, '*.txt']"))
    for name in ("data/in/a.csv", "data/b.csv", "robots.txt", "posts/x.js", "posts/y.css", "posts/z.js", "unnamed.xyz"):
        project.write(name, "text of " + name)
    raw = "<script src='../x.js' type=module></script>\n<link\nrel=stylesheet href=\"../y.css\">\n\n"
    shown = "from IPython.display import Markdown\nMarkdown('::: {.player}\\n:::\\n<script src=\"../z.js\"></script>')"
    project.page("posts/one/index", raw + cell(shown))
    ran = project.render()
    assert (ran.status, ran.err) == (0, "")
    site = project.site()
    for name in ("data/in/a.csv", "data/b.csv", "robots.txt", "posts/x.js", "posts/y.css", "posts/z.js"):
        assert site[name].decode() == "text of " + name
    assert "unnamed.xyz" not in site


@pytest.mark.slow
def test_a_failing_cell_leaves_the_previous_site_untouched(project: Project) -> None:
    project.page("good", cell("1"))
    project.page("bad", "words")
    assert project.render().status == 0
    before = project.site()
    project.page("bad", cell("x = 1") + cell("raise ValueError('two\\nlines')", "label: trouble"))
    project.page("good", cell("2"))
    project.page("dead", cell("import os\nos._exit(1)"))
    ran = project.render()
    assert ran.status == 1
    assert "bad.qmd:11: cell 'trouble' raised ValueError: two\nlines\n" in ran.err
    assert re.search(r"dead\.qmd:5: .*cell 1.* the kernel died", ran.err)
    assert "Traceback" not in ran.err
    assert "good.qmd  ran 1 cells" in ran.out
    assert project.site() == before


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_a_render_that_is_stopped_leaves_the_previous_site_untouched(
    project: Project, number: signal.Signals, status: int
) -> None:
    project.page("index", "words")
    assert project.render().status == 0
    before = project.site()
    project.page(
        "index", cell("import os, time\nopen('pid', 'w').write(str(os.getpid()))\nopen('ready', 'w')\ntime.sleep(60)")
    )
    process = project.start()
    until((project.root / "ready").exists)
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == status
    assert "Traceback" not in err
    assert project.site() == before
    kernel = Path("/proc") / (project.root / "pid").read_text()
    for _ in range(100):
        if not kernel.exists():
            break
        time.sleep(0.05)
    assert not kernel.exists()
    project.page("index", "new words")
    assert project.render().status == 0
    assert "new words" in project.html("index")
    assert not list((project.root / ".qmdsite").glob("new*"))


def test_a_full_disk_leaves_the_previous_site_untouched(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.page("index", "words")
    assert project.render().status == 0
    before = project.site()
    project.page("index", "new words")
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.name == "math.woff2":
            raise OSError(28, "No space left on device", str(path))
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    assert "No space left on device" in complaint(project)
    assert project.site() == before


@pytest.mark.slow
def test_a_second_render_waits_for_the_first(project: Project) -> None:
    project.page("index", cell("open('ready', 'w')\nimport time\ntime.sleep(1)"))
    first = project.start()
    until((project.root / "ready").exists)
    second = project.render()
    assert first.communicate(timeout=20)[0].endswith("s\n")
    assert "waiting" in second.out
    assert "0 executed" in second.out


def test_what_others_left_in_the_work_folder_does_no_harm(project: Project) -> None:
    project.page("index", "words")
    (project.root / ".qmdsite/runs/mine").mkdir(parents=True)
    for _ in range(2):
        project.write(".qmdsite/new/stale.html", "from a render that was killed")
        assert project.render().status == 0
        assert "stale.html" not in project.site()
    assert (project.root / ".qmdsite/runs/mine").is_dir()


@pytest.mark.slow
def test_a_deep_folder_has_short_sockets_and_a_killed_render_leaves_one_folder_that_the_next_clears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(tmp_path / "/".join(["folder"] * 20))
    with tempfile.TemporaryDirectory() as sockets:
        monkeypatch.setenv("TMPDIR", sockets)
        for _ in range(2):
            project.page("index", cell("open('ready', 'w')\nimport time\ntime.sleep(60)"))
            process = project.start()
            until((project.root / "ready").exists)
            (project.root / "ready").unlink()
            process.kill()
            process.communicate()
            assert len(os.listdir(sockets)) == 1
        project.page("index", cell("print('done')"))
        assert project.render_apart().status == 0
        assert os.listdir(sockets) == []


def test_without_an_exchange_in_one_step_two_renames_do_and_a_kill_between_them_is_mended(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qmdsite.write._exchanged", lambda *folders: False)
    for words in ("first words", "second words"):
        project.page("index", words)
        assert project.render().status == 0
        assert words in project.html("index")
    before = project.site()
    (project.root / "_site").rename(project.root / ".qmdsite/old")
    project.page("index", "@eq-none")
    assert project.render().status == 2
    assert project.site() == before
    assert not (project.root / ".qmdsite/old").exists()
