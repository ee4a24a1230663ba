"""A stream in memory, sorted by node: what every detector of the benchmark starts from.

Order and repetition of lines make no difference to what is made of it: all that is kept are sets,
minima, or lists of times that are read as sets. A stream says much about many nodes, so what most
nodes lack has no place with them, and what nodes say alike is kept once.
"""

from array import array
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from msgspec import Struct, field

from streams.regbench.bench.stream import Event, Fleet, Heartbeat, Install, Line, Node, Uninstall

Kind = tuple[str, str, str]
"""(signature, class, impact)."""
Times: TypeAlias = "array[int]"
"""Unix ms in no order, eight bytes each: a number of Python's takes five times as much."""


class History(Struct):
    """One fleet over one period (Unix ms)."""

    fleet: str
    start_ms: int
    end_ms: int
    nodes: dict[str, Node] = field(default_factory=dict)
    installs: dict[str, dict[str, int]] = field(default_factory=dict)
    """KB → node → its first install."""
    removals: dict[str, dict[str, int]] = field(default_factory=dict)
    """KB → node → its first uninstall."""
    beats: dict[str, Times] = field(default_factory=dict)
    """The heartbeats of the nodes that have any."""
    kinds: list[Kind] = field(default_factory=list)
    logged: dict[str, Times] = field(default_factory=dict)
    """What happened on the nodes that anything happened on: for each event the number of its kind,
    then its time.
    """

    def events(self, node: str) -> Mapping[Kind, list[int]]:
        """The times of a node's events by kind."""
        logged = self.logged.get(node, ())
        out: dict[int, list[int]] = {}
        for number, t_ms in zip(logged[::2], logged[1::2], strict=True):
            if number in out:
                out[number].append(t_ms)
            else:
                out[number] = [t_ms]
        return {self.kinds[number]: times for number, times in out.items()}

    def cases(self) -> list[tuple[str, str]]:
        """(KB, branch) of all that was installed, in order."""
        return sorted(
            {(kb, self.nodes[name].branch) for kb, times in self.installs.items() for name in times}
        )


def gather(lines: Iterable[Line]) -> History:
    """All of a stream. An event that is about another node counts on that node.

    Whatever the lines raise passes through (``stream_file.read``: KbwatchError).
    """
    history = History("", 0, 0)
    nodes, beats, logged = history.nodes, history.beats, history.logged
    numbers: dict[Kind, int] = {}
    alike = _Alike()
    for line in lines:
        if isinstance(line, Event):
            kind = (line.signature, line.cls, line.impact)
            number = numbers.get(kind)
            if number is None:
                number = numbers[kind] = len(numbers)
            name = line.about or line.node
            times = logged.get(name)
            if times is None:
                times = logged[nodes[name].node] = array("q")
            times.append(number)
            times.append(line.t_ms)
        elif isinstance(line, Heartbeat):
            times = beats.get(line.node)
            if times is None:
                times = beats[nodes[line.node].node] = array("q")
            times.append(line.t_ms)
        elif isinstance(line, Install):
            _keep_first(history.installs, line.kb, nodes[line.node].node, line.t_ms)
        elif isinstance(line, Uninstall):
            _keep_first(history.removals, line.kb, nodes[line.node].node, line.t_ms)
        elif isinstance(line, Node):
            nodes[line.node] = alike.node(line)
        elif isinstance(line, Fleet):
            history.fleet, history.start_ms, history.end_ms = line.fleet, line.start_ms, line.end_ms
    history.kinds = list(numbers)
    return history


def _keep_first(times: dict[str, dict[str, int]], kb: str, node: str, t_ms: int) -> None:
    of_kb = times.setdefault(kb, {})
    known = of_kb.get(node)
    if known is None or t_ms < known:
        of_kb[node] = t_ms


class _Alike:
    """Equal values as one object: nodes share roles, branches, sites and covariates."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._covariates: dict[tuple[tuple[str, bool | str], ...], dict[str, bool | str]] = {}
        self._times: dict[int, int] = {}

    def node(self, node: Node) -> Node:
        text = self._texts
        return Node(
            node.node,
            text.setdefault(node.role, node.role),
            text.setdefault(node.branch, node.branch),
            text.setdefault(node.site, node.site),
            node.node if node.domain == node.node else text.setdefault(node.domain, node.domain),
            self._times.setdefault(node.t_ms, node.t_ms),
            text.setdefault(node.ring, node.ring),
            self._same(node.covariates),
        )

    def _same(self, covariates: dict[str, bool | str]) -> dict[str, bool | str]:
        said = tuple(covariates.items())
        known = self._covariates.get(said)
        if known is None:
            # By name, as evidence has them.
            ordered = dict(sorted(said))
            known = self._covariates.setdefault(tuple(ordered.items()), ordered)
            self._covariates[said] = known
        return known
