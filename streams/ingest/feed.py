"""Reads kbw-inventory whole before the first event, and follows it from there."""

import asyncio

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from schemas.codec import DecodeError
from schemas.settings import KafkaSettings
from schemas.topics import BROKER_MAX_BYTES, INVENTORY, all_topics
from streams.ingest.nodes import Inventory
from streams.metrics import INVENTORY_NODES
from streams.retry import until_sent

_log = structlog.get_logger(__name__)
_AGAIN_S = 1.0


class InventoryFeed:
    """Keeps ``inventory`` as kbw-inventory is. Every worker reads all of it: nodes may be anywhere.

    Law: when ``load`` returns, the inventory holds what the topic held when it was called first.
    """

    def __init__(self, kafka: KafkaSettings, inventory: Inventory) -> None:
        self._kafka = kafka
        self._inventory = inventory
        self._consumer: AIOKafkaConsumer | None = None
        self._loading = asyncio.Lock()
        self._loaded = asyncio.Event()

    async def load(self) -> None:
        """Read the whole topic, once per process; while the broker is away it waits."""
        async with self._loading:
            if not self._loaded.is_set():
                await until_sent(INVENTORY, self._load)
                _log.info("inventory read", nodes=len(self._inventory))
                self._loaded.set()

    async def follow(self) -> None:
        """Take what is loaded from then on, until cancelled."""
        await self._loaded.wait()
        try:
            while True:
                try:
                    await self._take()
                except KafkaError as error:
                    _log.warning("inventory not read, trying again", error=repr(error))
                    await asyncio.sleep(_AGAIN_S)
        finally:
            if self._consumer is not None:
                await self._consumer.stop()

    async def _load(self) -> None:
        if self._consumer is not None:
            await self._consumer.stop()
        self._consumer = consumer = AIOKafkaConsumer(
            bootstrap_servers=self._kafka.bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=BROKER_MAX_BYTES,
        )
        await consumer.start()
        topic = self._kafka.topic(INVENTORY)
        assigned = [TopicPartition(topic, n) for n in range(all_topics()[INVENTORY].partitions)]
        consumer.assign(assigned)
        ends = await consumer.end_offsets(assigned)
        await consumer.seek_to_beginning(*assigned)
        # The position moves past compacted gaps, a count of records does not.
        while any([await consumer.position(tp) < ends[tp] for tp in assigned]):
            await self._take()

    async def _take(self) -> None:
        if self._consumer is None:
            return
        batches = await self._consumer.getmany(timeout_ms=1000)
        for records in batches.values():
            for record in records:
                self._put(record)
        INVENTORY_NODES.set(len(self._inventory))

    def _put(self, record: ConsumerRecord) -> None:
        try:
            self._inventory.put(record.key or b"", record.value)
        except DecodeError as error:
            # What was known of the node before stands.
            _log.error("inventory record not used", key=repr(record.key), error=str(error))
