"""The page of questions: all that the readers ask, each with an answer, its proof, and a link to where it is told."""

import re
from pathlib import Path

import pytest
from statements import COUNTED, INLINE

ROOT = Path(__file__).parent.parent
POSTS = ROOT / "posts"
SOURCE = (POSTS / "questions" / "index.qmd").read_text(encoding="utf-8")
ENTRY = re.compile(r"^- \*\*(?P<question>.+?)\*\* (?P<answer>.+?)(?=^- |^## |\Z)", re.M | re.S)
LINK = re.compile(r"\[(?P<words>[^\]]+)\]\(\.\./(?P<slug>[\w-]+)/index\.qmd#(?P<anchor>[\w-]+)\)")
ENTRIES = list(ENTRY.finditer(SOURCE))
PROOF = re.compile(
    r"^```\{python\}\n#\| label: proof-(?P<anchor>q\d+)\n#\| include: false\n(?P<code>.*?)^```$", re.M | re.S
)
ASSERTS = re.compile(r"^\s*(assert |assert_close\(|check_definition\()", re.M)
QUESTIONS = {f"q{number}" for number in range(1, 30)}


def test_all_twenty_nine_questions_are_there() -> None:
    anchors = {link["anchor"] for entry in ENTRIES for link in LINK.finditer(entry["answer"])}
    assert anchors >= QUESTIONS
    assert len(ENTRIES) == len(QUESTIONS) == 29
    for page in ("index.qmd", "404.qmd", "posts/questions/index.qmd"):
        assert "twenty-nine questions" in (ROOT / page).read_text(encoding="utf-8").lower()


def test_an_answer_stands_below_the_cell_that_proves_it_and_would_fail_were_it_false() -> None:
    proofs = {proof["anchor"]: proof for proof in PROOF.finditer(SOURCE)}
    assert proofs.keys() == QUESTIONS
    for anchor, proof in proofs.items():
        assert ASSERTS.search(proof["code"]), f"the cell proof-{anchor} asserts nothing"
        section = re.split(r"^## ", SOURCE[proof.end() :], maxsplit=1, flags=re.M)[0]
        assert f"#{anchor})" in section, f"what proof-{anchor} proves does not stand below it"


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: " ".join(entry["question"].split())[:40])
def test_a_question_has_an_answer_of_one_sentence_and_leads_to_a_section_that_runs(entry: re.Match[str]) -> None:
    links = list(LINK.finditer(entry["answer"]))
    sentence = " ".join(entry["answer"].partition("[")[0].split())
    assert links
    assert sentence.endswith(".")
    assert ". " not in sentence
    assert not re.search(rf"\b({COUNTED})\b", INLINE.sub("", sentence)), "what is counted is computed, too"
    for link in links:
        assert len(link["words"].split()) > 2, f"say where [{link['words']}] leads"
        text = (POSTS / link["slug"] / "index.qmd").read_text(encoding="utf-8")
        heading = re.search(rf"^(#+) .*{{#{link['anchor']}}}$", text, re.M)
        assert heading, f"{link['slug']} has no section {link['anchor']}"
        section = re.split(rf"^#{{1,{len(heading[1])}}} ", text[heading.end() :], maxsplit=1, flags=re.M)[0]
        assert re.search(r"^```\{python\}", section, re.M), f"nothing runs in {link['slug']}#{link['anchor']}"
