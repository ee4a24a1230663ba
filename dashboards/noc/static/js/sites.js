// The matrix in numbers: sites, and the clusters with victims. For reading, and for those who
// can't see the canvas.

import { Part, el } from "./dom.js";
import { count, many } from "./format.js";
import { CELLS } from "./words.js";

const CLUSTERS_SHOWN = 100;

/** What the colours mean, with how many nodes have each. */
export function legend(sites) {
  const totals = CELLS.map((cell) => [cell, sites.reduce((sum, site) => sum + site[cell.letter], 0)]);
  return totals.map(([cell, total]) =>
    el(
      "li",
      {},
      el("span", { class: `key key-${cell.name}`, "aria-hidden": "true" }),
      el("b", {}, count(total)),
      ` ${total === 1 ? cell.word : cell.several}`,
    ),
  );
}

/** The two folded tables. They are long, so they are made only while they are open. */
export class SiteTables {
  #host;
  #parts;
  #sites = [];

  constructor(host) {
    this.#host = host;
    this.#parts = [this.#fold("sites", sitesTable), this.#fold("clusters", clustersTable)];
  }

  show(sites) {
    this.#sites = sites;
    for (const part of this.#parts) this.#fill(part);
  }

  #fold(name, make) {
    const summary = el("summary", {});
    const inside = el("div", {});
    const details = el("details", { class: "fold", "data-key": `fold:${name}` }, summary, inside);
    const part = { details, summary, make, content: new Part(inside) };
    details.addEventListener("toggle", () => this.#fill(part));
    this.#host.append(details);
    return part;
  }

  #fill({ details, summary, make, content }) {
    const { title, rows, table } = make(this.#sites);
    if (summary.textContent !== title) summary.textContent = title;
    if (details.open) content.show(rows, () => table(rows));
  }
}

function sitesTable(sites) {
  const several = new Set(sites.map((site) => site.fleet)).size > 1;
  return {
    title: `Table of ${many(sites.length, "site")}`,
    rows: sites.map((site) => [
      several ? `${site.fleet} / ${site.site}` : site.site,
      count(site.nodes),
      ...CELLS.map((cell) => count(site[cell.letter])),
    ]),
    table: (rows) =>
      scrolled(
        "Sites",
        table("Nodes by site", ["Site", "Nodes", ...CELLS.map((cell) => cell.several)], rows),
      ),
  };
}

function clustersTable(sites) {
  const hurt = sites.flatMap((site) => site.hurt.map((cluster) => ({ ...cluster, site: site.site })));
  return {
    title: `Where the victims are: ${many(hurt.length, "place")}`,
    rows: hurt
      .slice(0, CLUSTERS_SHOWN)
      .map((one) => [
        one.cluster || "nodes without a cluster",
        one.site,
        count(one.victims),
        one.cluster ? count(one.nodes) : "",
      ]),
    table: (rows) =>
      scrolled(
        "Clusters with victims",
        table("Clusters with victims", ["Cluster", "Site", "Victims", "Nodes"], rows),
      ),
  };
}

function scrolled(name, inside) {
  return el(
    "div",
    {
      class: "scroll-x",
      tabindex: "0",
      role: "group",
      "aria-label": name,
      "data-key": `scroll:${name}`,
      "data-scroll": true,
    },
    inside,
  );
}

function table(caption, heads, rows) {
  return el(
    "table",
    { class: "table" },
    el("caption", { class: "unseen" }, caption),
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        heads.map((head, index) => el("th", { scope: "col", class: index ? "number" : null }, head)),
      ),
    ),
    el(
      "tbody",
      {},
      rows.map((row) =>
        el(
          "tr",
          {},
          row.map((value, index) =>
            index ? el("td", { class: "number" }, value) : el("th", { scope: "row", class: "name" }, value),
          ),
        ),
      ),
    ),
  );
}
