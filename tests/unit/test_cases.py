"""Cases on whole fleets: several suspects, other changes at the same boots, whom it hits next."""

import pytest

from schemas.reports import Facts
from schemas.verdicts import Blast, Verdict, credible
from streams.detection.suspects import CHANGE
from tests.fixtures.stories import (
    BRANCH,
    BUILD,
    CASE,
    DAY,
    HOUR,
    KB,
    MINUTE,
    T0,
    NodeStory,
    fleet_of,
    judged,
)

START = 35 * DAY
OTHER = "KB9000001"
OTHER_CASE = f"{OTHER}@{BRANCH}"
DRIVER = f"{CHANGE}driver:mpio=2.1"

Fleet = list[list[NodeStory]]


def patched_fleet(clusters: int = 24) -> Fleet:
    """Every other cluster is patched, node after node."""
    fleet = fleet_of(clusters, 4, ("fra", "ams", "dub", "par"))
    for i, cluster in enumerate(fleet):
        for j, node in enumerate(cluster):
            node.lives()
            if i % 2 == 0:
                node.patched(START + j * HOUR)
    return fleet


def failing(fleet: Fleet, clusters: int = 20) -> Fleet:
    """One node each of the patched ones among the first ``clusters``, the last one first."""
    for i in range(0, clusters, 2):
        fleet[i][0].crashes("ClusSvc", START + (20 + clusters - i) * MINUTE)
    return fleet


def verdicts(fleet: Fleet) -> dict[str, Verdict]:
    return judged(node for cluster in fleet for node in cluster)


def got(node: NodeStory, kb: str, at: int) -> None:
    node.state(kb, "effective", at)


def told(node: NodeStory, at: int, **changes: str) -> None:
    named = {f"driver:{name}": version for name, version in changes.items()}
    node.says(Facts(t_ms=T0 + at, role="hyperv", changes=named))


class TestSuspects:
    def test_of_identical_installs_both_are_halted_and_each_verdict_names_both(self) -> None:
        fleet = failing(patched_fleet())
        for cluster in fleet[::2]:
            for j, node in enumerate(cluster):
                got(node, OTHER, START + j * HOUR)
        found = verdicts(fleet)
        for case, kb, other in ((CASE, KB, OTHER), (OTHER_CASE, OTHER, KB)):
            assert found[case].state == "halt"
            assert found[case].suspects == {KB: 0.5, OTHER: 0.5}
            assert f"suspects: {KB} (50 %), {OTHER} (50 %)" in found[case].sentence
            assert f"1 other suspect cannot be told from {kb} yet" in found[case].reasons
            assert other in credible(found[case].suspects)

    def test_alone_it_is_named_alone(self) -> None:
        found = verdicts(failing(patched_fleet()))[CASE]
        assert found.suspects == {KB: 1.0}
        assert "suspects" not in found.sentence
        assert found.reasons == ()

    def test_an_innocent_kb_that_crosses_waits_while_the_guilty_one_explains_it_better(
        self,
    ) -> None:
        fleet = failing(patched_fleet(120), clusters=120)
        for cluster in fleet[:60:2]:
            for j, node in enumerate(cluster):
                got(node, OTHER, START + j * HOUR)
        found = verdicts(fleet)
        assert found[CASE].state == "halt"
        innocent = found[OTHER_CASE]
        assert innocent.log_e > innocent.log_threshold
        assert innocent.state == "warn"
        assert innocent.halt is None
        assert innocent.reasons[0].startswith(f"not yet a halt: {KB} (")

    def test_an_innocent_kb_is_not_halted_for_what_a_few_of_its_nodes_show_by_chance(self) -> None:
        """What the guilty one breaks is usual in the hour after a boot, so it wins nothing there;
        the chance failures are new, and only nodes with the other KB happen to have them.
        """
        fleet = patched_fleet(120)
        for i, cluster in enumerate(fleet[:40]):
            cluster[3].crashes("ClusSvc", (10 + i % 15) * DAY + i * MINUTE)
        for i, cluster in enumerate(fleet[::2]):
            cluster[0].crashes("ClusSvc", START + (20 + i // 2) * MINUTE)
        for cluster in fleet[::6]:
            for j, node in enumerate(cluster):
                got(node, OTHER, START + j * HOUR)
        for k in range(6):
            fleet[6 * k][1].crashes("vmms", START + (10 + k) * HOUR)
        innocent = verdicts(fleet)[OTHER_CASE]
        assert innocent.log_e > innocent.log_threshold, "chance enough for a halt"
        assert innocent.signature == "scm/7031/clussvc", "what the other one explains best"
        assert (innocent.state, innocent.halt) == ("warn", None)
        assert innocent.reasons[0] == f"not yet a halt: {KB} (100 %) explains it better"

    def test_a_number_that_one_node_names_is_no_suspect(self) -> None:
        fleet = failing(patched_fleet())
        got(fleet[0][0], OTHER, START)
        assert verdicts(fleet)[CASE].suspects == {KB: 1.0}

    def test_a_quiet_case_suspects_nobody(self) -> None:
        found = verdicts(patched_fleet(4))[CASE]
        assert (found.suspects, found.rule, found.blast) == ({}, (), None)


class TestChanges:
    def fleet(self, minutes_after: int = 5) -> Fleet:
        fleet = failing(patched_fleet())
        for cluster in fleet[::2]:
            for j, node in enumerate(cluster):
                told(node, START + j * HOUR + minutes_after * MINUTE, mpio="2.1")
        return fleet

    def test_a_driver_that_came_with_the_same_boots_is_suspected_as_well(self) -> None:
        found = verdicts(self.fleet())[CASE]
        assert found.state == "halt"
        assert found.suspects == {KB: 0.5, DRIVER: 0.5}
        assert f"1 other change cannot be told from {KB} yet" in found.reasons

    def test_one_that_came_to_others_too_and_broke_nothing_there_is_not(self) -> None:
        fleet = self.fleet()
        for cluster in fleet[1::2]:
            for node in cluster:
                told(node, START + 5 * MINUTE, mpio="2.1")
        assert credible(verdicts(fleet)[CASE].suspects) == (KB,)

    def test_one_that_came_after_the_failures_is_not(self) -> None:
        assert verdicts(self.fleet(minutes_after=90))[CASE].suspects == {KB: 1.0}

    def test_one_that_a_terminal_would_obey_is_not(self) -> None:
        fleet = failing(patched_fleet())
        for cluster in fleet[::2]:
            for j, node in enumerate(cluster):
                told(node, START + j * HOUR + MINUTE, mpio="2.1\n\x1b[2J")
        assert verdicts(fleet)[CASE].suspects == {KB: 1.0}

    def test_one_that_a_single_domains_victims_had_does_not_hold_up_the_halt(self) -> None:
        """Six nodes of one cluster fail daily and name a driver that one bystander really got."""
        fleet = fleet_of(24, 4, ("fra", "ams", "dub", "par"))
        for i, cluster in enumerate(fleet):
            for j, node in enumerate(cluster):
                node.lives(until=66 * DAY)
                if i % 2 == 0:
                    node.patched(START + j * HOUR)
                    if j < 3:
                        node.crashes("ClusSvc", START + (20 + 5 * i + 130 * j) * HOUR, times=3)
        liars = [NodeStory(f"evil{k}", "evil").lives(until=66 * DAY) for k in range(6)]
        for node in (fleet[21][0], *liars):
            told(node, START - DAY, mpio="2.0")
            told(node, START + MINUTE, mpio="2.1")
        for k, node in enumerate(liars):
            node.heartbeat_s = fleet[0][0].heartbeat_s
            node.boots(BUILD, START)
            for day in range(25):
                at = START + 6 * HOUR + k * 35 * MINUTE + day * (DAY + HOUR)
                node.crashes("ClusSvc", at, times=3)
        found = verdicts([*fleet, liars])[CASE]
        assert (found.state, found.suspects) == ("halt", {KB: 1.0})

    def test_what_the_first_facts_name_was_there_before(self) -> None:
        fleet = self.fleet()
        for cluster in fleet:
            for node in cluster:
                told(node, 0, mpio="2.1")
        assert verdicts(fleet)[CASE].suspects == {KB: 1.0}


class TestWhom:
    @staticmethod
    def fleet() -> Fleet:
        """Half of the clusters have encrypted volumes; those that are patched fail."""
        fleet = patched_fleet(32)
        for i, cluster in enumerate(fleet):
            encrypted = i // 2 % 4 in (0, 3)
            for j, node in enumerate(cluster):
                facts: dict[str, bool | str] = {"csv_bitlocker": encrypted}
                node.says(Facts(t_ms=T0 + DAY, role="hyperv", covariates=facts))
                if encrypted and i % 2 == 0 and j == 0:
                    node.crashes("ClusSvc", START + (20 + i) * MINUTE)
        return fleet

    def test_the_rule_is_that_of_the_crossing(self) -> None:
        found = verdicts(self.fleet())[CASE]
        assert found.state == "halt"
        assert found.rule == ("clustered", "csv_bitlocker")
        assert "hits clustered and csv_bitlocker" in found.sentence

    def test_the_blast_radius_is_whom_the_rule_leaves_to_be_hit(self) -> None:
        fleet = self.fleet()
        fleet[1][0].state(KB, "staged", START + DAY)
        found = verdicts(fleet)[CASE]
        assert found.blast == Blast(nodes=32, staged=1)
        assert "32 more such nodes wait, 1 of them staged (hold their reboot)" in found.sentence

    def test_without_a_rule_it_is_every_node_that_is_left(self) -> None:
        found = verdicts(failing(patched_fleet()))[CASE]
        assert (found.rule, found.blast) == ((), Blast(nodes=48, staged=0))
        assert found.sentence.endswith("; 48 more nodes wait")


@pytest.mark.parametrize("case", [CASE])
def test_a_verdict_is_one_line(case: str) -> None:
    for fleet in (TestWhom.fleet(), failing(patched_fleet()), patched_fleet(4)):
        sentence = verdicts(fleet)[case].sentence
        assert sentence
        assert "\n" not in sentence
