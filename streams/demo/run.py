"""The demo's plot: start, play, wait until all is settled, look, stop."""

import asyncio
import json
import os
import shutil
import signal
import time
from pathlib import Path

import msgspec
from msgspec.structs import replace
from rich.console import Console

from schemas.clickhouse.socket_store import ask
from schemas.config import as_toml
from schemas.errors import KbwatchError
from schemas.halts import Delivery, Halt
from schemas.settings import NocSettings, Settings
from schemas.topics import NODE_REPORTS, all_topics
from schemas.verdicts import Verdict
from streams.demo.picture import Camera
from streams.demo.player import GroupLag, Played, play
from streams.demo.processes import LocalKafka, Processes, free_port
from streams.demo.real_log import send_real_log
from streams.demo.story import Story
from streams.demo.summary import Records, Summary, victims_at, webhook
from streams.demo.target import Target
from streams.demo.watch import Key, Watch
from streams.kafka_io import read_whole
from streams.recording import line, opened
from streams.regbench.scenarios.kb5062557 import Scenario
from streams.topics_admin import apply_topics

_SETTLE_S = 90.0
_QUIET_S = 1.5
_FLEET = "default"
_MARK = ".kbwatch-demo"
_OURS = (
    "kafka",
    "logs",
    "store",
    "data",
    "reports.jsonl.zst",
    "summary.json",
    "staged.txt",
    "story.svg",
    "settings.toml",
    "noc.png",
)


async def run_demo(
    settings: Settings, seed: int, harmful: bool, out: Path, record: Path | None, hold: bool
) -> int:
    """Run the whole demo; returns the exit code. Everything it starts it stops again: at its end,
    or with ``hold`` on Ctrl-C or SIGTERM.
    """
    begin_s = time.monotonic()
    loop = asyncio.get_running_loop()
    # SIGTERM stops the demo as Ctrl-C does: through the contexts below.
    loop.add_signal_handler(signal.SIGTERM, os.kill, os.getpid(), signal.SIGINT)
    console = Console()
    kafka_folder = out / "kafka"
    if kafka_folder.exists():
        LocalKafka(kafka_folder).stop()  # of a demo that was killed
    _clear(out)
    recording = record or out / "reports.jsonl.zst"
    _check_recording(recording)
    with LocalKafka(kafka_folder) as kafka, Processes(out / "logs") as processes:
        settings = _settings(settings, kafka.bootstrap, out)
        await asyncio.to_thread(apply_topics, settings)
        target = Target.start(processes, out)
        (out / "settings.toml").write_text(as_toml(settings))
        for name in ("detector", "halts", "sink"):
            processes.start(name, "schemas", "run", name, "--config", str(out / "settings.toml"))
        processes.start("noc", "schemas", "noc", "--config", str(out / "settings.toml"))
        camera = Camera(f"http://127.0.0.1:{settings.noc.port}/", out / "noc.png")
        scenario = Scenario(seed=seed, harmful=harmful)
        played = Played()
        with Story(console, scenario, played) as story:
            story.fleet()

            def news(item: Verdict | Halt | Delivery) -> None:
                story.news(item)
                if isinstance(item, Delivery) and item.state == "delivered":
                    camera.shoot()  # all that is to be seen at the halt has happened

            watch = Watch(settings.kafka, news)
            async with camera, watch.following():
                await play(settings, scenario, played, lambda: _tick(story, processes), camera.busy)
                story.stage("waiting until everything is judged and stored")
                await _settle(settings, played, watch, processes)
                records = await _records(settings, played)
                await _write_recording(settings, recording)
                story.stage("the log of a real machine")
                real = await send_real_log(settings, watch, story)
            guilty = (_FLEET, scenario.truth.case)
            verdict = watch.verdicts.get(guilty)
            crossing = verdict.halt if verdict else None
            summary = Summary(
                broker=kafka.bootstrap,
                store=settings.store.path,
                wall_s=round(time.monotonic() - begin_s, 1),
                case=scenario.truth.case,
                halted=guilty in watch.halts,
                crossed_ms=crossing.t_ms if crossing else None,
                first_victim_ms=verdict.first_victim_ms if verdict else None,
                victims_at_halt=victims_at(scenario.truth, verdict),
                exposed_at_halt=crossing.exposed if crossing else None,
                nodes_total=scenario.truth.nodes_total,
                applicable_unpatched_at_halt=crossing.controls if crossing else None,
                signature=verdict.signature if verdict else "",
                false_halts=_false_halts(watch, guilty if harmful else None),
                notices=tuple(
                    sorted(v.case for v in watch.verdicts.values() if v.state == "notice")
                ),
                records=records,
                webhook=webhook(
                    list(watch.deliveries.values()),
                    target.receipts,
                    scenario.truth.case,
                    watch.halt_verdict_ms.get(guilty),
                ),
                real=real,
            )
            staged = watch.staged_at_halt.get(guilty, ())
            _write(out, summary, staged)
            story.page(camera.url, camera.path, await camera.why_none(), hold)
            story.end(summary, len(staged), out, recording)
            (out / "story.svg").write_text(story.picture("make demo"))
        problems = summary.failures(harmful)
        for problem in problems:
            console.print(f"[bold red]failed[/]     {problem}")
        if hold:
            console.print(f"[bold]hold[/]       {camera.url} until Ctrl-C")
            await _held(processes)
    return 1 if problems else 0


async def _held(processes: Processes) -> None:
    """Wait for Ctrl-C, which ends the demo as it would have ended by itself."""
    try:
        while True:
            processes.check()
            await asyncio.sleep(1)
    except asyncio.CancelledError:
        return


def _clear(out: Path) -> None:
    """Remove what an earlier demo left, and nothing else: a folder that is not empty and has no
    mark of a demo is somebody's own.
    """
    mark = out / _MARK
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not mark.exists() and any(out.iterdir()):
            raise KbwatchError(
                f"--out {out}: not empty, and not from a demo; choose another folder"
            )
        mark.touch()
        for name in _OURS:
            path = out / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        (out / "logs").mkdir()
    except OSError as error:
        raise KbwatchError(
            f"--out {out}: {error.strerror} ({error.filename}); choose a folder that can be written"
        ) from None


def _check_recording(path: Path) -> None:
    try:
        path.touch()
    except OSError as error:
        raise KbwatchError(f"--record {path}: {error.strerror}") from None


def _settings(settings: Settings, bootstrap: str, out: Path) -> Settings:
    # Relative, because the path of a Unix socket may have about a hundred characters only.
    near = Path(os.path.relpath(out))
    return replace(
        settings,
        data_dir=str(near / "data"),
        kafka=replace(settings.kafka, bootstrap=bootstrap),
        store=replace(
            settings.store, path=str(near / "store"), socket=str(near / "data" / "store.sock")
        ),
        halts=replace(settings.halts, policy=str(near / "data" / "policy.toml")),
        noc=NocSettings(port=free_port(settings.noc.port)),
    )


def _tick(story: Story, processes: Processes) -> None:
    story.progress()
    processes.check()


async def _settle(settings: Settings, played: Played, watch: Watch, processes: Processes) -> None:
    """Wait until every record was judged and stored, and no verdict changes any more."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _SETTLE_S
    lags = [await GroupLag.of(settings, app) for app in ("detector", "sink")]
    try:
        while True:
            processes.check()
            waiting = [await lag.records(played.records) for lag in lags]
            if not any(waiting) and loop.time() - watch.changed_s > _QUIET_S:
                return
            if loop.time() > deadline:
                raise KbwatchError(
                    f"after {_SETTLE_S:.0f} s {waiting[0]} records are not judged and "
                    f"{waiting[1]} not stored; the workers' logs are beside the summary"
                )
            await asyncio.sleep(0.2)
    finally:
        for lag in lags:
            await lag.close()


async def _records(settings: Settings, played: Played) -> Records:
    """Count what is stored; dead letters reach the store a moment after the rest."""
    topic = settings.kafka.topic(NODE_REPORTS)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + 15
    while True:
        counts = await asyncio.to_thread(ask, settings.store.socket, "record_counts", {})
        dead = await asyncio.to_thread(ask, settings.store.socket, "dead_letter_count", {})
        records = Records(
            produced=played.produced,
            stored=sum(int(row[1]) for row in counts.rows),
            duplicates=played.duplicates,
            dead_lettered=sum(int(row[2]) for row in dead.rows if row[0] == topic),
        )
        if records.balanced or loop.time() > deadline:
            return records
        await asyncio.sleep(0.5)


def _false_halts(watch: Watch, guilty: Key | None) -> tuple[str, ...]:
    judged = {name for name, verdict in watch.verdicts.items() if verdict.state == "halt"}
    return tuple(sorted(case for _, case in (judged | set(watch.halts)) - {guilty}))


def _notices(watch: Watch) -> tuple[str, ...]:
    return tuple(sorted(v.case for v in watch.verdicts.values() if v.state == "notice"))


async def _write_recording(settings: Settings, path: Path) -> None:
    """What Kafka got, in the order in which it got it."""
    partitions = range(all_topics()[NODE_REPORTS].partitions)
    lines = [
        (record.timestamp, record.partition, record.offset, line(record.timestamp, record.value))
        async for record in read_whole(settings.kafka, NODE_REPORTS, partitions)
    ]
    with opened(path, "wb") as file:
        for *_, text in sorted(lines):
            file.write(text)


def _write(out: Path, summary: Summary, staged: tuple[str, ...]) -> None:
    text = json.dumps(msgspec.to_builtins(summary), indent=2)
    (out / "summary.json").write_text(text + "\n")
    (out / "staged.txt").write_text("".join(f"{node}\n" for node in staged))
