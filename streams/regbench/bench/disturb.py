"""Telemetry as it is: heartbeats, duplicates, late lines, wrong clocks, nodes that fall silent."""

import heapq
from collections.abc import Iterable, Iterator
from random import Random

import msgspec

from streams.regbench.bench.chance import HOUR_MS, MINUTE_MS
from streams.regbench.bench.fleet import Member
from streams.regbench.bench.plan import Schedule
from streams.regbench.bench.stream import Event, Heartbeat, Install, Uninstall

HEARTBEAT_MS = 30 * MINUTE_MS
DENSE_HEARTBEAT_MS = 15 * MINUTE_MS
"""Where silence is the only sign of harm."""
DUPLICATE_SHARE = 0.05
LATE_SHARE = 0.10
LATE_MS = HOUR_MS
SKEW_MS = 5 * MINUTE_MS
SILENT_SHARE = 1 / 3
SILENT_MS = 2 * HOUR_MS

Happened = Install | Uninstall | Event | Heartbeat


def heartbeats(
    random: Random, fleet: list[Member], every_ms: int, start_ms: int, end_ms: int
) -> Iterator[Heartbeat]:
    """Each node's heartbeats in a span, in order of time."""
    phases = sorted((random.randrange(every_ms), member.node.node) for member in fleet)
    for tick_ms in range(start_ms, end_ms - every_ms + 1, every_ms):
        for phase_ms, node in phases:
            yield Heartbeat(tick_ms + phase_ms, node)


def silent_controls(random: Random, rollout: Schedule) -> tuple[int, set[str]]:
    """When some nodes fall silent for two hours, and which.

    A third of those that aren't patched before its end; it comes before half the fleet is.
    """
    times = sorted(rollout.installs.values())
    t_ms = int(random.uniform(times[0], times[len(times) // 2]))
    controls = [n for n, installed in rollout.installs.items() if installed > t_ms + SILENT_MS]
    return t_ms, {node for node in controls if random.random() < SILENT_SHARE}


def clock_errors(random: Random, fleet: list[Member]) -> dict[str, int]:
    """How far each node's clock is off, in milliseconds: up to five minutes."""
    return {member.node.node: random.randint(-SKEW_MS, SKEW_MS) for member in fleet}


def skewed(
    lines: Iterable[Happened], off_ms: dict[str, int], start_ms: int, end_ms: int
) -> list[Happened]:
    """The lines by each node's own clock; none leaves the period."""
    return [
        msgspec.structs.replace(x, t_ms=min(max(x.t_ms + off_ms[x.node], start_ms), end_ms))
        for x in lines
    ]


def without_silent(lines: Iterable[Happened], silent_from: dict[str, int]) -> Iterator[Happened]:
    """The lines less what was seen of nodes in their silence; a patch is known all the same."""
    for line in lines:
        from_ms = silent_from.get(line.node)
        if (
            from_ms is None
            or not from_ms <= line.t_ms < from_ms + SILENT_MS
            or isinstance(line, Install | Uninstall)
        ):
            yield line


def until_dead(lines: Iterable[Happened], dead_from: dict[str, int]) -> Iterator[Happened]:
    """The lines but those of nodes that have fallen silent for good by then."""
    for line in lines:
        from_ms = dead_from.get(line.node)
        if from_ms is None or line.t_ms < from_ms:
            yield line


def merged(lines: list[Happened], beats: Iterable[Happened]) -> Iterator[Happened]:
    """Two series in order of time as one."""
    at = 0
    for beat in beats:
        while at < len(lines) and lines[at].t_ms <= beat.t_ms:
            yield lines[at]
            at += 1
        yield beat
    yield from lines[at:]


def duplicated_and_late(random: Random, lines: Iterable[Happened]) -> Iterator[Happened]:
    """Lines in order of time as they arrive: some twice, some up to an hour late."""
    waiting: list[tuple[int, int, Happened]] = []
    for number, line in enumerate(lines):
        while waiting and waiting[0][0] <= line.t_ms:
            yield heapq.heappop(waiting)[2]
        copies = 2 if random.random() < DUPLICATE_SHARE else 1
        for copy in range(copies):
            if random.random() < LATE_SHARE:
                arrival_ms = line.t_ms + random.randrange(1, LATE_MS)
                heapq.heappush(waiting, (arrival_ms, 2 * number + copy, line))
            else:
                yield line
    while waiting:
        yield heapq.heappop(waiting)[2]
