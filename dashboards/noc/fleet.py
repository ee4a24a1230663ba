"""Every node once, as the newest evidence and the inventory have it, and who is silent."""

from collections import defaultdict
from collections.abc import Collection, Iterable

from msgspec import Struct

from dashboards.noc.sightings import Contribution, Node, by_inventory, unheard
from schemas.inventory import InventoryNode

NodeKey = tuple[str, str]
"""(fleet, node)."""
Branch = tuple[str, str]
"""(fleet, branch)."""

_NOTHING: frozenset[bytes] = frozenset()


class _Part(Struct, frozen=True):
    """A contribution with its nodes by name."""

    version: tuple[int, int]
    nodes: dict[NodeKey, Node]


class Fleet:
    """The nodes of all fleets.

    Laws: of several contributions that name a node the one that heard of it last holds; an older
    version of a contribution changes nothing; what the inventory says outranks what a node says.
    """

    def __init__(self) -> None:
        self.nodes: dict[NodeKey, Node] = {}
        self.silent: set[NodeKey] = set()
        self._parts: dict[bytes, _Part] = {}
        self._in: dict[NodeKey, frozenset[bytes]] = {}
        self._listed: dict[NodeKey, InventoryNode] = {}
        self._time_ms: dict[Branch, int] = {}
        self._of: dict[Branch, dict[str, Node]] = defaultdict(dict)

    @property
    def parts(self) -> int:
        """How many contributions are held."""
        return len(self._parts)

    @property
    def listed(self) -> int:
        """How many nodes the inventory has."""
        return len(self._listed)

    def contribute(self, name: bytes, part: Contribution | None) -> set[NodeKey]:
        """Replace the contribution with the key ``name``, or remove it; the nodes it touches."""
        known = self._parts.get(name)
        if part is None:
            self._parts.pop(name, None)
        elif known is not None and part.version < known.version:
            return set()
        else:
            self._parts[name] = _Part(part.version, _by_key(part.nodes))
        before = known.nodes if known else {}
        after = self._parts[name].nodes if part else {}
        for key in before.keys() - after.keys():
            self._in[key] = self._in.get(key, _NOTHING) - {name}
        for key in after.keys() - before.keys():
            self._in[key] = self._in.get(key, _NOTHING) | {name}
        return {key for key in before.keys() | after.keys() if self._refresh(key)}

    def enlist(self, key: NodeKey, listed: InventoryNode | None) -> set[NodeKey]:
        """Take the inventory's word on a node (None: it left the list); the nodes it touches."""
        if listed is None:
            self._listed.pop(key, None)
        else:
            self._listed[key] = listed
        return {key} if self._refresh(key) else set()

    def of_branch(self, branch: Branch) -> Collection[Node]:
        """The nodes of a branch."""
        return self._of.get(branch, {}).values()

    def time_ms(self, branch: Branch) -> int:
        """The instant up to which nine tenths of the branch's nodes reach, as of the last sweep."""
        return self._time_ms.get(branch, 0)

    def sweep(self) -> set[NodeKey]:
        """Look anew who is silent; the nodes that fell silent or came back.

        Measured by what the branch's nodes say of time, never by the server's clock: a replayed
        past is not silent.
        """
        seen: dict[Branch, list[int]] = defaultdict(list)
        for node in self.nodes.values():
            if node.last_ms:
                seen[node.fleet, node.branch].append(node.last_ms)
        for branch, times in seen.items():
            times.sort()
            self._time_ms[branch] = times[(len(times) - 1) * 9 // 10]
        now = {key for key, node in self.nodes.items() if self._is_silent(node)}
        changed = now ^ self.silent
        self.silent = now
        return changed

    def _is_silent(self, node: Node) -> bool:
        if not node.last_ms:
            return True
        behind_ms = self.time_ms((node.fleet, node.branch)) - node.last_ms
        return node.wait_ms >= 0 and behind_ms >= node.wait_ms

    def _refresh(self, key: NodeKey) -> bool:
        """Work a node out anew; whether anything about it has changed."""
        known, fresh = self.nodes.get(key), self._newest(key)
        if not self._in.get(key, _NOTHING):
            self._in.pop(key, None)
        if fresh == known:
            return False
        if known is not None:
            self._of[known.fleet, known.branch].pop(known.node)
        if fresh is None:
            self.nodes.pop(key, None)
            self.silent.discard(key)
            return True
        self.nodes[key] = fresh
        self._of[fresh.fleet, fresh.branch][fresh.node] = fresh
        if self._is_silent(fresh):
            self.silent.add(key)
        else:
            self.silent.discard(key)
        return True

    def _newest(self, key: NodeKey) -> Node | None:
        listed = self._listed.get(key)
        named = [self._parts[name].nodes[key] for name in self._in.get(key, _NOTHING)]
        seen = max(named, key=_recency, default=None)
        if seen is None:
            # Nodes that only shippers speak for may be listed without ever being heard of.
            return unheard(listed) if listed is not None and listed.collector else None
        return by_inventory(seen, listed) if listed is not None else seen


def _recency(node: Node) -> tuple[int, str, str]:
    return node.last_ms, node.cluster, node.branch


def _by_key(nodes: Iterable[Node]) -> dict[NodeKey, Node]:
    # Of a node that is named twice the newest holds.
    return {(node.fleet, node.node): node for node in sorted(nodes, key=_recency)}
