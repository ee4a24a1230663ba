"""Who takes part in a case: each node with its exposure, stratum and place, over time."""

from collections.abc import Iterable

from msgspec import Struct

from schemas.evidence import DomainEvidence, NodeEvidence, NodePatch
from schemas.windows.builds import parse_build
from streams.detection.chains import DAY_MS, HOUR_MS
from streams.detection.node_evidence import WEEK_MS

EXPOSED_MS = 35 * DAY_MS
_MIN_SITES = 3
_HISTORY_MS = 30 * DAY_MS


class Case(Struct, frozen=True):
    """One KB on one branch of a fleet."""

    fleet: str
    branch: str
    kb: str
    build: str

    @property
    def name(self) -> str:
        """``KB5062557@17763``."""
        return f"{self.kb}@{self.branch}"


class Place(Struct, frozen=True):
    """Where a node stands at some instant; ``age`` 0: not yet exposed, 1: first hour, 2: first
    day, 3: until 35 days.
    """

    role: str
    noise: str
    site: str
    domain: str
    age: int


class Member(Struct, frozen=True):
    """One node of a case."""

    node: NodeEvidence
    domain: str
    site: str
    """Its site; with fewer than three sites on the branch its domain plays the site's part."""
    patch: NodePatch | None
    """The case's KB on this node, once it is in effect."""

    def place(self, t_ms: int) -> Place | None:
        """The node's place at ``t_ms``; None when it is out of service or no longer exposed."""
        grace_ms = self.node.grace_s * 1000
        if not any(a <= t_ms < b + grace_ms for a, b in self.node.service):
            return None
        age = self._age(t_ms)
        if age is None:
            return None
        return Place(self.node.role, noise_class(self.node, t_ms), self.site, self.domain, age)

    def changes(self, begin_ms: int, end_ms: int) -> list[int]:
        """Instants in [begin, end) at which the place may change, ``begin`` included."""
        grace_ms = self.node.grace_s * 1000
        at = {begin_ms}
        for a, b in self.node.service:
            at |= {a, b + grace_ms}
        if self.patch:
            t = self.patch.t_ms
            at |= {t, t + HOUR_MS, t + DAY_MS, t + EXPOSED_MS}
            if self.patch.end_ms is not None:
                at.add(self.patch.end_ms)
        at |= set(range((begin_ms // WEEK_MS + 1) * WEEK_MS, end_ms, WEEK_MS))
        at.add(self.node.since_ms + _HISTORY_MS)
        return sorted(t for t in at if begin_ms <= t < end_ms)

    def _age(self, t_ms: int) -> int | None:
        if self.patch is None or t_ms < self.patch.t_ms:
            return 0
        if self.patch.end_ms is not None and t_ms >= self.patch.end_ms:
            return None
        age_ms = t_ms - self.patch.t_ms
        if age_ms < HOUR_MS:
            return 1
        if age_ms < DAY_MS:
            return 2
        return 3 if age_ms < EXPOSED_MS else None


def noise_class(node: NodeEvidence, t_ms: int) -> str:
    """How often the node failed 30 to 90 days before ``t_ms``: ``0``, ``1-2``, ``3+`` or
    ``unknown`` with less than 30 days of history. Counted in whole weeks, the fifth to the
    thirteenth before this one, so that the days under judgement are never among them.
    """
    if t_ms - node.since_ms < _HISTORY_MS:
        return "unknown"
    week = t_ms // WEEK_MS
    count = sum(n for w, n in node.weeks.items() if week - 13 <= w <= week - 5)
    if count == 0:
        return "0"
    return "1-2" if count <= 2 else "3+"


def members(case: Case, evidence: Iterable[DomainEvidence]) -> list[Member]:
    """The nodes of a case, by name. A node that already ran the KB's build when its log begins
    takes no part: nobody knows since when it is exposed.
    """
    newest = newest_nodes(evidence)
    sites = {node.site for _, node in newest}
    out = []
    for domain, node in newest:
        patch = next((p for p in node.patches if p.kb == case.kb), None)
        if patch is None and already_there(case, node):
            continue
        site = node.site if len(sites) >= _MIN_SITES else domain
        in_effect = patch if patch and patch.state in ("effective", "rolled_back") else None
        out.append(Member(node, domain, site, in_effect))
    return out


def newest_nodes(evidence: Iterable[DomainEvidence]) -> list[tuple[str, NodeEvidence]]:
    """Each node once, by name, with its domain. A node that moved is still in its old domain's
    evidence: the newest sighting counts.
    """
    newest: dict[str, tuple[tuple[int, str], NodeEvidence]] = {}
    for part in evidence:
        for node in part.nodes:
            rank = (node.service[-1][1], part.domain)
            known = newest.get(node.node)
            if known is None or rank > known[0]:
                newest[node.node] = (rank, node)
    return [(rank[1], node) for _, (rank, node) in sorted(newest.items())]


def already_there(case: Case, node: NodeEvidence) -> bool:
    """Whether the node ran the case's build before its log begins."""
    return bool(case.build and node.build) and parse_build(node.build) >= parse_build(case.build)
