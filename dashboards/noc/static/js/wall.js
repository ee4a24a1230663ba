// All that the server has said, in one place. Pure: no DOM, no network.

const HEALTH_KEPT = 20;

/** The state of the wall; `apply` takes the events that model.py describes. */
export class Wall {
  cases = new Map();
  halts = new Map();
  fleets = new Map();
  health = [];
  tick = null;
  run = "";
  /** Rises whenever nodes came, left or moved. */
  layoutVersion = 0;
  #tickAt = 0;
  #letters = new Map();

  /** Take one event; `heard` is the browser's steady clock (performance.now()). */
  apply(event, data, heard) {
    switch (event) {
      case "state":
        this.#replace(data, heard);
        break;
      case "case":
        this.cases.set(data.id, data);
        break;
      case "gone":
        this.cases.delete(data.id);
        break;
      case "halt":
        this.halts.set(data.id, data);
        break;
      case "halt_gone":
        this.halts.delete(data.id);
        break;
      case "layout":
        this.#layout(data);
        break;
      case "nodes":
        if (!data.case) this.#change(data);
        break;
      case "health":
        this.health = [data, ...this.health.filter((note) => !same(note, data))].slice(0, HEALTH_KEPT);
        break;
      case "tick":
        this.#clock(data, heard);
        break;
      default: // of a newer server: nothing this page shows
    }
  }

  /** The server's clock now, in Unix milliseconds. */
  nowMs(heard) {
    return this.tick ? this.tick.server_ms + (heard - this.#tickAt) : Date.now();
  }

  /** Node → letter over all cases, for one fleet. */
  letters(fleet) {
    return this.#letters.get(fleet) ?? new Map();
  }

  #replace(state, heard) {
    this.cases = new Map(state.cases.map((card) => [card.id, card]));
    this.halts = new Map(state.halts.map((halt) => [halt.id, halt]));
    this.health = state.health;
    this.run = state.run;
    this.fleets = new Map();
    this.#letters = new Map();
    for (const fleet of state.fleets) this.#layout(fleet);
    this.layoutVersion += 1;
    this.#clock(state.tick, heard);
  }

  #layout(fleet) {
    this.fleets.set(fleet.fleet, fleet);
    const letters = new Map();
    for (const site of fleet.sites) {
      for (const cluster of site.clusters) {
        cluster.nodes.forEach((node, index) => letters.set(node, cluster.states[index]));
      }
    }
    this.#letters.set(fleet.fleet, letters);
    this.layoutVersion += 1;
  }

  #change({ fleet, states }) {
    const letters = this.#letters.get(fleet);
    if (letters) for (const [node, letter] of Object.entries(states)) letters.set(node, letter);
  }

  #clock(tick, heard) {
    this.tick = tick;
    this.#tickAt = heard;
  }
}

function same(one, other) {
  return one.app === other.app && one.kind === other.kind && one.topic === other.topic;
}
