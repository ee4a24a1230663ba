"""One way to try again."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from aiokafka.errors import KafkaError
from faust.exceptions import ProducerSendError

_log = structlog.get_logger(__name__)
_DELAYS_S = (0.2, 0.5, 1.0, 2.0, 5.0)
_CONFIRM_S = 30.0
"""A broker that is there confirms long before; the client would wait for twenty minutes."""

T = TypeVar("T")


async def until_sent(what: str, attempt: Callable[[], Awaitable[T]]) -> T:
    """Call ``attempt`` until the broker takes it: while it is away, a worker waits."""
    tries = 0
    while True:
        try:
            return await attempt()
        except (KafkaError, ProducerSendError, TimeoutError) as error:
            delay_s = _DELAYS_S[min(tries, len(_DELAYS_S) - 1)]
            tries += 1
            _log.warning("broker refused, trying again", what=what, error=repr(error), in_s=delay_s)
            await asyncio.sleep(delay_s)


async def confirmed(*sent: Awaitable[object]) -> None:
    """Wait until the broker has what was handed to the producer.

    Raises TimeoutError after 30 s, so that ``until_sent`` sends again what may be there already.
    The limit is on the broker alone: preparing a large batch may take as long as it takes.
    """
    async with asyncio.timeout(_CONFIRM_S):
        await asyncio.gather(*sent)
