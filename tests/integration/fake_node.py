"""The collector as a process, over a Windows event log that is a file.

    python -m tests.integration.fake_node --log FOLDER [--clock FILE] [--measures FILE]

Everything but Windows is real: event log source, pipeline, spool, shipper. Settings come from
KBW_COLLECTOR_* variables. ``--clock``: a file with the ms by which the wall clock is wrong; it is
looked at for ever if it is there at the start.
``--measures``: where to write, at SIGUSR1 and at the end, what took the processor.
"""

import argparse
import resource
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from collectors import log
from collectors.pipeline.pipeline import Pipeline
from collectors.runtime.parts import WindowsParts
from collectors.runtime.runtime import Runtime
from collectors.settings import Settings
from collectors.settings_file import SettingsFile
from collectors.shipping.shipper import Shipper
from collectors.sources.eventlog import EventLogSource
from collectors.sources.selection import Selection
from collectors.sources.source import Source
from collectors.sources.subscription import Clocks
from collectors.spool.spool import Spool
from collectors.windows.node import Node
from tests.integration.file_log import FileLog


class Measures(Struct, frozen=True):
    """What a collector took since it started; CPU in seconds."""

    at_s: float
    """Seconds since the start of the process."""
    cpu_s: float
    """The whole process, with ``windows_s``."""
    start_cpu_s: float
    """Until the collector began to run: interpreter and imports."""
    windows_s: float
    """The made-up Windows, which is no part of the collector."""
    stages: dict[str, float]
    threads: dict[str, float]
    rss_bytes: int
    peak_rss_bytes: int
    records: int
    """Records that were read."""


class FileParts(WindowsParts):
    """A collector that reads a file instead of Windows; all else is as it ships."""

    def __init__(self, api: FileLog) -> None:
        super().__init__()
        self._api = api

    def sources(self, settings: Settings, node: Node) -> Sequence[Source]:
        subscriptions = Selection(settings.logs).subscriptions
        clocks = Clocks(lambda: time.time_ns() // 1_000_000, time.monotonic)
        return [EventLogSource(self._api, subscriptions, settings.logs, node.name, clocks)]


class Meter:
    """Adds up, in the thread that calls them, what methods take of the processor."""

    def __init__(self, api: FileLog, file: Path) -> None:
        self._api = api
        self._file = file
        self._stages: defaultdict[str, float] = defaultdict(float)
        self._start_cpu_s = time.process_time()

    def watch(self, stage: str, owner: type[Any], *methods: str) -> None:
        """Count ``methods`` of ``owner`` for ``stage``."""
        for name in methods:
            setattr(owner, name, self._counted(stage, getattr(owner, name)))

    def write(self, records: int) -> None:
        """Write down what was taken until now."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        measures = Measures(
            at_s=time.time() - _started_s(),
            cpu_s=usage.ru_utime + usage.ru_stime,
            start_cpu_s=self._start_cpu_s,
            windows_s=self._api.cpu_s,
            stages=dict(self._stages),
            threads={
                thread.name: time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
                for thread in threading.enumerate()
                if thread.ident is not None
            },
            rss_bytes=_status_bytes("VmRSS"),
            peak_rss_bytes=_status_bytes("VmHWM"),
            records=records,
        )
        fresh = self._file.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(measures))
        fresh.replace(self._file)

    def _counted(self, stage: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*args: object, **kwargs: object) -> object:
            begin_s = time.thread_time()
            try:
                return method(*args, **kwargs)
            finally:
                self._stages[stage] += time.thread_time() - begin_s

        return counting


def main() -> None:
    """Run until SIGTERM."""
    given = _arguments()
    if given.clock is not None and given.clock.exists():
        _set_clock(given.clock)
    settings = SettingsFile()
    log.configure(settings.current.log_level)
    api = FileLog(given.log)
    runtime = Runtime(settings, FileParts(api))
    signal.signal(signal.SIGTERM, lambda *_: runtime.stop())
    if given.measures is None:
        runtime.run()
        return
    meter = Meter(api, given.measures)
    meter.watch("read", EventLogSource, "open", "read", "channels")
    meter.watch("pipeline", Pipeline, "take", "bundles", "heartbeat")
    meter.watch("spool", Spool, "append", "take", "done")
    meter.watch("ship", Shipper, "submit", "poll")
    signal.signal(signal.SIGUSR1, lambda *_: meter.write(runtime.status().records))
    runtime.run()
    meter.write(runtime.status().records)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="fake_node", description=__doc__)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--clock", type=Path)
    parser.add_argument("--measures", type=Path)
    return parser.parse_args()


def _set_clock(file: Path) -> None:
    """Whoever asks for the time gets what the file makes of it."""
    true_ns = time.time_ns

    def wrong_ns() -> int:
        try:
            return true_ns() + int(file.read_text()) * 1_000_000
        except (FileNotFoundError, ValueError):
            return true_ns()

    time.time_ns = wrong_ns
    time.time = lambda: wrong_ns() / 1e9


def _started_s() -> float:
    """When this process was started, Unix time."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    boot_s = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return boot_s + ticks / 100


def _status_bytes(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


if __name__ == "__main__":
    main()
