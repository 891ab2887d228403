"""Marks in Markdown, by which what stands on a page knows the line of the source that it comes from.

A mark is the number of a line of the composed text, in the digits of a script that no page is written in (Osmanya).
Pandoc takes them for digits, so they may stand in the key of a citation. Where they end up in a page they are taken
out again; a mark in a wrong place is only not found.
"""

import re
from collections.abc import Container, Iterator

DIGITS = "𐒠𐒡𐒢𐒣𐒤𐒥𐒦𐒧𐒨𐒩"
WRITE, READ = str.maketrans("0123456789", DIGITS), str.maketrans(DIGITS, "0123456789")
MARK = rf"[{DIGITS}]+"
ATTRIBUTE = rf""" ?\{{data-at={MARK}\}}|\s?data-at=(?:"{MARK}"|{MARK}|&quot;{MARK}&quot;)"""

# What stands between the braces of attributes.
PART = r"""(?:[.#][^\s{}"'=]+|-|[A-Za-z_:][\w:.-]*=(?:"[^"]*"|'[^']*'|[^\s{}"']+))"""
INNER = rf"\s*{PART}(?:\s+{PART})*\s*"
# What a paragraph is made of, as far as it matters here: what is passed over, and what is marked.
PROSE = re.compile(
    r"""
      \\begin\{[^}]*\}                                                                 # what is no Markdown
    | (?:^|\n)[ \t]*:{3,}[ \t]*[^\s:][^\n]*                                            # no div
    | (?P<command>\\[A-Za-z]+|(?<!`)`[^`\n]+`(?=\{=(?!html\})))                        # what is refused
    | (?P<code>(?<!`)(?P<ticks>`+)(?!`).*?(?<!`)(?P=ticks)(?!`)|\\[^\nA-Za-z]|<!--.*?-->|<[a-z][\w+.-]*:[^\s>]*>)
    | (?P<math>\$\$(?=.+?\$\$)|\$(?=[^\s$](?:[^$]*?[^\s$\\])?\$(?!\d))) (?P<tex>(?:\\.|[^$\\])*\$\$?)
    | (?P<tag></?[A-Za-z][\w-]*(?:\s+[^<>\s=]+(?:\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'>]+))?)*\s*/?>)
    | (?P<attributes>(?<=[\])`\s])\{(?!\#eq-)INNER(?=\}))
    | (?<!\w)@(?:\{[^{}\s]+(?=\})|[A-Za-z0-9_*]\w*(?:[:.\#$%&+?<>~/-]\w+)*)            # a citation
    | \]\(\s*(?:<[^<>\n]*(?=>)|[^\s()<>]*(?:\([^\s()]*\)[^\s()]*)*)                    # where a link leads
    | (?:^|\n)[ ]{0,3}\[[^\]\n^@][^\]\n]*\]:[ \t]*(?:<[^<>\n]*(?=>)|[^\s<>]+)          # the same, below the text
    | \[\^[^\]\s]+\](?=[\s.,;!?)]|$)                                                   # a footnote
    | \{\#eq-[\w.:-]+(?=[\s}])                                                         # the label of an equation
    """.replace("INNER", INNER),
    re.X | re.S,
)
VALUE = re.compile(r"""(\s(?:href|src|srcset|poster|on\w+)\s*=\s*)(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.I)
INLINE_BLOCK = re.compile(r"<(?:script|style|div)\b", re.I)
# A table with | gives its columns widths if a line of it is longer than this; the letter says that it is not.
COLUMNS, NARROW = 72, "\U000104d0"
RESERVED = re.compile(f"[{DIGITS}{NARROW}]")
PIPES = re.compile(r".*\|.*\n[ ]*\|?[ ]*:?-+:?[ ]*(\|[ ]*:?-+:?[ ]*)*\|?[ ]*\n")
ALIGNED = re.compile(r"^[ ]*(?:-{2,}(?:[ ]+-+)*|\+[-=:+]+\+)[ ]*$", re.M)
# What may have attributes behind a space, at its end: a caption, a title that is underlined, where a link leads.
TITLED = re.compile(r"[ ]*(?:(?:[Tt]able)?:|\[[^\]]+\]:)|.*\n(?:=+|-+)[ ]*(?:\n|$)")
LINKED = re.compile(r"\]\((?:[^()]|\([^()]*\))*\)$")
# Examples are numbered where they stand, as (@name), and referred to in the form of citations.
EXAMPLES = re.compile(r"(?:\A|\n[ \t]*\n)([ \t]*\(?@[\w-]*[.)][ \t].*(?:\n.*\S.*)*)")
EXAMPLE = re.compile(r"^[ \t]*\(?@([\w-]+)[.)][ \t]", re.M)
FENCE = re.compile(r"(\s*)(`{3,}|~{3,})[ \t]*([^`\n]*)$")
INDENTED = re.compile(r" {4}|\t")
# What begins a list, a note or a definition, in which what is indented need not be code.
MARKER = re.compile(r"[ ]{0,3}(?:[-*+]|\(?(?:#|\d+|[A-Za-z]+|@[\w-]*)[.)]|\[\^[^\]]+\]:|[:~])[ \t]")
HEADING = re.compile(rf"(#{{1,6}}[ \t].*?)[ \t]*(?:\{{({INNER})\}})?[ \t]*$")
DIV = re.compile(rf"(\s*:{{3,}}[ \t]*)(?:\{{({INNER}|)\}}|([^\s{{}}:]+))([ \t]*:*[ \t]*)$")


def mark(number: int) -> str:
    """Return the mark of a line of the composed text."""
    return str(number).translate(WRITE)


def clean(text: str) -> str:
    """Return text without marks."""
    return re.sub(f"{ATTRIBUTE}|{MARK}| ?{NARROW}", "", text)


def numbers(text: str) -> list[int]:
    """Return the numbers that the marks in a text say."""
    return [int(found.translate(READ)) for found in re.findall(MARK, text)]


def markdown(text: str, first: int) -> str:
    """Return Markdown with marks, if `first` is the number of its first line."""
    examples = {f"@{name}" for each in EXAMPLES.findall(text) for name in EXAMPLE.findall(each)}
    lines: list[str] = []
    for kind, block in _blocks(text.split("\n")):
        number = first + len(lines)
        if kind == "prose":
            lines += _prose("\n".join(block), number, examples).split("\n")
        elif kind == "fence":
            lines += [_opened(block[0], number), *_body(block, number + 1)]
        else:
            lines += [_titled(line, number, examples) for line in block] if kind == "line" else block
    return "\n".join(lines)


def _blocks(lines: list[str]) -> list[tuple[str, list[str]]]:
    """Return the lines in blocks: prose, code in fences, code that is indented, and single lines."""
    blocks: list[tuple[str, list[str]]] = [("line", [])]
    comment = listed = False
    for line in lines:
        kind, block = blocks[-1]
        if kind == "fence" and not _closed(block):
            block.append(line)
            continue
        if re.match(r" {0,3}\S", line):
            listed = bool(MARKER.match(line)) or (listed and line[0] == " ")
        if kind == "prose" and (comment or _goes_on(line)):
            block.append(line)
        else:
            blocks.append((_kind(line, listed), [line]))
        comment = blocks[-1][0] == "prose" and "<!--" in uncommented("<!--" * comment + line)
    return blocks


def _kind(line: str, listed: bool) -> str:
    """Return what a line begins; in a list what is indented is no code."""
    if not line.strip() or DIV.fullmatch(line) or HEADING.fullmatch(line):
        return "line"
    return "code" if INDENTED.match(line) and not listed else "fence" if FENCE.match(line) else "prose"


def uncommented(line: str) -> str:
    """Return what is left of a line behind its code and its last comment."""
    return re.sub("`[^`]*`", "", line).rpartition("-->")[2]


def unmarked(text: str, first: int) -> Iterator[tuple[int, str]]:
    """Yield the lines of the tables that have no marks, by their numbers."""
    lines = text.split("\n")
    for _, block in _blocks(lines) if any(map(ALIGNED.match, lines)) else ():
        if any(map(ALIGNED.match, block)):
            yield from enumerate(block, first)
        first += len(block)


def _goes_on(line: str) -> bool:
    """Return whether a line goes on with the paragraph before it."""
    return bool(line.strip()) and not FENCE.match(line) and not DIV.fullmatch(line)


def _closed(code: list[str]) -> bool:
    """Return whether the last line of a block of code ends it."""
    return len(code) > 1 and ends(code[-1], FENCE.match(code[0])[2])  # type: ignore[index]


def ends(line: str, ticks: str) -> bool:
    """Return whether a line ends the block of code that was opened with these."""
    return line.strip().startswith(ticks) and not line.strip().strip(ticks[0])


def _opened(line: str, number: int) -> str:
    """Return the opening of a block of code with a mark; a raw one has none."""
    indent, ticks, info = FENCE.match(line).groups()  # type: ignore[union-attr]
    info = info.strip()
    if not info:
        return f"{indent}{ticks} {{data-at={mark(number)}}}"
    if re.fullmatch(rf"\{{{INNER}\}}", info):
        return f"{indent}{ticks} {info[:-1]} data-at={mark(number)}}}"
    return f"{indent}{ticks} {{.{info} data-at={mark(number)}}}" if re.fullmatch(r"[\w+-]+", info) else line


def _body(code: list[str], first: int) -> list[str]:
    """Return what stands in a block of code, and its end, with marks if it is raw."""
    raw = re.match(r"\{=(\w+)", FENCE.match(code[0])[3])  # type: ignore[index]
    if raw and raw[1] == "html":
        return html("\n".join(code[1:]), first).split("\n")
    return [mark(first - 1) + code[1], *code[2:]] if raw and len(code) > 2 else code[1:]


def _titled(line: str, number: int, examples: Container[str]) -> str:
    """Return a heading, or the opening of a div, with a mark."""
    if heading := HEADING.fullmatch(line):
        inner = f"{heading[2]} " if heading[2] else ""
        return f"{_prose(heading[1], number, examples)} {{{inner}data-at={mark(number)}}}"
    if div := DIV.fullmatch(line):
        inner = div[2] if div[2] is not None else f".{div[3]}"
        return f"{div[1]}{{{inner} data-at={mark(number)}}}{div[4]}"
    return line


def _prose(text: str, first: int, examples: Container[str]) -> str:
    """Return a paragraph with marks; a table whose columns are where its characters are has none."""
    if ALIGNED.search(text):
        return text

    def found(match: re.Match[str]) -> str:
        start = first + text.count("\n", 0, match.start())
        if match["code"] or match[0].replace("{", "") in examples or (match["attributes"] and not _belong(match)):
            return match[0]
        if match["math"]:
            return f"{match['math']}{mark(start)}{match['tex']}"
        if match["command"]:
            return mark(start) + match[0]
        if match["tag"]:
            return html(match[0], start)
        at = mark(first + text.count("\n", 0, match.end()))
        return f"{match[0]} data-at={at}" if match["attributes"] else match[0] + at

    return _narrow(text, PROSE.sub(found, text))


def _belong(attributes: re.Match[str]) -> bool:
    """Return whether what has the form of attributes belongs to something: to what is before it, without a space."""
    text, start = attributes.string, attributes.start()
    if not text[start - 1].isspace():
        return text[start - 1] != ")" or bool(LINKED.search(text[:start]))
    rest = text[attributes.end() + 1 :]
    return not rest.partition("\n")[0].strip() and bool(TITLED.match(text, text.rfind("\n", 0, start) + 1))


def _narrow(text: str, marked: str) -> str:
    """Return a table with marks so that its columns have widths only if they had without."""
    lengths = [max(map(len, each.split("\n"))) for each in (text, marked)]
    if not PIPES.match(text) or not lengths[0] <= COLUMNS < lengths[1]:
        return marked
    head, _, rows = marked.partition("\n")
    return re.sub(r"\s*(\|?)\s*$", rf" {NARROW} \1", head) + "\n" + rows


def html(text: str, first: int) -> str:
    """Return HTML with marks on what its elements link to, load and do."""

    def at(match: re.Match[str]) -> str:
        return mark(first + text.count("\n", 0, match.start() + 1))

    def value(match: re.Match[str]) -> str:
        quote = match[0][-1] if match[4] is None else ""
        return f"{match[1]}{quote}{match[2] or match[3] or match[4] or ''}{at(match)}{quote}"

    text = VALUE.sub(value, text)
    return INLINE_BLOCK.sub(lambda match: f"{match[0]} data-at={at(match)}", text)
