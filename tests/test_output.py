"""The site goes to a folder of the project that is the site's alone: nothing else is ever replaced."""

from pathlib import Path

import pytest

from qmdsite.__main__ import main


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of one page in a folder of its own, with another folder beside it."""
    root = tmp_path / "project"
    for folder in (root / "sub", root / "posts", root / ".git", root / "mine", tmp_path / "_mine"):
        folder.mkdir(parents=True)
    for name in ("index.qmd", "posts/post.qmd", "sub/x.qmd"):
        (root / name).write_text("---\ntitle: t\n---\n\nwords\n")
    for file in (root / ".git/HEAD", root / "mine/letter.txt", root / "_file", tmp_path / "_mine/letter.txt"):
        file.write_text("mine")
    (root / "_link").symlink_to(tmp_path / "_mine")
    (root / "sub/link").symlink_to(tmp_path)
    return root


def everything(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("../_mine", "must be a folder in the project"),
        ("sub/../../_mine", "must be a folder in the project"),
        ("{root}/../_mine", "must be a folder in the project"),
        ("{parent}/_mine", "must be a folder in the project"),
        ("_link", "must be a folder in the project"),
        ("_link/_site", "must be a folder in the project"),
        ("sub/link/_mine", "must be a folder in the project"),
        (".", "must be a folder in the project"),
        ("sub/..", "must be a folder in the project"),
        (".git", "is hidden"),
        (".git/_site", "is hidden"),
        ("_file", "is no folder"),
        ("posts", "does not look like a rendered site"),
        ("mine", "does not look like a rendered site"),
    ],
)
def test_an_output_that_is_not_the_sites_alone_is_refused_and_nothing_is_touched(
    project: Path, output: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    output = output.format(root=project, parent=project.parent)
    (project / "_quarto.yml").write_text(f"project:\n  type: website\n  output-dir: {output}\n")
    before = everything(project.parent)
    assert main(["render", str(project)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("_quarto.yml:3: ")
    assert words in error
    after = everything(project.parent)
    assert {file: data for file, data in after.items() if ".qmdsite" not in file.parts} == before


@pytest.mark.parametrize("left", [["site_libs/bootstrap/bootstrap.css", "index.html", "search.json"], []])
def test_a_rendered_site_and_an_empty_folder_are_replaced(project: Path, left: list[str]) -> None:
    settings = "project:\n  type: website\n  output-dir: docs\n  resources: '*'\n"
    (project / "_quarto.yml").write_text(settings + "code-tools: {source: true, toggle: false}\n")
    (project / "docs").mkdir()
    for name in left:
        (project / "docs" / name).parent.mkdir(parents=True, exist_ok=True)
        (project / "docs" / name).write_text("old")
    for _ in range(2):
        assert main(["render", str(project)]) == 0
        assert "words" in (project / "docs/index.html").read_text()
        assert not (project / "docs/search.json").exists()
        assert not (project / "docs/docs").exists()
