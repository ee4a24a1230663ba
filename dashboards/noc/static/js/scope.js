// Whose states the matrix shows: those of the case in view, or the worst over all cases.

import { el } from "./dom.js";
import { flatten, tally } from "./matrix_layout.js";

const RETRY_MS = 2_000;

/** A value that is made again only when its key changes. */
class Kept {
  #key = null;
  #value = null;

  of(key, make) {
    if (key !== this.#key) {
      this.#value = make();
      this.#key = key;
    }
    return this.#value;
  }
}

/** Keeps the matrix of the case in view, fetched once and then kept by `nodes` events. */
export class Scope {
  #host;
  #fetch;
  #later;
  #whole = false;
  #case = "";
  #fetched = null;
  #version = "";
  #early = [];
  #asking = false;
  #changes = 0;
  #joined = 0;
  #own = new Kept();
  #all = new Kept();
  #shown = "";
  #result = { sites: [], spread: [] };
  #buttons;

  constructor(host, fetchCells, later) {
    this.#host = host;
    this.#fetch = fetchCells;
    this.#later = later;
    const button = (text, whole) =>
      el("button", { type: "button", class: "quiet-button", on: { click: () => this.#choose(whole) } }, text);
    this.#buttons = [button("This case", false), button("All cases", true)];
    host.append(...this.#buttons);
  }

  /** A `nodes` event. Those of the case that come before its matrix wait for it. */
  apply({ seq, case: id, states }) {
    if (id !== this.#case && id !== "") return;
    this.#changes += 1;
    if (!id) return;
    if (this.#asking) this.#early.push({ seq, states });
    else if (this.#fetched !== null && seq > this.#fetched.seq) this.#merge(states);
  }

  /** Bring the matrix up to date. Returns the numbers by site, and where the case's victims are. */
  show(card, wall, matrix) {
    const version = card ? `${card.id} ${wall.run} ${wall.layoutVersion}` : "";
    if (version !== this.#version) this.#ask(card, version);
    this.#host.hidden = card === null;
    this.#buttons[0].setAttribute("aria-pressed", String(!this.#whole));
    this.#buttons[1].setAttribute("aria-pressed", String(this.#whole));
    const shown = `${version} ${wall.layoutVersion} ${this.#changes} ${this.#whole}`;
    if (shown !== this.#shown) {
      this.#shown = shown;
      this.#result = this.#drawn(card, wall, matrix);
    }
    return this.#result;
  }

  #drawn(card, wall, matrix) {
    const states = card !== null ? this.#fetched?.states : undefined;
    const whole = this.#whole || !states;
    const fleets = [...wall.fleets.values()];
    const members = (fleet, node) => fleet === card.fleet && Boolean(states.get(node));
    const own = states
      ? this.#own.of(`${this.#joined} ${wall.layoutVersion}`, () => flatten(fleets, members))
      : null;
    const ownSites = own
      ? tally(
          own,
          own.names.map((node) => states.get(node)),
        )
      : [];
    const flat = whole ? this.#all.of(String(wall.layoutVersion), () => flatten(fleets)) : own;
    if (matrix.flat !== flat) matrix.layout(flat);
    const letters = whole ? lettersOf(flat, wall) : own.names.map((node) => states.get(node));
    const sites = whole ? tally(flat, letters) : ownSites;
    matrix.show(
      letters,
      sites.map((site) => site.v),
    );
    return { sites, spread: hurt(ownSites) };
  }

  #merge(states) {
    const known = this.#fetched.states;
    for (const [node, letter] of Object.entries(states)) {
      if (!known.get(node) !== !letter) this.#joined += 1;
      known.set(node, letter);
    }
  }

  #choose(whole) {
    this.#whole = whole;
    this.#later();
  }

  #ask(card, version) {
    this.#version = version;
    if (card?.id !== this.#case) this.#fetched = null;
    this.#case = card?.id ?? "";
    this.#early = [];
    this.#asking = card !== null;
    if (!card) return;
    this.#fetch(card).then(
      (cells) => {
        if (this.#version !== version) return;
        this.#fetched = { seq: cells.seq, states: new Map(Object.entries(cells.states)) };
        this.#joined += 1;
        for (const { seq, states } of this.#early) if (seq > cells.seq) this.#merge(states);
        this.#changes += 1;
        this.#early = [];
        this.#asking = false;
        this.#later();
      },
      () => {
        // The stream says whether the server is there; ask again when it may be.
        setTimeout(() => {
          if (this.#version === version) this.#version = "";
          this.#later();
        }, RETRY_MS);
      },
    );
  }
}

function lettersOf(flat, wall) {
  const letters = new Array(flat.names.length);
  for (const site of flat.sites) {
    const of = wall.letters(site.fleet);
    for (let cell = site.from; cell < site.to; cell += 1) letters[cell] = of.get(flat.names[cell]) || ".";
  }
  return letters;
}

function hurt(sites) {
  return sites
    .filter((site) => site.v)
    .map((site) => ({
      site: site.site,
      victims: site.v,
      clusters: site.hurt.reduce((sum, one) => sum + (one.cluster ? 1 : one.victims), 0),
    }))
    .sort((a, b) => b.victims - a.victims);
}
