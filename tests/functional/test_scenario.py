"""The demo scenario: the world it plays, the story it tells, and the stream it sends."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from hashlib import sha256
from itertools import islice, pairwise

import pytest

from schemas import codec, topics
from schemas.reports import Boot, Event, Facts, Heartbeat, NodeReport, PatchState
from schemas.windows import builds
from streams.regbench.clock import DAY_MS, HOUR_MS, MINUTE_MS
from streams.regbench.fleet import FLEET, Node, build_fleet, members
from streams.regbench.patching import EARLIER, JULY
from streams.regbench.scenarios.kb5062557 import Scenario, element_count
from streams.regbench.telemetry import Sent

SEED = 7
SEEDS = range(1, 6)
CLUSSVC = "43006C00750073005300760063000000"
SGRM_BROKER = "5300670072006D00420072006F006B00650072000000"


@cache
def played() -> tuple[Scenario, tuple[Sent, ...]]:
    scenario = Scenario(SEED)
    return scenario, tuple(scenario.stream())


def once(sents: Iterable[Sent]) -> Iterator[NodeReport]:
    """Every report, without the second sendings."""
    return (sent.report for sent in sents if sent.report is not None and not sent.duplicate)


def reports() -> Iterator[NodeReport]:
    return once(played()[1])


def events() -> Iterator[tuple[NodeReport, Event]]:
    for report in reports():
        for record in report.records:
            if isinstance(record, Event):
                yield report, record


def digest(scenario: Scenario, records: int) -> str:
    found = sha256()
    for sent in islice(scenario.stream(), records):
        value = codec.encode(sent.report) if sent.report is not None else sent.raw
        assert value is not None
        found.update(b"%d %s %s %d\n" % (sent.append_ms, sent.key, value, sent.duplicate))
    return found.hexdigest()


def csv_hosts(nodes: tuple[Node, ...]) -> list[Node]:
    return [node for node in nodes if node.branch == "17763" and node.csv_bitlocker]


class TestWorld:
    @pytest.mark.parametrize("seed", SEEDS)
    def test_480_nodes_on_four_sites_and_three_branches(self, seed: int) -> None:
        nodes = build_fleet(seed)
        assert len({node.name for node in nodes}) == len(nodes) == 480
        assert len({node.site for node in nodes}) == 4
        by_branch = Counter(node.branch for node in nodes)
        assert by_branch == {"14393": 96, "17763": 216, "20348": 168}

    @pytest.mark.parametrize("seed", SEEDS)
    def test_a_hyperv_cluster_has_four_to_eight_nodes_of_one_branch_on_one_site(
        self, seed: int
    ) -> None:
        clusters = members(build_fleet(seed)).values()
        for cluster in clusters:
            assert len({(n.branch, n.site, n.role, str(n.covariates)) for n in cluster}) == 1
            if cluster[0].role == "hyperv":
                assert 4 <= len(cluster) <= 8

    @pytest.mark.parametrize("seed", SEEDS)
    def test_every_seed_has_enough_encrypted_clusters_for_the_story(self, seed: int) -> None:
        hosts = csv_hosts(build_fleet(seed))
        assert len(hosts) >= 40
        assert len({node.cluster for node in hosts}) >= 7
        assert len({node.site for node in hosts}) >= 3

    def test_covariates_alone_do_not_tell_the_branch(self) -> None:
        nodes = build_fleet(SEED)
        assert {node.branch for node in nodes if node.csv_bitlocker} == set(JULY)

    def test_kbs_and_builds_are_microsofts(self) -> None:
        for updates in (JULY, *(updates for _, updates in EARLIER)):
            for branch, update in updates.items():
                assert builds.build_of(update.kb, branch) == update.build


class TestRollOut:
    @pytest.mark.parametrize("seed", SEEDS)
    def test_rings_hold_5_20_50_and_100_percent(self, seed: int) -> None:
        rings = Scenario(seed).truth.rings
        sizes = [len(ring.nodes) for ring in rings]
        cumulative = [sum(sizes[: n + 1]) / 480 for n in range(4)]
        assert cumulative == pytest.approx([0.05, 0.2, 0.5, 1.0], abs=0.02)

    def test_ring_0_has_every_role_of_every_branch(self) -> None:
        scenario = Scenario(SEED)
        pilots = set(scenario.truth.rings[0].nodes)
        seen = {(n.branch, n.role) for n in scenario.nodes if n.name in pilots}
        assert seen == {(n.branch, n.role) for n in scenario.nodes}

    def test_a_cluster_is_patched_node_by_node_in_each_ring(self) -> None:
        scenario = Scenario(SEED)
        effective = scenario.truth.effective
        clusters = members(scenario.nodes).values()
        for ring in scenario.truth.rings:
            for cluster in clusters:
                boots = sorted(effective[n.name] for n in cluster if n.name in ring.nodes)
                steps = [after - before for before, after in pairwise(boots)]
                # 20 to 40 minutes between shutdowns; the boots take two to six minutes.
                assert all(16 * MINUTE_MS <= step <= 44 * MINUTE_MS for step in steps)

    def test_ring_1_takes_one_node_of_every_cluster(self) -> None:
        scenario = Scenario(SEED)
        pilots, early = (set(ring.nodes) for ring in scenario.truth.rings[:2])
        for cluster in members(scenario.nodes).values():
            if not {node.name for node in cluster} <= pilots:
                assert sum(node.name in early for node in cluster) == 1

    @pytest.mark.parametrize("seed", SEEDS)
    def test_few_nodes_fail_in_the_early_rings_and_most_are_still_to_fail(self, seed: int) -> None:
        truth = Scenario(seed).truth
        early = {n for ring in truth.rings[:2] for n in ring.nodes}
        assert 5 <= sum(n in early for n in truth.victims) <= 9
        assert sum(n not in early for n in truth.victims) >= 20

    def test_some_nodes_are_staged_and_not_restarted_at_any_time_of_the_roll_out(self) -> None:
        truth = Scenario(SEED).truth
        for now in range(truth.rollout_start_ms, truth.rings[-1].start_ms, HOUR_MS):
            assert any(truth.staged[n] <= now < truth.effective[n] for n in truth.staged), now

    def test_every_node_boots_each_of_its_branchs_updates(self) -> None:
        scenario, _ = played()
        booted: dict[str, set[str]] = defaultdict(set)
        for report in reports():
            booted[report.node] |= {r.build for r in report.records if isinstance(r, Boot)}
        for node in scenario.nodes:
            wanted = {updates[node.branch].build for _, updates in EARLIER}
            assert wanted | {JULY[node.branch].build} <= booted[node.name]

    def test_an_update_is_offered_installed_staged_booted_and_confirmed_in_this_order(self) -> None:
        order = ("offered", "installing", "staged", "confirmed")
        kbs = {update.kb for update in JULY.values()}
        for report in reports():
            steps = [r for r in report.records if isinstance(r, PatchState) and r.kb in kbs]
            ranks = [order.index(step.state) for step in sorted(steps, key=lambda s: s.t_ms)]
            assert ranks == sorted(ranks)
            boot_ms = played()[0].truth.effective[report.node]
            for step in steps:
                assert (step.state == "confirmed") == (step.t_ms > boot_ms)


class TestStory:
    def test_nine_in_ten_nodes_at_risk_fail_3_to_25_minutes_after_their_boot(self) -> None:
        for seed in SEEDS:
            truth = Scenario(seed).truth
            assert len(truth.victims) >= 20
            assert set(truth.victims) <= set(truth.at_risk)
            for node, failed_ms in truth.victims.items():
                assert 3 * MINUTE_MS <= failed_ms - truth.effective[node] <= 25 * MINUTE_MS

    def test_only_victims_lose_their_cluster_service_and_they_do_so_again_and_again(self) -> None:
        truth = played()[0].truth
        crashes: dict[str, list[int]] = defaultdict(list)
        for report, event in events():
            if event.id == 7031 and event.binary == CLUSSVC:
                crashes[report.node].append(event.t_ms)
        assert {node: min(times) for node, times in crashes.items()} == truth.victims
        whole = [len(t) for t in crashes.values() if max(t) < truth.live_end_ms - HOUR_MS]
        assert whole
        assert all(17 <= count <= 23 for count in whole)

    def test_survivors_report_a_removed_victim_and_name_it(self) -> None:
        scenario, _ = played()
        clusters = {node.name: node.cluster for node in scenario.nodes}
        shorts = {node.name: node.short for node in scenario.nodes}
        told = defaultdict(set)
        for report, event in events():
            if event.id == 1135:
                assert event.about is not None
                assert event.about != report.node
                assert clusters[event.about] == clusters[report.node]
                assert event.data["NodeName"] == shorts[event.about]
                told[event.about].add(report.node)
        first = min(scenario.truth.victims, key=scenario.truth.victims.__getitem__)
        assert len(told[first]) == len(members(scenario.nodes)[clusters[first]]) - 1

    def test_victims_are_quarantined_and_their_storage_and_vms_suffer(self) -> None:
        victims = played()[0].truth.victims
        seen = {e.id: set[str]() for _, e in events() if e.provider.endswith(("ring", "lability"))}
        for report, event in events():
            if event.id in seen:
                seen[event.id].add(event.about or report.node)
        for event_id in (1676, 5120, 5142, 21107):
            assert seen[event_id] & set(victims), event_id
        assert {1672, 1675, 21119} <= set(seen)

    def test_the_harmless_month_has_no_victims_and_is_the_same_otherwise(self) -> None:
        harmless = Scenario(SEED, harmful=False)
        assert harmless.truth.victims == {}
        told = {(report.node, e.t_ms, e.provider, e.id) for report, e in events()}
        for report in once(harmless.stream()):
            for record in report.records:
                if isinstance(record, Event):
                    assert (record.id, record.binary) != (7031, CLUSSVC)
                    assert (report.node, record.t_ms, record.provider, record.id) in told

    def test_every_boot_on_the_benign_build_logs_sgrmbroker_once_and_no_other_does(self) -> None:
        build = JULY["20348"].build
        end_ms = played()[0].truth.live_end_ms
        boots: Counter[str] = Counter()
        errors: Counter[str] = Counter()
        for report in reports():
            for record in report.records:
                if isinstance(record, Boot) and record.build == build:
                    boots[report.node] += record.t_ms < end_ms - 3 * MINUTE_MS
                elif isinstance(record, Event) and record.binary == SGRM_BROKER:
                    errors[report.node] += 1
                    assert (record.id, record.data["param2"]) == (7023, "%%3489660935")
        assert len(boots) == 168
        assert errors == boots


class TestStream:
    def test_it_has_about_300_000_elements_in_fewer_than_90_000_records(self) -> None:
        _, sents = played()
        elements = sum(1 if s.report is None else element_count(s.report) for s in sents)
        assert 200_000 < elements < 400_000
        assert len(sents) < 90_000

    def test_three_percent_come_twice_with_the_same_records_and_later(self) -> None:
        _, sents = played()
        first: dict[tuple[str, int, int], Sent] = {}
        doubled = 0
        for sent in sents:
            if sent.report is None:
                continue
            ident = (sent.report.node, sent.report.records[0].t_ms, id(sent.report.records))
            if sent.duplicate:
                doubled += 1
                assert first[ident].append_ms < sent.append_ms
            else:
                assert ident not in first
                first[ident] = sent
        assert 0.02 < doubled / len(sents) < 0.04

    def test_two_percent_of_the_live_reports_are_late_by_up_to_an_hour(self) -> None:
        scenario, _ = played()
        start = scenario.truth.live_start_ms
        live = [r for r in reports() if r.records[0].t_ms >= start]
        lateness = [r.sent_ms - r.records[-1].t_ms for r in live]
        late = [ms for ms in lateness if ms > 10_000]
        assert 0.01 < len(late) / len(live) < 0.03
        assert max(late) <= HOUR_MS + 10_000

    def test_it_is_ordered_by_arrival_and_stamped_with_it(self) -> None:
        _, sents = played()
        times = [sent.append_ms for sent in sents]
        assert times == sorted(times)
        assert all(s.report is None or s.report.sent_ms == s.append_ms for s in sents)

    def test_every_report_decodes_and_is_keyed_by_its_domain(self) -> None:
        for sent in played()[1]:
            if sent.report is not None:
                assert codec.decode(codec.encode(sent.report), NodeReport) == sent.report
                assert sent.key == topics.key(FLEET, sent.report.domain)

    def test_25_records_are_refused_for_all_reasons_and_the_broker_takes_them(self) -> None:
        scenario, sents = played()
        bad = [sent for sent in sents if sent.report is None]
        assert len(bad) == 25
        keys = {topics.key(FLEET, node.domain) for node in scenario.nodes}
        reasons = set()
        for sent in bad:
            assert sent.raw is not None
            assert sent.key in keys
            assert len(sent.raw) < topics.BROKER_MAX_BYTES
            with pytest.raises(codec.DecodeError) as refused:
                codec.decode(sent.raw, NodeReport)
            reasons.add(refused.value.reason)
        assert reasons == {"oversized", "malformed", "version", "invalid"}

    def test_history_is_read_back_in_reports_of_fifty_before_the_live_phase(self) -> None:
        scenario, sents = played()
        start = scenario.truth.live_start_ms
        history = [s.report for s in sents if s.append_ms < start and s.report is not None]
        long = [r for r in history if len(r.records) == 50]
        assert len(long) > 480 * 6
        ages = [start - r.records[-1].t_ms for r in long]
        assert max(ages) > 60 * DAY_MS
        firsts = {r.node for r in history if isinstance(r.records[0], Facts)}
        assert len(firsts) == 480

    def test_heartbeats_come_every_half_hour_of_the_live_phase_unless_the_node_is_down(
        self,
    ) -> None:
        scenario, _ = played()
        beats: dict[str, list[int]] = defaultdict(list)
        for report in reports():
            assert report.heartbeat_s == 1800
            beats[report.node] += [r.t_ms for r in report.records if isinstance(r, Heartbeat)]
        assert len(beats) == 480
        for times in beats.values():
            times.sort()
            assert times[0] >= scenario.truth.live_start_ms
            gaps = {b - a for a, b in pairwise(times)}
            assert gaps <= {HOUR_MS // 2, HOUR_MS}

    def test_record_ids_rise_with_time_in_each_channel_of_a_node(self) -> None:
        rows = defaultdict(list)
        for report, event in events():
            assert event.computer.partition(".")[0].lower() == report.node
            rows[report.node, event.channel].append((event.record_id, event.t_ms))
        assert len(rows) > 480
        for of_channel in rows.values():
            of_channel.sort()
            ids = [record_id for record_id, _ in of_channel]
            times = [t_ms for _, t_ms in of_channel]
            assert len(set(ids)) == len(ids)
            assert times == sorted(times)

    @pytest.mark.parametrize("harmful", [True, False])
    def test_the_same_seed_gives_the_same_bytes(self, harmful: bool) -> None:
        assert digest(Scenario(3, harmful), 1_000) == digest(Scenario(3, harmful), 1_000)

    def test_a_stream_can_be_read_again(self) -> None:
        scenario = Scenario(3)
        assert digest(scenario, 500) == digest(scenario, 500)

    def test_another_seed_gives_another_month(self) -> None:
        one, two = Scenario(1), Scenario(2)
        assert digest(one, 500) != digest(two, 500)
        assert one.truth.victims != two.truth.victims
        assert one.truth.outage != two.truth.outage
