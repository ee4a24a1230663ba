"""kbwatch noc against a real Kafka: a server process, browsers' streams, and what goes wrong."""

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from msgspec.structs import replace

from dashboards.noc.answers import CaseList
from dashboards.noc.model import CaseCard, WallState
from deploy.local import kafka as local
from schemas.settings import KafkaSettings, Settings
from streams.topics_admin import apply_topics
from tests.fixtures.noc import (
    CASE,
    KB,
    NOW_MS,
    Record,
    closed,
    crossing,
    evidence,
    halt,
    halts,
    node,
    patched,
    says,
    verdict,
)
from tests.fixtures.noc_july import july
from tests.integration.workers import ROOT, Workers, eventually, kill

pytestmark = pytest.mark.slow

HALTED = verdict(
    kb="KB5099999",
    build="",
    state="halt",
    halt=crossing(1, 6.0, 8, 30, 60),
    victim_nodes=("web001",),
    sentence="8 of 30",
)


async def publish(kafka: KafkaSettings, *records: Record) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, linger_ms=20) as producer:
        sent = [
            await producer.send(kafka.topic(topic), value, key=name)
            for topic, name, value in records
        ]
        await asyncio.gather(*sent)


class Noc(Workers):
    """Servers on one port that was free."""

    def __init__(self, kafka: KafkaSettings, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        environment = {"KBW_NOC_PORT": str(self.port), "PYTHONWARNINGS": "ignore"}
        super().__init__(kafka, folder, ("-m", "schemas", "noc"), environment)
        self.url = f"http://127.0.0.1:{self.port}"

    async def get(self, path: str) -> tuple[int, bytes]:
        """Status and body; 0 while nobody listens."""
        try:
            async with aiohttp.ClientSession() as session, session.get(self.url + path) as answer:
                return answer.status, await answer.read()
        except aiohttp.ClientConnectionError:
            return 0, b""

    async def until(self, status: int, path: str = "/readyz") -> bytes:
        found = await eventually(lambda: self.get(path), lambda a: a[0] == status, self.log, 60)
        return found[1]

    async def cards(self) -> dict[str, CaseCard]:
        _, body = await self.get("/api/v1/cases")
        found = msgspec.json.decode(body, type=CaseList)
        return {card.case: replace(card, received_ms=0) for card in found.cases}

    @asynccontextmanager
    async def stream(self, last: str = "") -> AsyncIterator["Browser"]:
        headers = {"Last-Event-ID": last} if last else {}
        timeout = aiohttp.ClientTimeout(total=None, sock_read=60)
        async with (
            aiohttp.ClientSession(timeout=timeout, read_bufsize=2**20) as session,
            session.get(f"{self.url}/events", headers=headers) as response,
        ):
            assert response.status == 200
            yield Browser(response)


class Browser:
    """One stream, event by event."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._lines = response.content
        self.last = ""

    async def next(self) -> tuple[str, bytes]:
        """The name and the data of the next event."""
        name, data = "", b""
        while True:
            line = await self._lines.readline()
            assert line, "the stream ended"
            if line.startswith(b"event: "):
                name = line[7:-1].decode()
            elif line.startswith(b"data: "):
                data = line[6:-1]
            elif line.startswith(b"id: "):
                self.last = line[4:-1].decode()
            elif line == b"\n" and name:
                return name, data

    async def until(self, name: str, holds: Callable[[Any], bool] = bool) -> Any:  # noqa: ANN401 - JSON
        """The data of the first event called ``name`` for which it ``holds``."""
        while True:
            found, data = await self.next()
            if found == name and holds(value := json.loads(data)):
                return value

    async def state(self) -> WallState:
        name, data = await self.next()
        assert name == "state"
        return msgspec.json.decode(data, type=WallState)


@pytest.fixture
def noc(kafka_settings: KafkaSettings, tmp_path: Path) -> Iterator[Noc]:
    servers = Noc(kafka_settings, tmp_path)
    yield servers
    servers.kill_all()


async def test_it_shows_all_that_is_there_and_then_what_comes(
    noc: Noc, kafka_settings: KafkaSettings
) -> None:
    await publish(kafka_settings, *july())
    noc.start()
    await noc.until(200)

    async with noc.stream() as browser:
        state = await browser.state()
        assert [card.state for card in state.cases][:2] == ["halt", "warn"]
        assert sum(ring.nodes for ring in state.cases[0].rings) == 168
        assert len(state.cases[0].history) == 59
        assert state.tick.connected

        await publish(kafka_settings, says(HALTED))
        card = await browser.until("case", lambda c: c["kb"] == "KB5099999")
        assert (card["state"], card["sentence"]) == ("halt", "8 of 30")
        at = patched(node("web001", role="web", site="dub", ring="ring3"), NOW_MS, "KB5099999", "")
        await publish(kafka_settings, evidence("web001", at, offset=2))
        cells = await browser.until("nodes", lambda n: n["case"] == f"default/{HALTED.case}")
        assert cells["states"]["web001"] == "v"
        await publish(kafka_settings, halts(halt(HALTED)))
        assert (await browser.until("halt"))["state"] == "proposed"
        await publish(kafka_settings, closed("default", HALTED.case))
        assert (await browser.until("gone"))["id"] == f"default/{HALTED.case}"
        tick = await browser.until("tick")
        assert tick["connected"]


async def test_many_browsers_get_the_same(noc: Noc, kafka_settings: KafkaSettings) -> None:
    await publish(kafka_settings, *july())
    noc.start()
    await noc.until(200)

    async def watch(ready: asyncio.Semaphore) -> object:
        async with noc.stream() as browser:
            await browser.state()
            ready.release()
            return await browser.until("case", lambda c: c["kb"] == "KB5099999")

    ready = asyncio.Semaphore(0)
    watching = [asyncio.create_task(watch(ready)) for _ in range(20)]
    for _ in watching:
        await ready.acquire()
    await publish(kafka_settings, says(HALTED))
    cards = await asyncio.gather(*watching)

    assert all(card == cards[0] for card in cards)


async def test_a_server_that_is_killed_comes_back_with_everything(
    noc: Noc, kafka_settings: KafkaSettings
) -> None:
    await publish(kafka_settings, *july(), says(HALTED), halts(halt(HALTED)))
    first = noc.start()
    await noc.until(200)
    before = await noc.cards()
    async with noc.stream() as browser:
        await browser.state()
        last = browser.last
    kill(first, noc.log)
    noc.start()
    await noc.until(200)

    assert await noc.cards() == before
    async with noc.stream(last) as browser:
        assert {card.case for card in (await browser.state()).cases} == set(before)


async def test_a_browser_that_was_away_gets_what_it_missed(
    noc: Noc, kafka_settings: KafkaSettings
) -> None:
    await publish(kafka_settings, *july())
    noc.start()
    await noc.until(200)
    async with noc.stream() as browser:
        await browser.state()
        last = browser.last
    await publish(kafka_settings, says(HALTED))
    await eventually(noc.cards, lambda cards: HALTED.case in cards, noc.log)

    async with noc.stream(last) as browser:
        name, _ = await browser.next()
        assert name != "state"


async def test_without_its_topics_it_says_so_and_begins_when_they_are_there(
    bare_settings: Settings, tmp_path: Path
) -> None:
    noc = Noc(bare_settings.kafka, tmp_path)
    try:
        noc.start()
        said = await eventually(
            lambda: noc.get("/readyz"), lambda a: b"lacks 6 topics" in a[1], noc.log
        )
        assert said[0] == 503
        apply_topics(bare_settings)
        await noc.until(200)
    finally:
        noc.kill_all()


async def test_while_kafka_is_away_the_page_looks_stale_and_the_gate_says_nothing(
    tmp_path: Path, namespace: str
) -> None:
    folder = tmp_path / "kafka"
    kafka = KafkaSettings(bootstrap=local.start(folder).bootstrap, namespace=namespace)
    noc = Noc(kafka, tmp_path)
    gate = "/api/v1/gate?kb=KB5062572&branch=20348"
    try:
        apply_topics(Settings(kafka=kafka))
        await publish(kafka, *july())
        noc.start()
        await noc.until(200)
        assert json.loads(await noc.until(200, gate))["answer"] == "go"
        async with noc.stream() as browser:
            await browser.state()
            assert local.stop(folder)
            tick = await browser.until("tick", lambda t: not t["connected"])
            assert tick["server_ms"] - tick["read_ms"] >= 10_000
            refused = await noc.until(503, gate)
            assert b"Kafka does not answer" in refused
            assert (await noc.get("/api/v1/cases"))[0] == 200

            local.start(folder)
            await browser.until("tick", lambda t: t["connected"])
            await publish(kafka, says(HALTED))
            await browser.until("case", lambda c: c["kb"] == "KB5099999")
        assert json.loads(await noc.until(200, gate))["answer"] == "go"
    finally:
        noc.kill_all()
        local.stop(folder)


async def test_it_ends_at_once_with_browsers_connected(
    noc: Noc, kafka_settings: KafkaSettings
) -> None:
    await publish(kafka_settings, *july())
    noc.start()
    await noc.until(200)
    async with noc.stream() as browser:
        await browser.state()
        begin_s = time.monotonic()
        codes = await asyncio.to_thread(noc.stop_all)

    assert codes == {0}
    assert time.monotonic() - begin_s < 10, "it waited for a browser to go"
    assert "Traceback" not in noc.log.read_text()


def command(kafka: KafkaSettings, *words: str) -> subprocess.CompletedProcess[str]:
    settings = ("kafka.bootstrap=" + kafka.bootstrap, "kafka.namespace=" + kafka.namespace)
    options = [word for one in settings for word in ("--set", one)]
    return subprocess.run(
        [sys.executable, "-m", "schemas", *words, *options],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
    )


async def test_what_the_operator_can_mend_is_one_line(kafka_settings: KafkaSettings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        cases: Sequence[tuple[tuple[str, ...], str]] = (
            ((f"noc.port={port}",), f"can't listen on 127.0.0.1:{port}"),
            (("noc.host=0.0.0.0",), "others can reach it; set noc.token_file"),
            (("noc.token_file=absent",), "noc.token_file absent: No such file"),
        )
        for settings, says_so in cases:
            words = [word for one in settings for word in ("--set", one)]
            ran = await asyncio.to_thread(command, kafka_settings, "noc", *words)
            assert ran.returncode == 2
            assert says_so in ran.stderr.splitlines()[-1]
            assert "Traceback" not in ran.stderr


async def test_a_report_is_written_from_kafka(
    kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    await publish(kafka_settings, *july())
    out = tmp_path / "report.html"
    made = await asyncio.to_thread(command, kafka_settings, "report", KB, "--out", str(out))
    unknown = await asyncio.to_thread(command, kafka_settings, "report", "KB1", "--out", str(out))

    assert (made.returncode, made.stdout) == (0, f"{out}: {CASE}, halt\n"), made.stderr
    assert "12 of 47 patched nodes" in out.read_text()
    assert unknown.returncode == 2
    assert unknown.stderr.startswith("kbwatch: no open case 'KB1' in fleet 'default'; there are: ")
