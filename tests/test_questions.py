"""The page of questions: all that the readers ask, each with an answer and a link to the section that proves it."""

import re
from pathlib import Path

import pytest

POSTS = Path(__file__).parent.parent / "posts"
ENTRY = re.compile(r"^- \*\*(?P<question>.+?)\*\* (?P<answer>.+?)(?=^- |^## |\Z)", re.M | re.S)
LINK = re.compile(r"\[[^\]]+\]\(\.\./(?P<slug>[\w-]+)/index\.qmd#(?P<anchor>[\w-]+)\)")
ENTRIES = list(ENTRY.finditer((POSTS / "questions" / "index.qmd").read_text()))


def test_all_twenty_nine_questions_are_there() -> None:
    anchors = {link["anchor"] for entry in ENTRIES for link in LINK.finditer(entry["answer"])}
    assert {f"q{number}" for number in range(1, 30)} <= anchors
    assert len(ENTRIES) == 29


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: " ".join(entry["question"].split())[:40])
def test_a_question_has_an_answer_of_one_sentence_and_leads_to_a_section_that_runs(entry: re.Match[str]) -> None:
    links = list(LINK.finditer(entry["answer"]))
    sentence = " ".join(entry["answer"].partition("[")[0].split())
    assert links
    assert sentence.endswith(".")
    assert ". " not in sentence
    for link in links:
        text = (POSTS / link["slug"] / "index.qmd").read_text()
        heading = re.search(rf"^(#+) .*{{#{link['anchor']}}}$", text, re.M)
        assert heading, f"{link['slug']} has no section {link['anchor']}"
        section = re.split(rf"^#{{1,{len(heading[1])}}} ", text[heading.end() :], maxsplit=1, flags=re.M)[0]
        assert re.search(r"^```\{python\}", section, re.M), f"nothing runs in {link['slug']}#{link['anchor']}"
