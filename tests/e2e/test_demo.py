"""The main job, as a new user sees it: ``kbwatch demo`` from start to end."""

import json
import os
import signal
import subprocess
import sys
import time
from bisect import bisect
from pathlib import Path
from typing import Any

import pytest

from schemas.clickhouse.socket_store import open_queries
from schemas.settings import DetectorSettings, StoreSettings
from streams.demo.player import AHEAD
from streams.recording import read
from streams.regbench.clock import HOUR_MS
from streams.regbench.scenarios.kb5062557 import Scenario
from streams.regbench.stories import BRANCH
from streams.replay import replay
from tests.e2e.conftest import SEED, Demo, run_demo
from tests.fixtures.noc_stage import CHROMIUM

pytestmark = pytest.mark.slow

GUILTY = "KB5062557@17763"
BENIGN = "KB5062572@20348"
# StartTime of the first boot on 17134.165 in the real log: 2018-07-12 00:41:50.496Z.
REAL_EFFECTIVE_MS = 1_531_356_110_496


def test_the_case_is_caught_and_nothing_else(demo: Demo) -> None:
    assert demo.code == 0, demo.text
    summary = demo.summary
    assert summary["case"] == GUILTY
    assert summary["halted"]
    assert summary["false_halts"] == []
    assert summary["notices"] == [BENIGN]
    assert summary["signature"] == "scm/7031/clussvc"
    assert 1 <= summary["victims_at_halt"] <= 6
    assert summary["nodes_total"] == 480
    assert summary["applicable_unpatched_at_halt"] > 100


def test_nothing_else_was_warned_of_on_the_way(demo: Demo) -> None:
    """Partitions drift apart while the demo plays: none of it may look like failing nodes."""
    warned = [line for line in demo.text.splitlines() if line[11:].startswith("WARN")]
    assert [line.split()[3] for line in warned] == [GUILTY]
    assert "silence" not in demo.text


def test_the_victims_are_counted_by_the_truth(demo: Demo) -> None:
    truth = Scenario(seed=int(SEED)).truth
    crossed_ms = demo.summary["crossed_ms"]
    assert demo.summary["victims_at_halt"] == sum(t <= crossed_ms for t in truth.victims.values())
    assert demo.summary["first_victim_ms"] == min(truth.victims.values())


def test_every_element_is_stored_or_dead_lettered(demo: Demo) -> None:
    records = demo.summary["records"]
    assert records["dead_lettered"] == 25
    assert records["duplicates"] > 0
    assert records["produced"] > 250_000
    assert records["produced"] == (
        records["stored"] + records["duplicates"] + records["dead_lettered"]
    )


def test_the_webhook_arrives_signed(demo: Demo) -> None:
    webhook = demo.summary["webhook"]
    assert webhook["delivered"]
    assert webhook["signature_verified"]
    receipts = (demo.out / "data" / "receipts.jsonl").read_text().splitlines()
    assert len(receipts) == 1
    body = json.loads(json.loads(receipts[0])["body"])
    assert body["type"] == "halt.active"
    assert body["data"]["case"] == GUILTY


def test_the_staged_nodes_are_listed(demo: Demo) -> None:
    """Exact where time is exact (tests/functional/test_staged.py); the demo plays faster, so one
    partition may be behind the others by what the player may be ahead."""
    staged = (demo.out / "staged.txt").read_text().split()
    scenario = Scenario(seed=int(SEED))
    truth = scenario.truth
    arrivals = [sent.append_ms for sent in scenario.stream()]
    crossed = bisect(arrivals, demo.summary["crossed_ms"])
    first_ms, last_ms = (arrivals[crossed + records] for records in (-AHEAD, AHEAD))
    assert staged
    for node in staged:
        assert truth.staged[node] < last_ms
        assert truth.effective[node] > first_ms
    sure = {
        node.name
        for node in scenario.nodes
        if node.branch == BRANCH
        and truth.staged[node.name] < first_ms - HOUR_MS  # the latest report is an hour late
        and truth.effective[node.name] > last_ms
    }
    assert set() != sure <= set(staged)


def test_the_real_log_goes_through_the_same_pipeline(demo: Demo) -> None:
    assert demo.summary["real"] == {
        "file": "win10-17134-System.evtx",
        "records": 1160,
        "stored": 1160,
        "case": "KB4338819@17134",
        "effective_ms": REAL_EFFECTIVE_MS,
        "verdict": "inconclusive",
    }
    assert "boot 2018-07-12 00:41:50Z on build 17134.165" in demo.text


def test_a_replay_of_the_recording_comes_to_the_same(demo: Demo) -> None:
    replayed = replay(read(demo.recording), DetectorSettings())
    assert replayed.dead_lettered == 25
    assert len(replayed.verdicts) > 5
    stored = StoreSettings(str(demo.out / "store"), str(demo.out / "no.sock"))
    with open_queries(stored) as queries:
        for verdict in replayed.verdicts:
            rows = queries.run("verdict_history", {"case": verdict.case, "limit": 100_000})
            last = max(rows.dicts(), key=lambda row: row["asof_ms"])
            assert last["state"] == verdict.state
            assert last["log_e"] == pytest.approx(verdict.log_e, abs=1e-6)
            assert last["sentence"] == verdict.sentence


def test_the_noc_page_shows_it_until_ctrl_c(demo: Demo) -> None:
    cards = {card["case"]: card for card in demo.cases["cases"]}
    guilty = cards[GUILTY]
    assert guilty["state"] == "halt"
    assert guilty["halt"] == "active"
    assert guilty["steps"][0]["kind"] == "victims"
    assert cards[BENIGN]["state"] == "notice"


def test_a_picture_of_the_noc_page_is_taken_where_there_is_a_browser(demo: Demo) -> None:
    if CHROMIUM.exists():
        assert (demo.out / "noc.png").read_bytes().startswith(b"\x89PNG")
    else:
        assert "no picture: no browser is installed" in demo.text


def test_explain_reads_the_recording(demo: Demo) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "schemas", "explain", GUILTY, str(demo.recording)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "scm/7031/clussvc" in done.stdout
    assert "0.005" in done.stdout


def test_nothing_keeps_running(demo: Demo) -> None:
    assert _processes_of(demo.out) == []


def test_the_harmless_month_halts_nothing(tmp_path: Path) -> None:
    done = run_demo(tmp_path, "--harmless")
    assert done.returncode == 0, done.stdout + done.stderr
    summary: dict[str, Any] = json.loads((tmp_path / "summary.json").read_text())
    assert not summary["halted"]
    assert summary["false_halts"] == []
    assert not summary["webhook"]["delivered"]
    assert summary["notices"] == [BENIGN]


def test_ctrl_c_stops_everything(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "schemas", "demo", "--seed", SEED, "--out", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        log = tmp_path / "logs" / "sink.log"
        deadline = time.monotonic() + 90
        while not (log.exists() and log.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert len(_processes_of(tmp_path)) >= 5  # broker, detector, halts, sink, receiver
    finally:
        process.send_signal(signal.SIGINT)
        text, _ = process.communicate(timeout=60)
    assert process.returncode == 130, text
    assert "Traceback" not in text
    assert _processes_of(tmp_path) == []


def _processes_of(folder: Path) -> list[str]:
    """Command lines of running processes that name the folder, the demo itself apart."""
    names = {str(folder), os.path.relpath(folder)}
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if any(name in words for name in names) and " schemas demo " not in words:
            found.append(words)
    return found
