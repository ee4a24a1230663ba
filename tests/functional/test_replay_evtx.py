"""``kbwatch-collector replay-evtx`` on recorded logs: nothing lost, nothing twice, times right."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import zstandard

from collectors.pipeline.recorded import Recorded, recorded
from collectors.settings import RedactSettings
from collectors.sources.evtx_file import read_log
from schemas.codec import MAX_MESSAGE_BYTES, decode, encode
from schemas.errors import KbwatchError
from schemas.reports import Boot, Event, Facts, NodeReport, PatchState
from schemas.windows.system_time import time_ms
from schemas.windows.taxonomy import classify

ROOT = Path(__file__).parents[2]
WIN10 = ROOT / "streams" / "regbench" / "data" / "win10-17134-System.evtx"
WIN7 = ROOT / "tests" / "fixtures" / "evtx" / "win7-System.evtx"


def replay(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "collectors.cli", "replay-evtx", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=60)


def reports_of(path: Path) -> Recorded:
    return recorded(read_log(path).events, "default", "unknown", RedactSettings())


def off(*rules: str) -> list[str]:
    return [word for rule in rules for word in ("--set", f"redact.{rule}=false")]


def classified(lines: bytes) -> list[object]:
    reports = [decode(line, NodeReport) for line in lines.splitlines()]
    records = [record for report in reports for record in report.records]
    return [classify(r) if isinstance(r, Event) else r for r in records]


@pytest.fixture(scope="module")
def win10() -> list[NodeReport]:
    return list(reports_of(WIN10).reports)


@pytest.mark.parametrize(
    ("path", "node", "records"), [(WIN10, "desktop-1n4r894", 1160), (WIN7, "wks-win764bitb", 1601)]
)
def test_every_record_of_the_file_comes_once(path: Path, node: str, records: int) -> None:
    log, made = read_log(path), reports_of(path)
    assert (len(log.events), log.unreadable) == (records, ())
    assert (made.node, made.unfit) == (node, ())
    seen: Counter[tuple[int, str]] = Counter()
    for report in made.reports:
        for record in report.records:
            if isinstance(record, Event | Boot | PatchState):
                seen[record.record_id, getattr(record, "kb", "")] += 1
    assert len({record_id for record_id, _ in seen}) == records
    assert set(seen.values()) == {1}


def test_reports_are_what_the_topic_promises(win10: list[NodeReport]) -> None:
    for report in win10:
        raw = encode(report)
        assert len(raw) <= MAX_MESSAGE_BYTES
        assert len(report.records) <= 50
        assert decode(raw, NodeReport) == report
        assert (report.node, report.domain) == ("desktop-1n4r894", "desktop-1n4r894")
        assert (report.fleet, report.site, report.heartbeat_s) == ("default", "unknown", 0)


def test_the_first_record_says_what_the_node_is(win10: list[NodeReport]) -> None:
    facts = win10[0].records[0]
    assert isinstance(facts, Facts)
    assert (facts.role, facts.branch) == ("server", "17134")
    assert not [r for report in win10 for r in report.records[1:] if isinstance(r, Facts)]


def test_reports_carry_the_boot_that_ran(win10: list[NodeReport]) -> None:
    boots = [0]
    for report in win10:
        boots += [record.t_ms for record in report.records if isinstance(record, Boot)]
        assert report.boot_ms == boots[-1]
    assert len(boots) == 4


def test_the_update_of_july_2018_took_effect_at_the_boot_not_at_event_19(
    win10: list[NodeReport],
) -> None:
    records = [record for report in win10 for record in report.records]
    boots = [record for record in records if isinstance(record, Boot)]
    assert [boot.build for boot in boots] == ["17134.137", "17134.137", "17134.165"]
    assert [boot.clean for boot in boots] == [None, True, True]
    assert boots[-1].t_ms == time_ms("2018-07-12T00:41:50.496Z")

    steps = [r for r in records if isinstance(r, PatchState) and r.kb == "KB4338819"]
    assert [step.state for step in steps[:3]] == ["offered", "installing", "confirmed"]
    assert {step.build for step in steps} == {"17134.165"}
    installing, confirmed = steps[1], steps[2]
    assert installing.t_ms < boots[-1].t_ms < confirmed.t_ms
    assert confirmed.t_ms == time_ms("2018-07-12T00:44:15.269Z")


def test_unexpected_restarts_are_seen_and_are_not_clean() -> None:
    records = [r for report in reports_of(WIN7).reports for r in report.records]
    assert [r.clean for r in records if isinstance(r, Boot)] == [True, True, True, False, False]
    symptoms = [classify(r) for r in records if isinstance(r, Event)]
    outages = Counter(s.signature for s in symptoms if s is not None and s.impact == "outage")
    assert outages == {
        "eventlog/6008": 2,
        "kernel-power/41": 1,
        "kernel-power/41/0x10001": 1,
        "wer-systemerrorreporting/1001/0x10001": 1,
    }


class TestDamage:
    def test_reading_goes_on_behind_damaged_records(self, tmp_path: Path) -> None:
        raw = bytearray(WIN10.read_bytes())
        chunk = 4096 + 2 * 65536
        raw[chunk : chunk + 8] = b"damaged!"
        damaged = tmp_path / "damaged.evtx"
        damaged.write_bytes(raw)
        log = read_log(damaged)
        assert 1000 < len(log.events) < 1160
        assert len(log.unreadable) == 1
        assert "ElfChnk0" in log.unreadable[0]

        run = replay(str(damaged), "--out", str(tmp_path / "out.jsonl"))
        assert run.returncode == 0
        assert b"1 unreadable" in run.stderr

    def test_a_log_that_ends_inside_a_chunk_is_read_and_said_to_be_truncated(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "cut.evtx"
        path.write_bytes(WIN10.read_bytes()[:100_000])
        log = read_log(path)
        assert len(log.events) > 100
        assert log.unreadable == ("ends inside a chunk: truncated?",)

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            (b"", "is empty"),
            (b"not a log", "is no .evtx file"),
            (WIN10.read_bytes()[:4096], "no readable record"),
        ],
    )
    def test_what_is_no_log_is_refused(self, tmp_path: Path, content: bytes, says: str) -> None:
        path = tmp_path / "x.evtx"
        path.write_bytes(content)
        with pytest.raises(KbwatchError, match=rf"x\.evtx: {says}"):
            read_log(path)


class TestCommand:
    def test_one_report_a_line_on_standard_output(self) -> None:
        run = replay(str(WIN10), str(WIN7), "--fleet", "lab", "--site", "berlin")
        assert run.returncode == 0
        reports = [decode(line, NodeReport) for line in run.stdout.splitlines()]
        assert {(r.fleet, r.site) for r in reports} == {("lab", "berlin")}
        assert [r.node for r in reports] == sorted(r.node for r in reports)
        assert all(r.sent_ms > time_ms("2026-01-01T00:00:00Z") for r in reports)
        assert b"1160 records" in run.stderr
        assert b"1601 records" in run.stderr

    def test_the_same_to_a_file(self, tmp_path: Path) -> None:
        out = tmp_path / "reports.jsonl"
        assert replay(str(WIN10), "--out", str(out)).returncode == 0
        reports = [decode(line, NodeReport) for line in out.read_bytes().splitlines()]
        assert sum(len(report.records) for report in reports) == 1161

    def test_it_redacts_as_a_node_would(self) -> None:
        plain = replay(str(WIN10), *off("users", "sids", "addresses", "command_lines")).stdout
        hidden = replay(str(WIN10)).stdout
        assert b"mpowers" in plain
        assert b"mpowers" not in hidden
        assert not re.search(rb"S-1-5-21-[\d-]+", hidden)
        assert classified(plain) == classified(hidden)

    def test_addresses_are_hidden_too(self) -> None:
        assert b"10.3.58.4" in replay(str(WIN7), *off("addresses")).stdout
        assert b"10.3.58.4" not in replay(str(WIN7)).stdout

    def test_what_is_sent_is_what_settings_say(self, tmp_path: Path) -> None:
        config = tmp_path / "collector.toml"
        config.write_text("[node]\nfleet = 'lab'\n[kafka]\nsasl = 'plain'\nbootstrap = 'b:9092'")
        run = replay(str(WIN10), "--config", str(config))
        assert decode(run.stdout.splitlines()[0], NodeReport).fleet == "lab"
        run = replay(str(WIN10), "--config", str(config), "--send")
        assert run.returncode == 2
        assert b"kafka.username needs to be set" in run.stderr

    def test_a_name_that_ends_in_zst_is_written_as_zstd(self, tmp_path: Path) -> None:
        out = tmp_path / "reports.jsonl.zst"
        assert replay(str(WIN10), "--out", str(out)).returncode == 0
        with zstandard.open(out, "rb") as file:
            lines = file.read().splitlines()
        assert sum(len(decode(line, NodeReport).records) for line in lines) == 1161

    def test_a_log_that_is_none_leaves_what_was_there(self, tmp_path: Path) -> None:
        out = tmp_path / "reports.jsonl"
        out.write_text("kept")
        assert replay(str(WIN10), __file__, "--out", str(out)).returncode == 2
        assert out.read_text() == "kept"
        assert list(tmp_path.iterdir()) == [out]

    def test_version(self) -> None:
        command = [sys.executable, "-m", "collectors.cli", "--version"]
        said = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=60)
        assert said.stdout.startswith(b"kbwatch-collector ")

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["/nowhere/System.evtx"], "/nowhere/System.evtx"),
            ([__file__], "test_replay_evtx.py: is no .evtx file"),
            ([str(ROOT)], "is a folder"),
            ([str(WIN10), "--out", str(ROOT)], "is a folder"),
            ([str(WIN10), "--out", "/dev/full"], "No space left on device"),
            ([str(WIN10), "--out", "/nowhere/x.jsonl"], "/nowhere/x.jsonl"),
            ([str(WIN10), "--fleet", "a|b"], "--fleet"),
            ([str(WIN10), "--out", "x", "--bootstrap", "127.0.0.1:1"], "not both"),
            (
                [str(WIN10), "--bootstrap", "127.0.0.1:1", "--timeout-s", "0.5"],
                "Kafka at 127.0.0.1:1: no answer",
            ),
        ],
    )
    def test_errors_are_one_line_and_exit_2(self, arguments: list[str], says: str) -> None:
        run = replay(*arguments)
        assert run.returncode == 2
        (line,) = run.stderr.decode().splitlines()
        assert line.startswith("kbwatch-collector: ")
        assert says in line
