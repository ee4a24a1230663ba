"""The embedded store, and named queries over the sink's socket."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.clickhouse.chdb_store import ChdbStore
from schemas.clickhouse.migrate import migrate
from schemas.clickhouse.queries import run_query
from schemas.clickhouse.socket_store import QueryServer, ask, open_queries
from schemas.clickhouse.store import Store, StoreBusyError
from schemas.errors import KbwatchError
from schemas.settings import StoreSettings
from tests.contract.store_behaviour import StoreBehaviour, boots

pytestmark = pytest.mark.slow


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
