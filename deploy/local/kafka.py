"""Apache Kafka on this machine without Docker: one broker from Maven's jars.

Runs as a script (``python deploy/local/kafka.py start``) and as a module (``start``, ``stop``);
needs nothing but the standard library, a Java of 17 or newer and, once, Maven.
"""

import argparse
import base64
import hashlib
import json
import os
import random
import re
import shutil
import signal
import socket
import string
import struct
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LIBS = ROOT / ".kbwatch" / "kafka-libs"
DEFAULT_DIR = ROOT / ".kbwatch" / "kafka"

_HOST = "127.0.0.1"
# Below Linux's ephemeral ports, so that no outgoing connection takes one before Kafka does.
_PORTS = range(20_000, 32_000)
_JAVA_AT_LEAST = 17
_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 20.0
_OTHER_WAY = "or use a broker of your own (docker compose, a cluster) through KBW_KAFKA_BOOTSTRAP"
_HEAP = ("-Xmx512m", "-Xms128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


class LocalKafkaError(Exception):
    """Something the person at this machine can mend, in one line."""


@dataclass(frozen=True)
class Broker:
    """A broker that answers."""

    bootstrap: str
    pid: int
    already_running: bool = False


# Children of this very process: they must be waited for, or they stay as zombies.
_children: dict[tuple[int, Path], subprocess.Popen[bytes]] = {}


def fetch(libs: Path = LIBS) -> bool:
    """Copy Kafka's jars into ``libs``; False if the right ones are there already.

    Raises LocalKafkaError when Java, Maven or the network is missing.
    """
    pom = HERE / "pom.xml"
    wanted = hashlib.sha256(pom.read_bytes()).hexdigest()
    stamp = libs / "pom.sha256"
    if stamp.is_file() and stamp.read_text() == wanted:
        return False
    java = _java()
    maven = shutil.which("mvn")
    if maven is None:
        raise LocalKafkaError(
            "Maven is missing: install it (Debian: apt-get install maven; macOS: brew install"
            f" maven), {_OTHER_WAY}"
        )
    _make_dir(libs.parent)
    with tempfile.TemporaryDirectory(dir=libs.parent, prefix="kafka-libs-") as name:
        fresh = Path(name) / "libs"
        done = subprocess.run(
            [
                *(maven, "-q", "-B", "-f", str(pom), "dependency:copy-dependencies"),
                *(f"-DoutputDirectory={fresh}", "-DincludeScope=runtime"),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise LocalKafkaError(f"Maven could not fetch Kafka's jars: {_first_error(done)}")
        shutil.rmtree(libs, ignore_errors=True)
        fresh.rename(libs)
        _archive_classes(java, libs, Path(name) / "first-run")
    stamp.write_text(wanted)
    return True


def start(directory: Path = DEFAULT_DIR, port: int = 0, libs: Path = LIBS) -> Broker:
    """Start the broker that lives in ``directory`` and wait until it answers.

    Port 0 is the port it had before, else any free one. A broker that already runs is returned
    as it is. Raises LocalKafkaError.
    """
    directory = directory.absolute()
    if running := status(directory):
        asked = f"{_HOST}:{port}"
        if port and running.bootstrap != asked:
            raise LocalKafkaError(
                f"the broker of {directory} runs on {running.bootstrap}, not {asked}: stop it first"
            )
        _await_answer(directory, int(running.bootstrap.partition(":")[2]))
        return running
    java = _java()
    fetch(libs)
    return _start(java, libs, directory, port)


def status(directory: Path = DEFAULT_DIR) -> Broker | None:
    """The broker of ``directory`` if it runs."""
    directory = directory.absolute()
    state = _read_state(directory)
    if state is None or not _is_ours(int(state["pid"]), directory):
        return None
    return Broker(bootstrap=f"{_HOST}:{state['port']}", pid=int(state["pid"]), already_running=True)


def stop(directory: Path = DEFAULT_DIR) -> bool:
    """Stop the broker of ``directory``, by its pid alone; False if none runs."""
    directory = directory.absolute()
    broker = status(directory)
    if broker is None:
        return False
    os.kill(broker.pid, signal.SIGTERM)
    if not _gone(broker.pid, directory, _STOP_TIMEOUT_S):
        os.kill(broker.pid, signal.SIGKILL)
        _gone(broker.pid, directory, _STOP_TIMEOUT_S)
    if child := _children.pop((broker.pid, directory), None):
        child.wait()
    return True


def _start(
    java: str, libs: Path, directory: Path, port: int, jvm_options: tuple[str, ...] = ()
) -> Broker:
    _make_dir(directory)
    before = _read_state(directory) or {}
    port = port or _free_port(before.get("port", 0))
    # The quorum remembers the controller's address: it must stay what it was.
    controller_port = before.get("controller_port") or _free_port(0, taken=port)
    for number in (port, controller_port):
        _require_free(number)
    properties = directory / "server.properties"
    template = string.Template((HERE / "server.properties.in").read_text())
    properties.write_text(
        template.substitute(port=port, controller_port=controller_port, data=directory / "data")
    )
    classes = libs / "kafka.jsa"
    command = [java, *_HEAP]
    if classes.is_file():
        command.append(f"-XX:SharedArchiveFile={classes}")
    command += [
        *jvm_options,
        f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}",
        *("-cp", f"{libs}/*"),
    ]
    if not (directory / "data" / "meta.properties").is_file():
        _format(command, directory, properties)
    with (directory / "broker.log").open("wb") as output:
        child = subprocess.Popen(
            [*command, "kafka.Kafka", str(properties)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _children[child.pid, directory] = child
    try:
        state = {"pid": child.pid, "port": port, "controller_port": controller_port}
        (directory / "state.json").write_text(json.dumps(state))
        _await_answer(directory, port)
    except KeyboardInterrupt:
        child.terminate()
        child.wait()
        raise
    return Broker(bootstrap=f"{_HOST}:{port}", pid=child.pid)


def _await_answer(directory: Path, port: int) -> None:
    log = directory / "broker.log"
    deadline = time.monotonic() + _START_TIMEOUT_S
    while not _answers(port):
        if status(directory) is None:
            raise LocalKafkaError(f"the broker ended at once: {_last_error(log)} (see {log})")
        if time.monotonic() > deadline:
            stop(directory)
            raise LocalKafkaError(f"the broker did not answer in {_START_TIMEOUT_S:.0f} s: {log}")
        time.sleep(0.05)


def _format(command: list[str], directory: Path, properties: Path) -> None:
    cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    done = subprocess.run(
        [
            *(*command, "kafka.tools.StorageTool", "format", "--standalone"),
            # One argument: an id may begin with a hyphen.
            *(f"--cluster-id={cluster_id}", "-c", str(properties)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise LocalKafkaError(f"Kafka could not format {directory}: {_first_error(done)}")


def _archive_classes(java: str, libs: Path, directory: Path) -> None:
    """Keep the loaded classes (AppCDS) of one first run: later starts take half the time."""
    fresh = libs / "kafka.jsa.new"
    _start(java, libs, directory, port=0, jvm_options=(f"-XX:ArchiveClassesAtExit={fresh}",))
    stop(directory)
    if fresh.is_file():
        fresh.rename(libs / "kafka.jsa")


def _java() -> str:
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    install = (
        f"install Java {_JAVA_AT_LEAST} or newer (Debian: apt-get install"
        f" openjdk-17-jre-headless; macOS: brew install openjdk@17), {_OTHER_WAY}"
    )
    if java is None:
        where = f"in JAVA_HOME={home}" if home else "on PATH"
        raise LocalKafkaError(f"Java is missing {where}: {install}")
    done = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    found = re.search(r'version "(\d+)', done.stderr)
    if found is None or int(found[1]) < _JAVA_AT_LEAST:
        says = found[1] if found else "unknown"
        raise LocalKafkaError(f"{java} is Java {says}: {install}")
    return java


def _answers(port: int) -> bool:
    """Whether a Metadata request (version 1, no topics) names at least one broker."""
    body = struct.pack(">hhihi", 3, 1, 1, -1, 0)
    try:
        with socket.create_connection((_HOST, port), timeout=2) as connection:
            connection.sendall(struct.pack(">i", len(body)) + body)
            with connection.makefile("rb") as answer:
                _size, _correlation, brokers = struct.unpack(">iii", answer.read(12))
                return bool(brokers > 0)
    except (OSError, struct.error):
        return False


def _is_ours(pid: int, directory: Path) -> bool:
    """A pid alone proves nothing: it may have been given to another process since."""
    if child := _children.get((pid, directory)):
        return child.poll() is None
    proc = Path(f"/proc/{pid}/cmdline")
    if Path("/proc/self/cmdline").is_file():
        try:
            words = proc.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            return False
    else:
        shown = subprocess.run(
            ["ps", "-ww", "-o", "args=", "-p", str(pid)],  # noqa: S607 - ps lives in PATH on macOS
            capture_output=True,
            text=True,
            check=False,
        )
        words = shown.stdout.split()
    return "kafka.Kafka" in words and str(directory / "server.properties") in words


def _gone(pid: int, directory: Path, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while _is_ours(pid, directory):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _free_port(preferred: int, taken: int = 0) -> int:
    """``preferred`` if it is free, else another port of ``_PORTS`` that is free and not taken."""
    candidates = random.SystemRandom().sample(_PORTS, 200)
    for port in [preferred, *candidates] if preferred else candidates:
        if port != taken and _bind_error(port) is None:
            return port
    raise LocalKafkaError(f"no free port on {_HOST} between {_PORTS.start} and {_PORTS.stop}")


def _bind_error(port: int) -> OSError | None:
    """None if the port can be bound, else why it can't."""
    with socket.socket() as probe:
        # Without this a port that was in use a moment ago (TIME_WAIT) would count as busy.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError as error:
            return error
    return None


def _require_free(port: int) -> None:
    if error := _bind_error(port):
        raise LocalKafkaError(
            f"port {port} on {_HOST}: {error.strerror}; stop what uses it, or choose another"
            " with --port (0: any free one)"
        )


def _make_dir(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise LocalKafkaError(
            f"cannot write to {directory}: {error.strerror}; choose another with --dir"
        ) from None


def _read_state(directory: Path) -> dict[str, int] | None:
    try:
        state: dict[str, int] = json.loads((directory / "state.json").read_text())
    except (OSError, ValueError):
        return None
    return state


def _first_error(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return next((line for line in lines if _is_error(line)), "it gave no reason")


def _last_error(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    return next((line for line in reversed(lines) if _is_error(line)), "it gave no reason")


def _is_error(line: str) -> bool:
    return "error" in line.lower() or "Exception" in line


def _main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="kafka.py", description=__doc__)
    parser.add_argument("action", choices=["fetch", "start", "stop", "status"])
    parser.add_argument("--dir", type=Path, default=DEFAULT_DIR, help="data, log and pid")
    parser.add_argument("--port", type=int, default=0, help="0: the one before, or a free one")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    given = parser.parse_args(arguments)
    try:
        said, fields = _act(given.action, given.dir, given.port)
    except LocalKafkaError as error:
        print(f"kbwatch: {error}", file=sys.stderr)
        return 2
    print(json.dumps(fields) if given.json else f"kafka: {said}")
    return 0


def _act(action: str, directory: Path, port: int) -> tuple[str, dict[str, object]]:
    if action == "fetch":
        fetched = fetch()
        return f"jars {'fetched into' if fetched else 'are in'} {LIBS}", {"libs": str(LIBS)}
    if action == "stop":
        stopped = stop(directory)
        return "stopped" if stopped else "was not running", {"stopped": stopped}
    if action == "start":
        broker = start(directory, port)
        word = "already runs" if broker.already_running else "started"
        return f"{word} on {broker.bootstrap}, pid {broker.pid}", asdict(broker)
    found = status(directory)
    if found is None:
        return "is not running", {"running": False}
    return f"runs on {found.bootstrap}, pid {found.pid}", {"running": True, **asdict(found)}


if __name__ == "__main__":
    sys.exit(_main())
