"""What a node says: one report, many records (topic ``kbw-node-reports``).

All ``*_ms`` are Unix milliseconds UTC as the node's own clock had them; ``*_s`` are seconds. A
report's records keep the order in which the node saw them. A report is at most 512 KiB encoded
(``codec.MAX_MESSAGE_BYTES``); a collector splits before that.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

# '|' separates the parts of Kafka keys; control characters, also those that turn the direction of
# text, have no business in a name that a terminal shows. Python's '$' also matches before a final
# line feed: (?!\n) forbids it.
_PRINTABLE = r"^[^|\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+$(?!\n)"
Name = Annotated[str, Meta(min_length=1, max_length=256, pattern=_PRINTABLE)]
Label = Annotated[str, Meta(max_length=256)]
TimeMs = Annotated[int, Meta(ge=0, le=4_102_444_800_000)]  # up to the year 2100
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]  # what JSON writers and stores can hold
Kb = Annotated[str, Meta(pattern=r"^KB[0-9]{4,9}$(?!\n)")]
Build = Annotated[str, Meta(pattern=r"^[0-9]{1,7}\.[0-9]{1,7}$(?!\n)")]
Branch = Annotated[str, Meta(pattern=r"^[0-9]{0,7}$(?!\n)")]

PatchStateName = Literal[
    "offered", "installing", "staged", "effective", "confirmed", "rolled_back", "failed"
]


class Event(Struct, frozen=True, tag_field="type", tag="event", omit_defaults=True):
    """One Windows event. Its identity is (fleet, node, channel, record_id, t_ms)."""

    t_ms: TimeMs
    channel: Label
    provider: Label
    id: Count
    version: Count = 0
    level: Count = 0
    record_id: Count = 0
    data: dict[str, str] = {}
    """Event data by name; data without names as ``param1``, ``param2`` …"""
    binary: str = ""
    """The event's ``Binary`` element, hexadecimal."""
    computer: Label = ""
    """The computer name as logged; the header's ``node`` is who sent it."""
    about: Name | None = None
    """The node the event is about when that is not the writer (FailoverClustering 1135)."""


class Boot(Struct, frozen=True, tag_field="type", tag="boot", omit_defaults=True):
    """One start of the operating system, from Kernel-General 12."""

    t_ms: TimeMs
    """The event's StartTime: the instant from which the booted build is in effect."""
    build: Build
    """``BuildVersion.QfeVersion``, for example ``17763.7558``."""
    clean: bool | None = None
    """Whether the shutdown before it was clean; None when the log cannot tell."""
    record_id: Count = 0


class PatchState(Struct, frozen=True, tag_field="type", tag="patch", omit_defaults=True):
    """One step of a KB on this node, as some source saw it."""

    kb: Kb
    state: PatchStateName
    t_ms: TimeMs
    source: Label
    """Who said it, for example ``wuclient/43`` or ``servicing/4``."""
    build: str = ""
    """The build the KB brings, where the source knows it."""
    record_id: Count = 0


class Facts(Struct, frozen=True, tag_field="type", tag="facts", omit_defaults=True):
    """What the node is: sent at start, on change, and daily."""

    t_ms: TimeMs
    role: Label = "server"
    os: Label = ""
    branch: Branch = ""
    """For example ``17763``; empty when unknown. Part of Kafka keys, like the names."""
    cluster: Label = ""
    ring: Label = ""
    virtual: bool | None = None
    covariates: Annotated[dict[Label, bool | Label], Meta(max_length=64)] = {}
    """For example ``csv_bitlocker``, ``s2d``, ``bitlocker_os``, ``kir:…``."""
    changes: Annotated[dict[Label, Label], Meta(max_length=64)] = {}
    """Driver, agent and firmware versions: suspects beside KBs."""
    backup_ms: TimeMs | None = None
    """When its newest backup succeeded, as far as the node knows: what it would go back to."""


class ChannelHealth(Struct, frozen=True, omit_defaults=True):
    """How far the collector has read one event channel."""

    newest_record_id: Count = 0
    lag_s: Count = 0


class Heartbeat(Struct, frozen=True, tag_field="type", tag="heartbeat", omit_defaults=True):
    """The node is alive, and this is what its collector lost."""

    t_ms: TimeMs
    channels: dict[str, ChannelHealth] = {}
    lost: Count = 0
    dropped: Count = 0
    spool_depth: Count = 0


Record = Event | Boot | PatchState | Facts | Heartbeat


class NodeReport(Struct, frozen=True, omit_defaults=True):
    """A header and up to some hundreds of records. Kafka key: ``fleet|domain``."""

    v: int
    fleet: Name
    node: Name
    domain: Name
    """The failure domain: the failover cluster, else the node itself."""
    site: Name
    sent_ms: TimeMs
    """The node's clock, stamped at each send: minus Kafka's append time it is the clock skew."""
    records: Annotated[list[Record], Meta(max_length=10_000)]
    boot_ms: TimeMs = 0
    """Start of the running boot on the node's clock; 0 when unknown."""
    heartbeat_s: Annotated[int, Meta(ge=0, le=86_400)] = 60
    """The promised interval between heartbeats; 0 means that none are sent."""
    collector: str = ""
