"""What Quarto makes of a sample of the whole dialect, and what qmdsite makes of it: `oracle/` holds all three."""

import difflib
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urldefrag, urljoin

import pytest
from lxml import html
from oracle.digest import digest
from parity import outline

ORACLE = Path(__file__).parent / "oracle"
NAMES = sorted(path.stem for path in (ORACLE / "digests").iterdir())
LISTED = tomllib.loads((ORACLE / "differences.toml").read_text("utf-8"))


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What qmdsite makes of the sample."""
    folder = tmp_path_factory.mktemp("oracle") / "sample"
    shutil.copytree(ORACLE / "_sample", folder)
    command = [sys.executable, "-m", "qmdsite", "render", str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    return folder / "_site"


def page_of(name: str, folder: Path, suffix: str = ".html") -> Path:
    return folder / f"{name.replace('-', '/')}{suffix}"


def found(page: Path, path: str) -> list[Any]:
    """Return what an XPath names on a page, in order."""
    nodes: list[Any] = html.parse(str(page)).xpath(path)
    return nodes


def quarto(name: str) -> list[str]:
    """Return the lines of Quarto's page, without the classes that need not be the same."""
    text = re.sub(LISTED["classes"], "", (ORACLE / "digests" / f"{name}.txt").read_text("utf-8"))
    return [line.rstrip() for line in text.splitlines()]


def differing(theirs: list[str], ours: list[str]) -> list[tuple[str, str]]:
    """Return the runs of lines that differ, as pairs of texts."""
    runs = difflib.SequenceMatcher(None, theirs, ours, autojunk=False).get_opcodes()
    return [("\n".join(theirs[a:b]), "\n".join(ours[c:d])) for kind, a, b, c, d in runs if kind != "equal"]


@pytest.mark.parametrize("name", NAMES)
def test_a_page_differs_from_quartos_where_a_reason_is_listed_and_nowhere_else(sample: Path, name: str) -> None:
    ours = digest(page_of(name, sample), without=[each["elements"] for each in LISTED["ours_alone"]])
    ours = [line.rstrip() for line in ours]
    listed = [each for each in LISTED["difference"] if each["page"] == name]
    assert differing(quarto(name), ours) == [(each["quarto"].rstrip(), each["ours"].rstrip()) for each in listed]


def test_what_is_listed_as_different_is_there_and_has_its_reason(sample: Path) -> None:
    pages = [page_of(name, sample) for name in NAMES]
    for each in LISTED["ours_alone"]:
        assert any(found(page, each["elements"]) for page in pages), each
    assert re.search(LISTED["classes"], "".join(path.read_text("utf-8") for path in (ORACLE / "digests").iterdir()))
    assert all(each["reason"] for each in LISTED["ours_alone"] + LISTED["difference"])


def test_every_page_of_the_sample_is_compared(sample: Path) -> None:
    made = {str(page.relative_to(sample).with_suffix("")).replace("/", "-") for page in sample.rglob("*.html")}
    assert made == set(NAMES)
    assert {each["page"] for each in LISTED["difference"]} <= made


@pytest.mark.parametrize("name", NAMES)
def test_each_link_within_the_sample_leads_to_a_place_in_it(sample: Path, name: str) -> None:
    page = page_of(name, sample)
    for link in found(page, "//@href | //@src"):
        target, fragment = urldefrag(urljoin(page.as_uri(), link))
        if target.startswith("file:") and not fragment.startswith("category="):
            assert (file := Path(target.removeprefix("file://"))).is_file(), link
            assert not fragment or fragment in found(file, "//@id"), link


@pytest.mark.parametrize("name", NAMES)
def test_references_lead_in_their_order_to_what_the_source_names(sample: Path, name: str) -> None:
    text = page_of(name, ORACLE / "_sample", ".qmd").read_text("utf-8").split("---\n", 2)[2]
    text = re.sub(r"^```.*?^```|!\[.*?\)", "", text, flags=re.S | re.M)
    named = re.findall(r"@((?:sec|fig|tbl|eq|thm)-\w+)|@(\w+)|\]\((.*?)\)|\[\^(\w+)\](?!:)", text)
    wanted = [
        f"#{label}" if label else f"#ref-{work}" if work else f"#fn{note}" if note else link.replace(".qmd", ".html")
        for label, work, link, note in named
    ]
    made = "a[not(@class='equation-number' or @class='footnote-back' or parent::span[@class='theorem-title'])]"
    leading = found(page_of(name, sample), f"//main/section//p//{made}/@href | //main/p//{made}/@href")
    assert leading == wanted


@pytest.mark.parametrize("name", NAMES)
def test_the_parts_that_parity_compares_are_those_of_quartos_digest(sample: Path, name: str) -> None:
    lines = re.findall(r"^ *(\S+) \|.*?\|(?: (.*))?$", "\n".join(quarto(name)), re.M)
    assert len(lines) == len(quarto(name))
    ours = outline(page_of(name, sample))

    def of(kinds: str) -> list[str]:
        return [text for kind, text in lines if re.fullmatch(kinds, kind)]

    def bare(texts: list[str]) -> list[str]:
        """Without the numbers that mark annotated code, and as long as a digest's line."""
        return [re.sub(r"\d", "", text[:158]) for text in texts]

    entries = of(r"div\.csl-entry")
    said, squeezed = "\n".join(of("p")), {text.replace(" ", "") for text in of("p")}
    assert ours["heading"] == [f"{kind} {text}" for kind, text in lines if re.fullmatch(r"h\d", kind)]
    assert ours["table"] == of("table")
    assert bare(ours["code"]) == bare(of("code"))
    assert [re.sub(r"^(fig|tbl)-\S+ ", "", each) for each in ours["figure"]] == [
        re.sub(r"img alt='(.*?)'", r"[\1]", each).replace("caption: ", "") for each in of("figure")
    ]
    assert {re.sub(r"^eq-\S+ ", "", each) for each in ours["equation"]} <= squeezed
    references = [each.partition(" → ")[0] for each in ours["reference"]]
    assert re.search(".*".join(re.escape(each) for each in references if each not in entries), said, re.S)
    assert [each for each in references if each in entries] == entries
