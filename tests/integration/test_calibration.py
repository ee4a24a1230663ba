"""A published calibration on a real Kafka: the judge pins it to the cases that begin after it."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from schemas.codec import decode, encode
from schemas.reports import Boot, Heartbeat, NodeReport
from schemas.settings import KafkaSettings
from schemas.topics import CALIBRATION, NODE_REPORTS, VERDICTS, key
from schemas.verdicts import Verdict
from tests.fixtures.calibrations import a_calibration
from tests.integration.detecting import Detecting
from tests.integration.workers import ends, eventually, kbwatch

pytestmark = pytest.mark.slow

_DAY_MS = 86_400_000
_EXPECTED = {
    "KB5060531@17763": "default",
    "KB5061978@17763": "default",
    "KB5062557@17763": "own",
}
"""What each case is judged with: the first two came together, before there was a calibration."""


@pytest.fixture
def detecting(kafka_settings: KafkaSettings, tmp_path: Path) -> Iterator[Detecting]:
    detecting = Detecting(kafka_settings, tmp_path)
    yield detecting
    detecting.workers.kill_all()


def calibrate(kafka: KafkaSettings, *words: str, code: int = 0) -> str:
    return kbwatch(kafka, "calibrate", *words, code=code)


def publish(kafka: KafkaSettings, folder: Path, name: str, code: int = 0) -> str:
    file = folder / f"{name}.json"
    file.write_bytes(encode(a_calibration(name, 0)))
    return calibrate(kafka, "publish", str(file), code=code)


def replayed(kafka: KafkaSettings, folder: Path, *options: str) -> dict[str, str]:
    """Per case the calibration that a replay of what is on Kafka names."""
    file = folder / "reports.jsonl.zst"
    kbwatch(kafka, "record", str(file), "--overwrite")
    lines = kbwatch(kafka, "replay", str(file), *options).splitlines()
    verdicts = [decode(line.encode(), Verdict) for line in lines]
    return {verdict.case: verdict.calibration for verdict in verdicts}


async def report(detecting: Detecting, now_ms: int) -> None:
    """Two clusters that got one KB two days ago and the next one just now."""
    async with AIOKafkaProducer(bootstrap_servers=detecting.kafka.bootstrap) as producer:
        for number in range(4):
            domain = f"c{number // 2}"
            one = NodeReport(
                v=1,
                fleet="default",
                node=f"n{number}",
                domain=domain,
                site="s1",
                sent_ms=now_ms,
                records=[
                    Boot(t_ms=now_ms - 9 * _DAY_MS, build="17763.7314"),
                    Boot(t_ms=now_ms - 2 * _DAY_MS, build="17763.7434"),
                    Boot(t_ms=now_ms, build="17763.7558"),
                    Heartbeat(t_ms=now_ms),
                ],
            )
            topic = detecting.kafka.topic(NODE_REPORTS)
            await producer.send_and_wait(topic, encode(one), key=key("default", domain))
            detecting.produced += 1


async def calibrations(detecting: Detecting) -> dict[str, str]:
    """Per case the calibration that its verdict names, once all cases are judged."""

    async def verdicts() -> list[Verdict]:
        return [decode(v, Verdict) for v in (await detecting.compacted(VERDICTS)).values()]

    await eventually(
        verdicts, lambda found: len(found) == len(_EXPECTED), detecting.workers.log, 60
    )
    return {verdict.case: verdict.calibration for verdict in await verdicts()}


async def test_a_case_pins_what_was_valid_before_its_first_install(
    detecting: Detecting, tmp_path: Path
) -> None:
    assert "no calibration yet" in calibrate(detecting.kafka, "show")
    publish(detecting.kafka, tmp_path, "own")
    detecting.workers.start()
    await report(detecting, int(time.time() * 1000))
    assert await calibrations(detecting) == _EXPECTED
    assert replayed(detecting.kafka, tmp_path, "--pinned") == _EXPECTED
    assert set(replayed(detecting.kafka, tmp_path).values()) == {"default"}

    publish(detecting.kafka, tmp_path, "later")
    assert detecting.workers.stop_all() == {0}
    ready = len(detecting.shares())
    detecting.workers.start()

    async def shares() -> int:
        return len(detecting.shares())

    await eventually(shares, lambda found: found > ready, detecting.workers.log, 60)
    await report(detecting, int(time.time() * 1000) + 60_000)
    await eventually(
        detecting.committed, lambda n: n == detecting.produced, detecting.workers.log, 60
    )
    assert await calibrations(detecting) == _EXPECTED, "a case that runs keeps its own"


async def test_what_is_published_is_shown_and_its_name_is_taken(
    detecting: Detecting, tmp_path: Path
) -> None:
    before_ms = int(time.time() * 1000)
    publish(detecting.kafka, tmp_path, "own")
    found: list[dict[str, Any]] = json.loads(calibrate(detecting.kafka, "show", "--json"))
    assert [(c["fleet"], c["name"], c["rollouts"]) for c in found] == [("default", "own", 24)]
    assert found[0]["valid_from_ms"] >= before_ms, "never for cases that run"
    assert "own" in calibrate(detecting.kafka, "show")
    said = publish(detecting.kafka, tmp_path, "own", code=2)
    assert "has a calibration own already" in said
    assert await ends(detecting.kafka, CALIBRATION) == 1
