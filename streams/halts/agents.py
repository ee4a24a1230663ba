"""The agent of ``kbwatch run halts``: verdict → halt → pending deliveries, acked when written."""

import time
from collections.abc import Sequence

import structlog

from schemas.codec import DecodeError, decode
from schemas.topics import key
from schemas.verdicts import Verdict
from streams.dlq import DeadLetters
from streams.faust_app import Taken
from streams.halts.book import Book
from streams.halts.decide import decide
from streams.halts.deliveries import plan
from streams.halts.dispatcher import Dispatcher
from streams.halts.outbox import Outbox, home_of
from streams.halts.policy import Policy

_log = structlog.get_logger(__name__)


def admit(raw: bytes, record_key: bytes | None, partition: int) -> Verdict:
    """Decode a record of kbw-verdicts and check that it can be acted on.

    Raises DecodeError with reason ``malformed, oversized, version, invalid, key`` or
    ``partition``.
    """
    verdict = decode(raw, Verdict)
    expected = key(verdict.fleet, verdict.case)
    if record_key != expected:
        raise DecodeError("key", f"record key {record_key!r}, but the verdict says {expected!r}")
    if home_of(verdict.fleet, verdict.case) != partition:
        raise DecodeError("partition", f"key {expected!r} does not hash to partition {partition}")
    if verdict.state == "halt" and verdict.halt is None:
        raise DecodeError("invalid", "$.halt is missing, but $.state is halt")
    return verdict


class Decider:
    """Takes verdicts in order; what they cause is at the broker before they are acked."""

    def __init__(
        self,
        policy: Policy,
        book: Book,
        outbox: Outbox,
        dispatcher: Dispatcher,
        letters: DeadLetters,
    ) -> None:
        self._policy = policy
        self._targets = tuple(target.name for target in policy.targets)
        self._book = book
        self._outbox = outbox
        self._dispatcher = dispatcher
        self._letters = letters

    async def take(self, events: Sequence[Taken]) -> int:
        """Work through a batch of kbw-verdicts; how many events from the front are finished."""
        taken: list[bool] = []
        for event in events:
            done = await self._take(event)
            if done is None:
                break
            taken.append(done)
        await self._letters.count(taken.count(True), taken.count(False))
        return len(taken)

    async def open(self, partitions: set[int]) -> None:
        """Take partitions over: read their history, and make up for what a crash left out."""
        generation = self._book.generation
        if not await self._outbox.open(partitions, generation):
            return
        for partition in partitions:
            for halt in self._book.halts(partition):
                for delivery in plan(halt, self._targets, self._book.webhook_ids(partition)):
                    if not await self._outbox.put(delivery, generation):
                        return
        _log.info("partitions taken over", partitions=sorted(partitions))
        self._dispatcher.wake()

    async def close(self) -> None:
        """Let go of every partition."""
        self._book.close()
        await self._dispatcher.stop()

    async def _take(self, event: Taken) -> bool | None:
        """True: done; False: dead-lettered; None: not ours any more, so somebody else's."""
        message = event.message
        generation = self._book.generation
        if not self._book.has(message.partition):
            return None
        if message.value is None:
            return True
        try:
            verdict = admit(message.value, message.key, message.partition)
            written = await self._act(verdict, message.partition, generation)
            return True if written else None
        except DecodeError as error:
            reason, detail = error.reason, error.detail
        except Exception as error:
            _log.exception("a verdict could not be acted on", offset=message.offset)
            reason, detail = "failed", repr(error)
        await self._letters.bad(message, reason, detail)
        return False

    async def _act(self, verdict: Verdict, partition: int, generation: int) -> bool:
        halt = self._book.halt(partition, verdict.fleet, verdict.case)
        changed = decide(verdict, halt, self._policy, int(time.time() * 1000))
        if changed is not None:
            halt = changed
            if not await self._outbox.put(halt, generation):
                return False
            _log.warning("halt", case=halt.case, state=halt.state, why=halt.history[-1].why)
        if halt is None:
            return True
        for delivery in plan(halt, self._targets, self._book.webhook_ids(partition)):
            if not await self._outbox.put(delivery, generation):
                return False
            self._dispatcher.wake()
        return True
