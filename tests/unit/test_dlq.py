"""Dead letters: what is counted under which name."""

import asyncio
from types import SimpleNamespace
from typing import Any

from prometheus_client import REGISTRY

from schemas.settings import KafkaSettings
from schemas.topics import NODE_REPORTS, dlq_of
from streams.dlq import DeadLetters


class Producer:
    """Takes everything at once."""

    def __init__(self) -> None:
        self.topics: list[str] = []

    async def send(self, topic: str, *_: object) -> asyncio.Future[None]:
        self.topics.append(topic)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


async def test_a_dead_letter_is_counted_under_the_topic_it_came_from() -> None:
    producer = Producer()
    app: Any = SimpleNamespace(producer=producer)
    message: Any = SimpleNamespace(topic="win-events", partition=2, offset=7, key=None, value=b"{}")
    await DeadLetters(app, KafkaSettings(), "ingest", NODE_REPORTS).bad(message, "invalid", "$")
    assert producer.topics == [dlq_of(NODE_REPORTS)]
    labels = {"topic": "win-events", "reason": "invalid"}
    assert REGISTRY.get_sample_value("kbwatch_dead_letters_total", labels) == 1
    ours = {"topic": NODE_REPORTS, "reason": "invalid"}
    assert REGISTRY.get_sample_value("kbwatch_dead_letters_total", ours) is None
