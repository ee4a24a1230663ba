"""A fleet of 480 simulated Windows servers: four sites, three branches, failover clusters.

Proportions follow KB-RegBench (web, app, sql, hyperv, dc, file), with more Hyper-V on 17763, so
that every seed has at least 40 nodes in at least seven clusters on at least three sites whose
Cluster Shared Volumes are BitLocker-encrypted.
"""

from collections import Counter
from collections.abc import Sequence
from random import Random

from msgspec import Struct

FLEET = "default"
NODES = 480
SITES = ("ams", "fra", "lon", "osl")
SITE_WEIGHTS = (0.4, 0.3, 0.2, 0.1)
BRANCH_NODES = {"14393": 96, "17763": 216, "20348": 168}
OS_NAMES = {
    "14393": "Windows Server 2016 Standard",
    "17763": "Windows Server 2019 Standard",
    "20348": "Windows Server 2022 Standard",
}
_STANDALONE = {"web": 0.49, "app": 0.33, "sql": 0.07, "file": 0.06, "dc": 0.05}
_PREFIX = {"web": "WEB", "app": "APP", "sql": "SQL", "file": "FIL", "dc": "DC", "hyperv": "HV"}
# All sites appear, three of them twice or more, so that no seed puts the story into two sites.
_CSV_SITES = ("ams", "ams", "ams", "fra", "fra", "lon", "lon", "osl")
# Role, branch, number of clusters, smallest and largest; the encrypted ones on 17763 come apart.
_CLUSTERS = (
    ("hyperv", "17763", 5, 4, 6),
    ("hyperv", "14393", 2, 4, 7),
    ("hyperv", "20348", 3, 4, 7),
    ("sql", "14393", 2, 2, 3),
    ("sql", "17763", 4, 2, 4),
    ("sql", "20348", 3, 2, 4),
    ("file", "14393", 1, 2, 3),
    ("file", "17763", 2, 2, 4),
    ("file", "20348", 2, 2, 4),
)


class Node(Struct, frozen=True):
    """One server. ``name`` is its identity: the short name in lower case."""

    name: str
    computer: str
    """The name as the server logs it, fully qualified and in mixed case."""
    role: str
    branch: str
    site: str
    cluster: str
    """The failover cluster's name, empty when the node is in none."""
    virtual: bool
    covariates: dict[str, bool | str]

    @property
    def domain(self) -> str:
        """The failure domain: the cluster, else the node itself."""
        return self.cluster or self.name

    @property
    def short(self) -> str:
        """The short name as logged."""
        return self.computer.partition(".")[0]

    @property
    def csv_bitlocker(self) -> bool:
        """Whether the node's cluster has BitLocker on a Cluster Shared Volume."""
        return self.covariates.get("csv_bitlocker") is True


def build_fleet(seed: int) -> tuple[Node, ...]:
    """The fleet of a seed: 480 nodes, clustered ones first, then the standalone ones."""
    rng = Random(f"{seed}/fleet")
    nodes: list[Node] = []
    serial: Counter[str] = Counter()
    csv_sites = rng.sample(_CSV_SITES, len(_CSV_SITES))
    for site, size in zip(csv_sites, _csv_sizes(rng), strict=True):
        nodes += _cluster(rng, serial, "hyperv", "17763", site, size, csv_bitlocker=True)
    for role, branch, count, smallest, largest in _CLUSTERS:
        for index in range(count):
            # One encrypted cluster on each other branch: the covariate alone must not tell.
            csv = role == "hyperv" and branch != "17763" and index == 0
            site, size = _site(rng), rng.randint(smallest, largest)
            nodes += _cluster(rng, serial, role, branch, site, size, csv_bitlocker=csv)
    clustered = Counter(node.branch for node in nodes)
    for branch, total in BRANCH_NODES.items():
        # Every branch has each role at least twice, else ring 0 could not show all of them.
        roles = [role for role in _STANDALONE for _ in range(2)]
        rest = total - clustered[branch] - len(roles)
        roles += rng.choices(list(_STANDALONE), list(_STANDALONE.values()), k=rest)
        nodes += [_standalone(rng, serial, role, branch) for role in roles]
    return tuple(nodes)


def members(nodes: Sequence[Node]) -> dict[str, tuple[Node, ...]]:
    """The nodes of every cluster, by cluster name."""
    found: dict[str, list[Node]] = {}
    for node in nodes:
        if node.cluster:
            found.setdefault(node.cluster, []).append(node)
    return {cluster: tuple(of_cluster) for cluster, of_cluster in found.items()}


def _csv_sizes(rng: Random) -> list[int]:
    while True:
        sizes = [rng.randint(4, 8) for _ in _CSV_SITES]
        if 42 <= sum(sizes) <= 52:
            return sizes


def _cluster(
    rng: Random,
    serial: Counter[str],
    role: str,
    branch: str,
    site: str,
    size: int,
    *,
    csv_bitlocker: bool,
) -> list[Node]:
    serial[f"{role}/cluster"] += 1
    name = f"{_PREFIX[role]}-C{serial[f'{role}/cluster']:02d}"
    covariates: dict[str, bool | str] = {
        "csv_bitlocker": csv_bitlocker,
        "s2d": role == "hyperv" and rng.random() < 0.5,
        "bitlocker_os": rng.random() < (0.5 if csv_bitlocker else 0.1),
    }
    virtual = role != "hyperv" and rng.random() < 0.8
    return [
        _node(f"{name}-N{n}", role, branch, site, name.lower(), virtual, covariates)
        for n in range(1, size + 1)
    ]


def _standalone(rng: Random, serial: Counter[str], role: str, branch: str) -> Node:
    serial[role] += 1
    short = f"{_PREFIX[role]}{serial[role]:03d}"
    covariates: dict[str, bool | str] = {"bitlocker_os": rng.random() < 0.1}
    return _node(short, role, branch, _site(rng), "", rng.random() < 0.8, covariates)


def _node(
    short: str,
    role: str,
    branch: str,
    site: str,
    cluster: str,
    virtual: bool,
    covariates: dict[str, bool | str],
) -> Node:
    return Node(
        name=short.lower(),
        computer=f"{short}.{site}.Corp.Example",
        role=role,
        branch=branch,
        site=site,
        cluster=cluster,
        virtual=virtual,
        covariates=covariates,
    )


def _site(rng: Random) -> str:
    return rng.choices(SITES, SITE_WEIGHTS)[0]
