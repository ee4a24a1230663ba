"""What fuzzers drive: every reader of foreign events, and what must hold of its answer."""

from collections.abc import Callable, Iterable

import msgspec
import orjson

from schemas.codec import DecodeError, encode
from schemas.formats import FORMATS
from schemas.formats.items import Item
from schemas.reports import Event
from schemas.windows.event_parts import MAX_EVENT_BYTES
from schemas.windows.event_xml import event_of
from schemas.windows.records import RecordReader


def _xml(value: bytes) -> tuple[Item, ...]:
    return (Item("$", None, event_of(value)),)


def _xml_text(value: bytes) -> tuple[Item, ...]:
    return (Item("$", None, event_of(value.decode("utf-8", "surrogateescape"))),)


READERS: tuple[Callable[[bytes], Iterable[Item]], ...] = (
    *(FORMATS[name] for name in sorted(FORMATS)),
    _xml,
    _xml_text,
)
"""The first byte of a fuzzer's input chooses one of them."""


def read(raw: bytes) -> tuple[Item, ...] | None:
    """Read ``raw[1:]`` with the reader that ``raw[0]`` chooses; None when it is refused.

    Raises AssertionError or whatever a reader must not raise.
    """
    try:
        items = tuple(READERS[raw[0] % len(READERS)](raw[1:]))
    except DecodeError:
        return None
    check(items)
    return items


def check(items: Iterable[Item]) -> None:
    """Every event keeps the contract, fits into a report, and becomes records.

    What is refused says where it stands, and can be written.
    """
    reader = RecordReader()
    for item in items:
        event = item.event
        if isinstance(event, DecodeError):
            assert event.detail.startswith(item.path)
            orjson.loads(item.raw())
            continue
        assert msgspec.convert(msgspec.to_builtins(event), Event) == event
        assert len(encode(event)) <= MAX_EVENT_BYTES
        for record in reader.records_of(event):
            encode(record)
