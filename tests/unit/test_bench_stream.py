"""Streams of the benchmark: what is written is read, and nothing malformed is."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import zstandard

from schemas.errors import KbwatchError
from streams.regbench.bench.stream import (
    Class,
    End,
    Event,
    Fleet,
    Heartbeat,
    Impact,
    Install,
    Line,
    Node,
    Uninstall,
)
from streams.regbench.bench.stream_file import MAX_LINE_BYTES, read, write
from streams.regbench.bench.truth import (
    KbTruth,
    read_truth,
    rollout_name,
    truth_name,
    truth_of,
    write_truth,
)

LINES: list[Line] = [
    Fleet(1, "f0007", 1_000, 9_000),
    Node("n1", "hyperv", "17763", "s3", "c0017", 0, "r1", {"bitlocker": True, "make": "x"}),
    Node("n2", "web", "20348", "s1", "n2", 2_000),
    Install(5_000, "n1", "KB9000007"),
    Event(6_000, "n1", "service", "scm/7031/clussvc", "outage", "n2"),
    Event(5_500, "n2", "other", "x", "none"),
    Heartbeat(1_000, "n1"),
    Uninstall(9_000, "n1", "KB9000007"),
    End(9_000),
]
FLEET = '{"type":"fleet","v":1,"fleet":"f","start":1000,"end":9000}'
NODE = (
    '{"type":"node","node":"n1","role":"web","branch":"17763","site":"s1","domain":"n1","t":1000}'
)
EVENT = '{"type":"event","t":2000,"node":"n1","class":"service","signature":"x","impact":"none"}'
END = '{"type":"end","t":9000}'


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.zst"])
def test_what_is_written_is_read(tmp_path: Path, name: str) -> None:
    assert write(tmp_path / name, LINES) == len(LINES)
    assert list(read(tmp_path / name)) == LINES


def test_lines_are_as_the_format_says(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write(path, LINES)
    said = [json.loads(text) for text in path.read_text().splitlines()]
    assert said[0] == {"type": "fleet", "v": 1, "fleet": "f0007", "start": 1000, "end": 9000}
    assert said[1] == {
        "type": "node",
        "node": "n1",
        "role": "hyperv",
        "branch": "17763",
        "site": "s3",
        "domain": "c0017",
        "ring": "r1",
        "covariates": {"bitlocker": True, "make": "x"},
        "t": 0,
    }
    assert said[3] == {"type": "install", "t": 5000, "node": "n1", "kb": "KB9000007"}
    assert said[4] == {
        "type": "event",
        "t": 6000,
        "node": "n1",
        "class": "service",
        "signature": "scm/7031/clussvc",
        "impact": "outage",
        "about": "n2",
    }
    assert "about" not in said[5]
    assert said[6] == {"type": "heartbeat", "t": 1000, "node": "n1"}
    assert said[7]["type"] == "uninstall"
    assert said[8] == {"type": "end", "t": 9000}


def test_every_class_and_impact_is_read(tmp_path: Path) -> None:
    texts = [
        EVENT.replace('"service"', f'"{cls}"').replace('"none"', f'"{impact}"')
        for cls in get_args(Class)
        for impact in get_args(Impact)
    ]
    path = _file(tmp_path, FLEET, NODE, *texts, END)
    assert len([line for line in read(path) if isinstance(line, Event)]) == 27


def test_a_file_that_says_more_or_ends_without_a_line_feed_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{FLEET}\n{NODE[:-1]},"os":"2019"}}\n{END}')
    assert len(list(read(path))) == 3


def test_a_file_of_several_zstd_frames_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.zst"
    frames = [zstandard.compress(f"{text}\n".encode()) for text in (FLEET, NODE, EVENT, END)]
    path.write_bytes(b"".join(frames))
    assert len(list(read(path))) == 4


@pytest.mark.parametrize(
    ("texts", "line", "reason"),
    [
        ([FLEET, NODE, "{", END], 3, "truncated"),
        ([FLEET, NODE, "", END], 3, "empty line"),
        ([FLEET, NODE, "[]", END], 3, "Expected `object`"),
        ([FLEET, NODE, "[" * 100_000, END], 3, "array"),
        ([FLEET, NODE, '{"type":"reboot","t":2000,"node":"n1"}', END], 3, "reboot"),
        ([FLEET, NODE, EVENT.replace('"n1"', '"n2"'), END], 3, "'n2' has not been declared"),
        ([FLEET, EVENT, NODE, END], 2, "'n1' has not been declared"),
        ([FLEET, NODE, EVENT[:-1] + ',"about":"n9"}', END], 3, "about 'n9'"),
        ([EVENT, FLEET, NODE, END], 1, "event line before the fleet line"),
        ([END], 1, "end line before the fleet line"),
        ([FLEET, FLEET, END], 2, "a second fleet line"),
        ([FLEET, NODE, NODE, END], 3, "'n1' is declared twice"),
        ([FLEET, NODE, EVENT], 4, "without an end line"),
        ([FLEET, NODE, END, EVENT], 4, "a line after the end line"),
        ([FLEET, NODE, EVENT.replace('"service"', '"disk"'), END], 3, "disk"),
        ([FLEET, NODE, EVENT.replace('"none"', '"bad"'), END], 3, "bad"),
        ([FLEET, NODE, EVENT.replace("2000", "999"), END], 3, "t 999 is outside"),
        ([FLEET, NODE, EVENT.replace("2000", "9001"), END], 3, "t 9001 is outside"),
        ([FLEET, NODE, EVENT.replace("2000", '"2000"'), END], 3, "Expected `int`"),
        ([FLEET, NODE, EVENT.replace("2000", "1e300"), END], 3, "Expected `int`"),
        ([FLEET, NODE.replace('"t":1000', '"t":9001'), END], 2, "after the period's end"),
        ([FLEET, NODE.replace('"n1"', '""'), END], 2, "length"),
        ([FLEET, NODE, EVENT.replace(',"signature":"x"', ""), END], 3, "signature"),
        ([FLEET, NODE, END.replace("9000", "9001")], 3, "outside the period"),
        ([FLEET.replace('"v":1', '"v":2'), END], 1, "2"),
        ([FLEET.replace('"v":1,', ""), END], 1, "`v`"),
        ([FLEET.replace("9000", "1000"), END], 1, "not after its start"),
        ([FLEET.replace("1000", "-1"), END], 1, ">= 0"),
    ],
)
def test_a_malformed_stream_is_refused_with_its_line(
    tmp_path: Path, texts: list[str], line: int, reason: str
) -> None:
    path = _file(tmp_path, *texts)
    with pytest.raises(KbwatchError) as refused:
        list(read(path))
    assert str(refused.value).startswith(f"{path}:{line}: ")
    assert reason in str(refused.value)


@pytest.mark.parametrize("text", [b"", b"\xff\xfe\n", FLEET.encode().replace(b'"f"', b'"\xff"')])
def test_a_file_that_is_no_stream_is_refused(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(text)
    with pytest.raises(KbwatchError, match=r"a\.jsonl:1: "):
        list(read(path))


def test_lines_are_counted_across_blocks(tmp_path: Path) -> None:
    path = _file(tmp_path, FLEET, NODE, *[EVENT] * 20_000, "nonsense", END)
    with pytest.raises(KbwatchError, match=r"a\.jsonl:20003: "):
        list(read(path))


def test_a_line_without_end_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(zstandard.compress(FLEET.encode() + b"\n" + b" " * (4 * MAX_LINE_BYTES)))
    with pytest.raises(KbwatchError, match=r"a\.jsonl\.zst:2: a line of more than"):
        list(read(path))


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.6, 0.99])
def test_a_truncated_zstd_file_is_refused(tmp_path: Path, kept: float) -> None:
    whole = tmp_path / "whole.jsonl.zst"
    events = [Event(1_000 + i, "n2", "crash", f"bugcheck/{i * i}", "outage") for i in range(5_000)]
    write(whole, [*LINES[:3], *events, LINES[-1]])
    cut = tmp_path / "cut.jsonl.zst"
    cut.write_bytes(whole.read_bytes()[: int(kept * whole.stat().st_size)])
    with pytest.raises(KbwatchError, match=r"cut\.jsonl\.zst:\d+: "):
        list(read(cut))


def test_a_damaged_zstd_file_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.zst"
    path.write_text(FLEET)
    with pytest.raises(KbwatchError, match=r"a\.jsonl\.zst:1: not readable as zstd"):
        list(read(path))
    with pytest.raises(KbwatchError, match="No such file"):
        list(read(tmp_path / "none.jsonl"))


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    def broken() -> Iterator[Line]:
        yield from LINES
        raise KbwatchError("no more")

    with pytest.raises(KbwatchError, match="no more"):
        write(tmp_path / "a.jsonl", broken())
    assert list(tmp_path.iterdir()) == []


def test_truth_is_read_as_written(tmp_path: Path) -> None:
    truths = [
        KbTruth("KB1", True, ("17763",), "x", ("role=hyperv",), (("n1", 5), ("n2", 7))),
        KbTruth("KB1", False, ("14393", "20348")),
    ]
    path = tmp_path / truth_name(3)
    write_truth(path, truths)
    assert read_truth(path) == truths
    assert json.loads(path.read_text())[0] == {
        "kb": "KB1",
        "harmful": True,
        "branches": ["17763"],
        "signature": "x",
        "rule": ["role=hyperv"],
        "caused": [["n1", 5], ["n2", 7]],
    }


def test_a_stream_s_name_tells_its_truth_s() -> None:
    assert truth_of(rollout_name(3)) == truth_name(3) == "truth-0003.json"
    assert truth_of("rollout-0003.jsonl") == "truth-0003.json"
    with pytest.raises(KbwatchError, match="mine"):
        truth_of("mine.jsonl")


def test_a_file_that_is_no_truth_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "truth-0000.json"
    path.write_text('[{"kb":"KB1"}]')
    with pytest.raises(KbwatchError, match=r"truth-0000\.json: not a truth file"):
        read_truth(path)


def _file(tmp_path: Path, *texts: str) -> Path:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f"{text}\n" for text in texts))
    return path
