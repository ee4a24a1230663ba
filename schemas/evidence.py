"""What a failure domain has contributed so far (topics ``kbw-evidence``, ``kbw-onsets``).

Evidence is state, not increments: each message is the whole current contribution of one domain
to one branch and replaces the previous one. All times are Unix milliseconds UTC, already
corrected for the node's clock skew; weeks are ``t_ms // 604_800_000``.
"""

from typing import Literal

from msgspec import Struct

Restart = Literal["", "announced", "booted"]


class Onset(Struct, frozen=True, omit_defaults=True):
    """A gap-clustered run of one signature on one node: counted once, at ``first_ms``."""

    node: str
    signature: str
    cls: str
    """The taxonomy's class: service, cluster, crash, vm, storage, identity, install, other."""
    impact: str
    """outage, degraded or none (none: kept as a symptom, harmless in itself)."""
    first_ms: int
    last_ms: int
    times: tuple[int, ...]
    """The eight earliest distinct event times of the run, ascending."""
    record_id: int = 0
    """Record id of the earliest event, so that a human can look it up."""


class NodePatch(Struct, frozen=True, omit_defaults=True):
    """Where one KB stands on one node."""

    kb: str
    build: str
    state: str
    t_ms: int
    """When ``state`` was reached; for an effective KB the effective time."""
    end_ms: int | None = None
    """When exposure ended (roll-back, or the build of the fix), if it did."""


class NodeChange(Struct, frozen=True):
    """A driver, an agent or a firmware that came to a node, or changed its version there."""

    name: str
    version: str
    t_ms: int
    """When it was first seen; at the boot, if that was less than an hour before."""


class NodeEvidence(Struct, frozen=True, omit_defaults=True):
    """One node of the domain, as far as detection needs it."""

    node: str
    role: str
    site: str
    build: str
    since_ms: int
    """Earliest record: history before it is unknown."""
    service: tuple[tuple[int, int], ...]
    """Intervals in which the node was known to be alive: first and last sighting of each."""
    grace_s: int
    """How long after a last sighting the node still counts as alive."""
    ring: str = ""
    covariates: dict[str, bool | str] = {}
    weeks: dict[int, int] = {}
    """Onsets of any signature by week, for 26 weeks: the node's noise."""
    patches: tuple[NodePatch, ...] = ()
    heartbeats: bool = False
    """Whether heartbeats tell the service: only then does being late mean anything."""
    restart: Restart = ""
    """The restart within half an hour of the last sighting, or after it: announced, and no boot has
    followed; or a boot, or a KB that took effect. Empty for none.
    """
    changes: tuple[NodeChange, ...] = ()
    """The newest ones of the last 65 days, by name and version: suspects beside KBs."""


class DomainEvidence(Struct, frozen=True, omit_defaults=True):
    """The whole contribution of one domain to one branch.

    Kafka key ``fleet|branch|domain``, partitioned by ``fleet|branch``. A message replaces an
    earlier one of the same key when its version (``epoch``, ``offset``) is equal or greater.
    """

    v: int
    fleet: str
    branch: str
    domain: str
    epoch: int
    """Counts re-creations of the report topic: offsets start anew with each."""
    offset: int
    """Newest report offset that went into this contribution."""
    nodes: tuple[NodeEvidence, ...] = ()
    onsets: tuple[Onset, ...] = ()
    """Onsets of the last 65 days, ordered by time, node and signature."""
    baseline: dict[str, dict[int, int]] = {}
    """Onsets by signature and week, for 26 weeks: tells novel and rare signatures."""
    partition: int = 0
    """Of the report topic: whoever lags there lags for all domains in it."""


class OnsetSeen(Struct, frozen=True, omit_defaults=True):
    """One onset as a row for the store (topic ``kbw-onsets``)."""

    v: int
    fleet: str
    branch: str
    domain: str
    site: str
    role: str
    onset: Onset
