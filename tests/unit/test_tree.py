"""At which levels a failure counts, and what of it counts as harm."""

import pytest
from msgspec.structs import replace

from schemas.evidence import DomainEvidence, Onset
from streams.detection.chains import Chain
from streams.detection.tree import (
    MAX_SIGNATURES,
    UPPER,
    Baseline,
    baseline,
    impact_chain,
    node_onsets,
    symptom_chain,
    weight,
)
from tests.fixtures.stories import DAY, HOUR, MINUTE, T0, WEEK

SERVICE = "scm/7031/clussvc"


def an_onset(*times: int, impact: str = "degraded") -> Onset:
    return Onset("n", SERVICE, "service", impact, times[0], times[-1], times)


class TestImpact:
    def test_an_outage_counts_at_once(self) -> None:
        assert impact_chain(an_onset(5, impact="outage")) == Chain(5, 5)

    def test_an_error_per_boot_is_a_symptom_and_no_harm(self) -> None:
        per_boot = an_onset(0, DAY - 1, 2 * DAY - 2)
        assert impact_chain(per_boot) is None
        assert symptom_chain(per_boot) == Chain(0, 2 * DAY - 2)

    def test_three_within_an_hour_are_harm_from_the_third_on(self) -> None:
        assert impact_chain(an_onset(0, 30 * MINUTE, HOUR)) == Chain(HOUR, HOUR)
        assert impact_chain(an_onset(0, 30 * MINUTE, HOUR + 1)) is None

    def test_a_loop_that_begins_slowly_counts_when_it_speeds_up(self) -> None:
        slow = (0, 5 * HOUR, 10 * HOUR, 10 * HOUR + MINUTE, 10 * HOUR + 2 * MINUTE)
        assert impact_chain(an_onset(*slow)) == Chain(slow[-1], slow[-1])

    def test_what_never_has_impact_can_recur_into_it(self) -> None:
        assert impact_chain(an_onset(0, 1, 2, impact="none")) is not None


def history(counts: dict[str, dict[int, int]]) -> DomainEvidence:
    week = T0 // WEEK
    return DomainEvidence(
        v=1,
        fleet="f",
        branch="b",
        domain="d",
        epoch=0,
        offset=0,
        baseline={s: {week + w: n for w, n in weeks.items()} for s, weeks in counts.items()},
    )


class TestBaseline:
    def test_known_is_what_the_13_weeks_before_the_first_week_have_seen(self) -> None:
        seen = history({"edge": {-13: 1}, "old": {-14: 9}, "own": {0: 9}, "last": {-1: 1}})
        assert baseline([seen], T0, frozenset()).known == {"edge": 1, "last": 1}

    def test_rare_are_the_least_frequent_up_to_a_tenth(self) -> None:
        seen = history({"a": {-2: 4}, "b": {-2: 6}, "c": {-2: 90}})
        assert baseline([seen], T0, frozenset()).rare == {"a", "b"}
        assert baseline([replace(seen, baseline={}), seen, seen], T0, frozenset()).rare == {
            "a",
            "b",
        }
        assert baseline(
            [history({"a": {-2: 4}, "b": {-2: 7}, "c": {-2: 89}})], T0, frozenset()
        ).rare == {"a"}

    def test_levels_of_a_signature(self) -> None:
        base = Baseline(
            {"usual": 9, "seldom": 1}, frozenset({"seldom"}), {}, frozenset({"service"})
        )
        assert base.levels("usual", "vm") == ("any", "class:vm", "sig:usual")
        assert base.levels("seldom", "vm") == ("any", "class:vm", "rare", "sig:seldom")
        assert base.levels("new", "vm") == ("any", "class:vm", "novel", "sig:new")
        assert base.levels("new", "invented")[1] == "class:other"

    def test_what_is_new_or_rare_in_a_class_that_restarts_break_has_levels_of_its_own(self) -> None:
        base = Baseline({"seldom": 1}, frozenset({"seldom"}), {}, frozenset({"service"}))
        assert base.levels("seldom", "service")[2] == "rare:reboot"
        assert base.levels("new", "service")[2] == "novel:reboot"


def test_the_prior_is_spent_once() -> None:
    assert sum(map(weight, UPPER)) + MAX_SIGNATURES * weight("sig:a") == pytest.approx(1.0)


def test_each_level_clusters_on_its_own() -> None:
    """A 7023 at boot does not swallow the 7031 that follows: their signatures differ."""
    base = Baseline({"a": 1, "b": 1}, frozenset(), {}, frozenset())
    chains = {("a", "service"): [Chain(0, 0)], ("b", "service"): [Chain(HOUR, HOUR)]}
    onsets = sorted((o.level, o.t_ms) for o in node_onsets("n", chains, base.levels))
    assert onsets == [("any", 0), ("class:service", 0), ("sig:a", 0), ("sig:b", HOUR)]
