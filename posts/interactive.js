// Brings figures of class "interactive" to life, which handgrad.interactive draws: data-figure names what is shown,
// data-state holds the numbers that it starts from, and what has data-show="KEY" shows the number of that name.
// Without this script a figure is a picture. Nothing moves unless a reader asks.
{
  const NUDGE = 0.01, AHEAD = 5;

  // The mathematics: from the numbers that readers change to all that is shown.

  function chain({ w, x, b, t }) {
    const values = ({ w }) => {
      const u = w * x, v = u + b, y = Math.exp(v);
      return { u, v, y, L: (y - t) ** 2 };
    };
    const now = values({ w });
    const dy = 2 * (now.y - t), dv = dy * now.y;
    const gradients = { dL: 1, dy, dv, db: dv, du: dv, dw: dv * x, dx: dv * w };
    const to = w + NUDGE;
    return {
      w, x, b, t, ...now, ...gradients, from: w, to, promised: NUDGE * gradients.dw, came: values({ w: to }).L - now.L,
    };
  }

  function two_paths({ w, d, c }) {
    const values = ({ w }) => ({ u: w + d, v: c * w, L: (w + d) * c * w });
    const now = values({ w }), to = w + NUDGE;
    const through_u = now.v, through_v = now.u * c, dw = through_u + through_v;
    return {
      w, d, c, ...now, dL: 1, du: now.v, dv: now.u, through_u, through_v, dw, from: w, to, promised: NUDGE * dw,
      promised_u: NUDGE * through_u, promised_v: NUDGE * through_v, came: values({ w: to }).L - now.L,
    };
  }

  const INPUTS = Array.from({ length: 100 }, (_, i) => i / 100);
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

  // The loss of y = exp(w x + b), averaged over the inputs, and where a step leads.
  function descent({ w, b, rate, truth: [w_true, b_true] }) {
    const outputs = INPUTS.map((x) => Math.exp(w * x + b));
    const errors = outputs.map((y, i) => y - Math.exp(w_true * INPUTS[i] + b_true));
    const grads = errors.map((error, i) => 2 * error * outputs[i]);
    const dw = mean(grads.map((grad, i) => grad * INPUTS[i])), db = mean(grads);
    return { L: mean(errors.map((error) => error ** 2)), dw, db, next: { w: w - rate * dw, b: b - rate * db } };
  }

  const column = (matrix, k) => matrix.map((row) => row[k]);
  const dot = (a, b) => a.reduce((sum, value, k) => sum + value * b[k], 0);

  // X12 is an entry of X, and `at` the one of a gradient that is pointed at: each of its terms is a product of entries.
  function transpose({ X, W, b, G, at }) {
    const Y = X.map((row) => b.map((bias, k) => bias + dot(row, column(W, k))));
    const dX = G.map((grad) => W.map((weights) => dot(grad, weights)));
    const dW = W.map((weights, r) => weights.map((_, s) => dot(column(X, r), column(G, s))));
    const db = b.map((_, k) => column(G, k).reduce((sum, grad) => sum + grad, 0));
    const [, name, r, s] = at.match(/^(\D+)(\d)(\d?)$/);
    const terms = {
      dX: () => b.map((_, k) => [`G${r}${k}`, `W${s}${k}`]),
      dW: () => X.map((_, i) => [`X${i}${r}`, `G${i}${s}`]),
      db: () => X.map((_, i) => [`G${i}${r}`]),
    }[name]();
    return { Y, dX, dW, db, terms };
  }

  // A row of P holds the slope, the intercept and the output weight of a hinge; c is the bias of their sum.
  function hinges({ P, c, x, t }) {
    const units = x.map((at) => P.map(([slope, intercept]) => Math.max(slope * at + intercept, 0)));
    const errors = units.map((unit, i) => c + dot(unit, column(P, 2)) - t[i]);
    const grads = errors.map((error) => 2 * error / x.length);
    const dP = P.map(([, , weight], r) => {
      const on = grads.map((grad, i) => (units[i][r] > 0 ? grad * weight : 0));
      return [dot(on, x), on.reduce((sum, grad) => sum + grad, 0), dot(grads, column(units, r))];
    });
    const dead = P.map((_, r) => r).filter((r) => units.every((unit) => unit[r] === 0));
    return { L: mean(errors.map((error) => error ** 2)), dP, dc: 2 * mean(errors), dead };
  }

  globalThis.handgrad = { chain, two_paths, descent, transpose, hinges };

  // What figures share.

  const make = (tag, properties = {}, ...parts) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...parts);
    return element;
  };
  const digits = new Intl.NumberFormat("en", { maximumSignificantDigits: 4, useGrouping: false });
  const say = (value) => digits.format(Math.round(value * 1e12) / 1e12 + 0).replace("-", "−");
  const bracketed = (value) => (value < 0 ? `(${say(value)})` : say(value));

  // A screen reader repeats a region of which a part is set, even to what it was.
  function set(part, text) {
    if (part.textContent !== text) part.textContent = text;
  }
  function show(figure, values) {
    for (const part of figure.querySelectorAll("[data-show]"))
      if (part.dataset.show in values) set(part, typeof values[part.dataset.show] === "string"
        ? values[part.dataset.show] : say(values[part.dataset.show]));
  }

  // A slider for one number of the state. One that a button carried beyond the end stays there.
  function slider(state, name, [min, max, step, title = name, text = say], changed) {
    const input = make("input", { type: "range", min, max, step, value: state[name] });
    const shown = make("span", { className: "shown", ariaHidden: "true" });
    input.oninput = () => {
      state[name] = Number(input.value);
      changed(state);
    };
    const follow = () => {
      input.value = state[name];
      input.ariaValueText = shown.textContent = text(state[name]);
    };
    return { follow, label: make("label", {}, make("span", { textContent: title }), input, shown) };
  }
  function sliders(state, ranges, changed) {
    const made = Object.entries(ranges).map(([name, range]) => slider(state, name, range, changed));
    return { labels: made.map(({ label }) => label), follow: () => made.forEach(({ follow }) => follow()) };
  }
  function button(textContent, onclick) {
    return make("button", { type: "button", textContent, onclick });
  }
  function controls(figure, ...parts) {
    const result = figure.querySelector(".result");
    result.ariaLive = "polite";
    result.ariaAtomic = "true";
    result.before(make("div", { className: "controls" }, ...parts));
  }

  // Sliders, and a button for a nudge, whose result stays until something else moves: told is what it would do, or did.
  function nudged(figure, state, compute, ranges) {
    const moved = sliders(state, ranges, () => draw());
    function draw(last = {}) {
      const now = compute(state), added_v = bracketed(now.through_v);
      const told = `If w went from ${say(now.from)} to ${say(now.to)}, L would change by`;
      show(figure, { ...now, added_v, told, ...last });
      moved.follow();
    }
    const nudge = button(`Nudge w by ${NUDGE}`, () => {
      const { from, to, promised, promised_u, promised_v, came } = compute(state);
      state.w = Number(to.toFixed(10));
      draw({ told: `w went from ${say(from)} to ${say(to)}; L changed by`, promised, promised_u, promised_v, came });
    });
    controls(figure, ...moved.labels, nudge);
    draw();
  }

  const part = (figure, name) => figure.querySelector(`[data-part="${name}"]`);

  // Where a point of a plane is in its drawing. One far away is shown as far as numbers go in a drawing.
  function place(point, { ranges, size }) {
    const [x, y] = point.map((value, k) => {
      const [low, high] = ranges[k];
      return Math.min(Math.max(size[k] * (value - low) / (high - low), -1e5), 1e5);
    });
    return `${x.toFixed(1)} ${(size[1] - y).toFixed(1)}`;
  }
  const line = (points, state) => `M${points.map((point) => place(point, state)).join("L")}`;

  // What the last step did, in words.
  function told(path, ball, { w, b, rate, ranges, truth }) {
    if (path.length === 1) return "The thick line is the next step.";
    const before = descent({ ...path.at(-2), rate, truth });
    if ([w, b].some((value, k) => !(ranges[k][0] < value && value < ranges[k][1])))
      return Math.hypot(ball.dw, ball.db) < 1
        ? "The ball leapt out of the picture, to where all outputs are almost zero. So is the gradient: it stays there."
        : "The ball leapt out of the picture: the learning rate is too large.";
    if (ball.L < 1e-3) return "The ball has arrived.";
    if (ball.L > before.L) return "The last step led upwards: it was too long, and leapt over the floor of the valley.";
    return before.dw * ball.dw + before.db * ball.db < 0
      ? "The ball crossed the floor of the valley and turns back: a zigzag."
      : "The loss falls.";
  }

  // Tables: the entries of all tensors by their names, and what can be done with the cell of one.

  function entries(tensors) {
    const all = {};
    for (const [name, rows] of Object.entries(tensors).filter(([, rows]) => Array.isArray(rows)))
      rows.forEach((row, i) => {
        if (Array.isArray(row)) row.forEach((value, k) => { all[name + i + k] = value; });
        else all[name + i] = row;
      });
    return all;
  }
  const indexed = (key) => key.replace(/^d/, "∂L/∂").replace(/\d/g, (digit) => "₀₁₂₃₄₅₆₇₈₉"[digit]);

  // A cell to point at. Arrow keys go from cell to cell of its table.
  function pointer(cell, key, state, changed) {
    const point = make("button", { type: "button", textContent: cell.textContent });
    point.dataset.show = key;
    delete cell.dataset.show;
    point.onclick = point.onfocus = point.onpointerenter = () => {
      state.at = key;
      changed();
    };
    point.onkeydown = (event) => {
      const row = cell.parentElement, beside = [...row.children].indexOf(cell);
      const next = {
        ArrowLeft: cell.previousElementSibling, ArrowRight: cell.nextElementSibling,
        ArrowUp: row.previousElementSibling?.children[beside], ArrowDown: row.nextElementSibling?.children[beside],
      };
      if (!(event.key in next)) return;
      event.preventDefault();
      next[event.key]?.firstElementChild.focus();
    };
    cell.replaceChildren(point);
    return point;
  }

  // A cell to write in. What is no number, or a very large one, changes nothing but how the cell looks.
  function editor(cell, key, state, changed, name_of = indexed) {
    const [, name, i, k] = key.match(/^(\D+)(\d)(\d?)$/);
    const [row, at] = k ? [state[name][i], k] : [state[name], i];
    const input = make("input", { type: "number", step: "any", min: -999, max: 999, required: true });
    input.value = row[at];
    input.ariaLabel = name_of(key);
    input.oninput = () => {
      if (!input.validity.valid) return;
      row[at] = input.valueAsNumber;
      changed();
    };
    delete cell.dataset.show;
    cell.replaceChildren(input);
    return input;
  }

  // What can be dragged of a hinge: where it is, and what is moved if it is dragged there.

  const kink = ([slope, intercept]) => -intercept / slope;
  // Where a hinge leaves the picture, on the side where it is on.
  function end([slope, intercept, weight], [[left, right], [low, high]]) {
    const edge = slope > 0 ? right : left, start = Math.min(Math.max(kink([slope, intercept]), left), right);
    const rise = weight * (slope * start + intercept), most = 0.95 * (weight * slope * (edge - start) > 0 ? high : low);
    const there = start + (most - rise) / (weight * slope);
    return Number.isFinite(there) && Math.abs(there - start) < Math.abs(edge - start) ? there : edge;
  }
  const height = ([slope, intercept, weight], x) => weight * Math.max(slope * x + intercept, 0);
  const round = (value) => Number(Math.min(Math.max(value, -99), 99).toFixed(2));

  const HANDLES = {
    intercept: {
      k: 1, shape: "M-6 0a6 6 0 1 0 12 0a6 6 0 1 0 -12 0",
      x: (row, [[left, right]]) => Math.min(Math.max(kink(row), left), right),
      at: (row) => [kink(row), 0],
      drag: ([slope, , weight], x) => [slope, round(-slope * x), weight],
    },
    slope: {
      k: 0, shape: "M0 -8L8 0L0 8L-8 0z",
      x: (row, ranges) => (HANDLES.intercept.x(row, ranges) + end(row, ranges)) / 2,
      at: (row, x) => [x, height(row, x)],
      // The kink stays, and the side on which the hinge is on.
      drag: (row, y, x) => {
        const start = kink(row), slope = y / (row[2] * (x - start));
        if (!Number.isFinite(slope)) return row;
        const same = Math.sign(row[0]) * Math.max(Math.sign(row[0]) * round(slope), 0.05);
        return [same, round(-same * start), row[2]];
      },
    },
    weight: {
      k: 2, shape: "M-6 -6h12v12h-12z",
      x: end,
      at: (row, x) => [x, height(row, x)],
      drag: (row, y, x) => {
        const bare = height([row[0], row[1], 1], x);
        return bare > 0 ? [row[0], row[1], round(y / bare)] : row;
      },
    },
  };

  function svg(tag, attributes, ...parts) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...parts);
    return element;
  }

  // One handle of hinge r, and a line that shows which way a step of descent moves it, several times as long.
  function handle(figure, state, r, { k, shape, x, at, drag }, changed) {
    const arrow = svg("path", { class: "ahead" });
    const grip = svg("g", { class: "grip" }, svg("circle", { r: 14 }), svg("path", { d: shape }));
    part(figure, "plane").closest("svg").append(arrow, grip);
    grip.onpointerdown = (event) => {
      event.preventDefault();
      grip.setPointerCapture(event.pointerId);
    };
    grip.onpointermove = (event) => {
      if (!grip.hasPointerCapture(event.pointerId)) return;
      const box = part(figure, "plane").getBoundingClientRect(), [[left, right], [low, high]] = state.ranges;
      const across = left + (event.clientX - box.left) / box.width * (right - left);
      const up = high - (event.clientY - box.top) / box.height * (high - low);
      const now = state.P[r];
      const to = k === 1 ? Math.min(Math.max(across, left), right) : Math.min(Math.max(up, low), high);
      state.P[r].splice(0, 3, ...drag([...now], to, x(now, state.ranges)));
      changed();
    };
    return (gradients) => {
      const row = state.P[r], there = x(row, state.ranges);
      const now = k === 1 ? [there, 0] : at(row, there);
      const then = row.map((value, of) => (of === k ? value - AHEAD * state.rate * gradients[r][k] : value));
      grip.setAttribute("transform", `translate(${place(now, state)})`);
      const [before, after] = [at(row, there), at(then, there)];
      const moved = now.map((value, axis) => value + after[axis] - before[axis]);
      arrow.setAttribute("d", line([now, moved.every(Number.isFinite) ? moved : now], state));
    };
  }

  // Hinges and their sum are straight from kink to kink.
  function lines(figure, { P, c, ...plane }) {
    const [left, right] = plane.ranges[0], kinks = P.map(kink).filter((x) => left < x && x < right);
    const corners = [left, ...kinks.sort((one, other) => one - other), right];
    const path = (rows, bias) =>
      line(corners.map((x) => [x, rows.reduce((sum, row) => sum + height(row, x), bias)]), plane);
    P.forEach((row, r) => part(figure, `unit${r}`).setAttribute("d", path([row], 0)));
    part(figure, "sum").setAttribute("d", path(P, c));
  }
  function stepped(state) {
    const { dP, dc } = hinges(state);
    state.P.forEach((row, r) => row.forEach((value, k) => { row[k] = value - state.rate * dP[r][k]; }));
    state.c -= state.rate * dc;
  }

  // The figures.

  const figures = {
    chain: (figure, state) =>
      nudged(figure, state, chain, { w: [-2, 2, 0.01], b: [-2, 3, 0.01], x: [-2, 2, 0.01], t: [-10, 10, 0.1] }),

    two_paths: (figure, state) =>
      nudged(figure, state, two_paths, { w: [-3, 3, 0.01], d: [0, 4, 0.1], c: [0, 4, 0.1] }),

    descent(figure, start) {
      const state = { ...start, exponent: Math.log10(start.rate) };
      const rate = (exponent) => Number((10 ** exponent).toPrecision(2));
      const exponent = [-3.3, -1.5, 0.05, "Learning rate", (at) => say(rate(at))];
      const moved = sliders(state, { exponent }, () => draw());
      let path = [start];
      function draw() {
        state.rate = rate(state.exponent);
        const ball = descent(state), at = [state.w, state.b];
        show(figure, { ...state, ...ball, steps: path.length - 1, told: told(path, ball, state) });
        part(figure, "path").setAttribute("d", line(path.map(({ w, b }) => [w, b]), state));
        part(figure, "next").setAttribute("d", line([at, [ball.next.w, ball.next.b]], state));
        part(figure, "ball").setAttribute("transform", `translate(${place(at, state)})`);
        moved.follow();
      }
      function go(steps) {
        for (let k = 0; k < steps; k++) {
          Object.assign(state, descent(state).next);
          path.push({ w: state.w, b: state.b });
        }
        draw();
      }
      const back = button("Back to the start", () => {
        path = [start];
        Object.assign(state, { w: start.w, b: start.b });
        draw();
      });
      controls(figure, ...moved.labels, button("One step", () => go(1)), button("20 steps", () => go(20)), back);
      draw();
    },

    hinges(figure, state) {
      const start = structuredClone(state), inputs = new Map();
      const scales = { c: [-2, 2, 0.05, "Bias"], rate: [0.01, 0.4, 0.01, "Learning rate"] };
      const moved = sliders(state, scales, () => draw());
      let steps = 0;
      function draw() {
        const { dead, ...made } = hinges(state);
        const told = dead.map((r) => `Hinge ${r + 1} is off everywhere: its gradients are 0, and no step moves it.`);
        show(figure, { ...entries(made), ...made, steps, told: told.join(" ") });
        lines(figure, state);
        handles.forEach((follow) => follow(made.dP));
        for (const [key, input] of inputs)
          if (input !== document.activeElement) input.value = Number(state.P[key[1]][key[2]].toFixed(4));
        moved.follow();
      }
      const handles = state.P.flatMap((_, r) =>
        Object.values(HANDLES).map((kind) => handle(figure, state, r, kind, draw)));
      for (const cell of figure.querySelectorAll("[data-name=P] td")) {
        const key = cell.dataset.show, title = ["Slope", "Intercept", "Output weight"][key[2]];
        inputs.set(key, editor(cell, key, state, draw, () => `${title} of hinge ${Number(key[1]) + 1}`));
      }
      function go(count) {
        for (let k = 0; k < count; k++) stepped(state);
        steps += count;
        draw();
      }
      const back = button("Back to the start", () => {
        state.P.forEach((row, r) => row.splice(0, 3, ...start.P[r]));
        state.c = start.c;
        steps = 0;
        draw();
      });
      const hint = make("p", {
        textContent: "Drag a kink (○), a slope (◇) or a weight (□), or write a number. The orange lines show which "
          + `way a step of descent leads, ${AHEAD} times as long.`,
      });
      const on = [button("One step", () => go(1)), button("100 steps", () => go(100))];
      controls(figure, hint, ...moved.labels, ...on, back);
      draw();
    },

    transpose(figure, state) {
      const cells = new Map([...figure.querySelectorAll("td")].map((cell) => [cell.dataset.show, cell]));
      const points = new Map();
      function draw() {
        const { terms, ...made } = transpose(state);
        const numbers = entries({ ...state, ...made });
        const factor = (key) => bracketed(numbers[key]);
        const sum = (part) => terms.map((keys) => keys.map(part).join("·")).join(" + ");
        const names = `${indexed(state.at)} = ${sum(indexed)}`;
        show(figure, { ...numbers, names, sum: `= ${sum(factor)} = ${say(numbers[state.at])}` });
        for (const [key, cell] of cells) cell.classList.toggle("lit", key === state.at || terms.flat().includes(key));
        for (const [key, point] of points) {
          point.ariaPressed = key === state.at;
          point.ariaLabel = `${indexed(key)} = ${say(numbers[key])}`;
        }
      }
      for (const [key, cell] of cells) {
        if (key.startsWith("d")) points.set(key, pointer(cell, key, state, draw));
        else if (!key.startsWith("Y")) editor(cell, key, state, draw);
      }
      const hint = make("p", {
        textContent: "Point at an entry of a gradient, or tap it; or change a number of X, W, b or G.",
      });
      controls(figure, hint);
      draw();
    },
  };

  // Each figure brings the script along, so it may run several times on a page.
  for (const figure of document.querySelectorAll(".interactive:not([data-alive])")) {
    figure.dataset.alive = "";
    figures[figure.dataset.figure](figure, JSON.parse(figure.dataset.state));
  }
}
