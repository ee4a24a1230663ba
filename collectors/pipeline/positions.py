"""How far each source may be said to have been read: never past a record that has not left yet."""

from collections import deque


class Mark:
    """A place in a source, with the number of records up to it that have not left."""

    __slots__ = ("held", "position")

    def __init__(self, position: str) -> None:
        self.position = position
        self.held = 0


class Positions:
    """The marks of every source, in the order of reading.

    Law: a position is settled only when everything that was read at or before it has left.
    """

    def __init__(self) -> None:
        self._marks: dict[str, deque[Mark]] = {}
        self._settled: dict[str, str] = {}

    def reached(self, source: str, mark: Mark) -> None:
        """The source stands at ``mark``, whose records have been held, or have left already."""
        marks = self._marks.setdefault(source, deque())
        if mark.held:
            marks.append(mark)
        elif mark.position:
            # Nothing of its own to wait for: it settles with the one before it.
            if marks:
                marks[-1].position = mark.position
            else:
                self._settled[source] = mark.position

    def settled(self) -> dict[str, str]:
        """Positions that have settled since the last call; empty positions say nothing."""
        for source, marks in self._marks.items():
            while marks and not marks[0].held:
                position = marks.popleft().position
                if position:
                    self._settled[source] = position
        settled, self._settled = self._settled, {}
        return settled
