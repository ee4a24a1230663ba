"""NXLog's ``im_msvistalog`` with ``to_json()``: the event's data stand among NXLog's own fields."""

from collections.abc import Iterator
from typing import Any

from schemas.codec import DecodeError
from schemas.formats.fields import (
    count,
    from_xml,
    level_of,
    moment,
    required,
    text,
)
from schemas.formats.items import Item, each_of
from schemas.reports import Event
from schemas.windows.event_parts import Values, checked

# NXLog 1 (debug) … 5 (critical), Windows 5 (verbose) … 1 (critical).
_LEVEL_OF_SEVERITY = {1: 5, 2: 4, 3: 3, 4: 2, 5: 1}

_OWN = frozenset(
    {
        "AccountName",
        "AccountType",
        "ActivityID",
        "Category",
        "Channel",
        "Domain",
        "ERROR_EVT_UNRESOLVED",
        "EventData",
        "EventID",
        "EventReceivedTime",
        "EventTime",
        "EventTimeWritten",
        "EventType",
        "EventXML",
        "ExecutionProcessID",
        "ExecutionThreadID",
        "FileName",
        "Hostname",
        "Keywords",
        "Level",
        "LevelValue",
        "Message",
        "MessageSourceAddress",
        "Opcode",
        "OpcodeValue",
        "ProcessID",
        "ProviderGuid",
        "Qualifiers",
        "RecordNumber",
        "RelatedActivityID",
        "Severity",
        "SeverityValue",
        "SourceModuleName",
        "SourceModuleType",
        "SourceName",
        "SyslogFacility",
        "SyslogFacilityValue",
        "SyslogSeverity",
        "SyslogSeverityValue",
        "Task",
        "TaskValue",
        "ThreadID",
        "UserData",
        "UserID",
        "Version",
        "raw_event",
    }
)
"""Fields that are NXLog's; whatever else is at the top is the event's data."""


def events_of(value: bytes) -> Iterator[Item]:
    """The event, or the array of events, in one Kafka record.

    ``EventXML`` (``CaptureEventXML TRUE``) holds the whole event and is preferred. Else
    ``EventTime`` is text, read as UTC unless it has an offset (NXLog may write the node's local
    time and no zone: let it write UTC), or a number since 1970 in s, ms or µs; only version 6 has
    the Binary; level 0 looks like 4 where there is no ``LevelValue``. See ``each_of``.
    """
    return each_of(value, _event_of)


def _event_of(item: dict[str, Any], path: str) -> Event:
    event = from_xml(item.get("EventXML"))
    if event is not None:
        return event
    data, binary = _data_of(item, path)
    fields = {
        "t_ms": _t_ms(item.get("EventTime"), f"{path}.EventTime"),
        "channel": required(item, "Channel", path),
        "provider": required(item, "SourceName", path),
        "id": count(item.get("EventID"), f"{path}.EventID"),
        "version": count(item.get("Version"), f"{path}.Version", 0),
        "level": _level(item, path),
        "record_id": count(item.get("RecordNumber"), f"{path}.RecordNumber"),
        "data": data,
        "binary": binary,
        "computer": text(item.get("Hostname"), f"{path}.Hostname"),
    }
    return checked(fields, path)


def _data_of(item: dict[str, Any], path: str) -> tuple[dict[str, str], str]:
    values = Values()
    binary = ""
    for name, value in item.items():
        if name in _OWN:
            continue
        found = text(value, f"{path}.{name}")
        # "EventData.param1" with `AddPrefix TRUE`.
        short = name.removeprefix("EventData.").removeprefix("UserData.")
        if short == "Binary":
            binary = found.strip()
        else:
            values.put(short, found)
    return values.data(), binary


def _t_ms(time: object, path: str) -> int:
    if isinstance(time, bool) or not isinstance(time, int | float):
        return moment(time, path)
    if not 0 <= time < 1e17:
        raise DecodeError("invalid", f"{path}: not a time")
    if time < 1e11:
        return int(time * 1000)
    return int(time) if time < 1e14 else int(time) // 1000


def _level(item: dict[str, Any], path: str) -> int:
    if item.get("LevelValue") is not None:
        return count(item["LevelValue"], f"{path}.LevelValue")
    severity = item.get("SeverityValue")
    if isinstance(severity, int) and severity in _LEVEL_OF_SEVERITY:
        return _LEVEL_OF_SEVERITY[severity]
    return level_of(item.get("EventType")) or level_of(item.get("Severity"))
