"""Outages that hit patched and unpatched alike: a site's, and one cluster that dies at once."""

from collections.abc import Callable, Mapping, Sequence
from random import Random

from msgspec import Struct

from schemas.reports import Event
from streams.regbench.clock import HOUR_MS, MINUTE_MS, SECOND_MS
from streams.regbench.fleet import SITE_WEIGHTS, SITES, Node, members
from streams.regbench.kinds import CLUSTER_SERVICE, cluster_event, service_event
from streams.regbench.noise import APP_POOL, DISK_RESET, DISK_RETRY, NO_CONTROLLER

OUTAGE_SHARE = 0.3
OUTAGE_MS = 10 * MINUTE_MS


class Disaster(Struct, frozen=True):
    """What an outage did: when, to whom, what was logged, and which nodes it restarted."""

    where: str
    start_ms: int
    events: dict[str, list[Event]]
    restarts: dict[str, int]
    """When a node went down without warning, by name."""


def site_outage(
    nodes: Sequence[Node], start_ms: int, end_ms: int, avoid_ms: Sequence[int], rng: Random
) -> Disaster:
    """30 % of one site's nodes within ten minutes, at least two hours from ``avoid_ms``."""
    site = rng.choices(SITES, SITE_WEIGHTS)[0]
    here = [node for node in nodes if node.site == site]
    start = rng.randrange(start_ms, end_ms)
    while any(abs(start - avoided) < 2 * HOUR_MS for avoided in avoid_ms):
        start = rng.randrange(start_ms, end_ms)
    events: dict[str, list[Event]] = {}
    restarts: dict[str, int] = {}
    for node in rng.sample(here, round(OUTAGE_SHARE * len(here))):
        at = start + rng.randrange(OUTAGE_MS)
        logged = [NO_CONTROLLER(at, node, 1)]
        if node.cluster and rng.random() < 0.6:
            logged.append(cluster_event(1553, at + 3 * SECOND_MS, {"NodeName": node.short}))
        if node.role == "web" and rng.random() < 0.5:
            logged.append(APP_POOL(at + 20 * SECOND_MS, node, 1))
        if rng.random() < 0.3:
            disk = rng.choice((DISK_RETRY, DISK_RESET))
            logged += [disk(at + step * 5 * SECOND_MS, node, 1) for step in range(1, 4)]
        events[node.name] = logged
        if rng.random() < 0.25:
            restarts[node.name] = at + 40 * SECOND_MS
    return Disaster(where=site, start_ms=start, events=events, restarts=restarts)


def cluster_shock(
    nodes: Sequence[Node],
    start_ms: int,
    end_ms: int,
    down: Callable[[Node, int], bool],
    rng: Random,
) -> Disaster:
    """One cluster loses quorum: all its nodes within three minutes.

    Clusters that the story could hit are left out: truth must not depend on which came first.
    ``down`` says whether a node is off at a time.
    """
    able = {
        name: of_cluster
        for name, of_cluster in members(nodes).items()
        if not of_cluster[0].csv_bitlocker and len(of_cluster) > 2
    }
    cluster = rng.choice(sorted(able))
    start = rng.randrange(start_ms, end_ms)
    events = _quorum_lost(able, cluster, start, down, rng)
    return Disaster(where=cluster, start_ms=start, events=events, restarts={})


def _quorum_lost(
    clusters: Mapping[str, tuple[Node, ...]],
    cluster: str,
    start_ms: int,
    down: Callable[[Node, int], bool],
    rng: Random,
) -> dict[str, list[Event]]:
    events: dict[str, list[Event]] = {}
    up = [node for node in clusters[cluster] if not down(node, start_ms)]
    for node in up:
        at = start_ms + rng.randrange(2 * MINUTE_MS)
        events[node.name] = [
            cluster_event(1135, at + 200 * n, {"NodeName": lost.short}, about=lost.name)
            for n, lost in enumerate(up)
            if lost is not node
        ]
        events[node.name] += [
            cluster_event(1177, at + 10 * SECOND_MS, {}),
            service_event(7024, CLUSTER_SERVICE, at + 12 * SECOND_MS, error="%%5925"),
            cluster_event(
                1069,
                at + 50 * SECOND_MS,
                {"ResourceName": "Cluster Disk 1", "ResourceGroup": "Cluster Group"},
            ),
        ]
    return events
