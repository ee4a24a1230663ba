"""Which position each source has reached, when its records settle in any order."""

from bisect import insort
from collections.abc import Mapping

# Per source. When more are waiting, every second one is forgotten: a bookmark may be too far back.
_MAX_WAITING = 256

Placed = tuple[int, str]
"""A position, and the sequence number of the entry that carries it."""


class Progress:
    """Positions that become valid when everything up to their sequence number is settled.

    Law: ``reached[source]`` is the position of an entry up to which, and at which, all are settled;
    it never goes back. Memory is bounded by the number of sources.
    """

    def __init__(self) -> None:
        self.reached: dict[str, str] = {}
        self._reached_seq: dict[str, int] = {}
        self._waiting: dict[str, list[Placed]] = {}

    def note(self, positions: Mapping[str, Placed]) -> None:
        """Positions of settled entries."""
        for source, placed in positions.items():
            if placed[0] <= self._reached_seq.get(source, 0):
                continue
            waiting = self._waiting.setdefault(source, [])
            insort(waiting, placed)
            if len(waiting) > _MAX_WAITING:
                del waiting[-2::-2]

    def advance(self, settled: int) -> None:
        """Everything up to the sequence number ``settled`` is settled."""
        for source, waiting in list(self._waiting.items()):
            count = 0
            while count < len(waiting) and waiting[count][0] <= settled:
                count += 1
            if not count:
                continue
            self._reached_seq[source], self.reached[source] = waiting[count - 1]
            del waiting[:count]
            if not waiting:
                del self._waiting[source]
