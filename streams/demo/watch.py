"""Follows verdicts, halts and deliveries while the demo runs."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from schemas.codec import decode
from schemas.halts import Delivery, Halt
from schemas.settings import KafkaSettings
from schemas.topics import HALT_DELIVERIES, HALTS, VERDICTS, all_topics
from schemas.verdicts import Verdict

Key = tuple[str, str]
"""Fleet and case."""
News = Callable[[Verdict | Halt | Delivery], None]


class Watch:
    """The newest verdict, halt and delivery of every key, and when Kafka got it (Unix ms)."""

    def __init__(self, settings: KafkaSettings, on_news: News) -> None:
        self._settings = settings
        self._on_news = on_news
        self.verdicts: dict[Key, Verdict] = {}
        self.halts: dict[Key, Halt] = {}
        self.deliveries: dict[str, Delivery] = {}
        self.halt_verdict_ms: dict[Key, int] = {}
        """When the first verdict that said halt was published, by fleet and case."""
        self.staged_at_halt: dict[Key, tuple[str, ...]] = {}
        """Nodes that were staged when a halt was first seen: the ones not to reboot."""
        self.changed_s = 0.0

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Read the three topics from the beginning while the context lasts."""
        task = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _follow(self) -> None:
        names = {self._settings.topic(n): n for n in (VERDICTS, HALTS, HALT_DELIVERIES)}
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.bootstrap, enable_auto_commit=False
        )
        await consumer.start()
        try:
            partitions = [
                TopicPartition(topic, n)
                for topic, name in names.items()
                for n in range(all_topics()[name].partitions)
            ]
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            async for record in consumer:
                self._take(names[record.topic], record)
                self.changed_s = asyncio.get_running_loop().time()
        finally:
            await consumer.stop()

    def _take(self, topic: str, record: ConsumerRecord) -> None:
        if record.value is None:
            fleet, case = record.key.decode().split("|")
            self.verdicts.pop((fleet, case), None)
            return
        if topic == VERDICTS:
            verdict = decode(record.value, Verdict)
            name = (verdict.fleet, verdict.case)
            self.verdicts[name] = verdict
            if verdict.state == "halt":
                self.halt_verdict_ms.setdefault(name, record.timestamp)
                self.staged_at_halt.setdefault(name, verdict.left.staged_nodes)
            self._on_news(verdict)
        elif topic == HALTS:
            halt = decode(record.value, Halt)
            self.halts[halt.fleet, halt.case] = halt
            self._on_news(halt)
        else:
            delivery = decode(record.value, Delivery)
            self.deliveries[delivery.webhook_id] = delivery
            self._on_news(delivery)
