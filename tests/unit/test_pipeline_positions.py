"""When reports are due, and which positions they carry."""

from collections import Counter

from collectors.pipeline.bundling import MAX_RECORDS
from collectors.settings import LimitSettings, ScheduleSettings, Settings
from collectors.spool.bundle import Priority
from schemas.reports import ChannelHealth, Heartbeat
from tests.fixtures.pipelines import CLUSTER, DAY, NOW, UPDATE, event, ids, item, pipeline, shipped


class TestSchedule:
    def test_no_record_waits_longer_than_report_s(self) -> None:
        line = pipeline(Settings(schedule=ScheduleSettings(report_s=2.0)))
        line.take("src", [item(event(1))], NOW)
        line.take("src", [item(event(2))], NOW + 1_500)
        assert line.bundles(NOW + 1_999) == []
        assert ids(line.bundles(NOW + 2_000)) == [1, 2]
        assert line.bundles(NOW + 9_000) == []

    def test_a_full_report_waits_for_nothing(self) -> None:
        line = pipeline()
        line.take("src", [item(event(n)) for n in range(MAX_RECORDS + 1)], NOW)
        (bundle,) = line.bundles(NOW)
        assert ids([bundle]) == list(range(MAX_RECORDS))

    def test_a_clock_that_was_set_back_makes_nothing_wait(self) -> None:
        line = pipeline()
        line.take("src", [item(event(1))], NOW)
        assert ids(line.bundles(NOW - DAY)) == [1]

    def test_a_heartbeat_says_how_the_collector_is(self) -> None:
        line = pipeline()
        channels = {"System": ChannelHealth(newest_record_id=9, lag_s=1)}
        line.heartbeat(NOW, channels, lost=3, dropped=2, depth=1)
        (bundle,) = line.bundles(NOW + 1_000)
        assert bundle.priority is Priority.KEEP
        assert bundle.report.records == [
            Heartbeat(t_ms=NOW, channels=channels, lost=3, dropped=2, spool_depth=1)
        ]


class TestPositions:
    def test_a_position_goes_with_the_records_before_it(self) -> None:
        (bundle,) = shipped(pipeline(), item(event(1), at="a"), item(event(2), at="b"))
        assert bundle.positions == {"src": "b"}

    def test_of_two_reports_the_second_has_it(self) -> None:
        first, second = shipped(pipeline(), item(event(1, 2), at="a"), item(event(2, 3), at="b"))
        assert (first.positions, second.positions) == ({"src": "a"}, {"src": "b"})

    def test_it_waits_for_a_record_that_waits(self) -> None:
        line = pipeline()
        line.take("src", [item(event(1), at="a")], NOW)
        line.take("src", [item(*(event(n, 2) for n in range(2, 2 + MAX_RECORDS)), at="b")], NOW)
        full, late = (*line.bundles(NOW), *line.bundles(NOW + 1_000))
        assert full.positions == {}
        assert late.positions == {"src": "b"}

    def test_items_without_records_move_it_on_the_next_bundle(self) -> None:
        line = pipeline()
        line.take("src", [item(at="a"), item(at="b")], NOW)
        assert line.bundles(NOW + DAY) == []
        line.heartbeat(NOW + DAY, {}, lost=0, dropped=0, depth=0)
        (bundle,) = line.bundles(NOW + DAY, force=True)
        assert bundle.positions == {"src": "b"}

    def test_a_storm_holds_it_until_its_summary_is_out(self) -> None:
        line = pipeline(Settings(limits=LimitSettings(events_per_s=0.001, burst=1)))
        line.take("src", [item(event(n), at=str(n)) for n in range(1, 50)], NOW)
        first = line.bundles(NOW + 1_000)
        assert [b.positions for b in first] == [{"src": "1"}]
        line.take("other", [item(event(1, 2, channel="Setup"), at="x")], NOW + 2_000)
        assert [b.positions for b in line.bundles(NOW + 4_000)] == [{"other": "x"}]
        line.bundles(NOW + 60_000)
        last = line.bundles(NOW + 61_000)
        assert last[-1].positions == {"src": "49"}
        assert [b.positions for b in last[:-1]] == [{}] * (len(last) - 1)

    def test_patches_boots_and_cluster_events_are_never_limited(self) -> None:
        line = pipeline(Settings(limits=LimitSettings(events_per_s=0.001, burst=1)))
        update = {"updateTitle": "x (KB5062557)"}
        every = [
            one
            for n in range(100)
            for one in (
                event(3 * n, 1, CLUSTER, 1135, data={"NodeName": "hv02"}),
                event(3 * n + 1, 2, UPDATE, 20, data=update),
                event(3 * n + 2, 2, "EventLog", 6008),
            )
        ]
        assert Counter(ids(shipped(line, item(*every)))) == Counter(range(300))
