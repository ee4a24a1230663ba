"""H: what the branch's own past says, as far as the concurrent bet on the same level agrees."""

import math
from collections.abc import Iterable, Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.detection.history import Exposure, HistoryArm, Rates, Worth
from streams.detection.margins import FLOOR, Table
from streams.detection.tilt import HISTORY_MS
from streams.detection.tree import weight
from streams.detection.wealth import CONTROL_AGES, EXPOSED_AGES, RATES, WINDOW_WEIGHTS
from tests.fixtures.stories import DAY, T0, a_member

SIG = "sig:scm/7031/clussvc"
BEGIN = T0 - HISTORY_MS
NOW = T0 + 10 * DAY
UNHEARD_OF = Rates({}, {"hyperv": 720 * 10_000.0})
FEW_EXPOSED = [990, 0, 10, 0]
HALF_EXPOSED = [50, 0, 50, 0]

Bet = tuple[int, list[int]]
"""The age of the node that failed, and the nodes by age."""


def exposure(nodes: int = 10) -> Exposure:
    return Exposure([a_member(f"p{i}", patched=0) for i in range(nodes)], T0)


def arm(past: Rates = UNHEARD_OF, margins: Table | None = None) -> HistoryArm:
    known = Table(logged={SIG.removeprefix("sig:"): "cluster"})
    return HistoryArm(margins or known, BEGIN, lambda: past, exposure)


def told(made: HistoryArm, bets: Iterable[Bet], level: str = SIG, since: int = BEGIN) -> float:
    """What H is worth for a halt after further bets."""
    for age, counts in bets:
        made.bet(level, since, age, counts, psi=1.0)
    return made.value(NOW, psi=1.0).agreed


def gated(made: HistoryArm, bets: Iterable[Bet] = ()) -> float:
    """What it is worth for a warning."""
    told(made, bets)
    return made.value(NOW, psi=1.0).gated


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


def by_hand(bets: Sequence[Bet], past: Rates, level: str = SIG) -> Worth:
    """H of one level from the formulas of the module."""
    halts = warns = 0.0
    for window in range(3):
        hits = sum(
            age in EXPOSED_AGES[window] and any(counts[a] for a in CONTROL_AGES[window])
            for age, counts in bets
        )
        concurrent = agreed(bets, window)
        if hits >= 2 and concurrent >= 1.5:
            mean = exposure().hours(window, NOW)["hyperv"] * past.upper(level, "hyperv")
            mean *= FLOOR[window]
            ratio = sum(math.exp(hits * math.log(r) - (r - 1) * mean) for r in RATES)
            share = weight(level) * WINDOW_WEIGHTS[window] / 5
            warns += share * ratio
            halts += min(share * ratio, concurrent) if concurrent >= 10 else 0.0
    return Worth(halts, warns)


class TestWhenItSpeaks:
    def test_one_failure_says_nothing_however_unheard_of(self) -> None:
        assert told(arm(), [(2, [100_000, 0, 1, 0])]) == 0.0

    def test_two_of_a_few_patched_nodes_do(self) -> None:
        bets = [(2, FEW_EXPOSED)] * 2
        assert told(arm(), bets) == pytest.approx(by_hand(bets, UNHEARD_OF).agreed)
        assert by_hand(bets, UNHEARD_OF).agreed > 1

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
        assert flaky.value(NOW, psi=20.0).agreed < flaky.value(NOW, psi=1.0).agreed / 10

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
    made = arm(past)
    value, expected = told(made, bets), by_hand(bets, past)
    assert value == pytest.approx(expected.agreed, rel=1e-9)
    assert value <= gated(made) == pytest.approx(expected.gated, rel=1e-9)
    assert value <= sum(agreed(bets, window) for window in range(3)) * (1 + 1e-9)


class TestForAWarning:
    def test_it_counts_fully_from_a_concurrent_bet_of_one_and_a_half_on(self) -> None:
        """Where two thirds are patched each failure is worth 1.3: the second opens the gate."""
        made, bets = arm(), [(2, [100, 0, 200, 0])] * 2
        one, two = (max(agreed(bets[:hits], w) for w in (1, 2)) for hits in (1, 2))
        assert one < 1.5 <= two < 10
        assert gated(made, bets) == pytest.approx(by_hand(bets, UNHEARD_OF).gated)
        assert gated(made) > 10 * two, "no minimum here"
        assert told(made, ()) == 0.0, "for a halt it has not said a word"

    def test_below_that_it_says_nothing_either(self) -> None:
        made, bets = arm(), [(2, [10, 0, 990, 0])] * 4
        assert max(agreed(bets, w) for w in (1, 2)) < 1.5
        assert gated(made, bets) == 0.0

    def test_one_failure_says_nothing_however_the_others_lean(self) -> None:
        assert agreed([(2, FEW_EXPOSED)], 2) > 1.5
        assert gated(arm(), [(2, FEW_EXPOSED)]) == 0.0

    def test_failures_of_unpatched_nodes_shut_the_gate(self) -> None:
        made = arm()
        assert gated(made, [(2, HALF_EXPOSED)] * 3) > 1
        assert gated(made, [(0, HALF_EXPOSED)] * 6) == 0.0

    def test_an_upper_level_that_restarts_disturb_has_no_say_here_either(self) -> None:
        wide = Table({"class:service": (10 * FLOOR[0] + 0.1, 1.5, 1.5)})
        made = arm(margins=wide)
        told(made, [(1, [99_999, 1, 0, 0])] * 3, "class:service")
        assert gated(made) == 0.0


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
            assert made.value(NOW, psi=1.0).agreed < 1
        assert reached <= outages / 30
