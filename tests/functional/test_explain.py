"""kbwatch explain: the case that is asked for, or where it is."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from schemas.errors import KbwatchError
from schemas.verdicts import Blast, Verdict
from streams import verdicts
from streams.explain_cli import app
from tests.fixtures.halts import a_verdict


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Verdict:
    verdict = a_verdict()
    monkeypatch.setattr(verdicts, "from_recording", lambda *_: [verdict])
    return verdict


def said(*words: str) -> str:
    error = CliRunner().invoke(app, [*words]).exception
    assert isinstance(error, KbwatchError)
    return str(error)


def test_a_case_of_another_fleet_names_the_fleet(recorded: Verdict, tmp_path: Path) -> None:
    words = (recorded.case, str(tmp_path), "--fleet", "elsewhere")
    assert said(*words).endswith(f"--fleet may be: {recorded.fleet}")


def test_a_case_that_is_nowhere_names_those_of_the_fleet(recorded: Verdict, tmp_path: Path) -> None:
    words = ("KB1@1", str(tmp_path), "--fleet", recorded.fleet)
    assert said(*words).endswith(f"there are: {recorded.case}")


def test_it_says_whom_it_suspects_and_whom_it_hits_next(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    verdict = a_verdict(
        suspects={"KB5062557": 0.9, "change:driver:mpio=2.1": 0.1},
        confirmed_against=("KB5061978",),
        rule=("clustered", "csv_bitlocker"),
        blast=Blast(nodes=12, staged=3),
    )
    monkeypatch.setattr(verdicts, "from_recording", lambda *_: [verdict])
    result = CliRunner().invoke(app, [verdict.case, str(tmp_path)], env={"COLUMNS": "200"})
    shown = " ".join(result.output.split())
    assert "KB5062557 (90 %), change:driver:mpio=2.1 (10 %)" in shown
    assert "20 times likelier than KB5061978 at its best" in shown
    assert "clustered and csv_bitlocker; 12 such nodes still without it, 3 of them staged" in shown
