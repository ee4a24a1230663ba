"""From events of any node to reports of the operator's nodes. No I/O, no clock."""

from collections import OrderedDict
from collections.abc import Sequence

from schemas.codec import DecodeError
from schemas.reports import Event, NodeReport
from schemas.windows.names import node_name
from streams.ingest.node import Node, Sized
from streams.ingest.nodes import Inventory

FUTURE_MS = 86_400_000
"""Readers refuse a report with a record from over a day after it was sent."""


class Bridge:
    """The nodes that are heard of, each with its reader.

    Laws: what an event becomes depends on the events of its node alone; records keep the order in
    which their events came; at most ``max_nodes`` nodes are held between batches.
    """

    def __init__(self, inventory: Inventory, heartbeat_s: int, max_nodes: int) -> None:
        """Look nodes up in ``inventory``, which may change between calls."""
        self._inventory = inventory
        self._heartbeat_s = heartbeat_s
        self._max_nodes = max_nodes
        self._nodes: OrderedDict[tuple[str, str], Node] = OrderedDict()
        self._touched: dict[tuple[str, str], Node] = {}
        self.evicted = 0
        """Nodes forgotten because there were too many."""
        self.left_out = 0
        """Events of nodes that have a collector of their own."""

    def __len__(self) -> int:
        return len(self._nodes)

    def add(self, fleet: str, events: Sequence[Event], now_ms: int) -> None:
        """Take the events of one message (``now_ms``: wall clock, Unix ms).

        Raises DecodeError ``invalid``, ``future`` or ``oversized``: none of them is taken then.
        """
        for index, event in enumerate(events):
            _check(index, event, now_ms)
        taken: list[tuple[Node, Event, list[Sized]]] = []
        for event in events:
            node = self._node(fleet, node_name(event.computer))
            if node.entry is not None and node.entry.collector:
                self.left_out += 1
            else:
                taken.append((node, event, node.read(event)))
        for node, event, records in taken:
            node.add(event, records, self._heartbeat_s)
            self._touched[node.fleet, node.name] = node

    def flush(self, now_ms: int) -> list[NodeReport]:
        """Reports of all that came since the last flush, and end of the batch."""
        reports = [
            report
            for node in self._touched.values()
            for report in node.reports(now_ms, self._heartbeat_s)
        ]
        self._touched.clear()
        while len(self._nodes) > self._max_nodes:
            self._nodes.popitem(last=False)
            self.evicted += 1
        return reports

    def unknown(self) -> list[tuple[str, str]]:
        """Fleet and name of the nodes held that the inventory does not know."""
        return [place for place, node in self._nodes.items() if node.entry is None]

    def _node(self, fleet: str, name: str) -> Node:
        entry = self._inventory.find(fleet, name)
        place = (fleet, entry.node if entry else name)
        node = self._nodes.get(place)
        if node is None:
            node = self._nodes[place] = Node(*place, entry)
        self._nodes.move_to_end(place)
        node.entry = entry
        return node


def _check(index: int, event: Event, now_ms: int) -> None:
    if not node_name(event.computer):
        raise DecodeError("invalid", f"event {index} names no computer")
    if event.t_ms > now_ms + FUTURE_MS:
        raise DecodeError("future", f"event {index}: {event.t_ms} ms is over a day from now")
