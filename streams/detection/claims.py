"""Names that two failure domains report at the same time.

Until reports are signed anybody may report in a node's name, and the newest sighting counts. So a
verdict says where that happens. A node that merely moved is seen in its new domain alone; its old
domain's evidence stays behind, and is no dispute an hour later.
"""

from collections import defaultdict
from collections.abc import Iterable

from schemas.evidence import DomainEvidence
from streams.detection.chains import HOUR_MS


def disputed(evidence: Iterable[DomainEvidence]) -> tuple[str, ...]:
    """The nodes, by name, that two domains saw last within an hour of one another."""
    last_ms: dict[str, list[int]] = defaultdict(list)
    for part in evidence:
        for node in part.nodes:
            last_ms[node.node].append(node.service[-1][1])
    return tuple(sorted(name for name, times in last_ms.items() if _close(times)))


def _close(times: list[int]) -> bool:
    if len(times) < 2:
        return False
    *_, second, newest = sorted(times)
    return newest - second <= HOUR_MS
