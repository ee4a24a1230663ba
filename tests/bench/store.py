"""What the store takes and gives: the whole sink, the clients alone, bytes, the boards' queries.

    make bench
    python -m tests.bench.store --events 50000000    also the queries, on so many events: an hour

Adds to build/bench/summary.json. The native client writes to Debian's clickhouse-server; where that
is missing its figure is left out, and said so. Exit 1 when a bar is missed.
"""

import argparse
import platform
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

from schemas.clickhouse.chdb_store import ChdbStore
from schemas.clickhouse.migrate import migrate
from schemas.clickhouse.queries import run_query
from schemas.clickhouse.server_store import ServerStore
from schemas.clickhouse.store import Store
from streams.sink.rows import Columns, Origin, Taken, report_rows
from tests.bench.query_load import fill, query_p95_ms
from tests.bench.sink_load import PER_REPORT, report, sink_events_s
from tests.bench.summary import add, exit_code
from tests.fixtures.clickhouse_server import plain_ddl, running

_ROUNDS = 3
_REPORTS = 20_000
_PREPARED_REPORTS = 2_000
_KEPT_REPORTS = 20_000
_NATIVE_ROWS = 100_000
_QUERY_ROUNDS = 5
_LEAST = {
    "sink_chdb_events_s": 60_000,
    "client_chdb_rows_s": 200_000,
    "sink_native_rows_s": 100_000,
}
_SLOWEST_MS = 1_000.0
_PACKAGES = ("chdb", "clickhouse-driver", "faust-streaming", "aiokafka")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.bench.store")
    parser.add_argument("--events", type=int, default=0, help="ask the boards' queries of so many")
    events = parser.parse_args(argv).events
    figures: dict[str, Any] = {
        "store_machine": f"{platform.machine()}, Python {platform.python_version()}",
        "store_versions": {name: version(name) for name in _PACKAGES},
    }
    with tempfile.TemporaryDirectory(prefix="kbwatch-bench-") as name:
        folder = Path(name)
        rates = [sink_events_s(folder / f"sink{number}", _REPORTS) for number in range(_ROUNDS)]
        figures["sink_chdb_events_s"] = round(statistics.median(rates))
        print(f"sink, Kafka to chDB: {', '.join(f'{rate:,.0f}' for rate in rates)} events/s")
        with closing(ChdbStore(folder / "client")) as store:
            migrate(store)
            figures["client_chdb_rows_s"] = _client_rows_s(
                store, "node_events", _events(random.Random(7))
            )
        if shutil.which("clickhouse-server"):
            figures["sink_native_rows_s"] = _native_rows_s(folder / "server")
        else:
            print("no clickhouse-server here: the native client is not measured")
        with closing(ChdbStore(folder / "bytes")) as store:
            migrate(store)
            figures["bytes_per_event"] = _bytes_per_event(store)
        if events:
            with closing(ChdbStore(folder / "queries")) as store:
                migrate(store)
                figures |= _queries(store, events)
    add(figures)
    missed = [f"{bar} {figures[bar]:,}" for bar in _LEAST if figures.get(bar, 1e9) < _LEAST[bar]]
    slow: Mapping[str, float] = figures.get("query_p95_ms", {})
    missed += [f"{name} {took} ms" for name, took in slow.items() if took > _SLOWEST_MS]
    return exit_code(missed)


def _events(chance: random.Random, first: int = 0) -> Columns:
    now_ms = 1_795_000_000_000
    taken = [
        Taken(
            Origin(f"kbw-node-reports-{number % 4}", number // 4, now_ms + number * 600),
            report(number, chance, now_ms + number * 600),
            b"",
        )
        for number in range(first, first + _PREPARED_REPORTS)
    ]
    return report_rows(taken)["node_events"]


def _client_rows_s(store: Store, table: str, columns: Columns) -> int:
    """The client alone: rows as the sink has prepared them, into the table."""
    rows = len(columns["fleet"])

    def insert(number: int) -> None:
        store.insert(table, columns, f"batch {number}")

    return round(rows / _median(insert))


def _native_rows_s(folder: Path) -> int:
    """Over the native protocol: patch states, the widest of the tables that an old server has."""
    count = _NATIVE_ROWS
    names = {"fleet": "default", "domain": "HV-C01", "site": "S1", "source": "wuclient/19"}
    columns: Columns = {name: [value] * count for name, value in names.items()}
    columns |= {
        "node": [f"HV-C01-N{number % 1000}" for number in range(count)],
        "kb": [f"KB{5_060_000 + number % 40}" for number in range(count)],
        "state": ["staged", "effective"] * (count // 2),
        "build": ["17763.7558"] * count,
        "record_id": list(range(count)),
        "t_ms": list(range(1_795_000_000_000, 1_795_000_000_000 + count)),
        "_topic_partition": ["kbw-node-reports-1"] * count,
        "_offset": list(range(count)),
        "_index": [0] * count,
        "_received_ms": [1_795_000_000_000] * count,
    }
    with running(folder) as server, closing(ServerStore(server.settings())) as store:
        store.query(plain_ddl("patch_states"), {})
        return _client_rows_s(store, "patch_states", columns)


def _bytes_per_event(store: Store) -> float:
    """On disk after merging, everything counted: events of a Windows log with three data fields."""
    chance = random.Random(7)
    for first in range(0, _KEPT_REPORTS, _PREPARED_REPORTS):
        store.insert("node_events", _events(chance, first), f"from {first}")
    store.query("OPTIMIZE TABLE node_events FINAL", {})
    (kept,) = [
        row for row in run_query(store, "store_sizes", {}).dicts() if row["table"] == "node_events"
    ]
    assert kept["rows"] == _KEPT_REPORTS * PER_REPORT
    return float(round(kept["disk_bytes"] / kept["rows"], 1))


def _queries(store: Store, events: int) -> dict[str, Any]:
    now_ms = int(time.time() * 1000)
    begin = time.monotonic()
    fill(store, events, now_ms)
    print(f"{events:,} events made in {time.monotonic() - begin:,.0f} s")
    took = query_p95_ms(store, now_ms, _QUERY_ROUNDS, lambda name, ms: print(f"{name}: {ms} ms"))
    return {"query_events": events, "query_p95_ms": took}


def _median(act: Callable[[int], None]) -> float:
    took = []
    for number in range(_ROUNDS):
        begin = time.perf_counter()
        act(number)
        took.append(time.perf_counter() - begin)
    return statistics.median(took)


if __name__ == "__main__":
    sys.exit(main())
