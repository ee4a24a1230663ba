"""kbwatch regbench run and report: a campaign of two small cells, resumed and written down."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from schemas.cli import main
from streams.regbench.campaign.report import BEGIN, END
from streams.regbench.cli import app

CELLS = ("--only", "N9-300", "--only", "100x20-300")


def regbench(*words: str) -> Result:
    return CliRunner().invoke(app, words, catch_exceptions=False)


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which two cells were run, in their quick form, in two processes."""
    folder = tmp_path_factory.mktemp("campaign")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        done = regbench("run", *CELLS, "--json")
        assert done.exit_code == 0, done.output
        (folder / "scores.json").write_text(done.stdout)
    return folder


@pytest.fixture(autouse=True)
def _there(campaign: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(campaign)


def test_every_detector_is_scored_on_every_roll_out(campaign: Path) -> None:
    cells: list[dict[str, Any]] = json.loads((campaign / "scores.json").read_text())["cells"]
    found = {cell["cell"]["name"]: cell for cell in cells}
    assert found.keys() == {"N9-300", "100x20-300"}
    for cell in found.values():
        assert cell["done"] == 12
        assert cell["scores"].keys() == {"kbwatch", "count", "poisson"}
    assert found["N9-300"]["scores"]["count"]["null"]["cases"] == 36
    assert found["100x20-300"]["scores"]["count"]["halt"]["reached"]["share"] > 0.9


def test_the_streams_are_gone(campaign: Path) -> None:
    assert list((campaign / "build/regbench/streams").iterdir()) == []


def test_what_was_done_is_not_done_again() -> None:
    assert "0 of 24 roll-outs in 2 cells to do" in regbench("run", *CELLS).stderr


def test_it_says_beforehand_how_long_it_takes() -> None:
    said = regbench("run", "--full", *CELLS, "--dry-run").stderr
    assert "216 of 240 roll-outs in 2 cells to do: about " in said


def test_a_time_limit_starts_nothing_later() -> None:
    said = regbench("run", "--full", "--only", "N9-300", "--limit-minutes", "0").stderr
    assert "not complete: the same command goes on from here" in said


def test_the_report_and_its_picture_are_written(campaign: Path) -> None:
    page = campaign / "regbench.md"
    page.write_text(f"# Mine\n{BEGIN}\n{END}\n")
    assert regbench("report", "--page", str(page)).exit_code == 0
    text = page.read_text()
    assert "### False alarms per 200 cases" in text
    assert "| N9-300" in text
    picture = (campaign / "regbench.svg").read_text()
    assert "300 nodes" in picture
    again = regbench("report", "--page", str(page))
    assert again.exit_code == 0
    assert (page.read_text(), (campaign / "regbench.svg").read_text()) == (text, picture)


def test_there_is_nothing_to_report_of_another_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["regbench", "report", "--version", "0-0"])
    assert ended.value.code == 2
    assert "no results of 0-0" in capsys.readouterr().err


def test_variants_and_a_twin_are_scored_step_by_step(tmp_path: Path) -> None:
    null, out = tmp_path / "n9", tmp_path / "decisions.jsonl"
    regbench("generate", "--family", "N9", "--nodes", "300", "--rollouts", "2", "--out", str(null))
    regbench("judge", "--in", str(null), "--detector", "count", "--out", str(out))
    words = ("score", "--decisions", str(out), "--truth", str(null / "truth"))
    told = json.loads(regbench(*words, "--variants", "--twin", str(out), "--json").stdout)
    assert {name: told[name]["rollouts"] for name in ("300", "1000")} == {"300": 1, "1000": 1}
    assert told["identical"] is True
    shown = regbench(*words, "--variants", "--twin", str(out)).stdout
    assert "1000: 1 roll-outs" in shown
    assert "identical to the twin's decisions: yes" in shown
