"""The risk set as time goes on: how many nodes stand where, just before an instant."""

from collections import defaultdict
from collections.abc import Sequence

from streams.detection.members import Member, Place

_AGES = 4


class Population:
    """Counts of nodes by place, moved forward in time with ``advance``.

    Law: after ``advance(t)`` the counts are those of all members' places at ``t``.
    """

    def __init__(self, members: Sequence[Member], begin_ms: int, end_ms: int) -> None:
        moves: list[tuple[int, int, Place | None]] = []
        for index, member in enumerate(members):
            before: Place | None = None
            for t_ms in member.changes(begin_ms, end_ms):
                place = member.place(t_ms)
                if place != before:
                    moves.append((t_ms, index, place))
                    before = place
        moves.sort(key=lambda move: move[:2])
        self._moves = moves
        self._next = 0
        self._places: list[Place | None] = [None] * len(members)
        self._index = {member.node.node: i for i, member in enumerate(members)}
        self._stratum: dict[tuple[str, str], list[int]] = defaultdict(_zeros)
        self._stratum_site: dict[tuple[str, str, str], list[int]] = defaultdict(_zeros)
        self._role_site: dict[tuple[str, str], list[int]] = defaultdict(_zeros)
        self._domain: dict[str, list[int]] = defaultdict(_zeros)

    def advance(self, t_ms: int) -> None:
        """Move on to ``t_ms`` (Unix ms, never back)."""
        while self._next < len(self._moves) and self._moves[self._next][0] <= t_ms:
            _, index, place = self._moves[self._next]
            self._next += 1
            old = self._places[index]
            self._places[index] = place
            if old is not None:
                self._count(old, -1)
            if place is not None:
                self._count(place, 1)

    def place(self, node: str) -> Place | None:
        """Where the node stands now; None when it is not in the risk set."""
        index = self._index.get(node)
        return None if index is None else self._places[index]

    def in_stratum(self, place: Place, without_sites: Sequence[str]) -> list[int]:
        """Nodes by age in the stratum of ``place``, leaving some sites out."""
        counts = list(self._stratum[place.role, place.noise])
        for site in without_sites:
            left_out = self._stratum_site[place.role, place.noise, site]
            for age in range(_AGES):
                counts[age] -= left_out[age]
        return counts

    def in_site(self, place: Place) -> list[int]:
        """Nodes by age of the same role at the same site."""
        return self._role_site[place.role, place.site]

    def in_domain(self, place: Place) -> list[int]:
        """Nodes by age of the same failure domain."""
        return self._domain[place.domain]

    def _count(self, place: Place, step: int) -> None:
        self._stratum[place.role, place.noise][place.age] += step
        self._stratum_site[place.role, place.noise, place.site][place.age] += step
        self._role_site[place.role, place.site][place.age] += step
        self._domain[place.domain][place.age] += step


def _zeros() -> list[int]:
    return [0] * _AGES
