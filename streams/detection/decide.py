"""From wealth over time to notice, warn and halt.

HALT: wealth of incidents with impact reaches 1/α *and* is corroborated: it stays at 3 or more with
any one site left out, or bets within domains alone reach 20 and stay at 3 or more with any one
domain left out. So no single node or domain brings about a halt alone, whether unlucky or hostile;
a single site does only where several of its domains fail in the order of their patching.
WARN: wealth of incidents with impact reaches 100; it ends when the wealth falls below 10.
NOTICE: wealth of all incidents is where a halt would be, but what happens has no impact so far.
"""

import math
from collections.abc import Mapping, Sequence

from msgspec import Struct

from schemas.evidence import DomainEvidence
from streams.detection.fold import Path, fold, onsets_of
from streams.detection.margins import Margins, Table
from streams.detection.members import Member
from streams.detection.tilt import failures_before
from streams.detection.tree import Baseline, NodeOnset, impact_chain, symptom_chain

LOG_WARN = math.log(100)
_LOG_WARN_ENDS = math.log(10)
_LOG_LEFT_OUT = math.log(3)
_LOG_WITHIN = math.log(20)


class Decision(Struct, frozen=True):
    """What the fold of a case comes to."""

    impact: Path
    symptoms: Path
    halt_ms: int | None
    warn_ms: int | None
    """Since when the warning holds; None when there is none or it has ended."""
    notice_ms: int | None
    without_site: float | None
    """At the halt, else now: smallest ln E with one hit site left out; None: not looked at."""
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

    all_onsets = onsets_of(members, evidence, base, symptom_chain)
    past = failures_before(all_onsets, started_ms)

    def folded(onsets: Sequence[NodeOnset], table: Table) -> _Corroborated:
        return _Corroborated(members, onsets, past, started_ms, table.on(base.known), until_ms)

    halt = folded(onsets_of(members, evidence, base, impact_chain), margins.impact)
    notice = folded(all_onsets, margins.symptoms)
    impact, symptoms = halt.path, notice.path
    halt_ms = halt.first(log_threshold)
    notice_ms = notice.first(log_threshold) if halt_ms is None else None
    last_ms = impact.steps[-1].t_ms if impact.steps else started_ms
    looked_ms = halt_ms if halt_ms is not None else last_ms
    looked = halt_ms is not None or impact.at(last_ms) >= LOG_WARN
    return Decision(
        impact=impact,
        symptoms=symptoms,
        halt_ms=halt_ms,
        warn_ms=_warned(impact),
        notice_ms=notice_ms,
        without_site=halt.without_site(looked_ms) if looked else None,
        within=halt.within(looked_ms) if looked else None,
    )


def _warned(path: Path) -> int | None:
    since = None
    for step in path.steps:
        if since is None and step.log_e >= LOG_WARN:
            since = step.t_ms
        elif since is not None and step.log_e < _LOG_WARN_ENDS:
            since = None
    return since


class _Corroborated:
    """Looks for the first minute that is over the threshold and corroborated.

    The folds that leave a site out cost as much as the main one, so they are made only for a case
    that has reached the threshold, and only once.
    """

    def __init__(
        self,
        members: Sequence[Member],
        onsets: Sequence[NodeOnset],
        past: Mapping[str, int],
        started_ms: int,
        margins: Table,
        until_ms: int,
    ) -> None:
        self._members = members
        self._onsets = onsets
        self._past = past
        self._started_ms = started_ms
        self._margins = margins
        self._until_ms = until_ms
        self.path = self._fold(members)
        self._leave_outs: list[Path] | None = None
        self._inner: Path | None = None
        self._inner_leave_outs: list[Path] | None = None

    def first(self, log_threshold: float) -> int | None:
        """The instant of the first such minute (its last onset), or None."""
        for step in self.path.steps:
            if step.log_e >= log_threshold and self._holds(step.t_ms):
                return step.t_ms
        return None

    def _holds(self, t_ms: int) -> bool:
        if self.without_site(t_ms) >= _LOG_LEFT_OUT:
            return True
        return self.within(t_ms) >= _LOG_WITHIN and self._without_domain(t_ms) >= _LOG_LEFT_OUT

    def without_site(self, t_ms: int) -> float:
        """Smallest ln E at ``t_ms`` with one site left out, over the sites that were hit."""
        if self._leave_outs is None:
            hit = sorted({h.place.site for h in self.path.hits if h.place.age})
            self._leave_outs = [self._without(site) for site in hit]
        return min((path.at(t_ms) for path in self._leave_outs), default=0.0)

    def within(self, t_ms: int) -> float:
        """ln of the wealth of bets inside domains at ``t_ms``."""
        if self._inner is None:
            self._inner = self._fold(self._members, within_domains=True)
        return self._inner.at(t_ms)

    def _without_domain(self, t_ms: int) -> float:
        """Smallest ln of the wealth inside domains with one domain left out: a single domain
        that lies must not corroborate itself with somebody else's bad luck.
        """
        if self._inner_leave_outs is None:
            hit = sorted({h.place.domain for h in self.path.hits if h.place.age})
            self._inner_leave_outs = [
                self._fold([m for m in self._members if m.domain != domain], within_domains=True)
                for domain in hit
            ]
        return min((path.at(t_ms) for path in self._inner_leave_outs), default=0.0)

    def _without(self, site: str) -> Path:
        return self._fold([m for m in self._members if m.site != site])

    def _fold(self, members: Sequence[Member], *, within_domains: bool = False) -> Path:
        return fold(
            members,
            self._onsets,
            self._past,
            self._started_ms,
            self._margins,
            until_ms=self._until_ms,
            within_domains=within_domains,
        )
