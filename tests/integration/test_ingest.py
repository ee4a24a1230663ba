"""kbwatch run ingest on a real Kafka: foreign topics become reports, nothing is lost."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from kafka.admin import KafkaAdminClient

from schemas.codec import decode
from schemas.health import Health
from schemas.inventory import InventoryNode
from schemas.reports import Event, Facts, Heartbeat, NodeReport
from schemas.settings import IngestSource, KafkaSettings
from schemas.topics import HEALTH, NODE_REPORTS, all_topics, dlq_of, key
from streams.inventory.changes import place_of
from streams.inventory.topic import write
from streams.kafka_io import partition_of, read_whole
from tests.fixtures.complaints import complaint
from tests.integration.workers import Workers, committed_of, eventually, kill
from tests.shapes import winlogbeat

pytestmark = pytest.mark.slow

_PARTITIONS = all_topics()[NODE_REPORTS].partitions
_T_MS = 1_752_019_200_000
_FOREIGN_PARTITIONS = 3

Identity = tuple[str, str, str, int, int]
"""Of an event: fleet, node, channel, record id, time."""


class Ingest:
    """A foreign topic, and ingest workers that read it."""

    def __init__(self, kafka: KafkaSettings, folder: Path) -> None:
        self.kafka = kafka
        self.topic = f"{kafka.namespace}winlogbeat"
        source = IngestSource(topic=self.topic, format="winlogbeat", fleet="emea")
        sources = msgspec.json.encode([source]).decode()
        # Small batches: a kill must find some that are done and some that are not.
        environment = {
            "KBW_INGEST_SOURCES": sources,
            "KBW_INGEST_BATCH": "100",
            "KBW_INGEST_BATCH_BYTES": "20000",
        }
        command = ("-m", "schemas", "run", "ingest")
        self.workers = Workers(kafka, folder, command, environment)

    def create(self) -> None:
        with KafkaAdminClient(bootstrap_servers=self.kafka.bootstrap) as admin:
            wanted = {"num_partitions": _FOREIGN_PARTITIONS, "replication_factor": 1}
            admin.create_topics({self.topic: wanted}, wait_for_metadata=True)

    async def produce(self, values: Sequence[bytes]) -> None:
        """Put values on the foreign topic's partitions in turn, as a shipper without keys does."""
        async with AIOKafkaProducer(
            bootstrap_servers=self.kafka.bootstrap, linger_ms=5
        ) as producer:
            for number, value in enumerate(values):
                partition = number % _FOREIGN_PARTITIONS
                await producer.send(self.topic, value, partition=partition)

    async def know(self, *nodes: InventoryNode) -> None:
        """Put nodes into the inventory."""
        await write(self.kafka, [(place_of(node), node) for node in nodes], lambda _: None)

    async def committed(self) -> int:
        """How many messages of the foreign topic are done."""
        return await committed_of(self.kafka, "ingest", self.topic, _FOREIGN_PARTITIONS)

    async def done(self, count: int) -> None:
        """Wait until the worker is done with ``count`` messages."""
        await eventually(self.committed, lambda done: done == count, self.workers.log)

    async def progress(self, beyond: int) -> None:
        """Wait until more than ``beyond`` messages are done."""
        await eventually(self.committed, lambda done: done > beyond, self.workers.log)

    async def reports(self) -> list[NodeReport]:
        """What is on kbw-node-reports, each where its key belongs."""
        found = []
        async for record in read_whole(self.kafka, NODE_REPORTS, range(_PARTITIONS)):
            report = decode(record.value, NodeReport)
            assert record.key == key(report.fleet, report.domain)
            assert record.partition == partition_of(record.key, _PARTITIONS)
            found.append(report)
        return found


@pytest.fixture
def ingest(kafka_settings: KafkaSettings, tmp_path: Path) -> Iterator[Ingest]:
    ingest = Ingest(kafka_settings, tmp_path)
    ingest.create()
    yield ingest
    ingest.workers.kill_all()


def died(number: int, computer: str = "HV03.corp.example") -> Event:
    return Event(
        t_ms=_T_MS + number * 1000,
        channel="System",
        provider="Service Control Manager",
        id=7031,
        level=2,
        record_id=number,
        data={"param1": "Cluster Service"},
        binary="43006C00750073005300760063000000",
        computer=computer,
    )


def node(name: str, site: str = "fra", domain: str = "") -> InventoryNode:
    return InventoryNode(v=1, fleet="emea", node=name, domain=domain or name, site=site)


def identities(reports: Sequence[NodeReport]) -> list[Identity]:
    return [
        (report.fleet, report.node, record.channel, record.record_id, record.t_ms)
        for report in reports
        for record in report.records
        if isinstance(record, Event)
    ]


async def test_an_event_is_reported_with_the_identity_of_the_inventory(ingest: Ingest) -> None:
    known = node("hv03", domain="hv-c01")
    await ingest.know(msgspec.structs.replace(known, role="hyperv", covariates={"s2d": True}))
    await ingest.produce([winlogbeat(died(7))])
    ingest.workers.start()
    await ingest.done(1)

    (report,) = await ingest.reports()
    assert (report.fleet, report.node, report.domain, report.site) == (
        "emea", "hv03", "hv-c01", "fra",
    )  # fmt: skip
    event, heartbeat, facts = report.records
    assert event == died(7)
    assert isinstance(heartbeat, Heartbeat)
    assert heartbeat.channels["System"].newest_record_id == 7
    assert isinstance(facts, Facts)
    assert (facts.role, facts.cluster, facts.covariates) == ("hyperv", "hv-c01", {"s2d": True})
    assert report.heartbeat_s == 36_000


async def test_what_is_not_understood_is_dead_lettered_with_its_origin(ingest: Ingest) -> None:
    garbage = [b"\xff\xfe", b"{}", b""]
    sound = [winlogbeat(died(number)) for number in range(3)]
    await ingest.produce([*sound, *garbage, *sound])
    worker = ingest.workers.start()
    await ingest.done(9)

    letters = {}
    async for letter in read_whole(ingest.kafka, dlq_of(NODE_REPORTS), [0]):
        headers = {name: text.decode() for name, text in letter.headers}
        assert (headers["origin_topic"], headers["origin_offset"]) == (ingest.topic, "1")
        letters[letter.value] = headers["reason"], headers["detail"]
    assert set(letters) == set(garbage)
    assert letters[b"\xff\xfe"][0] == letters[b""][0] == "malformed"
    reason, detail = letters[b"{}"]
    assert reason == "invalid"
    assert "$" in detail
    assert len(set(identities(await ingest.reports()))) == 3
    assert worker.poll() is None


async def test_a_bad_event_costs_only_itself(ingest: Ingest) -> None:
    sound = [died(number, f"srv{number:02}") for number in range(30)]
    ahead = msgspec.structs.replace(died(99, "hostile"), t_ms=4_000_000_000_000)
    bad = [winlogbeat(ahead), winlogbeat(died(98, "")), b"{}", b"[1]"]
    await ingest.produce([b"[" + b",".join([*map(winlogbeat, sound), *bad]) + b"]"])
    ingest.workers.start()
    await ingest.done(1)

    assert {node for _, node, *_ in identities(await ingest.reports())} == {
        event.computer for event in sound
    }
    letters = {}
    async for letter in read_whole(ingest.kafka, dlq_of(NODE_REPORTS), [0]):
        headers = {name: text.decode() for name, text in letter.headers}
        place = headers["detail"].partition("]")[0]
        letters[place] = letter.value, headers["reason"], headers["origin_offset"]
    assert letters == {
        "$[30": (bad[0], "future", "0"),
        "$[31": (bad[1], "invalid", "0"),
        "$[32": (b"{}", "invalid", "0"),
        "$[33": (b"[1]", "invalid", "0"),
    }


async def test_a_worker_that_is_held_back_by_a_batch_s_bytes_ends_at_once(ingest: Ingest) -> None:
    large = [msgspec.structs.replace(died(n), data={"a": "x" * 30_000}) for n in range(300)]
    await ingest.produce([winlogbeat(event) for event in large])
    worker = ingest.workers.start()
    await ingest.progress(0)
    worker.terminate()
    assert await asyncio.to_thread(worker.wait, 15) == 0


async def test_a_killed_worker_loses_nothing(ingest: Ingest) -> None:
    names = [f"srv{number:02}" for number in range(40)]
    await ingest.know(*map(node, names))
    events = [died(number, names[number % 40]) for number in range(6_000)]
    await ingest.produce([winlogbeat(event) for event in events])
    for beyond in (0, 1_500, 3_000):
        worker = ingest.workers.start()
        await ingest.progress(beyond)
        assert await ingest.committed() < len(events), "too quick to be killed midway"
        kill(worker, ingest.workers.log)
    ingest.workers.start()
    await ingest.done(len(events))

    found = identities(await ingest.reports())
    assert set(found) == {("emea", e.computer, e.channel, e.record_id, e.t_ms) for e in events}


async def test_a_change_of_the_inventory_reaches_a_running_worker(ingest: Ingest) -> None:
    await ingest.know(node("hv03", site="fra"))
    await ingest.produce([winlogbeat(died(1))])
    ingest.workers.start()
    await ingest.done(1)
    await ingest.know(node("hv03", site="ams", domain="hv-c01"))

    async def one_more() -> tuple[str, str]:
        await ingest.produce([winlogbeat(died(2))])
        newest = max(await ingest.reports(), key=lambda report: report.sent_ms)
        return newest.domain, newest.site

    await eventually(one_more, lambda place: place == ("hv-c01", "ams"), ingest.workers.log)
    facts = [r for report in await ingest.reports() for r in report.records if isinstance(r, Facts)]
    assert [one.cluster for one in sorted(facts, key=lambda one: one.t_ms)] == ["", "hv-c01"]


async def test_nodes_that_the_inventory_does_not_know_are_named_once(ingest: Ingest) -> None:
    await ingest.know(node("hv03"))
    await ingest.produce([winlogbeat(died(n, c)) for n, c in enumerate(("HV03", "X1", "X2"))])
    ingest.workers.start()
    await ingest.done(3)
    await ingest.produce([winlogbeat(died(4, "X1"))])
    await ingest.done(4)

    places = {report.node: (report.domain, report.site) for report in await ingest.reports()}
    assert places == {"hv03": ("hv03", "fra"), "x1": ("x1", "unknown"), "x2": ("x2", "unknown")}
    said = [decode(r.value, Health) async for r in read_whole(ingest.kafka, HEALTH, [0])]
    assert [(health.app, health.kind) for health in said] == [("ingest", "unknown_nodes")]
    assert said[0].message.startswith("2 nodes are not in the inventory, new: emea|x1, emea|x2;")


def test_a_foreign_topic_that_is_not_there_is_named(
    kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    said = complaint(
        "ingest",
        KBW_DATA_DIR=str(tmp_path),
        KBW_KAFKA_BOOTSTRAP=kafka_settings.bootstrap,
        KBW_KAFKA_NAMESPACE=kafka_settings.namespace,
        KBW_INGEST_SOURCES='[{"topic": "not-there", "format": "vector"}]',
    )
    assert "has no topic not-there: create it, or correct ingest.sources" in said
