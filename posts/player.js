// Steps through the pictures of class "player". A part with data-step="k" shows at step k alone, one with data-from="k"
// from step k on; parts at step k get the class "now". Without this script every step of a walkthrough shows, and the last
// frame of an animation. data-label names a step, data-play is the time from one to the next in milliseconds.
{
  const make = (tag, properties) => Object.assign(document.createElement(tag), properties);

  function enhance(player) {
    const parts = [...player.querySelectorAll("[data-step], [data-from]")].map((element) => ({
      element, only: "step" in element.dataset, at: Number(element.dataset.step ?? element.dataset.from),
    }));
    const last = Math.max(...parts.map((part) => part.at));
    const labels = new Map(parts.map((part) => [part.at, part.element.dataset.label]).filter(([, label]) => label));
    const controls = make("div", { className: "controls" });
    const back = make("button", { type: "button", textContent: "Back" });
    const next = make("button", { type: "button", textContent: "Next" });
    const play = make("button", { type: "button", textContent: "Play" });
    const slider = make("input", { type: "range", min: 1, max: last, value: 1, ariaLabel: "Step" });
    const place = make("span", { className: "place" });
    const live = player.querySelector(".steps") ?? player;
    let timer;

    function show(step) {
      slider.value = step;
      for (const { element, only, at } of parts) {
        element.classList.toggle("off", only ? at !== step : at > step);
        element.classList.toggle("now", at === step);
      }
      place.textContent = `${step} of ${last}` + (labels.has(step) ? `: ${labels.get(step)}` : "");
      slider.ariaValueText = place.textContent;
      back.ariaDisabled = step === 1;
      next.ariaDisabled = step === last;
    }
    function pause() {
      clearInterval(timer);
      timer = undefined;
      play.textContent = "Play";
      live.ariaLive = "polite";
    }
    function go(step) {
      pause();
      show(Math.min(Math.max(step, 1), last));
      const now = player.querySelector("[data-from].now");
      if (!now) return;
      now.style.scrollMarginTop = `${live.offsetHeight + 16}px`;
      now.scrollIntoView({ block: "nearest" });
    }
    back.onclick = () => go(Number(slider.value) - 1);
    next.onclick = () => go(Number(slider.value) + 1);
    slider.oninput = () => go(Number(slider.value));
    play.onclick = () => {
      if (timer) return pause();
      live.ariaLive = "off";
      play.textContent = "Pause";
      if (Number(slider.value) === last) show(1);
      timer = setInterval(() => {
        show(Number(slider.value) + 1);
        if (Number(slider.value) === last) pause();
      }, Number(player.dataset.play));
    };
    controls.append(back, next, ...("play" in player.dataset ? [play] : []), slider, place);
    live.prepend(controls);
    show(1);
    pause();
    // On paper all has happened.
    let before;
    addEventListener("beforeprint", () => {
      before = Number(slider.value);
      show(last);
    });
    addEventListener("afterprint", () => show(before));
  }
  // Each picture brings the script along, so it may run twice on a page.
  document.querySelectorAll(".player:not(:has(.controls))").forEach(enhance);
}
