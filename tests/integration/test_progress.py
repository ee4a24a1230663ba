"""A worker that stands still says so, one that has nothing to do does not: on a real Kafka."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from schemas.codec import decode
from schemas.health import Health
from schemas.settings import KafkaSettings
from schemas.topics import HEALTH, NODE_REPORTS
from streams.kafka_io import read_whole
from tests.integration.detecting import Detecting, stream
from tests.integration.workers import eventually

pytestmark = pytest.mark.slow

_LIMIT_S = 1.5
_IDLE_S = 4 * _LIMIT_S


def detecting(kafka: KafkaSettings, folder: Path, module: str, *words: str) -> Detecting:
    environment = {"KBW_STALLED_AFTER_S": str(_LIMIT_S)}
    return Detecting(kafka, folder, ("-m", module, *words), environment)


def errors(log: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["level"] == "error"]


async def test_an_agent_that_is_held_up_is_told_of(
    kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    held = detecting(kafka_settings, tmp_path, "tests.integration.held_up")
    items = stream()[:50]

    async def said() -> list[Health]:
        return [decode(r.value, Health) async for r in read_whole(held.kafka, HEALTH, [0])]

    try:
        await held.produce(items)
        held.workers.start()
        health = (await eventually(said, bool, held.workers.log))[0]
        assert (health.app, health.kind, health.severity) == ("detector", "stalled", "critical")
        assert health.topic == held.kafka.topic(NODE_REPORTS)
        assert "nothing is committed" in health.message
        lines = [e for e in errors(held.workers.log) if e["event"] == "partition stands still"]
        ends = {line["partition"]: line["end"] for line in lines}
        assert all(0 < end <= len(items) for end in ends.values())
        assert len(lines) == len(ends), "a partition was told of twice in five minutes"
    finally:
        held.workers.kill_all()


async def test_a_worker_that_is_done_is_quiet(
    kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    sound = detecting(kafka_settings, tmp_path, "schemas", "run", "detector")
    try:
        await sound.produce(stream()[:500])
        sound.workers.start()
        done = len(stream()[:500])
        await eventually(sound.committed, lambda count: count == done, sound.workers.log)
        await asyncio.sleep(_IDLE_S)
        assert errors(sound.workers.log) == []
        assert sound.workers.stop_all() == {0}
    finally:
        sound.workers.kill_all()
