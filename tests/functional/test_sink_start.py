"""What the sink says at its start of tables that keep rows otherwise than the settings say."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs
from structlog.typing import EventDict

from schemas.clickhouse.chdb_store import ChdbStore
from schemas.clickhouse.retention import keep
from schemas.clickhouse.store import Store
from schemas.settings import RetentionSettings, Settings
from streams.sink.app import bring_up

_OURS = "toDateTime(_received_ms) + toIntervalDay"
_COLD = "toDateTime(t_ms) + toIntervalDay(30) WHERE clean"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(ChdbStore(tmp_path / "store")) as store:
        yield store


def said(store: Store, **retention: int) -> list[EventDict]:
    """The warnings of one start."""
    settings = replace(Settings(), retention=RetentionSettings(**retention))
    with capture_logs() as lines:
        bring_up(store, settings)
    return lines


def ttl_of_boots(store: Store) -> str:
    found = store.query("SELECT engine_full FROM system.tables WHERE name = 'boots'", {})
    return str(found.rows[0][0])


def test_a_new_store_and_one_as_the_settings_say_start_in_silence(store: Store) -> None:
    assert said(store) == []
    assert said(store) == []


def test_a_ttl_that_somebody_changed_is_told_once_and_set_to_the_settings(store: Store) -> None:
    said(store)
    store.query(f"ALTER TABLE boots MODIFY TTL {_OURS}(5)", {})

    (line,) = said(store)

    assert line["log_level"] == "warning"
    assert (line["table"], line["found"], line["wanted"]) == ("boots", "5 days", "730 days")
    assert "set retention.boots_days = 5 and start again" in line["do"]
    assert f"{_OURS}(730)" in ttl_of_boots(store)
    assert said(store) == []


def test_a_setting_that_changed_is_told_once(store: Store) -> None:
    said(store)

    (line,) = said(store, boots_days=0)

    assert (line["table"], line["found"], line["wanted"]) == ("boots", "730 days", "for ever")
    assert said(store, boots_days=0) == []


@pytest.mark.parametrize(
    ("before", "after", "leave"),
    [(730, 30, True), (0, 30, True), (30, 730, False), (30, 0, False)],
)
def test_that_older_rows_leave_is_told_where_they_do(
    store: Store, before: int, after: int, leave: bool
) -> None:
    said(store, boots_days=before)

    (line,) = said(store, boots_days=after)

    assert ("older rows leave" in line["do"]) == leave


def test_a_ttl_of_somebody_else_is_told_at_each_start_and_left_alone(store: Store) -> None:
    said(store)
    store.query(f"ALTER TABLE boots MODIFY TTL {_COLD}", {})

    (line,) = said(store)

    assert (line["table"], line["found"], line["wanted"]) == ("boots", _COLD, "730 days")
    assert "left alone" in line["do"]
    assert _COLD in ttl_of_boots(store)
    assert said(store) == [line]


def test_what_is_to_do_about_a_ttl_of_somebody_else_helps(store: Store) -> None:
    said(store)
    store.query(f"ALTER TABLE boots MODIFY TTL {_COLD}", {})
    (line,) = said(store)
    assert "run ALTER TABLE boots REMOVE TTL, then `kbwatch store migrate`" in line["do"]

    store.query("ALTER TABLE boots REMOVE TTL", {})

    assert keep(store, RetentionSettings()) == ["boots: kept 730 days"]
    assert said(store) == []
