"""`kbwatch run`: what a person can mend is one line on standard error and exit 2."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.complaints import complaint

_NOBODY = "127.0.0.1:1"
_WORKERS = ("detector", "sink", "halts")


@pytest.mark.parametrize("app", _WORKERS)
def test_a_broker_that_does_not_answer(app: str, tmp_path: Path) -> None:
    said = complaint(
        *(app, "--set", f"kafka.bootstrap={_NOBODY}"),
        KBW_DATA_DIR=str(tmp_path),
        KBW_STORE_PATH=str(tmp_path / "store"),
        KBW_STORE_SOCKET=str(tmp_path / "s"),
    )
    assert f"Kafka at {_NOBODY} does not answer" in said
    assert "kafka.bootstrap" in said


@pytest.mark.parametrize(
    "bootstrap",
    ["broker", "broker:", "broker:many", "broker:0", "broker:99999", "broker:²", "", ","],
)
def test_a_bootstrap_that_is_no_address(bootstrap: str, tmp_path: Path) -> None:
    said = complaint("detector", KBW_KAFKA_BOOTSTRAP=bootstrap, KBW_DATA_DIR=str(tmp_path))
    assert "kafka.bootstrap" in said


@pytest.mark.parametrize("app", _WORKERS)
def test_a_data_folder_that_cannot_be_written(app: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    said = complaint(app, KBW_DATA_DIR=str(file / "data"))
    assert f"data_dir {file / 'data'}" in said
    assert "choose a folder that can be written" in said


@pytest.mark.parametrize("app", _WORKERS)
def test_a_metrics_port_that_is_taken(app: str, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = complaint(
            *(app, "--set", f"metrics_port={port}"),
            KBW_DATA_DIR=str(tmp_path),
            KBW_STORE_PATH=str(tmp_path / "store"),
            KBW_STORE_SOCKET=str(tmp_path / "s"),
        )
    assert f"metrics_port {port}" in said
    assert "choose another port" in said


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("detector.batch=many", ("--set detector.batch=many", "int", "$.detector.batch")),
        ("detector.batch=0", ("$.detector.batch",)),
        ("detector.bach=5", ("bach",)),
        ("nonsense", ("section.name=value",)),
    ],
)
def test_a_wrong_setting(override: str, parts: tuple[str, ...]) -> None:
    said = complaint("detector", "--set", override)
    assert all(part in said for part in parts), said


def test_a_settings_file_that_is_not_there(tmp_path: Path) -> None:
    assert "No such file" in complaint("detector", "--config", str(tmp_path / "no.toml"))


def test_an_unknown_setting_in_the_environment_names_the_variable() -> None:
    assert "KBW_DETECTOR_BACH" in complaint("detector", KBW_DETECTOR_BACH="5")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_output_that_is_full_is_one_line(unbuffered: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "schemas", "--help"],
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    assert done.returncode == 2
    assert done.stderr == b"kbwatch: can't write: No space left on device\n"
