// The one place where elements are made. Strings only ever become text nodes, so what a node
// calls itself stays text.

const SVG = "http://www.w3.org/2000/svg";

/** An element with properties and children; strings and numbers become text, null is left out. */
export function el(tag, properties = {}, ...children) {
  return filled(document.createElement(tag), properties, children);
}

/** The same for SVG. */
export function svg(tag, properties = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), properties, children);
}

function filled(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") {
      for (const [event, handler] of Object.entries(value)) element.addEventListener(event, handler);
    } else if (name === "vars") {
      for (const [key, number] of Object.entries(value)) element.style.setProperty(key, number);
    } else {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

/** Words for the eyes of a screen reader only. */
export function unseen(text) {
  return el("span", { class: "unseen" }, text);
}

/**
 * A part of the page that is built anew only when what it shows has changed. Keyboard focus and
 * opened details survive: elements carry `data-key` for that.
 */
export class Part {
  #shown = null;

  constructor(host) {
    this.host = host;
  }

  show(input, build) {
    const shown = JSON.stringify(input);
    if (shown === this.#shown) return;
    this.#shown = shown;
    const active = document.activeElement;
    const focused = this.host.contains(active) ? active.dataset.key : undefined;
    const open = [...this.host.querySelectorAll("details[open]")].map((d) => d.dataset.key);
    // Asking for a place to which somebody scrolled costs a layout: only where it can be seen.
    const seen = [...this.host.querySelectorAll("details[open] [data-scroll]")];
    const scrolled = new Map(seen.map((found) => [found.dataset.key, found.scrollTop]));
    this.host.replaceChildren(
      ...[build()].flat(Infinity).filter((child) => child !== null && child !== undefined),
    );
    for (const found of this.host.querySelectorAll("[data-key]")) {
      const key = found.dataset.key;
      if (found.tagName === "DETAILS" && open.includes(key)) found.open = true;
      if (scrolled.has(key)) found.scrollTop = scrolled.get(key);
      if (key === focused) found.focus({ preventScroll: true });
    }
  }
}
