"""The render of one page or folder: it and what lists it are new, and the rest of the site is as it was."""

import json
import shutil
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from conftest import ROOT
from website import DOT, Project, Run, cell, until

from qmdsite.__main__ import main

SETTINGS = """\
project:
  type: website
  post-render: [tell.py]
  pre-render: tell.py
website:
  title: Small
  site-url: https://small.example
  llms-txt: true
"""
TELL = """\
import json, os
told = {name.removeprefix("QUARTO_PROJECT_"): os.environ.get(name, "").split("\\n") for name in (
    "QUARTO_PROJECT_RENDER_ALL", "QUARTO_PROJECT_INPUT_FILES", "QUARTO_PROJECT_OUTPUT_FILES")}
with open("told.json", "a") as file:
    print(json.dumps(told), file=file)
"""
INDEX = "---\ntitle: Home\nlisting:\n  contents: posts\n  sort: title\n---\n\n[out](https://one.example)\n"
POST = "---\ntitle: {}\ndate: 2026-01-02\n---\n\n{}\n\n![A dot](dot.svg)\n"


def render(path: Path) -> Run:
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        status = main(["render", str(path)])
    return Run(status, out.getvalue(), err.getvalue())


def told(project: Project) -> list[dict[str, list[str]]]:
    """Return what the scripts were told since this was asked last."""
    file = project.root / "told.json"
    lines = file.read_text().splitlines() if file.exists() else []
    file.unlink(missing_ok=True)
    return [json.loads(line) for line in lines]


@pytest.fixture
def four(project: Project) -> Project:
    """A project of a list, two posts, and two other pages, not rendered yet."""
    project.write("_quarto.yml", SETTINGS)
    project.write("tell.py", TELL)
    project.write("index.qmd", INDEX)
    for name in ("one", "two"):
        project.write(f"posts/{name}/index.qmd", POST.format(name, f"words of {name}"))
        project.write(f"posts/{name}/dot.svg", DOT.decode())
    project.page("about", "words of about")
    project.write("404.qmd", "---\ntitle: Lost\n---\n\n[home](index.qmd)\n")
    return project


@pytest.fixture
def small(four: Project) -> Project:
    """The project with its site."""
    ran = four.render()
    assert (ran.status, ran.err) == (0, "")
    told(four)
    return four


def changed(before: dict[str, bytes], after: dict[str, bytes]) -> set[str]:
    """Return the names of what differs, but for the index of the search, which is over all pages."""
    names = {name for name, _ in before.items() ^ after.items()}
    return {name for name in names if not name.startswith("pagefind/")}


def edit(project: Project) -> None:
    """Edit every page, and a picture of each post."""
    for name in ("one", "two"):
        project.write(f"posts/{name}/index.qmd", POST.format(f"New {name}", f"other words of {name}"))
        project.write(f"posts/{name}/dot.svg", DOT.decode().replace("4", "5"))
    project.page("about", "other words of about")


@pytest.mark.parametrize("path", ["posts/one", "posts/one/", "posts/one/index.qmd"])
def test_a_page_and_what_lists_it_are_new_and_the_rest_is_byte_for_byte_as_it_was(small: Project, path: str) -> None:
    before = small.site()
    edit(small)
    ran = render(small.root / path)
    assert (ran.status, ran.err) == (0, "")
    assert "_site: 2 pages" in ran.out
    assert changed(before, small.site()) == {
        "index.html", "llms.txt",
        "posts/one/index.html", "posts/one/index.llms.md", "posts/one/dot.svg",
    }  # fmt: skip
    assert "other words of one" in small.html("posts/one/index")
    assert "New one" in small.html("index")


def test_a_folder_is_all_pages_in_it(small: Project) -> None:
    edit(small)
    assert "_site: 3 pages" in render(small.root / "posts").out
    assert "other words of two" in small.html("posts/two/index")
    assert "other words" not in small.html("about")


def test_the_whole_render_afterwards_gives_what_it_gives_from_nothing(small: Project, tmp_path: Path) -> None:
    edit(small)
    assert render(small.root / "posts/one").status == 0
    assert small.render().status == 0
    fresh = small.copy(tmp_path / "fresh")
    shutil.rmtree(fresh.root / "_site")
    assert fresh.render().status == 0
    assert small.site() == fresh.site()


def test_after_an_edit_of_one_page_its_render_gives_the_site_that_a_whole_one_gives(small: Project) -> None:
    small.write("posts/one/index.qmd", POST.format("One", "$\\aleph$ and other words"))
    assert render(small.root / "posts/one").status == 0
    alone = small.site()
    assert small.render().status == 0
    assert small.site() == alone


def test_scripts_are_told_of_the_pages_that_are_rendered(small: Project) -> None:
    assert render(small.root / "posts/one").status == 0
    before, after = told(small)
    assert before["RENDER_ALL"] == after["RENDER_ALL"] == [""]
    assert before["INPUT_FILES"] == ["posts/one/index.qmd"]
    assert [name.rpartition("/site/")[2] for name in after["OUTPUT_FILES"]] == ["index.html", "posts/one/index.html"]


def test_without_a_site_all_is_rendered(four: Project) -> None:
    assert "_site: 5 pages" in render(four.root / "about.qmd").out
    before, after = told(four)
    assert before["RENDER_ALL"] == after["RENDER_ALL"] == ["1"]
    assert len(before["INPUT_FILES"]) == len(after["OUTPUT_FILES"]) == 5


def test_what_the_site_lacks_comes_along(small: Project) -> None:
    small.write("posts/three/index.qmd", POST.format("three", "words").replace("dot.svg", "../one/dot.svg"))
    before = small.site()
    assert "_site: 3 pages" in render(small.root / "posts/one").out
    assert "words" in small.html("posts/three/index")
    assert small.site()["posts/two/index.html"] == before["posts/two/index.html"]


@pytest.mark.parametrize("path", ["posts/none", "posts/on", "none.qmd", "tell.py"])
@pytest.mark.parametrize("whole", [True, False])
def test_an_unknown_name_is_said(four: Project, path: str, whole: bool) -> None:
    if whole:
        assert four.render().status == 0
    before = four.site()
    ran = render(four.root / path)
    words = "there is no such page in the project, and no page in such a folder"
    assert (ran.status, ran.err) == (2, f"{path}:1: {words}\n")
    assert four.site() == before


def test_only_the_errors_of_the_pages_that_are_rendered_stop_it(small: Project) -> None:
    small.write("posts/two/index.qmd", POST.format("two", "@eq-none"))
    assert render(small.root / "posts/one").status == 0
    ran = render(small.root / "posts/two")
    assert (ran.status, ran.err) == (
        2,
        "posts/two/index.qmd:6: '@eq-none' refers to nothing: this page has no such equation\n",
    )


def test_a_place_that_is_new_in_a_page_that_is_not_rendered_is_said_to_need_the_whole_site(small: Project) -> None:
    small.page("about", "## New {#new}")
    small.page("other", "[a](about.qmd#new)")
    run = render(small.root / "other.qmd")
    words = "'#new' leads nowhere: about.html has no such place, as it was last rendered: render the whole site"
    assert (run.status, run.err) == (2, f"other.qmd:5: {words}\n")
    assert render(small.root).status == 0


def test_links_to_other_sites_stay_listed(small: Project) -> None:
    listed = (small.root / ".qmdsite/links.txt").read_text()
    assert "https://one.example\tindex.html\n" in listed
    assert render(small.root / "about.qmd").status == 0
    assert (small.root / ".qmdsite/links.txt").read_text() == listed


@pytest.mark.slow
def test_only_the_cells_of_the_page_run_and_others_keep_what_they_showed(small: Project) -> None:
    for name in ("one", "two"):
        small.write(f"posts/{name}/index.qmd", POST.format(name, cell(f"print('ran', '{name}')")))
    assert "1 executed" in render(small.root / "posts/one").out
    assert "ran one" in small.html("posts/one/index")
    assert "words of two" in small.html("posts/two/index")
    assert "1 executed" in small.render().out


@pytest.mark.slow
@pytest.mark.parametrize("where", ["cell", "script"])
def test_killed_in_the_middle_it_leaves_the_old_site(small: Project, where: str) -> None:
    before = small.site()
    wait = "open('ready', 'w')\nimport os, time\nwhile not os.path.exists('go'): time.sleep(0.01)"
    if where == "cell":
        small.write(
            "posts/one/index.qmd", POST.format("one", cell(f"import os\nos.chdir({str(small.root)!r})\n{wait}"))
        )
    else:
        small.write("posts/one/index.qmd", POST.format("one", "killed words"))
        small.write(
            "tell.py", f"import os, sys\nif 'QUARTO_PROJECT_OUTPUT_FILES' not in os.environ: sys.exit()\n{wait}"
        )
    process = small.start("render", str(small.root / "posts/one"))
    until((small.root / "ready").exists)
    process.kill()
    small.write("go", "")  # a script outlives the render
    process.communicate(timeout=20)
    assert small.site() == before
    small.write("tell.py", "")
    small.write("posts/one/index.qmd", POST.format("one", "living words"))
    assert render(small.root / "posts/one").status == 0
    assert "living words" in small.html("posts/one/index")


RECEIPT = """\
```{{=html}}
<div class="receipt"><p><strong>Checked: {0}</strong></p><table><tr><th></th></tr>
<tr><td>a</td><td>float64</td><td>{1}</td><td>1e-9</td><td>1e-7</td></tr></table></div>
```
"""


def test_the_list_of_receipts_follows_a_page_that_is_rendered_alone(small: Project) -> None:
    shutil.copy(ROOT / "posts/receipts/collect.py", small.root / "tell.py")
    small.write("_quarto.yml", SETTINGS.replace("  pre-render: tell.py\n", ""))
    place = '```{=html}\n<div id="receipts"></div><!-- receipts -->\n```'
    small.page("posts/receipts/index", place)
    for name, count in {"one": 3, "two": 4}.items():
        small.write(f"posts/{name}/index.qmd", POST.format(name, RECEIPT.format(name, count)))
    ran = small.render()
    assert (ran.status, ran.err) == (0, "")
    assert "7 comparisons in 2 checks" in small.html("posts/receipts/index")
    before = small.site()
    small.write("posts/one/index.qmd", POST.format("one", RECEIPT.format("one", 30)))
    assert render(small.root / "posts/one").status == 0
    assert "34 comparisons in 2 checks" in small.html("posts/receipts/index")
    assert "posts/two/index.html" not in changed(before, small.site())
