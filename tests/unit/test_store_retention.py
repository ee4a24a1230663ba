"""The TTL of each table: set where kbwatch wrote it, and left alone where a person did."""

from collections.abc import Mapping

import pytest

from schemas.clickhouse.retention import OtherTtl, days_of, keep, others
from schemas.clickhouse.store import Result
from schemas.settings import RetentionSettings

_OURS = "toDateTime(_received_ms) + toIntervalDay"


def engine(ttl: str) -> str:
    rest = "SETTINGS index_granularity = 8192"
    return f"ReplacingMergeTree PARTITION BY 1 ORDER BY node {ttl} {rest}".replace("  ", " ")


class Tables:
    """A store that has one table and notes what is done with it."""

    def __init__(self, ttl: str, name: str = "boots") -> None:
        self._name = name
        self._ttl = ttl
        self.done: list[str] = []

    def query(self, sql: str, params: Mapping[str, str | int | float]) -> Result:
        if sql.startswith("SELECT"):
            return Result(("name", "engine_full"), ((self._name, engine(self._ttl)),))
        self.done.append(sql)
        return Result((), ())

    def insert(self, *_: object) -> int:
        raise AssertionError

    def close(self) -> None:
        """Nothing is open."""


def test_the_days_are_those_of_our_ttl() -> None:
    assert days_of(engine(f"TTL {_OURS}(30)")) == 30
    assert days_of(f"ReplacingMergeTree ORDER BY node TTL {_OURS}(30)") == 30
    assert days_of(engine("")) == 0


@pytest.mark.parametrize(
    "ttl",
    [
        "TTL toDateTime(t_ms) + toIntervalDay(730)",
        f"TTL {_OURS}(30) TO VOLUME 'cold'",
        f"TTL {_OURS}(30) TO VOLUME 'cold', {_OURS}(730)",
        f"TTL {_OURS}(730), {_OURS}(30) TO VOLUME 'cold'",
        f"TTL {_OURS}(730) WHERE clean",
    ],
)
def test_a_ttl_that_a_person_wrote_is_left_alone_and_said(ttl: str) -> None:
    store = Tables(ttl)

    said = keep(store, RetentionSettings())

    assert said == ["boots: left alone, it has a TTL that kbwatch did not write"]
    assert store.done == []


def test_our_ttl_follows_the_settings() -> None:
    store = Tables(f"TTL {_OURS}(30)")

    assert keep(store, RetentionSettings()) == ["boots: kept 730 days"]
    assert store.done == [f"ALTER TABLE boots MODIFY TTL {_OURS}(730)"]


def test_a_table_with_the_ttl_of_the_settings_is_no_other() -> None:
    assert others(Tables(f"TTL {_OURS}(730)"), RetentionSettings()) == []
    assert others(Tables(""), RetentionSettings(boots_days=0)) == []


@pytest.mark.parametrize(
    ("ttl", "days"),
    [
        (f"{_OURS}(30)", 30),
        ("toDateTime(t_ms) + toIntervalDay(730)", None),
        (f"{_OURS}(730), {_OURS}(30) TO VOLUME 'cold'", None),
    ],
)
def test_another_ttl_is_shown_in_the_databases_words(ttl: str, days: int | None) -> None:
    assert others(Tables(f"TTL {ttl}"), RetentionSettings()) == [OtherTtl("boots", days, ttl, 730)]


def test_no_ttl_is_another_one_where_the_settings_name_days() -> None:
    assert others(Tables(""), RetentionSettings()) == [OtherTtl("boots", 0, "", 730)]


def test_on_a_cluster_the_table_that_holds_the_rows_is_looked_at() -> None:
    local = Tables(f"TTL {_OURS}(30)", "boots_local")

    assert others(local, RetentionSettings()) == []
    assert [other.table for other in others(local, RetentionSettings(), "kbw")] == ["boots"]
