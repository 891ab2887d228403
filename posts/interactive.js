// Brings figures of class "interactive" to life, which handgrad.interactive draws: data-figure names what is shown,
// data-state holds the numbers that it starts from, and what has data-show="KEY" shows the number of that name.
// Without this script a figure is a picture. Nothing moves unless a reader asks.
{
  const NUDGE = 0.01;

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

  globalThis.handgrad = { chain };

  // What figures share.

  const make = (tag, properties = {}, ...parts) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...parts);
    return element;
  };
  const digits = new Intl.NumberFormat("en", { maximumSignificantDigits: 4, useGrouping: false });
  const say = (value) => digits.format(Math.round(value * 1e12) / 1e12 + 0).replace("-", "−");

  // A screen reader repeats a region of which a part is set, even to what it was.
  function set(part, text) {
    if (part.textContent !== text) part.textContent = text;
  }
  function show(figure, values) {
    for (const part of figure.querySelectorAll("[data-show]"))
      if (part.dataset.show in values) set(part, say(values[part.dataset.show]));
  }

  // A slider for one number of the state. One that a button carried beyond the end stays there.
  function slider(state, name, [min, max, step], changed) {
    const input = make("input", { type: "range", min, max, step, value: state[name] });
    const shown = make("span", { className: "shown", ariaHidden: "true" });
    input.oninput = () => {
      state[name] = Number(input.value);
      changed(state);
    };
    const follow = () => {
      input.value = state[name];
      input.ariaValueText = shown.textContent = say(state[name]);
    };
    return { follow, label: make("label", {}, make("span", { textContent: name }), input, shown) };
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

  // The figures.

  const figures = {
    chain(figure, state) {
      const ranges = { w: [-2, 2, 0.01], b: [-2, 3, 0.01], x: [-2, 2, 0.01], t: [-10, 10, 0.1] };
      const moved = sliders(state, ranges, () => draw());
      function draw(last = {}) {
        show(figure, { ...chain(state), ...last });
        moved.follow();
      }
      const nudge = button(`Nudge w by ${NUDGE}`, () => {
        const { from, to, promised, came } = chain(state);
        state.w = Number(to.toFixed(10));
        draw({ from, to, promised, came });
      });
      controls(figure, ...moved.labels, nudge);
      draw();
    },
  };

  // Each figure brings the script along, so it may run several times on a page.
  for (const figure of document.querySelectorAll(".interactive:not([data-alive])")) {
    figure.dataset.alive = "";
    figures[figure.dataset.figure](figure, JSON.parse(figure.dataset.state));
  }
}
