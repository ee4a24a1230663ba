"""The demo's last act: a real Windows 10 log through the same running pipeline."""

import asyncio
import sys
from importlib import resources

from evtx import PyEvtxParser

from schemas.clickhouse.socket_store import ask
from schemas.errors import KbwatchError
from schemas.settings import Settings
from schemas.topics import NODE_REPORTS
from streams.demo.story import Story, stamp
from streams.demo.summary import Real
from streams.demo.watch import Watch

FILE = "win10-17134-System.evtx"
FLEET = "real"
# What the file holds; its provenance is in streams/regbench/data/README.md.
_NODE = "desktop-1n4r894"
_CASE = "KB4338819@17134"
_WAIT_S = 30.0


async def send_real_log(settings: Settings, watch: Watch, story: Story) -> Real:
    """Ship the log as a collector does, wait for its verdict and rows, and tell what came out.

    Raises KbwatchError when the collector fails or the pipeline does not answer in time.
    """
    with resources.as_file(resources.files("streams.regbench").joinpath("data", FILE)) as path:
        records = sum(1 for _ in PyEvtxParser(str(path)).records())
        collector = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "collectors.cli", "replay-evtx", str(path), "--fleet", FLEET),
            *("--bootstrap", settings.kafka.bootstrap),
            *("--topic", settings.kafka.topic(NODE_REPORTS)),
            stderr=asyncio.subprocess.PIPE,
        )
        _, errors = await collector.communicate()
    if collector.returncode:
        raise KbwatchError(f"the collector failed on {FILE}: {errors.decode().strip()}")
    rows = await _settled(settings, watch, records)
    verdict = watch.verdicts[FLEET, _CASE]
    for t_ms, build in await _boots(settings):
        story.say("real", f"boot {stamp(t_ms)} on build {build}")
    story.say("real", f"{_CASE} effective {stamp(verdict.started_ms)}")
    story.say("real", f"one node alone: {verdict.state.upper()}: {verdict.sentence}")
    return Real(FILE, records, rows, _CASE, verdict.started_ms, verdict.state)


async def _settled(settings: Settings, watch: Watch, records: int) -> int:
    """Wait for the verdict and for all rows; the number of records stored."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _WAIT_S
    stored = 0
    while loop.time() < deadline:
        answer = await asyncio.to_thread(
            ask, settings.store.socket, "record_ids", {"fleet": FLEET, "node": _NODE}
        )
        stored = int(answer.rows[0][0])
        quiet = loop.time() - watch.changed_s > 1.0
        if stored >= records and (FLEET, _CASE) in watch.verdicts and quiet:
            return stored
        await asyncio.sleep(0.2)
    if (FLEET, _CASE) not in watch.verdicts:
        raise KbwatchError(f"no verdict on {_CASE} within {_WAIT_S:.0f} s")
    return stored


async def _boots(settings: Settings) -> list[tuple[int, str]]:
    params = {"fleet": FLEET, "node": _NODE}
    answer = await asyncio.to_thread(ask, settings.store.socket, "boots_of", params)
    return [(int(row[0]), str(row[1])) for row in answer.rows]
