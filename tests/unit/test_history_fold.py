"""H in a fold: what it adds to E, and what a warning asks instead."""

import math
from collections.abc import Iterable, Sequence
from random import Random

import pytest

from streams.detection.fold import Cohort, Fold, Step
from streams.detection.history import HistoryArm, Rates
from streams.detection.margins import Table
from streams.detection.members import Member
from streams.detection.spans import CASE_MS
from streams.detection.tilt import HISTORY_MS
from streams.detection.tree import NodeOnset
from tests.fixtures.stories import DAY, HOUR, MINUTE, T0, a_member

SIG = "sig:scm/7031/clussvc"
BEGIN = T0 - HISTORY_MS
UNHEARD_OF = Rates({}, {"hyperv": 720 * 10_000.0})


def people() -> list[Member]:
    """One patched and nine unpatched nodes in each of 12 domains at 4 sites."""
    out = []
    for i in range(12):
        site = ("fra", "ams", "dub", "par")[i % 4]
        out += [a_member(f"u{i:02}-{k}", f"c{i:02}", site) for k in range(9)]
        out.append(a_member(f"p{i:02}", f"c{i:02}", site, patched=0))
    return out


def fold(onsets: Iterable[NodeOnset], members: Sequence[Member] | None = None) -> Fold:
    cohort = Cohort(members or people(), {}, T0, T0 + CASE_MS)
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


def late(nodes: int, after: int = 2 * DAY) -> list[NodeOnset]:
    """Patched nodes that fail an hour apart in a way nobody has seen before."""
    return [NodeOnset(T0 + after + i * HOUR, f"p{i:02}", SIG) for i in range(nodes)]


def mean(step: Step, h: float) -> float:
    return 2 / 3 * math.exp(step.log_c) + h / 3


def crowd() -> list[Member]:
    """Two patched and two unpatched nodes in each of 12 domains."""
    out = []
    for i in range(12):
        site = ("fra", "ams", "dub", "par")[i % 4]
        out += [a_member(f"{kind}{i:02}", f"c{i:02}", site) for kind in "uv"]
        out += [a_member(f"{kind}{i:02}", f"c{i:02}", site, patched=0) for kind in "pq"]
    return out


class TestArms:
    def test_e_is_two_thirds_of_the_one_and_a_third_of_the_other(self) -> None:
        last = fold(late(6)).path().steps[-1]
        assert last.log_h > 0
        assert math.exp(last.log_e) == pytest.approx(mean(last, math.exp(last.log_h)), rel=1e-5)

    def test_the_concurrent_arm_is_what_it_is_without_a_past(self) -> None:
        arms, alone = fold(late(6)).path().steps, without_history(late(6)).path().steps
        assert [s.log_c for s in arms] == [s.log_e for s in alone]

    def test_a_past_that_is_worth_less_than_one_is_told_as_nothing(self) -> None:
        first = fold(late(1)).path().steps[0]
        assert first.log_h == 0.0
        assert math.exp(first.log_e) == pytest.approx(mean(first, 0.0), rel=1e-5)

    def test_a_warning_asks_never_less_than_e(self) -> None:
        onsets = [*late(6), *(NodeOnset(o.t_ms + MINUTE, o.node, "any") for o in late(6))]
        steps = fold(onsets).path().steps
        assert all(step.log_warn >= step.log_e for step in steps)
        assert steps[0].log_warn == steps[0].log_e, "one failure says nothing to either"

    def test_it_hears_the_past_before_a_halt_does(self) -> None:
        """Half are patched: among peers each failure says little."""
        daily = [NodeOnset(T0 + (2 + i) * DAY, f"p{i:02}", SIG) for i in range(4)]
        *_, last = fold(daily, crowd()).path().steps
        assert math.exp(last.log_warn) > 100
        assert last.log_h == 0.0
        assert math.exp(last.log_e) == pytest.approx(mean(last, 0.0), rel=1e-5)
