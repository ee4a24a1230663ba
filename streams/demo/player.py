"""Plays a scenario into kbw-node-reports, as fast as the detector takes it."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError
from msgspec import Struct
from msgspec.structs import replace

from schemas.codec import encode
from schemas.settings import Settings
from schemas.topics import BROKER_MAX_BYTES, NODE_REPORTS, all_topics
from streams.regbench.scenarios.kb5062557 import Scenario, element_count

_SLICE = 200
AHEAD = 4_000
"""Records that the player may at most be ahead of the detector: about an hour of event time in each
of the four partitions. More would let partitions drift apart by more than a node's grace."""


class Played(Struct):
    """What was produced so far, in elements of reports; a malformed report counts as one."""

    produced: int = 0
    duplicates: int = 0
    records: int = 0
    now_ms: int = 0
    """Event time of the newest record."""


async def play(
    settings: Settings,
    scenario: Scenario,
    played: Played,
    on_slice: Callable[[], None],
    paused: Callable[[], bool],
) -> None:
    """Send the whole scenario; keeps ``played`` up to date and calls ``on_slice`` now and then.
    Nothing is sent while ``paused`` says so.
    """
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka.bootstrap,
        acks="all",
        enable_idempotence=True,
        compression_type="zstd",
        linger_ms=20,
        max_request_size=BROKER_MAX_BYTES,
    )
    await producer.start()
    lag = await GroupLag.of(settings, "detector")
    try:
        topic = settings.kafka.topic(NODE_REPORTS)
        sent = []
        for item in scenario.stream():
            if item.report is None:
                value = item.raw or b""
                elements = 1
            else:
                # A collector stamps each send with its clock; this one is now.
                value = encode(replace(item.report, sent_ms=int(time.time() * 1000)))
                elements = element_count(item.report)
            sent.append(await producer.send(topic, value, key=item.key))
            played.produced += elements
            played.duplicates += elements if item.duplicate else 0
            played.records += 1
            played.now_ms = max(played.now_ms, item.append_ms)
            if len(sent) >= _SLICE:
                await asyncio.gather(*sent)
                sent.clear()
                on_slice()
                while paused() or await lag.records(played.records) > AHEAD - _SLICE:
                    await asyncio.sleep(0.05)
        await asyncio.gather(*sent)
    finally:
        await lag.close()
        await producer.stop()


class GroupLag:
    """How far a consumer group is behind what was produced to kbw-node-reports."""

    _EVERY_S = 0.1

    def __init__(self, admin: AIOKafkaAdminClient, group: str, topic: str) -> None:
        self._admin = admin
        self._group = group
        self._partitions = [
            TopicPartition(topic, n) for n in range(all_topics()[NODE_REPORTS].partitions)
        ]
        self._committed = 0
        self._asked_s = 0.0

    @classmethod
    async def of(cls, settings: Settings, app: str) -> "GroupLag":
        """The lag of the group of ``kbw-<app>``."""
        admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap)
        await admin.start()
        kafka = settings.kafka
        return cls(admin, kafka.topic(f"kbw-{app}"), kafka.topic(NODE_REPORTS))

    async def records(self, produced: int) -> int:
        """``produced`` minus what is committed, as of a moment ago."""
        now_s = time.monotonic()
        if now_s - self._asked_s >= self._EVERY_S:
            self._asked_s = now_s
            # The first group of a new broker has no coordinator for a moment.
            with suppress(GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError):
                offsets = await self._admin.list_consumer_group_offsets(
                    self._group, partitions=self._partitions
                )
                self._committed = sum(max(o.offset, 0) for o in offsets.values())
        return produced - self._committed

    async def close(self) -> None:
        """Close the connection."""
        await self._admin.close()
