"""The posts keep their promises: nothing typed that is not derived, every question answered, no mistake published."""

import ast
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import yaml
from cases import CASES
from conftest import copy_project
from statements import CELL

from handgrad import Layer, MSELoss

Render = Callable[[], CompletedProcess[str]]

ROOT = Path(__file__).parent.parent
POSTS = sorted(ROOT.glob("posts/*/index.qmd"))
OTHERS = {"glossary", "questions", "receipts", "reference", "use"}
LESSONS = [post for post in POSTS if post.parent.name not in OTHERS]


@pytest.mark.parametrize("post", POSTS, ids=lambda post: post.parent.name)
def test_display_equations_are_made_by_cells_and_not_typed(post: Path) -> None:
    typed = re.findall(r"^.*\$\$.*", CELL.sub("", post.read_text()), re.M)
    assert not typed, f"let a cell show this, as gradient.show('eq-name') does: {typed}"


@pytest.mark.parametrize("post", POSTS, ids=lambda post: post.parent.name)
def test_cells_are_short_and_narrow(post: Path) -> None:
    for cell in CELL.findall(post.read_text()):
        lines = cell.splitlines()
        assert len(lines) < 25, f"cut this cell of {len(lines)} lines\n{cell}"
        shown = [line for line in lines if not line.startswith("#| fig-alt:")]  # of one line, which Quarto needs
        long = [line for line in shown if len(line) > 78]
        assert not long, f"lines of over 78 columns: {long}"


def lacking(post: Path, source: str) -> list[str]:
    """Return what a post lacks, as far as its source tells."""
    front, lesson = yaml.safe_load(source.split("---\n")[1]), post.parent.name not in OTHERS
    others = {yaml.safe_load(other.read_text().split("---\n")[1])["date"]: other for other in POSTS if other != post}
    names = [re.findall(rf"^#\| label: {kind}-(\S+)", source, re.M) for kind in ("exercise", "solution", "check")]
    found = {
        **{f"give it a {name}": name not in front for name in ("title", "description", "date", "categories")},
        "give it 'image: card.png', which the render draws": front.get("image") != "card.png",
        f"{others.get(front.get('date'), post).relative_to(ROOT)} has its date: give it another": front.get("date")
        in others,
        "offer it as a notebook, 'format: {html: default, ipynb: default}'": lesson
        and "ipynb" not in front.get("format", {}),
        "end it with two to four exercises": lesson and not 2 <= len(names[0]) <= 4,
        "give each exercise a starter, a solution and a check, in this order": not names[0] == names[1] == names[2],
        "compare what it derives with another function, check_definition(…)": ".show(" in source
        and "check_definition(" not in source,
    }
    return [f"{post.relative_to(ROOT)}: {words}" for words, lacks in found.items() if lacks]


@pytest.mark.parametrize("post", POSTS, ids=lambda post: post.parent.name)
def test_a_post_has_what_posts_have(post: Path) -> None:
    found = lacking(post, post.read_text())
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("title:", "subtitle:", "give it a title"),
        ("date: 2026-11-14\n", "", "give it a date"),
        ("date: 2026-11-14", "date: 2026-11-13", "mse/index.qmd has its date: give it another"),
        ("image: card.png\n", "", "give it 'image: card.png'"),
        ("format: {html: default, ipynb: default}\n", "", "offer it as a notebook"),
        ("#| label: exercise-", "#| label: ", "end it with two to four exercises"),
        ("#| label: solution-", "#| label: ", "give each exercise a starter, a solution and a check"),
        ("check_definition(", "print(", "compare what it derives with another function"),
    ],
)
def test_what_a_post_lacks_is_said(old: str, new: str, words: str) -> None:
    post = ROOT / "posts" / "relu" / "index.qmd"
    source = post.read_text()
    assert old in source
    assert words in "\n".join(lacking(post, source.replace(old, new)))


def digest(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def receipts(page: Path) -> list[int]:
    """The number of comparisons that each receipt of a rendered page tells of."""
    html = page.read_text()
    return [
        int(cases) for cases in re.findall(r"<strong>Checked: [^<]+</strong> against [^<]+, (\d+) comparisons", html)
    ]


@pytest.mark.parametrize("post", LESSONS, ids=lambda post: post.parent.name)
def test_every_post_checks_something_and_shows_receipts(site: Path, post: Path) -> None:
    assert sum(receipts(site / "posts" / post.parent.name / "index.html")) > 0


def test_the_home_page_names_the_lesson_in_the_order_of_the_dates_and_lists_what_is_around_it_after_it() -> None:
    named = re.findall(r"^\d+\. \[.+?\]\(posts/([\w-]+)/index\.qmd\)", (ROOT / "index.qmd").read_text(), re.M)
    dates = {post.parent.name: yaml.safe_load(post.read_text().split("---\n")[1])["date"] for post in POSTS}
    assert named == sorted(dates, key=lambda name: dates[name])[: len(named)]
    assert named[0] == "chain-rule"
    assert named[-1] == "questions"
    assert not {*named} & (OTHERS - {"questions"})


def test_the_home_page_has_a_figure_to_move_and_its_script(site: Path) -> None:
    html = (site / "index.html").read_text()
    assert 'data-figure="chain"' in html
    assert 'src="posts/interactive.js"' in html
    assert (site / "posts" / "interactive.js").is_file()


def test_the_receipts_page_shows_the_total_of_the_build(site: Path) -> None:
    others = (post.parent.name for post in POSTS if post.parent.name != "receipts")
    pages = [site / "index.html", *(site / "posts" / name / "index.html" for name in others)]
    found = [cases for page in pages for cases in receipts(page)]
    html = (site / "posts" / "receipts" / "index.html").read_text()
    assert f"<strong>{sum(found):,} comparisons in {len(found)} checks.</strong>" in html
    assert html.count("<tr>") == len(found) + 1


def test_the_home_page_lists_every_post(site: Path) -> None:
    html = (site / "index.html").read_text()
    assert all(f'href="posts/{post.parent.name}/' in html.replace("./posts", "posts") for post in POSTS)


@pytest.fixture(scope="module")
def layer_posts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Render]:
    """A project whose posts that derive a layer are whole: its folder, and what renders it again."""
    folder = tmp_path_factory.mktemp("layers")
    render = copy_project(folder)
    for post in POSTS:
        if post.parent.name not in {case.post for case in CASES.values()}:
            _, front, text = post.read_text().split("---\n", 2)
            headings = "\n\n".join(re.findall(r"^##.*", text, re.M))  # other posts link to them
            (folder / post.relative_to(ROOT)).write_text(f"---\n{front}---\n\n{headings}\n")
    front = (folder / "index.qmd").read_text().split("---\n")[1]
    (folder / "index.qmd").write_text(f"---\n{front}---\n")
    settings = yaml.safe_load((folder / "_quarto.yml").read_text())
    del settings["project"]["post-render"]
    (folder / "_quarto.yml").write_text(yaml.safe_dump(settings))
    first = render()
    assert first.returncode == 0, first.stderr
    return folder, render


def module_of(layer: type[Layer], folder: Path) -> Path:
    """Return where a layer stands in a copy of the project."""
    return folder / "src" / f"{layer.__module__.replace('.', '/')}.py"


def in_place_of(right: type[Layer], wrong: type[Layer]) -> str:
    """Return code that puts a wrong version in a layer's place, at the end of the layer's module."""
    versions = wrong.mro()[: wrong.mro().index(right)]
    definitions = [ast.parse(inspect.getsource(cls)).body[0] for cls in reversed(versions)]
    for definition in definitions:
        assert isinstance(definition, ast.ClassDef)
        definition.decorator_list = []
    return "\n\n".join(["", *map(ast.unparse, definitions), f"{right.__name__} = {wrong.__name__}\n"])


def test_a_wrong_layer_cannot_be_published(layer_posts: tuple[Path, Render]) -> None:
    """One render with all layers wrong: each post is named, with its layer and what it should have been."""
    (folder, render), before = layer_posts, digest(layer_posts[0] / "_site")
    sources = {path: path.read_text() for path in {module_of(case.layer, folder) for case in CASES.values()}}
    for case in CASES.values():
        with module_of(case.layer, folder).open("a") as module:
            module.write(in_place_of(case.layer, case.mistakes[0].layer))
    try:
        failed = render()
    finally:
        for path, source in sources.items():
            path.write_text(source)
    assert failed.returncode == 1
    assert "Traceback" not in failed.stderr
    told = dict(re.findall(r"^posts/([a-z-]+)/index.qmd:(.*?)(?=^posts/|\Z)", failed.stderr, re.M | re.S))
    for case in CASES.values():
        assert f"{case.mistakes[0].layer.__name__} differs from autograd" in told[case.post]
        assert told[case.post].count("shape (") >= 2
    assert digest(folder / "_site") == before


def test_editing_a_layer_runs_the_posts_that_use_it_and_no_other(layer_posts: tuple[Path, Render]) -> None:
    folder, render = layer_posts
    path = module_of(MSELoss, folder)
    path.write_text(path.read_text() + "\n# A comment.\n")
    lines = render().stdout.splitlines()
    assert [("posts/mse" in line) for line in lines if " ran " in line] == [True]
    assert " ran " not in render().stdout


def test_the_page_of_animations_is_no_larger_than_a_photograph(site: Path) -> None:
    page = site / "posts" / "curve-fitting" / "index.html"
    assert page.read_text().count('<svg viewBox="0 0 300 200"') == 5
    assert page.stat().st_size < 300_000
    assert (site / "posts" / "player.js").exists()
