"""A stream as the evidence that detection judges: what ``detection.domain_state`` makes of reports
that say the same (tests/unit/test_bench_evidence.py), in one pass over the whole period.

The bounds that protect the live detector from hostile nodes (signatures, runs and bytes per domain)
are left out: a file is as large as it is.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from statistics import median_low
from typing import Any

from schemas.evidence import DomainEvidence, NodeEvidence, NodePatch, Onset
from streams.detection.chains import HOUR_MS, Chain, merge, runs_of, split
from streams.detection.node_evidence import ONSETS_MS, WEEK_MS, last_effective, restart_near
from streams.detection.node_state import (
    KEEP_MS,
    MAX_INTERVALS,
    ONSET_GAP_MS,
    SEEN_FLOOR_MS,
    grace_s,
)
from streams.regbench.bench.history import History
from streams.regbench.bench.stream import Node

_NOTHING: dict[Any, Any] = {}
"""Shared, and never written to: evidence is frozen."""
_FEW = 2
"""Weeks that other nodes are likely to have, too."""
_SAMPLE = 500
"""Nodes whose heartbeats tell the interval."""

Service = tuple[tuple[int, int], ...]
"""First and last sighting of each interval in service (Unix ms)."""


def evidence_of(
    history: History, asof_ms: int, back_to_ms: int | None = None
) -> list[DomainEvidence]:
    """Every domain's contribution to every branch, looking back from ``asof_ms`` (Unix ms), by
    branch and domain. What is older than the live detector remembers is left out, unless it
    happened since ``back_to_ms``.
    """
    view = View(history, asof_ms, back_to_ms)
    return [part for branch in view.branches for part in view.evidence(branch)]


class View:
    """The history as it looks at one instant."""

    def __init__(self, history: History, asof_ms: int, back_to_ms: int | None = None) -> None:
        """See ``evidence_of``."""
        self._history = history
        self._kbs = sorted(history.installs)
        self._asof_ms = asof_ms
        self._seen_ms = asof_ms // SEEN_FLOOR_MS * SEEN_FLOOR_MS
        # Looked back on from the week's start, so that evidence does not change every minute.
        self._newest_ms = asof_ms // WEEK_MS * WEEK_MS
        self._horizon_ms = self._newest_ms - KEEP_MS
        self._recent_ms = self._newest_ms - ONSETS_MS
        if back_to_ms is not None:
            self._horizon_ms = min(self._horizon_ms, back_to_ms)
            self._recent_ms = min(self._recent_ms, back_to_ms)
        self._grace_s = grace_s(_interval_s(history))
        self._sighted = {name: self._sightings(times) for name, times in history.beats.items()}
        self._covered = merge(
            (chain for chains in self._sighted.values() for chain in chains), self._grace_s * 1000
        )
        self._alike = _Alike()

    @property
    def branches(self) -> list[str]:
        """The branches that have nodes, in order."""
        return sorted({node.branch for node in self._history.nodes.values()})

    def evidence(self, branch: str) -> list[DomainEvidence]:
        """Every domain's contribution to a branch, by domain."""
        domains: dict[str, list[str]] = defaultdict(list)
        for name, node in self._history.nodes.items():
            if node.branch == branch:
                domains[node.domain].append(name)
        return [
            self._contribution(branch, domain, sorted(names))
            for domain, names in sorted(domains.items())
        ]

    def _contribution(self, branch: str, domain: str, names: list[str]) -> DomainEvidence:
        onsets: list[Onset] = []
        baseline: dict[str, list[int]] = {}
        nodes = []
        for name in names:
            found = self._onsets(name)
            nodes.append(self._node(self._history.nodes[name], found))
            for onset in found:
                if onset.last_ms >= self._recent_ms:
                    onsets.append(onset)
                if onset.first_ms >= self._horizon_ms:
                    weeks = baseline.setdefault(onset.signature, [])
                    weeks.append(onset.first_ms // WEEK_MS)
        if len(onsets) > 1:
            onsets.sort(key=lambda o: (o.first_ms, o.node, o.signature, o.impact))
        counted = self._alike.counted
        return DomainEvidence(
            v=1,
            fleet=self._history.fleet,
            branch=branch,
            domain=domain,
            epoch=0,
            offset=0,
            nodes=tuple(nodes),
            onsets=tuple(onsets),
            baseline=(
                {signature: counted(weeks) for signature, weeks in sorted(baseline.items())}
                if baseline
                else _NOTHING
            ),
        )

    def _onsets(self, name: str) -> list[Onset]:
        logged = self._history.logged.get(name)
        if logged is None:
            return []
        out = []
        for (signature, cls, impact), times in self._history.events(name).items():
            if len(times) == 1:
                if times[0] // HOUR_MS * HOUR_MS >= self._horizon_ms:
                    at_ms = times[0]
                    out.append(Onset(name, signature, cls, impact, at_ms, at_ms, (at_ms,)))
                continue
            for run in runs_of(times, ONSET_GAP_MS, HOUR_MS):
                if run.last_ms >= self._horizon_ms:
                    first_ms, last_ms = run.first_ms, max(run.last_ms, run.first_ms)
                    out.append(Onset(name, signature, cls, impact, first_ms, last_ms, run.times))
        if len(out) > 1:
            out.sort(key=lambda o: (o.first_ms, o.signature, o.impact))
        return out

    def _node(self, node: Node, onsets: list[Onset]) -> NodeEvidence:
        since_ms = max(node.t_ms, self._history.start_ms)
        service, heartbeats = self._service(node.node, since_ms)
        patches = self._patches(node.node)
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
            covariates=node.covariates,
            weeks=self._weeks(onsets),
            patches=patches,
            heartbeats=heartbeats,
            restart=restart,
        )

    def _patches(self, name: str) -> tuple[NodePatch, ...]:
        out = []
        for kb in self._kbs:
            start_ms = self._history.installs[kb].get(name)
            if start_ms is not None:
                back_ms = self._history.removals.get(kb, _NOTHING).get(name)
                end_ms = back_ms if back_ms is not None and back_ms > start_ms else None
                out.append(NodePatch(kb, "", "effective", start_ms, end_ms))
        return tuple(out)

    def _weeks(self, onsets: list[Onset]) -> dict[int, int]:
        """The runs of a node's onsets of any signature, ascending, by week."""
        weeks = []
        last_ms = -ONSET_GAP_MS
        for onset in onsets:
            if onset.first_ms - last_ms >= ONSET_GAP_MS and onset.first_ms >= self._horizon_ms:
                weeks.append(onset.first_ms // WEEK_MS)
            last_ms = max(last_ms, onset.last_ms)
        return self._alike.counted(weeks)

    def _sightings(self, times: Iterable[int]) -> list[Chain]:
        """The runs of a node's heartbeats."""
        runs = split(sorted(times), self._grace_s * 1000, SEEN_FLOOR_MS)
        return [Chain(run[0], run[-1] // SEEN_FLOOR_MS * SEEN_FLOOR_MS) for run in runs]

    def _service(self, name: str, since_ms: int) -> tuple[Service, bool]:
        """Intervals in service, and whether heartbeats tell them."""
        if not self._covered:
            return self._alike.service(since_ms, self._seen_ms), False
        grace_ms = self._grace_s * 1000
        sighted = self._sighted.get(name, [])
        alive = merge([*sighted, *self._vouched(sighted, grace_ms)], grace_ms)
        runs = [(c.first_ms, c.last_ms) for c in alive if c.last_ms >= self._horizon_ms]
        if not runs:
            return self._alike.service(since_ms, self._last(name, since_ms)), False
        # Until the first heartbeat the stream itself vouches for the node.
        runs[0] = (min(since_ms, runs[0][0]), runs[0][1])
        needed = [run for run in runs if run[1] >= self._recent_ms] or runs[-1:]
        return tuple(needed[-MAX_INTERVALS:]), True

    def _last(self, name: str, since_ms: int) -> int:
        """When the node was last heard of, by anything but heartbeats."""
        installs = (times[name] for times in self._history.installs.values() if name in times)
        logged = self._history.logged.get(name, ())[1::2]
        return max((*installs, *logged), default=since_ms) // SEEN_FLOOR_MS * SEEN_FLOOR_MS

    def _vouched(self, sighted: Sequence[Chain], grace_ms: int) -> Iterator[Chain]:
        """Spans without anybody's heartbeats, for a node that was there when they stopped."""
        ends = [chain.last_ms for chain in sighted]
        nexts = [*(covered.first_ms for covered in self._covered[1:]), self._asof_ms]
        for covered, next_ms in zip(self._covered, nexts, strict=True):
            stopped_ms = covered.last_ms
            present = any(stopped_ms - grace_ms < end_ms <= stopped_ms for end_ms in ends)
            if present and next_ms - stopped_ms >= grace_ms:
                yield Chain(stopped_ms, next_ms // SEEN_FLOOR_MS * SEEN_FLOOR_MS)


class _Alike:
    """Equal parts of evidence as one object, as they are in most nodes."""

    def __init__(self) -> None:
        self._counted: dict[tuple[int, ...], dict[int, int]] = {}
        self._services: dict[tuple[int, int], Service] = {}

    def counted(self, weeks: list[int]) -> dict[int, int]:
        """How often each week is named, in order."""
        if not weeks:
            return _NOTHING
        if len(weeks) > _FEW:
            return dict(sorted(Counter(weeks).items()))
        key = tuple(weeks)
        known = self._counted.get(key)
        if known is None:
            known = self._counted[key] = dict(sorted(Counter(weeks).items()))
        return known

    def service(self, first_ms: int, last_ms: int) -> Service:
        """A single interval."""
        run = first_ms, last_ms
        return self._services.setdefault(run, (run,))


def _interval_s(history: History) -> int:
    """The usual time between a node's heartbeats: a stream does not say what was promised."""
    beating = sorted(name for name, times in history.beats.items() if len(times) > 1)
    gaps = [
        later - earlier
        for name in beating[:_SAMPLE]
        for earlier, later in pairwise(sorted(set(history.beats[name])))
    ]
    return max(round(median_low(gaps) / 1000), 1) if gaps else 0
