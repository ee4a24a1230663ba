"""From a verdict to a halt: pure, by policy, and latched."""

import hashlib

from schemas.halts import Halt, Scope, Transition
from schemas.verdicts import Verdict, credible
from streams.detection.suspects import CHANGE
from streams.detection.wording import ruled
from streams.halts.policy import ACCEPT_DEFAULT_CALIBRATION, ACCEPT_UNSIGNED, Policy

_WHO = "policy"


def halt_id_of(fleet: str, case: str) -> str:
    """The one halt of a case: the same wherever and whenever it is computed."""
    return "halt_" + hashlib.sha256(f"{fleet}|{case}".encode()).hexdigest()[:32]


def decide(verdict: Verdict, existing: Halt | None, policy: Policy, now_ms: int) -> Halt | None:
    """The halt that ``verdict`` asks for, or None when nothing changes.

    Latched: a halt that exists never goes away, and never becomes less, because a later verdict is
    quieter; one proposed for the branch stays for the branch. The one step that a verdict can bring
    about is proposed → active, when the policy allows it by now. ``now_ms`` is wall-clock Unix
    milliseconds.
    """
    crossing = verdict.halt
    if verdict.state != "halt" or crossing is None:
        return None
    if not policy.match.covers(verdict.kb, verdict.branch):
        return None
    objections = _objections(verdict, policy)
    if existing is None:
        why = "; ".join(objections) or "the case crossed the threshold"
        history: tuple[Transition, ...] = (Transition("proposed", now_ms, _WHO, why),)
    elif existing.state == "proposed" and not objections:
        history = existing.history
    else:
        return None
    if not objections:
        why = "mode auto: a halt that the policy covers becomes active by itself"
        history = (*history, Transition("active", now_ms, _WHO, why))
    narrow = policy.scope == "rule" and bool(verdict.rule)
    if existing is not None and existing.scope_by == "branch":
        narrow = False
    scope_by: Scope = "rule" if narrow else "branch"
    return Halt(
        v=1,
        halt_id=halt_id_of(verdict.fleet, verdict.case),
        fleet=verdict.fleet,
        case=verdict.case,
        kb=verdict.kb,
        branch=verdict.branch,
        build=verdict.build,
        state=history[-1].state,
        mode=policy.mode,
        scope=_scope(verdict, scope_by),
        sentence=verdict.sentence,
        signature=verdict.signature,
        crossing=crossing,
        left=verdict.left,
        log_threshold=verdict.log_threshold,
        calibration=verdict.calibration,
        trust=verdict.trust,
        history=history,
        scope_by=scope_by,
        rule=verdict.rule,
        blast=verdict.blast,
        suspects=verdict.suspects,
        confirmed_against=verdict.confirmed_against,
    )


def _scope(verdict: Verdict, scope_by: Scope) -> str:
    if scope_by == "rule":
        return f"nodes of branch {verdict.branch} with {ruled(verdict.rule)}"
    whole = f"all nodes of branch {verdict.branch}"
    return f"{whole}, though it hits {ruled(verdict.rule)}" if verdict.rule else whole


def _objections(verdict: Verdict, policy: Policy) -> list[str]:
    """Why the halt may not become active by itself; empty when it may."""
    if policy.mode == "observe":
        return ["mode observe: recorded, nothing is sent"]
    if policy.mode == "approve":
        return ["mode approve: a person decides"]
    objections = []
    if verdict.trust == "open" and not policy.accepts_unsigned:
        objections.append(
            "mode auto refused: reports are not signed (trust open), and the policy lacks "
            f'acknowledge_unsigned_reports = "{ACCEPT_UNSIGNED}"'
        )
    if verdict.calibration == "default" and not policy.accepts_default_calibration:
        objections.append(
            "mode auto refused: the calibration is the shipped default, and the policy lacks "
            f'acknowledge_default_calibration = "{ACCEPT_DEFAULT_CALIBRATION}"'
        )
    others = [name for name in credible(verdict.suspects) if name.startswith(CHANGE)]
    if others:
        objections.append(
            f"mode auto refused: {', '.join(others)} came along and can't be told from "
            f"{verdict.kb}: a person decides"
        )
    return objections
