"""The fold of one case: every onset in time order, each bet on exactly once per level.

Nested conditioning decides against whom a node onset is bet, so that a shock can't be mistaken for
a patch and no onset is thrown away (P(node | failure) = P(domain | failure) · P(node | domain),
and the inner factor alone is a valid bet when a shock has taken the outer one):

- level 0, the domain's first onset in 30 minutes at a site under its cap: against the stratum
  (role × noise class), capped sites left out;
- level 1, the same in a capped site (three level-0 onsets in six hours): against role × site;
- level 2, any further onset of the domain: against the domain's own nodes.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from schemas.evidence import DomainEvidence, Onset
from streams.detection.chains import HOUR_MS, Chain
from streams.detection.margins import Table
from streams.detection.members import Member, Place
from streams.detection.population import Population
from streams.detection.spans import CASE_MS
from streams.detection.tilt import Tilt
from streams.detection.tree import Baseline, NodeOnset, node_onsets
from streams.detection.wealth import Wealth

_SHOCK_MS = 30 * 60_000
_CAP_ONSETS = 3
_CAP_MS = 6 * HOUR_MS
_MINUTE_MS = 60_000


class Hit(Struct, frozen=True):
    """One onset that was in the risk set when it happened, at a single-signature level."""

    t_ms: int
    node: str
    signature: str
    place: Place


class Step(Struct, frozen=True):
    """Wealth at the end of a minute with onsets; ``t_ms`` is the last of them."""

    t_ms: int
    log_e: float


class Path(Struct, frozen=True):
    """One fold: wealth over time, who was hit, and what each signature is worth at the end."""

    steps: tuple[Step, ...]
    hits: tuple[Hit, ...]
    signatures: dict[str, float]

    def at(self, t_ms: int) -> float:
        """ln E at the end of ``t_ms``'s minute."""
        minute = t_ms // _MINUTE_MS
        value = 0.0
        for step in self.steps:
            if step.t_ms // _MINUTE_MS > minute:
                break
            value = step.log_e
        return value


def onsets_of(
    members: Sequence[Member],
    evidence: Sequence[DomainEvidence],
    base: Baseline,
    part: Callable[[Onset], Chain | None],
) -> list[NodeOnset]:
    """All node onsets of the members at every level of the tree, in fold order; ``part`` picks
    what of an onset counts.
    """
    home = {member.node.node: member.domain for member in members}
    chains: dict[str, dict[tuple[str, str], list[Chain]]] = defaultdict(lambda: defaultdict(list))
    for contribution in evidence:
        for onset in contribution.onsets:
            chain = part(onset) if home.get(onset.node) == contribution.domain else None
            if chain is not None:
                chains[onset.node][onset.signature, onset.cls].append(chain)
    return sorted(o for node in chains for o in node_onsets(node, chains[node], base))


def fold(
    members: Sequence[Member],
    onsets: Sequence[NodeOnset],
    past: Mapping[str, int],
    started_ms: int,
    margins: Table,
    *,
    until_ms: int,
    within_domains: bool = False,
) -> Path:
    """Bet on every onset from ``started_ms`` to ``until_ms`` (Unix ms); ``past``: see
    tilt.failures_before. Onsets after ``until_ms`` wait: too few peers have been heard of yet.

    With ``within_domains`` every onset is bet on inside its own domain.
    """
    end_ms = started_ms + CASE_MS
    population = Population(members, started_ms - _CAP_MS, end_ms)
    tilt = Tilt(members, past, started_ms)
    # Roles that come later must not change what earlier bets were worth.
    roles = {m.node.role for m in members if m.node.since_ms <= started_ms}
    wealth = Wealth(margins, len(roles))
    shocks = Shocks()
    steps: list[Step] = []
    hits: list[Hit] = []
    pending: NodeOnset | None = None

    def close_minute(last: NodeOnset) -> None:
        steps.append(Step(last.t_ms, round(wealth.log_e(), 6)))

    for onset in onsets:
        if onset.t_ms < started_ms - _CAP_MS:
            continue
        if onset.t_ms >= end_ms or onset.t_ms > until_ms:
            break
        if pending and onset.t_ms // _MINUTE_MS > pending.t_ms // _MINUTE_MS:
            close_minute(pending)
            pending = None
        population.advance(onset.t_ms)
        tilt.advance(onset.t_ms)
        place = population.place(onset.node)
        if place is None:
            continue
        level, capped = shocks.condition(onset, place)
        if onset.t_ms < started_ms:
            continue
        if within_domains or level == 2:
            counts, psi = population.in_domain(place), tilt.psi(None)
        elif level == 1:
            counts, psi = population.in_site(place), tilt.psi(None)
        else:
            counts, psi = population.in_stratum(place, capped), tilt.psi(place.noise)
        wealth.bet(onset.level, place, counts, psi)
        if onset.level.startswith("sig:"):
            hits.append(Hit(onset.t_ms, onset.node, onset.level.removeprefix("sig:"), place))
        pending = onset
    if pending:
        close_minute(pending)
    return Path(tuple(steps), tuple(hits), wealth.signatures())


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
        for site, times in sites.items():
            while times and times[0] <= onset.t_ms - _CAP_MS:
                times.popleft()
            if len(times) >= _CAP_ONSETS:
                capped.append(site)
        if place.site in capped:
            return 1, []
        sites[place.site].append(onset.t_ms)
        return 0, sorted(capped)
