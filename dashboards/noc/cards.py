"""From a verdict or a halt to its card."""

import math
from collections.abc import Iterable

from msgspec.structs import replace

from dashboards.noc.model import (
    CaseCard,
    Crossed,
    GateView,
    HaltCard,
    NextStep,
    RingProgress,
    Suspect,
    Told,
    WealthPoint,
)
from schemas.halts import Delivery, Halt
from schemas.verdicts import Verdict

LOG_WARN = round(math.log(100), 6)
"""WARN begins at E_w ≥ 100: docs/detection.md."""

ORDER = ("halt", "warn", "notice", "inconclusive", "quiet")
"""States from the worst to the best."""


def case_id(fleet: str, case: str) -> str:
    """``default/KB5062557@17763``."""
    return f"{fleet}/{case}"


def urgency(card: CaseCard) -> tuple[int, float, str]:
    """What cards are ordered by: the state, then the most wealth."""
    return ORDER.index(card.state), -card.log_e, card.id


def case_card(
    v: Verdict,
    *,
    received_ms: int,
    history: tuple[WealthPoint, ...],
    rings: tuple[RingProgress, ...],
    steps: tuple[NextStep, ...],
    gate: GateView,
    halt: Halt | None,
) -> CaseCard:
    """The card of a verdict, with what the evidence, the gate and the halt add to it."""
    crossed = [
        *([Crossed("notice", v.notice)] if v.notice else []),
        *([Crossed("warn", v.warn)] if v.warn else []),
        *([Crossed("halt", v.halt)] if v.halt else []),
    ]
    return CaseCard(
        id=case_id(v.fleet, v.case),
        fleet=v.fleet,
        case=v.case,
        kb=v.kb,
        branch=v.branch,
        build=v.build,
        state=v.state,
        sentence=v.sentence,
        signature=v.signature,
        started_ms=v.started_ms,
        asof_ms=v.asof_ms,
        received_ms=received_ms,
        victims=v.victims,
        exposed=v.exposed,
        controls=v.controls,
        log_e=v.log_e,
        log_e_any=v.log_e_any,
        log_c=v.log_c,
        log_h=v.log_h,
        log_e_warn=v.log_e_warn,
        log_warn=LOG_WARN,
        log_threshold=v.log_threshold,
        log_e_without_site=v.log_e_without_site,
        log_e_without_domain=v.log_e_without_domain,
        log_same_elsewhere=v.log_same_elsewhere,
        log_e_within=v.log_e_within,
        first_victim_ms=v.first_victim_ms,
        last_victim_ms=v.last_victim_ms,
        history=history,
        rings=rings,
        rule=v.rule,
        suspects=tuple(
            Suspect(name, share)
            for name, share in sorted(v.suspects.items(), key=lambda item: (-item[1], item[0]))
        ),
        confirmed_against=v.confirmed_against,
        blast=v.blast,
        crossings=tuple(sorted(crossed, key=lambda c: c.at.t_ms)),
        reasons=v.reasons,
        power=v.power,
        left=replace(v.left, untouched_nodes=(), staged_nodes=()),
        steps=steps,
        incidents=v.incidents,
        calibration=v.calibration,
        trust=v.trust,
        gate=gate,
        halt=halt.state if halt else None,
    )


def halt_card(halt: Halt, received_ms: int, deliveries: Iterable[Delivery]) -> HaltCard:
    """The card of a halt, with what was sent about it."""
    return HaltCard(
        id=case_id(halt.fleet, halt.case),
        halt_id=halt.halt_id,
        fleet=halt.fleet,
        case=halt.case,
        kb=halt.kb,
        branch=halt.branch,
        build=halt.build,
        state=halt.state,
        mode=halt.mode,
        scope=halt.scope,
        sentence=halt.sentence,
        signature=halt.signature,
        crossing=halt.crossing,
        trust=halt.trust,
        calibration=halt.calibration,
        history=halt.history,
        received_ms=received_ms,
        deliveries=tuple(
            Told(d.target, d.transition, d.state, d.attempts, d.delivered_ms, d.last_error)
            for d in sorted(deliveries, key=lambda d: (d.created_ms, d.target))
            if d.halt_id == halt.halt_id
        ),
    )
