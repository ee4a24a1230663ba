// What to do next, a group of nodes at a time, with the list to copy.

import { caseDetail } from "./api.js";
import { copied, select } from "./copy.js";
import { el } from "./dom.js";
import { count, many } from "./format.js";

const URGENT = new Set(["victims", "leaked", "clusters", "staged"]);

/** The list of steps of a case. `say(text)` tells a screen reader what came of a copy. */
export function stepList(card, say) {
  if (!card.steps.length) return el("p", { class: "calm-line" }, "Nothing to do for this case.");
  return el(
    "ol",
    { class: "steps" },
    card.steps.map((step) => row(card, step, say)),
  );
}

function row(card, step, say) {
  const list = el(
    "pre",
    {
      class: "names",
      tabindex: "0",
      "data-key": `list:${step.kind}`,
      "data-scroll": true,
      "aria-label": step.title,
    },
    step.nodes.join("\n"),
  );
  const cut = step.count - step.nodes.length;
  const more =
    cut > 0
      ? el("p", { class: "cut" }, `${many(cut, "more name")}: Copy takes all ${count(step.count)}.`)
      : null;
  const details = el(
    "details",
    { "data-key": `open:${step.kind}` },
    el("summary", { "data-key": `sum:${step.kind}` }, "Show ", el("span", { class: "unseen" }, step.title)),
    list,
    more,
  );
  const button = el(
    "button",
    {
      type: "button",
      class: URGENT.has(step.kind) ? "button" : "quiet-button",
      "data-key": `copy:${step.kind}`,
    },
    label(step),
  );
  button.addEventListener("click", () => copy(card, step, { button, details, list, say }));
  return el(
    "li",
    { class: "step", "data-kind": step.kind },
    el("b", { class: "step-count" }, count(step.count)),
    el(
      "div",
      { class: "step-text" },
      el("p", { class: "step-action" }, step.action),
      el("p", { class: "step-title" }, step.title),
    ),
    step.count ? button : null,
    step.count ? details : null,
  );
}

function label(step) {
  return `Copy ${many(step.count, step.kind === "clusters" ? "cluster" : "name")}`;
}

async function copy(card, step, at) {
  let names = step.nodes;
  if (step.count > names.length) {
    try {
      const detail = await caseDetail(card);
      names = detail.card.steps.find((found) => found.kind === step.kind)?.nodes ?? names;
    } catch {
      tell(
        at,
        step,
        `Only ${count(names.length)} of ${count(step.count)} names are here: the server does not answer`,
      );
      return;
    }
  }
  const text = names.join("\n");
  if (await copied(text)) {
    tell(at, step, `Copied ${many(names.length, "name")}`);
    return;
  }
  at.list.textContent = text;
  at.details.open = true;
  select(at.list);
  tell(at, step, "Selected: press Ctrl+C");
}

function tell(at, step, text) {
  at.say(text);
  at.button.textContent = text;
  setTimeout(() => {
    at.button.textContent = label(step);
  }, 3_000);
}
