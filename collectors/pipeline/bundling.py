"""Records → reports: of one node and one priority each, small enough, in the order of reading."""

from collections.abc import Iterator
from functools import lru_cache

from msgspec import Struct
from msgspec.structs import replace

from collectors.pipeline.fitting import HEADER_BYTES
from collectors.pipeline.limits import SUMMARY_PROVIDER
from collectors.pipeline.positions import Mark, Positions
from collectors.sources.selection import patch_or_boot
from collectors.spool.bundle import Bundle, Priority
from schemas.codec import MAX_MESSAGE_BYTES
from schemas.reports import Event, NodeReport, Record
from schemas.windows.tables import taxonomy

MAX_RECORDS = 200
_ERROR = 2
# Readers refuse reports with records from over a day after they were sent.
_FUTURE_MS = 23 * 3_600_000


def priority_of(record: Record) -> Priority:
    """What a full spool drops last, and what is never limited: ``Priority.KEEP``."""
    if not isinstance(record, Event) or _kept(record.provider[:256], record.id):
        return Priority.KEEP
    return Priority.FAILURE if 0 < record.level <= _ERROR else Priority.NOISE


@lru_cache(maxsize=4_096)
def _kept(provider: str, number: int) -> bool:
    short = taxonomy().short.get(provider.strip().casefold())
    if short == "failoverclustering" or provider == SUMMARY_PROVIDER:
        return True
    return patch_or_boot(Event(t_ms=0, channel="", provider=provider, id=number))


class _Batch(Struct):
    """A report that is being filled."""

    header: NodeReport
    priority: Priority
    opened_ms: int
    records: list[Record] = []
    marks: list[Mark] = []
    size_bytes: int = HEADER_BYTES


class Bundler:
    """Fills reports, and says with each how far the sources have been read by then.

    Law: the records of one node and priority leave in the order in which they were added.
    """

    def __init__(self, report_s: float, positions: Positions) -> None:
        self._wait_ms = int(report_s * 1000)
        self._positions = positions
        self._open: dict[tuple[str, Priority, bool], _Batch] = {}
        self._full: list[_Batch] = []

    def add(
        self, header: NodeReport, record: Record, size_bytes: int, mark: Mark, now_ms: int
    ) -> None:
        """Put a record in that holds ``mark`` and takes ``size_bytes`` encoded.

        A changed ``header`` begins a new report: each report belongs to one boot. So do records
        from the future: readers refuse the whole report, and shall refuse nothing else with them.
        """
        priority = priority_of(record)
        future = record.t_ms > now_ms + _FUTURE_MS
        key = header.node, priority, future
        batch = self._open.get(key)
        if batch is not None and (
            batch.header is not header or batch.size_bytes + size_bytes + 1 > MAX_MESSAGE_BYTES
        ):
            self._full.append(self._open.pop(key))
            batch = None
        if batch is None:
            batch = self._open[key] = _Batch(header, priority, now_ms)
        batch.records.append(record)
        batch.marks.append(mark)
        batch.size_bytes += size_bytes + 1
        if len(batch.records) == MAX_RECORDS:
            self._full.append(self._open.pop(key))

    def bundles(self, now_ms: int, force: bool) -> Iterator[Bundle]:
        """The reports that are full or whose oldest record has waited long enough."""
        # A clock that was set back makes nothing wait.
        due = [
            key
            for key, batch in self._open.items()
            if force or not 0 <= now_ms - batch.opened_ms < self._wait_ms
        ]
        batches = [*self._full, *(self._open.pop(key) for key in due)]
        self._full = []
        for batch in batches:
            for mark in batch.marks:
                mark.held -= 1
            report = replace(batch.header, records=batch.records)
            yield Bundle(report, batch.priority, self._positions.settled())
