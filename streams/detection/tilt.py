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
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from streams.detection.chains import DAY_MS
from streams.detection.members import Member, noise_class
from streams.detection.tree import NodeOnset

HISTORY_MS = 30 * DAY_MS
_Z90 = 1.28


def failures_before(onsets: Iterable[NodeOnset], started_ms: int) -> Counter[str]:
    """Onsets of any signature, harmful or not, per node in the 30 days before the case."""
    begin = started_ms - HISTORY_MS
    return Counter(o.node for o in onsets if o.level == "any" and begin <= o.t_ms < started_ms)


class Tilt:
    """ψ per noise class and pooled, moved forward in time with ``advance``."""

    def __init__(self, members: Sequence[Member], past: Mapping[str, int], started_ms: int) -> None:
        begin = started_ms - HISTORY_MS
        strata: dict[tuple[str, str], list[Member]] = defaultdict(list)
        for member in members:
            if member.node.since_ms <= begin:
                noise = noise_class(member.node, started_ms)
                strata[member.node.role, noise].append(member)
        # Per noise class: [y exposed, e exposed, y not yet, e not yet].
        self._sums: dict[str, list[float]] = defaultdict(lambda: [0.0] * 4)
        self._moves: list[tuple[int, str, str, int, float]] = []
        for (_, noise), group in sorted(strata.items()):
            mean = sum(past.get(m.node.node, 0) for m in group) / len(group)
            for member in group:
                count = past.get(member.node.node, 0)
                sums = self._sums[noise]
                sums[2] += count
                sums[3] += mean
                if member.patch:
                    self._moves.append((member.patch.t_ms, member.node.node, noise, count, mean))
        self._moves.sort()
        self._next = 0

    def advance(self, t_ms: int) -> None:
        """Move on to ``t_ms`` (Unix ms, never back)."""
        while self._next < len(self._moves) and self._moves[self._next][0] <= t_ms:
            _, _, noise, count, mean = self._moves[self._next]
            self._next += 1
            sums = self._sums[noise]
            sums[0] += count
            sums[1] += mean
            sums[2] -= count
            sums[3] -= mean

    def psi(self, noise: str | None) -> float:
        """ψ of a noise class, or of all together (None)."""
        if noise is not None:
            return _ratio(*self._sums[noise])
        return _ratio(*(sum(s[i] for s in self._sums.values()) for i in range(4)))


def _ratio(y1: float, e1: float, y0: float, e0: float) -> float:
    exposed = _limit(y1 + 1, _Z90) / (e1 + 1)
    e0 = max(e0, 0.0)
    others = math.pow(min(1.0, _limit(y0 + 1, -_Z90) / (e0 + 1)), min(1.0, e0))
    return max(1.0, exposed / others)


def _limit(count: float, z: float) -> float:
    return float(count * (1 - 1 / (9 * count) + z / (3 * math.sqrt(count))) ** 3)
