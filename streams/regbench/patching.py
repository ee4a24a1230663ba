"""Monthly roll-outs: which node gets which KB when, and what Windows logs about it.

KBs and builds are Microsoft's (learn.microsoft.com/windows/release-health, March to July 2025).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random
from typing import NamedTuple

from msgspec import Struct

from schemas.reports import PatchState, PatchStateName
from streams.regbench.clock import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, utc_ms
from streams.regbench.fleet import Node, members


class Update(NamedTuple):
    """A cumulative update of one branch."""

    kb: str
    build: str


class Wave(NamedTuple):
    """When a ring's nodes restart: from ``start_ms`` on, spread over ``spread_ms``."""

    start_ms: int
    spread_ms: int


BEFORE_HISTORY = {"14393": "14393.7876", "17763": "17763.7009", "20348": "20348.3328"}
JULY = {
    "14393": Update("KB5062560", "14393.8246"),
    "17763": Update("KB5062557", "17763.7558"),
    "20348": Update("KB5062572", "20348.3932"),
}
EARLIER = (
    (
        utc_ms(2025, 4, 8),
        {
            "14393": Update("KB5055521", "14393.7969"),
            "17763": Update("KB5055519", "17763.7136"),
            "20348": Update("KB5055526", "20348.3453"),
        },
    ),
    (
        utc_ms(2025, 5, 13),
        {
            "14393": Update("KB5058383", "14393.8066"),
            "17763": Update("KB5058392", "17763.7314"),
            "20348": Update("KB5058385", "20348.3692"),
        },
    ),
    (
        utc_ms(2025, 6, 10),
        {
            "14393": Update("KB5061010", "14393.8148"),
            "17763": Update("KB5060531", "17763.7434"),
            "20348": Update("KB5060526", "20348.3807"),
        },
    ),
)
RING_SHARES = (0.05, 0.2, 0.5, 1.0)
"""Share of the fleet that is patched when a ring ends."""
_EARLIER_DELAY_DAYS = (1, 4, 8, 14)
_PILOTS = {"web": 2, "app": 2, "sql": 1, "hyperv": 1, "dc": 1, "file": 1}


class Install(Struct, frozen=True):
    """One update on one node. All times are the node's own clock."""

    update: Update
    offered_ms: int
    staged_ms: int
    down_ms: int
    """Shutdown of the restart that completes the installation."""
    boot_ms: int
    """Start of the first boot on the new build: the effective time."""
    sources: tuple[str, ...]
    """Which logs tell of it: ``wuclient``, ``servicing`` or both."""

    def states(self, rng: Random) -> list[PatchState]:
        """The steps as a collector reads them from the two logs, in time order.

        The boot itself is no PatchState: it is what the steps are read together with. ``rng``
        sets the seconds between them.
        """
        installing = self.offered_ms + rng.randint(20, 300) * SECOND_MS
        confirmed = self.boot_ms + rng.randint(120, 180) * SECOND_MS
        pause = rng.randint(1, 8) * 100
        steps: tuple[tuple[str, PatchStateName, int], ...] = (
            ("wuclient/44", "offered", self.offered_ms),
            ("wuclient/43", "installing", installing),
            ("servicing/1", "installing", installing + pause),
            ("servicing/4", "staged", self.staged_ms),
            ("wuclient/21", "staged", self.staged_ms + pause),
            ("servicing/2", "confirmed", confirmed - pause),
            ("wuclient/19", "confirmed", confirmed),
        )
        return [
            PatchState(
                kb=self.update.kb, build=self.update.build, state=state, t_ms=t_ms, source=source
            )
            for source, state, t_ms in steps
            if source.partition("/")[0] in self.sources
        ]


def assign_rings(nodes: Sequence[Node], seed: int) -> dict[str, int]:
    """Ring of every node, by name.

    Ring 0 takes pilots of every role and branch, single nodes out of clusters among them. Ring 1
    takes one node of every cluster, and the later rings the others, so that a cluster keeps nodes
    on the old build until the update has proved itself. Standalone nodes fill the rings up.
    """
    rng = Random(f"{seed}/rings")
    rings: dict[str, int] = {}
    for branch in sorted(JULY):
        for role, count in _PILOTS.items():
            like = [node for node in nodes if (node.branch, node.role) == (branch, role)]
            rings |= {node.name: 0 for node in rng.sample(like, count)}
    for of_cluster in members(nodes).values():
        later = [node for node in of_cluster if node.name not in rings]
        half = (len(later) + 1) // 2
        for place, node in enumerate(rng.sample(later, len(later))):
            rings[node.name] = 1 if place == 0 else 2 if place < half else 3
    standalone = [node for node in nodes if not node.cluster and node.name not in rings]
    rng.shuffle(standalone)
    sizes = Counter(rings.values())
    for ring, share in enumerate(RING_SHARES):
        before = sum(sizes[earlier] for earlier in range(ring))
        free = max(0, round(share * len(nodes)) - before - sizes[ring])
        rings |= {node.name: ring for node in standalone[:free]}
        sizes[ring] += min(free, len(standalone))
        del standalone[:free]
    return rings


def earlier_installs(
    nodes: Sequence[Node], rings: Mapping[str, int], seed: int
) -> dict[str, list[Install]]:
    """April, May and June: ring after ring in the two weeks after patch Tuesday."""
    installs: dict[str, list[Install]] = {node.name: [] for node in nodes}
    for release_ms, updates in EARLIER:
        rng = Random(f"{seed}/installs/{release_ms}")
        waves = [
            Wave(release_ms + days * DAY_MS + 22 * HOUR_MS, 8 * HOUR_MS)
            for days in _EARLIER_DELAY_DAYS
        ]
        down = _restarts(nodes, rings, waves, rng)
        for node in nodes:
            at = down[node.name]
            install = _install(updates[node.branch], at, release_ms + 18 * HOUR_MS, rng)
            installs[node.name].append(install)
    return installs


def july_installs(
    nodes: Sequence[Node],
    rings: Mapping[str, int],
    waves: Sequence[Wave],
    release_ms: int,
    seed: int,
) -> dict[str, Install]:
    """July's update for every node, by the given waves (one for each ring)."""
    rng = Random(f"{seed}/installs/july")
    down = _restarts(nodes, rings, waves, rng)
    return {n.name: _install(JULY[n.branch], down[n.name], release_ms, rng) for n in nodes}


def _restarts(
    nodes: Sequence[Node], rings: Mapping[str, int], waves: Sequence[Wave], rng: Random
) -> dict[str, int]:
    down: dict[str, int] = {}
    for node in nodes:
        wave = waves[rings[node.name]]
        down[node.name] = wave.start_ms + rng.randrange(wave.spread_ms)
    for of_cluster in members(nodes).values():
        for ring, wave in enumerate(waves):
            # One after the other, so the first must start early enough for the last to be in time.
            at = wave.start_ms + rng.randrange(wave.spread_ms // (1 if ring < 2 else 2))
            for node in rng.sample(of_cluster, len(of_cluster)):
                if rings[node.name] == ring:
                    down[node.name] = at
                    at += rng.randint(20 * MINUTE_MS, 40 * MINUTE_MS)
    return down


def _install(update: Update, down_ms: int, release_ms: int, rng: Random) -> Install:
    # A third installs as soon as it may and waits for its window, so there always are staged ones.
    most_h, least_h = (30.0, 8.0) if rng.random() < 0.35 else (9.0, 1.5)
    lead_ms = int(rng.uniform(least_h, most_h) * HOUR_MS)
    offered_ms = max(down_ms - lead_ms, release_ms + rng.randint(600, 5400) * SECOND_MS)
    taken_ms = rng.randint(12, 45) * MINUTE_MS
    return Install(
        update=update,
        offered_ms=offered_ms,
        staged_ms=offered_ms + taken_ms,
        down_ms=down_ms,
        boot_ms=down_ms + rng.randint(120, 360) * SECOND_MS,
        sources=rng.choices(
            (("wuclient", "servicing"), ("servicing",), ("wuclient",)), (0.7, 0.2, 0.1)
        )[0],
    )
