"""Recordings of kbw-node-reports as JSON lines (``.jsonl`` or ``.jsonl.zst``).

One line per record: ``{"append_ms": …, "report": {…}}``; one that could not be decoded:
``{"append_ms": …, "raw": "<base64>"}``, and so one whose JSON has line feeds. ``kbwatch record``
adds ``partition`` and ``offset``, and ``refused`` where the detector dead-letters the record for
where it lies. A line that is a bare report, as ``kbwatch-collector replay-evtx`` writes, is taken
as sent and appended at once.
"""

import base64
import binascii
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import msgspec
import orjson
import zstandard
from msgspec import Struct

from schemas.codec import DecodeError, decode
from schemas.errors import KbwatchError
from schemas.reports import NodeReport


class Recorded(Struct, frozen=True):
    """One record: the decoded report, or the raw bytes with the reason why there is none."""

    append_ms: int
    report: NodeReport | None
    raw: bytes = b""
    reason: str = ""


class Place(Struct, frozen=True):
    """Where a record lies in Kafka."""

    partition: int
    offset: int


class _Line(Struct, frozen=True):
    append_ms: int
    report: msgspec.Raw = msgspec.Raw()
    raw: str = ""
    refused: str = ""


_EVTX_MAGIC = b"ElfFile\0"
_LINE = msgspec.json.Decoder(_Line)


def line(append_ms: int, raw: bytes, place: Place | None = None, refused: str = "") -> bytes:
    """One line of a recording for a record's value as it is in Kafka. ``refused`` says why the
    detector does not use it, although it may decode.
    """
    try:
        decode(raw, NodeReport)
        readable = b"\n" not in raw
    except DecodeError:
        readable = False
    head: dict[str, object] = {"append_ms": append_ms}
    if place is not None:
        head |= {"partition": place.partition, "offset": place.offset}
    if refused:
        head["refused"] = refused
    if readable:
        return b'%s,"report":%s}\n' % (orjson.dumps(head).removesuffix(b"}"), raw)
    return orjson.dumps(head | {"raw": base64.b64encode(raw).decode()}) + b"\n"


def read(path: Path) -> Iterator[Recorded]:
    """The records of a recording.

    Raises KbwatchError with file and line for what is not a recording at all; a line whose report
    does not decode is yielded as a dead letter.
    """
    try:
        with opened(path, "rb") as file:
            for number, text in enumerate(file, start=1):
                if number == 1 and text.startswith(_EVTX_MAGIC):
                    raise KbwatchError(
                        f"{path}: is a Windows log, no recording; "
                        "use kbwatch-collector replay-evtx first"
                    )
                if text.strip():
                    yield _read_line(path, number, text)
    except OSError as error:
        raise KbwatchError(f"{path}: {error.strerror}") from None
    except zstandard.ZstdError as error:
        raise KbwatchError(f"{path}: not readable as zstd: {error}") from None


def _read_line(path: Path, number: int, text: bytes) -> Recorded:
    try:
        entry = _LINE.decode(text)
    except msgspec.DecodeError:
        return _bare(path, number, text)
    try:
        raw = bytes(entry.report) if entry.report else base64.b64decode(entry.raw)
    except binascii.Error as error:
        raise KbwatchError(f"{path}:{number}: raw is not base64: {error}") from None
    if entry.refused:
        return Recorded(entry.append_ms, None, raw, entry.refused)
    try:
        return Recorded(entry.append_ms, decode(raw, NodeReport))
    except DecodeError as error:
        return Recorded(entry.append_ms, None, raw, str(error))


def _bare(path: Path, number: int, text: bytes) -> Recorded:
    try:
        report = decode(text, NodeReport)
    except DecodeError as error:
        raise KbwatchError(
            f"{path}:{number}: neither a recorded line nor a report: {error}"
        ) from None
    return Recorded(report.sent_ms, report)


@contextmanager
def opened(path: Path, mode: str) -> Iterator[BinaryIO]:
    """Open a recording to read (``rb``), write (``wb``) or add to it (``ab``), through zstd if it
    ends in ``.zst``.
    """
    with path.open(mode) as plain:
        if path.suffix != ".zst":
            yield cast(BinaryIO, plain)
        # What was added is a frame of its own. zstandard's own files have no lines to iterate over.
        elif mode == "rb":
            unpacked = zstandard.ZstdDecompressor().stream_reader(plain, read_across_frames=True)
            with io.BufferedReader(unpacked) as file:
                yield cast(BinaryIO, file)
        else:
            packed = zstandard.ZstdCompressor().stream_writer(plain)
            with io.BufferedWriter(cast(io.RawIOBase, packed)) as file:
                yield cast(BinaryIO, file)
