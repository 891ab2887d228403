"""Figures whose numbers a reader changes, and sees gradients follow: each is complete as it is, as HTML.

`posts/interactive.js`, which each figure brings along, adds what can be moved, and computes what is computed here.
"""

import html
import itertools
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from handgrad.graphs import arrow

SCRIPT = "../interactive.js"
"""Where the script is, seen from a post."""
NUDGE = 0.01
LINES = 'fill="none" stroke="currentColor" stroke-width="1.5"'
VALUE, GRADIENT = "var(--value, #3a7cbe)", "var(--gradient, #b3661a)"
"""Colours of the page; those in a notebook stand out from black as well as from white."""

Numbers = Mapping[str, float]
Ranges = tuple[tuple[float, float], tuple[float, float]]
TRUTH = 0.5, 2.0
RANGES, SIZE = ((0.0, 1.8), (0.6, 2.7)), (320, 240)
"""How far the axes of weight and bias go, and how long the axes of a plane are."""


@dataclass(frozen=True, repr=False)
class Interactive:
    """A figure: its name in the script, the numbers that it starts from, what it shows, and the same in words."""

    name: str
    state: Mapping[str, Any]
    body: str
    words: str
    script: str

    def __repr__(self) -> str:
        return self.words

    def _repr_html_(self) -> str:
        state = html.escape(json.dumps(self.state))
        # The script is no module, since browsers load none from a folder without a server.
        return (
            f'<div class="interactive" data-figure="{self.name}" data-state="{state}">\n{self.body}\n</div>\n'
            f'<script src="{html.escape(self.script)}" defer></script>'
        )


def number(value: float | Tensor) -> str:
    """Return a number as the script shows it: at most four significant digits, and no sign for a zero."""
    rounded = float(f"{round(float(value), 12):.4g}") + 0.0
    return f"{rounded:.12f}".rstrip("0").rstrip(".").replace("-", "−")


def chain(w: float, x: float, b: float, t: float, *, script: str = SCRIPT) -> Interactive:
    """Return a chain of numbers: times a weight, plus a bias, the exponential, the squared error from a target.

    Readers see all values and gradients, move the four numbers, and nudge the weight to compare what its gradient
    promises with what comes. OverflowError if the exponential is too large for a number. `script` is the address of
    `posts/interactive.js`, seen from the page.
    """
    now = _chain(w, x, b, t)
    promised, came = NUDGE * now["dw"], _chain(w + NUDGE, x, b, t)["L"] - now["L"]
    now |= {"from": w, "to": w + NUDGE, "promised": promised, "came": came}
    drawing = _Column()
    drawing.hand_on("x", now)
    for output, formula, side in [
        ("u", "w · x", "w"),
        ("v", "u + b", "b"),
        ("y", "exp(v)", ""),
        ("L", "(y − t)²", "t"),
    ]:
        drawing.block(f"{output} = {formula}", side, now)
        drawing.hand_on(output, now)
    words = (
        f"u = w x, v = u + b, y = exp(v) and L = (y − t)² for w = {number(w)}, x = {number(x)}, b = {number(b)} and "
        f"t = {number(t)}. Forward: {_listed(now, 'u v y L')}. Back: {_listed(now, 'dL dy dv du dx db dw')}."
    )
    return Interactive(
        "chain",
        {"w": w, "x": x, "b": b, "t": t},
        drawing.picture("A chain of four blocks: values go down, gradients come back up", words)
        + f'\n<div class="side">{_result(now)}</div>',
        f"{words} {_promise(now)}",
        script,
    )


def _chain(w: float, x: float, b: float, t: float) -> dict[str, float]:
    """Return all numbers of the chain; the gradient with respect to u is named du, and so on."""
    u = w * x
    v = u + b
    y = math.exp(v)
    dy = 2 * (y - t)
    dv = dy * y
    values = {"w": w, "x": x, "b": b, "t": t, "u": u, "v": v, "y": y, "L": (y - t) ** 2}
    return values | {"dL": 1.0, "dy": dy, "dv": dv, "db": dv, "du": dv, "dw": dv * x, "dx": dv * w}


def _result(numbers: Numbers, promised: str = "promised", parts: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return what a nudge brings, promised (and its parts, by what they are called) and in fact, side by side."""
    terms = "".join(
        f'<div><dt>{name}</dt><dd class="gradient">{_shown(key, numbers)}</dd></div>' for name, key in parts.items()
    )
    return (
        f'<div class="result"><p>{_line("told", f"If w went {_way(numbers)}, L would change by")}</p>'
        f"<dl>{terms}<div><dt>{promised}<br/>∂L/∂w · {NUDGE}</dt>"
        f'<dd class="gradient">{_shown("promised", numbers)}</dd></div>'
        f'<div><dt>in fact<br/>after − before</dt><dd class="value">{_shown("came", numbers)}</dd></div></dl></div>'
    )


def _promise(numbers: Numbers) -> str:
    """Return the same as a sentence."""
    promised, came = (number(numbers[key]) for key in ("promised", "came"))
    return f"If w goes {_way(numbers)}, its gradient promises that L changes by {promised}; it does by {came}."


def _way(numbers: Numbers) -> str:
    return f"from {number(numbers['from'])} to {number(numbers['to'])}"


def two_paths(w: float, d: float, c: float, *, script: str = SCRIPT) -> Interactive:
    """Return a product of two numbers that are both made of w, as w plus d and c times w; all numbers.

    Readers see what reaches w along each of the two paths, and that its gradient is the sum; they move the three
    numbers and nudge w.
    """
    now = _two_paths(w, d, c)
    now |= {"from": w, "to": w + NUDGE, "came": _two_paths(w + NUDGE, d, c)["L"] - now["L"]}
    promised = {"promised": "dw", "promised_u": "through_u", "promised_v": "through_v"}
    now |= {key: NUDGE * now[gradient] for key, gradient in promised.items()}
    words = (
        f"w = {number(w)} is used twice: u = w + {number(d)} and v = {number(c)} w; L = u v. Forward: "
        f"{_listed(now, 'u v L')}. Back: {_listed(now, 'dL du dv')}; through u comes {number(now['through_u'])}, "
        f"through v {number(now['through_v'])}, and {_listed(now, 'dw')} is their sum."
    )
    drawing = _picture("Two paths from w to L: values go down, gradients come back up", words, DIAMOND, *_diamond(now))
    paths = {"through u": "promised_u", "through v": "promised_v"}
    side = f'<div class="side">{_result(now, "promised in all", paths)}</div>'
    state = {"w": w, "d": d, "c": c}
    return Interactive("two_paths", state, f"{drawing}\n{side}", f"{words} {_promise(now)}", script)


def _two_paths(w: float, d: float, c: float) -> dict[str, float]:
    """Return all numbers of the two paths, and what comes back along each."""
    u, v = w + d, c * w
    values = {"w": w, "d": d, "c": c, "u": u, "v": v, "L": u * v}
    return values | {"dL": 1.0, "du": v, "dv": u, "through_u": v, "through_v": u * c, "dw": v + u * c}


DIAMOND = -202, 0, 404, 203
"""Left, top, width and height."""


def _diamond(numbers: Numbers) -> tuple[str, str, str]:
    """Return the parts of a drawing: w on top, what uses it below, side by side, and the loss at the bottom."""
    values = [_label("w", numbers, -190, 18, "start")]
    by_u, dw = (_shown(key, numbers, "tspan") for key in ("through_u", "dw"))
    by_v = f'<tspan data-show="added_v">{_factor(numbers["through_v"])}</tspan>'
    gradients = [_text(f"∂L/∂w = {by_u} + {by_v} = {dw}", 190, 18, "end")]
    boxes = [f'<rect x="-196" y="{y}" width="392" height="34" rx="4" {LINES}/>' for y in (1, 168)]
    boxes.append(_text("L = u · v", 0, 185, "middle"))
    d, c = (_shown(key, numbers, "tspan") for key in "dc")
    slopes = {"u": ("u = w + " + d, "1"), "v": (f"v = {c} · w", c)}
    for middle, (key, (formula, slope)) in zip((-110, 60), slopes.items(), strict=True):
        boxes.append(f'<rect x="{middle - 50}" y="86" width="100" height="32" rx="4" {LINES}/>')
        boxes.append(_text(formula, middle, 102, "middle"))
        values += [arrow(middle - 12, y, 0, 45) for y in (38, 121)]
        gradients += [arrow(middle + 12, y, 0, -45) for y in (83, 165)]
        # On two lines each, so that long numbers have room.
        for lines, name, side, anchor in [(values, key, -20, "end"), (gradients, f"d{key}", 20, "start")]:
            lines.append(_text(f"{_name(name)} =", middle + side, 134, anchor))
            lines.append(_text(_shown(name, numbers, "tspan"), middle + side, 152, anchor))
        through = f"· {slope} = {_shown(f'through_{key}', numbers, 'tspan')}"
        gradients.append(_text(through, middle + 20, 61, "start"))
    values.append(_label("L", numbers, -190, 185, "start"))
    gradients.append(_label("dL", numbers, 190, 185, "end"))
    return _coloured(values, VALUE), _coloured(gradients, GRADIENT), f"<g>{''.join(boxes)}</g>"


def descent(w: float = 1.0, b: float = 1.0, rate: float = 0.003, *, script: str = SCRIPT) -> Interactive:
    """Return the plane of two parameters with lines of equal loss, and a ball that readers let descend, at their rate.

    The model is the exponential of a weight times x plus a bias, the truth is `TRUTH`, and the loss is the mean
    of the squared errors over x in [0, 1). OverflowError if the ball starts where that is too large for a number.
    """
    now = _descent(w, b) | {"w": w, "b": b, "steps": 0}
    ball, ahead = _at(w, b), _at(w - rate * now["dw"], b - rate * now["db"])
    lines = "".join(f'<path d="M{" ".join(_at(*point) for point in _level(10**k))}"/>' for k in LEVELS)
    parts = (
        f'<g {LINES.replace("1.5", "0.8")} opacity="0.6">{lines}</g>'
        f'<path d="M{_at(*TRUTH)}m-6 -6l12 12m0 -12l-12 12" {LINES}/>'
        f'<g color="{VALUE}"><path data-part="path" d="M{ball}" {LINES}/></g>'
        f'<g color="{GRADIENT}"><path data-part="next" d="M{ball}L{ahead}" {LINES.replace("1.5", "3")}/></g>'
        f'<circle data-part="ball" r="5" fill="{VALUE}" transform="translate({ball})"/>'
    )
    words = (
        f"Lines of equal loss in the plane of w and b form a long, narrow, bent valley around the truth, w = "
        f"{number(TRUTH[0])} and b = {number(TRUTH[1])}. A ball stands at w = {number(w)}, b = {number(b)}, where the "
        f"loss is {number(now['L'])} and the gradients are {_listed(now, 'dw db')}."
    )
    axes = _axes("wb", (0, 0.5, 1, 1.5), (1, 1.5, 2, 2.5))
    drawing = _plane("Lines of equal loss, and a ball that descends", words, axes, parts)
    shown = {key: _shown(key, now) for key in now}
    result = (
        f"<p>Steps: {shown['steps']}. Now w = {shown['w']}, b = {shown['b']}, loss {shown['L']}. "
        f"{_line('told', 'The thick line is the next step.')}</p>"
        f'<p class="gradient">∂L/∂w = {shown["dw"]}, ∂L/∂b = {shown["db"]}</p>'
    )
    state = {"w": w, "b": b, "rate": rate, "truth": TRUTH, "ranges": RANGES, "size": SIZE}
    body = f'{drawing}\n<div class="side"><div class="result">{result}</div></div>'
    return Interactive("descent", state, body, words, script)


LEVELS = -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 2.5
"""The logarithms of the losses of which lines are drawn."""
INPUTS = [i / 100 for i in range(100)]


def _descent(w: float, b: float) -> dict[str, float]:
    """Return the mean loss and its two gradients."""
    outputs = [math.exp(w * x + b) for x in INPUTS]
    errors = [y - math.exp(TRUTH[0] * x + TRUTH[1]) for x, y in zip(INPUTS, outputs, strict=True)]
    grads = [2 * error * y for error, y in zip(errors, outputs, strict=True)]
    return {
        "L": fmean(error**2 for error in errors),
        "dw": fmean(grad * x for grad, x in zip(grads, INPUTS, strict=True)),
        "db": fmean(grads),
    }


def _level(loss: float) -> list[tuple[float, float]]:
    """Return the points of the plane with this loss, in order.

    With s for the exponential of b, the loss is A s² − 2 B s + C, where A, B and C are means that depend on w alone.
    """
    first, last = (_end(loss, edge) for edge in (RANGES[0][0] - 0.1, RANGES[0][1] + 0.1))
    # Close together at both ends, where the line turns.
    places = [first + (last - first) * (1 - math.cos(math.pi * k / 40)) / 2 for k in range(41)]
    solved = [(w, *_squares(w)) for w in places]
    roots = [(w, b / a, math.sqrt(max(b * b - a * (c - loss), 0)) / a) for w, a, b, c in solved]
    above = [(w, math.log(middle + half)) for w, middle, half in roots]
    bottom = RANGES[1][0] - 1
    below = [(w, math.log(max(middle - half, math.exp(bottom)))) for w, middle, half in roots]
    return [*above, *reversed(below)]


def _squares(w: float) -> tuple[float, float, float]:
    """Return the means of the squared outputs without bias, of these times the targets, and of the squared targets."""
    pairs = [(math.exp(w * x), math.exp(TRUTH[0] * x + TRUTH[1])) for x in INPUTS]
    return fmean(y * y for y, _ in pairs), fmean(y * t for y, t in pairs), fmean(t * t for _, t in pairs)


def _end(loss: float, edge: float) -> float:
    """Return how far from the truth towards an edge some b has this loss."""
    inside = TRUTH[0]
    for _ in range(40):
        w = (inside + edge) / 2
        a, b, c = _squares(w)
        inside, edge = (w, edge) if b * b >= a * (c - loss) else (inside, w)
    return inside


def _at(x: float, y: float, ranges: Ranges = RANGES) -> str:
    """Return where a point of a plane is in its drawing."""
    parts = zip((x, y), ranges, SIZE, strict=True)
    across, up = (size * (value - low) / (high - low) for value, (low, high), size in parts)
    return f"{across:.1f} {SIZE[1] - up:.1f}".replace(".0", "")


def _axes(names: str, across: Sequence[float], up: Sequence[float], ranges: Ranges = RANGES) -> str:
    """Return the frame of a plane, with some numbers on its axes."""
    ticks = [_text(number(x), float(_at(x, 0, ranges).split()[0]), SIZE[1] + 13, "middle") for x in across]
    ticks += [_text(number(y), -8, float(_at(0, y, ranges).split()[1]), "end") for y in up]
    ends = _text(names[0], SIZE[0], SIZE[1] + 13, "end") + _text(names[1], -8, 5, "end")
    frame = f'<rect data-part="plane" width="{SIZE[0]}" height="{SIZE[1]}" {LINES} pointer-events="none"/>'
    return f"{frame}{''.join(ticks)}{ends}"


def _plane(title: str, words: str, axes: str, drawn: str) -> str:
    """Return a drawing of which what lies outside the axes is cut off."""
    inner = f'<svg aria-hidden="true" width="{SIZE[0]}" height="{SIZE[1]}" viewBox="0 0 {SIZE[0]} {SIZE[1]}">'
    return _picture(title, words, (-40, -10, SIZE[0] + 54, SIZE[1] + 34), axes, f"{inner}{drawn}</svg>")


def hinges(parameters: Tensor, bias: float, x: Tensor, t: Tensor, *, rate: float = 0.05) -> Interactive:
    """Return a curve and the sum of hinges that is to follow it, which readers drag, write, or let descend.

    `parameters` (units, 3) holds the slope, the intercept and the output weight of each hinge, for up to nine; `bias`
    is the output's. x (n), t (n) are the points of the curve. The loss is the mean squared error. ValueError if
    something has another shape.
    """
    shapes = [tuple(each.shape) for each in (parameters, x, t)]
    units, n = len(parameters), x.numel()
    if shapes != [(units, 3), (n,), (n,)] or not 0 < units < 10 or n < 2:
        raise ValueError(f"parameters, x and t must be of shapes (units, 3), (n) and (n), not {shapes}")
    P, x, t = parameters.double(), x.double(), t.double()
    loss, gradients, of_bias = _hinges(P, bias, x, t)
    now = {"L": loss, "steps": 0, "dc": of_bias}
    ranges = (float(x.min()), float(x.max())), (-2.2, 2.2)
    curve = "L".join(_at(float(a), float(b), ranges) for a, b in zip(x, t, strict=True))
    corners = [ranges[0][0], *sorted(-float(b / w) for w, b, _ in P if w and _inside(-b / w, ranges[0])), ranges[0][1]]
    each = [(P[r : r + 1], 0.0, f'stroke="{VALUE}" data-part="unit{r}"') for r in range(units)]
    whole = P, bias, 'stroke="currentColor" stroke-dasharray="6 4" data-part="sum"'
    drawn = f'<path d="M{curve}" fill="none" stroke="currentColor" stroke-width="6" opacity="0.3"/>'
    for some, c, style in [*each, whole]:
        ends = "L".join(_at(place, float(_output(some, c, torch.tensor(place))), ranges) for place in corners)
        drawn += f'<path d="M{ends}" fill="none" stroke-width="2" {style}/>'
    words = (
        f"A curve, {units} hinges and their sum. Slope, intercept and output weight of each: "
        f"{'; '.join(', '.join(map(number, row)) for row in P)}; bias {number(bias)}. The loss is {number(loss)}."
    )
    axes = _axes("xy", (-1, 0, 1), (-2, -1, 0, 1), ranges)
    columns, rows = ("slope", "intercept", "weight"), [f"{r + 1}" for r in range(units)]
    tables = [_table(name, tensor, (), columns, rows) for name, tensor in {"P": P, "dP": gradients}.items()]
    legend = "Thick: the curve. Thin: the hinges. Dashed: their sum with the bias."
    result = (
        f'<div class="result"><p>After {_shown("steps", now)} steps: loss {_shown("L", now)}, gradient of '
        f"the bias {_shown('dc', now)}. {_line('told', '')}</p></div>"
    )
    body = (
        f'{_plane("Hinges that follow a curve", words, axes, drawn)}\n<div class="side"><p>{legend}</p>{result}</div>\n'
        f'<div class="pairs"><div class="pair">{"".join(tables)}</div></div>'
    )
    state = {"P": P.tolist(), "c": bias, "rate": rate, "x": x.tolist(), "t": t.tolist()}
    return Interactive("hinges", state | {"ranges": ranges, "size": SIZE}, body, words, SCRIPT)


def _inside(value: Tensor, ends: tuple[float, float]) -> bool:
    return ends[0] < float(value) < ends[1]


def _output(P: Tensor, bias: float, x: Tensor) -> Tensor:
    """Return the sum of hinges at places."""
    return torch.relu(x[..., None] * P[:, 0] + P[:, 1]) @ P[:, 2] + bias


def _hinges(P: Tensor, bias: float, x: Tensor, t: Tensor) -> tuple[float, Tensor, float]:
    """Return the mean squared error, its gradient with respect to the parameters, and that with respect to the bias."""
    errors = _output(P, bias, x) - t
    grad = 2 * errors / len(x)
    hinge = torch.relu(x[:, None] * P[:, 0] + P[:, 1])
    on = grad[:, None] * P[:, 2] * (hinge > 0)
    return float(errors.square().mean()), torch.stack([x @ on, on.sum(0), grad @ hinge], dim=1), float(grad.sum())


def transpose(X: Tensor, W: Tensor, b: Tensor, G: Tensor, *, at: str = "dW00", script: str = SCRIPT) -> Interactive:
    """Return the tables of a linear layer, and of its three gradients given that of its output, `G`.

    X (n, p), W (p, q), b (q), G (n, q). Readers point at an entry of a gradient, and see what it is the sum of; they
    change any of the numbers given. At first it is the entry `at`, such as dW01, counted from 0. ValueError if the
    shapes do not fit each other, a size is not from 1 to 9, or there is no such entry.
    """
    given = {name: tensor.double() for name, tensor in {"X": X, "W": W, "b": b, "G": G}.items()}
    shapes = [tuple(tensor.shape) for tensor in given.values()]
    (n, p), q = (*X.shape, 0)[:2], b.numel()
    if shapes != [(n, p), (p, q), (q,), (n, q)] or not 0 < min(n, p, q) <= max(n, p, q) < 10:
        wanted = "(n, p), (p, q), (q) and (n, q), with sizes from 1 to 9"
        raise ValueError(f"X, W, b and G must be of shapes {wanted}, not {', '.join(map(str, shapes))}")
    X, W, b, G = given.values()
    tensors = given | {"Y": X @ W + b, "dX": G @ W.mT, "dW": X.mT @ G, "db": G.sum(0)}
    result, lit = _sum(tensors, at)
    tables = {name: _table(name, tensor, lit) for name, tensor in tensors.items()}
    pairs = "\n".join(f'<div class="pair">{tables[a]}{tables[b]}</div>' for a, b in (*DIFFERENTIATED, ("Y", "G")))
    words = "A linear layer in numbers. " + " ".join(
        f"{_heading(name)}: {'; '.join(', '.join(map(number, row)) for row in tensor.reshape(-1, tensor.shape[-1]))}."
        for name, tensor in tensors.items()
    )
    state = {name: tensor.tolist() for name, tensor in given.items()} | {"at": at}
    body = f'<div class="pairs">\n{pairs}\n</div>\n<div class="side"><div class="result">{result}</div></div>'
    return Interactive("transpose", state, body, words, script)


def _sum(tensors: Mapping[str, Tensor], at: str) -> tuple[str, list[str]]:
    """Return what an entry of a gradient is the sum of, in words, and the names of all these entries."""
    entries = {_entry(name, place): tensor[place] for name, tensor in tensors.items() for place in _places(tensor)}
    gradients = [key for key in entries if key.startswith("d")]
    if at not in gradients:
        raise ValueError(f"at must be an entry of a gradient, one of {', '.join(gradients)}, not {at!r}")
    row, column = at[2], at[3:]
    n, q = tensors["G"].shape
    sums: dict[str, list[tuple[str, ...]]] = {
        "dX": [(f"G{row}{s}", f"W{column}{s}") for s in range(q)],
        "dW": [(f"X{i}{row}", f"G{i}{column}") for i in range(n)],
        "db": [(f"G{i}{row}",) for i in range(n)],
    }
    terms = sums[at[:2]]
    names = " + ".join("·".join(map(_indexed, keys)) for keys in terms)
    products = " + ".join("·".join(_factor(entries[key]) for key in keys) for keys in terms)
    total = number(entries[at])
    text = f"<p>{_line('names', f'{_indexed(at)} = {names}')} {_line('sum', f'= {products} = {total}')}</p>"
    return text, [at, *itertools.chain(*terms)]


DIFFERENTIATED = ("X", "dX"), ("W", "dW"), ("b", "db")
OF_LAYER = {"Y": " = XW + b", "G": " = ∂L/∂Y", "dX": " = GWᵀ", "dW": " = XᵀG", "db": " = sum of rows of G"}
CAPTIONS = {"P": "The hinges", "dP": "Their gradients"}


def _heading(name: str) -> str:
    return CAPTIONS.get(name, _name(name) + OF_LAYER.get(name, ""))


def _places(tensor: Tensor) -> list[tuple[int, ...]]:
    """Return the indices of all entries."""
    return [*itertools.product(*map(range, tensor.shape))]


def _table(
    name: str, tensor: Tensor, lit: Collection[str], columns: Sequence[str] = (), rows: Sequence[str] = ()
) -> str:
    """Return a table of which the script finds each entry, a vector as one row; some entries are lit."""
    cells: dict[int, str] = {}
    for place in _places(tensor):
        key = _entry(name, place)
        chosen = ' class="lit"' if key in lit else ""
        row = place[0] if len(place) == 2 else 0
        cells[row] = cells.get(row, "") + f'<td{chosen} data-show="{key}">{number(tensor[place])}</td>'
    kind = "gradient" if name.startswith(("d", "G")) else "value"
    heads = [f'<th scope="row">{row}</th>' for row in rows] or [""] * len(cells)
    top = "".join(f'<th scope="col">{text}</th>' for text in ("hinge", *columns)) if columns else ""
    body = "".join(f"<tr>{head}{row}</tr>" for head, row in zip(heads, cells.values(), strict=True))
    top = f"<thead><tr>{top}</tr></thead>" if columns else ""
    # Quarto would make a Bootstrap table of it.
    opening = f'<table class="entries {kind}" data-name="{name}" data-quarto-disable-processing="true">'
    return f"{opening}<caption>{_heading(name)}</caption>{top}<tbody>{body}</tbody></table>"


def _entry(name: str, place: tuple[int, ...]) -> str:
    return name + "".join(map(str, place))


def _indexed(key: str) -> str:
    """Return the name of an entry, whose digits are indices."""
    return _name(key).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))


def _factor(value: float | Tensor) -> str:
    return f"({number(value)})" if value < 0 else number(value)


def _line(key: str, text: str) -> str:
    return f'<span data-show="{key}">{text}</span>'


def _listed(numbers: Numbers, keys: str) -> str:
    return ", ".join(f"{_name(key)} = {number(numbers[key])}" for key in keys.split())


def _name(key: str) -> str:
    """Return what a number is called: dw is the gradient with respect to w."""
    return f"∂L/∂{key[1:]}" if key.startswith("d") else key


def _shown(key: str, numbers: Numbers, tag: str = "b") -> str:
    """Return a number that the script can replace."""
    return f'<{tag} data-show="{key}">{number(numbers[key])}</{tag}>'


def _label(key: str, numbers: Numbers, x: float, y: float, anchor: str) -> str:
    """Return a number with its name, in a drawing."""
    return _text(f"{_name(key)} = {_shown(key, numbers, 'tspan')}", x, y, anchor)


def _text(markup: str, x: float, y: float, anchor: str) -> str:
    return f'<text x="{x:g}" y="{y + 5:g}" text-anchor="{anchor}">{markup}</text>'


def _picture(title: str, words: str, frame: Sequence[float], *parts: str) -> str:
    """Return a drawing as SVG; its frame is left, top, width and height."""
    box = " ".join(f"{side:g}" for side in frame)
    return (
        f'<svg viewBox="{box}" width="{frame[2]:g}" height="{frame[3]:g}" role="img" '
        f'font-family="var(--sans, sans-serif)" font-size="15" fill="currentColor">\n'
        f"<title>{html.escape(title)}</title>\n<desc>{html.escape(words)}</desc>\n{chr(10).join(parts)}\n</svg>"
    )


def _coloured(parts: Sequence[str], colour: str) -> str:
    return f'<g color="{colour}" fill="{colour}">{"".join(parts)}</g>'


class _Column:
    """A chain of blocks, drawn from top to bottom: values to the left of its middle, gradients to the right."""

    half, left, right, space, block_height = 52, 168, 228, 46, 32

    def __init__(self) -> None:
        self.y = 0.0
        self.values: list[str] = []
        self.gradients: list[str] = []
        self.boxes: list[str] = []

    def hand_on(self, key: str, numbers: Numbers) -> None:
        """Add a value that goes down, and its gradient, which goes up."""
        middle = self.y + self.space / 2
        self.values.append(arrow(-12, self.y + 3, 0, self.space - 6) + _label(key, numbers, -20, middle, "end"))
        self.gradients.append(
            arrow(12, self.y + self.space - 3, 0, 6 - self.space) + _label(f"d{key}", numbers, 20, middle, "start")
        )
        self.y += self.space

    def block(self, formula: str, side: str, numbers: Numbers) -> None:
        """Add a block, and the number that enters it from the side; its gradient, if it has one, leaves there."""
        middle, edge = self.y + self.block_height / 2, self.half + 26
        box = f'x="{-self.half}" y="{self.y:g}" width="{2 * self.half}" height="{self.block_height}" rx="4"'
        self.boxes.append(f"<rect {box} {LINES}/>{_text(formula, 0, middle, 'middle')}")
        if side:
            self.values.append(arrow(-edge, middle, 23, 0) + _label(side, numbers, -edge - 6, middle, "end"))
        if f"d{side}" in numbers:
            right = _label(f"d{side}", numbers, edge + 6, middle, "start")
            self.gradients.append(arrow(self.half + 3, middle, 23, 0) + right)
        self.y += self.block_height

    def picture(self, title: str, words: str) -> str:
        """Return the whole."""
        return _picture(
            title,
            words,
            (-self.left, 0, self.left + self.right, self.y),
            _coloured(self.values, VALUE),
            _coloured(self.gradients, GRADIENT),
            f"<g>{''.join(self.boxes)}</g>",
        )
