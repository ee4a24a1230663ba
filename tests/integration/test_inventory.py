"""kbwatch inventory on a real Kafka: what a file changes, and nothing else, is written."""

import json
from pathlib import Path
from typing import Any

import pytest

from schemas.settings import KafkaSettings
from schemas.topics import INVENTORY
from tests.integration.workers import ends, kbwatch

FILE = "node,cluster,site,role,covariate:csv_bitlocker\n"


class Operator:
    """Somebody at a terminal."""

    def __init__(self, kafka: KafkaSettings, folder: Path) -> None:
        self.kafka = kafka
        self.file = folder / "nodes.csv"

    def run(self, *words: str, code: int = 0) -> str:
        return kbwatch(self.kafka, "inventory", *words, code=code)

    def load(self, text: str, *options: str) -> str:
        self.file.write_text(FILE + text)
        return self.run("load", str(self.file), *options)

    def load_json(self, text: str, *options: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.load(text, "--json", *options))
        return found


@pytest.fixture
def operator(kafka_settings: KafkaSettings, tmp_path: Path) -> Operator:
    return Operator(kafka_settings, tmp_path)


@pytest.mark.slow
async def test_a_file_is_loaded_shown_changed_and_pruned(operator: Operator) -> None:
    async def written() -> int:
        return await ends(operator.kafka, INVENTORY)

    both = "HV03.corp.example,HV-C01,fra,hyperv,yes\nweb07,,ams,web,\n"
    assert "no nodes yet" in operator.run("show")
    assert "2 would be added" in operator.load(both, "--dry-run")
    assert await written() == 0
    assert "2 added, 0 changed, 0 removed, 0 the same" in operator.load(both)
    assert await written() == 2
    assert "0 added, 0 changed, 0 removed, 2 the same" in operator.load(both)
    assert await written() == 2

    said = operator.load("hv03,hv-c01,fra,hyperv,no\n")
    assert "covariate:csv_bitlocker: yes → no" in said
    assert "1 changed, 0 removed, 0 the same, 1 not in the file, kept (--prune removes" in said
    assert await written() == 3
    assert "not in the file, kept" in said

    found = operator.load_json("hv03,hv-c01,fra,hyperv,no\n", "--prune")
    assert found["written"] is True
    assert [node["node"] for node in found["changes"]["removed"]] == ["web07"]
    (left,) = json.loads(operator.run("show", "--json"))
    assert (left["node"], left["domain"], left["covariates"]) == (
        "hv03", "hv-c01", {"csv_bitlocker": False},
    )  # fmt: skip
    shown = operator.run("show")
    assert "csv_bitlocker=no" in shown
    assert "1 nodes" in shown


@pytest.mark.slow
async def test_a_file_with_one_error_writes_nothing(operator: Operator) -> None:
    operator.file.write_text(FILE + "hv03,,fra,,\nweb07,,a|b,,\n")
    said = operator.run("load", str(operator.file), code=2)
    assert said.startswith(f"kbwatch: {operator.file}:3: column site: ")
    assert said.count("\n") == 1
    assert await ends(operator.kafka, INVENTORY) == 0


@pytest.mark.slow
async def test_a_rename_says_what_becomes_of_the_history(operator: Operator) -> None:
    header = "node,ring,aliases\n"

    def load(text: str, *options: str, code: int = 0) -> str:
        operator.file.write_text(header + text)
        return operator.run("load", str(operator.file), *options, code=code)

    said = load("web07,pilot,win-p4s\n")
    assert "domain=web07 site=unknown ring=pilot aliases=win-p4s" in said
    assert "what was taken under them before stays under them" in said
    said = load("web08,pilot,web07\n", code=2)
    assert "web07 is a name of web07, which the file lacks and the inventory keeps" in said
    assert await ends(operator.kafka, INVENTORY) == 1
    assert "aliases: win-p4s → web08;win-p4s" in load("web07,pilot,win-p4s web08\n")
    assert "1 added, 0 changed, 1 removed" in load("web08,pilot,web07\n", "--prune")
