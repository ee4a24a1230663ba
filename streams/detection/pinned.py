"""Which margins a case is judged with: those that were valid before its first install.

Pinned by the case's start, and not by when they became known, so that a verdict stays a function
of the evidence and of the calibrations, however and whenever either came.
"""

from collections.abc import Iterable

from schemas.calibration import Calibration, MarginTable
from streams.detection.margins import Margins, Table, default_margins


class Calibrations:
    """The calibrations of all fleets. A case that none of them covers has the shipped default."""

    def __init__(self, calibrations: Iterable[Calibration] = ()) -> None:
        # Of two with one instant the name decides, so that their order does not.
        self._newest_first = sorted(
            calibrations, key=lambda c: (c.valid_from_ms, c.name), reverse=True
        )

    def at(self, fleet: str, started_ms: int) -> Margins:
        """The margins for a case of ``fleet`` whose first install was at ``started_ms``."""
        for calibration in self._newest_first:
            if calibration.fleet == fleet and calibration.valid_from_ms < started_ms:
                return margins_of(calibration)
        return default_margins()


def margins_of(calibration: Calibration) -> Margins:
    """A calibration as detection uses it."""
    return Margins(
        calibration.name,
        Table(calibration.impact.rho),
        Table(calibration.symptoms.rho),
        frozenset(calibration.chatter),
    )


def tables_of(margins: Margins) -> tuple[MarginTable, MarginTable]:
    """Learned margins as the contract carries them: those for impact, those for symptoms."""
    return MarginTable(margins.impact.rho), MarginTable(margins.symptoms.rho)
