"""Plain Kafka beside Faust: where a key belongs, what is there, and reading a partition whole."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2
from msgspec import Struct

from schemas.errors import KbwatchError
from schemas.settings import KafkaSettings
from schemas.topics import BROKER_MAX_BYTES, all_topics

_CONNECT_TIMEOUT_S = 5.0


class Span(Struct, frozen=True):
    """Offsets of one partition, from ``start`` up to and without ``end``."""

    start: int
    end: int


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of ``key``, as every Kafka client computes it (murmur2)."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


def addresses(bootstrap: str) -> list[tuple[str, int]]:
    """The brokers of ``kafka.bootstrap`` as (host, port).

    Raises KbwatchError for what is not ``host:port,host:port``.
    """
    found = []
    for server in bootstrap.split(","):
        host, _, port = server.strip().rpartition(":")
        if not host or not port.isascii() or not port.isdigit():
            raise KbwatchError(f"kafka.bootstrap: {server.strip()!r} is not host:port")
        if not 1 <= int(port) <= 65_535:
            raise KbwatchError(f"kafka.bootstrap: {server.strip()!r}: ports go from 1 to 65535")
        found.append((host.strip("[]"), int(port)))
    return found


async def check_broker(settings: KafkaSettings, topics: Iterable[str]) -> None:
    """See that the broker answers and has ``topics`` with the declared number of partitions.

    Raises KbwatchError that says what to do.
    """
    wanted = {settings.topic(name): all_topics()[name].partitions for name in topics}
    found = await _partitions(settings, wanted)
    missing = sorted(set(wanted) - set(found))
    if missing:
        raise KbwatchError(
            f"Kafka at {settings.bootstrap} lacks {len(missing)} topics, first {missing[0]}: "
            "run `kbwatch topics apply`"
        )
    for topic, partitions in wanted.items():
        if found[topic] != partitions:
            raise KbwatchError(
                f"topic {topic} has {found[topic]} partitions, topics.toml declares {partitions}: "
                "run `kbwatch topics apply --dry-run` to see the difference"
            )


async def check_foreign(settings: KafkaSettings, topics: Iterable[str]) -> None:
    """See that the broker has ``topics`` (full names), with any number of partitions.

    Raises KbwatchError that names those it has not.
    """
    wanted = list(topics)
    found = await _partitions(settings, wanted)
    missing = [topic for topic in wanted if topic not in found]
    if missing:
        raise KbwatchError(
            f"Kafka at {settings.bootstrap} has no topic {', '.join(missing)}: create it, or "
            "correct ingest.sources"
        )


async def _partitions(settings: KafkaSettings, topics: Iterable[str]) -> dict[str, int]:
    """How many partitions those of ``topics`` (full names) have that are there."""
    admin = AIOKafkaAdminClient(
        bootstrap_servers=settings.bootstrap,
        request_timeout_ms=int(_CONNECT_TIMEOUT_S * 1000),
    )
    # aiokafka logs what the one line below says better.
    logging.disable(logging.ERROR)
    try:
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            await admin.start()
            return {
                entry["topic"]: len(entry["partitions"])
                for entry in await admin.describe_topics(list(topics))
                if not entry["error_code"]
            }
    except (KafkaError, TimeoutError, OSError) as error:
        raise KbwatchError(
            f"Kafka at {settings.bootstrap} does not answer ({type(error).__name__}): "
            "is it running, and is kafka.bootstrap right?"
        ) from None
    finally:
        logging.disable(logging.NOTSET)
        await admin.close()


async def read_whole(
    settings: KafkaSettings, topic: str, partitions: Iterable[int]
) -> AsyncIterator[ConsumerRecord]:
    """Every record of the partitions of ``topic`` (a short name), from the beginning to the end
    as it was when the call began.
    """
    numbers = sorted(partitions)
    if not numbers:
        return
    async with plain_consumer(settings) as consumer:
        whole = await spans(consumer, settings.topic(topic), numbers)
        async for record in read_spans(consumer, settings.topic(topic), whole):
            yield record


@asynccontextmanager
async def plain_consumer(settings: KafkaSettings) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of no group, connected.

    Raises KafkaError when the broker does not answer.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap,
        enable_auto_commit=False,
        # The default, latest, resets to the end in the background and can win over a seek.
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=BROKER_MAX_BYTES,
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def spans(
    consumer: AIOKafkaConsumer,
    topic: str,
    partitions: Iterable[int],
    since_ms: int | None = None,
    until_ms: int | None = None,
) -> dict[int, Span]:
    """What the partitions of ``topic`` (its full name) hold now, by partition; ``consumer`` is
    assigned to them.

    ``since_ms`` and ``until_ms`` are Unix ms by Kafka's append time: the first record at or after
    ``since_ms``, and none at or after ``until_ms``.
    """
    assigned = [TopicPartition(topic, number) for number in sorted(partitions)]
    consumer.assign(assigned)
    starts = await consumer.beginning_offsets(assigned)
    ends = await consumer.end_offsets(assigned)
    for bounds, t_ms in ((starts, since_ms), (ends, until_ms)):
        if t_ms is not None:
            found = await consumer.offsets_for_times(dict.fromkeys(assigned, t_ms))
            # Without an answer nothing is as late as that.
            bounds.update({tp: at.offset if at else ends[tp] for tp, at in found.items()})
    return {tp.partition: Span(starts[tp], max(starts[tp], ends[tp])) for tp in assigned}


async def read_spans(
    consumer: AIOKafkaConsumer, topic: str, wanted: Mapping[int, Span]
) -> AsyncIterator[ConsumerRecord]:
    """The records of ``topic`` (its full name) in the spans of the partitions that ``consumer`` is
    assigned to, by partition in order of offsets.
    """
    # Assigning once more here could hang the end of the consumer: while aiokafka lets go of an
    # assignment it ignores that it is being stopped.
    ends = {TopicPartition(topic, number): span.end for number, span in wanted.items()}
    waiting = {tp for tp in ends if wanted[tp.partition].start < ends[tp]}
    for tp in waiting:
        consumer.seek(tp, wanted[tp.partition].start)
    while waiting:
        batches = await consumer.getmany(*waiting, timeout_ms=1000)
        for tp, records in batches.items():
            for record in records:
                if record.offset < ends[tp]:
                    yield record
        # The position moves past compacted gaps, a count of records does not.
        waiting = {tp for tp in waiting if await consumer.position(tp) < ends[tp]}
