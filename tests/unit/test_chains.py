"""Gap clustering: a run is a function of the set of times, whatever came when."""

from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.detection.chains import (
    DAY_MS,
    HOUR_MS,
    KEPT_TIMES,
    SECOND_MS,
    Chain,
    insert,
    merge,
    single,
)

instants = st.builds(
    lambda days, off: max(days * DAY_MS + off, 0),
    st.integers(0, 9),
    st.sampled_from((-HOUR_MS, -1, 0, 1, SECOND_MS - 1, SECOND_MS, HOUR_MS, DAY_MS // 2)),
)


def runs_of(times: Iterable[int]) -> tuple[Chain, ...]:
    chains: tuple[Chain, ...] = ()
    for t_ms in times:
        chains = insert(chains, single(t_ms, HOUR_MS), DAY_MS)
    return chains


def runs_by_definition(times: Iterable[int]) -> tuple[Chain, ...]:
    """Sort, cut where a gap to the floored time before is a day or more."""
    groups: list[list[int]] = []
    for t_ms in sorted(set(times)):
        if groups and t_ms - groups[-1][-1] // HOUR_MS * HOUR_MS < DAY_MS:
            groups[-1].append(t_ms)
        else:
            groups.append([t_ms])
    return tuple(Chain(g[0], g[-1] // HOUR_MS * HOUR_MS, earliest(g)) for g in groups)


def earliest(times: list[int]) -> tuple[int, ...]:
    seconds: dict[int, int] = {}
    for t_ms in times:
        seconds.setdefault(t_ms // SECOND_MS, t_ms)
    return tuple(seconds.values())[:KEPT_TIMES]


@settings(max_examples=150, deadline=None)
@given(st.lists(instants, max_size=20))
def test_runs_are_a_function_of_the_set_of_times(times: list[int]) -> None:
    assert runs_of(times) == runs_by_definition(times)


@settings(max_examples=100, deadline=None)
@given(st.lists(instants, max_size=15), st.lists(instants, max_size=15))
def test_merging_runs_gives_the_runs_of_all_times_together(a: list[int], b: list[int]) -> None:
    assert merge((*runs_of(a), *runs_of(b)), DAY_MS) == runs_by_definition((*a, *b))


def test_a_late_event_joins_the_two_runs_that_it_bridges() -> None:
    apart = runs_of((0, 40 * HOUR_MS))
    assert len(apart) == 2
    assert insert(apart, single(20 * HOUR_MS, HOUR_MS), DAY_MS) == (
        Chain(0, 40 * HOUR_MS, (0, 20 * HOUR_MS, 40 * HOUR_MS)),
    )


def test_a_gap_of_exactly_a_day_begins_a_new_run() -> None:
    assert len(runs_of((0, DAY_MS - 1))) == 1
    assert len(runs_of((0, DAY_MS))) == 2


def test_a_crash_loop_is_one_run_that_keeps_its_eight_earliest_times() -> None:
    (run,) = runs_of(range(0, 5 * DAY_MS, 10 * 60_000))
    assert run.times == tuple(range(0, KEPT_TIMES * 10 * 60_000, 10 * 60_000))
    assert run.last_ms == 5 * DAY_MS - HOUR_MS


def test_what_is_logged_twice_within_a_second_happened_once() -> None:
    (run,) = runs_of((1_700, 1_100, 2_000, 1_999))
    assert run.times == (1_100, 2_000)


def test_what_changes_nothing_returns_the_same_object() -> None:
    chains = runs_of((*(n * SECOND_MS for n in range(9)), HOUR_MS))
    assert insert(chains, single(9 * SECOND_MS, HOUR_MS), DAY_MS) is chains
    assert insert(chains, single(HOUR_MS + 1, HOUR_MS), DAY_MS) is chains


def test_the_record_id_is_that_of_the_earliest_event() -> None:
    late, early = single(500, HOUR_MS, record_id=1), single(100, HOUR_MS, record_id=9)
    for order in ((late, early), (early, late)):
        chains: tuple[Chain, ...] = ()
        for chain in order:
            chains = insert(chains, chain, DAY_MS)
        assert chains[0].record_id == 9
