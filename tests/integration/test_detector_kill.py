"""kbwatch run detector on a real Kafka, disturbed: workers killed, joining and leaving, and a
broker that goes away. What it comes to must be what an undisturbed run comes to, byte for byte.
"""

import asyncio
import uuid
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
from msgspec import Struct

from deploy.local import kafka
from schemas.codec import decode
from schemas.settings import KafkaSettings, Settings
from schemas.topics import VERDICTS, all_topics
from schemas.verdicts import Verdict
from streams.topics_admin import apply_topics
from tests.integration.detecting import Compacted, Detecting, Finals, stream
from tests.integration.slow_seek import HELD_OPEN
from tests.integration.workers import eventually, kill

pytestmark = pytest.mark.slow

_EVERY_PARTITION = list(range(all_topics()[VERDICTS].partitions))


class Undisturbed(Struct, frozen=True):
    """One worker, one stream, no trouble."""

    finals: Finals
    replayed: Compacted


@pytest.fixture(scope="module")
def undisturbed(broker: kafka.Broker, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    namespace = f"u{uuid.uuid4().hex[:10]}-"
    settings = Settings(kafka=KafkaSettings(bootstrap=broker.bootstrap, namespace=namespace))
    apply_topics(settings)
    folder = tmp_path_factory.mktemp("undisturbed")
    detecting = Detecting(settings.kafka, folder)

    async def run() -> Undisturbed:
        await detecting.produce(stream())
        replayed = await detecting.replayed(folder / "stream.jsonl.zst")
        detecting.workers.start()
        return Undisturbed(await detecting.finals(replayed), replayed)

    try:
        return asyncio.run(run())
    finally:
        detecting.workers.kill_all()


@pytest.fixture
def detecting(kafka_settings: KafkaSettings, tmp_path: Path) -> Iterator[Detecting]:
    detecting = Detecting(kafka_settings, tmp_path)
    yield detecting
    detecting.workers.kill_all()


def test_without_trouble_the_verdicts_are_those_of_replay(undisturbed: Undisturbed) -> None:
    assert undisturbed.finals.verdicts == undisturbed.replayed
    verdicts = [decode(value, Verdict) for value in undisturbed.replayed.values()]
    assert [v.case for v in verdicts if v.state == "halt"] == ["KB5062557@17763"]
    assert len({v.branch for v in verdicts}) == 3


async def test_a_worker_killed_again_and_again_changes_nothing(
    detecting: Detecting, undisturbed: Undisturbed
) -> None:
    items = stream()
    step = len(items) // 6
    worker = detecting.workers.start()
    for third in range(3):
        begin = 2 * third * step
        before = await detecting.committed()
        await detecting.produce(items[begin : begin + step])
        await detecting.progress(beyond=before)
        await detecting.produce(items[begin + step : begin + 2 * step])
        kill(worker, detecting.workers.log)
        assert await detecting.committed() < detecting.produced
        worker = detecting.workers.start()
    await detecting.produce(items[6 * step :])

    finals = await detecting.finals(undisturbed.finals.verdicts)
    assert finals.unlike(undisturbed.finals) == []


async def test_one_of_two_workers_killed_and_restarted_changes_nothing(
    detecting: Detecting, undisturbed: Undisturbed
) -> None:
    items = stream()
    half = len(items) // 2
    detecting.workers.start("1")
    second = detecting.workers.start("2")
    await both_have_a_share(detecting)
    await detecting.produce(items[: half // 2])
    await detecting.progress(beyond=0)
    await detecting.produce(items[half // 2 : half])
    kill(second, detecting.workers.log)
    assert await detecting.committed() < detecting.produced
    await detecting.produce(items[half : half + half // 2])
    detecting.workers.start("2")
    await detecting.produce(items[half + half // 2 :])

    finals = await detecting.finals(undisturbed.finals.verdicts)
    assert finals.unlike(undisturbed.finals) == []


async def test_a_worker_that_joins_and_one_that_is_gone_for_good_change_nothing(
    detecting: Detecting, undisturbed: Undisturbed
) -> None:
    items = stream()
    half = len(items) // 2
    first = detecting.workers.start("1")
    await detecting.produce(items[: half // 2])
    await detecting.progress(beyond=0)
    detecting.workers.start("2")
    await detecting.produce(items[half // 2 : half])
    await both_have_a_share(detecting)
    await detecting.produce(items[half : half + half // 2])
    kill(first, detecting.workers.log)
    await detecting.produce(items[half + half // 2 :])

    finals = await detecting.finals(undisturbed.finals.verdicts)
    assert finals.unlike(undisturbed.finals) == []
    assert detecting.shares()[-1] == _EVERY_PARTITION


async def test_while_the_broker_is_away_the_worker_waits_and_then_goes_on_by_itself(
    tmp_path: Path, namespace: str, undisturbed: Undisturbed
) -> None:
    directory = tmp_path / "kafka"
    broker = kafka.start(directory)
    settings = Settings(kafka=KafkaSettings(bootstrap=broker.bootstrap, namespace=namespace))
    detecting = Detecting(settings.kafka, tmp_path)
    items = stream()
    half = len(items) // 2
    try:
        apply_topics(settings)
        worker = detecting.workers.start()
        await detecting.produce(items[: half // 2])
        await detecting.progress(beyond=0)
        await detecting.produce(items[half // 2 : half])
        kafka.stop(directory)
        await asyncio.sleep(10)
        assert kafka.start(directory).bootstrap == broker.bootstrap
        assert await detecting.committed() < detecting.produced
        await detecting.produce(items[half:])

        finals = await detecting.finals(undisturbed.finals.verdicts)
        assert finals.unlike(undisturbed.finals) == []
        assert worker.returncode == 0
    finally:
        detecting.workers.kill_all()
        kafka.stop(directory)


async def test_a_broker_slow_to_say_what_is_committed_changes_nothing(
    kafka_settings: KafkaSettings, tmp_path: Path, undisturbed: Undisturbed
) -> None:
    detecting = Detecting(kafka_settings, tmp_path, ("-m", "tests.integration.slow_seek"))
    items = stream()
    half = len(items) // 2
    try:
        worker = detecting.workers.start()
        await detecting.produce(items[:half])
        await detecting.progress(beyond=0)
        kill(worker, detecting.workers.log)
        detecting.workers.start()
        await detecting.produce(items[half:])

        finals = await detecting.finals(undisturbed.finals.verdicts)
        assert finals.unlike(undisturbed.finals) == []
    finally:
        detecting.workers.kill_all()


async def test_a_partition_without_a_commit_is_read_from_its_beginning(
    kafka_settings: KafkaSettings, tmp_path: Path, undisturbed: Undisturbed
) -> None:
    detecting = Detecting(kafka_settings, tmp_path, ("-m", "tests.integration.slow_seek"))
    items = stream()
    of_one_domain = [item for item in items if item.key == items[0].key]
    rest = [item for item in items if item.key != items[0].key]
    try:
        worker = detecting.workers.start()
        await detecting.produce(of_one_domain)
        await detecting.progress(beyond=0)
        kill(worker, detecting.workers.log)
        detecting.workers.log.write_text("")
        detecting.workers.start()
        await detecting.workers.says(HELD_OPEN)
        await detecting.produce(rest)

        finals = await detecting.finals(undisturbed.finals.verdicts)
        assert finals.unlike(undisturbed.finals) == []
    finally:
        detecting.workers.kill_all()


async def both_have_a_share(detecting: Detecting) -> None:
    async def shares() -> list[list[int]]:
        return detecting.shares()[-2:]

    await eventually(
        shares,
        lambda found: all(found) and sorted(chain(*found)) == _EVERY_PARTITION and len(found) == 2,
        detecting.workers.log,
    )
