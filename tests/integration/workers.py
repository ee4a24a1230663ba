"""Worker processes for integration tests, and waiting for what they do."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError

from schemas.settings import KafkaSettings
from schemas.topics import all_topics

ROOT = Path(__file__).parents[2]
_STOP_S = 20.0

Found = TypeVar("Found")


class Workers:
    """Starts workers of one app as processes; ``kill_all`` ends whatever still runs.

    ``command`` follows the interpreter's name: ``-m schemas run detector``.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        folder: Path,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.log = folder / "worker.log"
        self._command = command
        self._environment = {
            "PYTHONPATH": str(ROOT),
            "KBW_DATA_DIR": str(folder / "data"),
            "KBW_LOG_FORMAT": "json",
            "KBW_KAFKA_BOOTSTRAP": kafka.bootstrap,
            "KBW_KAFKA_NAMESPACE": kafka.namespace,
            "KBW_KAFKA_SESSION_TIMEOUT_S": "4",
            **(environment or {}),
        }
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, worker_id: str = "1") -> subprocess.Popen[bytes]:
        """Start a worker; its output is added to ``log``."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *self._command],
                env=os.environ | self._environment | {"KBW_WORKER_ID": worker_id},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._started.append(process)
        return process

    async def says(self, words: str) -> None:
        """Wait until ``log`` has ``words``."""

        async def lines() -> str:
            return self.log.read_text()

        await eventually(lines, lambda text: words in text, self.log)

    def stop_all(self) -> set[int]:
        """Ask the workers that run to end; their exit codes."""
        running = [process for process in self._started if process.poll() is None]
        for process in running:
            process.send_signal(signal.SIGTERM)
        return {process.wait(_STOP_S) for process in running}

    def kill_all(self) -> None:
        for process in self._started:
            process.kill()
            process.wait()


def kbwatch(kafka: KafkaSettings, *words: str, code: int = 0) -> str:
    """Run ``kbwatch`` as somebody at a terminal; what it prints, or its complaint if it is to end
    with another ``code`` than 0.
    """
    environment = {
        "PYTHONPATH": str(ROOT),
        "KBW_KAFKA_BOOTSTRAP": kafka.bootstrap,
        "KBW_KAFKA_NAMESPACE": kafka.namespace,
    }
    done = subprocess.run(
        [sys.executable, "-m", "schemas", *words],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def kill(process: subprocess.Popen[bytes], log: Path) -> None:
    """End a worker as a power cut does; fails with its log when it had ended by itself before."""
    process.kill()
    assert process.wait(_STOP_S) == -signal.SIGKILL, log.read_text()[-20_000:]


async def eventually(
    look: Callable[[], Awaitable[Found]],
    holds: Callable[[Found], Any],
    log: Path,
    timeout_s: float = 30.0,
) -> Found:
    """What ``look`` finds once it ``holds``; fails with the workers' log."""
    deadline = time.monotonic() + timeout_s
    while not holds(found := await look()):
        assert time.monotonic() < deadline, f"still {found}\n{log.read_text()[-20_000:]}"
        await asyncio.sleep(0.1)
    return found


async def committed(kafka: KafkaSettings, app: str, topic: str) -> int:
    """How many records of a topic (short name) the group of ``app`` has committed."""
    return await committed_of(kafka, app, kafka.topic(topic), all_topics()[topic].partitions)


async def committed_of(kafka: KafkaSettings, app: str, topic: str, partitions: int) -> int:
    """The same for any topic, by its full name."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(
            kafka.topic(f"kbw-{app}"),
            partitions=[TopicPartition(topic, number) for number in range(partitions)],
        )
    except GroupCoordinatorNotAvailableError:  # nobody has used a group on this broker yet
        return 0
    finally:
        await admin.close()
    return sum(max(at.offset, 0) for at in offsets.values())


async def ends(kafka: KafkaSettings, topic: str) -> int:
    """How many records were ever written to a topic (short name)."""
    partitions = range(all_topics()[topic].partitions)
    async with AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap) as consumer:
        found = await consumer.end_offsets(
            [TopicPartition(kafka.topic(topic), number) for number in partitions]
        )
    return sum(found.values())
