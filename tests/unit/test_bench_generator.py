"""The benchmark's generator: fleets, noise and plans as the specification says."""

import math
from collections import Counter
from itertools import pairwise
from random import Random
from statistics import mean, pvariance

import pytest

from streams.regbench.bench import shocks
from streams.regbench.bench.catalogue import BOOT, COMMON, KNOWN, NOVEL, RARE, draw
from streams.regbench.bench.chance import DAY_MS, HOUR_MS, MINUTE_MS, chance, delay_ms
from streams.regbench.bench.fleet import (
    BRANCHES,
    CLUSTERED_ROLES,
    ROLES,
    SITES,
    Member,
    Shape,
    build_fleet,
    domains_of,
)
from streams.regbench.bench.noise import boot_incidents, incidents
from streams.regbench.bench.plan import PLANS, RINGS, PlanName, Rings, schedule

DAYS = 100
SPAN = (0, DAYS * DAY_MS)


def fleet_of(nodes: int, seed: int = 1, shape: Shape | None = None) -> list[Member]:
    return build_fleet(Random(seed), nodes, 0, shape or Shape(), {})


@pytest.fixture(scope="module")
def large() -> list[Member]:
    return fleet_of(20_000)


@pytest.mark.parametrize("nodes", [100, 300, 1_000])
def test_a_fleet_has_as_many_nodes_of_each_role_as_its_share(nodes: int) -> None:
    fleet = fleet_of(nodes)
    assert len({member.node.node for member in fleet}) == nodes
    roles = Counter(member.node.role for member in fleet)
    assert all(abs(roles[role] - share * nodes) <= 3 for role, share in ROLES.items())


def test_branches_and_sites_have_their_shares(large: list[Member]) -> None:
    branches = Counter(member.node.branch for member in large)
    sites = Counter(member.node.site for member in large)
    assert all(abs(branches[b] / 20_000 - share) < 0.02 for b, share in BRANCHES.items())
    assert all(abs(sites[s] / 20_000 - share) < 0.02 for s, share in SITES.items())
    assert math.isclose(sum(SITES.values()), 1)


def test_sql_hyperv_and_file_nodes_are_in_clusters_of_4_to_12(large: list[Member]) -> None:
    for domain in domains_of(large):
        if domain[0].node.role in CLUSTERED_ROLES:
            assert 4 <= len(domain) <= 12
            assert domain[0].node.domain.startswith("c")
        else:
            assert [member.node.node for member in domain] == [domain[0].node.domain]


def test_a_cluster_s_nodes_are_alike(large: list[Member]) -> None:
    for domain in domains_of(large):
        nodes = [member.node for member in domain]
        assert len({(n.role, n.branch, n.site, str(n.covariates)) for n in nodes}) == 1


def test_bitlocker_and_virtual_have_their_shares(large: list[Member]) -> None:
    domains = [domain[0].node for domain in domains_of(large)]
    guests = [node for node in domains if node.role != "hyperv"]
    bitlocker = mean(node.covariates["bitlocker"] is True for node in domains)
    assert bitlocker == pytest.approx(0.10, abs=0.01)
    assert mean(n.covariates["virtual"] is True for n in guests) == pytest.approx(0.80, abs=0.015)
    assert not any(n.covariates["virtual"] for n in domains if n.role == "hyperv")
    clustered = {member.node.role for member in large if member.node.covariates["clustered"]}
    assert clustered == set(CLUSTERED_ROLES)


def test_frailty_is_gamma_of_shape_half_and_mean_one(large: list[Member]) -> None:
    frailties = [member.frailty for member in large]
    assert mean(frailties) == pytest.approx(1.0, abs=0.05)
    assert pvariance(frailties) == pytest.approx(2.0, abs=0.25)


def test_a_small_fleet_is_one_site_with_half_its_nodes_in_clusters() -> None:
    fleet = fleet_of(1_000, shape=Shape(one_site=True, clustered_share=0.5))
    assert {member.node.site for member in fleet} == {"s1"}
    assert sum(bool(m.node.covariates["clustered"]) for m in fleet) == pytest.approx(500, abs=3)


def test_incidents_are_a_hundredth_per_node_and_day(large: list[Member]) -> None:
    events = list(incidents(Random(1), large, *SPAN, loops=False))
    # Of 20,000 expected; the sum's standard deviation is 245, by frailty.
    assert len(events) == pytest.approx(20_000, abs=1_000)
    assert all(0 <= event.t_ms < DAYS * DAY_MS for event in events)
    per_node = Counter(event.node for event in events)
    frailest = sorted(large, key=lambda m: m.frailty)[-2_000:]
    assert sum(per_node[m.node.node] for m in frailest) > 0.4 * len(events)


def test_incidents_follow_the_time_of_day(large: list[Member]) -> None:
    events = incidents(Random(1), large, *SPAN, loops=False)
    quarters = Counter(event.t_ms % DAY_MS * 4 // DAY_MS for event in events)
    # Over the half day about the peak the mean of 1 + sin/2 is 1 + 1/π.
    high, low = quarters[0] + quarters[1], quarters[2] + quarters[3]
    assert high / low == pytest.approx((1 + 1 / math.pi) / (1 - 1 / math.pi), rel=0.08)


def test_one_incident_in_twenty_is_a_crash_loop_of_thirty(large: list[Member]) -> None:
    events = list(incidents(Random(1), large, *SPAN, loops=True))
    single = len(list(incidents(Random(1), large, *SPAN, loops=False)))
    assert len(events) / single == pytest.approx(0.95 + 0.05 * 30, rel=0.07)
    loops = Counter((event.node, event.signature) for event in events)
    assert sum(count == 30 for count in loops.values()) > 500


def test_signatures_are_zipf_in_six_classes_and_one_percent_novel() -> None:
    random = Random(1)
    drawn = Counter(draw(random).name for _ in range(100_000))
    assert len(KNOWN) == 200
    assert len(NOVEL) == 51
    assert len({signature.cls for signature in KNOWN}) == 6
    assert len({signature.name for signature in KNOWN + NOVEL}) == 251
    novel = sum(drawn[signature.name] for signature in NOVEL)
    assert novel == pytest.approx(1_000, abs=130)
    assert drawn[KNOWN[0].name] / drawn[KNOWN[9].name] == pytest.approx(10**1.1, rel=0.1)
    rare = sum(drawn[signature.name] for signature in RARE)
    assert 0.03 < rare / 100_000 < 0.10
    assert {signature.impact for signature in (*RARE, *COMMON, *BOOT)} == {"outage"}


def test_three_installs_in_a_thousand_break_something_within_half_an_hour() -> None:
    installs = {f"n{i}": i * HOUR_MS for i in range(100_000)}
    events = list(boot_incidents(Random(1), installs, 0.0))
    assert len(events) == pytest.approx(300, abs=70)
    assert all(0 <= e.t_ms - installs[e.node] <= 30 * MINUTE_MS for e in events)
    assert {event.signature for event in events} == {signature.name for signature in BOOT}


def test_what_restarts_break_differs_between_kbs_by_the_sd() -> None:
    installs = {f"n{i}": 0 for i in range(20_000)}
    shares = [
        len(list(boot_incidents(chance(1, index, "boots"), installs, 1.0))) / 20_000
        for index in range(60)
    ]
    logs = [math.log(share / 0.003) for share in shares if share]
    assert pvariance(logs) == pytest.approx(1.0, abs=0.4)


@pytest.mark.parametrize("plan", ["staged", "fast", "bang"])
def test_rings_have_their_shares_and_times(plan: PlanName) -> None:
    fleet = fleet_of(1_000)
    done = schedule(Random(2), fleet, plan, "random", 0)
    assert len(done.installs) == 1_000
    patched = 0
    for number, ring in enumerate(PLANS[plan]):
        mine = [node for node, name in done.rings.items() if name == f"r{number}"]
        patched += len(mine)
        assert patched == pytest.approx(ring.share * 1_000, abs=6)
        hours = [done.installs[node] / HOUR_MS for node in mine]
        assert ring.start_h <= min(hours)
        assert max(hours) <= ring.start_h + ring.hours


def test_plans_are_those_of_the_specification() -> None:
    staged = [(round(100 * r.share), r.start_h) for r in PLANS["staged"]]
    assert staged == [(1, 0), (5, 24), (20, 48), (50, 72), (100, 120)]
    assert all(4 <= r.hours <= 24 for r in PLANS["staged"])
    assert [(r.share, r.start_h + r.hours) for r in PLANS["fast"]] == [(0.1, 2), (1, 8)]
    assert [(r.share, r.hours) for r in PLANS["bang"]] == [(1, 0.5)]


@pytest.mark.parametrize("rings", RINGS)
def test_clusters_are_patched_node_by_node(rings: Rings) -> None:
    fleet = fleet_of(1_000)
    done = schedule(Random(2), fleet, "staged", rings, 0)
    for domain in domains_of(fleet):
        times = sorted(done.installs[member.node.node] for member in domain)
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert all(gap >= 15 * MINUTE_MS for gap in gaps)
        assert len({done.rings[member.node.node] for member in domain}) == 1


def test_flaky_canaries_are_the_frailest_nodes() -> None:
    fleet = fleet_of(3_000)
    done = schedule(Random(2), fleet, "staged", "flaky", 0)
    canaries = [m.frailty for m in fleet if done.rings[m.node.node] == "r0"]
    others = sorted((m.frailty for m in fleet if done.rings[m.node.node] != "r0"), reverse=True)
    assert len(canaries) == pytest.approx(30, abs=2)
    assert min(canaries) > 4
    assert mean(canaries) > 2 * mean(others[:300])


def test_rings_by_site_take_site_after_site() -> None:
    fleet = fleet_of(3_000)
    done = schedule(Random(2), fleet, "staged", "site", 0)
    rings: dict[str, set[str]] = {}
    for member in fleet:
        rings.setdefault(member.node.site, set()).add(done.rings[member.node.node])
    early = [site for site, its in rings.items() if its & {"r0", "r1"}]
    assert len(early) <= 3
    scattered = schedule(Random(2), fleet, "staged", "random", 0).rings
    canary_sites = {m.node.site for m in fleet if scattered[m.node.node] == "r0"}
    assert len(canary_sites) >= 5


def test_shocks_take_whole_clusters_and_parts_of_sites() -> None:
    fleet = fleet_of(3_000)
    by_node = {member.node.node: member.node for member in fleet}
    nodes_of_site = Counter(node.site for node in by_node.values())
    hits: dict[tuple[int, str], list[str]] = {}
    for event in shocks.shocks(Random(5), fleet, *SPAN):
        hits.setdefault((event.t_ms // HOUR_MS, event.signature), []).append(event.node)
    wide = [nodes for nodes in hits.values() if len({by_node[n].domain for n in nodes}) > 15]
    clusters = [
        nodes
        for nodes in hits.values()
        if len(nodes) >= 4 and len({by_node[n].domain for n in nodes}) == 1
    ]
    # 8 sites every 30 days; some 120 clusters every 100 days, fewer seen whole in one hour.
    assert 18 <= len(wide) <= 36
    assert 70 <= len(clusters) <= 160
    sites = [Counter(by_node[n].site for n in nodes).most_common(1)[0] for nodes in wide]
    assert mean(count / nodes_of_site[site] for site, count in sites) == pytest.approx(
        0.3, abs=0.06
    )


def test_clusters_flap_hourly_for_two_days_of_the_roll_out() -> None:
    fleet = fleet_of(10_000)
    done = schedule(Random(2), fleet, "staged", "random", 200 * DAY_MS)
    domain_of = {member.node.node: member.node.domain for member in fleet}
    flaps: dict[str, list[int]] = {}
    for event in shocks.flaps(Random(5), fleet, done):
        flaps.setdefault(domain_of[event.node], []).append(event.t_ms)
    clusters = sum(len(domain) > 1 for domain in domains_of(fleet))
    assert len(flaps) == round(0.02 * clusters)
    for times in flaps.values():
        hours = {(t_ms - min(times)) // HOUR_MS for t_ms in times}
        assert len(hours) >= 40
        assert max(times) - min(times) <= 49 * HOUR_MS
        assert min(times) >= 199 * DAY_MS


@pytest.mark.parametrize("where", ["site", "ring", "fleet", "middle"])
def test_an_outage_coincides_with_the_roll_out(where: str) -> None:
    fleet = fleet_of(3_000)
    site_of = {member.node.node: member.node.site for member in fleet}
    for seed in range(8):
        done = schedule(Random(seed), fleet, "staged", "site" if where == "ring" else "random", 0)
        events = shocks.coinciding(Random(seed), fleet, done, where)
        start_ms = min(event.t_ms for event in events)
        assert max(event.t_ms for event in events) - start_ms <= 10 * MINUTE_MS
        assert len({event.signature for event in events}) == 1
        assert any(first <= start_ms <= last + 10 * MINUTE_MS for first, last in done.spans)
        sites = {site_of[event.node] for event in events}
        if where in ("site", "ring"):
            assert len(sites) == 1
        else:
            assert len(events) == pytest.approx(900, abs=120)
        if where == "middle":
            patched = sum(t_ms <= start_ms for t_ms in done.installs.values())
            assert patched == pytest.approx(1_500, abs=60)
        if where == "ring":
            (site,) = sites
            members = [m.node.node for m in fleet if m.node.site == site]
            ring = [n for n in members if _in_span(done.installs[n], start_ms, done.spans)]
            assert ring


def test_onsets_are_exponential_or_log_normal() -> None:
    random = Random(1)
    exponential = [delay_ms(random, 8, 0) / HOUR_MS for _ in range(20_000)]
    assert mean(exponential) == pytest.approx(8, rel=0.03)
    logs = [math.log(delay_ms(random, 8, 1.0) / HOUR_MS) for _ in range(20_000)]
    assert mean(logs) == pytest.approx(math.log(8), abs=0.03)
    assert pvariance(logs) == pytest.approx(1.0, abs=0.05)


def _in_span(t_ms: int, now_ms: int, spans: tuple[tuple[int, int], ...]) -> bool:
    return any(first <= t_ms <= last and first <= now_ms <= last + HOUR_MS for first, last in spans)
