"""What a fleet has learned from its own harmless roll-outs (topic ``kbw-calibration``, compacted,
key ``fleet|name``).

A case pins the newest calibration of its fleet that was valid before the case's first install; a
later one never changes a case that has begun. Times are Unix milliseconds UTC.
"""

from typing import Annotated

from msgspec import Meta, Struct

from schemas.reports import Label, Name, TimeMs

ENOUGH = 24
"""Harmless roll-outs below which a calibration rests on too little to replace the default."""

Factor = Annotated[float, Meta(ge=0)]


class MarginTable(Struct, frozen=True, omit_defaults=True):
    """The margins of one stream of incidents."""

    rho: dict[str, tuple[Factor, Factor, Factor]] = {}
    """ρ (dimensionless) by signature level, for the acute, sub-acute and chronic window; a level
    that is absent has the floor, see docs/detection.md.
    """


class Calibration(Struct, frozen=True, omit_defaults=True):
    """Margins, since when they hold, and what they were learned from."""

    v: int
    fleet: Name
    name: Name
    """What verdicts call it; unique in its fleet."""
    valid_from_ms: TimeMs
    """Holds for cases whose first install is later."""
    rollouts: Annotated[int, Meta(ge=ENOUGH)]
    """Harmless roll-outs that it was learned from."""
    impact: MarginTable
    """For incidents with impact."""
    symptoms: MarginTable
    """For all incidents."""
    chatter: tuple[Label, ...] = ()
    """Classes of which restarts break more than their share, see docs/detection.md."""
    learned_from: tuple[Label, ...] = ()
    """Those roll-outs: ``KB5060531@17763 2025-06-10``."""
