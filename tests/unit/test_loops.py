"""Loops: the same failure four times within an hour, at levels of their own."""

from collections.abc import Callable

import pytest

from schemas.evidence import DomainEvidence, Onset
from streams.detection.chains import Chain
from streams.detection.fold import Cohort, Fold, onsets_of
from streams.detection.history import rates
from streams.detection.margins import Table
from streams.detection.spans import CASE_MS
from streams.detection.tree import (
    CLASSES,
    LOOPS,
    Baseline,
    NodeOnset,
    impact_chain,
    loop_chain,
    loop_onsets,
    symptom_chain,
)
from tests.fixtures.stories import DAY, HOUR, MINUTE, T0, a_member

SERVICE = "scm/7031/clussvc"
BASE = Baseline({SERVICE: 9}, frozenset(), {SERVICE: "service"}, frozenset())


def an_onset(
    *times: int,
    impact: str = "degraded",
    node: str = "n",
    signature: str = SERVICE,
    cls: str = "service",
) -> Onset:
    return Onset(node, signature, cls, impact, times[0], times[-1], times)


def every_minute(times: int, since: int = 0) -> tuple[int, ...]:
    return tuple(since + i * MINUTE for i in range(times))


class TestWhatIsOne:
    @pytest.mark.parametrize("impact", ["outage", "degraded", "none"])
    def test_the_fourth_within_an_hour_makes_it_whatever_its_impact(self, impact: str) -> None:
        told = an_onset(0, 5 * MINUTE, 10 * MINUTE, HOUR, impact=impact)
        assert loop_chain(told) == Chain(HOUR, HOUR), "dated at the fourth: only then it is known"

    def test_the_service_managers_three_tries_are_none(self) -> None:
        three = an_onset(*every_minute(3))
        assert loop_chain(three) is None
        assert impact_chain(three) is not None, "though they are harm"

    def test_four_that_take_longer_than_an_hour_are_none(self) -> None:
        assert loop_chain(an_onset(0, 5 * MINUTE, 10 * MINUTE, HOUR + 1)) is None

    def test_one_that_begins_slowly_counts_when_it_speeds_up(self) -> None:
        slow = (0, 5 * HOUR, *every_minute(4, since=10 * HOUR))
        assert loop_chain(an_onset(*slow)) == Chain(slow[-1], slow[-1])

    def test_it_lasts_as_long_as_the_onset(self) -> None:
        told = Onset("n", SERVICE, "service", "outage", 0, 5 * HOUR, every_minute(8))
        assert loop_chain(told) == Chain(3 * MINUTE, 5 * HOUR)


def at_levels(chains: dict[str, list[Chain]]) -> list[tuple[str, int]]:
    return sorted((o.level, o.t_ms) for o in loop_onsets("n", chains))


class TestLevels:
    @pytest.mark.parametrize("cls", CLASSES)
    def test_a_loop_counts_as_any_loop_and_as_one_of_its_class(self, cls: str) -> None:
        assert at_levels({cls: [Chain(7, 9)]}) == sorted([("loop", 7), (f"loop:{cls}", 7)])
        assert f"loop:{cls}" in LOOPS

    def test_one_of_an_invented_class_counts_among_the_others(self) -> None:
        assert at_levels({"invented": [Chain(7, 9)]}) == [("loop", 7), ("loop:other", 7)]

    def test_loops_of_two_signatures_of_a_class_within_a_day_are_one(self) -> None:
        both = {"service": [Chain(HOUR, HOUR), Chain(0, 0)]}
        assert at_levels(both) == [("loop", 0), ("loop:service", 0)]

    def test_loops_of_two_classes_are_one_only_where_classes_do_not_count(self) -> None:
        both = {"service": [Chain(0, 0)], "vm": [Chain(HOUR, HOUR)]}
        assert at_levels(both) == [("loop", 0), ("loop:service", 0), ("loop:vm", HOUR)]

    def test_a_day_later_it_is_another(self) -> None:
        two = {"service": [Chain(0, 0), Chain(DAY, DAY)]}
        levels = ("loop", "loop:service")
        assert at_levels(two) == [(level, t) for level in levels for t in (0, DAY)]


def evidence(*onsets: Onset, domain: str = "c1") -> DomainEvidence:
    return DomainEvidence(
        v=1, fleet="f", branch="b", domain=domain, epoch=0, offset=0, onsets=onsets
    )


def found(
    part: Callable[[Onset], Chain | None], *onsets: Onset, since: int = 0, domain: str = "c1"
) -> dict[str, int]:
    """When which level of one node has its onset."""
    made = onsets_of([a_member("n")], [evidence(*onsets, domain=domain)], BASE, part, since)
    assert made == sorted(made)
    assert len({o.level for o in made}) == len(made)
    return {o.level: o.t_ms for o in made}


USUAL = {"any", "class:service", f"sig:{SERVICE}"}


class TestOnsets:
    def test_an_outages_loop_is_dated_later_than_the_outage(self) -> None:
        told = found(impact_chain, an_onset(*every_minute(5), impact="outage"))
        looping = {"loop": 3 * MINUTE, "loop:service": 3 * MINUTE}
        assert told == dict.fromkeys(USUAL, 0) | looping

    def test_what_recurs_is_harm_from_the_third_and_a_loop_from_the_fourth_on(self) -> None:
        told = found(impact_chain, an_onset(*every_minute(4)))
        assert {told[level] for level in USUAL} == {2 * MINUTE}
        assert {told[level] for level in told.keys() - USUAL} == {3 * MINUTE}
        assert told.keys() - USUAL == {"loop", "loop:service"}

    def test_three_tries_count_at_no_level_of_loops(self) -> None:
        for part in (impact_chain, symptom_chain):
            assert found(part, an_onset(*every_minute(3), impact="outage")).keys() == USUAL

    def test_symptoms_have_the_same_loops(self) -> None:
        told = found(symptom_chain, an_onset(*every_minute(4), impact="none"))
        assert (told["any"], told["loop"]) == (0, 3 * MINUTE)

    def test_another_domains_word_on_the_node_does_not_count(self) -> None:
        assert found(symptom_chain, an_onset(*every_minute(4)), domain="c2") == {}

    def test_what_was_over_before_is_left_out(self) -> None:
        assert found(symptom_chain, an_onset(*every_minute(4)), since=HOUR) == {}


class TestBets:
    people = tuple(
        a_member(f"{kind}{i}", f"c{i}", ("fra", "ams", "dub")[i % 3], patched=patched)
        for i in range(9)
        for kind, patched in (("p", 0), ("u", None), ("v", None), ("w", None))
    )

    def wealth(self, *told: Onset, margins: Table | None = None) -> float:
        parts = [
            evidence(*(o for o in told if o.node[1:] == f"{i}"), domain=f"c{i}") for i in range(9)
        ]
        onsets = onsets_of(self.people, parts, BASE, impact_chain, T0)
        cohort = Cohort(self.people, {}, T0, T0 + CASE_MS)
        return Fold(cohort, onsets, margins or Table()).path().steps[-1].log_e

    def failing(self, times: int, kind: str = "p") -> list[Onset]:
        when = [T0 + (2 + i) * DAY for i in range(6)]
        return [
            an_onset(*every_minute(times, since=t), impact="outage", node=f"{kind}{i}")
            for i, t in enumerate(when)
        ]

    def test_patched_nodes_that_loop_say_more_than_those_that_come_back(self) -> None:
        assert self.wealth(*self.failing(4)) > self.wealth(*self.failing(3)) + 0.3

    def test_unpatched_ones_that_loop_speak_for_the_kb(self) -> None:
        mine, others = self.failing(3), self.failing(4, kind="u")
        assert self.wealth(*mine, *others) < self.wealth(*mine, *self.failing(3, kind="u"))

    def test_they_have_margins_of_their_own(self) -> None:
        usual = self.failing(4)
        wide = Table(dict.fromkeys(LOOPS, (99.0, 99.0, 99.0)))
        assert self.wealth(*usual, margins=wide) < self.wealth(*usual)
        assert self.wealth(*self.failing(3), margins=wide) == self.wealth(*self.failing(3))


def test_the_past_has_a_rate_of_loops_too() -> None:
    told = [NodeOnset(T0 - DAY, "a", level) for level in ("loop", "loop:service", "loop:service")]
    past = rates([a_member("a")], told, BASE, {}, T0)
    assert past.counts == {("loop", "hyperv"): 1, ("loop:service", "hyperv"): 2}


def test_loops_of_classes_that_nobody_lists_are_counted_together() -> None:
    found = loop_onsets("n", {"other": [Chain(0, 0)], "invented": [Chain(2 * DAY, 2 * DAY)]})
    assert sorted(o.t_ms for o in found if o.level == "loop:other") == [0, 2 * DAY]
