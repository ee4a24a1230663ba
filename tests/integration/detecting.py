"""A detector under test: a stream that goes in, and what it comes to."""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from aiokafka import AIOKafkaProducer
from msgspec import Struct
from msgspec.structs import replace

from schemas.codec import decode, encode
from schemas.evidence import DomainEvidence
from schemas.settings import DetectorSettings, KafkaSettings
from schemas.topics import BROKER_MAX_BYTES, EVIDENCE, NODE_REPORTS, VERDICTS, all_topics, key
from streams import recording
from streams.kafka_io import read_whole
from streams.regbench.clock import HOUR_MS
from streams.regbench.scenarios.kb5062557 import LIVE_START_MS, Scenario
from streams.regbench.telemetry import Sent
from streams.replay import replay
from tests.integration.workers import Workers, committed, ends, eventually

_PARTITIONS = all_topics()[NODE_REPORTS].partitions
_UNTIL_MS = LIVE_START_MS + 36 * HOUR_MS
_SETTLE_S = 20.0

Compacted = dict[bytes, bytes]
"""The last value of each key; what was tombstoned is absent."""


class Finals(Struct, frozen=True):
    """What a stream came to. Evidence without its version: offsets differ between runs."""

    verdicts: Compacted
    evidence: Compacted

    def unlike(self, other: "Finals") -> list[tuple[bytes, bytes | None, bytes | None]]:
        """Each key whose bytes are not the same, with both values."""
        return [
            (name, mine.get(name), others.get(name))
            for mine, others in (
                (self.verdicts, other.verdicts),
                (self.evidence, other.evidence),
            )
            for name in sorted({*mine, *others})
            if mine.get(name) != others.get(name)
        ]


@cache
def stream() -> tuple[Sent, ...]:
    """A third of July's fleet and all its clusters at risk, until KB5062557@17763 has halted."""
    scenario = Scenario(seed=7)
    domains = sorted({node.domain for node in scenario.nodes})
    risky = {node.domain for node in scenario.nodes if node.name in scenario.truth.at_risk}
    keys = {key("default", domain) for domain in {*domains[::3], *risky}}
    return tuple(s for s in scenario.stream() if s.key in keys and s.append_ms < _UNTIL_MS)


class Detecting:
    """Detector workers in a namespace and a folder of their own."""

    def __init__(
        self,
        kafka: KafkaSettings,
        folder: Path,
        command: Sequence[str] = ("-m", "schemas", "run", "detector"),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.kafka = kafka
        self.produced = 0
        # Small batches: a kill must find some that are done and some that are not.
        self.workers = Workers(
            kafka, folder, command, {"KBW_DETECTOR_BATCH": "300", **(environment or {})}
        )

    async def produce(self, items: Iterable[Sent]) -> None:
        """Send reports as a collector does, stamped with now; returns when the broker has them."""
        async with AIOKafkaProducer(
            bootstrap_servers=self.kafka.bootstrap,
            compression_type="zstd",
            linger_ms=20,
            max_request_size=BROKER_MAX_BYTES,
        ) as producer:
            for item in items:
                value = item.raw or b""
                if item.report is not None:
                    value = encode(replace(item.report, sent_ms=int(time.time() * 1000)))
                await producer.send(self.kafka.topic(NODE_REPORTS), value, key=item.key)
                self.produced += 1

    async def committed(self) -> int:
        """How many reports are done."""
        return await committed(self.kafka, "detector", NODE_REPORTS)

    async def progress(self, beyond: int) -> None:
        """Wait until more than ``beyond`` reports are done."""
        await eventually(self.committed, lambda done: done > beyond, self.workers.log, 60)

    def shares(self) -> list[list[int]]:
        """The evidence partitions that workers got, one assignment after the other."""
        lines = self.workers.log.read_text().splitlines()
        events = [json.loads(line) for line in lines if line.startswith("{")]
        return [event["partitions"] for event in events if event["event"] == "judge ready"]

    async def finals(self, expected: Compacted) -> Finals:
        """Let the workers come to the end of the stream, give them some time to publish
        ``expected`` verdicts, stop them and read what there is.
        """
        log = self.workers.log
        await eventually(self.committed, lambda done: done == self.produced, log, 120)
        evidence = await ends(self.kafka, EVIDENCE)
        await eventually(
            lambda: committed(self.kafka, "detector", EVIDENCE),
            lambda done: done == evidence,
            log,
        )
        deadline = time.monotonic() + _SETTLE_S
        while time.monotonic() < deadline and await self.compacted(VERDICTS) != expected:
            pass
        assert self.workers.stop_all() == {0}
        contributions = {
            record_key: encode(replace(decode(value, DomainEvidence), epoch=0, offset=0))
            for record_key, value in (await self.compacted(EVIDENCE)).items()
        }
        return Finals(await self.compacted(VERDICTS), contributions)

    async def compacted(self, topic: str) -> Compacted:
        """A topic (short name) as compaction would leave it."""
        newest: dict[bytes, bytes | None] = {}
        async for record in read_whole(self.kafka, topic, range(_PARTITIONS)):
            newest[record.key] = record.value
        return {k: value for k, value in newest.items() if value is not None}

    async def replayed(self, file: Path) -> Compacted:
        """The verdicts of ``kbwatch replay`` on the records as they are in Kafka."""
        with recording.opened(file, "wb") as lines:
            async for record in read_whole(self.kafka, NODE_REPORTS, range(_PARTITIONS)):
                lines.write(recording.line(record.timestamp, record.value))
        found = replay(recording.read(file), DetectorSettings())
        return {key(v.fleet, v.case): encode(v) for v in found.verdicts}
