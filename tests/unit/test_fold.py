"""The fold of a case: on which risk set each onset is bet."""

import math
from collections.abc import Sequence
from random import Random

import pytest

from streams.detection.fold import Cohort, Fold, Path, Shocks
from streams.detection.margins import Table
from streams.detection.members import Member, Place
from streams.detection.spans import CASE_MS
from streams.detection.tilt import Tilt
from streams.detection.tree import NodeOnset
from streams.detection.wealth import Wealth
from tests.fixtures.stories import DAY, HOUR, MINUTE, T0, a_member

SECOND = 1_000

ANY = "any"


def at(site: str = "fra", domain: str = "c1") -> Place:
    return Place("hyperv", "0", site, domain, 2)


def onset(t: int, node: str = "n", level: str = ANY) -> NodeOnset:
    return NodeOnset(T0 + t, node, level)


class TestConditioning:
    def test_a_domains_further_onset_within_half_an_hour_is_bet_inside_the_domain(self) -> None:
        shocks = Shocks()
        assert shocks.condition(onset(0), at()) == (0, [])
        assert shocks.condition(onset(30 * MINUTE - 1), at())[0] == 2
        assert shocks.condition(onset(60 * MINUTE - 2), at())[0] == 2, "the gap is to the last one"
        assert shocks.condition(onset(90 * MINUTE - 2), at())[0] == 0

    def test_each_level_of_the_tree_has_its_own_shocks(self) -> None:
        shocks = Shocks()
        assert shocks.condition(onset(0), at()) == (0, [])
        assert shocks.condition(onset(1, level="sig:a"), at()) == (0, [])
        assert shocks.condition(onset(2, level="loop"), at()) == (0, [])
        assert shocks.condition(onset(3, level="loop:service"), at()) == (0, [])
        assert shocks.condition(onset(4, "m", "loop"), at())[0] == 2, "the cluster loops as a whole"

    def test_a_sites_fourth_domain_in_six_hours_is_bet_inside_the_site(self) -> None:
        shocks = Shocks()
        for i in range(3):
            assert shocks.condition(onset(i), at(domain=f"c{i}")) == (0, [])
        assert shocks.condition(onset(3), at(domain="c3")) == (1, [])

    def test_a_capped_site_is_left_out_of_the_others_risk_sets(self) -> None:
        shocks = Shocks()
        for i in range(3):
            shocks.condition(onset(i), at(domain=f"c{i}"))
        assert shocks.condition(onset(4), at("ams", "x1")) == (0, ["fra"])

    def test_the_cap_lasts_six_hours_and_counts_level_0_only(self) -> None:
        shocks = Shocks()
        for i in range(3):
            shocks.condition(onset(i), at(domain=f"c{i}"))
        for i in range(5):
            assert shocks.condition(onset(HOUR + i), at(domain=f"d{i}"))[0] == 1
        assert shocks.condition(onset(6 * HOUR - 1), at(domain="e"))[0] == 1
        assert shocks.condition(onset(6 * HOUR), at(domain="f"))[0] == 0


def people() -> list[Member]:
    """One patched and one unpatched node in each of 12 domains at 4 sites."""
    out = []
    for i in range(12):
        site = ("fra", "ams", "dub", "par")[i % 4]
        out.append(a_member(f"p{i:02}", f"c{i:02}", site, patched=0))
        out.append(a_member(f"u{i:02}", f"c{i:02}", site))
    return out


def folded(onsets: Sequence[NodeOnset], within: bool = False, until: int = CASE_MS) -> Path:
    cohort = Cohort(people(), {}, T0, T0 + until)
    return Fold(cohort, sorted(onsets), Table(), within_domains=within).path()


def expected(*bets: list[int], age: int = 3) -> float:
    """ln E of bets against these counts; ψ is that of a fleet without a past."""
    wealth, tilt = Wealth(Table(), roles=("hyperv",)), Tilt(people(), {}, T0)
    tilt.advance(T0)
    for counts in bets:
        wealth.bet(ANY, Place("hyperv", "0", "", "", age), counts, tilt.psi(None))
    return round(wealth.log_e(), 6)


class TestBets:
    def test_the_first_onset_of_a_domain_is_bet_against_the_stratum(self) -> None:
        assert folded([onset(2 * DAY, "p00")]).at(T0 + 2 * DAY) == expected([12, 0, 0, 12])

    def test_further_ones_against_the_domain(self) -> None:
        both = folded([onset(2 * DAY, "p00"), onset(2 * DAY + SECOND, "u00")])
        one = folded([onset(2 * DAY, "p00")])
        assert both.at(T0 + 2 * DAY) == one.at(T0 + 2 * DAY), "the other comes later"
        assert both.at(T0 + 2 * DAY + SECOND) < one.at(T0 + 2 * DAY + SECOND)
        wealth, tilt = Wealth(Table(), roles=("hyperv",)), Tilt(people(), {}, T0)
        tilt.advance(T0)
        for age, counts in ((3, [12, 0, 0, 12]), (0, [1, 0, 0, 1])):
            wealth.bet(ANY, Place("hyperv", "0", "", "", age), counts, tilt.psi(None))
        assert both.at(T0 + 2 * DAY + SECOND) == round(wealth.log_e(), 6)

    def test_in_a_capped_site_against_the_site_and_elsewhere_without_it(self) -> None:
        fra = [onset(2 * DAY + i * MINUTE, f"p{4 * i:02}") for i in range(3)]
        other = onset(2 * DAY + HOUR, "p01")
        assert folded([*fra, other]).at(other.t_ms) == expected(*[[12, 0, 0, 12]] * 3, [9, 0, 0, 9])

    def test_within_domains_every_onset_is_bet_against_its_own_domain(self) -> None:
        two = folded([onset(2 * DAY, "p00"), onset(4 * DAY, "p01")], within=True)
        inside = [1, 0, 0, 1]
        assert [s.log_e for s in two.steps] == [expected(inside), expected(inside, inside)]


class TestTime:
    def test_there_is_a_step_at_the_end_of_every_second_with_onsets(self) -> None:
        """Shippers that cut times to the second must come to the same."""
        at = 2 * DAY
        path = folded([onset(at, "p00"), onset(at + 999, "p01"), onset(at + 59_999, "p02")])
        assert [s.t_ms - T0 - at for s in path.steps] == [999, 59_999]
        assert [path.at(T0 + at + t) for t in (-1, 0, 999, 58_999, 59_000)] == [
            0.0,
            *[expected(*[[12, 0, 0, 12]] * 2)] * 3,
            expected(*[[12, 0, 0, 12]] * 3),
        ]
        assert path.step(T0 + at + SECOND) == path.steps[0]
        assert path.last == path.steps[-1]
        assert folded([]).last.log_e == path.step(T0 + at - 1).log_e == 0.0

    def test_a_peak_within_a_minute_is_seen(self) -> None:
        """What patched nodes bring, unpatched ones take back seconds later: it was there."""
        at = 2 * DAY
        patched = [onset(at + i, f"p{i:02}") for i in range(3)]
        others = [onset(at + 30_000 + i, f"u{i:02}") for i in range(3, 9)]
        path = folded([*patched, *others])
        assert max(s.log_e for s in path.steps) == path.at(T0 + at + 2)
        assert path.at(T0 + at + 59_999) < path.at(T0 + at + 2)

    def test_onsets_of_one_second_make_one_step_after_all_of_them(self) -> None:
        at = 2 * DAY
        path = folded(
            [onset(at, node, level) for node in ("p00", "p01") for level in (ANY, "loop")]
        )
        assert [s.t_ms for s in path.steps] == [T0 + at]
        alone = folded([onset(at, "p00"), onset(at, "p01")])
        assert path.at(T0 + at) > alone.at(T0 + at) == expected(*[[12, 0, 0, 12]] * 2)

    def test_without_a_past_e_is_its_concurrent_arm(self) -> None:
        (step,) = folded([onset(2 * DAY, "p00")]).steps
        assert (step.log_c, step.log_h) == (step.log_e, 0.0)

    def test_what_was_before_the_case_is_shock_but_no_bet(self) -> None:
        before = onset(-MINUTE, "u00")
        path = folded([before, onset(MINUTE, "p00")])
        assert path.at(T0 + MINUTE) == expected([1, 1, 0, 0], age=1)
        assert [h.node for h in folded([before]).hits] == []

    def test_a_case_ends_after_65_days(self) -> None:
        assert folded([onset(CASE_MS, "u00")], until=2 * CASE_MS).steps == ()
        assert len(folded([onset(CASE_MS - 1, "u00")], until=2 * CASE_MS).steps) == 1

    def test_a_fold_that_was_asked_about_an_instant_goes_on_from_there(self) -> None:
        onsets = sorted(onset(i * DAY, f"p{i:02}") for i in range(2, 8))
        onsets = sorted([*onsets, onset(6 * DAY + SECOND, "u01")])
        whole = folded(onsets)
        partly = Fold(Cohort(people(), {}, T0, T0 + CASE_MS), onsets, Table())
        for t in (3 * DAY, 6 * DAY, 6 * DAY + SECOND, 4 * DAY):
            assert partly.at(T0 + t) == whole.at(T0 + t)
        assert whole.at(T0 + 6 * DAY) != whole.at(T0 + 6 * DAY + SECOND), "within one minute"
        assert partly.path() == whole

    def test_onsets_that_are_ahead_of_the_fleet_wait(self) -> None:
        onsets = [onset(2 * DAY, "p00"), onset(3 * DAY, "p01")]
        assert len(folded(onsets, until=2 * DAY).steps) == 1
        assert len(folded(onsets, until=3 * DAY).steps) == 2

    def test_a_node_out_of_the_risk_set_is_not_bet_on(self) -> None:
        assert folded([onset(36 * DAY, "p00"), onset(36 * DAY, "stranger")]).steps == ()

    def test_hits_are_onsets_of_single_signatures(self) -> None:
        path = folded([onset(2 * DAY, "p00"), onset(2 * DAY, "p00", "sig:a")])
        assert [(h.node, h.signature, h.place.age) for h in path.hits] == [("p00", "a", 3)]


@pytest.mark.parametrize("within", [False, True])
def test_harmless_patches_keep_wealth_near_one_however_shocks_fall(within: bool) -> None:
    """Failures pick nodes at random, alone or by whole sites at once, patched or not."""
    random, cases, total, crossed = Random(5), 300, 0.0, 0
    for _ in range(cases):
        onsets = []
        for _ in range(random.randint(1, 6)):
            t = random.randrange(DAY, 20 * DAY)
            i = random.randrange(12)
            onsets.append(onset(t, f"{random.choice('pu')}{i:02}"))
            if random.random() < 0.3:
                for k in range(i % 4, 12, 4):
                    onsets += [onset(t + k + 1, f"p{k:02}"), onset(t + k + 2, f"u{k:02}")]
        path = folded(onsets, within)
        total += math.exp(path.steps[-1].log_e)
        crossed += max(s.log_e for s in path.steps) >= math.log(200)
    assert total / cases <= 1.02
    assert crossed == 0
