"""The NOC server with 20,000 nodes and 60 cases, and 50 browsers' streams for a minute.

    python -m tests.bench.noc_streams

Adds to build/bench/summary.json under `noc_streams`: how soon a halt reaches the streams, what the
server holds and works, and what it sends. The streams are read by one process on the same machine.
Exit 1 when a bar is missed.
"""

import asyncio
import os
import statistics
import sys
import time
from pathlib import Path

import aiohttp
from msgspec import Struct

from tests.bench.noc_wall import CASES, NODES, peak_rss_mib, staged, wall, wall_cluster
from tests.bench.summary import add, exit_code
from tests.fixtures.noc_rollout import Record, judged, verdict
from tests.fixtures.noc_stage import Stage, now_ms

_STREAMS, _LASTS_S = 50, 60
_CLUSTERS_A_S = 20
_MAX_RSS_MIB = 300
_MAX_HALT_MS = 1_000.0
_MIB = 2**20


class Taken(Struct):
    """What one stream got."""

    states: int = 0
    bytes: int = 0
    ended: bool = False


def main() -> int:
    """Measure, print and write."""
    with staged() as stage:
        figures = _measured(stage)
    add({"noc_streams": figures})
    held = {
        "rss": figures["peak_rss_mib"] <= _MAX_RSS_MIB,
        "halt": figures["halt_ms_p95"] <= _MAX_HALT_MS,
        "streams": figures["streams_held"] == _STREAMS,
        "slow": figures["states_a_stream_max"] == 1,
    }
    return exit_code([bar for bar, holds in held.items() if not holds])


def _measured(stage: Stage) -> dict[str, float]:
    stage.publish(wall())
    begin = time.monotonic()
    pid = stage.start()
    ready_s = time.monotonic() - begin
    before_s, took, seen_ms = _cpu_s(pid), [Taken() for _ in range(_STREAMS)], _Seen()
    asyncio.run(_watched(stage, took, seen_ms))
    late = [at - published for published, ats in seen_ms.halts for at in ats]
    cuts = statistics.quantiles(late, n=20, method="inclusive")
    return {
        "nodes": NODES,
        "cases": CASES,
        "streams": _STREAMS,
        "seconds": _LASTS_S,
        "ready_s": round(ready_s, 2),
        "streams_held": sum(not one.ended for one in took),
        "states_a_stream_max": max(one.states for one in took),
        "halt_ms_p50": round(statistics.median(late), 1),
        "halt_ms_p95": round(cuts[18], 1),
        "halts_seen": len(late),
        "mib_sent": round(sum(one.bytes for one in took) / _MIB, 1),
        "cpu_share": round((_cpu_s(pid) - before_s) / _LASTS_S, 3),
        "peak_rss_mib": peak_rss_mib(pid),
    }


class _Seen:
    """When each halt was published, and when each stream had it."""

    def __init__(self) -> None:
        self.halts: list[tuple[int, list[int]]] = []
        self.kb = b""


async def _watched(stage: Stage, took: list[Taken], seen: _Seen) -> None:
    timeout = aiohttp.ClientTimeout(total=None)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        readers = [asyncio.create_task(_read(session, stage.url, one, seen)) for one in took]
        while not all(one.states for one in took):
            await asyncio.sleep(0.05)
        for second in range(_LASTS_S):
            due_s = time.monotonic() + 1
            await asyncio.to_thread(stage.publish, _moves(second))
            seen.kb = b"KB6%06d" % second
            said = verdict("halt", now_ms=now_ms(), kb=seen.kb.decode(), victims=["c00001-n1"])
            ats: list[int] = []
            seen.halts.append((0, ats))
            (published_ms,) = await asyncio.to_thread(stage.publish, [judged(said)])
            seen.halts[-1] = (published_ms, ats)
            await asyncio.sleep(max(0.5, due_s - time.monotonic()))
            topic, key, _ = judged(said)
            await asyncio.to_thread(stage.publish, [(topic, key, None)])
        for reader in readers:
            reader.cancel()


async def _read(session: aiohttp.ClientSession, url: str, one: Taken, seen: _Seen) -> None:
    async with session.get(f"{url}events") as response:
        known = b""
        tail = b""
        async for chunk in response.content.iter_any():
            one.bytes += len(chunk)
            text = tail + chunk
            one.states += text.count(b"event: state\n")
            if seen.kb != known and b'"kb":"' + seen.kb in text:
                known = seen.kb
                seen.halts[-1][1].append(now_ms())
            tail = text[-12:] if b"event: state\n" not in text[-24:] else b""
        one.ended = True


def _moves(second: int) -> list[Record]:
    first = _CLUSTERS_A_S * second
    return [wall_cluster(first + n, "eees", offset=2) for n in range(_CLUSTERS_A_S)]


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main())
