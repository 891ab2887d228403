"""The phase that makes of a page, and of what its cells showed, the parts that a template puts together."""

import html
import re
from collections.abc import Iterator
from typing import Any

import lxml.html

from qmdsite import marks
from qmdsite.compose import Composition
from qmdsite.dialect import unsupported
from qmdsite.markup import blocked, typeset
from qmdsite.page import Article, Outputs, Page
from qmdsite.pandoc import FIRST, HTML, Form, Pandoc, about, placed
from qmdsite.problem import Position, Problem
from qmdsite.project import Project

# By pandoc's names for them.
PARTS = {"pagetitle": "plain_title", "title": "title", "subtitle": "subtitle", "description": "description",
         "plain-description": "plain_description", "table-of-contents": "toc", "citation": "citation",
         "body": "body"}  # fmt: skip
TEMPLATE = "\x1e".join(f"${name}$" for name in PARTS)
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
LINK = re.compile(rf"""\s(?:href|src|srcset|poster)\s*=\s*(?:"([^"]*{marks.MARK}[^"]*)"|'([^']*{marks.MARK}[^']*)'"""
                  rf"""|([^\s"'>]*{marks.MARK}))""", re.I)  # fmt: skip


def convert(
    project: Project, page: Page, outputs: Outputs | None, own: set[str], pandoc: Pandoc
) -> tuple[Article, list[Problem]]:
    """Return the page's parts and what is wrong with it; without outputs it is converted to find that only.

    `own` are the classes that the project itself gives a meaning.
    """
    composed = Composition(page, outputs)
    meta, inputs = about(project, page, composed.positions)
    meta["qmdsite-dry"] = composed.dry
    contents = {"table_of_contents": page.options.get("toc", True), "toc_depth": page.options.get("toc-depth", 3)}
    form = Form("html5", {**HTML, **contents, "section_divs": True, "template": TEMPLATE}, ("page",))
    found, wrong = pandoc.convert(composed.markdown, meta, form, inputs, _finished)
    wrong += [*unsupported(found.uses, own), *map(tuple, found.result["blocked"])]
    places = _unmarked(composed)
    for name, line in found.result["places"]:
        places.setdefault(name, []).append(composed.positions[line - FIRST])
    article = Article(**found.result["parts"], files=composed.files, places=places)
    return article, composed.problems + placed(wrong, composed.positions)


def _unmarked(composed: Composition) -> dict[str, list[Position]]:
    """Return where links stand in tables that have no marks."""
    places: dict[str, list[Position]] = {}
    for line, words in marks.unmarked(composed.markdown, 0):
        for target in re.findall(r"\]\(([^\s()]+)", words):
            places.setdefault(re.sub(r"\.qmd(#|$)", r".html\1", target), []).append(composed.positions[line])
    return places


def _blocked(text: str) -> Iterator[tuple[int, str]]:
    """Return what on a page its policy lets do nothing, by lines of the composed text."""
    if not re.search(r"<script|<style|\son\w+\s*=|javascript:", text, re.I):
        return
    for words, holder in blocked(lxml.html.document_fromstring(text.replace("\x1e", ""))):
        mark = holder if isinstance(holder, str) else holder.get("data-at", "")
        yield sum(marks.numbers(mark)[:1]), words


def _finished(text: str) -> dict[str, Any]:
    """Return the parts of a page without marks, and by lines of the composed text what the marks told.

    That is where links stand, and what on the page its policy lets do nothing.
    """
    values = [(found[0], found[1] or found[2] or found[3]) for found in LINK.finditer(text)]
    places = [(html.unescape(marks.clean(value)), marks.numbers(whole)[0]) for whole, value in values]
    blocked = list(_blocked(text))
    text = marks.clean(text)
    text = re.sub(r'(<section id="footnotes"[^>]*>\s*)<hr />', r"\1<h2>Footnotes</h2>", text)
    text = re.sub("<math display=.*?</math>", lambda found: typeset(found[0]), text, flags=re.S)
    # Control characters, which no page and no feed may have, are left out; one stands between the parts.
    parts = {
        name: CONTROL.sub("", part).strip()
        for name, part in zip(PARTS.values(), text.split("\x1e", len(PARTS) - 1), strict=False)
    }
    plain = {name: html.unescape(parts.get(name, "")) for name in ("plain_title", "plain_description")}
    return {"parts": dict.fromkeys(PARTS.values(), "") | parts | plain, "places": places, "blocked": blocked}


def convert_text(project: Project, keys: tuple[str, ...], text: str, pandoc: Pandoc) -> tuple[str, list[Problem]]:
    """Return a text of the settings as HTML, with paths from the project's folder, and what is wrong with it."""
    found, wrong = pandoc.convert(text, {"root": ""}, Form("html5", HTML), [], marks.clean)
    place = project.settings.at("website", *keys)
    return str(found.result).strip(), placed(wrong, [place])
