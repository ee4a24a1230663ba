"""Bookmarks: a crash at any instant leaves the newest or the previous positions."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from collectors.spool.bookmark import Bookmarks
from schemas.errors import KbwatchError

OLD, NEW = {"eventlog": "10", "facts": "a"}, {"eventlog": "20", "facts": "b"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bookmarks.json"


@pytest.fixture
def saved_twice(path: Path) -> Path:
    bookmarks = Bookmarks(path)
    bookmarks.load()
    bookmarks.save(OLD)
    bookmarks.save(NEW)
    return path


def loaded(path: Path) -> tuple[dict[str, str], str]:
    bookmarks = Bookmarks(path)
    return bookmarks.load(), bookmarks.trouble


def test_the_first_start_has_none_and_that_is_no_trouble(path: Path) -> None:
    assert loaded(path) == ({}, "")


def test_what_was_saved_is_loaded(saved_twice: Path) -> None:
    assert loaded(saved_twice) == (NEW, "")


def test_sources_that_are_not_named_keep_their_position(saved_twice: Path) -> None:
    bookmarks = Bookmarks(saved_twice)
    bookmarks.load()
    bookmarks.save({"eventlog": "30"})
    assert loaded(saved_twice)[0] == {"eventlog": "30", "facts": "b"}


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda raw: b"", "is empty"),
        (lambda raw: bytes(len(raw)), "is filled with zeros"),
        (lambda raw: raw[:-1], "is damaged"),
        (lambda raw: raw.replace(b'"20"', b"20"), "is damaged"),
        (lambda raw: b"[" * 100_000, "is damaged"),
        (lambda raw: b"\xff\xfe" + raw, "is damaged"),
        (lambda raw: raw.replace(b'"v":1', b'"v":2'), "is of version 2"),
    ],
)
def test_damage_falls_back_to_the_previous_and_says_so(
    saved_twice: Path, damage: Callable[[bytes], bytes], says: str
) -> None:
    saved_twice.write_bytes(damage(saved_twice.read_bytes()))
    positions, trouble = loaded(saved_twice)
    assert positions == OLD
    assert says in trouble
    assert "bookmarks.json.previous" in trouble


def test_every_torn_length_falls_back(saved_twice: Path) -> None:
    raw = saved_twice.read_bytes()
    for size_bytes in range(len(raw)):
        saved_twice.write_bytes(raw[:size_bytes])
        assert loaded(saved_twice)[0] == OLD


def test_both_damaged_begins_anew_and_says_so(saved_twice: Path) -> None:
    for file in (saved_twice, saved_twice.with_name("bookmarks.json.previous")):
        file.write_bytes(b"\0\0\0")
    positions, trouble = loaded(saved_twice)
    assert positions == {}
    assert "from the beginning" in trouble


def test_a_damaged_file_does_not_push_out_the_previous_one(saved_twice: Path) -> None:
    saved_twice.write_bytes(b"")
    bookmarks = Bookmarks(saved_twice)
    bookmarks.load()
    bookmarks.save({"eventlog": "11"})
    saved_twice.write_bytes(b"")
    assert loaded(saved_twice)[0] == OLD


class PowerCut(Exception):
    pass


@pytest.mark.parametrize("step", range(6))
def test_a_crash_between_any_two_steps(
    saved_twice: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    steps = 0

    def cut(call: Callable[..., object]) -> Callable[..., object]:
        def until_cut(*arguments: object, **named: object) -> object:
            nonlocal steps
            if steps == step:
                raise PowerCut
            steps += 1
            return call(*arguments, **named)

        return until_cut

    bookmarks = Bookmarks(saved_twice)
    bookmarks.load()
    newest = {"eventlog": "30", "facts": "c"}
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", cut(os.fsync))
        patch.setattr(Path, "replace", cut(Path.replace))
        if step < 4:
            with pytest.raises(PowerCut):
                bookmarks.save(newest)
        else:
            bookmarks.save(newest)
    positions, trouble = loaded(saved_twice)
    assert positions == (newest if step >= 3 else NEW)
    assert trouble == ""


def test_saving_what_is_saved_writes_nothing(saved_twice: Path) -> None:
    bookmarks = Bookmarks(saved_twice)
    bookmarks.load()
    before = saved_twice.stat().st_ino
    bookmarks.save(NEW)
    assert saved_twice.stat().st_ino == before


def test_a_disk_that_refuses_is_one_line_and_keeps_what_was(
    saved_twice: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    bookmarks = Bookmarks(saved_twice)
    bookmarks.load()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(KbwatchError, match="No space left"):
        bookmarks.save({"eventlog": "30"})
    assert loaded(saved_twice) == (NEW, "")


def test_a_file_that_may_not_be_read_is_one_line(path: Path) -> None:
    path.mkdir()
    with pytest.raises(KbwatchError, match=r"bookmarks\.json: bookmarks can't be read"):
        Bookmarks(path).load()
