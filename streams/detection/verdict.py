"""From a judged case to the verdict a person reads."""

from collections import defaultdict
from collections.abc import Sequence

from msgspec.structs import replace

from schemas.evidence import DomainEvidence, Onset
from schemas.verdicts import ENOUGH, Crossing, Incident, Power, State, Verdict
from streams.detection.cases import Crossed, Judged
from streams.detection.chains import DAY_MS
from streams.detection.fold import Hit, Path
from streams.detection.left import blast, left, listed, standing
from streams.detection.members import Member
from streams.detection.victims import driving, victim_hits
from streams.detection.wording import reasons, sentence

_TYPICAL = 5


def verdict(
    judged: Judged,
    evidence: Sequence[DomainEvidence],
    *,
    asof_ms: int,
    log_threshold: float,
    trust: str,
    disputed: Sequence[str],
) -> Verdict:
    """Describe a case as of ``asof_ms`` (Unix ms); ``log_threshold`` is ln(1/α); ``disputed`` are
    the branch's nodes that two domains report (``claims``).
    """
    case, people, decision = judged.case, judged.members, judged.decision
    power = _power(people)
    state = _state(judged, power)
    path = decision.symptoms if state == "notice" else decision.impact
    crossings = {"halt": judged.halt, "warn": judged.warn, "notice": judged.notice}
    made = crossings.get(state)
    signature = made.signature if made else driving(path, evidence, None, decision.population)
    hits = victim_hits(path, signature)
    standings = standing(case, evidence)
    now = decision.impact.last
    out = Verdict(
        v=1,
        fleet=case.fleet,
        case=case.name,
        kb=case.kb,
        branch=case.branch,
        build=case.build,
        state=state,
        sentence="",
        started_ms=judged.span.start_ms,
        asof_ms=asof_ms,
        exposed=sum(m.patch is not None for m in people),
        controls=sum(m.patch is None for m in people),
        victims=len(hits),
        signature=signature,
        log_e=now.log_e,
        log_e_any=decision.symptoms.last.log_e,
        log_c=now.log_c,
        log_h=now.log_h,
        log_e_warn=now.log_warn,
        log_threshold=round(log_threshold, 6),
        power=power,
        left=left(standings),
        calibration=judged.margins.name,
        trust=trust,
        halt=_crossing(people, decision.impact, signature, judged.halt),
        warn=_crossing(people, decision.impact, signature, judged.warn),
        notice=_crossing(people, decision.symptoms, signature, judged.notice),
        first_victim_ms=hits[0].t_ms if hits else None,
        last_victim_ms=hits[-1].t_ms if hits else None,
        log_e_without_site=decision.without_site,
        log_e_without_domain=decision.without_domain,
        log_same_elsewhere=decision.same_elsewhere,
        log_e_within=decision.within,
        suspects=made.suspects if made else {},
        confirmed_against=made.confirmed_against if made else (),
        rule=made.rule if made else (),
        blast=blast(standings, made.rule) if made else None,
        victim_nodes=listed(h.node for h in hits),
        incidents=_incidents(people, evidence, hits),
    )
    peak = max((step.log_e for step in decision.impact.steps), default=0.0)
    out = replace(out, reasons=reasons(out, peak, judged.explained_by, disputed))
    return replace(out, sentence=sentence(out))


def _state(judged: Judged, power: Power) -> State:
    if judged.halt is not None:
        return "halt"
    if judged.warn is not None:
        return "warn"
    if judged.notice is not None:
        return "notice"
    return "quiet" if power.observed >= ENOUGH else "inconclusive"


def _crossing(
    people: Sequence[Member], path: Path, signature: str, crossed: Crossed | None
) -> Crossing | None:
    if crossed is None:
        return None
    t_ms = crossed.t_ms
    hits = [h for h in victim_hits(path, signature) if h.t_ms <= t_ms]
    names = {h.node for h in hits}
    places = [p for m in people if (p := m.place(t_ms)) is not None]
    unexposed = {
        h.node for h in path.hits if h.signature == signature and not h.place.age and h.t_ms <= t_ms
    }
    return Crossing(
        t_ms=t_ms,
        log_e=crossed.log_e,
        victims=len(hits),
        victim_domains=len({h.place.domain for h in hits}),
        victim_sites=len({m.node.site for m in people if m.node.node in names}),
        exposed=sum(m.patch is not None and m.patch.t_ms <= t_ms for m in people),
        controls=sum(p.age == 0 for p in places),
        control_victims=len(unexposed),
    )


def _power(members: Sequence[Member]) -> Power:
    observed = sum(_exposed_ms(m) >= DAY_MS for m in members)
    return Power(
        observed=observed,
        p_5pct=round(1 - 0.95**observed, 6),
        rate_95=round(1 - 0.05 ** (1 / observed), 6) if observed else 1.0,
    )


def _exposed_ms(member: Member) -> int:
    if member.patch is None:
        return 0
    seen_ms = member.node.service[-1][1]
    end_ms = member.patch.end_ms
    return (seen_ms if end_ms is None else min(seen_ms, end_ms)) - member.patch.t_ms


def _incidents(
    members: Sequence[Member], evidence: Sequence[DomainEvidence], hits: Sequence[Hit]
) -> tuple[Incident, ...]:
    by_node = {m.node.node: m for m in members}
    onsets: dict[tuple[str, str], list[Onset]] = defaultdict(list)
    for part in evidence:
        for onset in part.onsets:
            if by_node.get(onset.node) and by_node[onset.node].domain == part.domain:
                onsets[onset.node, onset.signature].append(onset)
    out = []
    for hit in hits[:_TYPICAL]:
        member = by_node[hit.node]
        start = member.patch.t_ms if member.patch else hit.t_ms
        out.append(
            Incident(
                node=hit.node,
                domain=member.domain,
                site=member.node.site,
                signature=hit.signature,
                t_ms=hit.t_ms,
                minutes_after=(hit.t_ms - start) // 60_000,
                record_id=_record_id(onsets[hit.node, hit.signature], hit.t_ms),
            )
        )
    return tuple(out)


def _record_id(onsets: Sequence[Onset], t_ms: int) -> int:
    """Of the onset that a hit belongs to: one without outage counts from its third event on."""
    begun = [o for o in onsets if o.first_ms <= t_ms]
    return max(begun, key=lambda o: o.first_ms).record_id if begun else 0
