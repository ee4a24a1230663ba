"""The files for provisioning name what the boards name."""

import re
import subprocess
from pathlib import Path

import pytest

from dashboards.alerts import ALERTS, FOLDER, FOLDER_UID
from dashboards.boards import boards
from dashboards.boards.source import TYPE, UID
from schemas.clickhouse.chdb_store import ChdbStore

DEPLOY = Path(__file__).parents[2] / "deploy" / "grafana"


def text(name: str) -> str:
    return (DEPLOY / name).read_text()


def test_the_provisioned_data_source_is_the_one_that_boards_ask() -> None:
    source = text("provisioning/datasources/kbwatch.yaml")

    assert f"uid: {UID} " in source
    assert f"type: {TYPE}\n" in source


def test_boards_and_rules_are_provisioned_into_the_same_folder() -> None:
    provider = text("provisioning/dashboards/kbwatch.yaml")

    assert f"folder: {FOLDER}\n" in provider
    assert f"folderUid: {FOLDER_UID}\n" in provider


@pytest.mark.parametrize(
    "name",
    ["provisioning/alerting/routing.example.yaml", "alertmanager-inhibit.example.yaml"],
)
def test_routes_name_rules_that_exist(name: str) -> None:
    known = {alert.uid for alert in ALERTS}
    named = set(re.findall(r"kbwatch-[a-z-]+", re.sub(r"\(.*?\)", "", text(name))))
    grouped = {
        f"kbwatch-{word}" for group in re.findall(r"\((.*?)\)", text(name)) if "|" in group
        for word in group.split("|")
    }  # fmt: skip

    assert grouped <= known
    assert named & known
    assert named <= known | {"kbwatch-", "kbwatch-noc", "kbwatch-dead-man"}


def test_the_import_script_asks_for_every_board_and_is_bash() -> None:
    script = text("import.sh")
    (named,) = re.findall(r"for uid in ([a-z ]+);", script)

    assert {f"kbwatch-{name}" for name in named.split()} == set(boards())
    subprocess.run(["/bin/bash", "-n", str(DEPLOY / "import.sh")], check=True)


def test_the_readers_statements_are_clickhouses(tmp_path: Path) -> None:
    code = re.sub(r"--.*", "", text("reader.sql"))
    statements = [part.strip() for part in code.split(";") if part.strip()]
    store = ChdbStore(tmp_path / "store")
    try:
        parsed = [store.query(f"EXPLAIN AST {one}", {}).rows[0][0] for one in statements]
    finally:
        store.close()
    assert [name.split()[0] for name in parsed] == [
        "CreateSettingsProfileQuery",
        "CreateUserQuery",
        "GrantQuery",
    ]
