"""A halt's card says whom the halt was told, and what came of it."""

from msgspec.structs import replace

from dashboards.noc.book import Book
from dashboards.noc.model import HaltCard, Told
from schemas.codec import encode
from schemas.halts import Delivery, Halt
from schemas.topics import HALT_DELIVERIES, key
from tests.fixtures.noc import CASE, NOW_MS, Record, book_of, crossing, halt, halts, take, verdict

ID = f"default/{CASE}"
STOPPED = halt(verdict(state="halt", halt=crossing(60, 5.4, 4, 13, 203)))


def delivery(about: Halt, target: str, state: str, **fields: object) -> Record:
    said = Delivery(
        v=1,
        webhook_id=f"wh_{about.halt_id}_{target}",
        halt_id=about.halt_id,
        fleet=about.fleet,
        case=about.case,
        target=target,
        transition="active",
        state=state,  # type: ignore[arg-type]
        body="{}",
        created_ms=NOW_MS,
        **fields,  # type: ignore[arg-type]
    )
    return HALT_DELIVERIES, key(said.webhook_id), encode(said)


def told(book: Book) -> tuple[Told, ...]:
    card = book.cases.halt_card(ID)
    assert card is not None
    return card.deliveries


def test_a_delivery_is_on_the_card_of_its_halt() -> None:
    failed = {"attempts": 2, "last_error": "can't connect"}
    book = book_of(halts(STOPPED), delivery(STOPPED, "wsus", "pending", **failed))
    assert told(book) == (Told("wsus", "active", "pending", 2, None, "can't connect"),)


def test_the_order_of_the_topics_does_not_matter() -> None:
    sent = delivery(STOPPED, "wsus", "delivered", attempts=1, delivered_ms=NOW_MS)
    assert told(book_of(sent, halts(STOPPED))) == told(book_of(halts(STOPPED), sent))


def test_a_newer_delivery_replaces_and_a_tombstone_removes_it() -> None:
    book = book_of(halts(STOPPED), delivery(STOPPED, "wsus", "pending"))
    book.changes()
    take(book, delivery(STOPPED, "wsus", "delivered", delivered_ms=NOW_MS))
    [card] = [card for name, card in book.changes() if name == "halt"]
    assert isinstance(card, HaltCard)
    assert [one.state for one in card.deliveries] == ["delivered"]
    topic, webhook_id, _ = delivery(STOPPED, "wsus", "delivered")
    take(book, (topic, webhook_id, None))
    assert told(book) == ()


def test_what_was_sent_about_an_earlier_halt_of_the_case_is_left_out() -> None:
    earlier = replace(STOPPED, halt_id="earlier")
    book = book_of(halts(STOPPED), delivery(earlier, "wsus", "failed"))
    assert told(book) == ()
