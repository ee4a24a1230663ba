"""How fresh a branch is for the gate, and what of it can't be read."""

from msgspec.structs import replace

from dashboards.noc.book import Book
from dashboards.noc.gate import Question
from dashboards.noc.model import CaseCard, GateView
from schemas.codec import decode, encode
from schemas.evidence import DomainEvidence, NodeEvidence
from schemas.topics import EVIDENCE
from tests.fixtures.noc import (
    BRANCH,
    CASE,
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    NOW_MS,
    Record,
    book_of,
    evidence,
    heard,
    listed,
    node,
    patched,
    says,
    take,
    verdict,
)
from tests.fixtures.noc_july import july

ID = f"default/{CASE}"


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
    assert [one.id for one in told] == [ID]
    assert any("can't be read" in reason for reason in told[0].gate.reasons)


class TestACardsGateLine:
    """Says what the API says of the whole branch, word for word, however old the evidence is."""

    QUIET = "default/KB5062572@20348"
    ASKED = Question(kb="KB5062572", branch="20348")

    def shown(self, book: Book, name: str = QUIET) -> GateView:
        case = book.cases.get(name)
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

    def test_follows_evidence_that_goes_on_while_the_verdict_stands_still(self) -> None:
        book = book_of(*july())
        assert self.shown(book).answer == "go"

        for minutes in range(10, 130, 10):
            now_ms = NOW_MS + minutes * MINUTE_MS
            take(book, *self.all_heard(now_ms), at_ms=now_ms)
            self.swept(book, now_ms)
            assert self.shown(book) == self.asked(book, now_ms)
        assert self.shown(book).answer == "inconclusive"

    def test_is_told_once_for_as_long_as_it_holds(self) -> None:
        book = book_of(*july())
        book.cases.cards()
        answers = []
        for minutes in range(10, 130, 10):
            now_ms = NOW_MS + minutes * MINUTE_MS
            take(book, *self.all_heard(now_ms), at_ms=now_ms)
            for _ in range(6):
                book.sweep(now_ms)
            answers.append(self.told(book))
        assert [one[self.QUIET] for one in answers if self.QUIET in one] == ["inconclusive"]

    def test_follows_the_59th_node_past_its_first_day(self) -> None:
        ran = [patched(node(f"n{n}"), NOW_MS - DAY_MS + 10 * MINUTE_MS) for n in range(59)]
        book = book_of(*self.one_waits(ran))
        assert self.shown(book, ID).answer == "inconclusive"

        later_ms = NOW_MS + 15 * MINUTE_MS
        take(book, *(evidence(one.node, heard(one, later_ms), offset=2) for one in ran))
        self.swept(book, later_ms)
        assert self.shown(book, ID).answer == "go"

    def test_follows_what_the_inventory_says_of_a_nodes_kind(self) -> None:
        ran = [patched(node(f"n{n}"), NOW_MS - 2 * DAY_MS) for n in range(59)]
        book = book_of(*self.one_waits(ran))
        assert self.shown(book, ID).answer == "go"

        take(book, listed("waits", role="web"))
        self.swept(book, NOW_MS)
        assert "0 of 59 web" in self.shown(book, ID).reasons[0]

    def test_of_many_cases_is_right_within_six_sweeps_each(self) -> None:
        """A server that looked at all of them at once would answer nobody meanwhile."""
        branches = [str(20_000 + n) for n in range(90)]
        book = book_of(
            *(says(verdict(state="quiet", branch=branch)) for branch in branches),
            *(evidence("d", node(f"n{branch}"), branch=branch) for branch in branches),
        )
        book.cases.cards()
        later_ms = NOW_MS + 2 * HOUR_MS
        for branch in branches:
            one = heard(node(f"n{branch}"), later_ms)
            take(book, evidence("d", one, branch=branch, offset=2), at_ms=later_ms)
        each = []
        for _ in range(6):
            book.sweep(later_ms)
            each.append(len(self.told(book)))

        assert each == [15] * 6
        assert all("behind the evidence" in "".join(c.gate.reasons) for c in book.cases.cards())

    def one_waits(self, ran: list[NodeEvidence]) -> list[Record]:
        """A quiet case, nodes that run its KB, and one more of their kind."""
        nodes = [*ran, node("waits")]
        return [says(verdict(state="quiet")), *(evidence(one.node, one) for one in nodes)]

    def all_heard(self, now_ms: int) -> list[Record]:
        """The evidence of July, with every node heard of at ``now_ms``."""
        records: list[Record] = []
        for topic, name, value in july():
            if topic == EVIDENCE and value is not None:
                part = decode(value, DomainEvidence)
                nodes = tuple(heard(one, now_ms) for one in part.nodes)
                records.append((topic, name, encode(replace(part, nodes=nodes, offset=2))))
        return records

    def swept(self, book: Book, now_ms: int) -> None:
        """Half a minute of sweeps, in which somebody looks."""
        for _ in range(6):
            book.sweep(now_ms)
            while book.changes():
                pass

    def told(self, book: Book) -> dict[str, str]:
        """The answers on the cards that are sent."""
        found: dict[str, str] = {}
        while changes := book.changes():
            found |= {c.id: c.gate.answer for _, c in changes if isinstance(c, CaseCard)}
        return found
