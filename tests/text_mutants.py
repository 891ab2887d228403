"""Corrupts what the posts state, and reports what no build notices. Run: make text-mutants.

Every statement that `tests/statements.py` finds is changed by every operator at every place where it applies, and so is
every definition. Of these corruptions a seed draws as many as are asked for; nothing else chooses. Typed text that
`test_statements.py` refuses is caught by that test. A text given to `says` is caught if `says` raises: each page is
rendered once, with all its corruptions evaluated beside the sentence that they corrupt. A definition is caught if the
page that it stands in stops the render: one in each page for each render.
"""

import argparse
import ast
import itertools
import random
import re
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from conftest import copy_project
from statements import CELL, Statement, statements, states_something

from handgrad.statements import NUMBERS, PLAIN

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "index.qmd", *sorted(ROOT.glob("posts/*/index.qmd"))]
REASONS = Path(__file__).with_suffix(".toml")

HIDDEN = re.compile(r"\\(?:mathsf|mathbf|mathrm|operatorname)\{\w+\}")
TOKEN = re.compile(rf"{HIDDEN.pattern}|\\[a-zA-Z]+|\d+(?:\.\d+)?|[A-Za-z]|\S")
NO_LETTER = ("frac", "sqrt", "sum", "cdot", "times", "odot", "le", "ge", "ne", "log", "exp", "sin", "cos", "tanh",
             "max", "min", "left", "right", "partial", "approx", "dots", "pi")  # fmt: skip
RELATIONS = {"=": "\\ne ", "<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le", "\\ne": "="}
WORDS = {"more than": "less than", "less than": "more than", "at least": "at most", "at most": "at least",
         "fewer than": "more than"}  # fmt: skip


def edited(text: str, match: re.Match[str], new: str) -> str:
    return text[: match.start()] + new + text[match.end() :]


def is_letter(token: str) -> bool:
    return token.isalpha() or (token[0] == "\\" and token[1:].isalpha() and token[1:] not in NO_LETTER)


def last_side(text: str) -> int:
    """Return where the part after the last relation starts."""
    relations = [match.end() for match in TOKEN.finditer(text) if match[0] in RELATIONS]
    return relations[-1] if relations else 0


def is_formula(text: str) -> bool:
    return not PLAIN.fullmatch(text)


def factors(text: str) -> Iterator[str]:
    """A factor 2 too many, and one too few."""
    start, is_tuple = last_side(text), bool(re.fullmatch(r"\(.*,.*\)", text))
    body = text[start:].lstrip()
    if is_tuple:
        yield f"(2 {text[1:]}"
    elif is_formula(text) and body.rstrip("]") != "0":
        sign = "2 \\cdot" if body[:1].isdigit() else "2"
        yield f"{text[:start]} {sign} {body}".lstrip()
    for match in re.finditer(r"(?<![\d.^_{\w])(?<!\\,)\d+\s*(?=[A-Za-z(\\])(?!\\[,;])", text):
        yield edited(text, match, "")


def signs(text: str) -> Iterator[str]:
    found = [match for match in re.finditer(r"(?<![\[({,^])[+−-]", text) if match.start()]
    for match in found:
        yield edited(text, match, "-" if match[0] == "+" else "+")
    start, is_tuple = last_side(text), "," in text.replace("\\,", "") or "\\times" in text
    if not found and is_formula(text) and not is_tuple and (body := text[start:].lstrip()).rstrip("]") != "0":
        yield f"{text[:start]} -{body}".lstrip()


def exponents(text: str) -> Iterator[str]:
    for match in re.finditer(r"\^(\d|\{\d+\})|²|³", text):
        yield edited(text, match, "^3" if "2" in match[0] or match[0] == "²" else "^2")
        yield edited(text, match, "")


def transposes(text: str) -> Iterator[str]:
    for match in re.finditer(r"\^\{?\\mathsf\{T\}\}?|ᵀ", text):
        yield edited(text, match, "")
    for match in re.finditer(r"(?<![\w\\])[A-Z](?= [A-Z\\]|(?<= .)$)(?!\^)", text):
        if "_" not in text:
            yield edited(text, match, rf"{match[0]}^\mathsf{{T}}")


def kind_of_letter(text: str, match: re.Match[str]) -> str:
    """Tell a letter's part in a formula: nobody confuses an index with a matrix, or a function with its argument."""
    if re.search(r"_(?:\{[^}]*)?$", text[: match.start()]):
        return "index"
    if re.match(r"'|\([^)]*\)", text[match.end() :]) and match[0].islower():
        return "function"
    return "matrix" if match[0].isupper() else "number"


def commute(text: str, one: re.Match[str], other: re.Match[str]) -> bool:
    """Return whether two letters may change places: in a product or sum of numbers, δ, the letters of Σ, i = r."""
    between = text[one.end() : other.start()]
    if kind_of_letter(text, one) == "index":
        return bool(re.search(r"\\(?:delta|sum)_\{[^}]*$", text[: one.start()]) and "}" not in between)
    return bool(one[0].islower() and re.fullmatch(r"(?:\s|\\,|\\cdot|[+=])*", between))


def swaps(text: str) -> Iterator[str]:
    """Two neighbouring letters of one kind, or sizes, in the other order."""
    if not is_formula(text):
        return
    letters: dict[str, list[re.Match[str]]] = {}
    for match in TOKEN.finditer(text):
        if is_letter(match[0]) and not HIDDEN.fullmatch(match[0]):
            letters.setdefault(kind_of_letter(text, match), []).append(match)
    for one, other in itertools.chain.from_iterable(map(itertools.pairwise, letters.values())):
        if one[0] != other[0] and not commute(text, one, other):
            first, second = (f"{match[0]} " if match[0][0] == "\\" else match[0] for match in (one, other))
            yield text[: one.start()] + second + text[one.end() : other.start()] + first + text[other.end() :]
    sizes = re.fullmatch(r"\((\w+), (\w+)\)|(\w+) \\times (\w+)", text)
    if sizes and any(size and size.isdigit() for size in sizes.groups()):
        one_size, other_size = (size for size in sizes.groups() if size)
        yield text.replace(one_size, "?").replace(other_size, one_size).replace("?", other_size)


NUMBER = re.compile(r"(?<![\w.^_{])\d+(?:(?:\\,|[,  ])\d{3})*(?:\.\d+)?(?![\w.])|(?<=frac\{)\d+(?=\})")


def tens(text: str) -> Iterator[str]:
    for match in NUMBER.finditer(text):
        if re.search("[1-9]", match[0]):
            whole, _, rest = match[0].partition(".")
            moved = f"{whole}{rest[0]}".lstrip("0") + (f".{rest[1:]}" if rest[1:] else "") if rest else f"{whole}0"
            yield edited(text, match, moved if moved[0] != "." else f"0{moved}")


def counts(text: str) -> Iterator[str]:
    """One more, in the last digit or as the next word."""
    for match in NUMBER.finditer(text):
        yield edited(text, match, match[0][:-1] + ("8" if match[0][-1] == "9" else str(int(match[0][-1]) + 1)))
    words = [word for word, number in NUMBERS.items() if number in range(13) and word not in ("once", "twice")]
    for match in re.finditer(rf"\b(?:{'|'.join(words[:-1])})\b", text):
        yield edited(text, match, words[words.index(match[0]) + 1])


def comparisons(text: str) -> Iterator[str]:
    for match in TOKEN.finditer(text):
        if match[0] in RELATIONS:
            yield edited(text, match, RELATIONS[match[0]])
    for match in re.finditer("|".join(WORDS), text):
        yield edited(text, match, WORDS[match[0]])


OPERATORS: dict[str, Callable[[str], Iterator[str]]] = {
    "factor": factors,
    "sign": signs,
    "exponent": exponents,
    "transpose": transposes,
    "swapped letters": swaps,
    "power of ten": tens,
    "count": counts,
    "comparison": comparisons,
}


@dataclass(frozen=True)
class Corruption:
    """A statement or definition with an error in it."""

    statement: Statement
    operator: str
    after: str

    @property
    def name(self) -> str:
        """What it changes, without the line."""
        page = self.statement.path.parent.name if self.statement.path.parent != ROOT else "home"
        return f"{page}: {self.statement.text} → {self.after}"


def corrupted_texts(path: Path) -> list[Corruption]:
    """Return every corruption of the statements of a page; a name alone is none."""
    stated = [s for s in statements(path) if s.kind in ("says", "notation") or states_something(s)]
    return [
        Corruption(statement, operator, after)
        for statement in stated
        for operator, corrupt in OPERATORS.items()
        for after in dict.fromkeys(corrupt(statement.text))
        if after != statement.text
    ]


DEFINITIONS: dict[str, Callable[[str], str]] = {
    "three times the definition": lambda value: f"3 * ({value})",
    "half the definition": lambda value: f"({value}) / 2",
    "a sum for a mean": lambda value: re.sub(r"\bmean\(", "Sum(", value),
    "an operand transposed": lambda value: re.sub(r"\b([A-Za-z]\w*)\[(\w+), (\w+)\]", r"\1[\3, \2]", value, count=1),
    "a dropped term": lambda value: _without_last_term(value),
    "the other sign": lambda value: f"-({value})",
}


def _without_last_term(value: str) -> str:
    tree = ast.parse(value, mode="eval").body
    if isinstance(tree, ast.BinOp) and isinstance(tree.op, (ast.Add, ast.Sub)):
        return ast.unparse(tree.left)
    return value


def corrupted_definitions(path: Path) -> list[Corruption]:
    """Return every corruption of what a page defines."""
    source, found = path.read_text(encoding="utf-8"), []
    for cell in CELL.finditer(source):
        code = cell[1]
        starts = [0]
        for line in code.splitlines(keepends=True):
            starts.append(starts[-1] + len(line.encode()))
        for call in ast.walk(ast.parse(code)):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "define" and len(call.args) > 1:
                value = call.args[1]
                first = len(code.encode()[: starts[value.lineno - 1] + value.col_offset].decode())
                text = ast.get_source_segment(code, value) or ""
                start = cell.start(1) + first
                line = source.count("\n", 0, start) + 1
                statement = Statement(path, line, start, start + len(text), "definition", text)
                changed = {name: change(text) for name, change in DEFINITIONS.items()}
                found += [Corruption(statement, name, after) for name, after in changed.items() if after != text]
    return found


def refused(corruption: Corruption) -> bool:
    """Return whether the test of what is typed refuses a corruption: it is caught without a render."""
    statement = corruption.statement
    if statement.kind in ("says", "definition"):
        return False
    return statement.kind != "notation" and states_something(replace(statement, text=corruption.after))


JUDGE = """
```{{python}}
#| include: false
def judged_(statement, wrong):
    shown = statement()
    for number, corrupted in wrong.items():
        try:
            corrupted()
        except Exception:
            continue
        with open({file!r}, "a") as survivors:
            print(number, file=survivors)
    return shown
```
"""


def judged(corruptions: list[Corruption], folder: Path) -> list[Corruption]:
    """Return which corruptions of texts that are given to `says` survive a render of the pages they stand in."""
    pages = sorted({corruption.statement.path for corruption in corruptions})
    render = copy_project(folder)
    survivors = folder.parent / "survivors"
    survivors.touch()
    for path in pages:
        source = path.read_text(encoding="utf-8")
        own = [(number, c) for number, c in enumerate(corruptions) if c.statement.path == path]
        for statement in sorted({c.statement for _, c in own}, key=lambda s: -s.start):
            start = source.rindex("`{python} ", 0, statement.start) + len("`{python} ")
            end = source.index("`", statement.end)
            call, place = source[start:end], statement.start - start
            wrong = ", ".join(
                f"{number}: lambda: {call[:place]}{c.after}{call[place + len(statement.text) :]}"
                for number, c in own
                if c.statement == statement
            )
            source = f"{source[:start]}judged_(lambda: {call}, {{{wrong}}}){source[end:]}"
        _, front, body = source.split("---\n", 2)
        text = f"---\n{front}---\n{JUDGE.format(file=str(survivors))}\n{body}"
        (folder / path.relative_to(ROOT)).write_text(text, encoding="utf-8")
    ran = render()
    if ran.returncode:
        sys.exit(f"the pages cannot be rendered as they are:\n{ran.stderr}")
    return [corruptions[int(line)] for line in survivors.read_text().split()]


def defined(corruptions: list[Corruption], folder: Path) -> list[Corruption]:
    """Return which corruptions of definitions survive: one in each page for each render."""
    render, survivors, todo = copy_project(folder), [], list(corruptions)
    while todo:
        now = list({corruption.statement.path: corruption for corruption in todo}.values())
        todo = [corruption for corruption in todo if corruption not in now]
        for corruption in now:
            path, statement = corruption.statement.path, corruption.statement
            source = path.read_text(encoding="utf-8")
            changed = source[: statement.start] + corruption.after + source[statement.end :]
            (folder / path.relative_to(ROOT)).write_text(changed, encoding="utf-8")
        stopped = render().stderr
        for corruption in now:
            path = corruption.statement.path.relative_to(ROOT)
            (folder / path).write_text((ROOT / path).read_text(encoding="utf-8"), encoding="utf-8")
            if not re.search(rf"^{path}:\d+", stopped, re.M):
                survivors.append(corruption)
    return survivors


@dataclass(frozen=True)
class Report:
    """What was tried and what survived."""

    tried: list[Corruption]
    survivors: list[Corruption]

    @property
    def share(self) -> float:
        """The share that was caught."""
        return 1 - len(self.survivors) / len(self.tried)

    @property
    def unexplained(self) -> list[str]:
        """The survivors of which nobody has said why they state nothing false."""
        reasons = known_reasons()
        return [f"{c.statement}: {c.name}" for c in self.survivors if c.name not in reasons]

    def __str__(self) -> str:
        tried, lost = (Counter(c.operator for c in part) for part in (self.tried, self.survivors))
        rows = [f"{name:28} {tried[name]:5} {tried[name] - lost[name]:7}" for name in tried]
        reasons = known_reasons()
        left = [f"survived: {c.name}\n  {reasons.get(c.name, 'NOT EXPLAINED')}" for c in self.survivors]
        total = f"{len(self.tried)} corruptions on {len({c.statement.path for c in self.tried})} pages"
        return "\n".join([f"{'operator':28} tried  caught", *rows, f"{total}, {self.share:.1%} caught", *left])


def known_reasons() -> dict[str, str]:
    """Return why some corruptions state nothing false."""
    listed = tomllib.loads(REASONS.read_text(encoding="utf-8")).get("survivor", []) if REASONS.exists() else []
    return {entry["corruption"]: entry["reason"] for entry in listed}


def tried(corruptions: list[Corruption]) -> Report:
    """Try corruptions."""
    kinds = ("says", "definition")
    typed = [c for c in corruptions if c.statement.kind not in kinds]
    texts, definitions = ([c for c in corruptions if c.statement.kind == kind] for kind in kinds)
    survivors = [c for c in typed if not refused(c)]
    with tempfile.TemporaryDirectory() as folder:
        survivors += judged(texts, Path(folder, "texts")) if texts else []
        survivors += defined(definitions, Path(folder, "definitions")) if definitions else []
    return Report(corruptions, survivors)


def drawn(seed: int, texts: int, definitions: int, pages: list[Path] = PAGES) -> list[Corruption]:
    """Draw corruptions of texts and of definitions, the latter as many in each page; all if there are fewer."""
    generator = random.Random(seed)
    found = [corruption for page in pages for corruption in corrupted_texts(page)]
    chosen = generator.sample(found, min(texts, len(found)))
    for page in pages:
        own = corrupted_definitions(page)
        chosen += generator.sample(own, min(definitions, len(own)))
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--texts", type=int, default=10_000, help="how many corruptions of texts (default: all)")
    parser.add_argument("--definitions", type=int, default=3, help="how many of definitions, for each page")
    arguments = parser.parse_args()
    report = tried(drawn(arguments.seed, arguments.texts, arguments.definitions))
    print(report)
    sys.exit(1 if report.share < 0.95 or report.unexplained else 0)


if __name__ == "__main__":
    main()
