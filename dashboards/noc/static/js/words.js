// What states are called and how they rank: the same words everywhere on the page.

import { clock, many } from "./format.js";

/** Worst first, as the server sorts. */
export const RANK = ["halt", "warn", "notice", "inconclusive", "quiet"];

export const WORD = {
  halt: "HALT",
  warn: "WARN",
  notice: "NOTICE",
  inconclusive: "WATCHING",
  quiet: "QUIET",
};

/** The letters of the matrix, worst first; `mark` tells them apart without colour. */
export const CELLS = [
  { letter: "v", name: "victim", word: "victim", several: "victims" },
  { letter: "x", name: "silent", word: "silent", several: "silent" },
  { letter: "s", name: "staged", word: "staged, not rebooted", several: "staged" },
  { letter: "e", name: "exposed", word: "patched, well so far", several: "patched, well" },
  { letter: "u", name: "untouched", word: "not patched", several: "not patched" },
];

const SYSTEMS = {
  14393: "Server 2016",
  17763: "Server 2019",
  20348: "Server 2022",
  25398: "Server 23H2",
  26100: "Server 2025",
  17134: "Windows 10 1803",
  19045: "Windows 10 22H2",
  22631: "Windows 11 23H2",
};

/** Server 2019 (17763), or the number alone where the name is not known. */
export function system(branch) {
  const name = SYSTEMS[branch];
  return name ? `${name} (${branch})` : `branch ${branch}`;
}

/** Worst state first, then most wealth, as the server sorts. */
export function worstFirst(a, b) {
  return RANK.indexOf(a.state) - RANK.indexOf(b.state) || b.log_e - a.log_e || (a.id < b.id ? -1 : 1);
}

/** Whether a case asks somebody to do something. */
export function alarming(card) {
  return card.state === "halt" || card.state === "warn";
}

/**
 * What is already stopped: a heading, who and why, and the tone: `done`, `open` or `none`.
 * Only a halt that is active stops anything; whoever asks the gate is told no in any case.
 */
export function stopped(card, halt) {
  const last = halt?.history.at(-1);
  const by = last ? `by ${last.who} at ${clock(last.at_ms)}: ${last.why}` : "";
  switch (halt?.state ?? card.halt) {
    case "active":
      return { tone: "done", head: "Halt is active", text: by, sinceMs: last?.at_ms };
    case "proposed":
      return {
        tone: "open",
        head: "NOT stopped: a halt is proposed",
        text:
          halt?.mode === "observe" ? `only recorded (mode observe), ${by}` : `nobody has answered yet; ${by}`,
        sinceMs: last?.at_ms,
      };
    case "denied":
      return { tone: "open", head: "NOT stopped: the halt was denied", text: by, sinceMs: last?.at_ms };
    case "lifted":
      return { tone: "open", head: "Halt was lifted", text: by, sinceMs: last?.at_ms };
    default:
  }
  if (card.state === "halt") {
    return { tone: "open", head: "NOT stopped: no halt was made", text: "ask the halt policy why" };
  }
  if (card.state === "warn") {
    return { tone: "open", head: "NOT stopped: a warning", text: "hold the next ring yourself" };
  }
  return { tone: "none", head: "Nothing to stop", text: "" };
}

/** Whom it hits, as a person says it. */
export function ruled(card) {
  return card.rule.length ? card.rule.join(" and ") : "any node";
}

/** Who would be hit next; empty where nothing was crossed. */
export function waiting(card) {
  if (!card.blast) return "";
  const { nodes, staged } = card.blast;
  if (!nodes) return "no more such nodes wait";
  return `${many(nodes, "more such node")} ${nodes === 1 ? "waits" : "wait"}${staged ? `, ${staged} staged` : ""}`;
}
