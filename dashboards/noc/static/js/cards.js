// All cases, a card each, worst first; and the halts whose case is closed.

import { Part, el } from "./dom.js";
import { count, many, stamp } from "./format.js";
import { meter } from "./meter.js";
import { ringBars } from "./rings.js";
import { WORD, ruled, stopped, system, waiting, worstFirst } from "./words.js";

const RECORDED_MS = 86_400_000;
const OLD_S = 1_800;

/** The list of cards in `host`; `onPick(id)` when a person chooses one. */
export class Cards {
  #host;
  #onPick;
  #parts = new Map();

  constructor(host, onPick) {
    this.#host = host;
    this.#onPick = onPick;
  }

  show(wall, inView) {
    const several = new Set([...wall.cases.values()].map((card) => card.fleet)).size > 1;
    const cards = [...wall.cases.values()].sort(worstFirst);
    const closed = [...wall.halts.values()].filter((halt) => !wall.cases.has(halt.id));
    const order = [];
    for (const card of cards) {
      const part = this.#part(card.id);
      const halt = wall.halts.get(card.id);
      part.host.className = card.id === inView ? "card in-view" : "card";
      part.host.dataset.state = card.state;
      // The trail is not on the card, and it changes with every verdict.
      const { history, incidents, steps, ...rest } = card;
      part.show([rest, halt, several, card.id === inView], () =>
        this.#card(card, halt, several, card.id === inView),
      );
      order.push(part.host);
    }
    for (const halt of closed) {
      const part = this.#part(halt.id);
      part.host.className = "card closed";
      part.host.dataset.state = halt.state === "lifted" || halt.state === "denied" ? "quiet" : "halt";
      part.show(halt, () => closedHalt(halt));
      order.push(part.host);
    }
    const kept = new Set(order);
    for (const [id, part] of this.#parts) if (!kept.has(part.host)) this.#parts.delete(id);
    for (const child of [...this.#host.children]) if (!kept.has(child)) child.remove();
    order.forEach((child, index) => {
      if (this.#host.children[index] !== child)
        this.#host.insertBefore(child, this.#host.children[index] ?? null);
    });
  }

  #part(id) {
    if (!this.#parts.has(id)) this.#parts.set(id, new Part(el("article", { "data-case": id })));
    return this.#parts.get(id);
  }

  #card(card, halt, several, inView) {
    const now = stopped(card, halt);
    return [
      el(
        "header",
        {},
        badge(card.state),
        el(
          "h3",
          {},
          el(
            "button",
            {
              type: "button",
              class: "pick",
              "data-key": "pick",
              "aria-pressed": String(inView),
              on: { click: () => this.#onPick(card.id) },
            },
            card.kb,
          ),
        ),
        el("span", { class: "on" }, system(card.branch), several ? ` · ${card.fleet}` : ""),
        age(card),
      ),
      el("p", { class: "sentence" }, card.sentence),
      el(
        "div",
        { class: "numbers" },
        figure(card.victims, "fail", card.victims ? "hurt" : ""),
        figure(card.exposed, "patched"),
        figure(card.controls, "not patched"),
      ),
      meter(card, true),
      card.rings.length ? ringBars(card.rings) : null,
      card.blast
        ? el("p", { class: "rule" }, el("b", {}, "Hits: "), ruled(card), " · ", waiting(card))
        : null,
      now.tone === "none" ? null : el("p", { class: `stop-line ${now.tone}` }, now.head),
    ];
  }
}

/** The state in letters on its colour. */
export function badge(state) {
  return el("span", { class: "badge", "data-state": state }, WORD[state]);
}

/** How old the data of a case are; a recording says of when it speaks instead. */
export function age(card) {
  if (card.received_ms - card.asof_ms > RECORDED_MS) {
    return el("span", { class: "age" }, `recorded: ${stamp(card.asof_ms, card.received_ms)}`);
  }
  return el(
    "span",
    { class: "age" },
    "data ",
    el("time", { "data-at": card.asof_ms, "data-old-s": OLD_S }),
    " old",
  );
}

function figure(number, word, extra = "") {
  return el("p", { class: `figure ${extra}` }, el("b", {}, count(number)), ` ${word}`);
}

function closedHalt(halt) {
  const last = halt.history.at(-1);
  return [
    el(
      "header",
      {},
      el("span", { class: "badge", "data-state": "halt" }, halt.state),
      el("h3", {}, halt.kb),
      el("span", { class: "on" }, `${system(halt.branch)}, case closed`),
    ),
    el("p", { class: "sentence" }, halt.sentence),
    el(
      "p",
      { class: "rule" },
      `${many(halt.crossing.victims, "victim")} at the halt; ${halt.scope}. Last by ${last.who}: ${last.why}`,
    ),
  ];
}
