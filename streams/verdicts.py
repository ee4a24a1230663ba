"""Where verdicts can be read from: the running pipeline, or a recording."""

from pathlib import Path

from schemas.codec import decode
from schemas.settings import DetectorSettings, KafkaSettings
from schemas.topics import VERDICTS, all_topics
from schemas.verdicts import Verdict
from streams.detection.pinned import Calibrations
from streams.kafka_io import check_broker, read_whole
from streams.recording import read
from streams.replay import replay


async def from_kafka(settings: KafkaSettings) -> list[Verdict]:
    """The newest verdict of every open case.

    Raises KbwatchError when the broker does not answer or has no such topic.
    """
    await check_broker(settings, (VERDICTS,))
    newest: dict[bytes | None, bytes] = {}
    async for record in read_whole(settings, VERDICTS, range(all_topics()[VERDICTS].partitions)):
        if record.value is None:
            newest.pop(record.key, None)
        else:
            newest[record.key] = record.value
    return [decode(raw, Verdict) for _, raw in sorted(newest.items())]


def from_recording(
    file: Path, settings: DetectorSettings, calibrations: Calibrations
) -> list[Verdict]:
    """The verdicts of the cases that are open at the end of a recording."""
    return list(replay(read(file), settings, calibrations).verdicts)
