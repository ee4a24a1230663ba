"""What goes through the spool: a report, and how far the sources had been read."""

from enum import IntEnum

from msgspec import Struct

from schemas.reports import NodeReport


class Priority(IntEnum):
    """What a full spool drops first is the highest number."""

    KEEP = 0
    """Patch states, boots, cluster events, facts, heartbeats: dropped last."""
    FAILURE = 1
    """Critical and error events."""
    NOISE = 2
    """Warnings and below."""


class Bundle(Struct, frozen=True):
    """One report for one node, of records of one priority."""

    report: NodeReport
    """With ``sent_ms`` 0: it is stamped at each send."""
    priority: Priority
    positions: dict[str, str] = {}
    """Source → position behind everything in this and all earlier bundles."""
