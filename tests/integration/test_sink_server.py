"""kbwatch run sink with a server as its store: over the native protocol, to chDB's engine."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.clickhouse.chdb_store import ChdbStore
from schemas.clickhouse.socket_store import open_queries
from schemas.settings import KafkaSettings, StoreSettings
from tests.fixtures.native_server import NativeServer
from tests.integration.test_sink import Sink, eventually, report, sent, times
from tests.integration.workers import Workers

pytestmark = pytest.mark.slow


class ServerSink(Sink):
    def __init__(self, kafka: KafkaSettings, folder: Path, port: int) -> None:
        self.kafka = kafka
        self.store = StoreSettings(
            host="127.0.0.1",
            port=port,
            tls=False,
            socket=str(folder / "s"),
            path=str(folder / "no"),
        )
        environment = {
            "KBW_STORE_HOST": self.store.host,
            "KBW_STORE_PORT": str(port),
            "KBW_STORE_TLS": "false",
            "KBW_STORE_SOCKET": self.store.socket,
            "KBW_STORE_PATH": self.store.path,
            "KBW_SINK_BATCH": "50",
            "KBW_SINK_WITHIN_S": "0.1",
        }
        self.workers = Workers(kafka, folder, ("-m", "schemas", "run", "sink"), environment)
        self.start()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NativeServer]:
    engine = ChdbStore(tmp_path / "engine")
    server = NativeServer(engine)
    yield server
    server.close()
    engine.close()


@pytest.fixture
def sink(kafka_settings: KafkaSettings, tmp_path: Path, server: NativeServer) -> Iterator[Sink]:
    sink = ServerSink(kafka_settings, tmp_path, server.port)
    yield sink
    sink.workers.kill_all()


def test_each_record_is_stored_once_though_answers_were_lost_and_the_sink_was_killed(
    sink: Sink, server: NativeServer
) -> None:
    server.silent_after = ["INSERT INTO boots", "INSERT INTO node_events"]
    sink.produce([sent(report(number)) for number in range(300)])
    eventually(
        lambda: sink.workers.log.read_bytes().count(b"insert failed") >= 3, "answers are lost"
    )
    assert sink.committed() == 0
    server.silent_after = []
    eventually(lambda: sink.counts() == times(300), "all records are stored")
    assert sink.stop(signal.SIGKILL) == -signal.SIGKILL

    sink.produce([sent(report(number)) for number in range(250, 600)])
    sink.start()
    eventually(lambda: sink.counts() == times(600), "the rest is stored")
    eventually(lambda: sink.committed() == 650, "all reports are committed")
    assert sink.stop(signal.SIGTERM) == 0
    with open_queries(sink.store) as queries:
        assert dict(queries.run("record_counts", {}).rows) == times(600)
    assert all(
        "insert_deduplication_token" in one for one in server.settings_seen if is_insert(one)
    )


def is_insert(settings: dict[str, str]) -> bool:
    return "optimize_on_insert" in settings
