"""kbwatch run detector on a real Kafka: what can't be used is set aside, the rest goes on."""

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from kafka.admin import KafkaAdminClient
from msgspec import Struct
from msgspec.structs import replace

from schemas.codec import MAX_MESSAGE_BYTES, decode, encode
from schemas.evidence import DomainEvidence
from schemas.health import Health
from schemas.reports import Boot, Heartbeat, NodeReport
from schemas.settings import KafkaSettings, Settings
from schemas.topics import (
    BROKER_MAX_BYTES,
    CALIBRATION,
    EVIDENCE,
    HEALTH,
    NODE_REPORTS,
    all_topics,
    dlq_of,
    key,
)
from streams.kafka_io import partition_of, read_whole
from streams.topics_admin import apply_topics
from tests.fixtures.complaints import complaint
from tests.integration.detecting import Detecting
from tests.integration.workers import ends, eventually

pytestmark = pytest.mark.slow

_PARTITIONS = all_topics()[NODE_REPORTS].partitions
_SENT_MS = 1_752_019_200_000
_DAY_MS = 86_400_000


class Record(Struct, frozen=True):
    key: bytes
    value: bytes
    partition: int


class Poison(Struct, frozen=True):
    """A record that must be set aside, and what its dead letter says."""

    record: Record
    reason: str
    detail: str


@pytest.fixture
def detecting(kafka_settings: KafkaSettings, tmp_path: Path) -> Iterator[Detecting]:
    detecting = Detecting(kafka_settings, tmp_path)
    yield detecting
    detecting.workers.kill_all()


def report(number: int, domain: str) -> NodeReport:
    t_ms = _SENT_MS + number * 60_000
    return NodeReport(
        v=1,
        fleet="default",
        node=f"{domain}-N1",
        domain=domain,
        site="S1",
        sent_ms=t_ms,
        records=[Boot(t_ms=t_ms, build="17763.7558"), Heartbeat(t_ms=t_ms)],
    )


def sent(one: NodeReport) -> Record:
    record_key = key(one.fleet, one.domain)
    return Record(record_key, encode(one), partition_of(record_key, _PARTITIONS))


def good(count: int, domains: int = 20) -> list[Record]:
    return [sent(report(number, f"D{number % domains}")) for number in range(count)]


def poison() -> list[Poison]:
    """One of each kind, all on the domain POISONED."""
    one = report(1, "POISONED")
    sound = sent(one)
    tree = orjson.loads(sound.value)
    future = replace(one, records=[Heartbeat(t_ms=one.sent_ms + _DAY_MS + 1)])
    elsewhere = (sound.partition + 1) % _PARTITIONS

    def with_value(value: bytes) -> Record:
        return Record(sound.key, value, sound.partition)

    return [
        Poison(with_value(b""), "malformed", "truncated"),
        Poison(with_value(sound.value[:-9]), "malformed", "truncated"),
        Poison(with_value(b"\xff\xfe\x00"), "malformed", "byte 0"),
        Poison(
            with_value(sound.value + b" " * MAX_MESSAGE_BYTES), "oversized", str(MAX_MESSAGE_BYTES)
        ),
        Poison(with_value(orjson.dumps(tree | {"v": 2, "records": 7})), "version", "$.v is 2"),
        Poison(with_value(orjson.dumps(tree | {"sent_ms": "now"})), "invalid", "$.sent_ms"),
        Poison(Record(b"default|OTHER", sound.value, sound.partition), "key", "default|POISONED"),
        Poison(Record(sound.key, sound.value, elsewhere), "partition", f"partition {elsewhere}"),
        Poison(sent(future), "future", "$.records[0].t_ms"),
    ]


async def produce(detecting: Detecting, records: list[Record]) -> list[tuple[int, int]]:
    """Send in this order; the partition and offset that each record got."""
    topic = detecting.kafka.topic(NODE_REPORTS)
    async with AIOKafkaProducer(
        bootstrap_servers=detecting.kafka.bootstrap, max_request_size=BROKER_MAX_BYTES
    ) as producer:
        futures = [
            await producer.send(topic, r.value, key=r.key, partition=r.partition) for r in records
        ]
        detecting.produced += len(records)
        return [(done.partition, done.offset) for done in [await future for future in futures]]


async def all_done(detecting: Detecting) -> None:
    await eventually(
        detecting.committed, lambda done: done == detecting.produced, detecting.workers.log
    )


async def test_poison_is_dead_lettered_as_it_came_and_the_worker_goes_on(
    detecting: Detecting,
) -> None:
    worker = detecting.workers.start()
    bad = poison()
    await produce(detecting, good(10))
    places = await produce(detecting, [p.record for p in bad])
    await produce(detecting, good(20))
    await all_done(detecting)

    letters = {}
    async for letter in read_whole(detecting.kafka, dlq_of(NODE_REPORTS), [0]):
        headers = {name: value.decode() for name, value in letter.headers}
        place = int(headers["origin_partition"]), int(headers["origin_offset"])
        assert headers["origin_topic"] == detecting.kafka.topic(NODE_REPORTS)
        letters[place] = headers["reason"], headers["detail"], letter.key, letter.value
    assert set(letters) == set(places)
    for place, expected in zip(places, bad, strict=True):
        reason, detail, record_key, value = letters[place]
        assert (reason, record_key) == (expected.reason, expected.record.key)
        assert expected.detail in detail
        assert value == expected.record.value
    log = detecting.workers.log.read_text()
    assert all(line.startswith("{") for line in log.splitlines()), log
    domains = {
        decode(value, DomainEvidence).domain
        for value in (await detecting.compacted(EVIDENCE)).values()
    }
    assert domains == {f"D{number}" for number in range(20)}
    assert worker.poll() is None


async def test_over_one_per_cent_of_poison_is_said_once_on_kbw_health(
    detecting: Detecting,
) -> None:
    detecting.workers.start()
    bad = [p.record for p in poison()]
    await produce(detecting, [*good(200), *bad, *good(200), *bad])
    await all_done(detecting)

    said = [decode(r.value, Health) async for r in read_whole(detecting.kafka, HEALTH, [0])]
    assert [(h.app, h.kind, h.severity, h.topic) for h in said] == [
        ("detector", "dead_letters", "critical", NODE_REPORTS)
    ]
    assert said[0].share is not None
    assert said[0].share > 0.01


async def test_a_little_poison_is_no_matter_for_kbw_health(detecting: Detecting) -> None:
    await produce(detecting, [*good(1000), *(p.record for p in poison())])
    detecting.workers.start()
    await all_done(detecting)

    assert await ends(detecting.kafka, dlq_of(NODE_REPORTS)) == len(poison())
    assert await ends(detecting.kafka, HEALTH) == 0


def test_without_its_topics_a_worker_says_what_to_run(
    bare_settings: Settings, tmp_path: Path
) -> None:
    said = refused(bare_settings.kafka, tmp_path)
    assert f"lacks 9 topics, first {bare_settings.kafka.topic(CALIBRATION)}" in said
    assert "run `kbwatch topics apply`" in said


def test_a_topic_with_another_number_of_partitions_is_refused(
    bare_settings: Settings, tmp_path: Path
) -> None:
    topic = bare_settings.kafka.topic(NODE_REPORTS)
    with KafkaAdminClient(bootstrap_servers=bare_settings.kafka.bootstrap) as admin:
        admin.create_topics(
            {topic: {"num_partitions": _PARTITIONS + 1, "replication_factor": 1}},
            wait_for_metadata=True,
        )
    apply_topics(bare_settings)
    said = refused(bare_settings.kafka, tmp_path)
    assert f"{topic} has {_PARTITIONS + 1} partitions, topics.toml declares {_PARTITIONS}" in said


def refused(kafka: KafkaSettings, folder: Path) -> str:
    return complaint(
        "detector",
        KBW_DATA_DIR=str(folder),
        KBW_KAFKA_BOOTSTRAP=kafka.bootstrap,
        KBW_KAFKA_NAMESPACE=kafka.namespace,
    )
