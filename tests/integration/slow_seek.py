"""``kbwatch run detector`` with a broker that takes two seconds to say what is committed, and polls
that wait ten seconds for records.

That holds open the moment between Faust's resuming of partitions and its seek, in which records
once were fetched and then lost (upstream #596). Says ``HELD_OPEN`` when the moment has come.
"""

import asyncio
import sys
from collections.abc import Mapping
from unittest.mock import patch

from faust.transport.consumer import RecordMap
from faust.transport.drivers.aiokafka import Consumer
from faust.types import TP

from schemas.cli import main

HELD_OPEN = "the seek is held open"

_seek_to_committed = Consumer.seek_to_committed
_getmany = Consumer._getmany


async def _slowly(consumer: Consumer) -> Mapping[TP, int]:
    committed = await _seek_to_committed(consumer)
    print(HELD_OPEN, file=sys.stderr, flush=True)
    await asyncio.sleep(2)
    return committed


async def _waiting_long(
    consumer: Consumer, active_partitions: set[TP] | None, timeout: float
) -> RecordMap:
    return await _getmany(consumer, active_partitions, 10 * timeout)


if __name__ == "__main__":
    sys.argv[1:] = ["run", "detector"]
    with (
        patch.object(Consumer, "seek_to_committed", _slowly),
        patch.object(Consumer, "_getmany", _waiting_long),
    ):
        main()
