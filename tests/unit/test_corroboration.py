"""What one domain can't do: halt a harmless KB, or take a true halt back."""

from itertools import chain
from random import Random

import pytest

from schemas.reports import Boot, Facts, Heartbeat
from schemas.verdicts import Verdict
from tests.fixtures.rollouts import SITES, START, Fleet, a_fleet, verdict
from tests.fixtures.stories import (
    CASE,
    DAY,
    HOUR,
    MINUTE,
    OLD_BUILD,
    T0,
    NodeStory,
    fleet_of,
    judged,
)

END = START + 30 * DAY
BEAT = 8 * HOUR


def alive(node: NodeStory, since: int) -> NodeStory:
    node.heartbeat_s = BEAT // 1000
    beats = (Heartbeat(t_ms=T0 + t) for t in range(since, END, BEAT))
    return node.says(
        Boot(t_ms=T0 + since, build=OLD_BUILD), Facts(t_ms=T0 + since, role="hyperv"), *beats
    )


def harmless(seed: int) -> Fleet:
    """120 nodes at four sites, all patched within ten days, each failing once in 90 days."""
    random = Random(seed)
    fleet = fleet_of(30, 4, SITES)
    for i, cluster in enumerate(fleet):
        for j, node in enumerate(cluster):
            alive(node, 0).patched(START + i // 6 * 2 * DAY + j * HOUR)
            t = random.expovariate(1 / (90 * DAY))
            while t < END:
                node.crashes("ClusSvc", int(t), times=3)
                t += random.expovariate(1 / (90 * DAY))
    return fleet


@pytest.mark.parametrize("seed", [1, 3, 4])
def test_a_domain_of_nodes_that_never_fail_makes_nobody_guilty(seed: int) -> None:
    """Their history is too short for a noise class, and long enough to say that they are well."""
    idle = [alive(NodeStory(f"i{k}", "idle", "zzz"), START - 29 * DAY) for k in range(200)]
    found = judged(chain(chain.from_iterable(harmless(seed)), idle))[CASE]
    assert found.log_e > found.log_threshold, "it would, but for corroboration"
    assert found.state == "warn"


def two_sites_fail(later: bool) -> Verdict:
    """Patched are two sites, and one node where nearly all unpatched ones are: it fails last."""
    fleet = fleet_of(60, 4, ("fra", "ams", "dub", "dub", "dub", "dub"))
    for i, cluster in enumerate(fleet):
        for j, node in enumerate(cluster):
            node.heartbeat_s = BEAT // 1000
            node.lives(until=50 * DAY)
            if i % 6 < 2 or (i == 2 and j == 0):
                node.patched(START + j * HOUR)
    for k in range(14):
        fleet[k // 2 * 6 + k % 2][0].crashes("ClusSvc", START + (26 + 7 * k) * HOUR, times=6)
    if later:
        fleet[2][0].crashes("ClusSvc", START + 12 * DAY, times=6)
    return verdict(fleet)


def test_what_fails_later_takes_no_halt_back() -> None:
    before = two_sites_fail(later=False).halt
    assert before is not None
    assert two_sites_fail(later=True).halt == before


@pytest.mark.parametrize("service", ["ClusSvc", "W32Time"])
def test_a_cluster_that_is_exposed_only_once_it_loops_does_not_corroborate_itself(
    service: str,
) -> None:
    """Each of its nodes fails shortly before its patch, so that only the loop's levels are bet on;
    somebody else fails once, honestly.
    """
    fleet = a_fleet(lambda i, j: i == 0 or (j == 0 and i < 6), until=45 * DAY)
    for j, node in enumerate(fleet[0]):
        patched = START + j * HOUR
        node.crashes("ClusSvc", patched - 30 * MINUTE)
        node.crashes("ClusSvc", patched + 5 * MINUTE, times=6)
    fleet[1][0].crashes(service, START + DAY, times=3)
    found = verdict(fleet)
    assert found.log_e > found.log_threshold
    assert found.state == "warn"


@pytest.mark.parametrize("service", ["ClusSvc", "spooler"])
def test_a_liar_and_two_honest_failures_are_not_enough(service: str) -> None:
    """They are of one kind and at two sites; it repeats them, or says something else daily."""
    fleet = a_fleet(lambda i, j: j == 0 and i in (0, 1, 4, 8), until=45 * DAY)
    for i, hours in ((4, 30), (1, 60)):
        fleet[i][0].crashes("ClusSvc", START + hours * HOUR, times=3)
    for k in range(6):
        fleet[8][0].crashes(service, START + (1 + 26 * k) * HOUR, times=3)
    found = verdict(fleet)
    assert found.log_e > found.log_threshold
    assert found.state == "warn"
