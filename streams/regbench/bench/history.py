"""A stream in memory, sorted by node: what every detector of the benchmark starts from.

Order and repetition of lines make no difference to what is made of it: all that is kept are sets,
minima, or lists of times that are read as sets.
"""

from collections.abc import Iterable

from msgspec import Struct, field

from streams.regbench.bench.stream import Event, Fleet, Heartbeat, Install, Line, Node, Uninstall

Kind = tuple[str, str, str]
"""(signature, class, impact)."""


class NodeHistory(Struct):
    """What happened on one node; times in Unix ms, in no order."""

    node: Node
    installs: dict[str, int] = field(default_factory=dict)
    """KB → its first install."""
    removals: dict[str, int] = field(default_factory=dict)
    """KB → its first uninstall."""
    events: dict[Kind, list[int]] = field(default_factory=dict)
    beats: list[int] = field(default_factory=list)


class History(Struct):
    """One fleet over one period (Unix ms)."""

    fleet: str
    start_ms: int
    end_ms: int
    nodes: dict[str, NodeHistory] = field(default_factory=dict)

    def cases(self) -> list[tuple[str, str]]:
        """(KB, branch) of all that was installed, in order."""
        return sorted({(kb, n.node.branch) for n in self.nodes.values() for kb in n.installs})


def gather(lines: Iterable[Line]) -> History:
    """All of a stream. An event that is about another node counts on that node.

    Whatever the lines raise passes through (``stream_file.read``: KbwatchError).
    """
    history = History("", 0, 0)
    nodes = history.nodes
    for line in lines:
        if isinstance(line, Event):
            events = nodes[line.about or line.node].events
            key = (line.signature, line.cls, line.impact)
            times = events.get(key)
            if times is None:
                events[key] = [line.t_ms]
            else:
                times.append(line.t_ms)
        elif isinstance(line, Heartbeat):
            nodes[line.node].beats.append(line.t_ms)
        elif isinstance(line, Install):
            _keep_first(nodes[line.node].installs, line.kb, line.t_ms)
        elif isinstance(line, Uninstall):
            _keep_first(nodes[line.node].removals, line.kb, line.t_ms)
        elif isinstance(line, Node):
            nodes[line.node] = NodeHistory(line)
        elif isinstance(line, Fleet):
            history = History(line.fleet, line.start_ms, line.end_ms, nodes)
    return history


def _keep_first(times: dict[str, int], kb: str, t_ms: int) -> None:
    if kb not in times or t_ms < times[kb]:
        times[kb] = t_ms
