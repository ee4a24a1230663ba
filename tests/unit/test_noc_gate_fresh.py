"""How fresh a branch is for the gate, and what of it can't be read."""

from dashboards.noc.book import Book
from dashboards.noc.gate import Question
from dashboards.noc.model import CaseCard, GateView
from tests.fixtures.noc import (
    BRANCH,
    CASE,
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    NOW_MS,
    book_of,
    evidence,
    heard,
    node,
    take,
)
from tests.fixtures.noc_july import july


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
        book.sweep(NOW_MS)

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


class TestACardsGateLine:
    """Says what the API says of the whole branch, word for word, however old the evidence is."""

    QUIET = "default/KB5062572@20348"
    ASKED = Question(kb="KB5062572", branch="20348")

    def shown(self, book: Book) -> GateView:
        case = book.cases.get(self.QUIET)
        assert case is not None
        return book.cases.card(case).gate

    def asked(self, book: Book, now_ms: int) -> GateView:
        answer = book.gate(self.ASKED, now_ms)
        return GateView(answer.answer, answer.reasons)

    def test_is_the_gates_on_fresh_and_on_stale_evidence(self) -> None:
        book = book_of(*july())
        for minutes, answer in ((0, "go"), (30, "go"), (31, "inconclusive"), (600, "inconclusive")):
            now_ms = NOW_MS + minutes * MINUTE_MS
            book.sweep(now_ms)
            assert self.shown(book) == self.asked(book, now_ms)
            assert self.shown(book).answer == answer

    def test_is_right_from_the_start_of_a_server_that_finds_old_evidence(self) -> None:
        book = book_of(*july(), opened=False)
        book.opened(NOW_MS + HOUR_MS)

        assert self.shown(book).answer == "inconclusive"

    def test_is_told_anew_when_the_evidence_becomes_stale_and_when_it_comes_back(self) -> None:
        book = book_of(*july())
        book.sweep(NOW_MS + 30 * MINUTE_MS)
        assert book.changes() == []

        book.sweep(NOW_MS + 31 * MINUTE_MS)
        assert self.told(book)[self.QUIET] == "inconclusive"
        book.sweep(NOW_MS + 90 * MINUTE_MS)
        assert book.changes() == [], "what it says has not changed"

        take(book, *july(), at_ms=NOW_MS + 90 * MINUTE_MS)
        while book.changes():
            pass
        book.sweep(NOW_MS + 91 * MINUTE_MS)
        assert self.told(book)[self.QUIET] == "go"

    def told(self, book: Book) -> dict[str, str]:
        """The answers on the cards that are sent."""
        found: dict[str, str] = {}
        while changes := book.changes():
            found |= {c.id: c.gate.answer for _, c in changes if isinstance(c, CaseCard)}
        return found
