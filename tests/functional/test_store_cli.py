"""kbwatch store: what a person sees."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from schemas.clickhouse.chdb_store import ChdbStore
from schemas.clickhouse.migrate import migrations
from schemas.clickhouse.queries import QUERIES
from schemas.clickhouse.tables import TABLES
from schemas.errors import KbwatchError
from schemas.settings import RetentionSettings
from streams.store_cli import app


def store(folder: Path, *words: str) -> Result:
    places = ["--set", f"store.path={folder / 'store'}", "--set", f"store.socket={folder / 's'}"]
    return CliRunner().invoke(app, [*words, *places], env={"COLUMNS": "200"}, catch_exceptions=True)


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A store with one boot at 2018-07-11 00:41:50Z, on a build with a terminal escape in it."""
    store(tmp_path, "migrate")
    opened = ChdbStore(tmp_path / "store")
    opened.query(
        "INSERT INTO boots (fleet, node, t_ms, build, _received_ms) "
        "SELECT 'default', 'N1', fromUnixTimestamp64Milli(1531269710000), {build:String}, now64(3)",
        {"build": "[red]\x1b[2J"},
    )
    opened.close()
    return tmp_path


def test_migrate_tells_what_it_did(tmp_path: Path) -> None:
    told = store(tmp_path, "migrate").stdout.splitlines()
    assert told == [
        *(step.name for step in migrations()),
        *(f"{table}: kept {RetentionSettings().days(table)} days" for table in TABLES),
    ]
    assert store(tmp_path, "migrate").stdout == "nothing to do\n"
    shorter = store(tmp_path, "migrate", "--set", "retention.boots_days=30")
    assert shorter.stdout == "boots: kept 30 days\n"


def test_migrate_prints_what_it_would_run_on_a_cluster_and_runs_nothing(tmp_path: Path) -> None:
    printed = store(tmp_path, "migrate", "--print", "--cluster", "kbw").stdout
    assert "CREATE TABLE IF NOT EXISTS boots_local ON CLUSTER 'kbw'" in printed
    assert not (tmp_path / "store").exists()


def test_a_cluster_without_a_server_is_explained(tmp_path: Path) -> None:
    error = store(tmp_path, "migrate", "--cluster", "kbw").exception
    assert isinstance(error, KbwatchError)
    assert "store.cluster needs a server: set store.host" in str(error)


def test_status_tells_what_each_table_holds(filled: Path) -> None:
    shown = store(filled, "status").stdout
    assert f"migrations: {len(migrations())} ran, 0 to run" in shown
    told = json.loads(store(filled, "status", "--json").stdout)
    assert told["store"] == str(filled / "store")
    held = {table["table"]: table for table in told["tables"]}
    assert (held["boots"]["rows"], held["boots"]["kept_days"]) == (1, 730)


def test_verify_is_silent_about_a_store_as_declared(filled: Path) -> None:
    assert store(filled, "verify").stdout == "the store is as declared\n"
    done = store(filled, "verify", "--json")
    assert (json.loads(done.stdout), done.exit_code) == ([], 0)


def test_verify_names_what_differs_and_what_to_do(filled: Path) -> None:
    done = store(filled, "verify", "--set", "retention.boots_days=30")
    assert done.exit_code == 1
    assert done.stdout == "boots: days kept should be 30, is 730: run `kbwatch store migrate`\n"
    done = store(filled, "verify", "--json", "--set", "retention.boots_days=30")
    (told,) = json.loads(done.stdout)
    assert (told["table"], told["declared"], told["found"]) == ("boots", "30", "730")
    assert done.exit_code == 1


def test_queries_lists_every_query() -> None:
    listed = CliRunner().invoke(app, ["queries"]).stdout
    assert [name for name in QUERIES if name not in listed] == []


def test_a_query_shows_times_a_person_can_read_and_no_terminal_escapes(filled: Path) -> None:
    shown = store(filled, "query", "boots_of", "--param", "node=N1").stdout
    assert "2018-07-11 00:41:50.000Z" in shown
    assert "[red]\ufffd[2J" in shown


def test_a_query_as_json_is_exact(filled: Path) -> None:
    answer = store(filled, "query", "boots_of", "--param", "node=N1", "--json").stdout
    row = {"t_ms": 1531269710000, "build": "[red]\x1b[2J", "clean": None, "record_id": 0}
    assert json.loads(answer) == [row]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("boots_of", "--param", "node"), "--param node: write it as name=value"),
        (("boots_of",), "parameter 'node' is missing"),
        (("nonsense",), "no query 'nonsense'"),
    ],
)
def test_a_wrong_question_is_explained(filled: Path, words: tuple[str, ...], message: str) -> None:
    error = store(filled, "query", *words).exception
    assert isinstance(error, KbwatchError)
    assert message in str(error)
