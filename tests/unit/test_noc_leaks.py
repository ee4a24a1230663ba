"""The nodes on which a halted KB took effect all the same: named, not only counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from dashboards.noc.book import Book
from dashboards.noc.model import CaseCard, NextStep
from dashboards.noc.sightings import contribution
from schemas.evidence import NodeEvidence
from schemas.halts import HaltState, Transition
from streams.detection.rule import literals
from tests.fixtures.noc import (
    CASE,
    HOUR_MS,
    MINUTE_MS,
    NOW_MS,
    Record,
    book_of,
    crossing,
    evidence,
    halt,
    halts,
    heard,
    node,
    patched,
    says,
    staged,
    take,
    verdict,
)

HALTED = verdict(state="halt", halt=crossing(60, 6.0, 8, 30, 60), victim_nodes=("late-victim",))
FLEET = (
    evidence("a", patched(node("early"), NOW_MS - 61 * MINUTE_MS)),
    evidence("b", patched(node("late"), NOW_MS - 59 * MINUTE_MS)),
    evidence("c", patched(node("late-victim"), NOW_MS - 50 * MINUTE_MS)),
    evidence("d", staged(node("staged"))),
    evidence("e", patched(node("other-kb"), NOW_MS, "KB5055519", "17763.7136")),
)


def active(state: HaltState = "active", **changes: object) -> Record:
    made = halt(HALTED, Transition(state, NOW_MS - HOUR_MS, "policy", "mode auto"))
    return halts(replace(made, **changes))


def step(book: Book) -> NextStep | None:
    case = book.cases.get(f"default/{CASE}")
    assert case is not None
    return next((one for one in book.cases.whole(case).steps if one.kind == "leaked"), None)


def leaked(book: Book) -> tuple[str, ...]:
    found = step(book)
    return found.nodes if found else ()


def told(book: Book) -> list[tuple[str, ...]]:
    """Whom the cards that are told now name as late."""
    cards = [data for _, data in book.changes() if isinstance(data, CaseCard)]
    return [next((one.nodes for one in card.steps if one.kind == "leaked"), ()) for card in cards]


def test_they_are_those_on_which_it_took_effect_after_the_crossing() -> None:
    book = book_of(says(HALTED), active(), *FLEET)
    found = step(book)

    assert found is not None
    assert (found.count, found.nodes) == (2, ("late", "late-victim"))


@pytest.mark.parametrize("state", ["proposed", "denied", "lifted"])
def test_nothing_leaks_through_a_halt_that_is_not_active(state: HaltState) -> None:
    assert leaked(book_of(says(HALTED), active(state), *FLEET)) == ()
    assert leaked(book_of(says(HALTED), *FLEET)) == ()


def test_a_node_that_got_rid_of_it_leaks_no_more() -> None:
    book = book_of(says(HALTED), active(), *FLEET)
    back = patched(node("late"), NOW_MS - 59 * MINUTE_MS)
    back = replace(back, patches=(replace(back.patches[0], state="rolled_back", end_ms=NOW_MS),))
    take(book, evidence("b", back, offset=2))

    assert leaked(book) == ("late-victim",)


def test_a_halt_by_its_rule_is_for_nodes_under_the_rule_only() -> None:
    host = node("late", covariates={"csv_bitlocker": True})
    book = book_of(
        says(HALTED),
        active(scope_by="rule", rule=("clustered", "csv_bitlocker")),
        evidence("c1", patched(host, NOW_MS)),
        evidence("c2", patched(node("without"), NOW_MS)),
        evidence("alone", patched(replace(host, node="alone"), NOW_MS)),
    )

    assert leaked(book) == ("late",)


def test_they_are_named_as_long_as_the_halt_stands_whatever_the_case_has_come_to() -> None:
    book = book_of(says(replace(HALTED, state="inconclusive")), active(), *FLEET)

    assert leaked(book) == ("late", "late-victim")


def test_a_new_one_is_told_with_the_card() -> None:
    book = book_of(says(HALTED), active(), *FLEET)
    take(book, evidence("d", patched(node("staged"), NOW_MS), offset=2))

    assert told(book) == [("late", "late-victim", "staged")]


def test_one_that_took_it_again_is_told_though_its_letter_stays() -> None:
    book = book_of(says(HALTED), active(), *FLEET)
    book.cases.cards()  # somebody looks
    again = patched(node("early"), NOW_MS - 5 * MINUTE_MS)
    take(book, evidence("a", again, offset=2))

    assert told(book) == [("early", "late", "late-victim")]
    take(book, evidence("a", heard(again, NOW_MS), offset=3))
    assert told(book) == [], "a sighting alone is no news"
    take(book, evidence("a", patched(node("early"), NOW_MS - 61 * MINUTE_MS), offset=4))
    assert told(book) == [("late", "late-victim")]


def test_one_that_comes_under_the_halts_rule_is_told() -> None:
    book = book_of(says(HALTED), active(scope_by="rule", rule=("csv_bitlocker",)), *FLEET)
    book.cases.cards()
    host = patched(node("late", covariates={"csv_bitlocker": True}), NOW_MS - 59 * MINUTE_MS)
    take(book, evidence("b", host, offset=2))

    assert told(book) == [("late",)]


def test_what_to_do_blames_nothing_for_a_halt_that_was_approved_late() -> None:
    """Crossed an hour ago, approved ten minutes ago: what came between went by the book."""
    approved = halt(
        HALTED,
        Transition("proposed", NOW_MS - HOUR_MS, "policy", "mode approve"),
        Transition("active", NOW_MS - 10 * MINUTE_MS, "ops", "approved"),
    )
    found = step(book_of(says(HALTED), halts(approved), *FLEET))

    assert found is not None
    assert found.nodes == ("late", "late-victim")
    assert found.title == "Took effect after the crossing"
    assert found.action == "Where the halt was active by then, find the way it took"


@given(
    role=st.sampled_from(["hyperv", ""]),
    domain=st.sampled_from(["n", "c1"]),
    covariates=st.dictionaries(
        st.text("abc", max_size=3), st.booleans() | st.text("xy", max_size=2), max_size=4
    ),
)
def test_what_a_rule_may_say_of_a_node_is_what_the_detector_says(
    role: str, domain: str, covariates: dict[str, bool | str]
) -> None:
    seen: NodeEvidence = node("n", role=role, covariates=covariates)
    _, _, raw = evidence(domain, seen)
    assert raw is not None
    (known,) = contribution(raw).nodes

    assert known.facts == literals(seen, domain)
