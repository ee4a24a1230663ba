"""Logs that wrap, are cleared or made anew: every event comes or is counted as lost."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.settings import LogSettings
from collectors.sources.source import Item
from schemas.reports import Event
from tests.fixtures.log_node import Node, ids, is_crash, lost, started


class TestLosses:
    def test_wrapped_while_away(self) -> None:
        node = started()
        node.logs(5)
        node.read_all()
        node.logs(100)
        node.api.channel().keep(10)
        node.start()
        items = node.read_all()
        assert (ids(items), lost(items)) == (list(range(96, 106)), 90)
        node.start()
        assert lost(node.read_all()) == 0

    def test_wrapped_while_it_lags_behind(self) -> None:
        node = started()
        node.logs(300)
        node.read(limit=100)
        node.api.channel().keep(50)
        items = node.read_all()
        assert (ids(items), lost(items)) == (list(range(251, 301)), 150)

    def test_cleared_while_away(self) -> None:
        node = started()
        node.logs(5)
        node.read_all()
        node.logs(3)
        node.api.channel().clear()
        node.api.log(node.event(number=104))
        node.start()
        items = node.read_all()
        assert (ids(items), lost(items)) == ([9], 3)

    @pytest.mark.parametrize("created", [False, True])
    @pytest.mark.parametrize("stale", [False, True])
    def test_cleared_while_it_reads(self, stale: bool, created: bool) -> None:
        node = started()
        node.api.stale_when_cleared = stale
        node.api.channel().cleared_is_created = created
        node.logs(5)
        node.read_all()
        node.api.channel().clear()
        node.api.log(node.event(number=104))
        node.logs(2)
        items = node.read_all()
        assert (set(ids(items)), lost(items)) == ({6, 7, 8}, 0)

    def test_made_anew_while_away(self) -> None:
        node = started()
        node.logs(5)
        node.read_all()
        node.api.channel().begin_anew()
        node.logs(2)
        node.start()
        assert ids(node.read_all()) == [1, 2]

    def test_made_anew_with_the_creation_time_of_the_old_file(self) -> None:
        """NTFS gives a file that is soon made again the creation time of the one before."""
        node = started()
        node.logs(5)
        node.read_all()
        node.api.channel().begin_anew()
        node.api.channel().created_ms -= 1
        node.logs(3)
        assert set(ids(node.read_all())) == {1, 2, 3}
        node.logs(10)
        node.api.channel().keep(2)
        node.start()
        assert lost(node.read_all()) == 8

    def test_a_log_whose_count_lags_behind_is_not_taken_for_a_new_one(self) -> None:
        node = started()
        node.api.channel().uncounted = 4
        node.logs(10)
        seen = ids(node.read_all())
        for _ in range(5):
            node.clock.advance(61)
            node.logs(1)
            seen += ids(node.read_all())
        assert seen == list(range(1, 16))

    def test_a_creation_time_that_keeps_changing_is_not_believed_for_long(self) -> None:
        node = started()
        rounds = []
        for _ in range(40):
            node.logs(2)
            rounds.append(ids(node.read_all()))
            node.api.channel().created_ms += 1
        assert {record_id for seen in rounds for record_id in seen} == set(range(1, 81))
        assert all(len(seen) == 2 for seen in rounds[-10:])

    def test_made_anew_and_grown_beyond_the_bookmark_while_away(self) -> None:
        node = started()
        node.logs(5)
        node.read_all()
        node.api.channel().begin_anew()
        node.logs(9)
        node.start()
        assert ids(node.read_all()) == list(range(1, 10))

    def test_made_anew_and_still_empty_at_the_start(self) -> None:
        node = started()
        node.logs(5)
        node.read_all()
        node.api.channel().begin_anew()
        node.start()
        node.read_all()
        node.logs(2)
        assert set(ids(node.read_all())) == {1, 2}

    def test_made_anew_while_it_reads(self) -> None:
        node = started()
        node.logs(5)
        node.read_all()
        node.api.channel().begin_anew()
        node.logs(3)
        items = node.read_all()
        assert (set(ids(items)), lost(items)) == ({1, 2, 3}, 0)

    def test_made_anew_before_anything_matched(self) -> None:
        node = started(matches=is_crash)
        node.api.log(node.event(number=7036))
        node.clock.advance(61)
        node.read()
        node.api.channel().begin_anew()
        node.logs(1)
        assert set(ids(node.read_all())) == {1}

    def test_made_anew_and_grown_beyond_what_was_read_while_it_reads(self) -> None:
        node = started()
        node.logs(5)
        node.read(limit=2)
        node.api.channel().begin_anew()
        node.logs(9)
        assert set(ids(node.read_all())) == set(range(1, 10))

    def test_record_ids_that_the_query_skips_are_no_loss(self) -> None:
        node = started(matches=is_crash)
        items = []
        for _ in range(4):
            node.api.log(*(node.event(number=7036) for _ in range(50)))
            node.logs(1)
            items += node.read_all()
        node.api.channel().keep(10)
        node.start()
        items += node.read_all()
        assert (len(ids(items)), lost(items)) == (4, 0)

    def test_nor_when_they_wrap_while_nothing_matches(self) -> None:
        node = started(matches=is_crash)
        node.logs(1)
        node.read_all()
        for _ in range(5):
            node.api.log(*(node.event(number=7036) for _ in range(50)))
            node.clock.advance(61)
            node.read_all()
            node.api.channel().keep(60)
        node.start()
        assert lost(node.read_all()) == 0

    def test_what_is_logged_after_the_first_read_of_an_empty_log_counts(self) -> None:
        node = started()
        node.read()
        node.logs(10)
        node.api.channel().keep(4)
        node.start()
        items = node.read_all()
        assert (ids(items), lost(items)) == ([7, 8, 9, 10], 6)

    def test_the_first_start_has_lost_nothing(self) -> None:
        node = Node()
        node.logs(100)
        node.api.channel().keep(10)
        node.start()
        items = node.read_all()
        assert (len(ids(items)), lost(items)) == (10, 0)

    @pytest.mark.parametrize("broken", ["", "<Event><Sys", "<!DOCTYPE x><Event/>"])
    def test_an_event_that_cannot_be_read_stops_no_other(self, broken: str) -> None:
        node = started()
        node.logs(1)
        (second,) = node.api.log(broken) if broken else node.logs(1)
        if not broken:
            node.api.unreadable.add(("System", second))
        node.logs(1)
        items = node.read_all()
        assert (ids(items), lost(items)) == ([1, 3], 1)
        assert "could not be read" in node.source.trouble

    def test_it_is_counted_once(self) -> None:
        node = started()
        node.logs(1)
        node.api.unreadable.add(("System", 2))
        node.logs(1)
        assert lost(node.read_all()) == 1
        node.start()
        node.api.channel().keep(0)
        node.logs(1)
        assert lost(node.read_all()) == 0


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 40)),
        st.tuples(st.just("noise"), st.integers(1, 40)),
        st.tuples(st.sampled_from(["read", "unacked"]), st.integers(1, 60)),
        st.tuples(st.just("keep"), st.integers(0, 30)),
        st.tuples(st.sampled_from(["clear", "anew", "crash", "die", "drain", "later"]), st.just(0)),
    ),
    max_size=40,
)


@given(steps=STEPS, stale=st.booleans(), created=st.booleans())
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_every_event_comes_or_is_counted_as_lost(
    steps: list[tuple[str, int]], stale: bool, created: bool
) -> None:
    """Texts tell events apart, since record ids may begin anew.

    A log file that is made anew takes the count of what nobody had read with it, and what it loses
    before anybody has looked at it can't be known either: those alone may go uncounted.
    """
    node = started(matches=is_crash, logs=LogSettings(history_events_per_s=1_000_000))
    node.api.stale_when_cleared = stale
    node.api.channel().cleared_is_created = created
    written: list[str] = []
    excused: set[str] = set()
    got: Counter[str] = Counter()
    counted = 0
    log = node.api.channel()

    def take(items: list[Item]) -> None:
        nonlocal counted
        counted += lost(items)
        got.update(r.data["param1"] for i in items for r in i.records if isinstance(r, Event))

    for step, number in [("drain", 0), *steps, ("append", 1), ("drain", 0)]:
        node.clock.advance(0.1)
        unseen = log.births != log.known_births
        if step == "anew" or (unseen and step in ("clear", "keep")):
            excused |= set(written) - set(got)
        match step:
            case "append":
                texts = [f"e{len(written) + n}" for n in range(number)]
                written += texts
                node.api.log(*(node.event(text=text) for text in texts))
            case "noise":
                node.api.log(*(node.event(number=7036) for _ in range(number)))
            case "read":
                take(node.read(limit=number))
            case "unacked":
                take(node.read(limit=number, acked=False))
            case "drain":
                take(node.read_all())
            case "keep":
                log.keep(number)
            case "clear":
                log.clear()
            case "anew":
                log.begin_anew()
            case "die":
                node.api.let_die()
            case "later":
                node.clock.advance(61)
            case "crash":
                node.start()
    missing = set(written) - set(got) - excused
    assert len(missing) <= counted
