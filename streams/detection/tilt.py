"""ψ: difference in differences. Canaries that failed often before the patch can't condemn it.

    ψ = max(1, [U(y₁+1)/(e₁+1)] / min(1, Lo(y₀+1)/(e₀+1)))

y₁, e₁: failures of the nodes exposed so far in the 30 days before the case, and what their strata's
means lead to expect; y₀, e₀ the same of those not yet exposed. U and Lo are the Wilson-Hilferty
approximations of the 90 % and 10 % Poisson limits. Where less than one failure is expected of the
others, their factor is taken to the power e₀: a fleet that never fails is no reason for doubt. All
onsets count here, those without impact too: flakiness shows in both, and small fleets need every
failure they have.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from streams.detection.chains import DAY_MS
from streams.detection.members import Member, noise_class
from streams.detection.tree import NodeOnset

HISTORY_MS = 30 * DAY_MS
_Z90 = 1.28
_NEVER_MS = 1 << 62

Stratum = tuple[str, str]
"""(noise class, role)."""


def failures_before(onsets: Iterable[NodeOnset], started_ms: int) -> Counter[str]:
    """Onsets of any signature, harmful or not, per node in the 30 days before the case."""
    begin = started_ms - HISTORY_MS
    return Counter(o.node for o in onsets if o.level == "any" and begin <= o.t_ms < started_ms)


class Tilt:
    """ψ per noise class and pooled, moved forward in time with ``advance``."""

    def __init__(self, members: Sequence[Member], past: Mapping[str, int], started_ms: int) -> None:
        begin = started_ms - HISTORY_MS
        alike: dict[tuple[Stratum, int], tuple[Stratum, int]] = {}
        self._strata: dict[Stratum, _Group] = {}
        self._nodes: dict[str, tuple[Stratum, int]] = {}
        self._moves: list[tuple[int, str]] = []  # (when exposed, who)
        for member in members:
            node = member.node
            if node.since_ms <= begin:
                stratum = noise_class(node, started_ms), node.role
                count = past.get(node.node, 0)
                group = self._strata.get(stratum)
                if group is None:
                    group = self._strata[stratum] = _Group()
                group.join(count)
                # Alike in most nodes, and kept once.
                of_node = stratum, count
                self._nodes[node.node] = alike.setdefault(of_node, of_node)
                if member.patch:
                    self._moves.append((member.patch.t_ms, node.node))
        self._moves.sort()
        self._next = 0
        self._due_ms = 0
        """When the next node is exposed, or less."""
        self._known: dict[str | None, float] = {}
        self._by_noise: dict[str | None, list[_Group]] = {}

    def anew(self, without: Sequence[Member] = ()) -> "Tilt":
        """The same before the first node is exposed, with some members left out."""
        out = Tilt((), {}, 0)
        out._strata = {s: _Group(group.nodes, group.failures) for s, group in self._strata.items()}
        out._nodes, out._moves = self._nodes, self._moves
        gone = {member.node.node for member in without}
        for name in gone & self._nodes.keys():
            stratum, count = self._nodes[name]
            out._strata[stratum].leave(count)
        if gone:
            out._moves = [move for move in self._moves if move[1] not in gone]
        return out

    def advance(self, t_ms: int) -> None:
        """Move on to ``t_ms`` (Unix ms; never back by more than a second)."""
        if t_ms < self._due_ms:
            return
        moves, at = self._moves, self._next
        while at < len(moves) and moves[at][0] <= t_ms:
            stratum, count = self._nodes[moves[at][1]]
            group = self._strata[stratum]
            group.exposed += 1
            group.exposed_failures += count
            self._known.pop(stratum[0], None)
            at += 1
        if at > self._next:
            self._next = at
            self._due_ms = moves[at][0] if at < len(moves) else _NEVER_MS
            self._known.pop(None, None)

    def psi(self, noise: str | None) -> float:
        """ψ of a noise class, or of all together (None)."""
        if noise not in self._known:
            y1 = y0 = 0
            e1, e0 = [], []
            for group in self._groups(noise):
                mean = group.failures / group.nodes
                y1 += group.exposed_failures
                y0 += group.failures - group.exposed_failures
                e1.append(mean * group.exposed)
                e0.append(mean * (group.nodes - group.exposed))
            self._known[noise] = _ratio(y1, math.fsum(e1), y0, math.fsum(e0))
        return self._known[noise]

    def _groups(self, noise: str | None) -> "list[_Group]":
        if noise not in self._by_noise:
            self._by_noise[noise] = [
                group
                for stratum, group in self._strata.items()
                if noise in (None, stratum[0]) and group.nodes
            ]
        return self._by_noise[noise]


class _Group:
    """One stratum: its nodes and their failures in the 30 days, and those of the exposed."""

    __slots__ = ("exposed", "exposed_failures", "failures", "nodes")

    def __init__(self, nodes: int = 0, failures: int = 0) -> None:
        self.nodes, self.failures = nodes, failures
        self.exposed = self.exposed_failures = 0

    def join(self, failures: int) -> None:
        self.nodes += 1
        self.failures += failures

    def leave(self, failures: int) -> None:
        self.nodes -= 1
        self.failures -= failures


def _ratio(y1: float, e1: float, y0: float, e0: float) -> float:
    exposed = _limit(y1 + 1, _Z90) / (e1 + 1)
    others = math.pow(min(1.0, _limit(y0 + 1, -_Z90) / (e0 + 1)), min(1.0, e0))
    return max(1.0, exposed / others)


def _limit(count: float, z: float) -> float:
    return float(count * (1 - 1 / (9 * count) + z / (3 * math.sqrt(count))) ** 3)
