// Find a node or a cluster by a part of its name.

import { el } from "./dom.js";
import { many } from "./format.js";

const SHOWN = 12;

/** Wires the search field to the matrix. */
export function find(form, field, results, matrix) {
  const look = () => {
    const text = field.value.trim().toLowerCase();
    results.hidden = text === "";
    if (!text) {
      results.replaceChildren();
      return [];
    }
    const cells = search(matrix.flat, text);
    results.replaceChildren(
      el(
        "p",
        {},
        cells.length ? many(cells.length, "node") : "no such node",
        cells.length > SHOWN ? `, the first ${SHOWN} of them:` : "",
      ),
      el(
        "ul",
        {},
        cells.slice(0, SHOWN).map((cell) => item(matrix, cell)),
      ),
    );
    return cells;
  };
  field.addEventListener("input", look);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const [first] = look();
    if (first !== undefined) matrix.point(first);
  });
  addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.ctrlKey && !event.target.closest("input")) {
      event.preventDefault();
      field.focus();
    } else if (event.key === "Escape" && event.target === field) {
      field.value = "";
      look();
    }
  });
}

function search(flat, text) {
  const found = [];
  for (const group of flat.groups) {
    const whole = group.cluster.toLowerCase().includes(text);
    for (let cell = group.from; cell < group.to; cell += 1) {
      if (whole || flat.names[cell].toLowerCase().includes(text)) found.push(cell);
    }
  }
  return found;
}

function item(matrix, cell) {
  const { node, cluster, site, state } = matrix.words(cell);
  return el(
    "li",
    {},
    el(
      "button",
      { type: "button", class: "quiet-button", on: { click: () => matrix.point(cell) } },
      el("span", { class: "name" }, node),
    ),
    ` ${state} · ${cluster ? `cluster ${cluster} · ` : ""}${site}`,
  );
}
