"""The bet: for each failure, was it more often a patched node than the share of patched allows?

For an onset with n₁ exposed and n₀ control nodes in its risk set (stratified log-rank partial
likelihood; safe log-rank test: ter Schure, Pérez-Ortiz, Ly, Grünwald 2024, arXiv:2011.06931)

    θ = ρψn₁ / (ρψn₁ + n₀),    L += x ln r − ln(1 + (r−1)θ)

with x = 1 when the failing node is exposed, else 0, and r ∈ {3, 10, 30, 100, 1000}. Each e^L is a
non-negative supermartingale while the KB is harmless, so is the mixture over signature levels,
windows and r: by Ville's inequality it ever reaches 1/α with probability at most α, however often
one looks.
"""

import math
from collections import defaultdict

from streams.detection.margins import Table
from streams.detection.members import Place
from streams.detection.tree import MAX_SIGNATURES, UPPER, weight

RATES = (3.0, 10.0, 30.0, 100.0, 1000.0)
_LOG_RATES = tuple(math.log(r) for r in RATES)
WINDOW_WEIGHTS = (0.4, 0.2, 0.4)
# Ages (see members.Place) that are exposed and control in the acute, sub-acute and chronic window.
EXPOSED_AGES = ((1,), (2,), (2, 3))
CONTROL_AGES = ((0, 2, 3), (0, 3), (0,))
_MAX_LOG = 600.0
"""Beyond this a float would overflow, and nobody can tell e^600 from certainty."""

Account = tuple[str, str]
"""(role, level); role is empty in the arm that pools the roles."""


class Wealth:
    """The bets of one case so far, and what they are worth."""

    def __init__(self, margins: Table, roles: int) -> None:
        self._margins = margins
        self._roles = max(roles, 1)
        self._logs: dict[Account, list[list[float]]] = defaultdict(
            lambda: [[0.0] * len(RATES) for _ in WINDOW_WEIGHTS]
        )
        self._pooled: dict[str, float] = {}
        self._by_role: dict[Account, float] = {}
        self._stale: set[Account] = set()
        self._singles: set[str] = set()

    def bet(self, level: str, place: Place, counts: list[int], psi: float) -> bool:
        """Place the bets of one onset at ``level`` of a node that stands at ``place``, against
        ``counts`` nodes by age. False when no window had both exposed and control nodes: factor
        1, never a guess.
        """
        rho = self._margins.of(level)
        accounts = [("", level)]
        if level in UPPER:
            accounts.append((place.role, level))
        elif level not in self._singles and len(self._singles) >= MAX_SIGNATURES:
            return False
        staked = False
        for window in range(len(WINDOW_WEIGHTS)):
            exposed = place.age in EXPOSED_AGES[window]
            if not exposed and place.age not in CONTROL_AGES[window]:
                continue
            n1 = sum(counts[age] for age in EXPOSED_AGES[window])
            n0 = sum(counts[age] for age in CONTROL_AGES[window])
            if n1 <= 0 or n0 <= 0:
                continue
            odds = rho[window] * psi * n1
            theta = odds / (odds + n0)
            staked = True
            for i, rate in enumerate(RATES):
                gain = (_LOG_RATES[i] if exposed else 0.0) - math.log1p((rate - 1) * theta)
                for account in accounts:
                    self._logs[account][window][i] += gain
        if staked:
            self._stale.update(accounts)
            if level not in UPPER:
                self._singles.add(level)
        return staked

    def log_e(self) -> float:
        """ln E: half on all roles together, half spread over the roles."""
        for account in self._stale:
            role, level = account
            value = weight(level) * _value(self._logs[account])
            if role:
                self._by_role[account] = value / self._roles
            else:
                self._pooled[level] = value
        self._stale.clear()
        pooled, by_role = math.fsum(self._pooled.values()), math.fsum(self._by_role.values())
        return math.log(0.5 * (1 + pooled) + 0.5 * (1 + by_role))

    def signatures(self) -> dict[str, float]:
        """What each single signature's own bets add to the wealth, by signature."""
        self.log_e()
        return {
            level.removeprefix("sig:"): value
            for level, value in self._pooled.items()
            if level.startswith("sig:")
        }


def _value(logs: list[list[float]]) -> float:
    return math.fsum(
        share / len(RATES) * (math.exp(min(log, _MAX_LOG)) - 1)
        for share, row in zip(WINDOW_WEIGHTS, logs, strict=True)
        for log in row
    )
