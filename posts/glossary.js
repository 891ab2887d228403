// What a word means, shown beside a link to the glossary while the pointer or the focus is there; Escape takes it away. The
// sentences stand at the end of the page, hidden: posts/glossary/previews.py writes them. Without this script a link is a link.
{
  let shown, timer;
  const hide = () => {
    clearTimeout(timer);
    if (shown) shown.hidden = true;
    shown = undefined;
  };
  const later = (action) => {
    clearTimeout(timer);
    timer = setTimeout(action, 150);
  };

  function show(link, sentence) {
    hide();
    shown = sentence;
    sentence.hidden = false;
    const box = link.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = sentence;
    const below = box.bottom + height + 8 < innerHeight || box.top < height + 8;
    const left = Math.min(box.left, document.documentElement.clientWidth - width - 16);
    sentence.style.left = `${scrollX + Math.max(16, left)}px`;
    sentence.style.top = `${scrollY + (below ? box.bottom + 6 : box.top - height - 6)}px`;
  }

  for (const link of document.querySelectorAll('main a[href*="glossary/index.html#"]')) {
    const sentence = document.getElementById(`meaning-${link.hash.slice(1)}`);
    if (!sentence) continue;
    link.setAttribute("aria-describedby", sentence.id);
    // A finger follows the link.
    link.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && later(() => show(link, sentence)));
    link.addEventListener("pointerleave", () => later(hide));
    link.addEventListener("focus", () => link.matches(":focus-visible") && show(link, sentence));
    link.addEventListener("blur", hide);
    // Who moves the pointer onto the sentence keeps it.
    sentence.onpointerenter = () => clearTimeout(timer);
    sentence.onpointerleave = () => later(hide);
  }
  addEventListener("keydown", (event) => event.key === "Escape" && hide());
}
