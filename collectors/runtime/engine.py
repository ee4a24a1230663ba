"""One run with settings that don't change: sources → spool → Kafka → bookmark.

Laws, whatever fails and whenever it is killed:

- Everything that a source gave is in the spool before anything behind it is read away; what is in
  the spool leaves it by Kafka's acknowledgement alone (or, when it is full, counted).
- The bookmark is never ahead of an acknowledgement: it is what the spool says is acknowledged.
- What was lost is counted on the disk before its place is passed, and told by every heartbeat
  from then on; one goes out at the end, too.
- While the spool can't be written nothing is read; it is tried again every second.
- Each source is read by a thread of its own; one in trouble never stops the others.
- Durations are those of a clock that nobody sets; the wall clock only stamps what is sent.

The spool, the pipeline, the shipper and the bookmarks belong to the thread that calls ``step``.
"""

import queue
import time
from collections import Counter
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from collectors.log import Log
from collectors.pipeline.pipeline import Pipeline
from collectors.runtime.status import SourceStatus, Status
from collectors.settings import Settings
from collectors.shipping.outbox import Outbox, Shipping
from collectors.sources.reader import Batch, Reader
from collectors.sources.source import Source
from collectors.spool.bookmark import Bookmarks
from collectors.spool.bundle import Bundle
from collectors.spool.spool import Spool
from schemas.errors import KbwatchError

_JOIN_S = 3.0
_LAST_ACKS_S = 3.0
_BATCHES_WAITING = 2
_IDLE_S = 0.2
_ACKS_S = 0.05
_RETRY_SPOOL_S = 1.0

_log = Log("collector")


class Engine:
    """Runs the sources of one collector until it is told to stop."""

    def __init__(
        self,
        settings: Settings,
        sources: Sequence[Source],
        pipeline: Pipeline,
        spool: Spool,
        shipper: Shipping,
        bookmarks: Bookmarks,
        now_s: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """Raises KbwatchError when the bookmarks may not be read."""
        self._schedule = settings.schedule
        self._pipeline = pipeline
        self._spool = spool
        self._outbox = Outbox(spool, shipper, bookmarks, now_s)
        self._now_s = now_s
        self._now_ms = now_ms
        self._batches: queue.Queue[Batch] = queue.Queue(_BATCHES_WAITING)
        begin = {**bookmarks.load(), **spool.spooled}
        if bookmarks.trouble:
            _log.warning("bookmarks", trouble=bookmarks.trouble)
        self._readers = [
            Reader(source, begin.get(source.name), self._batches, now_s) for source in sources
        ]
        self._unspooled: list[Bundle] = []
        self._next_heartbeat_s = now_s()
        self._next_spool_try_s = now_s()
        self._spool_trouble = ""
        self._items: Counter[str] = Counter()
        self._refused = 0
        self._said = False
        self._records = 0
        self._spooled = 0

    def drained(self) -> bool:
        """Whether every source has given what it has and Kafka has acknowledged all of it."""
        # In this order: a reader is exhausted only after it has handed over what it read.
        read_out = all(reader.exhausted for reader in self._readers) and self._batches.empty()
        if read_out and not self._unspooled:
            self._spool_all()
        return read_out and not self._unspooled and not self._spool.depth

    def start(self) -> None:
        """Begin to read."""
        for reader in self._readers:
            reader.start()

    def step(self) -> None:
        """Do what there is to do; waits a fifth of a second when there is nothing."""
        busy = self._outbox.in_flight > 0
        if self._unspooled:
            self._try_spool_again()
        else:
            self._take(wait_s=0.0 if busy else _IDLE_S)
            self._beat()
            self._to_spool(self._pipeline.bundles(self._now_ms()))
        self._outbox.ship(_ACKS_S if busy else 0.0)
        self._outbox.save()

    def stop(self) -> None:
        """End within eight seconds: what was read is spooled, acknowledgements noted."""
        for reader in self._readers:
            reader.ask_to_stop()
        end_s = self._now_s() + _JOIN_S
        for reader in self._readers:
            if not reader.join(max(0.0, end_s - self._now_s())):
                _log.warning("is left behind: it does not answer", about=reader.name)
        self._to_spool(self._unspooled)
        while not self._unspooled and not self._batches.empty():
            self._take(wait_s=0.0)
        if not self._unspooled:
            self._spool_all()
        self._outbox.close(_LAST_ACKS_S)
        try:
            self._spool.close()
        except KbwatchError as error:
            _log.warning("the spool can't be closed in good order", error=error)

    def status(self, of: Status) -> Status:
        """``of`` with what only the engine knows."""
        return replace(
            of,
            sources={
                reader.name: SourceStatus(
                    trouble=reader.trouble,
                    delivers=reader.delivers,
                    misses=reader.misses,
                    items=self._items[reader.name],
                    lost=self._spool.losses.lost[reader.name],
                    channels=dict(reader.channels),
                )
                for reader in self._readers
            },
            records=self._records,
            reports_spooled=self._spooled,
            reports_acked=self._outbox.acked,
            spool_depth=self._spool.depth,
            spool_bytes=self._spool.size_bytes,
            dropped=sum(self._spool.dropped.values()),
            spool_lost=self._spool.lost,
            last_ack_age_s=self._outbox.last_ack_age_s,
            waiting_s=self._outbox.waiting_s,
            refused=self._spool.losses.refused,
            broker_trouble=self._outbox.broker_trouble,
            spool_trouble=self._spool_trouble or self._outbox.trouble,
        )

    def _take(self, wait_s: float) -> None:
        try:
            batch = self._batches.get(timeout=wait_s) if wait_s else self._batches.get_nowait()
        except queue.Empty:
            return
        self._items[batch.source] += len(batch.items)
        self._records += sum(len(item.records) for item in batch.items)
        self._spool.losses.lose(batch.source, sum(item.lost for item in batch.items))
        self._said = False
        self._pipeline.take(batch.source, batch.items, self._now_ms())

    def _spool_all(self) -> None:
        """What the pipeline has, and a last heartbeat, if there was anything since the last."""
        if not self._said:
            self._say()
        self._to_spool(self._pipeline.bundles(self._now_ms(), force=True))

    def _beat(self) -> None:
        if self._now_s() < self._next_heartbeat_s:
            return
        self._next_heartbeat_s = self._now_s() + self._schedule.heartbeat_s
        self._say()

    def _say(self) -> None:
        self._said = True
        self._count_refused()
        losses = self._spool.losses
        channels = {n: c for reader in self._readers for n, c in reader.channels.items()}
        self._pipeline.heartbeat(
            self._now_ms(),
            channels,
            lost=losses.lost.total() + self._spool.lost,
            dropped=self._spool.dropped.total() + losses.refused,
            depth=self._spool.depth,
        )

    def _count_refused(self) -> None:
        refused = self._pipeline.refused
        self._spool.losses.refuse(refused - self._refused)
        self._refused = refused

    def _try_spool_again(self) -> None:
        if self._now_s() >= self._next_spool_try_s:
            self._to_spool(self._unspooled)
        if self._unspooled and not self._outbox.in_flight:
            time.sleep(_IDLE_S)

    def _to_spool(self, bundles: list[Bundle]) -> None:
        if not bundles:
            return
        # Their positions are behind what was lost.
        self._count_refused()
        self._spool.losses.save()
        try:
            self._spool.append(bundles)
        except KbwatchError as error:
            self._unspooled = bundles
            self._next_spool_try_s = self._now_s() + _RETRY_SPOOL_S
            if not self._spool_trouble:
                _log.warning("the spool can't be written, reading stands still", error=error)
            self._spool_trouble = str(error)
            return
        if self._spool_trouble:
            _log.info("the spool is written again")
        self._spool_trouble = ""
        self._unspooled = []
        self._spooled += len(bundles)
