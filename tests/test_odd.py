"""What authors rarely write is right, or named where it stands: no traceback, and nothing lost in silence."""

import re
from pathlib import Path

import pytest
from website import DOT, SETTINGS, Project, cell, complaint, notebook

pytestmark = pytest.mark.slow  # seldom breaks: not while one works

PAGE = "---\ntitle: t\n---\n\n"
BOTH = SETTINGS.replace("format:\n", "format:\n  ipynb: default\n")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('---\ntitle: t\ndescription: "a\x07b"\n---\n', 3, "a character here is none of a text"),
        ("---\ntitle: t\norder: 1\ndate: 2026-13-45\n---\n", 4, "cannot be read: month must be in 1..12"),
        (PAGE + cell("print('\\n---\\ntitle: Stolen\\n---\\n')", "output: asis"), 5, "prints a block of metadata"),
        (PAGE + "{{< include index.qmd >}}\n" + "words\n" * 2000, 5, "includes itself"),
        (PAGE + "one\n\ntwo 𐒡\n", 7, "the digits of Osmanya cannot be shown"),
        (PAGE + cell("print(chr(0x104A1))"), 5, "shows digits of Osmanya, which cannot be shown"),
        (PAGE + "[a](_site/index.html)\n", 5, "'_site/index.html' leads nowhere"),
    ],
)
def test_it_is_named_with_its_line(project: Project, text: str, line: int, words: str) -> None:
    project.write("index.qmd", text)
    said = complaint(project).splitlines()[0]
    assert said.startswith(f"index.qmd:{line}: ")
    assert words in said


def test_a_line_of_spaces_above_code_does_not_move_the_line_that_failed(project: Project) -> None:
    project.page("index", "```{python}\n   \n\nx = 1\n1 / 0\n```")
    assert complaint(project, 1).startswith("index.qmd:9: cell 1 raised ZeroDivisionError")


def test_a_file_that_is_included_twice_does_not_include_itself(project: Project) -> None:
    project.write("_a.qmd", "Alpha\n\n{{< include _b.qmd >}}\n")
    project.write("_b.qmd", "Beta\n")
    project.page("index", "{{< include _a.qmd >}}\n\n{{< include _b.qmd >}}")
    assert project.render().err == ""
    assert project.html("index").count("Beta") == 2
    project.write("_b.qmd", "\n{{< include _a.qmd >}}\n")
    assert "_b.qmd:2: the file '_a.qmd' includes itself" in complaint(project)


def test_a_pattern_that_is_none_is_named(project: Project) -> None:
    project.write("_quarto.yml", SETTINGS.replace("type: website", "type: website\n  resources: ['[z-a].txt']"))
    assert complaint(project).startswith("_quarto.yml:3: '[z-a].txt' matches no file of the project")


def test_files_of_editors_and_of_systems_are_no_pages(project: Project) -> None:
    (project.root / ".#index.qmd").symlink_to("nobody@nowhere")
    (project.root / ".#own.css").symlink_to("nobody@nowhere")
    project.write("._index.qmd", "\0")
    assert project.render().err == ""


def test_a_feed_is_asked_for_in_any_of_yamls_words(project: Project) -> None:
    project.write("_quarto.yml", SETTINGS.replace("website:\n", "website:\n  site-url: https://y.org\n"))
    project.write("index.qmd", "---\ntitle: t\nlisting:\n  contents: one.qmd\n  feed: yes\n---\n")
    project.write("one.qmd", "---\ntitle: One\ndate: 2026-01-02\n---\n")
    assert project.render().err == ""
    assert "index.xml" in project.site()


def test_an_alias_takes_no_page_and_no_file_away(project: Project) -> None:
    project.write("_quarto.yml", SETTINGS.replace("type: website", "type: website\n  resources: d"))
    project.write("d/index.html", "<p>mine")
    for alias in ("/", "index.html", "/d", "sub/../d/", "../out"):
        project.write("a.qmd", f"---\ntitle: A\naliases:\n  - old\n  - {alias}\n---\n")
        assert complaint(project).startswith(f"a.qmd:5: the alias '{alias}' is the address of another")
    project.write("a.qmd", "---\ntitle: A\naliases: [old]\n---\n")
    assert project.render().err == ""
    assert 'url=../a.html"' in project.html("old/index")


def test_a_notebook_without_a_cell_of_the_page_has_the_others_in_their_places(project: Project) -> None:
    project.write("_quarto.yml", BOTH)
    hidden = '::: {.content-visible when-format="html"}\n' + cell("'first'") + ":::\n\n"
    project.page("index", hidden + cell("'second'") + cell("'third'"))
    assert project.render().err == ""
    code = [each for each in notebook(project, "index").cells if each.cell_type == "code"]
    assert [(each.source, each.outputs[0].data["text/plain"]) for each in code] == [
        ("'second'", "'second'"),
        ("'third'", "'third'"),
    ]


def test_the_footer_leads_where_it_says_from_every_page_and_what_is_wrong_in_it_is_named(project: Project) -> None:
    footer = 'website:\n  page-footer: "[Home](/index.qmd), [it](p/it.qmd) and $x$"\n'
    project.write("_quarto.yml", SETTINGS.replace("website:\n", footer))
    project.page("p/it", "words")
    assert project.render().err == ""
    for name, links in {"index": ["index.html", "p/it.html"], "p/it": ["../index.html", "it.html"]}.items():
        shown = project.html(name).partition("<footer>")[2]
        assert re.findall('href="(.*?)"', shown) == links
        assert "<math" in shown
    project.write("_quarto.yml", SETTINGS.replace("website:\n", 'website:\n  page-footer: "@nobody"\n'))
    assert complaint(project).startswith("_quarto.yml:4: '@nobody' refers to nothing")


@pytest.mark.parametrize(
    "table", [" a               b\n --------------- ---\n {}      y\n", "| a | b |\n|---|---|\n| {} | y |\n"]
)
def test_a_work_that_only_a_table_cites_is_listed(project: Project, table: str) -> None:
    project.page("index", table.format("@parr2018"))
    assert project.render().err == ""
    assert "Parr (2018)" in re.sub("<[^>]*>", "", project.html("index"))
    assert "csl-entry" in project.html("index")
    project.page("index", table.format("@nobody99"))
    assert "'@nobody99' refers to nothing" in complaint(project)


def test_two_figures_do_not_share_a_file(project: Project) -> None:
    drawn = f"display({{'image/svg+xml': {DOT.decode()!r}}}, raw=True)"
    project.page("index", cell(drawn, "label: cell-2", "fig-alt: A dot") + cell(drawn, "fig-alt: A dot"))
    assert "cell 2 shows a figure that would be the file 'index_files/figure-html/cell-2-output-1.svg'" in complaint(
        project
    )


def test_names_of_places_are_found_however_they_are_written(project: Project) -> None:
    raw = "```{=html}\n<div id='x'>here</div> <a name=\"y\"></a> <p id=z>\n```\n\n"
    project.page("index", f"{raw}[a](#x) [b](#y) [c](#z)")
    assert project.render().err == ""


def test_a_cell_may_print_a_footnote_or_use_one(project: Project) -> None:
    prints = cell("print('Used here.[^1]\\n\\n[^2]: Defined here.')", "output: asis")
    project.page("index", f"{prints}\nAnd here.[^2]\n\n[^1]: Its text.")
    assert project.render().err == ""
    project.page("index", f"{prints}\nAnd here.[^3]\n\n[^1]: Its text.")
    assert "'[^3]' is never defined" in complaint(project)


def test_what_cannot_be_written_beside_the_site_leaves_the_old_one(project: Project) -> None:
    assert project.render().status == 0
    before = project.site()
    (project.root / ".qmdsite/links.txt").unlink()
    (project.root / ".qmdsite/links.txt").mkdir()
    project.page("index", "new words")
    assert "the site is as it was" in complaint(project)
    assert project.site() == before


def test_a_page_that_became_a_draft_is_not_published_by_a_render_of_another(project: Project) -> None:
    project.page("a", "words")
    project.page("b", "words")
    assert project.render().status == 0
    project.write("a.qmd", "---\ntitle: a\ndraft: true\n---\n")
    from qmdsite.__main__ import main

    assert main(["render", str(project.root / "b.qmd")]) == 0
    assert {name for name in project.site() if name.endswith(".html")} == {"index.html", "b.html"}


def test_names_with_signs_of_addresses_are_quoted(project: Project) -> None:
    drawn = f"display({{'image/svg+xml': {DOT.decode()!r}}}, raw=True)"
    front = "---\ntitle: t\naliases: [old]\ncode-tools: {source: true, toggle: false}\n---\n\n"
    project.write("c# 1.qmd", front + cell(drawn, "fig-alt: A dot"))
    assert project.render().err == ""
    page = project.html("c# 1")
    assert '<img src="c%23%201_files/figure-html/cell-1-output-1.svg"' in page
    assert 'href="c%23%201.qmd"' in page
    assert 'href="../c%23%201.html"' in project.html("old/index")


def test_a_long_name_of_the_folder_for_temporary_files_does_no_harm(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("long" * 20)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    project.page("index", cell("print('ran')"))
    assert project.render().err == ""


def test_a_link_of_the_footer_that_leads_nowhere_is_named_where_the_footer_stands(project: Project) -> None:
    project.write("_quarto.yml", SETTINGS.replace("website:\n", 'website:\n  page-footer: "[it](p/gone.qmd)"\n'))
    project.page("p/it", "words")
    assert {line.partition(": ")[0] for line in complaint(project).splitlines()} == {"_quarto.yml:4"}


def test_what_a_style_sheet_shows_comes_along_and_what_it_lacks_is_named(project: Project) -> None:
    project.write("_quarto.yml", SETTINGS + "css: look/own.css\n")
    project.write("look/own.css", "/* url(none.png)\n*/\n@import 'more.css';\nbody { background: url('../bg.svg'); }\n")
    project.write("look/more.css", "p { background: url(data:image/png;base64,AA==); }\nb { cursor: url(dot.svg) }\n")
    project.write("bg.svg", DOT.decode())
    project.write("look/dot.svg", DOT.decode())
    assert project.render().err == ""
    assert {"look/own.css", "look/more.css", "bg.svg", "look/dot.svg"} <= project.site().keys()
    project.write("look/more.css", "/* p\n*/ b { cursor: url(gone.svg) }\ni { cursor: url(https://x.org/a.svg) }\n")
    assert complaint(project).splitlines() == [
        "look/more.css:2: 'gone.svg' leads nowhere: there is no such file",
        "look/more.css:3: 'https://x.org/a.svg' is on another host, which a page may link to and not load from",
    ]


def test_a_style_sheet_may_be_empty(project: Project) -> None:
    project.write("_quarto.yml", SETTINGS + "css: own.css\n")
    project.write("own.css", "")
    assert project.render().err == ""
    assert project.site()["own.css"] == b""
