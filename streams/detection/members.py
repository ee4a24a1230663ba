"""Who takes part in a case: each node with its exposure, stratum and place, over time."""

from collections.abc import Iterable

from msgspec import Struct

from schemas.evidence import DomainEvidence, NodeEvidence, NodePatch
from schemas.windows.builds import parse_build
from streams.detection.chains import DAY_MS, HOUR_MS
from streams.detection.node_evidence import WEEK_MS

EXPOSED_MS = 35 * DAY_MS
AGES = 4
"""Ages of a place, see ``Place``."""
NOISES = ("0", "1-2", "3+", "unknown")
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


class Place(Struct, frozen=True, gc=False):
    """Where a node stands at some instant; ``age`` 0: not yet exposed, 1: first hour, 2: first
    day, 3: until 35 days.
    """

    role: str
    noise: str
    site: str
    domain: str
    age: int


Stay = tuple[int, int, str, int]
"""From when until when (Unix ms, the end excluded) a node has a noise class and an age."""


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
        age = self.age(t_ms)
        if age is None:
            return None
        return Place(self.node.role, noise_class(self.node, t_ms), self.site, self.domain, age)

    def stays(self, begin_ms: int, end_ms: int) -> list[Stay]:
        """The node's places over [begin, end), one after the other, gaps where it has none."""
        grace_ms = self.node.grace_s * 1000
        noises = noise_steps(self.node, begin_ms, end_ms)
        ages = self._ages(begin_ms, end_ms, noises[0][2])
        first_ms, last_ms = self.node.service[0]
        if first_ms <= begin_ms and last_ms + grace_ms >= end_ms and len(noises) == 1:
            return ages
        out = []
        done_ms = begin_ms
        for first_ms, last_ms in self.node.service:
            low, done_ms = max(first_ms, done_ms), max(min(last_ms + grace_ms, end_ms), done_ms)
            for age_from_ms, age_to_ms, _, age in ages:
                from_ms = age_from_ms if age_from_ms > low else low
                to_ms = age_to_ms if age_to_ms < done_ms else done_ms
                for since_ms, until_ms, noise in noises:
                    if since_ms < to_ms and from_ms < until_ms and from_ms < to_ms:
                        start_ms = since_ms if since_ms > from_ms else from_ms
                        out.append((start_ms, min(until_ms, to_ms), noise, age))
        return out

    def _ages(self, begin_ms: int, end_ms: int, noise: str) -> list[Stay]:
        """The ages one after the other, as if always in service and of one noise class."""
        if self.patch is None:
            return [(begin_ms, end_ms, noise, 0)]
        t_ms, back_ms = self.patch.t_ms, self.patch.end_ms
        if back_ms is not None and back_ms < end_ms:
            end_ms = back_ms
        out = []
        for to_ms, age in (
            (t_ms, 0),
            (t_ms + HOUR_MS, 1),
            (t_ms + DAY_MS, 2),
            (t_ms + EXPOSED_MS, 3),
        ):
            if begin_ms < to_ms and begin_ms < end_ms:
                out.append((begin_ms, to_ms if to_ms < end_ms else end_ms, noise, age))
                begin_ms = to_ms
        return out

    def age(self, t_ms: int) -> int | None:
        """The age of the node's place at ``t_ms``, see ``Place``; None when it has none."""
        grace_ms = self.node.grace_s * 1000
        for first_ms, last_ms in self.node.service:
            if first_ms <= t_ms < last_ms + grace_ms:
                return self._age(t_ms)
        return None

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
    count = 0
    for w, n in node.weeks.items():
        if week - 13 <= w <= week - 5:
            count += n
    if count == 0:
        return "0"
    return "1-2" if count <= 2 else "3+"


def noise_steps(node: NodeEvidence, begin_ms: int, end_ms: int) -> list[tuple[int, int, str]]:
    """From when until when the node has which noise class, over [``begin_ms``, ``end_ms``)."""
    if not node.weeks and node.since_ms + _HISTORY_MS <= begin_ms:
        return [(begin_ms, end_ms, NOISES[0])]
    turns = [(week + weeks) * WEEK_MS for week in node.weeks for weeks in (5, 14)]
    turns.append(node.since_ms + _HISTORY_MS)
    out = []
    from_ms, noise = begin_ms, noise_class(node, begin_ms)
    for t_ms in sorted([t for t in turns if begin_ms < t < end_ms]):
        later = noise_class(node, t_ms)
        if later != noise:
            out.append((from_ms, t_ms, noise))
            from_ms, noise = t_ms, later
    return [*out, (from_ms, end_ms, noise)]


def members(case: Case, evidence: Iterable[DomainEvidence]) -> list[Member]:
    """The nodes of a case, by name. A node that already ran the KB's build when its log begins
    takes no part: nobody knows since when it is exposed.
    """
    newest = newest_nodes(evidence)
    sites = {node.site for _, node in newest}
    out = []
    for domain, node in newest:
        patch = None
        for one in node.patches:
            if one.kb == case.kb:
                patch = one
                break
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
    newest: dict[str, tuple[str, NodeEvidence]] = {}
    for part in evidence:
        for node in part.nodes:
            known = newest.get(node.node)
            if known is None or (node.service[-1][1], part.domain) > (
                known[1].service[-1][1],
                known[0],
            ):
                newest[node.node] = part.domain, node
    return [newest[name] for name in sorted(newest)]


def already_there(case: Case, node: NodeEvidence) -> bool:
    """Whether the node ran the case's build before its log begins."""
    return bool(case.build and node.build) and parse_build(node.build) >= parse_build(case.build)
