"""The event log as a source: small stories of what Windows does to a reader."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.settings import LogSettings
from collectors.sources.eventlog import EventLogSource
from collectors.sources.selection import Subscription
from collectors.sources.source import Item, Source
from collectors.windows.api import EventLogApi, Fault, Handle
from schemas.errors import KbwatchError
from schemas.reports import ChannelHealth, Event
from tests.fixtures.fake_windows import Clock, FakeEventLog, FileEventLog, event_xml

DAY_S = 86_400
SYSTEM = Subscription("System", "<QueryList/>", optional=False)
CLUSTER = Subscription("Cluster/Operational", "<QueryList/>", optional=True)
FORWARDED = Subscription("ForwardedEvents", "<QueryList/>", optional=False)


def is_crash(xml: str) -> bool:
    """A query that selects 7031."""
    return "<EventID>7031<" in xml


class Node:
    """A node with a collector that can be stopped, killed and started again."""

    def __init__(
        self,
        *subscriptions: Subscription,
        matches: Callable[[str], bool] = lambda xml: True,
        logs: LogSettings | None = None,
    ) -> None:
        self.clock = Clock()
        self.api = FakeEventLog(self.clock, matches)
        self.subscriptions = subscriptions or (SYSTEM,)
        self.settings = logs or LogSettings()
        for subscription in self.subscriptions:
            if not subscription.optional:
                self.api.channel(subscription.channel)
        self.position: str | None = None
        self.source: EventLogSource

    def event(
        self,
        number: int = 7031,
        channel: str = "System",
        computer: str = "hv03",
        record_id: int = 0,
        text: str = "",
    ) -> str:
        return event_xml(number, self.clock.ms, channel, computer, record_id, text)

    def logs(self, count: int = 1, channel: str = "System") -> list[int]:
        return self.api.log(*(self.event(channel=channel) for _ in range(count)), channel=channel)

    def start(self) -> None:
        self.source = EventLogSource(
            self.api, self.subscriptions, self.settings, "wec01", self.clock.both
        )
        self.source.open(self.position)

    def read(self, limit: int = 500, acked: bool = True) -> list[Item]:
        """One read; what is acked is where the next start begins."""
        items = list(self.source.read(limit))
        if acked:
            self.position = next((i.position for i in reversed(items) if i.position), self.position)
        return items

    def read_all(self) -> list[Item]:
        """Reads until twice nothing came."""
        items: list[Item] = []
        empty = 0
        while empty < 2:
            some = self.read()
            empty = 0 if some else empty + 1
            items += some
        return items


def started(
    *subscriptions: Subscription,
    matches: Callable[[str], bool] = lambda xml: True,
    logs: LogSettings | None = None,
) -> Node:
    node = Node(*subscriptions, matches=matches, logs=logs)
    node.start()
    return node


def ids(items: list[Item]) -> list[int]:
    return [r.record_id for item in items for r in item.records if isinstance(r, Event)]


def lost(items: list[Item]) -> int:
    return sum(item.lost for item in items)


class TestReading:
    def test_the_source_and_the_fake_are_what_they_promise(self) -> None:
        node = started()
        source: Source = node.source
        api: EventLogApi = node.api
        assert source.name == "eventlog"
        assert api is node.api

    def test_events_come_in_order_and_once(self) -> None:
        node = started()
        node.logs(3)
        assert ids(node.read_all()) == [1, 2, 3]
        node.logs(2)
        assert ids(node.read_all()) == [4, 5]

    def test_an_item_names_its_channel_and_the_last_one_the_position(self) -> None:
        node = started()
        node.logs(2)
        first, second = node.read()
        assert (first.channel, first.origin, first.lost) == ("System", "", 0)
        assert not first.position
        assert "RecordId='2'" in second.position

    def test_no_more_than_asked_for_come_at_once(self) -> None:
        node = started()
        node.logs(250)
        assert [len(node.read(limit=120)) for _ in range(3)] == [120, 120, 10]

    def test_it_never_waits_when_something_is_there(self) -> None:
        node = started()
        node.read_all()
        node.api.waits_ms.clear()
        node.logs(1)
        node.read()
        assert node.api.waits_ms == []

    def test_nothing_there_is_a_wait_of_less_than_a_second(self) -> None:
        node = started()
        node.read_all()
        node.api.waits_ms.clear()
        assert node.read() == []
        assert [0 < ms <= 1000 for ms in node.api.waits_ms] == [True]

    def test_an_event_that_comes_while_it_waits_is_read_at_once(self) -> None:
        node = started()
        node.read_all()
        node.api.while_waiting = lambda: node.logs(1)
        assert ids(node.read()) == [1]

    def test_an_event_that_comes_after_the_last_look_wakes_it_up(self) -> None:
        """The signal is taken back before the log is drained, so that this one is not swallowed."""
        node = started()
        node.read_all()
        real, late = node.api.next_events, [1]

        def then_one_more(subscription: Handle, limit: int, timeout_ms: int) -> Sequence[Handle]:
            events = real(subscription, limit, timeout_ms)
            if not events and late:
                late.pop()
                node.logs(1)
            return events

        node.api.next_events = then_one_more  # type: ignore[method-assign]
        node.logs(1)
        first = ids(node.read())
        node.api.waits_ms.clear()
        assert (first, ids(node.read())) == ([1], [2])
        assert node.api.waits_ms == []

    def test_a_lost_signal_costs_half_a_minute_at_most(self) -> None:
        node = started()
        node.read_all()
        node.api.channel().append(node.event())
        assert node.read() == []
        node.clock.advance(30)
        assert ids(node.read()) == [1]

    def test_a_restart_goes_on_behind_what_was_acked(self) -> None:
        node = started()
        node.logs(2)
        node.read_all()
        node.logs(2)
        node.read(acked=False)
        node.start()
        assert ids(node.read_all()) == [3, 4]

    def test_busy_channels_keep_nobody_waiting(self) -> None:
        node = started(SYSTEM, Subscription("Setup", "", optional=False))
        node.logs(1_000)
        node.logs(1, "Setup")
        assert "Setup" in {item.channel for item in [*node.read(limit=50), *node.read(limit=50)]}


class TestOrigins:
    def test_a_forwarded_event_belongs_to_the_computer_that_logged_it(self) -> None:
        node = started(FORWARDED)
        node.api.log(node.event(record_id=77, computer="HV03.corp"), channel="ForwardedEvents")
        (item,) = node.read_all()
        assert (item.origin, item.channel, ids([item])) == ("hv03", "ForwardedEvents", [77])

    def test_a_forwarded_event_is_no_local_one_whatever_channel_it_names(self) -> None:
        node = started(FORWARDED)
        for record_id in (900_000, 1):
            claims = node.event(channel="ForwardedEvents", computer="HV03", record_id=record_id)
            node.api.log(claims, channel="ForwardedEvents")
        items = node.read_all()
        assert [item.origin for item in items] == ["hv03", "hv03"]
        assert lost(items) == 0
        assert node.source.channels()["ForwardedEvents"].newest_record_id == 2

    def test_what_a_collector_forwards_to_itself_is_its_own(self) -> None:
        node = started(FORWARDED)
        node.api.log(node.event(computer="WEC01.corp"), channel="ForwardedEvents")
        assert [item.origin for item in node.read_all()] == [""]

    def test_a_computer_that_was_renamed_is_still_this_one(self) -> None:
        node = started()
        node.api.log(node.event(computer="OLDNAME"))
        assert [item.origin for item in node.read_all()] == [""]

    def test_a_forwarded_event_of_nobody_is_counted_as_lost(self) -> None:
        node = started(FORWARDED)
        node.api.log(node.event(computer=""), channel="ForwardedEvents")
        items = node.read_all()
        assert (ids(items), lost(items)) == ([], 1)

    def test_record_ids_of_other_logs_make_no_gaps(self) -> None:
        node = started(FORWARDED)
        for record_id in (900_000, 5, 70_000):
            node.api.log(node.event(record_id=record_id), channel="ForwardedEvents")
        items = node.read_all()
        node.api.channel("ForwardedEvents").keep(1)
        node.start()
        assert (ids(items), lost(items + node.read_all())) == ([900_000, 5, 70_000], 0)


class TestMissing:
    """What nodes are judged by and can't be read must not look well."""

    def failing(self, fault: Fault, subscription: Subscription, reads: int = 1) -> EventLogSource:
        node = Node(SYSTEM, subscription)
        node.api.channel(subscription.channel)
        node.start()
        node.read_all()
        node.api.let_die()
        node.api.fail_subscribe = [fault] * 20
        for _ in range(reads):
            node.read()
            node.clock.advance(61)
        return node.source

    @pytest.mark.parametrize("fault", [Fault.ACCESS_DENIED, Fault.CHANNEL_NOT_FOUND])
    def test_a_channel_that_must_be_there_and_cannot_be_read(self, fault: Fault) -> None:
        node = Node()
        node.api.fail_subscribe = [fault] * 20
        node.start()
        node.read()
        assert node.source.misses
        assert node.source.channels()["System"].lag_s == 120 * DAY_S

    def test_one_that_was_read_once_falls_behind(self) -> None:
        source = self.failing(Fault.ACCESS_DENIED, SYSTEM, reads=3)
        assert source.misses
        assert source.channels()["System"].lag_s >= 120

    def test_one_that_was_read_before_a_restart_falls_behind_from_there(self) -> None:
        node = started()
        node.logs(3)
        node.read_all()
        node.clock.advance(500)
        node.api.fail_subscribe = [Fault.ACCESS_DENIED]
        node.start()
        assert 500 <= node.source.channels()["System"].lag_s < 600

    def test_one_that_cannot_be_read_for_a_moment_is_not_missing(self) -> None:
        assert not self.failing(Fault.STALE, SYSTEM).misses
        assert self.failing(Fault.STALE, SYSTEM, reads=6).misses

    def test_one_that_is_disabled_is(self) -> None:
        node = Node()
        node.api.channel().enabled = False
        node.start()
        node.read()
        assert node.source.misses

    def test_one_that_most_machines_do_not_have_is_not(self) -> None:
        node = started(SYSTEM, CLUSTER)
        node.read_all()
        assert not node.source.misses
        assert CLUSTER.channel not in node.source.channels()


class TestHistory:
    def history(self, days: int) -> Node:
        node = Node(logs=LogSettings(history_days=days, history_events_per_s=100))
        for _ in range(10):
            node.logs(50)
            node.clock.advance(DAY_S)
        node.start()
        return node

    def test_the_first_start_reads_back_as_far_as_it_should(self) -> None:
        assert ids(self.history(days=3).read_all())[0] == 8 * 50 - 50 + 1
        assert len(ids(self.history(days=120).read_all())) == 500
        assert ids(self.history(days=0).read_all()) == []

    def test_it_is_throttled(self) -> None:
        node = self.history(days=120)
        began_ms = node.clock.ms
        assert len(node.read()) == 100
        node.read_all()
        assert node.clock.ms - began_ms >= 4_000

    def test_after_it_nothing_is(self) -> None:
        node = self.history(days=120)
        node.read_all()
        node.logs(400)
        assert len(node.read()) == 400

    def test_a_restart_in_the_midst_goes_on_throttled(self) -> None:
        node = self.history(days=120)
        seen = ids(node.read())
        node.start()
        assert len(node.read()) == 100
        node.read_all()
        node.start()
        node.logs(1)
        assert len(seen) + 400 == 500
        assert ids(node.read_all()) == [501]

    def test_other_channels_are_live_meanwhile(self) -> None:
        node = Node(SYSTEM, CLUSTER, logs=LogSettings(history_events_per_s=10))
        node.api.channel(CLUSTER.channel)
        node.logs(1_000)
        node.clock.advance(60)
        node.start()
        node.read()
        node.read()
        node.logs(5, CLUSTER.channel)
        assert {i.channel for i in node.read() if i.records} >= {CLUSTER.channel}

    def test_a_log_that_never_ends_does_not_stay_history(self) -> None:
        node = Node(logs=LogSettings(history_events_per_s=10))
        node.logs(10)
        node.clock.advance(60)
        node.start()
        node.logs(1_000)
        seen = sum(len(ids(node.read())) for _ in range(10))
        assert seen == 1_010


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


class TestTrouble:
    def test_a_handle_that_goes_stale_is_renewed_without_loss(self) -> None:
        node = started()
        node.logs(3)
        node.read_all()
        node.api.let_die()
        node.logs(2)
        assert ids(node.read_all()) == [4, 5]
        assert node.source.trouble == ""
        assert len(node.api.open) == 1

    def test_it_is_tried_less_and_less_often(self) -> None:
        node = started()
        node.api.fail_next = [Fault.UNAVAILABLE] * 1_000
        began = node.api.subscribed
        for _ in range(1_200):
            node.read()
            node.clock.advance(0.5)
        assert 10 <= node.api.subscribed - began <= 30
        assert "System: the event log service does not answer" in node.source.trouble
        node.api.fail_next = []
        node.logs(1)
        node.clock.advance(60)
        assert ids(node.read_all()) == [1]
        assert node.source.trouble == ""

    def test_too_much_for_one_call_is_asked_for_in_smaller_parts(self) -> None:
        node = started()
        node.read_all()
        node.logs(60)
        node.api.fail_next = [Fault.TOO_LARGE] * 2
        assert node.read() == node.read() == []
        node.clock.advance(1)
        assert ids(node.read_all()) == list(range(1, 61))
        assert 25 in node.api.limits

    def test_an_invalid_operation_is_a_drained_log(self) -> None:
        node = started()
        node.api.fail_next = [Fault.INVALID_OPERATION]
        assert ids(node.read()) == []
        assert node.source.trouble == ""
        node.logs(1)
        assert ids(node.read_all()) == [1]
        assert node.api.subscribed == 1

    def test_unless_the_log_grows_for_a_minute(self) -> None:
        node = started()
        node.read_all()
        for _ in range(2):
            node.api.fail_next = [Fault.INVALID_OPERATION]
            node.clock.advance(31)
            node.logs(1)
            node.read()
        assert ids(node.read_all()) == [1, 2]
        assert node.api.subscribed == 2

    def test_a_subscription_that_is_silent_while_its_log_grows_is_renewed(self) -> None:
        node = started()
        node.read_all()
        node.api.matches = lambda xml: False
        node.logs(5)
        for _ in range(30):
            node.clock.advance(30)
            node.read()
        assert node.api.subscribed == 1
        node.api.matches = lambda xml: True
        node.clock.advance(30)
        assert ids(node.read_all()) == [1, 2, 3, 4, 5]
        assert node.api.subscribed == 2

    def test_a_missing_channel_is_no_trouble_if_most_machines_lack_it(self) -> None:
        node = started(SYSTEM, CLUSTER)
        node.logs(1)
        assert ids(node.read_all()) == [1]
        assert node.source.trouble == ""
        assert set(node.source.channels()) == {"System"}

    def test_one_that_was_asked_for_is(self) -> None:
        node = Node(SYSTEM)
        node.api.logs.clear()
        node.start()
        node.read()
        assert "System: no such channel" in node.source.trouble
        assert not node.source.delivers

    def test_what_is_wrong_reads_alike_as_long_as_it_lasts(self) -> None:
        node = Node(SYSTEM)
        node.api.logs.clear()
        node.start()
        node.read()
        before = node.source.trouble
        node.clock.advance(17)
        node.read()
        assert node.source.trouble == before

    def test_one_channel_that_can_be_read_is_something_delivered(self) -> None:
        node = Node(SYSTEM, CLUSTER)
        node.api.logs.clear()
        node.api.channel(CLUSTER.channel)
        node.start()
        node.read()
        assert "System: no such channel" in node.source.trouble
        assert node.source.delivers

    def test_a_channel_that_appears_later_is_read_within_five_minutes(self) -> None:
        node = started(SYSTEM, CLUSTER)
        node.read_all()
        node.api.channel(CLUSTER.channel)
        node.logs(2, CLUSTER.channel)
        assert node.read_all() == []
        node.clock.advance(300)
        assert ids(node.read_all()) == [1, 2]

    def test_a_disabled_channel_is_said(self) -> None:
        node = Node()
        node.api.channel().enabled = False
        node.start()
        node.read()
        assert "disabled" in node.source.trouble

    def test_an_xpath_of_ones_own_that_windows_refuses_is_an_error(self) -> None:
        node = Node(logs=LogSettings(xpath={"system": "*[System[Nonsense]]"}))
        node.api.fail_subscribe = [Fault.INVALID_QUERY]
        with pytest.raises(KbwatchError, match=r"logs\.xpath of 'System': Windows refuses"):
            node.start()

    def test_a_query_of_ours_that_windows_refuses_stops_no_other_channel(self) -> None:
        node = Node(CLUSTER, SYSTEM)
        node.api.channel(CLUSTER.channel)
        node.api.fail_subscribe = [Fault.INVALID_QUERY]
        node.start()
        node.logs(1)
        assert ids(node.read_all()) == [1]
        assert "refuses the query" in node.source.trouble

    @pytest.mark.parametrize("fault", [Fault.BOOKMARK_INVALID, Fault.BOOKMARK_NOT_FOUND])
    def test_a_bookmark_that_windows_rejects_costs_nothing(self, fault: Fault) -> None:
        node = started()
        node.logs(5)
        node.read_all()
        node.logs(2)
        node.api.fail_subscribe = [fault]
        node.start()
        items = node.read_all()
        assert (ids(items), lost(items)) == ([6, 7], 0)

    @pytest.mark.parametrize(
        "position", ["", "{", "[]", '{"System": 3}', '{"System": {"t_ms": -1}}']
    )
    def test_a_position_that_is_none_is_a_first_start(self, position: str) -> None:
        node = Node()
        node.position = position
        node.logs(2)
        node.start()
        assert ids(node.read_all()) == [1, 2]

    def test_what_is_kept_of_a_channel_survives_its_absence_from_the_settings(self) -> None:
        node = started(SYSTEM, CLUSTER)
        node.api.channel(CLUSTER.channel)
        node.start()
        node.logs(2, CLUSTER.channel)
        node.read_all()
        node.subscriptions = (SYSTEM,)
        node.start()
        node.logs(1)
        node.read_all()
        node.subscriptions = (SYSTEM, CLUSTER)
        node.start()
        assert ids(node.read_all()) == []


class TestHealth:
    def test_a_channel_that_was_read_to_its_end_has_no_lag(self) -> None:
        node = started(matches=is_crash)
        node.logs(3)
        node.api.log(node.event(number=7036))
        node.read_all()
        assert node.source.channels() == {"System": ChannelHealth(4, 0)}

    def test_one_that_was_not_has(self) -> None:
        node = Node()
        node.logs(50)
        node.clock.advance(3_600)
        node.logs(50)
        node.start()
        node.read(limit=10)
        assert node.source.channels() == {"System": ChannelHealth(10, 3_600)}

    def test_one_that_cannot_be_read_falls_behind(self) -> None:
        node = started()
        node.logs(1)
        node.read_all()
        node.api.fail_next = [Fault.UNAVAILABLE] * 1_000
        node.clock.advance(100)
        node.read()
        node.clock.advance(20)
        node.read()
        assert node.source.channels()["System"].lag_s >= 120


def test_a_log_in_a_file_is_read_while_another_process_appends(tmp_path: Path) -> None:
    def written(*orders: str) -> None:
        event = event_xml(t_ms=1_752_600_000_000)
        FileEventLog.write(tmp_path, *(order or event for order in orders))

    written("", "!clear", "")
    source = EventLogSource(FileEventLog(tmp_path), (SYSTEM,), LogSettings(), "hv", Clock().both)
    source.open(None)
    first = ids(list(source.read(10)))
    written("", "")
    assert (first, ids(list(source.read(10)))) == ([2], [3, 4])


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
