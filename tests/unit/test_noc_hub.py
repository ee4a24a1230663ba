"""The way to browsers: everything in order, or the whole state; never without bound."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from msgspec import Struct

from dashboards.noc.hub import COMMENT, Hub
from dashboards.noc.model import Gone, NodeChanges

RUN = "0a1b2c3d"


class Seen(Struct, frozen=True):
    seq: int


class Told(Struct, frozen=True):
    """One event as a browser reads it."""

    id: str
    name: str
    data: dict[str, object]


def hub(log_bytes: int = 10_000) -> Hub:
    return Hub(RUN, Seen, log_bytes)


def gone(number: int) -> tuple[str, Gone]:
    return "gone", Gone(f"default/KB{number:07d}@17763")


def parsed(piece: bytes) -> list[Told]:
    out = []
    for block in piece.decode().split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        out.append(Told(fields.get("id", ""), fields["event"], json.loads(fields["data"])))
    return out


async def after(stream: AsyncIterator[bytes], pieces: int = 1) -> list[Told]:
    return [told for _ in range(pieces) for told in parsed(await anext(stream))]


async def test_a_stream_begins_with_the_whole_state_and_goes_on_with_changes() -> None:
    way = hub()
    way.publish([gone(1), gone(2)])
    stream = way.stream("")

    assert await after(stream) == [Told(f"{RUN}-2", "state", {"seq": 2})]
    way.publish([gone(3)])
    assert await after(stream) == [
        Told(f"{RUN}-3", "gone", {"id": "default/KB0000003@17763"}),
    ]


async def test_a_browser_that_comes_back_gets_what_it_missed() -> None:
    way = hub()
    way.publish([gone(n) for n in range(1, 6)])

    assert [told.id for told in await after(way.stream(f"{RUN}-3"), 2)] == [f"{RUN}-4", f"{RUN}-5"]


@pytest.mark.parametrize(
    "last",
    ["", "3", "ffffffff-3", f"{RUN}-", f"{RUN}-6", f"{RUN}--1", f"{RUN}-٣", f"{RUN}-{'9' * 400}"],
)
async def test_a_browser_of_another_run_or_with_nonsense_gets_the_state(last: str) -> None:
    """A server that started anew counts from one again."""
    way = hub()
    way.publish([gone(n) for n in range(1, 6)])

    assert [told.name for told in await after(way.stream(last))] == ["state"]


async def test_a_browser_that_reads_too_slowly_gets_the_state_and_no_memory() -> None:
    way = hub(log_bytes=1_000)
    stream = way.stream("")
    await anext(stream)
    for number in range(5_000):
        way.publish([gone(number)])

    assert await after(stream) == [Told(f"{RUN}-5000", "state", {"seq": 5000})]
    assert way._held <= 1_000


async def test_streams_that_lag_share_what_they_are_sent() -> None:
    """Or each would hold a copy of all that it missed."""
    way = hub()
    way.publish([gone(n) for n in range(1, 6)])
    streams = [way.stream(f"{RUN}-2") for _ in range(50)]

    for _ in range(3):
        assert len({id(piece) for piece in [await anext(stream) for stream in streams]}) == 1


async def test_beyond_a_mebibyte_of_lag_the_state_is_sent() -> None:
    way = Hub(RUN, Seen)
    stream = way.stream("")
    await anext(stream)
    for _ in range(9):
        way.publish([("gone", Gone("x" * 128 * 1024))])

    assert await after(stream) == [Told(f"{RUN}-9", "state", {"seq": 9})]


async def test_those_who_begin_one_after_the_other_share_a_state_and_get_the_rest() -> None:
    way = hub()
    way.publish([gone(1)])
    first = await anext(way.stream(""))
    way.publish([gone(2)])
    stream = way.stream("")

    assert await anext(stream) is first
    assert [told.id for told in await after(stream)] == [f"{RUN}-2"]


async def test_of_a_burst_nothing_is_lost_or_out_of_order() -> None:
    way = hub(log_bytes=1_000_000)
    stream = way.stream("")
    await anext(stream)
    for number in range(300):
        way.publish([gone(number)] * (number % 3))
    told = await after(stream, way.seq)

    assert [one.id for one in told] == [f"{RUN}-{n}" for n in range(1, way.seq + 1)]


async def test_node_changes_bear_their_number() -> None:
    """A page that fetched a case's matrix has to know which changes are in it."""
    way = hub()
    stream = way.stream("")
    await anext(stream)
    way.publish([gone(1), ("nodes", NodeChanges(0, "", "default", {"n": "v"}))])

    assert [told.data.get("seq") for told in await after(stream, 2)] == [None, 2]


async def test_the_time_is_told_to_all_and_has_no_number() -> None:
    way = hub()
    streams = [way.stream("") for _ in range(3)]
    for stream in streams:
        await anext(stream)
    way.tick(Seen(7))

    for stream in streams:
        assert await after(stream) == [Told("", "tick", {"seq": 7})]


async def test_a_state_that_was_made_before_a_tick_is_made_anew() -> None:
    """Or a page would begin with a clock that stood still."""
    made: list[int] = []

    def state(seq: int) -> Seen:
        made.append(seq)
        return Seen(seq)

    way = Hub(RUN, state)
    for _ in range(2):
        await anext(way.stream(""))
    way.tick(Seen(0))
    await anext(way.stream(""))

    assert made == [0, 0]


async def test_when_nothing_happens_a_comment_keeps_the_stream_open() -> None:
    stream = hub().stream("", heartbeat_s=0.001)
    await anext(stream)

    assert await anext(stream) == COMMENT


async def test_a_hub_that_closes_ends_its_streams() -> None:
    way = hub()
    stream = way.stream("")
    await anext(stream)
    waiting = asyncio.ensure_future(anext(stream, None))
    await asyncio.sleep(0)
    way.close()

    assert await waiting is None


async def test_what_a_node_said_cannot_end_an_event() -> None:
    way = hub()
    stream = way.stream("")
    await anext(stream)
    way.publish([("gone", Gone("a\n\nevent: state\ndata: {}\r\u2028"))])

    (told,) = await after(stream)
    assert told.data == {"id": "a\n\nevent: state\ndata: {}\r\u2028"}
