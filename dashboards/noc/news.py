"""What changed and was not told yet, in the order in which it is told."""

from collections import defaultdict

from msgspec import Struct

from dashboards.noc.cases import Cases
from dashboards.noc.model import NodeChanges
from dashboards.noc.wall import Wall

Change = tuple[str, Struct]
"""The name of an event and its data, see ``model``."""

_CARDS_AT_ONCE = 5


class News:
    """Gathers changes. Cards, cells and layouts are told as they are when they are told, so what
    changed twice is told once.
    """

    def __init__(self, cases: Cases, wall: Wall) -> None:
        self._cases = cases
        self._wall = wall
        self._events: list[Change] = []
        self._cards: set[str] = set()
        self._later: set[str] = set()
        self._queue: dict[str, None] = {}
        self._cells: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)

    def tell(self, name: str, data: Struct) -> None:
        """An event as it is."""
        self._events.append((name, data))

    def card(self, name: str) -> None:
        """A case's card is to be told at once."""
        self._cases.changed(name)
        self._cards.add(name)

    def card_later(self, name: str) -> None:
        """A case's card is to be told when there is time."""
        self._cases.changed(name)
        self._later.add(name)

    def cell(self, case: str, fleet: str, node: str, letter: str) -> None:
        """A node has another letter, in a case or (``case`` empty) on the wall."""
        self._cells[case, fleet][node] = letter

    def drain(self, *, cards: bool) -> list[Change]:
        """All that is due, see ``Book.changes``."""
        out, self._events = self._events, []
        if cards:
            out += [("layout", self._wall.layout(fleet)) for fleet in sorted(self._wall.moved)]
            self._wall.moved.clear()
            self._queue |= dict.fromkeys(sorted(self._later))
            self._later.clear()
        waiting = [name for name in self._queue if name not in self._cards]
        due = [*sorted(self._cards), *waiting[:_CARDS_AT_ONCE]]
        self._cards.clear()
        for name in due:
            self._queue.pop(name, None)
            case = self._cases.get(name)
            if case is not None:
                out.append(("case", self._cases.card(case)))
        for (name, fleet), states in sorted(self._cells.items()):
            out.append(("nodes", NodeChanges(0, name, fleet, states)))
        self._cells = defaultdict(dict)
        return out
