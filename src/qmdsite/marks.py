"""Marks in Markdown, by which what stands on a page knows the line of the source that it comes from.

A mark is the number of a line of the composed text, in the digits of a script that no page is written in (Osmanya).
Pandoc takes them for digits, so they may stand in the key of a citation. Where they end up in a page they are taken
out again; a mark in a wrong place is only not found.
"""

import re

DIGITS = "𐒠𐒡𐒢𐒣𐒤𐒥𐒦𐒧𐒨𐒩"
WRITE, READ = str.maketrans("0123456789", DIGITS), str.maketrans(DIGITS, "0123456789")
MARK = rf"[{DIGITS}]+"
ATTRIBUTE = rf""" ?\{{data-at={MARK}\}}|\s?data-at=(?:"{MARK}"|{MARK}|&quot;{MARK}&quot;)"""

# What a paragraph is made of, as far as it matters here: what is passed over, and what is marked.
PROSE = re.compile(
    r"""
      \\begin\{[^}]*\}                                                                 # what is no Markdown
    | (?P<code>(?<!`)(?P<ticks>`+)(?!`).*?(?<!`)(?P=ticks)(?!`)|\\[^\n]|<!--.*?-->|<[a-z][\w+.-]*:[^\s>]*>)
    | (?P<math>\$\$(?=.+?\$\$)|\$(?=[^\s$](?:[^$]*?[^\s$\\])?\$(?!\d))) (?P<tex>(?:\\.|[^$\\])*\$\$?)
    | (?P<tag></?[A-Za-z][\w-]*(?:\s+[^<>\s=]+(?:\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'>]+))?)*\s*/?>)
    | (?P<attributes>(?<=[\])`}$\s])\{(?=[.\#\w])(?!\#eq-)[^{}\n]*(?:\n[^{}\n]*)?(?=\}))
    | (?<!\w)@(?:\{[^{}\s]+(?=\})|[A-Za-z0-9_*]\w*(?:[:.\#$%&+?<>~/-]\w+)*)          # a citation
    | \]\(\s*(?:<[^<>\n]*(?=>)|[^\s()<>]*(?:\([^\s()]*\)[^\s()]*)*)                  # where a link leads
    | (?:^|\n)[ ]{0,3}\[[^\]\n^@][^\]\n]*\]:[ \t]*(?:<[^<>\n]*(?=>)|[^\s<>]+)        # the same, below the text
    | \[\^[^\]\s]+\](?!:)                                                            # a footnote
    | \{\#eq-[\w.:-]+(?=\s*\})                                                       # the label of an equation
    """,
    re.X | re.S,
)
VALUE = re.compile(r"""(\s(?:href|src|srcset|poster|on\w+)\s*=\s*)(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.I)
INLINE_BLOCK = re.compile(r"<(?:script|style)\b", re.I)
# A table with | gives its columns widths if a line of it is longer than this; the letter says that it is not.
COLUMNS, NARROW = 72, "\U000104d0"
PIPES = re.compile(r".*\|.*\n[ ]*\|?[ ]*:?-+:?[ ]*(\|[ ]*:?-+:?[ ]*)*\|?[ ]*\n")
ALIGNED = re.compile(r"^[ ]*(?:-{2,}(?:[ ]+-+)*|\+[-=:+]+\+)[ ]*$", re.M)
FENCE = re.compile(r"(\s*)(`{3,}|~{3,})[ \t]*([^`\n]*)$")
HEADING = re.compile(r"(#{1,6}[ \t].*?)[ \t]*(?:\{([^{}]*)\})?[ \t]*$")
DIV = re.compile(r"(\s*:{3,}[ \t]*)(?:\{([^{}]*)\}|([^\s{}:]+))([ \t]*:*[ \t]*)$")


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
    lines: list[str] = []
    paragraph: list[str] = []
    fence, raw = "", False
    for number, line in enumerate([*text.split("\n"), ""], first):
        opening = FENCE.match(line)
        special = fence or opening or DIV.fullmatch(line) or (HEADING.fullmatch(line) and not paragraph)
        if line.strip() and not special:
            paragraph.append(line)
            continue
        lines += [_prose("\n".join(paragraph), number - len(paragraph))] if paragraph else []
        paragraph = []
        if opening and not fence:
            fence, line = opening[2], _opened(opening, line, number)
            raw = bool(re.match(r"\{=html", opening[3]))
        elif fence:
            fence = "" if line.strip().startswith(fence) and not line.strip().strip(fence[0]) else fence
            line = html(line, number) if raw else line
        elif line.strip():
            line = _titled(line, number)
        lines.append(line)
    return "\n".join(lines[:-1])


def _opened(fence: re.Match[str], line: str, number: int) -> str:
    """Return the opening of a block of code with a mark; a raw one has none."""
    indent, ticks, info = fence[1], fence[2], fence[3].strip()
    if not info:
        return f"{indent}{ticks} {{data-at={mark(number)}}}"
    if re.fullmatch(r"\{[^=].*\}", info):
        return f"{indent}{ticks} {info[:-1]} data-at={mark(number)}}}"
    return f"{indent}{ticks} {{.{info} data-at={mark(number)}}}" if re.fullmatch(r"[\w+-]+", info) else line


def _titled(line: str, number: int) -> str:
    """Return a heading, or the opening of a div, with a mark."""
    if heading := HEADING.fullmatch(line):
        inner = f"{heading[2]} " if heading[2] else ""
        return f"{_prose(heading[1], number)} {{{inner}data-at={mark(number)}}}"
    if div := DIV.fullmatch(line):
        inner = div[2] if div[2] is not None else f".{div[3]}"
        return f"{div[1]}{{{inner} data-at={mark(number)}}}{div[4]}"
    return line


def _prose(text: str, first: int) -> str:
    """Return a paragraph with marks; a table whose columns are where its characters are has none."""
    if ALIGNED.search(text):
        return text

    def found(match: re.Match[str]) -> str:
        start = first + text.count("\n", 0, match.start())
        if match["code"]:
            return match[0]
        if match["math"]:
            return f"{match['math']}{mark(start)}{match['tex']}"
        if match["tag"]:
            return html(match[0], start)
        at = mark(first + text.count("\n", 0, match.end()))
        return f"{match[0]} data-at={at}" if match["attributes"] else match[0] + at

    return _narrow(text, PROSE.sub(found, text))


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
