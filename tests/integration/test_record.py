"""kbwatch record on a real Kafka: the fleet's past as a file, and going on with it."""

import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from msgspec.structs import replace

from schemas.codec import encode
from schemas.settings import DetectorSettings, KafkaSettings
from schemas.topics import NODE_REPORTS, all_topics, key
from streams.recording import Place, Recorded, line, read
from streams.replay import replay
from tests.fixtures.stories import CASE, DAY, HOUR, NodeStory, fleet_of, judged
from tests.integration.workers import kbwatch

pytestmark = pytest.mark.slow

Message = tuple[bytes, bytes]
"""A key and a value."""


def patched(nodes: Iterable[NodeStory]) -> list[NodeStory]:
    """The nodes with a life in which all of them get the KB and die of it."""
    return [
        node.lives(until=12 * DAY).patched(at=10 * DAY).crashes("ClusSvc", at=10 * DAY + HOUR)
        for node in nodes
    ]


def fleet() -> list[NodeStory]:
    return patched(chain.from_iterable(fleet_of(4, 2, ("fra", "ams"))))


def messages(nodes: Iterable[NodeStory]) -> list[Message]:
    """What the nodes report, each in one message, stamped with now as a collector does."""
    now_ms = int(time.time() * 1000)
    return [
        (key(node.fleet, node.domain), encode(replace(node.report(), sent_ms=now_ms)))
        for node in nodes
    ]


class Kafka:
    """The broker, and the recordings that are made of it."""

    def __init__(self, kafka: KafkaSettings, folder: Path) -> None:
        self.kafka = kafka
        self.file = folder / "own.jsonl.zst"

    async def gets(self, messages: Iterable[tuple[bytes, bytes]]) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self.kafka.bootstrap) as producer:
            for record_key, value in messages:
                await producer.send_and_wait(self.kafka.topic(NODE_REPORTS), value, key=record_key)

    async def deletes(self) -> None:
        """Do what retention does, with all that is there."""
        topic = self.kafka.topic(NODE_REPORTS)
        everything = {
            TopicPartition(topic, number): RecordsToDelete(before_offset=-1)
            for number in range(all_topics()[NODE_REPORTS].partitions)
        }
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka.bootstrap)
        await admin.start()
        try:
            await admin.delete_records(everything)
        finally:
            await admin.close()

    def record(self, *words: str) -> dict[str, Any]:
        said = kbwatch(self.kafka, "record", str(self.file), "--json", *words)
        found: dict[str, Any] = json.loads(said)
        return found

    def refuses(self, *words: str) -> str:
        return kbwatch(self.kafka, "record", str(self.file), *words, code=2)

    def recorded(self) -> list[Recorded]:
        return list(read(self.file))


@pytest.fixture
def kafka(kafka_settings: KafkaSettings, tmp_path: Path) -> Kafka:
    return Kafka(kafka_settings, tmp_path)


def instant(t_ms: int) -> str:
    return datetime.fromtimestamp(t_ms / 1000, UTC).isoformat(timespec="milliseconds")


async def test_what_was_recorded_comes_to_the_verdict_of_what_was_reported(kafka: Kafka) -> None:
    (_, elsewhere) = messages(patched([NodeStory("liar", "c00")]))[0]
    forged = (key("default", "c77"), elsewhere)
    await kafka.gets([*messages(fleet()), (b"x", b"no JSON"), forged])
    said = kafka.record()
    assert (said["records"], said["refused"], said["missed"], said["left"]) == (10, 2, 0, 0)
    assert said["file_bytes"] == kafka.file.stat().st_size

    found = kafka.recorded()
    reasons = sorted(r.reason.partition(":")[0] for r in found if r.report is None)
    assert reasons == ["key", "malformed"]
    expected = judged(fleet())
    assert {v.case: v for v in replay(found, DetectorSettings()).verdicts} == expected
    assert expected[CASE].exposed == 8
    assert expected[CASE].sentence in kbwatch(
        kafka.kafka, "explain", CASE, str(kafka.file), "--json"
    )


async def test_it_goes_on_where_it_ended_and_loses_and_repeats_nothing(kafka: Kafka) -> None:
    await kafka.gets(messages(fleet()))
    first = kafka.record("--limit", "3", "--resume")
    assert (first["records"], first["left"]) == (3, 5)
    second = kafka.record("--resume")
    assert (second["records"], second["left"]) == (5, 0)
    nothing = kafka.record("--resume")
    assert (nothing["records"], nothing["first_ms"]) == (0, None)
    await kafka.gets(messages(fleet())[:1])
    assert kafka.record("--resume")["records"] == 1

    whole = kafka.file.with_name("whole.jsonl")
    kbwatch(kafka.kafka, "record", str(whole))
    assert sorted(map(encode, kafka.recorded())) == sorted(map(encode, read(whole)))


async def test_times_are_those_at_which_kafka_got_it(kafka: Kafka) -> None:
    await kafka.gets(messages(fleet()))
    first_ms = kafka.record()["first_ms"]
    middle = sorted(r.append_ms for r in kafka.recorded())[4]
    assert middle > first_ms
    early, late = (
        kafka.record("--overwrite", option, instant(middle))["records"]
        for option in ("--until", "--since")
    )
    assert (early + late, late > 0, early > 0) == (8, True, True)


async def test_nothing_is_overwritten_or_mixed_unasked(kafka: Kafka, tmp_path: Path) -> None:
    await kafka.gets(messages(fleet()))
    kafka.record()
    before = kafka.file.read_bytes()
    assert "is there already: --resume goes on" in kafka.refuses()
    assert "--resume and --since: give one" in kafka.refuses("--resume", "--since", "2025-07-01")
    assert "does not answer" in kafka.refuses("--overwrite", "--set", "kafka.bootstrap=127.0.0.1:1")
    assert kafka.file.read_bytes() == before

    await kafka.deletes()
    await kafka.gets(messages(fleet()))
    assert kafka.record("--overwrite")["records"] == 8
    assert len(kafka.recorded()) == 8


async def test_what_kafka_deleted_before_it_was_recorded_is_told(kafka: Kafka) -> None:
    await kafka.gets(messages(fleet()))
    kafka.record()
    await kafka.gets(messages(fleet())[:3])
    await kafka.deletes()
    await kafka.gets(messages(fleet())[:1])
    said = kafka.record("--resume")
    assert (said["records"], said["missed"]) == (1, 3)


async def test_another_topic_is_not_added_to_a_recording(kafka: Kafka) -> None:
    await kafka.gets(messages(fleet()))
    first_ms = kafka.record()["first_ms"]
    # As the topic of another cluster, or one that was created anew, would have it.
    text = b"".join(line(first_ms - 1, b"", Place(number, 0)) for number in range(4))
    kafka.file = kafka.file.with_name("other.jsonl")
    kafka.file.write_bytes(text)
    assert "was not recorded from the" in kafka.refuses("--resume")
    kafka.file.write_bytes(line(first_ms, b"", Place(0, 1000)))
    assert "was not recorded from the" in kafka.refuses("--resume")
