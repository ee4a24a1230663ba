"""kbwatch record: where a recording ends, what is left to record, and what is kept of a crash."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from aiokafka import ConsumerRecord

from schemas.codec import encode
from schemas.errors import KbwatchError
from schemas.topics import NODE_REPORTS, all_topics
from streams.kafka_io import Span, partition_of
from streams.record import take
from streams.record.cli import instant_ms
from streams.record.file import Mark, alone, append, marks
from streams.record.take import Written, after, told
from streams.recording import Place, line, read
from tests.fixtures.stories import DAY, a_node, died

RAW = encode(a_node("hv01", "c1").report(died("ClusSvc", DAY)))


def a_line(append_ms: int, partition: int, offset: int) -> bytes:
    return line(append_ms, RAW, Place(partition, offset))


@pytest.fixture(params=["r.jsonl", "r.jsonl.zst"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / str(request.param)


class TestWhereItEnds:
    def test_the_last_line_of_each_partition_counts(self, path: Path) -> None:
        append(path, [a_line(5, 0, 10), a_line(6, 3, 7)])
        append(path, [a_line(8, 0, 11)])
        assert marks(path) == {0: Mark(8, 0, 11), 3: Mark(6, 3, 7)}

    def test_an_empty_file_ends_nowhere(self, path: Path) -> None:
        path.touch()
        assert marks(path) == {}

    @pytest.mark.parametrize("lost_bytes", [1, 40])
    def test_what_a_killed_writer_left_unfinished_is_cut_off(
        self, path: Path, lost_bytes: int
    ) -> None:
        append(path, [a_line(5, 0, 10)])
        whole = path.read_bytes()
        append(path, [a_line(6, 0, 11)])
        os.truncate(path, path.stat().st_size - lost_bytes)
        assert marks(path) == {0: Mark(5, 0, 10)}
        assert path.read_bytes() == whole
        append(path, [a_line(6, 0, 11)])
        assert [record.append_ms for record in read(path)] == [5, 6]

    @pytest.mark.parametrize("kept_bytes", [1, 15, 40, 200])
    def test_a_writer_killed_within_its_first_line_left_nothing(
        self, tmp_path: Path, kept_bytes: int
    ) -> None:
        plain = tmp_path / "r.jsonl"
        plain.write_bytes(a_line(1_752_012_000_000, 0, 10)[:kept_bytes])
        assert marks(plain) == {}
        assert plain.read_bytes() == b""

    @pytest.mark.parametrize(
        "text",
        [RAW + b"\n", line(5, RAW), line(5, RAW).rstrip(), b"my notes, without an end"],
    )
    def test_another_file_is_refused_and_stays_as_it_is(self, path: Path, text: bytes) -> None:
        append(path, [text])
        before = path.read_bytes()
        with pytest.raises(KbwatchError, match=r":1: does not say where in Kafka it was"):
            marks(path)
        assert path.read_bytes() == before

    def test_what_is_no_zstd_is_refused(self, tmp_path: Path) -> None:
        plain = tmp_path / "plain.jsonl.zst"
        plain.write_bytes(a_line(5, 0, 10))
        with pytest.raises(KbwatchError, match="not readable as zstd"):
            marks(plain)


HELD = {0: Span(100, 200), 1: Span(0, 50)}


class TestWhatIsLeft:
    def test_all_of_it_when_nothing_is_recorded(self) -> None:
        assert after(HELD, {}) == (HELD, 0)

    def test_what_comes_after_the_last_recorded_record(self) -> None:
        todo, missed = after(HELD, {0: Mark(5, 0, 149), 1: Mark(5, 1, 49)})
        assert (todo, missed) == ({0: Span(150, 200), 1: Span(50, 50)}, 0)

    def test_what_kafka_deleted_meanwhile_is_counted(self) -> None:
        todo, missed = after(HELD, {0: Mark(5, 0, 39)})
        assert (todo[0], missed) == (Span(100, 200), 60)

    def test_an_end_before_the_recording_ends_leaves_nothing(self) -> None:
        todo, _ = after(HELD, {0: Mark(5, 0, 300)})
        assert todo[0] == Span(301, 301)


def a_record(offset: int, record_key: bytes = b"default|c1") -> ConsumerRecord:
    partition = partition_of(b"default|c1", all_topics()[NODE_REPORTS].partitions)
    return SimpleNamespace(
        partition=partition, offset=offset, timestamp=1_000 - offset, key=record_key, value=RAW
    )


class TestWriting:
    async def test_every_full_block_is_in_the_file_at_once(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(take, "_BLOCK_BYTES", 2 * len(RAW))
        seen: list[tuple[int, int]] = []

        async def records() -> AsyncIterator[ConsumerRecord]:
            for offset in range(5):
                yield a_record(offset)

        def said(done: int) -> None:
            seen.append((done, len(list(read(path)))))

        count = await take.write(path, records(), said)
        assert seen == [(2, 2), (4, 4)]
        assert len(list(read(path))) == count.records == 5
        assert (count.first_ms, count.last_ms, count.refused) == (996, 1_000, 0)

    async def test_what_was_read_stays_whatever_ends_it(self, path: Path) -> None:
        async def records() -> AsyncIterator[ConsumerRecord]:
            yield a_record(0)
            yield a_record(1, record_key=b"default|another")
            raise asyncio.CancelledError

        with pytest.raises(asyncio.CancelledError):
            await take.write(path, records(), lambda _: None)
        good, refused = read(path)
        assert (good.report is not None, refused.report) == (True, None)
        assert refused.reason.startswith("key: ")
        assert [mark.offset for mark in marks(path).values()] == [1]


class TestOneAtATime:
    def test_a_second_writer_is_refused(self, path: Path) -> None:
        with (
            alone(path),
            pytest.raises(KbwatchError, match="another `kbwatch record`"),
            alone(path),
        ):
            pass

    def test_a_recording_is_for_its_owner_alone(self, path: Path) -> None:
        umask = os.umask(0)
        try:
            with alone(path):
                assert path.stat().st_mode & 0o777 == 0o600
        finally:
            os.umask(umask)

    def test_a_file_that_stays_empty_is_no_file(self, path: Path) -> None:
        with alone(path):
            assert path.exists()
        assert not path.exists()

    def test_a_name_that_no_reader_would_take_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(KbwatchError, match=r"ends in \.jsonl or \.jsonl\.zst"):
            alone(tmp_path / "reports.zst").__enter__()

    def test_a_folder_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(KbwatchError, match=r"nowhere/r\.jsonl: No such file"):
            alone(tmp_path / "nowhere" / "r.jsonl").__enter__()


@pytest.mark.parametrize(
    ("text", "t_ms"),
    [
        ("1970-01-02", 86_400_000),
        ("1970-01-01T01:00", 3_600_000),
        ("1970-01-01T01:00:00.5Z", 3_600_500),
        ("1970-01-01T01:00+01:00", 0),
    ],
)
def test_a_time_without_a_zone_is_utc(text: str, t_ms: int) -> None:
    assert instant_ms(text) == t_ms


@pytest.mark.parametrize("text", ["yesterday", "1752012000000", "1969-12-31"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        instant_ms(text)


def test_the_summary_says_what_the_limit_left_out() -> None:
    written = Written("r.jsonl", 10, 1, 0, 5_000, missed=0, left=3, file_bytes=9)
    said = "10 records from 1970-01-01 00:00:00Z to 1970-01-01 00:00:05Z, 1 of them unusable"
    assert told(written) == f"{said} → r.jsonl; 3 more are there: --resume goes on"
