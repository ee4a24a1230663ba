"""The risk set: how many nodes stand where at any instant.

For every group of nodes that a bet may be against, the times at which one comes in and goes out are
kept sorted, so a count is the difference of two binary searches. One population, built once, serves
every fold of a case; with some nodes left out it is this one minus those nodes.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import TypeAlias, TypeVar

from streams.detection.members import AGES, NOISES, Member, Place

_Turns = tuple[list[Sequence[int]], list[Sequence[int]]]
"""Per age when nodes come into a group, and when they go (Unix ms), ascending."""
_Times: TypeAlias = "array[int]"
"""Of everybody, and often: a list of Python's numbers would take five times as much."""
_Key = TypeVar("_Key", bound=Hashable)
_Answer = tuple[int, list[int]]
"""When (Unix ms) how many nodes of each age; not to be written to."""


class Population:
    """Counts of nodes by place, for any time in [``begin_ms``, ``end_ms``) (Unix ms).

    Law: the counts at ``t_ms`` are those of all members' places at ``t_ms``.
    """

    def __init__(self, members: Sequence[Member], begin_ms: int, end_ms: int) -> None:
        self._period = begin_ms, end_ms
        self._members = {member.node.node: member for member in members}
        self._places: dict[str, tuple[int, Place | None]] = {}
        self._counts = _Counts(members, begin_ms, end_ms)
        self._site: str | None = None
        self._left_out: _Counts | None = None
        self._by_domain: list[Member] | None = None
        self._at_sites: dict[tuple[str, str], _Answer] = {}
        self._in_domains: dict[str, _Answer] = {}

    def without(self, site: str | None, domain: str | None) -> "Population":
        """This population with one site, or one domain, left out."""
        gone = self.members_of(site, domain)
        rest = Population((), *self._period)
        names = {member.node.node for member in gone}
        rest._members = {name: m for name, m in self._members.items() if name not in names}
        rest._counts, rest._site = self._counts, site
        rest._left_out = _Counts(gone, *self._period)
        return rest

    def members_of(self, site: str | None, domain: str | None) -> list[Member]:
        """The members of one site, or of one domain."""
        return [m for m in self._members.values() if m.site == site or m.domain == domain]

    def since_ms(self, node: str) -> int:
        """Since when a member is known (Unix ms)."""
        return self._members[node].node.since_ms

    def place(self, node: str, t_ms: int) -> Place | None:
        """Where the node stands at ``t_ms``; None when it is not in the risk set."""
        # Asked for level after level: the latest answer of each node is enough.
        known = self._places.get(node)
        if known is not None and known[0] == t_ms:
            return known[1]
        member = self._members.get(node)
        place = member.place(t_ms) if member else None
        self._places[node] = t_ms, place
        return place

    def in_stratum(self, place: Place, t_ms: int, without_sites: Sequence[str] = ()) -> list[int]:
        """Nodes by age in the stratum of ``place``, leaving some sites out."""
        counts = self._of((place.role, place.noise), t_ms)
        for site in without_sites:
            elsewhere = self._of((place.role, place.noise, site), t_ms)
            counts = [a - b for a, b in zip(counts, elsewhere, strict=True)]
        return counts

    def in_site(self, place: Place, t_ms: int) -> list[int]:
        """Nodes by age of the same role at the same site."""
        return _latest(self._at_sites, (place.role, place.site), t_ms, self._count_site)

    def in_domain(self, place: Place, t_ms: int) -> list[int]:
        """Nodes by age of the same failure domain."""
        return _latest(self._in_domains, place.domain, t_ms, self._count_domain)

    def _count_site(self, key: tuple[str, str], t_ms: int) -> list[int]:
        role, site = key
        strata = (self._of((role, noise, site), t_ms) for noise in NOISES)
        return [sum(counts) for counts in zip(*strata, strict=True)]

    def _count_domain(self, domain: str, t_ms: int) -> list[int]:
        if self._by_domain is None:
            self._by_domain = sorted(self._members.values(), key=_domain)
        from_ = bisect_left(self._by_domain, domain, key=_domain)
        to = bisect_right(self._by_domain, domain, key=_domain)
        counts = [0] * AGES
        for member in self._by_domain[from_:to]:
            age = member.age(t_ms)
            if age is not None:
                counts[age] += 1
        return counts

    def _of(self, key: tuple[str, ...], t_ms: int) -> list[int]:
        counts = self._counts.at(key, t_ms)
        if self._left_out is None:
            return counts
        if self._site is not None and len(key) == 2:
            # What the site has in a stratum is counted already.
            less = self._counts.at((*key, self._site), t_ms)
        else:
            less = self._left_out.at(key, t_ms)
        return [a - b for a, b in zip(counts, less, strict=True)]


class _Counts:
    """The turns of all strata, and of their parts by site, worked out when first asked for."""

    def __init__(self, members: Sequence[Member], begin_ms: int, end_ms: int) -> None:
        self._everybody = members
        self._period = begin_ms, end_ms
        self._strata: dict[tuple[str, ...], _Turns] | None = None
        self._latest: dict[tuple[str, ...], _Answer] = {}

    def at(self, key: tuple[str, ...], t_ms: int) -> list[int]:
        """Nodes by age at ``t_ms`` of (role, noise class) or (role, noise class, site)."""
        return _latest(self._latest, key, t_ms, self._count)

    def _count(self, key: tuple[str, ...], t_ms: int) -> list[int]:
        if self._strata is None:
            self._strata = self._turns()
        turns = self._strata.get(key)
        if turns is None:
            return [0] * AGES
        come, go = turns
        return [
            bisect_right(come[0], t_ms) - bisect_right(go[0], t_ms),
            bisect_right(come[1], t_ms) - bisect_right(go[1], t_ms),
            bisect_right(come[2], t_ms) - bisect_right(go[2], t_ms),
            bisect_right(come[3], t_ms) - bisect_right(go[3], t_ms),
        ]

    def _turns(self) -> dict[tuple[str, ...], _Turns]:
        sites: dict[tuple[str, ...], tuple[list[_Times], list[_Times]]] = defaultdict(_no_turns)
        end_ms = self._period[1]
        for member in self._everybody:
            known = None
            for from_ms, to_ms, noise, age in member.stays(*self._period):
                if noise != known:
                    known = noise
                    come, go = sites[member.node.role, noise, member.site]
                come[age].append(from_ms)
                if to_ms < end_ms:
                    go[age].append(to_ms)
        strata: dict[tuple[str, ...], tuple[list[_Times], list[_Times]]] = defaultdict(_no_turns)
        for key, part in sites.items():
            for side, whole_side in zip(part, strata[key[:2]], strict=True):
                for times, whole in zip(side, whole_side, strict=True):
                    whole += times
        return {
            key: (_in_order(come), _in_order(go)) for key, (come, go) in (strata | sites).items()
        }


def _latest(
    known: dict[_Key, _Answer], key: _Key, t_ms: int, count: Callable[[_Key, int], list[int]]
) -> list[int]:
    """What ``count`` says of ``key`` at ``t_ms`` (Unix ms). Folds ask level after level, so each
    key's latest answer is kept, and no other.
    """
    answer = known.get(key)
    if answer is None or answer[0] != t_ms:
        answer = known[key] = t_ms, count(key, t_ms)
    return answer[1]


def _no_turns() -> tuple[list[_Times], list[_Times]]:
    return [array("q") for _ in range(AGES)], [array("q") for _ in range(AGES)]


def _in_order(by_age: list[_Times]) -> list[Sequence[int]]:
    return [array("q", sorted(times)) for times in by_age]


def _domain(member: Member) -> str:
    return member.domain
