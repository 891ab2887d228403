"""The source of plain functions of numpy's arrays, or of jax's: what a program computes, and its gradients."""

import ast
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from handgrad.symbolic.code_text import enclosed, spaced, tuple_lines
from handgrad.symbolic.definitions import Definition, in_order
from handgrad.symbolic.formulas import FUNCTIONS
from handgrad.symbolic.layer_code import LayerCode
from handgrad.symbolic.source_text import Computed, docstring, gradients_text, module, shapes_text
from handgrad.symbolic.stacks import Stacked


class Library(NamedTuple):
    """How arrays are computed with: what the module is called in the code, and what it has not, or by another name."""

    name: str
    imports: tuple[tuple[str, ...], ...]
    functions: Mapping[str, str]


NUMPY = Library(
    "np",
    (("import math",), ("import numpy as np", "import scipy.special")),
    {
        "torch.erf": "scipy.special.erf(_0)",
        # Neither overflows.
        "torch.sigmoid": "np.exp(-np.logaddexp(0, -_0))",
        "torch.nn.functional.logsigmoid": "-np.logaddexp(0, -_0)",
    },
)
JAX = Library(
    "jnp",
    (("import math",), ("import jax", "import jax.numpy as jnp")),
    {
        "torch.erf": "jax.lax.erf(_0)",
        "torch.sigmoid": "jax.nn.sigmoid(_0)",
        "torch.nn.functional.logsigmoid": "jax.nn.log_sigmoid(_0)",
    },
)
_SAME = {code.torch for code in FUNCTIONS.values()} | {
    f"torch.{name}"
    for name in ("arange", "einsum", "eye", "float64", "int64", "maximum", "sqrt", "where", "zeros_like")
}
# Torch's functions and methods in the words of both: `_` is the array, `xp` the module, `_0` what is given first, `__`
# all that is given; other names are those of keywords.
_FUNCTIONS = {"torch.tensor": "xp.asarray(_0, dtype=dtype)"}
_METHODS = {
    "amax": "_.max(__, keepdims=keepdim)",
    "clamp": "xp.clip(_, min=min, max=max)",
    "expand": "xp.broadcast_to(_, (__,))",
    "gather": "xp.take_along_axis(_, _1, _0)",
    "movedim": "xp.moveaxis(_, _0, _1)",
    "squeeze": "_.squeeze(__)",
    "sum": "_.sum(__, keepdims=keepdim)",
    "to": "_.astype(_0)",
}
_MODULES = {"np", "jnp", "jax", "scipy"}


class _ArrayCode(LayerCode):
    """The lines of two functions, of which the second is given what the first is, and computes it again."""

    reserved = frozenset({"math", *_MODULES})
    by_products = True

    def __init__(self, program: Stacked, inputs: Mapping[str, Any], upstream: Any) -> None:
        self.incoming = upstream.name if upstream is not None else ""
        # Axes that are joined in memory are given apart.
        super().__init__(program, inputs, {}, upstream, {}, {})

    def choice(self) -> tuple[list[Any], list[Definition]]:
        """Return all inputs, and what the gradients are made of."""
        again = self.ancestors(self.parts(self.behind))
        return [*self.inputs.values()], [step for step in self.ahead if step.base in again]

    def computed(self) -> list[str]:
        """Return the lines of the first function."""
        lines = self.sizes_of(self.inputs, {*map(str, self.first.sizes)})
        return [*lines, *(f"        {name} = {code}" for name, code in self.ahead_lines)]

    def differentiated(self) -> list[str]:
        """Return the lines of the second."""
        given = self.inputs if self.upstream is None else {**self.inputs, self.incoming: self.upstream}
        lines = self.sizes_of(given, {*map(str, self.second.sizes)})
        return [*lines, *(f"        {name} = {code}" for name, code in self.behind_lines)]


def array_source(computed: Computed, name: str, library: Library) -> str:
    """Return the source of a module with both functions: see `Program.numpy`."""
    forward, backward = (name, f"{name}_backward") if name else ("forward", "backward")
    computed.require_names(forward, "a function", (), {"math", *_MODULES})
    arguments, upstream, output = computed.arguments, computed.upstream, computed.output
    code = _ArrayCode(Stacked(in_order(output), {**computed.gradients}, None), arguments, upstream)
    names, shapes = ", ".join(arguments), shapes_text(code, arguments)
    gradients = [code.gradient(argument) for argument in arguments if argument in computed.gradients]
    first = docstring(f"Return {output.name} of {names}.", in_order(output), shapes)
    lines = [*_rewritten(code.computed(), library), *tuple_lines("return ", [code.first.names[output.base]], indent=4)]
    one = "\n".join([f"def {forward}({names}):", first, *lines])
    given = [*arguments, *([] if upstream is None else [upstream.name])]
    about = shapes + gradients_text(computed, arguments)
    first = docstring(f"Return {', '.join(gradients)}.", [*computed.gradients.values()], about)
    lines = [*_rewritten(code.differentiated(), library), *tuple_lines("return ", gradients, indent=4)]
    other = "\n".join([*enclosed(f"def {backward}(", given, "):", indent=0), first, *lines])
    about = f"{output.name} of {names}, and its gradients, derived by handgrad.symbolic."
    return module(about, library.imports, f"{one}\n\n\n{other}\n")


def _rewritten(lines: Sequence[str], library: Library) -> list[str]:
    """Return lines in the words of a library."""
    words, signs = _Words(library), _Signs()
    return [
        f"    {spaced(signs.visit(words.visit(line)))}" for line in ast.parse(textwrap.dedent("\n".join(lines))).body
    ]


class _Words(ast.NodeTransformer):
    """Puts a library's words in the place of torch's."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.functions = _FUNCTIONS | {**library.functions}

    def visit_Expr(self, node: Any) -> ast.AST:
        """Return the check of a shape as an assertion."""
        actual, expected = (keyword.value for keyword in node.value.keywords)
        return ast.Assert(ast.Compare(actual, [ast.Eq()], [expected]), None)

    def visit_Call(self, node: ast.Call) -> Any:
        """Return a call of a function or a method in other words."""
        node.keywords = [keyword for keyword in node.keywords if keyword.arg != "device"]
        if template := self.functions.get(ast.unparse(node.func)):
            return self.filled(template, node, {})
        if not isinstance(node.func, ast.Attribute) or _is_of_module(node.func):
            return self.generic_visit(node)
        if node.func.attr not in _METHODS:
            raise ValueError(f"there is no word of {self.library.name} for the method {node.func.attr} of torch's")
        return self.filled(_METHODS[node.func.attr], node, {"_": node.func.value})

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """Return what a module has, from the other one."""
        name = ast.unparse(node)
        if name in _SAME:
            return ast.Attribute(ast.Name(self.library.name), node.attr)
        if _is_of_module(node) and name.startswith("torch."):
            raise ValueError(f"there is no word of {self.library.name} for {name}")
        return self.generic_visit(node)

    def filled(self, template: str, call: ast.Call, given: Mapping[str, ast.expr]) -> Any:
        """Return a template with what is given, and with a call's arguments in it."""
        arguments = {f"_{place}": argument for place, argument in enumerate(call.args)}
        keywords = {str(keyword.arg): keyword.value for keyword in call.keywords}
        filling = {name: self.visit(value) for name, value in {**given, **arguments, **keywords}.items()}
        filling["xp"] = ast.Name(self.library.name)
        return _Filling(filling, len(arguments)).visit(ast.parse(template, mode="eval").body)


def _is_of_module(node: ast.Attribute) -> bool:
    """Say whether something is torch's own, or math's."""
    return re.fullmatch(r"(torch|math)(\.\w+)+", ast.unparse(node)) is not None


class _Filling(ast.NodeTransformer):
    """Fills a template; keywords that are not given are left out."""

    def __init__(self, given: Mapping[str, ast.AST], count: int) -> None:
        self.given, self.all = given, [given[f"_{place}"] for place in range(count)]

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Fill a call."""
        keywords = [k for k in node.keywords if not isinstance(k.value, ast.Name) or k.value.id in self.given]
        filled = [ast.keyword(keyword.arg, self.visit(keyword.value)) for keyword in keywords]
        return ast.Call(self.visit(node.func), self.spread(node.args), filled)

    def visit_Tuple(self, node: ast.Tuple) -> ast.AST:
        """Fill a tuple."""
        return ast.Tuple(self.spread(node.elts))

    def spread(self, nodes: Sequence[ast.expr]) -> list[Any]:
        """Fill nodes, with all that is given in the place of `__`."""
        return [new for node in nodes for new in (self.all if ast.unparse(node) == "__" else [self.visit(node)])]

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """Fill a name."""
        return node if node.id in _MODULES else self.given[node.id]


class _Signs(ast.NodeTransformer):
    """Leaves out two signs in a row."""

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        """Return a number, or a negative one."""
        self.generic_visit(node)
        match node:
            case ast.UnaryOp(ast.USub(), ast.UnaryOp(ast.USub(), value)):
                return value
        return node
