"""The NOC server with 20,000 nodes and 60 cases, and 50 browsers' streams for a minute.

    python -m tests.bench.noc_streams

Adds to build/bench/summary.json under `noc_streams`: how soon a halt reaches the streams, what the
server holds and works, and what it sends. The streams are read by one process on the same machine.
Exit 1 when a bar is missed.
"""

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
from msgspec import Struct

from deploy.local import kafka
from schemas.settings import KafkaSettings, Settings
from schemas.verdicts import State
from streams.topics_admin import apply_topics
from tests.fixtures.noc_rollout import Record, cluster, judged, verdict
from tests.fixtures.noc_stage import Stage, now_ms

_OUT = Path("build/bench/summary.json")
_NODES, _CASES, _PER_CLUSTER, _SITES = 20_000, 60, 4, 40
_BRANCHES = ("14393", "17763", "20348", "25398", "26100")
_STATES: tuple[State, ...] = ("halt", "warn", "notice", "inconclusive", "quiet")
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
    with tempfile.TemporaryDirectory(prefix="kbwatch-bench-") as name:
        folder = Path(name)
        try:
            settings = KafkaSettings(bootstrap=kafka.start(folder / "kafka").bootstrap)
            apply_topics(Settings(kafka=settings))
            stage = Stage(settings, folder)
            try:
                figures = _measured(stage)
            finally:
                stage.close()
        finally:
            kafka.stop(folder / "kafka")
    _OUT.parent.mkdir(parents=True, exist_ok=True)
    summary = json.loads(_OUT.read_text()) if _OUT.exists() else {}
    _OUT.write_text(json.dumps(summary | {"noc_streams": figures}, indent=2) + "\n")
    print(json.dumps(figures, indent=2))
    held = {
        "rss": figures["peak_rss_mib"] <= _MAX_RSS_MIB,
        "halt": figures["halt_ms_p95"] <= _MAX_HALT_MS,
        "streams": figures["streams_held"] == _STREAMS,
        "slow": figures["states_a_stream_max"] == 1,
    }
    missed = [bar for bar, holds in held.items() if not holds]
    print(f"missed: {', '.join(missed)}" if missed else "all bars held")
    return 1 if missed else 0


def _measured(stage: Stage) -> dict[str, float]:
    stage.publish(_wall())
    begin = time.monotonic()
    pid = stage.start()
    ready_s = time.monotonic() - begin
    before_s, took, seen_ms = _cpu_s(pid), [Taken() for _ in range(_STREAMS)], _Seen()
    asyncio.run(_watched(stage, took, seen_ms))
    late = [at - published for published, ats in seen_ms.halts for at in ats]
    cuts = statistics.quantiles(late, n=20, method="inclusive")
    return {
        "nodes": _NODES,
        "cases": _CASES,
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
        "peak_rss_mib": _peak_rss_mib(pid),
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


def _wall() -> list[Record]:
    at_ms = now_ms()
    records = [_cluster(n, "vvee" if n % 400 == 1 else "eesu") for n in range(_NODES // 4)]
    for branch in _BRANCHES:
        for number, kb in enumerate(_kbs(branch)):
            state = _STATES[min(number, 3 + number % 2)]
            victims = [f"c{n:05d}-n{m}" for n in range(1, 5_000, 400) for m in (1, 2)]
            hit = victims if number < 3 else ()
            said = verdict(state, now_ms=at_ms, kb=kb, branch=branch, victims=hit)
            records.append(judged(said))
    return records


def _moves(second: int) -> list[Record]:
    first = _CLUSTERS_A_S * second
    return [_cluster(first + n, "eees", offset=2) for n in range(_CLUSTERS_A_S)]


def _cluster(number: int, letters: str, offset: int = 1) -> Record:
    branch = _BRANCHES[number % len(_BRANCHES)]
    return cluster(
        f"c{number:05d}",
        letters,
        site=f"site-{number % _SITES:02d}",
        ring=f"ring{number % 6}",
        branch=branch,
        kbs=_kbs(branch),
        now_ms=now_ms(),
        offset=offset,
    )


def _kbs(branch: str) -> list[str]:
    return [f"KB5{n:02d}{branch}" for n in range(_CASES // len(_BRANCHES))]


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_rss_mib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in status if line.startswith("VmHWM"))) // 1024


if __name__ == "__main__":
    sys.exit(main())
