"""Every shape at once on a real Kafka, one fleet each: two ingest workers, one detector, one file
of nodes, and each fleet halts as with collectors of its own.
"""

from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from kafka.admin import KafkaAdminClient

from schemas.codec import decode
from schemas.inventory_csv import read_nodes
from schemas.settings import IngestSource, KafkaSettings
from schemas.topics import NODE_REPORTS, VERDICTS, all_topics, dlq_of
from schemas.verdicts import Verdict
from streams.inventory.changes import place_of
from streams.inventory.topic import write
from streams.kafka_io import read_whole
from streams.regbench.clock import DAY_MS
from streams.regbench.scenarios.kb5062557 import LIVE_START_MS
from streams.regbench.stories import BRANCH
from streams.regbench.telemetry import Sent
from tests.fixtures.foreign import (
    Finding,
    agrees,
    events_in,
    findings,
    halts_in,
    inventory_file,
    inventory_of,
    native,
    newest,
    scenario,
)
from tests.integration.detecting import stream
from tests.integration.workers import Workers, committed, committed_of, ends, eventually
from tests.shapes import SHAPES

pytestmark = pytest.mark.slow

# Foreign topics have as many partitions as their owners like.
_PARTITIONS = {shape: 1 + index % 3 for index, shape in enumerate(SHAPES)}
_HISTORY_MS = 35 * DAY_MS


@cache
def told() -> tuple[Sent, ...]:
    """The branch of the case, with as much history as its noise classes need."""
    nodes = {node.name for node in scenario().nodes if node.branch == BRANCH}
    recent = newest(stream(), LIVE_START_MS - _HISTORY_MS)
    return tuple(s for s in recent if s.report is not None and s.report.node in nodes)


@pytest.fixture
def workers(kafka_settings: KafkaSettings, tmp_path: Path) -> Iterator[dict[str, Workers]]:
    sources = [IngestSource(topic(kafka_settings, s), SHAPES[s].format, s) for s in SHAPES]
    environment = {"KBW_INGEST_SOURCES": msgspec.json.encode(sources).decode()}
    found = {}
    for name in ("ingest", "detector"):
        (tmp_path / name).mkdir()
        command = ("-m", "schemas", "run", name)
        found[name] = Workers(kafka_settings, tmp_path / name, command, environment)
    yield found
    for started in found.values():
        started.kill_all()


def topic(kafka: KafkaSettings, shape: str) -> str:
    return f"{kafka.namespace}{shape}"


def create(kafka: KafkaSettings) -> None:
    with KafkaAdminClient(bootstrap_servers=kafka.bootstrap) as admin:
        wanted = {
            topic(kafka, shape): {"num_partitions": count, "replication_factor": 1}
            for shape, count in _PARTITIONS.items()
        }
        admin.create_topics(wanted, wait_for_metadata=True)


async def produce(kafka: KafkaSettings) -> int:
    """Each event in every shape; a node's events lie on all partitions, as without keys.

    Returns how many messages each topic got.
    """
    number = 0
    async with AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap, compression_type="zstd", linger_ms=20
    ) as producer:
        for number, one in enumerate(events_in(told(), alive=False), start=1):
            for shape in SHAPES:
                value = SHAPES[shape].write(one.event)
                partition = number % _PARTITIONS[shape]
                await producer.send(topic(kafka, shape), value, partition=partition)
    return number


async def halts(kafka: KafkaSettings) -> dict[str, list[Finding]]:
    newest_of: dict[bytes, Verdict] = {}
    async for record in read_whole(kafka, VERDICTS, range(all_topics()[VERDICTS].partitions)):
        if record.value is None:
            newest_of.pop(record.key, None)
        else:
            newest_of[record.key] = decode(record.value, Verdict)
    return findings(newest_of.values())


async def test_each_fleet_halts_as_with_collectors(
    kafka_settings: KafkaSettings, workers: dict[str, Workers], tmp_path: Path
) -> None:
    kafka = kafka_settings
    create(kafka)
    file = tmp_path / "nodes.csv"
    file.write_text(inventory_file(SHAPES))
    nodes = read_nodes(file)
    assert nodes == [node for shape in SHAPES for node in inventory_of(shape)]
    await write(kafka, [(place_of(node), node) for node in nodes], lambda _: None)
    workers["detector"].start()
    for worker_id in ("1", "2"):
        workers["ingest"].start(worker_id)
    produced = await produce(kafka)
    for shape in SHAPES:
        await eventually(
            partial(committed_of, kafka, "ingest", topic(kafka, shape), _PARTITIONS[shape]),
            lambda done: done == produced,
            workers["ingest"].log,
            timeout_s=180,
        )
    reports = await ends(kafka, NODE_REPORTS)
    await eventually(
        lambda: committed(kafka, "detector", NODE_REPORTS),
        lambda done: done == reports,
        workers["detector"].log,
        timeout_s=60,
    )
    (wanted,) = halts_in(native(told()))
    assert wanted.case == "KB5062557@17763"

    def all_agree(found: dict[str, list[Finding]]) -> bool:
        return set(found) == set(SHAPES) and all(
            len(found[shape]) == 1 and agrees(shape, found[shape][0], wanted) for shape in SHAPES
        )

    await eventually(lambda: halts(kafka), all_agree, workers["detector"].log)
    assert await ends(kafka, dlq_of(NODE_REPORTS)) == 0
    for started in workers.values():
        assert started.stop_all() == {0}
