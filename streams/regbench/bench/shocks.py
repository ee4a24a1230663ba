"""What fails together: clusters, sites, the whole fleet; and clusters that flap."""

from collections.abc import Iterator
from random import Random

from streams.regbench.bench.catalogue import draw
from streams.regbench.bench.chance import DAY_MS, HOUR_MS, MINUTE_MS, poisson_times
from streams.regbench.bench.fleet import Member, domains_of
from streams.regbench.bench.noise import event
from streams.regbench.bench.plan import Schedule
from streams.regbench.bench.stream import Event

SITE_SHARE = 0.30
SHOCK_MINUTES = 10
CLUSTER_EVERY_DAYS = 100
SITE_EVERY_DAYS = 30
FLAP_SHARE = 0.02
FLAP_HOURS = 48


def shocks(random: Random, fleet: list[Member], start_ms: int, end_ms: int) -> Iterator[Event]:
    """Clusters of which all nodes fail at once, and sites of which a part does."""
    for cluster in _clusters(fleet):
        for t_ms in poisson_times(random, 1 / (CLUSTER_EVERY_DAYS * DAY_MS), start_ms, end_ms):
            yield from outage(random, cluster, t_ms, 1.0)
    for site in _sites(fleet):
        for t_ms in poisson_times(random, 1 / (SITE_EVERY_DAYS * DAY_MS), start_ms, end_ms):
            yield from outage(random, site, t_ms, SITE_SHARE)


def outage(
    random: Random, members: list[Member], t_ms: int, share: float = SITE_SHARE
) -> Iterator[Event]:
    """A share of nodes that fail with one signature within ten minutes."""
    signature = draw(random)
    for member in members:
        if random.random() < share:
            delay_ms = random.uniform(0, SHOCK_MINUTES * MINUTE_MS)
            yield event(t_ms + int(delay_ms), member.node.node, signature)


def flaps(random: Random, fleet: list[Member], rollout: Schedule) -> Iterator[Event]:
    """Some clusters of which each hour half the nodes fail, for two days of the roll-out."""
    clusters = _clusters(fleet)
    first_ms, last_ms = rollout.spans[0][0] - DAY_MS, rollout.spans[-1][1]
    for cluster in random.sample(clusters, max(1, round(FLAP_SHARE * len(clusters)))):
        start_ms = random.uniform(first_ms, last_ms)
        signature = draw(random)
        for hour in range(FLAP_HOURS):
            for member in cluster:
                if random.random() < 0.5:
                    delay_ms = (hour + random.random() / 6) * HOUR_MS
                    yield event(int(start_ms + delay_ms), member.node.node, signature)


def coinciding(random: Random, fleet: list[Member], rollout: Schedule, where: str) -> list[Event]:
    """An outage while a ring is being patched.

    ``where``: ``site`` a site at random, ``ring`` the site in which most of the ring is, ``fleet``
    everywhere; ``middle`` everywhere, when half the fleet is patched.
    """
    ring = random.randrange(len(rollout.spans))
    t_ms = int(random.uniform(*rollout.spans[ring]))
    match where:
        case "site":
            hit = random.choice(_sites(fleet))
        case "ring":
            wanted = f"r{ring}"
            sites = _sites(fleet)
            hit = max(sites, key=lambda site: sum(_ring(m, rollout) == wanted for m in site))
        case _:
            hit = fleet
    if where == "middle":
        times = sorted(rollout.installs.values())
        t_ms = times[len(times) // 2]
    return list(outage(random, hit, t_ms))


def _ring(member: Member, rollout: Schedule) -> str:
    return rollout.rings[member.node.node]


def _clusters(fleet: list[Member]) -> list[list[Member]]:
    return [domain for domain in domains_of(fleet) if len(domain) > 1]


def _sites(fleet: list[Member]) -> list[list[Member]]:
    sites: dict[str, list[Member]] = {}
    for member in fleet:
        sites.setdefault(member.node.site, []).append(member)
    return [sites[name] for name in sorted(sites)]
