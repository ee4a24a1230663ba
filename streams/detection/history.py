"""H: the arm that compares with the branch's own past, and the concurrent arm's word on it.

Per level j and window of the signature tree (single signatures too)

    H_jr = e^{X ln r − (r−1) Λ}                 Λ = upper 99 % long-run rate × ρψ × exposed hours
    C'_j = ⅓ Σ_{r ∈ {10, 100, 1000}} e^{L_jr}   the concurrent bet (``wealth``), floors as margins
    H = Σ_j min(π_j w/5 Σ_r H_jr, C'_j)         over the levels where C'_j is 10 at least

X counts the onsets of exposed nodes. H_jr is a Poisson likelihood ratio, an e-process as long as
the rate is no higher than that; but it takes any outage for guilt. The concurrent bet on the same
level knows outages, so what the past says counts only as far as that bet agrees, without the price
(π) that it pays in C for looking at all levels at once. Under an outage of unpatched nodes alike,
a level reaches x with probability 1/x at most, and an outage touches few levels.

An upper level that restarts disturb (margin over ten times the floor) has no say: KBs differ in
what their restarts break by more than any margin, and all of it adds up there. It is spread over
single signatures.

Only a domain's first onset in half an hour counts, and no site counts more than three in six
hours: what nested conditioning calls level 0. Nodes without 30 days of history take no part.
Leaving onsets out keeps the bound.

Rates are those of the 30 days before the case: the limit for the branch, or the mean for the node's
role where that is higher. What was novel or rare then is told by the time before them.
"""

import math
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from operator import attrgetter

from msgspec import Struct

from streams.detection.chains import DAY_MS, HOUR_MS, SECOND_MS, to_s
from streams.detection.margins import FLOOR, Table, poisson_upper
from streams.detection.members import EXPOSED_MS, Member
from streams.detection.tilt import HISTORY_MS
from streams.detection.tree import UNUSUAL, UPPER, Baseline, NodeOnset, weight
from streams.detection.wealth import CONTROL_AGES, EXPOSED_AGES, RATES, WINDOW_WEIGHTS, sides

_Z99 = 2.326
_MAX_LOG = 600.0
_CHATTER = 10.0
_UNHEARD_OF = 3.0
"""Wider for signatures that the branch has never logged: their rate is a limit of nothing seen."""
_SPEAKS = 10.0
_WARNS = 1.5
_LOG_WARNS = math.log(_WARNS)
_AGREEING = tuple((math.log(r), r - 1) for r in (10.0, 100.0, 1000.0))
_LIKELIHOODS = tuple((math.log(r), r - 1) for r in RATES)
_STATE = 1 + len(_AGREEING)
_WINDOW_MS = ((0, HOUR_MS), (HOUR_MS, DAY_MS), (HOUR_MS, EXPOSED_MS))
"""From which to which age (ms since the patch) a node is exposed, per window."""
_STAKES = tuple(
    tuple(
        (window, age in EXPOSED_AGES[window])
        for window in range(len(WINDOW_WEIGHTS))
        if age in (*EXPOSED_AGES[window], *CONTROL_AGES[window])
    )
    for age in range(4)
)


class Rates(Struct, frozen=True):
    """Onsets before the case by level and role, and the hours they came from by role."""

    counts: dict[tuple[str, str], int]
    hours: dict[str, float]

    def upper(self, level: str, role: str) -> float:
        """Onsets per hour and node of a role with a past."""
        of_all = sum(self.counts.get((level, other), 0) for other in self.hours)
        limit = poisson_upper(of_all, _Z99) / sum(self.hours.values())
        return max(limit, self.counts.get((level, role), 0) / self.hours[role])


def rates(
    members: Sequence[Member],
    onsets: Sequence[NodeOnset],
    before: Baseline,
    classes: Mapping[str, str],
    started_ms: int,
) -> Rates:
    """What the branch was like in the 30 days before ``started_ms`` (Unix ms). ``before``: what was
    new and rare at their beginning; ``classes`` of the signatures.
    """
    begin = started_ms - HISTORY_MS
    roles = {m.node.node: m.node.role for m in members if m.node.since_ms <= begin}
    found: Counter[tuple[str, str]] = Counter()
    from_, to = (bisect_left(onsets, to_s(t), key=attrgetter("t_s")) for t in (begin, started_ms))
    for onset in onsets[from_:to]:
        role = roles.get(onset.node)
        if role is not None:
            found[onset.level, role] += 1
    counts: Counter[tuple[str, str]] = Counter()
    for (level, role), n in found.items():
        if level.startswith("sig:"):
            signature = level.removeprefix("sig:")
            counts[level, role] += n
            counts[before.unusual(signature, classes.get(signature, "")), role] += n
        elif level not in UNUSUAL:
            counts[level, role] += n
    hours = {role: n * HISTORY_MS / HOUR_MS for role, n in Counter(roles.values()).items()}
    return Rates(dict(counts), hours)


class Worth(Struct, frozen=True):
    """What H is worth for a halt, and for a warning."""

    agreed: float
    gated: float


class Exposure:
    """How many hours the nodes of each role have been exposed, per window; what ends an exposure
    early is left out, which makes Λ larger. Times count in whole seconds, which all shippers know.
    """

    def __init__(self, members: Sequence[Member], started_ms: int) -> None:
        begin = started_ms - HISTORY_MS
        times: dict[str, list[int]] = defaultdict(list)
        for member in members:
            if member.patch is not None and member.node.since_ms <= begin:
                times[member.node.role].append(to_s(member.patch.t_ms) * SECOND_MS)
        self._times = {role: sorted(found) for role, found in sorted(times.items())}
        self._sums = {role: [0, *accumulate(found)] for role, found in self._times.items()}

    def hours(self, window: int, t_ms: int) -> dict[str, float]:
        """Node hours up to ``t_ms`` (Unix ms), by role."""
        from_ms, to_ms = _WINDOW_MS[window]
        now_ms = to_s(t_ms) * SECOND_MS
        return {
            role: (self._up_to(role, now_ms, to_ms) - self._up_to(role, now_ms, from_ms)) / HOUR_MS
            for role in self._times
        }

    def _up_to(self, role: str, t_ms: int, age_ms: int) -> int:
        times, sums = self._times[role], self._sums[role]
        begun, aged = bisect_right(times, t_ms), bisect_right(times, t_ms - age_ms)
        return (begun - aged) * t_ms - (sums[begun] - sums[aged]) + aged * age_ms


class HistoryArm:
    """The bets of one fold."""

    def __init__(
        self,
        margins: Table,
        begin_ms: int,
        rates: Callable[[], Rates],
        exposure: Callable[[], Exposure],
    ) -> None:
        """Nodes known for less than since ``begin_ms`` (Unix ms) take no part. ``rates`` and
        ``exposure`` are asked for only when a level has something to say.
        """
        self._margins = margins
        self._begin_ms = begin_ms
        self._rates = rates
        self._exposure = exposure
        self._levels: dict[tuple[str, int], list[float]] = {}
        """Hits, then ln of the concurrent bet for each agreeing r."""
        self._loud: dict[tuple[str, int], tuple[float, float]] = {}
        """Hits and C' of those that have something to say: of hundreds hardly any."""
        self._uppers: dict[str, dict[str, float]] = {}

    def bet(self, level: str, since_ms: int, age: int, counts: list[int], psi: float) -> None:
        """Take an onset of level 0 of a node known since ``since_ms`` (Unix ms), of ``age`` (see
        members.Place), against ``counts`` nodes by age.
        """
        in_windows = sides(counts)
        for window, exposed in _STAKES[age]:
            n1, n0 = in_windows[window]
            if n1 and n0:
                key = level, window
                state = self._levels.setdefault(key, [0.0] * _STATE)
                odds = FLOOR[window] * psi * n1
                theta = odds / (odds + n0)
                for at, (won, less) in enumerate(_AGREEING, start=1):
                    state[at] += (won if exposed else 0.0) - math.log1p(less * theta)
                state[0] += exposed and since_ms <= self._begin_ms
                self._listen(key, *state)

    def _listen(self, key: tuple[str, int], hits: float, *logs: float) -> None:
        agreed = 0.0
        if hits >= 2 and max(logs) >= _LOG_WARNS:
            agreed = math.fsum(map(_exp, logs)) / len(logs)
        if agreed >= _WARNS and self._may_speak(*key):
            self._loud[key] = hits, agreed
        else:
            self._loud.pop(key, None)

    def value(self, t_ms: int, psi: float) -> "Worth":
        """H at ``t_ms`` (Unix ms); ``psi``: the branch's then."""
        agreeing, gated = [], []
        exposed: dict[int, dict[str, float]] = {}
        for (level, window), (hits, agreed) in self._loud.items():
            if window not in exposed:
                exposed[window] = self._exposure().hours(window, t_ms)
            share = weight(level) * WINDOW_WEIGHTS[window] / len(RATES)
            expected = psi * self._expected(level, window, exposed[window])
            past = math.fsum([_exp(hits * log - less * expected) for log, less in _LIKELIHOODS])
            gated.append(share * past)
            if agreed >= _SPEAKS:
                agreeing.append(min(share * past, agreed))
        return Worth(math.fsum(agreeing), math.fsum(gated))

    def _may_speak(self, level: str, window: int) -> bool:
        return level not in UPPER or self._margins.of(level)[window] <= _CHATTER * FLOOR[window]

    def _expected(self, level: str, window: int, hours: Mapping[str, float]) -> float:
        rates = self._rates()
        if level not in self._uppers:
            self._uppers[level] = {role: rates.upper(level, role) for role in rates.hours}
        uppers = self._uppers[level]
        by_role = (spent * uppers.get(role, math.inf) for role, spent in hours.items() if spent)
        rho = self._margins.of(level)[window]
        if level not in UPPER and level.removeprefix("sig:") not in self._margins.logged:
            rho *= _UNHEARD_OF
        return rho * math.fsum(by_role)


def _exp(log: float) -> float:
    return math.exp(min(log, _MAX_LOG))
