"""kbw-calibration: read as it is, and written."""

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.calibration import Calibration
from schemas.codec import DecodeError, decode, encode
from schemas.errors import KbwatchError
from schemas.settings import KafkaSettings
from schemas.topics import CALIBRATION, all_topics, key
from streams.kafka_io import check_broker, partition_of, read_whole

_log = structlog.get_logger(__name__)


async def read_calibrations(kafka: KafkaSettings) -> list[Calibration]:
    """The calibrations on Kafka, by fleet and name; what is none is logged and left out.

    Raises KafkaError when the broker does not answer.
    """
    found: dict[bytes, Calibration] = {}
    async for record in read_whole(kafka, CALIBRATION, range(all_topics()[CALIBRATION].partitions)):
        if record.value is None:
            found.pop(record.key, None)
            continue
        try:
            calibration = decode(record.value, Calibration)
        except DecodeError as error:
            _log.warning("calibration skipped", offset=record.offset, error=str(error))
            continue
        if record.key == _key(calibration):
            found[record.key] = calibration
    return [found[name] for name in sorted(found)]


async def known(kafka: KafkaSettings) -> list[Calibration]:
    """``read_calibrations`` for a person: KbwatchError when the broker or the topic is missing."""
    await check_broker(kafka, [CALIBRATION])
    try:
        return await read_calibrations(kafka)
    except KafkaError as error:
        raise KbwatchError(f"Kafka at {kafka.bootstrap}: {error}") from None


async def publish(kafka: KafkaSettings, calibration: Calibration) -> None:
    """Write one calibration; returns when the broker has it.

    Raises KbwatchError when its fleet has one of that name, because cases may have pinned it, or
    when the broker refuses.
    """
    if any(_key(one) == _key(calibration) for one in await known(kafka)):
        raise KbwatchError(
            f"fleet {calibration.fleet} has a calibration {calibration.name} already, and cases "
            "may have pinned it: choose another --name"
        )
    record_key = _key(calibration)
    partition = partition_of(record_key, all_topics()[CALIBRATION].partitions)
    try:
        async with AIOKafkaProducer(
            bootstrap_servers=kafka.bootstrap, acks="all", enable_idempotence=True
        ) as producer:
            await producer.send_and_wait(
                kafka.topic(CALIBRATION), encode(calibration), key=record_key, partition=partition
            )
    except KafkaError as error:
        raise KbwatchError(
            f"Kafka at {kafka.bootstrap} did not take it ({error!r}): publish again"
        ) from None


def _key(calibration: Calibration) -> bytes:
    return key(calibration.fleet, calibration.name)
