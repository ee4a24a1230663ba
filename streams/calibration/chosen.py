"""The calibrations that a recording is judged with."""

import asyncio
from pathlib import Path

from schemas.errors import KbwatchError
from schemas.settings import KafkaSettings
from streams.calibration.options import read_margins
from streams.calibration.topic import known
from streams.detection.margins import Margins
from streams.detection.pinned import Calibrations


class OneForAll(Calibrations):
    """The same margins for every case, whenever it began: what would have been with them."""

    def __init__(self, margins: Margins) -> None:
        super().__init__()
        self._margins = margins

    def at(self, fleet: str, started_ms: int) -> Margins:
        """The margins, whatever the case."""
        return self._margins


def chosen(file: Path | None, pinned: bool, kafka: KafkaSettings) -> Calibrations:
    """Those of ``file`` for every case; or those on kbw-calibration, each case with the one that it
    pins; or the shipped default.

    Raises KbwatchError when both are asked for, when the file is no calibration, or when the broker
    does not answer.
    """
    if file is not None and pinned:
        raise KbwatchError("--calibration and --pinned: give one of them, not both")
    if pinned:
        return Calibrations(asyncio.run(known(kafka)))
    return Calibrations() if file is None else OneForAll(read_margins(file)[0])
