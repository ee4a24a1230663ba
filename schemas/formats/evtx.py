"""The JSON that the ``evtx`` library (evtx_dump) makes of a record in a ``.evtx`` file."""

from typing import Any

import orjson

from schemas.codec import DecodeError
from schemas.reports import Event
from schemas.windows.system_time import time_ms

_ATTRIBUTES = "#attributes"
_TEXT = "#text"


def event_of(record: dict[str, Any]) -> Event:
    """One record, ``{"Event": {"System": …, "EventData" | "UserData": …}}``, as an Event.

    Data without names become ``param1``, ``param2`` …; UserData lose their element's name; values
    become text; times are rounded down to milliseconds. Raises DecodeError ``invalid`` that names
    the path of what is wrong.
    """
    event = _table(record.get("Event"), "$.Event")
    system = _table(event.get("System"), "$.Event.System")
    data, binary = _data_of(event)
    return Event(
        t_ms=_t_ms(system),
        channel=_text(system.get("Channel")),
        provider=_provider(system),
        id=_count(system, "EventID"),
        version=_count(system, "Version", 0),
        level=_count(system, "Level", 0),
        record_id=_count(system, "EventRecordID"),
        data=data,
        binary=binary,
        computer=_text(system.get("Computer")),
    )


def _table(value: object, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DecodeError("invalid", f"{path}: not an object")
    return value


def _attributes(value: object) -> dict[str, Any]:
    attributes = value.get(_ATTRIBUTES) if isinstance(value, dict) else None
    return attributes if isinstance(attributes, dict) else {}


def _provider(system: dict[str, Any]) -> str:
    attributes = _attributes(system.get("Provider"))
    name = _text(attributes.get("Name")) or _text(attributes.get("EventSourceName"))
    if not name:
        raise DecodeError("invalid", "$.Event.System.Provider: no name")
    return name


def _t_ms(system: dict[str, Any]) -> int:
    text = _text(_attributes(system.get("TimeCreated")).get("SystemTime"))
    try:
        return time_ms(text)
    except ValueError as error:
        path = "$.Event.System.TimeCreated.SystemTime"
        raise DecodeError("invalid", f"{path}: {error}") from None


def _count(system: dict[str, Any], name: str, default: int | None = None) -> int:
    value = system.get(name)
    if isinstance(value, dict):  # EventID with its Qualifiers
        value = value.get(_TEXT)
    if value is None and default is not None:
        return default
    try:
        number = int(str(value))
    except ValueError:
        number = -1
    if number < 0:
        raise DecodeError("invalid", f"$.Event.System.{name}: not a number")
    return number


def _data_of(event: dict[str, Any]) -> tuple[dict[str, str], str]:
    payload = event.get("EventData")
    if payload is None:
        payload = _user_data(event.get("UserData"))
    data: dict[str, str] = {}
    binary = ""
    for name, value in payload.items() if isinstance(payload, dict) else ():
        if name == _ATTRIBUTES:
            continue
        if name == "Binary":
            binary = _text(value)
        elif name == "Data":
            for number, text in enumerate(_unnamed(value), start=1):
                data[f"param{number}"] = text
        else:
            data[name] = _text(value)
    return data, binary


def _user_data(user_data: object) -> object:
    """The fields of UserData's one element."""
    if not isinstance(user_data, dict):
        return None
    elements = {name: value for name, value in user_data.items() if name != _ATTRIBUTES}
    if len(elements) == 1:
        (only,) = elements.values()
        if isinstance(only, dict):
            return only
    return elements


def _unnamed(value: object) -> list[str]:
    texts = value.get(_TEXT) if isinstance(value, dict) else value
    if texts is None:
        return []
    return [_text(text) for text in texts] if isinstance(texts, list) else [_text(texts)]


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict) and value.keys() <= {_ATTRIBUTES, _TEXT}:
        return _text(value.get(_TEXT))
    if isinstance(value, dict | list):
        return orjson.dumps(value).decode()
    return str(value)
