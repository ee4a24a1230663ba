"""The agent of ``kbwatch run ingest``: foreign message → reports, acked when they are sent."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import faust
import structlog
from faust.types import Message
from msgspec import Struct
from msgspec.structs import astuple, replace

from schemas.codec import DecodeError, encode
from schemas.formats.items import Item
from schemas.health import Health
from schemas.reports import NodeReport
from schemas.settings import KafkaSettings
from schemas.topics import HEALTH, NODE_REPORTS, all_topics, key
from streams.dlq import DeadLetters
from streams.faust_app import Taken, send
from streams.ingest.bridge import Bridge
from streams.ingest.refused import Letter, Refused
from streams.ingest.strangers import Strangers
from streams.kafka_io import partition_of
from streams.metrics import INGEST_EVICTED, INGEST_LEFT_OUT, INGEST_NODES, INGEST_REPORTS, INGESTED
from streams.retry import confirmed, until_sent

_log = structlog.get_logger(__name__)


class Source(Struct, frozen=True):
    """How the messages of one topic are read."""

    format: str
    read: Callable[[bytes], Iterator[Item]]
    """Raises DecodeError for what it can't read at all."""
    fleet: str


class Taker:
    """Law: when ``take`` returns, each event of the batch is in a report that the broker has, or in
    a dead letter, or its node has a collector of its own. A bad event costs only itself.
    """

    def __init__(
        self,
        app: faust.App,
        kafka: KafkaSettings,
        sources: Mapping[str, Source],
        bridge: Bridge,
    ) -> None:
        """``sources`` by full topic name."""
        self._app = app
        self._kafka = kafka
        self._sources = sources
        self._bridge = bridge
        self._strangers = Strangers()
        self._letters = DeadLetters(app, kafka, "ingest", NODE_REPORTS, "what shippers sent")

    async def take(self, events: Sequence[Taken]) -> int:
        """Work through a batch of any of the topics; all of it is finished."""
        good = bad = 0
        letters: list[tuple[Message, Letter]] = []
        for event in events:
            taken, refused = self._read(event.message)
            good, bad = good + taken, bad + refused.count
            letters += ((event.message, letter) for letter in refused.letters())
            await asyncio.sleep(0)  # a message may take 0.1 s, and others have heartbeats to send
        reports = self._bridge.flush(_now_ms())
        await asyncio.gather(
            *(self._letters.bad(message, *astuple(letter)) for message, letter in letters)
        )
        await until_sent("reports", lambda: self._send(reports))
        await self._letters.count(good, bad)
        self._measure(len(reports))
        await self._name_strangers()
        return len(events)

    def _read(self, message: Message) -> tuple[int, Refused]:
        """Hand a message's events to the bridge; returns how many it took, and what is refused."""
        source = self._sources[message.topic]
        refused = Refused()
        taken = 0
        try:
            for item in source.read(message.value or b""):
                taken += self._take(source.fleet, item, refused)
        except DecodeError as error:
            refused.all(error.reason, error.detail)
        except Exception as error:  # a message that breaks us must not stop the others
            _log.exception("message failed", offset=message.offset)
            refused.all("error", repr(error))
        INGESTED.labels(format=source.format).inc(taken)
        return taken, refused

    def _take(self, fleet: str, item: Item, refused: Refused) -> bool:
        event = item.event
        if isinstance(event, DecodeError):
            refused.add(item, event.reason, event.detail)
            return False
        try:
            self._bridge.add(fleet, event, _now_ms())
        except DecodeError as error:
            refused.add(item, error.reason, f"{item.path}: {error.detail}")
            return False
        except Exception as error:  # nor an event the others of its message
            _log.exception("event failed", path=item.path)
            refused.add(item, "error", f"{item.path}: {error!r}")
            return False
        return True

    async def _send(self, reports: Sequence[NodeReport]) -> None:
        topic = self._kafka.topic(NODE_REPORTS)
        partitions = all_topics()[NODE_REPORTS].partitions
        sent = []
        for report in reports:
            name = key(report.fleet, report.domain)
            value = encode(replace(report, sent_ms=_now_ms()))
            sent.append(await send(self._app, topic, name, value, partition_of(name, partitions)))
        await confirmed(*sent)

    async def _name_strangers(self) -> None:
        now_s = time.monotonic()
        if not self._strangers.due(now_s):
            return
        health = self._strangers.message(self._bridge.unknown(), now_s, _now_ms())
        if health is not None:
            _log.warning(health.message)
            await until_sent(HEALTH, lambda: self._say(health))

    async def _say(self, health: Health) -> None:
        topic = self._kafka.topic(HEALTH)
        await confirmed(await send(self._app, topic, health.app.encode(), encode(health)))

    def _measure(self, reports: int) -> None:
        INGEST_REPORTS.inc(reports)
        INGEST_NODES.set(len(self._bridge))
        INGEST_EVICTED.inc(self._bridge.evicted)
        self._strangers.forgot(self._bridge.evicted)
        INGEST_LEFT_OUT.inc(self._bridge.left_out)
        self._bridge.evicted = self._bridge.left_out = 0


def _now_ms() -> int:
    return int(time.time() * 1000)
