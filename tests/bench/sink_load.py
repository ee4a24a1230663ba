"""Load for the store's benchmark: reports as a busy collector ships them, and the sink on them."""

import asyncio
import random
import time
import uuid
from pathlib import Path

from aiokafka import AIOKafkaProducer

from deploy.local import kafka
from schemas.codec import MAX_MESSAGE_BYTES, encode
from schemas.reports import Event, NodeReport
from schemas.settings import KafkaSettings, Settings
from schemas.topics import NODE_REPORTS, all_topics, key
from streams.kafka_io import partition_of
from streams.topics_admin import apply_topics
from tests.integration.workers import Workers, committed

PER_REPORT = 50
_NODES = 1_000
_KINDS = (
    ("Service Control Manager", 7036, 4, ("param1", "param2", "param3")),
    ("Service Control Manager", 7031, 2, ("param1", "param2", "param3")),
    ("Microsoft-Windows-FailoverClustering", 1135, 1, ("NodeName", "ReasonCode", "Detail")),
    ("Microsoft-Windows-WindowsUpdateClient", 19, 4, ("updateTitle", "updateGuid", "revision")),
    ("Microsoft-Windows-Kernel-General", 16, 4, ("HiveName", "KeysUpdated", "DirtyPages")),
    ("EventLog", 6013, 4, ("param1", "param2", "param3")),
)
_WORDS = ("Cluster Service", "Windows Update", "Background Intelligent Transfer", "Print Spooler")
_LONGEST_S = 300.0


def report(number: int, chance: random.Random, received_ms: int) -> NodeReport:
    """A report of 50 events, each with three data fields, of one of 1,000 nodes of 250 clusters."""
    node = f"HV-C{number % 250:03d}-N{number % _NODES // 250}"
    t_ms = received_ms - 60_000
    records = []
    for place in range(PER_REPORT):
        provider, event_id, level, names = chance.choice(_KINDS)
        values = (chance.choice(_WORDS), chance.choice(("stopped", "running")))
        records.append(
            Event(
                t_ms=t_ms + place * chance.randrange(40),
                channel="System",
                provider=provider,
                id=event_id,
                level=level,
                record_id=number // _NODES * PER_REPORT + place,
                data=dict(zip(names, (*values, str(chance.randrange(10**6))), strict=True)),
                computer=f"{node}.corp.example".lower(),
            )
        )
    return NodeReport(
        v=1,
        fleet="default",
        node=node,
        domain=node[:7],
        site=f"S{number % 250 % 7}",
        sent_ms=received_ms,
        boot_ms=received_ms - 864_000_000,
        collector="kbwatch 0.1",
        records=list(records),
    )


def sink_events_s(folder: Path, reports: int) -> float:
    """Events a second from Kafka into chDB: a whole sink worker catching up with ``reports``.

    The clock runs between the first and the last commit that are seen, so neither the start of
    the process nor its first batch count.
    """
    folder.mkdir()
    try:
        broker = kafka.start(folder / "kafka")
        settings = KafkaSettings(
            bootstrap=broker.bootstrap, namespace=f"bench{uuid.uuid4().hex[:8]}-"
        )
        apply_topics(Settings(kafka=settings))
        asyncio.run(_produce(settings, reports))
        places = {"KBW_STORE_PATH": str(folder / "store"), "KBW_STORE_SOCKET": str(folder / "s")}
        workers = Workers(settings, folder, ("-m", "schemas", "run", "sink"), places)
        process = workers.start()
        try:
            return asyncio.run(_watch(settings, reports)) * PER_REPORT
        finally:
            process.terminate()
            process.wait(60)
    finally:
        kafka.stop(folder / "kafka")


async def _produce(settings: KafkaSettings, reports: int) -> None:
    chance = random.Random(7)
    partitions = all_topics()[NODE_REPORTS].partitions
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap,
        max_request_size=4 * MAX_MESSAGE_BYTES,
        max_batch_size=MAX_MESSAGE_BYTES,
        compression_type="zstd",
        linger_ms=20,
    )
    async with producer:
        for number in range(reports):
            one = report(number, chance, int(time.time() * 1000))
            record_key = key(one.fleet, one.domain)
            await producer.send(
                settings.topic(NODE_REPORTS),
                encode(one),
                key=record_key,
                partition=partition_of(record_key, partitions),
            )


async def _watch(settings: KafkaSettings, reports: int) -> float:
    """Reports a second."""
    seen: list[tuple[float, int]] = []
    deadline = time.monotonic() + _LONGEST_S
    while not seen or seen[-1][1] < reports:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{seen[-1:]} of {reports} reports committed in {_LONGEST_S} s")
        count = await committed(settings, "sink", NODE_REPORTS)
        if count and (not seen or count > seen[-1][1]):
            seen.append((time.monotonic(), count))
        await asyncio.sleep(0.05)
    (first_s, first), (last_s, last) = seen[0], seen[-1]
    return (last - first) / (last_s - first_s)
