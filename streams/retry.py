"""One way to try again."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from aiokafka.errors import KafkaError
from faust.exceptions import ProducerSendError

_log = structlog.get_logger(__name__)
_DELAYS_S = (0.2, 0.5, 1.0, 2.0, 5.0)
CONFIRM_S = 30.0
"""A broker that is there confirms long before; the client would wait for twenty minutes."""

T = TypeVar("T")


async def until_sent(
    what: str, attempt: Callable[[], Awaitable[T]], confirm_s: float | None = CONFIRM_S
) -> T:
    """Call ``attempt`` until the broker takes it: while it is away, a worker waits.

    What takes longer than ``confirm_s`` is tried again, so it must not matter when it is sent
    twice; None waits as long as it takes.
    """
    tries = 0
    while True:
        try:
            async with asyncio.timeout(confirm_s):
                return await attempt()
        except (KafkaError, ProducerSendError, TimeoutError) as error:
            delay_s = _DELAYS_S[min(tries, len(_DELAYS_S) - 1)]
            tries += 1
            _log.warning("broker refused, trying again", what=what, error=repr(error), in_s=delay_s)
            await asyncio.sleep(delay_s)
