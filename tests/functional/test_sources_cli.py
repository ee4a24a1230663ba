"""kbwatch sources check: what an operator sees."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from schemas.clickhouse.chdb_store import ChdbStore
from schemas.clickhouse.migrate import migrate
from streams.sources_cli import app


@pytest.fixture
def places(tmp_path: Path) -> list[str]:
    """A store in which hv01 sends all but facts, and hv02 events of one channel only."""
    store = ChdbStore(tmp_path / "store")
    migrate(store)
    said = "'default' AS fleet, {node:String} AS node, node AS domain, 'north' AS site, "
    said += "now64(3) AS t_ms, now64(3) AS _received_ms"
    names = "fleet, node, domain, site, t_ms, _received_ms"
    for table, node, more, values in (
        ("node_events", "hv01", ", channel, record_id", ", 'System', number"),
        ("node_events", "hv02", ", channel, record_id", ", 'Applic\x1bation', number"),
        ("boots", "hv01", ", build", ", '17763.7558'"),
        ("patch_states", "hv01", ", kb, record_id", ", 'KB5062557', number"),
        ("heartbeats", "hv01", ", heartbeat_s", ", 60"),
    ):
        rows = f"SELECT {said}{values} FROM numbers(2)"  # noqa: S608 - our own words
        store.query(f"INSERT INTO {table} ({names}{more}) {rows}", {"node": node})
    store.close()
    return [f"store.path={tmp_path / 'store'}", f"store.socket={tmp_path / 's'}"]


def check(places: list[str], *words: str) -> Result:
    options = [word for place in places for word in ("--set", place)]
    return CliRunner().invoke(
        app, ["check", "--no-inventory", *words, *options], env={"COLUMNS": "300"}
    )


def test_it_names_what_arrives_what_is_missing_and_who_cannot_be_judged(
    places: list[str],
) -> None:
    result = check(places)
    lines = result.stdout.splitlines()
    first = next(line for line in lines if line.startswith("hv02"))
    second = next(line for line in lines if line.startswith("hv01"))
    assert lines.index(first) < lines.index(second)
    assert [
        w for w in ("2 Applic\ufffdation", "no patch states", "no boot") if w not in first
    ] == []
    assert [w for w in ("2 System, 1 boots", "no facts") if w not in second] == []
    assert lines[-1] == "1 of 2 nodes can be judged, nothing is missing of 0"
    assert result.exit_code == 1


def test_json_is_for_scripts_and_one_node_can_be_asked_for(places: list[str]) -> None:
    result = check(places, "--json", "--node", "hv01")
    (node,) = json.loads(result.stdout)
    assert node["arrives"] == {"System": 2, "boots": 1, "heartbeats": 1, "patch states": 2}
    assert (node["unjudged"], result.exit_code) == ([], 0)


def test_an_empty_store_says_what_to_look_at(places: list[str]) -> None:
    assert "is the sink running" in check(places, "--fleet", "other").stdout
