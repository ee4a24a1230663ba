"""kbwatch calibrate and kbwatch aa: from a past to a calibration, and to a page for the board."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

from schemas.calibration import Calibration, MarginTable
from schemas.cli import main
from schemas.codec import decode, encode
from streams.calibration import aa_cli, cli
from streams.detection.margins import default_margins
from tests.fixtures.calibrations import a_calibration
from tests.fixtures.past_streams import case_names, written
from tests.fixtures.stories import DAY, fleet_of


def calibrate(*words: object) -> Result:
    return CliRunner().invoke(cli.app, [str(word) for word in words], catch_exceptions=False)


def aa(*words: object) -> Result:
    return CliRunner().invoke(aa_cli.app, [str(word) for word in words], catch_exceptions=False)


def complaint(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("kbwatch: ")
    assert said.count("\n") == 1
    return said


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 harmless roll-outs of a fleet whose reboots break nothing."""
    return written(tmp_path_factory.mktemp("calm") / "past.jsonl.zst")


@pytest.fixture(scope="module")
def heavy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 harmless roll-outs of a fleet where three reboots in ten break something."""
    return written(tmp_path_factory.mktemp("heavy") / "past.jsonl", reboot_breaks=0.3)


@pytest.fixture
def floors(tmp_path: Path) -> Path:
    """A calibration that is wrong: all margins 1, which leaves the floors."""
    file = tmp_path / "floors.json"
    wrong = a_calibration("floors", 0, rho={"any": (1.0, 1.0, 1.0)})
    file.write_bytes(encode(wrong))
    return file


def halts(result: Result, part: str) -> dict[str, Any]:
    (rate,) = [r for r in json.loads(result.stdout)["rates"] if r["part"] == part]
    return rate["halts"]  # type: ignore[no-any-return]


class TestCalibrate:
    def test_enough_roll_outs_become_a_calibration(self, calm: Path, tmp_path: Path) -> None:
        out = tmp_path / "own.json"
        said = calibrate("--from", calm, "--out", out)
        assert (said.exit_code, said.stderr) == (0, f"own-2025-06-01 → {out}\n")
        assert "closed 2024-12-22 without a halt" in said.stdout
        made = decode(out.read_bytes(), Calibration)
        assert (made.fleet, made.rollouts, len(made.learned_from)) == ("f0001", 24, 24)

    def test_fewer_say_how_many_are_missing(self, calm: Path, tmp_path: Path) -> None:
        out = tmp_path / "own.json"
        words = ("--from", calm, "--out", out, "--harmful", case_names()[0])
        said = calibrate(*words)
        assert said.exit_code == 1
        assert "23 of 24 roll-outs are harmless, 24 are needed: 1 are missing" in said.stderr
        assert "harmful by a person's word" in said.stdout
        assert not out.exists()
        assert calibrate(*words, "--dry-run").exit_code == 0
        assert not out.exists()

    def test_programs_get_json(self, calm: Path) -> None:
        found = json.loads(calibrate("--from", calm, "--json").stdout)
        assert (found["harmless"], found["missing"], len(found["rollouts"])) == (24, 0, 24)
        assert found["calibration"]["impact"] == {"rho": found["margins"]["impact"]["rho"]}

    def test_a_recording_is_a_past_too(self, tmp_path: Path) -> None:
        file = tmp_path / "reports.jsonl"
        nodes = [n for cluster in fleet_of(4, 2, ("fra", "ams", "dub")) for n in cluster]
        for node in nodes:
            node.lives(until=90 * DAY).patched(at=40 * DAY)
        file.write_bytes(b"".join(encode(node.report()) + b"\n" for node in nodes))
        found = json.loads(calibrate("--from", file, "--dry-run", "--json").stdout)
        (rollout,) = found["rollouts"]
        assert (rollout["case"], rollout["exposed"]) == ("KB5062557@17763", 8)
        assert rollout["why"].startswith("closed ")

    def test_two_fleets_need_a_name(
        self, calm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        other = tmp_path / "other.jsonl"
        other.write_bytes(written(tmp_path / "o").read_bytes().replace(b"f0001", b"f0002"))
        words = ("calibrate", "--from", calm, "--from", other, "--out", tmp_path / "own.json")
        assert "are of 2 fleets (f0001, f0002 …): --fleet NAME says" in complaint(capsys, *words)

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("calibrate",), "--from FILE says what to learn from"),
            (("aa",), "--from FILE says what past to test on"),
            (("calibrate", "--from", "store"), "the store does not suffice to rebuild evidence"),
            (("aa", "--from", "nowhere.jsonl"), "nowhere.jsonl: No such file"),
            (("calibrate", "publish", "nowhere.json"), "nowhere.json: No such file"),
        ],
    )
    def test_what_is_missing_is_said(
        self, words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert said in complaint(capsys, *words)

    def test_only_a_calibration_is_published(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "cal.json"
        file.write_bytes(msgspec.json.encode(default_margins()))
        assert "not a calibration of `kbwatch calibrate`" in complaint(
            capsys, "calibrate", "publish", file
        )


class TestAa:
    def test_a_harmless_past_shows_no_false_halt(self, calm: Path, tmp_path: Path) -> None:
        out = tmp_path / "report.md"
        said = aa("--from", calm, "--cases", 40, "--out", out)
        assert said.exit_code == 0
        page = out.read_text()
        assert "Of 40 placebo cases, **0 were halted and 0 warned of**." in page
        assert "Of 24 past KBs as they were, **0 were halted" in page
        assert "Calibration: default. Seed: 1" in page
        assert "| placebo-00" in page, "the worst cases are named"

    def test_a_wrong_calibration_shows_false_halts(self, heavy: Path, floors: Path) -> None:
        said = aa("--from", heavy, "--cases", 1, "--calibration", floors, "--json")
        found = halts(said, "past")
        assert found["hits"] > 12
        assert found["lower"] > 0.2
        worst = json.loads(said.stdout)["worst"][0]
        assert (worst["signature"], worst["victims"] > 3) == ("scm/7031/boot", True)

    def test_ones_own_calibration_has_fewer_and_is_said_to_be_no_independent_test(
        self, heavy: Path, floors: Path, tmp_path: Path
    ) -> None:
        own = tmp_path / "own.json"
        cleared = [word for name in case_names() for word in ("--harmless", name)]
        assert calibrate("--from", heavy, "--out", own, *cleared).exit_code == 0
        few, many = (
            halts(aa("--from", heavy, "--cases", 1, "--calibration", file, "--json"), "past")
            for file in (own, floors)
        )
        assert few["hits"] < many["hits"] / 2
        said = aa("--from", heavy, "--cases", 1, "--calibration", own).stdout
        assert "24 of the 24 past KBs are those that the" in " ".join(said.split())

    def test_the_same_seed_gives_the_same_report(self, calm: Path) -> None:
        words = ("--from", calm, "--cases", 5, "--json")
        assert aa(*words).stdout == aa(*words).stdout
        assert aa(*words).stdout != aa(*words, "--seed", 2).stdout

    def test_what_a_person_calls_harmful_is_left_out(self, calm: Path) -> None:
        said = aa("--from", calm, "--cases", 1, "--harmful", "KB9000003@17763", "--json")
        assert halts(said, "past")["of"] == 23
        assert json.loads(said.stdout)["left_out"] == ["KB9000003@17763"]

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"months": 0, "days": 50}, "no roll-out whose shape a placebo could take"),
            ({"months": 1, "days": 20, "first_day": 10}, "20 days of history, more than 31 are"),
            (
                {"months": 1, "days": 40, "first_day": 33},
                "the longest time without a roll-out has 3.0 days, the shortest roll-out took 4.9",
            ),
        ],
    )
    def test_too_short_a_past_says_what_it_lacks(
        self,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        options: dict[str, int],
        said: str,
    ) -> None:
        short = written(tmp_path / "short.jsonl", **options)
        assert said in complaint(capsys, "aa", "--from", short)
        alone = aa("--from", short, "--cases", 0)
        assert alone.exit_code == 0
        assert "none tested" in alone.stdout
        assert said.split(" days")[0] in " ".join(alone.stdout.split())


def test_a_calibration_file_serves_the_benchmark_too(tmp_path: Path) -> None:
    from streams.regbench.bench.judging import read_margins

    file = tmp_path / "own.json"
    rho = {"any": (9.0, 3.0, 2.0)}
    file.write_bytes(encode(a_calibration("own", 0, rho=rho)))
    assert MarginTable(read_margins(file).impact.rho) == MarginTable(rho)
