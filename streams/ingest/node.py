"""One node of a shipper's stream: its events in, records out."""

from copy import copy

import msgspec
from msgspec import Struct

from schemas.codec import DecodeError
from schemas.inventory import InventoryNode
from schemas.inventory_facts import InventoryFacts
from schemas.reports import Boot, ChannelHealth, Event, Heartbeat, Name, NodeReport, Record
from schemas.windows.records import RecordReader

RECORD_BYTES = 384 * 1024
"""Largest record, and what a report's records may come to: its header must fit beside them."""
REPORT_RECORDS = 200
UNKNOWN_SITE = "unknown"
COLLECTOR = "ingest"

_MAX_CHANNELS = 64
"""A shipper reads some channels; a hostile one may name any number."""
_MAX_KBS = 1_000
_STRANGER_CHANNELS = 16
_STRANGER_KBS = 64
"""Of a node that the inventory does not know, less is held: anybody may invent any number."""
_RECORD = msgspec.json.Decoder(Record)


class Sized(Struct, frozen=True):
    """A record that every reader takes, and its size in bytes."""

    record: Record
    size: int


class Node:
    """What is remembered of a node between batches, and its records of this batch.

    All of it is lost at a restart, and verdicts don't change: detection uses neither a boot's
    ``clean`` nor a patch state's ``build`` (for the store the branch comes back with the inventory
    or the next boot); facts and heartbeats are sent anew, and twice is as good as once. One thing
    remains: if the worker ends in the seconds between Servicing 1 and 2 of a superseded package
    being cleaned away, 2 looks like an uninstall, which ends the exposure to a KB without a build.
    """

    def __init__(self, fleet: str, name: str, entry: InventoryNode | None) -> None:
        """A node that nothing was heard of; raises DecodeError when its name can be no key."""
        try:
            msgspec.convert(name, Name)
        except msgspec.ValidationError as error:
            raise DecodeError("invalid", f"computer {name!r}: {error}") from None
        self.fleet = fleet
        self.name = name
        self.entry = entry
        self._reader = RecordReader(entry.branch if entry else "", as_logged=False)
        self._pending: list[Sized] = []
        self._newest_ms = 0
        self._boot: Boot | None = None
        self._heads: dict[str, ChannelHealth] = {}
        self._beat_ms: int | None = None
        self._facts = InventoryFacts()

    def take(
        self, event: Event, entry: InventoryNode | None, latest_ms: int, heartbeat_s: int
    ) -> None:
        """Keep the records of an event for the next report, and a heartbeat if one is due.

        ``entry`` is what the inventory knows of the node now. Raises DecodeError for what no report
        may contain, ``future`` when it is later than ``latest_ms``; nothing has changed then.
        """
        reader = copy(self._reader)
        reader.max_cleaned_up = _MAX_KBS if entry else _STRANGER_KBS
        records = [_sized(record) for record in reader.records_of(event)]
        if not isinstance(records[0].record, Event):
            _sized(event)  # its channel is told in heartbeats
        for t_ms in (event.t_ms, records[0].record.t_ms):
            if t_ms > latest_ms:
                raise DecodeError("future", f"{t_ms} ms is over a day from now")
        self._reader = reader
        self.entry = entry
        self._pending += records
        self._newest_ms = max(self._newest_ms, event.t_ms)
        for sized in records:
            record = sized.record
            if isinstance(record, Boot) and (self._boot is None or record.t_ms > self._boot.t_ms):
                self._boot = record
        most = _MAX_CHANNELS if entry else _STRANGER_CHANNELS
        if event.channel in self._heads or len(self._heads) < most:
            self._heads[event.channel] = ChannelHealth(newest_record_id=event.record_id)
        last = self._beat_ms
        # Also where a log is read back after newer events: each part of it is a sighting.
        if heartbeat_s and (last is None or abs(event.t_ms - last) * 3 >= heartbeat_s * 1000):
            self._beat_ms = event.t_ms
            self._pending.append(_sized(Heartbeat(t_ms=event.t_ms, channels=dict(self._heads))))

    def reports(self, sent_ms: int, heartbeat_s: int) -> list[NodeReport]:
        """What came since the last call, in order, in reports that every reader takes."""
        # Of a node that the inventory does not know there is nothing to say, and what another
        # sender says must stand.
        if self.entry is not None:
            branch = self._boot.build.partition(".")[0] if self._boot else ""
            facts = self._facts.due(self.entry, self._newest_ms, branch)
            if facts is not None:
                self._pending.append(_sized(facts))
        parts: list[list[Record]] = [[]]
        room = RECORD_BYTES
        for sized in self._pending:
            if parts[-1] and (sized.size > room or len(parts[-1]) >= REPORT_RECORDS):
                parts.append([])
                room = RECORD_BYTES
            parts[-1].append(sized.record)
            room -= sized.size
        self._pending = []
        return [self._report(records, sent_ms, heartbeat_s) for records in parts if records]

    def _report(self, records: list[Record], sent_ms: int, heartbeat_s: int) -> NodeReport:
        entry = self.entry
        return NodeReport(
            v=1,
            fleet=self.fleet,
            node=self.name,
            domain=entry.domain if entry else self.name,
            site=entry.site if entry else UNKNOWN_SITE,
            sent_ms=sent_ms,
            records=records,
            boot_ms=self._boot.t_ms if self._boot else 0,
            heartbeat_s=heartbeat_s,
            collector=COLLECTOR,
        )


def _sized(record: Record) -> Sized:
    try:
        raw = msgspec.json.encode(record)
        if len(raw) > RECORD_BYTES:
            raise DecodeError("oversized", f"an event of {len(raw)} bytes, at most {RECORD_BYTES}")
        _RECORD.decode(raw)
    except (msgspec.MsgspecError, UnicodeEncodeError, OverflowError) as error:
        raise DecodeError("invalid", f"no record of a report: {error}") from None
    return Sized(record, len(raw))
