"""What arrives from each node, what is missing, and which nodes can't be judged: pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from msgspec import Struct

from schemas.inventory import InventoryNode

_HOUR_MS = 3_600_000
_IN_DAYS_H = 48
_UNPROMISED_MS = 24 * _HOUR_MS
_GRACE_MS = 20 * 60_000
"""As detection/node_state.py has it: thrice the promise and 20 min, or a day without one."""

_UNKNOWN_SITE = "unknown"

WORDS = {
    "event": "events",
    "boot": "boots",
    "patch": "patch states",
    "facts": "facts",
    "heartbeat": "heartbeats",
}
"""What a kind of record is called in ``NodeSources.arrives``."""


class Arrival(Struct, frozen=True):
    """Records of one kind from one node; ``channel`` for events."""

    node: str
    domain: str
    site: str
    kind: str
    """event, boot, patch, facts or heartbeat."""
    channel: str
    records: int
    newest_ms: int
    promise_s: int
    """Of heartbeats: the interval that was promised last."""


class NodeSources(Struct, frozen=True):
    """One node: what arrives, what is missing, and why it can't be judged (empty: it can)."""

    node: str
    domain: str
    site: str
    newest_ms: int
    """Its newest record; 0 when nothing has arrived."""
    arrives: dict[str, int]
    """Channel, or kind of record, to the number of records."""
    missing: tuple[str, ...]
    unjudged: tuple[str, ...]


def check(
    arrivals: Iterable[Arrival], inventory: Mapping[str, InventoryNode]
) -> tuple[NodeSources, ...]:
    """Every node that is heard of or in the inventory, those that can't be judged first.

    A node is silent against the newest record of the fleet, not against the wall clock: a store
    that holds last year's incident can be checked too.
    """
    by_node: dict[str, list[Arrival]] = defaultdict(list)
    for arrival in arrivals:
        by_node[arrival.node].append(arrival)
    former = {alias: entry.node for entry in inventory.values() for alias in entry.aliases}
    fleet_ms = max((a.newest_ms for found in by_node.values() for a in found), default=0)
    checked = [
        _renamed(name, former[name], by_node[name])
        if name in former and name not in inventory
        else _node(name, by_node.get(name, ()), inventory.get(name), bool(inventory), fleet_ms)
        for name in sorted({*by_node, *inventory})
    ]
    checked.sort(key=lambda node: not node.unjudged)
    return tuple(checked)


def _renamed(name: str, bearer: str, found: Iterable[Arrival]) -> NodeSources:
    """What arrived before ``name`` became an alias: no node any more that could be judged."""
    arrivals = sorted(found, key=lambda a: a.newest_ms)
    newest = arrivals[-1]
    note = f"an alias of {bearer}: what arrived before the inventory said so stays under this name"
    return NodeSources(
        name, newest.domain, newest.site, newest.newest_ms, _counts(arrivals), (note,), ()
    )


def _counts(arrivals: Iterable[Arrival]) -> dict[str, int]:
    return dict(sorted((a.channel or WORDS[a.kind], a.records) for a in arrivals))


def _node(
    name: str,
    found: Iterable[Arrival],
    listed: InventoryNode | None,
    has_inventory: bool,
    fleet_ms: int,
) -> NodeSources:
    arrivals = sorted(found, key=lambda a: a.newest_ms)
    if not arrivals:
        domain, site = (listed.domain, listed.site) if listed else (name, "")
        return NodeSources(
            name, domain, site, 0, {}, (), ("is in the inventory, but nothing has arrived",)
        )
    newest = arrivals[-1]
    kinds = {a.kind for a in arrivals}
    channels = {a.channel.casefold() for a in arrivals}
    missing = [words for kind, words in _MISSING.items() if kind not in kinds]
    if "event" in kinds and "system" not in channels:
        missing.append("no events of the System channel: failed services can't be seen")
    if newest.site == _UNKNOWN_SITE:
        missing.append("site unknown: it can't corroborate over sites")
    if has_inventory and listed is None:
        missing.append("not in the inventory: its failure domain is its own word")
    return NodeSources(
        name,
        newest.domain,
        newest.site,
        newest.newest_ms,
        _counts(arrivals),
        tuple(missing),
        tuple(_unjudged(arrivals, kinds, newest, fleet_ms)),
    )


_MISSING = {
    "patch": "no patch states: neither WindowsUpdateClient nor Setup servicing arrives",
    "facts": "no facts: role and covariates are unknown, no rule can name them",
    "heartbeat": "no heartbeats: a silent node is noticed after a day only",
}


def _unjudged(
    arrivals: list[Arrival], kinds: set[str], newest: Arrival, fleet_ms: int
) -> Iterable[str]:
    if "boot" not in kinds:
        yield (
            "its build is unknown: no boot (Kernel-General 12 in System) has arrived since "
            "shipping began"
        )
    promise_s = max((a.promise_s for a in arrivals), default=0)
    grace_ms = 3000 * promise_s + _GRACE_MS if promise_s else _UNPROMISED_MS
    silent_ms = fleet_ms - newest.newest_ms
    if silent_ms > grace_ms:
        yield f"silent for {_span(silent_ms)} while others of the fleet are heard"


def _span(span_ms: int) -> str:
    hours = round(span_ms / _HOUR_MS)
    if hours >= _IN_DAYS_H:
        return f"{hours // 24} days"
    return "1 hour" if hours == 1 else f"{hours} hours"
