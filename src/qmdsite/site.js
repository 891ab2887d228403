// The theme button, and the listing's categories. Without this script the page follows the reader's system.
const root = document.documentElement;
if (localStorage.theme) root.dataset.theme = localStorage.theme;

const dark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

function filter() {
  const wanted = decodeURIComponent(location.hash).match(/^#category=(.*)$/);
  for (const item of document.querySelectorAll("[data-categories]"))
    item.hidden = wanted && !item.dataset.categories.split("|").includes(wanted[1]);
}

addEventListener("DOMContentLoaded", () => {
  const button = document.getElementById("theme");
  const name = () => (button.textContent = dark() ? "Light" : "Dark");
  button.onclick = () => (localStorage.theme = root.dataset.theme = dark() ? "light" : "dark", name());
  button.hidden = false;
  name();
  filter();
});
addEventListener("hashchange", filter);
