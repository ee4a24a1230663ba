"""The disk spool on disks that are full, refuse, lose power or lie."""

import errno
import os
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import pytest

from collectors.spool.bundle import Priority
from collectors.spool.spool import SpoolFull
from schemas.errors import KbwatchError
from tests.fixtures.spooling import (
    Clock,
    Opener,
    bundle,
    number,
    numbers,
    opener,
    segments,
    small,
)


class Fsync:
    """Counts fsyncs, and can be told to fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.fails = False
        self._fsync = os.fsync
        monkeypatch.setattr(os, "fsync", self)

    def __call__(self, handle: int) -> None:
        if self.fails:
            raise OSError(errno.EIO, "Input/output error")
        self.count += 1
        self._fsync(handle)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    with opener(tmp_path) as open_again:
        yield open_again


class TestDurability:
    def test_fsync_comes_with_the_next_look_after_fsync_s(
        self, opened: Opener, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock, fsync = Clock(), Fsync(monkeypatch)
        spool = opened(small(fsync_s=1.0), clock)
        spool.append([bundle(0)])  # a new segment: its name must be made durable
        before = fsync.count
        spool.append([bundle(1)])
        clock.now = 0.9
        spool.append([bundle(2)])
        assert spool.take(0) == []
        assert fsync.count == before
        assert spool.spooled == {"eventlog": "0"}
        clock.now = 1.0
        assert spool.take(0) == []
        assert fsync.count == before + 1
        assert spool.spooled == {"eventlog": "2"}
        spool.take(0)
        assert fsync.count == before + 1

    def test_while_the_disk_refuses_what_is_on_it_is_still_handed_out(
        self, opened: Opener, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock, fsync = Clock(), Fsync(monkeypatch)
        spool = opened(small(fsync_s=1.0), clock)
        spool.append([bundle(0)])
        spool.append([bundle(1)])
        clock.now, fsync.fails = 1.0, True
        assert numbers(spool) == [0]
        assert "Input/output error" in spool.trouble
        fsync.fails = False
        assert numbers(spool) == [1]
        assert spool.trouble == ""

    def test_fsync_s_0_is_at_each_append(
        self, opened: Opener, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fsync = Fsync(monkeypatch)
        spool = opened(small(fsync_s=0))
        spool.append([bundle(0)])
        before = fsync.count
        spool.append([bundle(1), bundle(2)])
        assert fsync.count == before + 1

    def test_a_disk_that_cannot_sync_keeps_nothing_of_the_call(
        self, opened: Opener, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fsync = Fsync(monkeypatch)
        spool = opened(small(fsync_s=0))
        spool.append([bundle(1)])
        fsync.fails = True
        with pytest.raises(SpoolFull, match="Input/output error"):
            spool.append([bundle(2), bundle(3, Priority.KEEP)])
        assert numbers(spool) == [1]
        fsync.fails = False
        spool.append([bundle(4)])
        spool.give_back()
        assert numbers(spool) == [1, 4]
        assert spool.spooled == {"eventlog": "4"}

    def test_a_full_disk_keeps_nothing_of_the_call_and_goes_on_later(
        self, tmp_path: Path, opened: Opener
    ) -> None:
        """A file size limit is a disk that is full in the middle of a write."""
        script = f"""
import resource, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from pathlib import Path
from collectors.spool.bundle import Priority
from collectors.spool.spool import Spool, SpoolFull
from tests.fixtures.spooling import bundle, numbers, small
spool = Spool(Path({str(tmp_path)!r}), small())
spool.append([bundle(1), bundle(2, Priority.KEEP)])
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
try:
    spool.append([bundle(3, Priority.KEEP), bundle(4, size_bytes=30_000)])
except SpoolFull as error:
    print(error)
assert spool.depth == 2
assert spool.spooled == {{"eventlog": "2"}}
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
spool.append([bundle(5)])
print(numbers(spool))
"""
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
        )
        said, found = done.stdout.splitlines()
        assert "free some space" in said
        assert found == "[1, 2, 5]"
        assert numbers(opened()) == [1, 2, 5]
        assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY

    def test_finished_segments_go_when_all_is_acknowledged(
        self, tmp_path: Path, opened: Opener
    ) -> None:
        spool = opened()
        spool.append([bundle(i, size_bytes=20_000) for i in range(20)])
        assert len(segments(tmp_path)) > 5
        for entry in spool.take(99):
            spool.done(entry.seq)
        assert len(segments(tmp_path)) == 1
        assert spool.depth == 0


class TestDamage:
    def test_a_damaged_entry_in_the_middle_costs_itself_and_is_counted(
        self, tmp_path: Path, opened: Opener
    ) -> None:
        spool = opened()
        spool.append([bundle(i, size_bytes=1000, records=10) for i in range(10)])
        spool.close()
        (path,) = segments(tmp_path)
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2] ^= 0xFF
        path.write_bytes(raw)
        again = opened()
        found = numbers(again)
        assert len(found) == 9
        assert again.lost == 10
        for _ in range(2):
            again.give_back()
            assert numbers(again) == found
        assert again.lost == 10
        assert again.depth == 90

    def test_a_segment_of_zeros_costs_itself_alone(self, tmp_path: Path, opened: Opener) -> None:
        spool = opened()
        spool.append([bundle(i, size_bytes=20_000) for i in range(20)])
        spool.close()
        first, second, third, *_ = segments(tmp_path)
        second.write_bytes(bytes(second.stat().st_size))
        again = opened()
        assert numbers(again) == [0, 1, 2, *range(6, 20)]
        assert again.lost >= 1
        assert first.exists()
        assert not second.exists()
        assert third.exists()

    def test_a_damaged_file_head_costs_nothing(self, tmp_path: Path, opened: Opener) -> None:
        spool = opened()
        spool.append([bundle(1)])
        spool.close()
        (path,) = segments(tmp_path)
        path.write_bytes(b"\0" * 8 + path.read_bytes()[8:])
        assert numbers(opened()) == [1]

    def test_damage_while_running_is_counted_and_passed(
        self, tmp_path: Path, opened: Opener
    ) -> None:
        spool = opened()
        spool.append([bundle(i, size_bytes=20_000, records=2) for i in range(6)])
        spool.append([bundle(6, Priority.KEEP)])
        first, _ = segments(tmp_path, "noise")
        first.write_bytes(bytes(first.stat().st_size))
        assert numbers(spool) == [3, 4, 5, 6]
        assert spool.lost == 6
        for entry_number in range(1, 8):
            spool.done(entry_number)
        assert spool.acked == {"eventlog": "6"}

    def test_files_of_a_newer_version_are_not_touched(self, tmp_path: Path, opened: Opener) -> None:
        spool = opened()
        spool.append([bundle(1)])
        spool.close()
        (path,) = segments(tmp_path)
        raw = bytearray(path.read_bytes())
        raw[5] = 9
        raw[8:12] = crc32(raw[:8]).to_bytes(4)
        path.write_bytes(raw)
        with pytest.raises(KbwatchError, match="newer collector"):
            opened()
        assert path.read_bytes() == raw

    def test_after_a_power_cut_the_sequence_has_no_gap(
        self, tmp_path: Path, opened: Opener
    ) -> None:
        """The cut took an entry of one lane, and left a later one of another."""
        spool = opened()
        spool.append([bundle(1, Priority.NOISE), bundle(2, Priority.KEEP)])
        noise = segments(tmp_path, "noise")[0]
        size_bytes = noise.stat().st_size
        spool.append([bundle(3, Priority.NOISE)])
        spool.append([bundle(4, Priority.KEEP)])
        del spool
        with noise.open("r+b") as file:
            file.truncate(size_bytes)
        again = opened()
        assert numbers(again) == [1, 2]
        assert again.spooled == {"eventlog": "2"}
        assert again.lost == 0

    def test_a_mark_that_runs_behind_only_means_sending_again(
        self, tmp_path: Path, opened: Opener
    ) -> None:
        spool = opened()
        spool.append([bundle(1), bundle(2)])
        spool.done(spool.take(1)[0].seq)
        spool.close()
        (tmp_path / "marks").write_bytes(b"")
        (tmp_path / "dropped.json").write_bytes(b"\0\0")
        assert numbers(opened()) == [1, 2]


class TestPositionsBehindDamage:
    """What is gone must be read again, so nothing behind it may say how far it was read."""

    def damaged(self, tmp_path: Path, opened: Opener) -> None:
        """Noise 1, 2 and 3 is durable, then torn behind 1; failures 4 and 5 are whole."""
        spool = opened(small(fsync_s=0))
        spool.append([bundle(1, Priority.NOISE)])
        (noise,) = segments(tmp_path, "noise")
        size_bytes = noise.stat().st_size
        spool.append([bundle(2, Priority.NOISE), bundle(3, Priority.NOISE)])
        spool.append([bundle(4, Priority.FAILURE), bundle(5, Priority.FAILURE)])
        spool.close()
        with noise.open("r+b") as file:
            file.truncate(size_bytes + 10)

    def test_is_not_believed_and_still_sent(self, tmp_path: Path, opened: Opener) -> None:
        self.damaged(tmp_path, opened)
        spool = opened()
        assert spool.spooled == {"eventlog": "1"}
        entries = spool.take(9)
        assert [number(entry.bundle) for entry in entries] == [1, 4, 5]
        for entry in entries:
            spool.done(entry.seq)
        assert spool.acked == {"eventlog": "1"}

    def test_is_never_believed_later_on(self, tmp_path: Path, opened: Opener) -> None:
        self.damaged(tmp_path, opened)
        opened()
        spool = opened()
        assert spool.spooled == {"eventlog": "1"}
        spool.append([bundle(2), bundle(3)])
        spool.close()
        again = opened()
        assert again.spooled == {"eventlog": "3"}
        for entry in again.take(9):
            again.done(entry.seq)
        assert again.acked == {"eventlog": "3"}

    def test_what_was_settled_before_the_damage_is_no_reason(
        self, tmp_path: Path, opened: Opener
    ) -> None:
        spool = opened(small(fsync_s=0))
        spool.append([bundle(i) for i in range(1, 6)])
        for entry in spool.take(2):
            spool.done(entry.seq)
        spool.close()
        (path,) = segments(tmp_path)
        raw = bytearray(path.read_bytes())
        raw[60] ^= 0xFF  # in the first entry
        path.write_bytes(raw)
        assert opened().spooled == {"eventlog": "5"}

    @pytest.mark.parametrize("left_bytes", [0, 5])
    def test_a_file_without_even_a_head_is_damage(
        self, tmp_path: Path, opened: Opener, left_bytes: int
    ) -> None:
        spool = opened(small(fsync_s=0))
        spool.append([bundle(1, Priority.NOISE)])
        spool.append([bundle(2, Priority.FAILURE)])
        spool.append([bundle(3, Priority.NOISE)])
        spool.close()
        (path,) = segments(tmp_path, "failure")
        path.write_bytes(path.read_bytes()[:left_bytes])
        again = opened()
        assert again.spooled == {"eventlog": "1"}
        assert numbers(again) == [1, 3]


def test_every_byte_of_a_torn_tail(tmp_path: Path, opened: Opener) -> None:
    spool = opened()
    spool.append([bundle(1), bundle(2)])
    spool.close()
    (path,) = segments(tmp_path)
    durable = path.stat().st_size
    spool = opened()
    spool.append([bundle(3)])
    del spool
    raw = path.read_bytes()
    found: Counter[tuple[int, ...]] = Counter()
    for size_bytes in range(durable, len(raw) + 1):
        path.write_bytes(raw[:size_bytes])
        again = opened()
        found[tuple(numbers(again))] += 1
        assert again.lost == 0
        assert again.spooled == {"eventlog": "3" if size_bytes == len(raw) else "2"}
    assert found == {(1, 2): len(raw) - durable, (1, 2, 3): 1}
