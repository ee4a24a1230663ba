"""Nothing is known that the broker does not have; nothing is written for a lost partition."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import faust
import msgspec
import pytest

from schemas.halts import Delivery, Halt
from schemas.settings import KafkaSettings
from schemas.topics import key
from streams.halts import outbox as outbox_module
from streams.halts.book import Book
from streams.halts.decide import decide
from streams.halts.deliveries import plan
from streams.halts.outbox import Outbox, home_of
from streams.halts.policy import Policy
from tests.fixtures.halts import a_verdict


class Broker:
    """Stands for Faust's producer: the test says when, and whether, a record is confirmed."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes, int]] = []
        self.confirmations: asyncio.Queue[asyncio.Future[None]] = asyncio.Queue()

    async def send(
        self, topic: str, record_key: bytes, _value: bytes, partition: int, *_: object
    ) -> asyncio.Future[None]:
        self.sent.append((topic, record_key, partition))
        confirmation: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.confirmations.put_nowait(confirmation)
        return confirmation


@pytest.fixture
def halt() -> Halt:
    halt = decide(a_verdict(), None, Policy(mode="auto"), 1000)
    assert halt is not None
    return halt


@pytest.fixture
def book(halt: Halt) -> Book:
    book = Book()
    book.open(home_of(halt.fleet, halt.case), (), ())
    return book


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    monkeypatch.setattr(outbox_module, "RETRY_S", 0.0)
    return Broker()


def outbox_of(broker: Broker, book: Book) -> Outbox:
    app: Any = SimpleNamespace(producer=broker)
    return Outbox(cast(faust.App, app), KafkaSettings(namespace="t-"), book)


def in_book(book: Book, halt: Halt) -> Halt | None:
    return book.halt(home_of(halt.fleet, halt.case), halt.fleet, halt.case)


async def test_a_record_is_known_only_after_the_broker_has_it(
    broker: Broker, book: Book, halt: Halt
) -> None:
    writing = asyncio.create_task(outbox_of(broker, book).put(halt, book.generation))
    confirmation = await broker.confirmations.get()
    assert in_book(book, halt) is None
    confirmation.set_result(None)
    assert await writing is True
    assert in_book(book, halt) == halt


async def test_a_broker_that_fails_is_asked_again(broker: Broker, book: Book, halt: Halt) -> None:
    writing = asyncio.create_task(outbox_of(broker, book).put(halt, book.generation))
    (await broker.confirmations.get()).set_exception(OSError("broker away"))
    (await broker.confirmations.get()).set_result(None)
    assert await writing is True
    assert len(broker.sent) == 2


async def test_partitions_lost_while_the_broker_is_away_end_the_writing(
    broker: Broker, book: Book, halt: Halt
) -> None:
    writing = asyncio.create_task(outbox_of(broker, book).put(halt, book.generation))
    confirmation = await broker.confirmations.get()
    book.close()
    confirmation.set_exception(OSError("broker away"))
    assert await writing is False
    assert len(broker.sent) == 1


async def test_a_partition_lost_and_given_back_has_what_was_read_and_nothing_older(
    broker: Broker, book: Book, halt: Halt
) -> None:
    writing = asyncio.create_task(outbox_of(broker, book).put(halt, book.generation))
    confirmation = await broker.confirmations.get()
    book.close()
    lifted = msgspec.structs.replace(halt, state="lifted")
    book.open(home_of(halt.fleet, halt.case), [lifted], ())
    confirmation.set_result(None)
    assert await writing is False
    assert in_book(book, halt) == lifted


async def test_a_halt_and_its_deliveries_lie_on_the_same_partition(
    broker: Broker, book: Book, halt: Halt
) -> None:
    outbox = outbox_of(broker, book)
    (delivery,) = plan(halt, ["pipeline"], ())
    records: tuple[Halt | Delivery, ...] = (halt, delivery)
    for record in records:
        writing = asyncio.create_task(outbox.put(record, book.generation))
        (await broker.confirmations.get()).set_result(None)
        await writing
    home = home_of("default", "KB5062557@17763")
    assert broker.sent == [
        ("t-kbw-halts", b"default|KB5062557@17763", home),
        ("t-kbw-halt-deliveries", key(delivery.webhook_id), home),
    ]
    assert book.pending() == [delivery]


def test_what_is_pending_comes_in_the_order_in_which_it_is_due(halt: Halt) -> None:
    first, second, done = plan(halt, ["a", "b", "c"], ())
    late = msgspec.structs.replace(first, next_attempt_ms=9000)
    settled = msgspec.structs.replace(done, state="delivered")
    book = Book()
    book.open(0, (), [late])
    book.open(1, (), [second, settled])
    assert book.pending() == [second, late]
    book.close()
    assert book.pending() == []
