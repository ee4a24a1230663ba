"""What fuzzers drive: every reader of foreign events, and what must hold of its answer."""

from collections.abc import Callable

import msgspec

from schemas.codec import DecodeError, encode
from schemas.formats import FORMATS
from schemas.reports import Event
from schemas.windows.event_parts import MAX_EVENT_BYTES
from schemas.windows.event_xml import event_of
from schemas.windows.records import RecordReader


def _xml(value: bytes) -> tuple[Event, ...]:
    return (event_of(value),)


def _xml_text(value: bytes) -> tuple[Event, ...]:
    return (event_of(value.decode("utf-8", "surrogateescape")),)


READERS: tuple[Callable[[bytes], tuple[Event, ...]], ...] = (
    *(FORMATS[name] for name in sorted(FORMATS)),
    _xml,
    _xml_text,
)
"""The first byte of a fuzzer's input chooses one of them."""


def read(raw: bytes) -> tuple[Event, ...] | None:
    """Read ``raw[1:]`` with the reader that ``raw[0]`` chooses; None when it is refused.

    Raises AssertionError or whatever a reader must not raise.
    """
    try:
        events = READERS[raw[0] % len(READERS)](raw[1:])
    except DecodeError:
        return None
    check(events)
    return events


def check(events: tuple[Event, ...]) -> None:
    """Every event keeps the contract, fits into a report, and becomes records."""
    reader = RecordReader()
    for event in events:
        assert msgspec.convert(msgspec.to_builtins(event), Event) == event
        assert len(encode(event)) <= MAX_EVENT_BYTES
        for record in reader.records_of(event):
            encode(record)
