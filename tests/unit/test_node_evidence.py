"""What detection makes of a node's words: builds in effect, patch states, service, onsets."""

import msgspec
import pytest

from schemas.codec import MAX_MESSAGE_BYTES, encode
from schemas.evidence import DomainEvidence, NodeEvidence, NodePatch, Onset
from schemas.reports import Boot, Facts, Heartbeat, Record
from streams.detection.domain_state import DomainState, onsets_seen
from tests.fixtures.stories import (
    BUILD,
    DAY,
    HOUR,
    KB,
    MINUTE,
    OLD_BUILD,
    T0,
    WEEK,
    NodeStory,
    a_node,
    cluster_of,
    died,
    event,
    evidence_of,
    put,
)

CLUSTERING = "Microsoft-Windows-FailoverClustering"


def only(node: NodeStory) -> DomainEvidence:
    (evidence,) = evidence_of([node])
    return evidence


def node_of(node: NodeStory) -> NodeEvidence:
    return only(node).nodes[0]


def patches(node: NodeStory) -> dict[str, NodePatch]:
    return {p.kb: p for p in node_of(node).patches}


def onsets(node: NodeStory) -> list[tuple[str, int]]:
    return [(o.signature, o.first_ms - T0) for o in only(node).onsets]


class TestEffectiveTime:
    def test_is_the_start_of_the_first_boot_that_reached_the_build(self) -> None:
        node = a_node().boots(OLD_BUILD, 0).boots(BUILD, DAY).boots(BUILD, 2 * DAY)
        assert patches(node) == {KB: NodePatch(KB, BUILD, "effective", T0 + DAY)}

    def test_comes_with_every_kb_in_between(self) -> None:
        node = a_node().boots("17763.7314", 0).boots(BUILD, DAY)
        assert [(p.kb, p.build) for p in node_of(node).patches] == [
            ("KB5060531", "17763.7434"),
            ("KB5061978", "17763.7322"),
            (KB, BUILD),
        ]

    def test_the_first_known_boot_is_no_install(self) -> None:
        assert patches(a_node().boots(BUILD, DAY)) == {}

    def test_a_boot_that_is_told_late_moves_it_back(self) -> None:
        node = a_node().boots(OLD_BUILD, 0).boots(BUILD, 2 * DAY).boots(BUILD, DAY)
        assert patches(node)[KB].t_ms == T0 + DAY

    def test_a_boot_into_an_older_build_ends_exposure(self) -> None:
        node = a_node().boots(OLD_BUILD, 0).boots(BUILD, DAY).boots(OLD_BUILD, 3 * DAY)
        assert patches(node)[KB] == NodePatch(KB, BUILD, "rolled_back", T0 + DAY, T0 + 3 * DAY)

    def test_a_second_install_after_a_roll_back_is_a_new_one(self) -> None:
        node = a_node().boots(OLD_BUILD, 0).boots(BUILD, DAY).boots(OLD_BUILD, 2 * DAY)
        assert patches(node.boots(BUILD, 3 * DAY))[KB] == NodePatch(
            KB, BUILD, "effective", T0 + 3 * DAY
        )

    def test_of_two_builds_at_one_instant_the_higher_holds(self) -> None:
        for order in (("17763.999", BUILD), (BUILD, "17763.999")):
            node = a_node()
            for build in order:
                node.boots(build, 0)
            assert node_of(node).build == BUILD

    def test_an_upgrade_to_another_branch_moves_the_node_there(self) -> None:
        evidence = only(a_node().boots(OLD_BUILD, 0).boots("20348.3692", DAY))
        assert (evidence.branch, evidence.nodes[0].patches) == ("20348", ())


class TestPatchStates:
    @pytest.mark.parametrize("state", ["offered", "installing", "staged", "failed"])
    def test_a_pending_kb_says_how_far_it_came(self, state: str) -> None:
        node = a_node().boots(OLD_BUILD, 0).state(KB, state, DAY)
        assert patches(node)[KB] == NodePatch(KB, BUILD, state, T0 + DAY)

    def test_the_newest_pending_state_holds(self) -> None:
        node = a_node().boots(OLD_BUILD, 0).state(KB, "staged", 2 * DAY).state(KB, "offered", DAY)
        assert patches(node)[KB].state == "staged"

    def test_windows_saying_installed_does_not_put_a_build_in_effect(self) -> None:
        node = a_node().boots(OLD_BUILD, 0).state(KB, "staged", HOUR).state(KB, "effective", DAY)
        assert patches(node)[KB].state == "staged"

    def test_once_in_effect_pending_states_are_history(self) -> None:
        node = a_node().boots(OLD_BUILD, 0).state(KB, "staged", HOUR).boots(BUILD, DAY)
        assert patches(node)[KB].state == "effective"

    def test_a_kb_without_a_build_is_in_effect_by_its_state(self) -> None:
        node = a_node().boots(OLD_BUILD, 0).state("KB5054321", "effective", DAY)
        assert patches(node)["KB5054321"] == NodePatch("KB5054321", "", "effective", T0 + DAY)

    def test_a_kb_without_a_build_ends_when_it_is_rolled_back(self) -> None:
        node = a_node().boots(OLD_BUILD, 0).state("KB5054321", "effective", DAY)
        node.state("KB5054321", "rolled_back", 2 * DAY)
        assert patches(node)["KB5054321"].end_ms == T0 + 2 * DAY

    @pytest.mark.parametrize("kb", ["KB2267602", "KB890830"])
    def test_defender_definitions_are_never_a_case(self, kb: str) -> None:
        node = a_node().boots(OLD_BUILD, 0).state(kb, "staged", HOUR).state(kb, "effective", DAY)
        assert patches(node) == {}

    def test_a_kb_that_ran_before_the_log_begins_is_not_pending(self) -> None:
        assert patches(a_node().boots(BUILD, 0).state(KB, "staged", HOUR)) == {}


class TestOnsets:
    def test_a_crash_loop_is_one_onset_with_its_first_events(self) -> None:
        node = a_node().boots(OLD_BUILD, 0).crashes("ClusSvc", DAY, times=500)
        (onset,) = only(node).onsets
        assert onset.first_ms == T0 + DAY
        assert onset.times == tuple(T0 + DAY + i * MINUTE for i in range(8))
        assert (onset.cls, onset.impact) == ("service", "degraded")

    def test_a_service_that_the_role_needs_is_an_outage(self) -> None:
        node = a_node().boots(OLD_BUILD, 0).says(Facts(t_ms=T0, role="hyperv"))
        assert only(node.crashes("ClusSvc", DAY)).onsets[0].impact == "outage"

    def test_the_shutdown_of_a_planned_restart_is_no_incident(self) -> None:
        node = a_node().boots(OLD_BUILD, 0).patched(at=DAY)
        assert onsets(node.crashes("ClusSvc", DAY - 30_000)) == []

    def test_what_follows_the_boot_counts(self) -> None:
        node = a_node().boots(OLD_BUILD, 0).patched(at=DAY)
        node.crashes("ClusSvc", DAY - 30_000).crashes("ClusSvc", DAY + MINUTE)
        assert onsets(node) == [("scm/7031/clussvc", DAY + MINUTE)]

    def test_a_restart_that_never_comes_excuses_half_an_hour(self) -> None:
        node = a_node().boots(OLD_BUILD, 0).says(event("User32", 1074, DAY, level=4))
        node.crashes("ClusSvc", DAY + 29 * MINUTE).crashes("W32Time", DAY + 30 * MINUTE)
        assert onsets(node) == [("scm/7031/w32time", DAY + 30 * MINUTE)]

    def test_an_unexpected_shutdown_belongs_to_the_session_before(self) -> None:
        node = a_node().boots(OLD_BUILD, 0).patched(at=DAY)
        node.says(event("EventLog", 6008, DAY + MINUTE))
        assert onsets(node) == [("eventlog/6008", DAY - 1)]

    def test_a_crash_on_the_new_build_is_dated_after_the_patch(self) -> None:
        node = a_node().boots(OLD_BUILD, 0).patched(at=DAY).boots(BUILD, DAY + HOUR)
        node.says(event("EventLog", 6008, DAY + HOUR + MINUTE))
        assert onsets(node) == [("eventlog/6008", DAY + HOUR - 1)]

    def test_a_removed_node_counts_once_whoever_reports_it(self) -> None:
        cluster = cluster_of(4)
        for i, node in enumerate(cluster):
            node.boots(OLD_BUILD, 0)
            if i:
                removed = {"NodeName": "c1-n1"}
                node.says(event(CLUSTERING, 1135, DAY + i, data=removed, record_id=i))
        (evidence,) = evidence_of(cluster)
        assert [(o.node, o.signature, o.first_ms - T0) for o in evidence.onsets] == [
            ("c1-n1", "failoverclustering/1135", DAY + 1)
        ]

    def test_noise_counts_a_nodes_failures_of_all_kinds_once_per_day_and_week(self) -> None:
        node = a_node().boots(OLD_BUILD, 0).crashes("A", DAY).crashes("B", DAY + HOUR)
        node.crashes("A", 8 * DAY)
        week = T0 // WEEK
        assert node_of(node).weeks == {week: 1, week + 1: 1}
        assert only(node).baseline == {
            "scm/7031/a": {week: 1, week + 1: 1},
            "scm/7031/b": {week: 1},
        }

    def test_onsets_end_after_65_days_and_noise_after_26_weeks(self) -> None:
        node = a_node().boots(OLD_BUILD, 0).crashes("A", DAY).crashes("B", 27 * WEEK)
        node.says(Heartbeat(t_ms=T0 + 27 * WEEK + DAY))
        evidence = only(node)
        assert [o.signature for o in evidence.onsets] == ["scm/7031/b"]
        assert set(evidence.baseline) == {"scm/7031/b"}

    def test_rows_for_the_store_carry_site_and_role(self) -> None:
        node = a_node(site="ams").boots(OLD_BUILD, 0).says(Facts(t_ms=T0, role="sql"))
        evidence = only(node.crashes("ClusSvc", DAY))
        (row,) = onsets_seen(evidence)
        assert (row.site, row.role, row.branch, row.onset) == (
            "ams",
            "sql",
            "17763",
            evidence.onsets[0],
        )


class TestClocks:
    def told(self, ahead: int) -> DomainEvidence:
        node = a_node().boots(OLD_BUILD, 0).crashes("ClusSvc", DAY)
        state = DomainState()
        report = node.report(boot_ms=T0, sent=DAY)
        state.add(report, report.sent_ms - ahead, 0)
        return state.evidence("default", "hv01", 0)[0]

    @pytest.mark.parametrize("ahead", [6 * MINUTE, 90 * DAY, -6 * MINUTE])
    def test_more_than_five_minutes_off_shifts_every_time_of_the_boot(self, ahead: int) -> None:
        evidence = self.told(ahead)
        assert evidence.onsets[0].first_ms == T0 + DAY - ahead
        assert evidence.nodes[0].since_ms == T0 - ahead

    @pytest.mark.parametrize("ahead", [0, 5 * MINUTE, -5 * MINUTE])
    def test_up_to_five_minutes_are_left_alone(self, ahead: int) -> None:
        assert self.told(ahead).onsets[0].first_ms == T0 + DAY

    def test_each_boot_has_its_own_skew(self) -> None:
        node = a_node().boots(OLD_BUILD, 0).crashes("ClusSvc", DAY)
        state = DomainState()
        wrong = node.report(boot_ms=T0)
        state.add(wrong, wrong.sent_ms - 2 * HOUR, 0)
        right = node.report(died("W32Time", 3 * DAY), boot_ms=T0 + 2 * DAY)
        state.add(right, right.sent_ms, 1)
        (evidence,) = state.evidence("default", "hv01", 0)
        assert [o.first_ms - T0 for o in evidence.onsets] == [DAY - 2 * HOUR, 3 * DAY]

    def test_a_report_that_was_spooled_tells_less_of_the_clock_than_one_in_time(self) -> None:
        node = a_node().boots(OLD_BUILD, 0).crashes("ClusSvc", DAY)
        state = DomainState()
        report = node.report(boot_ms=T0)
        state.add(report, report.sent_ms + 9 * HOUR, 0)
        state.add(report, report.sent_ms, 1)
        assert state.evidence("default", "hv01", 0)[0].onsets[0].first_ms == T0 + DAY


class TestService:
    def beats(self, *at: int, every_s: int = 1_800) -> tuple[tuple[int, int], ...]:
        node = a_node().boots(OLD_BUILD, 0)
        node.heartbeat_s = every_s
        service = node_of(node.says(*(Heartbeat(t_ms=T0 + t) for t in at))).service
        return tuple((a - T0, b - T0) for a, b in service)

    def test_heartbeats_within_the_grace_are_one_interval(self) -> None:
        assert self.beats(0, HOUR, 2 * HOUR) == ((0, 2 * HOUR),)

    def test_silence_longer_than_three_intervals_and_20_min_ends_service(self) -> None:
        assert self.beats(0, 110 * MINUTE) == ((0, 0), (110 * MINUTE, 110 * MINUTE))

    def test_read_back_logs_prove_service_up_to_the_first_heartbeat(self) -> None:
        assert self.beats(20 * DAY) == ((0, 20 * DAY),)

    def test_the_last_sighting_is_floored_to_ten_minutes(self) -> None:
        assert self.beats(0, 59 * MINUTE) == ((0, 50 * MINUTE),)

    def test_without_heartbeats_the_log_itself_proves_service(self) -> None:
        node = a_node().boots(OLD_BUILD, 0).crashes("A", 5 * DAY)
        assert node_of(node).service == ((T0, T0 + 5 * DAY),)

    def test_a_new_interval_does_not_change_what_was_promised_before(self) -> None:
        node = a_node().boots(OLD_BUILD, 0)
        state = DomainState()
        put(state, node.report())
        for at, every_s in ((0, 60), (HOUR, 60), (5 * HOUR, 1_800)):
            put(state, node.report(Heartbeat(t_ms=T0 + at), heartbeat_s=every_s))
        (evidence,) = state.evidence("default", "hv01", 0)
        # Judged by the interval that is promised now.
        assert [(a - T0, b - T0) for a, b in evidence.nodes[0].service] == [
            (0, HOUR),
            (5 * HOUR, 5 * HOUR),
        ]
        assert evidence.nodes[0].grace_s == 3 * 1_800 + 1_200


class TestWhoTakesPart:
    def test_a_node_without_a_known_branch_takes_no_part(self) -> None:
        assert evidence_of([a_node().crashes("ClusSvc", DAY)]) == []

    def test_a_branch_from_facts_is_enough(self) -> None:
        node = a_node().says(Facts(t_ms=T0, branch="17763")).crashes("ClusSvc", DAY)
        assert only(node).branch == "17763"

    def test_a_node_that_only_others_name_takes_no_part(self) -> None:
        named = event(CLUSTERING, 1135, DAY, data={"NodeName": "ghost"})
        assert [n.node for n in only(a_node().boots(OLD_BUILD, 0).says(named)).nodes] == ["hv01"]

    def test_a_branch_that_empties_is_published_empty(self) -> None:
        node = a_node().boots(OLD_BUILD, 0).crashes("ClusSvc", DAY)
        state = DomainState()
        put(state, node.report())
        assert [e.branch for e in state.evidence("default", "hv01", 0)] == ["17763"]
        put(state, node.report(Boot(t_ms=T0 + 2 * DAY, build="20348.3692")), offset=7)
        old, new = state.evidence("default", "hv01", 0)
        assert (old.branch, old.nodes, old.onsets, old.offset) == ("17763", (), (), 7)
        assert (new.branch, [n.node for n in new.nodes]) == ("20348", ["hv01"])


class TestHostileNodes:
    def state_after(self, *records: Record, node: str = "hv01") -> DomainState:
        story = a_node(node)
        state = DomainState()
        put(state, story.report(Boot(t_ms=T0, build=OLD_BUILD)))
        for i in range(0, len(records), 500):
            put(state, story.report(*records[i : i + 500]))
        return state

    def size(self, state: DomainState) -> int:
        (evidence,) = state.evidence("default", "hv01", 0)
        assert len(msgspec.msgpack.encode(state)) < 2 * MAX_MESSAGE_BYTES
        return len(encode(evidence))

    def test_ten_thousand_signatures_stay_bounded(self) -> None:
        invented = [event(f"Vendor {i}", 1, i * MINUTE) for i in range(10_000)]
        state = self.state_after(*invented)
        (evidence,) = state.evidence("default", "hv01", 0)
        assert len(evidence.baseline) <= 128 + 27
        assert self.size(state) < MAX_MESSAGE_BYTES / 4

    def test_beyond_the_bound_failures_still_count_by_class_and_impact(self) -> None:
        invented = [event(f"Vendor {i}", 1, i) for i in range(300)]
        state = self.state_after(*invented, event(CLUSTERING, 1177, HOUR))
        (evidence,) = state.evidence("default", "hv01", 0)
        over = {
            o.signature: (o.cls, o.impact) for o in evidence.onsets if "overflow" in o.signature
        }
        assert over == {
            "overflow/other/degraded": ("other", "degraded"),
            "overflow/cluster/outage": ("cluster", "outage"),
        }

    def test_the_newest_onsets_fit_into_one_message_whatever_the_names(self) -> None:
        node = "n" * 256
        failing = [
            event(f"Vendor {i:03} {'x' * 60}", 1, day * DAY + beat)
            for i in range(120)
            for day in range(60)
            for beat in range(2)
        ]
        state = self.state_after(*failing, node=node)
        (evidence,) = state.evidence("default", "hv01", 0)
        assert len(encode(evidence)) < MAX_MESSAGE_BYTES
        assert evidence.onsets[-1].first_ms == T0 + 59 * DAY
        assert len(evidence.onsets) > 200

    def test_invented_kbs_boots_heartbeats_and_names_stay_bounded(self) -> None:
        story = a_node()
        for i in range(1_000):
            story.state(f"KB{1_000_000 + i}", "staged", i * MINUTE)
            story.boots(f"17763.{i + 1}", i * HOUR)
            story.says(Heartbeat(t_ms=T0 + i * 3 * HOUR))
            story.says(event(CLUSTERING, 1135, i, data={"NodeName": f"ghost{i}"}))
        state = self.state_after(*story.records)
        for i in range(1_000):
            report = story.report(Heartbeat(t_ms=T0), boot_ms=T0 + i, sent=0)
            put(state, report)
        assert self.size(state) < MAX_MESSAGE_BYTES / 2

    def test_an_onset_that_is_dropped_is_the_oldest(self) -> None:
        failing = [event(f"Vendor {i:03}", 1, d * DAY) for i in range(120) for d in range(0, 60, 2)]
        (evidence,) = self.state_after(*failing).evidence("default", "hv01", 0)
        days = [(o.first_ms - T0) // DAY for o in evidence.onsets]
        assert days == sorted(days)
        assert days[0] > 0
        assert isinstance(evidence.onsets[0], Onset)
