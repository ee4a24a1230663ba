"""KB5062557's defect: the cluster service dies again and again where CSVs are encrypted."""

from collections.abc import Callable, Mapping, Sequence
from random import Random

from msgspec import Struct

from schemas.reports import Event
from streams.regbench.clock import HOUR_MS, MINUTE_MS, SECOND_MS, moment
from streams.regbench.fleet import Node
from streams.regbench.kinds import CLUSTER_SERVICE, cluster_event, service_event, vm_event

FAIL_SHARE = 0.9
QUARANTINE_FAILURES = 3
QUARANTINE_MS = 2 * HOUR_MS
BRANCH = "17763"
RULE = ("role=hyperv", "clustered", "csv_bitlocker")

Logged = dict[str, list[Event]]
"""Events by the name of the node that wrote them."""


class Ordeal(Struct, frozen=True):
    """When one victim's cluster service died, ascending; the third brings quarantine."""

    node: Node
    crashes_ms: tuple[int, ...]

    def troubled(self, t_ms: int) -> bool:
        """Whether the node is out of its cluster at ``t_ms``."""
        return self.crashes_ms[0] <= t_ms <= self.crashes_ms[-1]


def at_risk(node: Node) -> bool:
    """Whether the defect can hit a node once it runs the KB's build."""
    return (
        node.branch == BRANCH
        and node.role == "hyperv"
        and bool(node.cluster)
        and node.csv_bitlocker
    )


def ordeals(
    nodes: Sequence[Node], boots_ms: Mapping[str, int], end_ms: int, seed: int
) -> dict[str, Ordeal]:
    """The victims by name: nine in ten of those at risk, 3 to 25 minutes after the boot."""
    found: dict[str, Ordeal] = {}
    for node in nodes:
        rng = Random(f"{seed}/defect/{node.name}")
        if not at_risk(node) or rng.random() >= FAIL_SHARE:
            continue
        at = boots_ms[node.name] + rng.randint(3 * MINUTE_MS, 25 * MINUTE_MS)
        if at >= end_ms:
            continue
        crashes = [at]
        for count in range(1, rng.randint(17, 23)):
            early = count < QUARANTINE_FAILURES
            at += rng.randint(4 * MINUTE_MS, (12 if early else 22) * MINUTE_MS)
            crashes.append(at)
        found[node.name] = Ordeal(node=node, crashes_ms=tuple(crashes))
    return found


def ordeal_events(
    of_cluster: Sequence[Node],
    victims: Mapping[str, Ordeal],
    down: Callable[[Node, int], bool],
    seed: int,
) -> Logged:
    """What all nodes of one cluster log about its victims.

    ``down`` says whether a node is off at a time: only who is up and in the cluster reports.
    """
    logged: Logged = {node.name: [] for node in of_cluster}
    for node in of_cluster:
        ordeal = victims.get(node.name)
        if ordeal is None:
            continue
        rng = Random(f"{seed}/ordeal/{node.name}")
        released = 0
        for count, at in enumerate(ordeal.crashes_ms, 1):
            if down(node, at):
                continue
            survivors = [
                other
                for other in of_cluster
                if other is not node
                and not down(other, at)
                and not (other.name in victims and victims[other.name].troubled(at))
            ]
            _crash(logged, node, at, count, rng)
            if count <= 2:
                _storage_and_vms(logged, node, survivors, at, rng)
            if at >= released:
                _removed(logged, node, survivors, at, rng)
                if count >= QUARANTINE_FAILURES:
                    _quarantined(logged, node, survivors, at + MINUTE_MS, count, rng)
                    released = at + QUARANTINE_MS
            elif survivors and rng.random() < 0.5:
                until = moment(released).strftime("%Y-%m-%d %H:%M:%S")
                _refused(logged, node, rng.choice(survivors), at - 20 * SECOND_MS, until)
    return logged


def _crash(logged: Logged, node: Node, at: int, count: int, rng: Random) -> None:
    mine = logged[node.name]
    mine.append(service_event(7031, CLUSTER_SERVICE, at, count=count))
    if rng.random() < 0.6:
        mine.append(service_event(7024, CLUSTER_SERVICE, at + 700, error="%%5890"))


def _storage_and_vms(
    logged: Logged, node: Node, survivors: Sequence[Node], at: int, rng: Random
) -> None:
    mine = logged[node.name]
    volume = rng.randint(1, 4)
    volume_name, resource = f"Volume{volume}", f"Cluster Virtual Disk (CSV{volume})"
    status = {"VolumeName": volume_name, "ResourceName": resource}
    mine.append(cluster_event(5120, at - 900, {**status, "Status": "STATUS_IO_TIMEOUT(c00000b5)"}))
    mine.append(cluster_event(5142, at - 300, {**status, "ErrorCode": "1460"}))
    for _ in range(rng.randint(1, 3)):
        vm = f"{node.cluster.upper()}-VM{rng.randint(1, 60):02d}"
        mine.append(vm_event(21107, at + rng.randint(30, 60) * SECOND_MS, vm))
        if survivors:
            taker = rng.choice(survivors)
            later = at + rng.randint(90, 240) * SECOND_MS
            logged[taker.name].append(vm_event(21119, later, vm))


def _removed(logged: Logged, node: Node, survivors: Sequence[Node], at: int, rng: Random) -> None:
    seen = at + rng.randint(2, 8) * SECOND_MS
    for survivor in survivors:
        late = seen + rng.randint(0, 900)
        event = cluster_event(1135, late, {"NodeName": node.short}, about=node.name)
        logged[survivor.name].append(event)


def _quarantined(
    logged: Logged, node: Node, survivors: Sequence[Node], at: int, failures: int, rng: Random
) -> None:
    until = moment(at + QUARANTINE_MS).strftime("%Y-%m-%d %H:%M:%S")
    # The node that turns it away is named; with nobody left, the node knows it from its own state.
    by = rng.choice(survivors) if survivors else node
    data = {"QuarantinedBy": by.short, "Until": until}
    logged[node.name].append(cluster_event(1676, at + 500, data))
    if by is not node:
        said = {"NodeName": node.short, "Failures": str(failures), "Until": until}
        logged[by.name].append(cluster_event(1672, at, said, about=node.name))


def _refused(logged: Logged, node: Node, by: Node, at: int, until: str) -> None:
    data = {"NodeName": node.short, "QuarantinedBy": by.short, "Until": until}
    logged[by.name].append(cluster_event(1675, at, data, about=node.name))
