"""From kbw-node-reports to a recording."""

import os
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import KafkaError
from msgspec import Struct

from schemas.codec import DecodeError
from schemas.errors import KbwatchError
from schemas.settings import KafkaSettings
from schemas.topics import NODE_REPORTS, all_topics
from streams.admission import admit
from streams.kafka_io import Span, check_broker, plain_consumer, read_spans, spans
from streams.record.file import Mark, append
from streams.recording import Place, line

_BLOCK_BYTES = 8 << 20
_PARTITIONS = all_topics()[NODE_REPORTS].partitions


class Wanted(Struct, frozen=True):
    """Which records; times are Kafka's append times, Unix ms."""

    since_ms: int | None = None
    until_ms: int | None = None
    """None at or after this."""
    limit: int | None = None
    """At most so many records."""


class Written(Struct, frozen=True):
    """What one call has added to a recording."""

    file: str
    records: int
    refused: int
    """Of them, records that the detector dead-letters."""
    first_ms: int | None
    """Append time of the earliest record that was added, Unix ms; None: nothing was added."""
    last_ms: int | None
    missed: int
    """Records after the recording's end that Kafka had deleted before this call."""
    left: int
    """Records that were not read because of the limit."""
    file_bytes: int


class Count(Struct):
    """What was added so far."""

    records: int = 0
    refused: int = 0
    first_ms: int | None = None
    last_ms: int | None = None

    def add(self, append_ms: int, refused: bool) -> None:
        """One record more."""
        self.records += 1
        self.refused += refused
        self.first_ms = append_ms if self.first_ms is None else min(self.first_ms, append_ms)
        self.last_ms = append_ms if self.last_ms is None else max(self.last_ms, append_ms)


async def record(
    kafka: KafkaSettings,
    path: Path,
    wanted: Wanted,
    ended: Mapping[int, Mark],
    said: Callable[[int, int], None],
) -> Written:
    """Add to ``path`` what kbw-node-reports has after ``ended``, as of now; if nothing is recorded
    yet, the file begins anew. ``said`` hears how many of how many records are done.

    Raises KbwatchError when the broker does not answer, or when its topic is not the one that was
    recorded so far.
    """
    await check_broker(kafka, [NODE_REPORTS])
    topic = kafka.topic(NODE_REPORTS)
    try:
        if ended:
            async with plain_consumer(kafka) as consumer:
                await _check_same(consumer, topic, path, ended)
        async with plain_consumer(kafka) as consumer:
            held = await spans(
                consumer, topic, range(_PARTITIONS), wanted.since_ms, wanted.until_ms
            )
            todo, missed = after(held, ended)
            there = sum(span.end - span.start for span in todo.values())
            total = there if wanted.limit is None else min(there, wanted.limit)
            if not ended:
                os.truncate(path, 0)
            records = _first(read_spans(consumer, topic, todo), wanted.limit)
            count = await write(path, records, lambda done: said(done, total))
    except KafkaError as error:
        raise KbwatchError(
            f"Kafka at {kafka.bootstrap}: {error!r}; what is recorded stays, --resume goes on"
        ) from None
    return Written(
        file=str(path),
        records=count.records,
        refused=count.refused,
        first_ms=count.first_ms,
        last_ms=count.last_ms,
        missed=missed,
        left=there - count.records if count.records == wanted.limit else 0,
        file_bytes=path.stat().st_size,
    )


def told(written: Written) -> str:
    """What was recorded, in a line."""
    if written.first_ms is None or written.last_ms is None:
        return f"nothing new for {written.file}"
    text = (
        f"{written.records} records from {_stamp(written.first_ms)} to {_stamp(written.last_ms)}, "
        f"{written.refused} of them unusable → {written.file}"
    )
    return f"{text}; {written.left} more are there: --resume goes on" if written.left else text


def after(held: Mapping[int, Span], ended: Mapping[int, Mark]) -> tuple[dict[int, Span], int]:
    """What of ``held`` is not recorded yet, and how many records in between are gone."""
    todo, missed = {}, 0
    for number, span in held.items():
        start = ended[number].offset + 1 if number in ended else span.start
        missed += max(span.start - start, 0)
        start = max(start, span.start)
        todo[number] = Span(start, max(start, span.end))
    return todo, missed


async def _check_same(
    consumer: AIOKafkaConsumer, topic: str, path: Path, ended: Mapping[int, Mark]
) -> None:
    """See that the last recorded records are in the topic, unless it has deleted them."""
    last = {}
    for number, span in (await spans(consumer, topic, ended)).items():
        offset = ended[number].offset
        if offset >= span.end:
            raise _another(topic, path)
        if offset >= span.start:
            last[number] = Span(offset, offset + 1)
    async for found in read_spans(consumer, topic, last):
        if found.timestamp != ended[found.partition].append_ms:
            raise _another(topic, path)


def _another(topic: str, path: Path) -> KbwatchError:
    return KbwatchError(
        f"{path}: was not recorded from the {topic} of this broker (another cluster, or created "
        "anew?): record into another file"
    )


async def _first(
    records: AsyncIterator[ConsumerRecord], limit: int | None
) -> AsyncIterator[ConsumerRecord]:
    count = 0
    async for one in records:
        yield one
        count += 1
        if count == limit:
            return


async def write(
    path: Path, records: AsyncIterator[ConsumerRecord], said: Callable[[int], None]
) -> Count:
    """Add records to a recording, block by block; ``said`` hears how many are in the file. Whatever
    ends it, Ctrl-C too: what was read stays.
    """
    count = Count()
    block: list[bytes] = []
    block_bytes = 0
    try:
        async for one in records:
            refused = _refused(one)
            place = Place(one.partition, one.offset)
            block.append(line(one.timestamp, one.value or b"", place, refused))
            block_bytes += len(block[-1])
            count.add(one.timestamp, bool(refused))
            if block_bytes >= _BLOCK_BYTES:
                full, block, block_bytes = block, [], 0
                append(path, full)
                said(count.records)
    finally:
        append(path, block)
    return count


def _refused(one: ConsumerRecord) -> str:
    try:
        admit(one.value, one.key, one.partition, _PARTITIONS)
    except DecodeError as error:
        return str(error)
    return ""


def _stamp(t_ms: int) -> str:
    return datetime.fromtimestamp(t_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
