"""The background task that delivers what is due."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from functools import partial

import aiohttp
import structlog

from schemas.halts import Delivery
from streams.halts.book import Book
from streams.halts.deliveries import Outcome, after_attempt
from streams.halts.outbox import Outbox
from streams.halts.policy import Target
from streams.halts.sender import attempt
from streams.metrics import DELIVERIES

_log = structlog.get_logger(__name__)

_AT_ONCE_PER_TARGET = 4
"""A slow target keeps only its own webhooks waiting."""
_LOOK_AGAIN_S = 60.0


class Dispatcher:
    """Attempts pending deliveries, new ones at once, and has every outcome written.

    Law: a webhook is attempted by one task at a time, and only while its partition is ours. It may
    be sent again after a crash between the answer and the written outcome: at least once, with an
    id that is the same each time.
    """

    def __init__(self, book: Book, outbox: Outbox, targets: Iterable[Target]) -> None:
        self._book = book
        self._outbox = outbox
        self._targets = {target.name: target for target in targets}
        self._running: dict[str, tuple[str, asyncio.Task[None]]] = {}
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Look for due deliveries now."""
        self._wake.set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        ) as session:
            try:
                while True:
                    self._wake.clear()
                    wait_s = self._start_due(session)
                    with suppress(TimeoutError):
                        async with asyncio.timeout(wait_s):
                            await self._wake.wait()
            finally:
                await self.stop()

    async def stop(self) -> None:
        """Give up what is being attempted: the partitions are no longer ours.

        An attempt that already reached its target is repeated by the next owner.
        """
        tasks = [task for _, task in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start_due(self, session: aiohttp.ClientSession) -> float:
        now_ms = _now_ms()
        busy = Counter(target for target, _ in self._running.values())
        for delivery in self._book.pending():
            if delivery.next_attempt_ms > now_ms:
                return min(_LOOK_AGAIN_S, (delivery.next_attempt_ms - now_ms) / 1000)
            if delivery.webhook_id in self._running:
                continue
            if busy[delivery.target] < _AT_ONCE_PER_TARGET:
                busy[delivery.target] += 1
                task = asyncio.create_task(self._deliver(session, delivery))
                self._running[delivery.webhook_id] = (delivery.target, task)
                task.add_done_callback(partial(self._ended, delivery.webhook_id))
        return _LOOK_AGAIN_S

    async def _deliver(self, session: aiohttp.ClientSession, delivery: Delivery) -> None:
        generation = self._book.generation
        outcome = await self._attempt(session, delivery)
        settled = after_attempt(delivery, outcome, _now_ms(), random.random)
        if await self._outbox.put(settled, generation):
            _report(settled)

    def _ended(self, webhook_id: str, _: asyncio.Task[None]) -> None:
        del self._running[webhook_id]
        self.wake()

    async def _attempt(self, session: aiohttp.ClientSession, delivery: Delivery) -> Outcome:
        target = self._targets.get(delivery.target)
        if target is None:
            return Outcome(0, "the policy has no such target any more", for_good=True)
        try:
            return await attempt(session, target, delivery)
        except Exception as error:
            # Whatever it is, the schedule must go on: an attempt that raises would come at once.
            _log.exception("webhook attempt", webhook_id=delivery.webhook_id)
            return Outcome(0, f"kbwatch itself failed: {type(error).__name__}")


def _report(delivery: Delivery) -> None:
    outcome = "retried" if delivery.state == "pending" else delivery.state
    DELIVERIES.labels(outcome=outcome).inc()
    log = _log.info if delivery.state == "delivered" else _log.warning
    log(
        "webhook",
        outcome=outcome,
        target=delivery.target,
        case=delivery.case,
        webhook_id=delivery.webhook_id,
        attempts=delivery.attempts,
        error=delivery.last_error,
        next_attempt_ms=delivery.next_attempt_ms,
    )


def _now_ms() -> int:
    return int(time.time() * 1000)
