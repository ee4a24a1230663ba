"""One roll-out: a fleet, its noise, its patches, what they do; as a stream and as the truth."""

from collections.abc import Callable, Iterator
from functools import partial
from operator import attrgetter
from random import Random

import msgspec
from msgspec import Struct

from streams.regbench.bench import disturb, effects, shocks
from streams.regbench.bench.chance import DAY_MS, HOUR_MS, chance
from streams.regbench.bench.disturb import Happened
from streams.regbench.bench.effects import Effect
from streams.regbench.bench.families import Order
from streams.regbench.bench.fleet import Member, Shape, build_fleet
from streams.regbench.bench.incidents import INCIDENTS
from streams.regbench.bench.noise import boot_incidents, incidents
from streams.regbench.bench.plan import Schedule, schedule
from streams.regbench.bench.release import release, truths
from streams.regbench.bench.script import Script
from streams.regbench.bench.stream import End, Event, Fleet, Install, Line, Node
from streams.regbench.bench.truth import KbTruth

ROLLOUT_MS = 1_752_019_200_000
"""2025-07-09 00:00 UTC, when every roll-out starts."""
START_MS = ROLLOUT_MS - 90 * DAY_MS
END_MS = ROLLOUT_MS + 10 * DAY_MS
_WATCHED_MS = ROLLOUT_MS - 2 * HOUR_MS
"""From when on there are heartbeats, in the families that have them."""

Draw = Callable[[str], Random]
"""Purpose → its random stream."""


class Rollout(Struct, frozen=True):
    """A roll-out, ready to be written."""

    lines: Iterator[Line]
    truths: list[KbTruth]


def rollout(order: Order, seed: int, index: int) -> Rollout:
    """Make one roll-out of an order; the same arguments give the same roll-out."""
    recipe = order.recipe
    draw = partial(chance, seed, index)
    script = INCIDENTS[recipe.incident]() if recipe.incident else None
    shape = Shape(recipe.one_site, recipe.clustered_share)
    marks = script.marks if script else {}
    fleet = build_fleet(draw("fleet"), recipe.nodes, START_MS, shape, marks)
    done = schedule(draw("plan"), fleet, recipe.plan, recipe.rings, ROLLOUT_MS)
    effect = _effect(draw, order, script)
    released = release(draw("numbers"), index, script, effect, order.overlap)
    installs = [
        Install(done.installs[m.node.node], m.node.node, released.kb_of[m.node.branch])
        for m in fleet
    ]
    lines: list[Happened] = [*_noise(draw, order, fleet, done), *installs]
    caused: dict[str, int] = {}
    if effect is not None:
        acted = [install for install in installs if install.kb in released.active]
        harm = effects.apply(draw("effect"), effect, fleet, acted, END_MS)
        lines += harm.lines
        caused = harm.caused
    if order.overlap is not None:
        lines += _second_kb(draw, order, order.overlap, released.other_kb, fleet, done)
    lines.sort(key=attrgetter("t_ms"))
    dead_from = caused if effect is not None and effect.silences else {}
    if recipe.disturbed:
        off_ms = disturb.clock_errors(draw("clocks"), fleet)
        caused = {node: min(t_ms + off_ms[node], END_MS) for node, t_ms in caused.items()}
        dead_from = {node: caused[node] for node in dead_from}
        body = _disturbed(draw, order, fleet, done, lines, dead_from, off_ms)
    elif dead_from:
        beats = disturb.heartbeats(
            draw("heartbeats"), fleet, disturb.DENSE_HEARTBEAT_MS, _WATCHED_MS, END_MS
        )
        body = disturb.until_dead(disturb.merged(lines, beats), dead_from)
    else:
        body = iter(lines)
    head = [msgspec.structs.replace(m.node, ring=done.rings[m.node.node]) for m in fleet]
    told = truths(released, effect, caused, fleet, order.overlap)
    return Rollout(_stream(index, head, body), told)


def _stream(index: int, head: list[Node], body: Iterator[Happened]) -> Iterator[Line]:
    yield Fleet(1, f"f{index:04d}", START_MS, END_MS)
    yield from head
    yield from body
    yield End(END_MS)


def _effect(draw: Draw, order: Order, script: Script | None) -> Effect | None:
    if script is not None:
        return script.effect()
    options = order.effect
    if options is None:
        return effects.benign() if order.recipe.benign else None
    random = draw("harm")
    if order.recipe.depth is None:
        rule = effects.SHARES[options.share]
    else:
        rule = random.choice(effects.RULES_BY_DEPTH[order.recipe.depth])
    return effects.looping(
        random, rule, options.kind, options.fails, options.onset_h, options.onset_sd
    )


def _noise(draw: Draw, order: Order, fleet: list[Member], done: Schedule) -> list[Happened]:
    recipe = order.recipe
    lines: list[Happened] = [*incidents(draw("incidents"), fleet, START_MS, END_MS, recipe.loops)]
    if recipe.loops:
        lines += boot_incidents(draw("boots"), done.installs, recipe.boot_sd)
    if recipe.shocks:
        lines += shocks.shocks(draw("shocks"), fleet, START_MS, END_MS)
    if recipe.flaps:
        lines += shocks.flaps(draw("flaps"), fleet, done)
    if recipe.outage:
        lines += shocks.coinciding(draw("outage"), fleet, done, recipe.outage)
    return [line for line in lines if line.t_ms <= END_MS]


def _second_kb(
    draw: Draw, order: Order, overlap: float, kb: str, fleet: list[Member], done: Schedule
) -> Iterator[Install | Event]:
    """The second KB: with the first one on a share of the nodes, else by a plan of its own."""
    random = draw("overlap")
    alone = schedule(random, fleet, order.recipe.plan, "random", ROLLOUT_MS).installs
    apart = {node: alone[node] for node in done.installs if random.random() >= overlap}
    for node, t_ms in (done.installs | apart).items():
        yield Install(t_ms, node, kb)
    if order.recipe.loops:
        yield from boot_incidents(random, apart, order.recipe.boot_sd)


def _disturbed(
    draw: Draw,
    order: Order,
    fleet: list[Member],
    done: Schedule,
    lines: list[Happened],
    dead_from: dict[str, int],
    off_ms: dict[str, int],
) -> Iterator[Happened]:
    """The lines as they arrive; the clean twin has all but duplicates and lateness."""
    told = disturb.skewed(lines, off_ms, START_MS, END_MS)
    told.sort(key=attrgetter("t_ms"))
    every_ms = disturb.DENSE_HEARTBEAT_MS if dead_from else disturb.HEARTBEAT_MS
    beats = disturb.heartbeats(draw("heartbeats"), fleet, every_ms, _WATCHED_MS, END_MS)
    t_ms, silent = disturb.silent_controls(draw("silence"), done)
    silent_from = {node: t_ms + off_ms[node] for node in silent}
    seen = disturb.without_silent(disturb.merged(told, beats), silent_from)
    alive = disturb.until_dead(seen, dead_from)
    if order.clean:
        return alive
    return disturb.duplicated_and_late(draw("arrival"), alive)
