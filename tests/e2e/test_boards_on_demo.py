"""The boards on what the demo leaves in its store: no panel stays empty."""

from pathlib import Path

import pytest

from dashboards.boards import asked, boards
from dashboards.macros import ALL, Value, Window, expand
from schemas.clickhouse.chdb_store import ChdbStore
from streams.regbench.scenarios.kb5062557 import LIVE_END_MS, LIVE_START_MS
from tests.e2e.conftest import Demo

pytestmark = pytest.mark.slow

DAY_MS = 86_400_000


def test_every_panel_of_every_board_has_rows(demo: Demo) -> None:
    """Events keep their simulated times; what the broker and the halts stamp is of today."""
    store = ChdbStore(Path(demo.out) / "store")
    chosen: dict[str, Value] = {
        "fleet": "default",
        "branch": "17763",
        "kb": "KB5062557",
        "site": [ALL],
        "ring": [ALL],
        "node": "hv-c01-n6",
        "cluster": "hv-c01",
    }
    try:
        newest = store.query("SELECT max(_received_ms) FROM heartbeats", {}).rows[0][0]
        july = Window(LIVE_START_MS, LIVE_END_MS, 600)
        today = Window(newest - DAY_MS, newest + DAY_MS, 60)
        empty = [
            (uid, panel.title)
            for uid, board in boards().items()
            for panel, query in asked(board)
            if not any(
                store.query(expand(query.sql, window, chosen), {}).rows for window in (july, today)
            )
        ]
    finally:
        store.close()
    assert empty == []
