// What must be noticed from across the room or from another tab: title, icon, a strip, a voice.

import { el } from "./dom.js";
import { WORD, alarming, stopped, system, worstFirst } from "./words.js";

/** Watches cases and halts for what is new, and tells it once. */
export class Alarm {
  #strip;
  #icon;
  #known = null;

  constructor(strip, icon) {
    this.#strip = strip;
    this.#icon = icon;
  }

  /** Look at the wall; `onShow(id)` is called when a person asks to see the case. */
  look(wall, link, onShow) {
    this.#title(wall, link);
    const now = new Map();
    for (const card of wall.cases.values())
      now.set(card.id, [card.state, wall.halts.get(card.id)?.state ?? ""]);
    for (const halt of wall.halts.values()) if (!now.has(halt.id)) now.set(halt.id, ["", halt.state]);
    const before = this.#known;
    this.#known = now;
    if (before === null) return; // what was there when the page came up is on the page
    for (const [id, [state, halt]] of now) {
      const [oldState, oldHalt] = before.get(id) ?? ["", ""];
      const judged = state === "halt" && oldState !== "halt";
      if (judged || (halt && halt !== oldHalt)) this.#tell(wall, id, onShow);
    }
  }

  #tell(wall, id, onShow) {
    const card = wall.cases.get(id);
    const halt = wall.halts.get(id);
    const subject = card ?? halt;
    const what = stopped(card ?? { state: "halt" }, halt);
    const text = `${WORD.halt}: ${subject.kb} on ${system(subject.branch)}. ${what.head}.`;
    const old = [...this.#strip.children].find((line) => line.dataset.case === id);
    const line = el(
      "div",
      { class: "alarm fresh", "data-case": id },
      el("p", {}, text),
      el(
        "button",
        {
          type: "button",
          class: "quiet-button",
          on: {
            click: () => {
              line.remove();
              onShow(id);
            },
          },
        },
        "Show",
      ),
      el("button", { type: "button", class: "quiet-button", on: { click: () => line.remove() } }, "Dismiss"),
    );
    old?.remove();
    this.#strip.prepend(line);
  }

  #title(wall, link) {
    const worst = [...wall.cases.values()].reduce((a, b) => (a && worstFirst(a, b) < 0 ? a : b), undefined);
    const loud = worst && (alarming(worst) || worst.state === "notice");
    const same = loud ? [...wall.cases.values()].filter((card) => card.state === worst.state).length : 0;
    const what = loud
      ? `${same > 1 ? `${same} ` : ""}${WORD[worst.state]} ${worst.kb}${same > 1 ? " …" : ""}`
      : "nothing is breaking";
    const lost = link === "lost" || link === "connecting";
    const title = `${lost ? "NO CONNECTION · " : ""}${wall.tick ? what : "connecting"} · kbwatch`;
    if (document.title !== title) document.title = title;
    const icon = lost || !wall.tick ? "lost" : loud ? worst.state : "ok";
    const href = `/static/icons/${icon}.svg`;
    if (this.#icon.getAttribute("href") !== href) this.#icon.setAttribute("href", href);
  }
}
