"""Writes events as shippers do, and native reports as the events that they were made of.

Each shape is the real structure of its shipper with what that shipper loses left out: docs/shippers
says which fields these are.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
from msgspec.structs import replace

from schemas.reports import Boot, Event, Facts, Heartbeat, NodeReport, PatchState, Record

_CLASSIC = 0x0080_0000_0000_0000
_LEVELS = ("Information", "Critical", "Error", "Warning", "Information", "Verbose")
_SEVERITY_NUMBERS = (9, 21, 17, 13, 9, 5)
_NXLOG_SEVERITIES = (2, 5, 4, 3, 2, 1)
_NXLOG_WORDS = ("INFO", "CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG")
_INSTALLED = "5112"


class Shape(NamedTuple):
    """How a shipper writes an event, and the name of the format that reads it."""

    format: str
    write: Callable[[Event], bytes]


def winlogbeat(event: Event) -> bytes:
    """Winlogbeat 8, ECS."""
    data = dict(sorted(event.data.items()))
    if event.binary:
        data["Binary"] = event.binary
    level = _LEVELS[event.level].lower()
    return orjson.dumps(
        {
            "@timestamp": _iso(event.t_ms, 3),
            "@metadata": {"beat": "winlogbeat", "type": "_doc", "version": "8.14.3"},
            "agent": {"type": "winlogbeat", "name": "wec01"},
            "event": {"kind": "event", "code": str(event.id), "provider": event.provider},
            "host": {"name": "wec01.corp.example"},
            "log": {"level": level},
            "winlog": {
                "channel": event.channel,
                "computer_name": event.computer,
                "event_data": data,
                "event_id": str(event.id),
                "provider_name": event.provider,
                "record_id": event.record_id,
                "version": event.version,
                "api": "wineventlog",
            },
        }
    )


def otlp_map(event: Event) -> bytes:
    """OpenTelemetry's collector, ``event_data_format: map``."""
    data = dict(event.data)
    if event.binary:
        data["binary"] = event.binary
    return _otlp(event, data)


def otlp_array(event: Event) -> bytes:
    """OpenTelemetry's collector, ``event_data_format: array``."""
    entries = [{name: text} for name, text in event.data.items()]
    return _otlp(event, {"name": "", "binary": event.binary, "data": entries})


def vector(event: Event) -> bytes:
    """Vector's ``windows_event_log`` without XML: no Binary."""
    return orjson.dumps(
        {
            "timestamp": _iso(event.t_ms, 9),
            "host": "wec01.corp.example",
            "source_type": "windows_event_log",
            "event_id": event.id,
            "record_id": event.record_id,
            "level": _LEVELS[event.level],
            "level_value": event.level,
            "channel": event.channel,
            "provider_name": event.provider,
            "computer": event.computer,
            "version": event.version,
            "event_data": dict(sorted(event.data.items())),
        }
    )


def fluentbit(event: Event) -> bytes:
    """Fluent Bit's ``winevtlog`` without XML: no names of data, whole seconds."""
    inserts = [
        _seconds(text) if name in ("StartTime", "StopTime") else text
        for name, text in event.data.items()
    ]
    if event.binary:
        inserts.append(event.binary)
    return orjson.dumps(
        {
            "@timestamp": event.t_ms / 1000,
            "ProviderName": event.provider,
            "EventID": event.id,
            "Version": event.version,
            "Level": event.level,
            "Keywords": f"0x{_CLASSIC if event.binary else 0:016x}",
            "TimeCreated": _iso(event.t_ms, 0, "%Y-%m-%d %H:%M:%S +0000"),
            "EventRecordID": event.record_id,
            "Channel": event.channel,
            "Computer": event.computer,
            "StringInserts": inserts,
        }
    )


def nxlog(event: Event) -> bytes:
    """NXLog's ``to_json`` without XML: no Binary, whole seconds, here in UTC."""
    return orjson.dumps(
        {
            "EventTime": _iso(event.t_ms, 0, "%Y-%m-%d %H:%M:%S"),
            "Hostname": event.computer,
            "SeverityValue": _NXLOG_SEVERITIES[event.level],
            "Severity": _NXLOG_WORDS[event.level],
            "EventID": event.id,
            "SourceName": event.provider,
            "Version": event.version,
            "RecordNumber": event.record_id,
            "Channel": event.channel,
            **event.data,
            "EventReceivedTime": _iso(event.t_ms + 2_000, 0, "%Y-%m-%d %H:%M:%S"),
            "SourceModuleName": "eventlog",
            "SourceModuleType": "im_msvistalog",
        }
    )


def evtx_dump(event: Event) -> bytes:
    """``evtx_dump -o jsonl``."""
    data: dict[str, Any] = dict(event.data)
    if event.binary:
        data["Binary"] = event.binary
    system = {
        "Provider": {"#attributes": {"Name": event.provider}},
        "EventID": {"#attributes": {"Qualifiers": 49152}, "#text": event.id},
        "Version": event.version,
        "Level": event.level,
        "TimeCreated": {"#attributes": {"SystemTime": _iso(event.t_ms, 6)}},
        "EventRecordID": event.record_id,
        "Channel": event.channel,
        "Computer": event.computer,
    }
    return orjson.dumps({"Event": {"System": system, "EventData": data}})


SHAPES = {
    "winlogbeat": Shape("winlogbeat", winlogbeat),
    "otlp-map": Shape("otlp-json", otlp_map),
    "otlp-array": Shape("otlp-json", otlp_array),
    "vector": Shape("vector", vector),
    "fluentbit": Shape("fluentbit", fluentbit),
    "nxlog": Shape("nxlog", nxlog),
    "evtx-dump": Shape("evtx-dump", evtx_dump),
}


def events_of(report: NodeReport, computer: str, alive: bool = True) -> Iterator[Event]:
    """The events that a report's records were made of, in its order.

    A heartbeat, which no log has, becomes what a domain member logs about as often: that its group
    policy was applied. Without ``alive`` it becomes nothing, nor do facts.
    """
    for record in report.records:
        event = _event_of(record, alive)
        if event is not None:
            yield replace(event, computer=computer, about=None)


def _event_of(record: Record, alive: bool) -> Event | None:
    match record:
        case Event():
            return record
        case Boot():
            return _start(record)
        case PatchState():
            update = record.source.startswith("wuclient")
            return _update_client(record) if update else _servicing(record)
        case Heartbeat() if alive:
            return Event(
                t_ms=record.t_ms,
                channel="System",
                provider="Microsoft-Windows-GroupPolicy",
                id=1500,
                level=4,
                record_id=record.t_ms // 1000,
                data={"SupportInfo1": "1", "SupportInfo2": "4018"},
            )
        case Heartbeat() | Facts():
            return None


def _start(boot: Boot) -> Event:
    branch, _, ubr = boot.build.partition(".")
    return Event(
        t_ms=boot.t_ms,
        channel="System",
        provider="Microsoft-Windows-Kernel-General",
        id=12,
        version=1,
        level=4,
        record_id=boot.record_id,
        data={
            "MajorVersion": "10",
            "MinorVersion": "0",
            "BuildVersion": branch,
            "QfeVersion": ubr,
            "ServiceVersion": "0",
            "BootMode": "0",
            "StartTime": _iso(boot.t_ms, 7),
        },
    )


def _update_client(patch: PatchState) -> Event:
    title = f"2025 Cumulative Update for Microsoft server operating system ({patch.kb})"
    several = patch.source in ("wuclient/21", "wuclient/22")
    data = {"updatelist": f"- {title}"} if several else {"updateTitle": title}
    return Event(
        t_ms=patch.t_ms,
        channel="System",
        provider="Microsoft-Windows-WindowsUpdateClient",
        id=int(patch.source.partition("/")[2]),
        version=1,
        level=2 if patch.state == "failed" else 4,
        record_id=patch.record_id,
        data={**data, "updateRevisionNumber": "200"},
    )


def _servicing(patch: PatchState) -> Event:
    number = int(patch.source.partition("/")[2])
    intended = {"IntendedPackageState": _INSTALLED, "IntendedPackageStateTextized": "Installed"}
    initial = {"InitialPackageState": "5000", "InitialPackageStateTextized": "Absent"}
    change = {"ErrorCode": "0x0", "Client": "WindowsUpdateAgent"}
    return Event(
        t_ms=patch.t_ms,
        channel="Setup",
        provider="Microsoft-Windows-Servicing",
        id=number,
        record_id=patch.record_id,
        data={
            "PackageIdentifier": patch.kb,
            **(initial if number == 1 else {}),
            **intended,
            **({"Client": "WindowsUpdateAgent"} if number == 1 else change),
        },
    )


def _otlp(event: Event, event_data: dict[str, Any]) -> bytes:
    body = {
        "channel": event.channel,
        "computer": event.computer,
        "event_id": {"id": event.id, "qualifiers": 49152},
        "provider": {"name": event.provider, "guid": "", "event_source": ""},
        "system_time": _iso(event.t_ms, 7),
        "record_id": event.record_id,
        "level": _LEVELS[event.level],
        "version": event.version,
        "event_data": event_data,
    }
    record = {
        "timeUnixNano": str(event.t_ms * 1_000_000),
        "severityNumber": _SEVERITY_NUMBERS[event.level],
        "body": _any_value(body),
    }
    scopes = [{"scope": {}, "logRecords": [record]}]
    return orjson.dumps({"resourceLogs": [{"resource": {"attributes": []}, "scopeLogs": scopes}]})


def _any_value(value: object) -> dict[str, Any]:
    if isinstance(value, dict):
        pairs = [{"key": name, "value": _any_value(item)} for name, item in value.items()]
        return {"kvlistValue": {"values": pairs}}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_any_value(item) for item in value]}}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"stringValue": value}


def _seconds(text: str) -> str:
    """A time as Fluent Bit renders it in an event's data."""
    return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M:%S +0000")


def _iso(t_ms: int, digits: int, pattern: str = "") -> str:
    at = datetime.fromtimestamp(t_ms // 1000, UTC)
    if pattern:
        return at.strftime(pattern)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{f'{t_ms % 1000:03}'.ljust(digits, '0')}Z"
