"""How far a channel was read and what its log has lost, by record ids; pure.

A query skips ids, so a gap between two events says nothing. But every record up to
``Mark.examined`` has been matched against the query, and what lies between that and the oldest
record of the log can't be read any more. Ids go on counting when a log is cleared, and begin at 1
again when its file is made again.
"""

from msgspec import Struct
from msgspec.structs import replace

from collectors.windows.api import LogState
from schemas.reports import Count, TimeMs

_MAX_REMADE = 20


class Mark(Struct, frozen=True, omit_defaults=True):
    """How far a channel has been read; what is kept of it between two runs."""

    bookmark: str = ""
    """Windows' bookmark at the newest event that was read; empty before the first."""
    record_id: Count = 0
    """That event's record id in this log."""
    t_ms: TimeMs = 0
    """That event's time."""
    examined: Count = 0
    """Every record up to this id has been matched against the query."""
    created_ms: int = 0
    """When the log file was made."""
    history: bool = True
    """The end of the log has not been reached since the first start."""


class Ledger:
    """Keeps one channel's mark.

    Law: every id is examined or counted as lost. In doubt, when a log is cleared within a minute of
    being read to its end, it is counted.
    """

    def __init__(self, mark: Mark | None) -> None:
        """``mark``: where the run before stood; None at the first start."""
        self.mark = mark or Mark()
        self._first = mark is None
        self._remade = 0
        self._lost = 0

    def opened(self, log: LogState) -> None:
        """The log as it was just before a subscription was made."""
        if self._first:
            self.mark = Mark(examined=max(log.oldest_id - 1, 0), created_ms=log.created_ms)
            self._first = False
        else:
            self.renewed(log)

    def renewed(self, log: LogState) -> bool:
        """Whether the log's file was made again, and is to be read from its oldest record.

        To be asked after each look at the log, before what was read is taken. An empty log can't
        tell: it is asked again when there is something in it. A time that keeps changing is not
        believed: it would have the log read for ever.
        """
        mark = self.mark
        if not log.newest_id:
            return False
        changed = bool(log.created_ms) and mark.created_ms not in (0, log.created_ms)
        self.mark = replace(mark, created_ms=log.created_ms)
        if not changed or self._remade == _MAX_REMADE:
            return False
        self._remade += 1
        # A log that was only cleared goes on counting: its oldest record is newer than all we know.
        if self.suspects(log) or log.oldest_id <= mark.examined:
            self.forget()
        return True

    def suspects(self, log: LogState) -> bool:
        """Whether the log seems to end before what was read of it.

        Ids may have begun anew, or its number of records lags behind: more is needed to tell, such
        as a bookmark that is not found or an event whose id was read already.
        """
        return 0 < log.newest_id < max(self.mark.record_id, self.mark.examined)

    def forget(self) -> None:
        """Ids have begun anew: nothing of this log was read."""
        self.mark = Mark(created_ms=self.mark.created_ms, history=self.mark.history)

    def took(self, record_id: int, t_ms: int, log: LogState | None) -> None:
        """An event was read; ``log``: as it was after that."""
        self._examined(record_id, log)
        newest_id = max(self.mark.record_id, record_id)
        self.mark = replace(self.mark, record_id=newest_id, t_ms=t_ms)

    def drained(self, before: LogState | None, log: LogState) -> None:
        """Nothing more was there, between two looks at the log."""
        self._gone_before(log.oldest_id)
        # What was there at both looks has been matched, if nobody has cleared the log between them.
        same = before is not None and before.created_ms == log.created_ms
        known = before.newest_id if before and same and before.newest_id <= log.newest_id else 0
        examined = max(self.mark.examined, log.oldest_id - 1, known)
        self.mark = replace(self.mark, examined=examined, history=False)

    def unreadable(self, record_id: int, log: LogState | None) -> None:
        """An event was there and could not be read; ``record_id`` 0: nor which one it was."""
        self._examined(record_id, log)
        self._lost += 1

    def lost(self) -> int:
        """What was lost since this was last asked."""
        lost, self._lost = self._lost, 0
        return lost

    def bookmarked(self, bookmark: str) -> None:
        """A bookmark at the newest event."""
        self.mark = replace(self.mark, bookmark=bookmark)

    def live(self) -> None:
        """The history has been read."""
        self.mark = replace(self.mark, history=False)

    def _examined(self, record_id: int, log: LogState | None) -> None:
        if log is not None:
            self._gone_before(min(log.oldest_id, record_id))
        self.mark = replace(self.mark, examined=max(self.mark.examined, record_id))

    def _gone_before(self, record_id: int) -> None:
        self._lost += max(record_id - 1 - self.mark.examined, 0)
