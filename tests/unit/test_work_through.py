"""The body of every agent: what is acked, and what is left to the next owner."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any

from streams.faust_app import work_through

GENERATION = 3

Take = Callable[[Sequence[Any]], Awaitable[int]]


class Stream:
    """Gives one batch, and remembers what was acked."""

    def __init__(self, events: list[Any]) -> None:
        self.events = events
        self.acked: list[int] = []

    async def noack_take(self, size: int, within: float) -> AsyncIterator[list[Any]]:
        yield self.events

    async def ack(self, event: SimpleNamespace) -> None:
        self.acked.append(event.message.offset)


def batch(count: int, app: SimpleNamespace, generation: int = GENERATION) -> list[Any]:
    return [
        SimpleNamespace(app=app, message=SimpleNamespace(offset=i, generation_id=generation))
        for i in range(count)
    ]


def an_app() -> SimpleNamespace:
    return SimpleNamespace(consumer_generation_id=GENERATION)


async def worked(stream: Stream, take: Take) -> list[int]:
    await work_through(stream, 10, 0.1, take)  # type: ignore[arg-type]
    return stream.acked


async def test_what_is_finished_is_acked_in_order() -> None:
    async def take(events: Sequence[Any]) -> int:
        return len(events)

    assert await worked(Stream(batch(3, an_app())), take) == [0, 1, 2]


async def test_what_is_not_finished_is_left_to_the_next_owner() -> None:
    async def take(events: Sequence[Any]) -> int:
        return 1

    assert await worked(Stream(batch(3, an_app())), take) == [0]


async def test_events_of_an_old_assignment_are_not_even_looked_at() -> None:
    looked: list[int] = []

    async def take(events: Sequence[Any]) -> int:
        looked.extend(event.message.offset for event in events)
        return len(events)

    app = an_app()
    stream = Stream([*batch(2, app, GENERATION - 1), *batch(4, app)[2:]])
    assert await worked(stream, take) == [2, 3]
    assert looked == [2, 3]


async def test_an_assignment_that_ends_meanwhile_is_not_acked() -> None:
    app = an_app()

    async def take(events: Sequence[Any]) -> int:
        app.consumer_generation_id += 1
        return len(events)

    assert await worked(Stream(batch(3, app)), take) == []
