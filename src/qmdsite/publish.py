"""The phase that makes of finished pages what others ask for: a map of the site, plain texts, a page for 404."""

import os
import re
from functools import partial
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import lxml.html

from qmdsite.cache import Cache, digest
from qmdsite.markup import main, plain_code, tex, words, written
from qmdsite.pandoc import Form, Pandoc
from qmdsite.paths import NOT_FOUND, out
from qmdsite.problem import FailedCell
from qmdsite.project import Project

MARKDOWN = Form("gfm-raw_html-tex_math_gfm+tex_math_dollars", {"wrap_text": "none"})


def publish(project: Project, files: dict[str, bytes], pandoc: Pandoc) -> dict[str, bytes]:
    """Return the files that the settings ask for beside the pages."""
    texts = dict[str, bytes]()
    if "site-url" in project.website:
        texts["sitemap.xml"] = sitemap(project)
    if project.website.get("llms-txt"):
        pages = [out(page.path) for page in project.reading_order]
        for name in pages:
            key, make = digest("plain", name, files[name], *pages), partial(plain, name, files[name], pages, pandoc)
            texts[out(name, ".llms.md")] = pandoc.cache.get_or_make(key, make)
        texts["llms.txt"] = contents(project, files, pandoc.cache)
    return texts


def sitemap(project: Project) -> bytes:
    """Return the list of the site's pages that search engines read."""
    root = ET.Element("urlset", xmlns="http://www.sitemaps.org/schemas/sitemap/0.9")
    for page in project.reading_order:
        entry = ET.SubElement(root, "url")
        ET.SubElement(entry, "loc").text = project.address(out(page.path))
        if date := page.meta.get("date-modified", page.meta.get("date")):
            ET.SubElement(entry, "lastmod").text = str(date)[:10]
    ET.indent(root)
    xml: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return xml


def contents(project: Project, files: dict[str, bytes], cache: Cache) -> bytes:
    """Return llms.txt: what the site is, and where its pages are as Markdown, in reading order."""
    website, lines = project.website, []
    for page in project.reading_order:
        html, name = files[out(page.path)], out(page.path, ".llms.md")
        title, about = cache.get_or_make(digest("headline", html), partial(headline, html)).decode().split("\n")
        address = project.address(name) if "site-url" in website else name
        lines.append(f"- [{title}]({address}){about}\n")
    about = f"\n> {website['description']}\n" if "description" in website else ""
    return f"# {website.get('title', 'Pages')}\n{about}\n## Pages\n\n{''.join(lines)}".encode()


def headline(page: bytes) -> bytes:
    """Return on two lines a page's title, as the text of a link, and its description behind a colon."""
    _, content = main(page)
    about = "".join(f": {words(each)}" for each in content.xpath(".//*[@class='description']"))
    title = re.sub(r"([][])", r"\\\1", words(content.xpath(".//h1")[0]))
    return f"{title}\n{about}".encode()


def plain(name: str, page: bytes, pages: list[str], pandoc: Pandoc) -> bytes:
    """Return a page's text and outputs as Markdown, with links to the others of the `pages` in this form."""
    _, content = main(page)
    for element in content.xpath(".//header/div[@class='about']"):
        element.drop_tree()
    for formula in content.xpath(".//math"):
        # In this form pandoc reads a formula as it was written.
        source, mode = tex(formula).strip(), "; mode=display" if formula.get("display") == "block" else ""
        for number in formula.xpath("../following-sibling::a[@class='equation-number']") if mode else ():
            source += f" \\tag{{{number.text.strip('()')}}}"
            number.drop_tree()
        formula.clear(keep_tail=True)
        formula.tag, formula.text = "script", source
        formula.set("type", f"math/tex{mode}")
    for picture in content.xpath(".//svg"):
        description = " ".join(picture.xpath("./desc/text() | @aria-label") or picture.xpath("./title/text()"))
        picture.clear(keep_tail=True)
        picture.tag, picture.text = "p", description
    plain_code(content)
    for link in content.xpath(".//a[@href]"):
        target = os.path.normpath(os.path.join(os.path.dirname(name), unquote(link.get("href").partition("#")[0])))
        if target in pages:
            link.set("href", re.sub(r"\.html(#.*)?$", r".llms.md\1", link.get("href")))
    answer = pandoc.ask(written(content), MARKDOWN, source="html")
    if not answer["done"]:
        raise FailedCell(f"pandoc failed to make Markdown of a page:\n{answer['text']}".rstrip())
    return str(answer["text"]).encode()


def rebase(project: Project, files: dict[str, bytes]) -> None:
    """Write the links of the page for what is not found from the root of the host: it is shown at any address."""
    if NOT_FOUND in project.pages:
        base = re.sub(r"https?://[^/]*", "", project.website.get("site-url", "")).rstrip("/")
        root = lxml.html.document_fromstring(files[out(NOT_FOUND)].decode())
        for link in root.xpath("//@href | //@src | //@poster"):
            if not re.match(r"[a-z][a-z0-9+.-]*:|[/#]", link):
                link.getparent().set(link.attrname, f"{base}/{link}")
        files[out(NOT_FOUND)] = written(root).encode()
