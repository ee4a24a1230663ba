"""Baseline: a fixed threshold, as alerting has it.

A KB is halted when one signature was logged five times within an hour on nodes that have the KB.
It compares with nothing and allows for no chance.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from streams.regbench.bench.decisions import Decision, Kind
from streams.regbench.bench.history import History

THRESHOLD = 5
WINDOW_MS = 3_600_000
_KINDS: tuple[Kind, ...] = ("warn", "halt")

Logged = tuple[int, str]
"""Time (Unix ms) and node of an event."""


def decisions(file: str, history: History) -> Iterator[Decision]:
    """Warning and halt of each case, both at the fifth event."""
    for kb, branch in history.cases():
        crossed = [
            (events[at][0], signature, len({node for _, node in events[: at + 1]}))
            for signature, events in sorted(_by_signature(history, kb, branch).items())
            if (at := _fifth(events)) is not None
        ]
        if crossed:
            t_ms, signature, victims = min(crossed)
            for kind in _KINDS:
                yield Decision(file, kind, t_ms, kb, branch, 0.0, signature, victims=victims)


def _by_signature(history: History, kb: str, branch: str) -> dict[str, list[Logged]]:
    out: dict[str, set[Logged]] = defaultdict(set)
    removals = history.removals.get(kb, {})
    for name, begin_ms in history.installs[kb].items():
        if history.nodes[name].branch != branch:
            continue
        end_ms = removals.get(name, history.end_ms + 1)
        for (signature, _, _), times in history.events(name).items():
            out[signature].update((t, name) for t in times if begin_ms <= t < end_ms)
    return {signature: sorted(events) for signature, events in out.items()}


def _fifth(events: Sequence[Logged]) -> int | None:
    for at in range(THRESHOLD - 1, len(events)):
        if events[at][0] - events[at - THRESHOLD + 1][0] < WINDOW_MS:
            return at
    return None
