"""When a system that went down without warning was last alive: EventLog 6008."""

import struct
from datetime import UTC, datetime

from schemas.reports import Event

SHUTDOWN_TIME = "ShutdownTime"
"""The name of the datum that ``with_shutdown_time`` adds: ISO 8601, UTC."""

_PROVIDERS = ("eventlog", "microsoft-windows-eventlog")
# Two SYSTEMTIMEs begin the Binary, the same instant in local time and in UTC. Each is year, month,
# day of the week, day, hour, minute, second, millisecond.
_UTC = struct.Struct("<16x8H")
_HEX_DIGITS = 2 * _UTC.size


def with_shutdown_time(event: Event) -> dict[str, str] | None:
    """The data of an unexpected-shutdown event (EventLog 6008) with ``ShutdownTime``, else None.

    The event's own texts are a time of day and a date in the system's language and zone, with marks
    for the direction of text; only the Binary is the same everywhere. None when the event is
    another one, when there is no such Binary, or when it names a time after the event.
    """
    if event.id != 6008 or event.provider[:256].casefold() not in _PROVIDERS:
        return None
    try:
        raw = bytes.fromhex(event.binary[:_HEX_DIGITS])
        year, month, _, day, hour, minute, second, millisecond = _UTC.unpack(raw)
        time = datetime(year, month, day, hour, minute, second, millisecond * 1000, UTC)
    except (ValueError, struct.error):
        return None
    if time.timestamp() * 1000 > event.t_ms:
        return None
    text = time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {**event.data, SHUTDOWN_TIME: text}
