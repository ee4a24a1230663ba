"""Reads the page's topics from Kafka: first all that is there, then what comes."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from dashboards.noc.book import TOPICS, Book
from schemas.errors import KbwatchError
from schemas.settings import KafkaSettings
from schemas.topics import BROKER_MAX_BYTES

_CONNECT_S = 5.0
_FIRST_RETRY_S, _LAST_RETRY_S = 0.5, 5.0
_POLL_MS = 200
_AT_ONCE = 500
"""Records taken before others may run: browsers must not wait while a fleet is read."""
FRESH_S = 10.0
"""A partition of which Kafka said nothing for so long is not being read."""

_log = structlog.get_logger(__name__)


class Follower:
    """Feeds a book. ``ready``: it has read everything that was there when it connected; ``why``
    says what it waits for until then.

    Law: the book is never fed older records after newer ones of the same partition.
    """

    def __init__(self, kafka: KafkaSettings, book: Book, clock_ms: Callable[[], int]) -> None:
        self._kafka = kafka
        self._book = book
        self._clock_ms = clock_ms
        self._short = {kafka.topic(topic): topic for topic in TOPICS}
        self._read_ms = 0
        self.ready = False
        self.why = "connecting to Kafka"

    @property
    def read_ms(self) -> int:
        """When Kafka was last known to have nothing newer (Unix ms); 0: never."""
        return self._read_ms

    @property
    def connected(self) -> bool:
        """Whether what is held is what Kafka has, but for seconds."""
        return self.ready and self._clock_ms() - self._read_ms < FRESH_S * 1000

    async def run(self) -> None:
        """Read for ever. A broker that is away is waited for: at the start here, later by the
        client itself. Raises KbwatchError when Kafka refuses for good.
        """
        delay_s = _FIRST_RETRY_S
        while True:
            try:
                partitions = await _partitions(self._kafka, self._short)
                break
            except KbwatchError as error:
                self.why = str(error)
                _log.warning("not ready", why=self.why, again_in_s=delay_s)
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, _LAST_RETRY_S)
        try:
            await self._read(partitions)
        except KafkaError as error:
            raise KbwatchError(f"Kafka at {self._kafka.bootstrap}: {error!r}") from None

    async def read_once(self) -> None:
        """Read everything that is there, and stop. Raises KbwatchError when Kafka has not all."""
        partitions = await _partitions(self._kafka, self._short)
        reading = asyncio.create_task(self._read(partitions))
        try:
            while not self.ready and not reading.done():
                await asyncio.sleep(0.05)
            if reading.done():
                await reading
        except KafkaError as error:
            raise KbwatchError(f"Kafka at {self._kafka.bootstrap}: {error}") from None
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError, KafkaError):
                await reading

    async def _read(self, partitions: Mapping[str, int]) -> None:
        assigned = [
            TopicPartition(topic, number)
            for topic, count in partitions.items()
            for number in range(count)
        ]
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._kafka.bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=BROKER_MAX_BYTES,
        )
        await _started(consumer)
        try:
            consumer.assign(assigned)
            ends = await consumer.end_offsets(assigned)
            await consumer.seek_to_beginning(*assigned)
            self.why = "reading what is there"
            while True:
                batches = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_AT_ONCE)
                for tp, records in batches.items():
                    for record in records:
                        self._book.take(
                            self._short[tp.topic], record.key, record.value, record.timestamp
                        )
                if self.ready:
                    await self._look(consumer, assigned)
                elif not [tp for tp in assigned if await consumer.position(tp) < ends[tp]]:
                    self._read_ms = self._clock_ms()
                    self._book.opened(self._read_ms)
                    self.ready, self.why = True, ""
                    _log.info("ready", records={s.topic: s.records for s in self._book.sources()})
        finally:
            await consumer.stop()

    async def _look(self, consumer: AIOKafkaConsumer, assigned: list[TopicPartition]) -> None:
        for tp in assigned:
            if await consumer.position(tp) < (consumer.highwater(tp) or 0):
                return  # something newer is known to be there
        # The client does not say that it lost the broker; that no answer came does.
        polled = [consumer.last_poll_timestamp(tp) or 0 for tp in assigned]
        self._read_ms = max(self._read_ms, min(polled))


async def _started(consumer: AIOKafkaConsumer) -> None:
    delay_s = _FIRST_RETRY_S
    while True:
        try:
            await consumer.start()
            return
        except KafkaError as error:
            _log.warning("Kafka does not answer", error=repr(error), again_in_s=delay_s)
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, _LAST_RETRY_S)


async def _partitions(kafka: KafkaSettings, short: Mapping[str, str]) -> dict[str, int]:
    """How many partitions each topic has, by full name. Raises KbwatchError when Kafka does not
    answer, or lacks a topic.
    """
    admin = AIOKafkaAdminClient(
        bootstrap_servers=kafka.bootstrap, request_timeout_ms=int(_CONNECT_S * 1000)
    )
    # aiokafka logs what the one line below says better.
    client_log = logging.getLogger("aiokafka")
    level = client_log.level
    client_log.setLevel(logging.CRITICAL)
    try:
        async with asyncio.timeout(_CONNECT_S):
            await admin.start()
            found = {
                entry["topic"]: len(entry["partitions"])
                for entry in await admin.describe_topics(list(short))
                if not entry["error_code"]
            }
    except (KafkaError, TimeoutError, OSError) as error:
        raise KbwatchError(
            f"Kafka at {kafka.bootstrap} does not answer ({type(error).__name__}): "
            "is it running, and is kafka.bootstrap right?"
        ) from None
    finally:
        client_log.setLevel(level)
        await admin.close()
    missing = sorted(set(short) - set(found))
    if missing:
        raise KbwatchError(
            f"Kafka at {kafka.bootstrap} lacks {len(missing)} topics, first {missing[0]}: "
            "run `kbwatch topics apply`"
        )
    return found
