"""Halts, the commands that change them, and what was delivered where.

Topics ``kbw-halts`` (compacted, key ``fleet|case``), ``kbw-halt-commands`` (key ``fleet|case``) and
``kbw-halt-deliveries`` (compacted, key = the webhook id). ``*_ms`` here are wall-clock Unix
milliseconds UTC: a halt is history, not part of any fold.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from schemas.verdicts import Blast, Crossing, Left

HaltState = Literal["proposed", "active", "denied", "lifted"]
Mode = Literal["observe", "approve", "auto"]
Scope = Literal["branch", "rule"]
DeliveryState = Literal["pending", "delivered", "failed"]


class Transition(Struct, frozen=True):
    """Who moved a halt to ``state``, when and why."""

    state: HaltState
    at_ms: int
    who: str
    why: str


class Halt(Struct, frozen=True, omit_defaults=True):
    """One latched halt. Only a person lifts it."""

    v: int
    halt_id: str
    fleet: str
    case: str
    kb: str
    branch: str
    build: str
    state: HaltState
    mode: Mode
    scope: str
    """Which nodes are meant, in words."""
    sentence: str
    signature: str
    crossing: Crossing
    left: Left
    """Nodes of the whole branch, whatever ``scope_by`` says: a verdict names none by its rule."""
    log_threshold: float
    calibration: str
    trust: str
    history: tuple[Transition, ...]
    scope_by: Scope = "branch"
    """``branch``: every node of the branch is meant. ``rule``: only those for which all literals of
    ``rule`` hold; the policy said so, and a rule was found.
    """
    rule: tuple[str, ...] = ()
    """Whom the KB hits, as the verdict found; empty: no rule stood out."""
    blast: Blast | None = None
    """Of the nodes under ``rule`` alone, or of the branch where no rule stood out."""
    suspects: dict[str, float] = {}
    """Who may have done it: KB, or ``change:<name>=<version>``, → probability."""
    confirmed_against: tuple[str, ...] = ()
    """Other suspects that the KB explains the failures 20 times better than."""


class HaltCommand(Struct, frozen=True):
    """What a person asks of a halt."""

    v: int
    fleet: str
    case: str
    action: Literal["approve", "deny", "lift", "override"]
    who: Annotated[str, Meta(min_length=1)]
    why: Annotated[str, Meta(min_length=1)]
    at_ms: int


class Delivery(Struct, frozen=True, omit_defaults=True):
    """One webhook: persisted as ``pending`` before the first attempt, until it is settled."""

    v: int
    webhook_id: str
    """Stable over retries: a hash of halt, target and transition."""
    halt_id: str
    fleet: str
    case: str
    target: str
    transition: HaltState
    state: DeliveryState
    body: str
    """The exact JSON that is signed and sent, the same at every attempt."""
    created_ms: int
    attempts: int = 0
    next_attempt_ms: int = 0
    last_status: int = 0
    last_error: str = ""
    delivered_ms: int | None = None
