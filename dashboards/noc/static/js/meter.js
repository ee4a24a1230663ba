// The wealth meter, on a log scale: how near E is to a HALT, how near E_w to a WARN, and E's two arms.

import { el } from "./dom.js";
import { wealth } from "./format.js";

const ROWS = [
  { key: "log_e", name: "to HALT", letter: "E", long: "Evidence E", cls: "e", goal: "HALT", at: "log_threshold" },
  { key: "log_e_warn", name: "to WARN", letter: "E_w", long: "Evidence E_w", cls: "w", goal: "WARN", at: "log_warn" },
  { key: "log_c", name: "vs peers", long: "Against unpatched peers", cls: "c" },
  { key: "log_h", name: "vs past", long: "Against the branch's own past", cls: "h" },
];

/** A meter of one case; `plain` is the small one of the cards, without the letters of the wealth. */
export function meter(card, plain = false) {
  // Not E_w: it grows to powers of ten that would leave no room for the rest.
  const most = Math.max(card.log_threshold * 1.25, card.log_e, card.log_c, card.log_h);
  const share = (log) => Math.min(Math.max(log, 0), most) / most;
  return el(
    "div",
    {
      class: plain ? "meter plain" : "meter",
      role: "img",
      "aria-label": ROWS.map((row) => said(card, row)).join(" "),
    },
    ROWS.map((row, index) => bar(card, row, index + 1, share, plain)),
  );
}

function said(card, row) {
  const goal = row.goal ? `, ${row.goal} at ${wealth(card[row.at])}` : "";
  return `${row.long}: ${wealth(card[row.key])}${goal}.`;
}

function bar(card, row, place, share, plain) {
  const vars = { "--row": place };
  const kind = row.goal?.toLowerCase();
  return [
    el(
      "span",
      { class: kind ? `arm-name to-${kind}` : "arm-name", vars },
      row.letter && !plain ? `${row.letter} ${row.name}` : row.name,
    ),
    el(
      "span",
      { class: "track", vars },
      el("span", { class: `fill fill-${row.cls}`, vars: { "--x": share(card[row.key]) } }),
    ),
    kind
      ? el("span", { class: `line line-${kind}`, vars: { ...vars, "--x": share(card[row.at]) } })
      : null,
    el(
      "span",
      { class: "arm-value", vars },
      wealth(card[row.key]),
      kind ? el("span", { class: "arm-of" }, ` of ${wealth(card[row.at])}`) : null,
    ),
  ];
}
