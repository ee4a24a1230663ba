"""Who was hit, and by what: from a fold's path to the victims of its driving signature."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from schemas.evidence import DomainEvidence, Onset
from streams.detection.attribution import explained
from streams.detection.chains import to_s
from streams.detection.fold import Hit, Path
from streams.detection.population import Population
from streams.detection.tree import CLASSES, loop_chain

_NEARLY = 0.5
"""Signatures that one failure brings together differ by the seconds between them."""


_ORDER = {cls: at for at, cls in enumerate(CLASSES)}


def driving(
    path: Path,
    evidence: Sequence[DomainEvidence],
    until_ms: int | None,
    population: Population,
) -> str:
    """The signature that being patched explains best, by the crossing (Unix ms) if there is one;
    empty when it explains none. Margins don't count here: they say how much proof it takes, not
    what happened, and a wealth that came from a class or from all failures has a signature too. One
    that loops on patched nodes and comes once on others is explained as a loop.

    Of those explained nearly as well (half, in logarithms) the one with most victims; of equals the
    one that hit first; in the same minute a service that died says more than what it took with it
    (the classes' order), and of what a dying service says, what it says first on its victims.
    """
    classes: dict[str, str] = {}
    loops: dict[tuple[str, str], list[Onset]] = defaultdict(list)
    for part in evidence:
        for onset in part.onsets:
            classes[onset.signature] = onset.cls
            loop = loop_chain(onset)
            if loop is not None and (until_ms is None or loop.first_ms <= until_ms):
                loops[onset.node, onset.signature].append(onset)
    hits: dict[str, list[Hit]] = defaultdict(list)
    for hit in path.hits:
        if until_ms is None or hit.t_ms <= until_ms:
            hits[hit.signature].append(hit)
    worth = {}
    for signature, found in hits.items():
        if any(hit.place.age for hit in found):
            looping = [hit for hit in found if _loops(hit, loops)]
            worth[signature] = max(explained(population, some) for some in (found, looping) if some)
    best = max(worth.values(), default=0.0)
    ranked = []
    for signature, log_e in worth.items():
        if log_e > 0 and log_e >= _NEARLY * best:
            found = victims(hits[signature])
            ranked.append(
                (
                    -len(found),
                    found[0].t_ms // 60_000,
                    _ORDER.get(classes[signature], len(_ORDER)),
                    sum(to_s(hit.t_ms) for hit in found),
                    signature,
                )
            )
    return min(ranked)[-1] if ranked else ""


def _loops(hit: Hit, loops: Mapping[tuple[str, str], Sequence[Onset]]) -> bool:
    begun = loops.get((hit.node, hit.signature), ())
    return any(hit.t_ms in onset.times for onset in begun)


def victim_hits(path: Path, signature: str) -> list[Hit]:
    """The first hit of each exposed node with ``signature``, in time order."""
    return victims([hit for hit in path.hits if hit.signature == signature])


def victims(hits: Sequence[Hit]) -> list[Hit]:
    """The first hit of each exposed node, in time order."""
    seen: dict[str, Hit] = {}
    for hit in hits:
        if hit.place.age:
            seen.setdefault(hit.node, hit)
    return list(seen.values())
