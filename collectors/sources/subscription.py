"""One channel's pull subscription: what state it is in, and what its log has lost.

opening → reading → waiting (for the signal) → reading …; any error → stale → (after a while)
opening. Where to begin is remembered here and not in Windows' handle, so a subscription may be
thrown away at any moment and made again. What the log has lost: record_ids.py.
"""

import re
from collections.abc import Callable, Sequence
from enum import Enum

from msgspec import Struct

from collectors.sources.record_ids import Ledger, Mark
from collectors.sources.selection import FORWARDED
from collectors.windows.api import EventLogApi, Fault, Handle, LogState, WindowsApiError
from schemas.codec import DecodeError
from schemas.reports import ChannelHealth, Event
from schemas.windows.event_xml import event_of

BATCH = 100
POLL_S = 30.0
"""A waiting subscription is asked this often even without a signal."""
REFRESH_S = 900.0
"""A subscription that gives nothing for so long while its log grows is made anew: one that
Windows has let die looks just like one whose query selects nothing (vectordotdev/vector#26117)."""
REFUSED_S = 60.0
"""The same where Windows calls the operation invalid, as dead and as drained ones do."""
ABSENT_S = 300.0
"""What may appear later (a channel, a right) is tried again after this."""
_BACK_OFF_S = (0.0, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
_MOMENTARY_FAILURES = 3
_NOTE_S = 300.0
_RECORD_ID = re.compile(r"""RecordId\s*=\s*['"](\d{1,19})['"]""")
_LATER = {Fault.CHANNEL_NOT_FOUND, Fault.DIRECT_CHANNEL, Fault.ACCESS_DENIED, Fault.INVALID_QUERY}
_BOOKMARK = {Fault.BOOKMARK_NOT_FOUND, Fault.BOOKMARK_INVALID}


class State(Enum):
    """Where a subscription stands."""

    OPENING = "opening"
    READING = "reading"
    WAITING = "waiting"
    STALE = "stale"


class Reading(Struct, frozen=True):
    """One event and what was lost before it; no event when nothing came behind the loss."""

    event: Event | None
    lost: int = 0


class Clocks(Struct, frozen=True):
    """The two clocks of a source."""

    now_ms: Callable[[], int]
    """Unix ms."""
    now_s: Callable[[], float]
    """Seconds of a clock that nobody sets."""


class PullSubscription:
    """Reads one channel. Laws:

    - Each event is given once, in the order of the log, until ``mark`` is handed to a new one; only
      what was read just when the log was made anew may come twice.
    - What the log has lost since the mark is given as a count, before what is behind the gap.
    - It never raises WindowsApiError and never waits; ``trouble`` says what is wrong.
    """

    def __init__(
        self,
        api: EventLogApi,
        channel: str,
        query: str,
        optional: bool,
        mark: Mark | None,
        since_ms: int,
        clocks: Clocks,
    ) -> None:
        """``since_ms``: what the first reading finds from before then is passed over."""
        self.channel = channel
        self.state = State.OPENING
        self.fault: Fault | None = None
        """What is wrong just now."""
        self.reason = ""
        """The same in words."""
        self.took = 0
        """How many events the last read took from the log, those passed over too."""
        self._ledger = Ledger(mark)
        self._api = api
        self._query = query
        self._optional = optional
        self._since_ms = since_ms
        self._live_ms = clocks.now_ms()
        self._clocks = clocks
        self._handle: Handle = None
        self._log: LogState | None = None
        self._skip_to = 0
        self._batch = BATCH
        self._failures = 0
        self._refused = False
        self._note = ""
        self._note_until_s = 0.0
        self._retry_s = 0.0
        self._asked_s = 0.0
        self._gave_s = 0.0
        self._gave_id = 0
        self._read_until_ms = max(since_ms, mark.t_ms if mark else 0)

    def is_local(self, event: Event) -> bool:
        """Whether this computer logged it itself, and not another one that forwards.

        What is forwarded names its channel as it likes: in ForwardedEvents nothing is local.
        """
        own = self.channel.casefold()
        return event.channel.casefold() == own != FORWARDED.casefold()

    @property
    def mark(self) -> Mark:
        """How far the channel was read."""
        return self._ledger.mark

    @property
    def trouble(self) -> str:
        """Why the channel can't be read just now; that an optional one is not there is none."""
        if self.fault is not None:
            if self.fault is Fault.CHANNEL_NOT_FOUND and self._optional:
                return ""
            # The same text as long as it lasts: a countdown would be news at every look.
            again = f", tried again every {ABSENT_S:.0f} s" if self.fault in _LATER else ""
            return f"{self.channel}: {self.reason}{again}"
        if self._log is not None and not self._log.enabled and not self._optional:
            return f"{self.channel}: the channel is disabled"
        return self._note if self._clocks.now_s() < self._note_until_s else ""

    @property
    def misses(self) -> bool:
        """Whether a channel that must be there can't be read, and not just for a moment."""
        if self._optional:
            return False
        if self.fault is not None:
            return self.fault in _LATER or self._failures >= _MOMENTARY_FAILURES
        return self._log is not None and not self._log.enabled

    def health(self) -> ChannelHealth | None:
        """How far it was read; None for an optional channel that is not there."""
        if self._log is None and self._optional and self.fault in (None, Fault.CHANNEL_NOT_FOUND):
            return None
        if self._log is not None and self.state is State.WAITING:
            return ChannelHealth(max(self.mark.examined, self._log.newest_id), 0)
        # What was never opened is as far behind as it will have to be read back.
        lag_s = max(self._clocks.now_ms() - self._read_until_ms, 0) // 1000
        return ChannelHealth(self.mark.examined, lag_s)

    def ready(self, signal: Handle) -> bool:
        """Whether ``read`` is worth a call: opens and re-opens when it is time to."""
        now_s = self._clocks.now_s()
        if self.state is State.STALE and now_s >= self._retry_s:
            self.state = State.OPENING
        if self.state is State.OPENING:
            self._open(signal)
        if self.state is State.WAITING and now_s - self._asked_s >= POLL_S:
            self.state = State.READING
        return self.state is State.READING

    def signalled(self) -> None:
        """There may be something to read."""
        if self.state is State.WAITING:
            self.state = State.READING

    def read(self, limit: int, timeout_ms: int) -> list[Reading]:
        """Up to ``limit`` (at least one) events; fewer, even none, don't mean that no more come."""
        self._asked_s = self._clocks.now_s()
        self.took = 0
        before = self._log
        handles: Sequence[Handle] = ()
        self._refused = False
        try:
            handles = self._api.next_events(self._handle, min(limit, self._batch), timeout_ms)
        except WindowsApiError as error:
            # Usually only a way to say that nothing is there (mhammond/pywin32#2377).
            self._refused = error.fault is Fault.INVALID_OPERATION
            if not self._refused:
                self._stale(error)
                return []
        self._failures = 0
        self.fault = None
        try:
            self._log = self._api.log_state(self.channel)
        except WindowsApiError:
            self._log = before  # what was read must not be lost for it
        self.took = len(handles)
        if self._log is not None and self._began_anew(self._log, handles):
            # What was read may be of the old log or the new one, which is read from its start.
            self.state = State.OPENING
            return self._of_any_log(handles)
        return self._events(handles) if handles else self._drained(before)

    def _began_anew(self, log: LogState, handles: Sequence[Handle]) -> bool:
        if self._ledger.renewed(log):
            return True
        if not handles or not self._ledger.suspects(log):
            return False
        read_already = 0 < self._bookmarked_id(handles[0]) <= self.mark.record_id
        if read_already:
            self._ledger.forget()
        return read_already

    def abandon(self) -> None:
        """Let go of the handle; ``ready`` opens again."""
        self._close()
        if self.state is not State.STALE:
            self.state = State.OPENING

    def _close(self) -> None:
        if self._handle is not None:
            self._api.close(self._handle)
            self._handle = None

    def _open(self, signal: Handle) -> None:
        self._close()
        try:
            log = self._api.log_state(self.channel)
            self._ledger.opened(log)
            self._subscribe(log, signal)
        except WindowsApiError as error:
            self._stale(error)
            return
        self._log = log
        self._gave_s = self._clocks.now_s()
        self._gave_id = log.newest_id
        self.state = State.READING

    def _subscribe(self, log: LogState, signal: Handle) -> None:
        bookmark = self.mark.bookmark
        self._skip_to = 0
        try:
            self._handle = self._api.subscribe(self.channel, self._query, bookmark, signal)
        except WindowsApiError as error:
            if error.fault not in _BOOKMARK:
                raise
            # From the oldest record, then, passing over what was read already.
            if self._ledger.suspects(log):
                self._ledger.forget()
            elif log.oldest_id <= self.mark.record_id <= log.newest_id:
                self._skip_to = self.mark.record_id
            self._handle = self._api.subscribe(self.channel, self._query, "", signal)

    def _events(self, handles: Sequence[Handle]) -> list[Reading]:
        out: list[Reading] = []
        newest: Handle = None
        for handle in handles:
            try:
                event = event_of(self._api.render(handle))
                record_id = self._record_id(handle, event)
            except (WindowsApiError, DecodeError) as error:
                self._unreadable(error)
                self._ledger.unreadable(self._bookmarked_id(handle), self._log)
                newest = handle
                continue
            if record_id <= self._skip_to and event.t_ms <= self.mark.t_ms:
                continue
            newest = handle
            self._ledger.took(record_id, event.t_ms, self._log)
            self._read_until_ms = event.t_ms
            if event.t_ms >= self._live_ms:
                self._ledger.live()
            elif self.mark.history and event.t_ms < self._since_ms:
                continue
            out.append(Reading(event, self._ledger.lost()))
        if newest is not None:
            self._set_bookmark(newest)
            self._gave_s = self._clocks.now_s()
            self._gave_id = self.mark.record_id
        return out + self._loss()

    def _of_any_log(self, handles: Sequence[Handle]) -> list[Reading]:
        out = []
        for handle in handles:
            try:
                out.append(Reading(event_of(self._api.render(handle))))
            except (WindowsApiError, DecodeError) as error:
                self._unreadable(error)
                out.append(Reading(None, 1))
        return out

    def _loss(self) -> list[Reading]:
        lost = self._ledger.lost()
        return [Reading(None, lost)] if lost else []

    def _set_bookmark(self, event: Handle) -> None:
        try:
            self._ledger.bookmarked(self._api.bookmark(event))
        except WindowsApiError as error:
            # The older bookmark stays: events may come twice, but not be missed.
            self._unreadable(error)

    def _record_id(self, handle: Handle, event: Event) -> int:
        """The event's id in the log that is read; a forwarded event names the one of its origin."""
        if self.is_local(event):
            return event.record_id
        return self._bookmarked_id(handle) or self.mark.examined + 1

    def _bookmarked_id(self, handle: Handle) -> int:
        """The id that a bookmark at the event bears; 0 when there is no telling."""
        try:
            found = _RECORD_ID.search(self._api.bookmark(handle))
        except WindowsApiError:
            return 0
        return int(found[1]) if found else 0

    def _drained(self, before: LogState | None) -> list[Reading]:
        self.state = State.WAITING
        self._batch = BATCH
        self._read_until_ms = self._clocks.now_ms()
        log = self._log
        if log is None:
            return []
        self._ledger.drained(before, log)
        if self._should_refresh(log):
            self.state = State.OPENING
        return self._loss()

    def _should_refresh(self, log: LogState) -> bool:
        silent_s = self._clocks.now_s() - self._gave_s
        if self._ledger.suspects(log):
            return silent_s >= REFUSED_S  # the bookmark will tell
        grown = log.newest_id > self._gave_id
        return grown and silent_s >= (REFUSED_S if self._refused else REFRESH_S)

    def _stale(self, error: WindowsApiError) -> None:
        self._close()
        self.state = State.STALE
        self.fault = error.fault
        self.reason = str(error)
        if error.fault is Fault.TOO_LARGE:
            self._batch = max(self._batch // 2, 1)
        wait_s = _BACK_OFF_S[min(self._failures, len(_BACK_OFF_S) - 1)]
        self._failures += 1
        self._retry_s = self._clocks.now_s() + (ABSENT_S if error.fault in _LATER else wait_s)

    def _unreadable(self, error: Exception) -> None:
        self._note = f"{self.channel}: an event could not be read: {error}"
        self._note_until_s = self._clocks.now_s() + _NOTE_S
