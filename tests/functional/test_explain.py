"""kbwatch explain: the case that is asked for, or where it is."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from schemas.errors import KbwatchError
from schemas.verdicts import Verdict
from streams import verdicts
from streams.explain_cli import app
from tests.fixtures.halts import a_verdict


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Verdict:
    verdict = a_verdict()
    monkeypatch.setattr(verdicts, "from_recording", lambda _file, _settings: [verdict])
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
