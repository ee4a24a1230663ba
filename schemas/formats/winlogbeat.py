"""Winlogbeat 7 and 8, and Filebeat's winlog input: ECS with the event under ``winlog``."""

from collections.abc import Iterator
from typing import Any

from schemas.formats.fields import (
    count,
    from_xml,
    level_of,
    moment,
    put_all,
    required,
    table,
    text,
)
from schemas.formats.items import Item, each_of
from schemas.reports import Event
from schemas.windows.event_parts import Values, checked


def events_of(value: bytes) -> Iterator[Item]:
    """The event, or the array of events, in one Kafka record.

    ``event.original`` (``include_xml: true``) holds the whole event and is preferred. Else the
    level is the word in ``log.level``, and times have the milliseconds of ``@timestamp``. See
    ``each_of``.
    """
    return each_of(value, _event_of)


def _event_of(item: dict[str, Any], path: str) -> Event:
    ecs = _part(item, "event")
    event = from_xml(ecs.get("original"))
    if event is not None:
        return event
    where = f"{path}.winlog"
    winlog = table(item.get("winlog"), where)
    values = Values()
    binary = ""
    for name in ("event_data", "user_data"):
        if winlog.get(name) is not None:
            binary = put_all(values, winlog[name], f"{where}.{name}", {"xml_name"}) or binary
    number = winlog.get("event_id")
    fields = {
        "t_ms": moment(item.get("@timestamp"), f"{path}.@timestamp"),
        "channel": required(winlog, "channel", where),
        "provider": required(winlog, "provider_name", where),
        "id": count(ecs.get("code") if number is None else number, f"{where}.event_id"),
        "version": count(winlog.get("version"), f"{where}.version", 0),
        "level": level_of(_part(item, "log").get("level")),
        "record_id": count(winlog.get("record_id"), f"{where}.record_id"),
        "data": values.data(),
        "binary": binary,
        "computer": text(winlog.get("computer_name"), f"{where}.computer_name"),
    }
    return checked(fields, path)


def _part(item: dict[str, Any], name: str) -> dict[str, Any]:
    part = item.get(name)
    return part if isinstance(part, dict) else {}
