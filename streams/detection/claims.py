"""Names that two failure domains report at the same time.

Until reports are signed anybody may report in a node's name, and the newest sighting counts. So a
verdict says where that happens: a node that merely moved leaves its old domain's evidence behind,
but is not seen there any more.
"""

from collections import defaultdict
from collections.abc import Iterable

from schemas.evidence import DomainEvidence, NodeEvidence
from streams.detection.chains import HOUR_MS


def disputed(evidence: Iterable[DomainEvidence]) -> tuple[str, ...]:
    """The nodes, by name, that one domain went on seeing for over an hour after another had begun
    to.
    """
    claims: dict[str, list[NodeEvidence]] = defaultdict(list)
    for part in evidence:
        for node in part.nodes:
            claims[node.node].append(node)
    return tuple(sorted(name for name, nodes in claims.items() if _overlap(nodes)))


def _overlap(nodes: list[NodeEvidence]) -> bool:
    if len(nodes) < 2:
        return False
    first, *later = sorted(nodes, key=lambda node: node.service[0][0])
    last_ms = first.service[-1][1]
    for node in later:
        if last_ms > node.service[0][0] + HOUR_MS:
            return True
        last_ms = max(last_ms, node.service[-1][1])
    return False
