"""Recorded logs, replayed into the running stack, become rows that SQL finds."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from schemas.clickhouse.chdb_store import ChdbStore
from schemas.clickhouse.socket_store import ask
from schemas.errors import KbwatchError
from schemas.settings import KafkaSettings, StoreSettings
from schemas.topics import NODE_REPORTS
from schemas.windows.system_time import time_ms
from tests.integration.file_log import LOGS
from tests.integration.workers import ROOT, Workers

pytestmark = pytest.mark.slow

WIN10, WIN7 = "desktop-1n4r894", "wks-win764bitb"
RECORDS = {WIN10: 1160, WIN7: 1601}
CASE = "KB4338819@17134"
_WAIT_S = 60.0


class Stack:
    """A detector and a sink as processes, and the sink's store."""

    def __init__(self, kafka: KafkaSettings, folder: Path) -> None:
        self.kafka = kafka
        self.store = StoreSettings(path=str(folder / "store"), socket=str(folder / "s"))
        self._apps = [
            Workers(kafka, folder / app, ("-m", "schemas", "run", app), environment)
            for app, environment in {
                "detector": {},
                "sink": {
                    "KBW_STORE_PATH": self.store.path,
                    "KBW_STORE_SOCKET": self.store.socket,
                    "KBW_SINK_WITHIN_S": "0.1",
                },
            }.items()
        ]
        for workers in self._apps:
            workers.folder.mkdir()
            workers.start()

    def replay(self) -> None:
        """Ship both logs, as anybody would."""
        done = subprocess.run(
            [
                *(sys.executable, "-m", "collectors.cli", "replay-evtx", *map(str, LOGS)),
                *("--bootstrap", self.kafka.bootstrap),
                *("--topic", self.kafka.topic(NODE_REPORTS)),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def await_rows(self) -> None:
        """Wait for every record of both logs, and for a verdict."""
        deadline = time.monotonic() + _WAIT_S
        while True:
            try:
                stored = {
                    node: ask(self.store.socket, "record_ids", {"node": node}).rows[0][0]
                    for node in RECORDS
                }
                judged = ask(self.store.socket, "verdict_history", {"case": CASE}).rows
            except KbwatchError:  # the sink is not up yet
                stored, judged = {}, ()
            if stored == RECORDS and judged:
                return
            assert time.monotonic() < deadline, f"{stored} of {RECORDS} are stored\n{self.logs()}"
            time.sleep(0.1)

    def logs(self) -> str:
        return "\n".join(workers.log.read_text()[-5_000:] for workers in self._apps)

    def stop(self) -> None:
        for workers in self._apps:
            assert workers.stop_all() == {0}, workers.log.read_text()[-5_000:]

    def kill(self) -> None:
        for workers in self._apps:
            workers.kill_all()


@pytest.fixture
def stack(kafka_settings: KafkaSettings, tmp_path: Path) -> Iterator[Stack]:
    stack = Stack(kafka_settings, tmp_path)
    yield stack
    stack.kill()


def test_replayed_logs_become_events_boots_and_patch_states(stack: Stack) -> None:
    stack.replay()
    stack.replay()  # what comes again changes nothing
    stack.await_rows()
    stack.stop()
    with closing(ChdbStore(stack.store.path)) as store:

        def rows(sql: str) -> list[tuple[Any, ...]]:
            return list(store.query(sql, {}).rows)

        # Each record once: as an event, a boot, or the steps of the KBs that it names.
        records = rows("""
            SELECT node, count() AS records, uniqExact(record_id) AS ids FROM (
                SELECT node, record_id FROM node_events FINAL
                UNION ALL SELECT node, record_id FROM boots FINAL
                UNION ALL SELECT DISTINCT node, record_id FROM patch_states FINAL
            ) GROUP BY node""")
        boots = rows("SELECT node, build, t_ms, clean FROM boots FINAL ORDER BY t_ms")
        july = rows("""
            SELECT state, build, count() FROM patch_states FINAL
            WHERE node = 'desktop-1n4r894' AND kb = 'KB4338819' GROUP BY state, build""")
        verdicts = rows("""
            SELECT DISTINCT started_ms, exposed, build FROM verdicts FINAL
            WHERE case_id = 'KB4338819@17134'""")

    assert {node: (count, ids) for node, count, ids in records} == {
        node: (count, count) for node, count in RECORDS.items()
    }
    assert [clean for node, _, _, clean in boots if node == WIN7] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert [build for node, build, _, _ in boots if node == WIN10] == [
        "17134.137",
        "17134.137",
        "17134.165",
    ]
    effective_ms = time_ms("2018-07-12T00:41:50.496Z")
    assert boots[-1][2] == effective_ms
    # Event 19 is there twice; the KB took effect once, at the boot and not at event 19.
    assert {(state, build): count for state, build, count in july} == {
        ("offered", "17134.165"): 4,
        ("installing", "17134.165"): 2,
        ("confirmed", "17134.165"): 2,
    }
    assert verdicts == [(effective_ms, 1, "17134.165")]
