"""What a recorded ``.evtx`` file holds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from msgspec import Struct

from schemas.codec import DecodeError
from schemas.errors import KbwatchError
from schemas.formats.evtx import event_of
from schemas.reports import Event

_MAGIC = b"ElfFile\0"
_FILE_HEADER_BYTES = 4096
_CHUNK_BYTES = 65_536


class EvtxLog(Struct, frozen=True):
    """The log of one machine."""

    events: tuple[Event, ...]
    """In the order in which they were logged; at least one."""
    unreadable: tuple[str, ...]
    """One line for each record or chunk that could not be read, saying what was wrong."""


def read_log(path: Path) -> EvtxLog:
    """Read one file; it is kept in memory as a whole.

    Raises KbwatchError when it can't be read as .evtx.
    """
    unreadable: list[str] = []
    if (_checked_bytes(path) - _FILE_HEADER_BYTES) % _CHUNK_BYTES:
        unreadable.append("ends inside a chunk: truncated?")
    # A full log wraps round: the oldest records may stand behind the newest.
    events = sorted(_events(path, unreadable), key=lambda event: event.record_id)
    if not events:
        raise KbwatchError(f"{path}: no readable record ({len(unreadable)} unreadable)")
    return EvtxLog(tuple(events), tuple(unreadable))


def _checked_bytes(path: Path) -> int:
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
            size_bytes = path.stat().st_size
    except IsADirectoryError:
        raise KbwatchError(f"{path}: is a folder; name the .evtx files in it") from None
    except OSError as error:
        raise KbwatchError(f"{path}: {error.strerror}") from None
    if not magic:
        raise KbwatchError(f"{path}: is empty; export the log anew (wevtutil epl)")
    if magic != _MAGIC:
        raise KbwatchError(f"{path}: is no .evtx file (it does not begin with ElfFile)")
    return size_bytes


def _events(path: Path, unreadable: list[str]) -> Iterator[Event]:
    for raw in _raw_records(path, unreadable):
        try:
            yield event_of(raw)
        except DecodeError as error:
            unreadable.append(str(error))


def _raw_records(path: Path, unreadable: list[str]) -> Iterator[dict[str, Any]]:
    from evtx import PyEvtxParser  # costs start-up time

    try:
        rows: Iterator[Any] = iter(PyEvtxParser(str(path)).records_json())
    except (OSError, RuntimeError) as error:
        raise KbwatchError(f"{path}: can't be read as a .evtx file: {error}") from None
    while True:
        try:
            row = next(rows)
            raw = orjson.loads(row["data"])
        except StopIteration:
            return
        except (OSError, RuntimeError, ValueError) as error:
            # The parser goes on behind the damaged record or chunk.
            unreadable.append(str(error))
            continue
        yield raw
