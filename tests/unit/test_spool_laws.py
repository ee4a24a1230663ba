"""The disk spool against a model: any order of calls, crashes and power cuts."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from collectors.spool.bundle import Priority
from collectors.spool.segments import FILE_HEAD_BYTES, read_entry
from collectors.spool.spool import Spool
from tests.fixtures.spooling import (
    MIB,
    Clock,
    abandon,
    bundle,
    number,
    segments,
    small,
)


class Against(RuleBasedStateMachine):
    """The laws, under any order of calls, crashes and damage to what was not durable."""

    def __init__(self) -> None:
        super().__init__()
        self._no_fsync = pytest.MonkeyPatch()
        self._no_fsync.setattr(os, "fsync", lambda handle: None)  # the model does the cutting
        self._temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self._temporary.name)
        self.clock = Clock()
        self.settings = small(segment_bytes=64 * 1024, max_bytes=4 * MIB, fsync_s=10.0)
        self.spool = Spool(self.folder, self.settings, self.clock)
        self.next = 1
        self.appended: list[tuple[int, Priority]] = []
        self.flying: dict[int, int] = {}
        self.acked: set[int] = set()
        self.bookmark = 0

    def teardown(self) -> None:
        """In the end everything was handed out, or is counted."""
        self.spool.give_back()
        while entries := self.spool.take(100):
            for entry in entries:
                self.spool.done(entry.seq)
                self.acked.add(number(entry.bundle))
        missing = [n for n, _ in self.appended if n not in self.acked]
        assert len(missing) <= sum(self.spool.dropped.values())
        assert self.spool.depth == 0
        if self.spool.acked:
            # What was refused last leaves its position to the next append.
            assert int(self.spool.acked["eventlog"]) >= max(self.acked, default=0)
        self.spool.close()
        self._temporary.cleanup()
        self._no_fsync.undo()

    @rule(
        kinds=st.lists(st.sampled_from(Priority), min_size=1, max_size=4),
        size_bytes=st.sampled_from([10, 5_000, 70_000, 400_000]),
    )
    def append(self, kinds: list[Priority], size_bytes: int) -> None:
        fresh = [(self.next + place, kind) for place, kind in enumerate(kinds)]
        self.spool.append([bundle(n, kind, size_bytes) for n, kind in fresh])
        self.appended += fresh
        self.next += len(kinds)

    @rule(limit=st.integers(1, 5))
    def take(self, limit: int) -> None:
        for entry in self.spool.take(limit):
            n = number(entry.bundle)
            assert (n, entry.bundle.priority) in self.appended
            assert n not in self.flying.values()
            assert not self.flying or n > max(self.flying.values())
            self.flying[entry.seq] = n

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        seq = data.draw(st.sampled_from(sorted(self.flying)))
        self.spool.done(seq)
        self.acked.add(self.flying.pop(seq))

    @rule()
    def give_back(self) -> None:
        self.spool.give_back()
        self.flying.clear()

    @rule()
    def sync(self) -> None:
        self.spool.sync()

    @rule()
    def reopen(self) -> None:
        self.save_bookmark()
        self.spool.close()
        self.start()

    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        """A power cut: any lane's newest file may end anywhere behind what was synced."""
        self.save_bookmark()
        cuts = {}
        for lane in self.spool._lanes.values():
            if lane.segments and lane.segments[-1].dirty:
                newest = lane.segments[-1]
                cuts[newest.path] = (self.durable_bytes(newest.path), newest.size_bytes)
        abandon(self.spool)
        for path, (low, high) in cuts.items():
            kept = data.draw(st.integers(low, high))
            with path.open("r+b") as file:
                file.truncate(kept)
        self.start()

    def durable_bytes(self, path: Path) -> int:
        offset = FILE_HEAD_BYTES
        with path.open("rb") as file:
            file.seek(offset)
            left = path.stat().st_size - offset
            while left:
                entry = read_entry(file, left)
                if entry.seq > self.spool._durable:
                    break
                offset += entry.size_bytes
                left -= entry.size_bytes
        return offset

    def save_bookmark(self) -> None:
        self.bookmark = max(self.bookmark, int(self.spool.acked.get("eventlog", 0)))

    def start(self) -> None:
        """The source goes on behind what the spool holds, or the bookmark."""
        self.spool = Spool(self.folder, self.settings, self.clock)
        self.flying.clear()
        position = max(self.bookmark, int(self.spool.spooled.get("eventlog", 0)))
        again = [(n, kind) for n, kind in self.appended if n > position]
        for n, kind in again:
            self.spool.append([bundle(n, kind)])

    @invariant()
    def the_bookmark_never_runs_ahead(self) -> None:
        position = int(self.spool.acked.get("eventlog", 0))
        dropped = sum(self.spool.dropped.values())
        missing = [n for n, _ in self.appended if n <= position and n not in self.acked]
        assert len(missing) <= dropped

    @invariant()
    def nothing_is_lost_unsaid(self) -> None:
        assert self.spool.lost == 0
        assert self.spool.size_bytes <= self.settings.max_bytes
        waiting = self.spool.depth
        open_numbers = len({n for n, _ in self.appended} - self.acked)
        assert waiting + sum(self.spool.dropped.values()) >= open_numbers

    @invariant()
    def files_are_what_is_counted(self) -> None:
        on_disk = sum(path.stat().st_size for path in segments(self.folder))
        assert on_disk == self.spool.size_bytes


Against.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
test_the_laws_hold_whatever_happens = Against.TestCase
