"""The demo's processes: started one by one, stopped by pid, whatever happens."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from schemas.errors import KbwatchError

REPO = Path(__file__).resolve().parents[2]
_LOCAL_KAFKA = REPO / "deploy" / "local" / "kafka.py"
_STOP_S = 15.0


class Processes:
    """Child processes with a log file each. Leaving the context stops them all, last first.

    Each runs in a session of its own, so that Ctrl-C reaches the demo alone and it can stop them
    in order.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        # The demo hands its settings on in a file; the environment would override it.
        self._environ = {k: v for k, v in os.environ.items() if not k.startswith("KBW_")}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Processes":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name in reversed(self._running):
            self.stop(name)

    def start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start ``python -m arguments``; its output goes to ``<logs>/<name>.log``."""
        with (self._logs / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if name == "receiver" else log,
                stderr=log,
                env=self._environ,
                start_new_session=True,
            )
        self._running[name] = process
        return process

    def stop(self, name: str) -> None:
        """Ask a process to end, and end it after fifteen seconds."""
        process = self._running[name]
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def check(self) -> None:
        """See that all still run.

        Raises KbwatchError with the end of the log of the one that does not.
        """
        for name, process in self._running.items():
            if process.poll() is not None:
                log = self._logs / f"{name}.log"
                lines = log.read_text(errors="replace").strip().splitlines()[-3:]
                raise KbwatchError(
                    f"{name} ended with exit code {process.returncode}; {log} says: "
                    + " | ".join(lines)
                )


class LocalKafka:
    """A one-node Kafka of our own in ``directory``; stopped by pid on leaving."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.bootstrap = ""

    def __enter__(self) -> "LocalKafka":
        try:
            self.bootstrap = str(self._call("start")["bootstrap"])
        except KeyboardInterrupt:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the broker whose files are in the folder, if it runs."""
        self._call("stop")

    def _call(self, action: str) -> dict[str, object]:
        if not _LOCAL_KAFKA.exists():
            raise KbwatchError(
                "local Kafka is part of the repository, not of the package: run the demo in a "
                "checkout (make demo)"
            )
        process = subprocess.Popen(
            [sys.executable, str(_LOCAL_KAFKA), action, "--dir", str(self._directory), "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            answer, error = process.communicate()
        except KeyboardInterrupt:
            # It ends what it began, so that there is something to stop.
            process.communicate()
            raise
        if process.returncode:
            reason = error.strip().removeprefix("kbwatch: ")
            raise KbwatchError(reason or f"local Kafka did not {action}")
        found: dict[str, object] = json.loads(answer)
        return found


def free_port(wanted: int) -> int:
    """``wanted`` if nobody listens there on this machine, else any other. Raises KbwatchError."""
    for port in (wanted, 0):
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(tried.getsockname()[1])
    raise KbwatchError("no port is free on 127.0.0.1")
