"""The fold of one case: every onset in time order, each bet on exactly once per level.

Nested conditioning decides against whom a node onset is bet, so that a shock can't be mistaken for
a patch and no onset is thrown away (P(node | failure) = P(domain | failure) · P(node | domain),
and the inner factor alone is a valid bet when a shock has taken the outer one):

- level 0, the domain's first onset in 30 minutes at a site under its cap: against the stratum
  (role × noise class), capped sites left out;
- level 1, the same in a capped site (three level-0 onsets in six hours): against role × site;
- level 2, any further onset of the domain: against the domain's own nodes.
"""

import math
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from operator import attrgetter

from msgspec import Struct

from schemas.evidence import DomainEvidence, Onset
from streams.detection.chains import HOUR_MS, Chain, second_after, to_s
from streams.detection.history import Exposure, HistoryArm
from streams.detection.margins import Table
from streams.detection.members import Member, Place
from streams.detection.population import Population
from streams.detection.spans import CASE_MS
from streams.detection.tilt import Tilt
from streams.detection.tree import Baseline, NodeOnset, loop_chain, loop_onsets, node_onsets
from streams.detection.wealth import Wealth

_C_SHARE = 2 / 3
_SHOCK_MS = 30 * 60_000
_CAP_ONSETS = 3
_CAP_MS = 6 * HOUR_MS


class Hit(Struct, frozen=True):
    """One onset that was in the risk set when it happened, at a single-signature level."""

    t_ms: int
    node: str
    signature: str
    place: Place


class Step(Struct, frozen=True):
    """Wealth at the end of a second with onsets; ``t_ms`` is the last of them. Shippers that cut
    times to the second must come to the same.
    """

    t_ms: int
    log_e: float
    log_c: float
    """Of the concurrent arm."""
    log_h: float
    """Of the history arm; 0 while it is worth less than one."""
    log_warn: float
    """What a warning asks: the history arm counts as soon as the concurrent one leans its way."""


NOTHING = Step(0, 0.0, 0.0, 0.0, 0.0)
"""Before any bet."""


class Path(Struct, frozen=True):
    """One fold: wealth over time, and who was hit."""

    steps: tuple[Step, ...]
    hits: tuple[Hit, ...]

    def at(self, t_ms: int) -> float:
        """ln E at the end of ``t_ms``'s second."""
        return self.step(t_ms).log_e

    def step(self, t_ms: int) -> Step:
        """At the end of ``t_ms``'s second (Unix ms)."""
        return _at(self.steps, t_ms)

    @property
    def last(self) -> Step:
        """After all of them."""
        return self.steps[-1] if self.steps else NOTHING


def onsets_of(
    members: Sequence[Member],
    evidence: Sequence[DomainEvidence],
    base: Baseline,
    part: Callable[[Onset], Chain | None],
    since_ms: int,
) -> list[NodeOnset]:
    """The node onsets of the members since ``since_ms`` (Unix ms) at every level of the tree, in
    fold order; ``part`` picks what of an onset counts.
    """
    home = {member.node.node: member.domain for member in members}
    levels = cache(base.levels)
    found: list[NodeOnset] = []
    for contribution in evidence:
        chains: dict[str, dict[tuple[str, str], list[Chain]]] = {}
        loops: dict[str, dict[str, list[Chain]]] = {}
        recent: set[str] = set()
        for onset in contribution.onsets:
            chain = part(onset) if home.get(onset.node) == contribution.domain else None
            if chain is not None:
                runs = chains.setdefault(onset.node, {})
                runs.setdefault((onset.signature, onset.cls), []).append(chain)
                if chain.last_ms >= since_ms:
                    recent.add(onset.node)
                loop = loop_chain(onset)
                if loop is not None:
                    loops.setdefault(onset.node, {}).setdefault(onset.cls, []).append(loop)
        for node in recent:
            of_node = node_onsets(node, chains[node], levels)
            if node in loops:
                of_node += loop_onsets(node, loops[node])
            found += [o for o in of_node if o.t_ms >= since_ms]
    found.sort(key=attrgetter("t_s", "node", "level"))
    return found


class Cohort:
    """The members of a case as folds ask for them: made once, however many folds there are."""

    def __init__(
        self, members: Sequence[Member], past: Mapping[str, int], started_ms: int, until_ms: int
    ) -> None:
        """``past``: see tilt.failures_before. Onsets after ``until_ms`` (Unix ms) wait: too few
        peers have been heard of yet. Those of its second don't: a second is folded as one.
        """
        self.started_ms = started_ms
        self.end_ms = second_after(min(started_ms + CASE_MS - 1, until_ms))
        self.population = Population(members, started_ms - _CAP_MS, self.end_ms)
        self.tilt = Tilt(members, past, started_ms)
        self.members = members
        self._exposure: Exposure | None = None
        # Roles that come later must not change what earlier bets were worth.
        self._roles = Counter(m.node.role for m in members if m.node.since_ms <= started_ms)

    @property
    def roles(self) -> frozenset[str]:
        """Roles with a node at the case's start."""
        return frozenset(role for role, nodes in self._roles.items() if nodes > 0)

    @property
    def exposure(self) -> Exposure:
        """Exposed hours, worked out when first asked for."""
        if self._exposure is None:
            self._exposure = Exposure(self.members, self.started_ms)
        return self._exposure

    def without(self, site: str | None = None, domain: str | None = None) -> "Cohort":
        """The cohort with one site, or one domain, left out."""
        rest = Cohort((), {}, self.started_ms, self.end_ms - 1)
        rest.population = self.population.without(site, domain)
        gone = self.population.members_of(site, domain)
        rest.tilt = self.tilt.anew(gone)
        names = {m.node.node for m in gone}
        rest.members = [m for m in self.members if m.node.node not in names]
        rest._roles = self._roles.copy()
        rest._roles.subtract(m.node.role for m in gone if m.node.since_ms <= self.started_ms)
        return rest


class Fold:
    """One fold, carried on as far as it is asked for: most that leave somebody out are asked about
    a few seconds only. With ``within_domains`` every onset is bet on inside its own domain.
    """

    def __init__(
        self,
        cohort: Cohort,
        onsets: Sequence[NodeOnset],
        margins: Table,
        *,
        past: HistoryArm | None = None,
        within_domains: bool = False,
    ) -> None:
        self._history = past
        self._started_ms = cohort.started_ms
        self._population = cohort.population
        self._tilt = cohort.tilt.anew()
        self._within_domains = within_domains
        self._wealth = Wealth(margins, cohort.roles)
        self._shocks = Shocks()
        self._onsets = onsets
        by_second = attrgetter("t_s")
        self._next = bisect_left(onsets, to_s(self._started_ms - _CAP_MS), key=by_second)
        self._end = bisect_left(onsets, to_s(cohort.end_ms), key=by_second)
        self._steps: list[Step] = []
        self._hits: list[Hit] = []
        self.sites_hit: dict[str, int] = {}
        """When each site was first hit on an exposed node, at any level (Unix ms), so far."""
        self.domains_hit: dict[str, int] = {}

    def path(self) -> Path:
        """All of it."""
        while self._next < self._end:
            self._second()
        return Path(tuple(self._steps), tuple(self._hits))

    def at(self, t_ms: int) -> float:
        """ln E at the end of ``t_ms``'s second (Unix ms)."""
        second = to_s(t_ms)
        while self._next < self._end and self._onsets[self._next].t_s <= second:
            self._second()
        return _at(self._steps, t_ms).log_e

    def leading_at(self, t_ms: int) -> str:
        """The failure's level that alone is worth most at the end of ``t_ms``'s second (Unix ms);
        empty before any. Not to be asked of a time that is passed.
        """
        self._reach(t_ms)
        return self._wealth.leading()

    def own_at(self, level: str, t_ms: int) -> float:
        """ln of what the concurrent bets at ``level`` alone are worth then, with the same limit."""
        self._reach(t_ms)
        return self._wealth.own(level)

    def _reach(self, t_ms: int) -> None:
        if self._steps and to_s(self._steps[-1].t_ms) > to_s(t_ms):
            raise ValueError(f"carried on to {self._steps[-1].t_ms}, asked for {t_ms}")
        self.at(t_ms)

    def _second(self) -> None:
        # The next onset, and those of the same second: one failure is an onset at several levels.
        second = self._onsets[self._next].t_s
        taken_ms = []
        while self._next < self._end and self._onsets[self._next].t_s == second:
            if self._take(self._onsets[self._next]):
                taken_ms.append(self._onsets[self._next].t_ms)
            self._next += 1
        if taken_ms:
            self._steps.append(self._step(max(taken_ms)))

    def _step(self, t_ms: int) -> Step:
        log_c = self._wealth.log_e()
        if self._history is None:
            return Step(t_ms, round(log_c, 6), round(log_c, 6), 0.0, round(log_c, 6))
        h = self._history.value(t_ms, self._tilt.psi(None))
        return Step(
            t_ms,
            round(_mean_of_arms(log_c, h.agreed), 6),
            round(log_c, 6),
            round(math.log(max(h.agreed, 1.0)), 6),
            round(_mean_of_arms(log_c, h.gated), 6),
        )

    def _take(self, onset: NodeOnset) -> bool:
        """Bet on an onset; False when its node is out of the risk set, or before the case."""
        t_ms, population, tilt = onset.t_ms, self._population, self._tilt
        place = population.place(onset.node, t_ms)
        if place is None:
            return False
        level, capped = self._shocks.condition(onset, place)
        if t_ms < self._started_ms:
            return False
        tilt.advance(t_ms)
        if self._within_domains or level == 2:
            counts, psi = population.in_domain(place, t_ms), tilt.psi(None)
        elif level == 1:
            counts, psi = population.in_site(place, t_ms), tilt.psi(None)
        else:
            counts, psi = population.in_stratum(place, t_ms, capped), tilt.psi(place.noise)
        # What C has no prior left for is nothing for H either.
        taken = self._wealth.bet(onset.level, place, counts, psi)
        if place.age:
            self.sites_hit.setdefault(place.site, t_ms)
            self.domains_hit.setdefault(place.domain, t_ms)
        if taken and self._history is not None and level == 0:
            since_ms = population.since_ms(onset.node)
            self._history.bet(onset.level, since_ms, place.age, counts, psi)
        if onset.level.startswith("sig:"):
            self._hits.append(Hit(t_ms, onset.node, onset.level.removeprefix("sig:"), place))
        return True


def _mean_of_arms(log_c: float, h: float) -> float:
    return log_c + math.log(_C_SHARE + (1 - _C_SHARE) * h * math.exp(-log_c))


def _at(steps: Sequence[Step], t_ms: int) -> Step:
    at = bisect_right(steps, to_s(t_ms), key=lambda step: to_s(step.t_ms))
    return steps[at - 1] if at else NOTHING


class Shocks:
    """Which onsets are a domain's or a site's further ones: the level of conditioning."""

    def __init__(self) -> None:
        self._domain: dict[tuple[str, str], int] = {}
        self._sites: dict[str, dict[str, deque[int]]] = defaultdict(lambda: defaultdict(deque))

    def condition(self, onset: NodeOnset, place: Place) -> tuple[int, list[str]]:
        """The level (0, 1, 2) and, for level 0, the sites that are over their cap."""
        previous = self._domain.get((onset.level, place.domain))
        self._domain[onset.level, place.domain] = onset.t_ms
        if previous is not None and onset.t_ms - previous < _SHOCK_MS:
            return 2, []
        capped = []
        sites = self._sites[onset.level]
        ended_ms = onset.t_ms - _CAP_MS
        for site, times in sites.items():
            while times and times[0] <= ended_ms:
                times.popleft()
            if len(times) >= _CAP_ONSETS:
                capped.append(site)
        if place.site in capped:
            return 1, []
        sites[place.site].append(onset.t_ms)
        return 0, sorted(capped)
