"""A collector process under test: what was logged, what its bookmark said, what Kafka has."""

import asyncio
import random
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path

import msgspec

from collectors.runtime import status as status_file
from collectors.runtime.status import Status
from schemas.settings import KafkaSettings
from tests.chaos.arrived import Arrived, read
from tests.integration.file_log import CHANNEL, Writer
from tests.integration.workers import Workers, kill

NODE = "HV03"
FLEET = "chaos"
UNLIMITED = {"LIMITS_EVENTS_PER_S": "1e6", "LIMITS_BURST": "1000000"}
"""So that nothing is left out on purpose."""

_SETTINGS = {
    "NODE_FLEET": FLEET,
    "NODE_NAME": NODE,
    "NODE_DOMAIN": "HVC1",
    "LOGS_CHANNELS": f'["{CHANNEL}"]',
    "LOGS_HISTORY_EVENTS_PER_S": "1000000",
    "SCHEDULE_HEARTBEAT_S": "10",
    "KAFKA_TIMEOUT_S": "5",
}
_WATCH_S = 0.005


class Collecting:
    """Starts a collector again and again on the same folder; watches its bookmark all the time."""

    def __init__(
        self,
        kafka: KafkaSettings,
        folder: Path,
        settings: Mapping[str, str] = UNLIMITED,
        arguments: Sequence[str] = (),
    ) -> None:
        """``arguments``: more of tests/integration/fake_node.py."""
        self.kafka = kafka
        self.folder = folder
        self.data = folder / "data"
        self.clock = folder / "clock"
        self.shift_ms = 0
        self.writer = Writer(folder / "log", self.now_ms)
        chosen = {
            **_SETTINGS,
            "DATA_DIR": str(self.data),
            "KAFKA_BOOTSTRAP": kafka.bootstrap,
            "KAFKA_NAMESPACE": kafka.namespace,
            **settings,
        }
        command = ("-m", "tests.integration.fake_node", "--log", str(folder / "log"))
        self._workers = Workers(
            kafka,
            folder,
            (*command, "--clock", str(self.clock), *arguments),
            {f"KBW_COLLECTOR_{name}": value for name, value in chosen.items()},
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._bookmarks: list[tuple[int, int]] = []
        self._watching = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def now_ms(self) -> int:
        """The clock of the node."""
        return time.time_ns() // 1_000_000 + self.shift_ms

    def set_clock(self, shift_ms: int) -> None:
        """Make the node's clock wrong, also for what is logged."""
        fresh = self.clock.with_suffix(".new")
        fresh.write_text(str(shift_ms))
        fresh.replace(self.clock)
        self.shift_ms = shift_ms

    def start(self) -> None:
        """Start the collector."""
        self._process = self._workers.start()

    def kill(self) -> None:
        """End it as a power cut does."""
        kill(self._running(), self._workers.log)
        self._process = None

    def stop(self) -> None:
        """Ask it to end; it must do so in time and without complaint."""
        process = self._running()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0, self.log()
        self._process = None

    def signal(self, number: signal.Signals) -> None:
        """Send the collector a signal."""
        self._running().send_signal(number)

    def limit_files(self, size_bytes: int) -> None:
        """No file of the collector can grow beyond this from now on: so a disk is full."""
        limit = (size_bytes, resource.RLIM_INFINITY)
        resource.prlimit(self._running().pid, resource.RLIMIT_FSIZE, limit)

    def status(self) -> Status | None:
        """What the collector last said of itself."""
        return status_file.read(self.data)

    def bookmark(self) -> int:
        """The record id up to which, as the bookmark says, everything is acknowledged."""
        try:
            raw = (self.data / "bookmarks.json").read_bytes()
        except FileNotFoundError:
            return 0
        position = msgspec.json.decode(raw)["positions"].get("eventlog", "{}")
        marks = msgspec.json.decode(position)
        return int(marks.get(CHANNEL, {}).get("record_id", 0))

    def eventually(self, holds: Callable[[], object], what: str, timeout_s: float = 30.0) -> None:
        """Wait until something holds; fails with the collector's log."""
        deadline = time.monotonic() + timeout_s
        while not holds():
            assert self._running().poll() is None, f"the collector has ended\n{self.log()}"
            assert time.monotonic() < deadline, f"not after {timeout_s} s: {what}\n{self.log()}"
            time.sleep(0.02)

    def finish(self, timeout_s: float = 60.0) -> Arrived:
        """Log nothing more, wait until all is acknowledged, end the collector."""
        written = self.writer.stop()
        self.eventually(
            lambda: self.bookmark() == written,
            f"the bookmark is {self.bookmark()}, record {written} is the last one",
            timeout_s,
        )
        self.stop()
        return self.arrived()

    def arrived(self) -> Arrived:
        """Everything that Kafka has."""
        return asyncio.run(read(self.kafka))

    def check(self, arrived: Arrived) -> None:
        """Every record came, each is one by its identity, no bookmark was ahead of Kafka."""
        wanted = set(range(1, self.writer.written + 1))
        found = set(arrived.identities)
        missing = sorted(wanted - found)
        assert not missing, f"{len(missing)} of {len(wanted)} are missing, first {missing[:20]}"
        assert found == wanted
        for identities in arrived.identities.values():
            assert len({msgspec.structs.replace(one, kb="") for one in identities}) == 1
        assert {len(contents) for contents in arrived.contents.values()} == {1}
        self.check_bookmarks(arrived)

    def check_bookmarks(self, arrived: Arrived) -> None:
        """Whenever it was looked at, all that the bookmark covers had been in Kafka."""
        assert len(self._bookmarks) > 1, "the bookmark never moved"
        newest = max(record_id for _, record_id in self._bookmarks)
        never_ms = 2**62
        by_then_ms = [
            0,
            *accumulate((arrived.appended_ms.get(n + 1, never_ms) for n in range(newest)), max),
        ]
        ahead = [(at, n) for at, n in self._bookmarks if by_then_ms[n] > at]
        assert not ahead, f"the bookmark was ahead of Kafka (Unix ms, record): {ahead[:10]}"

    def damage_newest_segment(self, chance: random.Random) -> str:
        """Tear the spool's newest file: cut it off anywhere, or turn some of its bits over."""
        segments = list((self.data / "spool").glob("*.seg"))
        newest = max(segments, key=lambda path: path.stat().st_mtime_ns)
        raw = bytearray(newest.read_bytes())
        if chance.random() < 0.5:
            del raw[chance.randrange(len(raw)) :]
            what = f"{newest.name} cut to {len(raw)} bytes"
        else:
            places = [chance.randrange(len(raw)) for _ in range(chance.randint(1, 20))]
            for place in places:
                raw[place] ^= 1 << chance.randrange(8)
            what = f"{newest.name} of {len(raw)} bytes damaged at {sorted(places)}"
        newest.write_bytes(raw)
        return what

    def log(self) -> str:
        """The end of what the collector has written to its log."""
        return self._workers.log.read_text()[-10_000:]

    def close(self) -> None:
        """End everything."""
        self.writer.close()
        self._watching.set()
        self._watcher.join()
        self._workers.kill_all()

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def _watch(self) -> None:
        seen = -1
        while not self._watching.wait(_WATCH_S):
            record_id = self.bookmark()
            if record_id != seen:
                seen = record_id
                # Taken after reading: what is covered must have been there before.
                self._bookmarks.append((time.time_ns() // 1_000_000, record_id))
