"""Who was hit, and by what: from a fold's path to the victims of its driving signature."""

from collections.abc import Sequence

from schemas.evidence import DomainEvidence
from streams.detection.fold import Hit, Path
from streams.detection.tree import CLASSES


def driving(path: Path, evidence: Sequence[DomainEvidence], until_ms: int | None) -> str:
    """The signature with most victims among those that won, by the crossing (Unix ms) if there is
    one; empty when none did. Of equals the one that hit first; in the same minute a service that
    died says more than what it took with it (the classes' order).
    """
    classes = {onset.signature: onset.cls for part in evidence for onset in part.onsets}
    victims = {
        s: [h for h in victim_hits(path, s) if until_ms is None or h.t_ms <= until_ms]
        for s, value in path.signatures.items()
        if value > 0
    }
    ranked = [
        (-len(hits), hits[0].t_ms // 60_000, CLASSES.index(classes[s]), s)
        for s, hits in victims.items()
        if hits
    ]
    return min(ranked)[3] if ranked else ""


def victim_hits(path: Path, signature: str) -> list[Hit]:
    """The first hit of each exposed node with ``signature``, in time order."""
    seen: dict[str, Hit] = {}
    for hit in path.hits:
        if hit.signature == signature and hit.place.age:
            seen.setdefault(hit.node, hit)
    return list(seen.values())
