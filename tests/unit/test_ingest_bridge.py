"""Events of any shipper → reports of the operator's nodes."""

import msgspec
import pytest
from msgspec.structs import replace

from schemas.codec import MAX_MESSAGE_BYTES, DecodeError, decode, encode
from schemas.inventory import InventoryNode
from schemas.reports import Boot, Event, Facts, Heartbeat, NodeReport, PatchState, Record
from schemas.topics import key
from streams.admission import admit_report
from streams.ingest.bridge import Bridge
from streams.ingest.node import REPORT_RECORDS
from streams.ingest.nodes import Inventory

SECOND, HOUR, DAY = 1_000, 3_600_000, 86_400_000
T = 1_752_019_200_000
NOW = T + 30 * DAY
BEAT_S = 36_000


def entry(name: str, **rest: object) -> InventoryNode:
    fields = {"v": 1, "fleet": "default", "node": name, "domain": name, "site": "fra", **rest}
    return msgspec.convert(fields, InventoryNode)


def event(at: int = 0, computer: str = "HV03.corp.example", **rest: object) -> Event:
    fields: dict[str, object] = {
        "channel": "System", "provider": "disk", "id": 153, "level": 3,
        "record_id": 1_000 + at // SECOND, **rest,
    }  # fmt: skip
    return Event(t_ms=T + at, computer=computer, **fields)  # type: ignore[arg-type]


def boot(at: int, build: str = "17763.7558") -> Event:
    branch, _, ubr = build.partition(".")
    data = {"BuildVersion": branch, "QfeVersion": ubr, "StartTime": "2025-07-09T00:00:00.000Z"}
    return event(at, provider="Microsoft-Windows-Kernel-General", id=12, data=data)


def cleaned(number: int, package: str) -> Event:
    """Servicing takes a superseded package away: 1 begins, 2 ends."""
    states = {"InitialPackageState": "5080", "IntendedPackageState": "5000"}
    data = {"PackageIdentifier": package, **states}
    provider = "Microsoft-Windows-Servicing"
    return event(0, provider=provider, channel="Setup", id=number, data=data)


def starting(time: str) -> Event:
    one = boot(0)
    return replace(one, data={**one.data, "StartTime": time})


class Fleet:
    """A bridge and its inventory; what it says is what every reader takes."""

    def __init__(
        self,
        *entries: InventoryNode,
        heartbeat_s: int = BEAT_S,
        max_nodes: int = 1_000,
        max_strangers: int = 1_000,
    ) -> None:
        self.inventory = Inventory()
        for one in entries:
            self.put(one)
        self.bridge = Bridge(self.inventory, heartbeat_s, max_nodes, max_strangers)

    def put(self, one: InventoryNode) -> None:
        self.inventory.put(key(one.fleet, one.node), encode(one))

    def reports(self, *events: Event, fleet: str = "default") -> list[NodeReport]:
        for one in events:
            self.bridge.add(fleet, one, NOW)
        reports = self.bridge.flush(NOW)
        for report in reports:
            assert decode(encode(report), NodeReport) == report
            admit_report(report)
        return reports

    def records(self, *events: Event) -> list[Record]:
        return [record for report in self.reports(*events) for record in report.records]

    def facts(self, *events: Event) -> list[Facts]:
        return [record for record in self.records(*events) if isinstance(record, Facts)]

    def beats(self, *events: Event) -> list[int]:
        records = self.records(*events)
        return [record.t_ms - T for record in records if isinstance(record, Heartbeat)]


class TestIdentity:
    @pytest.mark.parametrize("computer", ["hv03", "HV03", "Hv03.corp.example", " hv03. "])
    def test_a_computer_is_one_node_however_its_name_is_written(self, computer: str) -> None:
        fleet = Fleet(entry("hv03", domain="hv-c01", site="ams"))
        (report,) = fleet.reports(event(computer=computer))
        assert (report.fleet, report.node, report.domain, report.site) == (
            "default", "hv03", "hv-c01", "ams",
        )  # fmt: skip

    def test_a_renamed_computer_is_one_node_with_one_history(self) -> None:
        fleet = Fleet(entry("web07", aliases=["win-p4s"]))
        (report,) = fleet.reports(event(0, "WIN-P4S"), event(SECOND, "WEB07.corp.example"))
        assert report.node == "web07"
        computers = [r.computer for r in report.records if isinstance(r, Event)]
        assert computers == ["WIN-P4S", "WEB07.corp.example"]

    def test_a_node_that_the_inventory_does_not_know_stands_alone(self) -> None:
        fleet = Fleet()
        (report,) = fleet.reports(event(), fleet="emea")
        assert (report.fleet, report.domain, report.site) == ("emea", "hv03", "unknown")
        assert fleet.bridge.unknown() == [("emea", "hv03")]

    def test_forwarded_events_belong_to_their_origins(self) -> None:
        reports = Fleet().reports(event(0, "a"), event(1, "b"), event(2, "a"))
        assert [report.node for report in reports] == ["a", "b"]

    def test_a_node_with_a_collector_of_its_own_is_left_to_it(self) -> None:
        fleet = Fleet(entry("hv03", collector=True))
        assert fleet.reports(event(), event(1, "hv04"))[0].node == "hv04"
        assert fleet.bridge.left_out == 1

    def test_a_node_that_moves_to_another_cluster_reports_there(self) -> None:
        fleet = Fleet(entry("hv03", domain="c1"))
        (before,) = fleet.reports(event())
        fleet.put(entry("hv03", domain="c2"))
        (after,) = fleet.reports(event(SECOND))
        assert (before.domain, after.domain) == ("c1", "c2")


class TestRecords:
    def test_boots_and_patch_states_are_read_in_the_order_of_the_events(self) -> None:
        title = {"updateTitle": "Cumulative Update (KB5062557)"}
        update = event(
            2 * SECOND, provider="Microsoft-Windows-WindowsUpdateClient", id=19, data=title
        )
        records = Fleet(entry("hv03")).records(event(), boot(SECOND), update)
        kinds = [type(record) for record in records]
        assert kinds == [Event, Heartbeat, Boot, PatchState, Facts]
        patch = records[3]
        assert isinstance(patch, PatchState)
        assert (patch.kb, patch.build) == ("KB5062557", "17763.7558")

    def test_after_a_restart_the_branch_comes_from_the_inventory(self) -> None:
        title = {"updateTitle": "Cumulative Update (KB4486153)"}
        update = event(0, provider="Microsoft-Windows-WindowsUpdateClient", id=44, data=title)
        for branch in ("", "17763"):
            fleet = Fleet(entry("hv03", branch=branch))
            patch = fleet.records(update)[0]
            assert isinstance(patch, PatchState)
            assert fleet.facts(event(2 * DAY))[0].branch == branch

    def test_the_newest_boot_is_in_the_header_and_its_branch_in_the_facts(self) -> None:
        (report,) = Fleet(entry("hv03", branch="14393")).reports(boot(SECOND))
        assert report.boot_ms == 1_752_019_200_000
        assert [r.branch for r in report.records if isinstance(r, Facts)] == ["17763"]

    def test_a_boot_is_not_later_than_its_second_where_times_are_cut_to_seconds(self) -> None:
        cut = boot(0)
        cut = replace(cut, data={**cut.data, "StartTime": "2025-07-09T00:00:00.700Z"})
        exact = replace(cut, t_ms=T + 1)
        assert Fleet().reports(cut)[0].boot_ms == T
        assert Fleet().reports(exact)[0].boot_ms == T + 700

    def test_many_records_make_several_reports_in_order(self) -> None:
        events = [event(n * SECOND) for n in range(2 * REPORT_RECORDS + 1)]
        reports = Fleet().reports(*events)
        assert len(reports) == 3
        ids = [r.record_id for report in reports for r in report.records if isinstance(r, Event)]
        assert ids == sorted(ids)
        assert len(ids) == len(events)

    def test_large_records_make_several_reports_that_every_reader_takes(self) -> None:
        large = [event(n, data={"param1": "ö" * 100_000}) for n in range(4)]
        reports = Fleet().reports(*large)
        assert len(reports) == 4
        assert all(len(encode(report)) < MAX_MESSAGE_BYTES for report in reports)

    def test_a_batch_without_events_says_nothing(self) -> None:
        fleet = Fleet(entry("hv03"))
        fleet.reports(event())
        assert fleet.reports() == []


class TestRefused:
    @pytest.mark.parametrize(
        ("bad", "reason"),
        [
            (event(computer=""), "invalid"),
            (event(computer=" . "), "invalid"),
            (event(computer="hv\u202e03"), "invalid"),
            (event(channel="x" * 257), "invalid"),
            (event(record_id=-1), "invalid"),
            (event(data={"a": "x\udc80"}), "invalid"),
            (event(data={"a": "x" * 400_000}), "oversized"),
            (event(31 * DAY + 1), "future"),
            (boot(0, "17763.99999999999"), "invalid"),
            (replace(boot(0), channel="x" * 257), "invalid"),
            (starting("2025-08-09T00:00:01Z"), "future"),
        ],
    )
    def test_what_no_reader_would_take_is_refused_and_nothing_else(
        self, bad: Event, reason: str
    ) -> None:
        fleet, untouched = Fleet(), Fleet()
        for one in (fleet, untouched):
            one.bridge.add("default", boot(0), NOW)
        with pytest.raises(DecodeError) as caught:
            fleet.bridge.add("default", bad, NOW)
        assert caught.value.reason == reason
        for one in (fleet, untouched):
            one.bridge.add("default", boot(SECOND), NOW)
        assert fleet.bridge.flush(NOW) == untouched.bridge.flush(NOW)

    def test_a_node_that_only_refused_events_name_is_not_held(self) -> None:
        fleet = Fleet()
        with pytest.raises(DecodeError):
            fleet.bridge.add("default", event(31 * DAY + 1), NOW)
        assert len(fleet.bridge) == 0
        assert fleet.bridge.flush(NOW) == []


class TestHeartbeats:
    def test_one_is_made_of_the_first_event_and_then_three_a_promise(self) -> None:
        hours = [event(h * HOUR) for h in range(12)]
        assert Fleet(heartbeat_s=9 * 3600).beats(*hours) == [0, 3 * HOUR, 6 * HOUR, 9 * HOUR]

    def test_its_channels_say_how_far_each_was_read(self) -> None:
        fleet = Fleet()
        fleet.records(event(0), event(1, channel="Setup", record_id=7), event(2 * SECOND))
        (beat,) = [r for r in fleet.records(event(DAY)) if isinstance(r, Heartbeat)]
        heads = {name: head.newest_record_id for name, head in beat.channels.items()}
        assert heads == {"System": 1_000 + DAY // SECOND, "Setup": 7}

    def test_silence_makes_none(self) -> None:
        assert Fleet().beats(event(0), event(5 * DAY)) == [0, 5 * DAY]

    def test_a_log_that_is_read_back_after_newer_events_is_a_sighting_too(self) -> None:
        assert Fleet().beats(event(9 * DAY), event(0), event(DAY)) == [9 * DAY, 0, DAY]

    def test_a_header_promises_what_is_set(self) -> None:
        assert Fleet(heartbeat_s=600).reports(event())[0].heartbeat_s == 600

    def test_without_a_promise_there_are_none(self) -> None:
        fleet = Fleet(heartbeat_s=0)
        (report,) = fleet.reports(event())
        assert report.heartbeat_s == 0
        assert [type(record) for record in report.records] == [Event]


class TestFacts:
    def test_the_first_report_says_what_the_inventory_knows(self) -> None:
        known = entry(
            "hv03", domain="c1", role="hyperv", ring="r1", os="2019", branch="17763", virtual=False,
            covariates={"csv_bitlocker": True},
        )  # fmt: skip
        assert Fleet(known).facts(event(SECOND)) == [
            Facts(
                t_ms=T + SECOND,
                role="hyperv",
                os="2019",
                branch="17763",
                cluster="c1",
                ring="r1",
                virtual=False,
                covariates={"csv_bitlocker": True},
            )
        ]

    def test_a_node_without_a_role_is_a_server_and_in_no_cluster(self) -> None:
        (facts,) = Fleet(entry("hv03")).facts(event())
        assert (facts.role, facts.cluster) == ("server", "")

    def test_they_come_daily_in_the_time_of_events(self) -> None:
        fleet = Fleet(entry("hv03"))
        hours = [fleet.facts(event(h * HOUR)) for h in range(49)]
        assert [index for index, facts in enumerate(hours) if facts] == [0, 24, 48]

    def test_a_change_of_the_inventory_is_told_at_once_and_is_the_newest(self) -> None:
        fleet = Fleet(entry("hv03", role="file"))
        (before,) = fleet.facts(event(HOUR))
        fleet.put(entry("hv03", role="dc"))
        (after,) = fleet.facts(event(0))  # an older event, as from another partition
        assert (before.role, after.role) == ("file", "dc")
        assert after.t_ms > before.t_ms

    def test_the_same_entry_again_is_no_change(self) -> None:
        fleet = Fleet(entry("hv03"))
        fleet.facts(event())
        fleet.put(entry("hv03"))
        assert fleet.facts(event(SECOND)) == []

    def test_of_a_node_that_the_inventory_does_not_know_there_are_none(self) -> None:
        assert Fleet().facts(event()) == []


class TestBounds:
    def test_nodes_that_are_not_heard_of_for_longest_are_forgotten(self) -> None:
        fleet = Fleet(max_nodes=3)
        for name in ("a", "b", "c", "a", "d"):
            fleet.reports(event(computer=name))
        assert [name for _, name in fleet.bridge.unknown()] == ["c", "a", "d"]
        assert fleet.bridge.evicted == 1

    def test_a_shipper_that_invents_names_is_read_and_held_in_bounds(self) -> None:
        fleet = Fleet(max_nodes=10)
        for batch in range(5):
            events = [event(computer=f"x{batch}-{n}") for n in range(100)]
            assert len(fleet.reports(*events)) == 100
            assert len(fleet.bridge) == 10
        assert fleet.bridge.evicted == 490

    def test_strangers_are_forgotten_first_and_sooner_than_the_inventory_s_nodes(self) -> None:
        fleet = Fleet(entry("a"), entry("b"), max_nodes=3, max_strangers=2)
        for name in ("a", "x", "y", "z"):
            fleet.reports(event(computer=name))
        assert [name for _, name in fleet.bridge.unknown()] == ["y", "z"]
        fleet.reports(event(computer="b"))
        assert [name for _, name in fleet.bridge.unknown()] == ["z"]
        assert fleet.facts(event(SECOND, "a")) == []  # its facts were told, and it is still held

    def test_a_stranger_that_the_operator_adds_is_none_any_more(self) -> None:
        fleet = Fleet(max_strangers=1)
        fleet.reports(event(computer="a"), event(SECOND, "b"))
        fleet.put(entry("b"))
        fleet.reports(event(2 * SECOND, "b"))
        assert fleet.bridge.unknown() == []
        assert len(fleet.bridge) == 1

    def test_of_a_stranger_fewer_channels_are_remembered(self) -> None:
        names = [f"c{number}" for number in range(100)]
        for fleet, most in ((Fleet(), 16), (Fleet(entry("hv03")), 64)):
            fleet.records(*(event(channel=name) for name in names))
            (beat,) = [r for r in fleet.records(event(DAY)) if isinstance(r, Heartbeat)]
            assert len(beat.channels) == most

    @pytest.mark.parametrize(("known", "most"), [(False, 64), (True, 1_000)])
    def test_of_a_stranger_fewer_packages_are_remembered(self, known: bool, most: int) -> None:
        names = [f"KB{5_000_000 + number}" for number in range(most)]
        fleet = Fleet(*[entry("hv03")] * known)
        fleet.records(*(cleaned(1, name) for name in names))
        assert not any(isinstance(r, PatchState) for r in fleet.records(cleaned(2, names[0])))
        fleet.records(cleaned(1, "KB6000000"))
        assert any(isinstance(r, PatchState) for r in fleet.records(cleaned(2, names[0])))

    def test_an_event_that_names_more_updates_than_any_update_does_is_an_event(self) -> None:
        many = " ".join(f"KB{5_000_000 + number}" for number in range(5_000))
        (record,) = [r for r in Fleet().records(cleaned(2, many)) if not isinstance(r, Heartbeat)]
        assert isinstance(record, Event)

    def test_a_forgotten_node_begins_anew(self) -> None:
        fleet = Fleet(entry("a"), entry("b"), max_nodes=1)
        fleet.reports(event(computer="a"))
        fleet.reports(event(computer="b"))
        assert fleet.facts(replace(event(SECOND), computer="a"))
