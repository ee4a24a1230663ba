"""The body of every agent: what is acked, and what is left to the next owner."""

import asyncio
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
        self.processors: list[Callable[[bytes], Awaitable[bytes]]] = []

    def add_processor(self, processor: Callable[[bytes], Awaitable[bytes]]) -> None:
        self.processors.append(processor)

    async def wait(self, event: asyncio.Event) -> None:
        await event.wait()

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


class Filling(Stream):
    """Fills its batch through the processor, as Faust does, until that makes it wait."""

    async def noack_take(self, size: int, within: float) -> AsyncIterator[list[Any]]:
        (enter,) = self.processors
        taken: list[Any] = []
        for event in self.events:
            entering = asyncio.ensure_future(enter(event.message.value))
            if not await settled(entering):
                yield taken
                taken = []
            await entering
            taken.append(event)
        yield taken


async def settled(future: asyncio.Future[bytes]) -> bool:
    for _ in range(5):
        await asyncio.sleep(0)
    return future.done()


async def test_a_batch_ends_with_the_event_that_brings_it_to_its_bytes() -> None:
    app = an_app()
    events = batch(8, app)
    for event, size in zip(events, (1, 1, 4, 9, 2, 2, 2, 0), strict=True):
        event.message.value = b"x" * size
    events[4].message.generation_id -= 1  # one that is not worked on makes room all the same
    batches: list[list[int]] = []

    async def take(events: Sequence[Any]) -> int:
        batches.append([len(event.message.value) for event in events])
        return len(events)

    stream = Filling(events)
    await work_through(stream, 10, 0.1, take, size_bytes=6)  # type: ignore[arg-type]
    assert batches == [[1, 1, 4], [9], [2, 2], [0]]
    assert stream.acked == [0, 1, 2, 3, 5, 6, 7]
