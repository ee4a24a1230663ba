"""What a Kafka record holds: one event or many, each read for itself."""

from collections.abc import Callable, Iterator
from typing import Any

import orjson
from msgspec import Struct

from schemas.codec import DecodeError
from schemas.formats.fields import indexed, table
from schemas.reports import Event

MAX_VALUE_BYTES = 2 * 1024 * 1024
"""Of one Kafka record: shippers batch (OTLP) beyond what one report may hold."""

_WHOLE = "$"
_WRITTEN_DEPTH = 100  # orjson reads 1,024 levels and writes 254


class Item(Struct, frozen=True):
    """One of the events in a record's value, or why what stands there is none."""

    path: str
    """Where it stands in the value, such as ``$[3]``; part of the error's detail."""
    found: object
    """What stands there, parsed."""
    event: Event | DecodeError

    @property
    def is_whole(self) -> bool:
        """Whether it is the value itself, not one of several."""
        return self.path == _WHOLE

    def raw(self) -> bytes:
        """``found`` as JSON; of what is nested too deep to be written, the first 100 levels."""
        try:
            return orjson.dumps(self.found)
        except orjson.JSONEncodeError:
            return orjson.dumps(_cut(self.found, _WRITTEN_DEPTH))


def each_of(value: bytes, one: Callable[[dict[str, Any], str], Event]) -> Iterator[Item]:
    """The items of a record's value, one object or an array of them, by ``one(object, path)``.

    What ``one`` does not understand is refused for itself, with its path. Raises DecodeError as
    ``parts_of``.
    """
    for path, found in parts_of(value):
        yield item_of(path, found, one)


def parts_of(value: bytes) -> Iterator[tuple[str, object]]:
    """A record's value, or the elements of one that is an array, with their paths.

    Raises DecodeError ``oversized`` or ``malformed`` (no JSON): nothing can be read then.
    """
    if len(value) > MAX_VALUE_BYTES:
        raise DecodeError("oversized", f"{len(value)} bytes, at most {MAX_VALUE_BYTES}")
    try:
        parsed = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise DecodeError("malformed", str(error)) from None
    if isinstance(parsed, list):
        yield from indexed(parsed, _WHOLE)
    else:
        yield _WHOLE, parsed


def item_of(path: str, found: object, one: Callable[[dict[str, Any], str], Event]) -> Item:
    """``found`` as an Item, by ``one(object, path)``."""
    try:
        return Item(path, found, one(table(found, path), path))
    except DecodeError as error:
        # One that was raised keeps its frames alive, and with them the whole value.
        return Item(path, found, DecodeError(error.reason, error.detail))


def _cut(value: object, depth: int) -> object:
    if isinstance(value, dict | list) and not depth:
        return None
    if isinstance(value, dict):
        return {name: _cut(inner, depth - 1) for name, inner in value.items()}
    return [_cut(inner, depth - 1) for inner in value] if isinstance(value, list) else value
