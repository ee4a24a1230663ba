"""kbwatch regbench: from a generated fleet to its scores, and what is said of a broken stream."""

import json
from pathlib import Path
from typing import Any

import pytest
import zstandard
from typer.testing import CliRunner, Result

from schemas.cli import main
from streams.regbench.cli import app

SMALL = ("--nodes", "300", "--rollouts", "2", "--seed", "11")


def regbench(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture(scope="module")
def harmful(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two roll-outs whose KB breaks half of the patched nodes."""
    folder = tmp_path_factory.mktemp("harmful")
    effect = ("--share", 100, "--fails", 0.5)
    assert regbench("generate", "--family", "A1", *SMALL, *effect, "--out", folder).exit_code == 0
    return folder


def scores(decisions: Path, truth: Path) -> dict[str, Any]:
    result = regbench("score", "--decisions", decisions, "--truth", truth, "--json")
    assert result.exit_code == 0
    return json.loads(result.stdout)  # type: ignore[no-any-return]


def test_a_defect_is_halted_and_scored(harmful: Path, tmp_path: Path) -> None:
    out = tmp_path / "decisions.jsonl"
    said = regbench("judge", "--in", harmful, "--out", out)
    assert said.exit_code == 0
    assert "on 2 streams" in said.stdout
    lines = [json.loads(text) for text in out.read_text().splitlines()]
    expected = {"file", "type", "t", "kb", "branch", "log_e", "signature", "rule", "suspects"}
    assert all(set(line) == {*expected, "victims"} for line in lines)
    found = scores(out, harmful / "truth")
    assert found["halt"]["reached"]["hits"] >= 1
    assert found["halt"]["joined"] == 0, "the streams are beside the truth"
    table = regbench("score", "--decisions", out, "--truth", harmful / "truth").stdout
    assert "victims at the halt, median" in table


def test_margins_are_learned_and_used(harmful: Path, tmp_path: Path) -> None:
    design, calibration = tmp_path / "design", tmp_path / "cal.json"
    assert regbench("generate", "--family", "N1", *SMALL, "--out", design).exit_code == 0
    said = regbench("calibrate", "--in", design, "--out", calibration)
    assert "6 harmless cases (fewer than 24" in said.stdout
    outs = [tmp_path / "shipped", tmp_path / "learned"]
    for out, more in zip(outs, ((), ("--calibration", calibration)), strict=True):
        assert regbench("judge", "--in", harmful, "--out", out, *more).exit_code == 0
    assert outs[0].read_bytes() != outs[1].read_bytes()


@pytest.mark.parametrize("detector", ["count", "poisson"])
def test_the_baselines_see_a_defect_at_once(harmful: Path, tmp_path: Path, detector: str) -> None:
    out = tmp_path / "out"
    assert regbench("judge", "--in", harmful, "--out", out, "--detector", detector).exit_code == 0
    assert scores(out, harmful / "truth")["halt"]["reached"]["share"] > 0.5


def complaint(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["regbench", *map(str, words)])
    assert ended.value.code == 2
    return capsys.readouterr().err


class TestMalformed:
    def judged(self, capsys: pytest.CaptureFixture[str], path: Path) -> str:
        out = path.parent / "decisions"
        said = complaint(capsys, "judge", "--in", path, "--out", out)
        assert not list(path.parent.glob("*decisions*")), "nothing is left behind"
        assert said.startswith(f"kbwatch: {path}")
        assert said.count("\n") == 1
        return said

    @pytest.fixture
    def lines(self, harmful: Path) -> list[bytes]:
        packed = (harmful / "rollout-0000.jsonl.zst").read_bytes()
        unpacked = zstandard.ZstdDecompressor().decompressobj().decompress(packed)
        return unpacked.splitlines(keepends=True)

    def test_a_line_that_is_no_json(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, lines: list[bytes]
    ) -> None:
        lines[-2] = lines[-2][:20] + b"\n"
        (tmp_path / "x.jsonl").write_bytes(b"".join(lines))
        assert f":{len(lines) - 1}: " in self.judged(capsys, tmp_path / "x.jsonl")

    def test_a_stream_that_was_cut_off(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, lines: list[bytes]
    ) -> None:
        (tmp_path / "x.jsonl").write_bytes(b"".join(lines[:-1]))
        assert "cut off" in self.judged(capsys, tmp_path / "x.jsonl")

    def test_zstd_that_was_cut_off(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, harmful: Path
    ) -> None:
        packed = (harmful / "rollout-0000.jsonl.zst").read_bytes()
        (tmp_path / "x.jsonl.zst").write_bytes(packed[: len(packed) // 2])
        self.judged(capsys, tmp_path / "x.jsonl.zst")

    def test_a_folder_without_streams(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        said = complaint(capsys, "judge", "--in", tmp_path, "--out", tmp_path / "o")
        assert "no stream here" in said

    def test_decisions_that_are_none(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, harmful: Path
    ) -> None:
        wrong = tmp_path / "wrong.jsonl"
        wrong.write_text('{"type":"halt"}\n')
        said = complaint(capsys, "score", "--decisions", wrong, "--truth", harmful / "truth")
        assert said.startswith(f"kbwatch: {wrong}:1: no decision")


def test_the_help_teaches_the_way() -> None:
    help_text = regbench("--help").stdout
    assert all(word in help_text for word in ("generate", "calibrate", "judge", "score"))
    assert "Example" in regbench("judge", "--help").stdout
