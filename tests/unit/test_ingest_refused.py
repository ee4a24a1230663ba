"""What of a message is refused becomes dead letters: few, whole, and each with its place."""

import orjson

from schemas.codec import DecodeError
from schemas.formats.items import Item
from streams.ingest.refused import Letter, Refused


def item(number: int) -> Item:
    return Item(f"$[{number}]", {"number": number}, DecodeError("invalid", ""))


def test_each_item_is_kept_with_its_reason() -> None:
    refused = Refused()
    refused.add(item(3), "future", "$[3]: over a day from now")
    refused.add(item(7), "invalid", "$[7].Channel: missing")
    assert refused.count == 2
    assert refused.letters() == [
        Letter("future", "$[3]: over a day from now", b'{"number":3}'),
        Letter("invalid", "$[7].Channel: missing", b'{"number":7}'),
    ]


def test_a_message_that_is_one_event_is_kept_as_it_came() -> None:
    refused = Refused()
    refused.add(Item("$", {"a": 1}, DecodeError("invalid", "$")), "invalid", "$: no computer")
    assert refused.letters() == [Letter("invalid", "$: no computer", None)]


def test_a_message_of_nothing_else_makes_few_letters_and_loses_none_of_its_items() -> None:
    refused = Refused()
    for number in range(5_000):
        refused.add(item(number), "invalid", f"$[{number}]: not an object")
    *each, others = refused.letters()
    assert len(each) == 20
    assert others.detail == "4980 items more, the first: $[20]: not an object"
    assert [one["number"] for one in orjson.loads(others.part or b"")] == [*range(20, 5_000)]
