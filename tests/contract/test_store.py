"""What every store client promises (StoreBehaviour), and what the embedded one adds."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.clickhouse.chdb_store import ChdbStore
from schemas.clickhouse.migrate import Migration, migrate, migrations, pending
from schemas.clickhouse.queries import QUERIES, run_query
from schemas.clickhouse.socket_store import QueryServer, ask, open_queries
from schemas.clickhouse.store import Store, StoreBusyError
from schemas.clickhouse.tables import FLOAT, NAMED_COUNT, NAMED_TEXT, NAMES, TABLES, TIMES
from schemas.errors import KbwatchError
from schemas.settings import StoreSettings

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


class TestChdbStore(StoreBehaviour):
    @pytest.fixture
    def bare(self, tmp_path: Path) -> Iterator[Store]:
        store = ChdbStore(tmp_path / "store")
        yield store
        store.close()

    def test_rows_are_there_after_opening_again(self, tmp_path: Path) -> None:
        for expected in (["0001_create_node_records"], []):
            store = ChdbStore(tmp_path / "again")
            assert migrate(store)[:1] == expected
            store.insert("boots", boots(1), "token")
            assert run_query(store, "boots_of", {"node": "N1"}).rows == ((1, "", None, 0),)
            store.close()

    def test_a_folder_that_another_process_has_is_named_with_its_owner(
        self, tmp_path: Path
    ) -> None:
        folder = tmp_path / "store"
        code = (
            "import sys; from schemas.clickhouse.chdb_store import ChdbStore;"
            f"store = ChdbStore({str(folder)!r}); print('open', flush=True); sys.stdin.read()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == b"open\n"
            with pytest.raises(StoreBusyError, match=f"in use by process {other.pid}"):
                ChdbStore(folder)
            other.kill()
        ChdbStore(folder).close()  # a lock does not outlive its process

    def test_a_folder_that_cannot_be_made_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(KbwatchError, match=r"store\.path .*/file/store: "):
            ChdbStore(tmp_path / "file" / "store")

    def test_without_chdb_the_message_says_what_to_install(self) -> None:
        code = (
            "import sys; sys.modules['chdb'] = None\n"
            "from schemas.errors import KbwatchError\n"
            "try: import schemas.clickhouse.chdb_store\n"
            "except KbwatchError as error: print(error)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert "pip install 'kbwatch[embedded]'" in done.stdout


class TestNamedQueriesOverTheSocket:
    @pytest.fixture
    def settings(self, tmp_path: Path) -> StoreSettings:
        return StoreSettings(path=str(tmp_path / "store"), socket=str(tmp_path / "s"))

    @pytest.fixture
    def store(self, settings: StoreSettings) -> Iterator[Store]:
        store = ChdbStore(settings.path)
        migrate(store)
        store.insert("boots", boots(1, 2, clean=[None, True]), "boots")
        yield store
        store.close()

    @pytest.fixture
    def server(self, settings: StoreSettings, store: Store) -> Iterator[QueryServer]:
        server = QueryServer(settings.socket, store)
        yield server
        server.close()

    @pytest.mark.usefixtures("server")
    def test_the_answer_is_the_same_as_from_the_store(
        self, settings: StoreSettings, store: Store
    ) -> None:
        with open_queries(settings) as queries:
            answer = queries.run("boots_of", {"node": "N1"})
        assert answer == run_query(store, "boots_of", {"node": "N1"})
        assert answer.rows == ((1, "", None, 0), (2, "", True, 0))

    @pytest.mark.usefixtures("server")
    @pytest.mark.parametrize(
        ("name", "params", "message"),
        [
            ("DROP TABLE boots", {}, "no query 'DROP TABLE boots'; there are: record_counts"),
            ("boots_of", {}, "parameter 'node' is missing"),
            ("boots_of", {"node": "N1", "nod": 1}, "no parameter 'nod'"),
            ("boots_of", {"node": 5}, "must be text"),
            ("boots_of", {"node": "x" * 5000}, "must be text of at most 4096"),
            ("node_timeline", {"node": "N1", "limit": -1}, "whole number"),
            ("node_timeline", {"node": "N1", "limit": "1 OR 1"}, "whole number"),
            ("boots_of", {"node": "x" * 70_000}, "a query may have 65536 bytes"),
        ],
    )
    def test_what_is_refused_is_said(
        self, settings: StoreSettings, name: str, params: dict[str, str | int], message: str
    ) -> None:
        with pytest.raises(KbwatchError, match=message):
            ask(settings.socket, name, params)

    @pytest.mark.usefixtures("server")
    def test_only_its_owner_can_use_the_socket(self, settings: StoreSettings) -> None:
        assert Path(settings.socket).stat().st_mode & 0o777 == 0o600

    @pytest.mark.usefixtures("server")
    def test_a_second_sink_does_not_take_the_socket(
        self, settings: StoreSettings, store: Store
    ) -> None:
        with pytest.raises(KbwatchError, match="another sink answers"):
            QueryServer(settings.socket, store)
        assert ask(settings.socket, "record_counts", {}).rows

    def test_a_socket_left_by_a_killed_sink_is_replaced(
        self, settings: StoreSettings, store: Store
    ) -> None:
        code = f"import socket; socket.socket(socket.AF_UNIX).bind({settings.socket!r})"
        subprocess.run([sys.executable, "-c", code], check=True)
        server = QueryServer(settings.socket, store)
        assert ask(settings.socket, "record_counts", {}).rows
        server.close()
        assert not Path(settings.socket).exists()

    def test_without_a_sink_the_folder_itself_is_asked(
        self, settings: StoreSettings, store: Store
    ) -> None:
        store.close()
        with open_queries(settings) as queries:
            assert queries.run("boots_of", {"node": "N1"}).rows[0][0] == 1

    def test_a_folder_in_use_without_a_socket_is_explained(
        self, settings: StoreSettings, store: Store
    ) -> None:
        assert store.query("SELECT 1", {}).rows == ((1,),)
        with pytest.raises(KbwatchError, match=r"nobody answers on store\.socket"):
            open_queries(settings)

    def test_a_store_that_is_not_there_is_not_made(self, settings: StoreSettings) -> None:
        with pytest.raises(KbwatchError, match="no store there yet"):
            open_queries(settings)
        assert not Path(settings.path).exists()

    def test_a_store_without_tables_is_explained(self, settings: StoreSettings) -> None:
        ChdbStore(settings.path).close()
        with pytest.raises(KbwatchError, match="kbwatch store migrate"):
            open_queries(settings)
