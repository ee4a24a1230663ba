// The pipeline itself: how fresh each source is, and what troubles it.

import { el } from "./dom.js";
import { count, many } from "./format.js";

const SHOWN = 4;
const OLD_S = 1_800;

/** The strip at the bottom. Ages are filled in by the page's clock. */
export function health(wall) {
  const { tick } = wall;
  if (tick === null) return [];
  const refused = tick.sources.reduce((sum, source) => sum + source.refused, 0);
  const quiet = tick.connected && refused === 0 && wall.health.length === 0;
  return [
    el("h2", {}, "Pipeline"),
    tick.connected
      ? el("span", {}, "Kafka read to the end ", el("time", { "data-at": tick.read_ms }), " ago")
      : el(
          "span",
          { class: "critical" },
          "Kafka does not answer; read last ",
          el("time", { "data-at": tick.read_ms }),
          " ago",
        ),
    wall.health
      .slice(0, SHOWN)
      .map((note) =>
        el(
          "span",
          { class: note.severity === "critical" ? "critical" : "bad" },
          `${note.app}: ${note.message} (`,
          el("time", { "data-at": note.at_ms }),
          " ago)",
        ),
      ),
    refused ? el("span", { class: "bad" }, `${many(refused, "message")} could not be used`) : null,
    tick.sources.map((source) =>
      el(
        "span",
        {},
        `${source.topic.replace(/^.*kbw-/, "")} `,
        source.newest_ms
          ? [
              el("time", {
                "data-at": source.newest_ms,
                ...(source.topic.endsWith("evidence") ? { "data-old-s": OLD_S } : {}),
              }),
              ` (${count(source.records)})`,
            ]
          : "none yet",
      ),
    ),
    quiet ? el("span", {}, "no trouble reported") : null,
  ];
}
