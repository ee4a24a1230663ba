"""How fresh a branch is for the gate, and what of it can't be read."""

from dashboards.noc.model import CaseCard
from tests.fixtures.noc import (
    BRANCH,
    CASE,
    DAY_MS,
    HOUR_MS,
    NOW_MS,
    book_of,
    evidence,
    heard,
    july,
    node,
    take,
)


class TestHowFreshABranchIs:
    """One domain that reports does not speak for a branch that has stopped."""

    def test_is_what_nine_tenths_of_its_domains_are(self) -> None:
        book = book_of()
        take(book, *(evidence(f"d{n}", node(f"n{n}")) for n in range(20)), at_ms=NOW_MS - HOUR_MS)
        assert book.evidence_ms(("default", BRANCH)) == NOW_MS - HOUR_MS

        take(book, *(evidence(f"d{n}", node(f"n{n}"), offset=2) for n in range(17)))
        assert book.evidence_ms(("default", BRANCH)) == NOW_MS - HOUR_MS
        take(book, evidence("d17", node("n17"), offset=2), evidence("d18", node("n18"), offset=2))
        assert book.evidence_ms(("default", BRANCH)) == NOW_MS

    def test_domains_that_are_out_of_service_or_gone_do_not_hold_it_back(self) -> None:
        book = book_of()
        gone = [evidence(f"g{n}", heard(node(f"g{n}"), NOW_MS - 8 * DAY_MS)) for n in range(5)]
        left = [evidence(f"l{n}", node(f"l{n}")) for n in range(5)]
        take(book, *gone, *left, at_ms=NOW_MS - HOUR_MS)
        take(book, *(evidence(f"d{n}", node(f"n{n}")) for n in range(20)))
        take(book, *((topic, name, None) for topic, name, _ in left))
        book.sweep()

        assert book.evidence_ms(("default", BRANCH)) == NOW_MS

    def test_nodes_without_heartbeats_count_only_where_no_node_has_any(self) -> None:
        book = book_of()
        mute = [evidence(f"m{n}", node(f"m{n}", heartbeats=False)) for n in range(9)]
        take(book, *mute, at_ms=NOW_MS - HOUR_MS)
        assert book.evidence_ms(("default", BRANCH)) == NOW_MS - HOUR_MS

        take(book, evidence("d", node("n")))
        assert book.evidence_ms(("default", BRANCH)) == NOW_MS

    def test_of_an_unknown_branch_nothing_is_known(self) -> None:
        assert book_of().evidence_ms(("default", "1")) == 0


def test_what_cannot_be_read_changes_what_the_gate_says_on_the_branchs_cards() -> None:
    book = book_of(*july())
    take(book, ("kbw-verdicts", b"default|KB5063880@17763", b'{"v":2}'))

    told = [data for _, data in book.changes() if isinstance(data, CaseCard)]
    assert [one.id for one in told] == [f"default/{CASE}"]
    assert any("can't be read" in reason for reason in told[0].gate.reasons)
