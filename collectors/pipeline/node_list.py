"""Who bears a name, by the operator's list of nodes (schemas/inventory_csv.py). Pure."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Protocol

from schemas.inventory import InventoryNode


class Nodes(Protocol):
    """What the pipeline asks of forwarded events; the answer may change from call to call."""

    def find(self, name: str) -> InventoryNode | None:
        """The node that bears ``name`` (as ``node_name`` writes it), or bore it; None: unknown."""


class NodeList:
    """The list as it was read once."""

    def __init__(self, nodes: Iterable[InventoryNode], fleet: str) -> None:
        """``fleet``: where a name is looked up first; one collector may hear of several fleets."""
        self._bearers: dict[str, list[tuple[tuple[bool, bool], InventoryNode]]] = defaultdict(list)
        for node in nodes:
            foreign = node.fleet != fleet
            self._bearers[node.node].append(((foreign, False), node))
            for alias in node.aliases:
                self._bearers[alias].append(((foreign, True), node))

    def find(self, name: str) -> InventoryNode | None:
        """See ``Nodes``. A name that a node has now outranks one that another had; None also where
        two other fleets have it: that would be a coin's toss.
        """
        bearers = self._bearers.get(name, ())
        best = min((rank for rank, _ in bearers), default=None)
        found = [node for rank, node in bearers if rank == best]
        return found[0] if len(found) == 1 else None
