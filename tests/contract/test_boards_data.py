"""Boards on the demo's month: every panel has rows, and what they say is the verdict's and the
scenario's truth.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from dashboards.boards import asked, boards
from dashboards.macros import ALL, Value, Window, expand
from dashboards.sql import Query, case, catalogue, cluster, fleet, halts, node, pipeline, readiness
from schemas.clickhouse.chdb_store import ChdbStore
from schemas.clickhouse.store import Result, Store
from streams.regbench.fleet import Node, build_fleet
from streams.regbench.scenarios.kb5062557 import LIVE_END_MS, LIVE_START_MS
from tests.fixtures.demo_store import SEED, Month, build

pytestmark = pytest.mark.slow

HOUR_MS = 3_600_000
CASE = "KB5062557@17763"
CHOSEN: dict[str, Value] = {
    "fleet": "default",
    "branch": "17763",
    "kb": "KB5062557",
    "site": [ALL],
    "ring": [ALL],
    "node": "hv-c01-n6",
    "cluster": "hv-c01",
}


class Grafana:
    """Asks the store as Grafana would, at the end of a time range."""

    def __init__(self, store: Store, month: Month) -> None:
        self.store = store
        self.month = month

    @property
    def after_the_halt_ms(self) -> int:
        halted = next(v for v in self.month.verdicts[CASE] if v.state == "halt")
        return halted.asof_ms + 1

    def ask(self, query: Query, end_ms: int = LIVE_END_MS, **chosen: Value) -> Result:
        window = Window(LIVE_START_MS, end_ms, interval_s=600)
        return self.store.query(expand(query.sql, window, {**CHOSEN, **chosen}), {})

    def rows(
        self, query: Query, end_ms: int = LIVE_END_MS, **chosen: Value
    ) -> list[dict[str, Any]]:
        return self.ask(query, end_ms, **chosen).dicts()

    def row(self, query: Query, end_ms: int = LIVE_END_MS, **chosen: Value) -> dict[str, Any]:
        (only,) = self.rows(query, end_ms, **chosen)
        return only


@pytest.fixture(scope="module")
def grafana(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grafana]:
    path = tmp_path_factory.mktemp("month") / "store"
    month = build(path)
    store = ChdbStore(path)
    try:
        yield Grafana(store, month)
    finally:
        store.close()


@pytest.fixture(scope="module")
def servers() -> tuple[Node, ...]:
    return build_fleet(SEED)


@pytest.fixture(scope="module")
def ring_of(grafana: Grafana) -> dict[str, str]:
    return {name: ring.name for ring in grafana.month.truth.rings for name in ring.nodes}


@pytest.mark.parametrize("board", boards())
def test_every_panel_has_rows(grafana: Grafana, board: str) -> None:
    empty = [panel.title for panel, query in asked(boards()[board]) if not grafana.ask(query).rows]
    assert empty == []


def test_every_query_answers_with_the_columns_it_declares(grafana: Grafana) -> None:
    answered = {
        name: grafana.ask(query, grafana.after_the_halt_ms).columns
        for name, query in catalogue().items()
    }
    assert answered == {name: query.columns for name, query in catalogue().items()}


# KB drill-down: the verdict's own numbers


@pytest.mark.parametrize("moment", ["before the halt", "after the halt", "at the end"])
def test_the_drill_down_says_what_the_newest_verdict_says(grafana: Grafana, moment: str) -> None:
    verdicts = grafana.month.verdicts[CASE]
    halted = next(i for i, v in enumerate(verdicts) if v.state == "halt")
    verdict = verdicts[{"before the halt": halted - 1, "after the halt": halted}.get(moment, -1)]
    end_ms = verdict.asof_ms + 1

    said = grafana.row(case.verdict(), end_ms)
    assert (said["state"], said["sentence"]) == (verdict.state, verdict.sentence)
    assert (said["victims"], said["exposed"], said["controls"]) == (
        verdict.victims,
        verdict.exposed,
        verdict.controls,
    )
    assert said["e"] == pytest.approx(math.exp(verdict.log_e))
    assert said["e_warn"] == pytest.approx(math.exp(verdict.log_e_warn))
    left = {row["group"]: row["nodes"] for row in grafana.rows(case.left(), end_ms)}
    assert left == {
        "not offered": verdict.left.untouched,
        "offered": verdict.left.offered,
        "staged": verdict.left.staged,
        "in effect": verdict.left.effective,
    }
    compared = {row["nodes"]: row for row in grafana.rows(case.comparison(), end_ms)}
    at = verdict.halt or verdict.warn
    exposed, controls, victims = (
        (at.exposed, at.controls, at.victims)
        if at
        else (verdict.exposed, verdict.controls, verdict.victims)
    )
    assert (compared["patched"]["count"], compared["patched"]["failed"]) == (exposed, victims)
    assert compared["not patched"]["count"] == controls
    assert compared["not patched"]["failed"] == (at.control_victims if at else 0)
    told = {row["node"] for row in grafana.rows(case.victims(), end_ms)}
    assert told == set(verdict.victim_nodes)
    suspects = {row["suspect"]: row["probability"] for row in grafana.rows(case.suspects(), end_ms)}
    if verdict.suspects:
        assert suspects == pytest.approx(verdict.suspects)
    else:
        assert list(suspects.values()) == [None]
    incidents = [(row["node"], row["t_ms"]) for row in grafana.rows(case.incidents(), end_ms)]
    assert sorted(incidents) == sorted((i.node, i.t_ms) for i in verdict.incidents)


def test_the_wealth_over_time_is_that_of_every_verdict(grafana: Grafana) -> None:
    shown = grafana.rows(case.wealth())
    told = [v for v in grafana.month.verdicts[CASE] if LIVE_START_MS <= v.asof_ms <= LIVE_END_MS]

    assert [row["time"] for row in shown] == [v.asof_ms for v in told]
    for column, arm in (
        ("E, for a HALT", [v.log_e for v in told]),
        ("E_w, for a WARN", [v.log_e_warn for v in told]),
        ("patched against unpatched", [v.log_c for v in told]),
        ("patched against their past", [v.log_h for v in told]),
    ):
        assert [row[column] for row in shown] == pytest.approx([math.exp(value) for value in arm])
    assert {row["WARN"] for row in shown} == {100}
    assert {round(row["HALT"]) for row in shown} == {200}


def test_the_rule_is_the_verdicts_and_the_truths(grafana: Grafana) -> None:
    said = {row["what"]: row["said"] for row in grafana.rows(case.reasons())}

    assert said["whom it hits"] == " and ".join(grafana.month.last(CASE).rule)
    assert set(grafana.month.last(CASE).rule) <= set(grafana.month.truth.rule)


def test_each_node_gets_what_to_do_next_once(grafana: Grafana) -> None:
    end_ms = grafana.after_the_halt_ms
    verdict = next(v for v in grafana.month.verdicts[CASE] if v.state == "halt")
    rows = grafana.rows(case.to_do(), end_ms)

    groups = Counter(row["next"][0] for row in rows)
    assert sum(groups.values()) == len(rows) == grafana.month.truth.branch_nodes["17763"]
    assert groups["1"] == len(verdict.victim_nodes)
    assert groups["2"] == verdict.left.staged
    assert groups["3"] == verdict.left.untouched


# The fleet, against the scenario's truth


def test_the_builds_are_those_that_took_effect(grafana: Grafana) -> None:
    truth, end_ms = grafana.month.truth, grafana.after_the_halt_ms
    rows = grafana.rows(fleet.builds(), end_ms)

    patched = sum(row["nodes"] for row in rows if row["build"] == "17763.7558")
    of_branch = {server.name for server in build_fleet(SEED) if server.branch == "17763"}
    told_late = 3  # reports of a boot may be up to an hour late
    really = sum(truth.effective[name] <= end_ms for name in of_branch)
    assert really - told_late <= patched <= really
    assert sum(row["nodes"] for row in rows) == truth.branch_nodes["17763"]


def test_the_rings_are_counted_by_their_nodes(
    grafana: Grafana, servers: tuple[Node, ...], ring_of: dict[str, str]
) -> None:
    rows = grafana.rows(fleet.rings(), branch=[ALL])

    counted = Counter((ring_of[server.name], server.branch) for server in servers)
    assert {(row["ring"], row["branch"]): row["nodes"] for row in rows} == counted
    assert all(row["share"] == 1.0 for row in rows), "at the end everybody is patched"


def test_open_cases_come_the_worst_first(grafana: Grafana) -> None:
    rows = grafana.rows(fleet.open_cases(), branch=[ALL])

    assert [(row["kb"], row["state"]) for row in rows[:2]] == [
        ("KB5062557", "halt"),
        ("KB5062572", "notice"),
    ]
    assert len(rows) == len(grafana.month.verdicts)
    counts = grafana.row(fleet.case_counts())
    assert (counts["halted"], counts["noticed"], counts["open"]) == (1, 1, len(rows))


def test_the_choice_of_sites_and_rings_narrows(
    grafana: Grafana, servers: tuple[Node, ...], ring_of: dict[str, str]
) -> None:
    row = grafana.row(fleet.counts(), branch=[ALL], site=["ams", "osl"], ring=["r0"])

    meant = [s for s in servers if s.site in ("ams", "osl") and ring_of[s.name] == "r0"]
    assert row["nodes"] == len(meant)


def test_a_halt_leaks_onto_the_nodes_that_took_it_afterwards(
    grafana: Grafana, servers: tuple[Node, ...]
) -> None:
    halt = grafana.month.halts[CASE]
    effective = {
        s.name: grafana.month.truth.effective[s.name] for s in servers if s.branch == "17763"
    }
    leaked = {row["node"] for row in grafana.rows(halts.leaks())}

    assert leaked <= {name for name, at_ms in effective.items() if at_ms > halt.crossing.t_ms}
    assert leaked >= {name for name, at_ms in effective.items() if at_ms > halt.history[-1].at_ms}
    current = grafana.row(halts.current())
    assert current["leaks"] == len(leaked) == grafana.row(halts.counts())["leaks"]
    assert (current["state"], current["told"], current["waiting"]) == ("active", 1, 1)


def test_a_halt_is_shown_before_its_time_range_too(grafana: Grafana) -> None:
    assert grafana.row(halts.current(), LIVE_START_MS + HOUR_MS)["state"] == "active"


def test_the_nodes_on_the_halted_kb_have_the_victims_first(grafana: Grafana) -> None:
    rows = grafana.rows(halts.still_on())
    victims = [row["node"] for row in rows if row["victim"]]

    assert len(rows) == grafana.month.truth.branch_nodes["17763"]
    assert victims == [row["node"] for row in rows[: len(victims)]]
    assert set(victims) == set(grafana.month.last(CASE).victim_nodes)
    assert set(grafana.month.truth.victims) <= set(victims)


# One node, one cluster


def test_a_victims_timeline_runs_from_patch_to_boot_to_incident(grafana: Grafana) -> None:
    truth = grafana.month.truth
    victim = min(truth.victims, key=truth.victims.__getitem__)
    facts = grafana.row(node.facts(), node=victim)
    boots = grafana.rows(node.boots(), node=victim)
    patches = grafana.rows(node.patches(), node=victim)
    incidents = grafana.rows(node.incidents(), node=victim)

    assert facts["build"] == "17763.7558"
    first = next(row["time"] for row in boots if row["build"] == facts["build"])
    assert facts["since_ms"] == first == truth.effective[victim]
    staged = [row["time"] for row in patches if row["patch"] == "KB5062557 staged"]
    assert truth.staged[victim] in staged
    died = [row["time"] for row in incidents if row["incident"] == "scm/7031/clussvc"]
    assert died[0] == pytest.approx(truth.victims[victim], abs=1000)
    assert staged[0] < facts["since_ms"] < died[0]


def test_a_missing_heartbeat_is_a_gap(grafana: Grafana) -> None:
    gaps = [row["gap_s"] for row in grafana.rows(node.heartbeat_gaps(), node="hv-c01-n6")]

    assert gaps[0] == 0
    assert set(gaps[1:]) >= {1800}
    assert sum(gaps) * 1000 <= LIVE_END_MS - LIVE_START_MS


def test_who_is_in_quarantine_is_a_victim_and_comes_back(
    grafana: Grafana, servers: tuple[Node, ...]
) -> None:
    truth = grafana.month.truth
    of_cluster = {s.name for s in servers if s.cluster == "hv-c01"}
    first = min(ms for name, ms in truth.victims.items() if name in of_cluster)
    seen = defaultdict(set)
    for hours in range(6):
        for row in grafana.rows(cluster.members(), first + hours * HOUR_MS):
            seen[row["state"]].add(row["node"])
    at_the_end = {row["node"]: row["state"] for row in grafana.rows(cluster.members())}

    assert seen["quarantined"]
    assert seen["quarantined"] <= set(truth.victims) & of_cluster
    assert at_the_end == dict.fromkeys(of_cluster, "up")
    kept_out = {row["node"] for row in grafana.rows(cluster.quarantines())}
    assert kept_out == set(truth.victims) & of_cluster


def test_the_clusters_that_failed_are_those_of_the_victims(
    grafana: Grafana, servers: tuple[Node, ...]
) -> None:
    rows = {row["cluster"]: row for row in grafana.rows(cluster.overview())}
    victims = Counter(s.cluster for s in servers if s.name in grafana.month.truth.victims)

    assert {name: rows[name]["nodes"] for name in rows} == Counter(
        s.cluster for s in servers if s.cluster
    )
    for name, count in victims.items():
        assert rows[name]["failed"] >= count
        assert rows[name]["csv_bitlocker"] == "yes"


# Pipeline and readiness


def test_the_dead_letters_are_all_there(grafana: Grafana) -> None:
    share = grafana.row(pipeline.dead_letter_share())
    by_reason = grafana.rows(pipeline.dead_letter_reasons())

    assert share["refused"] == sum(row["messages"] for row in by_reason)
    assert share["refused"] == grafana.month.dead_letters == 25
    assert {row["reason"] for row in by_reason} == {"malformed", "invalid", "oversized", "version"}
    assert 0 < share["share"] < 0.001


def test_what_arrived_is_counted_record_by_record(grafana: Grafana) -> None:
    counted: Counter[str] = Counter()
    for row in grafana.rows(pipeline.rates()):
        counted[row["what"]] += row["rows"]
    stored = grafana.store.query(
        "SELECT uniqExact(_offset, _index) FROM boots WHERE _received_ms >= "
        "fromUnixTimestamp64Milli({since:Int64})",
        {"since": LIVE_START_MS},
    )
    assert counted["boots"] == pytest.approx(stored.rows[0][0], rel=0.01)


def test_the_strata_without_a_canary_are_those_of_the_fleet(
    grafana: Grafana, servers: tuple[Node, ...], ring_of: dict[str, str]
) -> None:
    kinds: dict[tuple[object, ...], list[str]] = defaultdict(list)
    for s in servers:
        covariates = (s.covariates.get("csv_bitlocker") is True, s.covariates.get("s2d") is True)
        kinds[s.branch, s.role, bool(s.cluster), *covariates].append(ring_of[s.name])
    missing = [rings for rings in kinds.values() if "r0" not in rings]

    row = grafana.row(readiness.uncovered())
    assert (row["missing"], row["strata"]) == (len(missing), len(kinds))
    assert row["nodes"] == sum(map(len, missing))
    rows = grafana.rows(readiness.strata())
    assert [r["canaries"] for r in rows[: len(missing)]] == [0] * len(missing)
    assert len(rows) == len(kinds)


def test_the_clusters_with_bitlocker_are_all_named_and_their_canaries_counted(
    grafana: Grafana, servers: tuple[Node, ...], ring_of: dict[str, str]
) -> None:
    canaries: Counter[str] = Counter()
    for s in servers:
        if s.csv_bitlocker:
            canaries[s.cluster] += ring_of[s.name] == "r0"

    rows = grafana.rows(readiness.bitlocker_clusters())
    assert {row["cluster"]: row["canaries"] for row in rows} == canaries
    assert rows[0]["covered"] == "no canary"


def test_the_hold_out_is_who_is_not_patched_yet(grafana: Grafana) -> None:
    verdict = next(v for v in grafana.month.verdicts[CASE] if v.state == "halt")
    rows = grafana.rows(readiness.hold_out(), grafana.after_the_halt_ms)

    left = sum(row["hold_out"] for row in rows if row["branch"] == "17763")
    assert left == verdict.controls


def test_backups_are_as_old_as_the_nodes_say(grafana: Grafana, servers: tuple[Node, ...]) -> None:
    ages_s = {n: LIVE_END_MS // 1000 - t // 1000 for n, t in grafana.month.backups.items()}
    for row in grafana.rows(readiness.backups()):
        ages = [ages_s.get(s.name, math.inf) for s in servers if s.role == row["role"]]
        day, week, told = (sum(age < n * 86_400 for age in ages) for n in (1, 7, math.inf))
        assert (row["last_day"], row["last_week"], row["older"]) == (day, week - day, told - week)
        assert (row["not_told"], row["share"]) == (len(ages) - told, week / len(ages))
    oldest = [(row["node"], row["age_s"]) for row in grafana.rows(readiness.oldest_backups())]
    assert oldest == sorted(ages_s.items(), key=lambda one: (-one[1], one[0]))


def test_what_no_collector_says_is_not_told_and_not_none(
    grafana: Grafana, servers: tuple[Node, ...]
) -> None:
    keys = grafana.row(readiness.keys())

    encrypted = [s for s in servers if s.covariates.get("bitlocker_os") or s.csv_bitlocker]
    assert (keys["encrypted"], keys["kept"]) == (len(encrypted), 0)
