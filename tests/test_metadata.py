"""The metadata of a folder, and the source that a page offers."""

import re
from pathlib import Path

import pytest
from samples import FOLDER, TWO
from website import Project, cell, complaint


@pytest.mark.slow
def test_the_metadata_of_a_folder_holds_below_that_of_a_page_and_above_that_of_the_project(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write("posts/two/index.qmd", TWO)
    settings = "author: Nobody\ntoc-title: Contents\nformat: {ipynb: default}\n"
    project.write("_quarto.yml", "project:\n  type: website\nwebsite:\n  search: false\n" + settings)
    project.write("posts/_metadata.yml", FOLDER + "toc-title: On it\nexecute: {echo: false}\nformat: {html: default}\n")
    project.write("posts/one/index.qmd", "---\ntitle: One\n---\n\n## First\n\n" + cell("print('printed', 42)"))
    project.write("posts/one/_metadata.yml", "author: Inner\n")
    assert project.render().status == 0
    one, two = project.html("posts/one/index"), project.html("posts/two/index")
    assert re.findall('class="author">(.*?)<', one) == ["Inner"]
    assert re.findall('class="author">(.*?)<', two) == ["B. Author", "C. Author"]
    assert re.findall('class="author">(.*?)<', project.html("index")) == ["Nobody"]
    assert "On it" in one
    assert "Contents" not in one
    assert ("printed 42" in one, "cell-code" in one) == (True, False)
    assert "category=maths" in one
    assert 'class="categories"' not in two
    assert "posts/one/index.ipynb" in project.site()
    project.write("posts/_metadata.yml", FOLDER)
    assert "0 executed" in project.render().out
    assert "cell-code" in project.html("posts/one/index")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("author: A\ntitel: t\n", 2, "the option 'titel' is not supported"),
        ("title: t\n", 1, "the option 'title' is not supported"),
        ("bibliography: a.bib\n", 1, "the option 'bibliography' is not supported"),
        ("toc: maybe\n", 1, "toc is 'maybe', and must be true or false"),
        ("a: [\n", 1, "this is not valid YAML"),
        ("code-tools: true\n", 1, "code-tools is True, and must be options"),
        ("code-tools:\n  source: repo\n  toggle: false\n", 2, "code-tools.source is 'repo', and must be true"),
        (
            "code-tools: {source: true, caption: S}\n",
            1,
            "of code-tools only the source is supported; write 'source: true'",
        ),
        ("format:\n  html:\n    code-tools: {}\n", 3, "of code-tools only the source is supported"),
    ],
)
def test_wrong_metadata_of_a_folder_is_named_once(blog: Project, text: str, line: int, words: str) -> None:
    blog.write("posts/_metadata.yml", text)
    found = [each for each in complaint(blog).splitlines() if "_metadata" in each]
    assert len(found) == 1
    assert found[0].startswith(f"posts/_metadata.yml:{line}: {words}")


def test_a_page_links_to_its_source_where_that_is_asked_for(published: Project) -> None:
    assert re.search('<a href="index.qmd"[^>]*>The source</a>', published.html("posts/one/index"))
    assert published.site()["posts/one/index.qmd"] == (published.root / "posts/one/index.qmd").read_bytes()
    assert "index.qmd" not in published.site()


def test_code_tools_that_would_fold_all_code_are_refused(blog: Project) -> None:
    blog.write("404.qmd", "---\ntitle: t\ncode-tools:\n  source: true\n---\n")
    words = "of code-tools only the source is supported; write 'source: true' and 'toggle: false' under it"
    assert complaint(blog) == f"404.qmd:3: {words}\n"
