"""The benchmark's stream: one fleet over one observation period, one JSON object a line.

First a `Fleet`, then every `Node` before the lines that name it, last an `End`; what happened comes
in any order. All times are Unix milliseconds UTC, written ``t``. Fields that are not known are
ignored, so that a stream may say more; everything else is strict.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

Class = Literal[
    "service", "cluster", "crash", "vm", "storage", "identity", "install", "silence", "other"
]
Impact = Literal["outage", "degraded", "none"]
Name = Annotated[str, Meta(min_length=1, max_length=256)]
Millis = Annotated[int, Meta(ge=0, le=253_402_300_799_999)]
"""Up to the end of the year 9999."""


class Fleet(Struct, frozen=True, tag_field="type", tag="fleet"):
    """The first line: whose stream this is, and the period that it covers."""

    v: Literal[1]
    fleet: Name
    start_ms: Millis = field(name="start")
    end_ms: Millis = field(name="end")


class Node(Struct, frozen=True, tag_field="type", tag="node", omit_defaults=True):
    """A node; each is declared once."""

    node: Name
    role: Name
    branch: Name
    site: Name
    domain: Name
    """Failover cluster, else the node's own name."""
    t_ms: Millis = field(name="t")
    """In service since; may lie before the period."""
    ring: str = ""
    covariates: dict[str, bool | str] = field(default_factory=dict)


class Install(Struct, frozen=True, tag_field="type", tag="install", gc=False):
    """A KB became effective on a node."""

    t_ms: Millis = field(name="t")
    node: Name
    kb: Name


class Uninstall(Struct, frozen=True, tag_field="type", tag="uninstall", gc=False):
    """A KB left a node."""

    t_ms: Millis = field(name="t")
    node: Name
    kb: Name


class Event(Struct, frozen=True, tag_field="type", tag="event", omit_defaults=True, gc=False):
    """Something went wrong on a node, or on the node that it is about."""

    t_ms: Millis = field(name="t")
    node: Name
    cls: Class = field(name="class")
    signature: Name
    impact: Impact
    about: str = ""
    """The node that it is about, when another one logged it."""


class Heartbeat(Struct, frozen=True, tag_field="type", tag="heartbeat", gc=False):
    """A node was alive. Without any, all nodes count as alive."""

    t_ms: Millis = field(name="t")
    node: Name


class End(Struct, frozen=True, tag_field="type", tag="end"):
    """The last line: the stream is whole."""

    t_ms: Millis = field(name="t")


Line = Fleet | Node | Install | Uninstall | Event | Heartbeat | End
