"""A case's wealth over time, as far as the page draws it."""

from collections.abc import Sequence

from dashboards.noc.model import HISTORY_KEPT, WealthPoint
from schemas.verdicts import Verdict


class History:
    """The points of one case, oldest first, at most ``HISTORY_KEPT``.

    When there are too many, every second of the older half goes: what is recent stays whole.
    """

    def __init__(self) -> None:
        self._points: list[WealthPoint] = []

    def add(self, verdict: Verdict) -> None:
        """Take a verdict; one as of an instant that is known already replaces that point."""
        point = WealthPoint(
            t_ms=verdict.asof_ms,
            log_e=verdict.log_e,
            log_c=verdict.log_c,
            log_h=verdict.log_h,
            log_e_warn=verdict.log_e_warn,
            victims=verdict.victims,
            exposed=verdict.exposed,
        )
        while self._points and self._points[-1].t_ms >= point.t_ms:
            self._points.pop()  # what a detector that started anew says now is what holds
        self._points.append(point)
        self._thin()

    def recall(self, past: Sequence[WealthPoint]) -> None:
        """Put what somebody else remembers, oldest first, before what is known."""
        first_ms = self._points[0].t_ms if self._points else None
        known = [point for point in past if first_ms is None or point.t_ms < first_ms]
        self._points[:0] = known
        self._thin()

    def points(self) -> tuple[WealthPoint, ...]:
        """Oldest first."""
        return tuple(self._points)

    def _thin(self) -> None:
        while len(self._points) > HISTORY_KEPT:
            half = len(self._points) // 2
            self._points[:half] = self._points[:half:2]
