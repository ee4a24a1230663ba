// The wealth meter: how much evidence there is, per arm, on a log scale against WARN and HALT.

import { el } from "./dom.js";
import { wealth } from "./format.js";

const ARMS = [
  { key: "log_e", name: "evidence", long: "Evidence, both arms together", cls: "e" },
  { key: "log_c", name: "vs peers", long: "Against unpatched peers", cls: "c" },
  { key: "log_h", name: "vs past", long: "Against the branch's own past", cls: "h" },
];

/** A meter of one case; `plain` leaves out the names of the two lines. */
export function meter(card, plain = false) {
  const most = Math.max(card.log_threshold * 1.25, ...ARMS.map((arm) => card[arm.key]));
  const at = (log) => Math.min(Math.max(log, 0), most) / most;
  const said = ARMS.map((arm) => `${arm.long}: ${wealth(card[arm.key])}.`).join(" ");
  const bars = ARMS.map((arm, index) => {
    const vars = { "--row": index + (plain ? 1 : 2) };
    return [
      el("span", { class: "arm-name", vars }, arm.name),
      el(
        "span",
        { class: "track", vars },
        el("span", { class: `fill fill-${arm.cls}`, vars: { "--x": at(card[arm.key]) } }),
      ),
      el("span", { class: "arm-value", vars }, wealth(card[arm.key])),
    ];
  });
  return el(
    "div",
    {
      class: plain ? "meter plain" : "meter",
      role: "img",
      "aria-label": `${said} WARN at ${wealth(card.log_warn)}, HALT at ${wealth(card.log_threshold)}.`,
    },
    plain
      ? null
      : el("span", { class: "marks", vars: { "--x": at(card.log_warn) } }, `WARN ${wealth(card.log_warn)}`),
    plain
      ? null
      : el(
          "span",
          { class: "marks right", vars: { "--x": at(card.log_threshold) } },
          `HALT ${wealth(card.log_threshold)}`,
        ),
    bars,
    el("span", { class: "line line-warn", vars: { "--x": at(card.log_warn) } }),
    el("span", { class: "line line-halt", vars: { "--x": at(card.log_threshold) } }),
  );
}
