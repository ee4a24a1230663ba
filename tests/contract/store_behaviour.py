"""What every store client promises; each client's tests inherit it."""

import time
from functools import partial
from typing import Any

import pytest

from schemas.clickhouse.migrate import Migration, migrate, migrations, pending
from schemas.clickhouse.queries import QUERIES, run_query
from schemas.clickhouse.retention import keep
from schemas.clickhouse.store import Store
from schemas.clickhouse.tables import FLOAT, NAMED_COUNT, NAMED_TEXT, NAMES, TABLES, TIMES
from schemas.clickhouse.verify import differences, status
from schemas.errors import KbwatchError
from schemas.settings import RetentionSettings

NOW_MS = int(time.time() * 1000)
DAY_MS = 86_400_000
HOSTILE = [
    "C:\\new\\temp",
    "a\tb",
    "a\r\nb",
    "it's",
    'say "x"',
    "nul\0",
    "`;-- {x:String}",
    "Ω😀",
    "",
]


def columns_of(table: str, count: int = 1, **given: list[Any]) -> dict[str, list[Any]]:
    """Rows with a plain value in every column that is not given."""
    plain: dict[str, Any] = {NAMED_TEXT: {}, NAMED_COUNT: {}, TIMES: [], NAMES: [], FLOAT: 0.0}
    columns = {}
    for column in TABLES[table].columns:
        kind = column.type
        text = kind.startswith("LowCardinality") or kind == "String"
        value = "" if text else None if kind.startswith("Nullable") else plain.get(kind, 0)
        columns[column.name] = [value] * count
    return {**columns, "_received_ms": [NOW_MS] * count, **given}


def boots(*times_ms: int, **given: list[Any]) -> dict[str, list[Any]]:
    count = len(times_ms)
    names = {"fleet": ["default"] * count, "node": ["N1"] * count}
    return columns_of("boots", count, t_ms=list(times_ms), **{**names, **given})


class StoreBehaviour:
    """Every client runs these tests on a store without tables, which ``bare`` gives."""

    @pytest.fixture
    def store(self, bare: Store) -> Store:
        migrate(bare)
        return bare

    def test_the_database_has_the_declared_columns_and_identities(self, store: Store) -> None:
        for table in TABLES.values():
            found = store.query(
                "SELECT name, type FROM system.columns "
                "WHERE database = currentDatabase() AND table = {table:String} ORDER BY position",
                {"table": table.name},
            )
            declared = tuple((column.name, column.type) for column in table.columns)
            assert found.rows == declared, table.name
            keys = store.query(
                "SELECT engine, sorting_key FROM system.tables "
                "WHERE database = currentDatabase() AND name = {table:String}",
                {"table": table.name},
            )
            assert keys.rows == (("ReplacingMergeTree", ", ".join(table.identity)),), table.name

    def test_the_database_has_no_table_that_is_not_declared(self, store: Store) -> None:
        found = store.query("SHOW TABLES", {})
        assert {name for (name,) in found.rows} == {*TABLES, "kbw_migrations"}

    def test_migrating_again_does_nothing(self, bare: Store) -> None:
        names = [step.name for step in migrations()]
        assert pending(bare) == names
        assert migrate(bare) == names
        assert migrate(bare) == []
        assert pending(bare) == []

    def test_a_migration_cut_off_in_the_middle_is_run_again(self, bare: Store) -> None:
        for statement in migrations()[0].statements[:2]:
            bare.query(statement, {})
        assert migrate(bare) == [step.name for step in migrations()]

    def test_a_verdict_from_before_the_warnings_wealth_shows_the_least_it_was(
        self, bare: Store
    ) -> None:
        before = [step for step in migrations() if step.number < 5]
        migrate(bare, before)
        bare.query("INSERT INTO verdicts (case_id, log_e) SELECT 'old', 4.5", {})
        migrate(bare)
        rows = bare.query("SELECT log_e_warn FROM verdicts WHERE case_id = 'old'", {}).rows
        assert rows == ((4.5,),)
        new = columns_of("verdicts", case_id=["new"], log_e=[4.5], log_e_warn=[5.5])
        bare.insert("verdicts", new, "token")
        rows = bare.query("SELECT log_e_warn FROM verdicts WHERE case_id = 'new'", {}).rows
        assert rows == ((5.5,),)

    def test_facts_from_before_backups_were_asked_for_tell_of_none(self, bare: Store) -> None:
        migrate(bare, [step for step in migrations() if step.number < 6])
        bare.query("INSERT INTO node_facts (node) SELECT 'old'", {})
        migrate(bare)
        bare.insert("node_facts", columns_of("node_facts", node=["new"], backup_ms=[4_000]), "t")
        said = bare.query("SELECT node, backup_ms FROM node_facts ORDER BY node", {}).dicts()
        assert [row["node"] for row in said] == ["new", "old"]
        assert [row["backup_ms"] for row in said] == [4_000, None]

    def test_a_store_of_a_newer_kbwatch_is_refused(self, store: Store) -> None:
        newer = [*migrations(), Migration(9999, "9999_add_things", "SELECT 1;")]
        assert migrate(store, newer) == ["9999_add_things"]
        with pytest.raises(KbwatchError, match=r"9999_add_things.*upgrade"):
            migrate(store)

    def test_a_migration_changed_after_it_ran_is_refused(self, store: Store) -> None:
        first, *rest = migrations()
        changed = Migration(first.number, first.name, first.sql + "\nSELECT 1;")
        with pytest.raises(KbwatchError, match=f"{first.name} was changed"):
            migrate(store, [changed, *rest])

    def test_the_same_token_twice_is_one_insert(self, store: Store) -> None:
        assert store.insert("boots", boots(1, 2, 3), "token") == 3
        store.insert("boots", boots(1, 2, 3), "token")
        assert store.query("SELECT count() FROM boots", {}).rows == ((3,),)
        # A batch fills several tables with one token.
        store.insert("heartbeats", columns_of("heartbeats"), "token")
        assert store.query("SELECT count() FROM heartbeats", {}).rows == ((1,),)

    def test_the_same_records_in_other_batches_are_the_same_rows(self, store: Store) -> None:
        store.insert("boots", boots(1, 2, 3), "first")
        store.insert("boots", boots(2, 3, 4, _offset=[7, 8, 9]), "second")
        rows = store.query("SELECT t_ms FROM boots FINAL ORDER BY t_ms", {}).rows
        assert rows == ((1,), (2,), (3,), (4,))

    def test_a_record_replayed_in_another_month_is_the_same_row(self, store: Store) -> None:
        store.insert("boots", boots(1), "then")
        store.insert("boots", boots(1, _received_ms=[NOW_MS - 62 * DAY_MS]), "now")
        assert store.query("SELECT count() FROM boots FINAL", {}).rows == ((1,),)

    def test_the_row_received_last_survives(self, store: Store) -> None:
        for state, received_ms in (("delivered", NOW_MS + 9), ("pending", NOW_MS)):
            columns = columns_of(
                "halt_deliveries", webhook_id=["w"], state=[state], _received_ms=[received_ms]
            )
            store.insert("halt_deliveries", columns, state)
        rows = store.query("SELECT state FROM halt_deliveries FINAL", {}).rows
        assert rows == (("delivered",),)

    def test_events_of_fifty_years_go_in_at_once(self, store: Store) -> None:
        months = [month * 31 * DAY_MS for month in range(600)]
        assert store.insert("boots", boots(*months), "fifty years") == 600
        assert store.query("SELECT count() FROM boots FINAL", {}).rows == ((600,),)

    def test_a_record_twice_in_one_batch_is_one_row(self, store: Store) -> None:
        store.insert("boots", boots(1, 1, 2), "token")
        assert store.query("SELECT count() FROM boots FINAL", {}).rows == ((2,),)

    def test_a_second_try_stores_what_the_first_would_have(self, store: Store) -> None:
        given = boots(1, 2, clean=[None, True])
        store.insert("boots", given, "first try")
        store.insert("boots", given, "second try")
        rows = store.query("SELECT t_ms, clean FROM boots ORDER BY t_ms, clean", {}).rows
        assert rows == ((1, None), (1, None), (2, True), (2, True))

    def test_rows_stay_as_long_as_the_settings_say(self, store: Store) -> None:
        first = RetentionSettings(boots_days=0, heartbeats_days=30)
        assert len(keep(store, first)) == len(TABLES) - 1  # without a TTL boots stay for ever
        assert keep(store, first) == []
        store.insert("boots", boots(1), "now")
        store.insert("boots", boots(2, _received_ms=[NOW_MS - 62 * DAY_MS]), "long ago")
        shorter = RetentionSettings(boots_days=61, heartbeats_days=30)
        assert keep(store, shorter) == ["boots: kept 61 days"]
        store.query("OPTIMIZE TABLE boots FINAL", {})
        assert store.query("SELECT t_ms FROM boots", {}).rows == ((1,),)
        longer = RetentionSettings(boots_days=0, heartbeats_days=30)
        assert keep(store, longer) == ["boots: kept for ever"]

    def test_a_store_as_declared_has_no_differences(self, store: Store) -> None:
        keep(store, RetentionSettings())
        assert differences(partial(run_query, store), RetentionSettings()) == []

    @pytest.mark.parametrize(
        ("statement", "found"),
        [
            ("DROP TABLE boots", ("boots", "table", "there", "missing")),
            (
                "ALTER TABLE boots DROP COLUMN build",
                ("boots", "column build", "LowCardinality(String)", "none"),
            ),
            (
                "ALTER TABLE boots MODIFY COLUMN clean Nullable(UInt8)",
                ("boots", "column clean", "Nullable(Bool)", "Nullable(UInt8)"),
            ),
            (
                "ALTER TABLE boots ADD COLUMN mine String",
                ("boots", "column mine", "none", "String"),
            ),
            (
                "ALTER TABLE boots MODIFY COLUMN build LowCardinality(String) FIRST",
                None,
            ),
            (
                "ALTER TABLE boots MODIFY TTL toDateTime(_received_ms) + toIntervalDay(5)",
                ("boots", "days kept", "730", "5"),
            ),
            (
                "ALTER TABLE boots MODIFY TTL toDateTime(t_ms) + toIntervalDay(730)",
                ("boots", "days kept", "730", "another TTL"),
            ),
            (
                "INSERT INTO kbw_migrations SELECT 9999, '9999_add_things', '', now64(3)",
                ("kbw_migrations", "migration", "not known", "9999_add_things"),
            ),
        ],
    )
    def test_what_is_not_as_declared_is_named(
        self, store: Store, statement: str, found: tuple[str, ...] | None
    ) -> None:
        keep(store, RetentionSettings())
        store.query(statement, {})
        (told,) = differences(partial(run_query, store), RetentionSettings())
        assert told.do
        if found is None:
            assert told.what == "order of columns"
        else:
            assert (told.table, told.what, told.declared, told.found) == found

    def test_the_status_of_a_bare_store_is_that_everything_is_to_do(self, bare: Store) -> None:
        told = status(partial(run_query, bare), "here")
        assert told.pending == tuple(step.name for step in migrations())
        assert told.applied == ()
        assert {table.rows for table in told.tables} == {0}

    def test_the_status_tells_what_each_table_holds(self, store: Store) -> None:
        keep(store, RetentionSettings())
        store.insert("boots", boots(1, 2), "token")
        told = status(partial(run_query, store), "here")
        assert [one.name for one in told.applied] == [step.name for step in migrations()]
        assert told.pending == ()
        (held,) = [table for table in told.tables if table.table == "boots"]
        assert (held.rows, held.parts, held.kept_days) == (2, 1, 730)
        assert held.disk_bytes > 0

    def test_no_rows_are_no_insert(self, store: Store) -> None:
        assert store.insert("boots", boots(), "none") == 0

    def test_values_come_back_as_they_went_in(self, store: Store) -> None:
        event = columns_of(
            "node_events",
            t_ms=[1_752_019_200_123],
            id=[2**32 - 1],
            record_id=[2**64 - 1],
            data=[{"param1": "Cluster Service", "Pfad": "C:\\new\t'", "": "\0"}],
            binary=["43006C00"],
            provider=["Service Control Manager"],
        )
        store.insert("node_events", event, "event")
        (found,) = store.query("SELECT * FROM node_events", {}).dicts()
        assert found == {name: values[0] for name, values in event.items()}

    def test_times_in_lists_and_missing_times_come_back(self, store: Store) -> None:
        times = [NOW_MS, NOW_MS + 1]
        store.insert("onsets", columns_of("onsets", times=[times]), "onset")
        assert store.query("SELECT times FROM onsets", {}).rows == ((times,),)
        verdict = columns_of("verdicts", halt_ms=[None], warn_ms=[5], reasons=[["a", "b"]])
        store.insert("verdicts", verdict, "verdict")
        sql = "SELECT halt_ms, warn_ms, reasons FROM verdicts"
        assert store.query(sql, {}).rows == ((None, 5, ["a", "b"]),)

    def test_truth_values_may_be_unknown(self, store: Store) -> None:
        store.insert("boots", boots(1, 2, 3, clean=[None, True, False]), "boots")
        rows = store.query("SELECT clean FROM boots ORDER BY t_ms", {}).rows
        assert rows == ((None,), (True,), (False,))

    @pytest.mark.parametrize("text", HOSTILE)
    def test_a_parameter_is_nothing_but_its_value(self, store: Store, text: str) -> None:
        assert store.query("SELECT {text:String} AS t", {"text": text}).rows == ((text,),)
        store.insert("boots", boots(1, node=[text]), "token")
        assert run_query(store, "boots_of", {"node": text}).dicts() == [
            {"t_ms": 1, "build": "", "clean": None, "record_id": 0}
        ]

    def test_a_token_is_nothing_but_its_value(self, store: Store) -> None:
        assert store.insert("boots", boots(1), "it's \\' a token") == 1

    @pytest.mark.parametrize("name", QUERIES)
    def test_every_named_query_answers_with_its_columns(self, store: Store, name: str) -> None:
        needed = {param: "x" for param, what in QUERIES[name].params.items() if not what.default}
        params = {key: 0 if key.endswith("_ms") else value for key, value in needed.items()}
        assert run_query(store, name, params).columns == QUERIES[name].columns

    def test_record_counts_count_a_repeated_record_once(self, store: Store) -> None:
        store.insert("boots", boots(1, 2), "a")
        store.insert("boots", boots(2, 3), "b")
        counts = dict(run_query(store, "record_counts", {}).rows)
        assert counts == {
            "node_events": 0,
            "patch_states": 0,
            "boots": 3,
            "node_facts": 0,
            "heartbeats": 0,
        }

    def test_a_timeline_is_in_order_and_within_its_bounds(self, store: Store) -> None:
        store.insert("boots", boots(10, 30, 50, build=["17763.1"] * 3), "boots")
        patch = columns_of(
            "patch_states",
            fleet=["default"],
            node=["N1"],
            kb=["KB1"],
            state=["staged"],
            t_ms=[20],
        )
        store.insert("patch_states", patch, "patch")
        params = {"node": "N1", "since_ms": 10, "until_ms": 50}
        rows = [row[:3] for row in run_query(store, "node_timeline", params).rows]
        assert rows == [
            (10, "boot", "17763.1"),
            (20, "patch", "KB1 staged"),
            (30, "boot", "17763.1"),
        ]

    def test_a_closed_store_says_so(self, store: Store) -> None:
        store.close()
        store.close()
        with pytest.raises(KbwatchError, match="closed"):
            store.query("SELECT 1", {})
