"""How the collector is: written to ``status.json`` every few seconds, read by everybody who asks.

/healthz, /metrics and ``kbwatch-collector status`` show this one snapshot.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from schemas.errors import KbwatchError
from schemas.reports import ChannelHealth

FILE = "status.json"
WRITTEN_EVERY_S = 5.0
STALE_S = 60.0
"""A status that has not been written for so long is that of a collector that is gone or hangs."""
ACK_WITHIN_S = 300.0
"""With something waiting, an older last answer of Kafka is unhealthy."""


class SourceStatus(Struct, frozen=True):
    """One source."""

    trouble: str = ""
    """What of it can't be read just now; empty: all is well."""
    delivers: bool = True
    """Whether any of it can be read."""
    misses: bool = False
    """Whether nodes are judged by what can't be read."""
    items: int = 0
    """Read since the collector started."""
    lost: int = 0
    """Records that the log itself had lost (wrapped or cleared) before they could be read, in the
    spool's life."""
    channels: dict[str, ChannelHealth] = {}

    @property
    def in_a_word(self) -> str:
        """Problems and hints say the rest."""
        if not self.trouble:
            return "ok"
        return "delivers, but not all of it" if self.delivers else "delivers nothing"


class Status(Struct, frozen=True):
    """One snapshot. Ages are seconds by a clock that nobody sets."""

    version: str
    pid: int
    fleet: str
    node: str
    domain: str
    written_ms: int
    """The node's clock."""
    uptime_s: float
    running: bool = True
    """False: it has ended by itself, or was asked to."""
    sources: dict[str, SourceStatus] = {}
    records: int = 0
    """Taken from the sources since the start."""
    reports_spooled: int = 0
    reports_acked: int = 0
    spool_depth: int = 0
    """Records that wait for an acknowledgement."""
    spool_bytes: int = 0
    dropped: int = 0
    """Records that the full spool has dropped, in its life."""
    refused: int = 0
    """Records that no reader or Kafka would take, in the spool's life."""
    spool_lost: int = 0
    """Records of the spool that the disk has lost, in its life."""
    last_ack_age_s: float | None = None
    """None: Kafka has not answered yet."""
    waiting_s: float = 0.0
    """For how long something has waited without any answer of Kafka."""
    stalled_s: float = 0.0
    """For how long the collector has not come round to saying how it is."""
    trouble: str = ""
    """Why nothing at all goes on; empty: it does."""
    broker_trouble: str = ""
    spool_trouble: str = ""
    settings_trouble: str = ""
    """Why the changed settings file is not in effect."""
    restart_needed: tuple[str, ...] = ()
    """Changed settings that take effect at the next start."""

    def problems(self) -> tuple[str, ...]:
        """What makes the collector unhealthy; empty: it does its work."""
        found = [self.trouble] if self.trouble else []
        if self._nothing_delivers:
            reasons = "; ".join(f"{name}: {s.trouble}" for name, s in self.sources.items())
            found.append(f"no source delivers: {reasons}")
        else:
            found += [f"source {n}: {s.trouble}" for n, s in self.sources.items() if s.misses]
        if self.spool_trouble:
            found.append(f"the spool can't be written: {self.spool_trouble}")
        if self.spool_depth and self.waiting_s > ACK_WITHIN_S:
            why = self.broker_trouble or "no answer"
            found.append(f"Kafka acknowledged nothing for {self.waiting_s:.0f} s: {why}")
        if self.stalled_s > STALE_S:
            found.append(f"stands still for {self.stalled_s:.0f} s")
        return tuple(found)

    def hints(self) -> tuple[str, ...]:
        """What an operator should look at although the collector does its work."""
        found = []
        if not self._nothing_delivers:  # which says why
            hinted = {n: s for n, s in self.sources.items() if s.trouble and not s.misses}
            found += [f"source {n}: {s.trouble}" for n, s in hinted.items()]
        if self.broker_trouble:
            found.append(f"Kafka: {self.broker_trouble}")
        if self.settings_trouble:
            found.append(f"changed settings are not in effect: {self.settings_trouble}")
        if self.restart_needed:
            found.append(f"restart for: {', '.join(self.restart_needed)}")
        return tuple(found)

    @property
    def _nothing_delivers(self) -> bool:
        return bool(self.sources) and not any(s.delivers for s in self.sources.values())

    def gone(self, now_ms: int) -> str:
        """Why this is not the status of a collector that runs; empty: it is."""
        age_s = abs(now_ms - self.written_ms) / 1000
        if not self.running:
            return f"not running: it ended {age_s:.0f} s ago"
        if age_s > STALE_S:
            return f"has not said anything for {age_s:.0f} s: not running, or it hangs"
        return ""

    def lines(self) -> Iterator[str]:
        """The status for a person."""
        yield f"node {self.node}, domain {self.domain}, fleet {self.fleet}"
        yield f"version {self.version}, pid {self.pid}, up {_span(self.uptime_s)}"
        for name, source in self.sources.items():
            lost = f", {source.lost} lost in the log" if source.lost else ""
            yield f"source {name}: {source.items} items{lost}; {source.in_a_word}"
            for channel, health in sorted(source.channels.items()):
                at = f"read to record {health.newest_record_id}"
                yield f"  {channel}: {at}, {_span(health.lag_s)} behind"
        yield (
            f"spool: {self.spool_depth} records wait, {self.spool_bytes / 2**20:.1f} MiB, "
            f"{self.dropped} records dropped, {self.spool_lost} lost by the disk, "
            f"{self.refused} refused"
        )
        age = self.last_ack_age_s
        acked = "nothing acknowledged yet" if age is None else f"last answer {_span(age)} ago"
        yield f"Kafka: {self.reports_acked} reports acknowledged, {acked}"


def write(folder: Path, status: Status) -> None:
    """Replace ``status.json`` in ``folder`` at once. Raises OSError."""
    part = folder / f"{FILE}.part"
    part.write_bytes(msgspec.json.encode(status))
    os.replace(part, folder / FILE)


def read(folder: Path) -> Status | None:
    """The last status written in ``folder``; None: there is none.

    Raises KbwatchError when it can't be read.
    """
    path = folder / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Status)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KbwatchError(f"{path}: {error.strerror}; run as an administrator?") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise KbwatchError(f"{path}: is no status of a collector ({error})") from None


def _span(seconds: float) -> str:
    for unit, length_s in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length_s:
            return f"{seconds / length_s:.0f} {unit}"
    return f"{seconds:.0f} s"
