"""From what sources read to reports: once each, in order, never too large, never too far."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from collectors.pipeline.bundling import MAX_RECORDS
from collectors.pipeline.fitting import fitted
from collectors.pipeline.limits import SUMMARY_PROVIDER
from collectors.pipeline.node_list import NodeList
from collectors.pipeline.origins import MAX_ORIGINS
from collectors.pipeline.pipeline import Pipeline
from collectors.settings import LimitSettings, NodeSettings, ScheduleSettings, Settings
from collectors.sources.source import Item
from collectors.spool.bundle import Bundle, Priority
from schemas.codec import MAX_MESSAGE_BYTES, decode, encode
from schemas.errors import KbwatchError
from schemas.inventory import InventoryNode
from schemas.reports import (
    Boot,
    ChannelHealth,
    Event,
    Facts,
    Heartbeat,
    NodeReport,
    PatchState,
    Record,
)
from schemas.topics import key

NOW = 1_751_000_000_000
DAY = 86_400_000
KERNEL, UPDATE = "Microsoft-Windows-Kernel-General", "Microsoft-Windows-WindowsUpdateClient"
CLUSTER = "Microsoft-Windows-FailoverClustering"
SCM = "Service Control Manager"
SETTINGS = Settings(node=NodeSettings(fleet="prod", site="fra"))


def event(
    number: int = 1, level: int = 3, provider: str = "p", kind: int = 7, **rest: object
) -> Event:
    fields = {"t_ms": NOW + number, "channel": "System", "computer": "hv01", **rest}
    return Event(provider=provider, id=kind, level=level, record_id=number, **fields)  # type: ignore[arg-type]


def booted(number: int, t_ms: int = NOW, build: str = "17763.7558") -> Event:
    branch, ubr = build.split(".")
    start = datetime.fromtimestamp(t_ms / 1000, UTC).isoformat()
    data = {"BuildVersion": branch, "QfeVersion": ubr, "StartTime": start}
    return event(number, 4, KERNEL, 12, data=data)


def item(*records: Record, at: str = "", origin: str = "") -> Item:
    return Item(records, "System", origin, at)


def pipeline(settings: Settings = SETTINGS) -> Pipeline:
    return Pipeline(settings, "hv01", "c1", "1.2.3")


def records(bundles: Iterable[Bundle]) -> list[Record]:
    return [record for bundle in bundles for record in bundle.report.records]


def ids(bundles: Iterable[Bundle]) -> list[int]:
    return [r.record_id for r in records(bundles) if isinstance(r, Event | Boot | PatchState)]


def shipped(line: Pipeline, *items: Item) -> list[Bundle]:
    line.take("src", items, NOW)
    return line.bundles(NOW, force=True)


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


class Listed:
    """The operator's list, which may change."""

    def __init__(self, *nodes: InventoryNode) -> None:
        self.now = nodes

    def find(self, name: str) -> InventoryNode | None:
        return NodeList(self.now, "prod").find(name)


def listed(node: str, **rest: object) -> InventoryNode:
    fields = {"fleet": "prod", "domain": "hv-c01", "site": "fra", **rest}
    return InventoryNode(v=1, node=node, **fields)  # type: ignore[arg-type]


CLUSTER_OF_FOUR = tuple(
    listed(f"hv0{n}", role="hyperv", ring="r1", virtual=False, covariates={"s2d": True})
    for n in range(2, 6)
)


class TestForwarded:
    """Nodes behind a WEC server, with the operator's list."""

    def line(self, *nodes: InventoryNode) -> tuple[Pipeline, Listed]:
        known = Listed(*nodes)
        return Pipeline(SETTINGS, "wec01", "wec01", "1.2.3", known), known

    def test_a_cluster_of_four_is_one_domain(self) -> None:
        line, _ = self.line(*CLUSTER_OF_FOUR)
        bundles = shipped(line, *(item(event(n), origin=f"hv0{n}") for n in range(2, 6)))
        assert {b.report.node for b in bundles} == {"hv02", "hv03", "hv04", "hv05"}
        assert {key(b.report.fleet, b.report.domain) for b in bundles} == {b"prod|hv-c01"}
        assert {b.report.site for b in bundles} == {"fra"}
        assert {b.report.heartbeat_s for b in bundles} == {0}

    def test_nodes_that_are_not_in_it_stand_alone_at_no_site(self) -> None:
        line, _ = self.line(*CLUSTER_OF_FOUR)
        (bundle,) = shipped(line, item(event(), origin="web01"))
        report = bundle.report
        assert (report.fleet, report.domain, report.site) == ("prod", "web01", "unknown")
        assert not any(isinstance(record, Facts) for record in report.records)

    def test_the_server_itself_is_what_its_settings_say(self) -> None:
        line, _ = self.line(listed("wec01"))
        (bundle,) = shipped(line, item(event()))
        assert (bundle.report.domain, bundle.report.heartbeat_s) == ("wec01", 60)

    def test_what_a_node_logged_under_an_earlier_name_is_its_own(self) -> None:
        line, _ = self.line(listed("hv02", aliases=("old2",)))
        bundles = shipped(line, item(event(1), origin="old2"), item(event(2), origin="hv02"))
        assert {(b.report.node, b.report.domain) for b in bundles} == {("hv02", "hv-c01")}

    def test_it_may_be_of_another_fleet(self) -> None:
        line, _ = self.line(listed("hv02", fleet="lab"))
        assert {b.report.fleet for b in shipped(line, item(event(), origin="hv02"))} == {"lab"}

    def test_of_two_with_a_name_the_own_fleets_is_meant_else_nobody(self) -> None:
        line, known = self.line(listed("a", fleet="lab"), listed("a"), listed("b", fleet="lab"))
        known.now += (listed("b", fleet="dev"),)
        bundles = shipped(line, item(event(1), origin="a"), item(event(2), origin="b"))
        assert {(b.report.fleet, b.report.domain) for b in bundles} == {
            ("prod", "hv-c01"),
            ("prod", "b"),
        }

    def test_what_has_a_collector_of_its_own_is_left_out(self) -> None:
        line, _ = self.line(listed("hv02", collector=True))
        assert shipped(line, item(event(), origin="hv02")) == []
        assert line.refused == 0

    def facts(self, line: Pipeline, *events: Event) -> list[Facts]:
        found = shipped(line, *(item(one, origin="hv02") for one in events))
        return [record for record in records(found) if isinstance(record, Facts)]

    def test_facts_come_at_first_sight_and_daily(self) -> None:
        line, _ = self.line(*CLUSTER_OF_FOUR)
        said = self.facts(line, event(1, t_ms=NOW - 2 * DAY), event(2, t_ms=NOW - 2 * DAY + 1))
        assert said == [
            Facts(
                t_ms=NOW - 2 * DAY,
                role="hyperv",
                cluster="hv-c01",
                ring="r1",
                virtual=False,
                covariates={"s2d": True},
            )
        ]
        assert [f.t_ms for f in self.facts(line, event(3, t_ms=NOW - DAY))] == [NOW - DAY]

    def test_facts_name_the_branch_of_the_newest_boot(self) -> None:
        line, _ = self.line(listed("hv02", branch="14393"))
        assert [f.branch for f in self.facts(line, event(1))] == ["14393"]
        line, _ = self.line(listed("hv02", branch="14393"))
        assert [f.branch for f in self.facts(line, booted(1))] == ["17763"]

    def test_a_changed_list_holds_from_the_next_event_on_and_is_said(self) -> None:
        line, known = self.line(*CLUSTER_OF_FOUR)
        (before,) = self.facts(line, event(2, t_ms=NOW))
        known.now = (listed("hv02", domain="hv-c02", ring="r2"),)
        found = shipped(line, item(event(3, t_ms=NOW - 5), origin="hv02"))
        assert {b.report.domain for b in found} == {"hv-c02"}
        (after,) = [record for record in records(found) if isinstance(record, Facts)]
        assert (after.cluster, after.ring) == ("hv-c02", "r2")
        assert after.t_ms > before.t_ms

    def test_a_clock_that_is_ahead_does_not_hold_back_what_the_list_says(self) -> None:
        line, _ = self.line(*CLUSTER_OF_FOUR)
        (said,) = self.facts(line, event(1, t_ms=NOW + 90 * DAY))
        assert said.t_ms == NOW


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


# What sources may give, small limits, and ticks in between.

kinds = st.sampled_from(
    [("p", 7, 3), ("p", 8, 2), (SCM, 7031, 2), (CLUSTER, 1135, 1), (KERNEL, 12, 4), (UPDATE, 43, 4)]
)
steps = st.lists(
    st.tuples(
        st.sampled_from(("s1", "s2")),
        st.sampled_from(("", "n2", "n3")),
        st.lists(st.tuples(kinds, st.sampled_from((10, 10, 10, 150_000))), max_size=4),
        st.booleans(),  # has a position
        st.sampled_from((0, 300, 2_000, 70_000, -500_000)),  # ms until the next
        st.booleans(),  # a look for bundles
    ),
    max_size=60,
)
Step = tuple[str, str, list[tuple[tuple[str, int, int], int]], bool, int, bool]


SMALL = LimitSettings(events_per_s=0.5, burst=3)


def played(
    drawn: Sequence[Step], limits: LimitSettings = SMALL
) -> tuple[list[tuple[str, str, Item]], list[Bundle]]:
    line = pipeline(Settings(limits=limits))
    now, number = NOW, 0
    taken, bundles = [], []
    for source, origin, events, positioned, wait_ms, look in drawn:
        found = []
        for (provider, kind, level), size in events:
            number += 1
            data = {"updateTitle": "KB5062557", "text": "x" * size}
            one = booted(number) if kind == 12 else event(number, level, provider, kind, data=data)
            found.append(replace(one, channel=f"{source} log"))
        one_item = item(*found, at=str(number) if positioned else "", origin=origin)
        line.take(source, [one_item], now)
        taken.append((source, origin or "hv01", one_item))
        now += wait_ms
        if look:
            bundles += line.bundles(now)
    bundles += line.bundles(now, force=True)
    line.heartbeat(now, {}, lost=0, dropped=0, depth=0)  # carries the positions that wait
    return taken, bundles + line.bundles(now, force=True)


def numbers(one: Item) -> list[int]:
    return [r.record_id for r in one.records if isinstance(r, Event)]


@settings(deadline=None)
@given(steps)
def test_every_record_comes_out_once_or_is_counted(drawn: list[Step]) -> None:
    taken, bundles = played(drawn)
    counted = 0
    out: Counter[int] = Counter()
    for record in records(bundles):
        if isinstance(record, Event) and record.provider == SUMMARY_PROVIDER:
            counted += int(record.data["suppressed"])
        elif isinstance(record, Event | Boot | PatchState):
            out[record.record_id] += 1
    came = [n for _, _, one in taken for n in numbers(one)]
    assert set(out) <= set(came)
    assert set(out.values()) <= {1}
    assert len(out) + counted == len(came)


@settings(deadline=None)
@given(steps)
def test_positions_never_overtake_records(drawn: list[Step]) -> None:
    taken, bundles = played(drawn)
    order: dict[str, list[int]] = defaultdict(list)
    for source, _, one in taken:
        order[source] += numbers(one)
    seen: set[int] = set()
    suppressed: Counter[str] = Counter()
    reached: dict[str, int] = {}
    for bundle in bundles:
        for record in bundle.report.records:
            seen.update(ids_of(record))
            if isinstance(record, Event) and _summary(record):
                suppressed[record.channel] += int(record.data["suppressed"])
        for source, position in bundle.positions.items():
            assert int(position) >= reached.get(source, 0)
            reached[source] = int(position)
            missing = [n for n in order[source] if n <= int(position) and n not in seen]
            assert len(missing) <= suppressed[f"{source} log"]
    for source in order:
        positions = [one.position for name, _, one in taken if name == source and one.position]
        assert str(reached.get(source, "")) == (positions[-1] if positions else "")


def ids_of(record: Record) -> list[int]:
    if isinstance(record, Event | Boot | PatchState) and not _summary(record):
        return [record.record_id]
    return []


def _summary(record: Record) -> bool:
    return isinstance(record, Event) and record.provider == SUMMARY_PROVIDER


@settings(deadline=None)
@given(steps)
def test_reports_are_small_and_readable(drawn: list[Step]) -> None:
    for bundle in played(drawn)[1]:
        raw = encode(bundle.report)
        assert len(raw) <= MAX_MESSAGE_BYTES
        assert decode(raw, NodeReport) == bundle.report
        assert 0 < len(bundle.report.records) <= MAX_RECORDS


@settings(deadline=None)
@given(steps)
def test_without_a_storm_the_order_of_each_node_and_priority_is_kept(drawn: list[Step]) -> None:
    taken, bundles = played(drawn, LimitSettings())
    nodes = {n: node for _, node, one in taken for n in numbers(one)}
    by_key: dict[tuple[str, Priority], list[int]] = defaultdict(list)
    for bundle in bundles:
        for record in bundle.report.records:
            for number in ids_of(record):
                assert nodes[number] == bundle.report.node
                by_key[bundle.report.node, bundle.priority].append(number)
    for found in by_key.values():
        assert found == sorted(found)
