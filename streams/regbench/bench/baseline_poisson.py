"""Baseline: a sequential probability ratio test on a Poisson count (Wald 1945), unstratified.

H₀: patched nodes fail at the branch's rate λ of the 30 days before the roll-out; H₁: at twice that.
With n failures on patched nodes and Λ = λ × their hours so far

    LLR = n ln 2 − Λ

and a halt at ln(1/α), α = 1/200. One failure is one signature on one node and day. Nothing allows
for reboots, correlated failures, or who is patched first.
"""

import math
from collections.abc import Iterator, Mapping

from streams.regbench.bench.decisions import Decision, Kind
from streams.regbench.bench.history import History
from streams.regbench.bench.history import Kind as LoggedKind

ALPHA = 1 / 200
RATIO = 2.0
_LEVELS: tuple[tuple[Kind, float], ...] = (("warn", math.log(100)), ("halt", math.log(1 / ALPHA)))
_DAY_MS = 86_400_000
_HOUR_MS = 3_600_000
_HISTORY_MS = 30 * _DAY_MS


def decisions(file: str, history: History) -> Iterator[Decision]:
    """Warning and halt of each case."""
    for kb, branch in history.cases():
        people = [name for name, node in history.nodes.items() if node.branch == branch]
        yield from _case(file, history, kb, branch, people)


def _case(
    file: str, history: History, kb: str, branch: str, people: list[str]
) -> Iterator[Decision]:
    installs, removals = history.installs[kb], history.removals.get(kb, {})
    failures = {name: list(_failures(history.events(name))) for name in people}
    patched = [name for name in people if name in installs]
    started_ms = min(installs[name] for name in patched)
    begin_ms = started_ms - _HISTORY_MS
    before = sum(begin_ms <= t < started_ms for name in people for t, _ in failures[name])
    # One more than seen, so that a branch that never failed has a rate.
    rate = (before + 1) / (len(people) * _HISTORY_MS / _HOUR_MS)

    # (when, nodes more, who failed, with what)
    moves = [(installs[name], 1, "", "") for name in patched]
    for name in patched:
        end_ms = removals.get(name)
        moves += [(end_ms, -1, "", "")] if end_ms is not None else []
        for t_ms, signature in failures[name]:
            if t_ms >= installs[name] and (end_ms is None or t_ms < end_ms):
                moves.append((t_ms, 0, name, signature))
    failed = exposed = 0
    hours, last_ms = 0.0, started_ms
    victims: set[str] = set()
    waiting = list(_LEVELS)
    for t_ms, step, node, signature in sorted(moves):
        hours += exposed * (t_ms - last_ms) / _HOUR_MS
        last_ms = t_ms
        exposed += step
        if node:
            failed += 1
            victims.add(node)
            ratio = round(failed * math.log(RATIO) - (RATIO - 1) * rate * hours, 6)
            while waiting and ratio >= waiting[0][1]:
                kind = waiting.pop(0)[0]
                count = len(victims)
                yield Decision(file, kind, t_ms, kb, branch, ratio, signature, victims=count)


def _failures(events: Mapping[LoggedKind, list[int]]) -> Iterator[tuple[int, str]]:
    for (signature, _, _), times in events.items():
        first: dict[int, int] = {}
        for t_ms in times:
            day = t_ms // _DAY_MS
            first[day] = min(t_ms, first.get(day, t_ms))
        yield from ((t_ms, signature) for t_ms in first.values())
