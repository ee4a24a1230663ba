"""The collector as a whole, on a real Kafka; only the source is made up."""

import gc
import json
import logging
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from collectors.command.check import check
from collectors.pipeline.pipeline import Pipeline
from collectors.runtime.http import HttpServer
from collectors.runtime.runtime import Runtime
from collectors.settings import KafkaSettings, Settings
from collectors.settings_file import SettingsFile
from collectors.shipping.kafka_client import probe
from collectors.shipping.shipper import Shipper
from collectors.sources.source import Item, Source
from collectors.spool.bookmark import Bookmarks
from collectors.windows.node import Node
from schemas.codec import decode
from schemas.reports import ChannelHealth, Event, Heartbeat, NodeReport
from schemas.settings import KafkaSettings as ServerKafkaSettings
from schemas.topics import NODE_REPORTS

# kafka-python leaves the sockets of refused connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

DEADLINE_S = 40.0
COUNT = 3_000
# The settings file is looked at every ten seconds; here, every one.
FAST = 10


class Log:
    """Errors of one channel, numbered; a position is the newest number."""

    name = "log"
    trouble = ""
    delivers = True
    misses = False

    def __init__(self, count: int) -> None:
        self._count = count
        self._at = 0

    def open(self, position: str | None) -> None:
        self._at = int(position or 0)

    def read(self, limit: int) -> Sequence[Item]:
        first, self._at = self._at, min(self._count, self._at + limit)
        return [
            Item((event(number),), "System", position=str(number))
            for number in range(first + 1, self._at + 1)
        ]

    def channels(self) -> Mapping[str, ChannelHealth]:
        return {"System": ChannelHealth(newest_record_id=self._at)}

    def close(self) -> None:
        return


class Parts:
    def sources(self, settings: Settings, node: Node) -> Sequence[Source]:
        return [Log(COUNT)]

    def pipeline(self, settings: Settings, node: Node) -> Pipeline:
        return Pipeline(settings, node.name, node.domain, "1")

    def shipper(self, kafka: KafkaSettings) -> Shipper:
        return Shipper(kafka)


def event(number: int) -> Event:
    return Event(
        t_ms=time.time_ns() // 1_000_000,
        channel="System",
        provider="Service Control Manager",
        id=7031,
        level=2,
        record_id=number,
        data={"param1": "Cluster Service"},
        computer="HV03",
    )


def arrived(kafka: ServerKafkaSettings) -> list[NodeReport]:
    from kafka import KafkaConsumer, TopicPartition

    consumer = KafkaConsumer(bootstrap_servers=kafka.bootstrap, metrics_enabled=False)
    try:
        topic = kafka.topic(NODE_REPORTS)
        partitions = [TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic)]
        consumer.assign(partitions)
        consumer.seek_to_beginning()
        ends = consumer.end_offsets(partitions)
        found: list[Any] = []
        while any(consumer.position(p) < end for p, end in ends.items()):
            for batch in consumer.poll(timeout_ms=500).values():
                found += batch
        assert {record.key for record in found} <= {b"prod|hv-c01"}
        return [decode(record.value, NodeReport) for record in found]
    finally:
        consumer.close()


def record_ids(reports: list[NodeReport]) -> list[int]:
    records = [record for report in reports for record in report.records]
    return sorted(r.record_id for r in records if isinstance(r, Event))


class Collector:
    """A runtime in a thread, its settings in a file, its health on a port."""

    def __init__(self, folder: Path, bootstrap: str, namespace: str) -> None:
        self.data_dir = folder / "data"
        self.file = folder / "collector.toml"
        self._namespace = namespace
        self.write(bootstrap)
        settings = SettingsFile(str(self.file), now_s=lambda: FAST * time.monotonic())
        self.runtime = Runtime(settings, Parts())
        self.http = HttpServer(0, self.runtime.status)
        self._thread = threading.Thread(target=self.runtime.run)
        self._thread.start()

    def write(self, bootstrap: str) -> None:
        self.file.write_text(
            f"""
            data_dir = {str(self.data_dir)!r}
            [node]
            fleet = "prod"
            name = "HV03"
            domain = "HV-C01"
            [kafka]
            bootstrap = "{bootstrap}"
            namespace = "{self._namespace}"
            timeout_s = 5
            [limits]
            burst = 1000000
            """
        )

    def until(self, done: Callable[[], bool]) -> None:
        end_s = time.monotonic() + DEADLINE_S
        while not done():
            assert time.monotonic() < end_s, self.runtime.status()
            time.sleep(0.1)

    def idle(self) -> bool:
        said = self.runtime.status()
        return said.records == COUNT and said.spool_depth == 0

    def health(self) -> tuple[int, dict[str, Any]]:
        url = f"http://127.0.0.1:{self.http.port}/healthz"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def stop(self) -> float:
        """Stop, and say how long that took."""
        begin_s = time.monotonic()
        self.runtime.stop()
        self._thread.join(30)
        assert not self._thread.is_alive()
        self.http.close()
        return time.monotonic() - begin_s


@pytest.fixture
def collector(
    tmp_path: Path,
    kafka_settings: ServerKafkaSettings,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Collector]:
    # Its records hold the sockets, and pytest would hold its records.
    monkeypatch.setattr(logging.getLogger("kafka"), "propagate", False)
    bootstrap = getattr(request, "param", kafka_settings.bootstrap)
    running = Collector(tmp_path, bootstrap, kafka_settings.namespace)
    yield running
    if running._thread.is_alive():
        running.stop()
    for thread in threading.enumerate():
        if thread.name == "shipper":  # it may still be asking for a broker that is not there
            thread.join(DEADLINE_S)
    gc.collect()


def test_everything_arrives_and_then_the_bookmark_says_so(
    collector: Collector, kafka_settings: ServerKafkaSettings
) -> None:
    collector.until(collector.idle)
    code, said = collector.health()
    assert (code, said["problems"]) == (200, [])
    assert collector.stop() < 10

    reports = arrived(kafka_settings)
    assert record_ids(reports) == list(range(1, COUNT + 1))
    assert any(isinstance(r, Heartbeat) for report in reports for r in report.records)
    assert Bookmarks(collector.data_dir / "bookmarks.json").load() == {"log": str(COUNT)}


@pytest.mark.parametrize("collector", ["127.0.0.1:1"], indirect=True)
def test_without_a_broker_it_spools_and_a_changed_setting_sends_it_all(
    collector: Collector, kafka_settings: ServerKafkaSettings
) -> None:
    def spooled() -> bool:
        said = collector.runtime.status()
        return said.records == COUNT and said.spool_depth >= COUNT and bool(said.broker_trouble)

    collector.until(spooled)
    code, said = collector.health()
    assert code == 200  # for five minutes an absent broker is not this node's trouble
    assert "127.0.0.1:1" in said["hints"][0]
    assert Bookmarks(collector.data_dir / "bookmarks.json").load() == {}

    collector.write(kafka_settings.bootstrap)
    collector.until(lambda: collector.runtime.status().reports_acked > 0)
    collector.until(lambda: collector.runtime.status().spool_depth == 0)
    assert collector.stop() < 10
    assert record_ids(arrived(kafka_settings)) == list(range(1, COUNT + 1))


@pytest.mark.parametrize("collector", ["127.0.0.1:1"], indirect=True)
def test_without_a_broker_it_stops_in_time_and_the_next_start_sends_it(
    collector: Collector, kafka_settings: ServerKafkaSettings, tmp_path: Path
) -> None:
    collector.until(lambda: collector.runtime.status().spool_depth >= COUNT)
    assert collector.stop() < 10

    again = Collector(tmp_path, kafka_settings.bootstrap, kafka_settings.namespace)
    again.until(lambda: again.runtime.status().reports_acked > 0)
    again.until(lambda: again.runtime.status().spool_depth == 0)
    assert again.stop() < 10
    assert record_ids(arrived(kafka_settings)) == list(range(1, COUNT + 1))


def test_check_tries_the_broker_and_ships_nothing(
    kafka_settings: ServerKafkaSettings, tmp_path: Path
) -> None:
    kafka = KafkaSettings(bootstrap=kafka_settings.bootstrap, namespace=kafka_settings.namespace)
    found = check(Settings(data_dir=str(tmp_path), kafka=kafka), Parts(), probe)

    assert found.ok
    assert found.sample
    assert found.sample.records == {"event": 200}
    assert found.sample.report_bytes > 200 * 100
    assert arrived(kafka_settings) == []


def test_check_says_that_the_topic_is_not_there(
    kafka_settings: ServerKafkaSettings, tmp_path: Path
) -> None:
    kafka = KafkaSettings(bootstrap=kafka_settings.bootstrap, namespace="nobodys-", timeout_s=2.0)
    found = check(Settings(data_dir=str(tmp_path), kafka=kafka), Parts(), probe)

    (wrong,) = [finding for finding in found.findings if not finding.ok]
    assert "kbwatch topics apply" in wrong.says
