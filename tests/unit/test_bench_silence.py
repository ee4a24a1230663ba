"""Silence on the benchmark's streams: what dies is found, what only pauses is not."""

from random import Random

from streams.regbench.bench.decisions import Decision
from streams.regbench.bench.history import gather
from streams.regbench.bench.judging import Kbwatch
from streams.regbench.bench.stream import Heartbeat, Install, Line
from tests.fixtures.bench_streams import DAY, HOUR, T0, head, rollout

NODES = 240
EVERY = 2 * HOUR
LAST = T0 + 8 * DAY


def stream(dead: set[str], paused: set[str]) -> list[Line]:
    """A harmless roll-out with heartbeats: those of ``dead`` end with the install, those of
    ``paused`` are missing for ten hours on the third day.
    """
    lines = list(rollout(NODES))
    installs = {line.node: line.t_ms for line in lines if isinstance(line, Install)}
    out: list[Line] = lines[:-1]
    for i in range(NODES):
        name = f"n{i:05}"
        end_ms = installs[name] if name in dead else LAST
        for t_ms in range(T0 - DAY + i * 7_000, end_ms, EVERY):
            if name not in paused or not T0 + 2 * DAY <= t_ms < T0 + 2 * DAY + 10 * HOUR:
                out.append(Heartbeat(t_ms, name))
    return [*out, lines[-1]]


def decisions(lines: list[Line]) -> list[Decision]:
    return list(Kbwatch()("stream", gather(lines)))


def every(step: int, offset: int) -> set[str]:
    return {f"n{i:05}" for i in range(offset, NODES, step)}


def test_patched_nodes_that_never_come_back_halt_the_kb() -> None:
    found = [d for d in decisions(stream(every(8, 0), set())) if d.type == "halt"]
    assert [d.signature for d in found] == ["silence"]
    assert found[0].victims < 15, "long before all thirty are dead"


def test_controls_that_pause_halt_nothing() -> None:
    """A third of those that are never patched, at once, and they come back."""
    assert decisions(stream(set(), every(3, 2))) == []


def test_duplicates_and_lateness_change_no_decision() -> None:
    lines = stream(every(8, 0), every(3, 2))
    first, rest = lines[: NODES + 1], lines[NODES + 1 : -1]
    disturbed = [*rest, *Random(1).sample(rest, len(rest) // 20)]
    Random(2).shuffle(disturbed)
    found = decisions(lines)
    assert found != []
    assert decisions([*first, *disturbed, lines[-1]]) == found
    assert first == head(NODES)
