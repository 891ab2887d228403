"""The posts keep their promises: nothing typed that is not derived, every question answered, no mistake published."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from conftest import copy_project

ROOT = Path(__file__).parent.parent
POSTS = sorted(ROOT.glob("posts/*/index.qmd"))
CELL = re.compile(r"^```\{python\}\n(.*?)^```$", re.M | re.S)
LESSONS = [post for post in POSTS if post.parent.name not in ("questions", "receipts")]

# What a tired author could do to a layer, and the words the failing build must say of it.
MISTAKES = {
    "mse: the factor 2 dropped": ("losses.py", "grad_output * 2 * difference", "grad_output * difference"),
    "relu: >= for >": ("activations.py", "output > 0", "output >= 0"),
    "linear: no transpose": ("linear.py", "grad_output @ weight.T", "grad_output @ weight"),
    "linear: scaled by 1.001": (
        "linear.py",
        "accumulate(self.weight, X.T @ G)",
        "accumulate(self.weight, 1.001 * X.T @ G)",
    ),
}


@pytest.mark.parametrize("post", POSTS, ids=lambda post: post.parent.name)
def test_display_equations_are_made_by_cells_and_not_typed(post):
    assert "$$" not in CELL.sub("", post.read_text())


@pytest.mark.parametrize("post", POSTS, ids=lambda post: post.parent.name)
def test_cells_are_short_and_narrow(post):
    for cell in CELL.findall(post.read_text()):
        lines = cell.splitlines()
        assert len(lines) < 25, cell
        shown = [line for line in lines if not line.startswith("#| fig-alt:")]  # of one line, which Quarto needs
        assert max(map(len, shown)) <= 78, cell


def digest(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def receipts(page):
    """The number of comparisons that each receipt of a rendered page tells of."""
    html = page.read_text()
    return [int(cases) for cases in re.findall(r"<strong>Checked: [^<]+</strong>, (\d+) comparisons", html)]


@pytest.mark.parametrize("post", LESSONS, ids=lambda post: post.parent.name)
def test_every_post_checks_something_and_shows_receipts(site, post):
    assert sum(receipts(site / "posts" / post.parent.name / "index.html")) > 0


def test_the_home_page_shows_a_derivation_and_its_receipt(site):
    assert sum(receipts(site / "index.html")) > 0
    assert '<div class="derivation">' in (site / "index.html").read_text()


def test_the_receipts_page_shows_the_total_of_the_build(site):
    pages = [site / "index.html", *(site / "posts" / post.parent.name / "index.html" for post in LESSONS)]
    found = [cases for page in pages for cases in receipts(page)]
    html = (site / "posts" / "receipts" / "index.html").read_text()
    assert f"<strong>{sum(found):,} comparisons in {len(found)} checks.</strong>" in html
    assert html.count("<tr>") == len(found) + 1


def test_the_home_page_lists_every_post(site):
    html = (site / "index.html").read_text()
    assert all(f'href="posts/{post.parent.name}/' in html.replace("./posts", "posts") for post in POSTS)


@pytest.fixture(scope="module")
def three_posts(tmp_path_factory):
    """A project with three of the posts, rendered: its folder, and what renders it again."""
    folder = tmp_path_factory.mktemp("three")
    render = copy_project(folder)
    for post in POSTS:
        if post.parent.name not in ("mse", "relu", "linear"):
            shutil.rmtree(folder / "posts" / post.parent.name)
    (folder / "404.qmd").unlink()  # it links to posts that are gone
    front = (folder / "index.qmd").read_text().split("---\n")[1]
    (folder / "index.qmd").write_text(f"---\n{front}---\n")
    settings = yaml.safe_load((folder / "_quarto.yml").read_text())
    del settings["project"]["post-render"], settings["website"]["navbar"]
    (folder / "_quarto.yml").write_text(yaml.safe_dump(settings))
    first = render()
    assert first.returncode == 0, first.stderr
    return folder, render


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_layer_cannot_be_published(three_posts, mistake):
    folder, render = three_posts
    name, right, wrong = MISTAKES[mistake]
    path = folder / "src" / "handgrad" / name
    source, before = path.read_text(), digest(folder / "_site")
    assert right in source
    path.write_text(source.replace(right, wrong))
    try:
        failed = render()
    finally:
        path.write_text(source)
    slug = mistake.split(":")[0]
    assert failed.returncode == 1
    assert f"posts/{slug}/index.qmd:" in failed.stderr
    assert "differs from autograd" in failed.stderr
    assert failed.stderr.count("shape (") >= 2
    assert "Traceback" not in failed.stderr
    assert digest(folder / "_site") == before


def test_editing_a_layer_runs_the_posts_that_use_it_and_no_other(three_posts):
    folder, render = three_posts
    path = folder / "src" / "handgrad" / "linear.py"
    path.write_text(path.read_text() + "\n# A comment.\n")
    lines = render().stdout.splitlines()
    assert [("posts/linear" in line) for line in lines if " ran " in line] == [True]
    assert " ran " not in render().stdout
