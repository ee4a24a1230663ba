"""Roll-out plans: which node is patched when."""

from collections.abc import Callable
from random import Random
from typing import Literal, get_args

from msgspec import Struct

from streams.regbench.bench.chance import HOUR_MS, MINUTE_MS
from streams.regbench.bench.fleet import Member, domains_of

PlanName = Literal["staged", "fast", "bang"]
Rings = Literal["random", "site", "flaky"]
RINGS: tuple[str, ...] = get_args(Rings)
_NODE_GAP_MINUTES = (30, 60)
_FLAKY_SHARE = 0.01


class Ring(Struct, frozen=True):
    """A wave of a plan: up to which share of the fleet, and when, in hours from the start."""

    share: float
    start_h: float
    hours: float


class Schedule(Struct, frozen=True):
    """A plan carried out."""

    installs: dict[str, int]
    """Node → when its patch became effective."""
    rings: dict[str, str]
    """Node → its ring."""
    spans: tuple[tuple[int, int], ...]
    """Start and end of each ring."""


PLANS: dict[str, tuple[Ring, ...]] = {
    "staged": (
        Ring(0.01, 0, 4),
        Ring(0.05, 24, 8),
        Ring(0.20, 48, 12),
        Ring(0.50, 72, 16),
        Ring(1.00, 120, 24),
    ),
    "fast": (Ring(0.10, 0, 2), Ring(1.00, 2, 6)),
    "bang": (Ring(1.00, 0, 0.5),),
}


def schedule(
    random: Random, fleet: list[Member], plan: PlanName, rings: Rings, start_ms: int
) -> Schedule:
    """Patch the whole fleet by a plan; rings take whole domains, clusters node by node."""
    installs: dict[str, int] = {}
    ring_of: dict[str, str] = {}
    order = _ORDERS[rings](random, fleet)
    spans = tuple(
        (
            start_ms + int(ring.start_h * HOUR_MS),
            start_ms + int((ring.start_h + ring.hours) * HOUR_MS),
        )
        for ring in PLANS[plan]
    )
    for number, (ring, span) in enumerate(zip(PLANS[plan], spans, strict=True)):
        waiting: list[list[Member]] = []
        for domain in order:
            if len(installs) + len(domain) > round(ring.share * len(fleet)):
                waiting.append(domain)
                continue
            times = _one_by_one(random, len(domain), *span)
            for member, t_ms in zip(domain, times, strict=True):
                installs[member.node.node] = t_ms
                ring_of[member.node.node] = f"r{number}"
        order = waiting
    return Schedule(installs, ring_of, spans)


def _one_by_one(random: Random, count: int, start_ms: int, end_ms: int) -> list[int]:
    gap_ms = min(random.uniform(*_NODE_GAP_MINUTES) * MINUTE_MS, (end_ms - start_ms) / count)
    first_ms = random.uniform(start_ms, end_ms - gap_ms * (count - 1))
    return [int(first_ms + gap_ms * position) for position in range(count)]


def _random_order(random: Random, fleet: list[Member]) -> list[list[Member]]:
    domains = domains_of(fleet)
    random.shuffle(domains)
    return domains


def _site_order(random: Random, fleet: list[Member]) -> list[list[Member]]:
    """Site after site."""
    sites = sorted({member.node.site for member in fleet})
    random.shuffle(sites)
    domains = _random_order(random, fleet)
    return sorted(domains, key=lambda domain: sites.index(domain[0].node.site))


def _flaky_order(random: Random, fleet: list[Member]) -> list[list[Member]]:
    """The frailest first, up to the canaries' share; the others at random."""
    domains = _random_order(random, fleet)
    frailest = sorted(domains, key=_mean_frailty, reverse=True)
    canaries: list[list[Member]] = []
    while sum(map(len, canaries)) < _FLAKY_SHARE * len(fleet):
        canaries.append(frailest[len(canaries)])
    chosen = {domain[0].node.domain for domain in canaries}
    return canaries + [domain for domain in domains if domain[0].node.domain not in chosen]


def _mean_frailty(domain: list[Member]) -> float:
    return sum(member.frailty for member in domain) / len(domain)


_ORDERS: dict[str, Callable[[Random, list[Member]], list[list[Member]]]] = {
    "random": _random_order,
    "site": _site_order,
    "flaky": _flaky_order,
}
