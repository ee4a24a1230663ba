"""What the page keeps of a domain's evidence: a small part of it, for many nodes.

A message of kbw-evidence also carries baselines, noise and onsets by the thousand; detection needs
them, a page does not, and 20,000 nodes of it would not fit.
"""

from functools import lru_cache
from sys import intern

from msgspec import Struct

from schemas.codec import decode
from schemas.inventory import InventoryNode
from schemas.windows.builds import parse_build

_UNRESTARTED_MS = 40 * 60_000
"""How much later a node without a restart is missed: docs/detection.md §1."""

REACHED = frozenset({"effective", "confirmed", "rolled_back"})
"""States of a KB that is or was in effect."""


class Patch(Struct, frozen=True, gc=False):
    """Where one KB stands on a node. ``end_ms``: when it went out of effect, 0 if it did not."""

    state: str
    t_ms: int
    end_ms: int = 0

    @property
    def in_effect(self) -> bool:
        """Whether it is in effect now."""
        return self.state in ("effective", "confirmed") and not self.end_ms


class Node(Struct, frozen=True, gc=False):
    """One node, as its newest evidence and the inventory have it. Times are Unix ms."""

    fleet: str
    node: str
    site: str
    cluster: str
    """Its failure domain; empty when that is the node itself."""
    ring: str
    role: str
    kind: str
    """What nodes are compared by: ``hyperv in a cluster``, ``web``."""
    branch: str
    build: str
    order: tuple[int, int]
    """The build as numbers; (0, 0): not known."""
    last_ms: int
    """When it was last heard of; 0: never."""
    wait_ms: int
    """How far it may fall behind its branch before it is silent; −1: it sends no heartbeats."""
    ill_ms: int
    """When it last had a failure with impact; 0: never."""
    rebooting: bool
    """A restart was announced and no boot has followed."""
    patches: dict[str, Patch]
    facts: frozenset[str] = frozenset()
    """What a halt's rule may say of it: ``role=hyperv``, ``clustered``, ``csv_bitlocker``."""


class Contribution(Struct, frozen=True, gc=False):
    """The nodes of one domain on one branch."""

    fleet: str
    branch: str
    domain: str
    version: tuple[int, int]
    nodes: tuple[Node, ...]


class _Patch(Struct, gc=False):
    kb: str
    state: str
    t_ms: int
    end_ms: int | None = None


class _Node(Struct, gc=False):
    node: str
    role: str
    site: str
    build: str
    service: tuple[tuple[int, int], ...]
    grace_s: int
    ring: str = ""
    covariates: dict[str, bool | str] = {}
    patches: tuple[_Patch, ...] = ()
    heartbeats: bool = False
    restart: str = ""


class _Onset(Struct, gc=False):
    node: str
    impact: str
    last_ms: int


class _Domain(Struct, gc=False):
    v: int
    fleet: str
    branch: str
    domain: str
    epoch: int
    offset: int
    nodes: tuple[_Node, ...] = ()
    onsets: tuple[_Onset, ...] = ()


def contribution(raw: bytes) -> Contribution:
    """Decode one message of kbw-evidence. Raises DecodeError."""
    seen = decode(raw, _Domain)
    ill: dict[str, int] = {}
    for onset in seen.onsets:
        if onset.impact != "none":
            ill[onset.node] = max(ill.get(onset.node, 0), onset.last_ms)
    return Contribution(
        fleet=intern(seen.fleet),
        branch=intern(seen.branch),
        domain=seen.domain,
        version=(seen.epoch, seen.offset),
        nodes=tuple(_known(seen, node, ill.get(node.node, 0)) for node in seen.nodes),
    )


def by_inventory(node: Node, listed: InventoryNode) -> Node:
    """``node`` with what the operator's list says of it: the list outranks the node's own word."""
    cluster = "" if listed.domain == listed.node else intern(listed.domain)
    role = intern(listed.role or node.role)
    return Node(
        fleet=node.fleet,
        node=node.node,
        site=intern(listed.site),
        cluster=cluster,
        ring=intern(listed.ring or node.ring),
        role=role,
        kind=_kind(role, bool(cluster)),
        branch=node.branch,
        build=node.build,
        order=node.order,
        last_ms=node.last_ms,
        wait_ms=node.wait_ms,
        ill_ms=node.ill_ms,
        rebooting=node.rebooting,
        patches=node.patches,
        facts=node.facts,
    )


def unheard(listed: InventoryNode) -> Node:
    """A node that ought to report by the inventory, and was never heard of."""
    blank = Node(
        fleet=intern(listed.fleet),
        node=listed.node,
        site="",
        cluster="",
        ring="",
        role="",
        kind="",
        branch=intern(listed.branch),
        build="",
        order=build_order(""),
        last_ms=0,
        wait_ms=0,
        ill_ms=0,
        rebooting=False,
        patches={},
    )
    return by_inventory(blank, listed)


def _known(domain: _Domain, node: _Node, ill_ms: int) -> Node:
    last_ms = node.service[-1][1] if node.service else 0
    wait_ms = node.grace_s * 1000 + (0 if node.restart else _UNRESTARTED_MS)
    clustered = domain.domain != node.node
    return Node(
        fleet=intern(domain.fleet),
        node=node.node,
        site=intern(node.site),
        cluster=intern(domain.domain) if clustered else "",
        ring=intern(node.ring),
        role=intern(node.role),
        kind=_kind(node.role, clustered),
        branch=intern(domain.branch),
        build=intern(node.build),
        order=build_order(node.build),
        last_ms=last_ms,
        wait_ms=wait_ms if node.heartbeats else -1,
        ill_ms=ill_ms,
        rebooting=node.restart == "announced",
        patches={intern(p.kb): _standing(p.state, p.t_ms, p.end_ms or 0) for p in node.patches},
        facts=_facts(node.role, clustered, tuple(sorted(node.covariates.items()))),
    )


@lru_cache(maxsize=4_096)
def build_order(build: str) -> tuple[int, int]:
    """A build as numbers that compare; (0, 0) for one that is not known."""
    try:
        return parse_build(build)
    except ValueError:
        return 0, 0


@lru_cache(maxsize=4_096)
def _kind(role: str, clustered: bool) -> str:
    return intern(f"{role} in a cluster" if clustered else role)


@lru_cache(maxsize=4_096)
def _facts(
    role: str, clustered: bool, covariates: tuple[tuple[str, bool | str], ...]
) -> frozenset[str]:
    # As ``streams.detection.rule.literals`` has it; many nodes share one value.
    said = [f"role={role}", *(["clustered"] if clustered else [])]
    said += [
        name if value is True else f"{name}={value}"
        for name, value in covariates
        if value is not False
    ]
    return frozenset(said)


@lru_cache(maxsize=65_536)
def _standing(state: str, t_ms: int, end_ms: int) -> Patch:
    # The KBs of one boot came at the same instant: they share one value.
    return Patch(intern(state), t_ms, end_ms)
