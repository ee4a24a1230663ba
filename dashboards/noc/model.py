"""What the browser and the API get: plain data, no markup. Everything a node said is text.

Times are Unix milliseconds UTC (``*_ms``), ``log_*`` natural logarithms. A case is named
``fleet/KB5062557@17763`` (``id``). In ``Crossing``, ``Incident``, ``Left`` and ``Halt`` a field
that is zero or empty is left out, as on the topics.

The stream, ``GET /events`` (server-sent events, UTF-8, one JSON object per event):

==========  ===================  ==================================================================
event       data                 when
==========  ===================  ==================================================================
state       ``WallState``        first of every connection; again whenever the server would
                                 otherwise have to skip changes (a browser that reads too slowly)
case        ``CaseCard``         a case is new or anything on its card changed: replace the card
gone        ``Gone``             a case was closed: remove the card
nodes       ``NodeChanges``      nodes changed their state: on the wall (``case`` empty), in a case
layout      ``FleetLayout``      nodes came, left or moved: replace the fleet and, if a case's
                                 matrix is shown, fetch it again
halt        ``HaltCard``         a halt is new or changed: replace it by ``id``
halt_gone   ``Gone``             a halt was taken off the topic: remove it
health      ``HealthNote``       the pipeline has trouble: put it first, in the place of the note of
                                 the same app, kind and topic; keep ``HEALTH_KEPT``
tick        ``Tick``             every ``TICK_S`` seconds: the server's clock and each source's age
==========  ===================  ==================================================================

Every event but ``tick`` has an ``id:`` of ``<run>-<seq>``: ``run`` is drawn at each start of the
server, ``seq`` grows by one with each event of that run. A browser that reconnects with
``Last-Event-ID`` gets what it missed if the server still has it, else ``state``; both start with
nothing to forget but what they replace. When nothing else was sent for ``HEARTBEAT_S`` seconds a
comment line is, so that no proxy closes the stream. No ``tick`` for three times ``TICK_S``: the
stream is dead.
Until the server has read its topics to their ends it answers 503 to ``/events``.

The matrix of one case is ``GET /api/v1/case/{fleet}/{case}/nodes`` (``CaseCells``); apply the
``nodes`` events of that case with a greater ``seq`` to it. Lists of more than ``NAMES_KEPT`` names
are cut on cards; ``GET /api/v1/case/{fleet}/{case}`` (``CaseDetail``) has them whole.
"""

from typing import Literal

from msgspec import Struct

from schemas.halts import DeliveryState, HaltState, Mode, Transition
from schemas.verdicts import Blast, Crossing, Incident, Left, Power, State

TICK_S = 5
HEARTBEAT_S = 15
NAMES_KEPT = 200
HISTORY_KEPT = 120
HEALTH_KEPT = 20

NodeState = Literal["untouched", "staged", "exposed", "victim", "silent"]
"""Of one node for one case. ``victim``: failed after the KB took effect there, and stays it.
``silent``: no victim, and not heard of for longer than it should be. ``exposed``: in effect, no
failure so far. ``staged``: on disk, not rebooted. ``untouched``: not in effect, be it offered, or
rolled back, or replaced by its fix.
"""
LETTERS: dict[NodeState, str] = {
    "untouched": "u",
    "staged": "s",
    "exposed": "e",
    "victim": "v",
    "silent": "x",
}
"""How matrices and ``nodes`` events write a state."""

GateAnswer = Literal["go", "no-go", "inconclusive"]
Action = Literal["approve", "deny", "lift"]
StepKind = Literal["victims", "leaked", "clusters", "staged", "untouched", "exposed", "silent"]
"""``leaked``: the KB took effect there after the crossing of a halt that is active and is for them;
they are victims or exposed as well.
"""


class WealthPoint(Struct, frozen=True):
    """The wealth as one verdict had it."""

    t_ms: int
    """The verdict's ``asof_ms``."""
    log_e: float
    log_c: float
    log_h: float
    log_e_warn: float
    victims: int
    exposed: int


class RingProgress(Struct, frozen=True):
    """How far the KB is in one ring of the branch. The five add up to ``nodes``."""

    ring: str
    """Empty: nodes without a ring."""
    nodes: int
    untouched: int
    staged: int
    exposed: int
    victims: int
    silent: int


class Suspect(Struct, frozen=True):
    """Who may have done it: a KB or ``change:<name>=<version>``, with its probability."""

    name: str
    share: float


class Crossed(Struct, frozen=True):
    """A threshold and the fold at the minute at which it was reached."""

    kind: Literal["notice", "warn", "halt"]
    at: Crossing


class NextStep(Struct, frozen=True):
    """What to do with one group of nodes, most urgent first in its list."""

    kind: StepKind
    title: str
    """Who they are: ``Staged: patched on disk, not rebooted``."""
    action: str
    """What to do: ``Hold the reboot``."""
    count: int
    nodes: tuple[str, ...]
    """Names (of clusters for ``clusters``); fewer than ``count`` when cut."""


class GateView(Struct, frozen=True):
    """What the gate says of the case as a whole, without a ring."""

    answer: GateAnswer
    reasons: tuple[str, ...]


class Told(Struct, frozen=True):
    """One webhook about a halt: to whom, which transition, and what came of it."""

    target: str
    transition: HaltState
    state: DeliveryState
    attempts: int
    delivered_ms: int | None
    last_error: str


class HaltCard(Struct, frozen=True):
    """One halt as people see it. ``actions`` are what this server can pass on: none, read-only."""

    id: str
    """The case's id: a case has one halt."""
    halt_id: str
    fleet: str
    case: str
    kb: str
    branch: str
    build: str
    state: HaltState
    mode: Mode
    scope: str
    sentence: str
    signature: str
    crossing: Crossing
    trust: str
    calibration: str
    history: tuple[Transition, ...]
    received_ms: int
    """When Kafka got the last change."""
    deliveries: tuple[Told, ...] = ()
    """Oldest first. Only a delivered one is known to have reached its target."""
    actions: tuple[Action, ...] = ()


class CaseCard(Struct, frozen=True):
    """One open case on the wall."""

    id: str
    fleet: str
    case: str
    kb: str
    branch: str
    build: str
    state: State
    sentence: str
    signature: str
    started_ms: int
    asof_ms: int
    """Newest evidence that went into the verdict: its age is the data's age."""
    received_ms: int
    """When Kafka got the verdict."""
    victims: int
    exposed: int
    controls: int
    log_e: float
    """What a HALT asks: compare it with ``log_threshold``."""
    log_e_any: float
    log_c: float
    log_h: float
    log_e_warn: float
    """What a WARN asks: compare it with ``log_warn``."""
    log_warn: float
    """WARN needs this much; it holds until ``log_e_warn`` falls below ln 10."""
    log_threshold: float
    """HALT needs this much, corroborated."""
    log_e_without_site: float | None
    log_e_without_domain: float | None
    log_same_elsewhere: float | None
    log_e_within: float | None
    first_victim_ms: int | None
    last_victim_ms: int | None
    history: tuple[WealthPoint, ...]
    """Oldest first, at most ``HISTORY_KEPT``: what this server saw, and the store's if it has one.
    """
    rings: tuple[RingProgress, ...]
    rule: tuple[str, ...]
    suspects: tuple[Suspect, ...]
    """Most probable first."""
    confirmed_against: tuple[str, ...]
    blast: Blast | None
    crossings: tuple[Crossed, ...]
    """In time order."""
    reasons: tuple[str, ...]
    power: Power
    left: Left
    """Counts; its name lists are empty here, ``steps`` has them."""
    steps: tuple[NextStep, ...]
    """Empty while there is nothing to do: no WARN, no HALT, and no active halt that leaks."""
    incidents: tuple[Incident, ...]
    calibration: str
    trust: str
    gate: GateView
    halt: HaltState | None
    """State of the case's halt, if it has one; ``WallState.halts`` has the rest."""


class ClusterCells(Struct, frozen=True):
    """The nodes of one failure domain at one site, by name."""

    cluster: str
    """A failover cluster; empty: the site's nodes that are their own domain."""
    nodes: tuple[str, ...]
    states: str
    """One letter (``LETTERS``) per node, in the same order."""


class SiteCells(Struct, frozen=True):
    """The clusters of one site; its lone nodes (``cluster`` empty) come last."""

    site: str
    clusters: tuple[ClusterCells, ...]


class FleetLayout(Struct, frozen=True):
    """The nodes matrix of one fleet.

    The states are the wall's: each node's worst over the cases that are at halt, warn or notice
    (victim, silent, staged, exposed, untouched, in this order).
    """

    fleet: str
    sites: tuple[SiteCells, ...]


class NodeChanges(Struct, frozen=True):
    """Nodes whose state changed since the event before."""

    seq: int
    case: str
    """The case's id; empty: the wall."""
    fleet: str
    states: dict[str, str]
    """Node → letter; empty: the node has no part in the case any more."""


class CaseCells(Struct, frozen=True):
    """The matrix of one case. Nodes that are not in it are of another branch."""

    id: str
    run: str
    seq: int
    states: dict[str, str]


class HealthNote(Struct, frozen=True):
    """Trouble of the pipeline itself."""

    app: str
    kind: str
    severity: Literal["info", "warning", "critical"]
    message: str
    at_ms: int
    topic: str


class SourceAge(Struct, frozen=True):
    """One topic as this server reads it."""

    topic: str
    newest_ms: int
    """Kafka's time of its newest record; 0: none yet."""
    records: int
    """Keys held."""
    refused: int
    """Messages since the start that could not be used."""


class Tick(Struct, frozen=True):
    """The server's clock, and how fresh what it shows is.

    ``connected`` is false while Kafka does not answer: then all of the page is as old as
    ``read_ms``. ``evidence_ms`` is the newest instant that any node's evidence speaks of.
    """

    server_ms: int
    connected: bool
    read_ms: int
    """When Kafka was last known to have nothing newer."""
    evidence_ms: int
    sources: tuple[SourceAge, ...]


class Gone(Struct, frozen=True):
    """A case that is closed."""

    id: str


class WallState(Struct, frozen=True):
    """All the page shows."""

    v: int
    run: str
    seq: int
    asof_ms: int
    """Newest evidence of any case."""
    tick: Tick
    cases: tuple[CaseCard, ...]
    """Worst first: halt, warn, notice, inconclusive, quiet; then most wealth."""
    halts: tuple[HaltCard, ...]
    """Newest change first."""
    fleets: tuple[FleetLayout, ...]
    health: tuple[HealthNote, ...]
    """Newest first."""

    @property
    def server_ms(self) -> int:
        """The server's clock when this was made."""
        return self.tick.server_ms
