"""``kbwatch run detector`` with a broker that takes two seconds to say what is committed.

That holds open the moment between Faust's resuming of partitions and its seek, in which records
once were fetched and then lost (upstream #596).
"""

import asyncio
import sys
from collections.abc import Mapping
from unittest.mock import patch

from faust.transport.drivers.aiokafka import Consumer
from faust.types import TP

from schemas.cli import main

_seek_to_committed = Consumer.seek_to_committed


async def _slowly(consumer: Consumer) -> Mapping[TP, int]:
    committed = await _seek_to_committed(consumer)
    await asyncio.sleep(2)
    return committed


if __name__ == "__main__":
    sys.argv[1:] = ["run", "detector"]
    with patch.object(Consumer, "seek_to_committed", _slowly):
        main()
