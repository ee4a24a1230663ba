"""The wealth of a case from before the server's start, as the store remembers it."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from dashboards.noc.model import HISTORY_KEPT
from dashboards.noc.past import recall
from schemas.clickhouse.queries import QUERIES
from schemas.clickhouse.socket_store import QueryServer
from schemas.clickhouse.store import Result
from schemas.settings import StoreSettings
from tests.fixtures.noc import CASE, MINUTE_MS, NOW_MS, book_of, says, verdict
from tests.fixtures.noc_july import july

COLUMNS = QUERIES["verdict_history"].columns


class Remembering:
    """A store that has rows of one case."""

    def __init__(self, count: int, lacks: str = "") -> None:
        self.count = count
        self.columns = tuple(column for column in COLUMNS if column != lacks)

    def query(self, sql: str, params: Mapping[str, str | int | float]) -> Result:
        rows = [
            {
                **dict.fromkeys(COLUMNS, 0),
                "asof_ms": NOW_MS - (self.count - n) * MINUTE_MS,
                "log_e": float(n),
                "log_c": n + 0.5,
                "log_e_warn": n + 0.25,
            }
            for n in range(self.count if params["case"] == CASE else 0)
        ]
        return Result(self.columns, tuple(tuple(row[c] for c in self.columns) for row in rows))

    def insert(self, table: str, columns: Mapping[str, Sequence[Any]], token: str) -> int:
        raise AssertionError("nobody writes here")

    def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StoreSettings]:
    """A sink's socket with 100 verdicts behind it."""
    with answering(tmp_path, Remembering(100)) as settings:
        yield settings


@contextmanager
def answering(folder: Path, store: Remembering) -> Iterator[StoreSettings]:
    """A sink's socket with ``store`` behind it."""
    path = folder / "store.sock"
    server = QueryServer(path, store)
    try:
        yield StoreSettings(path=str(folder / "absent"), socket=str(path))
    finally:
        server.close()


async def test_it_comes_before_what_the_server_saw(store: StoreSettings) -> None:
    book = book_of(says(verdict(asof_ms=NOW_MS - 10 * MINUTE_MS, log_e=7.0, state="warn")))
    await recall(book, store)
    case = book.cases.get(f"default/{CASE}")
    assert case is not None
    points = book.cases.card(case).history

    assert [point.log_e for point in points] == [*map(float, range(90)), 7.0]
    assert (points[0].log_c, points[0].log_e_warn) == (0.5, 0.25)
    assert [name for name, _ in book.changes()] == ["case"]


async def test_it_is_thinned_as_well(tmp_path: Path) -> None:
    path = tmp_path / "store.sock"
    server = QueryServer(path, Remembering(5_000))
    book = book_of(says(verdict()))
    await recall(book, StoreSettings(socket=str(path)))
    server.close()
    case = book.cases.get(f"default/{CASE}")
    assert case is not None

    times = [point.t_ms for point in book.cases.card(case).history]
    assert HISTORY_KEPT / 2 <= len(times) <= HISTORY_KEPT
    assert times == sorted(times)
    assert times[0] == NOW_MS - 5_000 * MINUTE_MS


async def test_a_store_that_is_away_costs_the_history_only(tmp_path: Path) -> None:
    book = book_of(*july())
    before = book.cases.cards()
    await recall(book, StoreSettings(path=str(tmp_path / "db"), socket=str(tmp_path / "absent")))

    assert book.cases.cards() == before
    assert not (tmp_path / "db").exists(), "the folder is the sink's alone"


async def test_an_older_sink_knows_no_wealth_for_a_warning(tmp_path: Path) -> None:
    """What it remembers is drawn with E in its place."""
    book = book_of(says(verdict(asof_ms=NOW_MS, log_e=7.0)))
    with answering(tmp_path, Remembering(3, lacks="log_e_warn")) as store:
        await recall(book, store)
    case = book.cases.get(f"default/{CASE}")
    assert case is not None
    past = book.cases.card(case).history[:-1]

    assert [point.log_e_warn for point in past] == [0.0, 1.0, 2.0]
    assert [point.log_e for point in past] == [0.0, 1.0, 2.0]


async def test_an_answer_that_is_of_no_use_costs_the_history_only(tmp_path: Path) -> None:
    """And never the server, which the gate hangs on."""
    book = book_of(*july())
    before = book.cases.cards()
    with (
        answering(tmp_path, Remembering(3, lacks="log_c")) as store,
        capture_logs() as logs,
    ):
        await recall(book, store)

    assert book.cases.cards() == before
    assert [(one["event"], one["log_level"]) for one in logs] == [("no history", "error")]


async def test_a_server_that_stops_waits_for_no_history(store: StoreSettings) -> None:
    asking = asyncio.create_task(recall(book_of(*july()), store))
    await asyncio.sleep(0)
    asking.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asking
