"""kbwatch store: what a person sees."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from schemas.clickhouse.chdb_store import ChdbStore
from schemas.clickhouse.migrate import migrations
from schemas.clickhouse.queries import QUERIES
from schemas.errors import KbwatchError
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
    assert store(tmp_path, "migrate").stdout.split() == [step.name for step in migrations()]
    assert store(tmp_path, "migrate").stdout == "nothing to do\n"


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
