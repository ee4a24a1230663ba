"""Dead letters: what could not be used, kept as raw bytes with the reason, never dropped."""

import time
from collections import deque
from collections.abc import Awaitable

import faust
import structlog
from faust.types import Message

from schemas.codec import MAX_MESSAGE_BYTES, encode
from schemas.health import Health
from schemas.settings import KafkaSettings
from schemas.topics import HEALTH, dlq_of
from streams.metrics import DEAD_LETTERS
from streams.retry import confirmed, until_sent

_log = structlog.get_logger(__name__)

Headers = list[tuple[str, bytes]] | None

KEPT_BYTES = 2 * MAX_MESSAGE_BYTES
"""What a dead letter keeps of a larger message: twice what any reader takes."""

_LOG_EVERY_S = 30.0
_WINDOW_S = 300.0
_LOUD_SHARE = 0.01
_LOUD_AT_LEAST = 100
"""Below this many messages a share says nothing."""


class Quiet:
    """What the log says of dead letters: the first of a kind at once, then their number. No I/O.

    A topic of something else is a dead letter per message, and would be a line per message.
    """

    def __init__(self) -> None:
        """Begin with nothing said."""
        self._since: dict[tuple[str, str], tuple[float, int]] = {}

    def is_first(self, topic: str, reason: str, now_s: float) -> bool:
        """Count a letter (``now_s``: any clock, seconds); whether to log it by itself."""
        since_s, count = self._since.get((topic, reason), (now_s, -1))
        self._since[topic, reason] = since_s, count + 1
        return count < 0

    def due(self, now_s: float) -> list[tuple[str, str, int]]:
        """Topic, reason and number of those not logged for 30 s; none for 30 s is a new start."""
        found = []
        for (topic, reason), (since_s, count) in list(self._since.items()):
            if now_s - since_s < _LOG_EVERY_S:
                continue
            if count:
                found.append((topic, reason, count))
                self._since[topic, reason] = now_s, 0
            else:
                del self._since[topic, reason]
        return found


class DeadLetters:
    """The dead-letter side of one app and topic, with its share over the last five minutes.

    Law: every ``bad`` message (its first mebibyte) is in ``<topic>-dlq`` when ``bad`` returns.
    """

    def __init__(
        self, app: faust.App, kafka: KafkaSettings, name: str, topic: str, what: str = ""
    ) -> None:
        """``what`` the share is of, for people; the topic where that is not said."""
        self._what = what or topic
        self._app = app
        self._kafka = kafka
        self._name = name
        self._topic = topic
        self._window: deque[tuple[float, int, int]] = deque()
        self._loud_until = 0.0
        self._quiet = Quiet()

    async def bad(
        self, message: Message, reason: str, detail: str, part: bytes | None = None
    ) -> None:
        """Put ``message`` into the dead-letter topic, or the ``part`` of it that can't be used.

        Returns when the broker has it.
        """
        headers = [
            ("reason", reason.encode()),
            ("detail", detail[:1000].encode("utf-8", "replace")),
            ("origin_topic", message.topic.encode()),
            ("origin_partition", str(message.partition).encode()),
            ("origin_offset", str(message.offset).encode()),
        ]
        value = message.value if part is None else part
        if value is not None and len(value) > KEPT_BYTES:
            # Headers must fit beside it below the broker's limit, or it could never be sent.
            headers.append(("size_bytes", str(len(value)).encode()))
            value = value[:KEPT_BYTES]
        await self._send(dlq_of(self._topic), message.key, value, headers)
        DEAD_LETTERS.labels(topic=message.topic, reason=reason).inc()
        if self._quiet.is_first(message.topic, reason, time.monotonic()):
            _log.warning(
                "dead letter",
                topic=message.topic,
                partition=message.partition,
                offset=message.offset,
                reason=reason,
                detail=detail[:200],
            )

    async def count(self, good: int, bad: int) -> None:
        """Add a batch to the share; say so on kbw-health when over 1 % is bad in five minutes."""
        now = time.monotonic()
        for topic, reason, letters in self._quiet.due(now):
            _log.warning("more dead letters", topic=topic, reason=reason, letters=letters)
        self._window.append((now, good, bad))
        while self._window[0][0] < now - _WINDOW_S:
            self._window.popleft()
        total_bad = sum(entry[2] for entry in self._window)
        total = total_bad + sum(entry[1] for entry in self._window)
        share = total_bad / total if total else 0.0
        if total < _LOUD_AT_LEAST or share <= _LOUD_SHARE or now < self._loud_until:
            return
        self._loud_until = now + _WINDOW_S
        health = Health(
            v=1,
            app=self._name,
            kind="dead_letters",
            severity="critical",
            message=f"{100 * share:.1f} % of {self._what} can't be used; "
            f"look at {dlq_of(self._topic)}",
            at_ms=int(time.time() * 1000),
            topic=self._topic,
            share=round(share, 4),
        )
        _log.error(health.message)
        await self._send(HEALTH, self._name.encode(), encode(health), None)

    async def _send(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers
    ) -> None:
        async def attempt() -> None:
            sent: Awaitable[object] = await self._app.producer.send(
                self._kafka.topic(topic), key, value, 0, None, headers
            )
            await confirmed(sent)

        await until_sent(topic, attempt)
