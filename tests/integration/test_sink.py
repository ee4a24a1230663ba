"""kbwatch run sink against a real Kafka: a worker process, killed and cut off from its store."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from msgspec import Struct

from schemas.clickhouse.socket_store import ask, open_queries
from schemas.codec import MAX_MESSAGE_BYTES, encode
from schemas.errors import KbwatchError
from schemas.evidence import Onset, OnsetSeen
from schemas.reports import Boot, Event, Facts, Heartbeat, NodeReport, PatchState
from schemas.settings import KafkaSettings, StoreSettings
from schemas.topics import NODE_REPORTS, ONSETS, VERDICTS, all_topics, dlq_of, key
from streams.kafka_io import partition_of
from tests.integration.workers import Workers, committed

pytestmark = pytest.mark.slow

# A store that is away for as long as the file named "away" is there.
_RUN = """
import os, sys
from schemas.clickhouse import chdb_store
from schemas.settings import load
from streams.sink.app import run

class Store(chdb_store.ChdbStore):
    def insert(self, table, columns, token):
        if os.path.exists(sys.argv[1]):
            raise ConnectionError("the store is away")
        return super().insert(table, columns, token)

chdb_store.ChdbStore = Store
sys.exit(run(load()))
"""
_PARTITIONS = all_topics()[NODE_REPORTS].partitions
_PER_REPORT = {"node_events": 4, "patch_states": 1, "boots": 1, "node_facts": 1, "heartbeats": 1}


class Message(Struct, frozen=True):
    topic: str
    key: bytes
    value: bytes
    partition: int
    headers: tuple[tuple[str, bytes], ...] = ()


class Sink:
    """A sink as a process, on a folder of its own; killed at the end if it still runs."""

    def __init__(self, kafka: KafkaSettings, folder: Path) -> None:
        self.kafka = kafka
        self.store = StoreSettings(path=str(folder / "store"), socket=str(folder / "s"))
        self.away = folder / "away"
        environment = {
            "KBW_STORE_PATH": self.store.path,
            "KBW_STORE_SOCKET": self.store.socket,
            "KBW_SINK_BATCH": "50",
            "KBW_SINK_WITHIN_S": "0.1",
        }
        self.workers = Workers(kafka, folder, ("-c", _RUN, str(self.away)), environment)
        self.start()

    def start(self) -> None:
        self._process = self.workers.start()

    def stop(self, by: signal.Signals) -> int:
        self._process.send_signal(by)
        return self._process.wait(20)

    def counts(self) -> dict[str, int]:
        return dict(ask(self.store.socket, "record_counts", {}).rows)

    def dead_letters(self) -> dict[tuple[str, str], int]:
        rows = ask(self.store.socket, "dead_letter_count", {}).rows
        prefix = self.kafka.namespace
        return {(topic.removeprefix(prefix), reason): count for topic, reason, count in rows}

    def produce(self, messages: Sequence[Message]) -> None:
        asyncio.run(self._produce(messages))

    async def _produce(self, messages: Sequence[Message]) -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=self.kafka.bootstrap, max_request_size=4 * MAX_MESSAGE_BYTES
        )
        async with producer:
            for message in messages:
                await producer.send(
                    self.kafka.topic(message.topic),
                    message.value,
                    key=message.key,
                    partition=message.partition,
                    headers=list(message.headers),
                )

    def committed(self) -> int:
        """How many node reports the sink's group has committed."""
        return asyncio.run(committed(self.kafka, "sink", NODE_REPORTS))


@pytest.fixture
def sink(kafka_settings: KafkaSettings, tmp_path: Path) -> Iterator[Sink]:
    sink = Sink(kafka_settings, tmp_path)
    yield sink
    sink.workers.kill_all()


def eventually(holds: Callable[[], bool], what: str, timeout_s: float = 40.0) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            if holds():
                return
        except KbwatchError:  # the sink is not up yet
            pass
        assert time.monotonic() < deadline, f"not after {timeout_s} s: {what}"
        time.sleep(0.1)


def report(number: int) -> NodeReport:
    """Eight records of one of 40 nodes, none of them in another report."""
    t_ms = 1_752_019_200_000 + number * 1000
    node = f"N{number % 40}"
    return NodeReport(
        v=1,
        fleet="default",
        node=node,
        domain=f"D{number % 10}",
        site="S1",
        sent_ms=t_ms + 999,
        records=[
            Boot(t_ms=t_ms, build="17763.7558", record_id=number),
            *(
                Event(
                    t_ms=t_ms + 1,
                    channel="System",
                    provider="Service Control Manager",
                    id=7031,
                    record_id=10 * number + place,
                    data={"param1": "Cluster\tService", "param2": "C:\\new"},
                )
                for place in range(4)
            ),
            PatchState(kb="KB5062557", state="effective", t_ms=t_ms + 2, source="boot"),
            Facts(t_ms=t_ms + 3, covariates={"csv_bitlocker": True}),
            Heartbeat(t_ms=t_ms + 4),
        ],
    )


def sent(one: NodeReport, partition: int | None = None) -> Message:
    record_key = key(one.fleet, one.domain)
    right = partition_of(record_key, _PARTITIONS)
    return Message(NODE_REPORTS, record_key, encode(one), right if partition is None else partition)


def refused(first: int) -> list[Message]:
    """One of each kind that the detector dead-letters."""
    one = sent(report(first))
    return [
        Message(NODE_REPORTS, b"default|D1", b'{"v": 1, "fleet": ', 0),
        Message(NODE_REPORTS, b"default|D1", b"\xff\xfe", 1),
        Message(NODE_REPORTS, b"default|D1", b"[" + b" " * MAX_MESSAGE_BYTES + b"]", 2),
        Message(NODE_REPORTS, b"default|elsewhere", one.value, one.partition),
        sent(report(first), partition=(one.partition + 1) % _PARTITIONS),
    ]


def times(count: int) -> dict[str, int]:
    return {table: number * count for table, number in _PER_REPORT.items()}


def test_each_record_is_stored_once_though_it_came_twice_and_the_sink_was_killed(
    sink: Sink,
) -> None:
    reports = [sent(report(number)) for number in range(600)]
    sink.produce([*reports[:300], *refused(1000), *reports[:20]])
    eventually(lambda: sink.counts()["boots"] > 0, "the first batch is stored")
    sink.produce([*reports[300:], *refused(2000), *reports[100:120]])
    assert sink.stop(signal.SIGKILL) == -signal.SIGKILL

    sink.start()
    eventually(lambda: sink.counts() == times(600), "all records are stored")
    sink.produce(reports[:50])
    everything = 600 + 20 + 20 + 50 + 2 * len(refused(0))
    eventually(lambda: sink.committed() == everything, "all reports are committed")
    assert sink.counts() == times(600)
    assert sink.dead_letters() == {}  # of node reports they are the detector's part

    assert sink.stop(signal.SIGTERM) == 0
    with open_queries(sink.store) as queries:
        assert dict(queries.run("record_counts", {}).rows) == times(600)


def test_while_the_store_is_away_nothing_is_committed_and_nothing_is_lost(sink: Sink) -> None:
    sink.away.touch()
    sink.produce([sent(report(number)) for number in range(200)])
    eventually(lambda: b"insert failed" in sink.workers.log.read_bytes(), "an insert is refused")
    assert sink.counts() == times(0)
    assert sink.committed() == 0
    sink.away.unlink()
    eventually(lambda: sink.counts() == times(200), "all records are stored")
    eventually(lambda: sink.committed() == 200, "all reports are committed")


def test_dead_letters_of_all_topics_are_counted_and_bad_messages_become_such(sink: Sink) -> None:
    origin = (("origin_topic", NODE_REPORTS), ("origin_partition", "2"), ("origin_offset", "7"))
    headers = tuple((name, value.encode()) for name, value in (("reason", "malformed"), *origin))
    dead = Message(dlq_of(NODE_REPORTS), b"default|D1", b"{", 0, headers)
    onset = Onset("N1", "scm/clussvc", "cluster", "outage", 5, 6, (5, 6))
    seen = OnsetSeen(1, "default", "17763", "D1", "S1", "hv", onset)
    sink.produce(
        [
            dead,
            dead,  # the detector was killed before its commit
            Message(ONSETS, b"default|D1", encode(seen), 0),
            Message(ONSETS, b"default|D1", b"nonsense", 1),
            Message(VERDICTS, b"default|KB1@1", b'{"v": 2}', 0),
        ]
    )
    expected = {
        (NODE_REPORTS, "malformed"): 1,
        (ONSETS, "malformed"): 1,
        (VERDICTS, "version"): 1,
    }
    eventually(lambda: sink.dead_letters() == expected, f"the dead letters are {expected}")
    stored = ask(sink.store.socket, "branch_onsets", {"branch": "17763"})
    assert [row[:2] for row in stored.rows] == [(5, "N1")]
