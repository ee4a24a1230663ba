"""One branch's past, and what it looked like to the judge of one case in it. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from statistics import median_low

from msgspec import Struct
from msgspec.structs import replace

from schemas.evidence import DomainEvidence, NodeEvidence, NodePatch
from streams.detection.members import EXPOSED_MS, Case
from streams.detection.silence import with_silences
from streams.detection.spans import Span, case_spans, heard_ms


class Past(Struct, frozen=True):
    """All that is known of one branch of one fleet over one period, onsets of any age."""

    source: str
    """Where it comes from, for people."""
    fleet: str
    branch: str
    evidence: tuple[DomainEvidence, ...]

    @property
    def start_ms(self) -> int:
        """From when on half of the nodes are known (Unix ms); 0 for no nodes."""
        return median_low([n.since_ms for part in self.evidence for n in part.nodes] or [0])

    @property
    def end_ms(self) -> int:
        """Until when half of the nodes were heard of (Unix ms)."""
        return heard_ms(self.evidence)

    def case(self, span: Span) -> Case:
        """The case of a span."""
        return Case(self.fleet, self.branch, span.kb, span.build)

    def rollouts(self) -> list[tuple[Span, ...]]:
        """The cases that have begun, in time order; those that began with one boot together."""
        together: dict[int, list[Span]] = {}
        for span in case_spans(self.evidence):
            if span.start_ms <= self.end_ms:
                together.setdefault(span.start_ms, []).append(span)
        return [tuple(spans) for _, spans in sorted(together.items())]

    def installs(self, span: Span) -> dict[str, int]:
        """When the KB of a case came into effect, by node (Unix ms)."""
        return {
            node.node: patch.t_ms
            for part in self.evidence
            for node in part.nodes
            for patch in node.patches
            if patch.kb == span.kb and patch.state in ("effective", "rolled_back")
        }


def branches(source: str, evidence: Iterable[DomainEvidence]) -> list[Past]:
    """Evidence of many branches as one past for each that has nodes, its silences among it."""
    by_branch: dict[tuple[str, str], list[DomainEvidence]] = {}
    for part in evidence:
        if part.nodes:
            by_branch.setdefault((part.fleet, part.branch), []).append(part)
    return [
        Past(source, fleet, branch, tuple(with_silences(parts)))
        for (fleet, branch), parts in sorted(by_branch.items())
    ]


def as_of(evidence: Iterable[DomainEvidence], kb: str, until_ms: int) -> list[DomainEvidence]:
    """Evidence as it was at ``until_ms`` (Unix ms), for the case of ``kb``: nothing later, and no
    node beyond its own exposure of 35 days.
    """
    return [_part_as_of(part, kb, until_ms) for part in evidence]


def with_installs(
    evidence: Sequence[DomainEvidence], kb: str, installs: Mapping[str, int], without: set[str]
) -> list[DomainEvidence]:
    """The same past in which ``kb`` and nothing else was installed: on the nodes of ``installs``,
    then (Unix ms). Nodes in ``without`` take no part.
    """
    out = []
    for part in evidence:
        nodes = tuple(
            replace(node, patches=_only(kb, installs.get(node.node)))
            for node in part.nodes
            if node.node not in without
        )
        out.append(replace(part, nodes=nodes))
    return out


def day(t_ms: int) -> str:
    """``2025-06-10``."""
    return datetime.fromtimestamp(t_ms / 1000, UTC).date().isoformat()


def label(case: str, started_ms: int) -> str:
    """A roll-out for people: ``KB5060531@17763 2025-06-10``; of several KBs the first."""
    return f"{case.split()[0]} {day(started_ms)}"


def _only(kb: str, t_ms: int | None) -> tuple[NodePatch, ...]:
    return () if t_ms is None else (NodePatch(kb, "", "effective", t_ms),)


def _part_as_of(part: DomainEvidence, kb: str, until_ms: int) -> DomainEvidence:
    nodes = [n for node in part.nodes if (n := _node_as_of(node, kb, until_ms)) is not None]
    there = {node.node for node in nodes}
    return replace(
        part,
        nodes=tuple(nodes),
        onsets=tuple(o for o in part.onsets if o.node in there and o.first_ms <= until_ms),
    )


def _node_as_of(node: NodeEvidence, kb: str, until_ms: int) -> NodeEvidence | None:
    patches = tuple(p for p in node.patches if p.t_ms <= until_ms)
    for patch in patches:
        if patch.kb == kb and patch.state in ("effective", "rolled_back"):
            until_ms = min(until_ms, patch.t_ms + EXPOSED_MS)
    service = tuple((a, min(b, until_ms)) for a, b in node.service if a <= until_ms)
    return replace(node, patches=patches, service=service) if service else None
