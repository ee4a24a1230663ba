"""deploy/local/kafka.py: start, stop, and what it says when something is missing."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from deploy.local import kafka

SCRIPT = Path(kafka.__file__)


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def told(*arguments: str) -> dict[str, object]:
    done = run(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("kbwatch: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def fake_java(folder: Path, version: str) -> Path:
    folder.mkdir()
    java = folder / "java"
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    java.chmod(0o755)
    return folder


def test_start_and_stop_may_be_repeated_and_the_port_is_kept(tmp_path: Path) -> None:
    directory = str(tmp_path / "kafka")
    try:
        first = told("start", "--dir", directory)
        again = told("start", "--dir", directory)
        assert again == {**first, "already_running": True}
        running = kafka.status(Path(directory))
        assert running is not None
        assert asdict(running) == again
        assert told("stop", "--dir", directory) == {"stopped": True}
        assert told("stop", "--dir", directory) == {"stopped": False}
        restarted = kafka.start(Path(directory))
        assert restarted.bootstrap == first["bootstrap"]
        assert restarted.pid != first["pid"]
    finally:
        kafka.stop(Path(directory))
    assert kafka.status(Path(directory)) is None


def test_a_pid_that_belongs_to_somebody_else_is_left_alone(tmp_path: Path) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        (tmp_path / "state.json").write_text(json.dumps({"pid": stranger.pid, "port": 9092}))
        assert kafka.status(tmp_path) is None
        assert kafka.stop(tmp_path) is False
        assert stranger.poll() is None
    finally:
        stranger.communicate(b"\n")


def test_a_busy_port_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        said = one_line(run("start", "--dir", str(tmp_path / "kafka"), "--port", str(port)))
    assert f"port {port}" in said
    assert "--port" in said


def test_a_running_broker_does_not_change_its_port(
    broker: kafka.Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = kafka.Broker(bootstrap=broker.bootstrap, pid=broker.pid, already_running=True)
    monkeypatch.setattr(kafka, "status", lambda _directory: running)
    with pytest.raises(kafka.LocalKafkaError, match="stop it first"):
        kafka.start(tmp_path, port=1)


def test_missing_java_is_one_line_that_says_what_to_install(tmp_path: Path) -> None:
    said = one_line(run("start", "--dir", str(tmp_path), PATH="", JAVA_HOME=""))
    assert "Java is missing" in said
    assert "openjdk-17" in said
    assert "compose" in said


def test_an_old_java_is_one_line(tmp_path: Path) -> None:
    path = fake_java(tmp_path / "bin", "11.0.22")
    said = one_line(run("start", "--dir", str(tmp_path / "kafka"), PATH=str(path), JAVA_HOME=""))
    assert "is Java 11" in said


def test_missing_maven_is_told_when_the_jars_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(fake_java(tmp_path / "bin", "17.0.15")))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(kafka.LocalKafkaError, match=r"Maven is missing.*compose"):
        kafka.fetch(tmp_path / "libs")


def test_jars_that_cannot_be_fetched_are_told_in_mavens_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fake_java(tmp_path / "bin", "21.0.1")
    maven = path / "mvn"
    maven.write_text("#!/bin/sh\necho '[ERROR] Unknown host'\nexit 1\n")
    maven.chmod(0o755)
    monkeypatch.setenv("PATH", str(path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(kafka.LocalKafkaError, match=r"\[ERROR\] Unknown host"):
        kafka.fetch(tmp_path / "libs")
    assert not (tmp_path / "libs").exists()


def test_an_unwritable_folder_is_one_line(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    said = one_line(run("start", "--dir", str(in_the_way / "kafka")))
    assert "cannot write to" in said


def test_a_broker_that_ends_at_once_says_why(tmp_path: Path) -> None:
    directory = tmp_path / "kafka"
    (directory / "data").mkdir(parents=True)
    (directory / "data" / "meta.properties").write_text("version=1\nnode.id=99\ncluster.id=x\n")
    said = one_line(run("start", "--dir", str(directory)))
    assert "broker.log" in said
