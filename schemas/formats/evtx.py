"""The JSON that the ``evtx`` library (evtx_dump) makes of a record in a ``.evtx`` file."""

from collections.abc import Iterator
from typing import Any

from schemas.codec import DecodeError
from schemas.formats.fields import MAX_DEPTH, count, moment, table, text
from schemas.formats.items import Item, each_of
from schemas.reports import Event
from schemas.windows.event_parts import Values, checked

_ATTRIBUTES = "#attributes"
_TEXT = "#text"
_LABELS = {_ATTRIBUTES, _TEXT}


def events_of(value: bytes) -> Iterator[Item]:
    """The event, or the array of events, in one Kafka record; see ``each_of``."""
    return each_of(value, event_of)


def event_of(record: dict[str, Any], path: str = "$") -> Event:
    """One record, ``{"Event": {"System": …, "EventData" | "UserData": …}}``, as an Event.

    Data without names become ``param1``, ``param2`` …; UserData lose their element's name; values
    become text; times are rounded down to milliseconds. Raises DecodeError ``invalid`` that names
    the path of what is wrong.
    """
    path = f"{path}.Event"
    event = table(record.get("Event"), path)
    where = f"{path}.System"
    system = table(event.get("System"), where)
    data, binary = _data_of(event, path)
    time = _attributes(system.get("TimeCreated")).get("SystemTime")
    fields = {
        "t_ms": moment(time, f"{where}.TimeCreated.SystemTime"),
        "channel": _text(system.get("Channel"), f"{where}.Channel"),
        "provider": _provider(system, f"{where}.Provider"),
        "id": _count(system, "EventID", where),
        "version": _count(system, "Version", where, 0),
        "level": _count(system, "Level", where, 0),
        "record_id": _count(system, "EventRecordID", where),
        "data": data,
        "binary": binary,
        "computer": _text(system.get("Computer"), f"{where}.Computer"),
    }
    return checked(fields, path)


def _attributes(value: object) -> dict[str, Any]:
    attributes = value.get(_ATTRIBUTES) if isinstance(value, dict) else None
    return attributes if isinstance(attributes, dict) else {}


def _provider(system: dict[str, Any], path: str) -> str:
    attributes = _attributes(system.get("Provider"))
    name = _text(attributes.get("Name"), path) or _text(attributes.get("EventSourceName"), path)
    if not name:
        raise DecodeError("invalid", f"{path}: no name")
    return name


def _count(system: dict[str, Any], name: str, path: str, default: int | None = None) -> int:
    value = system.get(name)
    if isinstance(value, dict):  # EventID with its Qualifiers
        value = value.get(_TEXT)
    return count(value, f"{path}.{name}", default)


def _data_of(event: dict[str, Any], path: str) -> tuple[dict[str, str], str]:
    values = Values()
    binary = _text(event.get("BinaryEventData"), f"{path}.BinaryEventData")
    if event.get("EventData") is not None:
        binary = _put(values, event["EventData"], f"{path}.EventData") or binary
    elif event.get("UserData") is not None:
        user_data = _user_data(event["UserData"])
        binary = _put(values, user_data, f"{path}.UserData", MAX_DEPTH) or binary
    else:
        _put(values, event.get("ProcessingErrorData"), f"{path}.ProcessingErrorData")
    return values.data(), binary


def _put(values: Values, payload: object, path: str, levels: int = 0) -> str:
    """Put the payload's leaves; elements nested up to ``levels`` give theirs. Returns the binary.

    Values below that are text: JSON, as the elements of EventData are.
    """
    binary = ""
    for name, value in payload.items() if isinstance(payload, dict) else ():
        where = f"{path}.{name}"
        if name in _LABELS:
            continue
        if name == "Binary":
            binary = _text(value, where)
        elif name == "Data":
            for one in _unnamed(value):
                values.add(_text(one, where))
        elif name.startswith("ComplexData"):
            values.put(_text(_attributes(value).get("Name"), where) or name, _text(value, where))
        elif levels and isinstance(value, dict) and not value.keys() <= _LABELS:
            binary = _put(values, value, where, levels - 1) or binary
        else:
            values.put(name, _text(value, where))
    return binary


def _user_data(user_data: object) -> object:
    """The fields of UserData's one element."""
    if not isinstance(user_data, dict):
        return None
    elements = {name: value for name, value in user_data.items() if name != _ATTRIBUTES}
    if len(elements) == 1:
        (only,) = elements.values()
        if isinstance(only, dict) and (not only.keys() <= _LABELS or not only.get(_TEXT)):
            return only
    return elements


def _unnamed(value: object) -> list[object]:
    texts = value.get(_TEXT) if isinstance(value, dict) else value
    if texts is None:
        return []
    return texts if isinstance(texts, list) else [texts]


def _text(value: object, path: str) -> str:
    if isinstance(value, dict) and value.keys() <= _LABELS:
        value = value.get(_TEXT)
    return text(value, path)
