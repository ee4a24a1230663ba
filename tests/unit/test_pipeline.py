"""From what sources read to reports: headers, records, and what is hostile."""

import pytest
from msgspec.structs import replace

from collectors.pipeline.fitting import fitted
from collectors.pipeline.origins import MAX_ORIGINS
from collectors.pipeline.pipeline import Pipeline
from collectors.spool.bundle import Priority
from schemas.codec import MAX_MESSAGE_BYTES, decode, encode
from schemas.errors import KbwatchError
from schemas.reports import Boot, Event, Facts, Heartbeat, NodeReport, PatchState
from tests.fixtures.pipelines import (
    CLUSTER,
    DAY,
    KERNEL,
    NOW,
    SETTINGS,
    UPDATE,
    booted,
    event,
    ids,
    item,
    pipeline,
    records,
    shipped,
)


class TestHeaders:
    def test_a_report_says_who_it_is_from(self) -> None:
        (bundle,) = shipped(pipeline(), item(event()))
        report = replace(bundle.report, records=[])
        assert report == NodeReport(
            v=1,
            fleet="prod",
            node="hv01",
            domain="c1",
            site="fra",
            sent_ms=0,
            records=[],
            heartbeat_s=60,
            collector="1.2.3",
        )

    def test_a_forwarded_event_is_its_origins_which_promises_no_heartbeats(self) -> None:
        (bundle,) = shipped(pipeline(), item(event(), origin="hv07"))
        report = bundle.report
        assert (report.node, report.domain, report.heartbeat_s) == ("hv07", "hv07", 0)
        assert (report.fleet, report.site, report.collector) == ("prod", "fra", "1.2.3")

    def test_what_this_node_forwards_to_itself_is_its_own(self) -> None:
        (bundle,) = shipped(pipeline(), item(event(), origin="hv01"))
        assert (bundle.report.domain, bundle.report.heartbeat_s) == ("c1", 60)

    @pytest.mark.parametrize("name", ["hv01\u202e", "h|v", "x" * 257])
    def test_an_origin_that_can_be_no_name_is_nobody_and_counted(self, name: str) -> None:
        line = pipeline()
        assert shipped(line, item(event(), origin=name, at="9")) == []
        assert line.refused == 1
        line.heartbeat(NOW, {}, lost=0, dropped=0, depth=0)
        (bundle,) = line.bundles(NOW, force=True)
        assert bundle.positions == {"src": "9"}

    def test_each_report_belongs_to_one_boot(self) -> None:
        line = pipeline()
        bundles = shipped(
            line,
            item(event(1, 2), booted(2, NOW - 9_000), event(3, 2)),
            item(booted(4, NOW - 5_000), event(5, 2), event(6, 2, t_ms=NOW - 8_000)),
        )
        boots = {tuple(ids([bundle])): bundle.report.boot_ms for bundle in bundles}
        assert boots == {
            (1,): 0,
            (2,): NOW - 9_000,
            (3,): NOW - 9_000,
            (4,): NOW - 5_000,
            (5, 6): NOW - 5_000,
        }

    def test_boots_of_one_node_say_nothing_of_another(self) -> None:
        line = pipeline()
        bundles = shipped(line, item(booted(1), origin="a"), item(event(2), origin="b"))
        assert {b.report.node: b.report.boot_ms for b in bundles} == {"a": NOW, "b": 0}

    @pytest.mark.parametrize("name", ["", "a|b", "x" * 257, "a\nb"])
    def test_a_node_needs_a_name_that_keys_can_hold(self, name: str) -> None:
        with pytest.raises(KbwatchError, match=r"node\.name"):
            Pipeline(SETTINGS, name, "c1", "1")
        with pytest.raises(KbwatchError, match=r"node\.domain"):
            Pipeline(SETTINGS, "hv01", name, "1")


class TestRecords:
    def test_events_become_boots_and_patch_states(self) -> None:
        update = {"updateTitle": "Cumulative Update (KB5062557)"}
        bundles = shipped(pipeline(), item(booted(1)), item(event(2, 4, UPDATE, 43, data=update)))
        assert records(bundles) == [
            Boot(t_ms=NOW, build="17763.7558", record_id=1),
            PatchState(
                kb="KB5062557",
                state="installing",
                t_ms=NOW + 2,
                source="wuclient/43",
                build="17763.7558",
                record_id=2,
            ),
        ]

    def test_a_cluster_event_says_whom_it_is_about(self) -> None:
        (record,) = records(
            shipped(pipeline(), item(event(1, 1, CLUSTER, 1135, data={"NodeName": "HV02"})))
        )
        assert isinstance(record, Event)
        assert record.about == "hv02"

    def test_each_node_has_a_reader_of_its_own(self) -> None:
        bundles = shipped(
            pipeline(),
            item(event(1, 4, KERNEL, 13), origin="a"),
            item(booted(2), origin="a"),
            item(booted(3), origin="b"),
        )
        clean = {
            b.report.node: r.clean for b in bundles for r in b.report.records if isinstance(r, Boot)
        }
        assert clean == {"a": True, "b": None}

    def test_what_is_no_event_goes_as_it_is(self) -> None:
        facts = Facts(t_ms=NOW, role="hyperv", changes={"driver": "10.1.2.3"})
        (bundle,) = shipped(pipeline(), item(facts))
        assert (bundle.report.records, bundle.priority) == ([facts], Priority.KEEP)

    def test_events_are_redacted(self) -> None:
        bundles = shipped(pipeline(), item(event(data={"param1": r"CORP\jdoe"})))
        (record,) = records(bundles)
        assert isinstance(record, Event)
        assert record.data == {"param1": "[user]"}

    @pytest.mark.parametrize(
        ("one", "priority"),
        [
            (event(1, 1), Priority.FAILURE),
            (event(1, 2), Priority.FAILURE),
            (event(1, 3), Priority.NOISE),
            (event(1, 0), Priority.NOISE),
            (event(1, 3, CLUSTER, 5120), Priority.KEEP),
            (event(1, 2, "EventLog", 6008), Priority.KEEP),
            (event(1, 4, "User32", 1074), Priority.KEEP),
            (booted(1), Priority.KEEP),
        ],
    )
    def test_what_a_full_spool_drops_last(self, one: Event, priority: Priority) -> None:
        (bundle,) = shipped(pipeline(), item(one))
        assert bundle.priority is priority

    def test_a_boot_that_no_reader_would_accept_stays_an_event(self) -> None:
        odd = booted(1, build="17763.7558")
        odd = replace(odd, data={**odd.data, "QfeVersion": "٧٥٥٨"})
        (record,) = records(shipped(pipeline(), item(odd)))
        assert isinstance(record, Event)


class TestHostile:
    @pytest.mark.parametrize(
        "odd",
        [
            event(data={"param1": "\ud800 half a character"}),
            event(provider="p" * 10_000),
            event(computer="c" * 10_000, channel="\udcff" * 300),
            replace(event(), record_id=2**70, id=2**64, t_ms=2**60),
            event(about="a|b"),
            event(data={"\ud800": "x"}, binary="\ud800"),
        ],
    )
    def test_an_odd_event_is_mended_and_costs_no_other(self, odd: Event) -> None:
        bundles = shipped(pipeline(), item(event(1), odd, event(3)))
        assert len(records(bundles)) == 3
        for bundle in bundles:
            assert len(decode(encode(bundle.report), NodeReport).records) == len(
                bundle.report.records
            )

    def test_a_record_from_the_future_travels_alone(self) -> None:
        bundles = shipped(pipeline(), item(event(1), event(2, t_ms=NOW + 2 * DAY), event(3)))
        assert sorted(ids([bundle]) for bundle in bundles) == [[1, 3], [2]]

    @pytest.mark.parametrize(
        "data",
        [
            {"stack": "x" * 600_000},
            {"stack": "\x01" * 400_000},
            {f"f{n}": "y" * 1_000 for n in range(600)},
            {f"{n}" * 200: "\x01" * 900 for n in range(1_000)},
        ],
    )
    def test_an_event_too_large_is_cut_and_says_so(self, data: dict[str, str]) -> None:
        (bundle,) = shipped(pipeline(), item(event(5, data=data, binary="00" * 10_000)))
        (record,) = bundle.report.records
        assert isinstance(record, Event)
        assert record.record_id == 5
        assert len(encode(bundle.report)) <= MAX_MESSAGE_BYTES
        assert "cut" in str(record.data)

    def test_the_size_of_a_record_is_what_it_takes_in_a_report(self) -> None:
        for first in range(0, 0x110000, 4_096):
            text = "".join(chr(n) for n in range(first, first + 4_096) if not 0xD800 <= n < 0xE000)
            one = event(data={text: text})
            assert fitted(one) == (one, len(encode(one)))

    def test_what_no_reader_would_accept_is_counted(self) -> None:
        line = pipeline()
        shipped(line, item(Facts(t_ms=NOW, role="r" * 300), at="7"))
        assert line.refused == 1
        line.heartbeat(NOW, {}, lost=0, dropped=4, depth=0)
        (bundle,) = line.bundles(NOW, force=True)
        (beat,) = bundle.report.records
        assert isinstance(beat, Heartbeat)
        assert beat.dropped == 4  # with which the engine counts it
        assert bundle.positions == {"src": "7"}

    def test_origins_without_number_are_forgotten(self) -> None:
        line = pipeline()
        line.take("src", [item(event(n), origin=f"n{n}") for n in range(MAX_ORIGINS + 50)], NOW)
        bundles = line.bundles(NOW, force=True)
        assert len(records(bundles)) == MAX_ORIGINS + 50
        assert len(line._origins) == MAX_ORIGINS
