"""The event log as a source: what is read, whose it is, how far back."""

from collections.abc import Sequence
from pathlib import Path

from collectors.settings import LogSettings
from collectors.sources.eventlog import EventLogSource
from collectors.sources.selection import Subscription
from collectors.sources.source import Source
from collectors.windows.api import EventLogApi, Fault, Handle
from schemas.reports import ChannelHealth
from tests.fixtures.fake_windows import Clock, FileEventLog, event_xml
from tests.fixtures.log_node import (
    CLUSTER,
    DAY_S,
    FORWARDED,
    SYSTEM,
    Node,
    ids,
    is_crash,
    lost,
    started,
)


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
