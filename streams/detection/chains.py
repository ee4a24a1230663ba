"""Gap clustering: events of one kind that follow one another closely count as one run.

A run is kept as its first time, its last time (floored, so that a long crash loop changes it
rarely) and its eight earliest times of distinct seconds: what is logged twice within one happened
once, and shippers that cut times to the second must come to the same.

Laws (tests/unit/test_chains.py): the runs are a function of the *set* of times, whatever the order,
repetition or batching in which they came.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from operator import sub

from msgspec import Struct

SECOND_MS = 1_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
KEPT_TIMES = 8


class Chain(Struct, array_like=True, frozen=True, gc=False):
    """One run: ``first_ms`` exact, ``last_ms`` floored, the earliest ``times`` of
    distinct seconds.
    """

    first_ms: int
    last_ms: int
    times: tuple[int, ...] = ()
    record_id: int = 0
    """Record id of the event at ``first_ms`` (the smallest one if several share that time)."""


def to_s(t_ms: int) -> int:
    """The second that an instant (Unix ms) lies in: some shippers know no more of it."""
    return t_ms // SECOND_MS


def second_after(t_ms: int) -> int:
    """The beginning (Unix ms) of the second after that of ``t_ms``."""
    return (to_s(t_ms) + 1) * SECOND_MS


def single(t_ms: int, floor_ms: int, record_id: int = 0) -> Chain:
    """The run of one event."""
    return Chain(t_ms, max(t_ms // floor_ms * floor_ms, 0), (t_ms,), record_id)


def join(a: Chain, b: Chain) -> Chain:
    """The run of two runs that belong together."""
    first = min((a.first_ms, a.record_id), (b.first_ms, b.record_id))
    times = _earliest(sorted({*a.times, *b.times}))
    return Chain(first[0], max(a.last_ms, b.last_ms), times, first[1])


def _earliest(ordered: Iterable[int]) -> tuple[int, ...]:
    kept: list[int] = []
    for t_ms in ordered:
        if not kept or to_s(t_ms) != to_s(kept[-1]):
            kept.append(t_ms)
            if len(kept) == KEPT_TIMES:
                break
    return tuple(kept)


def runs_of(times: Iterable[int], gap_ms: int, floor_ms: int) -> list[Chain]:
    """The runs of event times in any order: as ``chains.insert`` makes them one by one."""
    ordered = sorted(set(times))
    return [_run(run, floor_ms) for run in split(ordered, gap_ms, floor_ms)]


def split(ordered: list[int], gap_ms: int, floor_ms: int) -> Iterator[list[int]]:
    """Ascending times in lists, one for each run."""
    if not ordered:
        return
    # No step is a gap, however the time before it is floored: that is what most nodes are like.
    if max(map(sub, ordered[1:], ordered), default=0) + floor_ms <= gap_ms:
        yield ordered
        return
    begin = 0
    for at, (before_ms, t_ms) in enumerate(pairwise(ordered), start=1):
        if t_ms - before_ms // floor_ms * floor_ms >= gap_ms:
            yield ordered[begin:at]
            begin = at
    yield ordered[begin:]


def _run(times: list[int], floor_ms: int) -> Chain:
    return Chain(times[0], times[-1] // floor_ms * floor_ms, _earliest(times))


def insert(chains: tuple[Chain, ...], new: Chain, gap_ms: int) -> tuple[Chain, ...]:
    """Add a run to disjoint ascending runs, joining whatever is less than ``gap_ms`` apart.

    The gap between two runs is the later one's first time minus the earlier one's (floored) last.
    Returns the same object when nothing changes.
    """
    before: list[Chain] = []
    after: list[Chain] = []
    joined = new
    touched = 0
    for chain in chains:
        if new.first_ms - chain.last_ms >= gap_ms:
            before.append(chain)
        elif chain.first_ms - new.last_ms >= gap_ms:
            after.append(chain)
        else:
            joined = join(joined, chain)
            touched += 1
            if joined == chain:
                return chains
    return (*before, joined, *after)


def merge(chains: Iterable[Chain], gap_ms: int) -> tuple[Chain, ...]:
    """The runs of the union of many runs (a class's runs from those of its signatures).

    Exact for the union of the underlying events, because each run's inner gaps are below the gap.
    """
    out: list[Chain] = []
    for chain in sorted(chains, key=lambda c: (c.first_ms, c.last_ms, c.record_id)):
        if out and chain.first_ms - out[-1].last_ms < gap_ms:
            out[-1] = join(out[-1], chain)
        else:
            out.append(chain)
    return tuple(out)
