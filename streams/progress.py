"""Watches that an app's partitions get on; says so loudly where one stands still.

It stands in for Faust's own detector, which takes the partitions of a Table's changelog for
streams that hang (docs/decisions.md, Faust).
"""

import asyncio
import time

import faust
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from faust.exceptions import ProducerSendError
from faust.transport.consumer import ThreadDelegateConsumer
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread

from schemas.codec import encode
from schemas.health import Health
from schemas.settings import Settings
from schemas.topics import HEALTH
from streams.metrics import STALLED
from streams.stalls import Offsets, Place, Stall, Stalls

_log = structlog.get_logger(__name__)

_LOOKS = 6
_HEALTH_S = 5.0


def watch_progress(app: faust.App, settings: Settings, name: str) -> None:
    """Give ``app`` a task that looks at its partitions six times in ``settings.stalled_after_s``.

    A stall is one line of the log at level error, a count in ``kbwatch_stalled_partitions`` and a
    message on kbw-health, each partition once in five minutes.
    """
    stalls = Stalls(settings.stalled_after_s)

    async def watch_partitions() -> None:
        while not app.should_stop:
            for stall in stalls.look(time.monotonic(), _seen(app)):
                health = _health(stall, name)
                _log.error(
                    "partition stands still",
                    topic=stall.topic,
                    partition=stall.partition,
                    committed=stall.committed,
                    end=stall.end,
                    still_s=round(stall.still_s),
                )
                await _say(app, settings.kafka.topic(HEALTH), health)
            STALLED.set(stalls.count)
            await asyncio.sleep(settings.stalled_after_s / _LOOKS)

    app.task(watch_partitions)


def _seen(app: faust.App) -> dict[Place, Offsets]:
    """The partitions that are to be worked on; none while they are handed out or recovered."""
    if app.rebalancing or app.in_recovery:
        return {}
    consumer = app.consumer
    if not isinstance(consumer, ThreadDelegateConsumer):
        return {}
    thread = consumer._thread
    if not isinstance(thread, AIOKafkaConsumerThread) or thread._consumer is None:
        return {}
    # Neither library has a public way to ask for the position without waiting for the broker.
    subscription = thread._consumer._subscription.subscription
    assignment = subscription.assignment if subscription else None
    if assignment is None:
        return {}
    found = {}
    for tp in consumer.assignment():
        state = assignment.state_value(TopicPartition(tp.topic, tp.partition))
        if state is not None and tp.topic not in app.tables.changelog_topics:
            found[Place(tp.topic, tp.partition)] = Offsets(
                committed=consumer._committed_offset.get(tp),
                taken=app.monitor.tp_read_offsets.get(tp),
                position=state.position if state.has_valid_position else None,
                end=state.highwater,
            )
    return found


def _health(stall: Stall, name: str) -> Health:
    committed = "nothing" if stall.committed is None else f"offset {stall.committed}"
    end = "not known" if stall.end is None else f"offset {stall.end}"
    return Health(
        v=1,
        app=name,
        kind="stalled",
        severity="critical",
        message=f"{stall.topic}[{stall.partition}] stands still for {stall.still_s:.0f} s: "
        f"{committed} is committed, its end is {end}; look at the log of {name}",
        at_ms=int(time.time() * 1000),
        topic=stall.topic,
    )


async def _say(app: faust.App, topic: str, health: Health) -> None:
    try:
        async with asyncio.timeout(_HEALTH_S):
            await (
                await app.producer.send(topic, health.app.encode(), encode(health), 0, None, None)
            )
    except (KafkaError, ProducerSendError, TimeoutError) as error:
        # The broker may be what is in the way; the line in the log stands, the watch goes on.
        _log.warning("kbw-health does not take it", error=repr(error))
