"""What H expects: hours of exposure, and how often the branch failed before."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.detection.history import Exposure, Rates, rates
from streams.detection.margins import poisson_upper
from streams.detection.tree import Baseline, NodeOnset
from tests.fixtures.stories import DAY, HOUR, MINUTE, T0, a_member

AGES_MS = ((0, HOUR), (HOUR, DAY), (HOUR, 35 * DAY))


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
                    age = (t // 1000 - patched // 1000) * 1000
                    spent = max(min(age, to_ms) - from_ms, 0)
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
