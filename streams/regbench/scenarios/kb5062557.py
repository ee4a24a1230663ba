"""July 2025 in a simulated fleet: KB5062557 rolls out and breaks clusters with encrypted CSVs.

Ninety days of logs are read back when the collectors start; then three days of event time follow,
in which every branch gets its July update ring by ring. ``harmful=False`` plays the same month
without the defect. A seed changes everything random; the same seed gives the same bytes.
"""

from collections.abc import Iterator, Sequence
from heapq import merge
from operator import attrgetter
from random import Random

from msgspec import Struct

from schemas.reports import Event, NodeReport
from streams.regbench.clock import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, utc_ms
from streams.regbench.disasters import Disaster, cluster_shock, site_outage
from streams.regbench.fleet import Node, build_fleet, members
from streams.regbench.lives import Life, live_through
from streams.regbench.noise import kinds
from streams.regbench.patching import JULY, Wave, assign_rings, earlier_installs, july_installs
from streams.regbench.stories import BRANCH, RULE, at_risk, ordeal_events, ordeals
from streams.regbench.telemetry import Sent, disturbed, history_reports, live_reports, malformed

LIVE_START_MS = utc_ms(2025, 7, 8, 18)
LIVE_END_MS = LIVE_START_MS + 3 * DAY_MS
HISTORY_START_MS = LIVE_START_MS - 90 * DAY_MS
WAVES = (
    Wave(utc_ms(2025, 7, 8, 22), 2 * HOUR_MS),
    Wave(utc_ms(2025, 7, 9, 22), 6 * HOUR_MS),
    Wave(utc_ms(2025, 7, 10, 18), 8 * HOUR_MS),
    Wave(utc_ms(2025, 7, 11, 6), 9 * HOUR_MS),
)
BAD_RECORDS = 25
# Collectors are installed in groups, so that one group's read-back ends before the next begins
# and a stream never has to hold the history of the whole fleet.
_GROUP = 16
_GROUP_MS = 90 * SECOND_MS


class Ring(Struct, frozen=True):
    """One ring of the roll-out."""

    name: str
    start_ms: int
    nodes: tuple[str, ...]


class Truth(Struct, frozen=True):
    """What a detector should find out, and must not be told. Times: Unix milliseconds UTC."""

    case: str
    harmful: bool
    victims: dict[str, int]
    """When the cluster service first died, by node; empty in the harmless month."""
    at_risk: tuple[str, ...]
    """Nodes on which the defect can show."""
    rule: tuple[str, ...]
    benign_case: str
    """The case whose update makes SgrmBroker log one error at every boot, and no harm."""
    kbs: dict[str, str]
    """July's KB by branch."""
    nodes_total: int
    branch_nodes: dict[str, int]
    live_start_ms: int
    live_end_ms: int
    rollout_start_ms: int
    rollout_end_ms: int
    staged: dict[str, int]
    """When July's update was staged, by node."""
    effective: dict[str, int]
    """When July's update became effective, by node."""
    rings: tuple[Ring, ...]
    outage: tuple[str, int]
    """The site that has an outage, and when."""
    shock: tuple[str, int]
    """The cluster that loses quorum, and when."""


class Scenario:
    """The fleet, the truth about it, and the stream of what its collectors send."""

    def __init__(self, seed: int, harmful: bool = True) -> None:
        """Draw the whole month for ``seed``; records are made when the stream is read."""
        self.seed = seed
        self.harmful = harmful
        self.nodes = build_fleet(seed)
        rings = assign_rings(self.nodes, seed)
        earlier = earlier_installs(self.nodes, rings, seed)
        july = july_installs(self.nodes, rings, WAVES, LIVE_START_MS, seed)
        starts = [wave.start_ms for wave in WAVES]
        outage = site_outage(
            self.nodes,
            LIVE_START_MS + 8 * HOUR_MS,
            LIVE_END_MS - 6 * HOUR_MS,
            starts,
            Random(f"{seed}/outage"),
        )
        of_seed = kinds(seed)
        collectors = _collector_starts(self.nodes, seed)
        self._lives = {
            node.name: live_through(
                node,
                rings[node.name],
                seed,
                (*earlier[node.name], july[node.name]),
                of_seed,
                (HISTORY_START_MS, LIVE_END_MS),
                collectors[node.name],
                LIVE_START_MS,
                outage.restarts.get(node.name),
            )
            for node in self.nodes
        }
        self._extra: dict[str, list[Event]] = {node.name: [] for node in self.nodes}
        effective = {name: install.boot_ms for name, install in july.items()}
        shock = cluster_shock(
            self.nodes,
            LIVE_START_MS + 4 * HOUR_MS,
            LIVE_END_MS - 4 * HOUR_MS,
            self._down,
            Random(f"{seed}/shock"),
        )
        self._strike(outage)
        self._strike(shock)
        victims = self._harm(effective) if harmful else {}
        self.truth = Truth(
            case=f"{JULY[BRANCH].kb}@{BRANCH}",
            harmful=harmful,
            victims=victims,
            at_risk=tuple(node.name for node in self.nodes if at_risk(node)),
            rule=RULE,
            benign_case=f"{JULY['20348'].kb}@20348",
            kbs={branch: update.kb for branch, update in JULY.items()},
            nodes_total=len(self.nodes),
            branch_nodes={b: sum(n.branch == b for n in self.nodes) for b in JULY},
            live_start_ms=LIVE_START_MS,
            live_end_ms=LIVE_END_MS,
            rollout_start_ms=min(install.down_ms for install in july.values()),
            rollout_end_ms=max(effective.values()),
            staged={name: install.staged_ms for name, install in july.items()},
            effective=effective,
            rings=tuple(
                Ring(f"r{index}", start, tuple(n for n, ring in rings.items() if ring == index))
                for index, start in enumerate(starts)
            ),
            outage=(outage.where, outage.start_ms),
            shock=(shock.where, shock.start_ms),
        )

    def stream(self) -> Iterator[Sent]:
        """What arrives at the broker, by ``append_ms``; may be read again for the same stream."""
        lives = list(self._lives.values())
        sound = merge(
            self._history(lives),
            *(live_reports(life, LIVE_END_MS, self._extra[life.node.name]) for life in lives),
            malformed(lives, BAD_RECORDS, LIVE_START_MS, LIVE_END_MS),
            key=_append,
        )
        return disturbed(sound, LIVE_START_MS, self.seed)

    def _history(self, lives: Sequence[Life]) -> Iterator[Sent]:
        for first in range(0, len(lives), _GROUP):
            group = lives[first : first + _GROUP]
            yield from merge(
                *(history_reports(life, HISTORY_START_MS) for life in group), key=_append
            )

    def _down(self, node: Node, t_ms: int) -> bool:
        return self._lives[node.name].down(t_ms)

    def _strike(self, disaster: Disaster) -> None:
        for name, events in disaster.events.items():
            life = self._lives[name]
            self._extra[name] += [event for event in events if not life.down(event.t_ms)]

    def _harm(self, effective: dict[str, int]) -> dict[str, int]:
        victims = ordeals(self.nodes, effective, LIVE_END_MS, self.seed)
        for of_cluster in members(self.nodes).values():
            logged = ordeal_events(of_cluster, victims, self._down, self.seed)
            for name, events in logged.items():
                self._extra[name] += events
        return {name: ordeal.crashes_ms[0] for name, ordeal in victims.items()}


def element_count(report: NodeReport) -> int:
    """How many elements (events, patches, boots, facts, heartbeats) a report holds."""
    return len(report.records)


def _collector_starts(nodes: Sequence[Node], seed: int) -> dict[str, int]:
    rng = Random(f"{seed}/collectors")
    first = LIVE_START_MS - 60 * MINUTE_MS
    return {
        node.name: first + index // _GROUP * _GROUP_MS + rng.randrange(20 * SECOND_MS)
        for index, node in enumerate(nodes)
    }


_append = attrgetter("append_ms")
