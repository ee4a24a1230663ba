// The case in view: which KB, how bad, where, what is stopped, what to do. In this order.

import { age, badge } from "./cards.js";
import { Chart } from "./chart.js";
import { Part, el } from "./dom.js";
import { count, many, percent, span } from "./format.js";
import { meter } from "./meter.js";
import { ringTable } from "./rings.js";
import { stepList } from "./steps.js";
import { why } from "./why.js";
import { RANK, alarming, ruled, stopped, system, waiting, worstFirst } from "./words.js";

/** Suspects with a smaller share are in the small print. */
const SUSPICIOUS = 0.01;
/** Leaks beyond this many are counted, not named, beside the halt. */
const NAMED = 5;

/** The big panel. `say(text)` for screen readers, `onFollow()` to leave a pinned case. */
export class Now {
  #section;
  #say;
  #onFollow;
  #parts = {};
  #chart;
  #body;
  #calm;

  constructor(section, say, onFollow) {
    this.#section = section;
    this.#say = say;
    this.#onFollow = onFollow;
    const host = (name) => {
      const element = el("div", { class: name });
      this.#parts[name] = new Part(element);
      return element;
    };
    const plot = el("div", { class: "plot", role: "img" });
    this.#calm = new Part(el("div", { class: "calm" }));
    this.#body = el(
      "div",
      { class: "now-body" },
      host("now-head"),
      host("now-stop"),
      el("div", { class: "facts" }, host("bad"), host("where")),
      el("h3", {}, "What to do now"),
      host("todo"),
      el(
        "div",
        { class: "split" },
        el("div", { class: "evidence" }, el("h3", {}, "Evidence"), host("wealth"), plot),
        el("div", { class: "progress" }, el("h3", {}, "Rings"), host("ringed")),
      ),
      host("whys"),
    );
    this.#chart = new Chart(plot);
    section.append(this.#calm.host, this.#body);
  }

  /** Show a case, or the calm when `card` is null. `spread` says where its victims are. */
  show(card, wall, pinned, spread) {
    this.#body.hidden = card === null;
    this.#calm.host.hidden = card !== null;
    this.#section.dataset.state = card?.state ?? "none";
    if (card === null) {
      this.#calm.show([wall.tick === null, wall.cases.size, nodesOf(wall)], () => calm(wall));
      return;
    }
    const halt = wall.halts.get(card.id);
    const parts = this.#parts;
    const { history, rings, steps, ...rest } = card;
    parts["now-head"].show([card.id, card.state, card.asof_ms, pinned, card.build, card.sentence], () =>
      this.#head(card, pinned),
    );
    const leaks = steps.find((step) => step.kind === "leaked");
    parts["now-stop"].show([card.state, card.halt, card.gate, leaks, halt], () =>
      stopLine(card, halt, leaks),
    );
    parts.bad.show(
      [card.id, card.victims, card.exposed, card.controls, card.crossings, card.last_victim_ms],
      () => howBad(card),
    );
    parts.where.show([card.id, card.rule, card.blast, card.signature, card.suspects, spread], () =>
      where(card, spread),
    );
    parts.todo.show([card.id, card.steps], () => stepList(card, this.#say));
    const { log_e, log_e_warn, log_c, log_h, log_warn, log_threshold } = card;
    parts.wealth.show([card.id, log_e, log_e_warn, log_c, log_h, log_warn, log_threshold], () =>
      meter(card),
    );
    parts.ringed.show([card.id, card.rings], () =>
      card.rings.length ? ringTable(card.rings) : el("p", {}, "No rings are known."),
    );
    parts.whys.show([rest, halt], () => why(card, halt, wall.tick.server_ms));
    this.#chart.show(card);
  }

  /** The theme has changed: the plot takes its colours from it. */
  restyle() {
    this.#chart.restyle();
  }

  #head(card, pinned) {
    return [
      el(
        "div",
        { class: "now-line" },
        badge(card.state),
        el("h2", { class: "kb" }, card.kb),
        el("p", { class: "on" }, `${system(card.branch)} · build ${card.build}`),
        age(card),
        pinned
          ? el(
              "button",
              { type: "button", class: "quiet-button", "data-key": "follow", on: { click: this.#onFollow } },
              "Back to the worst case",
            )
          : null,
      ),
      el("p", { class: "sentence" }, card.sentence),
    ];
  }
}

function stopLine(card, halt, leaks) {
  const { tone, head, text, sinceMs } = stopped(card, halt);
  const told = halt?.deliveries ?? [];
  const failed = told.filter((one) => one.state !== "delivered");
  return el(
    "div",
    { class: `stop ${tone}` },
    el("p", { class: "stop-head" }, head, sinceMs ? [" for ", el("time", { "data-at": sinceMs })] : null),
    el("p", {}, text, text ? " · " : "", el("b", {}, `gate: ${card.gate.answer}`)),
    leaks
      ? el("p", {}, el("b", {}, `${many(leaks.count, "node")} took it after the crossing: `), first(leaks))
      : null,
    told.length
      ? el(
          "p",
          {},
          `Told: ${told.map((one) => `${one.target} (${one.state})`).join(", ")}`,
          failed.length ? el("b", {}, ` · ${failed.length} not confirmed`) : null,
        )
      : null,
  );
}

/** The first names of a step, and how many more there are. */
function first(step) {
  const names = step.nodes.slice(0, NAMED);
  const rest = step.count - names.length;
  return names.join(", ") + (rest > 0 ? ` and ${count(rest)} more` : "");
}

function howBad(card) {
  const crossing = card.crossings.at(-1);
  return [
    el("h3", {}, "How bad"),
    el(
      "p",
      { class: "big" },
      el("b", { class: card.victims ? "hurt" : "" }, count(card.victims)),
      ` of ${count(card.exposed)} patched nodes fail`,
      card.victims && card.exposed ? ` (${percent(card.victims / card.exposed)})` : "",
    ),
    el(
      "p",
      {},
      card.controls
        ? `${many(card.controls, "node")} of the branch not patched`
        : "No node of the branch is left unpatched",
    ),
    crossing
      ? el(
          "p",
          {},
          `At the ${crossing.kind}: ${count(crossing.at.victims)} of ${count(crossing.at.exposed)} patched, `,
          el(
            "b",
            {},
            `${count(crossing.at.control_victims ?? 0)} of ${count(crossing.at.controls)} unpatched`,
          ),
        )
      : null,
    card.first_victim_ms !== null && card.last_victim_ms !== null
      ? el("p", {}, `First victim to newest: ${span((card.last_victim_ms - card.first_victim_ms) / 1000)}`)
      : null,
  ];
}

function where(card, spread) {
  const shown = spread.slice(0, 6);
  const rest = spread.length - shown.length;
  const suspects = card.suspects.filter((one) => one.share >= SUSPICIOUS).slice(0, 3);
  return [
    el("h3", {}, "Where"),
    el("p", { class: "big rule-big" }, ruled(card)),
    waiting(card) ? el("p", {}, el("b", {}, waiting(card))) : null,
    spread.length
      ? el(
          "ul",
          { class: "spread", "aria-label": "Victims by site" },
          shown.map((site) =>
            el(
              "li",
              {},
              el("b", {}, site.site),
              ` ${count(site.victims)} in ${many(site.clusters, "cluster")}`,
            ),
          ),
          rest > 0 ? el("li", {}, `and ${many(rest, "site")} more`) : null,
        )
      : null,
    card.signature ? el("p", { class: "name" }, card.signature) : null,
    suspects.length > 1
      ? el("p", {}, `Suspects: ${suspects.map((one) => `${one.name} ${percent(one.share)}`).join(", ")}`)
      : null,
  ];
}

function nodesOf(wall) {
  let nodes = 0;
  for (const fleet of wall.fleets.values())
    for (const site of fleet.sites) for (const cluster of site.clusters) nodes += cluster.nodes.length;
  return nodes;
}

function calm(wall) {
  if (wall.tick === null)
    return [
      el("h2", { class: "kb" }, "Connecting"),
      el("p", {}, "The server reads its topics first; this takes some seconds."),
    ];
  return [
    el("h2", { class: "kb" }, "No patch is breaking nodes"),
    el(
      "p",
      { class: "big" },
      `${many(wall.cases.size, "roll-out")} watched on ${many(nodesOf(wall), "node")}.`,
    ),
    el(
      "p",
      {},
      "WATCHING means: too few nodes seen so far to say more. That is not a go; the gate says what is missing. Choose a case for its details.",
    ),
  ];
}

/**
 * The case for the big panel when nobody has chosen one, or null. Of equally bad ones the first is
 * one that nothing has stopped; `shown` stays as long as no other is worse, so that the panel does
 * not change under the hand of somebody who works with it.
 */
export function leading(wall, shown) {
  const rank = (card) => RANK.indexOf(card.state) * 2 + (wall.halts.get(card.id)?.state === "active" ? 1 : 0);
  const loud = [...wall.cases.values()].filter((card) => alarming(card) || card.state === "notice");
  loud.sort((a, b) => rank(a) - rank(b) || worstFirst(a, b));
  const [first] = loud;
  if (first === undefined) return null;
  return loud.find((card) => card.id === shown && rank(card) === rank(first)) ?? first;
}
