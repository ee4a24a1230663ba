"""Which partitions have work waiting and get nowhere: pure."""

from collections.abc import Mapping
from typing import NamedTuple

from msgspec import Struct

SAID_EVERY_S = 300.0


class Place(NamedTuple):
    """A partition of a topic (full name)."""

    topic: str
    partition: int


class Offsets(Struct, frozen=True):
    """What is known of a partition; all but ``taken`` are offsets of the next record."""

    committed: int | None = None
    """None: nothing is committed yet."""
    taken: int | None = None
    """The last record that a stream was given."""
    position: int | None = None
    """How far records were fetched; None before the first fetch."""
    end: int | None = None
    """The partition's end; None while the broker has not answered a fetch."""

    @property
    def waiting(self) -> bool:
        """Whether there is something to do.

        Not so where only ``committed`` lags: the last records may have been compacted away, or be
        the mark at which a transaction ends, and never can be committed.
        """
        if self.position is None or self.end is None or self.position < self.end:
            return True
        return self.taken is not None and self.taken >= (self.committed or 0)


class Stall(Struct, frozen=True):
    """A partition of which nothing was committed for ``still_s``, though there is work."""

    topic: str
    partition: int
    committed: int | None
    end: int | None
    still_s: float


class _Still(Struct):
    committed: int | None
    since_s: float


class Stalls:
    """Remembers since when each partition has been standing still.

    Law: a partition that commits, has nothing to do or is not looked at begins anew; each stall is
    new once in five minutes.
    """

    def __init__(self, limit_s: float) -> None:
        """Call it a stall after ``limit_s`` without a commit."""
        self._limit_s = limit_s
        self._still: dict[Place, _Still] = {}
        self._silent_until_s: dict[Place, float] = {}
        self.count = 0
        """Partitions that stood still at the last look."""

    def look(self, now_s: float, seen: Mapping[Place, Offsets]) -> list[Stall]:
        """The stalls to tell of now (``now_s``: any clock, seconds); ``seen`` has all partitions
        that a worker holds, none while they are being handed out.
        """
        still = {}
        stalls = []
        for place, offsets in sorted(seen.items()):
            if not offsets.waiting:
                continue
            before = self._still.get(place)
            if before is None or before.committed != offsets.committed:
                before = _Still(offsets.committed, now_s)
            still[place] = before
            still_s = now_s - before.since_s
            if still_s >= self._limit_s:
                stalls.append(Stall(*place, offsets.committed, offsets.end, still_s))
        self._still = still
        self.count = len(stalls)
        return [stall for stall in stalls if self._is_new(stall, now_s)]

    def _is_new(self, stall: Stall, now_s: float) -> bool:
        place = Place(stall.topic, stall.partition)
        if now_s < self._silent_until_s.get(place, now_s):
            return False
        self._silent_until_s[place] = now_s + SAID_EVERY_S
        return True
