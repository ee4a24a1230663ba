"""How fresh each branch's evidence is, by Kafka's time."""

from collections import defaultdict

from msgspec import Struct

from dashboards.noc.fleet import Branch, Fleet
from dashboards.noc.gate import GONE_MS, Terms, stale
from dashboards.noc.sightings import Contribution


class _Domain(Struct, frozen=True, gc=False):
    """When Kafka got the newest evidence of a domain, and what that says of time."""

    append_ms: int
    last_ms: int
    beats: bool
    """Whether any of its nodes sends heartbeats."""


class Heard:
    """When each domain was heard of last, and so which branches are too old to be judged."""

    def __init__(self, fleet: Fleet, terms: Terms) -> None:
        self._fleet = fleet
        self._terms = terms
        self._of: dict[Branch, dict[bytes, _Domain]] = defaultdict(dict)
        self._stale: dict[Branch, int] = {}

    def take(self, branch: Branch, name: bytes, part: Contribution | None, append_ms: int) -> None:
        """The newest evidence of the domain with the key ``name``; None: it has none any more."""
        if part is None:
            self._of[branch].pop(name, None)
            return
        self._of[branch][name] = _Domain(
            append_ms,
            max((node.last_ms for node in part.nodes), default=0),
            any(node.wait_ms >= 0 for node in part.nodes),
        )

    def since_ms(self, branch: Branch) -> int:
        """Since when nine tenths of a branch's living domains have had newer evidence; 0: none is
        known. Where some nodes send heartbeats only their domains count: others may have nothing
        to say for long.
        """
        gone_ms = self._fleet.time_ms(branch) - GONE_MS
        living = [one for one in self._of.get(branch, {}).values() if one.last_ms > gone_ms]
        counted = [one for one in living if one.beats] or living
        times = sorted(one.append_ms for one in counted)
        return times[(len(times) - 1) // 10] if times else 0

    def turned(self, now_ms: int) -> set[Branch]:
        """The branches that became too old since the last call, came back, or are too old still
        but heard of a little later.
        """
        now: dict[Branch, int] = {}
        for branch in self._of:
            heard_ms = self.since_ms(branch)
            if stale(heard_ms, self._terms, now_ms):
                now[branch] = heard_ms
        before, self._stale = self._stale, now
        return {branch for branch in before.keys() | now if before.get(branch) != now.get(branch)}
