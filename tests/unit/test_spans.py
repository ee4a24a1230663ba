"""When a case is judged: no single node, clock or forgotten name decides it."""

import pytest

from schemas.evidence import DomainEvidence
from streams.detection.chains import DAY_MS
from streams.detection.members import EXPOSED_MS
from streams.detection.spans import CASE_MS, case_spans, heard_ms
from tests.fixtures.stories import BUILD, DAY, KB, T0, NodeStory, a_node, evidence_of


def a_fleet(count: int, until: int) -> list[NodeStory]:
    """Nodes patched one a day from day 40 on."""
    return [a_node(f"n{i:02}").lives(until=until).patched(at=(40 + i) * DAY) for i in range(count)]


def span(evidence: list[DomainEvidence]) -> tuple[int, int]:
    (only,) = [s for s in case_spans(evidence) if (s.kb, s.build) == (KB, BUILD)]
    return only.start_ms, only.end_ms


def test_a_case_lasts_until_nobody_is_exposed() -> None:
    start_ms, end_ms = span(evidence_of(a_fleet(5, until=50 * DAY)))
    assert start_ms == T0 + 40 * DAY
    assert end_ms == T0 + 44 * DAY + EXPOSED_MS


def test_it_lasts_65_days_at_most() -> None:
    fleet = a_fleet(5, until=50 * DAY)
    fleet.append(a_node("late").lives(until=90 * DAY).patched(at=85 * DAY))
    start_ms, end_ms = span(evidence_of(fleet))
    assert end_ms == start_ms + CASE_MS


@pytest.mark.parametrize("day", [1, 5])
def test_a_pilot_or_a_dead_clock_does_not_start_it(day: int) -> None:
    fleet = a_fleet(5, until=50 * DAY)
    fleet.append(a_node("odd").lives(until=50 * DAY).patched(at=day * DAY))
    assert span(evidence_of(fleet))[0] == T0 + 40 * DAY


def test_a_first_ring_within_30_days_does() -> None:
    fleet = a_fleet(5, until=50 * DAY)
    fleet.append(a_node("ring0").lives(until=50 * DAY).patched(at=15 * DAY))
    assert span(evidence_of(fleet))[0] == T0 + 15 * DAY


def test_time_is_the_median_of_the_living() -> None:
    fleet = [a_node(f"n{i}").lives(until=(20 + i) * DAY) for i in range(3)]
    assert heard_ms(evidence_of(fleet)) == T0 + 21 * DAY


def test_nodes_that_are_gone_do_not_hold_it_back() -> None:
    living = [a_node(f"n{i}").lives(until=40 * DAY) for i in range(20)]
    gone = [a_node(f"old{i}").lives(until=5 * DAY) for i in range(60)]
    assert heard_ms(evidence_of([*living, *gone])) == T0 + 40 * DAY


def test_one_clock_ahead_does_not_move_it() -> None:
    fleet = [a_node(f"n{i:02}").lives(until=40 * DAY) for i in range(19)]
    ahead = a_node("ahead").lives(until=60 * DAY)
    assert heard_ms(evidence_of([*fleet, ahead])) == T0 + 40 * DAY


def test_no_nodes_no_time() -> None:
    assert heard_ms([]) == 0


def test_a_kb_without_a_build_needs_two_domains() -> None:
    one = a_node("n1").lives(until=9 * DAY).state("KB4287903", "effective", DAY)
    two = a_node("n2").lives(until=9 * DAY).state("KB4287903", "effective", 2 * DAY)
    assert case_spans(evidence_of([one])) == []
    (only,) = case_spans(evidence_of([one, two]))
    assert (only.kb, only.build, only.start_ms) == ("KB4287903", "", T0 + DAY_MS)
