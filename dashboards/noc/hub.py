"""Events on their way to browsers: one log, encoded once, that every stream reads at its own pace.

A stream holds a position in the log and the piece that is being sent, which all share. So a browser
that reads slowly, or not at all, costs little memory: when the log has moved on past its position
it gets the whole state again.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from dashboards.noc.model import HEARTBEAT_S, NodeChanges
from dashboards.noc.news import Change

LOG_BYTES = 1024 * 1024
"""Events kept for those who lag or come back; who lags more gets the whole state."""

COMMENT = b": still here\n\n"

_encode = msgspec.json.Encoder().encode


class Hub:
    """The log of one run of the server.

    Laws: ``seq`` grows by one with each event; a stream gets every event after its position, in
    order, or a state that holds them all.
    """

    def __init__(
        self, run: str, state: Callable[[int], Struct], log_bytes: int = LOG_BYTES
    ) -> None:
        """``state(seq)`` makes the whole state as of now."""
        self.run = run
        self.seq = 0
        self.closed = False
        self._state = state
        self._log: deque[bytes] = deque()
        self._held = 0
        self._limit = log_bytes
        self._whole: tuple[int, bytes] = (-1, b"")
        self._tick = b""
        self._ticks = 0
        self._wake = asyncio.Event()

    def publish(self, changes: Sequence[Change]) -> None:
        """Add changes to the log."""
        for name, data in changes:
            self.seq += 1
            if isinstance(data, NodeChanges):
                data = replace(data, seq=self.seq)
            event = self._event(name, data)
            self._log.append(event)
            self._held += len(event)
        while self._held > self._limit:
            self._held -= len(self._log.popleft())
        if changes:
            self._woken()

    def tick(self, data: Struct) -> None:
        """Tell everybody the time. It has no number: one that was missed is no loss."""
        self._tick = b"event: tick\ndata: " + _encode(data) + b"\n\n"
        self._ticks += 1
        self._whole = (-1, b"")  # the state tells the time as well
        self._woken()

    def close(self) -> None:
        """End all streams."""
        self.closed = True
        self._woken()

    async def stream(
        self, last_event_id: str, heartbeat_s: float = HEARTBEAT_S
    ) -> AsyncIterator[bytes]:
        """What one browser gets, piece by piece, until the hub is closed."""
        at = self._position(last_event_id)
        ticks = self._ticks
        while not self.closed:
            woken = self._wake
            first = self._first()
            if at is None or at < first:
                at, piece = self._whole_state()
                yield piece
            elif at < self.seq:
                at += 1
                yield self._log[at - 1 - first]
            elif ticks != self._ticks:
                ticks = self._ticks
                yield self._tick
            else:
                try:
                    async with asyncio.timeout(heartbeat_s):
                        await woken.wait()
                except TimeoutError:
                    yield COMMENT

    def _position(self, last_event_id: str) -> int | None:
        run, _, seq = last_event_id.rpartition("-")
        if run != self.run or not (seq.isascii() and seq.isdigit()) or len(seq) > 18:
            return None
        return int(seq) if int(seq) <= self.seq else None

    def _first(self) -> int:
        """The earliest position from which the log has every event."""
        return self.seq - len(self._log)

    def _whole_state(self) -> tuple[int, bytes]:
        # Many browsers lag, or come back after a restart, at once: they share one encoding until
        # the next tick, and what came after it they get from the log.
        if self._whole[0] < self._first():
            self._whole = (self.seq, self._event("state", self._state(self.seq)))
        return self._whole

    def _event(self, name: str, data: Struct) -> bytes:
        # JSON has no line feeds outside of strings, and inside they are escaped.
        head = f"id: {self.run}-{self.seq}\nevent: {name}\ndata: "
        return head.encode() + _encode(data) + b"\n\n"

    def _woken(self) -> None:
        woken, self._wake = self._wake, asyncio.Event()
        woken.set()
