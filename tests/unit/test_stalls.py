"""When a partition stands still, and how often that is said."""

import pytest

from streams.stalls import SAID_EVERY_S, Offsets, Place, Stall, Stalls

LIMIT_S = 60.0
PLACE = Place("kbw-node-reports", 2)
OTHER = Place("kbw-evidence", 0)


def busy(committed: int | None, taken: int | None = 90) -> Offsets:
    """Records up to 90 were taken, 100 are there."""
    return Offsets(committed=committed, taken=taken, position=91, end=100)


@pytest.mark.parametrize(
    ("offsets", "waiting"),
    [
        (Offsets(committed=100, taken=99, position=100, end=100), False),
        (Offsets(committed=None, taken=None, position=0, end=0), False),
        (Offsets(committed=None, taken=None, position=70, end=70), False),
        (Offsets(committed=90, taken=99, position=100, end=100), True),
        (Offsets(committed=None, taken=0, position=1, end=1), True),
        (Offsets(committed=90, taken=89, position=90, end=100), True),
        (Offsets(committed=None, taken=None, position=0, end=5), True),
        (Offsets(committed=100, taken=99, position=100, end=None), True),
        (Offsets(committed=100, taken=99, position=None, end=100), True),
    ],
)
def test_work_waits_where_it_is_not_fetched_or_not_committed(
    offsets: Offsets, waiting: bool
) -> None:
    assert offsets.waiting is waiting


def test_the_end_of_a_transaction_and_what_was_compacted_away_are_no_work() -> None:
    assert not Offsets(committed=100, taken=99, position=102, end=102).waiting
    assert not Offsets(committed=100, taken=None, position=102, end=102).waiting


def test_a_partition_that_commits_nothing_for_the_limit_stands_still() -> None:
    stalls = Stalls(LIMIT_S)
    assert stalls.look(0, {PLACE: busy(50)}) == []
    assert stalls.look(59, {PLACE: busy(50)}) == []
    assert stalls.count == 0
    assert stalls.look(60, {PLACE: busy(50)}) == [Stall(*PLACE, 50, 100, 60)]
    assert stalls.count == 1


def test_each_commit_begins_anew() -> None:
    stalls = Stalls(LIMIT_S)
    for committed in range(5):
        assert stalls.look(committed * 50, {PLACE: busy(committed)}) == []
    assert stalls.look(4 * 50 + LIMIT_S, {PLACE: busy(4)})[0].committed == 4


def test_a_first_record_after_a_quiet_hour_is_no_stall() -> None:
    stalls = Stalls(LIMIT_S)
    idle = Offsets(committed=100, taken=99, position=100, end=100)
    stalls.look(0, {PLACE: idle})
    assert stalls.look(3_600, {PLACE: Offsets(100, 99, 100, 101)}) == []
    assert stalls.look(3_650, {PLACE: Offsets(100, 99, 100, 101)}) == []
    assert len(stalls.look(3_660, {PLACE: Offsets(100, 99, 100, 101)})) == 1


def test_a_rebalance_begins_anew() -> None:
    stalls = Stalls(LIMIT_S)
    stalls.look(0, {PLACE: busy(50)})
    stalls.look(50, {})
    assert stalls.look(70, {PLACE: busy(50)}) == []
    assert len(stalls.look(130, {PLACE: busy(50)})) == 1


def test_each_partition_is_told_once_in_five_minutes_and_counted_always() -> None:
    stalls = Stalls(LIMIT_S)
    stalls.look(0, {PLACE: busy(50)})
    told = {}
    for now_s in range(60, 700, 10):
        seen = {PLACE: busy(50)} | ({OTHER: busy(None)} if now_s >= 100 else {})
        told[now_s] = [stall.topic for stall in stalls.look(now_s, seen)]
        assert stalls.count == 1 + (now_s >= 160)
    assert {now_s: topics for now_s, topics in told.items() if topics} == {
        60: [PLACE.topic],
        160: [OTHER.topic],
        60 + SAID_EVERY_S: [PLACE.topic],
        160 + SAID_EVERY_S: [OTHER.topic],
        60 + 2 * SAID_EVERY_S: [PLACE.topic],
    }
