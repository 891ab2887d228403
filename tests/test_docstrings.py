"""What docstrings and the README say in formulas and numbers is what is derived and run."""

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from cases import CASES, Case, n, q
from torch import Tensor

from handgrad import Linear, StatementError, check_layer, says, symbolic
from handgrad.formula import FUNCTIONS, FormulaError

ROOT = Path(__file__).parent.parent
SOURCES = ROOT / "src" / "handgrad"
BACKTICKS = re.compile(r"`[^`]*`")
EQUALS = re.compile(r"(?<=\S) = (?=\S)")
# The name of what is told; then its formula, or several in a chain, up to where the words go on.
FORMULA = re.compile(r"(?<!\S)(?P<name>\S+) = (?P<formula>.+?)(?=[.,]?(?:\n|$| {2,})|\. |, (?!else\b)[a-z])")
# What a docstring says otherwise: it gives a name, states a condition, or says in words what a test of its own proves.
IN_WORDS = {
    "G = dL/dY",
    "X = 0",
    "Y = fₖ(… f₂(f₁(X)))",
    "dL/dX = (… backward₁ ∘ … ∘ backwardₖ)(dL/dY)",
    "G = dL/d(output)",
    "name[indices] = value",
    "name[indices] = value for all indices in their ranges",
}
# How words and signs of a docstring are written in LaTeX, in this order.
NOTATION = {
    r"^(\w+) where (.+), else 0$": r"\1 ⊙ [\2]",
    r"Σ (\([^()]*\)²?)": r"\\mathrm{total}(\1)",  # over all entries
    r"Σₙ (\w)ₙ": r"\1^\\mathsf{T} \\mathbf{1}",  # over the rows
    rf"\b({'|'.join(name[1:] for name in FUNCTIONS)}|max|min)\(": r"\\\1(",
}
NAMES = {case.layer.__name__: case for case in CASES.values()} | {"handgrad.symbolic": CASES["linear"]}


def docstrings() -> dict[str, str]:
    """The docstrings of the package by the names of classes and functions, those of modules by their own."""
    found = {}
    for path in SOURCES.rglob("*.py"):
        module = ".".join(path.relative_to(SOURCES.parent).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and (text := ast.get_docstring(node)):
                found[module if isinstance(node, ast.Module) else node.name] = text
    return found


def prose(docstring: str) -> str:
    """Return a docstring without code: what stands in backticks, and lines that have a call with a string."""
    return "\n".join(line for line in BACKTICKS.sub("", docstring).splitlines() if '("' not in line)


def total(values: Tensor) -> Tensor:
    return values.sum()


def read(formula: str, entrywise: bool) -> str:
    """Return a formula of a docstring in LaTeX."""
    for words, latex in NOTATION.items():
        formula = re.sub(words, latex, formula)
    # A product of letters and functions is one of entries, where that is said.
    return re.sub(r"(?<=[\w)]) (?=[\\\w(])", " ⊙ ", formula) if entrywise else formula


def what_is_false(name: str, docstring: str) -> list[str]:
    """Return the formulas of a docstring that are not what is derived from the definition of its layer."""
    case, wrong = NAMES.get(name), []
    for found in FORMULA.finditer(prose(docstring)):
        if found[0] in IN_WORDS:
            continue
        try:
            compare(case, found["name"], read(found["formula"], "entrywise" in docstring))
        except (StatementError, FormulaError, LookupError) as error:
            wrong.append(f"{name}: {found[0]}: {error}")
    return wrong


def compare(case: Case | None, name: str, formula: str) -> None:
    if case is None:
        raise LookupError("there is no case in tests/cases.py to compare it with: add one, or say it in words")
    known = {f"dL/d{array}": derivation for array, derivation in case.derivations.items()}
    says(formula, (known | {case.definition.name: case.definition})[name], N=n * q, total=total)


DOCSTRINGS = docstrings()


def test_formulas_of_docstrings_are_those_that_are_derived() -> None:
    told = {name for name, text in DOCSTRINGS.items() if FORMULA.search(prose(text))}
    assert told >= NAMES.keys()
    assert [false for name in told for false in what_is_false(name, DOCSTRINGS[name])] == []


def test_every_sign_of_equality_in_a_docstring_is_that_of_a_formula() -> None:
    rest = {name: EQUALS.search(FORMULA.sub("", prose(text))) for name, text in DOCSTRINGS.items()}
    assert {name for name, found in rest.items() if found} == set()


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("Linear", "X W + b", "X Wᵀ + b"),
        ("Linear", "X W + b", "X W − b"),
        ("Linear", "G Wᵀ", "G W"),
        ("Linear", "Xᵀ G", "Gᵀ X"),
        ("Linear", "Xᵀ G", "Xᵀ G / N"),
        ("Linear", "Σₙ Gₙ", "2 Σₙ Gₙ"),
        ("Linear", "Σₙ Gₙ", "Σ (G)"),
        ("Linear", "dL/dW", "dL/dX"),
        ("Linear", "Σₙ Gₙ.", "Σₙ Gₙ,   dL/dc = G."),
        ("ReLU", "max(X, 0)", "max(X, 1)"),
        ("ReLU", "where X > 0", "where X < 0"),
        ("ReLU", "= G where", "= X where"),
        ("Exp", "= exp(X)", "= exp(2X)"),
        ("Exp", "G exp(X) =", "exp(X) ="),
        ("Exp", "= G Y", "= G X"),
        ("MSELoss", "L = Σ (Y − T)² / N", "L = Σ (Y − T)²"),
        ("MSELoss", "2 (Y − T) / N", "(Y − T) / N"),
        ("MSELoss", "2 (Y − T) / N", "2 (T − Y) / N"),
        ("MSELoss", "2 (Y − T) / N", "2 (Y − T)"),
        ("handgrad.symbolic", "Xᵀ G", "X Gᵀ"),
        ("check_layer", "Check", "dL/dX = 2 X. Check"),
    ],
)
def test_a_wrong_formula_is_found(name: str, right: str, wrong: str) -> None:
    assert right in DOCSTRINGS[name]
    assert what_is_false(name, DOCSTRINGS[name].replace(right, wrong, 1))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_docstring_may_use_each_function_that_sentences_may(name: str) -> None:
    G, X = torch.rand(2, 2, 3, dtype=torch.double, generator=torch.Generator().manual_seed(0))
    says(read(f"G {name[1:]}(1 + X)", entrywise=True), G * FUNCTIONS[name](1 + X), G=G, X=X)


def test_the_package_of_derivations_shows_code_that_does_what_its_comments_say() -> None:
    *_, steps, compiled = re.findall(r"^    (.*)", DOCSTRINGS["handgrad.symbolic"], re.M)
    scope = vars(symbolic).copy()
    exec("\n".join(re.findall(r"^    (.* = .*\))$", DOCSTRINGS["handgrad.symbolic"], re.M)), scope)
    code, _, comment = compiled.partition("#")
    assert comment.strip() in eval(code, scope).source
    assert eval(steps, scope).steps[-1].latex.endswith(r"X^{\mathsf{T}} G")


def test_the_picture_of_the_readme_is_described_as_what_it_shows() -> None:
    case = CASES["linear"]
    formulas = {"W": case.formulas["W"]}
    receipt = check_layer(Linear(3, 2), case.reference, (5, 3), formulas=formulas, arrays=case.arrays)
    (described,) = re.findall(r"^!\[(.*?)\]", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    told = f"README.md: write {receipt.cases} comparisons, and take .github/page.png anew, from posts/linear"
    assert re.findall(r"(\d+) comparisons", described) == [str(receipt.cases)], told
    assert case.derivations["W"].steps[-1].latex.endswith(r"= X^{\mathsf{T}} G")
    assert "X transposed times G" in " ".join(described.split())


SHAPES = re.compile(r"^(\([^;.]*\)) -> (\(.*?\))", re.M)


def fits(described: str, shape: tuple[int, ...], sizes: dict[str, Any]) -> bool:
    """Return whether a shape is as it is described: `*` is any number of sizes, a name an argument of the layer."""
    names = [name.strip() for name in described.strip("()").split(",") if name.strip()]
    last = [sizes[name] for name in names if name != "*"]
    return list(shape[len(shape) - len(last) :]) == last and ("*" in names or len(shape) == len(last))


@pytest.mark.parametrize("name", CASES)
def test_the_shapes_that_a_layer_describes_are_those_of_a_run(name: str) -> None:
    case = CASES[name]
    for example in case.examples:
        sizes = inspect.signature(case.layer).bind(*example.arguments).arguments
        layer = case.layer(*example.arguments)
        inputs = [torch.rand(shape) for shape in example.shapes]
        output = layer(*inputs)
        grad_output = torch.ones_like(output)
        runs = (case.layer.forward, inputs, output), (case.layer.backward, [grad_output], layer.backward(grad_output))
        for method, given, result in runs:
            found = SHAPES.search(method.__doc__ or "")
            assert found, f"{method.__qualname__} says no shapes"
            before, after = found.groups()
            described = re.findall(r"\([^()]*\)", before)
            assert len(described) == len(given)
            assert all(fits(words, tuple(tensor.shape), sizes) for words, tensor in zip(described, given, strict=True))
            assert fits(after, tuple(result.shape), sizes), (
                f"{method.__qualname__}: {after} is not {tuple(result.shape)}"
            )
