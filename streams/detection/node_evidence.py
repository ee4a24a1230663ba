"""From what one node has said to what detection needs: builds in effect, service, onsets."""

from bisect import bisect_right
from collections import Counter

from msgspec import Struct

from schemas.evidence import NodeEvidence, NodePatch, Onset
from schemas.windows.builds import NEVER_CASES, branch_of, build_of, kbs_between, parse_build
from schemas.windows.taxonomy import impact_for
from streams.detection.chains import DAY_MS, Chain, merge
from streams.detection.node_state import (
    KEEP_MS,
    MAX_INTERVALS,
    ONSET_GAP_MS,
    SKEW_MS,
    NodeState,
)

WEEK_MS = 7 * DAY_MS
ONSETS_MS = 65 * DAY_MS
_RESTART_MS = 30 * 60_000
"""A planned restart that takes longer is no longer an excuse for what is logged meanwhile."""
_PENDING = ("offered", "installing", "staged", "failed")


class NodeView(Struct, frozen=True):
    """One node's part of a contribution."""

    branch: str
    node: NodeEvidence
    onsets: tuple[Onset, ...]
    baseline: tuple[tuple[str, int], ...]
    """Signature and week of each onset of the last 26 weeks."""


def view(name: str, state: NodeState, newest_ms: int) -> NodeView | None:
    """What ``state`` says as of ``newest_ms`` (newest record of its domain, Unix ms).

    None while the branch is unknown or the node was only named by others.
    """
    clock = _Clock(state)
    horizon = newest_ms - KEEP_MS
    boots = _since(sorted((clock.true(t), build) for t, build in state.boots.items()), horizon)
    branch = branch_of(boots[-1][1]) if boots else (state.facts.branch if state.facts else "")
    if not branch or state.since_ms is None:
        return None
    role = state.facts.role if state.facts else "server"
    onsets = [o for o in _onsets(name, role, state, clock, boots) if o.last_ms >= horizon]
    any_runs = merge((Chain(o.first_ms, o.last_ms) for o in onsets), ONSET_GAP_MS)
    weeks = Counter(c.first_ms // WEEK_MS for c in any_runs if c.first_ms >= horizon)
    node = NodeEvidence(
        node=name,
        role=role,
        site=state.site,
        build=boots[-1][1] if boots else "",
        since_ms=clock.true(state.since_ms),
        service=_service(state, clock, newest_ms),
        grace_s=state.grace_s,
        ring=state.facts.ring if state.facts else "",
        covariates=dict(sorted(state.facts.covariates.items())) if state.facts else {},
        weeks=dict(sorted(weeks.items())),
        patches=_patches(state, clock, boots, branch),
    )
    return NodeView(
        branch,
        node,
        tuple(o for o in onsets if o.last_ms >= newest_ms - ONSETS_MS),
        tuple((o.signature, o.first_ms // WEEK_MS) for o in onsets if o.first_ms >= horizon),
    )


class _Clock:
    """The node's clock put right, per boot, where it is more than five minutes off."""

    def __init__(self, state: NodeState) -> None:
        self._boots = sorted(state.skew_ms)
        self._skews = [state.skew_ms[boot] for boot in self._boots]

    def true(self, t_ms: int) -> int:
        at = bisect_right(self._boots, t_ms) - 1
        skew = self._skews[at] if at >= 0 else 0
        return t_ms - skew if abs(skew) > SKEW_MS else t_ms


def _since(boots: list[tuple[int, str]], horizon: int) -> list[tuple[int, str]]:
    """The boots from ``horizon`` on, and the one that was running then."""
    running = bisect_right(boots, horizon, key=lambda boot: boot[0])
    return boots[max(running - 1, 0) :]


def _service(state: NodeState, clock: _Clock, newest_ms: int) -> tuple[tuple[int, int], ...]:
    # Logs that were read back prove service without heartbeats, up to the first heartbeat.
    since = clock.true(state.since_ms or 0)
    sighted = [
        Chain(clock.true(c.first_ms), clock.true(c.last_ms))
        for alive in state.alive.values()
        for c in alive
    ]
    recent = [c for c in sighted if c.last_ms >= newest_ms - KEEP_MS]
    if not recent:
        return ((since, clock.true(state.newest_ms)),)
    runs = [(c.first_ms, c.last_ms) for c in merge(recent, state.grace_s * 1000)]
    runs[0] = (min(since, runs[0][0]), runs[0][1])
    needed = [run for run in runs if run[1] >= newest_ms - ONSETS_MS] or runs[-1:]
    return tuple(needed[-MAX_INTERVALS:])


def _patches(
    state: NodeState, clock: _Clock, boots: list[tuple[int, str]], branch: str
) -> tuple[NodePatch, ...]:
    out = _effective(boots, branch)
    for kb, states in state.patches.items():
        if kb in out or kb in NEVER_CASES:
            continue
        build = build_of(kb, branch) or ""
        done = [states[s] for s in ("effective", "confirmed") if s in states]
        back = states.get("rolled_back")
        if not build and done:
            start = clock.true(min(done))
            end = clock.true(back) if back is not None and back > min(done) else None
            out[kb] = NodePatch(kb, "", "effective", start, end)
            continue
        if build and boots and parse_build(boots[-1][1]) >= parse_build(build):
            continue  # in effect since before the log begins
        pending = [(states[s], _PENDING.index(s), s) for s in _PENDING if s in states]
        if pending:
            t_ms, _, name = max(pending)
            out[kb] = NodePatch(kb, build, name, clock.true(t_ms))
    return tuple(out[kb] for kb in sorted(out))


def _effective(boots: list[tuple[int, str]], branch: str) -> dict[str, NodePatch]:
    """KBs by the boots that brought them: the first boot whose build reached the KB's build.

    What the earliest known boot already ran is no install: nobody knows since when.
    """
    out: dict[str, NodePatch] = {}
    current = ""
    for t_ms, build in boots:
        if branch_of(build) != branch:
            continue
        if current and parse_build(build) < parse_build(current):
            for kb, patch in out.items():
                if patch.end_ms is None and parse_build(patch.build) > parse_build(build):
                    out[kb] = NodePatch(kb, patch.build, "rolled_back", patch.t_ms, t_ms)
        for kb, kb_build in kbs_between(current, build) if current else ():
            out[kb] = NodePatch(kb, kb_build, "effective", t_ms)
        current = build
    return out


def _onsets(
    name: str, role: str, state: NodeState, clock: _Clock, boots: list[tuple[int, str]]
) -> list[Onset]:
    starts = [t for t, _ in boots]
    windows = _planned(state, clock, starts)
    out = []
    for signature, runs in state.runs.items():
        impact = impact_for(signature, runs.impact, role)
        for chain in runs.chains:
            last = clock.true(chain.last_ms)
            times = tuple(
                t for t in map(clock.true, chain.times) if not any(a <= t < b for a, b in windows)
            )
            if not times:
                if any(a <= last < b for a, b in windows) or last <= chain.times[-1]:
                    continue  # all of it happened while the node was being restarted on purpose
                times = (last,)
            first = times[0]
            if runs.before_boot:
                # Logged after the boot about the session before it, so it belongs to that session.
                at = bisect_right(starts, first) - 1
                first = starts[at] - 1 if at >= 0 else first
                times = (first, *times[1:])
            out.append(
                Onset(
                    node=name,
                    signature=signature,
                    cls=runs.cls,
                    impact=impact,
                    first_ms=first,
                    last_ms=max(last, first),
                    times=times,
                    record_id=chain.record_id,
                )
            )
    out.sort(key=lambda o: (o.first_ms, o.signature))
    return out


def _planned(state: NodeState, clock: _Clock, starts: list[int]) -> list[tuple[int, int]]:
    windows = []
    for restart in state.restarts:
        begin = clock.true(restart.first_ms)
        at = bisect_right(starts, begin)
        end = starts[at] if at < len(starts) else begin + _RESTART_MS
        windows.append((begin, min(end, begin + _RESTART_MS)))
    return windows
