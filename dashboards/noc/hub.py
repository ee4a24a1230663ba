"""Events on their way to browsers: one log, encoded once, that every stream reads at its own pace.

A stream holds a position in the log and nothing else, so a browser that reads slowly, or not at
all, costs no memory: when the log has moved on past its position it gets the whole state again.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import islice

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from dashboards.noc.model import HEARTBEAT_S, NodeChanges
from dashboards.noc.news import Change

LOG_BYTES = 4 * 1024 * 1024
"""Events kept for those who lag or come back."""

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
            pieces: list[bytes] = []
            first = self.seq - len(self._log)
            if at is None or at < first:
                at = self.seq
                pieces.append(self._whole_state())
            elif at < self.seq:
                pieces += islice(self._log, at - first, None)
                at = self.seq
            if ticks != self._ticks:
                ticks = self._ticks
                pieces.append(self._tick)
            if pieces:
                yield b"".join(pieces)
                continue
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

    def _whole_state(self) -> bytes:
        # Many browsers come back at once after a restart: they share one encoding.
        if self._whole[0] != self.seq:
            self._whole = (self.seq, self._event("state", self._state(self.seq)))
        return self._whole[1]

    def _event(self, name: str, data: Struct) -> bytes:
        # JSON has no line feeds outside of strings, and inside they are escaped.
        head = f"id: {self.run}-{self.seq}\nevent: {name}\ndata: "
        return head.encode() + _encode(data) + b"\n\n"

    def _woken(self) -> None:
        woken, self._wake = self._wake, asyncio.Event()
        woken.set()
