"""How one case of the past would have ended: decided on the path that the judge takes. Pure."""

import math
from collections.abc import Sequence

from msgspec import Struct

from schemas.evidence import DomainEvidence
from schemas.settings import DetectorSettings
from streams.detection.cases import Judged, judge_cases
from streams.detection.margins import Margins
from streams.detection.spans import Span
from streams.detection.victims import driving, victim_hits


class Outcome(Struct, frozen=True):
    """What became of one case; times in Unix ms."""

    case: str
    fleet: str
    started_ms: int
    until_ms: int
    """How far it was watched."""
    exposed: int
    nodes: int
    warn_ms: int | None
    """When it was first warned of, whether or not the warning ended later."""
    halt_ms: int | None
    worst_ms: int | None
    """When it was halted, else when ln E was highest; None when nothing was bet."""
    log_e: float
    """ln E then, 0 when nothing was bet."""
    signature: str
    """What being patched explained best by then, empty when it explained none."""
    victims: int
    """Exposed nodes that had it by then."""


class Rule(Struct, frozen=True):
    """With which margins, and from which ln(1/α) on a case is halted."""

    margins: Margins
    log_threshold: float


def rule_of(margins: Margins, settings: DetectorSettings) -> Rule:
    """The detector's rule with some margins."""
    return Rule(margins, math.log(settings.cases_per_year / settings.false_halts_per_year))


def outcome(
    branch: tuple[str, str],
    evidence: Sequence[DomainEvidence],
    span: Span,
    until_ms: int,
    rule: Rule,
    name: str,
) -> Outcome:
    """Decide on the case of ``span`` on ``branch`` (fleet, branch) as of ``until_ms`` (Unix ms).
    ``name``: what people call it.
    """
    (judged,) = judge_cases(
        branch, evidence, [span], until_ms, lambda _: rule.margins, rule.log_threshold
    )
    worst_ms = _worst_ms(judged)
    path = judged.decision.impact
    everybody = judged.decision.population
    signature = driving(path, evidence, worst_ms, everybody) if worst_ms is not None else ""
    hits = victim_hits(path, signature)
    return Outcome(
        case=name,
        fleet=branch[0],
        started_ms=span.start_ms,
        until_ms=until_ms,
        exposed=sum(m.patch is not None for m in judged.members),
        nodes=len(judged.members),
        warn_ms=judged.first_warn.t_ms if judged.first_warn else None,
        halt_ms=judged.halt.t_ms if judged.halt else None,
        worst_ms=worst_ms,
        log_e=path.at(worst_ms) if worst_ms is not None else 0.0,
        signature=signature,
        victims=sum(worst_ms is not None and hit.t_ms <= worst_ms for hit in hits),
    )


def _worst_ms(judged: Judged) -> int | None:
    if judged.halt is not None:
        return judged.halt.t_ms
    steps = judged.decision.impact.steps
    return max(steps, key=lambda step: step.log_e).t_ms if steps else None
