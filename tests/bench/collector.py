"""What a collector takes of its node, and how fast it catches up, against a real Kafka.

    make bench

Writes build/bench/collector.json. The collector runs as a process of its own over a log of real
records that is a file; what playing Windows costs there is told apart. Rates are per second of CPU
time, which other work on the machine changes little. Exit 1 when a bar is missed.
"""

import json
import platform
import signal
import sys
import tempfile
import time
import uuid
from pathlib import Path

import msgspec
from msgspec.structs import replace
from rich.console import Console
from rich.table import Table

from deploy.local import kafka
from schemas.settings import KafkaSettings, Settings
from streams.topics_admin import apply_topics
from tests.chaos.collecting import UNLIMITED, Collecting
from tests.integration.fake_node import Measures

_OUT = Path("build/bench/collector.json")
_PER_S = 100
_LASTS_S = 60.0
_WAITING = 200_000
_MAX_SHARE = 0.02
_MAX_RSS_MIB = 60.0
_MIN_PER_CPU_S = 5_000.0
_MIB = 1024 * 1024

Figures = dict[str, float]


def main() -> int:
    """Measure, print and write."""
    with tempfile.TemporaryDirectory(prefix="kbwatch-bench-") as name:
        folder = Path(name)
        try:
            broker = kafka.start(folder / "kafka")
            steady = _steady(_new(broker, folder / "steady"))
            catching_up = _catching_up(_new(broker, folder / "catching-up"))
        finally:
            kafka.stop(folder / "kafka")
    bars = {
        "cpu_share": steady["cpu_share"] <= _MAX_SHARE,
        "rss_mib": steady["peak_rss_mib"] <= _MAX_RSS_MIB,
        "events_per_cpu_s": catching_up["events_per_cpu_s"] >= _MIN_PER_CPU_S,
    }
    summary = {
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "steady": steady,
        "catching_up": catching_up,
        "bars_held": bars,
    }
    _OUT.parent.mkdir(parents=True, exist_ok=True)
    _OUT.write_text(json.dumps(summary, indent=2) + "\n")
    console = Console()
    console.print(_table(f"{_PER_S} events/s for {_LASTS_S:.0f} s", steady))
    console.print(_table(f"catching up with {_WAITING:,} events", catching_up))
    missed = [bar for bar, held in bars.items() if not held]
    console.print(f"missed: {', '.join(missed)}" if missed else "all bars held")
    return 1 if missed else 0


def _new(broker: kafka.Broker, folder: Path) -> Collecting:
    kafka_settings = KafkaSettings(
        bootstrap=broker.bootstrap, namespace=f"bench{uuid.uuid4().hex[:8]}-"
    )
    apply_topics(Settings(kafka=kafka_settings))
    folder.mkdir()
    measures = ("--measures", str(folder / "measures"))
    settings = {**UNLIMITED, "SCHEDULE_HEARTBEAT_S": "60"}
    return Collecting(kafka_settings, folder, settings, measures)


def _steady(collecting: Collecting) -> Figures:
    """The footprint: everything that is logged is wanted, and shipped."""
    try:
        collecting.start()
        collecting.writer.start(_PER_S)
        collecting.eventually(lambda: collecting.bookmark() > 5 * _PER_S, "it has settled")
        before = _measures(collecting)
        time.sleep(_LASTS_S)
        after = _measures(collecting)
        collecting.finish()
    finally:
        collecting.close()
    took = _between(before, after)
    own_s = took.cpu_s - took.windows_s
    return {
        "events": took.records,
        "seconds": took.at_s,
        "cpu_share": own_s / took.at_s,
        "made_up_windows_cpu_share": took.windows_s / took.at_s,
        "rss_mib": after.rss_bytes / _MIB,
        "peak_rss_mib": after.peak_rss_bytes / _MIB,
        "start_cpu_s": before.start_cpu_s,
        **_microseconds(took, own_s),
    }


def _catching_up(collecting: Collecting) -> Figures:
    """Until Kafka has acknowledged all that waited, from the start of the process."""
    try:
        collecting.writer.write(_WAITING, spread_ms=3_600_000)
        collecting.start()
        collecting.eventually(lambda: collecting.bookmark() == _WAITING, "all is shipped", 600)
        took = _measures(collecting)
        collecting.stop()
    finally:
        collecting.close()
    own_s = took.cpu_s - took.windows_s - took.start_cpu_s
    return {
        "events": took.records,
        "seconds": took.at_s,
        "events_per_cpu_s": took.records / own_s,
        "events_per_s": took.records / took.at_s,
        "made_up_windows_cpu_s": took.windows_s,
        "peak_rss_mib": took.peak_rss_bytes / _MIB,
        **_microseconds(took, own_s),
    }


def _measures(collecting: Collecting) -> Measures:
    file = collecting.folder / "measures"
    file.unlink(missing_ok=True)
    collecting.signal(signal.SIGUSR1)
    collecting.eventually(file.exists, "it says what it took")
    return msgspec.json.decode(file.read_bytes(), type=Measures)


def _between(before: Measures, after: Measures) -> Measures:
    return replace(
        after,
        at_s=after.at_s - before.at_s,
        cpu_s=after.cpu_s - before.cpu_s,
        start_cpu_s=0.0,
        windows_s=after.windows_s - before.windows_s,
        stages={k: v - before.stages.get(k, 0.0) for k, v in after.stages.items()},
        threads={k: v - before.threads.get(k, 0.0) for k, v in after.threads.items()},
        records=after.records - before.records,
    )


def _microseconds(took: Measures, own_s: float) -> Figures:
    """Where the collector's own time went, in µs an event."""
    stages = dict(took.stages)
    parts = {
        "read_and_parse": stages["read"] - took.windows_s,
        "pipeline": stages["pipeline"],
        "spool": stages["spool"],
        "hand_to_shipper": stages["ship"],
        "encode_and_produce": took.threads.get("shipper", 0.0),
        "kafka_client": sum(
            s for name, s in took.threads.items() if "kafka" in name or "network" in name
        ),
    }
    parts["everything_else"] = own_s - sum(parts.values())
    return {f"us_{name}": seconds / took.records * 1e6 for name, seconds in parts.items()}


def _table(title: str, figures: Figures) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, value in figures.items():
        table.add_row(name, f"{value:,.4f}" if abs(value) < 1 else f"{value:,.1f}")
    return table


if __name__ == "__main__":
    sys.exit(main())
