// The matrix of nodes: a canvas that can be pointed at and walked with the keyboard.

import { el } from "./dom.js";
import { arrange, cellAt, flatten, groupOf } from "./matrix_layout.js";
import { paint, palette } from "./matrix_paint.js";
import { CELLS } from "./words.js";

const LABEL_PX = 104;
const LABEL_PX_NARROW = 76;
const NARROW_PX = 500;
const FREE_HEIGHT_PX = 420;

/** Draws letters (one per node) where the layout puts them. */
export class Matrix {
  flat = flatten([]);
  letters = [];
  #host;
  #canvas;
  #tip;
  #say;
  #placed = null;
  #colors = palette();
  #cursor = -1;
  #victims = [];

  constructor(host, canvas, tip, say) {
    this.#host = host;
    this.#canvas = canvas;
    this.#tip = tip;
    this.#say = say;
    new ResizeObserver(() => this.#arrange()).observe(host);
    host.addEventListener("pointermove", (event) => this.#point(event));
    host.addEventListener("pointerleave", () => this.#mark(-1));
    host.addEventListener("keydown", (event) => this.#key(event));
    host.addEventListener("blur", () => this.#mark(-1));
  }

  /** Other nodes are to be shown, or the same at other places; who is walking stays at its node. */
  layout(flat) {
    const name = this.flat.names[this.#cursor];
    this.flat = flat;
    this.letters = new Array(this.flat.names.length).fill(".");
    this.#placed = null;
    this.#cursor = name === undefined ? -1 : flat.names.indexOf(name);
  }

  /** Show these letters, one a node. Repaints only what changed. */
  show(letters, victims) {
    const before = this.#placed ? this.letters : null;
    const changed = [];
    if (before)
      for (let cell = 0; cell < letters.length; cell += 1)
        if (letters[cell] !== before[cell]) changed.push(cell);
    this.letters = letters;
    const counted = JSON.stringify(victims) !== JSON.stringify(this.#victims);
    this.#victims = victims;
    if (!before) {
      this.#arrange();
      this.#mark(this.#cursor);
    } else if (changed.length > letters.length / 4) this.#paintAll();
    else {
      const context = this.#canvas.getContext("2d");
      for (const cell of changed) this.#paintCell(context, cell);
      if (counted) this.#paintLabels(context);
    }
  }

  /** Point at a node, for the search. */
  point(cell) {
    this.#mark(cell, true);
  }

  /** The theme has changed. */
  restyle() {
    this.#colors = palette();
    if (this.#placed) this.#paintAll();
  }

  /** What a cell stands for, in words. */
  words(cell) {
    const group = groupOf(this.flat, cell);
    const state = CELLS.find((one) => one.letter === this.letters[cell])?.word ?? "not of this branch";
    return {
      node: this.flat.names[cell],
      cluster: group.cluster,
      site: this.flat.sites[group.site].site,
      state,
    };
  }

  #arrange() {
    const width = this.#host.clientWidth;
    if (!width) return;
    const fixed = getComputedStyle(this.#host).overflowY === "auto";
    const height = fixed ? this.#host.clientHeight : FREE_HEIGHT_PX;
    this.#placed = arrange(this.flat, width, height, this.#label(width));
    const ratio = devicePixelRatio || 1;
    this.#canvas.width = Math.round(width * ratio);
    this.#canvas.height = Math.max(1, Math.round(this.#placed.height * ratio));
    this.#canvas.style.setProperty("--w", `${width}px`);
    this.#canvas.style.setProperty("--h", `${this.#placed.height}px`);
    this.#canvas.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0);
    this.#paintAll();
  }

  #label(width) {
    return width < NARROW_PX ? LABEL_PX_NARROW : LABEL_PX;
  }

  #paintAll() {
    const context = this.#canvas.getContext("2d");
    context.clearRect(0, 0, this.#host.clientWidth, this.#placed.height);
    for (let cell = 0; cell < this.letters.length; cell += 1) this.#paintCell(context, cell);
    this.#paintLabels(context);
  }

  #paintCell(context, cell) {
    const { xs, ys, size } = this.#placed;
    if (size >= 7) context.clearRect(xs[cell], ys[cell], size, size);
    paint(context, this.#colors, this.letters[cell], xs[cell], ys[cell], size);
  }

  #paintLabels(context) {
    const width = this.#label(this.#host.clientWidth);
    context.textBaseline = "top";
    this.flat.sites.forEach((site, index) => {
      const { x, y } = this.#placed.labels[index];
      context.clearRect(x, y, width - 2, 15);
      const hurt = this.#victims[index];
      const room = width - (hurt ? 34 : 8);
      context.font = `${hurt ? "bold " : ""}13px system-ui`;
      context.fillStyle = this.#colors.text;
      context.fillText(fitted(context, site.site, room), x, y);
      if (!hurt) return;
      context.fillStyle = this.#colors.hurt;
      context.textAlign = "right";
      context.fillText(String(hurt), x + width - 8, y);
      context.textAlign = "left";
    });
  }

  #point(event) {
    if (!this.#placed) return;
    const box = this.#canvas.getBoundingClientRect();
    this.#mark(cellAt(this.flat, this.#placed, event.clientX - box.left, event.clientY - box.top));
  }

  #mark(cell, aloud = false) {
    this.#cursor = cell;
    this.#tip.hidden = cell < 0 || !this.#placed;
    if (this.#tip.hidden) return;
    const { node, cluster, site, state } = this.words(cell);
    const { xs, ys, size } = this.#placed;
    const left = xs[cell] > this.#host.clientWidth / 2;
    this.#tip.replaceChildren(
      el("span", { class: "aim" }),
      el("p", {}, el("b", { class: "name" }, node), ` ${state}`),
      el("p", {}, `${cluster ? `cluster ${cluster}, ` : ""}site ${site}`),
    );
    this.#tip.className = left ? "tip to-left" : "tip";
    this.#tip.style.setProperty("--x", `${xs[cell]}px`);
    this.#tip.style.setProperty("--y", `${ys[cell]}px`);
    this.#tip.style.setProperty("--s", `${size}px`);
    if (!aloud) return;
    this.#tip.scrollIntoView({ block: "nearest" });
    this.#say(`${node}, ${state}, ${cluster ? `cluster ${cluster}, ` : ""}site ${site}`);
  }

  #key(event) {
    const last = this.flat.names.length - 1;
    if (last < 0 || event.ctrlKey || event.altKey || event.metaKey) return;
    const at = this.#cursor;
    const group = at < 0 ? null : groupOf(this.flat, at);
    const groups = this.flat.groups;
    const steps = {
      ArrowRight: () => Math.min(at + 1, last),
      ArrowLeft: () => Math.max(at - 1, 0),
      ArrowDown: () => (group ? (groups[groups.indexOf(group) + 1]?.from ?? at) : 0),
      ArrowUp: () => (group ? (groups[groups.indexOf(group) - 1]?.from ?? at) : 0),
      Home: () => 0,
      End: () => last,
      v: () => this.#nextVictim(at),
    };
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    this.#mark(step(), true);
  }

  #nextVictim(at) {
    const next = this.letters.indexOf("v", at + 1);
    return next >= 0 ? next : Math.max(this.letters.indexOf("v"), at);
  }
}

function fitted(context, text, room) {
  if (context.measureText(text).width <= room) return text;
  let kept = [...text];
  while (kept.length > 1 && context.measureText(`${kept.join("")}…`).width > room) kept = kept.slice(0, -1);
  return `${kept.join("")}…`;
}
