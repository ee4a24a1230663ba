"""A Windows event log in a file that one process appends to and another one reads.

Its records are real: the XML of those of two recorded System logs, again and again, with record
ids that go on counting and new times. What reading the file costs is told apart from what is made
of it (``cpu_s``); a subscription keeps nothing in memory.
"""

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, Concatenate, NamedTuple, ParamSpec, TypeVar

from evtx import PyEvtxParser

from collectors.windows.api import Fault, Handle, LogState, WindowsApiError

ROOT = Path(__file__).parents[2]
CHANNEL = "System"
LOGS = (
    ROOT / "streams" / "regbench" / "data" / "win10-17134-System.evtx",
    ROOT / "tests" / "fixtures" / "evtx" / "win7-System.evtx",
)

_BETWEEN_TAGS = re.compile(r">\s*\n\s*<")
_DECLARATION = re.compile(r"^<\?xml[^>]*>\s*")
_PLACES = re.compile(r'(SystemTime=")[^"]*(".*?<EventRecordID>)\d+(</EventRecordID>)', re.DOTALL)
_RECORD_ID = re.compile(rb"<EventRecordID>(\d+)</EventRecordID>")
_BOOKMARK = re.compile(r"RecordId='(\d+)' IsCurrent='true' Offset='(\d+)'")
_TAIL_BYTES = 64 * 1024
_POLL_S = 0.02
_WRITE_EVERY_S = 0.02

Given = ParamSpec("Given")
Found = TypeVar("Found")


@cache
def templates() -> tuple[tuple[str, str, str], ...]:
    """Every record of ``LOGS``, as what stands before, between and behind time and record id."""
    return tuple(_template(row["data"]) for path in LOGS for row in _rows(path))


def errors(written: int) -> set[int]:
    """The record ids of those of the first ``written`` records that are errors, or worse."""
    grave = [
        any(f"<Level>{level}</Level>" in before for level in (1, 2)) for before, *_ in templates()
    ]
    return {number for number in range(1, written + 1) if grave[(number - 1) % len(grave)]}


class Writer:
    """Appends real records to the log in ``folder``; record ids begin at 1."""

    def __init__(
        self, folder: Path, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = path_of(folder).open("a", encoding="utf-8", newline="\n")
        self._now_ms = now_ms
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.written = 0
        """How many records there are: the id of the newest."""

    def write(self, count: int, spread_ms: int = 0) -> None:
        """Append ``count`` records at once, logged during the last ``spread_ms``."""
        now_ms = self._now_ms()
        known = templates()
        for place in range(count):
            t_ms = now_ms - spread_ms + spread_ms * place // count
            before, between, behind = known[self.written % len(known)]
            self.written += 1
            self._file.write(f"{before}{_iso(t_ms)}{between}{self.written}{behind}\n")
        self._file.flush()

    def write_lines(self, xmls: Sequence[str]) -> None:
        """Append events of one's own, in which ``{id}`` and ``{time}`` are filled in."""
        for xml in xmls:
            self.written += 1
            line = xml.replace("{id}", str(self.written)).replace("{time}", _iso(self._now_ms()))
            self._file.write(f"{line}\n")
        self._file.flush()

    def start(self, per_s: float) -> None:
        """Append ``per_s`` records a second until ``stop``."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, args=(per_s,), daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """Stop; how many records there are."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        return self.written

    def close(self) -> None:
        """Stop, and let go of the file."""
        self.stop()
        self._file.close()

    def _run(self, per_s: float) -> None:
        first, begin_s = self.written, time.monotonic()
        while not self._stop.wait(_WRITE_EVERY_S):
            due = int((time.monotonic() - begin_s) * per_s) - (self.written - first)
            self.write(max(due, 0))


def path_of(folder: Path) -> Path:
    """The file of the one channel that there is."""
    return folder / f"{CHANNEL}.xmls"


class _Signal:
    def __init__(self) -> None:
        self.is_set = False


class _Event(NamedTuple):
    line: bytes
    end: int
    """Where the next record begins in the file."""

    @property
    def record_id(self) -> int:
        found = _RECORD_ID.search(self.line)
        assert found is not None
        return int(found[1])


class _Subscribed(NamedTuple):
    signal: _Signal
    file: BinaryIO


def _charged(
    method: Callable[Concatenate["FileLog", Given], Found],
) -> Callable[Concatenate["FileLog", Given], Found]:
    def charging(self: "FileLog", /, *args: Given.args, **kwargs: Given.kwargs) -> Found:
        begin_s = time.thread_time()
        try:
            return method(self, *args, **kwargs)
        finally:
            self.cpu_s += time.thread_time() - begin_s

    return charging


class FileLog:
    """EventLogApi over the file that a ``Writer`` appends to; every record matches every query."""

    def __init__(self, folder: Path) -> None:
        self.cpu_s = 0.0
        """What it took of the processor to play Windows."""
        self._path = path_of(folder)
        self._open: list[_Subscribed] = []
        self._newest = (0, 0)

    def new_signal(self) -> Handle:
        return _Signal()

    def reset(self, signal: Handle) -> None:
        signal.is_set = False

    @_charged
    def wait(self, signal: Handle, timeout_ms: int) -> bool:
        until_s = time.monotonic() + timeout_ms / 1000
        while not signal.is_set and time.monotonic() < until_s:
            time.sleep(_POLL_S)
            size = self._size()
            signal.is_set = any(size > opened.file.tell() for opened in self._open)
        return bool(signal.is_set)

    @_charged
    def subscribe(self, channel: str, query: str, bookmark_xml: str, signal: Handle) -> Handle:
        if channel != CHANNEL:
            raise WindowsApiError(Fault.CHANNEL_NOT_FOUND, channel)
        self._size()
        found = _BOOKMARK.search(bookmark_xml)
        if bookmark_xml and not found:
            raise WindowsApiError(Fault.BOOKMARK_INVALID, bookmark_xml)
        subscribed = _Subscribed(signal, self._path.open("rb"))
        subscribed.file.seek(int(found[2]) if found else 0)
        self._open.append(subscribed)
        return subscribed

    @_charged
    def next_events(self, subscription: Handle, limit: int, timeout_ms: int) -> Sequence[Handle]:
        return list(_whole_lines(subscription.file, limit))

    @_charged
    def render(self, event: Handle) -> str:
        return str(event.line, "utf-8")

    @_charged
    def bookmark(self, event: Handle) -> str:
        place = f"RecordId='{event.record_id}' IsCurrent='true' Offset='{event.end}'"
        return f"<BookmarkList>\r\n  <Bookmark Channel='{CHANNEL}' {place}/>\r\n</BookmarkList>"

    @_charged
    def log_state(self, channel: str) -> LogState:
        if channel != CHANNEL:
            raise WindowsApiError(Fault.CHANNEL_NOT_FOUND, channel)
        size = self._size()
        if size != self._newest[0]:
            with self._path.open("rb") as file:
                file.seek(max(size - _TAIL_BYTES, 0))
                whole = file.read(min(size, _TAIL_BYTES)).rpartition(b"\n")[0]
            ids = _RECORD_ID.findall(whole)
            self._newest = size, int(ids[-1]) if ids else self._newest[1]
        newest_id = self._newest[1]
        return LogState(min(newest_id, 1), newest_id, created_ms=1_000)

    def close(self, handle: Handle) -> None:
        if handle in self._open:
            self._open.remove(handle)
            handle.file.close()

    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            raise WindowsApiError(Fault.CHANNEL_NOT_FOUND, str(self._path)) from None


def _whole_lines(file: BinaryIO, limit: int) -> Iterator[_Event]:
    for _ in range(limit):
        begin = file.tell()
        line = file.readline()
        if not line.endswith(b"\n"):
            file.seek(begin)
            return
        yield _Event(line[:-1], begin + len(line))


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    yield from PyEvtxParser(str(path)).records()


def _template(xml: str) -> tuple[str, str, str]:
    line = _BETWEEN_TAGS.sub("><", _DECLARATION.sub("", xml)).strip()
    line = line.replace("\r", "&#13;").replace("\n", "&#10;")
    found = _PLACES.search(line)
    assert found is not None, line
    return line[: found.end(1)], found[2], line[found.start(3) :]


def _iso(t_ms: int) -> str:
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(t_ms // 1000))
    return f"{at}.{t_ms % 1000:03}0000Z"
