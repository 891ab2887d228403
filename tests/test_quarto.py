"""What only Quarto uses: it cannot run here, so these facts keep its files true to those that qmdsite uses."""

import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from conftest import ROOT
from PIL import Image

TOKENS = (ROOT / "src/qmdsite/tokens.css").read_text(encoding="utf-8")
PAIRS = re.findall(r"light-dark\((#\w+), (#\w+)\)", TOKENS)
COLOR = re.compile(r"^\$([\w-]+): (#\w+)", re.M)
THEMES = {name: (ROOT / f"posts/{name}.scss").read_text(encoding="utf-8") for name in ("quarto", "dark")}


def test_the_colours_of_quartos_themes_are_pairs_of_the_tokens() -> None:
    light, dark = (dict(COLOR.findall(theme)) for theme in THEMES.values())
    assert light.keys() == dark.keys()
    assert {(light[name], dark[name]) for name in light} <= set(PAIRS)


def test_the_cards_are_drawn_in_colours_of_the_tokens() -> None:
    script = (ROOT / "posts/cards.py").read_text(encoding="utf-8")
    assert set(re.findall(r"#[0-9a-f]{6}", script)) <= {light for light, _ in PAIRS}


def test_quartos_theme_uses_tokens_that_there_are() -> None:
    used = set(re.findall(r"var\((--[\w-]+)\)", THEMES["quarto"]))
    assert used <= {*re.findall(r"(--[\w-]+):", TOKENS), "--tone"}


def run(script: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, script], env=os.environ | environment, capture_output=True, text=True, timeout=60
    )


def test_quarto_finds_the_mathematics_font_where_its_style_sheet_names_it(tmp_path: Path) -> None:
    folder = tmp_path / "src/qmdsite"
    folder.mkdir(parents=True)
    (folder / "tokens.css").write_text(TOKENS)
    (tmp_path / "index.html").write_text("<math><mi>ℵ</mi></math>", encoding="utf-8")
    result = run(ROOT / "src/qmdsite/font.py", QUARTO_PROJECT_OUTPUT_DIR=str(tmp_path))
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    ttLib = pytest.importorskip("fontTools.ttLib")
    assert ord("ℵ") in ttLib.TTFont(folder / "math.woff2").getBestCmap()


def test_a_site_of_qmdsite_gets_no_second_font(tmp_path: Path) -> None:
    result = run(ROOT / "src/qmdsite/font.py", QUARTO_PROJECT_OUTPUT_DIR=str(tmp_path))
    assert result.returncode == 0
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="session")
def cards() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(ROOT / "posts/cards.py")))


@pytest.fixture
def blog(tmp_path: Path) -> Path:
    """Return a small project with the script that draws, and the fonts that it takes from the site."""
    for name in ("posts/cards.py", "_quarto.yml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "src/qmdsite").mkdir(parents=True)
    (tmp_path / "src/qmdsite/fonts").symlink_to(ROOT / "src/qmdsite/fonts")
    (tmp_path / "index.qmd").write_text('---\ntitle: "Home"\ndescription: "All posts."\n---\n')
    (tmp_path / "posts/one").mkdir()
    (tmp_path / "posts/one/index.qmd").write_text('---\ntitle: "One"\ndescription: "The first."\n---\n')
    return tmp_path


@pytest.mark.slow
def test_a_card_is_drawn_where_it_is_missing_or_its_page_says_something_else(blog: Path) -> None:
    home, one = blog / "posts/card.png", blog / "posts/one/card.png"
    assert run(blog / "posts/cards.py").returncode == 0
    with Image.open(one) as card:
        assert card.size == (1200, 630)
    assert one.stat().st_size < 40_000
    before = one.read_bytes()
    os.utime(home, (0, 0))
    one.unlink()
    run(blog / "posts/cards.py")
    assert one.read_bytes() == before  # the same words, the same bytes
    assert home.stat().st_mtime == 0  # left as it was
    post = blog / "posts/one/index.qmd"
    post.write_text(post.read_text().replace("The first", "The very first"))
    run(blog / "posts/cards.py")
    assert one.read_bytes() != before


@pytest.mark.slow
def test_a_card_that_is_not_whole_is_drawn_anew(blog: Path) -> None:
    home, one = blog / "posts/card.png", blog / "posts/one/card.png"
    run(blog / "posts/cards.py")
    before = home.read_bytes(), one.read_bytes()
    home.write_bytes(before[0][:-1000])
    one.write_bytes(b"")
    ran = run(blog / "posts/cards.py")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert (home.read_bytes(), one.read_bytes()) == before
    assert not [file for file in (blog / "posts").rglob("*.png") if file not in (home, one)]


@pytest.mark.slow
def test_a_card_is_drawn_anew_where_a_font_has_changed(blog: Path) -> None:
    fonts = blog / "src/qmdsite/fonts"
    fonts.unlink()
    shutil.copytree(ROOT / "src/qmdsite/fonts", fonts)
    run(blog / "posts/cards.py")
    before = (blog / "posts/card.png").read_bytes()
    shutil.copy(fonts / "sans.woff2", fonts / "text.woff2")
    run(blog / "posts/cards.py")
    assert (blog / "posts/card.png").read_bytes() != before


@pytest.mark.parametrize(
    "text",
    [
        "---\ntitle: One\n---\n",
        "---\ntitle: One\ndescription:\n...\n\nWords.\n\n---\n",
        "\ufeff--- \ntitle: One\n---\t\nWords, and a --- line.\n",
    ],
)
def test_a_card_needs_no_more_than_a_title(cards: SimpleNamespace, blog: Path, text: str) -> None:
    post = blog / "posts/one/index.qmd"
    post.write_text(text, encoding="utf-8")
    assert cards.front_matter(post)["title"] == "One"
    ran = run(blog / "posts/cards.py")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert (blog / "posts/one/card.png").is_file()


@pytest.mark.parametrize("text", ["Words.\n", "---\ntitle: One\n", "---\ntitle: [\n---\n", "---\nOne\n---\n"])
def test_what_is_wrong_with_a_page_is_left_to_the_render_to_say(
    cards: SimpleNamespace, tmp_path: Path, text: str
) -> None:
    (tmp_path / "index.qmd").write_text(text)
    assert cards.front_matter(tmp_path / "index.qmd") == {}


def test_a_card_shows_the_words_without_their_marks(cards: SimpleNamespace) -> None:
    plain = cards.MARKED.sub(r"\2", "In `code_of_mine`, $x^2$ and *this* or **that** for $5 or $6, 2 * 3 * 4")
    assert plain == "In code_of_mine, x^2 and this or that for $5 or $6, 2 * 3 * 4"


@pytest.mark.slow
def test_of_few_words_a_card_shows_the_last_too(cards: SimpleNamespace) -> None:
    words = ["Its name", "The title of a page", "What it is about"]
    whole = cards.draw(*words).tobytes()
    for place, each in enumerate(words):
        assert cards.draw(*words[:place], f"{each[:-1]}o", *words[place + 1 :]).tobytes() != whole


@pytest.mark.slow
def test_of_long_words_a_card_shows_what_fits(cards: SimpleNamespace) -> None:
    long = cards.draw("Site", "A title of words " * 30, "A description of words " * 60).convert("RGB")
    short = cards.draw("Site", "A title", "Words").convert("RGB")
    foot = (0, cards.HEIGHT - 45, cards.WIDTH, cards.HEIGHT)
    side = (cards.WIDTH - cards.MARGIN + 10, 0, cards.WIDTH, cards.HEIGHT)
    for place in (foot, side):
        assert long.crop(place).tobytes() == short.crop(place).tobytes()
    written = (cards.MARGIN, 400, cards.WIDTH - cards.MARGIN, cards.HEIGHT - 45)
    assert len(long.crop(written).getcolors()) > 1
    assert cards.draw("Site", "W" * 99, "").size == (cards.WIDTH, cards.HEIGHT)


@pytest.mark.slow
def test_where_all_cards_are_there_nothing_is_loaded_that_draws(blog: Path) -> None:
    run(blog / "posts/cards.py")
    ran = subprocess.run([sys.executable, "-X", "importtime", blog / "posts/cards.py"], capture_output=True, text=True)
    assert "yaml" in ran.stderr
    assert not re.search("matplotlib|fontTools", ran.stderr)


@pytest.mark.parametrize("source", sorted(ROOT.glob("posts/*/index.qmd")), ids=lambda source: source.parent.name)
def test_each_post_shows_its_card(source: Path) -> None:
    assert "\nimage: card.png\n" in source.read_text(encoding="utf-8").split("---\n")[1]


@pytest.mark.parametrize("source", sorted(ROOT.glob("posts/*/index.qmd")), ids=lambda source: source.parent.name)
def test_each_description_of_a_figure_is_on_one_line(source: Path) -> None:
    text = source.read_text(encoding="utf-8")  # Quarto spills the rest of a longer one onto the page
    assert re.findall(r"^#\| fig-alt: *[>|].*|^#\| fig-alt:.*\n#\|  .*", text, re.M) == []


def test_each_post_of_a_listing_has_a_date_of_its_own() -> None:
    dates = [
        date for post in ROOT.glob("posts/*/index.qmd") for date in re.findall("^date: .*", post.read_text(), re.M)
    ]
    assert len({*dates}) == len(dates)  # Quarto and we order those of one day differently


def test_the_author_is_a_family_name() -> None:
    settings = yaml.safe_load((ROOT / "posts/_metadata.yml").read_text(encoding="utf-8"))
    assert settings["author"] == {"name": {"family": "handgrad"}}  # of one word alone Quarto makes ', handgrad'


FILES = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / ".github/workflows").iterdir()}
SITE, DEEP = (yaml.load(FILES[name], yaml.BaseLoader) for name in ("site", "deep"))
STEPS = SITE["jobs"]["build"]["steps"]


def action(step: dict[str, str]) -> str:
    return step.get("uses", "").partition("@")[0]


def test_each_action_of_the_workflows_is_one_commit_with_its_version() -> None:
    used = [line.partition("uses: ")[2] for text in FILES.values() for line in text.splitlines() if "uses:" in line]
    assert [each for each in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each)] == []
    assert len({each.partition("@")[0] for each in used}) == len({*used})  # the same one in each workflow


def test_the_workflow_has_quarto_when_the_tests_compare_its_pages() -> None:
    done = [action(step) or step["run"] for step in STEPS]
    assert done.index("quarto-dev/quarto-actions/setup") < done.index("make test")


def test_what_is_published_is_what_make_site_made() -> None:
    *before, made, uploaded = STEPS
    assert (made, action(uploaded), uploaded["with"]) == (
        {"run": "make site"},
        "actions/upload-pages-artifact",
        {"path": "_site"},
    )
    assert not [step for step in before if re.search("quarto render|_site", step.get("run", ""))]
    (published,) = SITE["jobs"]["publish"]["steps"]
    assert (action(published), SITE["jobs"]["publish"]["needs"]) == ("actions/deploy-pages", "build")


def test_each_week_everything_is_tested_and_a_release_built() -> None:
    steps = DEEP["jobs"]["test"]["steps"]
    assert DEEP["on"].keys() == {"schedule", "workflow_dispatch"}
    assert re.fullmatch(r"\d+ \d+ \* \* \d", DEEP["on"]["schedule"][0]["cron"])
    assert steps[:-2] == STEPS[: len(steps) - 2]
    assert [step["run"] for step in steps[-2:]] == ["make test-deep", "make dist"]


def test_the_workflow_puts_the_address_of_the_published_site_into_the_settings(tmp_path: Path) -> None:
    (step,) = [step for step in STEPS if "ADDRESS" in step.get("env", {})]
    settings = tmp_path / "_quarto.yml"
    settings.write_text((ROOT / "_quarto.yml").read_text())
    before = yaml.safe_load(settings.read_text())
    address = "https://someone.example/blog"
    subprocess.run(["bash", "-c", step["run"]], cwd=tmp_path, env=os.environ | {"ADDRESS": address}, check=True)
    assert yaml.safe_load(settings.read_text()) == before | {"website": before["website"] | {"site-url": address}}
