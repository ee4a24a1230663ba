"""What a spool remembers beside its entries: how far it is settled, and what was given up."""

import struct
from collections import Counter
from contextlib import suppress
from io import FileIO
from pathlib import Path
from zlib import crc32

import msgspec
from msgspec import Struct

from collectors.durable import replace_file
from collectors.spool.bundle import Priority

_MARKS = struct.Struct(">QQI")


class _File(Struct, frozen=True):
    dropped: dict[str, int]
    lost: int
    doubtful: tuple[int, int] = (0, 0)


class Tally:
    """Two small files. Neither is worth an error: what they lose is sent, or counted, once more."""

    def __init__(self, folder: Path) -> None:
        """Read what is there; files that can't be understood count as absent. Raises OSError."""
        self._path = folder / "dropped.json"
        marks = folder / "marks"
        marks.touch()
        self._marks = FileIO(marks, "r+")
        self.settled, self.durable = _marks(self._marks.read(_MARKS.size + 1))
        """Entries up to these sequence numbers are acknowledged or given up; are on the disk."""
        self.dropped: Counter[Priority] = Counter()
        self.lost = 0
        self.doubtful = range(0)
        """Sequence numbers of entries whose positions prove nothing."""
        with suppress(FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
            file = msgspec.json.decode(self._path.read_bytes(), type=_File)
            names = Priority.__members__
            self.dropped.update({names[k]: n for k, n in file.dropped.items() if k in names})
            self.lost = file.lost
            self.doubtful = range(*file.doubtful)

    def mark(self, settled: int, durable: int) -> None:
        """Remember both. A power cut may forget them, which only means more caution."""
        self.settled, self.durable = settled, durable
        numbers = _MARKS.pack(settled, durable, 0)[:-4]
        with suppress(OSError):
            self._marks.seek(0)
            self._marks.write(numbers + crc32(numbers).to_bytes(4))

    def drop(self, priority: Priority, records: int) -> None:
        """Count records that were given up."""
        self.dropped[priority] += records
        self._save()

    def lose(self, records: int) -> None:
        """Count records that can't be read any more."""
        self.lost += records
        self._save()

    def doubt(self, sound_to: int, last_seq: int) -> None:
        """Mistrust the positions of entries behind ``sound_to``, up to ``last_seq``, for ever."""
        if sound_to >= last_seq:
            return
        first = sound_to + 1
        if self.settled < self.doubtful.stop:
            first = min(first, self.doubtful.start)
        self.doubtful = range(first, last_seq + 1)
        self._save()

    def close(self) -> None:
        """Let go of the files."""
        self._marks.close()

    def _save(self) -> None:
        dropped = {priority.name: n for priority, n in self.dropped.items()}
        file = _File(dropped, self.lost, (self.doubtful.start, self.doubtful.stop))
        # On a full disk the count lives in memory until the next one can be saved.
        with suppress(OSError):
            replace_file(self._path, msgspec.json.encode(file))


def _marks(raw: bytes) -> tuple[int, int]:
    if len(raw) != _MARKS.size:
        return 0, 0
    settled, durable, crc = _MARKS.unpack(raw)
    return (settled, durable) if crc == crc32(raw[:-4]) else (0, 0)
