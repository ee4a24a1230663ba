"""From events of any node to reports of the operator's nodes. No I/O, no clock."""

from collections import OrderedDict

from schemas.codec import DecodeError
from schemas.inventory import InventoryNode
from schemas.reports import Event, NodeReport
from schemas.windows.names import node_name
from streams.ingest.node import Node
from streams.ingest.nodes import Inventory

FUTURE_MS = 86_400_000
"""Readers refuse a report with a record from over a day after it was sent."""

_Place = tuple[str, str]


class Bridge:
    """The nodes that are heard of, each with its reader.

    Laws: what an event becomes depends on the events of its node alone; an event that is refused
    changes nothing; records keep the order in which their events came; between batches at most
    ``max_nodes`` nodes are held, of them at most ``max_strangers`` that the inventory does not
    know.
    """

    def __init__(
        self, inventory: Inventory, heartbeat_s: int, max_nodes: int, max_strangers: int
    ) -> None:
        """Look nodes up in ``inventory``, which may change between calls."""
        self._inventory = inventory
        self._heartbeat_s = heartbeat_s
        self._max_nodes = max_nodes
        self._max_strangers = max_strangers
        self._known: OrderedDict[_Place, Node] = OrderedDict()
        self._strangers: OrderedDict[_Place, Node] = OrderedDict()
        self._touched: dict[_Place, Node] = {}
        self.evicted = 0
        """Nodes forgotten because there were too many."""
        self.left_out = 0
        """Events of nodes that have a collector of their own."""

    def __len__(self) -> int:
        return len(self._known) + len(self._strangers)

    def add(self, fleet: str, event: Event, now_ms: int) -> None:
        """Take an event (``now_ms``: wall clock, Unix ms).

        Raises DecodeError ``invalid``, ``future`` or ``oversized``: it is not taken then.
        """
        name = node_name(event.computer)
        if not name:
            raise DecodeError("invalid", "names no computer")
        entry = self._inventory.find(fleet, name)
        place = (fleet, entry.node if entry else name)
        if entry is not None and entry.collector:
            self.left_out += 1
            self._forget(place)
            return
        node = self._known.get(place) or self._strangers.get(place) or Node(*place, entry)
        node.take(event, entry, now_ms + FUTURE_MS, self._heartbeat_s)
        self._hold(place, node, entry)
        self._touched[place] = node

    def flush(self, now_ms: int) -> list[NodeReport]:
        """Reports of all that came since the last flush, and end of the batch."""
        reports = [
            report
            for node in self._touched.values()
            for report in node.reports(now_ms, self._heartbeat_s)
        ]
        self._touched.clear()
        while len(self._strangers) > self._max_strangers:
            self._evict(self._strangers)
        while len(self) > self._max_nodes:
            self._evict(self._strangers or self._known)
        return reports

    def unknown(self) -> list[tuple[str, str]]:
        """Fleet and name of the nodes held that the inventory does not know."""
        return list(self._strangers)

    def _hold(self, place: _Place, node: Node, entry: InventoryNode | None) -> None:
        self._forget(place)
        held = self._strangers if entry is None else self._known
        held[place] = node

    def _forget(self, place: _Place) -> None:
        self._known.pop(place, None)
        self._strangers.pop(place, None)

    def _evict(self, held: OrderedDict[_Place, Node]) -> None:
        held.popitem(last=False)
        self.evicted += 1
