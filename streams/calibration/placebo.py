"""Placebo cases: random nodes called patched at a random past time, as a real roll-out went. Pure
but for the chance that it is given.

The null is true by construction: nothing was installed. What the nodes did then is real, so
crash loops, outages and flapping clusters are those of the fleet and of nobody's model.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from random import Random
from statistics import median_low

from msgspec import Struct

from streams.calibration.outcome import Outcome, Rule, outcome
from streams.calibration.past import Past, as_of, with_installs
from streams.detection.chains import DAY_MS, HOUR_MS
from streams.detection.members import EXPOSED_MS
from streams.detection.spans import Span, case_spans

KB = "placebo"
HISTORY_MS = 30 * DAY_MS
"""Known of the nodes before a placebo begins, as of a real case that has a noise class."""
WATCH_MS = DAY_MS
"""A placebo is watched at least so long after its last node."""
_SETTLED_MS = DAY_MS
"""After a real roll-out's last nodes."""
_TAIL = 0.01
"""Share of a roll-out's nodes at either end that are stragglers: where they are patched, a placebo
does without them.
"""

Period = tuple[int, int]
"""From and until (Unix ms)."""


class Shape(Struct, frozen=True):
    """How a real roll-out went: per failure domain, in order, when each of its nodes was patched
    (ms after the roll-out's first).
    """

    case: str
    domains: tuple[tuple[int, ...], ...]

    @property
    def nodes(self) -> int:
        """Nodes that were patched."""
        return sum(map(len, self.domains))

    @property
    def lasts_ms(self) -> int:
        """From the first node to the last."""
        return max(times[-1] for times in self.domains)


class Field(Struct, frozen=True):
    """Where placebos may be put: a branch, the quiet periods of it, and shapes that fit there."""

    past: Past
    quiet: tuple[Period, ...]
    shapes: tuple[Shape, ...]

    def room(self, shape: Shape) -> list[Period]:
        """When a roll-out of this shape may begin."""
        needed_ms = shape.lasts_ms + WATCH_MS
        return [(a, b - needed_ms) for a, b in self.quiet if b - a > needed_ms]


def field_of(past: Past) -> Field:
    """What a branch's past offers."""
    rollouts = past.rollouts()
    busy = [_busy(sorted(past.installs(spans[0]).values())) for spans in rollouts]
    quiet = _between(busy, past.start_ms + HISTORY_MS, past.end_ms)
    shapes = [shape_of(past, spans[0]) for spans in rollouts]
    found = Field(past, tuple(quiet), tuple(shapes))
    return Field(past, found.quiet, tuple(s for s in shapes if found.room(s)))


def shape_of(past: Past, span: Span) -> Shape:
    """How the roll-out of a span went, stragglers left out."""
    installs = past.installs(span)
    first_ms, last_ms = _busy(sorted(installs.values()))
    last_ms -= _SETTLED_MS
    domains = []
    for part in past.evidence:
        times = sorted(
            installs[n.node] for n in part.nodes if first_ms <= installs.get(n.node, -1) <= last_ms
        )
        if times:
            domains.append(tuple(t - first_ms for t in times))
    return Shape(past.case(span).name, tuple(sorted(domains)))


def placebo(field: Field, random: Random, number: int, rule: Rule) -> Outcome:
    """Put one placebo into ``field``, which must have a shape, and decide on it."""
    past = field.past
    shape = random.choice(field.shapes)
    room = field.room(shape)
    (first_ms, last_ms) = random.choices(room, [b - a + 1 for a, b in room])[0]
    started_ms = random.randint(first_ms, last_ms)
    quiet_ms = next(b for a, b in field.quiet if a <= started_ms < b)
    until_ms = min(quiet_ms, started_ms + shape.lasts_ms + EXPOSED_MS)
    stragglers = {
        node.node
        for part in past.evidence
        for node in part.nodes
        for patch in node.patches
        if started_ms - _SETTLED_MS < patch.t_ms < until_ms
    }
    installs = _installs(past, shape, started_ms, stragglers, random)
    evidence = as_of(with_installs(past.evidence, KB, installs, stragglers), KB, until_ms)
    name = f"{KB}-{number:04}@{past.branch} as {shape.case}"
    # As for a real case, strays at either end of a roll-out don't move its start.
    begun = next(iter(case_spans(evidence)), Span(KB, "", started_ms, until_ms))
    return outcome((past.fleet, past.branch), evidence, begun, until_ms, rule, name)


def _installs(
    past: Past, shape: Shape, started_ms: int, without: set[str], random: Random
) -> dict[str, int]:
    """Random domains in the shape's order and rhythm, whole and node by node."""
    domains = []
    for part in past.evidence:
        nodes = [n.node for n in part.nodes if n.node not in without and n.since_ms <= started_ms]
        if nodes:
            domains.append(nodes)
    random.shuffle(domains)
    usual_ms = _usual_gap_ms(shape)
    installs: dict[str, int] = {}
    for nodes, times in zip(domains, shape.domains, strict=False):
        random.shuffle(nodes)
        at_ms = times[0]
        for i, node in enumerate(nodes):
            if i:
                at_ms = times[i] if i < len(times) else at_ms + usual_ms
            installs[node] = started_ms + at_ms
    return installs


def _usual_gap_ms(shape: Shape) -> int:
    gaps = [later - earlier for times in shape.domains for earlier, later in pairwise(times)]
    return median_low(gaps or [HOUR_MS])


def _busy(installs: Sequence[int]) -> Period:
    """When a roll-out was under way, and its last nodes not yet settled."""
    stragglers = int(_TAIL * len(installs))
    return installs[stragglers], installs[-1 - stragglers] + _SETTLED_MS


def _between(busy: Iterable[Period], begin_ms: int, end_ms: int) -> list[Period]:
    """What of [begin, end) lies in none of ``busy``."""
    quiet = []
    for from_ms, to_ms in sorted(busy):
        if from_ms > begin_ms:
            quiet.append((begin_ms, min(from_ms, end_ms)))
        begin_ms = max(begin_ms, to_ms)
    return [(a, b) for a, b in [*quiet, (begin_ms, end_ms)] if a < b]
