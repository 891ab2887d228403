// What pages do beyond being read. Without this script the page follows the reader's system, and all of its text is there.
const here = new URL(document.currentScript.src);
const root = document.documentElement;
const make = (tag, properties, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};
// An address may hold a % that encodes nothing.
const decode = (text) => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};
const target = (link) => document.getElementById(decode(link.hash.slice(1)));

// Before the page is painted: the theme that was chosen. Where a browser keeps nothing, a choice holds for the page.
try {
  if (localStorage.theme) root.dataset.theme = localStorage.theme;
} catch {}

function theme() {
  const button = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (root.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
  const name = () => (button.textContent = dark() ? "Light" : "Dark");
  button.onclick = () => {
    root.dataset.theme = dark() ? "light" : "dark";
    try {
      localStorage.theme = root.dataset.theme;
    } catch {}
    name();
  };
  system.onchange = name;
  name();
  button.hidden = false;
}

// A listing shows all of its items, or those of one category, which the address names. The bar of categories stands above
// one that can be filtered, and where it leads back to all.
function categories() {
  const items = [...document.querySelectorAll("[data-categories]")];
  if (!items.length) return;
  const of = (item) => item.dataset.categories.split("|").filter(Boolean);
  const names = [...new Set(items.flatMap(of))].sort();
  const listing = document.querySelector(".quarto-listing");
  const link = (text, name) => Object.assign(make("a", { href: name ? `#category=${encodeURIComponent(name)}` : `#${listing.id}` }, text), { name });
  const links = [link("All", ""), ...names.map((name) => link(name, name))];
  const bar = make("nav", { className: "listing-filter", ariaLabel: "Categories" }, ...links);
  if (names.length) listing.prepend(bar);
  const filter = () => {
    const wanted = decode(location.hash).match(/^#category=(.*)$/)?.[1] ?? "";
    for (const item of items) item.hidden = wanted && !of(item).includes(wanted);
    for (const each of links) each.ariaCurrent = each.name === wanted ? "true" : null;
    bar.hidden = !wanted && !("filter" in listing.dataset);
    if (wanted) listing.scrollIntoView();
  };
  addEventListener("hashchange", filter);
  filter();
}

// The contents show where the reader is: the last section that reaches into the upper part of the window.
function contents() {
  const toc = document.querySelector(".toc");
  if (!toc) return;
  const wide = matchMedia("(min-width: 75rem)");
  // Beside the text they are always open.
  const open = () => {
    toc.open = wide.matches;
    toc.querySelector("summary").tabIndex = wide.matches ? -1 : 0;
  };
  wide.onchange = open;
  open();
  const links = new Map([...toc.querySelectorAll("a")].map((link) => [target(link), link]));
  const seen = new Set();
  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) seen[isIntersecting ? "add" : "delete"](target);
    const current = [...links].findLast(([section]) => seen.has(section))?.[1];
    for (const link of links.values()) link.ariaCurrent = link === current ? "true" : null;
    if (current && toc.scrollHeight > toc.clientHeight) toc.scrollTop = current.offsetTop - toc.clientHeight / 2;
  }, { rootMargin: "0px 0px -75% 0px" });
  for (const section of links.keys()) if (section) observer.observe(section);
}

// A box that scrolls sideways can be reached, and so scrolled, with the keyboard.
function scrolling() {
  const look = (box) => {
    if (box.scrollWidth <= box.clientWidth) return box.removeAttribute("tabindex");
    box.tabIndex = 0;
    if (!box.role) Object.assign(box, { role: "group", ariaLabel: "Scrolls sideways" });
  };
  const observer = new ResizeObserver((entries) => entries.forEach((entry) => look(entry.target)));
  const boxes = [...document.querySelectorAll("main :is(div, pre, .equation, .equation-body)")].filter((box) => getComputedStyle(box).overflowX === "auto");
  const all = () => boxes.forEach(look);
  all();
  document.fonts.ready.then(all);
  for (const box of boxes) observer.observe(box);
  // What is in a fold has no size until it is opened.
  addEventListener("toggle", (event) => boxes.filter((box) => event.target.contains(box)).forEach(look), true);
}

function copying() {
  if (!navigator.clipboard) return;
  for (const block of document.querySelectorAll("div.sourceCode")) {
    const button = make("button", { type: "button", className: "copy", ariaLive: "polite" }, "Copy");
    button.onclick = async () => {
      const code = block.querySelector("code").cloneNode(true);
      for (const mark of code.querySelectorAll(".code-annotation")) mark.remove();
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 1500);
    };
    block.append(button);
  }
}

// What a link within the page leads to, shown beside it while the pointer or the focus is there. Escape takes it away.
function previews() {
  let shown, timer;
  const hide = () => shown?.remove();
  const later = (action) => {
    clearTimeout(timer);
    timer = setTimeout(action, 150);
  };
  function show(link) {
    const whole = target(link);
    if (!whole) return;
    // Of a section its heading and what follows it at once.
    const parts = whole.matches("section") ? [...whole.children].slice(0, 2) : [whole];
    hide();
    shown = make("div", { className: "preview" }, ...parts.map((part) => part.cloneNode(true)));
    for (const drop of shown.querySelectorAll(".anchor, .footnote-back, button, script")) drop.remove();
    for (const element of shown.querySelectorAll("[id]")) element.removeAttribute("id");
    for (const each of shown.querySelectorAll("a")) each.removeAttribute("href");
    shown.onpointerenter = () => clearTimeout(timer);
    shown.onpointerleave = () => later(hide);
    document.body.append(shown);
    const box = link.getBoundingClientRect();
    const below = box.bottom + shown.offsetHeight + 8 < innerHeight || box.top < shown.offsetHeight + 8;
    shown.style.left = `${scrollX + Math.max(16, Math.min(box.left, root.clientWidth - shown.offsetWidth - 16))}px`;
    shown.style.top = `${scrollY + (below ? box.bottom + 6 : box.top - shown.offsetHeight - 6)}px`;
  }
  for (const link of document.querySelectorAll('main a[href^="#"]:not(.anchor, .footnote-back, .equation-number, figcaption a, .theorem-title a, .listing-filter a, pre a)')) {
    link.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && later(() => show(link)));
    link.addEventListener("pointerleave", () => later(hide));
    link.addEventListener("focus", () => link.matches(":focus-visible") && show(link));
    link.addEventListener("blur", () => later(hide));
  }
  addEventListener("keydown", (event) => event.key === "Escape" && hide());
}

// The index is asked for when the search is first opened.
function search() {
  const button = document.getElementById("search");
  if (!button) return;
  const home = new URL("../../", here);
  let engine, asked;
  const input = make("input", { type: "search", autocomplete: "off", spellcheck: false });
  const status = make("p", { role: "status" });
  const list = make("ul");
  const dialog = make("dialog", { id: "search-dialog", ariaLabel: "Search" }, make("label", {}, "Search this site", input), status, list);
  async function look() {
    const words = (asked = input.value.trim());
    if (!words) return list.replaceChildren(), (status.textContent = "");
    try {
      engine ??= import(new URL("pagefind/pagefind.js", home)).then(async (found) => (await found.options({ baseUrl: home.pathname }), found));
      const { results } = await (await engine).search(words);
      const pages = await Promise.all(results.slice(0, 10).map((result) => result.data()));
      if (words !== asked) return;
      // The section that says most of it. A page that shares but the first letter with the words is none.
      const said = (part) => part.weighted_locations.reduce((sum, { balanced_score }) => sum + balanced_score, 0);
      const best = pages.map(({ meta, sub_results }) => ({ meta, part: sub_results.reduce((one, other) => (said(other) > said(one) ? other : one)) }));
      const starts = words.toLowerCase().split(/\s+/).map((word) => word.slice(0, 3));
      const marked = (part) => [...part.excerpt.toLowerCase().matchAll(/<mark>(.*?)<\/mark>/g)].map(([, mark]) => mark);
      const found = best.filter(({ part }) => marked(part).some((mark) => starts.some((start) => mark.includes(start))));
      list.replaceChildren(...found.map(({ meta, part }) => {
        const text = make("p");
        text.innerHTML = part.excerpt;
        const title = part.title === meta.title ? meta.title : `${meta.title}: ${part.title}`;
        return make("li", {}, make("a", { href: part.url }, title), text);
      }));
      status.textContent = found.length ? `${found.length} ${found.length === 1 ? "page" : "pages"}` : `Nothing has “${words}”.`;
    } catch (error) {
      engine = undefined;
      status.textContent = location.protocol === "file:" ? "The search needs a web server: make preview starts one." : `The search failed: ${error.message}`;
    }
  }
  dialog.onkeydown = (event) => {
    const stops = [input, ...list.querySelectorAll("a")];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      stops[(stops.indexOf(document.activeElement) + step + stops.length) % stops.length].focus();
    } else if (event.key === "Enter" && document.activeElement === input) {
      stops[1]?.click();
    } else if (event.key === "Escape") {
      // The browser would first empty the field.
      event.preventDefault();
      dialog.close();
    }
  };
  dialog.onclick = (event) => (event.target === dialog || event.target.closest("a")) && dialog.close();
  const open = () => {
    dialog.showModal();
    input.select();
  };
  input.oninput = look;
  button.onclick = open;
  addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.closest("input, textarea, dialog") || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    open();
  });
  document.body.append(dialog);
  button.hidden = false;
}

addEventListener("DOMContentLoaded", () => {
  for (const part of [theme, categories, contents, scrolling, copying, previews, search]) part();
});
