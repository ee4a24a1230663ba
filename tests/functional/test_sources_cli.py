"""kbwatch sources check: what an operator sees."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from schemas.clickhouse.chdb_store import ChdbStore
from schemas.clickhouse.migrate import migrate
from schemas.inventory import InventoryNode
from schemas.settings import KafkaSettings
from streams.inventory import topic
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


def test_it_tells_each_trouble_once_then_the_nodes(places: list[str]) -> None:
    result = check(places)
    lines = result.stdout.splitlines()
    (facts,) = [line for line in lines if "no facts: role" in line]
    assert facts.split()[-3:] == ["2", "hv02,", "hv01"]
    (first,) = [line for line in lines if line.startswith("hv02")]
    (second,) = [line for line in lines if line.startswith("hv01")]
    assert lines.index(facts) < lines.index(first) < lines.index(second)
    unlike = ("2 Applic\ufffdation", "its build is unknown  ", "no patch states; no facts")
    assert [words for words in unlike if words not in first] == []
    assert "2 System, 1 boot, 1 heartbeat, 2 patch states" in second
    assert lines[-1] == "1 of 2 nodes can be judged, something is missing of each"
    assert result.exit_code == 1


def test_json_is_for_scripts_and_one_node_can_be_asked_for(places: list[str]) -> None:
    result = check(places, "--json", "--node", "hv01")
    (node,) = json.loads(result.stdout)
    assert node["arrives"] == {"System": 2, "boots": 1, "heartbeats": 1, "patch states": 2}
    assert (node["unjudged"], result.exit_code) == ([], 0)


@pytest.mark.parametrize("spelling", ["HV01", "hv01.corp.example"])
def test_a_node_is_found_under_any_spelling_of_its_name(places: list[str], spelling: str) -> None:
    result = check(places, "--node", spelling)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "1 of 1 node can be judged, something is missing"


def test_an_unknown_node_is_no_success(places: list[str]) -> None:
    result = check(places, "--node", "nope", "--json")
    assert json.loads(result.stdout) == []
    assert "unknown node 'nope': nothing has arrived of it in 30 days" in result.stderr
    assert result.exit_code == 1


def test_a_fleet_of_which_nothing_arrived_says_what_to_look_at(places: list[str]) -> None:
    result = check(places, "--fleet", "other")
    assert "nothing has arrived of fleet 'other' in 30 days" in result.stderr
    assert "is the sink running" in result.stderr
    assert (result.stdout, result.exit_code) == ("", 1)


def test_a_node_under_an_alias_is_shown_the_way(
    places: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def known(_: KafkaSettings) -> dict[tuple[str, str], InventoryNode]:
        node = InventoryNode(
            v=1, fleet="default", node="hv01", domain="hv01", site="north", aliases=("hv02", "old")
        )
        return {("default", "hv01"): node}

    monkeypatch.setattr(topic, "read_inventory", known)
    options = [word for place in places for word in ("--set", place)]
    asked = CliRunner().invoke(app, ["check", "--node", "old", *options])
    assert (asked.stderr, asked.exit_code) == ("old is an alias of hv01: ask for --node hv01\n", 1)
    whole = CliRunner().invoke(app, ["check", *options], env={"COLUMNS": "300"})
    assert "an alias of hv01: what arrived before the inventory said so stays" in whole.stdout
