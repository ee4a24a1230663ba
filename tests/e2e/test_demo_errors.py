"""What a person reads when the demo can't start: one line, exit 2, no traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def _demo(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "schemas", "demo", *options],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
        timeout=60,
    )


def _one_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, done.stdout + done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_without_java(tmp_path: Path) -> None:
    line = _one_line(_demo("--out", str(tmp_path / "demo"), PATH=str(tmp_path), JAVA_HOME=""))
    assert "Java 17" in line


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    line = _one_line(_demo("--out", str(tmp_path / "taken")))
    assert "--out" in line


def test_a_wrong_setting(tmp_path: Path) -> None:
    line = _one_line(_demo("--out", str(tmp_path), "--set", "detector.cases_per_yaer=5"))
    assert "cases_per_yaer" in line


def test_a_recording_that_is_not_there(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "schemas", "replay", str(tmp_path / "no.jsonl")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "no.jsonl" in _one_line(done)
