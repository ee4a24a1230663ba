"""Vector's source ``windows_event_log``: flat objects."""

from collections.abc import Iterator
from typing import Any

from schemas.formats.fields import (
    add_all,
    count,
    from_xml,
    level_of,
    moment,
    put_all,
    required,
    text,
)
from schemas.formats.items import Item, each_of
from schemas.reports import Event
from schemas.windows.event_parts import Values, checked


def events_of(value: bytes) -> Iterator[Item]:
    """The event, or the array of events, in one Kafka record.

    ``xml`` (``include_xml = true``) holds the whole event and is preferred; the other fields have
    no Binary. See ``each_of``.
    """
    return each_of(value, _event_of)


def _event_of(item: dict[str, Any], path: str) -> Event:
    event = from_xml(item.get("xml"))
    if event is not None:
        return event
    level = item.get("level_value")
    fields = {
        "t_ms": moment(item.get("timestamp"), f"{path}.timestamp"),
        "channel": required(item, "channel", path),
        "provider": required(item, "provider_name", path),
        "id": count(item.get("event_id"), f"{path}.event_id"),
        "version": count(item.get("version"), f"{path}.version", 0),
        "level": level_of(item.get("level"))
        if level is None
        else count(level, f"{path}.level_value"),
        "record_id": count(item.get("record_id"), f"{path}.record_id"),
        "data": _data_of(item, path),
        "computer": text(item.get("computer"), f"{path}.computer"),
    }
    return checked(fields, path)


def _data_of(item: dict[str, Any], path: str) -> dict[str, str]:
    values = Values()
    for name in ("event_data", "user_data"):
        if item.get(name) is not None:
            put_all(values, item[name], f"{path}.{name}")
    if not values.data() and item.get("string_inserts") is not None:
        add_all(values, item["string_inserts"], f"{path}.string_inserts")
    return values.data()
