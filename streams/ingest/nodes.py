"""The operator's inventory as a model: who bears a name. No I/O."""

from collections import defaultdict

from schemas.codec import DecodeError, decode
from schemas.inventory import InventoryNode
from schemas.topics import key


class Inventory:
    """The nodes of kbw-inventory by fleet and name, aliases included.

    Law: it depends on the last record of each key alone, not on the order of different keys.
    """

    def __init__(self) -> None:
        """Begin with no node."""
        self._nodes: dict[bytes, InventoryNode] = {}
        self._bearers: dict[bytes, set[str]] = defaultdict(set)
        """``fleet|alias`` → nodes that had this name."""

    def __len__(self) -> int:
        return len(self._nodes)

    def put(self, record_key: bytes, value: bytes | None) -> None:
        """Take a record of kbw-inventory; one without a value removes the node.

        Raises DecodeError; what was known of the node stays then.
        """
        node = None
        if value is not None:
            node = decode(value, InventoryNode)
            expected = key(node.fleet, node.node)
            if record_key != expected:
                raise DecodeError("key", f"record key {record_key!r}, the value says {expected!r}")
        old = self._nodes.pop(record_key, None)
        if old is not None:
            for alias in old.aliases:
                self._bearers[key(old.fleet, alias)].discard(old.node)
        if node is not None:
            self._nodes[record_key] = node
            for alias in node.aliases:
                self._bearers[key(node.fleet, alias)].add(node.node)

    def find(self, fleet: str, name: str) -> InventoryNode | None:
        """The node of ``fleet`` that bears ``name`` (as ``node_name`` writes it), or bore it.

        A name that a node has now outranks one that another had.
        """
        named = self._nodes.get(key(fleet, name))
        if named is not None:
            return named
        bearers = self._bearers.get(key(fleet, name))
        return self._nodes.get(key(fleet, min(bearers))) if bearers else None
