"""Deliveries: what is told to whom, and when it is tried again. Pure.

Standard Webhooks (standardwebhooks.com): an id that is stable over retries, the same bytes at every
attempt, retries over days, 410 means never again.
"""

import hashlib
import math
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime

import msgspec
import orjson
from msgspec import Struct

from schemas.codec import MAX_MESSAGE_BYTES
from schemas.halts import Delivery, Halt
from streams.detection.wording import ruled

RETRY_AFTER_S = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Waits after the first, second, … failed attempt: Standard Webhooks' schedule, 3.2 days in all."""
_JITTER = 0.1

_GONE = 410
_BODY_MAX_BYTES = MAX_MESSAGE_BYTES // 2
"""Leaves room for the escapes of a JSON text inside a Delivery; the list of nodes is cut to fit."""


class Outcome(Struct, frozen=True):
    """How one attempt ended. ``status`` is 0 when no answer came, ``error`` is empty on success."""

    status: int
    error: str = ""
    for_good: bool = False
    """No later attempt can succeed."""


def webhook_id_of(halt_id: str, target: str, transition: str) -> str:
    """The idempotency key of a webhook; it holds no '.', which would make signatures ambiguous."""
    digest = hashlib.sha256(f"{halt_id}|{target}|{transition}".encode()).hexdigest()
    return f"msg_{digest[:32]}"


def plan(halt: Halt, targets: Iterable[str], known: Collection[str]) -> list[Delivery]:
    """The deliveries that ``halt`` still lacks, as pending: one per target while it is active.

    ``known`` are the webhook ids that exist. The result is a function of the halt alone, so what a
    crash left out is made up for with the same ids and bytes, and a target that was added to the
    policy later is told of the halts in force. A proposal is told to nobody: it pulls no lever.
    """
    if halt.state != "active":
        return []
    at_ms = halt.history[-1].at_ms
    body = _body(halt)
    ids = {target: webhook_id_of(halt.halt_id, target, halt.state) for target in targets}
    return [
        Delivery(
            v=1,
            webhook_id=webhook_id,
            halt_id=halt.halt_id,
            fleet=halt.fleet,
            case=halt.case,
            target=target,
            transition=halt.state,
            state="pending",
            body=body,
            created_ms=at_ms,
            next_attempt_ms=at_ms,
        )
        for target, webhook_id in ids.items()
        if webhook_id not in known
    ]


def after_attempt(
    delivery: Delivery, outcome: Outcome, now_ms: int, random: Callable[[], float]
) -> Delivery:
    """``delivery`` after one more attempt: delivered, pending until the next one, or failed.

    ``random`` gives uniform numbers of [0, 1) for the jitter.
    """
    tried = msgspec.structs.replace(
        delivery,
        attempts=delivery.attempts + 1,
        last_status=outcome.status,
        last_error=outcome.error,
    )
    if not outcome.error:
        return msgspec.structs.replace(
            tried, state="delivered", next_attempt_ms=0, delivered_ms=now_ms
        )
    wait_s = next_wait_s(tried.attempts, random)
    if outcome.for_good or outcome.status == _GONE or wait_s is None:
        return msgspec.structs.replace(tried, state="failed", next_attempt_ms=0)
    return msgspec.structs.replace(tried, next_attempt_ms=now_ms + round(wait_s * 1000))


def next_wait_s(attempts: int, random: Callable[[], float]) -> float | None:
    """Seconds from the ``attempts``-th failed attempt to the next one; None after the last.

    Jitter of ±10 % keeps the retries of many webhooks from arriving together.
    """
    if attempts > len(RETRY_AFTER_S):
        return None
    return RETRY_AFTER_S[attempts - 1] * (1 - _JITTER + 2 * _JITTER * random())


def _body(halt: Halt) -> str:
    staged_nodes = halt.left.staged_nodes
    body = _message(halt, staged_nodes)
    while len(body) > _BODY_MAX_BYTES and staged_nodes:
        staged_nodes = staged_nodes[: len(staged_nodes) // 2]
        body = _message(halt, staged_nodes)
    return body.decode()


def _message(halt: Halt, staged_nodes: tuple[str, ...]) -> bytes:
    crossing, left, blast = halt.crossing, halt.left, halt.blast
    at = datetime.fromtimestamp(halt.history[-1].at_ms / 1000, UTC)
    message = {
        "type": f"halt.{halt.state}",
        "timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": {
            "halt_id": halt.halt_id,
            "fleet": halt.fleet,
            "case": halt.case,
            "kb": halt.kb,
            "branch": halt.branch,
            "build": halt.build,
            "scope": halt.scope,
            "scope_by": halt.scope_by,
            "rule": halt.rule,
            "blast": {"nodes": blast.nodes, "staged": blast.staged} if blast else None,
            "suspects": halt.suspects,
            "confirmed_against": halt.confirmed_against,
            "sentence": halt.sentence,
            "signature": halt.signature,
            "crossed_ms": crossing.t_ms,
            "victims": crossing.victims,
            "victim_domains": crossing.victim_domains,
            "victim_sites": crossing.victim_sites,
            "exposed": crossing.exposed,
            "controls": crossing.controls,
            "control_victims": crossing.control_victims,
            "log_e": crossing.log_e,
            "log_threshold": halt.log_threshold,
            "guarantee": _guarantee(halt.log_threshold),
            "calibration": halt.calibration,
            "trust": halt.trust,
            "held": _held(halt),
            "left": {
                # A verdict names no nodes by its rule, so a receiver must know whose these are.
                "scope_by": "branch",
                "untouched": left.untouched,
                "offered": left.offered,
                "staged": left.staged,
                "effective": left.effective,
                "staged_nodes": staged_nodes,
            },
            "to_do": _to_do(halt),
            "lifted_by": "a person, once the cause is fixed or found to be another; "
            "kbwatch never lifts a halt by itself",
        },
    }
    return orjson.dumps(message, option=orjson.OPT_SORT_KEYS)


def _held(halt: Halt) -> dict[str, object]:
    """How many nodes are meant of those that don't run the KB yet; null: the halt doesn't know."""
    left, blast = halt.left, halt.blast
    nodes: int | None = left.untouched + left.offered + left.staged
    staged: int | None = left.staged
    if halt.scope_by == "rule":
        nodes, staged = (blast.nodes, blast.staged) if blast else (None, None)
    return {"scope_by": halt.scope_by, "nodes": nodes, "staged": staged}


def _to_do(halt: Halt) -> dict[str, str]:
    """What the target should do with the nodes that are meant, by where the KB stands on them."""
    where, others = "", ""
    if halt.scope_by == "rule":
        where = f" on nodes with {ruled(halt.rule)}"
        others = "; left.staged_nodes lists the whole branch"
    return {
        "untouched": f"do not offer {halt.kb}{where}",
        "offered": f"withdraw {halt.kb}{where} before it is installed",
        "staged": f"hold the reboot{where}: these nodes run the old build until they restart"
        f"{others}",
        "effective": "watch them; roll back where the service has failed",
    }


def _guarantee(log_threshold: float) -> str:
    return (
        "A harmless case would ever reach this much evidence with a probability of at most 1 in "
        f"{math.exp(log_threshold):,.0f}, provided that the calibration fits the fleet."
    )
