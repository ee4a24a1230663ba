"""When wealth becomes a halt, a notice; and who can't bring one about alone."""

import math
from itertools import chain

import pytest

from tests.fixtures.rollouts import (
    SITES,
    START,
    Fleet,
    a_fleet,
    decided,
    every_second_cluster,
    outages_without_end,
    verdict,
)
from tests.fixtures.stories import DAY, HOUR, MINUTE, NodeStory, fleet_of


def without_a_site(fleet: Fleet) -> float:
    """Smallest ln E with one site left out, in the end."""
    found = decided(fleet).without_site
    assert found is not None
    return found


def three_fail_at_two_sites(first: str, last: str, times: int = 3) -> Fleet:
    """Service ``first`` dies in two clusters of one site, then ``last`` elsewhere."""
    fleet = a_fleet(lambda i, j: j == 0 and i in (0, 1, 4))
    for i, service in ((0, first), (4, first), (1, last)):
        fleet[i][0].crashes(service, START + (5 + 2 * i) * HOUR, times=times)
    return fleet


class TestHalt:
    def test_victims_at_two_sites_bring_about_a_halt(self) -> None:
        fleet = a_fleet(every_second_cluster)
        for i in range(0, 20, 2):
            fleet[i][0].crashes("ClusSvc", START + (20 + i) * MINUTE)
        found = verdict(fleet)
        assert found.state == "halt"
        assert found.halt is not None
        assert found.halt.log_e >= found.log_threshold
        assert found.halt.victim_sites == 2
        assert found.log_e_without_site is not None
        assert found.log_e_without_site >= 1.09, "ln 3"
        assert found.signature == "scm/7031/clussvc"

    def test_nodes_that_fail_one_by_one_as_they_are_patched_corroborate_each_other(self) -> None:
        """Several clusters in one site: bets within the domains speak, the site itself can't."""
        fleet = a_fleet(every_second_cluster)
        for i in range(0, 24, 4):
            for j, node in enumerate(fleet[i]):
                node.crashes("ClusSvc", START + j * HOUR + (20 + i) * MINUTE)
        found = verdict(fleet)
        assert found.state == "halt"
        assert found.log_e_without_site == 0.0
        assert found.log_e_within is not None
        assert found.log_e_within >= 2.99, "ln 20"

    def test_one_more_site_with_the_same_failure_corroborates_two_domains_of_another(self) -> None:
        found = verdict(three_fail_at_two_sites("ClusSvc", "ClusSvc"))
        assert found.state == "halt"
        assert found.halt is not None
        assert (found.halt.victims, found.halt.victim_domains, found.halt.victim_sites) == (3, 3, 2)
        assert found.log_e_without_site is not None
        assert found.log_e_without_site < math.log(3), "one victim is left, and all its levels pay"
        assert found.log_e_without_domain is not None
        assert found.log_e_without_domain >= math.log(20)
        assert found.log_same_elsewhere is not None
        assert found.log_same_elsewhere >= math.log(3)

    def test_another_failure_at_another_site_corroborates_nothing(self) -> None:
        found = verdict(three_fail_at_two_sites("ClusSvc", "spooler"))
        assert found.log_e > found.log_threshold
        assert found.state == "warn"
        assert found.log_same_elsewhere == 0.0

    def test_another_service_that_loops_is_the_same_failure(self) -> None:
        found = verdict(three_fail_at_two_sites("W32Time", "spooler", times=6))
        assert found.state == "halt"
        assert found.log_e_without_site is not None
        assert found.log_e_without_site < math.log(3)

    def test_what_was_crossed_stays_crossed_when_controls_fail_as_well(self) -> None:
        fleet = a_fleet(every_second_cluster)
        for i in range(0, 20, 2):
            fleet[i][0].crashes("ClusSvc", START + (20 + i) * MINUTE)
        before = verdict(fleet)
        for i in range(1, 24, 2):
            for node in fleet[i]:
                node.crashes("ClusSvc", 36 * DAY + i * 31 * MINUTE)
        after = verdict(fleet)
        assert after.halt == before.halt
        assert after.log_e < before.log_e


class TestCorroboration:
    def test_one_node_alone_never_halts_whatever_it_says(self) -> None:
        fleet = a_fleet(lambda i, j: j == 0 and i < 6, until=66 * DAY)
        outages_without_end(fleet[0][0])
        found = verdict(fleet)
        assert found.log_e > found.log_threshold, "it would be enough, if others agreed"
        assert found.state == "warn"
        assert found.reasons == ("not yet a halt: one site or domain alone brings the evidence",)

    def test_one_cluster_alone_never_halts(self) -> None:
        fleet = a_fleet(lambda i, j: j < 2 and i < 6, until=66 * DAY)
        for node in fleet[0][:2]:
            outages_without_end(node)
        found = verdict(fleet)
        assert found.log_e > found.log_threshold
        assert found.state == "warn"

    @pytest.mark.parametrize("liars", [1, 2])
    def test_somebody_elses_bad_luck_does_not_corroborate_a_liar(self, liars: int) -> None:
        """A node, or the patched half of a cluster, lies for a month; one other patched node of
        a mixed cluster elsewhere has one honest failure.
        """
        fleet = a_fleet(lambda i, j: j < liars and i < 6, until=66 * DAY)
        for node in fleet[0][:liars]:
            outages_without_end(node)
        fleet[1][0].crashes("ClusSvc", START + 5 * DAY, times=3)
        found = verdict(fleet)
        assert found.log_e > found.log_threshold
        assert found.log_e_within is not None
        assert found.log_e_within > 2.996, "ln 20: within domains the liar alone is loud enough"
        assert found.state == "warn"

    def test_one_node_elsewhere_with_the_same_failure_does_not_corroborate_a_cluster(self) -> None:
        fleet = a_fleet(lambda i, j: j < 2 and i < 2, until=66 * DAY)
        for day in range(20):
            for j, node in enumerate(fleet[0][:2]):
                node.crashes("ClusSvc", START + (day * 26 + 5 + j) * HOUR, times=3)
        fleet[1][0].crashes("ClusSvc", START + 7 * HOUR, times=3)
        found = verdict(fleet)
        assert found.log_e > found.log_threshold
        assert found.log_same_elsewhere is not None
        assert found.log_same_elsewhere > math.log(3), "the other site does show it"
        assert found.state == "warn"

    @pytest.mark.parametrize("own", [SITES, ("fra",)])
    @pytest.mark.parametrize("told", [("fra", "ams"), ("a", "b")])
    def test_a_cluster_that_says_it_is_at_two_sites_never_halts_alone(
        self, own: tuple[str, ...], told: tuple[str, str]
    ) -> None:
        """Stretched, or lying: nobody checks which site a node says it is at."""
        fleet = a_fleet(lambda i, j: j < 2 and i < 6, until=66 * DAY)
        for i, cluster in enumerate(fleet):
            for node in cluster:
                node.site = own[i % len(own)]
        for node, site in zip(fleet[0], told, strict=False):
            node.site = site
            outages_without_end(node)
        found = verdict(fleet)
        assert found.log_e > found.log_threshold
        assert (found.state, found.log_e_without_site) == ("warn", 0.0)

    def test_a_stretched_cluster_is_heard_where_others_agree(self) -> None:
        fleet = a_fleet(lambda i, j: j == 0 and i < 10)
        fleet[0][1].site = "ams"
        for i in range(10):
            fleet[i][0].crashes("ClusSvc", START + (5 + 11 * i) * HOUR, times=3)
        assert verdict(fleet).state == "halt"

    def test_a_site_that_fails_after_its_patch_never_halts_alone(self) -> None:
        """Whole clusters at once: who was patched first does not show within a cluster."""
        fleet = fleet_of(24, 4, SITES)
        for i, cluster in enumerate(fleet):
            for node in cluster:
                node.lives(until=66 * DAY)
                if i % 4 == 0:
                    node.patched(START)
                    for day in range(0, 30, 2):
                        at = START + day * DAY + (20 + 40 * i) * MINUTE
                        node.crashes("ClusSvc", at, times=3).crashes("vmms", at, times=3)
        found = verdict(fleet)
        assert found.log_e > found.log_threshold
        assert (found.state, found.log_e_without_site, found.log_e_within) == ("warn", 0.0, 0.0)

    def test_who_is_left_out_has_no_say_in_what_was_usual_before(self) -> None:
        """A liar makes up 200 old nodes that never fail: two honest failures elsewhere weigh no
        more for it.
        """
        fleet = a_fleet(lambda i, j: j == 0 and i < 6, until=66 * DAY)
        outages_without_end(fleet[0][0])
        for i in (1, 2, 3):
            fleet[i][0].crashes("ClusSvc", START + 2 * i * DAY, times=3)
        for i in (5, 6, 7):
            fleet[i][1].crashes("ClusSvc", START - 3 * i * DAY, times=3)
        made_up = [NodeStory(f"c00-x{k}", "c00").lives(until=0) for k in range(200)]
        honest = without_a_site(fleet)
        assert honest > 0
        assert without_a_site([*fleet, made_up]) == honest

    def test_an_outage_of_everybody_is_nobodys_fault(self) -> None:
        fleet = a_fleet(every_second_cluster)
        for i, cluster in enumerate(fleet):
            for j, node in enumerate(cluster):
                node.crashes("ClusSvc", 36 * DAY + (i * 4 + j) * MINUTE)
        assert verdict(fleet).state not in ("halt", "warn", "notice")


class TestImpact:
    def test_an_error_at_each_boot_of_every_patched_node_is_a_notice(self) -> None:
        found = verdict(self.fleet(times=1))
        assert found.state == "notice"
        assert found.halt is None
        assert found.log_e == 0.0
        assert "caused by KB5062557, harmless so far" in found.sentence

    def test_the_same_error_three_times_within_an_hour_may_halt(self) -> None:
        found = verdict(self.fleet(times=3))
        assert found.state == "halt"
        assert found.notice is None

    def fleet(self, times: int) -> Fleet:
        fleet = a_fleet(lambda i, j: i % 2 == 0 and j < 2)
        for i in range(0, 24, 2):
            for j in (0, 1):
                at = START + j * HOUR + (20 + i) * MINUTE
                fleet[i][j].crashes("W32Time", at, times=times)
        return fleet


class TestInconclusive:
    def test_says_what_the_nodes_seen_so_far_could_have_shown(self) -> None:
        found = verdict(a_fleet(lambda i, j: j == 0))
        assert found.state == "inconclusive"
        assert found.power.observed == 24
        assert found.power.p_5pct == pytest.approx(1 - 0.95**24, abs=1e-6)
        assert found.reasons == (
            "24 of 59 patched nodes observed for 24 h: "
            "a 5 % failure would have shown with p = 0.71",
        )

    def test_says_when_nobody_is_left_to_compare_with(self) -> None:
        fleet = fleet_of(8, 4, SITES)
        for node in chain.from_iterable(fleet):
            node.lives().patched(START)
        assert verdict(fleet).reasons[1] == "no unpatched node left to compare with"

    def test_59_nodes_for_a_day_are_quiet(self) -> None:
        fleet = a_fleet(lambda i, j: j < 3)
        assert verdict(fleet).state == "quiet"
