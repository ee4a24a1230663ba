"""Records made fit to send: what nodes log may be longer or stranger than reports may hold.

One record that no reader accepts would cost its whole report, two hundred records.
"""

from typing import Any

import msgspec
from msgspec.structs import replace

from schemas.codec import MAX_MESSAGE_BYTES
from schemas.reports import Event, Record

HEADER_BYTES = 8_192
"""More than a report's header takes."""
MAX_RECORD_BYTES = MAX_MESSAGE_BYTES - HEADER_BYTES

_LABEL_LENGTH = 256
_MAX_COUNT = 2**63 - 1
_MAX_T_MS = 4_102_444_800_000  # the year 2100: schemas.reports.TimeMs
_CUTS = (65_536, 16_384, 4_096, 1_024)  # characters kept of each long value, until the event fits
_MAX_FIELDS = 50  # kept of an event that has too many: with the shortest values they fit

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Record)


def fitted(record: Record) -> tuple[Record, int] | None:
    """The record as readers accept it, and its size in a report (bytes).

    Events are mended: labels and numbers brought within their limits, text that is not Unicode
    replaced, values of events over 504 KiB cut, which the values themselves say. None for other
    records that no reader would accept.
    """
    size_bytes = _size_bytes(record)
    if size_bytes is not None and size_bytes <= MAX_RECORD_BYTES:
        return record, size_bytes
    if not isinstance(record, Event):
        return None
    return _cut(_mended(record))


def _size_bytes(record: Record) -> int | None:
    """None when no reader would accept it."""
    try:
        raw = _encoder.encode(record)
        _decoder.decode(raw)
    except (msgspec.MsgspecError, ValueError, OverflowError):
        return None
    return len(raw)


def _mended(event: Event) -> Event:
    about = _text(event.about) if event.about else None
    mended = replace(
        event,
        t_ms=min(max(event.t_ms, 0), _MAX_T_MS),
        channel=_text(event.channel)[:_LABEL_LENGTH],
        provider=_text(event.provider)[:_LABEL_LENGTH],
        id=_count(event.id),
        version=_count(event.version),
        level=_count(event.level),
        record_id=_count(event.record_id),
        data={_text(name): _text(value) for name, value in event.data.items()},
        binary=_text(event.binary),
        computer=_text(event.computer)[:_LABEL_LENGTH],
        about=about,
    )
    return mended if _size_bytes(mended) is not None else replace(mended, about=None)


def _count(number: int) -> int:
    return min(max(number, 0), _MAX_COUNT)


def _text(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _cut(event: Event) -> tuple[Record, int] | None:
    shorter = event
    for length in (0, *_CUTS):
        if length:
            shorter = _shortened(event, length, len(event.data))
        size_bytes = _size_bytes(shorter)
        if size_bytes is not None and size_bytes <= MAX_RECORD_BYTES:
            return shorter, size_bytes
    shorter = _shortened(event, _CUTS[-1], _MAX_FIELDS)
    size_bytes = _size_bytes(shorter)
    return None if size_bytes is None else (shorter, size_bytes)


def _shortened(event: Event, length: int, fields: int) -> Event:
    data = {
        name[:_LABEL_LENGTH]: _marked(value, length)
        for name, value in list(event.data.items())[:fields]
    }
    if len(event.data) > len(data):
        data["[cut]"] = f"{len(event.data) - len(data)} more fields"
    return replace(event, data=data, binary=event.binary[: length // 2 * 2])


def _marked(value: str, length: int) -> str:
    return value if len(value) <= length else f"{value[:length]}[cut: {len(value)} characters]"
