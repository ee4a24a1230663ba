"""A recorded ``.evtx`` file as the reports that its node would have sent."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson
from msgspec import Struct
from msgspec.structs import replace

from collectors import version
from collectors.pipeline.fitting import fitted
from collectors.pipeline.redact import Redactor
from collectors.settings import RedactSettings
from schemas.codec import MAJOR_VERSION, MAX_MESSAGE_BYTES, DecodeError, encode
from schemas.errors import KbwatchError
from schemas.formats.evtx import event_of
from schemas.reports import Boot, Event, Facts, NodeReport, Record
from schemas.windows.builds import branch_of
from schemas.windows.names import node_name
from schemas.windows.records import RecordReader

MAX_RECORDS = 50
_MAGIC = b"ElfFile\0"
_FILE_HEADER_BYTES = 4096
_CHUNK_BYTES = 65_536
_HEADER_BYTES = 8192  # more than a report's header takes


class EvtxLog(Struct, frozen=True):
    """What one file holds."""

    node: str
    reports: tuple[NodeReport, ...]
    """In log order, with ``sent_ms`` 0: it is stamped when a report is sent."""
    records: int
    """Records of the file that are in the reports."""
    unreadable: tuple[str, ...]
    """One line for each record or chunk that could not be read, saying what was wrong."""


_REDACT = RedactSettings()


def read_log(path: Path, fleet: str, site: str, redact: RedactSettings = _REDACT) -> EvtxLog:
    """Read one file, which holds the log of one machine; it is kept in memory as a whole.

    Events are redacted as a collector on the node would, after boots and patch states were made of
    them.

    The node is named by the last computer name in the log (a machine may be renamed) and is its own
    failure domain. Reports hold at most 50 records and 512 KiB, promise no heartbeats and carry
    the boot that was newest then. Raises KbwatchError when the file can't be read as .evtx, and for
    a pattern of ``redact`` that can't be used.
    """
    redactor = Redactor(redact)
    unreadable: list[str] = []
    if (_checked_bytes(path) - _FILE_HEADER_BYTES) % _CHUNK_BYTES:
        unreadable.append("ends inside a chunk: truncated?")
    # A full log wraps round: the oldest records may stand behind the newest.
    events = sorted(_events(path, unreadable), key=lambda event: event.record_id)
    if not events:
        raise KbwatchError(f"{path}: no readable record ({len(unreadable)} unreadable)")
    node = next((name for e in reversed(events) if (name := node_name(e.computer))), "unknown")
    reader = RecordReader()
    records: list[Record] = []
    for event in events:
        for record in reader.records_of(event):
            # What redaction puts in may be longer than what it hides.
            hidden = redactor.event(record) if isinstance(record, Event) else record
            sendable = fitted(hidden)
            if sendable is None:
                unreadable.append(f"record {event.record_id}: not fit to send")
            else:
                records.append(sendable[0])
    blank = NodeReport(
        v=MAJOR_VERSION,
        fleet=fleet,
        node=node,
        domain=node,
        site=site,
        sent_ms=0,
        records=[],
        heartbeat_s=0,
        collector=version(),
    )
    reports = tuple(_reports([_facts(events, records), *records], blank))
    return EvtxLog(node, reports, len(events), tuple(unreadable))


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


def _facts(events: list[Event], records: list[Record]) -> Facts:
    boots = [record for record in records if isinstance(record, Boot)]
    if not boots:
        return Facts(t_ms=events[0].t_ms)
    return Facts(t_ms=boots[-1].t_ms, branch=branch_of(boots[-1].build))


def _reports(records: Iterable[Record], blank: NodeReport) -> Iterator[NodeReport]:
    batch: list[Record] = []
    size_bytes = _HEADER_BYTES
    boot_ms = 0
    for record in records:
        record_bytes = len(encode(record)) + 1
        full = len(batch) == MAX_RECORDS or size_bytes + record_bytes > MAX_MESSAGE_BYTES
        # A new boot starts a new report: each report belongs to one boot.
        if batch and (full or isinstance(record, Boot)):
            yield replace(blank, records=batch, boot_ms=boot_ms)
            batch, size_bytes = [], _HEADER_BYTES
        if isinstance(record, Boot):
            boot_ms = record.t_ms
        batch.append(record)
        size_bytes += record_bytes
    yield replace(blank, records=batch, boot_ms=boot_ms)


def _events(path: Path, unreadable: list[str]) -> Iterator[Event]:
    for raw in _raw_records(path, unreadable):
        try:
            event = event_of(raw)
            size_bytes = len(encode(event))
        except DecodeError as error:
            unreadable.append(str(error))
            continue
        if size_bytes > MAX_MESSAGE_BYTES - _HEADER_BYTES:
            unreadable.append(f"record {event.record_id}: {size_bytes} bytes, too large to send")
            continue
        yield event


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
