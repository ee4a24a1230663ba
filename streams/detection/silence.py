"""Silence: a node that stays behind its peers has failed, though it says nothing.

    onset at  last seen + grace,  grace = 3 heartbeat intervals + 20 min

once half of the branch's nodes were heard of ``grace`` after that last sighting if a restart came
before it, else 40 min later (a network or a collector that fails without a restart comes back by
itself more often). All of it is event time and a function of the evidence, so a later look gives
the same instant, and a heartbeat that came late withdraws it. So does a return within four hours
of the onset: the restart was slow. A node that is brought back later had failed all the same, and
nodes that are switched off every night are known by it: their silences are one run, long before
the patch. And where slow returns are usual (a build that takes an hour to install while it
restarts), silence is noticed when it lasts longer than 19 of 20 of them: later, with the same date.

Nobody is silent only because the reports of a partition are behind those of the others, as they
are while a worker catches up: a node is late by what was heard since of any other domain of its
partition, not by the branch alone. One that is alone in its partition goes by the branch; so does
one whose mates there all fell silent, from a week on, when they count as out of service.

Nobody is silent while most of the branch is: where fewer than half of those heard of before and
after the onset were heard at it, the path was broken, not the node. Nodes without heartbeats of
their own can't be late.

A node that went down with a KB pending may well have died of it, but no boot tells the effective
time. So a silence counts as exposed, from the last sighting on,

- to what was being installed or staged when the restart was announced, as long as no boot followed;
- to what the boot brought that ended the silence.

Being offered a KB is not enough: that restart would not have put it in effect. Nor is being staged
without an announced restart: nodes that stay up with it are controls, so one that falls silent must
be one as well. Source: docs/detection.md §1; WinRE, BitLocker recovery and Secure Boot violations
leave no events.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise

from msgspec.structs import replace

from schemas.evidence import DomainEvidence, NodeEvidence, NodePatch, Onset
from streams.detection.chains import HOUR_MS
from streams.detection.node_evidence import WEEK_MS
from streams.detection.spans import GONE_MS, heard_ms

SIGNATURE = CLS = "silence"
_UNRESTARTED_MS = 40 * 60_000
_SLOW_MS = 4 * HOUR_MS
_ENOUGH = 20
"""Slow returns that tell what is usual."""


def with_silences(evidence: Sequence[DomainEvidence]) -> list[DomainEvidence]:
    """A branch's evidence with the silences of its nodes among the onsets, and with the KBs that
    silent nodes died of in effect on them.
    """
    if not any(node.heartbeats for part in evidence for node in part.nodes):
        return list(evidence)
    branch_ms = heard_ms(evidence)
    lanes = _lanes(evidence, branch_ms - GONE_MS)
    peers: _Peers | None = None
    out = []
    for part in evidence:
        onsets: list[Onset] = []
        nodes: list[NodeEvidence] = []
        others = [t for t, domain in lanes.get(part.partition, ()) if domain != part.domain]
        asof_ms = min([branch_ms, *others[:1]])
        for node in part.nodes:
            if node.heartbeats and (len(node.service) > 1 or _is_late(node, asof_ms)):
                peers = peers or _Peers(evidence)
                found = _silences(node, asof_ms, peers)
                onsets += found
                nodes.append(_exposed(node, found))
            else:
                nodes.append(node)
        out.append(_joined(part, nodes, onsets) if onsets else part)
    return out


def _lanes(evidence: Sequence[DomainEvidence], gone_ms: int) -> dict[int, list[tuple[int, str]]]:
    """By partition, until when each domain with heartbeats has been heard of, newest first; what
    was last heard of before ``gone_ms`` is out of service and tells nothing.
    """
    lanes: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for part in evidence:
        newest_ms = max((n.service[-1][1] for n in part.nodes if n.heartbeats), default=gone_ms)
        if newest_ms > gone_ms:
            lanes[part.partition].append((newest_ms, part.domain))
    return {partition: sorted(heard, reverse=True)[:2] for partition, heard in lanes.items()}


def _is_late(node: NodeEvidence, asof_ms: int) -> bool:
    wait_ms = node.grace_s * 1000 + (0 if node.restart else _UNRESTARTED_MS)
    return asof_ms - node.service[-1][1] >= wait_ms


def _silences(node: NodeEvidence, asof_ms: int, peers: "_Peers") -> list[Onset]:
    # At its onset the node is still in the risk set: its grace ends a millisecond later.
    grace_ms = node.grace_s * 1000 - 1
    gaps = [
        (last_ms + grace_ms, again_ms)
        for (_, last_ms), (again_ms, _) in pairwise(node.service)
        if again_ms - last_ms - grace_ms > _SLOW_MS
    ]
    if _is_late(node, asof_ms) and asof_ms - node.service[-1][1] > peers.usual_ms:
        onset_ms = node.service[-1][1] + grace_ms
        gaps.append((onset_ms, onset_ms))
    return [
        Onset(node.node, SIGNATURE, CLS, "outage", onset_ms, end_ms, (onset_ms,))
        for onset_ms, end_ms in gaps
        if peers.heard(onset_ms)
    ]


def _exposed(node: NodeEvidence, silences: Sequence[Onset]) -> NodeEvidence:
    patches = node.patches
    for silence in silences:
        last_ms = silence.first_ms - node.grace_s * 1000 + 1
        patches = tuple(_died_of(node, patch, silence, last_ms) for patch in patches)
    return node if patches == node.patches else replace(node, patches=patches)


def _died_of(node: NodeEvidence, patch: NodePatch, silence: Onset, last_ms: int) -> NodePatch:
    lasts = silence.last_ms == silence.first_ms
    if lasts and node.restart == "announced" and patch.state in ("installing", "staged"):
        return NodePatch(patch.kb, patch.build, "effective", last_ms)
    brought = last_ms < patch.t_ms <= silence.last_ms and patch.end_ms != patch.t_ms
    if not lasts and brought and patch.state in ("effective", "rolled_back"):
        return replace(patch, t_ms=last_ms)
    return patch


def _joined(
    part: DomainEvidence, nodes: Sequence[NodeEvidence], silences: Sequence[Onset]
) -> DomainEvidence:
    onsets = sorted((*part.onsets, *silences), key=lambda o: (o.first_ms, o.node, o.signature))
    weeks = Counter(part.baseline.get(SIGNATURE, {}))
    weeks.update(onset.first_ms // WEEK_MS for onset in silences)
    baseline = {**part.baseline, SIGNATURE: dict(sorted(weeks.items()))}
    return replace(part, nodes=tuple(nodes), onsets=tuple(onsets), baseline=baseline)


class _Peers:
    """How many nodes of the branch were heard of, over time."""

    def __init__(self, evidence: Sequence[DomainEvidence]) -> None:
        services = [n.service for part in evidence for n in part.nodes if n.heartbeats]
        self._starts = sorted(first_ms for runs in services for first_ms, _ in runs)
        self._ends = sorted(last_ms for runs in services for _, last_ms in runs)
        self._firsts = sorted(runs[0][0] for runs in services)
        self._lasts = sorted(runs[-1][1] for runs in services)
        self.usual_ms = _usual_ms(evidence)

    def heard(self, t_ms: int) -> bool:
        """Whether at least half of those who were there before and after it were heard at it."""
        there = bisect_right(self._firsts, t_ms) - bisect_left(self._lasts, t_ms)
        heard = bisect_right(self._starts, t_ms) - bisect_left(self._ends, t_ms)
        return 2 * heard >= there


def _usual_ms(evidence: Sequence[DomainEvidence]) -> int:
    """How long 19 of 20 slow returns took, if the branch has seen enough of them; else 0."""
    slow = sorted(
        again_ms - last_ms
        for part in evidence
        for node in part.nodes
        if node.heartbeats and len(node.service) > 1
        for (_, last_ms), (again_ms, _) in pairwise(node.service)
        if again_ms - last_ms - node.grace_s * 1000 < _SLOW_MS
    )
    return slow[(len(slow) - 1) * 19 // 20] if len(slow) >= _ENOUGH else 0
