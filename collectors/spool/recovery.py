"""Opening a spool that another life has left: what is whole is kept, in order and without a gap."""

import os
from collections.abc import Iterable
from pathlib import Path

from msgspec import DecodeError, Struct, msgpack

from collectors.spool.bundle import Priority
from collectors.spool.lanes import Lane
from collectors.spool.segments import (
    FILE_HEAD_BYTES,
    SUFFIX,
    Damaged,
    Segment,
    check_version,
    read_entry,
)
from collectors.spool.tally import Tally

_POSITIONS = msgpack.Decoder(dict[str, str])


class Recovered(Struct, frozen=True):
    """What was found."""

    lanes: dict[Priority, Lane]
    last_seq: int
    lost: int
    """Records that can't be read any more, as far as their heads can be trusted."""


class _Scan(Struct):
    """One file as it was read."""

    segment: Segment
    durable: int = 0
    sound: list[int] = []
    """Sequence numbers of the sound entries."""
    fresh: list[int] = []
    """Sequence numbers that no entry of the file calls durable."""
    behind: list[tuple[int, int]] = []
    """Sequence number and records of the entries behind the last sound one, as their heads say."""
    broken: bool = False
    """Whether it ends in something that is no entry."""
    sound_to: int | None = None
    """The last sequence number before the first damage that may matter; None: there is none."""

    def damaged(self) -> None:
        if self.sound_to is None:
            self.sound_to = self.segment.last_seq


def recover(folder: Path, segment_bytes: int, tally: Tally) -> Recovered:
    """Read a spool's folder; ``tally`` knows what of it is settled.

    A power cut may keep of what was not yet on the disk any part: of two files perhaps the later
    entry alone. So what was not yet durable is kept as far as its sequence has no gap, and cut off
    behind it: the sources read it again, for their positions come from what is kept. Damage in what
    was durable costs the damaged entries, and those behind them where lengths can't be trusted.
    What stands in the spool behind such damage is sent, but proves no more how far the sources were
    read: its positions count as none, and so what is gone is read again where logs still have it.

    Raises OSError, and KbwatchError for files of a newer version.
    """
    settled = tally.settled
    scans = {
        priority: [
            _scan(path, priority, settled)
            for path in sorted(folder.glob(f"{priority.name.lower()}-*{SUFFIX}"))
        ]
        for priority in Priority
    }
    every = [scan for lane in scans.values() for scan in lane]
    last_seq = durable = max([settled, tally.durable, *(scan.durable for scan in every)])
    fresh = {seq for scan in every for seq in scan.fresh}
    while last_seq + 1 in fresh:
        last_seq += 1
    tally.doubt(_sound_to(scans.values(), settled, last_seq), last_seq)
    lost = 0
    lanes = {}
    for priority, found in scans.items():
        lane = lanes[priority] = Lane(folder, priority, segment_bytes)
        for place, scan in enumerate(found):
            # What a crash has torn was not durable: it is read again, and not lost.
            lost += sum(records for seq, records in scan.behind if settled < seq <= durable)
            if scan.broken and place < len(found) - 1:
                lost += 1
            doubted = tally.doubtful and scan.segment.last_seq >= tally.doubtful.start
            if scan.segment.last_seq > last_seq or doubted:
                scan = _scan(scan.segment.path, priority, settled, last_seq, tally.doubtful)
            _mend(lane, scan.segment)
    return Recovered(lanes, last_seq, lost)


def _sound_to(lanes: Iterable[list[_Scan]], settled: int, last_seq: int) -> int:
    """The last sequence number before the first that damage has cost.

    Torn entries that were not durable cost none: ``last_seq`` stands before them.
    """
    sound_to = last_seq
    there: set[int] = set()
    for lane in lanes:
        there.update(seq for scan in lane for seq in scan.sound)
        before = settled
        for scan in lane:
            if scan.sound_to is not None:
                sound_to = min(sound_to, max(before, scan.sound_to))
                break
            before = max(before, scan.segment.last_seq)
    gone = (seq for seq in range(sound_to + 1, last_seq + 1) if seq not in there)
    return next(gone, last_seq + 1) - 1


def _mend(lane: Lane, segment: Segment) -> None:
    if not segment.open_entries:
        segment.delete()
        return
    if segment.size_bytes < segment.path.stat().st_size:
        segment.cut(segment.size_bytes)
        segment.close()
    lane.segments.append(segment)


def _scan(
    path: Path,
    priority: Priority,
    settled: int,
    last_seq: int | None = None,
    doubtful: range = range(0),
) -> _Scan:
    """Read one file, up to its last sound entry that is not behind ``last_seq``; without the
    positions of ``doubtful`` entries.
    """
    segment = Segment(path, priority)
    scan = _Scan(segment, sound=[], behind=[])
    with path.open("rb") as file:
        left_bytes = os.fstat(file.fileno()).st_size - FILE_HEAD_BYTES
        check_version(file, path)
        offset = FILE_HEAD_BYTES
        if left_bytes < 0:
            scan.sound_to = 0
        while left_bytes > 0:
            try:
                entry = read_entry(file, left_bytes)
            except Damaged:
                scan.broken = True
                scan.damaged()
                break
            left_bytes -= entry.size_bytes
            offset += entry.size_bytes
            if not entry.sound:
                scan.behind.append((entry.seq, entry.records))
                scan.damaged()
                continue
            if last_seq is not None and entry.seq > last_seq:
                break
            for seq, records in scan.behind:
                segment.add(seq, records, {})
            scan.behind.clear()
            if entry.seq > settled:
                positions = {} if entry.seq in doubtful else _positions(entry.positions)
                segment.add(entry.seq, entry.records, positions)
            else:
                scan.sound_to = None
            segment.last_seq = entry.seq
            segment.size_bytes = offset
            scan.durable = max(scan.durable, entry.durable)
            scan.sound.append(entry.seq)
    scan.fresh = [seq for seq in scan.sound if seq > scan.durable]
    segment.dirty = bool(scan.fresh)
    return scan


def _positions(raw: bytes) -> dict[str, str]:
    try:
        return _POSITIONS.decode(raw)
    except DecodeError:
        return {}
