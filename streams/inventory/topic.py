"""kbw-inventory: read as it is, and written."""

from collections.abc import Callable, Iterable

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.codec import DecodeError, decode, encode
from schemas.errors import KbwatchError
from schemas.inventory import InventoryNode
from schemas.settings import KafkaSettings
from schemas.topics import INVENTORY, all_topics, key
from streams.inventory.changes import Place, place_of
from streams.kafka_io import check_broker, partition_of, read_whole

_AT_ONCE = 1_000


async def read_inventory(kafka: KafkaSettings) -> dict[Place, InventoryNode]:
    """The inventory as it is on Kafka. A record that is none is left out, to be written anew.

    Raises KbwatchError when the broker does not answer or lacks the topic.
    """
    await check_broker(kafka, [INVENTORY])
    found: dict[bytes, InventoryNode] = {}
    try:
        async for record in read_whole(kafka, INVENTORY, range(all_topics()[INVENTORY].partitions)):
            found.pop(record.key, None)
            if record.value is None:
                continue
            try:
                node = decode(record.value, InventoryNode)
            except DecodeError:
                continue
            if record.key == key(*place_of(node)):
                found[record.key] = node
    except KafkaError as error:
        raise KbwatchError(f"Kafka at {kafka.bootstrap}: {error}") from None
    return {place_of(node): node for node in found.values()}


async def write(
    kafka: KafkaSettings,
    records: Iterable[tuple[Place, InventoryNode | None]],
    done: Callable[[int], None],
) -> None:
    """Write nodes and tombstones; returns when the broker has them all. ``done`` hears how many.

    Raises KbwatchError when the broker refuses: what was written stays, the next call does the
    rest.
    """
    partitions = all_topics()[INVENTORY].partitions
    topic = kafka.topic(INVENTORY)
    left = list(records)
    try:
        async with AIOKafkaProducer(
            bootstrap_servers=kafka.bootstrap, acks="all", enable_idempotence=True
        ) as producer:
            for first in range(0, len(left), _AT_ONCE):
                sent = [
                    await producer.send(
                        topic,
                        encode(node) if node else None,
                        key=key(*place),
                        partition=partition_of(key(*place), partitions),
                    )
                    for place, node in left[first : first + _AT_ONCE]
                ]
                for future in sent:
                    await future
                done(len(sent))
    except KafkaError as error:
        raise KbwatchError(
            f"Kafka at {kafka.bootstrap} did not take all of it ({error!r}): load again"
        ) from None
