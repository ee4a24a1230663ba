"""One source in a thread of its own, so that one that hangs holds up no other."""

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from collectors.log import Log
from collectors.sources.source import Item, Source
from schemas.errors import KbwatchError
from schemas.reports import ChannelHealth

ITEMS_AT_A_TIME = 500
_IDLE_S = 0.2
_HAND_OVER_S = 0.2
# A log that is written all the time is looked at five times a second, not at each event.
_GATHER_S = 0.2
_LAGS_S = 60.0  # longer than a read takes
_HANGS_S = 240.0  # longer than a PowerShell script may take
_TRY_AGAIN_S = 30.0

_log = Log("source")


class Batch(Struct, frozen=True):
    """What one read gave."""

    source: str
    items: Sequence[Item]


class Reader:
    """Reads one source and hands over what is there; nobody else touches the source.

    A source that raises is opened anew, behind what was handed over last, after half a minute.
    """

    def __init__(
        self,
        source: Source,
        position: str | None,
        hand_over: "queue.Queue[Batch]",
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = source.name
        self._source = source
        self._position = position
        self._hand_over = hand_over
        self._now_s = now_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"source-{self.name}", daemon=True)
        self._answered_s = now_s()
        self._trouble = ""
        self._delivers = True
        self._misses = False
        self._channels_s = now_s()
        self._channels: Mapping[str, ChannelHealth] = {}
        self._empty_reads = 0

    @property
    def trouble(self) -> str:
        """Why nothing comes just now; empty: all is well."""
        if self._hangs:
            silent_s = self._now_s() - self._answered_s
            return f"hangs: no answer for {silent_s:.0f} s"
        return self._trouble

    @property
    def delivers(self) -> bool:
        """Whether any of the source can be read just now."""
        return self._delivers and not self._hangs

    @property
    def misses(self) -> bool:
        """Whether something can't be read that nodes are judged by, or the source is dead."""
        return self._misses or self._hangs

    @property
    def channels(self) -> Mapping[str, ChannelHealth]:
        """How far each channel was read; a source that does not answer falls behind in all."""
        silent_s = self._now_s() - self._channels_s
        if silent_s < _LAGS_S:
            return self._channels
        return {
            name: replace(health, lag_s=health.lag_s + int(silent_s))
            for name, health in self._channels.items()
        }

    @property
    def _hangs(self) -> bool:
        return self._thread.is_alive() and self._now_s() - self._answered_s > _HANGS_S

    @property
    def exhausted(self) -> bool:
        """Whether the source has had nothing at two reads in a row."""
        return self._empty_reads >= 2

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Say that no more is wanted; ``join`` waits for it."""
        self._stop.set()

    def join(self, timeout_s: float) -> bool:
        """Wait until the source is closed; False when it hangs, and is left to its thread."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._source.open(self._position)
                while not self._stop.is_set():
                    self._read()
            except KbwatchError as error:
                self._failed(str(error))
            except Exception as error:
                # Whatever a driver or a library throws, the other sources go on.
                _log.fault("failed", about=self.name, error=error)
                self._failed(f"{type(error).__name__}: {error}")
            finally:
                self._close()

    def _read(self) -> None:
        items = self._source.read(ITEMS_AT_A_TIME)
        self._answered_s = self._now_s()
        self._note_trouble(self._source.trouble)
        self._delivers = self._source.delivers
        self._misses = self._source.misses
        self._channels = self._source.channels()
        self._channels_s = self._answered_s
        if not items:
            self._empty_reads += 1
            self._stop.wait(_IDLE_S)
            return
        self._empty_reads = 0
        batch = Batch(self.name, items)
        while not self._stop.is_set():
            try:
                self._hand_over.put(batch, timeout=_HAND_OVER_S)
            except queue.Full:
                # Waiting for the spool is not hanging.
                self._answered_s = self._now_s()
                continue
            self._position = next(
                (item.position for item in reversed(items) if item.position), self._position
            )
            if len(items) < ITEMS_AT_A_TIME:
                self._stop.wait(_GATHER_S)
            return

    def _note_trouble(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            _log.warning("can't be read", about=self.name, trouble=trouble)
        elif self._trouble and not trouble:
            _log.info("is read again", about=self.name)
        self._trouble = trouble

    def _failed(self, trouble: str) -> None:
        self._answered_s = self._now_s()
        self._empty_reads = 0
        self._delivers = False
        self._misses = True
        self._note_trouble(trouble)
        self._stop.wait(_TRY_AGAIN_S)

    def _close(self) -> None:
        try:
            self._source.close()
        except Exception as error:
            _log.fault("failed to close", about=self.name, error=error)
