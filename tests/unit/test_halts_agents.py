"""Which records of kbw-verdicts are acted on, and what is made up for at a take-over."""

from typing import Any, cast

import pytest

from schemas.codec import DecodeError, encode
from schemas.halts import Delivery
from schemas.topics import key
from schemas.verdicts import Verdict
from streams.halts.agents import Decider, admit
from streams.halts.book import Book
from streams.halts.decide import decide
from streams.halts.outbox import home_of
from streams.halts.policy import Policy, Target
from tests.fixtures.halts import a_verdict

_VERDICT = a_verdict()
_KEY = key(_VERDICT.fleet, _VERDICT.case)
_HOME = home_of(_VERDICT.fleet, _VERDICT.case)


def test_a_verdict_under_its_key_on_its_partition_is_taken() -> None:
    assert admit(encode(_VERDICT), _KEY, _HOME) == _VERDICT


@pytest.mark.parametrize(
    ("raw", "record_key", "partition", "reason"),
    [
        (b"{", _KEY, _HOME, "malformed"),
        (b"{}", _KEY, _HOME, "invalid"),
        (encode(a_verdict(v=2)), _KEY, _HOME, "version"),
        (encode(_VERDICT), b"default|KB1@1", _HOME, "key"),
        (encode(_VERDICT), None, _HOME, "key"),
        (encode(_VERDICT), _KEY, _HOME + 1, "partition"),
        (encode(a_verdict(halt=None)), _KEY, _HOME, "invalid"),
    ],
)
def test_anything_else_is_refused_with_a_reason(
    raw: bytes, record_key: bytes | None, partition: int, reason: str
) -> None:
    with pytest.raises(DecodeError) as error:
        admit(raw, record_key, partition)
    assert error.value.reason == reason


def test_a_quiet_verdict_needs_no_crossing() -> None:
    quiet: Verdict = a_verdict(state="quiet", halt=None)
    assert admit(encode(quiet), _KEY, _HOME) == quiet


class Revoked:
    """An outbox that loses its partitions with the first record."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self.asked = 0

    async def open(self, partitions: set[int], generation: int) -> bool:
        halt = decide(_VERDICT, None, Policy(mode="auto"), 1_000)
        assert halt is not None
        for partition in partitions:
            self._book.open(partition, [halt], [])
        return True

    async def put(self, delivery: Delivery, generation: int) -> bool:
        self.asked += 1
        self._book.close()
        return False


async def test_a_take_over_ends_when_the_partitions_are_lost_meanwhile() -> None:
    nobody = cast(Any, None)  # is not asked
    targets = tuple(Target(name, "https://hook.example/", nobody, 1.0) for name in ("one", "two"))
    book = Book()
    outbox = Revoked(book)
    decider = Decider(Policy(mode="auto", targets=targets), book, cast(Any, outbox), nobody, nobody)

    await decider.open({0, 1})

    assert outbox.asked == 1
