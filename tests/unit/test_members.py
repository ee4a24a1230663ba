"""Who takes part in a case, and where a node stands when."""

import pytest
from msgspec.structs import replace

from streams.detection.members import Case, Member, members, noise_class
from tests.fixtures.stories import (
    BRANCH,
    BUILD,
    DAY,
    HOUR,
    KB,
    MINUTE,
    T0,
    NodeStory,
    a_member,
    a_node,
    evidence_of,
)

CASE = Case("default", BRANCH, KB, BUILD)


def taking_part(*nodes: NodeStory) -> dict[str, Member]:
    return {m.node.node: m for m in members(CASE, evidence_of(nodes))}


def age(member: Member, at: int) -> int | None:
    place = member.place(T0 + at)
    return None if place is None else place.age


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (-1, 0),
        (0, 1),
        (HOUR - 1, 1),
        (HOUR, 2),
        (DAY - 1, 2),
        (DAY, 3),
        (35 * DAY - 1, 3),
        (35 * DAY, None),
    ],
)
def test_ages_after_the_patch(at: int, expected: int | None) -> None:
    assert age(a_member(patched=0), at) == expected


def test_an_unpatched_node_has_age_zero_for_ever() -> None:
    assert age(a_member(), 60 * DAY) == 0


def test_a_roll_back_ends_exposure_and_makes_no_control() -> None:
    member = a_member(patched=0, back=2 * HOUR)
    assert age(member, 2 * HOUR - 1) == 2
    assert age(member, 2 * HOUR) is None


def test_out_of_service_is_out_of_the_risk_set_after_the_grace() -> None:
    member = a_member(service=((-DAY, 0), (DAY, 2 * DAY)))
    assert age(member, 10 * MINUTE - 1) == 0
    assert age(member, 10 * MINUTE) is None
    assert age(member, DAY - 1) is None
    assert age(member, DAY) == 0


@pytest.mark.parametrize(
    ("weeks", "expected"),
    [
        ({}, "0"),
        ({-5: 1}, "1-2"),
        ({-13: 2}, "1-2"),
        ({-5: 1, -13: 2}, "3+"),
        ({-4: 9, -1: 9, 0: 9}, "0"),  # days under judgement are not noise
        ({-14: 9}, "0"),
    ],
)
def test_noise_is_what_happened_five_to_thirteen_weeks_ago(
    weeks: dict[int, int], expected: str
) -> None:
    assert noise_class(a_member(weeks=weeks).node, T0) == expected


def test_less_than_30_days_of_history_is_unknown_noise() -> None:
    assert noise_class(a_member(since=-30 * DAY + 1).node, T0) == "unknown"
    assert noise_class(a_member(since=-30 * DAY).node, T0) == "0"


def test_a_members_stays_are_its_places_over_time() -> None:
    member = a_member(
        patched=3 * DAY,
        back=9 * DAY,
        service=((-40 * DAY, 5 * DAY), (6 * DAY, 60 * DAY)),
        since=-29 * DAY,
        weeks={-7: 2},
    )
    begin, end = T0 - DAY, T0 + 40 * DAY
    stays = member.stays(begin, end)
    for t_ms in range(begin, end, 10 * MINUTE):
        place = member.place(t_ms)
        here = [(noise, age) for a, b, noise, age in stays if a <= t_ms < b]
        assert here == ([] if place is None else [(place.noise, place.age)]), t_ms - T0
    assert {noise for _, _, noise, _ in stays} == {"unknown", "1-2"}


def test_a_node_that_ran_the_build_before_its_log_begins_takes_no_part() -> None:
    old = a_node("old").lives(until=2 * DAY)
    there = a_node("there").boots(BUILD, 0)
    newer = a_node("newer").boots("17763.9999", 0)
    assert set(taking_part(old, there, newer)) == {"old"}


def test_pending_is_not_exposed() -> None:
    node = a_node().lives(until=2 * DAY).state(KB, "staged", DAY)
    assert taking_part(node)["hv01"].patch is None


def test_with_three_sites_a_site_is_a_site_with_fewer_the_domain_plays_its_part() -> None:
    nodes = [a_node(f"n{i}", f"c{i}", site).lives(until=DAY) for i, site in enumerate("abc")]
    assert {m.site for m in taking_part(*nodes).values()} == {"a", "b", "c"}
    assert {m.site for m in taking_part(*nodes[:2]).values()} == {"c0", "c1"}


def test_a_node_that_moved_counts_once_where_it_was_seen_last() -> None:
    before = a_node("hv01", "c1").lives(until=2 * DAY).crashes("ClusSvc", DAY)
    after = a_node("hv01", "c2").lives(since=2 * DAY, until=9 * DAY).patched(at=3 * DAY)
    for order in ((before, after), (after, before)):
        everybody = taking_part(*order)
        assert [(m.domain, m.patch is not None) for m in everybody.values()] == [("c2", True)]


def test_a_kb_without_a_build_exposes_by_state() -> None:
    node = a_node().lives(until=9 * DAY).state("KB5054321", "effective", DAY)
    case = Case("default", BRANCH, "KB5054321", "")
    (member,) = members(
        case,
        evidence_of(
            [
                node,
            ]
        ),
    )
    assert member.patch is not None
    assert member.patch.t_ms == T0 + DAY


def test_members_come_in_the_order_of_their_names() -> None:
    evidence = evidence_of([a_node(n).lives(until=DAY) for n in ("b", "a", "c")])
    for parts in (evidence, evidence[::-1]):
        assert [m.node.node for m in members(CASE, parts)] == ["a", "b", "c"]
    assert members(CASE, [replace(e, nodes=()) for e in evidence]) == []
