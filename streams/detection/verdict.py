"""From a decision to the verdict a person reads."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import islice

from msgspec.structs import replace

from schemas.evidence import DomainEvidence, Onset
from schemas.verdicts import LEFT_LIMIT, Crossing, Incident, Left, Power, State, Verdict
from streams.detection.chains import DAY_MS
from streams.detection.decide import Decision
from streams.detection.fold import Hit, Path
from streams.detection.margins import Margins
from streams.detection.members import Case, Member, already_there, newest_nodes
from streams.detection.tree import CLASSES

ENOUGH = 59
"""Nodes without a failure that rule out a failure of 5 % with probability .95."""
_TYPICAL = 5
_LIST_BYTES = 100 * 1024


def verdict(
    case: Case,
    members: Sequence[Member],
    evidence: Sequence[DomainEvidence],
    decision: Decision,
    *,
    started_ms: int,
    asof_ms: int,
    margins: Margins,
    log_threshold: float,
    trust: str,
) -> Verdict:
    """Describe ``decision``; times in Unix ms, ``log_threshold`` is ln(1/α)."""
    power = _power(members)
    state = _state(decision, power)
    path = decision.symptoms if state == "notice" else decision.impact
    crossings = {
        "halt": decision.halt_ms,
        "warn": decision.warn_ms,
        "notice": decision.notice_ms,
    }
    signature = driving(path, evidence, crossings.get(state))
    made = {
        name: None
        if t_ms is None
        else _crossing(
            members, decision.symptoms if name == "notice" else decision.impact, signature, t_ms
        )
        for name, t_ms in crossings.items()
    }
    hits = victim_hits(path, signature)
    controls = sum(m.patch is None for m in members)
    out = Verdict(
        v=1,
        fleet=case.fleet,
        case=case.name,
        kb=case.kb,
        branch=case.branch,
        build=case.build,
        state=state,
        sentence="",
        started_ms=started_ms,
        asof_ms=asof_ms,
        exposed=sum(m.patch is not None for m in members),
        controls=controls,
        victims=len(hits),
        signature=signature,
        log_e=decision.impact.steps[-1].log_e if decision.impact.steps else 0.0,
        log_e_any=decision.symptoms.steps[-1].log_e if decision.symptoms.steps else 0.0,
        log_threshold=round(log_threshold, 6),
        power=power,
        left=_left(case, evidence),
        calibration=margins.name,
        trust=trust,
        reasons=_reasons(state, decision, members, power, log_threshold),
        halt=made["halt"],
        warn=made["warn"],
        notice=made["notice"],
        first_victim_ms=hits[0].t_ms if hits else None,
        last_victim_ms=hits[-1].t_ms if hits else None,
        log_e_without_site=decision.without_site,
        log_e_within=decision.within,
        victim_nodes=_listed(h.node for h in hits),
        incidents=_incidents(members, evidence, hits),
    )
    return replace(out, sentence=_sentence(out))


def _state(decision: Decision, power: Power) -> State:
    if decision.halt_ms is not None:
        return "halt"
    if decision.warn_ms is not None:
        return "warn"
    if decision.notice_ms is not None:
        return "notice"
    return "quiet" if power.observed >= ENOUGH else "inconclusive"


def driving(path: Path, evidence: Sequence[DomainEvidence], until_ms: int | None) -> str:
    """The signature with most victims among those that won, by the crossing if there is one. Of
    equals the one that hit first; in the same minute a service that died says more than what it
    took with it (the classes' order).
    """
    classes = {o.signature: o.cls for part in evidence for o in part.onsets}
    victims = {
        s: [h for h in victim_hits(path, s) if until_ms is None or h.t_ms <= until_ms]
        for s, value in path.signatures.items()
        if value > 0
    }
    ranked = [
        (-len(hits), hits[0].t_ms // 60_000, CLASSES.index(classes[s]), s)
        for s, hits in victims.items()
        if hits
    ]
    return min(ranked)[3] if ranked else ""


def victim_hits(path: Path, signature: str) -> list[Hit]:
    """The first hit of each exposed node with ``signature``, in time order."""
    seen: dict[str, Hit] = {}
    for hit in path.hits:
        if hit.signature == signature and hit.place.age:
            seen.setdefault(hit.node, hit)
    return list(seen.values())


def _crossing(members: Sequence[Member], path: Path, signature: str, t_ms: int) -> Crossing:
    hits = [h for h in victim_hits(path, signature) if h.t_ms <= t_ms]
    places = [p for m in members if (p := m.place(t_ms)) is not None]
    unexposed = {
        h.node for h in path.hits if h.signature == signature and not h.place.age and h.t_ms <= t_ms
    }
    return Crossing(
        t_ms=t_ms,
        log_e=path.at(t_ms),
        victims=len(hits),
        victim_domains=len({h.place.domain for h in hits}),
        victim_sites=len({m.node.site for m in members if m.node.node in {h.node for h in hits}}),
        exposed=sum(m.patch is not None and m.patch.t_ms <= t_ms for m in members),
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


def _left(case: Case, evidence: Sequence[DomainEvidence]) -> Left:
    groups: dict[str, set[str]] = {"untouched": set(), "offered": set(), "staged": set()}
    effective: set[str] = set()
    for _, node in newest_nodes(evidence):
        patch = next((p for p in node.patches if p.kb == case.kb), None)
        if patch is None:
            if not already_there(case, node):
                groups["untouched"].add(node.node)
        elif patch.state in ("effective", "confirmed"):
            effective.add(node.node)
        elif patch.state in ("offered", "installing"):
            groups["offered"].add(node.node)
        elif patch.state == "staged":
            groups["staged"].add(node.node)
        else:
            groups["untouched"].add(node.node)
    return Left(
        untouched=len(groups["untouched"]),
        offered=len(groups["offered"]),
        staged=len(groups["staged"]),
        effective=len(effective),
        untouched_nodes=_listed(sorted(groups["untouched"])),
        staged_nodes=_listed(sorted(groups["staged"])),
    )


def _listed(nodes: Iterable[str]) -> tuple[str, ...]:
    """Names up to a limit in number and in bytes: a verdict must stay below the message cap."""
    room = _LIST_BYTES
    kept = []
    for name in islice(nodes, LEFT_LIMIT):
        room -= len(name.encode()) + 3
        if room < 0:
            break
        kept.append(name)
    return tuple(kept)


def _reasons(
    state: State,
    decision: Decision,
    members: Sequence[Member],
    power: Power,
    log_threshold: float,
) -> tuple[str, ...]:
    out = []
    if state == "inconclusive":
        out.append(
            f"{power.observed} of {ENOUGH} patched nodes observed for 24 h: "
            f"a 5 % failure would have shown with p = {power.p_5pct:.2f}"
        )
        if not any(m.patch is None for m in members):
            out.append("no unpatched node left to compare with")
    if state == "warn" and decision.impact.steps:
        if max(step.log_e for step in decision.impact.steps) < log_threshold:
            out.append(f"not yet a halt: E is below {math.exp(log_threshold):.0f}")
        else:
            out.append("not yet a halt: one site or domain alone brings the evidence")
    if state == "notice":
        out.append("not a halt: no outage, and no node repeats it three times within an hour")
    return tuple(out)


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


def _sentence(v: Verdict) -> str:
    crossing = v.halt or v.warn or v.notice
    if v.state in ("halt", "warn", "notice") and crossing:
        who = (
            f"{crossing.victims} of {crossing.exposed} patched nodes show {v.signature}, "
            f"{crossing.control_victims} of {crossing.controls} unpatched"
        )
        if v.state == "notice":
            return f"{who}: caused by {v.kb}, harmless so far"
        where = f"{crossing.victim_domains} domains at {crossing.victim_sites} sites"
        wealth = f"E = {math.exp(min(crossing.log_e, 60)):,.0f}"
        return f"{who}; {where}, {wealth}"
    if v.state == "quiet":
        return f"{v.power.observed} patched nodes ran {v.kb} for 24 h without a case against it"
    return v.reasons[0]
