"""kbwatch replay and explain: a recording judged with the shipped margins, or with one's own."""

import json
from itertools import chain
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from schemas.codec import encode
from schemas.errors import KbwatchError
from streams import explain_cli, replay_cli
from streams.detection.margins import default_margins
from tests.fixtures.calibrations import a_calibration
from tests.fixtures.stories import CASE, DAY, HOUR, fleet_of


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve clusters of two nodes; one of each gets the KB and dies of it in the first hour."""
    file = tmp_path_factory.mktemp("recording") / "reports.jsonl"
    nodes = list(chain.from_iterable(fleet_of(12, 2, ("fra", "ams", "dub"))))
    for number, node in enumerate(nodes):
        node.lives(until=12 * DAY)
        if number % 2:
            node.patched(at=10 * DAY).crashes("ClusSvc", at=10 * DAY + HOUR // 2)
    file.write_bytes(b"".join(encode(node.report()) + b"\n" for node in nodes))
    return file


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A calibration that became valid long after the recording: given by hand, it holds."""
    file = tmp_path / "own.json"
    levels = ("any", "class:service", "novel", "novel:reboot", "sig:service")
    wide = a_calibration(
        "own-wide", 4_000_000_000_000, rho=dict.fromkeys(levels, (9_000.0, 9_000.0, 9_000.0))
    )
    file.write_bytes(encode(wide))
    return file


def verdict(*words: object) -> dict[str, object]:
    result = CliRunner().invoke(
        replay_cli.app, [str(word) for word in words], catch_exceptions=False
    )
    (line,) = result.stdout.splitlines()
    found: dict[str, object] = json.loads(line)
    return found


def refused(app: object, *words: object) -> str:
    error = CliRunner().invoke(app, [str(word) for word in words]).exception  # type: ignore[arg-type]
    assert isinstance(error, KbwatchError)
    return str(error)


def test_without_a_calibration_the_shipped_margins_hold(recording: Path) -> None:
    found = verdict(recording)
    assert (found["case"], found["calibration"]) == (CASE, default_margins().name)


def test_a_calibration_file_is_used_for_every_case_and_is_named(recording: Path, own: Path) -> None:
    shipped, mine = verdict(recording), verdict(recording, "--calibration", own)
    assert mine["calibration"] == "own-wide"
    assert float(str(mine["log_e_any"])) < float(str(shipped["log_e_any"]))


def test_explain_judges_with_the_same(recording: Path, own: Path) -> None:
    words = [CASE, str(recording), "--calibration", str(own), "--json"]
    shown = CliRunner().invoke(explain_cli.app, words, catch_exceptions=False).stdout
    assert json.loads(shown) == verdict(recording, "--calibration", own)


def test_what_the_benchmark_learned_serves_too(recording: Path, tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    file.write_bytes(msgspec.json.encode(msgspec.structs.replace(default_margins(), name="bench")))
    assert verdict(recording, "--calibration", file)["calibration"] == "bench"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--calibration", "own.json", "--pinned"), "give one of them, not both"),
        (("--calibration", "nowhere.json"), "nowhere.json: No such file"),
        (("--pinned", "--set", "kafka.bootstrap=127.0.0.1:1"), "127.0.0.1:1 does not answer"),
    ],
)
def test_what_can_not_be_chosen_is_said(recording: Path, words: tuple[str, ...], said: str) -> None:
    assert said in refused(replay_cli.app, recording, *words)
    assert said in refused(explain_cli.app, CASE, recording, *words)


@pytest.mark.parametrize("option", [("--pinned",), ("--calibration", "own.json")])
def test_a_verdict_of_the_detector_has_its_calibration_already(option: tuple[str, ...]) -> None:
    assert "without FILE the verdict is the detector's" in refused(explain_cli.app, CASE, *option)
