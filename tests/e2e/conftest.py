"""One demo, run as a person runs it; and a NOC server with a browser that looks at it."""

import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Browser, Page

from deploy.local import kafka
from schemas.settings import KafkaSettings, Settings
from streams.topics_admin import apply_topics
from tests.fixtures.noc_stage import Stage, chromium

SEED = "7"


class Demo(NamedTuple):
    """A demo that has ended."""

    out: Path
    recording: Path
    code: int
    text: str
    summary: dict[str, Any]
    cases: dict[str, Any]
    """What the NOC server said of the cases while the demo was held open."""


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """``kbwatch demo --hold`` with a recording, ended by Ctrl-C."""
    out = tmp_path_factory.mktemp("demo")
    recording = out / "reports.jsonl.zst"
    said = out.with_suffix(".txt")
    with said.open("wb") as file:
        process = subprocess.Popen(
            [*_command(out), "--record", str(recording), "--hold"], stdout=file, stderr=file
        )
        try:
            url = _held(process, said)
            with urllib.request.urlopen(f"{url}api/v1/cases", timeout=10) as answer:  # noqa: S310
                cases = json.load(answer)
        finally:
            process.send_signal(signal.SIGINT)
            code = process.wait(60)
    summary = json.loads((out / "summary.json").read_text())
    return Demo(out, recording, code, said.read_text(), summary, cases)


def _held(process: subprocess.Popen[bytes], said: Path) -> str:
    """Wait until the demo is through and held open; the address of its NOC page."""
    deadline = time.monotonic() + 400
    while not (found := re.search(r"^hold +(http\S+) until Ctrl-C", said.read_text(), re.M)):
        assert process.poll() is None, said.read_text()
        assert time.monotonic() < deadline, said.read_text()
        time.sleep(0.2)
    return found[1]


def _command(out: Path) -> list[str]:
    return [sys.executable, "-m", "schemas", "demo", "--seed", SEED, "--out", str(out)]


def run_demo(out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [*_command(out), *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A Kafka of the module's own and, once a test has started it, a NOC server over it."""
    folder = tmp_path_factory.mktemp("noc")
    try:
        kafka_settings = KafkaSettings(bootstrap=kafka.start(folder / "kafka").bootstrap)
        apply_topics(Settings(kafka=kafka_settings))
        made = Stage(kafka_settings, folder)
        try:
            yield made
        finally:
            made.close()
    finally:
        kafka.stop(folder / "kafka")


# Not longer: while playwright lives, no asyncio test can run in this process.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for the tests of a module."""
    with chromium() as launched:
        yield launched


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of a browser profile of its own, on a wall's screen."""
    context = browser.new_context(viewport={"width": 1920, "height": 1080})
    context.set_default_timeout(15_000)
    yield context.new_page()
    context.close()
