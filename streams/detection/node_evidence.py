"""From what one node has said to what detection needs: builds in effect, service, onsets."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable

from msgspec import Struct

from schemas.evidence import NodeChange, NodeEvidence, NodePatch, Onset, Restart
from schemas.windows.builds import NEVER_CASES, branch_of, build_of, parse_build
from schemas.windows.taxonomy import impact_for
from streams.detection.chains import DAY_MS, HOUR_MS, SECOND_MS, Chain, merge, to_s
from streams.detection.exposure import Sight, exposures
from streams.detection.node_state import (
    KEEP_MS,
    MAX_INTERVALS,
    ONSET_GAP_MS,
    SIGHTED,
    SKEW_MS,
    NodeState,
)

WEEK_MS = 7 * DAY_MS
ONSETS_MS = 65 * DAY_MS
_RESTART_MS = 30 * 60_000
"""A planned restart that takes longer is no longer an excuse for what is logged meanwhile."""
_CHANGES = 16
_CHANGE_BYTES = 1024
"""Of changes in one node's evidence: ordinary names and versions make 16 of them."""
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
    patches, build = _patches(state, clock, boots, branch)
    service, heartbeats = _service(state, clock, newest_ms)
    node = NodeEvidence(
        node=name,
        role=role,
        site=state.site,
        build=build,
        since_ms=clock.true(state.since_ms),
        service=service,
        grace_s=state.grace_s,
        ring=state.facts.ring if state.facts else "",
        covariates=dict(sorted(state.facts.covariates.items())) if state.facts else {},
        weeks=dict(sorted(weeks.items())),
        patches=patches,
        heartbeats=heartbeats,
        restart=_restart(state, clock, boots, patches, service) if heartbeats else "",
        changes=_changes(state, clock, [t for t, _ in boots], newest_ms - ONSETS_MS),
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


def _service(
    state: NodeState, clock: _Clock, newest_ms: int
) -> tuple[tuple[tuple[int, int], ...], bool]:
    """Intervals in service, and whether heartbeats tell them."""
    # Logs that were read back prove service without heartbeats, up to the first heartbeat.
    since = clock.true(state.since_ms or 0)
    sighted = [
        Chain(clock.true(c.first_ms), clock.true(c.last_ms))
        for alive in state.alive.values()
        for c in alive
    ]
    recent = [c for c in sighted if c.last_ms >= newest_ms - KEEP_MS]
    if not recent:
        return ((since, clock.true(state.newest_ms)),), False
    runs = [(c.first_ms, c.last_ms) for c in merge(recent, state.grace_s * 1000)]
    runs[0] = (min(since, runs[0][0]), runs[0][1])
    needed = [run for run in runs if run[1] >= newest_ms - ONSETS_MS] or runs[-1:]
    return tuple(needed[-MAX_INTERVALS:]), True


def _restart(
    state: NodeState,
    clock: _Clock,
    boots: list[tuple[int, str]],
    patches: tuple[NodePatch, ...],
    service: tuple[tuple[int, int], ...],
) -> Restart:
    announced_ms = clock.true(state.restarts[-1].last_ms) if state.restarts else 0
    booted_ms = max(boots[-1][0] if boots else 0, last_effective(patches))
    return restart_near(service[-1][1], announced_ms, booted_ms)


def restart_near(last_ms: int, announced_ms: int, booted_ms: int) -> Restart:
    """How the newest restart showed, if it did within half an hour of the last sighting; 0: never.
    All in Unix ms.
    """
    if max(announced_ms, booted_ms) < last_ms - _RESTART_MS:
        return ""
    return "announced" if announced_ms > booted_ms else "booted"


def last_effective(patches: Iterable[NodePatch]) -> int:
    """When a KB last came into effect (Unix ms); 0 for never."""
    return max((p.t_ms for p in patches if p.state in ("effective", "rolled_back")), default=0)


def _patches(
    state: NodeState, clock: _Clock, boots: list[tuple[int, str]], branch: str
) -> tuple[tuple[NodePatch, ...], str]:
    """Where each KB stands, by KB, and the running build."""
    found = exposures(boots, _sights(state, clock, branch), branch)
    out, running = found.patches, found.build
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
        if build and running and parse_build(running) >= parse_build(build):
            continue  # in effect since before the log begins
        pending = [(states[s], _PENDING.index(s), s) for s in _PENDING if s in states]
        if pending:
            t_ms, _, name = max(pending)
            out[kb] = NodePatch(kb, build, name, clock.true(t_ms))
    return tuple(out[kb] for kb in sorted(out)), running


def _sights(state: NodeState, clock: _Clock, branch: str) -> list[Sight]:
    out = []
    for kb, states in state.patches.items():
        seen, gone = (states.get(SIGHTED[s]) for s in ("effective", "rolled_back"))
        build = build_of(kb, branch) if seen is not None else None
        if seen is not None and build is not None:
            out.append(Sight(clock.true(seen), kb, build, clock.true(gone) if gone else None))
    return out


def _changes(
    state: NodeState, clock: _Clock, starts: list[int], since_ms: int
) -> tuple[NodeChange, ...]:
    """What came to the node or changed its version there. Facts that follow a start of Windows
    tell of what came with it; what the first facts name was there before, nobody knows since when.
    """
    found = []
    seen = ((n, v, t_ms) for n, versions in state.versions.items() for v, t_ms in versions.items())
    for name, version, seen_ms in seen:
        t_ms = clock.true(seen_ms)
        if state.facts_ms is not None and seen_ms > state.facts_ms and t_ms >= since_ms:
            at = bisect_right(starts, t_ms) - 1
            if at >= 0 and t_ms - starts[at] < HOUR_MS:
                t_ms = starts[at]
            found.append(NodeChange(name, version, t_ms))
    found.sort(key=lambda c: (-c.t_ms, c.name, c.version))
    room = _CHANGE_BYTES
    kept = []
    for change in found[:_CHANGES]:
        room -= len(change.name.encode()) + len(change.version.encode()) + 40
        if room < 0:
            break
        kept.append(change)
    return tuple(sorted(kept, key=lambda c: (c.name, c.version)))


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
                # Logged after the boot about the session before it, so it belongs to that session:
                # to the second before the boot's.
                at = bisect_right(starts, first) - 1
                first = to_s(starts[at]) * SECOND_MS - 1 if at >= 0 else first
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
