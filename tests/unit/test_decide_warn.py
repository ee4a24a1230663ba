"""When wealth becomes a warning, when the warning is over, and what only a warning believes."""

import math

from tests.fixtures.rollouts import (
    CLUSTERING,
    START,
    Fleet,
    a_fleet,
    decided,
    judged_case,
    outages_without_end,
    verdict,
)
from tests.fixtures.stories import DAY, HOUR, MINUTE, T0, event


class TestWarn:
    def fleet(self) -> Fleet:
        fleet = a_fleet(lambda i, j: j == 0 and i < 6, until=66 * DAY)
        outages_without_end(fleet[0][0], days=12)
        return fleet

    def test_begins_at_a_hundred(self) -> None:
        found = verdict(self.fleet())
        assert found.state == "warn"
        assert found.warn is not None
        assert found.warn.log_e >= 4.60, "ln 100"
        assert found.warn.victims == 1

    def test_ends_when_the_wealth_is_gone(self) -> None:
        """Unpatched nodes fail in the same way, and loop as it did."""
        fleet = self.fleet()
        for round_ in range(4):
            for i in range(6, 24):
                for j, node in enumerate(fleet[i]):
                    at = START + (14 + 2 * round_) * DAY + (i * 40 + j * 900) * MINUTE
                    for number in (1177, 5142, 1254, 1676, 1607):
                        for k in range(4):
                            node.says(event(CLUSTERING, number, at + k * MINUTE))
        found = verdict(fleet)
        assert found.log_e < 2.31, "ln 10"
        assert (found.state, found.warn) == ("inconclusive", None)


def half_patched(victims: int) -> Fleet:
    """Half of each cluster. Among peers a victim says little then; the branch never saw the like
    in the months before.
    """
    fleet = a_fleet(lambda i, j: j < 2)
    for i in range(victims):
        fleet[i][0].crashes("ClusSvc", START + (5 + 5 * i) * HOUR)
    return fleet


def taken_back(fleet: Fleet) -> Fleet:
    """Unpatched nodes fail in the same way, while some patched ones are in their first day."""
    for i in range(12, 24):
        fleet[i][3].crashes("ClusSvc", START + 21 * HOUR + i * MINUTE)
    return fleet


class TestThePast:
    def test_a_warning_believes_it_before_a_halt_does(self) -> None:
        found = decided(half_patched(4))
        *_, last = found.impact.steps
        assert last.log_h == 0.0, "no level's concurrent bet has come to 10"
        assert last.log_warn >= math.log(100) > 1 > last.log_e
        assert found.warn_ms == last.t_ms

    def test_the_verdict_warns_then_and_says_why_it_does_not_halt(self) -> None:
        found = verdict(half_patched(5))
        assert found.state == "warn"
        assert found.halt is None
        assert found.warn is not None
        assert found.warn.log_e >= math.log(100) > found.log_e
        assert "not yet a halt: E is" in found.reasons[0]

    def test_it_holds_since_it_began_as_long_as_the_past_says_so(self) -> None:
        found = decided(half_patched(6))
        assert found.warn_ms == found.impact.steps[3].t_ms
        assert all(step.log_e < 1 for step in found.impact.steps)

    def test_who_asks_when_it_was_first_warned_is_told_even_when_it_is_over(self) -> None:
        """As the benchmark and `kbwatch aa` ask."""
        fleet = half_patched(5)
        holding = judged_case(fleet)
        assert holding.first_warn is not None
        assert holding.first_warn == holding.warn
        assert holding.first_warn.signature == "scm/7031/clussvc"
        assert len(holding.first_warn.hits) < 6
        ended = judged_case(taken_back(fleet))
        assert ended.first_warn is not None
        assert (ended.first_warn.t_ms, ended.warn) == (holding.first_warn.t_ms, None)

    def test_three_are_not_enough_for_a_warning_either(self) -> None:
        assert decided(half_patched(3)).warn_ms is None

    def test_a_halt_asks_e_alone_however_loud_the_past_is(self) -> None:
        """Corroborated all the same: only what the past says for a warning is missing."""
        fleet = half_patched(10)
        steps = decided(fleet).impact.steps
        peak = max(step.log_e for step in steps)
        assert steps[-1].log_warn > 3 * peak
        above, at = decided(fleet, peak + 0.001), decided(fleet, peak)
        assert above.without_site is not None
        assert above.without_site > math.log(3)
        assert (above.halt_ms, at.halt_ms) == (None, steps[-1].t_ms)
        assert above.warn_ms is not None

    def test_controls_that_fail_alike_take_the_warning_back(self) -> None:
        found = decided(taken_back(half_patched(4)))
        assert max(step.log_warn for step in found.impact.steps) >= math.log(100)
        assert found.warn_ms is None


class TestInstants:
    def test_a_crossing_is_dated_at_the_instant_not_at_the_end_of_its_minute(self) -> None:
        """Half a minute later an unpatched node fails as well: it is another instant."""
        fleet = half_patched(10)
        steps = decided(fleet).impact.steps
        last = steps[-1]
        fleet[20][3].crashes("ClusSvc", last.t_ms - T0 + 30_000)
        later = decided(fleet, last.log_e)
        assert last.t_ms % MINUTE == 0
        assert later.impact.steps[-1].log_e < last.log_e
        assert later.halt_ms == last.t_ms


class TestArms:
    def test_the_verdict_tells_both_as_of_now(self) -> None:
        found = verdict(half_patched(10))
        mean = 2 / 3 * math.exp(found.log_c) + 1 / 3 * math.exp(found.log_h)
        assert found.log_h > 0
        assert math.isclose(math.exp(found.log_e), mean, rel_tol=1e-5)

    def test_nothing_has_happened_so_both_are_worth_one_or_less(self) -> None:
        found = verdict(a_fleet(lambda i, j: j == 0))
        assert (found.log_e, found.log_c, found.log_h) == (0.0, 0.0, 0.0)
