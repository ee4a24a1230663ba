"""Made-up fleets: who the nodes are, and how frail each is."""

from random import Random

from msgspec import Struct

from streams.regbench.bench.stream import Node

ROLES = {"web": 0.40, "app": 0.25, "sql": 0.12, "hyperv": 0.13, "dc": 0.03, "file": 0.07}
CLUSTERED_ROLES = ("sql", "hyperv", "file")
BRANCHES = {"14393": 0.2, "17763": 0.4, "20348": 0.4}
SITES = {
    "s1": 0.25,
    "s2": 0.20,
    "s3": 0.15,
    "s4": 0.12,
    "s5": 0.10,
    "s6": 0.08,
    "s7": 0.06,
    "s8": 0.04,
}
CLUSTER_SIZES = range(4, 13)
BITLOCKER_SHARE = 0.10
VIRTUAL_SHARE = 0.80
FRAILTY_SHAPE = 0.5


class Member(Struct, frozen=True):
    """A node and how often it fails, as a multiple of the average."""

    node: Node
    frailty: float


class Shape(Struct, frozen=True):
    """How a fleet differs from the usual one."""

    one_site: bool = False
    clustered_share: float | None = None
    """The share of nodes in clusters, when it is not what the roles give (.32)."""


def build_fleet(
    random: Random, nodes: int, since_ms: int, shape: Shape, marks: dict[str, float]
) -> list[Member]:
    """A fleet of ``nodes`` nodes, domain by domain; names say nothing of what a node is.

    ``marks`` are further covariates and the share of domains that have them. Whatever a cluster is
    (branch, site, BitLocker, virtual, marks), all its nodes are.
    """
    domains = [
        (role, size)
        for role, count in _counts(nodes, shape)
        for size in _sizes(random, role, count)
    ]
    random.shuffle(domains)
    fleet: list[Member] = []
    clusters = 0
    for role, size in domains:
        clustered = role in CLUSTERED_ROLES
        cluster = f"c{clusters:04d}"
        clusters += clustered
        branch = _draw(random, BRANCHES)
        site = "s1" if shape.one_site else _draw(random, SITES)
        covariates: dict[str, bool | str] = {
            "bitlocker": random.random() < BITLOCKER_SHARE,
            "clustered": clustered,
            "virtual": role != "hyperv" and random.random() < VIRTUAL_SHARE,
        }
        covariates |= {name: random.random() < share for name, share in marks.items()}
        for _ in range(size):
            name = f"n{len(fleet):05d}"
            node = Node(
                node=name,
                role=role,
                branch=branch,
                site=site,
                domain=cluster if clustered else name,
                t_ms=since_ms,
                covariates=covariates,
            )
            fleet.append(Member(node, random.gammavariate(FRAILTY_SHAPE, 1 / FRAILTY_SHAPE)))
    return fleet


def domains_of(fleet: list[Member]) -> list[list[Member]]:
    """The failure domains, in the fleet's order."""
    domains: dict[str, list[Member]] = {}
    for member in fleet:
        domains.setdefault(member.node.domain, []).append(member)
    return list(domains.values())


def _counts(nodes: int, shape: Shape) -> list[tuple[str, int]]:
    shares = dict(ROLES)
    if shape.clustered_share is not None:
        usual = sum(shares[role] for role in CLUSTERED_ROLES)
        for role in shares:
            if role in CLUSTERED_ROLES:
                shares[role] *= shape.clustered_share / usual
            else:
                shares[role] *= (1 - shape.clustered_share) / (1 - usual)
    counts = {role: round(share * nodes) for role, share in shares.items()}
    counts["web"] += nodes - sum(counts.values())
    return list(counts.items())


def _sizes(random: Random, role: str, count: int) -> list[int]:
    if role not in CLUSTERED_ROLES:
        return [1] * count
    sizes: list[int] = []
    while count:
        # What is left must be enough for another cluster.
        fits = [s for s in CLUSTER_SIZES if count == s or count - s >= CLUSTER_SIZES.start]
        sizes.append(random.choice(fits))
        count -= sizes[-1]
    return sizes


def _draw(random: Random, shares: dict[str, float]) -> str:
    return random.choices(list(shares), list(shares.values()))[0]
