"""The disk spool: everything that leaves this node goes through it."""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec import DecodeError, Struct, msgpack

from collectors.durable import FolderLock, sync_folder
from collectors.settings import SpoolSettings
from collectors.spool.bundle import Bundle, Priority
from collectors.spool.lanes import Batch, Lane
from collectors.spool.losses import Losses
from collectors.spool.packing import Packed, packed
from collectors.spool.progress import Progress
from collectors.spool.recovery import recover
from collectors.spool.segments import Segment, pack
from collectors.spool.tally import Tally
from schemas.errors import KbwatchError
from schemas.reports import NodeReport

_REPORT = msgpack.Decoder(NodeReport)


class SpoolFull(KbwatchError):
    """The disk refuses (full, broken): nothing of the call was kept; try again later."""


class Entry(Struct, frozen=True):
    """One spooled bundle."""

    seq: int
    bundle: Bundle
    size_bytes: int


class _Flight(Struct, frozen=True):
    segment: Segment
    records: int
    positions: dict[str, str]


class Spool:
    """Bundles on the disk, handed out in the order of their arrival, at least once each.

    Laws. An entry is handed out until ``done``; after a restart also those that were done while
    older ones were not. What was appended is on the disk ``fsync_s`` later (looked at in ``append``
    and ``take``) and when a segment is full: a power cut costs what is younger, and the sources
    read it again, since ``spooled`` and ``acked`` never run ahead of the disk. A crash of the
    process alone costs nothing that ``append`` returned for.

    A full spool gives up whole segments: what is acknowledged, then the oldest noise, then
    failures, then the rest, but never something to make room for what is worth less. What is given
    up is counted, also if it is just being sent. Memory: one entry per lane, some numbers per
    segment and per entry that is handed out. Not for several threads.
    """

    def __init__(
        self,
        folder: Path,
        settings: SpoolSettings,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open a folder, mending what a crash has left.

        Raises KbwatchError when the folder can't be used: not writable, in use, of a newer version.
        """
        self.trouble = ""
        """Why what was appended can't be put on the disk just now."""
        self._lock = FolderLock(folder)
        self._folder = folder
        self._settings = settings
        self._monotonic = monotonic
        try:
            self.losses = Losses(folder)
            self._tally = Tally(folder)
            try:
                found = recover(folder, settings.segment_bytes, self._tally)
                self._lanes = found.lanes
                self._flush()
                sync_folder(folder)
            except BaseException:
                self._tally.close()
                raise
        except OSError as error:
            self._lock.release()
            raise KbwatchError(f"{folder}: the spool can't be opened: {error.strerror}") from None
        except KbwatchError:
            self._lock.release()
            raise
        if found.lost:
            self._tally.lose(found.lost)
        self._last_seq = self._durable = found.last_seq
        self._settled = self._tally.settled
        self._flights: OrderedDict[int, _Flight] = OrderedDict()
        self._progress = Progress()
        self._carried: dict[str, str] = {}
        self._unsynced: dict[str, str] = {}
        self._unsynced_since: float | None = None
        newest = sorted(
            (placed, source)
            for segment in self._segments()
            for source, placed in segment.positions.items()
        )
        self._spooled = {source: position for (_, position), source in newest}
        self._synced(self._last_seq)
        self._advance()

    @property
    def acked(self) -> Mapping[str, str]:
        """Source → position up to which everything is acknowledged or was given up."""
        return self._progress.reached

    @property
    def spooled(self) -> Mapping[str, str]:
        """Source → newest position that is on the disk: where to go on after a restart."""
        return self._spooled

    @property
    def dropped(self) -> Counter[Priority]:
        """Records given up since the folder was made, because the spool was full."""
        return self._tally.dropped

    @property
    def lost(self) -> int:
        """Records that the disk has lost since the folder was made."""
        return self._tally.lost

    @property
    def depth(self) -> int:
        """Records that wait for an acknowledgement."""
        return sum(segment.open_records for segment in self._segments())

    @property
    def size_bytes(self) -> int:
        """What the segments take on the disk."""
        return sum(segment.size_bytes for segment in self._segments())

    def append(self, bundles: Sequence[Bundle]) -> None:
        """Keep bundles, in this order.

        Raises SpoolFull when the disk refuses; then nothing of the call is kept.
        """
        entries = [packed(bundle) for bundle in bundles]
        try:
            refused = self._make_room(entries)
            self._write(entries, refused)
        except OSError as error:
            raise self._refused(error) from None
        for bundle in (entries[place].bundle for place in sorted(refused)):
            self._tally.drop(bundle.priority, len(bundle.report.records))

    def take(self, limit: int, max_bytes: int | None = None) -> list[Entry]:
        """Up to ``limit`` entries that are not handed out, in the order of their arrival; from the
        second one on no more than fit into ``max_bytes`` (as stored).

        While the disk refuses (``trouble``) only what is on it already: the rest may yet be lost.
        """
        self._sync_if_due()
        entries: list[Entry] = []
        taken_bytes = 0
        while len(entries) < limit and (lane := self._next_lane()) is not None:
            head = lane.head(self._settled)
            if head is None or (self.trouble and head.seq > self._durable):
                break
            if entries and max_bytes is not None and taken_bytes + head.size_bytes > max_bytes:
                break
            taken_bytes += head.size_bytes
            popped = lane.pop()
            if popped is None:
                break
            stored, segment = popped
            try:
                report = _REPORT.decode(stored.report)
                positions = msgpack.decode(stored.positions, type=dict[str, str])
                if stored.seq in self._tally.doubtful:
                    positions = {}
            except (DecodeError, RecursionError):
                segment.settle(stored.seq, stored.records)
                lane.lost += stored.records
                continue
            self._flights[stored.seq] = _Flight(segment, stored.records, positions)
            bundle = Bundle(report, lane.priority, positions)
            entries.append(Entry(stored.seq, bundle, stored.size_bytes))
        return entries

    def done(self, seq: int) -> None:
        """The entry is acknowledged; nothing happens if it is not handed out."""
        flight = self._flights.pop(seq, None)
        if flight is None:
            return
        segment = flight.segment
        segment.settle(seq, flight.records)
        self._progress.note({source: (seq, at) for source, at in flight.positions.items()})
        lane = self._lanes[segment.priority]
        if not segment.open_entries and segment is not lane.segments[-1]:
            _remove(lane, segment)
        self._advance()

    def give_back(self) -> None:
        """What is handed out and not done will be handed out again."""
        self._flights.clear()
        for lane in self._lanes.values():
            lane.rewind()

    def sync(self) -> None:
        """Put everything on the disk now. Raises SpoolFull."""
        try:
            self._flush()
        except OSError as error:
            raise self._refused(error) from None
        self._synced(self._last_seq)

    def close(self) -> None:
        """Put everything on the disk and let go of the folder. Raises SpoolFull."""
        try:
            self.sync()
            for lane in self._lanes.values():
                if lane.segments and not lane.segments[-1].open_entries:
                    _remove(lane, lane.segments[-1])
        finally:
            for lane in self._lanes.values():
                lane.close()
            self._tally.close()
            self._lock.release()

    def _make_room(self, entries: list[Packed]) -> set[int]:
        """Give up what is worth less; return the places of those for which there is no room."""
        refused: set[int] = set()
        need_bytes = 0
        for place in sorted(range(len(entries)), key=lambda p: entries[p].bundle.priority):
            size_bytes = entries[place].size_bytes
            while self.size_bytes + need_bytes + size_bytes > self._settings.max_bytes:
                victim = self._victim(entries[place].bundle.priority)
                if victim is None:
                    refused.add(place)
                    break
                self._give_up(victim)
            else:
                need_bytes += size_bytes
        return refused

    def _victim(self, priority: Priority) -> Segment | None:
        """The segment to give up for something of ``priority``; one that costs nothing first."""
        for segment in self._segments():
            if not segment.open_entries:
                return segment
        flying = {id(flight.segment) for flight in self._flights.values()}
        for lane in reversed(self._lanes.values()):
            if lane.segments and lane.priority >= priority:
                waiting = (s for s in lane.segments if id(s) not in flying)
                return next(waiting, lane.segments[0])
        return None

    def _give_up(self, segment: Segment) -> None:
        # A gap in the sequence means loss to `recover`, unless it is known to have been durable.
        if segment.last_seq > self._durable:
            self._flush()
            self._synced(self._last_seq)
        for seq in [s for s, flight in self._flights.items() if flight.segment is segment]:
            del self._flights[seq]
        if segment.open_records:
            self._tally.drop(segment.priority, segment.open_records)
        self._progress.note(segment.positions)
        _remove(self._lanes[segment.priority], segment)
        self._advance()

    def _write(self, entries: list[Packed], refused: set[int]) -> None:
        """Write entries to their lanes: all of them or, raising OSError, none."""
        batch = Batch()
        added: list[tuple[Segment, int, dict[str, str]]] = []
        seq = self._last_seq
        carried = self._carried
        try:
            for place, one in enumerate(entries):
                positions = {**carried, **one.bundle.positions}
                if place in refused:
                    carried = positions
                    continue
                carried = {}
                seq += 1
                records = len(one.bundle.report.records)
                raw = pack(seq, self._durable, records, msgpack.encode(positions), one.report)
                segment = batch.write(self._lanes[one.bundle.priority], raw, seq)
                added.append((segment, records, positions))
            sync = batch.created or self._settings.fsync_s == 0 or self._sync_is_due()
            if sync:
                self._flush()
        except OSError:
            batch.undo()
            raise
        for segment, records, positions in added:
            self._last_seq += 1
            segment.add(self._last_seq, records, positions)
            self._unsynced.update(positions)
        self._carried = carried
        if sync:
            self._synced(self._last_seq)
        elif self._unsynced_since is None and added:
            self._unsynced_since = self._monotonic()

    def _next_lane(self) -> Lane | None:
        """The lane whose next entry is the oldest."""
        oldest: tuple[int, Lane] | None = None
        for lane in self._lanes.values():
            head = lane.head(self._settled)
            self._write_off(lane)
            if head is not None and (oldest is None or head.seq < oldest[0]):
                oldest = head.seq, lane
        return oldest[1] if oldest else None

    def _write_off(self, lane: Lane) -> None:
        """Count what of a lane can't be read; what is handed out may still be acknowledged."""
        if not lane.lost and not lane.damaged:
            return
        lost, lane.lost = lane.lost, 0
        for segment in lane.damaged:
            flying = [f.records for f in self._flights.values() if f.segment is segment]
            lost += segment.open_records - sum(flying)
            segment.open_entries, segment.open_records = len(flying), sum(flying)
        lane.damaged.clear()
        self._tally.lose(lost)
        for segment in [s for s in lane.segments[:-1] if not s.open_entries]:
            _remove(lane, segment)

    def _advance(self) -> None:
        """Move on what is settled without a gap."""
        lane = self._next_lane()
        head = lane.head(self._settled) if lane else None
        first_open = head.seq if head else self._last_seq + 1
        settled = min(first_open, next(iter(self._flights), first_open)) - 1
        if settled > self._settled:
            self._settled = settled
            self._tally.mark(settled, self._durable)
            self._progress.advance(settled)

    def _segments(self) -> Iterator[Segment]:
        for lane in self._lanes.values():
            yield from lane.segments

    def _sync_if_due(self) -> None:
        if not self._sync_is_due():
            return
        try:
            self.sync()
        except SpoolFull as error:
            self.trouble = str(error)

    def _sync_is_due(self) -> bool:
        since = self._unsynced_since
        return since is not None and self._monotonic() - since >= self._settings.fsync_s

    def _flush(self) -> None:
        """Put all segments and their names on the disk. Raises OSError."""
        named = False
        for lane in self._lanes.values():
            for segment in lane.segments:
                if segment.dirty:
                    named = named or segment.unnamed
                    segment.sync()
                    if segment is not lane.segments[-1]:
                        segment.close()
        if named:
            sync_folder(self._folder)
            for segment in self._segments():
                segment.unnamed = False

    def _synced(self, seq: int) -> None:
        self._durable = seq
        self.trouble = ""
        self._tally.mark(self._settled, seq)
        self._unsynced_since = None
        self._spooled.update(self._unsynced)
        self._unsynced.clear()

    def _refused(self, error: OSError) -> SpoolFull:
        return SpoolFull(
            f"{self._folder}: the spool can't be written: {error.strerror}; free some space there "
            "(reading stops until then, nothing is lost)"
        )


def _remove(lane: Lane, segment: Segment) -> None:
    # Windows refuses while somebody (a virus scanner) has the file open: it is then read, and sent,
    # once more after the next start.
    with suppress(OSError):
        lane.remove(segment)
