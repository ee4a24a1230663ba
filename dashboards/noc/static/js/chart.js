// Wealth over time: E with the HALT line, E_w with the WARN line in its own colour, E's two arms.

import uPlot from "../vendor/uplot/uPlot.esm.js";
import { wealth } from "./format.js";

const HEIGHT = 132;

/** One plot in `host`; `show` gives it a case, `restyle` follows the theme. */
export class Chart {
  #host;
  #plot = null;
  #shown = "";
  #card = null;

  constructor(host) {
    this.#host = host;
    new ResizeObserver(() => this.#plot?.setSize({ width: host.clientWidth, height: HEIGHT })).observe(host);
  }

  show(card) {
    this.#card = card;
    const shown = JSON.stringify([card.id, card.history, card.log_threshold]);
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.#host.hidden = card.history.length < 2;
    if (this.#host.hidden) return;
    this.#host.setAttribute("aria-label", said(card));
    if (this.#plot) this.#plot.setData(columns(card));
    else this.restyle();
  }

  restyle() {
    this.#plot?.destroy();
    this.#plot = null;
    if (!this.#card || this.#host.hidden || !this.#host.clientWidth) return;
    this.#plot = new uPlot(options(this.#host.clientWidth), columns(this.#card), this.#host);
  }
}

function columns(card) {
  const points = [...card.history].sort((a, b) => a.t_ms - b.t_ms);
  const level = (log) => points.map(() => log / Math.LN10);
  return [
    points.map((point) => point.t_ms / 1000),
    level(card.log_warn),
    level(card.log_threshold),
    points.map((point) => point.log_h / Math.LN10),
    points.map((point) => point.log_c / Math.LN10),
    points.map((point) => point.log_e_warn / Math.LN10),
    points.map((point) => point.log_e / Math.LN10),
  ];
}

function said(card) {
  const most = (key) => wealth(Math.max(...card.history.map((point) => point[key])));
  const halt = `E now ${wealth(card.log_e)}, at most ${most("log_e")}; HALT at ${wealth(card.log_threshold)}`;
  const warn = `E_w now ${wealth(card.log_e_warn)}, at most ${most("log_e_warn")}`;
  return `Evidence over time. ${halt}. ${warn}; WARN at ${wealth(card.log_warn)}.`;
}

function options(width) {
  const css = getComputedStyle(document.documentElement);
  const color = (name) => css.getPropertyValue(name).trim();
  const axis = {
    stroke: color("--muted"),
    grid: { stroke: color("--line"), width: 1 },
    ticks: { show: false },
    font: "12px system-ui",
  };
  const line = (name, dash, thick = 2) => ({
    stroke: color(name),
    width: thick,
    dash,
    points: { show: false },
  });
  return {
    width,
    height: HEIGHT,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
    legend: { show: false },
    cursor: { show: false },
    scales: { y: { range: (plot, low) => [Math.min(low, 0) - 0.1, top(plot.data) + 0.2] } },
    axes: [
      { ...axis, size: 30, values: "{HH}:{mm}", space: 70 },
      {
        ...axis,
        size: 52,
        splits: (_, axisIndex, low, high) => powers(low, high),
        values: (_, found) => found.map((power) => wealth(power * Math.LN10)),
      },
    ],
    series: [
      {},
      line("--warn", [6, 4]),
      line("--halt", [10, 4]),
      line("--arm-h", undefined, 1.5),
      line("--arm-c", undefined, 1.5),
      line("--warn", undefined, 2),
      line("--arm-e", undefined, 2.5),
    ],
  };
}

// The highest point but for E_w, which leaves the plot where it is far beyond all that decides.
function top([, warn, halt, h, c, , e]) {
  return [warn, halt, h, c, e].flat().reduce((most, power) => Math.max(most, power), 2.4);
}

// Powers of ten, at most six of them.
function powers(low, high) {
  const step = Math.max(1, Math.ceil((high - low) / 6));
  const found = [];
  for (let power = Math.ceil(low / step) * step; power <= high; power += step) found.push(power);
  return found;
}
