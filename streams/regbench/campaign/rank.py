"""Which detector is best: few victims, but only among those that hardly ever cry wolf."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from streams.regbench.bench.judge import DETECTORS
from streams.regbench.campaign.results import Scored

RANKED = ("100x20-10000", "5x20-10000", "100x2-10000", "5x5-10000")
"""The cells whose victims count: staged, rare, 15 minutes, 10,000 nodes."""
_MAX_PER_200 = 1.0


class Rank(Struct, frozen=True):
    """A detector; ``place`` is None where it has too many false halts, or halted nobody."""

    place: int | None
    detector: str
    worst_cell: str
    worst_per_200: float | None
    p95: float | None
    """Victims at the halt, the worst of the cells'."""
    reached: float | None
    """Share of the cases that were halted, the worst of the cells'."""


def ranked(cells: Sequence[Scored]) -> list[Rank]:
    """Every detector, best first; nobody before both kinds of cells were run."""
    nulls = [s for s in cells if s.cell.group == "null"]
    harms = [s for s in cells if s.cell.name in RANKED]
    if not nulls or not harms:
        return []
    found = [_rank(name, nulls, harms) for name in DETECTORS]
    fit = [r for r in found if r.p95 is not None and (r.worst_per_200 or 0) <= _MAX_PER_200]
    fit.sort(key=lambda rank: rank.p95 or 0)
    placed = [replace(rank, place=place) for place, rank in enumerate(fit, start=1)]
    return placed + [rank for rank in found if rank not in fit]


def worst(nulls: Sequence[Scored], detector: str) -> Scored:
    """The cell with most false halts; of several, that with the largest bound."""

    def badness(scored: Scored) -> tuple[float, float]:
        null = scored.scores[detector].null
        return null.halts_per_200 or 0.0, null.halts_per_200_upper or 0.0

    return max(nulls, key=badness)


def _rank(detector: str, nulls: Sequence[Scored], harms: Sequence[Scored]) -> Rank:
    most = worst(nulls, detector)
    powers = [s.scores[detector].halt for s in harms]
    p95s = [p.victims_p95.value for p in powers if p.victims_p95.value is not None]
    reached = [p.reached.share for p in powers if p.reached.share is not None]
    return Rank(
        place=None,
        detector=detector,
        worst_cell=most.cell.name,
        worst_per_200=most.scores[detector].null.halts_per_200,
        p95=max(p95s, default=None),
        reached=min(reached, default=None),
    )
