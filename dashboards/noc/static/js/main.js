// Puts the parts together: events go into the wall, the wall is shown once a frame.

import { Alarm } from "./alarm.js";
import { caseCells } from "./api.js";
import { Cards, badge } from "./cards.js";
import { Part, el } from "./dom.js";
import { find } from "./find.js";
import { clockS, span } from "./format.js";
import { health } from "./health.js";
import { Matrix } from "./matrix.js";
import { Now, leading } from "./now.js";
import { Scope } from "./scope.js";
import { SiteTables, legend } from "./sites.js";
import { follow } from "./stream.js";
import { theme } from "./theme.js";
import { Wall } from "./wall.js";
import { RANK } from "./words.js";

/** Events after which there may be something to call out. */
const TELLING = new Set(["state", "case", "gone", "halt", "halt_gone"]);

const GATHER_MS = 250;

const at = (id) => document.getElementById(id);
const wall = new Wall();
let link = "connecting";
let linkSince = performance.now();
let waiting = false;
let gathering = 0;
let led = "";

const say = (text) => {
  at("said").textContent = text;
};
const alarm = new Alarm(at("alarm"), at("favicon"));
const matrix = new Matrix(at("matrix"), at("cells"), at("tip"), say);
const scope = new Scope(at("scope"), caseCells, later);
const now = new Now(at("now"), say, () => pin(""));
const cards = new Cards(at("cards"), pin);
const tables = new SiteTables(at("sites"));
const parts = {
  tally: new Part(at("tally")),
  legend: new Part(at("legend")),
  health: new Part(at("health")),
};

// The case that a person chose is in the address, so that a reload and a link keep it.
function pinned() {
  return decodeURIComponent(location.hash.replace(/^#case=/, ""));
}

function pin(id) {
  if (id) location.hash = `case=${encodeURIComponent(id)}`;
  else history.replaceState(null, "", location.pathname);
  later();
  if (id) at("now").scrollIntoView({ block: "nearest" });
}

function inView() {
  const chosen = wall.cases.get(pinned());
  if (chosen) return chosen;
  const card = leading(wall, led);
  led = card?.id ?? "";
  return card;
}

function later() {
  clearTimeout(gathering);
  gathering = 0;
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    draw();
  });
}

// Numbers that move are gathered for a moment: a roll-out moves hundreds of nodes a minute.
function soon() {
  if (!gathering && !waiting) gathering = setTimeout(later, GATHER_MS);
}

function draw() {
  const card = inView();
  const shown = scope.show(card, wall, matrix);
  now.show(card, wall, wall.cases.has(pinned()), shown.spread);
  cards.show(wall, card?.id ?? "");
  parts.tally.show(tallied(), () =>
    tallied().map(([state, number]) => el("span", { class: "count" }, badge(state), ` ${number}`)),
  );
  parts.legend.show(
    shown.sites.map(({ hurt, ...rest }) => rest),
    () => legend(shown.sites),
  );
  tables.show(shown.sites);
  parts.health.show([wall.tick, wall.health], () => health(wall));
  ages();
}

function tallied() {
  return RANK.map((state) => [
    state,
    [...wall.cases.values()].filter((card) => card.state === state).length,
  ]).filter(([, number]) => number);
}

// Ages grow by themselves; nothing else on the page depends on the clock.
function ages() {
  const nowMs = wall.nowMs(performance.now());
  at("clock").textContent = wall.tick ? clockS(nowMs) : "--:--:--Z";
  for (const element of document.querySelectorAll("[data-at]")) {
    const seconds = (nowMs - Number(element.dataset.at)) / 1000;
    const text = span(seconds);
    if (element.textContent !== text) element.textContent = text;
    const limit = element.dataset.oldS;
    if (limit) element.classList.toggle("old", seconds > Number(limit));
  }
  linkText();
}

function linkText() {
  const lost = link !== "live";
  const broker = wall.tick !== null && !wall.tick.connected;
  document.body.dataset.link = lost ? link : broker ? "late" : "live";
  at("link-text").textContent = lost
    ? link === "lost"
      ? "no connection"
      : "connecting"
    : broker
      ? "Kafka is away"
      : "live";
  const banner = at("stale");
  let text = "";
  if (link === "lost" && wall.tick) {
    text = `No connection to the server since ${clockS(wall.nowMs(linkSince))}: this is how things were then. Trying again.`;
  } else if (!lost && broker) {
    text = `The server can't reach Kafka: this is how things were at ${clockS(wall.tick.read_ms)}.`;
  }
  // It is read aloud: only when it says something new.
  if (banner.textContent !== text) banner.textContent = text;
  banner.hidden = text === "";
}

function onEvent(name, data) {
  const before = name === "case" ? wall.cases.get(data.id) : undefined;
  wall.apply(name, data, performance.now());
  if (name === "nodes") scope.apply(data);
  if (TELLING.has(name)) alarm.look(wall, "live", pin);
  const moved =
    name === "case" ? before?.state !== data.state || before?.halt !== data.halt : TELLING.has(name);
  if (moved) later();
  else soon();
}

function onLink(state) {
  if (state === link) return;
  link = state;
  linkSince = performance.now();
  alarm.look(wall, link, pin);
  linkText();
}

theme(at("theme"), () => {
  matrix.restyle();
  now.restyle();
});
find(at("find"), at("find-text"), at("found"), matrix);
addEventListener("hashchange", later);
setInterval(ages, 1_000);
draw();
follow("/events", onEvent, onLink);
