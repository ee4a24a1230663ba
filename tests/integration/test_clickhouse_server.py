"""The client on a real ClickHouse server that is killed, frozen and started again.

An old server from Debian with tables of plain types (tests.fixtures.clickhouse_server): it knows
no tokens, so what is written twice is one row by FINAL alone.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from schemas.clickhouse.opening import open_store
from schemas.clickhouse.server_store import ServerStore
from schemas.errors import KbwatchError
from tests.contract.store_behaviour import boots
from tests.fixtures.clickhouse_server import ClickHouseServer, plain_ddl, running

pytestmark = pytest.mark.slow

_ROWS = 1_000_000
_BATCH = 40_000
_KILLS = 5
_PATIENCE_S = 60.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ClickHouseServer]:
    with running(tmp_path / "clickhouse") as server:
        yield server


@pytest.fixture
def store(server: ClickHouseServer) -> Iterator[ServerStore]:
    with closing(ServerStore(server.settings())) as store:
        store.query(plain_ddl("boots"), {})
        yield store


def count(store: ServerStore) -> int:
    return int(store.query("SELECT count() FROM boots FINAL", {}).rows[0][0])


def insert_at_last(store: ServerStore, first: int, rows: int = _BATCH) -> int:
    """Insert as the sink does: again and again with the same token; how often it failed."""
    given = boots(*range(first, first + rows))
    deadline = time.monotonic() + _PATIENCE_S
    failures = 0
    while True:
        try:
            assert store.insert("boots", given, f"from {first}") == rows
        except KbwatchError:
            assert time.monotonic() < deadline, "the server did not come back"
            failures += 1
            time.sleep(0.05)
        else:
            return failures


def kill_and_start(server: ClickHouseServer, after_s: float) -> threading.Thread:
    def act() -> None:
        time.sleep(after_s)
        server.kill()
        server.start()

    thread = threading.Thread(target=act)
    thread.start()
    return thread


def test_columns_go_in_and_come_out(store: ServerStore) -> None:
    assert store.insert("boots", boots(1, 2, clean=[None, True], node=["a\tb", "Ω"]), "t") == 2
    rows = store.query("SELECT t_ms, node, clean FROM boots ORDER BY t_ms", {}).rows
    assert rows == ((1, "a\tb", None), (2, "Ω", 1))


def test_a_server_of_2018_is_refused_as_a_store(server: ClickHouseServer) -> None:
    with pytest.raises(KbwatchError, match=r"ClickHouse 18\.16\.\d+ is too old"):
        open_store(server.settings())


def test_a_server_started_again_is_used_again(server: ClickHouseServer, store: ServerStore) -> None:
    insert_at_last(store, 0, 10)
    server.kill()
    with pytest.raises(KbwatchError, match=r"store\.host 127\.0\.0\.1: no answer"):
        count(store)
    server.start()
    assert count(store) == 10


def test_a_frozen_server_is_given_up_and_its_insert_tried_again(server: ClickHouseServer) -> None:
    with closing(ServerStore(server.settings(timeout_s=1.0))) as store:
        store.query(plain_ddl("boots"), {})
        insert_at_last(store, 0, 10)
        server.freeze()
        with pytest.raises(KbwatchError, match="no answer"):
            store.insert("boots", boots(*range(10, 20)), "while frozen")
        server.thaw()
        store.insert("boots", boots(*range(10, 20)), "while frozen")
        assert count(store) == 20


def test_a_server_killed_within_inserts_has_each_row_once(
    server: ClickHouseServer, store: ServerStore
) -> None:
    killers: list[threading.Thread] = []
    failures = 0
    for number, first in enumerate(range(0, _ROWS, _BATCH)):
        if number % (_ROWS // _BATCH // _KILLS) == 1:
            killers.append(kill_and_start(server, after_s=0.01 * (1 + len(killers))))
        failures += insert_at_last(store, first)
    for killer in killers:
        killer.join()
    assert len(killers) == _KILLS
    assert failures > 0
    assert count(store) == _ROWS
