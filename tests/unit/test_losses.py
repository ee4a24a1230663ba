"""What was lost is counted over restarts."""

import errno
import os
from pathlib import Path

import pytest

from collectors.spool.losses import FILE, Losses


def test_what_was_saved_is_there_after_a_restart(tmp_path: Path) -> None:
    losses = Losses(tmp_path)
    losses.lose("eventlog", 499)
    losses.refuse(2)
    losses.save()
    again = Losses(tmp_path)
    assert (again.lost, again.refused) == ({"eventlog": 499}, 2)
    again.lose("eventlog", 1)
    again.save()
    assert Losses(tmp_path).lost == {"eventlog": 500}


def test_a_disk_without_room_gets_them_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    losses = Losses(tmp_path)
    losses.lose("eventlog", 3)
    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        losses.save()
    losses.save()
    assert Losses(tmp_path).lost == {"eventlog": 3}


def test_nothing_is_written_while_nothing_is_lost(tmp_path: Path) -> None:
    losses = Losses(tmp_path)
    losses.lose("eventlog", 0)
    losses.save()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("raw", [b"", b"{}", b"\xff", b"[1]"])
def test_a_file_that_cannot_be_understood_counts_as_absent(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / FILE).write_bytes(raw)
    assert Losses(tmp_path).lost == {}
