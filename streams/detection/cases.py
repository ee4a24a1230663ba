"""One case from evidence to crossings: the path that ``Judge`` and the benchmark both take.

A KB is halted only while it is among its own suspects: where another one that came along explains
the same incidents better by far, the crossing waits, and the case stays a warning that says so.
Waiting can only delay a halt or prevent it, so it costs no guarantee.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from statistics import median_low

from msgspec import Struct

from schemas.evidence import DomainEvidence
from schemas.verdicts import credible
from streams.detection import decide as deciding
from streams.detection.attribution import Trial
from streams.detection.chains import second_after
from streams.detection.decide import Decision, decide
from streams.detection.fold import Hit, Path
from streams.detection.margins import Margins
from streams.detection.members import Case, Member, members
from streams.detection.population import Population
from streams.detection.rule import find_rule, literals
from streams.detection.spans import Span
from streams.detection.suspects import suspects_of
from streams.detection.tree import baseline
from streams.detection.victims import driving, victim_hits


class Crossed(Struct, frozen=True):
    """A threshold was reached, and what is known at that instant."""

    t_ms: int
    log_e: float
    signature: str
    """The one that being patched explains best (``victims.driving``)."""
    hits: tuple[Hit, ...]
    """The first one of each victim, up to then."""
    suspects: dict[str, float]
    confirmed_against: tuple[str, ...]
    rule: tuple[str, ...]


class Judged(Struct, frozen=True):
    """One case and its crossings."""

    case: Case
    span: Span
    margins: Margins
    members: list[Member]
    decision: Decision
    first_warn: Crossed | None
    """The first warning, even if it has ended."""
    warn: Crossed | None
    """The one that holds."""
    halt: Crossed | None
    notice: Crossed | None
    explained_by: dict[str, float]
    """The suspects that explain it too well for a halt, or nothing."""


def judge_cases(
    branch: tuple[str, str],
    evidence: Sequence[DomainEvidence],
    spans: Iterable[Span],
    asof_ms: int,
    margins_for: Callable[[Span], Margins],
    log_threshold: float,
) -> Iterator[Judged]:
    """The cases ``spans`` of ``branch`` (fleet, branch), one after the other, as of ``asof_ms``
    (Unix ms). ``log_threshold`` is ln(1/α).
    """
    fleet, name = branch
    for span in spans:
        case = Case(fleet, name, span.kb, span.build)
        people = members(case, evidence)
        margins = margins_for(span)
        # While old reports are caught up on, some domains' news is ahead of their peers'. An onset
        # waits until half of the branch has been heard of, give or take a node's grace.
        grace_ms = median_low([m.node.grace_s for m in people] or [0]) * 1000
        decision = decide(
            people,
            evidence,
            baseline(evidence, span.start_ms, margins.chatter),
            span.start_ms,
            margins,
            log_threshold,
            until_ms=asof_ms + grace_ms,
        )
        period = span.start_ms, second_after(asof_ms + grace_ms)
        inquiry = _Inquiry(case, people, evidence, decision.population, period)
        first_warn_ms = next(
            (s.t_ms for s in decision.impact.steps if s.log_warn >= deciding.LOG_WARN), None
        )
        first_warn = inquiry.crossed(decision.impact, first_warn_ms, warned=True)
        warn = first_warn
        if decision.warn_ms != first_warn_ms:
            warn = inquiry.crossed(decision.impact, decision.warn_ms, warned=True)
        halt_ms = decision.halt_ms
        explained_by: dict[str, float] = {}
        if halt_ms is not None:
            halt_ms, explained_by = inquiry.shared_ms(decision.impact, halt_ms, log_threshold)
        yield Judged(
            case=case,
            span=span,
            margins=margins,
            members=people,
            decision=decision,
            first_warn=first_warn,
            warn=warn,
            halt=inquiry.crossed(decision.impact, halt_ms),
            notice=inquiry.crossed(decision.symptoms, decision.notice_ms),
            explained_by=explained_by,
        )


class _Inquiry:
    """Who did it and to whom, for a case that has crossed something."""

    def __init__(
        self,
        case: Case,
        people: Sequence[Member],
        evidence: Sequence[DomainEvidence],
        population: Population,
        period: tuple[int, int],
    ) -> None:
        self._case = case
        self._people = people
        self._evidence = evidence
        self._period = period
        self._own = population
        self._populations = {case.kb: population}

    @cached_property
    def _nodes(self) -> dict[str, Member]:
        return {member.node.node: member for member in self._people}

    def crossed(self, path: Path, t_ms: int | None, *, warned: bool = False) -> Crossed | None:
        """The crossing at ``t_ms`` (Unix ms), of the wealth that a warning asks or of E; None
        without one.
        """
        if t_ms is None:
            return None
        signature = driving(path, self._evidence, t_ms, self._own)
        hits = [h for h in victim_hits(path, signature) if h.t_ms <= t_ms]
        incidents = [h for h in _with(path, signature) if h.t_ms <= t_ms]
        trial = self._trial(incidents)
        trial.hear(incidents)
        finding = trial.finding(self._case.kb)
        return Crossed(
            t_ms=t_ms,
            log_e=path.step(t_ms).log_warn if warned else path.at(t_ms),
            signature=signature,
            hits=tuple(hits),
            suspects=finding.suspects,
            confirmed_against=finding.confirmed_against,
            rule=self._rule(hits, t_ms),
        )

    def shared_ms(
        self, path: Path, from_ms: int, log_threshold: float
    ) -> tuple[int | None, dict[str, float]]:
        """From ``from_ms`` on the first instant at which the wealth is over the threshold while the
        case's own KB is in the 95 % set; without one, the suspects that are in it instead.
        """
        signature = driving(path, self._evidence, from_ms, self._own)
        hits = _with(path, signature)
        trial = self._trial([h for h in hits if h.t_ms <= from_ms])
        heard = 0
        suspects: dict[str, float] = {}
        for step in path.steps:
            if step.t_ms < from_ms or step.log_e < log_threshold:
                continue
            due = next((i for i in range(heard, len(hits)) if hits[i].t_ms > step.t_ms), len(hits))
            if due > heard or not suspects:
                trial.hear(hits[heard:due])
                heard = due
                suspects = trial.finding(self._case.kb).suspects
                if self._case.kb in credible(suspects):
                    return step.t_ms, {}
        return None, suspects

    def _trial(self, hits: Sequence[Hit]) -> Trial:
        victims = [hit for hit in hits if hit.place.age]
        suspects = suspects_of(self._case, self._people, self._evidence, victims)
        for name, exposed in suspects.items():
            if name not in self._populations:
                self._populations[name] = Population(exposed, *self._period)
        return Trial({name: self._populations[name] for name in suspects})

    def _rule(self, hits: Sequence[Hit], t_ms: int) -> tuple[str, ...]:
        """As of ``t_ms``. Exposed nodes that have had less time than the median victim needed say
        nothing yet.
        """
        since = {hit.node: hit.t_ms for hit in hits}
        patched = {
            name: m.patch.t_ms
            for name, m in self._nodes.items()
            if m.patch is not None and m.patch.t_ms <= t_ms and m.patch.end_ms != m.patch.t_ms
        }
        needed_ms = median_low([at - patched[node] for node, at in since.items()] or [0])
        exposed = [
            (self._literals(self._nodes[name]), name in since)
            for name, from_ms in patched.items()
            if name in since or t_ms - from_ms >= needed_ms
        ]
        return find_rule(exposed, map(self._literals, self._people))

    def _literals(self, member: Member) -> frozenset[str]:
        return literals(member.node, member.domain)


def _with(path: Path, signature: str) -> list[Hit]:
    """The hits with a signature; all, when none drives the case: then the sum of them does."""
    return [hit for hit in path.hits if signature in ("", hit.signature)]
