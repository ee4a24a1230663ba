"""H: what the branch's own past says, as far as the concurrent bet on the same level agrees."""

import math
from collections.abc import Iterable, Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.detection.fold import Cohort, Fold
from streams.detection.history import Exposure, HistoryArm, Rates, rates
from streams.detection.margins import FLOOR, Table, poisson_upper
from streams.detection.members import Member
from streams.detection.spans import CASE_MS
from streams.detection.tilt import HISTORY_MS
from streams.detection.tree import Baseline, NodeOnset, weight
from streams.detection.wealth import CONTROL_AGES, EXPOSED_AGES, RATES, WINDOW_WEIGHTS
from tests.fixtures.stories import DAY, HOUR, MINUTE, T0, a_member

SIG = "sig:scm/7031/clussvc"
BEGIN = T0 - HISTORY_MS
NOW = T0 + 10 * DAY
UNHEARD_OF = Rates({}, {"hyperv": 720 * 10_000.0})
FEW_EXPOSED = [990, 0, 10, 0]
HALF_EXPOSED = [50, 0, 50, 0]
AGES_MS = ((0, HOUR), (HOUR, DAY), (HOUR, 35 * DAY))

Bet = tuple[int, list[int]]
"""The age of the node that failed, and the nodes by age."""


def exposure(nodes: int = 10) -> Exposure:
    return Exposure([a_member(f"p{i}", patched=0) for i in range(nodes)], T0)


def arm(past: Rates = UNHEARD_OF, margins: Table | None = None) -> HistoryArm:
    known = Table(logged={SIG.removeprefix("sig:"): "cluster"})
    return HistoryArm(margins or known, BEGIN, lambda: past, exposure)


def told(made: HistoryArm, bets: Iterable[Bet], level: str = SIG, since: int = BEGIN) -> float:
    for age, counts in bets:
        made.bet(level, since, age, counts, psi=1.0)
    return made.value(NOW, psi=1.0)


def agreed(bets: Iterable[Bet], window: int) -> float:
    """The concurrent bet of one level in one window, without its price."""
    logs = [0.0] * 3
    for age, counts in bets:
        n1 = sum(counts[a] for a in EXPOSED_AGES[window])
        n0 = sum(counts[a] for a in CONTROL_AGES[window])
        exposed = age in EXPOSED_AGES[window]
        if n1 and n0 and (exposed or age in CONTROL_AGES[window]):
            theta = FLOOR[window] * n1 / (FLOOR[window] * n1 + n0)
            for i, rate in enumerate((10, 100, 1000)):
                logs[i] += (math.log(rate) if exposed else 0.0) - math.log1p((rate - 1) * theta)
    return sum(map(math.exp, logs)) / 3


def by_hand(bets: Sequence[Bet], past: Rates, level: str = SIG) -> float:
    """H of one level from the formulas of the module."""
    total = 0.0
    for window in range(3):
        hits = sum(
            age in EXPOSED_AGES[window] and any(counts[a] for a in CONTROL_AGES[window])
            for age, counts in bets
        )
        concurrent = agreed(bets, window)
        if hits >= 2 and concurrent >= 10:
            mean = exposure().hours(window, NOW)["hyperv"] * past.upper(level, "hyperv")
            mean *= FLOOR[window]
            ratio = sum(math.exp(hits * math.log(r) - (r - 1) * mean) for r in RATES)
            share = weight(level) * WINDOW_WEIGHTS[window] / 5
            total += min(share * ratio, concurrent)
    return total


class TestWhenItSpeaks:
    def test_one_failure_says_nothing_however_unheard_of(self) -> None:
        assert told(arm(), [(2, [100_000, 0, 1, 0])]) == 0.0

    def test_two_of_a_few_patched_nodes_do(self) -> None:
        bets = [(2, FEW_EXPOSED)] * 2
        assert told(arm(), bets) == pytest.approx(by_hand(bets, UNHEARD_OF))
        assert by_hand(bets, UNHEARD_OF) > 1

    def test_nothing_is_said_before_the_concurrent_bet_is_10(self) -> None:
        """Where half of the nodes are patched each failure is worth 1.6."""
        made = arm()
        for hits in range(1, 12):
            value = told(made, [(2, HALF_EXPOSED)])
            concurrent = max(agreed([(2, HALF_EXPOSED)] * hits, w) for w in (1, 2))
            assert (value > 0) == (concurrent >= 10)
        assert value > 0

    def test_never_more_than_the_concurrent_bet_however_unheard_of(self) -> None:
        bets = [(2, FEW_EXPOSED)] * 6
        assert told(arm(), bets) == pytest.approx(sum(agreed(bets, window) for window in (1, 2)))

    def test_a_signature_that_was_never_logged_is_expected_three_times_as_often(self) -> None:
        bets = [(2, FEW_EXPOSED)] * 2
        past = Rates({(SIG, "hyperv"): 200}, UNHEARD_OF.hours)
        never = told(HistoryArm(Table(), BEGIN, lambda: past, exposure), bets)
        assert 0 < never < told(arm(past), bets)

    def test_what_happens_all_the_time_is_no_news(self) -> None:
        every_day = Rates({(SIG, "hyperv"): 300_000}, UNHEARD_OF.hours)
        assert told(arm(every_day), [(2, FEW_EXPOSED)] * 3) < 1e-6

    def test_flaky_canaries_fail_often_by_their_own_history(self) -> None:
        made, past = arm(), Rates({(SIG, "hyperv"): 300}, UNHEARD_OF.hours)
        flaky = arm(past)
        bets = [(2, FEW_EXPOSED)] * 2
        assert told(flaky, bets) < told(made, bets)
        assert flaky.value(NOW, psi=20.0) < flaky.value(NOW, psi=1.0) / 10

    def test_failures_of_unpatched_nodes_take_it_back(self) -> None:
        made = arm()
        assert told(made, [(2, FEW_EXPOSED)] * 2) > 0
        assert told(made, [(0, FEW_EXPOSED)] * 200) == 0.0

    def test_those_that_failed_before_the_first_patched_one_count_as_well(self) -> None:
        assert told(arm(), [(0, FEW_EXPOSED)] * 200 + [(2, FEW_EXPOSED)] * 2) == 0.0

    def test_nodes_without_a_months_history_do_not_count(self) -> None:
        young = arm()
        assert told(young, [(2, FEW_EXPOSED)] * 5, since=BEGIN + 1) == 0.0
        assert told(young, [(2, FEW_EXPOSED)]) == 0.0, "one with a history is one"
        assert told(young, [(2, FEW_EXPOSED)]) > 0

    def test_a_role_without_a_past_is_never_unheard_of(self) -> None:
        """Its exposed hours are expected to bring any number of failures."""
        assert told(arm(Rates({}, {"sql": 720.0})), [(2, FEW_EXPOSED)] * 6) == 0.0

    @pytest.mark.parametrize(("level", "speaks"), [("class:service", False), (SIG, True)])
    def test_an_upper_level_that_restarts_disturb_has_no_say(
        self, level: str, speaks: bool
    ) -> None:
        counts = [99_999, 1, 0, 0]
        wide = (10 * FLOOR[0] + 0.1, 1.5, 1.5)
        disturbed = Table({level: wide, "sig:service": wide}).on({"scm/7031/clussvc": "service"})
        usual = Table({level: (10 * FLOOR[0], 1.5, 1.5)})
        assert (told(arm(margins=disturbed), [(1, counts)] * 3, level) > 0) is speaks
        assert told(arm(margins=usual), [(1, counts)] * 3, level) > 0


_counts = st.tuples(*[st.integers(0, 60)] * 4).map(list)


@st.composite
def _bets(draw: st.DrawFn) -> list[Bet]:
    """A node that fails is one of those that are counted."""
    found = draw(st.lists(st.tuples(st.integers(0, 3), _counts), max_size=12))
    for age, counts in found:
        counts[age] += 1
        counts[0] += draw(st.sampled_from((0, 500)))
    return found


@given(_bets(), st.integers(0, 40))
def test_it_is_the_formula_and_never_more_than_the_concurrent_bets(
    bets: list[Bet], before: int
) -> None:
    past = Rates({(SIG, "hyperv"): before}, {"hyperv": 72_000.0})
    value = told(arm(past), bets)
    assert value == pytest.approx(by_hand(bets, past), rel=1e-9)
    assert value <= sum(agreed(bets, window) for window in range(3)) * (1 + 1e-9)


class TestOutages:
    def test_one_that_hits_the_unpatched_alike_brings_nothing(self) -> None:
        made = arm()
        for _ in range(10):
            assert told(made, [(3, [50, 0, 0, 50]), (0, [50, 0, 0, 50])]) == 0.0

    def test_in_any_order_it_reaches_30_in_one_of_30_at_most(self) -> None:
        """100 nodes fail, each once, 10 of them patched, and nothing like it was ever seen."""
        random, outages, reached = Random(3), 600, 0
        for _ in range(outages):
            made, peak = arm(), 0.0
            counts = [90, 0, 0, 10]
            for age in random.sample([3] * 10 + [0] * 90, 100):
                peak = max(peak, told(made, [(age, counts)]))
            reached += peak >= 30
            assert made.value(NOW, psi=1.0) < 1
        assert reached <= outages / 30


class TestExposure:
    def test_by_hand(self) -> None:
        people = [a_member("a", patched=0), a_member("b", role="sql", patched=2 * DAY)]
        found = Exposure(people, T0)
        assert found.hours(0, T0 + 30 * MINUTE) == {"hyperv": 0.5, "sql": 0.0}
        assert found.hours(1, T0 + 3 * DAY) == {"hyperv": 23.0, "sql": 23.0}
        assert found.hours(2, T0 + 60 * DAY) == {"hyperv": 839.0, "sql": 839.0}

    def test_unpatched_and_young_nodes_have_none(self) -> None:
        people = [a_member("a"), a_member("b", patched=0, since=-30 * DAY + 1)]
        assert Exposure(people, T0).hours(2, T0 + 40 * DAY) == {}

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(("hyperv", "sql")),
                st.none() | st.integers(-DAY, 40 * DAY),
                st.sampled_from((-100 * DAY, -30 * DAY, -30 * DAY + 1)),
            ),
            max_size=12,
        ),
        st.integers(-2 * DAY, 90 * DAY),
    )
    def test_it_is_the_sum_over_the_nodes(
        self, told: list[tuple[str, int | None, int]], t: int
    ) -> None:
        people = [
            a_member(f"n{i}", role=role, patched=patched, since=since)
            for i, (role, patched, since) in enumerate(told)
        ]
        found = Exposure(people, T0)
        for window, (from_ms, to_ms) in enumerate(AGES_MS):
            by_role: dict[str, float] = {}
            for role, patched, since in told:
                if patched is not None and since <= -30 * DAY:
                    spent = max(min(t - patched, to_ms) - from_ms, 0)
                    by_role[role] = by_role.get(role, 0) + spent / HOUR
            assert found.hours(window, T0 + t) == pytest.approx(by_role)


class TestRates:
    def test_the_limit_of_the_branch_holds_for_a_role_that_fails_no_more_than_others(self) -> None:
        past = Rates({("any", "hyperv"): 4, ("any", "sql"): 2}, {"hyperv": 4000.0, "sql": 2000.0})
        limit = poisson_upper(6, 2.326) / 6000
        assert past.upper("any", "hyperv") == past.upper("any", "sql") == pytest.approx(limit)
        assert limit > 6 / 6000

    def test_a_role_that_fails_more_often_has_its_own_mean(self) -> None:
        past = Rates({("any", "sql"): 40}, {"hyperv": 9000.0, "sql": 1000.0})
        assert past.upper("any", "sql") == 40 / 1000
        assert past.upper("any", "hyperv") == pytest.approx(poisson_upper(40, 2.326) / 10_000)

    def test_what_was_never_seen_has_a_limit_all_the_same(self) -> None:
        """99 % of a Poisson mean of 4.6 show something."""
        past = Rates({}, {"hyperv": 1000.0})
        assert past.upper("any", "hyperv") * 1000 == pytest.approx(-math.log(0.01), rel=0.02)

    def test_they_are_those_of_nodes_known_for_the_30_days_before_the_case(self) -> None:
        people = [a_member("a"), a_member("b", role="sql"), a_member("young", since=-29 * DAY)]
        told = [
            NodeOnset(T0 - 30 * DAY - 1, "a", "any"),
            NodeOnset(T0 - 30 * DAY, "a", "any"),
            NodeOnset(T0 - 1, "b", "any"),
            NodeOnset(T0, "b", "any"),
            NodeOnset(T0 - DAY, "young", "any"),
            NodeOnset(T0 - DAY, "stranger", "any"),
        ]
        found = rates(people, told, Baseline({}, frozenset(), {}, frozenset()), {}, T0)
        assert found.counts == {("any", "hyperv"): 1, ("any", "sql"): 1}
        assert found.hours == {"hyperv": 720.0, "sql": 720.0}

    def test_what_is_new_and_rare_is_told_by_what_was_known_30_days_earlier(self) -> None:
        """At the start of the case nothing of those days is new any more."""
        signatures = ("new", "seldom", "usual", "boot")
        told = [NodeOnset(T0 - DAY, "a", f"sig:{name}") for name in signatures]
        told += [NodeOnset(T0 - DAY, "a", level) for level in ("rare", "novel", "novel:reboot")]
        before = Baseline(
            {"usual": 9, "seldom": 1}, frozenset({"seldom"}), {}, frozenset({"service"})
        )
        found = rates([a_member("a")], told, before, {"boot": "service"}, T0)
        for level in ("novel", "rare", "novel:reboot", *(f"sig:{name}" for name in signatures)):
            assert found.counts[level, "hyperv"] == 1, level


def people() -> list[Member]:
    """One patched and nine unpatched nodes in each of 12 domains at 4 sites."""
    out = []
    for i in range(12):
        site = ("fra", "ams", "dub", "par")[i % 4]
        out += [a_member(f"u{i:02}-{k}", f"c{i:02}", site) for k in range(9)]
        out.append(a_member(f"p{i:02}", f"c{i:02}", site, patched=0))
    return out


def fold(onsets: Iterable[NodeOnset]) -> Fold:
    cohort = Cohort(people(), {}, T0, T0 + CASE_MS)
    past = HistoryArm(Table(), BEGIN, lambda: UNHEARD_OF, lambda: cohort.exposure)
    return Fold(cohort, sorted(onsets), Table(), past=past)


def without_history(onsets: Iterable[NodeOnset]) -> Fold:
    return Fold(Cohort(people(), {}, T0, T0 + CASE_MS), sorted(onsets), Table())


class TestFold:
    onsets = tuple(
        NodeOnset(T0 + (i + 2) * DAY, f"p{i:02}", level) for i in range(6) for level in ("any", SIG)
    )

    def test_where_the_past_is_asked_it_makes_up_a_third_of_e(self) -> None:
        first, *_, last = fold(self.onsets).path().steps
        alone = without_history(self.onsets).path().steps
        assert first.log_e == pytest.approx(alone[0].log_e + math.log(2 / 3), abs=1e-6)
        assert last.log_e > alone[-1].log_e

    def test_the_same_onsets_give_the_same_value_to_the_bit(self) -> None:
        whole = fold(self.onsets).path()
        for seed in range(5):
            assert fold(Random(seed).sample(self.onsets, 12)).path() == whole
        partly = fold(self.onsets)
        for day in (3, 7, 5):
            assert partly.at(T0 + day * DAY) == whole.at(T0 + day * DAY)
        assert partly.path() == whole

    def test_a_domains_further_onsets_in_half_an_hour_are_one(self) -> None:
        """Level 0 only: a shock that goes through one domain is one failure to the past."""
        at = T0 + 2 * DAY
        twice = [NodeOnset(at, "p00", SIG), NodeOnset(at + 29 * MINUTE, "p00", SIG)]
        alone = without_history(twice).path().steps[-1].log_e
        assert fold(twice).path().steps[-1].log_e == pytest.approx(
            alone + math.log(2 / 3), abs=1e-6
        )
