"""kbwatch run halts against a real Kafka: a worker process, and targets that come and go."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from aiohttp import web
from aiokafka import AIOKafkaProducer
from msgspec import Struct

from schemas.codec import decode, encode
from schemas.halts import Delivery, Halt
from schemas.settings import KafkaSettings
from schemas.topics import HALT_DELIVERIES, HALTS, VERDICTS, all_topics, dlq_of, key
from schemas.verdicts import Verdict
from streams.kafka_io import partition_of, read_whole
from tests.fixtures.halts import SECRET, a_verdict
from tests.integration.workers import ROOT, Workers, eventually

pytestmark = pytest.mark.slow

_PARTITIONS = all_topics()[VERDICTS].partitions

T = TypeVar("T", bound=Struct)


class HaltsWorkers(Workers):
    """Workers of halts, with a policy."""

    def __init__(self, kafka: KafkaSettings, folder: Path) -> None:
        policy = {"KBW_HALTS_POLICY": str(folder / "policy.toml")}
        super().__init__(kafka, folder, ("-m", "schemas", "run", "halts"), policy)

    def policy(self, url: str, mode: str = "auto") -> None:
        (self.folder / "secret").write_text(SECRET)
        (self.folder / "policy.toml").write_text(
            f'mode = "{mode}"\n[[target]]\nname = "pipeline"\nurl = "{url}"\n'
            'secret_file = "secret"\ntimeout_s = 2\n'
        )


class Target:
    """A webhook target in this process that can be closed, opened and told what to answer."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.status = 204
        self.requests: list[tuple[str, bytes]] = []
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def open(self) -> None:
        app = web.Application()
        app.router.add_post("/hook", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        self.requests.append((request.headers["webhook-id"], await request.read()))
        return web.Response(status=self.status)


@pytest.fixture
def workers(kafka_settings: KafkaSettings, tmp_path: Path) -> Iterator[HaltsWorkers]:
    workers = HaltsWorkers(kafka_settings, tmp_path)
    yield workers
    workers.kill_all()


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    target = Target()
    yield target
    await target.close()


@pytest.fixture
async def receiver(tmp_path: Path) -> AsyncIterator[tuple[str, Path]]:
    """The demo's receiver as a process: its URL, and the file that it writes."""
    (tmp_path / "receiver.secret").write_text(SECRET)
    out = tmp_path / "received.jsonl"
    words = ["--port", "0", "--secret-file", str(tmp_path / "receiver.secret"), "--out", str(out)]
    process = subprocess.Popen(
        [sys.executable, "-m", "streams.demo.receiver", *words],
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    with process:
        assert process.stdout is not None
        line = await asyncio.to_thread(process.stdout.readline)
        yield f"http://127.0.0.1:{json.loads(line)['port']}/hook", out
        process.send_signal(signal.SIGINT)


async def publish(kafka: KafkaSettings, *verdicts: Verdict) -> None:
    await publish_raw(kafka, *((key(v.fleet, v.case), encode(v)) for v in verdicts))


async def publish_raw(kafka: KafkaSettings, *records: tuple[bytes, bytes | None]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer:
        for record_key, value in records:
            await producer.send_and_wait(
                kafka.topic(VERDICTS),
                value,
                key=record_key,
                partition=partition_of(record_key, _PARTITIONS),
            )


async def everything(kafka: KafkaSettings, topic: str, kind: type[T]) -> list[T]:
    return [
        decode(record.value, kind) async for record in read_whole(kafka, topic, range(_PARTITIONS))
    ]


async def settled(kafka: KafkaSettings, log: Path) -> list[Delivery]:
    """The history of deliveries, once the last one is no longer pending."""
    return await eventually(
        lambda: everything(kafka, HALT_DELIVERIES, Delivery),
        lambda found: found and found[-1].state != "pending",
        log,
    )


async def ready(workers: HaltsWorkers) -> None:
    """Wait until the worker has its partitions, so that what follows can be timed."""

    async def log() -> str:
        return await asyncio.to_thread(workers.log.read_text)

    await eventually(log, lambda text: "partitions taken over" in text, workers.log)


async def test_a_verdict_becomes_a_verified_webhook_within_a_second(
    kafka_settings: KafkaSettings, workers: HaltsWorkers, receiver: tuple[str, Path]
) -> None:
    url, out = receiver
    workers.policy(url)
    workers.start()
    await ready(workers)

    published_ms = time.time() * 1000
    await publish(kafka_settings, a_verdict())
    deliveries = await settled(kafka_settings, workers.log)

    (received,) = [json.loads(line) for line in out.read_text().splitlines()]
    assert received["verified"]
    assert received["received_ms"] - published_ms < 1000
    assert [d.state for d in deliveries] == ["pending", "delivered"]
    assert received["webhook_id"] == deliveries[0].webhook_id
    assert received["body"] == deliveries[0].body
    (halt,) = await everything(kafka_settings, HALTS, Halt)
    assert (halt.state, halt.case) == ("active", "KB5062557@17763")
    assert SECRET.removeprefix("whsec_") not in workers.log.read_text()


async def test_a_repeated_verdict_gives_one_halt_and_one_delivery(
    kafka_settings: KafkaSettings, workers: HaltsWorkers, target: Target
) -> None:
    await target.open()
    workers.policy(target.url)
    workers.start()
    other = a_verdict(case="KB5062553@26100", kb="KB5062553", branch="26100", build="26100.4652")

    await publish(
        kafka_settings, a_verdict(), a_verdict(victims=5), a_verdict(state="warn"), a_verdict()
    )
    await publish(kafka_settings, other)
    await eventually(
        lambda: everything(kafka_settings, HALT_DELIVERIES, Delivery),
        lambda found: sum(d.state == "delivered" for d in found) == 2,
        workers.log,
    )

    halts = await everything(kafka_settings, HALTS, Halt)
    assert sorted(halt.case for halt in halts) == ["KB5062553@26100", "KB5062557@17763"]
    assert len(target.requests) == 2


async def test_mode_observe_proposes_and_tells_nobody(
    kafka_settings: KafkaSettings, workers: HaltsWorkers, target: Target
) -> None:
    await target.open()
    workers.policy(target.url, mode="observe")
    workers.start()

    await publish(kafka_settings, a_verdict())
    (halt,) = await eventually(lambda: everything(kafka_settings, HALTS, Halt), bool, workers.log)

    assert halt.state == "proposed"
    assert await everything(kafka_settings, HALT_DELIVERIES, Delivery) == []


async def test_a_target_that_answers_503_is_told_again_with_the_same_bytes(
    kafka_settings: KafkaSettings, workers: HaltsWorkers, target: Target
) -> None:
    target.status = 503
    await target.open()
    workers.policy(target.url)
    workers.start()

    await publish(kafka_settings, a_verdict())
    await eventually(
        lambda: everything(kafka_settings, HALT_DELIVERIES, Delivery),
        lambda found: len(found) == 2,
        workers.log,
    )
    target.status = 204
    deliveries = await settled(kafka_settings, workers.log)

    assert [(d.state, d.attempts, d.last_status) for d in deliveries] == [
        ("pending", 0, 0),
        ("pending", 1, 503),
        ("delivered", 2, 204),
    ]
    assert deliveries[1].last_error == "answered 503 Service Unavailable"
    assert len(target.requests) == 2
    assert len(set(target.requests)) == 1


async def test_a_worker_killed_before_the_target_answers_delivers_after_its_restart(
    kafka_settings: KafkaSettings, workers: HaltsWorkers, target: Target
) -> None:
    workers.policy(target.url)
    worker = workers.start()
    await publish(kafka_settings, a_verdict())
    refused = await eventually(
        lambda: everything(kafka_settings, HALT_DELIVERIES, Delivery),
        lambda found: len(found) == 2,
        workers.log,
    )
    assert refused[-1].last_error.startswith("can't connect")
    worker.kill()
    worker.wait()

    await target.open()
    workers.start()
    deliveries = await settled(kafka_settings, workers.log)

    assert deliveries[-1].state == "delivered"
    assert deliveries[-1].attempts >= 2
    assert {body for _, body in target.requests} == {deliveries[0].body.encode()}
    assert len(await everything(kafka_settings, HALTS, Halt)) == 1


async def test_another_worker_takes_over_from_one_that_was_killed(
    kafka_settings: KafkaSettings, workers: HaltsWorkers, target: Target
) -> None:
    workers.policy(target.url)
    first = workers.start("1")
    await publish(kafka_settings, a_verdict())
    await eventually(
        lambda: everything(kafka_settings, HALT_DELIVERIES, Delivery), bool, workers.log
    )
    workers.start("2")
    first.kill()
    await target.open()

    deliveries = await settled(kafka_settings, workers.log)

    assert deliveries[-1].state == "delivered"
    assert len({d.webhook_id for d in deliveries}) == 1


async def test_verdicts_that_cannot_be_used_are_dead_lettered_and_the_next_one_is_taken(
    kafka_settings: KafkaSettings, workers: HaltsWorkers, target: Target
) -> None:
    await target.open()
    workers.policy(target.url)
    workers.start()
    good = a_verdict()
    case = key(good.fleet, good.case)

    await publish_raw(
        kafka_settings,
        (case, b"not a verdict"),
        (case, None),
        (case, encode(a_verdict(fleet="another"))),
        (case, encode(a_verdict(halt=None))),
        (case, encode(good)),
    )
    await settled(kafka_settings, workers.log)

    letters = [r async for r in read_whole(kafka_settings, dlq_of(VERDICTS), [0])]
    assert [dict(letter.headers)["reason"] for letter in letters] == [
        b"malformed",
        b"key",
        b"invalid",
    ]
    assert letters[0].value == b"not a verdict"
    assert dict(letters[0].headers)["origin_topic"] == kafka_settings.topic(VERDICTS).encode()
    assert len(await everything(kafka_settings, HALTS, Halt)) == 1
