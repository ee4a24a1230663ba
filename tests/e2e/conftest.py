"""One demo, run as a person runs it; the tests look at what it left."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

SEED = "7"


class Demo(NamedTuple):
    """A demo that has ended."""

    out: Path
    recording: Path
    code: int
    text: str
    summary: dict[str, Any]


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """``kbwatch demo`` with a recording."""
    out = tmp_path_factory.mktemp("demo")
    recording = out / "reports.jsonl.zst"
    done = run_demo(out, "--record", str(recording))
    return Demo(
        out,
        recording,
        done.returncode,
        done.stdout + done.stderr,
        json.loads((out / "summary.json").read_text()),
    )


def run_demo(out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "schemas", "demo", "--seed", SEED, "--out", str(out), *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
