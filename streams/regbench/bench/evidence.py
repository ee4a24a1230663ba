"""A stream as the evidence that detection judges: what ``detection.domain_state`` makes of reports
that say the same (tests/unit/test_bench_evidence.py), in one pass over the whole period.

The bounds that protect the live detector from hostile nodes (signatures, runs and bytes per domain)
are left out: a file is as large as it is.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median_low

from schemas.evidence import DomainEvidence, NodeEvidence, NodePatch, Onset
from streams.detection.chains import HOUR_MS, KEPT_TIMES, Chain, merge
from streams.detection.node_evidence import ONSETS_MS, WEEK_MS, last_effective, restart_near
from streams.detection.node_state import (
    KEEP_MS,
    MAX_INTERVALS,
    ONSET_GAP_MS,
    SEEN_FLOOR_MS,
    grace_s,
)
from streams.regbench.bench.history import History, NodeHistory

_SAMPLE = 500
"""Nodes whose heartbeats tell the interval."""


def evidence_of(
    history: History, asof_ms: int, back_to_ms: int | None = None
) -> list[DomainEvidence]:
    """Every domain's contribution to every branch, looking back from ``asof_ms`` (Unix ms), by
    branch and domain. What is older than the live detector remembers is left out, unless it
    happened since ``back_to_ms``.
    """
    view = _View(history, asof_ms, back_to_ms)
    domains: dict[tuple[str, str], list[NodeHistory]] = defaultdict(list)
    for _, one in sorted(history.nodes.items()):
        domains[one.node.branch, one.node.domain].append(one)
    return [
        view.contribution(branch, domain, nodes)
        for (branch, domain), nodes in sorted(domains.items())
    ]


def runs_of(times: Sequence[int], gap_ms: int, floor_ms: int) -> list[Chain]:
    """The runs of event times in any order: as ``chains.insert`` makes them one by one."""
    if len(times) == 1:
        return [Chain(times[0], times[0] // floor_ms * floor_ms, (times[0],))]
    ordered = sorted(set(times))
    out = []
    begin = 0
    for at, t_ms in enumerate(ordered[1:], start=1):
        if t_ms - ordered[at - 1] // floor_ms * floor_ms >= gap_ms:
            out.append(_run(ordered[begin:at], floor_ms))
            begin = at
    out.append(_run(ordered[begin:], floor_ms))
    return out


def _run(times: list[int], floor_ms: int) -> Chain:
    return Chain(times[0], times[-1] // floor_ms * floor_ms, tuple(times[:KEPT_TIMES]))


class _View:
    """The history as it looks at one instant."""

    def __init__(self, history: History, asof_ms: int, back_to_ms: int | None) -> None:
        self._fleet = history.fleet
        self._start_ms = history.start_ms
        self._asof_ms = asof_ms
        self._seen_ms = asof_ms // SEEN_FLOOR_MS * SEEN_FLOOR_MS
        # Looked back on from the week's start, so that evidence does not change every minute.
        self._newest_ms = asof_ms // WEEK_MS * WEEK_MS
        self._horizon_ms = self._newest_ms - KEEP_MS
        self._recent_ms = self._newest_ms - ONSETS_MS
        if back_to_ms is not None:
            self._horizon_ms = min(self._horizon_ms, back_to_ms)
            self._recent_ms = min(self._recent_ms, back_to_ms)
        interval_s = _interval_s(history)
        self._grace_s = grace_s(interval_s)
        beats = [t for one in history.nodes.values() for t in one.beats]
        self._covered = runs_of(beats, self._grace_s * 1000, SEEN_FLOOR_MS) if beats else []

    def contribution(self, branch: str, domain: str, nodes: list[NodeHistory]) -> DomainEvidence:
        """What one domain says about one branch; ``nodes`` by name."""
        onsets: list[Onset] = []
        baseline: dict[str, list[int]] = {}
        views = []
        for one in nodes:
            found = self._onsets(one)
            views.append(self._node(one, found))
            for onset in found:
                if onset.last_ms >= self._recent_ms:
                    onsets.append(onset)
                if onset.first_ms >= self._horizon_ms:
                    weeks = baseline.setdefault(onset.signature, [])
                    weeks.append(onset.first_ms // WEEK_MS)
        if len(onsets) > 1:
            onsets.sort(key=lambda o: (o.first_ms, o.node, o.signature, o.impact))
        return DomainEvidence(
            v=1,
            fleet=self._fleet,
            branch=branch,
            domain=domain,
            epoch=0,
            offset=0,
            nodes=tuple(views),
            onsets=tuple(onsets),
            baseline={signature: _counted(weeks) for signature, weeks in sorted(baseline.items())},
        )

    def _onsets(self, one: NodeHistory) -> list[Onset]:
        if not one.events:
            return []
        name = one.node.node
        out = [
            Onset(name, signature, cls, impact, c.first_ms, max(c.last_ms, c.first_ms), c.times)
            for (signature, cls, impact), times in one.events.items()
            for c in runs_of(times, ONSET_GAP_MS, HOUR_MS)
            if c.last_ms >= self._horizon_ms
        ]
        if len(out) > 1:
            out.sort(key=lambda o: (o.first_ms, o.signature, o.impact))
        return out

    def _node(self, one: NodeHistory, onsets: list[Onset]) -> NodeEvidence:
        node = one.node
        since_ms = max(node.t_ms, self._start_ms)
        service, heartbeats = self._service(one, since_ms)
        patches = tuple([_patch(one, kb) for kb in sorted(one.installs)])
        restart = restart_near(service[-1][1], 0, last_effective(patches)) if heartbeats else ""
        return NodeEvidence(
            node=node.node,
            role=node.role,
            site=node.site,
            build="",
            since_ms=since_ms,
            service=service,
            grace_s=self._grace_s,
            ring=node.ring,
            covariates=dict(sorted(node.covariates.items())),
            weeks=self._weeks(onsets),
            patches=patches,
            heartbeats=heartbeats,
            restart=restart,
        )

    def _weeks(self, onsets: list[Onset]) -> dict[int, int]:
        runs: Sequence[Onset | Chain] = onsets
        if len(onsets) > 1:
            runs = merge([Chain(o.first_ms, o.last_ms) for o in onsets], ONSET_GAP_MS)
        return _counted([c.first_ms // WEEK_MS for c in runs if c.first_ms >= self._horizon_ms])

    def _service(self, one: NodeHistory, since_ms: int) -> tuple[tuple[tuple[int, int], ...], bool]:
        """Intervals in service, and whether heartbeats tell them."""
        if not self._covered:
            return ((since_ms, self._seen_ms),), False
        grace_ms = self._grace_s * 1000
        sighted = runs_of(one.beats, grace_ms, SEEN_FLOOR_MS) if one.beats else []
        alive = merge([*sighted, *self._vouched(sighted, grace_ms)], grace_ms)
        runs = [(c.first_ms, c.last_ms) for c in alive if c.last_ms >= self._horizon_ms]
        if not runs:
            last_ms = _last(one, since_ms) // SEEN_FLOOR_MS * SEEN_FLOOR_MS
            return ((since_ms, last_ms),), False
        # Until the first heartbeat the stream itself vouches for the node.
        runs[0] = (min(since_ms, runs[0][0]), runs[0][1])
        needed = [run for run in runs if run[1] >= self._recent_ms] or runs[-1:]
        return tuple(needed[-MAX_INTERVALS:]), True

    def _vouched(self, sighted: Sequence[Chain], grace_ms: int) -> Iterator[Chain]:
        """Spans without anybody's heartbeats, for a node that was there when they stopped."""
        ends = [chain.last_ms for chain in sighted]
        nexts = [*(covered.first_ms for covered in self._covered[1:]), self._asof_ms]
        for covered, next_ms in zip(self._covered, nexts, strict=True):
            stopped_ms = covered.last_ms
            present = any(stopped_ms - grace_ms < end_ms <= stopped_ms for end_ms in ends)
            if present and next_ms - stopped_ms >= grace_ms:
                yield Chain(stopped_ms, next_ms // SEEN_FLOOR_MS * SEEN_FLOOR_MS)


def _patch(one: NodeHistory, kb: str) -> NodePatch:
    start_ms, back_ms = one.installs[kb], one.removals.get(kb)
    end_ms = back_ms if back_ms is not None and back_ms > start_ms else None
    return NodePatch(kb, "", "effective", start_ms, end_ms)


def _counted(weeks: list[int]) -> dict[int, int]:
    if len(weeks) == 1:
        return {weeks[0]: 1}
    return dict(sorted(Counter(weeks).items())) if weeks else {}


def _last(one: NodeHistory, since_ms: int) -> int:
    return max(
        (t for times in (one.installs.values(), *one.events.values()) for t in times),
        default=since_ms,
    )


def _interval_s(history: History) -> int:
    """The usual time between a node's heartbeats: a stream does not say what was promised."""
    beating = sorted(name for name, one in history.nodes.items() if len(one.beats) > 1)
    gaps = [
        later - earlier
        for name in beating[:_SAMPLE]
        for earlier, later in pairwise(sorted(set(history.nodes[name].beats)))
    ]
    return max(round(median_low(gaps) / 1000), 1) if gaps else 0
