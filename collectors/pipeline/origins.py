"""The nodes whose events come through one collector, and the headers of their reports.

Headers promise the heartbeats that this collector sends, for its own node, while it reads back
history too: detection takes what was sent last, and counts the log before the first heartbeat as
service. Reports for nodes that forward their events promise none: what is not heard of them can't
be told from here, and a heartbeat that this node made up would hide a node that hangs at its boot.
"""

from collections import OrderedDict
from functools import lru_cache

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from collectors.pipeline.node_list import Nodes
from schemas.inventory import InventoryNode
from schemas.inventory_facts import InventoryFacts
from schemas.reports import Boot, Facts, Name, NodeReport
from schemas.windows.records import RecordReader

MAX_ORIGINS = 4_096
"""Nodes whose log is remembered. One that comes back after it was forgotten, as after a restart of
the collector: its next boot can't say whether the shutdown was clean, a KB before that boot not
which build it brings, and the removal of a superseded package looks like a roll-back."""
_UNKNOWN_SITE = "unknown"


class Origin(Struct):
    """One node that events come from."""

    header: NodeReport
    """Without records; ``boot_ms`` is that of the newest boot in its log."""
    reader: RecordReader
    entry: InventoryNode | None = None
    """What the operator's list says of it."""
    branch: str = ""
    """That of the newest boot in its log."""
    newest_ms: int = 0
    _facts: InventoryFacts = field(default_factory=InventoryFacts)

    def booted(self, boot: Boot) -> None:
        """Reports from here on belong to this boot."""
        self.header = replace(self.header, boot_ms=boot.t_ms)
        self.branch = boot.build.partition(".")[0]

    def facts(self, t_ms: int) -> Facts | None:
        """What the list says of it, if that is to be sent with an event of this time."""
        if self.entry is None:
            return None
        self.newest_ms = max(self.newest_ms, t_ms)
        return self._facts.due(self.entry, self.newest_ms, self.branch)


class Origins:
    """Every origin by its name: this node, and those that forward to it."""

    def __init__(self, header: NodeReport, nodes: Nodes | None) -> None:
        """``header`` is this node's; without ``nodes`` each node that forwards is a failure domain
        of its own, at this node's site.
        """
        self._header = header
        self._nodes = nodes
        self.own = Origin(header, RecordReader())
        self._others: OrderedDict[tuple[str, str], Origin] = OrderedDict()

    def __len__(self) -> int:
        return len(self._others)

    def find(self, name: str) -> Origin | None:
        """Whose events those of ``name`` are; None for what can be no node's name.

        What the list calls by an earlier name is one node with what it is called now.
        """
        if not name or name == self._header.node:
            return self.own
        if not is_name(name):
            return None
        entry = self._nodes.find(name) if self._nodes else None
        place = (entry.fleet, entry.node) if entry else (self._header.fleet, name)
        if place == (self._header.fleet, self._header.node):
            return self.own
        origin = self._others.get(place)
        if origin is None:
            reader = RecordReader(entry.branch if entry else "")
            origin = Origin(self._header_of(place, entry), reader, entry)
            self._others[place] = origin
            if len(self._others) > MAX_ORIGINS:
                self._others.popitem(last=False)
        elif origin.entry != entry:
            boot_ms = origin.header.boot_ms
            origin.header = replace(self._header_of(place, entry), boot_ms=boot_ms)
            origin.entry = entry
        self._others.move_to_end(place)
        return origin

    def _header_of(self, place: tuple[str, str], entry: InventoryNode | None) -> NodeReport:
        fleet, node = place
        site = _UNKNOWN_SITE if self._nodes else self._header.site
        return replace(
            self._header,
            fleet=fleet,
            node=node,
            domain=entry.domain if entry else node,
            site=entry.site if entry else site,
            heartbeat_s=0,
        )


@lru_cache(maxsize=256)
def is_name(text: str) -> bool:
    """Whether reports can bear the name."""
    try:
        msgspec.json.decode(msgspec.json.encode(text), type=Name)
    except (msgspec.ValidationError, ValueError):
        return False
    return True
