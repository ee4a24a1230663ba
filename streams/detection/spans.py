"""From when until when a case is judged, so that no single clock can open, shift or close one."""

from collections import defaultdict
from collections.abc import Iterable

from msgspec import Struct

from schemas.evidence import DomainEvidence
from streams.detection.chains import DAY_MS
from streams.detection.members import EXPOSED_MS

CASE_MS = 65 * DAY_MS
"""Patched at the latest 30 days after the first node, then 35 days of exposure."""
_ROLLOUT_MS = CASE_MS - EXPOSED_MS
GONE_MS = 7 * DAY_MS


class Span(Struct, frozen=True):
    """One (KB, build) of a branch: from its first effective time until nobody is exposed."""

    kb: str
    build: str
    start_ms: int
    end_ms: int


def heard_ms(evidence: Iterable[DomainEvidence]) -> int:
    """The time until which half of the branch's living nodes have been heard of; 0 for none.

    Nodes that were last seen over a week before the upper decile of last sightings are gone:
    names that were taken out of service must not hold the branch's time back.
    """
    seen = sorted(node.service[-1][1] for part in evidence for node in part.nodes)
    if not seen:
        return 0
    newest = seen[(len(seen) - 1) * 9 // 10]
    living = [t for t in seen if t >= newest - GONE_MS]
    return living[(len(living) - 1) // 2]


def case_spans(evidence: Iterable[DomainEvidence]) -> list[Span]:
    """The span of every (KB, build) of a branch, in order of their names.

    Effective times that lie over 30 days before the median are not the roll-out's start: a pilot
    node, or one whose clock was wrong at that boot. A KB without a build is a case only where
    two failure domains have it, because any one node can name any number.
    """
    times: dict[tuple[str, str], list[int]] = defaultdict(list)
    domains: dict[tuple[str, str], set[str]] = defaultdict(set)
    for part in evidence:
        for node in part.nodes:
            for patch in node.patches:
                # Where the fix came with the same boot nobody was exposed.
                if patch.state in ("effective", "rolled_back") and patch.end_ms != patch.t_ms:
                    times[patch.kb, patch.build].append(patch.t_ms)
                    domains[patch.kb, patch.build].add(part.domain)
    spans = []
    for (kb, build), effective in sorted(times.items()):
        if build or len(domains[kb, build]) > 1:
            effective.sort()
            median = effective[(len(effective) - 1) // 2]
            start = next(t for t in effective if t >= median - _ROLLOUT_MS)
            spans.append(Span(kb, build, start, min(effective[-1] + EXPOSED_MS, start + CASE_MS)))
    return spans
