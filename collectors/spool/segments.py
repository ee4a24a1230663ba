"""What a spool's file looks like: a head, then entries, each with its own checksum.

A file begins with magic, format version, priority and the CRC of these. An entry is the CRC of all
that follows in it, the lengths of its two parts, its number of records, its sequence number, the
newest sequence number that was durable when it was written, the positions (MessagePack) and the
report (MessagePack: a third smaller than JSON, and read and written faster). CRCs are CRC-32 as
zlib has it, numbers are big-endian.
"""

import os
import struct
from io import FileIO
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

from msgspec import Struct

from collectors.spool.bundle import Priority
from collectors.spool.progress import Placed
from schemas.codec import MAX_MESSAGE_BYTES
from schemas.errors import KbwatchError

SUFFIX = ".seg"
VERSION = 1
_MAGIC = b"KBWS"
_FILE = struct.Struct(">4sHH")
_CRC = struct.Struct(">I")
_ENTRY = struct.Struct(">IIIQQ")
FILE_HEAD_BYTES = _FILE.size + _CRC.size
ENTRY_HEAD_BYTES = _CRC.size + _ENTRY.size
# What no sound entry exceeds: a length beyond it is damage, and is not read into memory.
_MAX_BODY_BYTES = 4 * MAX_MESSAGE_BYTES


class Stored(Struct, frozen=True, gc=False):
    """One entry as it is in a file."""

    seq: int
    durable: int
    """Everything up to this sequence number was on the disk when the entry was written."""
    records: int
    positions: bytes
    report: bytes
    sound: bool
    """Whether the checksum fits; the other fields are only likely where it does not."""

    @property
    def size_bytes(self) -> int:
        """What the entry takes in its file."""
        return ENTRY_HEAD_BYTES + len(self.positions) + len(self.report)


class Damaged(Exception):
    """From here on the file can't be read: nothing says where the next entry begins."""


def pack(seq: int, durable: int, records: int, positions: bytes, report: bytes) -> bytes:
    """One entry as bytes; the fields are those of Stored."""
    head = _ENTRY.pack(len(positions), len(report), records, seq, durable)
    crc = crc32(report, crc32(positions, crc32(head)))
    return b"".join((_CRC.pack(crc), head, positions, report))


def read_entry(file: BinaryIO, left_bytes: int) -> Stored:
    """The entry at the file's place, of which ``left_bytes`` are left; Damaged when there is none.

    An entry whose checksum does not fit is returned as such: its length may still be right.
    """
    head = file.read(min(ENTRY_HEAD_BYTES, left_bytes))
    if len(head) < ENTRY_HEAD_BYTES:
        raise Damaged
    (crc,) = _CRC.unpack_from(head)
    rest = head[_CRC.size :]
    positions_bytes, report_bytes, records, seq, durable = _ENTRY.unpack(rest)
    body_bytes = positions_bytes + report_bytes
    if not report_bytes or body_bytes > min(left_bytes - ENTRY_HEAD_BYTES, _MAX_BODY_BYTES):
        raise Damaged
    positions, report = file.read(positions_bytes), file.read(report_bytes)
    sound = crc == crc32(report, crc32(positions, crc32(rest)))
    return Stored(seq, durable, records, positions, report, sound)


class Segment:
    """One file of the spool, and what is known of its entries without reading them again."""

    def __init__(self, path: Path, priority: Priority) -> None:
        self.path = path
        self.priority = priority
        self.size_bytes = FILE_HEAD_BYTES
        self.last_seq = 0
        self.open_entries = 0
        """Entries that are neither acknowledged nor given up."""
        self.open_records = 0
        self.settled: set[int] = set()
        """Entries that are, while older ones of the spool are still open."""
        self.positions: dict[str, Placed] = {}
        self.dirty = False
        """Whether something of it may not be on the disk yet."""
        self.unnamed = False
        """Whether its name may not be in the folder after a power cut."""
        self._file: FileIO | None = None

    @classmethod
    def create(cls, folder: Path, priority: Priority, first_seq: int) -> "Segment":
        """A new file, ready for entries. Raises OSError, leaving none behind."""
        segment = cls(folder / f"{priority.name.lower()}-{first_seq:016x}{SUFFIX}", priority)
        head = _FILE.pack(_MAGIC, VERSION, priority)
        segment._file = FileIO(segment.path, "x+")
        try:
            segment._write(head + _CRC.pack(crc32(head)), 0)
        except OSError:
            segment.delete()
            raise
        segment.dirty = segment.unnamed = True
        return segment

    def write(self, raw: bytes) -> None:
        """Append bytes. Raises OSError; the file is then as long as before, or ``cut`` makes so."""
        self.dirty = True
        self._write(raw, self.size_bytes)
        self.size_bytes += len(raw)

    def add(self, seq: int, records: int, positions: dict[str, str]) -> None:
        """Account for an entry that is in the file."""
        self.last_seq = seq
        self.open_entries += 1
        self.open_records += records
        for source, position in positions.items():
            self.positions[source] = (seq, position)

    def settle(self, seq: int, records: int) -> None:
        """The entry is acknowledged, or given up."""
        self.settled.add(seq)
        self.open_entries -= 1
        self.open_records -= records

    def sync(self) -> None:
        """Put everything on the disk. Raises OSError."""
        if self.dirty:
            os.fsync(self._writable().fileno())
            self.dirty = False

    def cut(self, size_bytes: int) -> None:
        """Forget what stands behind ``size_bytes``. Raises OSError."""
        self.dirty = True
        self.size_bytes = size_bytes
        self._writable().truncate(size_bytes)
        self.sync()

    def close(self) -> None:
        """Let go of the file; ``write`` opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def delete(self) -> None:
        """Remove the file. Raises OSError."""
        self.close()
        self.path.unlink(missing_ok=True)

    def _writable(self) -> FileIO:
        if self._file is None:
            self._file = FileIO(self.path, "r+")
        return self._file

    def _write(self, raw: bytes, offset: int) -> None:
        file = self._writable()
        file.seek(offset)
        left = memoryview(raw)
        while left:
            left = left[file.write(left) :]


def check_version(file: BinaryIO, path: Path) -> None:
    """Read a file's head; entries prove themselves, so a damaged head costs nothing.

    Raises KbwatchError for a sound head of a newer version: a newer collector's records must not
    be thrown away.
    """
    raw = file.read(FILE_HEAD_BYTES)
    if len(raw) < FILE_HEAD_BYTES:
        return
    (crc,) = _CRC.unpack_from(raw, _FILE.size)
    magic, version, _ = _FILE.unpack_from(raw)
    if crc == crc32(raw[: _FILE.size]) and magic == _MAGIC and version > VERSION:
        raise KbwatchError(
            f"{path}: the spool was written by a newer collector (format {version}, this one knows "
            f"{VERSION}); update this one, or delete the file and what it holds"
        )
