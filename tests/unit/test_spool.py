"""The disk spool: what it hands out, in which order, and what it gives up when it is full."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from collectors.spool.bundle import Priority
from collectors.spool.spool import Spool
from schemas.errors import KbwatchError
from tests.fixtures.spooling import (
    MIB,
    Opener,
    bundle,
    number,
    numbers,
    opener,
    small,
)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    with opener(tmp_path) as open_again:
        yield open_again


class TestOrder:
    def test_entries_come_in_the_order_of_their_arrival_whatever_their_priority(
        self, opened: Opener
    ) -> None:
        spool = opened()
        sent = [bundle(i, Priority(i * 7 % 3)) for i in range(50)]
        spool.append(sent[:20])
        assert numbers(spool, 7) == list(range(7))
        spool.append(sent[20:])
        assert [entry.bundle for entry in spool.take(99)] == sent[7:]
        assert spool.take(1) == []

    def test_what_is_given_back_comes_again_and_what_is_done_does_not(self, opened: Opener) -> None:
        spool = opened()
        spool.append([bundle(i, Priority(i % 3)) for i in range(9)])
        entries = spool.take(6)
        for entry in (entries[1], entries[4]):
            spool.done(entry.seq)
        spool.give_back()
        assert numbers(spool) == [0, 2, 3, 5, 6, 7, 8]

    def test_an_acknowledgement_that_comes_after_giving_back_is_not_believed(
        self, opened: Opener
    ) -> None:
        spool = opened()
        spool.append([bundle(1)])
        (entry,) = spool.take(1)
        spool.give_back()
        spool.done(entry.seq)
        assert numbers(spool) == [1]

    def test_depth_counts_records_until_they_are_acknowledged(self, opened: Opener) -> None:
        spool = opened()
        spool.append([bundle(1, records=50), bundle(2, records=7)])
        first, _ = spool.take(2)
        assert spool.depth == 57
        spool.done(first.seq)
        assert spool.depth == 7

    def test_what_is_handed_out_at_once_is_bounded_in_bytes_but_one_always_is(
        self, opened: Opener
    ) -> None:
        spool = opened()
        spool.append([bundle(i, Priority(i % 3), 10_000) for i in range(5)])
        assert [number(entry.bundle) for entry in spool.take(9, 25_000)] == [0, 1]
        assert [number(entry.bundle) for entry in spool.take(9, 1)] == [2]
        assert [number(entry.bundle) for entry in spool.take(9, 99_000)] == [3, 4]


class TestPositions:
    def test_the_acknowledged_position_has_no_gap_before_it(self, opened: Opener) -> None:
        spool = opened()
        spool.append([bundle(i, Priority(i % 3)) for i in range(1, 5)])
        one, two, three, four = spool.take(4)
        spool.done(two.seq)
        spool.done(four.seq)
        assert spool.acked == {}
        spool.done(one.seq)
        assert spool.acked == {"eventlog": "2"}
        spool.done(three.seq)
        assert spool.acked == {"eventlog": "4"}

    def test_each_source_has_its_own(self, opened: Opener) -> None:
        spool = opened(small(fsync_s=0))
        spool.append([bundle(1, source="a"), bundle(2, source="b"), bundle(3, source="a")])
        for entry in spool.take(2):
            spool.done(entry.seq)
        assert spool.acked == {"a": "1", "b": "2"}
        assert spool.spooled == {"a": "3", "b": "2"}

    def test_spooled_positions_survive_and_acknowledged_ones_are_the_bookmarks_job(
        self, opened: Opener
    ) -> None:
        spool = opened()
        spool.append([bundle(i) for i in range(1, 4)])
        spool.done(spool.take(1)[0].seq)
        spool.close()
        again = opened()
        assert again.spooled == {"eventlog": "3"}
        assert again.acked == {}
        assert numbers(again) == [2, 3]

    def test_a_spool_that_was_emptied_knows_no_positions(self, opened: Opener) -> None:
        spool = opened()
        spool.append([bundle(1)])
        spool.done(spool.take(1)[0].seq)
        spool.close()
        again = opened()
        assert again.spooled == {}
        assert again.size_bytes == 0
        again.append([bundle(2)])
        assert numbers(again) == [2]


class TestFull:
    @staticmethod
    def filled(opened: Opener) -> Spool:
        """A spool of 4 MiB that is full: a third each of what is kept, failures and noise."""
        spool = opened()
        spool.append([bundle(i, Priority(i % 3), 19_800, records=3) for i in range(200)])
        assert spool.dropped == {}
        return spool

    def test_the_oldest_noise_goes_first_and_is_counted(self, opened: Opener) -> None:
        spool = self.filled(opened)
        spool.append([bundle(i, Priority.KEEP, 19_800) for i in range(200, 230)])
        assert spool.size_bytes <= 4 * MIB
        assert set(spool.dropped) == {Priority.NOISE}
        left = [entry.bundle for entry in spool.take(999)]
        noise = [number(b) for b in left if b.priority == Priority.NOISE]
        assert noise == [i for i in range(200) if i % 3 == 2 and i >= noise[0]]
        assert spool.dropped[Priority.NOISE] == 3 * (66 - len(noise))
        assert len([b for b in left if b.priority == Priority.FAILURE]) == 67

    def test_then_failures_then_the_rest(self, opened: Opener) -> None:
        spool = self.filled(opened)
        spool.append([bundle(i, Priority.KEEP, 19_800, records=3) for i in range(200, 400)])
        assert spool.dropped[Priority.NOISE] == 3 * 66
        assert spool.dropped[Priority.FAILURE] == 3 * 67
        left = numbers(spool)
        assert left[-1] == 399
        assert 3 * (67 + 200 - len(left)) == spool.dropped[Priority.KEEP]

    def test_nothing_goes_for_what_is_worth_less(self, opened: Opener) -> None:
        spool = opened()
        spool.append([bundle(i, Priority.KEEP, 19_800) for i in range(208)])
        spool.append([bundle(300, Priority.NOISE, 50_000, records=5)])
        spool.append([bundle(301, Priority.FAILURE, 50_000, records=2)])
        assert spool.dropped == {Priority.NOISE: 5, Priority.FAILURE: 2}
        assert numbers(spool) == list(range(208))

    def test_the_bookmark_passes_what_was_given_up(self, opened: Opener) -> None:
        spool = self.filled(opened)
        spool.append([bundle(i, Priority.KEEP, 19_800) for i in range(200, 400)])
        for entry in spool.take(999):
            spool.done(entry.seq)
        assert spool.acked == {"eventlog": "399"}
        spool.append([bundle(400)])
        (entry,) = spool.take(9)
        spool.done(entry.seq)
        assert spool.acked == {"eventlog": "400"}

    def test_what_is_acknowledged_goes_before_anything_is_lost(self, opened: Opener) -> None:
        spool = opened(small(segment_bytes=2 * MIB))
        spool.append([bundle(i, Priority.KEEP, 19_800) for i in range(100)])
        for entry in spool.take(100):
            spool.done(entry.seq)
        spool.append([bundle(i, Priority.NOISE, 19_800) for i in range(100, 200)])
        spool.append([bundle(i, Priority.FAILURE, 19_800) for i in range(200, 250)])
        assert spool.dropped == {}
        assert len(numbers(spool)) == 150

    def test_what_is_being_sent_may_be_given_up_and_its_late_ack_changes_nothing(
        self, opened: Opener
    ) -> None:
        spool = opened()
        spool.append([bundle(i, Priority.NOISE, 19_800) for i in range(200)])
        entries = spool.take(200)
        spool.append([bundle(i, Priority.KEEP, 19_800) for i in range(200, 410)])
        assert spool.dropped[Priority.NOISE] == 200
        depth = spool.depth
        for entry in entries:
            spool.done(entry.seq)
        assert spool.depth == depth

    def test_the_counts_survive(self, opened: Opener) -> None:
        spool = self.filled(opened)
        spool.append([bundle(i, Priority.KEEP, 19_800) for i in range(200, 230)])
        dropped = spool.dropped
        spool.close()
        assert opened().dropped == dropped


class TestFolder:
    def test_one_collector_at_a_time(self, tmp_path: Path, opened: Opener) -> None:
        spool = opened()
        with pytest.raises(KbwatchError, match="in use by another collector"):
            Spool(tmp_path, small())
        spool.close()
        opened()

    def test_a_folder_that_cannot_be_written_is_one_line(self, tmp_path: Path) -> None:
        in_the_way = tmp_path / "file"
        in_the_way.write_text("")
        with pytest.raises(KbwatchError, match=r"file.*data_dir"):
            Spool(in_the_way / "spool", small())

    def test_files_of_others_are_left_alone(self, tmp_path: Path, opened: Opener) -> None:
        other = tmp_path / "notes.txt"
        other.write_text("x")
        opened().close()
        assert other.read_text() == "x"
