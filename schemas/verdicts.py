"""What kbwatch knows of one case (topic ``kbw-verdicts``, compacted, key ``fleet|case``).

A verdict is a pure function of the evidence: no wall clock, no history of publication. Times are
Unix milliseconds UTC; ``log_*`` are natural logarithms rounded to 1e-6.
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct
from msgspec.structs import force_setattr

State = Literal["inconclusive", "quiet", "notice", "warn", "halt"]

ENOUGH = 59
"""Nodes without a failure that rule out a failure of 5 % with probability .95."""
_CREDIBLE = 0.95


class Incident(Struct, frozen=True, omit_defaults=True):
    """One counted onset that a human can look up."""

    node: str
    domain: str
    site: str
    signature: str
    t_ms: int
    minutes_after: int
    """Minutes from the node's effective time to the onset."""
    record_id: int = 0


class Crossing(Struct, frozen=True, omit_defaults=True):
    """The fold at the instant at which a threshold was reached first."""

    t_ms: int
    log_e: float
    """Of a warning: with the branch's past believed sooner (docs/detection.md)."""
    victims: int
    victim_domains: int
    victim_sites: int
    exposed: int
    controls: int
    """Nodes of the branch in service and not yet patched at that instant."""
    control_victims: int = 0


class Power(Struct, frozen=True):
    """What the nodes seen so far could have shown."""

    observed: int
    """Distinct exposed nodes that have been in effect for 24 h."""
    p_5pct: float
    """Probability that a failure of 5 % of nodes would have shown: 1 − .95^observed."""
    rate_95: float
    """The failure rate that would have shown with probability .95."""


class Left(Struct, frozen=True, omit_defaults=True):
    """Nodes of the branch by where the KB stands on them; lists are cut at ``LEFT_LIMIT``."""

    untouched: int = 0
    offered: int = 0
    staged: int = 0
    effective: int = 0
    untouched_nodes: tuple[str, ...] = ()
    staged_nodes: tuple[str, ...] = ()
    """Patched on disk, not yet rebooted: the lever for these is to hold the reboot."""


LEFT_LIMIT = 2_000


class Blast(Struct, frozen=True):
    """Nodes of the branch under the rule on which the KB is not in effect yet."""

    nodes: int
    staged: int
    """Those among them that only need their reboot."""


class Verdict(Struct, frozen=True, omit_defaults=True):
    """The answer per case, with what a sceptic needs to check it."""

    v: int
    fleet: str
    case: str
    """``KB5062557@17763``."""
    kb: str
    branch: str
    build: str
    state: State
    sentence: str
    """The finding in one line, for a human."""
    started_ms: int
    """First effective time of the KB on the branch."""
    asof_ms: int
    """Newest evidence that went in."""
    exposed: int
    controls: int
    victims: int
    signature: str
    """The one that being patched explains best, or empty."""
    log_e: float
    """Current wealth of incidents with impact."""
    log_e_any: float
    """Current wealth of all incidents, the harmless ones included (decides ``notice``)."""
    log_threshold: float
    """ln(1/α): HALT needs this much, see docs/detection.md."""
    power: Power
    left: Left
    calibration: str
    trust: str
    log_c: float = 0.0
    """The concurrent arm of ``log_e`` alone: patched nodes against their unpatched peers."""
    log_h: float = 0.0
    """Its history arm alone: patched nodes against the branch's own past."""
    log_e_warn: float = 0.0
    """The wealth that a warning asks: the branch's past is believed sooner than for a halt, so it
    is ``log_e`` at least. A detector that did not say it yet meant that.
    """
    reasons: tuple[str, ...] = ()
    """Why not more: what is missing for a conclusion or for a halt."""
    halt: Crossing | None = None
    warn: Crossing | None = None
    notice: Crossing | None = None
    first_victim_ms: int | None = None
    last_victim_ms: int | None = None
    log_e_without_site: float | None = None
    """Smallest wealth with one site left out, at the halt or now: corroboration."""
    log_e_without_domain: float | None = None
    """Smallest wealth with one domain left out, at the halt."""
    log_same_elsewhere: float | None = None
    """Smallest wealth of the leading failure alone (a signature, or loops of a class) with one site
    left out, at the halt or now: corroborates together with ``log_e_without_domain``.
    """
    log_e_within: float | None = None
    """Wealth of bets within the domains alone, at the halt or now: the third corroboration."""
    suspects: dict[str, float] = {}
    """Who may have done it, as of the crossing that made the state: KB, or
    ``change:<name>=<version>``, → probability. Empty while nothing was crossed.
    """
    confirmed_against: tuple[str, ...] = ()
    """Other suspects that this KB explains the incidents 20 times better than, at their best."""
    rule: tuple[str, ...] = ()
    """Whom it hits, as of the same crossing: all literals hold (``role=hyperv``, ``bitlocker``).
    Empty: no rule stands out among the branch's patched nodes.
    """
    blast: Blast | None = None
    """Who would be hit next if the roll-out went on; None while nothing was crossed."""
    victim_nodes: tuple[str, ...] = ()
    incidents: tuple[Incident, ...] = ()

    def __post_init__(self) -> None:
        if self.log_e_warn < self.log_e:
            force_setattr(self, "log_e_warn", self.log_e)


def credible(suspects: Mapping[str, float]) -> tuple[str, ...]:
    """The smallest set of suspects that holds 95 %, most probable first; with those as probable as
    its last.
    """
    out: list[str] = []
    mass = last = 0.0
    for name, probability in sorted(suspects.items(), key=lambda item: (-item[1], item[0])):
        if mass >= _CREDIBLE and probability < last:
            break
        out.append(name)
        mass, last = mass + probability, probability
    return tuple(out)
