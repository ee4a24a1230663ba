"""The boards keep their promises without a database: whole, linked, and committed as generated."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from dashboards import build
from dashboards.alerts import ALERTS, as_file, rules
from dashboards.boards import boards
from dashboards.check import complaints
from dashboards.macros import variables_of
from dashboards.sql import catalogue

BOARDS = {
    "kbwatch-fleet",
    "kbwatch-case",
    "kbwatch-node",
    "kbwatch-cluster",
    "kbwatch-halts",
    "kbwatch-pipeline",
    "kbwatch-readiness",
}


def as_json() -> list[dict[str, Any]]:
    return [build.plain(board) for board in boards().values()]


def as_text(sql: str) -> str:
    return json.dumps(sql, ensure_ascii=False)


def test_the_seven_boards_are_there() -> None:
    assert set(boards()) == BOARDS


def test_nothing_is_wrong_with_what_is_committed() -> None:
    assert complaints() == []


def test_a_changed_a_missing_and_a_foreign_file_are_told(tmp_path: Path) -> None:
    build.write(tmp_path)
    assert build.drifted(tmp_path) == []
    board = tmp_path / "boards" / "kbwatch-fleet.json"
    board.write_text(board.read_text().replace("Fleet overview", "Flit overview"))
    (tmp_path / "boards" / "kbwatch-node.json").unlink()
    (tmp_path / "boards" / "old.json").write_text("{}")

    assert build.drifted(tmp_path) == [
        "boards/kbwatch-fleet.json",
        "boards/kbwatch-node.json",
        "boards/old.json",
    ]
    assert len(build.write(tmp_path)) == 3
    assert build.drifted(tmp_path) == []


def test_every_query_belongs_to_a_panel_a_variable_or_a_rule() -> None:
    texts = "\n".join(build.texts().values())

    unused = [name for name, query in catalogue().items() if as_text(query.sql) not in texts]
    assert unused == []


def test_links_lead_to_boards_that_have_the_variables_they_set() -> None:
    known = {board["uid"]: board for board in as_json()}
    followed = 0
    for board in known.values():
        names = {one["name"] for one in board["templating"]["list"]}
        for url in _urls(board):
            assert variables_of(url) <= names
            if not url.startswith("/d/"):
                continue
            uid, _, query = url.removeprefix("/d/").partition("?")
            there = {one["name"] for one in known[uid]["templating"]["list"]}
            given = {part[4:].partition("=")[0] for part in query.split("&") if "var-" in part}
            assert given <= there
            followed += 1
    assert followed > 10


def test_every_board_leads_to_the_noc_page_and_to_the_other_boards() -> None:
    for board in as_json():
        assert [link["type"] for link in board["links"]] == ["dashboards", "link"]
        assert board["links"][1]["url"] == "${noc}/"
        assert "kbwatch" in board["tags"]


def test_panels_lie_side_by_side_and_not_on_one_another() -> None:
    for board in as_json():
        taken: set[tuple[int, int]] = set()
        for panel in board["panels"]:
            at = panel["gridPos"]
            assert at["x"] + at["w"] <= 24, panel["title"]
            cells = {
                (x, y)
                for x in range(at["x"], at["x"] + at["w"])
                for y in range(at["y"], at["y"] + at["h"])
            }
            assert not cells & taken, panel["title"]
            taken |= cells


def test_each_rule_says_what_to_do_and_why_its_states_are_so() -> None:
    assert len({alert.uid for alert in ALERTS}) == len(ALERTS) == 7
    for alert in ALERTS:
        assert alert.action
        assert alert.why


def test_only_a_store_that_does_not_answer_pages_without_an_answer() -> None:
    without_answer = {
        rule.uid for rule in rules() if "Alerting" in (rule.no_data_state, rule.exec_err_state)
    }
    assert without_answer == {"kbwatch-lag"}
    watchdog = next(rule for rule in rules() if rule.uid == "kbwatch-watchdog")
    assert (watchdog.no_data_state, watchdog.exec_err_state) == ("OK", "OK")


def test_the_documentation_tells_each_rules_states() -> None:
    page = (Path(__file__).parents[2] / "docs" / "grafana.md").read_text()
    told = re.findall(r"^\| `(kbwatch-[a-z-]+)` \|.*\| `(\w+)` \| `(\w+)` \|$", page, re.MULTILINE)

    assert told == [(alert.uid, alert.no_data, alert.failed) for alert in ALERTS]
    assert set(re.findall(r"\| `(kbwatch-[a-z]+)` \| (?!`)", page)) >= set(boards())


def test_rules_point_at_panels_that_exist() -> None:
    known = {board["uid"]: {panel["id"] for panel in board["panels"]} for board in as_json()}
    for rule in rules():
        annotations = rule.annotations or {}
        assert int(annotations["__panelId__"]) in known[annotations["__dashboardUid__"]]


def test_in_a_provisioning_file_a_dollar_for_grafana_is_doubled() -> None:
    made = build.plain(as_file())["groups"][0]["rules"]

    assert all("$$values" in rule["annotations"]["summary"] for rule in made[:6])
    assert "$__" not in json.dumps(made), "a rule has no time range of a board"


@pytest.mark.parametrize("board", as_json(), ids=lambda board: board["uid"])
def test_every_panel_is_described_and_has_a_unit(board: dict[str, Any]) -> None:
    for panel in board["panels"]:
        assert len(panel["description"]) > 20, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"], panel["title"]


def _urls(tree: object) -> list[str]:
    if isinstance(tree, dict):
        here = [value for key, value in tree.items() if key == "url" and isinstance(value, str)]
        return here + [url for value in tree.values() for url in _urls(value)]
    if isinstance(tree, list):
        return [url for item in tree for url in _urls(item)]
    return []
