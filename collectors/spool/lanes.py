"""One lane of the spool: the segments of one priority, written at one end and read at the other."""

from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from collectors.spool.bundle import Priority
from collectors.spool.segments import FILE_HEAD_BYTES, Damaged, Segment, Stored, read_entry

_READ_BYTES = 128 * 1024


class Lane:
    """Segments of one priority, oldest first. Sequence numbers in a lane only rise.

    No more than one entry, the next to hand out, is kept in memory.
    """

    def __init__(self, folder: Path, priority: Priority, segment_bytes: int) -> None:
        self.priority = priority
        self.segments: list[Segment] = []
        self.damaged: list[Segment] = []
        """Segments that can't be read any further; whoever deals with them empties the list."""
        self.lost = 0
        """Records that could not be read; whoever counts them sets it to 0 again."""
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._index = 0
        self._offset = FILE_HEAD_BYTES
        self._file: BinaryIO | None = None
        self._head: tuple[Stored, Segment] | None = None

    def writable(self, size_bytes: int, seq: int) -> tuple[Segment, bool]:
        """The segment for an entry of ``size_bytes``, and whether it is a new one. OSError."""
        if self.segments:
            newest = self.segments[-1]
            empty = newest.size_bytes == FILE_HEAD_BYTES
            if empty or newest.size_bytes + size_bytes <= self._segment_bytes:
                return newest, False
        segment = Segment.create(self._folder, self.priority, seq)
        self.segments.append(segment)
        return segment, True

    def head(self, settled: int) -> Stored | None:
        """The next entry to hand out; entries up to ``settled`` are passed over."""
        while self._head is None and self._index < len(self.segments):
            segment = self.segments[self._index]
            if self._offset < segment.size_bytes:
                self._step(segment, settled)
            elif self._index + 1 < len(self.segments):
                self._enter(self._index + 1)
            else:
                return None
        return self._head[0] if self._head is not None else None

    def pop(self) -> tuple[Stored, Segment] | None:
        """Hand out what ``head`` returned."""
        popped, self._head = self._head, None
        return popped

    def rewind(self) -> None:
        """Read again from the oldest segment: what is settled will be passed over."""
        self._enter(0)
        self._head = None

    def remove(self, segment: Segment) -> None:
        """Delete a segment. Raises OSError when the file could not be deleted."""
        place = self.segments.index(segment)
        if self._head is not None and self._head[1] is segment:
            self._head = None
        del self.segments[place]
        if place < self._index:
            self._index -= 1
        elif place == self._index:
            self._enter(place)
        segment.delete()

    def close(self) -> None:
        """Let go of all files."""
        self._enter(0)
        for segment in self.segments:
            segment.close()

    def _enter(self, index: int) -> None:
        if self._file is not None:
            self._file.close()
        self._file = None
        self._index, self._offset = index, FILE_HEAD_BYTES

    def _step(self, segment: Segment, settled: int) -> None:
        try:
            if self._file is None:
                self._file = segment.path.open("rb", buffering=_READ_BYTES)
                self._file.seek(self._offset)
            entry = read_entry(self._file, segment.size_bytes - self._offset)
        except (Damaged, OSError):
            self._offset = segment.size_bytes
            self.damaged.append(segment)
            return
        self._offset += entry.size_bytes
        if entry.seq <= settled or entry.seq in segment.settled:
            return
        if entry.sound:
            self._head = (entry, segment)
        else:
            records = min(entry.records, segment.open_records)
            self.lost += records
            segment.settle(entry.seq, records)


class Batch:
    """Entries for several lanes of which, in the end, either all are there or none."""

    def __init__(self) -> None:
        self.created: list[tuple[Lane, Segment]] = []
        """New segments."""
        self._grown: dict[Segment, int] = {}

    def write(self, lane: Lane, raw: bytes, seq: int) -> Segment:
        """Append one entry. Raises OSError; ``undo`` is then due."""
        segment, is_new = lane.writable(len(raw), seq)
        if is_new:
            self.created.append((lane, segment))
        elif segment not in self._grown:
            self._grown[segment] = segment.size_bytes
        segment.write(raw)
        return segment

    def undo(self) -> None:
        """Take everything back, as far as a failing disk lets us."""
        for lane, segment in self.created:
            lane.segments.remove(segment)
            with suppress(OSError):
                segment.delete()
        for segment, size_bytes in self._grown.items():
            with suppress(OSError):
                segment.cut(size_bytes)
