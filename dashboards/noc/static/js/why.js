// The small print of a case: reasons, suspects, incidents to look up, the halt's history.

import { el } from "./dom.js";
import { count, many, percent, stamp, wealth } from "./format.js";

/** Details for a sceptic, folded up. */
export function why(card, halt, nowMs) {
  return [
    halt ? fold("halt", `Halt: ${halt.state}, ${halt.scope}`, haltHistory(halt, nowMs)) : null,
    card.incidents.length
      ? fold("incidents", `${many(card.incidents.length, "incident")} to look up`, incidents(card, nowMs))
      : null,
    fold("why", "Why this verdict", reasons(card, nowMs)),
  ];
}

function fold(key, title, ...inside) {
  return el(
    "details",
    { class: "fold", "data-key": `fold:${key}` },
    el("summary", { "data-key": `foldsum:${key}` }, title),
    inside,
  );
}

function haltHistory(halt, nowMs) {
  return el(
    "ul",
    { class: "lines" },
    halt.history.map((step) =>
      el("li", {}, el("b", {}, step.state), ` ${stamp(step.at_ms, nowMs)} by ${step.who}: ${step.why}`),
    ),
    halt.deliveries.map((told) => el("li", {}, el("b", {}, told.state), ` ${delivery(told, nowMs)}`)),
  );
}

function delivery(told, nowMs) {
  const when = told.delivered_ms ? ` ${stamp(told.delivered_ms, nowMs)}` : "";
  const error = told.last_error ? `: ${told.last_error}` : "";
  return `${told.target} (${told.transition})${when}, ${many(told.attempts, "attempt")}${error}`;
}

function incidents(card, nowMs) {
  const heads = ["Node", "Cluster", "Site", "What", "When", "After the patch", "Record"];
  return el(
    "div",
    { class: "scroll-x", tabindex: "0", role: "group", "aria-label": "Incidents", "data-key": "incidents" },
    el(
      "table",
      { class: "table" },
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          heads.map((head) => el("th", { scope: "col" }, head)),
        ),
      ),
      el(
        "tbody",
        {},
        card.incidents.map((incident) =>
          el(
            "tr",
            {},
            el("th", { scope: "row", class: "name" }, incident.node),
            el("td", { class: "name" }, incident.domain === incident.node ? "" : incident.domain),
            el("td", {}, incident.site),
            el("td", { class: "name" }, incident.signature),
            el("td", {}, stamp(incident.t_ms, nowMs)),
            el("td", {}, `${count(incident.minutes_after)} min`),
            el("td", { class: "number" }, incident.record_id || ""),
          ),
        ),
      ),
    ),
  );
}

function reasons(card, nowMs) {
  const at = card.crossings.map(
    ({ kind, at: point }) =>
      `${kind.toUpperCase()} ${stamp(point.t_ms, nowMs)}: ${count(point.victims)} of ${count(point.exposed)} patched, ` +
      `${count(point.control_victims ?? 0)} of ${count(point.controls)} unpatched; ` +
      `${kind === "warn" ? "E_w" : "E"} = ${wealth(point.log_e)}`,
  );
  const lines = [
    `In effect first ${stamp(card.started_ms, nowMs)}; newest evidence ${stamp(card.asof_ms, nowMs)}.`,
    ...at,
    ...card.reasons,
    `${count(card.power.observed)} nodes ran it for 24 h: a failure of 5 % of nodes would have shown with p = ${card.power.p_5pct.toFixed(2)}.`,
    ...corroboration(card),
    card.confirmed_against.length
      ? `Explains it 20 times better than ${card.confirmed_against.join(", ")}.`
      : null,
    card.suspects.length
      ? `Suspects: ${card.suspects.map((one) => `${one.name} ${percent(one.share)}`).join(", ")}.`
      : null,
    `Calibration ${card.calibration}; ${card.trust === "open" ? "reports are unsigned (trust: open)" : `trust ${card.trust}`}.`,
    `Gate: ${card.gate.answer}. ${card.gate.reasons.join("; ")}`,
  ];
  return el(
    "ul",
    { class: "lines" },
    lines.filter(Boolean).map((line) => el("li", {}, line)),
  );
}

function corroboration(card) {
  const out = [];
  if (card.log_e_without_site !== null)
    out.push(`Without any one site E is still ${wealth(card.log_e_without_site)} or more (3 corroborates).`);
  if (card.log_same_elsewhere !== null)
    out.push(
      `The same failure alone, without any one site: E = ${wealth(card.log_same_elsewhere)} or more (3 corroborates where all without any one cluster comes to 20).`,
    );
  if (card.log_e_without_domain !== null)
    out.push(`Without any one cluster E is still ${wealth(card.log_e_without_domain)} or more.`);
  if (card.log_e_within !== null)
    out.push(`Bets within clusters alone: E = ${wealth(card.log_e_within)} (20 corroborates).`);
  return out;
}
