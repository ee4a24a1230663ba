"""Writing halts and deliveries, and reading them back: Kafka first, then the book."""

import asyncio
from collections.abc import Collection
from typing import TypeVar

import faust
import structlog
from aiokafka.errors import KafkaError

from schemas.codec import DecodeError, decode, encode
from schemas.halts import Delivery, Halt
from schemas.settings import KafkaSettings
from schemas.topics import HALT_DELIVERIES, HALTS, VERDICTS, all_topics, key
from streams.faust_app import send
from streams.halts.book import Book
from streams.kafka_io import partition_of, read_whole

_log = structlog.get_logger(__name__)

RETRY_S = 1.0
_Record = TypeVar("_Record", Halt, Delivery)
_PARTITIONS = all_topics()[VERDICTS].partitions


def home_of(fleet: str, case: str) -> int:
    """The partition of everything about a case: its verdicts, its halt and its deliveries."""
    return partition_of(key(fleet, case), _PARTITIONS)


class Outbox:
    """Puts records into their topics.

    Law: a record reaches the book only after the broker has it, and neither when the partitions
    were lost since ``generation``. Kafka has no fence for a worker that was declared dead and does
    not know it yet, so a webhook may be sent by two workers: its id makes that one webhook.
    """

    def __init__(self, app: faust.App, kafka: KafkaSettings, book: Book) -> None:
        self._app = app
        self._kafka = kafka
        self._book = book

    async def put(self, record: Halt | Delivery, generation: int) -> bool:
        """Write ``record`` and wait until the broker has it, however long it is away.

        False if the partitions were lost meanwhile: the book is unchanged, and whoever has the
        partition now will do the work again.
        """
        partition = home_of(record.fleet, record.case)
        value = encode(record)
        if isinstance(record, Halt):
            topic, record_key = HALTS, key(record.fleet, record.case)
        else:
            topic, record_key = HALT_DELIVERIES, key(record.webhook_id)
        while self._book.generation == generation:
            try:
                sent = await send(self._app, self._kafka.topic(topic), record_key, value, partition)
                await sent
            except Exception as error:
                _log.warning("can't write, trying again", topic=topic, error=repr(error))
                await asyncio.sleep(RETRY_S)
                continue
            if self._book.generation != generation:
                return False
            self._book.put(partition, record)
            return True
        return False

    async def open(self, partitions: Collection[int], generation: int) -> bool:
        """Read the partitions whole and take them over; False if they were lost meanwhile."""
        while self._book.generation == generation:
            try:
                halts = await self._read(HALTS, partitions, Halt)
                deliveries = await self._read(HALT_DELIVERIES, partitions, Delivery)
            except (KafkaError, OSError) as error:
                _log.warning("can't read back, trying again", error=repr(error))
                await asyncio.sleep(RETRY_S)
                continue
            if self._book.generation != generation:
                return False
            for partition in partitions:
                self._book.open(partition, halts[partition], deliveries[partition])
            return True
        return False

    async def _read(
        self, topic: str, partitions: Collection[int], kind: type[_Record]
    ) -> dict[int, list[_Record]]:
        newest: dict[tuple[int, bytes | None], bytes | None] = {}
        async for record in read_whole(self._kafka, topic, partitions):
            newest[record.partition, record.key] = record.value
        found: dict[int, list[_Record]] = {partition: [] for partition in partitions}
        for (partition, record_key), value in newest.items():
            if value is None:
                continue
            try:
                found[partition].append(decode(value, kind))
            except DecodeError as error:
                # Ours alone write here. Without this record its halt is proposed anew: the noisy
                # side, where the silent one would be a worker that never starts.
                _log.error("can't be read back", topic=topic, key=record_key, error=str(error))
        return found
