"""The state of one failure domain, and the evidence it amounts to.

Laws (tests/unit/test_laws.py): the evidence is a function of the set of reports; order,
duplication and batching don't change a byte of it, its version apart.
"""

from collections import Counter, defaultdict

from msgspec import Struct, field

from schemas.codec import DecodeError
from schemas.evidence import DomainEvidence, Onset, OnsetSeen
from schemas.reports import NodeReport
from streams.detection.node_evidence import WEEK_MS, NodeView, view
from streams.detection.node_state import KEEP_MS, MAX_NODES, SKEW_MS, NodeState, apply

ONSET_BYTES = 256 * 1024
"""Newest onsets kept in one contribution: bounds what one hostile domain can publish."""
_SLACK_MS = 2 * WEEK_MS
"""When something is forgotten depends on how reports come, so the evidence, which must not, looks
back less far.
"""


class DomainState(Struct):
    """Everything known of one failure domain."""

    nodes: dict[str, NodeState] = field(default_factory=dict)
    offset: int = -1
    """Newest report offset that went in."""
    newest_ms: int = 0
    """Newest record, on the broker's clock."""
    branches: tuple[str, ...] = ()
    """Branches that evidence was published for: one that empties must be published empty."""

    def add(self, report: NodeReport, append_ms: int, offset: int) -> bool:
        """Put a report in (``append_ms``: Kafka's append time); True when evidence may change.

        Raises DecodeError ``domain_full`` when more nodes report than a domain can have.
        """
        if report.node not in self.nodes and len(self.nodes) >= MAX_NODES:
            raise DecodeError("domain_full", f"{report.domain} has {MAX_NODES} nodes already")
        self.offset = max(self.offset, offset)
        node = self.nodes.setdefault(report.node, NodeState())
        changed = node.header(report, append_ms)
        ahead = report.sent_ms - append_ms
        shift = ahead if ahead > SKEW_MS else 0
        week = self.newest_ms // WEEK_MS
        for record in report.records:
            changed |= apply(self.nodes, report.node, record, report.heartbeat_s)
            self.newest_ms = max(self.newest_ms, record.t_ms - shift)
        if self.newest_ms // WEEK_MS > week:
            changed = True  # what is too old is counted from the week's start, so it moved
            for node in self.nodes.values():
                node.forget(self.newest_ms - KEEP_MS - _SLACK_MS)
        return changed

    def evidence(
        self, fleet: str, domain: str, epoch: int, partition: int = 0
    ) -> list[DomainEvidence]:
        """The domain's whole current contribution to each of its branches. ``partition``: where its
        reports come from, 0 where all come one after the other.
        """
        views: dict[str, list[NodeView]] = defaultdict(list)
        for name in sorted(self.nodes):
            seen = view(name, self.nodes[name], self.newest_ms // WEEK_MS * WEEK_MS)
            if seen is not None:
                views[seen.branch].append(seen)
        self.branches = tuple(sorted({*self.branches, *views}))
        return [
            _contribution((fleet, branch, domain), (epoch, partition, self.offset), views[branch])
            for branch in self.branches
        ]


def _contribution(
    name: tuple[str, str, str], place: tuple[int, int, int], views: list[NodeView]
) -> DomainEvidence:
    fleet, branch, domain = name
    epoch, partition, offset = place
    onsets = sorted(
        (onset for seen in views for onset in seen.onsets),
        key=lambda o: (o.first_ms, o.node, o.signature),
    )
    counts: dict[str, Counter[int]] = defaultdict(Counter)
    for seen in views:
        for signature, week in seen.baseline:
            counts[signature][week] += 1
    return DomainEvidence(
        v=1,
        fleet=fleet,
        branch=branch,
        domain=domain,
        epoch=epoch,
        offset=offset,
        nodes=tuple(seen.node for seen in views),
        onsets=_newest(onsets),
        baseline={s: dict(sorted(counts[s].items())) for s in sorted(counts)},
        partition=partition,
    )


def _newest(onsets: list[Onset]) -> tuple[Onset, ...]:
    room = ONSET_BYTES
    kept: list[Onset] = []
    for onset in reversed(onsets):
        room -= 160 + len(onset.node.encode()) + len(onset.signature) + 14 * len(onset.times)
        if room < 0:
            break
        kept.append(onset)
    return tuple(reversed(kept))


def onsets_seen(evidence: DomainEvidence) -> list[OnsetSeen]:
    """The onsets of a contribution as rows for the store."""
    nodes = {node.node: node for node in evidence.nodes}
    return [
        OnsetSeen(
            v=1,
            fleet=evidence.fleet,
            branch=evidence.branch,
            domain=evidence.domain,
            site=nodes[onset.node].site,
            role=nodes[onset.node].role,
            onset=onset,
        )
        for onset in evidence.onsets
    ]
