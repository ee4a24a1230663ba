// How far the roll-out is in each ring, and where it hurts.

import { el } from "./dom.js";
import { count } from "./format.js";

const SHARES = [
  { key: "victims", cls: "victim", word: "victims" },
  { key: "silent", cls: "silent", word: "silent" },
  { key: "exposed", cls: "exposed", word: "patched, well" },
  { key: "staged", cls: "staged", word: "staged" },
  { key: "untouched", cls: "untouched", word: "not patched" },
];

/** With more rings than this there is no room for their numbers on a card. */
const ROOMY = 4;

/** One short bar per ring: for cards. */
export function ringBars(rings) {
  return el(
    "ul",
    { class: rings.length > ROOMY ? "ring-bars many" : "ring-bars", "aria-label": "Rings" },
    rings.map((ring) =>
      el(
        "li",
        {},
        bar(ring),
        el(
          "span",
          { class: "ring-name" },
          `${ring.ring || "no ring"} `,
          el("span", { class: "ring-share" }, progress(ring)),
        ),
      ),
    ),
  );
}

/** A line per ring with its numbers: for the case in view. */
export function ringTable(rings) {
  return el(
    "table",
    { class: "table rings" },
    el("caption", { class: "unseen" }, "Progress by ring"),
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        el("th", { scope: "col" }, "Ring"),
        el("th", { scope: "col", class: "wide" }, "Progress"),
        ["Victims", "Patched", "Staged", "Not yet", "Silent"].map((name) =>
          el("th", { scope: "col", class: "number" }, name),
        ),
      ),
    ),
    el(
      "tbody",
      {},
      rings.map((ring) =>
        el(
          "tr",
          {},
          el("th", { scope: "row" }, ring.ring || "no ring"),
          el("td", {}, bar(ring)),
          el("td", { class: ring.victims ? "number hurt" : "number" }, count(ring.victims)),
          el("td", { class: "number" }, count(ring.exposed + ring.victims)),
          el("td", { class: "number" }, count(ring.staged)),
          el("td", { class: "number" }, count(ring.untouched)),
          el("td", { class: "number" }, count(ring.silent)),
        ),
      ),
    ),
  );
}

function bar(ring) {
  const said = SHARES.filter((share) => ring[share.key]).map(
    (share) => `${count(ring[share.key])} ${share.word}`,
  );
  return el(
    "span",
    {
      class: "stack",
      role: "img",
      "aria-label": `${ring.ring || "no ring"}, ${count(ring.nodes)} nodes: ${said.join(", ")}`,
    },
    SHARES.map((share) =>
      ring[share.key]
        ? el("span", { class: `part part-${share.cls}`, vars: { "--n": ring[share.key] } })
        : null,
    ),
  );
}

function progress(ring) {
  return `${count(ring.exposed + ring.victims)}/${count(ring.nodes)}`;
}
