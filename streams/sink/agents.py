"""One agent per topic that has a table: take a batch, make columns, insert, then ack.

Law: a message is acked only after the store has it, or its bytes are in the dead-letter topic, or
putting them there is the detector's part (node reports that it refuses too). While the store is
away an agent waits and reads nothing more; nothing is given up.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import faust
import structlog
from faust.types import EventT, Message, StreamT
from msgspec import Struct

from schemas import topics
from schemas.clickhouse.store import Store
from schemas.codec import DecodeError, decode
from schemas.evidence import OnsetSeen
from schemas.halts import Delivery, Halt
from schemas.reports import NodeReport
from schemas.settings import Settings
from schemas.topics import all_topics, dlq_of
from schemas.verdicts import Verdict
from streams.admission import admit
from streams.dlq import DeadLetters
from streams.faust_app import work_through
from streams.metrics import ROWS
from streams.sink import rows
from streams.sink.rows import Columns, Origin, Rows, Taken

_log = structlog.get_logger(__name__)

_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 30.0


class _Feed(Struct, frozen=True):
    """From a topic to tables: how a message is read, which rows it makes."""

    name: str
    topics: tuple[str, ...]
    read: Callable[[Message], Any]
    """Raises DecodeError for what can't be used."""
    rows: Callable[[Iterable[Taken[Any]]], Rows]
    dead_letters: bool = True
    """Whether what can't be read is the sink's to dead-letter."""

    @property
    def compacted(self) -> bool:
        """Whether a message without a value is a tombstone."""
        return all_topics()[self.topics[0]].cleanup == "compact"


def _feeds() -> list[_Feed]:
    partitions = all_topics()[topics.NODE_REPORTS].partitions
    # A dead letter of a dead letter would come back for ever; reading one can't fail.
    dead_letters = tuple(dlq_of(name) for name in all_topics() if dlq_of(name) in all_topics())
    return [
        _Feed(
            "store_reports",
            (topics.NODE_REPORTS,),
            partial(_report, partitions),
            rows.report_rows,
            dead_letters=False,
        ),
        _Feed("store_dead_letters", dead_letters, _headers, rows.dead_letter_rows, False),
        _Feed("store_onsets", (topics.ONSETS,), partial(_value, OnsetSeen), rows.onset_rows),
        _Feed("store_verdicts", (topics.VERDICTS,), partial(_value, Verdict), rows.verdict_rows),
        _Feed("store_halts", (topics.HALTS,), partial(_value, Halt), rows.halt_rows),
        _Feed(
            "store_deliveries",
            (topics.HALT_DELIVERIES,),
            partial(_value, Delivery),
            rows.delivery_rows,
        ),
    ]


def add_agents(app: faust.App, settings: Settings, store: Store) -> tuple[list[str], list[str]]:
    """Give ``app`` its agents; returns their names and the (short) names of their topics."""
    feeds = _feeds()
    for feed in feeds:
        _add_agent(app, settings, store, feed)
    return [feed.name for feed in feeds], [topic for feed in feeds for topic in feed.topics]


def _add_agent(app: faust.App, settings: Settings, store: Store, feed: _Feed) -> None:
    dead = DeadLetters(app, settings.kafka, "sink", feed.topics[0])

    async def take(events: Sequence[EventT[Any]]) -> int:
        await _keep(store, feed, dead, [event.message for event in events])
        return len(events)

    async def agent(stream: StreamT[bytes]) -> None:
        sink = settings.sink
        await work_through(stream, sink.batch, sink.within_s, take, sink.batch_bytes)

    agent.__name__ = feed.name
    channel = app.topic(*map(settings.kafka.topic, feed.topics), key_type=bytes, value_type=bytes)
    app.agent(channel, name=f"{app.conf.id}.{feed.name}", concurrency=1)(agent)


async def _keep(store: Store, feed: _Feed, dead: DeadLetters, messages: Sequence[Message]) -> None:
    taken: list[Taken[Any]] = []
    refused: list[tuple[Message, DecodeError]] = []
    for message in messages:
        if message.value is None and feed.compacted:  # a tombstone
            continue
        try:
            taken.append(Taken(_origin(message), feed.read(message), message.value or b""))
        except DecodeError as error:
            refused.append((message, error))
    if feed.dead_letters:
        for message, why in refused:
            await dead.bad(message, why.reason, why.detail)
        await dead.count(len(taken), len(refused))
    elif refused:
        _log.info("left to the detector's dead letters", agent=feed.name, messages=len(refused))
    token = rows.batch_token([one.origin for one in taken])
    for table, columns in feed.rows(taken).items():
        await _insert(store, table, columns, token)


async def _insert(store: Store, table: str, columns: Columns, token: str) -> None:
    """Insert, however long the store is away: meanwhile nothing more is read or acked."""
    wait_s = _FIRST_WAIT_S
    while True:
        try:
            count = await asyncio.to_thread(store.insert, table, columns, token)
        except Exception as error:
            _log.error("insert failed, trying again", table=table, error=str(error), in_s=wait_s)
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
        else:
            ROWS.labels(table=table).inc(count)
            return


def _origin(message: Message) -> Origin:
    return Origin(
        f"{message.topic}-{message.partition}", message.offset, round(message.timestamp * 1000)
    )


def _report(partitions: int, message: Message) -> NodeReport:
    return admit(message.value, message.key, message.partition, partitions)


def _value(kind: type[Struct], message: Message) -> Struct:
    return decode(message.value or b"", kind)


def _headers(message: Message) -> dict[str, bytes]:
    return dict(message.headers or ())
