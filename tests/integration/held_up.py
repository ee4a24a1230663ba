"""``kbwatch run detector`` whose agent for reports never comes back from its first batch."""

import asyncio
import sys
from unittest.mock import patch

from schemas.cli import main
from streams.detector.observer import Observer


async def _held_up(*_: object) -> int:
    await asyncio.Event().wait()
    raise AssertionError("nobody sets the event")


if __name__ == "__main__":
    sys.argv[1:] = ["run", "detector"]
    with patch.object(Observer, "take", _held_up):
        main()
