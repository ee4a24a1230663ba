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
from collections.abc import Collection, Iterable, Sequence
from itertools import chain
from math import log1p
from operator import add

from streams.detection.margins import Rho, Table
from streams.detection.members import Place
from streams.detection.tree import MAX_SIGNATURES, UPPER, names_a_failure, weight

RATES = (3.0, 10.0, 30.0, 100.0, 1000.0)
WINDOW_WEIGHTS = (0.4, 0.2, 0.4)
# Ages (see members.Place) that are exposed and control in the acute, sub-acute and chronic window.
EXPOSED_AGES = ((1,), (2,), (2, 3))
CONTROL_AGES = ((0, 2, 3), (0, 3), (0,))
_WON = tuple((math.log(r), r - 1) for r in RATES)
_LOST = tuple((0.0, r - 1) for r in RATES)
# Per age: the windows in which a node of that age is exposed or control, and what a bet pays.
_STAKES = tuple(
    tuple(
        (window, _WON if age in EXPOSED_AGES[window] else _LOST)
        for window in range(len(WINDOW_WEIGHTS))
        if age in (*EXPOSED_AGES[window], *CONTROL_AGES[window])
    )
    for age in range(4)
)
_UPPER = frozenset(UPPER)
_MAX_LOG = 600.0
"""Beyond this a float would overflow, and nobody can tell e^600 from certainty."""


def sides(counts: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """How many of ``counts`` nodes by age are exposed and how many controls, per window: sums over
    EXPOSED_AGES and CONTROL_AGES.
    """
    unexposed, hour, day, later = counts
    return (
        (hour, unexposed + day + later),
        (day, unexposed + later),
        (day + later, unexposed),
    )


Account = tuple[str, str]
"""(role, level); role is empty in the arm that pools the roles."""


class Wealth:
    """The bets of one case so far, and what they are worth."""

    def __init__(self, margins: Table, roles: Collection[str]) -> None:
        """``roles``: those of the case's start. A later one has no account of its own, or anybody
        who makes up roles would spend more than there is.
        """
        self._margins = margins
        self._roles = frozenset(roles)
        self._rhos: dict[str, Rho] = {}
        self._purses: dict[Account, _Purse] = {}
        self._pooled: dict[str, float] = {}
        self._by_role: dict[Account, float] = {}
        self._stale: set[Account] = set()
        self._singles: set[str] = set()

    def bet(self, level: str, place: Place, counts: list[int], psi: float) -> bool:
        """Place the bets of one onset at ``level`` of a node that stands at ``place``, against
        ``counts`` nodes by age. False when no window had both exposed and control nodes: factor
        1, never a guess.
        """
        in_windows = sides(counts)
        stakes = []
        for window, pays in _STAKES[place.age]:
            n1, n0 = in_windows[window]
            if n1 > 0 and n0 > 0:
                stakes.append((window, pays, n1, n0))
        if not stakes:
            return False
        accounts = [("", level)]
        if level in _UPPER:
            if place.role in self._roles:
                accounts.append((place.role, level))
        elif level not in self._singles:
            if len(self._singles) >= MAX_SIGNATURES:
                return False
            self._singles.add(level)
        rho = self._rhos.get(level)
        if rho is None:
            rho = self._rhos[level] = self._margins.of(level)
        gains = []
        for window, pays, n1, n0 in stakes:
            odds = rho[window] * psi * n1
            theta = odds / (odds + n0)
            gains.append((window, [won - log1p(less * theta) for won, less in pays]))
        for account in accounts:
            purse = self._purses.get(account)
            if purse is None:
                purse = self._purses[account] = _Purse(weight(level))
            purse.take(gains)
            self._stale.add(account)
        return True

    def log_e(self) -> float:
        """ln E: half on all roles together, half spread over the roles."""
        for account in self._stale:
            role, level = account
            value = self._purses[account].value()
            if role:
                self._by_role[account] = value / len(self._roles)
            else:
                self._pooled[level] = value
        self._stale.clear()
        pooled, by_role = math.fsum(self._pooled.values()), math.fsum(self._by_role.values())
        return math.log(0.5 * (1 + pooled) + 0.5 * (1 + by_role))

    def own(self, level: str) -> float:
        """ln of what the bets at ``level`` are worth alone, over all roles, without its prior π;
        0 without any. A supermartingale as long as the level is not chosen by what it is worth.
        """
        purse = self._purses.get(("", level))
        if purse is None:
            return 0.0
        won = purse.value() / weight(level)
        # What lost all it had is worth nothing, or by rounding a little less.
        return round(math.log1p(won), 6) if won > -1 else -_MAX_LOG

    def leading(self) -> str:
        """The level with most of that among those that name a failure; of equals the first by name,
        empty before the first bet on one.
        """
        named = {level for role, level in self._purses if not role and names_a_failure(level)}
        return max(sorted(named), key=self.own, default="")


class _Purse:
    """The bets of one account: ln per window and r."""

    __slots__ = ("_logs", "_stale", "_terms", "_weight")

    def __init__(self, weight: float) -> None:
        self._weight = weight
        self._logs = [[0.0] * len(RATES) for _ in WINDOW_WEIGHTS]
        self._terms = [[0.0] * len(RATES) for _ in WINDOW_WEIGHTS]
        self._stale: set[int] = set()

    def take(self, gains: Iterable[tuple[int, list[float]]]) -> None:
        """Add the logarithms of what a bet of each r won, by window."""
        for window, gain in gains:
            self._logs[window] = list(map(add, self._logs[window], gain))
            self._stale.add(window)

    def value(self) -> float:
        """π Σ share · (e^L − 1)."""
        for window in self._stale:
            share = WINDOW_WEIGHTS[window] / len(RATES)
            self._terms[window] = [
                share * (math.exp(log if log < _MAX_LOG else _MAX_LOG) - 1)
                for log in self._logs[window]
            ]
        self._stale.clear()
        return self._weight * math.fsum(chain.from_iterable(self._terms))
