"""From wealth over time to notice, warn and halt.

HALT: wealth of incidents with impact reaches 1/α *and* is corroborated, one of three ways:

- sites: it stays at 3 or more with any one site left out that was hit so far (or any one domain
  that lies in several, or that is over a tenth of the branch);
- same failure: it stays at 20 or more with any one domain left out, and the bets on the leading
  failure alone (a signature, or loops of a class) stay at 3 or more with anybody left out whom the
  first way leaves out. A level that is named pays no prior, so one victim elsewhere can say it;
- within: bets within domains alone reach 20 and stay at 3 or more with any one domain left out.

So no single node or domain brings about a halt alone, whether unlucky or hostile; a single site
does only where several of its domains fail in the order of their patching.
WARN: wealth of incidents with impact reaches 100; it ends when the wealth falls below 10.
NOTICE: wealth of all incidents is where a halt would be, but what happens has no impact so far.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import cache, cached_property, partial

from msgspec import Struct

from schemas.evidence import DomainEvidence
from streams.detection.fold import Cohort, Fold, Path, onsets_of
from streams.detection.history import HistoryArm, Rates, rates
from streams.detection.margins import Margins, Table
from streams.detection.members import Member
from streams.detection.population import Population
from streams.detection.tilt import HISTORY_MS, failures_before
from streams.detection.tree import Baseline, NodeOnset, baseline, impact_chain, symptom_chain

LOG_WARN = math.log(100)
_LOG_WARN_ENDS = math.log(10)
_LOG_LEFT_OUT = math.log(3)
_LOG_WITHOUT_DOMAIN = math.log(20)
_LOG_WITHIN = math.log(20)
_DOMINANT = 0.1


class Decision(Struct, frozen=True):
    """What the fold of a case comes to."""

    population: Population
    impact: Path
    symptoms: Path
    halt_ms: int | None
    warn_ms: int | None
    """Since when the warning holds; None when there is none or it has ended."""
    notice_ms: int | None
    without_site: float | None
    """At the halt, else now: smallest ln E with one hit site left out, or one hit domain that lies
    in several sites; None: not looked at.
    """
    same_elsewhere: float | None
    """Then: smallest ln of what the leading failure alone is worth with one of those left out."""
    without_domain: float | None
    """At the halt: smallest ln E with one hit domain, or one of over a tenth of the branch, left
    out.
    """
    within: float | None


def decide(
    members: Sequence[Member],
    evidence: Sequence[DomainEvidence],
    base: Baseline,
    started_ms: int,
    margins: Margins,
    log_threshold: float,
    *,
    until_ms: int,
) -> Decision:
    """Fold a case up to ``until_ms`` and find its crossings. ``log_threshold`` is ln(1/α)."""

    since_ms = started_ms - HISTORY_MS
    all_onsets = onsets_of(members, evidence, base, symptom_chain, since_ms)
    past = failures_before(all_onsets, started_ms)
    cohort = Cohort(members, past, started_ms, until_ms)

    @cache
    def before() -> Baseline:
        return baseline(evidence, since_ms, base.chatter)

    def folded(onsets: Sequence[NodeOnset], table: Table) -> _Corroborated:
        def past(cohort: Cohort) -> Rates:
            return rates(cohort.members, onsets, before(), base.classes, started_ms)

        return _Corroborated(cohort, onsets, table.on(base.logged), past)

    harm = onsets_of(members, evidence, base, impact_chain, since_ms)
    halt = folded(harm, margins.impact)
    notice = folded(all_onsets, margins.symptoms)
    impact, symptoms = halt.path, notice.path
    halt_ms = halt.first(log_threshold)
    notice_ms = notice.first(log_threshold) if halt_ms is None else None
    warn_ms = _warned(impact)
    looked_ms = halt_ms if halt_ms is not None else impact.last.t_ms
    looked = halt_ms is not None or warn_ms is not None
    return Decision(
        population=cohort.population,
        impact=impact,
        symptoms=symptoms,
        halt_ms=halt_ms,
        warn_ms=warn_ms,
        notice_ms=notice_ms,
        without_site=halt.without_site(looked_ms) if looked else None,
        same_elsewhere=halt.same_elsewhere(looked_ms) if looked else None,
        without_domain=halt.without_domain(looked_ms) if halt_ms is not None else None,
        within=halt.within(looked_ms) if looked else None,
    )


def _warned(path: Path) -> int | None:
    since = None
    for step in path.steps:
        if since is None and step.log_warn >= LOG_WARN:
            since = step.t_ms
        elif since is not None and step.log_warn < _LOG_WARN_ENDS:
            since = None
    return since


class _Corroborated:
    """Looks for the first instant that is over the threshold and corroborated.

    Folds that leave somebody out are made only for a case that has reached the threshold, and only
    as far as they are asked about.
    """

    def __init__(
        self,
        cohort: Cohort,
        onsets: Sequence[NodeOnset],
        margins: Table,
        rates: Callable[[Cohort], Rates],
    ) -> None:
        self._rates = rates
        self._cohort = cohort
        self._onsets = onsets
        self._margins = margins
        self._folds: dict[tuple[str | None, str | None, bool], Fold] = {}
        self._main = self._fold(cohort)
        self.path = self._main.path()

    def first(self, log_threshold: float) -> int | None:
        """The first such instant (Unix ms), or None."""
        for step in self.path.steps:
            if step.log_e >= log_threshold and self._holds(step.t_ms):
                return step.t_ms
        return None

    def _holds(self, t_ms: int) -> bool:
        left_out = self._left_out(t_ms)
        if left_out and all(f.at(t_ms) >= _LOG_LEFT_OUT for f in left_out):
            return True
        if self.same_elsewhere(t_ms) >= _LOG_LEFT_OUT and all(
            f.at(t_ms) >= _LOG_WITHOUT_DOMAIN for f in self._domain_left_out(t_ms)
        ):
            return True
        # A single domain that lies must not corroborate itself with somebody else's bad luck.
        inner = self._inner_left_out(t_ms)
        return (
            self.within(t_ms) >= _LOG_WITHIN
            and bool(inner)
            and all(f.at(t_ms) >= _LOG_LEFT_OUT for f in inner)
        )

    def without_site(self, t_ms: int) -> float:
        """Smallest ln E at ``t_ms`` with one site left out, over the sites that were hit by then,
        or one domain that could speak for several (``_left_out``).
        """
        return min((f.at(t_ms) for f in self._left_out(t_ms)), default=0.0)

    def same_elsewhere(self, t_ms: int) -> float:
        """Smallest ln of what the leading failure alone is worth at ``t_ms`` with one of those left
        out; the leading one is worth most with nobody left out.
        """
        leading = self._whole.leading_at(t_ms)
        return min((f.own_at(leading, t_ms) for f in self._left_out(t_ms)), default=0.0)

    def without_domain(self, t_ms: int) -> float:
        """Smallest ln E at ``t_ms`` with one domain left out that was hit by then, or that is over
        a tenth of the branch.
        """
        return min((f.at(t_ms) for f in self._domain_left_out(t_ms)), default=0.0)

    def within(self, t_ms: int) -> float:
        """ln of the wealth of bets inside domains at ``t_ms``."""
        return self._inner.at(t_ms)

    def _left_out(self, t_ms: int) -> list[Fold]:
        """Folds without a site that was hit by ``t_ms``; without a hit domain that lies in several
        sites (a stretched cluster must not be two witnesses); and without a domain of over a tenth
        of the branch, hit or not: nodes that never fail make others look guilty.
        """
        sites, hit = self._hit_by(t_ms)
        doubted = self._stretched.intersection(hit) | self._dominant if hit else frozenset()
        return [
            *(self._without(site=site) for site in sites),
            *(self._without(domain=domain) for domain in sorted(doubted)),
        ]

    def _domain_left_out(self, t_ms: int) -> Iterator[Fold]:
        """Without each hit domain, or one of over a tenth of the branch: one after the other, since
        there may be hundreds.
        """
        _, hit = self._hit_by(t_ms)
        doubted = self._dominant.union(hit) if hit else ()
        return (self._without(domain=domain) for domain in sorted(doubted))

    def _inner_left_out(self, t_ms: int) -> list[Fold]:
        _, hit = self._hit_by(t_ms)
        return [self._without(domain=domain, within_domains=True) for domain in hit]

    def _hit_by(self, t_ms: int) -> tuple[list[str], list[str]]:
        """Sites, and domains, that were hit on an exposed node by ``t_ms``, at whatever level: a
        loop may be exposed where its first event was not.
        """
        hit = self._main.sites_hit, self._main.domains_hit
        sites, domains = (
            [name for name, since_ms in each.items() if since_ms <= t_ms] for each in hit
        )
        return sorted(sites), sorted(domains)

    @cached_property
    def _stretched(self) -> frozenset[str]:
        sites: dict[str, set[str]] = defaultdict(set)
        for member in self._cohort.members:
            sites[member.domain].add(member.site)
        return frozenset(domain for domain, found in sites.items() if len(found) > 1)

    @cached_property
    def _dominant(self) -> frozenset[str]:
        nodes = Counter(member.domain for member in self._cohort.members)
        limit = _DOMINANT * len(self._cohort.members)
        return frozenset(domain for domain, n in nodes.items() if n > limit)

    @cached_property
    def _whole(self) -> Fold:
        return Fold(self._cohort, self._onsets, self._margins)

    @cached_property
    def _inner(self) -> Fold:
        return self._fold(self._cohort, within_domains=True)

    def _without(
        self, site: str | None = None, domain: str | None = None, *, within_domains: bool = False
    ) -> Fold:
        key = site, domain, within_domains
        if key not in self._folds:
            rest = self._cohort.without(site=site, domain=domain)
            self._folds[key] = self._fold(rest, within_domains=within_domains)
        return self._folds[key]

    def _fold(self, cohort: Cohort, *, within_domains: bool = False) -> Fold:
        # Who is left out has no say in what was usual before, either.
        if within_domains:
            return Fold(cohort, self._onsets, self._margins, within_domains=True)
        begin_ms = cohort.started_ms - HISTORY_MS
        rates = cache(partial(self._rates, cohort))
        past = HistoryArm(self._margins, begin_ms, rates, lambda: cohort.exposure)
        return Fold(cohort, self._onsets, self._margins, past=past)
