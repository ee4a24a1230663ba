"""OTLP JSON of the OpenTelemetry collector's ``windowseventlogreceiver``."""

from collections.abc import Iterator
from typing import Any

from schemas.codec import DecodeError
from schemas.formats.fields import (
    MAX_DEPTH,
    array,
    count,
    from_xml,
    indexed,
    level_of,
    moment,
    put_all,
    required,
    table,
    text,
)
from schemas.formats.items import Item, item_of, parts_of
from schemas.reports import Event
from schemas.windows.event_parts import Values, checked
from schemas.windows.event_xml import event_of

# severityNumber of OTLP, in steps of four: trace, debug, info, warn, error, fatal.
_LEVEL_OF_SEVERITY = (5, 5, 4, 3, 2, 1)
_LEVELS = ("resourceLogs", "scopeLogs", "logRecords")
_ORIGINAL = "log.record.original"
_NOT_DATA = frozenset({"name"})  # the name of EventData itself stands among its data
_ERRORS = {
    "error_code": "ErrorCode",
    "data_item_name": "DataItemName",
    "event_payload": "EventPayload",
}


def events_of(value: bytes) -> Iterator[Item]:
    """The events of all log records in one Kafka record (``encoding: otlp_json``).

    A body is the event's XML (``raw: true``) or a map; the XML in the attribute
    ``log.record.original`` (``include_log_record_original: true``) is preferred. ``event_data``
    may be a map, the old map (without unnamed data and binary), or an array. The level comes from
    its number, else from ``severityNumber``, else from its word. What is not understood is refused
    where it stands: a log record, or a resource or a scope with all that is in it. Raises
    DecodeError as ``parts_of``.
    """
    for path, request in parts_of(value):
        yield from _items(path, request, _LEVELS)


def _items(path: str, found: object, levels: tuple[str, ...]) -> Iterator[Item]:
    if not levels:
        yield item_of(path, found, _event_of)
        return
    name, *deeper = levels
    where = f"{path}.{name}"
    absent: list[Any] | None = None if levels is _LEVELS else []
    try:
        inner = array(table(found, path).get(name, absent), where)
    except DecodeError as error:
        yield Item(path, found, DecodeError(error.reason, error.detail))
        return
    for at, each in indexed(inner, where):
        yield from _items(at, each, tuple(deeper))


def _event_of(record: dict[str, Any], path: str) -> Event:
    event = from_xml(_original(record, path))
    if event is not None:
        return event
    where = f"{path}.body"
    body = _value(record.get("body"), where)
    if isinstance(body, str):
        return _from_raw(body, where)
    return _from_map(table(body, where), record, path)


def _original(record: dict[str, Any], path: str) -> object:
    attributes = record.get("attributes")
    for each in attributes if isinstance(attributes, list) else ():
        if isinstance(each, dict) and each.get("key") == _ORIGINAL:
            return _value(each.get("value"), f"{path}.attributes")
    return None


def _from_raw(xml: str, path: str) -> Event:
    try:
        return event_of(xml)
    except DecodeError as error:
        raise DecodeError(error.reason, f"{path}: {error.detail}") from None


def _from_map(body: dict[str, Any], record: dict[str, Any], path: str) -> Event:
    where = f"{path}.body"
    values = Values()
    binary = _put_event_data(values, body.get("event_data"), f"{where}.event_data")
    if not values.data():
        binary = _put_user_data(values, body.get("user_data"), f"{where}.user_data") or binary
    if not values.data() and body.get("processing_error_data") is not None:
        _put_errors(values, body["processing_error_data"], f"{where}.processing_error_data")
    number = body.get("event_id")
    provider = table(body.get("provider"), f"{where}.provider")
    named = "name" if provider.get("name") else "event_source"
    fields = {
        "t_ms": _t_ms(body, record, path),
        "channel": required(body, "channel", where),
        "provider": required(provider, named, f"{where}.provider"),
        "id": count(number.get("id") if isinstance(number, dict) else number, f"{where}.event_id"),
        "version": count(body.get("version"), f"{where}.version", 0),
        "level": _level(body.get("level"), record.get("severityNumber")),
        "record_id": count(body.get("record_id"), f"{where}.record_id"),
        "data": values.data(),
        "binary": binary or text(body.get("binary_event_data"), f"{where}.binary_event_data"),
        "computer": text(body.get("computer"), f"{where}.computer"),
    }
    return checked(fields, path)


def _t_ms(body: dict[str, Any], record: dict[str, Any], path: str) -> int:
    if body.get("system_time"):
        return moment(body["system_time"], f"{path}.body.system_time")
    nanoseconds = count(record.get("timeUnixNano"), f"{path}.timeUnixNano")
    if not nanoseconds:
        raise DecodeError("invalid", f"{path}.timeUnixNano: unknown")
    return nanoseconds // 1_000_000


def _level(level: object, severity: object) -> int:
    word = level.strip() if isinstance(level, str) else level
    if isinstance(word, int) or (isinstance(word, str) and word.isdigit()):
        return level_of(word)
    if isinstance(severity, int) and 1 <= severity <= 24:
        return _LEVEL_OF_SEVERITY[(severity - 1) // 4]
    return level_of(word)


def _put_event_data(values: Values, event_data: object, path: str) -> str:
    if event_data is None:
        return ""
    fields = table(event_data, path)
    entries = fields.get("data")
    if not isinstance(entries, list):
        return put_all(values, fields, path, _NOT_DATA)
    for where, entry in indexed(entries, f"{path}.data"):
        for name, value in table(entry, where).items():
            if name:
                values.put(name, text(value, where))
            else:
                values.add(text(value, where))
    return text(fields.get("binary"), f"{path}.binary").strip()


def _put_user_data(values: Values, user_data: object, path: str) -> str:
    if user_data is None:
        return ""
    fields = table(user_data, path)
    inner = fields.get("data")
    return put_all(values, inner if isinstance(inner, dict) else fields, path)


def _put_errors(values: Values, errors: object, path: str) -> None:
    for name, value in table(errors, path).items():
        values.put(_ERRORS.get(name, name), text(value, f"{path}.{name}"))


def _value(value: object, path: str, depth: int = 0) -> object:
    """OTLP's AnyValue as a plain value; 64-bit numbers are text in it."""
    if value is None:
        return None
    if depth > MAX_DEPTH:
        raise DecodeError("invalid", f"{path}: deeper than {MAX_DEPTH} values")
    any_value = table(value, path)
    if len(any_value) != 1:
        raise DecodeError("invalid", f"{path}: not one value")
    ((kind, inner),) = any_value.items()
    if kind in ("arrayValue", "kvlistValue"):
        items = array(table(inner, path).get("values", []), path)
        if kind == "arrayValue":
            return [_value(item, path, depth + 1) for item in items]
        pairs = [table(item, path) for item in items]
        return {
            text(pair.get("key"), path): _value(pair.get("value"), path, depth + 1)
            for pair in pairs
        }
    return inner
