"""Fluent Bit's inputs ``winevtlog`` and ``winlog`` (the old one)."""

import re
from collections.abc import Iterator
from typing import Any

from schemas.codec import DecodeError
from schemas.formats.fields import (
    add_all,
    array,
    count,
    indexed,
    level_of,
    moment,
    required,
    text,
)
from schemas.formats.items import Item, each_of
from schemas.reports import Event
from schemas.windows.event_parts import Values, checked
from schemas.windows.event_xml import event_of

_CLASSIC = 0x0080_0000_0000_0000  # keyword of events that may have a Binary
_BINARY = re.compile(r"(?:[0-9A-F]{2}){8,}")

_KERNEL_GENERAL = "microsoft-windows-kernel-general"
_SERVICING = "microsoft-windows-servicing"
_START = (
    "MajorVersion",
    "MinorVersion",
    "BuildVersion",
    "QfeVersion",
    "ServiceVersion",
    "BootMode",
    "StartTime",
)
_INITIATE = (
    "PackageIdentifier",
    "InitialPackageState",
    "InitialPackageStateTextized",
    "IntendedPackageState",
    "IntendedPackageStateTextized",
    "Client",
)
_CHANGE = (
    "PackageIdentifier",
    "IntendedPackageState",
    "IntendedPackageStateTextized",
    "ErrorCode",
    "Client",
)
_NAMES = {
    (_KERNEL_GENERAL, 12): _START,
    (_KERNEL_GENERAL, 13): ("StopTime",),
    (_SERVICING, 1): _INITIATE,
    (_SERVICING, 2): _CHANGE,
    (_SERVICING, 3): _CHANGE,
    (_SERVICING, 4): _CHANGE,
}
"""Names of data that are read by name: this shape has them by position only."""


def events_of(value: bytes) -> Iterator[Item]:
    """The event, or the array of events, in one Kafka record.

    ``System`` (``render_event_as_xml true``) holds the whole event. Else data are
    ``StringInserts``, without names, and times are whole seconds: ``@timestamp`` is when Fluent Bit
    read the event, not when it happened. See ``each_of``.
    """
    return each_of(value, _event_of)


def _event_of(item: dict[str, Any], path: str) -> Event:
    if "System" in item:
        return _from_xml(item["System"], f"{path}.System")
    return _legacy(item, path) if "SourceName" in item else _winevtlog(item, path)


def _from_xml(xml: object, path: str) -> Event:
    try:
        return event_of(text(xml, path))
    except DecodeError as error:
        raise DecodeError(error.reason, f"{path}: {error.detail}") from None


def _winevtlog(item: dict[str, Any], path: str) -> Event:
    provider = required(item, "ProviderName", path)
    number = count(item.get("EventID"), f"{path}.EventID")
    data, binary = _inserts(item, path, (provider.casefold(), number))
    fields = {
        "t_ms": moment(item.get("TimeCreated"), f"{path}.TimeCreated"),
        "channel": required(item, "Channel", path),
        "provider": provider,
        "id": number,
        "version": count(item.get("Version"), f"{path}.Version", 0),
        "level": count(item.get("Level"), f"{path}.Level", 0),
        "record_id": count(item.get("EventRecordID"), f"{path}.EventRecordID"),
        "data": data,
        "binary": binary,
        "computer": text(item.get("Computer"), f"{path}.Computer"),
    }
    return checked(fields, path)


def _legacy(item: dict[str, Any], path: str) -> Event:
    number = item.get("EventID", item.get("EventId"))
    values = Values()
    add_all(values, item.get("StringInserts", []), f"{path}.StringInserts")
    fields = {
        "t_ms": moment(item.get("TimeGenerated"), f"{path}.TimeGenerated"),
        "channel": required(item, "Channel", path),
        "provider": required(item, "SourceName", path),
        "id": count(number, f"{path}.EventID"),
        "level": level_of(item.get("EventType")),
        "record_id": count(item.get("RecordNumber"), f"{path}.RecordNumber"),
        "data": values.data(),
        "binary": text(item.get("Data"), f"{path}.Data").strip().upper(),
        "computer": text(item.get("ComputerName"), f"{path}.ComputerName"),
    }
    return checked(fields, path)


def _inserts(item: dict[str, Any], path: str, kind: tuple[str, int]) -> tuple[dict[str, str], str]:
    where = f"{path}.StringInserts"
    inserts = array(item.get("StringInserts", []), where)
    texts = [text(insert, at) for at, insert in indexed(inserts, where)]
    names = _NAMES.get(kind, ())
    if names and len(names) == len(texts):
        return {
            name: _iso(one) if name.endswith("Time") else one
            for name, one in zip(names, texts, strict=True)
        }, ""
    binary = ""
    if texts and _classic(item.get("Keywords")) and _BINARY.fullmatch(texts[-1]):
        binary = texts.pop()
    values = Values()
    for one in texts:
        values.add(one)
    return values.data(), binary


def _classic(keywords: object) -> bool:
    try:
        return bool(int(str(keywords)[:18], 16) & _CLASSIC)
    except ValueError:
        return False


def _iso(time: str) -> str:
    """``2018-07-06 18:37:44 +0000`` → ``2018-07-06 18:37:44+0000``."""
    return time.replace(" +", "+").replace(" -", "-")
