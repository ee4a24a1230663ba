"""From the spool to Kafka, and from its acknowledgements to the bookmark."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from collectors.log import Log
from collectors.spool.bookmark import Bookmarks
from collectors.spool.spool import Entry, Spool
from schemas.errors import KbwatchError

_ENTRIES_AT_A_TIME = 32
_ACKS_S = 0.05
_SAVE_EVERY_S = 1.0

_log = Log("outbox")


class Shipping(Protocol):
    """What is needed of a shipper (collectors/shipping/shipper.py)."""

    @property
    def trouble(self) -> str:
        """Why nothing is acknowledged just now; empty: all is well."""

    @property
    def refused(self) -> int:
        """Records that Kafka will never take; they count as acknowledged."""

    @property
    def room_bytes(self) -> int:
        """How much may be submitted now; 0: there is no connection, or too much is in flight."""

    def submit(self, entry: Entry) -> bool:
        """Begin to send; False: not now."""

    def poll(self, timeout_s: float) -> tuple[Sequence[int], Sequence[int]]:
        """The sequence numbers that were acknowledged, and those to be submitted again."""

    def close(self, timeout_s: float) -> None:
        """Disconnect; what is not acknowledged by then stays in the spool."""


class Outbox:
    """Sends what the spool hands out, in its order, and again what failed.

    Laws: the bookmark is what the spool says is acknowledged, saved at most once a second. No more
    is held in memory than the shipper takes, and nothing while there is no connection.
    """

    def __init__(
        self, spool: Spool, shipper: Shipping, bookmarks: Bookmarks, now_s: Callable[[], float]
    ) -> None:
        self._spool = spool
        self._shipper = shipper
        self._bookmarks = bookmarks
        self._now_s = now_s
        self._ready: deque[Entry] = deque()
        self._submitted: set[int] = set()
        self._next_save_s = now_s()
        self._last_ack_s: float | None = None
        self._waiting_since_s: float | None = None
        self._said_trouble = False
        self._save_trouble = ""
        self._refused = shipper.refused
        self.acked = 0
        """Reports that Kafka has acknowledged."""

    @property
    def trouble(self) -> str:
        """Why the spool or the bookmarks can't be put on the disk."""
        return self._spool.trouble or self._save_trouble

    @property
    def in_flight(self) -> int:
        """Reports that wait for their acknowledgement."""
        return len(self._submitted)

    @property
    def broker_trouble(self) -> str:
        """Why nothing is acknowledged just now."""
        return self._shipper.trouble

    @property
    def last_ack_age_s(self) -> float | None:
        """Since Kafka's last answer; None: there was none."""
        return None if self._last_ack_s is None else self._now_s() - self._last_ack_s

    @property
    def waiting_s(self) -> float:
        """For how long something has waited without any answer."""
        return 0.0 if self._waiting_since_s is None else self._now_s() - self._waiting_since_s

    def ship(self, wait_s: float) -> None:
        """Submit some reports and note what became of others, waiting at most ``wait_s`` for it."""
        # Not all there are: acknowledgements must be noted as they come.
        for _ in range(_ENTRIES_AT_A_TIME):
            if not self._ready:
                self._ready.extend(self._taken())
            if not self._ready or not self._shipper.submit(self._ready[0]):
                break
            self._submitted.add(self._ready.popleft().seq)
        acked, failed = self._shipper.poll(wait_s)
        self._note_trouble(bool(acked))
        self._count_refused()
        for seq in acked:
            self._submitted.discard(seq)
            self._spool.done(seq)
        if failed:
            # Its order is kept when all that is behind it is handed out again too.
            self._submitted.clear()
            self._ready.clear()
            self._spool.give_back()
        if acked:
            self.acked += len(acked)
            self._last_ack_s = self._waiting_since_s = self._now_s()
        if not self._spool.depth:
            self._waiting_since_s = None
        elif self._waiting_since_s is None:
            self._waiting_since_s = self._now_s()

    def save(self, now: bool = False) -> None:
        """Save the bookmarks if it is time, or ``now``."""
        if not now and self._now_s() < self._next_save_s:
            return
        self._next_save_s = self._now_s() + _SAVE_EVERY_S
        if not self._spool.acked:
            return
        try:
            self._bookmarks.save(self._spool.acked)
        except KbwatchError as error:
            if not self._save_trouble:
                _log.warning("bookmarks can't be saved", error=error)
            self._save_trouble = str(error)
        else:
            self._save_trouble = ""

    def close(self, timeout_s: float) -> None:
        """Disconnect, after ``timeout_s`` for last acknowledgements if Kafka answers at all."""
        end_s = self._now_s() + timeout_s
        while self._spool.depth and not self._shipper.trouble and self._now_s() < end_s:
            self.ship(_ACKS_S)
        self._shipper.close(0.0)
        self.ship(0.0)
        self.save(now=True)

    def _count_refused(self) -> None:
        """They count as acknowledged: before the spool forgets them they must be counted."""
        refused = self._shipper.refused
        self._spool.losses.refuse(refused - self._refused)
        self._refused = refused
        self._spool.losses.save()

    def _note_trouble(self, answered: bool) -> None:
        trouble = self._shipper.trouble
        if trouble and not self._said_trouble:
            _log.warning("Kafka takes nothing, the spool does", trouble=trouble)
            self._said_trouble = True
        elif answered and not trouble and self._said_trouble:
            _log.info("Kafka takes reports again")
            self._said_trouble = False

    def _taken(self) -> list[Entry]:
        room_bytes = self._shipper.room_bytes
        if not room_bytes:
            return []
        entries = self._spool.take(_ENTRIES_AT_A_TIME, room_bytes)
        if self._spool.trouble:
            _log.warning("the spool can't be synced", error=self._spool.trouble)
        return entries
