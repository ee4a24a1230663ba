"""Recordings: what Kafka had comes back as it was, bad records included."""

from pathlib import Path

import pytest

from schemas.codec import encode
from schemas.errors import KbwatchError
from schemas.reports import NodeReport
from streams.recording import Place, Recorded, line, opened, read
from tests.fixtures.stories import DAY, a_node, died

REPORT = a_node("hv01", "c1").report(died("ClusSvc", DAY))
RAW = encode(REPORT)


@pytest.fixture(params=["r.jsonl", "r.jsonl.zst"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / str(request.param)


def write(path: Path, *lines: bytes) -> Path:
    with opened(path, "wb") as file:
        for text in lines:
            file.write(text)
    return path


def test_a_record_comes_back_with_its_append_time(path: Path) -> None:
    write(path, line(5, RAW), line(6, RAW))
    assert list(read(path)) == [Recorded(5, REPORT), Recorded(6, REPORT)]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"\xff\x00 no JSON", "malformed"),
        (b"", "malformed"),
        (b'{"v":1}', "invalid"),
        (RAW.replace(b'"v":1', b'"v":2'), "version"),
    ],
)
def test_a_record_that_does_not_decode_comes_back_as_the_bytes_it_was(
    path: Path, raw: bytes, reason: str
) -> None:
    write(path, line(5, raw), line(6, RAW))
    dead, good = read(path)
    assert (dead.append_ms, dead.report, dead.raw) == (5, None, raw)
    assert dead.reason.startswith(reason)
    assert good.report == REPORT


def test_a_record_with_line_breaks_stays_one_line(path: Path) -> None:
    pretty = RAW.replace(b",", b",\r\n")
    assert line(5, pretty).count(b"\n") == 1
    assert list(read(write(path, line(5, pretty)))) == [Recorded(5, REPORT)]


def test_a_bare_report_is_taken_as_appended_when_it_was_sent(path: Path) -> None:
    assert list(read(write(path, RAW + b"\n"))) == [Recorded(REPORT.sent_ms, REPORT)]


def test_blank_lines_and_a_missing_last_line_feed_do_not_matter(path: Path) -> None:
    write(path, b"\n", line(5, RAW), b"  \n", line(6, RAW).rstrip())
    assert [r.append_ms for r in read(path)] == [5, 6]


@pytest.mark.parametrize(
    "bad",
    [
        b"not JSON\n",
        b"[1, 2]\n",
        b'{"append_ms": "noon", "report": {}}\n',
        b'{"append_ms": 5, "raw": "abc"}\n',
        b'{"v": 1, "fleet": "f"}\n',
    ],
)
def test_what_is_no_recording_is_named_with_file_and_line(path: Path, bad: bytes) -> None:
    write(path, line(5, RAW), b"\n", bad)
    with pytest.raises(KbwatchError) as caught:
        list(read(path))
    assert f"{path}:3: " in str(caught.value)


def test_a_file_that_is_not_there(path: Path) -> None:
    with pytest.raises(KbwatchError, match="No such file"):
        list(read(path))


def test_a_file_that_is_not_compressed_as_its_name_says(tmp_path: Path) -> None:
    plain = tmp_path / "plain.jsonl.zst"
    plain.write_bytes(line(5, RAW))
    with pytest.raises(KbwatchError, match="not readable as zstd"):
        list(read(plain))


def test_a_recording_is_read_as_it_is_needed(path: Path) -> None:
    records = read(write(path, line(5, RAW), b"not JSON\n"))
    assert next(records).report == REPORT


def test_reports_and_dead_letters_are_told_apart() -> None:
    assert isinstance(Recorded(1, REPORT).report, NodeReport)
    assert Recorded(1, None, b"x", "malformed: x").report is None


def test_a_windows_log_is_not_a_recording_and_says_what_to_do(tmp_path: Path) -> None:
    log = tmp_path / "System.evtx"
    log.write_bytes(b"ElfFile\0" + bytes(100))
    with pytest.raises(
        KbwatchError, match=r"System\.evtx.*use kbwatch-collector replay-evtx first"
    ):
        list(read(log))


def test_what_is_added_later_is_read_on(path: Path) -> None:
    write(path, line(5, RAW))
    with opened(path, "ab") as file:
        file.write(line(6, RAW))
    assert [record.append_ms for record in read(path)] == [5, 6]


def test_a_line_says_where_its_record_lay(path: Path) -> None:
    text = line(5, RAW, Place(partition=2, offset=17))
    assert text.startswith(b'{"append_ms":5,"partition":2,"offset":17,"report":{')
    assert list(read(write(path, text))) == [Recorded(5, REPORT)]


@pytest.mark.parametrize("raw", [RAW, b"no JSON"])
def test_what_the_detector_refuses_is_a_dead_letter_even_if_it_decodes(
    path: Path, raw: bytes
) -> None:
    text = line(5, raw, Place(2, 17), refused="key: of another domain")
    assert list(read(write(path, text))) == [Recorded(5, None, raw, "key: of another domain")]
