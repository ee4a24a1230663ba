"""``kbwatch regbench generate``: files that are complete, the same whoever makes them."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from schemas.errors import KbwatchError
from streams.regbench.bench.families import FAMILIES, Request
from streams.regbench.bench.generate import generate_files, missing, read_manifest
from streams.regbench.bench.generate_cli import HELP, generate
from streams.regbench.bench.stream_file import read
from streams.regbench.bench.truth import read_truth

REQUEST = Request("N7", nodes=100, seed=7)


def test_a_roll_out_is_a_stream_and_its_truth(tmp_path: Path) -> None:
    counts = list(generate_files(REQUEST, tmp_path, [0, 1], jobs=1))
    streams = sorted(tmp_path.glob("*"))
    assert [p.name for p in streams] == [
        "rollout-0000.jsonl.zst",
        "rollout-0001.jsonl.zst",
        "truth",
    ]
    assert counts == [len(list(read(path))) for path in streams[:2]]
    truths = tmp_path / "truth"
    assert [t.kb for t in read_truth(truths / "truth-0001.json")] == ["KB9000003"]
    assert read_manifest(truths).variants == ("fast", "bang")


def test_any_number_of_processes_makes_the_same_files(tmp_path: Path) -> None:
    list(generate_files(REQUEST, tmp_path / "a", [0, 1, 2], jobs=1))
    list(generate_files(REQUEST, tmp_path / "b", [0, 1, 2], jobs=2))
    assert _contents(tmp_path / "a") == _contents(tmp_path / "b")
    assert len(_contents(tmp_path / "a")) == 7


def test_only_what_is_missing_is_made_again(tmp_path: Path) -> None:
    assert missing(REQUEST, tmp_path, range(3)) == [0, 1, 2]
    list(generate_files(REQUEST, tmp_path, [1], jobs=1))
    assert missing(REQUEST, tmp_path, range(3)) == [0, 2]


def test_roll_outs_of_different_options_are_not_mixed(tmp_path: Path) -> None:
    list(generate_files(REQUEST, tmp_path, [0], jobs=1))
    with pytest.raises(KbwatchError, match="roll-outs of other options"):
        missing(Request("N7", nodes=100, seed=8), tmp_path, range(3))
    (tmp_path / "truth" / "generated.json").unlink()
    with pytest.raises(KbwatchError, match="unknown origin"):
        missing(REQUEST, tmp_path, range(3))


def test_the_command_says_what_it_made(tmp_path: Path) -> None:
    out = tmp_path / "n2"
    result = _run("--family", "N2", "--nodes", "100", "--rollouts", "2", "--out", str(out))
    assert result.exit_code == 0
    assert "2 roll-outs" in result.stderr
    assert result.stdout == ""
    assert len(list(out.glob("rollout-*.jsonl.zst"))) == 2


def test_a_dry_run_makes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "n2"
    result = _run(
        "--family", "N2", "--nodes", "100", "--rollouts", "5", "--out", str(out), "--dry-run"
    )
    assert result.exit_code == 0
    assert "10 files" in " ".join(result.stderr.split())
    assert not out.exists()


def test_what_is_complete_is_left_alone(tmp_path: Path) -> None:
    options = ("--family", "N2", "--nodes", "100", "--out", str(tmp_path))
    _run(*options)
    before = _contents(tmp_path)
    assert "nothing to make" in _run(*options).stderr
    assert _contents(tmp_path) == before


def test_the_help_names_every_family() -> None:
    result = _run("--help")
    assert all(f" {name}" in result.stdout for name in FAMILIES)


def _contents(directory: Path) -> dict[str, bytes]:
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def _run(*arguments: str) -> Result:
    app = typer.Typer()
    app.command(help=HELP)(generate)
    return CliRunner().invoke(app, arguments)
