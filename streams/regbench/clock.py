"""Units of simulated time, and how Windows writes an instant into its records."""

import struct
from datetime import UTC, datetime

SECOND_MS = 1_000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000


def utc_ms(year: int, month: int, day: int, hour: int = 0) -> int:
    """Unix milliseconds of an hour, UTC."""
    return int(datetime(year, month, day, hour, tzinfo=UTC).timestamp()) * SECOND_MS


def moment(t_ms: int) -> datetime:
    """``t_ms`` as a datetime, UTC."""
    return datetime.fromtimestamp(t_ms / 1000, tz=UTC)


def systemtime(t_ms: int) -> str:
    """``t_ms`` as Windows' SYSTEMTIME, hexadecimal, as EventLog 6005 and 6008 carry it."""
    at = moment(t_ms)
    parts = (at.year, at.month, at.isoweekday() % 7, at.day, at.hour, at.minute, at.second)
    return struct.pack("<8H", *parts, t_ms % 1000).hex().upper()
